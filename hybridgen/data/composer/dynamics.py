"""Dynamics: how loud sections, the bars of a phrase and the beats of a bar are against each other.

Players give each note the level of its section, its place in the bar and its accent. Here phrases get their arcs, each
role as far as its genre goes, in whole steps of the grid of velocities: a bar that returns louder returns as it was.
"""

from hybridgen.data.composer.context import PHRASE, Event, Passage, SongContext
from hybridgen.data.composer.players import Part
from hybridgen.data.composer.rhythm import BEAT_CELLS
from hybridgen.data.composer.style import Style
from hybridgen.plan.notes import VELOCITY_STEP

BUILD_SWELL, LIFT_SWELL, END_FADE = (-12.0, 8.0), (-3.0, 3.0), (0.0, -8.0)  # velocity from a section's start to its end
ARCS = ((-0.5, 0.0, 0.5, 0.0), (-0.5, -0.2, 0.2, 0.5), (0.0, 0.5, 0.0, -0.5))  # of a phrase, bar by bar
# how much of its genre's arc a role makes, and of its accents
ARC_OF = {"drums": 0.5, "percussion": 0.5, "bass": 0.5, "strings": 1.5, "lead": 1.5, "winds": 1.5}
ACCENT_OF = {"drums": 0.5, "percussion": 0.5, "pad": 0.0, "strings": 0.5}
CONTOUR = 0.5  # velocity for each semitone over the mean of a melody's bar


def section_curve(context: SongContext, passages: tuple[Passage, ...], fades: bool) -> list[tuple[float, float]]:
    """(quarter notes, change of velocity): builds grow, sections before stronger ones lead there, the end may fade."""
    curve = []
    for passage in passages:
        low, high = BUILD_SWELL if passage.label == "build" else END_FADE if passage.closing and fades else (0.0, 0.0)
        if passage.lifts and passage.label != "build":
            low, high = LIFT_SWELL
        end = context.quarter(passage, len(passage.bars))
        curve += [(context.quarter(passage, 0), low), (end - 0.01, high)]
    return curve


def shaped(events: list[Event], part: Part, style: Style, context: SongContext, passage: Passage) -> list[Event]:
    """The notes of a part in a section with the arcs of its phrases and the accents of its genre."""
    arc = context.choices("arc", passage.label).choice(ARCS)
    depth = style.arc * ARC_OF.get(part.role, 1.0)
    accents = _accents(style, part, context)
    bars: dict[int, list[Event]] = {}
    for event in events:
        bars.setdefault(int(event.start / context.grid.quarters + 1e-6), []).append(event)
    out = []
    for bar, own in bars.items():
        rise = VELOCITY_STEP * round(depth * arc[(bar - passage.first_bar) % PHRASE])
        middle = sum(event.pitch for event in own) / len(own)
        for event in own:
            step = round((event.start - bar * context.grid.quarters) * 4)
            level = event.velocity + rise + accents.get(step, 0)
            if part.turns:
                level += round(CONTOUR * max(-12.0, min(12.0, event.pitch - middle)))
            out.append(Event(event.pitch, event.start, event.length, max(12, min(127, level))))
    return out


def _accents(style: Style, part: Part, context: SongContext) -> dict[int, int]:
    """Step -> velocity of the beats that the genre leans on, each where its cell is played in the meter."""
    share = ACCENT_OF.get(part.role, 1.0)
    cells = BEAT_CELLS[context.grid.meter][0]
    return {step: round(share * style.accents[cell]) for step, cell in zip(context.grid.beats, cells, strict=True)}
