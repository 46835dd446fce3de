"""Everything that the estimators hear in one track, beside what was asked and planned; and the summary of many.

Estimators get samples alone: tempo, key and plan are only compared with what they found.
"""

from dataclasses import dataclass

import numpy as np

from hybridgen.audio import Audio
from hybridgen.metrics import harmony, rhythm, spectral
from hybridgen.plan import SAMPLE_RATE, Plan


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
    lufs: float
    above_12k_db: float
    stereo_width: float


def hear(samples: np.ndarray, plan: Plan, tempo: float, key: str) -> Hearing:
    """Measures samples (2, N) against a tempo (quarter notes a minute) and key, and the beats and chords of a plan."""
    beats = rhythm.beats(samples)
    grid = plan.beat_starts() / SAMPLE_RATE
    error = rhythm.compare_beats(beats, grid[grid < plan.seconds])
    ranking = harmony.key(samples)
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
        lufs=Audio(samples, SAMPLE_RATE).loudness(),
        above_12k_db=spectral.energy_above(samples),
        stereo_width=spectral.stereo_width(samples),
    )


def summarise(hearings: list[Hearing]) -> dict[str, float]:
    """Shares, means and medians over tracks."""
    tempi = [(hearing.tempo_found, hearing.tempo_asked) for hearing in hearings]
    return {
        "tempo within 4 %": float(np.mean([rhythm.tempo_correct(*pair) for pair in tempi])),
        "tempo an octave off": float(np.mean([rhythm.octave_error(*pair) for pair in tempi])),
        "beat error, ms": float(np.nanmedian([hearing.beat_ms for hearing in hearings])),
        "beats hit": float(np.nanmean([hearing.beat_hits for hearing in hearings])),
        "drift, %": float(np.nanmedian(np.abs([hearing.drift_percent for hearing in hearings]))),
        "key first": float(np.mean([hearing.key_rank == 1 for hearing in hearings])),
        "key first or second": float(np.mean([hearing.key_rank <= 2 for hearing in hearings])),
        "chord agreement": float(np.nanmean([hearing.chord_agreement for hearing in hearings])),
        "loudness, LUFS": float(np.median([hearing.lufs for hearing in hearings])),
        "above 12 kHz, dB": float(np.median([hearing.above_12k_db for hearing in hearings])),
        "stereo width": float(np.median([hearing.stereo_width for hearing in hearings])),
    }
