"""Prepared tracks in memory, and the windows of them that a training step sees.

A prepared folder holds, for each track of a corpus, `000123.safetensors`: latents, loudness, text states of its
captions and, once a quantizer is trained, codes. Ten hours take about 100 MB of latents and as much again of controls,
so all of it stays in memory and no worker is needed. What a step sees is a pure function of (seed, step).

Shapes: B batch, T latent frames (a multiple of 4), P = T / 4 code frames, C latent channels, Q codebooks, S text
tokens, E text width, F control features, R roles.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.data.song import Note
from hybridgen.manifest import replacing
from hybridgen.plan import CODE_HOP, LATENT_HOP, ROLES, SAMPLE_RATE
from hybridgen.quantizer import Played
from hybridgen.weights import check_header

CODE_FRAMES = CODE_HOP // LATENT_HOP
DRUM_ROLES = ("drums", "percussion")
EDGE_SHARE = 0.1  # of the windows begin with the track, and as many end with it


@dataclass(frozen=True)
class Prepared:
    """What `train/prepare.py` writes for one track."""

    latents: Tensor  # (T, C) float16, T a multiple of 4: the last frame is repeated
    loudness: Tensor  # (P,) float16, see `loudness`
    texts: tuple[Tensor, ...]  # a caption each: (S, E) float16
    codes: Tensor | None  # (Q, P) int16
    codec: str  # SHA-256 of the encoder that made the latents
    quantizer: str | None  # and of the quantizer that made the codes


@dataclass(frozen=True)
class Track:
    """A track to train on."""

    record: SongRecord
    prepared: Prepared
    features: Tensor  # (T, F) float16
    instruments: Tensor  # (R,) int64

    @property
    def n_frames(self) -> int:
        """Latent frames, a multiple of 4; the last up to three may lie past the end of the music."""
        return len(self.prepared.latents)


@dataclass(frozen=True)
class Batch:
    """Windows of tracks, as the renderer trains on them."""

    latents: Tensor  # (B, T, C)
    inside: Tensor  # (B, T) bool: the frame is music and not past the end of the track
    reference: Tensor  # (B, T, C) another window of the same track, to hear its timbre in
    text: Tensor  # (B, S, E) of a random caption
    text_mask: Tensor  # (B, S) bool
    codes: Tensor  # (B, Q, P) int64
    features: Tensor  # (B, T, F)
    instruments: Tensor  # (B, R) int64


def load(corpus_folder: str | Path, prepared_folder: str | Path) -> tuple[list[Track], list[Track]]:
    """Tracks to train on, and held-out tracks; those of the corpus that are prepared, in order of index."""
    tracks = []
    for record in tqdm(corpus.read(Path(corpus_folder)), "tracks", mininterval=2):
        path = prepared_path(prepared_folder, record.index)
        if path.exists():
            tracks.append(make_track(record, load_prepared(path)))
    train = [track for track in tracks if track.record.split == "train"]
    held_out = [track for track in tracks if track.record.split == "test"]
    if not train or not held_out:
        raise ValueError(f"prepared {prepared_folder} has {len(train)} tracks to train on and {len(held_out)} held out")
    return train, held_out


def make_track(record: SongRecord, prepared: Prepared) -> Track:
    """A track with the controls of its plan; ValueError when the latents are not as long as the plan."""
    plan, n_frames = record.plan, len(prepared.latents)
    if n_frames != plan.n_code_frames * CODE_FRAMES:
        raise ValueError(f"song {record.index}: {n_frames} prepared frames, but the plan has {plan.n_frames}")
    features = torch.from_numpy(plan.frame_controls(LATENT_HOP, 0, n_frames)).half()
    return Track(record, prepared, features, torch.from_numpy(plan.instrument_ids()))


def prepared_path(folder: str | Path, index: int) -> Path:
    """Where the track of this index is."""
    return Path(folder) / f"{index:06d}.safetensors"


def save_prepared(path: Path, prepared: Prepared) -> None:
    """Writes one track; the file appears whole or not at all."""
    tensors = {"latents": prepared.latents, "loudness": prepared.loudness}
    tensors |= {f"text.{i}": text for i, text in enumerate(prepared.texts)}
    metadata = {"codec": prepared.codec}
    if prepared.codes is not None:
        tensors["codes"] = prepared.codes
        metadata["quantizer"] = prepared.quantizer
    with replacing(path) as temporary:
        safetensors.torch.save_file({name: x.contiguous() for name, x in tensors.items()}, temporary, metadata)


def load_prepared(path: Path) -> Prepared:
    """Reads one track; ValueError for a file that is not whole."""
    check_header(path)
    with safetensors.safe_open(path, framework="pt") as file:
        names, metadata = file.keys(), file.metadata()
        n_texts = sum(name.startswith("text.") for name in names)
        texts = tuple(file.get_tensor(f"text.{i}") for i in range(n_texts))
        codes = file.get_tensor("codes") if "codes" in names else None
        return Prepared(
            latents=file.get_tensor("latents"),
            loudness=file.get_tensor("loudness"),
            texts=texts,
            codes=codes,
            codec=metadata["codec"],
            quantizer=metadata.get("quantizer"),
        )


def pad_frames(latents: Tensor) -> Tensor:
    """(T', C) -> (T, C) with T the next multiple of 4: the last frame is repeated."""
    missing = -len(latents) % CODE_FRAMES
    return torch.cat([latents, latents[-1:].expand(missing, -1)])


def loudness(samples: np.ndarray) -> np.ndarray:
    """Level (P,) float32 of each code frame of samples (2, N): 0 at -20 dB RMS, 1 for 10 dB more; at least -4."""
    n_code_frames = -(-samples.shape[1] // CODE_HOP)
    padded = np.pad(samples, ((0, 0), (0, n_code_frames * CODE_HOP - samples.shape[1])))
    power = np.square(padded).reshape(2, n_code_frames, CODE_HOP).mean(axis=(0, 2))
    return (np.log10(power + 1e-6) + 2).astype(np.float32)


def played(notes: Iterable[Note], loudness: Tensor) -> Played:
    """Targets for the quantizer, a batch of one: what begins and what sounds in each of the P code frames."""
    n_code_frames = len(loudness)
    onsets = np.zeros((n_code_frames, len(ROLES)), dtype=np.float32)
    pitches = np.zeros((n_code_frames, len(ROLES), 12), dtype=np.float32)
    rate = SAMPLE_RATE / CODE_HOP
    for note in notes:
        first, last = int(note.start * rate), int((note.start + note.duration) * rate)
        role = ROLES.index(note.role)
        onsets[first : first + 1, role] = 1
        pitches[first : last + 1, role, note.pitch % 12] = 1
    tonal = [i for i, role in enumerate(ROLES) if role not in DRUM_ROLES]
    chroma = pitches[:, tonal].max(axis=1)
    parts = (torch.from_numpy(part)[None] for part in (onsets, pitches, chroma))
    return Played(*parts, loudness=loudness.float()[None])


def draw(tracks: Sequence[Track], n: int, n_frames: int, rng: np.random.Generator) -> list[tuple[Track, int]]:
    """`n` windows of `n_frames` as (track, first frame): long tracks more often, starts on multiples of 4.

    Some windows begin with the track and some end with it. ValueError when no track is long enough.
    """
    if n_frames % CODE_FRAMES:
        raise ValueError(f"window of {n_frames} frames is not a multiple of {CODE_FRAMES}")
    lengths = np.array([track.n_frames if track.n_frames >= n_frames else 0 for track in tracks], dtype=float)
    if not lengths.any():
        raise ValueError(f"window of {n_frames} frames is longer than each of the {len(tracks)} tracks")
    chosen = rng.choice(len(tracks), size=n, p=lengths / lengths.sum())
    return [(tracks[i], draw_start(tracks[i], n_frames, rng)) for i in chosen]


def draw_start(track: Track, n_frames: int, rng: np.random.Generator) -> int:
    """First frame of a window of a track."""
    last = (track.n_frames - n_frames) // CODE_FRAMES
    edge = rng.random()
    start = 0 if edge < EDGE_SHARE else last if edge < 2 * EDGE_SHARE else int(rng.integers(last + 1))
    return start * CODE_FRAMES


def batch(tracks: Sequence[Track], n: int, n_frames: int, seed: int, step: int) -> Batch:
    """The `n` windows of step `step`: a pure function of (tracks, n, n_frames, seed, step)."""
    rng = np.random.default_rng([seed, step])
    items = draw(tracks, n, n_frames, rng)
    spans = [slice(start, start + n_frames) for _, start in items]
    texts = [track.prepared.texts[rng.integers(len(track.prepared.texts))].float() for track, _ in items]
    longest = max(len(text) for text in texts)
    parts = list(zip((track for track, _ in items), spans, strict=True))
    return Batch(
        latents=torch.stack([track.prepared.latents[span] for track, span in parts]).float(),
        inside=torch.stack([torch.arange(span.start, span.stop) < track.record.plan.n_frames for track, span in parts]),
        reference=torch.stack([_other_window(track, n_frames, rng) for track, _ in parts]).float(),
        text=torch.stack([F.pad(text, (0, 0, 0, longest - len(text))) for text in texts]),
        text_mask=torch.stack([torch.arange(longest) < len(text) for text in texts]),
        codes=torch.stack([_codes(track, span) for track, span in parts]),
        features=torch.stack([track.features[span] for track, span in parts]).float(),
        instruments=torch.stack([track.instruments for track, _ in parts]),
    )


def _other_window(track: Track, n_frames: int, rng: np.random.Generator) -> Tensor:
    start = draw_start(track, n_frames, rng)
    return track.prepared.latents[start : start + n_frames]


def _codes(track: Track, span: slice) -> Tensor:
    if track.prepared.codes is None:
        raise ValueError(f"song {track.record.index} has no codes: prepare it with a quantizer first")
    return track.prepared.codes[:, span.start // CODE_FRAMES : span.stop // CODE_FRAMES].long()
