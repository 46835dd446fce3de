"""Everything that is measured of one track, beside its prompt and plan; and the summary of many.

Estimators see samples (2, N) alone: tempo, key, genre and plan are only compared with what was detected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridgen.audio import Audio
from hybridgen.metrics import harmony, probe, rhythm, scores, spectral, structure
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.plan import Plan


@dataclass(frozen=True)
class TrackMeasurements:
    """What was measured of one sound; NaN where it could not be."""

    tempo_target: float  # beats a minute as one taps them: dotted quarters in compound meters
    tempo_detected: float
    beat_f_measure: float  # of mir_eval
    beat_ms: float  # median distance of a detected beat to the plan's grid
    drift_percent: float
    key_target: str
    key_detected: str
    key_rank: int  # of the target among all 24 keys, 1 is best
    chord_majmin: float  # of mir_eval
    structure_auc: float  # whether bars of one section label sound alike
    genre_target: str | None
    genre_detected: str
    roles_target: tuple[str, ...]  # by the plan; both sorted
    roles_detected: tuple[str, ...]
    lufs: float
    above_12k_db: float
    stereo_width: float


def measure(samples: np.ndarray, plan: Plan, tempo: float, key: str, genre: str | None = None) -> TrackMeasurements:
    """Measures samples against a tempo (quarter notes a minute), a key and a genre, and all else that a plan says.

    Raises ValueError for a plan without a meter or with fewer than two beats.
    """
    if plan.meter is None:
        raise ValueError("the plan has no meter, so no beats to compare with")
    beats = rhythm.beats(samples)
    grid = plan.beat_starts() / SAMPLE_RATE
    grid = grid[grid < plan.seconds]
    deviation = rhythm.beat_deviation(beats, grid)
    ranking = harmony.key(samples)
    classifier, features = probe.load(), probe.features(samples)
    return TrackMeasurements(
        tempo_target=rhythm.pulse(tempo, plan.meter),
        tempo_detected=rhythm.beat_rate(beats),
        beat_f_measure=scores.beat_f_measure(grid, beats),
        beat_ms=deviation.median_ms,
        drift_percent=deviation.drift_percent,
        key_target=key,
        key_detected=ranking[0],
        key_rank=1 + ranking.index(key),
        chord_majmin=scores.chord_majmin(plan, samples),
        structure_auc=structure.label_auc(samples, plan),
        genre_target=genre,
        genre_detected=classifier.genre(features),
        roles_target=tuple(sorted(probe.planned_roles(plan))),
        roles_detected=tuple(sorted(classifier.roles(features))),
        lufs=Audio(samples, SAMPLE_RATE).loudness(),
        above_12k_db=spectral.energy_above(samples),
        stereo_width=spectral.stereo_width(samples),
    )


def summarize_tracks(tracks: Sequence[TrackMeasurements]) -> dict[str, float]:
    """Shares, means and medians over n >= 1 tracks; NaN where no track has the thing."""
    tempi = [(track.tempo_detected, track.tempo_target) for track in tracks]
    roles = [(frozenset(track.roles_detected), frozenset(track.roles_target)) for track in tracks]
    with_genre = [track for track in tracks if track.genre_target is not None]
    return {
        "tempo_acc1": _mean([scores.tempo_correct(*pair) for pair in tempi]),
        "tempo_octave": _mean([scores.octave_error(*pair) for pair in tempi]),
        "beat_f_measure": _mean([track.beat_f_measure for track in tracks]),
        "beat_ms": _median([track.beat_ms for track in tracks]),
        "drift_percent": _median([abs(track.drift_percent) for track in tracks]),
        "key_rank1": _mean([track.key_rank == 1 for track in tracks]),
        "key_rank2": _mean([track.key_rank <= 2 for track in tracks]),
        "key_weighted": _mean([scores.key_weighted(track.key_target, track.key_detected) for track in tracks]),
        "chord_majmin": _mean([track.chord_majmin for track in tracks]),
        "structure_auc": _mean([track.structure_auc for track in tracks]),
        "genre": _mean([track.genre_detected == track.genre_target for track in with_genre]),
        "roles": _mean([probe.roles_agreement(*pair) for pair in roles]),
        "loudness": _median([track.lufs for track in tracks]),
        "above_12k": _median([track.above_12k_db for track in tracks]),
        "stereo_width": _median([track.stereo_width for track in tracks]),
    }


def _known(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return array[~np.isnan(array)]


def _mean(values: Sequence[float]) -> float:
    known = _known(values)
    return float(known.mean()) if len(known) else float("nan")


def _median(values: Sequence[float]) -> float:
    known = _known(values)
    return float(np.median(known)) if len(known) else float("nan")


def compile_estimators() -> None:
    """Lets librosa compile and cache its loops, once, in this process.

    To be called before a pool is started: processes that write numba's cache at the same time can leave a broken one,
    and whoever reads it crashes.
    """
    noise = np.random.default_rng(0).standard_normal((2, 4 * SAMPLE_RATE)).astype(np.float32)
    rhythm.beats(noise)
    harmony.key(noise)
