"""The composer of the synthetic corpus: songs with form, harmony, groove, melody and a mix, from two integers.

The files in the order of the work: `genres` (the style table: `electronic`, `ensembles`, `bands`, with `figures` and
`progressions`), `form` (sections), `harmony` (chords), `rhythm` (figures in any meter), `players`, `drums` and `melody`
(notes on the grid), `staging` (who opens and who ends), `dynamics` (how loud), `notation` (those notes in the plan),
`performance` (swing, human timing, mix). Everything is drawn from text seeds: the same (seed, index, seconds) gives
the same song anywhere.
"""

import random
from dataclasses import replace

import numpy as np

from hybridgen.data.composer import notation
from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.drums import kick_of
from hybridgen.data.composer.dynamics import section_curve, shaped
from hybridgen.data.composer.form import Shape, shape_track
from hybridgen.data.composer.genres import STYLES, style_named
from hybridgen.data.composer.harmony import draw_harmonizer
from hybridgen.data.composer.melody import center_for
from hybridgen.data.composer.performance import mix_channel, perform
from hybridgen.data.composer.players import Part
from hybridgen.data.composer.rhythm import STEP, Grid, grid
from hybridgen.data.composer.staging import staged, staging_of
from hybridgen.data.composer.style import Style
from hybridgen.data.song import SAMPLE_RATE, Song
from hybridgen.plan.harmony import KEYS, METERS
from hybridgen.plan.notes import GRID, TICKS, Swing
from hybridgen.plan.parts import MAX_SECONDS, ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan

GENRES = tuple(style.name for style in STYLES)
SLOWEST, FASTEST = 50.0, 200.0
COMPOUND = (1.2, 1.6)  # factors on a style's tempo in quarter notes: in compound meters a beat is longer
STEPS = TICKS // GRID  # in a quarter note, of the grid that notes are written on
COLD_TAIL = 0.3  # seconds after the last bar of a song whose last chord does not ring
OUTLIERS, RAMPS, RITARDANDOS = 0.08, 0.05, 0.05  # shares of songs
MODE_MOODS = {"major": ("happy", "bright", "hopeful"), "minor": ("sad", "melancholic", "serious")}


def compose(seed: int, index: int, seconds: tuple[float, float] = (20, 60)) -> Song:
    """Song `index` of corpus `seed`: a pure function of its arguments.

    seconds: shortest and longest track, roughly: a song has whole bars, at least two, and a tail in which it rings out.
    Raises ValueError unless 0 < shortest <= longest <= 600.
    """
    low, high = seconds
    if not 0 < low <= high <= MAX_SECONDS:
        raise ValueError(f"seconds {low:g}-{high:g} are not a range inside 0-{MAX_SECONDS:g}")
    text = f"hybridgen {seed} {index} {float(low)} {float(high)}"
    rng = random.Random(text)
    style = rng.choice(STYLES)
    bar_grid = grid(_draw_meter(rng, style))
    key = rng.choice(KEYS)
    drive = rng.choice(style.drive)
    marks, n_bars, tail = _draw_time(rng, style, bar_grid, rng.uniform(low, high))
    cast, programs = _draw_cast(rng, style)
    context = SongContext(text, bar_grid, key, pulse=marks[0].bpm / (bar_grid.beat_lengths[0] * STEP), bass=style.bass)
    context = replace(context, kick=kick_of(cast, context))
    shapes = shape_track(rng, n_bars, style.forms, drive)
    passages = _write_harmony(rng, style, context, shapes, marks[0].bpm)
    ending = staging_of(context, passages[-1], style.intros, style.endings)
    tail = min(tail, COLD_TAIL) if ending.last == "cold" else tail
    events, roles = _play(cast, style, context, passages)
    playing = tuple(role for role in ROLES if any(role in present for present in roles))
    plan = _write_plan(context, passages, roles, marks, tuple((role, programs[role]) for role in playing), tail)
    curve = section_curve(context, passages, fades=ending.last == "ring")
    played = {role: events[role] for role in playing}
    plan = notation.write(plan, played, curve, _draw_swing(rng, style, bar_grid))
    notes = perform(played, curve, plan, bar_grid, style, rng.randrange(2**32))
    first_parts = {part.role: part for part in reversed(cast)}
    channels = tuple(mix_channel(first_parts[role], programs[role], rng) for role in playing)
    return Song(index, seed, style.name, _draw_mood(rng, style, key, marks[0].bpm, shapes), plan, notes, channels)


def is_usual_tempo(song: Song) -> bool:
    """Whether the song's first tempo is in the usual range of its genre and meter; True where it is unknown."""
    low, high = style_named(song.genre).tempo
    if not song.plan.tempo:
        return True
    if song.plan.meter is not None and grid(song.plan.meter).compound:
        low, high = max(COMPOUND[0] * low, 1.5 * SLOWEST), COMPOUND[1] * high
    return low - 0.5 <= song.plan.tempo[0].bpm <= min(FASTEST, high) + 0.5


def _draw_meter(rng: random.Random, style: Style) -> str:
    if rng.random() < style.common_time:
        return "4/4"
    return rng.choice([meter for meter in METERS if meter != "4/4"])


def _draw_time(
    rng: random.Random, style: Style, bar_grid: Grid, seconds: float
) -> tuple[tuple[Tempo, ...], int, float]:
    """Tempo marks, bars (at least 2), and the tail's seconds, so that all together lasts about `seconds`."""
    low, high = (SLOWEST, FASTEST) if rng.random() < OUTLIERS else style.tempo
    bpm = rng.uniform(low, high) * (rng.uniform(*COMPOUND) if bar_grid.compound else 1.0)
    bpm = max(bpm, 1.5 * SLOWEST) if bar_grid.compound else bpm  # a beat is a dotted quarter there
    bpm = min(FASTEST, round(bpm) if rng.random() < 0.7 else round(bpm, 1))
    tail = rng.uniform(0.3, 2.0)
    kind = rng.random()
    target = bpm
    if kind < RAMPS:
        target = round(max(SLOWEST, min(FASTEST, bpm * rng.choice((0.8, 0.88, 1.12, 1.25)))), 1)
    bar_seconds = bar_grid.quarters * 60 / min(bpm, target)
    n_bars = max(2, int((seconds - tail) / bar_seconds))
    if kind < RAMPS and n_bars >= 4:
        return (Tempo(1, bpm, ramp=True), Tempo(n_bars, target)), n_bars, tail
    if RAMPS <= kind < RAMPS + RITARDANDOS and n_bars >= 6:
        n_bars -= 1  # slowing down takes the time of about one bar
        end = round(max(40.0, bpm * rng.uniform(0.65, 0.85)), 1)
        return (Tempo(1, bpm), Tempo(n_bars - 2, bpm, ramp=True), Tempo(n_bars, end)), n_bars, tail
    return (Tempo(1, bpm),), n_bars, tail


def _draw_swing(rng: random.Random, style: Style, bar_grid: Grid) -> Swing:
    ratio = round(rng.uniform(*style.swing), 2)
    return Swing(0.5 if bar_grid.compound else ratio, 16 if style.swing_unit == 0.25 else 8)


def _write_harmony(
    rng: random.Random, style: Style, context: SongContext, shapes: tuple[Shape, ...], bpm: float
) -> tuple[Passage, ...]:
    bar_seconds = context.grid.quarters * 60 / bpm
    is_short = any(shape.n_bars < 4 for shape in shapes[:-1])
    hold = 1 if is_short else rng.choice(style.holds) if bar_seconds > 1.4 else 2
    packs = bar_seconds > 2.8 and rng.random() < (0.8 if is_short else 0.5)
    progressions = style.major if context.key.endswith("major") else style.minor
    writer = draw_harmonizer(rng, context.key, progressions, hold, context.grid.halves, packs)
    passages, first = [], 0
    earlier: dict[str, list[int]] = {}  # label -> energies of its sections
    for shape, following in zip(shapes, (*shapes[1:], None), strict=True):
        leads_on = following is not None and following.label != "bridge" and rng.random() < 0.6
        bars = writer.section(shape.label, shape.n_bars, following is None, leads_on)
        lifts = following is not None and following.energy > shape.energy
        energies = earlier.setdefault(shape.label, [])
        energies.append(shape.energy)
        passages.append(
            Passage(
                shape.label,
                shape.energy,
                first,
                bars,
                closing=following is None,
                lifts=lifts,
                turn=len(energies) - 1,
                first_energy=energies[0],
            )
        )
        first += shape.n_bars
    return tuple(passages)


def _draw_cast(rng: random.Random, style: Style) -> tuple[tuple[Part, ...], dict[str, int]]:
    """The parts of this song, the style's first always among them, and a program for each role."""
    cast = tuple(part for i, part in enumerate(style.parts) if i == 0 or rng.random() < part.chance)
    programs: dict[str, int] = {}
    for part in cast:
        programs.setdefault(part.role, rng.choice(part.programs))
    ranged = (replace(p, center=center_for(programs[p.role], p.center)) if p.turns else p for p in cast)
    return tuple(ranged), programs


def _play(
    cast: tuple[Part, ...], style: Style, context: SongContext, passages: tuple[Passage, ...]
) -> tuple[dict[str, list[Event]], tuple[tuple[str, ...], ...]]:
    """The notes of each role, and for each section the roles that play in it."""
    events: dict[str, list[Event]] = {role: [] for role in ROLES}
    present = []
    for passage in passages:
        staging = staging_of(context, passage, style.intros, style.endings)
        passage = replace(passage, at_least=staging.energy)
        written: dict[str, list[Event]] = {}
        for part in _active_parts(cast, context, passage):
            played = shaped(part.player(part, context, passage), part, style, context, passage)
            written[part.role] = [*written.get(part.role, []), *played]
        heard = staged(written, staging, cast[0].role, context, passage)
        for role, played in heard.items():
            events[role] += played
        present.append(tuple(role for role in ROLES if heard.get(role)))
    return {role: _merged(played) for role, played in events.items()}, tuple(present)


def _merged(events: list[Event]) -> list[Event]:
    """Notes of a role, of which those that begin together on one pitch are one: the loudest."""
    loudest: dict[tuple[int, int], Event] = {}
    for event in events:
        place = round(event.start * STEPS), event.pitch
        loudest[place] = max(event, loudest.get(place, event), key=lambda one: one.velocity)
    return list(loudest.values())


def _active_parts(cast: tuple[Part, ...], context: SongContext, passage: Passage) -> list[Part]:
    ready = [part for part in cast[1:] if part.enters <= passage.entering and passage.label not in part.rests]
    singers = [part for part in ready if part.turns and part.enters <= passage.first_energy]
    singer = context.choices("singer", passage.label).choice(singers) if singers else None
    return [cast[0], *(part for part in ready if not part.turns or part is singer)]


def _write_plan(
    context: SongContext,
    passages: tuple[Passage, ...],
    roles: tuple[tuple[str, ...], ...],
    marks: tuple[Tempo, ...],
    instruments: tuple[tuple[str, int], ...],
    tail: float,
) -> Plan:
    sections = tuple(
        Section(passage.label, tuple(Bar(chords) for chords in passage.bars), passage.energy, present)
        for passage, present in zip(passages, roles, strict=True)
    )
    plan = Plan(sections=sections, tempo=marks, meter=context.grid.meter, key=context.key, instruments=instruments)
    starts = plan.bar_starts()
    ring_out = min(round(tail * SAMPLE_RATE), int(0.9 * (starts[-1] - starts[-2])))
    return replace(plan, n_samples=int(starts[-1]) + ring_out)


def _draw_mood(rng: random.Random, style: Style, key: str, bpm: float, shapes: tuple[Shape, ...]) -> tuple[str, ...]:
    words = rng.sample(style.moods, 2)
    if rng.random() < 0.5:
        words.append(rng.choice(MODE_MOODS[key.split()[1]]))
    mean = float(np.mean([shape.energy for shape in shapes]))
    if rng.random() < 0.5:
        words.append("energetic" if mean > 4 else "quiet" if mean < 2.5 else "steady")
    return tuple(dict.fromkeys(words))
