"""Track: what a render returns, and how it goes to disk with its manifest and its latents.

Shapes: N samples, T latent frames, C latent channels.
"""

import base64
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridgen import files, weights
from hybridgen.audio import Audio
from hybridgen.history import Render
from hybridgen.manifest import Manifest
from hybridgen.plan.plan import Plan
from hybridgen.plan.serial import summary

LOSSLESS = (".wav", ".flac")


@dataclass(frozen=True, eq=False, repr=False)
class Track:
    """A finished track: samples (2, N) float32, read-only, its plan, latents (T, C) float32, and what made it."""

    samples: np.ndarray
    plan: Plan
    latents: np.ndarray
    manifest: Manifest
    notes: tuple[str, ...] = ()  # requests that were not honored, and warnings

    def __post_init__(self) -> None:
        samples = self.samples.view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)

    def __repr__(self) -> str:
        seeds = f"plan seed {self.seed}, render seed {self.render_seed}"
        return f"Track({self.plan.prompt[:60]!r}: {summary(self.plan)}, {seeds})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a player (an MP3 with its manifest) and the plan."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "track.mp3"
            self.audio.save(path, self.manifest)
            sound = base64.b64encode(path.read_bytes()).decode()
        return f"<audio controls src='data:audio/mpeg;base64,{sound}'></audio>{self.plan._repr_html_()}"

    @property
    def seed(self) -> int:
        """The seed of the plan; also that of the render unless another was given."""
        return self.manifest.operations[0].plan.seed

    @property
    def render_seed(self) -> int:
        """The seed of the noise that the latents began as; 0 for a recording, which began as none."""
        first = self.manifest.operations[0]
        return first.seed if isinstance(first, Render) else 0

    def with_notes(self, notes: tuple[str, ...]) -> "Track":
        """This track with `notes` before its own, each said once."""
        return replace(self, notes=tuple(dict.fromkeys((*notes, *self.notes))))

    @property
    def audio(self) -> Audio:
        """The samples with their rate."""
        return Audio(self.samples, self.plan.time_base.sample_rate)

    def save(self, path: str | Path, latents: bool = True) -> Path:
        """Write the track as .wav, .flac, .ogg or .mp3 with its manifest inside; returns the path.

        `latents` also writes them beside it (track.latents.safetensors), so that an edit never encodes again.
        Nothing is left behind when a write fails. Raises ValueError for another ending, OSError from the disk.
        """
        path = Path(path)
        self.audio.save(path, self.manifest)
        if latents:
            try:
                weights.save_latents(sidecar(path), self.latents, files.sha256(path), self.plan.length)
            except OSError:
                path.unlink()
                raise
        return path


def sidecar(path: str | Path) -> Path:
    """Where the latents of an audio file are: track.flac -> track.latents.safetensors."""
    return Path(path).with_suffix(".latents.safetensors")
