"""What a task found, as a JSON file: JSON knows no NaN, so null stands for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridgen.evaluation.prompts import EvalPrompt
from hybridgen.files import read_json, write_json


@dataclass(frozen=True)
class TaskResult:
    """What one task found."""

    kind: str  # song, track, reference
    prompt: EvalPrompt
    values: dict[str, Any]  # see the functions of `tasks`


def save(path: Path, values: Mapping[str, Any]) -> None:
    """Writes what a task found, atomically."""
    write_json(path, nan_to_null(values))


def load(path: Path, kind: str, prompt: EvalPrompt) -> TaskResult:
    """Reads what a task of this kind and prompt found; nulls stay nulls, see `null_to_nan`."""
    return TaskResult(kind, prompt, read_json(path))


def nan_to_null(value: Any) -> Any:
    """The same value with null for every number in it that is not finite."""
    if isinstance(value, Mapping):
        return {key: nan_to_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def null_to_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same mapping with NaN for null."""
    return {name: math.nan if value is None else value for name, value in values.items()}
