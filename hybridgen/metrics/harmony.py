"""Keys and chords, heard from the samples alone.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. F frames, B semitones of the spectrum, M notes, S spans of time; a
chroma is (12,), C first.
"""

import librosa
import numpy as np
from scipy.optimize import nnls

from hybridgen.metrics.spectral import SAMPLE_RATE, mono
from hybridgen.plan import KEYS, NO_CHORD, PITCHES, Plan, chord_pitches

HOP = 2048
FRAME_RATE = SAMPLE_RATE / HOP
LOWEST = 24  # C1, the lowest semitone
N_SEMITONES, N_NOTES = 102, 72  # the spectrum reaches F9, 11.8 kHz; notes reach B6
BASS = slice(0, 28)  # notes up to Eb3
TREBLE = slice(20, 72)  # notes from Ab2
OVERTONES = 0.7 ** np.arange(8)  # how loud a note's first eight partials are taken to be


def semitones(samples: np.ndarray) -> np.ndarray:
    """Constant-Q magnitudes (B, F), one row a semitone from C1 at A = 440 Hz."""
    frequency = float(librosa.midi_to_hz(LOWEST))
    spectrum = librosa.cqt(
        mono(samples), sr=SAMPLE_RATE, hop_length=HOP, fmin=frequency, n_bins=N_SEMITONES, tuning=0.0
    )
    return np.abs(spectrum).astype(np.float64)


def note_profiles() -> np.ndarray:
    """(B, M): what each note's partials leave in the spectrum; a Hann window spreads a partial over four semitones."""
    partials = 12.0 * np.log2(np.arange(1, len(OVERTONES) + 1)) + np.arange(N_NOTES)[:, None]  # (M, partials)
    distance = np.minimum(np.abs(np.arange(N_SEMITONES)[:, None, None] - partials), 2.0)
    return (OVERTONES * (0.5 + 0.5 * np.cos(np.pi * distance / 2.0))).sum(axis=-1)


def notes(spectrum: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(S, M): how much of each note sounds in each span (S, 2) of seconds, given `semitones`.

    Non-negative least squares against notes with partials, as in NNLS chroma (Mauch and Dixon, ISMIR 2010); the median
    over time passes over drums.
    """
    profiles = note_profiles()
    found = np.zeros((len(spans), N_NOTES))
    for i, (start, stop) in enumerate(np.rint(np.asarray(spans) * FRAME_RATE).astype(int)):
        part = spectrum[:, max(start, 0) : max(stop, start + 1)]
        if part.size:
            level = np.sqrt(part).mean(axis=1) ** 2
            found[i], _ = nnls(profiles, level)
    return found


def chroma(activations: np.ndarray, register: slice) -> np.ndarray:
    """(S, 12), each row's largest 1 (or all 0), of note activations (S, M) within a register."""
    folded = np.zeros((len(activations), 12))
    pitches = (LOWEST + np.arange(N_NOTES)) % 12
    for pitch in range(12):
        inside = np.flatnonzero(pitches[register] == pitch) + (register.start or 0)
        folded[:, pitch] = activations[:, inside].sum(axis=1)
    return folded / np.maximum(folded.max(axis=1, keepdims=True), 1e-9)


MAJMIN = tuple(pitch + quality for quality in ("", "m") for pitch in PITCHES)  # "C" ... "B", "Cm" ... "Bm"
BASS_WEIGHT = 0.5  # what the root in the bass counts beside the chord above it


def triads() -> np.ndarray:
    """(24, 12): unit vectors over the pitch classes of `MAJMIN`."""
    return np.array([np.isin(np.arange(12), chord_pitches(name)) for name in MAJMIN]) / np.sqrt(3.0)


def chord_scores(activations: np.ndarray) -> np.ndarray:
    """(S, 24): how well each of `MAJMIN` explains the notes (S, M) of a span; 0 where nothing sounds."""
    treble, bass = chroma(activations, TREBLE), chroma(activations, BASS)
    norm = np.maximum(np.linalg.norm(treble, axis=1, keepdims=True), 1e-9)
    return treble @ triads().T / norm + BASS_WEIGHT * np.tile(bass, 2)


def chords(samples: np.ndarray, spans: np.ndarray) -> tuple[str, ...]:
    """The triad of `MAJMIN` that explains each span (S, 2) of seconds best; "N" where no note sounds."""
    scores = chord_scores(notes(semitones(samples), spans))
    return tuple(MAJMIN[row.argmax()] if row.any() else NO_CHORD for row in scores)


def majmin(chord: str | None) -> str | None:
    """The major or minor triad at the heart of a chord name; None for unknown, N, dim, aug, sus and fifths."""
    if chord in (None, NO_CHORD):
        return None
    pitches = chord_pitches(chord)
    root, intervals = pitches[0], {(p - pitches[0]) % 12 for p in pitches}
    if {4, 7} <= intervals:
        return PITCHES[root]
    return PITCHES[root] + "m" if {3, 7} <= intervals else None


def chord_spans(plan: Plan) -> list[tuple[float, float, str | None]]:
    """(start, end, chord or None) in seconds for every half or whole bar of the plan that lies inside its length."""
    starts = np.minimum(plan.bar_starts(), plan.length) / SAMPLE_RATE
    spans = []
    for bar, start, stop in zip(plan.bars, starts, starts[1:], strict=False):
        names = bar.chords or (None,)
        edges = np.linspace(start, stop, len(names) + 1)
        spans += [(a, b, name) for a, b, name in zip(edges, edges[1:], names, strict=False) if b > a]
    return spans


def chord_agreement(plan: Plan, samples: np.ndarray) -> float:
    """Share of the time with a major or minor chord in the plan (sevenths and so on count as their triad) during which
    that triad is heard; NaN if there is none.
    """
    wanted = [(start, stop, majmin(name)) for start, stop, name in chord_spans(plan)]
    wanted = [span for span in wanted if span[2] is not None]
    if not wanted:
        return float("nan")
    times = np.array([span[:2] for span in wanted])
    right = np.array([heard == span[2] for heard, span in zip(chords(samples, times), wanted, strict=True)])
    lengths = times[:, 1] - times[:, 0]
    return float((lengths * right).sum() / lengths.sum())


# Krumhansl and Kessler's probe-tone ratings, tonic first
MAJOR_PROFILE = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR_PROFILE = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
KEY_SPAN = 0.5  # seconds


def key(samples: np.ndarray) -> tuple[str, ...]:
    """All 24 keys, likeliest first."""
    seconds = np.shape(samples)[-1] / SAMPLE_RATE
    starts = np.arange(0.0, max(seconds - KEY_SPAN / 2, KEY_SPAN / 2), KEY_SPAN)
    activations = notes(semitones(samples), np.stack([starts, starts + KEY_SPAN], axis=1))
    return tuple(KEYS[i] for i in np.argsort(-key_scores(activations), kind="stable"))


def key_scores(activations: np.ndarray) -> np.ndarray:
    """(24,) in the order of KEYS, from notes (S, M) over time."""
    heard = chroma(activations, slice(0, N_NOTES)).mean(axis=0)
    profiles = np.array([np.roll(p, tonic) for p in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)])
    return np.array([np.corrcoef(profile, heard)[0, 1] if heard.std() else 0.0 for profile in profiles])
