"""Drums and percussion: grooves whose layers enter with energy, and fills that lead into the next section."""

from hybridgen.data.composer.context import Event, Passage, SongContext
from hybridgen.data.composer.players import GHOST, Groove, Part, loudness, stroke_level
from hybridgen.data.composer.rhythm import STEP, fit, strokes

KICK, RIM, SNARE, CLAP, CLOSED, PEDAL, OPEN, CRASH, RIDE = 36, 37, 38, 39, 42, 44, 46, 49, 51
TAMBOURINE, COWBELL, CABASA, MARACAS, CLAVES = 54, 56, 69, 70, 75
HIGH_BONGO, LOW_BONGO, MUTE_CONGA, OPEN_CONGA, LOW_CONGA, TRIANGLE = 60, 61, 62, 63, 64, 81
TOMS = (50, 48, 47, 45, 43)
PULSES = (CLOSED, CABASA, MARACAS)  # these play several notes to a beat
QUIET_LABELS = ("intro", "break", "interlude")

SIGNS = {"s": SNARE, "g": SNARE, "i": RIM, "c": CLAP, "k": KICK, "o": OPEN, "r": RIDE}  # of fills; g is a ghost note
SIGNS |= dict(zip("thmlf", TOMS, strict=True))  # from the highest
INSIDE = 0.45  # share of phrases inside a section that end with a fill
FILL_SWELL = (-16, 6)  # velocity from the start of a bar's second half, and at its end: every fill grows


def groove_for(part: Part, context: SongContext) -> tuple[Groove, ...]:
    """The groove of this song."""
    return context.choices("groove", part.role).choice(part.kits)


def kick_of(cast: tuple[Part, ...], context: SongContext) -> str:
    """The figure of the song's kick, "" where there is none."""
    grooves = [groove_for(part, context) for part in cast if part.role == "drums"]
    return next((drum.figure for groove in grooves for drum in groove if drum.pitch == KICK), "")


def drums(part: Part, context: SongContext, passage: Passage) -> list[Event]:
    """The groove, whose layers enter with the energy, with fills that lead into what comes next."""
    groove = groove_for(part, context)
    events: list[Event] = []
    for bar in range(passage.n_played):
        fill = _fill_for(part, context, passage, bar)
        stop = _fill_start(fill, context, bar) if fill else context.grid.steps
        for drum in groove:
            if drum.enters <= passage.entering:
                events += _play_bar(part, context, passage, bar, drum, stop)
        events += _play_fill(part, context, passage, bar, fill) if fill else []
    if part.fills and passage.label == "build":
        events += _roll(part, context, passage)
    return events + _landing(part, context, passage, events) + _last_hit(part, context, passage, groove)


def _fill_for(part: Part, context: SongContext, passage: Passage, bar: int) -> str:
    """The fill of a bar, "" for none: a full one before a stronger section, short ones before others and in between."""
    if part.fills is None or passage.label == "build" or passage.entering < 2 or len(passage.bars) < 2:
        return ""
    if bar == passage.n_played - 1:
        rng = context.choices("fill", part.role, passage.label, passage.turn)
        is_full = passage.lifts or passage.energy >= 5
        return rng.choice(part.fills.full if is_full else part.fills.half)
    end = passage.phrase_end(bar)
    if end is None:
        return ""
    rng = context.choices("fill", part.role, *end)
    return rng.choice(part.fills.half) if rng.random() < INSIDE else ""


def _landing(part: Part, context: SongContext, passage: Passage, events: list[Event]) -> list[Event]:
    """What marks the first beat of a section with some energy, where the groove does not strike it anyway."""
    if part.fills is None or passage.energy < 3 or passage.label in QUIET_LABELS or not passage.n_played:
        return []
    start = context.quarter(passage, 0)
    struck = {event.pitch for event in events if event.start == start}
    level = loudness(part, context, passage, 0, True)
    return [Event(pitch, start, 2.0, level) for pitch in part.fills.landing if pitch not in struck]


def _play_bar(part: Part, context: SongContext, passage: Passage, bar: int, drum: Groove, stop: int) -> list[Event]:
    out = []
    keeps_pulse = drum.pitch in PULSES
    for stroke in strokes(fit(drum.figure, context.grid.meter, bar)):
        off_beat = keeps_pulse and context.weight(stroke.step) < 2
        if stroke.step >= stop or (off_beat and context.is_slow and passage.energy < 5):
            continue
        level = stroke_level(part, context, passage, stroke) + drum.velocity - (8 if off_beat else 0)
        start = context.quarter(passage, bar, stroke.step)
        out.append(Event(drum.pitch, start, stroke.length * STEP, max(12, min(127, level))))
    return out


def _fill_start(fill: str, context: SongContext, bar: int) -> int:
    signs = fit(fill, context.grid.meter, bar)
    struck_steps = [step for step, sign in enumerate(signs) if sign != "."]
    return max((b for b in context.grid.beats if struck_steps and b <= struck_steps[0]), default=context.grid.steps)


def _play_fill(part: Part, context: SongContext, passage: Passage, bar: int, fill: str) -> list[Event]:
    """The strokes of a fill, each as loud as the last or louder but for ghost notes."""
    middle = context.grid.steps / 2
    events = []
    for stroke in strokes(fit(fill, context.grid.meter, bar)):
        swell = FILL_SWELL[0] + (FILL_SWELL[1] - FILL_SWELL[0]) * max(0.0, stroke.step / middle - 1)
        level = loudness(part, context, passage, 0, False) + round(swell) - (GHOST // 2 if stroke.sign == "g" else 0)
        start = context.quarter(passage, bar, stroke.step)
        events.append(Event(SIGNS[stroke.sign], start, STEP, max(20, min(127, level))))
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


def _last_hit(part: Part, context: SongContext, passage: Passage, groove: tuple[Groove, ...]) -> list[Event]:
    if not passage.closing:
        return []
    start = context.quarter(passage, len(passage.bars) - 1)
    pitches = part.fills.landing if part.fills else (groove[0].pitch,)
    return [Event(p, start, context.grid.quarters, loudness(part, context, passage, 0, False) - 8) for p in pitches]
