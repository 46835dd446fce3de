"""The numbers that the estimators were fitted with: `profiles.json`, written by tools/estimators.py."""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("profiles.json")


@dataclass(frozen=True)
class Profiles:
    """Weights of three linear models: which pulse, which chord, which key. D features of a pulse, R registers."""

    pulse: np.ndarray  # (D,), of rhythm.pulse_features
    chord: np.ndarray  # (2, R, 12) major and minor, root first, of harmony.chord_features
    chord_minor_bias: float
    key: np.ndarray  # (2, R, 12) major and minor, tonic first, of harmony.key_features
    key_minor_bias: float
    origin: str  # what they were fitted on


@functools.cache
def load() -> Profiles:
    """The profiles that come with the package."""
    facts = json.loads(PATH.read_text(encoding="utf-8"))
    arrays = {name: np.array(value) for name, value in facts.items() if isinstance(value, list)}
    return Profiles(**{**facts, **arrays})


def save(profiles: Profiles, path: Path = PATH) -> None:
    """Writes profiles as JSON, a row of numbers to a line."""
    facts = {}
    for name, value in vars(profiles).items():
        facts[name] = np.round(value, 3).tolist() if isinstance(value, np.ndarray) else value
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    path.write_text(_join_rows(text) + "\n", encoding="utf-8")


def _join_rows(text: str) -> str:
    """Indented JSON with the numbers of each innermost list on one line."""
    return re.sub(r"\[[^\[\]]*\]", lambda row: " ".join(row[0].split()).replace("[ ", "[").replace(" ]", "]"), text)
