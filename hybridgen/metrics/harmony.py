"""Keys and chords, estimated from the samples alone.

Samples are float arrays (N,) or (2, N) at 44.1 kHz. F frames, B semitones of the spectrum, M notes, S spans of time, R
registers; a chroma is (12,), C first.
"""

import numpy as np
from scipy.optimize import nnls

from hybridgen.metrics import profiles
from hybridgen.metrics.spectral import LOWEST_SEMITONE, N_SEMITONES, SAMPLE_RATE, SEMITONE_RATE, semitones
from hybridgen.plan.harmony import KEYS, NO_CHORD, PITCHES, chord_pitches
from hybridgen.plan.plan import Plan

N_NOTES = 72  # C1 to B6
BASS = slice(0, 28)  # notes up to Eb3
TREBLE = slice(20, 72)  # notes from Ab2
SLICE_SECONDS, END_SECONDS = 0.5, 4.0
MAJMIN = tuple(pitch + quality for quality in ("", "m") for pitch in PITCHES)  # "C" ... "B", "Cm" ... "Bm"
OVERTONES = 0.7 ** np.arange(8)  # how loud a note's first eight partials are taken to be


def note_profiles() -> np.ndarray:
    """(B, M): what each note's partials leave in the spectrum; a Hann window spreads a partial over four semitones."""
    partials = 12.0 * np.log2(np.arange(1, len(OVERTONES) + 1)) + np.arange(N_NOTES)[:, None]  # (M, partials)
    distance = np.minimum(np.abs(np.arange(N_SEMITONES)[:, None, None] - partials), 2.0)
    return (OVERTONES * (0.5 + 0.5 * np.cos(np.pi * distance / 2.0))).sum(axis=-1)


def notes(spectrum: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(S, M): how much of each note sounds in each span (S, 2) of seconds, given `semitones`.

    Non-negative least squares against notes with partials, as in NNLS chroma (Mauch and Dixon, ISMIR 2010); averaging
    square roots keeps short loud drums small.
    """
    partials = note_profiles()
    found = np.zeros((len(spans), N_NOTES))
    for i, (start, stop) in enumerate(np.rint(np.asarray(spans) * SEMITONE_RATE).astype(int)):
        part = spectrum[:, max(start, 0) : max(stop, start + 1)]
        if part.size:
            level = np.sqrt(part).mean(axis=1) ** 2
            found[i], _ = nnls(partials, level)
    return found


def chroma(activations: np.ndarray, register: slice) -> np.ndarray:
    """(S, 12), each row's largest 1 (or all 0): the notes (S, M) of a register, loud ones compressed."""
    loudest = np.maximum(activations.max(axis=1, keepdims=True), 1e-9)
    compressed = np.log1p(10.0 * activations / loudest)[:, register]
    pitches = (LOWEST_SEMITONE + np.arange(N_NOTES)[register]) % 12
    folded = compressed @ (pitches[:, None] == np.arange(12))
    return folded / np.maximum(folded.max(axis=1, keepdims=True), 1e-9)


def match(chromas: np.ndarray, profile: np.ndarray, minor_bias: float) -> np.ndarray:
    """(S, 24): how well chromas (S, R, 12) match a profile (2, R, 12) on every root, C major ... B minor."""
    turned = np.stack([np.roll(chromas, -root, axis=-1) for root in range(12)], axis=1)  # (S, 12, R, 12)
    scores = np.einsum("strp,mrp->smt", turned, profile)
    scores[:, 1] += minor_bias
    return scores.reshape(len(chromas), 24)


def chord_features(activations: np.ndarray) -> np.ndarray:
    """(S, 4, 12): the treble and the bass of each span, then both averaged over all spans, from notes (S, M)."""
    own = np.stack([chroma(activations, TREBLE), chroma(activations, BASS)], axis=1)
    return np.concatenate([own, np.broadcast_to(own.mean(axis=0), own.shape)], axis=1)


def chords(samples: np.ndarray, spans: np.ndarray) -> tuple[str, ...]:
    """The triad of `MAJMIN` that explains each span (S, 2) of seconds best; "N" where no note sounds."""
    activations = notes(semitones(samples), spans)
    fitted = profiles.load()
    best = match(chord_features(activations), fitted.chord, fitted.chord_minor_bias).argmax(axis=1)
    return tuple(MAJMIN[i] if row.any() else NO_CHORD for i, row in zip(best, activations, strict=True))


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
    """(start, end, chord or None) in seconds for every half or whole bar of the plan within its length."""
    starts = np.minimum(plan.bar_starts(), plan.length) / SAMPLE_RATE
    spans = []
    for bar, start, stop in zip(plan.bars, starts, starts[1:], strict=False):
        names = bar.chords or (None,)
        edges = np.linspace(start, stop, len(names) + 1)
        spans += [(a, b, name) for a, b, name in zip(edges, edges[1:], names, strict=False) if b > a]
    return spans


def key_features(activations: np.ndarray) -> np.ndarray:
    """(1, 4, 12): the average treble and bass, and the bass of the first and the last four seconds, of `slices`."""
    treble, bass = chroma(activations, TREBLE), chroma(activations, BASS)
    n = round(END_SECONDS / SLICE_SECONDS)
    return np.stack([x.mean(axis=0) for x in (treble, bass, bass[:n], bass[-n:])])[None]


def slices(spectrum: np.ndarray) -> np.ndarray:
    """Notes (S, M) of every half second, given `semitones`."""
    starts = np.arange(max(1, round(spectrum.shape[1] / SEMITONE_RATE / SLICE_SECONDS))) * SLICE_SECONDS
    return notes(spectrum, np.stack([starts, starts + SLICE_SECONDS], axis=1))


def key(samples: np.ndarray) -> tuple[str, ...]:
    """All 24 keys, likeliest first."""
    fitted = profiles.load()
    scores = match(key_features(slices(semitones(samples))), fitted.key, fitted.key_minor_bias)[0]
    return tuple(KEYS[i] for i in np.argsort(-scores, kind="stable"))
