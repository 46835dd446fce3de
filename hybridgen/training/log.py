"""What a run tells: numbers, sounds, pictures and texts, into its folder and to TensorBoard, or W&B where asked.

`log.jsonl` has one JSON line per entry; `shown/` keeps what a validation let hear and see. N: samples.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from hybridgen import plot
from hybridgen.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Log:
    """Appends to a run's folder; a context manager. A process that is not to tell anything is given no folder."""

    def __init__(self, folder: Path | None, step: int = 0, wandb: str | None = None):
        """step: the checkpoint's that the run goes on from; what was told of later ones is taken back, to be told anew.

        wandb: the project there; ValueError where W&B is not installed.
        """
        self.folder, self._file, self._board, self._wandb = folder, None, None, None
        if folder is None:
            return
        (folder / "shown").mkdir(parents=True, exist_ok=True)
        self._wandb = None if wandb is None else _wandb(wandb, folder)
        self.go_back(step)

    def go_back(self, step: int) -> None:
        """Takes back what was told of steps after `step`, to be told anew; W&B takes nothing back."""
        if self.folder is None:
            return
        self._close()
        _cut(self.folder / "log.jsonl", step)
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
        """Samples (2, N); what is beyond full scale is cut."""
        if self.folder is None:
            return
        soundfile.write(self._shown(step, name, "flac"), np.clip(samples, -1, 1).T, sample_rate)
        if self._board is not None:  # TensorBoard plays one channel
            self._board.add_audio(name, np.clip(samples, -1, 1).mean(0), step, sample_rate)

    def picture(self, step: int, name: str, figure: "Figure") -> None:
        """A matplotlib figure."""
        if self.folder is None:
            return
        figure.savefig(self._shown(step, name, "png"), dpi=90)
        if self._board is not None:
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            self._board.add_image(name, np.asarray(canvas.buffer_rgba())[..., :3], step, dataformats="HWC")

    def text(self, step: int, name: str, text: str) -> None:
        """A text as it is."""
        if self.folder is None:
            return
        self._shown(step, name, "txt").write_text(text + "\n", encoding="utf-8")
        if self._board is not None:
            self._board.add_text(name, f"```\n{text}\n```", step)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def _shown(self, step: int, name: str, suffix: str) -> Path:
        return self.folder / "shown" / f"{name}_{step:08d}.{suffix}"

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if kind is None else 1)


def spectrograms(sounds: Mapping[str, np.ndarray]) -> "Figure":
    """Mel spectrograms of sounds (2, N) at 44,100 Hz by name, one under the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.4 * len(sounds)), layout="constrained")
    axes = figure.subplots(len(sounds), 1, squeeze=False)[:, 0]
    for axis, (name, samples) in zip(axes, sounds.items(), strict=True):
        decibels = plot.mel_spectrogram(samples)[1]
        axis.imshow(decibels, origin="lower", aspect="auto", cmap="magma", vmin=plot.FLOOR_DB, vmax=0)
        axis.set_title(name, loc="left", fontsize=8)
        axis.set_axis_off()
    return figure


class Meter:
    """How much went through between two readings, for each second."""

    def __init__(self) -> None:
        self._begin, self._amounts = time.monotonic(), {}

    def add(self, amounts: Mapping[str, float]) -> None:
        """Counts what a step of all ranks took."""
        for name, amount in amounts.items():
            self._amounts[name] = self._amounts.get(name, 0.0) + amount

    def read(self) -> dict[str, float]:
        """Amounts a second since the last reading, as `name_per_s`; begins anew."""
        now = time.monotonic()
        seconds = max(now - self._begin, 1e-9)
        rates = {f"{name}_per_s": amount / seconds for name, amount in self._amounts.items()}
        self._begin, self._amounts = now, {}
        return rates


def _cut(path: Path, step: int) -> None:
    """Leaves whole entries of steps up to `step`: a run that was killed may have told more, and half a line."""
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
