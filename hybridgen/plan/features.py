"""What the score says about every frame: the numbers that planner and renderer are conditioned on.

They follow from the plan by arithmetic, so tempo, chords and form condition the sound frame by frame and are
not a mere hint in the prompt.
"""

import hashlib
import json

import numpy as np

from hybridgen.plan.harmony import (
    METER_BEATS,
    METERS,
    QUALITY_INTERVALS,
    chord_pitches,
    meter_quarters,
    split_chord,
    split_key,
)
from hybridgen.plan.parts import LABELS, MAX_ENERGY, ROLES
from hybridgen.plan.score import Score
from hybridgen.plan.tempo_map import TempoMap

BARS_LEFT = 16  # always, of what has no end
UNKNOWN_PROGRAM, NO_INSTRUMENT, N_INSTRUMENTS = 128, 129, 130

# columns, in order: name -> width
LAYOUT = {
    "grid": 1,  # 1 where bars are known and not yet over
    "beat": 6,  # sine and cosine of 1, 2 and 4 times the beat phase
    "bar": 2,  # sine and cosine of the bar phase
    "tempo": 1,  # octaves above 120 BPM, here and now
    "meter": len(METERS),
    "chord": 12,  # pitch classes that sound
    "root": 12,
    "chord_known": 2,  # known at all; known and a chord
    "key": 12,
    "mode": 2,  # major, minor
    "label": len(LABELS),
    "energy": 2,  # 0-1; known
    "roles": len(ROLES),
    "roles_known": 1,
    "section": 2,  # bars since the section began and until it ends, 8 or more = 1
    "place": 4,  # seconds since the start and to the end (8 or more = 1), bars left (log), past the last bar
}
N_FEATURES = sum(LAYOUT.values())


def _plan_version() -> str:
    tables = (ROLES, LABELS, METER_BEATS, QUALITY_INTERVALS, LAYOUT)  # in JSON dicts keep their order, which counts
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()[:12]


PLAN_VERSION = _plan_version()  # changes when roles, labels, meters, chords or features do


def columns(name: str) -> slice:
    """The columns of `frame_controls` that hold one entry of `LAYOUT`."""
    names = list(LAYOUT)
    start = sum(LAYOUT[other] for other in names[: names.index(name)])
    return slice(start, start + LAYOUT[name])


ROLE_FEATURES = columns("roles")
N_BAR_FEATURES = 3 * N_FEATURES  # of `bar_controls`


def frame_controls(plan: Score, hop: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """(stop - start, N_FEATURES) float32: the controls of frames of `hop` samples, each read at its first sample.

    A loop is told as the middle of something longer: it neither begins nor ends. What is open only does not end.
    """
    stop = -(-(plan.pre_roll + plan.length) // hop) if stop is None else stop
    seconds = plan.frame_starts(hop, start, stop) / plan.time_base.sample_rate
    out = np.zeros((stop - start, N_FEATURES), dtype=np.float32)
    out[:, columns("place")][:, 0] = np.clip(seconds, 0.0, 8.0) / 8.0
    out[:, columns("place")][:, 1] = np.clip(plan.seconds - seconds, 0.0, 8.0) / 8.0
    _write_key(out, plan)
    if plan.tempo_map is not None:
        _write_grid(out, plan, plan.tempo_map, seconds)
    if plan.is_open:
        out[:, columns("place")][:, 1:] = (1.0, np.log2(1 + BARS_LEFT) / 10, 0.0)
    if plan.is_loop:
        out[:, columns("place")][:, 0] = 1.0
    return out


def bar_controls(plan: Score) -> np.ndarray:
    """(n_bars, N_BAR_FEATURES) float32: what the score says of each half of a bar, and of the bar after it."""
    table = _bar_table(plan)
    section = columns("section")
    table[..., section] = np.clip(table[..., section], 0, 8) / 8
    if plan.n_bars and plan.meter is not None and plan.tempo_map is not None:
        bars = np.arange(plan.n_bars)
        quarters = bars * meter_quarters(plan.meter)
        table[..., columns("grid")] = 1
        table[..., columns("meter").start + METERS.index(plan.meter)] = 1
        table[..., columns("tempo").start] = np.log2(plan.tempo_map.bpm_at(quarters) / 120.0)[:, None]
        table[..., columns("place").start + 2] = (np.log2(1 + plan.n_bars - bars) / 10)[:, None]
    for half in range(2):
        _write_key(table[:, half], plan)
    following = np.concatenate([table[1:, 0], np.zeros((min(plan.n_bars, 1), N_FEATURES), np.float32)])
    return np.concatenate([table[:, 0], table[:, 1], following], axis=1)


def _write_key(out: np.ndarray, plan: Score) -> None:
    if plan.key is not None:
        tonic, mode = split_key(plan.key)
        out[:, columns("key").start + tonic] = 1
        out[:, columns("mode").start + (mode == "minor")] = 1


def _write_grid(out: np.ndarray, plan: Score, time: TempoMap, seconds: np.ndarray) -> None:
    assert plan.meter is not None
    bar_length = meter_quarters(plan.meter)
    quarters = time.quarters_at(seconds)
    exact_bar = quarters / bar_length + 1e-9  # a frame that starts on a bar line belongs to the bar that begins there
    bar = np.floor(exact_bar).astype(int)
    inside = (bar >= 0) & (bar < plan.n_bars)
    in_bar = np.clip(exact_bar - bar, 0.0, 1.0)
    out[:, columns("grid")] = inside[:, None]
    out[:, columns("beat")] = _harmonics(_beat_phase(in_bar * bar_length, plan.meter), (1, 2, 4))
    out[:, columns("bar")] = _harmonics(in_bar, (1,))
    out[:, columns("tempo")] = np.log2(time.bpm_at(quarters) / 120.0)[:, None]
    out[:, columns("meter").start + METERS.index(plan.meter)] = 1
    out[:, columns("place")][:, 2] = np.log2(1 + np.clip(plan.n_bars - exact_bar, 0, None)) / 10
    out[:, columns("place")][:, 3] = bar >= plan.n_bars
    table = _bar_table(plan)
    half = np.minimum((2 * in_bar).astype(int), 1)
    rows = table[np.clip(bar, 0, plan.n_bars - 1), half]
    score = slice(columns("chord").start, columns("chord_known").stop)
    form = slice(columns("label").start, columns("section").stop)
    for part in (score, form):
        out[:, part] = rows[:, part] * inside[:, None]
    section = columns("section")
    since, until = rows[:, section.start] + in_bar, rows[:, section.start + 1] - in_bar
    out[:, section] = np.stack([np.clip(since, 0, 8) / 8, np.clip(until, 0, 8) / 8], axis=1) * inside[:, None]


def _beat_phase(quarters_in_bar: np.ndarray, meter: str) -> np.ndarray:
    edges = np.array([*METER_BEATS[meter], meter_quarters(meter)])
    i = np.clip(np.searchsorted(edges, quarters_in_bar, side="right") - 1, 0, len(edges) - 2)
    return (quarters_in_bar - edges[i]) / (edges[i + 1] - edges[i])


def _harmonics(phase: np.ndarray, multiples: tuple[int, ...]) -> np.ndarray:
    angles = 2 * np.pi * phase[:, None] * np.array(multiples)
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(phase), -1)


def _bar_table(plan: Score) -> np.ndarray:
    """(n_bars, 2, N_FEATURES): what holds in each half of each bar; `section` in whole bars since and until."""
    table = np.zeros((plan.n_bars, 2, N_FEATURES), dtype=np.float32)
    first = 0
    for section in plan.sections:
        rows = table[first : first + len(section.bars)]
        _write_section(rows, section.label, section.energy, section.roles)
        rows[:, :, columns("section")] = np.stack([np.arange(len(rows)), np.arange(len(rows), 0, -1)], axis=1)[:, None]
        for row, bar in zip(rows, section.bars, strict=True):
            _write_chords(row, bar.chords)
        first += len(section.bars)
    return table


def _write_section(rows: np.ndarray, label: str | None, energy: int | None, roles: tuple[str, ...] | None) -> None:
    if label is not None:
        rows[..., columns("label").start + LABELS.index(label)] = 1
    if energy is not None:
        rows[..., columns("energy")] = (energy / MAX_ENERGY, 1)
    if roles is not None:
        rows[..., columns("roles_known")] = 1
        for role in roles:
            rows[..., ROLE_FEATURES.start + ROLES.index(role)] = 1


def _write_chords(row: np.ndarray, chords: tuple[str, ...] | None) -> None:
    if not chords:
        return
    for half in range(2):
        name = chords[half % len(chords)]
        pitches = chord_pitches(name)
        row[half, columns("chord_known")] = (1, bool(pitches))
        if pitches:
            row[half, [columns("chord").start + pitch for pitch in pitches]] = 1
            row[half, columns("root").start + split_chord(name)[0]] = 1


def instrument_ids(instruments: tuple[tuple[str, int | None], ...]) -> np.ndarray:
    """(9,) int64, one per role: General MIDI program 0-127, 128 unknown program, 129 the role does not occur."""
    ids = np.full(len(ROLES), NO_INSTRUMENT, dtype=np.int64)
    for role, program in instruments:
        ids[ROLES.index(role)] = UNKNOWN_PROGRAM if program is None else program
    return ids
