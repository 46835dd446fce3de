"""A plan as a small picture (SVG): sections above, a lane for each role, every note in it."""

from html import escape

from hybridgen.plan.parts import ROLES
from hybridgen.plan.score import Score

WIDTH, LANE, HEAD, LABEL = 720, 26, 18, 64  # pixels: of all of it, a role's lane, the sections, the roles' names
MAX_NOTES = 4000  # of a role that are drawn; of more the first
MIN_SEMITONES = 12  # of a lane
COLORS = ("#5b5bd6", "#0fb5ae")  # of sections, in turn
NOTE, TEXT = "#5b5bd6", "currentColor"  # readable on light and dark


def svg(plan: Score) -> str:
    """The picture of a plan, as wide as its place allows; a role whose notes are unknown has an empty lane."""
    said = {role for section in plan.sections for role in section.roles or ()}
    roles = [role for role in ROLES if role in said or not plan.part(role).is_unknown]
    height, scale = HEAD + LANE * len(roles), (WIDTH - LABEL) / max(plan.length, 1)
    parts = [*_sections(plan, scale, height), *_names(roles)]
    parts += [_notes(plan, role, scale, HEAD + lane * LANE) for lane, role in enumerate(roles)]
    return (
        f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='the plan' style='max-width:{WIDTH}px;width:100%;"
        f"font:10px sans-serif' xmlns='http://www.w3.org/2000/svg'>{''.join(parts)}</svg>"
    )


def _sections(plan: Score, scale: float, height: int) -> list[str]:
    """A band for each section, with its name."""
    starts, parts, bar = plan.bar_starts(), [], 0
    for number, section in enumerate(plan.sections):
        x = LABEL + starts[bar] * scale
        bar += len(section.bars)
        width = LABEL + min(starts[bar], plan.length) * scale - x
        color = COLORS[number % 2]
        parts.append(
            f"<rect x='{x:.1f}' y='0' width='{max(width, 0):.1f}' height='{height}' fill='{color}' fill-opacity='.12'/>"
        )
        if width > 6 * len(section.label or "?"):
            parts.append(f"<text x='{x + 4:.1f}' y='12' fill='{TEXT}'>{escape(section.label or '?')}</text>")
    return parts


def _names(roles: list[str]) -> list[str]:
    return [
        f"<text x='0' y='{HEAD + lane * LANE + LANE / 2 + 3:.0f}' fill='{TEXT}'>{escape(role)}</text>"
        for lane, role in enumerate(roles)
    ]


def _notes(plan: Score, role: str, scale: float, top: int) -> str:
    """One path with a line for each known note of a role; higher ones are higher in the lane."""
    spans, notes = plan.note_samples(role)
    if not len(spans):
        return ""
    low, high = min(note.pitch for note in notes), max(note.pitch for note in notes)
    low -= max(0, MIN_SEMITONES - (high - low)) // 2
    step, bottom = (LANE - 6) / max(MIN_SEMITONES, high - low), top + LANE - 3
    lines = [
        f"M{LABEL + start * scale:.1f} {bottom - (note.pitch - low) * step:.1f}h{max((stop - start) * scale, 1):.1f}"
        for (start, stop), note in zip(spans, notes, strict=True)
    ]
    return f"<path d='{''.join(lines[:MAX_NOTES])}' stroke='{NOTE}' stroke-width='2'/>"
