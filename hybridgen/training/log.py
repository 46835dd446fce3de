"""What a run tells: one JSON line per entry in `log.jsonl`, and TensorBoard's file where it is installed."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType


def _board(folder: Path) -> object | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / "tensorboard")


class Log:
    """Appends numbers to a run's folder; a context manager."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "log.jsonl").open("a", encoding="utf-8")
        self._board = _board(folder)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One entry: the step, the time in seconds since 1970, and the values."""
        entry = {"step": step, "time": round(time.time(), 1)} | {name: float(f"{x:.6g}") for name, x in values.items()}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._file.close()
        if self._board is not None:
            self._board.close()
