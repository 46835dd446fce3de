"""Everything that is heard in one track, beside what was asked and planned; and the summary of many.

Estimators get samples (2, N) alone: tempo, key, genre and plan are only compared with what they found.
"""

from dataclasses import dataclass

import numpy as np

from hybridgen.audio import Audio
from hybridgen.metrics import harmony, probe, rhythm, spectral, structure
from hybridgen.plan import SAMPLE_RATE, Plan

CLICK_REACH = 32  # samples on either side of a border in which a click would be
CLICK_AROUND = 1024  # samples on either side that say how much is normal there


@dataclass(frozen=True)
class Hearing:
    """What is heard in one sound; NaN where it could not be measured."""

    tempo_asked: float  # beats a minute as one taps them: dotted quarters in compound meters
    tempo_found: float
    beat_ms: float  # median distance of a beat that is heard to the plan's grid
    beat_hits: float  # share of the grid's beats that are heard
    drift_percent: float
    key_asked: str
    key_found: str
    key_rank: int  # of the asked key, 1 is best
    chord_agreement: float
    structure_auc: float  # whether bars of one section label sound alike
    genre_asked: str | None
    genre_found: str
    roles_asked: tuple[str, ...]  # by the plan; both sorted
    roles_found: tuple[str, ...]
    lufs: float
    above_12k_db: float
    stereo_width: float


def hear(samples: np.ndarray, plan: Plan, tempo: float, key: str, genre: str | None = None) -> Hearing:
    """Measures samples against a tempo (quarter notes a minute), a key and a genre, and all else that a plan says."""
    beats = rhythm.beats(samples)
    grid = plan.beat_starts() / SAMPLE_RATE
    error = rhythm.compare_beats(beats, grid[grid < plan.seconds])
    ranking = harmony.key(samples)
    judge, features = probe.probe(), probe.features(samples)
    return Hearing(
        tempo_asked=rhythm.pulse(tempo, plan.meter),
        tempo_found=rhythm.beat_rate(beats),
        beat_ms=error.median_ms,
        beat_hits=error.hit_rate,
        drift_percent=error.drift_percent,
        key_asked=key,
        key_found=ranking[0],
        key_rank=1 + ranking.index(key),
        chord_agreement=harmony.chord_agreement(plan, samples),
        structure_auc=structure.label_auc(samples, plan),
        genre_asked=genre,
        genre_found=judge.genre(features),
        roles_asked=tuple(sorted(probe.planned_roles(plan))),
        roles_found=tuple(sorted(judge.roles(features))),
        lufs=Audio(samples, SAMPLE_RATE).loudness(),
        above_12k_db=spectral.energy_above(samples),
        stereo_width=spectral.stereo_width(samples),
    )


def summarise(hearings: list[Hearing]) -> dict[str, float]:
    """Shares, means and medians over tracks, NaN where no track has the thing; n >= 1 tracks."""
    tempi = [(hearing.tempo_found, hearing.tempo_asked) for hearing in hearings]
    ranks = np.array([hearing.key_rank for hearing in hearings])
    asked = [hearing for hearing in hearings if hearing.genre_asked is not None]
    return {
        "tempo_acc1": _mean([rhythm.tempo_correct(*pair) for pair in tempi]),  # within 4 %
        "tempo_octave": _mean([rhythm.octave_error(*pair) for pair in tempi]),  # wrong by a factor of 2 or 3
        "beat_ms": _median([hearing.beat_ms for hearing in hearings]),
        "beat_hits": _mean([hearing.beat_hits for hearing in hearings]),
        "drift_percent": _median([abs(hearing.drift_percent) for hearing in hearings]),
        "key_rank1": _mean(ranks == 1),
        "key_rank2": _mean(ranks <= 2),
        "chord_majmin": _mean([hearing.chord_agreement for hearing in hearings]),
        "structure_auc": _mean([hearing.structure_auc for hearing in hearings]),
        "genre": _mean([hearing.genre_found == hearing.genre_asked for hearing in asked]),
        "roles": _mean([probe.roles_agreement(frozenset(h.roles_found), frozenset(h.roles_asked)) for h in hearings]),
        "loudness": _median([hearing.lufs for hearing in hearings]),
        "above_12k": _median([hearing.above_12k_db for hearing in hearings]),
        "stereo_width": _median([hearing.stereo_width for hearing in hearings]),
    }


def _mean(values: list[float] | np.ndarray) -> float:
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def _median(values: list[float]) -> float:
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(np.median(known)) if len(known) else float("nan")


@dataclass(frozen=True)
class Clicks:
    """How much more samples bend within 32 of certain borders than elsewhere; about 1 where there are no clicks.

    Bends are second differences. All are NaN where there is no border or no sound.
    """

    local: float  # root mean square against that of the 1,024 samples on either side, median over borders
    rms: float  # root mean square of all borders together against that of the rest of the track
    peak: float  # the same of 99.9th percentiles; low where few samples are near a border


def clicks(samples: np.ndarray, borders: np.ndarray) -> Clicks:
    """Listens to samples (2, N) around borders (n,), each the index of the first sample after one."""
    bend = np.abs(np.diff(np.asarray(samples, dtype=np.float64), n=2, axis=-1))  # [i] is centred on sample i + 1
    centres = np.asarray(borders, dtype=int) - 1
    around = np.add.outer(centres, np.arange(-CLICK_REACH, CLICK_REACH)).reshape(-1)
    near = np.zeros(bend.shape[-1], dtype=bool)
    near[around[(around >= 0) & (around < len(near))]] = True
    if not near.any() or near.all() or not bend[:, ~near].any():
        return Clicks(float("nan"), float("nan"), float("nan"))
    there, elsewhere = bend[:, near], bend[:, ~near]
    return Clicks(
        local=_local_bend((bend**2).mean(axis=0), centres),
        rms=float(np.sqrt((there**2).mean() / (elsewhere**2).mean())),
        peak=float(np.percentile(there, 99.9) / max(np.percentile(elsewhere, 99.9), 1e-12)),
    )


def _local_bend(power: np.ndarray, centres: np.ndarray) -> float:
    """Median over centres of the root of power (N,) near them against that around them; those at the ends are left."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    inside = centres[(centres >= CLICK_AROUND) & (centres <= len(power) - CLICK_AROUND)]
    near, around = (total[inside + reach] - total[inside - reach] for reach in (CLICK_REACH, CLICK_AROUND))
    rest = (around - near) / (CLICK_AROUND - CLICK_REACH)
    loud = rest > 1e-9 * power.mean()
    return float(np.median(np.sqrt(near[loud] / CLICK_REACH / rest[loud]))) if loud.any() else float("nan")


def compile_estimators() -> None:
    """Lets librosa compile and cache its loops, once, in this process.

    To be called before a pool is started: processes that write numba's cache at the same time can leave a broken one,
    and whoever reads it crashes.
    """
    noise = np.random.default_rng(0).standard_normal((2, 4 * SAMPLE_RATE)).astype(np.float32)
    rhythm.beats(noise)
    harmony.key(noise)
