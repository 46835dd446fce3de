"""The page of train/eval.py: tables of figures beside their floors, and pictures."""

import json
import math
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridgen import plot
from hybridgen.plan import SAMPLE_RATE, Plan
from train.figures import CONTROL, DISTANCES, ROWS, RUNGS, checks, without_nan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY_GENRE = ("tempo_acc1", "beat_ms", "key_rank1", "chord_majmin", "genre", "roles", "above_12k")
COLORS = 48  # of a picture, which keeps it small


def write(report: dict, out: Path) -> str:
    """Writes report.json, report.md and ladder.png to `out`; returns the tables that a terminal shows."""
    report = {**report, "checks": checks(report)}
    (out / "report.json").write_text(json.dumps(without_nan(report), indent=1, ensure_ascii=False) + "\n")
    draw_ladder(report["ladder"], report["ladder_floor"], out / "ladder.png")
    (out / "report.md").write_text(page(report, out), encoding="utf-8")
    return "\n".join([*control_table(report), "", *ladder_table(report), "", *check_table(report)])


def page(report: dict, out: Path) -> str:
    """The report as Markdown."""
    size, speed = report["size"], report["speed"]
    tracks = ", ".join(f"{count} of {seconds} s" for seconds, count in size["prompts"])
    n, d = report["ladder"]["real"]["n"], report["ladder"]["real"]["d"]
    lines = [
        f"# {report['model']}, measured",
        "",
        f"Prompts: {tracks}; {size['references']} other songs as the reference. Songs: composed with seed "
        f"{report['songs_seed']}, which no training uses; each track's seed is its song's index.",
        "",
        f"Speed: {speed['track_seconds']:g} s of music in {speed['seconds']:.1f} s on {speed['threads']} threads, "
        f"{speed['times_real_time']:.1f} times real time. Weights: {report['weights_mb']:.1f} MB.",
        *("", "## What passes", "", *check_table(report)),
        *("", "## What is heard", ""),
        "Floor: the same estimators on the composer's own songs. Codec: on those songs after the codec.",
        *("", *control_table(report), "", *length_table(report)),
        *("", "By genre, model / floor:", "", *genre_table(report)),
        *("", "## How far from other songs", "", "![](ladder.png)", ""),
        f"Sets of {n} sounds as seen through their plans, in the {d // 2} directions in which the reference's sound "
        f"varies most, and the {d // 2} in which its fit to the plans does.",
        *("", *ladder_table(report)),
        *("", "## The codec", "", "Medians over songs.", "", *codec_table(report)),
        *(
            "",
            "Bends of the wave at borders, against those around them (local) and in the whole track; 1 = no clicks.",
            "",
            *click_table(report),
        ),
        *agreement_lines(report),
        *("", "## Seen", "", "Left: generated. Right: the composer's song.", ""),
        *(f"- {row['prompt']}\n\n  ![]({i}.png)" for i, row in pictured(report, out)),
        *("", "## Made with", "", *table(["", ""], [*report["weights"].items(), *report["versions"].items()])),
    ]
    return "\n".join(lines) + "\n"


def pictured(report: dict, out: Path) -> list[tuple[int, dict]]:
    """(number, track) of the tracks that have a picture."""
    first = report["size"]["prompts"][0][0]
    rows = enumerate((row for row in report["tracks"] if row["seconds"] == first), start=1)
    return [(i, row) for i, row in rows if i <= report["size"]["pictures"] and (out / f"{i}.png").exists()]


def table(columns: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Markdown lines."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|", *lines]


def cell(value: object) -> str:
    """Three digits of a number, a dash for none."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "–"
    return "–" if value is None else str(value)


def check_table(report: dict) -> list[str]:
    rows = [(row["name"], row["value"], f"{row['sense']} {row['bound']:.3g}", row["holds"]) for row in report["checks"]]
    return table(["check", "value", "bound", "holds"], rows)


def control_table(report: dict) -> list[str]:
    names = (*ROWS, "chance", "n")
    rows = [(label, *(report["control"][measure].get(name) for name in names)) for measure, label in CONTROL.items()]
    return table(["heard", *names], rows)


def length_table(report: dict) -> list[str]:
    lengths = list(next(iter(report["control"].values()))["by_length"])
    rows = [(label, *(_pair(report["control"][m]["by_length"][s]) for s in lengths)) for m, label in CONTROL.items()]
    return table(["model / floor", *(f"{seconds} s" for seconds in lengths)], rows)


def genre_table(report: dict) -> list[str]:
    genres = report["control"]["genre"]["by_genre"]
    rows = [
        (genre, figures["n"], *(_pair(report["control"][measure]["by_genre"][genre]) for measure in BY_GENRE))
        for genre, figures in genres.items()
    ]
    return table(["genre", "n", *BY_GENRE], rows)


def _pair(figures: dict[str, float]) -> str:
    return f"{cell(figures['value'])} / {cell(figures['floor'])}"


def ladder_table(report: dict) -> list[str]:
    rows = [
        (
            name,
            meaning,
            *(f"{step[f'{d}_distance']:.3g} ({step[f'{d}_low']:.3g} to {step[f'{d}_high']:.3g})" for d in DISTANCES),
        )
        for (name, meaning), step in zip(RUNGS.items(), report["ladder"].values(), strict=True)
    ]
    floor = report["ladder_floor"]
    floors = (f"{floor[f'{d}_mean']:.3g} (95 %: {floor[f'{d}_high']:.3g})" for d in DISTANCES)
    rows.append(("floor", f"{floor['n']} of the reference against its others", *floors))
    return table(["rung", "", "kernel distance x 1000", "Fréchet distance"], rows)


def codec_table(report: dict) -> list[str]:
    columns = list(report["codec"]["codec"])
    rows = [(way, *(row.get(column) for column in columns)) for way, row in report["codec"].items()]
    return table(["", *columns], rows)


def click_table(report: dict) -> list[str]:
    borders = [(border, name) for border, values in report["clicks"]["real"].items() for name in values]
    rows = [(row, *(at[border][name] for border, name in borders)) for row, at in report["clicks"].items()]
    return table(["", *(", ".join(border) for border in borders)], rows)


def agreement_lines(report: dict) -> list[str]:
    agreement = report["prompt_agreement"]
    if agreement is None:
        return []
    return ["", "Prompts and sounds, CLAP's cosine:", "", *table(list(agreement), [agreement.values()])]


# ---------------------------------------------------------------------------------------------- pictures


def draw_ladder(steps: dict[str, dict[str, float]], floor: dict[str, float], path: Path) -> None:
    """Bars of the kernel distances with their intervals; the line is the floor's 95 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.subplots()
    found = np.array([steps[row]["kernel_distance"] for row in RUNGS])
    ends = np.array([[steps[row]["kernel_low"], steps[row]["kernel_high"]] for row in RUNGS]).T
    errors = np.maximum(np.stack([found - ends[0], ends[1] - found]), 0.0)
    axes.barh(list(RUNGS), found, xerr=errors, color="#3b4cc0", ecolor=plot.INK, height=0.6)
    axes.axvline(floor["kernel_high"], color=plot.GRID, linewidth=1.0)
    axes.invert_yaxis()
    axes.set_xlabel("kernel distance x 1000 to other songs; the line: 95 % of songs among themselves", fontsize=8)
    axes.tick_params(labelsize=8)
    save_small(figure, path)


def draw_pair(generated: tuple[np.ndarray, Plan], real: tuple[np.ndarray, Plan], path: Path) -> None:
    """Two sounds (2, N) beside each other with their plans: sections, roles, spectrogram."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 4.6), layout="constrained")
    grid = figure.subplots(3, 2, sharex="col", height_ratios=(0.4, 1.0, 3.0))
    for column, name, (samples, plan) in zip(grid.T, ("generated", "real"), (generated, real), strict=True):
        plot.draw_sections(column[0], plan)
        plot.draw_roles(column[1], plan)
        plot.draw_spectrogram(column[2], samples, plan)
        column[2].set_xlim(0.0, samples.shape[-1] / SAMPLE_RATE)
        column[0].set_title(f"{name}: {plot.title(plan).split('    ')[-1]}", loc="left", fontsize=9, color=plot.INK)
    save_small(figure, path)


def save_small(figure: "Figure", path: Path) -> None:
    """Writes a figure as a PNG of few colours, whole or not at all."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, dpi=80, format="png")
    picture = Image.open(drawn).convert("RGB").quantize(COLORS)
    part = path.with_name(f".{path.name}")
    picture.save(part, format="png", optimize=True)
    part.replace(path)
