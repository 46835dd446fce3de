"""Track: what a render returns, and how it goes to disk with its manifest and its latents.

Shapes: N samples, T latent frames, C latent channels.
"""

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridgen import files, outputs, weights
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
    stems: Mapping[str, Audio] | None = None  # what each role plays, where that was asked for; not saved with it

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

    def save(self, path: str | Path, latents: bool = True, overwrite: bool = False) -> Path:
        """Write the track as .wav, .flac, .ogg or .mp3 with its manifest inside; returns the path.

        `latents` also writes them beside it (track.flac.latents.safetensors), so that an edit never encodes again. Both
        appear together, or what was there stays. A track of ours is replaced, another file only with `overwrite`.
        Raises ValueError for another ending and for a file that must not be replaced, OSError from the disk.
        """
        path = Path(path)
        beside: list[tuple[Path, outputs.Kind]] = [(sidecar(path), "latents")] if latents else []
        outputs.check([(path, "track"), *beside], overwrite=overwrite)
        with files.Outputs() as together:
            self.write(together, path, latents)
        return path

    def write(self, together: files.Outputs, path: Path, latents: bool = True) -> None:
        """`save` as a part of several outputs, which are checked already."""
        file = together.add(path)
        self.audio.write(file, path.suffix, self.manifest)
        if latents:
            beside = together.add(sidecar(path))
            weights.save_latents(beside, self.latents, files.sha256(file), self.plan.pre_roll + self.plan.length)


def sidecar(path: str | Path) -> Path:
    """Where the latents of an audio file are: track.flac -> track.flac.latents.safetensors."""
    return Path(path).with_name(f"{Path(path).name}.latents.safetensors")


def find_latents(path: str | Path) -> tuple[Path | None, tuple[str, ...]]:
    """The file with the latents of this very audio file, or None; and a note on one that belongs to another.

    Older versions wrote track.latents.safetensors, for all tracks of that stem. ValueError for a broken file.
    """
    digest, beside, older = files.sha256(path), sidecar(path), Path(path).with_suffix(".latents.safetensors")
    for candidate in (beside, older):
        if candidate.exists() and weights.audio_of_latents(candidate) == digest:
            return candidate, ()
    return None, (f"{beside} was written for another file and is not used",) if beside.exists() else ()
