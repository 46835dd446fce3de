"""The key and the chords of music whose notes are known, for formats that do not say them.

Notes are given as an array (N, 3) of integers: the ticks at which each begins and ends, and its MIDI pitch.
"""

import numpy as np

from hybridgen.plan.harmony import KEYS, NO_CHORD, PITCHES, chord_pitches, scale_pitches

# how well each degree fits a key (Krumhansl and Kessler 1982, as printed in Krumhansl 1990)
MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
QUALITIES = ("", "m", "7", "maj7", "m7", "dim", "aug", "m7b5", "dim7")
CHORDS = tuple(pitch + quality for quality in QUALITIES for pitch in PITCHES)
LOW = 52  # pitches below E3 speak for the root
ROOT_BONUS, KEY_BONUS = 0.15, 0.02
TWO_CHORDS = 0.12  # how much better two chords must fit than one


def find_key(notes: np.ndarray) -> str | None:
    """The key whose profile correlates best with how long each pitch class sounds; None without notes."""
    if not len(notes):
        return None
    lengths = (notes[:, 1] - notes[:, 0]).astype(float)
    weights = np.bincount(notes[:, 2] % 12, weights=lengths, minlength=12)
    profiles = [np.roll(profile, root) for profile in (MAJOR_PROFILE, MINOR_PROFILE) for root in range(12)]
    centred = np.array(profiles) - np.mean(profiles, axis=1, keepdims=True)
    scores = centred @ (weights - weights.mean()) / np.linalg.norm(centred, axis=1)
    return KEYS[int(scores.argmax())]


def find_chords(notes: np.ndarray, n_bars: int, bar_ticks: int, key: str | None) -> list[tuple[str, ...]]:
    """One or two chords for each bar, the triads or sevenths that fit best; "N" where nothing sounds."""
    halves = _sounding(notes, np.linspace(0, n_bars * bar_ticks, 2 * n_bars + 1))  # (2 n_bars, 12)
    low = _sounding(notes[notes[:, 2] < LOW], np.linspace(0, n_bars * bar_ticks, 2 * n_bars + 1))
    bars, low_bars = (one.reshape(n_bars, 2, 12).sum(axis=1) for one in (halves, low))
    bar_scores = _scores(bars, low_bars, key)
    half_scores = _scores(halves, low, key).reshape(n_bars, 2, len(CHORDS))
    one = bar_scores.argmax(axis=1)  # (n_bars,)
    two = half_scores.argmax(axis=2)  # (n_bars, 2)
    gain = (half_scores.max(axis=2) - half_scores[np.arange(n_bars), :, one]).mean(axis=1)
    both_sound = (halves.reshape(n_bars, 2, 12).sum(axis=2) > 0).all(axis=1)
    is_split = both_sound & (two[:, 0] != two[:, 1]) & (gain > TWO_CHORDS)
    is_silent = bars.sum(axis=1) <= 0
    return [
        (NO_CHORD,) if is_silent[i] else tuple(CHORDS[c] for c in two[i]) if is_split[i] else (CHORDS[one[i]],)
        for i in range(n_bars)
    ]


def _sounding(notes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(G - 1, 12): ticks for which each pitch class sounds between each two of G ascending ticks."""
    found = np.zeros((len(grid) - 1, 12))
    for pitch in range(12):
        starts, stops = notes[notes[:, 2] % 12 == pitch, :2].T
        found[:, pitch] = np.diff(_elapsed(starts, grid) - _elapsed(stops, grid))
    return found


def _elapsed(times: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(G,): the time since each of `times`, all together, at each tick of the grid."""
    times = np.sort(times).astype(float)
    passed = np.searchsorted(times, grid)
    return passed * grid - np.append(0.0, np.cumsum(times))[passed]


def _scores(weights: np.ndarray, low: np.ndarray, key: str | None) -> np.ndarray:
    """(S, chords): cosine between pitch classes (S, 12) and each chord; low roots and chords of the key count more."""
    chords = np.array([[pitch in chord_pitches(chord) for pitch in range(12)] for chord in CHORDS], dtype=float)
    cosine = weights @ (chords / np.linalg.norm(chords, axis=1, keepdims=True)).T
    cosine = cosine / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-9)
    roots = low / np.maximum(low.sum(axis=1, keepdims=True), 1e-9)
    scale = scale_pitches(key) if key else ()
    inside = np.array([np.mean([pitch in scale for pitch in chord_pitches(chord)]) for chord in CHORDS])
    return cosine + ROOT_BONUS * np.tile(roots, len(QUALITIES)) + KEY_BONUS * inside
