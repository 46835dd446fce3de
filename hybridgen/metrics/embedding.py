"""What a sound is like, and how it fits a plan, as numbers that need no model.

Samples are float arrays (2, N) at 44.1 kHz, the plan's first sample first. F frames.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from hybridgen.metrics import harmony, probe, rhythm
from hybridgen.metrics.probe import N_FEATURES
from hybridgen.metrics.spectral import SAMPLE_RATE, SEMITONE_RATE, mono, semitones
from hybridgen.plan.harmony import chord_pitches, split_chord, split_key
from hybridgen.plan.plan import Plan

SOUND, FIT = slice(0, N_FEATURES), slice(N_FEATURES, N_FEATURES + 58)  # the parts of `plan_embedding`
BAR_PHASES = 16
CHANGE_SECONDS = 0.15  # what is this near to a change of chord belongs to it
LEVEL_SECONDS = 0.4  # over which loudness is measured


def plan_embedding(samples: np.ndarray, plan: Plan) -> np.ndarray:
    """Embedding (386,) of a sound with its plan: a sound that does not do what the plan says has another embedding.

    328  `SOUND`: `probe.features` of its middle 30 s, which know no plan; and `FIT`:
    24   how much each pitch sounds above the root of the chord of the moment: in chords with a minor third, in others
    12   how much each pitch sounds above the tonic of the key
    16   onsets at each sixteenth of the bars, against the average
    3    onsets at beats against between them, in dB: of all registers, of the lowest, of the highest
    2    dB of loudness for each step of energy of the sections, and the correlation of both
    1    how much notes change where chords do against elsewhere, in dB
    Where the plan or the sound lacks a thing, its numbers are those of a sound that has no preference.
    """
    spectrum, onsets = semitones(samples), rhythm.onset_strength(samples)
    parts = (
        probe.features(samples),
        _by_chord(spectrum, plan),
        _by_key(spectrum, plan),
        _by_bar(onsets.sum(axis=0), plan),
        [_at_beats(curve, plan) for curve in (onsets.sum(axis=0), onsets[0], onsets[-1])],
        _by_energy(mono(samples), plan),
        [_at_changes(rhythm.novelty(spectrum)[0], plan)],
    )
    return np.concatenate(parts)


def _by_chord(spectrum: np.ndarray, plan: Plan) -> np.ndarray:
    """(24,)"""
    spans = [(start, stop, name) for start, stop, name in harmony.chord_spans(plan) if name and chord_pitches(name)]
    turned: dict[bool, list[np.ndarray]] = {True: [], False: []}
    shares = _pitch_shares(harmony.notes(spectrum, np.array([span[:2] for span in spans]).reshape(-1, 2)))
    for (_, _, name), share in zip(spans, shares, strict=True):
        root, pitches = split_chord(name)[0], chord_pitches(name)
        has_minor_third = (root + 3) % 12 in pitches and (root + 4) % 12 not in pitches
        turned[has_minor_third].append(np.roll(share, -root))
    return np.concatenate([_average(turned[is_minor]) for is_minor in (True, False)])


def _by_key(spectrum: np.ndarray, plan: Plan) -> np.ndarray:
    """(12,)"""
    if plan.key is None:
        return np.ones(12)
    return _average(np.roll(_pitch_shares(harmony.slices(spectrum)), -split_key(plan.key)[0], axis=1))


def _pitch_shares(activations: np.ndarray) -> np.ndarray:
    """(S, 12): how much of each pitch, C first, sounds in notes (S, M), against the average; 0 in silence."""
    pitches = harmony.chroma(activations, slice(0, harmony.N_NOTES))
    return 12.0 * pitches / np.maximum(pitches.sum(axis=1, keepdims=True), 1e-9)


def _average(shares: Iterable[np.ndarray]) -> np.ndarray:
    """(12,): the mean of those pitch shares in which anything sounds; all 1 where none does."""
    sounding = [share for share in shares if share.any()]
    return np.mean(sounding, axis=0) if sounding else np.ones(12)


def _by_bar(onsets: np.ndarray, plan: Plan) -> np.ndarray:
    """(16,): a phase of the bar reaches from half a sixteenth before its moment to half a sixteenth after it."""
    starts = plan.bar_starts() / SAMPLE_RATE
    times = np.arange(len(onsets)) / rhythm.FRAME_RATE
    inside = (times >= starts[0]) & (times < starts[-1])
    if not inside.any():
        return np.ones(BAR_PHASES)
    in_bars = np.interp(times[inside], starts, np.arange(len(starts)))
    phase = np.rint(BAR_PHASES * in_bars).astype(int) % BAR_PHASES
    total = np.bincount(phase, onsets[inside], BAR_PHASES) / np.maximum(np.bincount(phase, minlength=BAR_PHASES), 1)
    return total / total.mean() if total.any() else np.ones(BAR_PHASES)


def _at_beats(onsets: np.ndarray, plan: Plan) -> float:
    """Onsets within an eighth of a beat of the beats against the rest, in dB."""
    beats = plan.beat_starts() / SAMPLE_RATE
    times = np.arange(len(onsets)) / rhythm.FRAME_RATE
    inside = (times >= beats[0]) & (times < beats[-1]) if len(beats) else np.zeros(len(times), bool)
    place = np.interp(times[inside], beats, np.arange(len(beats))) if inside.any() else np.zeros(0)
    return _contrast(onsets[inside], np.abs(place - np.rint(place)) < 1 / 8)


def _at_changes(novelty: np.ndarray, plan: Plan) -> float:
    """Novelty where the chord changes against the rest of the bars, in dB."""
    spans = harmony.chord_spans(plan)
    changes = np.array([b[0] for a, b in itertools.pairwise(spans) if a[2] != b[2]])
    times = np.arange(len(novelty)) / SEMITONE_RATE
    inside = (times >= spans[0][0]) & (times < spans[-1][1]) if len(changes) else np.zeros(len(times), bool)
    near = (np.abs(times[inside, None] - changes) < CHANGE_SECONDS).any(axis=1)
    return _contrast(novelty[inside], near)


def _contrast(curve: np.ndarray, chosen: np.ndarray) -> float:
    """The mean of the chosen frames of a curve against that of the others, in dB, between -20 and 20; 0 if none."""
    if not chosen.any() or chosen.all() or not curve.any():
        return 0.0
    least = 0.1 * curve.mean()
    return float(20.0 * np.log10(max(curve[chosen].mean(), least) / max(curve[~chosen].mean(), least)))


def _by_energy(sound: np.ndarray, plan: Plan) -> np.ndarray:
    """(2,)"""
    size = round(LEVEL_SECONDS * SAMPLE_RATE)
    blocks = sound[: len(sound) // size * size].reshape(-1, size)
    power = np.log10(np.maximum((blocks**2).mean(axis=1), 1e-8))
    first_bars = np.cumsum([0] + [len(section.bars) for section in plan.sections])
    edges = np.minimum(plan.bar_starts()[first_bars], plan.length)
    section = np.searchsorted(edges, (np.arange(len(blocks)) + 0.5) * size, side="right") - 1
    known = {i: part.energy for i, part in enumerate(plan.sections) if part.energy is not None}
    rows = [(known[i], 10.0 * level) for i, level in zip(section, power, strict=True) if i in known]
    energy, level = np.array(rows).reshape(-1, 2).T
    if len(rows) < 2 or np.ptp(energy) == 0 or np.ptp(level) == 0:
        return np.zeros(2)
    energy, level = energy - energy.mean(), level - level.mean()
    slope = (energy * level).sum() / (energy**2).sum()
    return np.array([slope, slope * energy.std() / level.std()])
