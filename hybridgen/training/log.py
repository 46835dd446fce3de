"""The log of a run: numbers, sounds, pictures and texts, in its folder, in TensorBoard, and on W&B where configured.

`log.jsonl` has one JSON line per entry; `shown/` keeps the sounds, pictures and texts of validations. N: samples.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import soundfile

from hybridgen import plot
from hybridgen.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Log:
    """Appends to a run's folder; a context manager. Without a folder it logs nothing, as on all ranks but the first."""

    def __init__(self, folder: Path | None, step: int = 0, wandb: str | None = None):
        """step: of the checkpoint that the run resumes from; entries of later steps are removed.

        wandb: the project there; ValueError where W&B is not installed.
        """
        self.folder = folder
        self._file: TextIO | None = None
        self._board: Any | None = None
        self._wandb: Any | None = None
        if folder is None:
            return
        (folder / "shown").mkdir(parents=True, exist_ok=True)
        self._wandb = None if wandb is None else _wandb(wandb, folder)
        self.rollback(step)

    def rollback(self, step: int) -> None:
        """Removes the entries of steps after `step`, which will be logged again; not those on W&B."""
        if self.folder is None:
            return
        self._close()
        _truncate(self.folder / "log.jsonl", step)
        self._file = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        self._board = _board(self.folder / "tensorboard", step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One entry: the step, the time in seconds since 1970, and the values."""
        if self._file is None:
            return
        entry = {"step": step, "time": round(time.time(), 1)} | {name: float(f"{x:.6g}") for name, x in values.items()}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def audio(self, step: int, name: str, samples: np.ndarray, sample_rate: int) -> None:
        """Samples (2, N), clipped to full scale."""
        if self.folder is None:
            return
        soundfile.write(_shown(self.folder, step, name, "flac"), np.clip(samples, -1, 1).T, sample_rate)
        if self._board is not None:  # TensorBoard plays one channel
            self._board.add_audio(name, np.clip(samples, -1, 1).mean(0), step, sample_rate)

    def picture(self, step: int, name: str, figure: "Figure") -> None:
        """A matplotlib figure."""
        if self.folder is None:
            return
        figure.savefig(_shown(self.folder, step, name, "png"), dpi=90)
        if self._board is not None:
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            self._board.add_image(name, np.asarray(canvas.buffer_rgba())[..., :3], step, dataformats="HWC")

    def text(self, step: int, name: str, text: str) -> None:
        """A plain text."""
        if self.folder is None:
            return
        _shown(self.folder, step, name, "txt").write_text(text + "\n", encoding="utf-8")
        if self._board is not None:
            self._board.add_text(name, f"```\n{text}\n```", step)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if kind is None else 1)


def spectrograms(sounds: Mapping[str, np.ndarray], sample_rate: int) -> "Figure":
    """Mel spectrograms of sounds (2, N) by name, one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.4 * len(sounds)), layout="constrained")
    axes = figure.subplots(len(sounds), 1, squeeze=False)[:, 0]
    for axis, (name, samples) in zip(axes, sounds.items(), strict=True):
        decibels = plot.mel_spectrogram(samples, sample_rate)[1]
        axis.imshow(decibels, origin="lower", aspect="auto", cmap="magma", vmin=plot.FLOOR_DB, vmax=0)
        axis.set_title(name, loc="left", fontsize=8)
        axis.set_axis_off()
    return figure


class Meter:
    """Throughput: amounts per second between two readings."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._amounts: dict[str, float] = {}

    def add(self, amounts: Mapping[str, float]) -> None:
        """Adds the amounts of a step of all ranks."""
        for name, amount in amounts.items():
            self._amounts[name] = self._amounts.get(name, 0.0) + amount

    def read(self) -> dict[str, float]:
        """Amounts per second since the last reading, as `name_per_s`."""
        now = time.monotonic()
        seconds = max(now - self._begin, 1e-9)
        rates = {f"{name}_per_s": amount / seconds for name, amount in self._amounts.items()}
        self._begin, self._amounts = now, {}
        return rates


def _shown(folder: Path, step: int, name: str, suffix: str) -> Path:
    return folder / "shown" / f"{name}_{step:08d}.{suffix}"


def _truncate(path: Path, step: int) -> None:
    """Keeps the complete entries of steps up to `step`: a killed run may have logged more, and half a line."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        with atomic_write(path) as draft:
            draft.write_bytes(b"".join(kept))


def _board(folder: Path, step: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1)


def _wandb(project: str, folder: Path) -> Any:
    try:
        import wandb
    except ImportError:
        raise ValueError(f"wandb {project!r}: W&B is not installed; pip install wandb, or wandb: null") from None
    return wandb.init(project=project, name=folder.name, dir=folder)
