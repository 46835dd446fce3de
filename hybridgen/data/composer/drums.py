"""Drums and percussion: grooves whose layers enter with energy, fills at ends of sections, crashes at starts."""

from functools import partial

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.players import Groove, Part, Player, loudness
from hybridgen.data.composer.rhythm import STEP, fit, strokes

KICK, RIM, SNARE, CLAP, CLOSED, PEDAL, OPEN, CRASH, RIDE = 36, 37, 38, 39, 42, 44, 46, 49, 51
TAMBOURINE, COWBELL, CABASA, MARACAS, CLAVES = 54, 56, 69, 70, 75
HIGH_BONGO, LOW_BONGO, MUTE_CONGA, OPEN_CONGA, LOW_CONGA, TRIANGLE = 60, 61, 62, 63, 64, 81
TOMS = (50, 48, 47, 45, 43)
PULSES = (CLOSED, CABASA, MARACAS)  # these play several notes to a beat
QUIET_LABELS = ("intro", "break", "interlude")

FILLS = (  # one bar each; s snare, 1-5 toms from high to low, k kick
    "............ssss",
    "............1.35",
    "........s.s.ssss",
    "........s.123.45",
    "............s.ss",
    "........11335555",
    ".............s.s",
)


def kit(*grooves: tuple[Groove, ...], fills: bool = True) -> Player:
    """A player of one of the grooves (one is drawn a song), with fills and crashes unless `fills` is off."""
    return partial(_play_kit, grooves=grooves, fills=fills)


def _play_kit(
    part: Part, context: SongContext, passage: Passage, grooves: tuple[tuple[Groove, ...], ...], fills: bool
) -> list[Event]:
    groove = context.choices("groove", part.role).choice(grooves)
    rng = context.choices("drums", part.role, passage.first_bar)
    builds = fills and passage.label == "build"
    fill = rng.choice(FILLS) if fills and not builds and passage.energy >= 2 and len(passage.bars) > 1 else ""
    events: list[Event] = []
    for bar in range(passage.n_played):
        is_last = bar == passage.n_played - 1
        stop = _fill_start(fill, context, bar) if is_last and fill else context.grid.steps
        for drum in groove:
            if drum.enters <= passage.energy:
                events += _play_bar(part, context, passage, bar, drum, stop)
        if is_last and fill:
            events += _play_fill(part, context, passage, bar, fill)
    if builds:
        events += _roll(part, context, passage)
    if fills and passage.energy >= 3 and passage.label not in QUIET_LABELS and passage.n_played:
        events.append(Event(CRASH, context.quarter(passage, 0), 2.0, loudness(part, context, passage, 0, False)))
    return events + (_last_hit(part, context, passage, groove, fills) if passage.closing else [])


def _play_bar(part: Part, context: SongContext, passage: Passage, bar: int, drum: Groove, stop: int) -> list[Event]:
    out = []
    keeps_pulse = drum.pitch in PULSES
    for stroke in strokes(fit(drum.figure, context.grid.meter, bar)):
        off_beat = keeps_pulse and context.weight(stroke.step) < 2
        if stroke.step >= stop or (off_beat and context.is_slow and passage.energy < 5):
            continue
        level = loudness(part, context, passage, stroke.step, stroke.accent) + drum.velocity
        level -= (28 if stroke.sign == "g" else 0) + (8 if off_beat else 0)  # ghost notes; off-beats
        start = context.quarter(passage, bar, stroke.step)
        out.append(Event(drum.pitch, start, stroke.length * STEP, max(12, min(127, level))))
    return out


def _fill_start(fill: str, context: SongContext, bar: int) -> int:
    signs = fit(fill, context.grid.meter, bar)
    struck_steps = [step for step, sign in enumerate(signs) if sign != "."]
    return max((b for b in context.grid.beats if struck_steps and b <= struck_steps[0]), default=context.grid.steps)


def _play_fill(part: Part, context: SongContext, passage: Passage, bar: int, fill: str) -> list[Event]:
    events = []
    for stroke in strokes(fit(fill, context.grid.meter, bar)):
        pitch = {"s": SNARE, "k": KICK}.get(stroke.sign) or TOMS[min(int(stroke.sign), len(TOMS)) - 1]
        level = loudness(part, context, passage, 0, False) - 14 + stroke.step
        events.append(Event(pitch, context.quarter(passage, bar, stroke.step), STEP, max(20, min(127, level))))
    return events


def _roll(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """A snare through the last four bars of a section that doubles its pace twice."""
    events = []
    for bar in range(max(0, passage.n_played - 4), passage.n_played):
        left = passage.n_played - bar
        for step in range(0, context.grid.steps, 1 if left == 1 else 2 if left == 2 else 4):
            level = loudness(part, context, passage, step, False) - 10 - 3 * left
            events.append(Event(SNARE, context.quarter(passage, bar, step), STEP, max(20, min(120, level))))
    return events


def _last_hit(
    part: Part, context: SongContext, passage: Passage, groove: tuple[Groove, ...], fills: bool
) -> list[Event]:
    start = context.quarter(passage, len(passage.bars) - 1)
    pitches = (KICK, CRASH) if fills else (groove[0].pitch,)
    return [Event(p, start, context.grid.quarters, loudness(part, context, passage, 0, False) - 8) for p in pitches]
