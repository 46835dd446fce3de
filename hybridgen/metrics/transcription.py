"""Which notes begin when, heard in a sound: a small network, fitted by tools/estimators.py on songs of the composer.

Two stacks of convolutions: one looks at each pitch and its harmonics, in a long and a short window (harmonic stacking:
Bittner et al., https://arxiv.org/abs/2203.09893), one at mel bands, for drums. Samples are float arrays (N,) or (2, N)
at 44.1 kHz. F frames, P pitches, H harmonics, D kinds of drums.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mir_eval.transcription
import numpy as np
import torch
from torch import Tensor, nn

from hybridgen import spectra
from hybridgen.metrics.spectral import SAMPLE_RATE, mono
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.plan import Plan
from hybridgen.weights import load_weights

PATH = Path(__file__).parent / "transcription.safetensors"
HOP = 1024
WINDOWS = (8192, 2048)  # for pitch and for time
LOWEST, HIGHEST = 24, 103  # MIDI pitches that are heard, C1 to G7
N_PITCHES = HIGHEST - LOWEST + 1
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6)  # half: where it sounds too, the pitch is another one's overtone
DRUMS = ((35, 36), (37, 38, 39, 40), (42, 44, 46))  # kicks, snares, hats; all other sounds are a kind of their own
N_KINDS = len(DRUMS) + 1
BANDS = 48
RARE = -5.0  # logit of an onset before anything is known: one in 150
LOUDEST, SILENT = torch.ones(()), 1e-3
TOLERANCE = 0.05  # seconds between a note's onset and the one that is heard
THRESHOLD = 0.4  # of the probability of an onset


class Transcriber(nn.Module):
    """Logits of onsets of every pitch and every kind of drum, frame by frame."""

    def __init__(self, width: int = 20):
        super().__init__()
        n_channels = len(WINDOWS) * len(HARMONICS)
        self.pitched = nn.Sequential(
            nn.Conv2d(n_channels, width, (3, 3), padding=(1, 1)),
            nn.GELU(),
            nn.Conv2d(width, width, (5, 7), padding=(2, 3)),
            nn.GELU(),
            nn.Conv2d(width, width, (1, 3), padding=(0, 1)),
            nn.GELU(),
            nn.Conv2d(width, 1, 1),
        )
        self.drums = nn.Sequential(
            nn.Conv1d(BANDS, 48, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(48, 48, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(48, N_KINDS, 1),
        )
        for name, bias in self.named_parameters():
            if name in ("pitched.6.bias", "drums.4.bias"):
                nn.init.constant_(bias, RARE)

    def forward(self, stacked: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, P, F) and (B, D, F), from what `features` makes of sounds: (B, 2 H, P, F) and (B, BANDS, F)."""
        return self.pitched(stacked)[:, 0], self.drums(bands)


def features(samples: np.ndarray) -> tuple[Tensor, Tensor]:
    """What the network sees of a sound: levels (2 H, P, F) of each pitch's harmonics, and (BANDS, F) of mel bands.

    In units of 20 dB, 2 for the loudest, -2 for 80 dB and more below it; frame f is centered on sample f * HOP.
    """
    sound = torch.tensor(mono(samples))  # a copy: those of a track are read-only
    pitches = 440 * 2 ** ((torch.arange(LOWEST, HIGHEST + 1) - 69) / 12)
    levels = []
    for window in WINDOWS:
        spectrum = spectra.stft(sound, window, HOP, center=True).abs()  # (F, K)
        levels += [spectrum @ _picker(pitches * harmonic, window) for harmonic in HARMONICS]
    stacked = torch.stack(levels).transpose(1, 2)
    bands = spectra.mel_magnitude(sound, SAMPLE_RATE, WINDOWS[1], HOP, BANDS, center=True).T
    stacked, bands = (part / part.max().clamp(min=SILENT) for part in (stacked, bands))
    return spectra.decibels(stacked, LOUDEST) / 20 + 2, spectra.decibels(bands, LOUDEST) / 20 + 2


def _picker(frequencies: Tensor, window: int) -> Tensor:
    """(K, P): takes the magnitude at each frequency from the two bins around it; nothing above the Nyquist one."""
    bins = frequencies * window / SAMPLE_RATE
    distance = (torch.arange(window // 2 + 1)[:, None] - bins).abs()
    return (1 - distance).clamp(min=0)


@dataclass(frozen=True)
class Onsets:
    """What is heard in a sound: probabilities that a note begins, (P, F) and (D, F)."""

    pitched: np.ndarray
    drums: np.ndarray

    def around(self, seconds: float) -> np.ndarray:
        """(P,): the highest probability of each pitch within the tolerance of a moment."""
        frames = np.arange(self.pitched.shape[1]) * HOP / SAMPLE_RATE
        return self.pitched[:, np.abs(frames - seconds) <= TOLERANCE].max(axis=1, initial=0.0)


@torch.inference_mode()
def listen(samples: np.ndarray) -> Onsets:
    """The onsets heard in a sound."""
    logits = load()(*(part[None] for part in features(samples)))
    return Onsets(*(part[0].sigmoid().numpy() for part in logits))


@functools.cache
def load() -> Transcriber:
    """The network that comes with the package."""
    network = Transcriber().eval()
    load_weights(network, PATH)
    return network


def peaks(probabilities: np.ndarray, threshold: float = THRESHOLD) -> tuple[np.ndarray, np.ndarray]:
    """Rows and seconds of local maxima (rows, F) above the threshold."""
    padded = np.pad(probabilities, ((0, 0), (2, 2)))
    around = np.stack([padded[:, i : i + probabilities.shape[1]] for i in (0, 1, 3, 4)])
    before, after = around[:2].max(axis=0), around[2:].max(axis=0)
    rows, frames = np.nonzero((probabilities > threshold) & (probabilities >= before) & (probabilities > after))
    return rows, frames * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Agreement:
    """How the notes that are heard agree with those of a plan, 0-1; NaN where there are none to compare."""

    recall: float  # share of the plan's notes that are heard
    precision: float  # share of those heard that are the plan's
    f_measure: float


def agreement(onsets: Onsets, plan: Plan, roles: Sequence[str]) -> Agreement:
    """Onsets within 50 ms and of the same pitch (or kind of drum), of all that these roles play together."""
    pitched = [role for role in roles if role not in UNPITCHED]
    heard = _events(*peaks(onsets.pitched)) if pitched else []
    heard += _events(*peaks(onsets.drums), first=N_PITCHES) if len(pitched) < len(roles) else []
    return compare(planned(plan, roles), heard)


def contour(onsets: Onsets, plan: Plan, role: str) -> float:
    """The share of a role's steps from note to note that are heard in the same direction; NaN where there are none.

    At each onset the pitch with the highest probability is heard; of a chord its highest note counts.
    """
    top: dict[float, int] = {}
    for row, seconds in planned(plan, (role,)):
        top[seconds] = max(top.get(seconds, 0), row)
    target = [top[seconds] for seconds in sorted(top)]
    heard = [int(onsets.around(seconds).argmax()) for seconds in sorted(top)]
    return float((np.sign(np.diff(heard)) == np.sign(np.diff(target))).mean()) if len(target) > 1 else float("nan")


def planned(plan: Plan, roles: Sequence[str]) -> list[tuple[int, float]]:
    """(row, seconds) of each note of these roles; rows of pitches, then of kinds of drums. Each pair once."""
    found = set()
    for role in roles:
        samples, notes = plan.note_samples(role)
        for (start, _), note in zip(samples.tolist(), notes, strict=True):
            row = N_PITCHES + drum_kind(note.pitch) if role in UNPITCHED else note.pitch - LOWEST
            if role in UNPITCHED or LOWEST <= note.pitch <= HIGHEST:
                found.add((row, start / plan.time_base.sample_rate))
    return sorted(found)


def drum_kind(pitch: int) -> int:
    """Which kind of drum a General MIDI percussion key is, 0 to N_KINDS - 1."""
    return next((i for i, keys in enumerate(DRUMS) if pitch in keys), len(DRUMS))


def compare(target: Sequence[tuple[int, float]], heard: Sequence[tuple[int, float]]) -> Agreement:
    """Agreement of (row, seconds) pairs, by mir_eval's definition without note ends."""
    if not target:
        return Agreement(float("nan"), float("nan"), float("nan"))
    if not heard:
        return Agreement(0.0, 0.0, 0.0)
    columns = [part for pairs in (target, heard) for part in _intervals(pairs)]
    precision, recall, f_measure, _ = mir_eval.transcription.precision_recall_f1_overlap(
        *columns, onset_tolerance=TOLERANCE, pitch_tolerance=50.0, offset_ratio=None
    )
    return Agreement(float(recall), float(precision), float(f_measure))


def _intervals(pairs: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Intervals (n, 2) in seconds and frequencies (n,) in Hz, as mir_eval wants them; rows are semitones."""
    rows, seconds = np.array(pairs).T
    return np.stack([seconds, seconds + 0.1], axis=1), 440 * 2 ** ((rows + LOWEST - 69) / 12)


def _events(rows: np.ndarray, seconds: np.ndarray, first: int = 0) -> list[tuple[int, float]]:
    return list(zip((first + rows).tolist(), seconds.tolist(), strict=True))
