"""From the items of train/eval.py to figures: each beside its floor, and what passes.

n tracks, d numbers of an embedding.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hybridgen.metrics import distances, embedding, hearing
from hybridgen.metrics.distances import Basis
from hybridgen.metrics.hearing import Hearing

if TYPE_CHECKING:
    from train.eval import Question

    Found = list[tuple[str, Question, dict]]  # (kind, question, what the item found)

RUNGS = {
    "real": "other songs of the composer",
    "codec": "the same songs through the codec",
    "oracle": "rendered from their true plans and codes",
    "generated": "generated from their captions",
    "shuffled": "generated, held against another prompt's plan",
    "none": "rendered without being told of the plan",
    "noise": "white noise",
}
PARTS = (embedding.SOUND, embedding.FIT)  # of the ladder's embeddings, which weigh alike
DIMENSIONS, SONGS_EACH = 16, 4  # components of the reference at most, of all parts; fewer than 4 songs each overfit
ROWS = {"value": "generated", "floor": "real", "codec": "codec"}  # names in the report -> of the items' hearings
CONTROL = {
    "tempo_acc1": "tempo within 4 % (octave errors are wrong)",
    "tempo_octave": "tempo an octave off",
    "beat_ms": "beats off the plan's grid, median, ms",
    "drift_percent": "drift over the track, median, %",
    "key_rank1": "asked key ranked first",
    "key_rank2": "asked key ranked first or second",
    "chord_majmin": "chords agree with the plan",
    "structure_auc": "bars of one section label sound alike, AUC",
    "genre": "genre recognised",
    "roles": "roles agree with the plan",
    "loudness": "loudness, LUFS",
    "above_12k": "energy above 12 kHz, dB",
    "stereo_width": "stereo width",
}
LONG = ("drift_percent", "structure_auc")  # judged on the second length, the rest on the first
GUESSED = ("genre", "roles")  # of which chance is told too


def assemble(found: "Found") -> dict:
    """All figures that follow from the items."""
    lengths = sorted({question.seconds for kind, question, _ in found if kind == "model"})
    rungs, reference = embeddings(found)
    steps = ladder(rungs, reference)
    kernel = {row: step["kernel_distance"] for row, step in steps.items()}
    return {
        "ladder": steps,
        "ladder_floor": ladder_floor(reference, len(rungs["real"])),
        "ladder_ordered": bool(np.all(np.diff([kernel[row] for row in RUNGS]) > 0)),
        "generated_nearer_to_codec_than_shuffled": abs(kernel["generated"] - kernel["codec"])
        < abs(kernel["generated"] - kernel["shuffled"]),
        "control": control(found, lengths),
        "codec": codec(found),
        "clicks": clicks(found),
        "prompt_agreement": prompt_agreement(found),
        "tracks": [track(question, facts) for kind, question, facts in found if kind == "model"],
    }


def embeddings(found: "Found") -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each rung's (n, d), and the reference's, along the directions in which each part of the reference varies most."""
    reference = np.array([facts["seen"] for kind, _, facts in found if kind == "reference"])
    rungs: dict[str, list[list[float]]] = {row: [] for row in RUNGS}
    for kind, _, facts in found:
        if kind != "reference":
            for row, seen in facts.get("seen", {}).items():
                rungs[row].append(seen)
    dim = min(DIMENSIONS, len(reference) // SONGS_EACH) // len(PARTS)
    bases = [(part, Basis.fit(reference[:, part], dim)) for part in PARTS]

    def place(seen: np.ndarray) -> np.ndarray:
        return np.concatenate([basis(seen[:, part]) for part, basis in bases], axis=1)

    return {row: place(np.array(seen)) for row, seen in rungs.items()}, place(reference)


def ladder(rungs: dict[str, np.ndarray], reference: np.ndarray) -> dict[str, dict[str, float]]:
    """How far each rung (n, d) is from the reference, with 95 % intervals."""
    steps = {}
    for row in RUNGS:
        step = {"n": len(rungs[row]), "d": reference.shape[1]}
        for name, distance in DISTANCES.items():
            low, high = distances.interval(distance, reference, rungs[row])
            step |= {f"{name}_distance": distance(reference, rungs[row]), f"{name}_low": low, f"{name}_high": high}
        steps[row] = step
    return steps


DISTANCES = {"kernel": distances.kernel_distance, "frechet": distances.frechet_distance}


def ladder_floor(reference: np.ndarray, n: int) -> dict[str, float]:
    """What n songs of the reference are away from its other songs: on average, and in 95 % of draws at most."""
    n = min(n, len(reference) // 2)
    floors = {"n": n}
    for name, distance in DISTANCES.items():
        floors[f"{name}_mean"], floors[f"{name}_high"] = distances.floor(distance, reference, n)
    return floors


def control(found: "Found", lengths: list[int]) -> dict[str, dict]:
    """Every measure of `CONTROL`: the model's value, the floor, the codec's; by length and by genre."""
    heard = [(question, row, Hearing(**values)) for question, row, values in hearings(found)]

    def summaries(wanted: Iterable[tuple["Question", str, Hearing]]) -> dict[str, dict[str, float]]:
        rows = {name: [h for _, r, h in wanted if r == row] for name, row in ROWS.items()}
        return {name: {**hearing.summarise(hs), "n": len(hs)} for name, hs in rows.items() if hs}

    by_length = {seconds: summaries([x for x in heard if x[0].seconds == seconds]) for seconds in lengths}
    first = [x for x in heard if x[0].seconds == lengths[0]]
    genres = sorted({question.genre for question, _, _ in first})
    by_genre = {genre: summaries([x for x in first if x[0].genre == genre]) for genre in genres}

    def figures(measure: str, rows: dict[str, dict[str, float]]) -> dict[str, float]:
        return {name: row[measure] for name, row in rows.items()} | {"n": rows["value"]["n"]}

    table = {}
    for measure in CONTROL:
        judged = by_length[lengths[min(measure in LONG, len(lengths) - 1)]]
        table[measure] = {
            **figures(measure, judged),
            "by_length": {str(seconds): figures(measure, rows) for seconds, rows in by_length.items()},
            "by_genre": {genre: figures(measure, rows) for genre, rows in by_genre.items()},
        }
    guessed = chance([h for _, row, h in first if row == ROWS["value"]])
    for measure in GUESSED:
        table[measure]["chance"] = guessed[measure]
    return table


def chance(heard: list[Hearing]) -> dict[str, float]:
    """`hearing.summarise` with each track's genre and roles held against what was asked of the next."""
    turned = zip(heard, (*heard[1:], *heard[:1]), strict=True)
    return hearing.summarise([replace(h, genre_asked=o.genre_asked, roles_asked=o.roles_asked) for h, o in turned])


def hearings(found: "Found") -> Iterable[tuple["Question", str, dict]]:
    """(question, row, hearing) of all items, NaN where an item has null."""
    for _, question, facts in found:
        for row, values in facts.get("hearings", {}).items():
            yield question, row, with_nan(values)


def with_nan(values: dict) -> dict:
    """The same with NaN for null."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def codec(found: "Found") -> dict[str, dict[str, float]]:
    """What became of the ladder's songs in the codec and in two corruptions that everybody knows: medians over songs.

    level_db, above_12k_db: change of loudness and of the share of energy above 12 kHz; above_12k_off_db: the latter,
    whichever the sign.
    """
    songs = [facts for _, _, facts in found if "likeness" in facts]
    table = {way: _typical([song["likeness"][way] for song in songs]) for way in songs[0]["likeness"]}
    changes = [_change(*(with_nan(song["hearings"][row]) for row in ("real", "codec"))) for song in songs]
    table["codec"] |= _typical(changes) | {"n": len(songs)}
    return table


def _change(real: dict, coded: dict) -> dict[str, float]:
    above = coded["above_12k_db"] - real["above_12k_db"]
    return {"level_db": coded["lufs"] - real["lufs"], "above_12k_db": above, "above_12k_off_db": abs(above)}


def clicks(found: "Found") -> dict[str, dict[str, dict[str, float]]]:
    """For real, codec and generated sounds and each kind of border: medians over the ladder's tracks."""
    rows: dict[str, list[dict]] = {}
    for _, _, facts in found:
        for row, borders in facts.get("clicks", {}).items():
            rows.setdefault(row, []).append(borders)
    return {
        row: {border: _typical([t[border] for t in tracks]) for border in tracks[0]} for row, tracks in rows.items()
    }


def _typical(rows: list[dict[str, float | None]]) -> dict[str, float]:
    """The median of each column, without those that are not known."""
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    known = {name: column[~np.isnan(column)] for name, column in columns.items()}
    return {name: float(np.median(column)) if len(column) else math.nan for name, column in known.items()}


def prompt_agreement(found: "Found") -> dict[str, float] | None:
    """CLAP's cosine between prompt and sound: of generated tracks, of the prompts' songs, and of other prompts."""
    songs = [facts["clap"][0] for kind, _, facts in found if kind == "song" and "clap" in facts]
    pairs = [facts["clap"] for kind, _, facts in found if kind == "model" and "clap" in facts]
    if not songs:
        return None
    value, shuffled = np.mean(pairs, axis=0)
    return {"value": float(value), "floor": float(np.mean(songs)), "shuffled": float(shuffled), "n": len(songs)}


def track(question: "Question", facts: dict) -> dict:
    """What was asked for one track, and everything that was heard in it."""
    asked = {"prompt": question.prompt, "genre": question.genre, "seconds": question.seconds, "seed": question.seed}
    return {**asked, "plan": facts["plan"], "heard": facts["hearings"]["generated"]}


# ---------------------------------------------------------------------------------------------- what passes


def checks(report: dict) -> list[dict]:
    """Every promise as {name, value, bound, sense, holds}; what could not be measured does not hold."""
    measured, codec_row, sounds = report["control"], report["codec"]["codec"], report["clicks"]

    def share(name: str, of_floor: float) -> tuple[str, float, str, float]:
        return f"{name}, {of_floor:g} of the floor", measured[name]["value"], ">=", of_floor * measured[name]["floor"]

    rows = [
        share("tempo_acc1", 0.95),
        ("beat_ms", measured["beat_ms"]["value"], "<=", 25.0),
        ("drift_percent", measured["drift_percent"]["value"], "<=", 0.2),
        share("key_rank1", 0.9),
        share("chord_majmin", 0.8),
        ("structure_auc", measured["structure_auc"]["value"], ">=", 0.8),
        share("genre", 0.8),
        share("roles", 0.8),
        ("ladder ordered", float(report["ladder_ordered"]), ">=", 1.0),
        ("generated nearer to codec", float(report["generated_nearer_to_codec_than_shuffled"]), ">=", 1.0),
        ("codec, log-mel dB", codec_row["log_mel_db"], "<=", 5.5),
        ("codec, above 12 kHz off by dB", codec_row["above_12k_off_db"], "<=", 6.0),
        *click_rows(sounds),
        ("times real time", report["speed"]["times_real_time"], ">=", 6.0),
        ("weights, MB", report["weights_mb"], "<=", 40.0),
    ]
    return [
        {"name": name, "value": value, "bound": bound, "sense": sense, "holds": holds(value, sense, bound)}
        for name, value, sense, bound in rows
    ]


def click_rows(sounds: dict[str, dict[str, dict[str, float]]]) -> list[tuple[str, float, str, float]]:
    """Clicks of codec and model at each border, which may be a fifth more than in real songs there, and than 1."""
    borders = [("codec", "block"), ("codec", "frame"), *(("generated", name) for name in sounds["generated"])]
    return [
        (
            f"clicks, {row}, {border}",
            sounds[row][border]["local"],
            "<=",
            1.2 * max(sounds["real"][border]["local"], 1.0),
        )
        for row, border in borders
    ]


def holds(value: float, sense: str, bound: float) -> bool:
    """Whether `value` is on the right side of `bound`; False for NaN."""
    return bool(value >= bound if sense == ">=" else value <= bound)


def without_nan(value: object) -> object:
    """The same with null for every number that is none: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
