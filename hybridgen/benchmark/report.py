"""What a run has found: bench.json with every figure, bench.md with the table, bench.png."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybridgen import plot
from hybridgen.benchmark.agreement import Agreement
from hybridgen.benchmark.measure import Limits, Spread
from hybridgen.benchmark.rows import Row, Side
from hybridgen.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("what", "beside", "unit", "ours", "theirs", "ratio", "of the limit", "memory, MB", "parameters, M")
LEGEND = (
    "Medians of calls that took turns, in brackets the least and the most. Ratio: ours over theirs, above 1 we are "
    "faster. Of the limit: ours / theirs, as a share of what the machine was measured to do; of steps, the weights "
    "that have to be read over the bytes copied a second (above 100 % where they stay in a cache), of renders and "
    "decoders their operations over those of a matrix product. Memory: ours / theirs, resident at most in a process of "
    "its own, in brackets without the interpreter and its packages. Parameters: of the layers that are compared. The "
    "peers have random weights: only speed and memory are compared."
)
FASTER, SLOWER = "#3b4cc0", "#b0b0bc"


@dataclass(frozen=True)
class Report:
    """All that one run has found."""

    model: str
    task: dict[str, float]  # how much was made, by name
    machine: dict[str, str]  # where, and with which versions
    limits: Limits
    agreements: list[Agreement]
    rows: list[Row]

    def to_json(self) -> str:
        """Every figure, with the ratios."""
        ratios = [asdict(row) | {"ratio": row.ratio} for row in self.rows]
        return json.dumps(asdict(self) | {"rows": ratios}, indent=1, ensure_ascii=False) + "\n"


def write(report: Report, out: Path) -> str:
    """Writes the three files to `out`; returns the table that a terminal shows."""
    with atomic_write(out / "bench.json") as file:
        file.write_text(report.to_json(), encoding="utf-8")
    with atomic_write(out / "bench.md") as file:
        file.write_text(page(report), encoding="utf-8")
    with atomic_write(out / "bench.png") as file:
        plot.write(draw(report.rows), file, ".png")
    return "\n".join([limit_line(report), "", *aligned([COLUMNS, *map(cells, report.rows)])])


def page(report: Report) -> str:
    """The report as Markdown."""
    lines = [
        f"# {report.model} beside its peers",
        "",
        limit_line(report),
        "",
        *markdown(COLUMNS, map(cells, report.rows)),
        "",
        LEGEND,
        "",
        "![](bench.png)",
        "",
        "## With the same weights",
        "",
        *markdown(
            ("layer", "beside", "largest difference", "allowed"),
            ((one.what, one.peer, f"{one.error:.1e}", f"{one.tolerance:.0e}") for one in report.agreements),
        ),
        "",
        "## What was measured, and where",
        "",
        *markdown(("", ""), [(key, str(value)) for key, value in {**report.task, **report.machine}.items()]),
    ]
    return "\n".join(lines) + "\n"


def limit_line(report: Report) -> str:
    """What the machine can do."""
    limits = report.limits
    return (
        f"{report.machine['device']}, {report.machine['threads']} threads: {limits.bandwidth / 1e9:.1f} GB/s copied, "
        f"{limits.matrix / 1e9:,.0f} billion operations/s of matrix products"
    )


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row; one that was not measured says why."""
    what = f"{row.what}, busy core" if row.is_busy else row.what
    if row.ours is None or row.theirs is None:
        return (what, row.peer, row.unit, row.note, *[""] * 5)
    sides = (row.ours, row.theirs)
    return (
        what,
        row.peer,
        row.unit,
        *(_spread(side.rate) for side in sides),
        f"{row.ratio:.2f}",
        " / ".join("–" if side.share is None else f"{100 * side.share:.0f} %" for side in sides),
        " / ".join(map(_memory, sides)),
        " / ".join(f"{side.parameters / 1e6:.2f}" for side in sides),
    )


def _spread(rate: Spread) -> str:
    median, low, high = (f"{value:,.{_digits(rate.median)}f}" for value in (rate.median, rate.low, rate.high))
    return f"{median} ({low}–{high})"


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def _memory(side: Side) -> str:
    if side.memory is None:
        return "–"
    return f"{side.memory.peak / 1e6:.0f} ({side.memory.work / 1e6:.0f})"


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *lines)]


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table for a terminal; a note may be wider than its column."""
    widths = [max(len(line[i]) for line in lines if any(line[4:])) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def draw(rows: Sequence[Row]) -> "Figure":
    """How many times as fast as the peer we are, a bar for every row that was measured."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.ratio is not None][::-1]
    figure = Figure(figsize=(9.0, 1.2 + 0.42 * len(shown)), layout="constrained")
    axes = figure.subplots()
    ratios = [row.ratio or 0.0 for row in shown]
    names = [f"{row.what}{', busy core' if row.is_busy else ''}\nbeside {row.peer}" for row in shown]
    bars = axes.barh(names, ratios, color=[FASTER if ratio >= 1 else SLOWER for ratio in ratios], height=0.7)
    axes.bar_label(bars, [f" {ratio:.2f}" for ratio in ratios], fontsize=8, color=plot.INK)
    axes.axvline(1.0, color=plot.GRID, linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as the peer", fontsize=8)
    axes.tick_params(length=0, labelsize=7)
    axes.margins(x=0.12)
    return figure
