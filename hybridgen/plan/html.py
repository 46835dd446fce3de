"""A plan as a compact table for a notebook."""

from html import escape

from hybridgen.plan.score import Score
from hybridgen.plan.serial import summary

MAX_ROWS = 40  # sections shown
MAX_CHORDS = 16  # bars of a section whose chords are shown


def table(plan: Score) -> str:
    """The prompt and the facts in a caption, then a row for each section: label, bars, energy, roles, chords."""
    rows, first = [], 1
    for section in plan.sections[:MAX_ROWS]:
        last = first + len(section.bars) - 1
        roles = "unknown" if section.roles is None else ", ".join(section.roles) or "silence"
        chords = ["?" if bar.chords is None else " ".join(bar.chords) for bar in section.bars[:MAX_CHORDS]]
        more = " …" if len(section.bars) > MAX_CHORDS else ""
        energy = "?" if section.energy is None else str(section.energy)
        cells = (section.label or "?", f"{first}-{last}", energy, roles, " | ".join(chords) + more)
        rows.append("".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in cells))
        first = last + 1
    if len(plan.sections) > MAX_ROWS:
        rows.append(f"<td colspan='5'>… {len(plan.sections) - MAX_ROWS} more sections</td>")
    head = "".join(f"<th>{name}</th>" for name in ("section", "bars", "energy", "roles", "chords"))
    caption = f"<caption><b>{escape(plan.prompt[:200])}</b> {escape(summary(plan))}</caption>"
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>{caption}<tr>{head}</tr>{body}</table>"
