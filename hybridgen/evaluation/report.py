"""The report of an evaluation: report.json with every figure, report.md with tables of figures beside their floors."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybridgen.evaluation import pictures
from hybridgen.evaluation.checks import checks
from hybridgen.evaluation.results import nan_to_null
from hybridgen.evaluation.summary import CONTROL, DISTANCES, MIX, MIX_ROWS, NOTE_ROWS, ROWS, RUNGS
from hybridgen.files import atomic_write

BY_GENRE = ("tempo_acc1", "beat_ms", "key_rank1", "chord_majmin", "genre", "roles", "above_12k")

NOTES = (
    "Onsets within 50 ms and of the right pitch (or kind of drum), as a small network hears them. Alone: the role by "
    "itself, F-measure. In the mix: the share of the role's notes that are heard. The floor is the first column. "
    "Contour: steps of the lead up and down that are heard. Chroma (correlation) and log-mel (dB off): of the codec "
    "against the song, of renders against what the codec makes of the song. Repetition: bars of returning sections "
    "that return, of the composer's plans and the model's."
)
MIX_LEGEND = (
    "What a producer measures of a sound alone: medians and quartiles. Inside: whether the median of the generated "
    "tracks lies between the quartiles of the composer's songs."
)
WITHOUT_NOTES = "The renderer takes no notes: single roles and repetition are not checked."
NOTE_MEASURES = {"alone": "{} alone", "mix": "{} in the mix", "whole": "{}"}

Report = dict[str, Any]  # the sections of `summary.summarize`, and what `run.evaluate` adds


def write(report: Report, out: Path) -> str:
    """Writes report.json, report.md and ladder.png to `out`; returns the tables that a terminal shows."""
    report = {**report, "checks": [{**asdict(check), "passed": check.passed} for check in checks(report)]}
    pictures.draw_ladder(report["ladder"], report["ladder_floor"], out / "ladder.png")
    write_text(out / "report.json", json.dumps(nan_to_null(report), indent=1, ensure_ascii=False) + "\n")
    write_text(out / "report.md", page(report, out))
    return "\n".join([*control_table(report), "", *ladder_table(report), "", *check_table(report)])


def write_text(path: Path, text: str) -> None:
    """Writes a text file, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(report: Report, out: Path) -> str:
    """The report as Markdown."""
    size, speed = report["size"], report["speed"]
    tracks = ", ".join(f"{count} of {seconds} s" for seconds, count in size["prompts"])
    n, d = report["ladder"]["real"]["n"], report["ladder"]["real"]["d"]
    lines = [
        f"# Evaluation of {report['model']}",
        "",
        f"Prompts: {tracks}; {size['n_references']} other songs as the reference. Songs: composed with seed "
        f"{report['songs_seed']}, which no training uses; each track's seed is its song's index.",
        "",
        f"Speed: {speed['track_seconds']:g} s of music in {speed['seconds']:.1f} s on {speed['threads']} threads, "
        f"{speed['times_real_time']:.1f} times real time, {speed['planning_seconds']:.1f} s of them for score and "
        f"notes. Weights: {report['weights_mb']:.1f} MB.",
        *("", "## Checks", "", *check_table(report)),
        *("", "## Control", ""),
        "Floor: the same estimators on the composer's own songs. Codec: on those songs after the codec. The F-measure "
        "of beats (70 ms, first seconds included), the weighted key score and the maj/min accuracy of chords are "
        "mir_eval's; structure and the rest are our own.",
        *("", *control_table(report), "", *length_table(report)),
        *("", "By genre, model / floor:", "", *genre_table(report)),
        *("", "## Distance from other songs", "", "![](ladder.png)", ""),
        f"Sets of {n} sounds as embedded with their plans, in the {d // 2} directions in which the reference's sound "
        f"varies most, and the {d // 2} in which its fit to the plans does.",
        *("", *ladder_table(report)),
        *("", "## Notes", "", NOTES, "", *note_table(report)),
        *("", "## The mix", "", MIX_LEGEND, "", *mix_table(report)),
        *("", "## The codec", "", "Medians over songs.", "", *codec_table(report)),
        *(
            "",
            "Second differences of the samples at borders, against those around them (local) and in the whole track; "
            "1 = no clicks.",
            "",
            *click_table(report),
        ),
        *clap_lines(report),
        *("", "## Pictures", "", "Left: generated. Right: the composer's song.", ""),
        *(f"- {track['prompt']}\n\n  ![]({i}.png)" for i, track in pictured(report, out)),
        *("", "## Versions", "", *table(["", ""], [*report["weights"].items(), *report["versions"].items()])),
    ]
    return "\n".join(lines) + "\n"


def pictured(report: Report, out: Path) -> list[tuple[int, dict[str, Any]]]:
    """(number, track) of the tracks that have a picture."""
    first = report["size"]["prompts"][0][0]
    tracks = enumerate((track for track in report["tracks"] if track["seconds"] == first), start=1)
    return [(i, track) for i, track in tracks if i <= report["size"]["n_pictures"] and (out / f"{i}.png").exists()]


# ---- tables


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|", *lines]


def cell(value: object) -> str:
    """Three digits of a number, a dash for none."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "–"
    return "–" if value is None else str(value)


def check_table(report: Report) -> list[str]:
    """Every check with its bound, and what is not checked of a model whose renderer takes no notes."""
    rows = [
        (check["name"], check["value"], f"{check['relation']} {check['bound']:.3g}", check["passed"])
        for check in report["checks"]
    ]
    left_out = [] if report["notes"]["alone"] else ["", WITHOUT_NOTES]
    return [*table(["check", "value", "bound", "passed"], rows), *left_out]


def control_table(report: Report) -> list[str]:
    """Every measure of the control beside its floor."""
    names = (*ROWS, "chance", "n")
    rows = [(label, *(report["control"][measure].get(name) for name in names)) for measure, label in CONTROL.items()]
    return table(["measure", *names], rows)


def length_table(report: Report) -> list[str]:
    """Model and floor by the tracks' length."""
    lengths = list(next(iter(report["control"].values()))["by_length"])
    rows = [(label, *(_pair(report["control"][m]["by_length"][s]) for s in lengths)) for m, label in CONTROL.items()]
    return table(["model / floor", *(f"{seconds} s" for seconds in lengths)], rows)


def genre_table(report: Report) -> list[str]:
    """Model and floor by genre."""
    genres = report["control"]["genre"]["by_genre"]
    rows = [
        (genre, figures["n"], *(_pair(report["control"][measure]["by_genre"][genre]) for measure in BY_GENRE))
        for genre, figures in genres.items()
    ]
    return table(["genre", "n", *BY_GENRE], rows)


def _pair(figures: dict[str, float]) -> str:
    return f"{cell(figures['value'])} / {cell(figures['floor'])}"


def ladder_table(report: Report) -> list[str]:
    """Every rung's distances with their intervals, and the floor."""
    rows: list[tuple[str, ...]] = [
        (
            name,
            meaning,
            *(f"{step[f'{d}_distance']:.3g} ({step[f'{d}_low']:.3g} to {step[f'{d}_high']:.3g})" for d in DISTANCES),
        )
        for name, meaning, step in ((name, RUNGS[name], step) for name, step in report["ladder"].items())
    ]
    floor = report["ladder_floor"]
    floors = (f"{floor[f'{d}_mean']:.3g} (95 %: {floor[f'{d}_high']:.3g})" for d in DISTANCES)
    rows.append(("floor", f"{floor['n']} of the reference against its others", *floors))
    return table(["rung", "", "kernel distance x 1000", "Fréchet distance"], rows)


def note_table(report: Report) -> list[str]:
    """How the notes that are heard agree with the plans, by role, and the whole."""
    rows = [
        (NOTE_MEASURES[measure].format(what), *(values.get(row) for row in NOTE_ROWS))
        for measure, by_what in report["notes"].items()
        for what, values in sorted(by_what.items())
    ]
    return table(["", *NOTE_ROWS], rows)


def mix_table(report: Report) -> list[str]:
    """Level, balance, width and attacks of songs, of the codec's version of them, and of generated tracks."""

    def spread(figures: dict[str, float] | None) -> str | None:
        if figures is None:
            return None
        return f"{cell(figures['median'])} ({cell(figures['low'])} to {cell(figures['high'])})"

    rows: list[tuple[object, ...]] = []
    for name, by_row in report["mix"].items():
        inside = None
        if "real" in by_row and "generated" in by_row:
            inside = by_row["real"]["low"] <= by_row["generated"]["median"] <= by_row["real"]["high"]
        rows.append((MIX.get(name, name), *(spread(by_row.get(row)) for row in MIX_ROWS), inside))
    return table(["", *MIX_ROWS, "inside"], rows)


def codec_table(report: Report) -> list[str]:
    """Distortions of the codec and of two well-known corruptions."""
    columns = list(report["codec"]["codec"])
    rows = [(way, *(row.get(column) for column in columns)) for way, row in report["codec"].items()]
    return table(["", *columns], rows)


def click_table(report: Report) -> list[str]:
    """Clicks at each kind of border."""
    borders = [(border, name) for border, values in report["clicks"]["real"].items() for name in values]
    rows = [(row, *(at[border][name] for border, name in borders)) for row, at in report["clicks"].items()]
    return table(["", *(", ".join(border) for border in borders)], rows)


def clap_lines(report: Report) -> list[str]:
    """CLAP's scores, if a checkpoint was given."""
    scores = report["clap"]
    return [] if scores is None else ["", "CLAP score, cosine:", "", *table(list(scores), [scores.values()])]
