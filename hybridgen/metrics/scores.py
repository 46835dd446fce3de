"""How what was detected agrees with what was planned, by the definitions of mir_eval that papers report.

mir_eval: Raffel et al., ISMIR 2014. Tempo stays our own: "accuracy 1" (Gouyon et al. 2006) within 4 %, which mir_eval
only has as one side of a score of two tempi with a tolerance of 8 %.
"""

import mir_eval.beat
import mir_eval.chord
import mir_eval.key
import numpy as np

from hybridgen.formats.symbols import HARTE_UNKNOWN, harte_label
from hybridgen.metrics import harmony
from hybridgen.plan.plan import Plan

TEMPO_TOLERANCE = 0.04


def tempo_correct(detected: float, target: float, tolerance: float = TEMPO_TOLERANCE) -> bool:
    """Whether a detected tempo is the target; an octave error is an error."""
    return abs(detected / target - 1.0) <= tolerance


def octave_error(detected: float, target: float, tolerance: float = TEMPO_TOLERANCE) -> bool:
    """Whether a detected tempo is wrong, and is the target times or over 2 or 3 (as in "accuracy 2")."""
    return any(tempo_correct(detected, target * factor, tolerance) for factor in (1 / 3, 1 / 2, 2.0, 3.0))


def beat_f_measure(grid: np.ndarray, detected: np.ndarray) -> float:
    """F-measure of detected beats (n,) against a grid (m,), both in seconds, within 70 ms; 0 for no beats.

    All beats count, those of the first five seconds too, which a tracker that adapts itself would be spared.
    """
    if not len(detected):
        return 0.0
    return float(mir_eval.beat.f_measure(np.asarray(grid, dtype=float), np.asarray(detected, dtype=float)))


def key_weighted(target: str, detected: str) -> float:
    """MIREX's weighted score of a key: 1 for the same, 0.5 a fifth above, 0.3 for the relative, 0.2 the parallel."""
    return float(mir_eval.key.weighted_score(target, detected))


def chord_majmin(plan: Plan, samples: np.ndarray) -> float:
    """Share of the time with a major triad, a minor triad or no chord ("N") in the plan in which just that is detected.

    Sevenths and so on count as their triad; what has none (dim, aug, sus, fifths) and unknown chords do not count.
    samples: (2, N). NaN where nothing counts.
    """
    spans = harmony.chord_spans(plan)
    labels = [harte_label(name) for _, _, name in spans]
    if all(label == HARTE_UNKNOWN for label in labels):
        return float("nan")
    times = np.array([span[:2] for span in spans])
    return compare_chords(labels, [harte_label(name) for name in harmony.chords(samples, times)], np.diff(times)[:, 0])


def compare_chords(target: list[str], detected: list[str], seconds: np.ndarray) -> float:
    """mir_eval's maj/min accuracy of labels in Harte's syntax, weighted by seconds (n,); NaN where nothing counts."""
    comparisons = mir_eval.chord.majmin(target, detected)
    if not (comparisons >= 0).any():
        return float("nan")
    return float(mir_eval.chord.weighted_accuracy(comparisons, seconds))
