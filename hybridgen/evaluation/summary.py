"""From the results of all tasks to figures, each beside its floor. n tracks, d numbers of an embedding."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybridgen.evaluation.prompts import EvalPrompt
from hybridgen.evaluation.results import TaskResult, null_to_nan
from hybridgen.metrics import distances, embedding
from hybridgen.metrics.distances import Basis
from hybridgen.metrics.measurements import TrackMeasurements, summarize_tracks
from hybridgen.metrics.mix import OCTAVES

RUNGS = {
    "real": "other songs of the composer",
    "codec": "the same songs through the codec",
    "oracle": "rendered from their true plans and codes",
    "without codes": "rendered from their true plans alone",
    "generated": "generated from their captions",
    "shuffled": "generated, compared with another prompt's plan",
    "none": "rendered without conditioning",
    "noise": "white noise",
}
SAME_CODEC = ("codec", "oracle", "without codes", "generated")  # as near to the songs as each other, at best
PARTS = (embedding.SOUND, embedding.FIT)  # of the ladder's embeddings, which weigh alike
MAX_COMPONENTS = 16  # of the reference, of all parts together
SONGS_PER_COMPONENT = 4  # fewer overfit
DISTANCES = {"kernel": distances.kernel_distance, "frechet": distances.frechet_distance}
ROWS = {"value": "generated", "floor": "real", "codec": "codec"}  # names in the report -> of the tasks' measurements
CONTROL = {
    "tempo_acc1": "tempo within 4 % (octave errors are wrong)",
    "tempo_octave": "tempo off by a factor of 2 or 3",
    "beat_f_measure": "beats against the plan's, F-measure",
    "beat_ms": "beats off the plan's grid, median, ms",
    "drift_percent": "drift over the track, median, %",
    "key_rank1": "prompt's key ranked first",
    "key_rank2": "prompt's key ranked first or second",
    "key_weighted": "key, weighted score",
    "chord_majmin": "chords against the plan's, maj/min accuracy",
    "structure_auc": "bars of one section label sound alike, AUC",
    "genre": "genre recognized",
    "roles": "roles agree with the plan",
    "loudness": "loudness, LUFS",
    "above_12k": "energy above 12 kHz, dB",
    "stereo_width": "stereo width",
}
NOTE_ROWS = ("real", "codec", "oracle", "without codes", "generated")
MIX_ROWS = ("real", "codec", "generated")
MIX = {  # figure of `mix.Mix` -> what it is; the octaves beside them
    "loudness_range": "loudness range, LU",
    "crest_db": "crest factor, dB",
    "width": "stereo width",
    "mono_loss_db": "lost in mono, dB",
    "attack_ms": "attack, ms",
    "onsets": "sharp onsets a second",
    "bandwidth": "99 % of the energy under, Hz",
    "start_db": "first millisecond against the first 200, dB",
    "end_db": "last 20 ms against the whole, dB",
}
OF_SECOND_LENGTH = ("drift_percent", "structure_auc")  # the rest is judged on tracks of the first length
WITH_CHANCE = ("genre", "roles")  # of which the report states chance too


def summarize(results: Sequence[TaskResult]) -> dict[str, Any]:
    """All figures that follow from the results, as the sections of the report."""
    lengths = sorted({result.prompt.seconds for result in results if result.kind == "track"})
    rungs, reference = rung_embeddings(results)
    steps = ladder(rungs, reference)
    kernel = {row: step["kernel_distance"] for row, step in steps.items()}
    return {
        "ladder": steps,
        "ladder_floor": ladder_floor(reference, len(rungs["real"])),
        "ladder_ordered": is_ordered(kernel),
        "generated_nearer_to_codec_than_shuffled": abs(kernel["generated"] - kernel["codec"])
        < abs(kernel["generated"] - kernel["shuffled"]),
        "control": control(results, lengths),
        "codec": codec_distortions(results),
        "notes": notes(results),
        "mix": mixes(results, lengths[0]),
        "clicks": clicks(results),
        "clap": clap_scores(results),
        "tracks": [track_entry(result) for result in results if result.kind == "track"],
    }


# ---- the ladder


def rung_embeddings(results: Sequence[TaskResult]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each rung's (n, d), and the reference's, along the directions in which each part of the reference varies most."""
    reference = np.array([result.values["embedding"] for result in results if result.kind == "reference"])
    found: dict[str, list[list[float]]] = {}
    for result in results:
        for row, values in result.values.get("embeddings", {}).items():
            found.setdefault(row, []).append(values)
    rungs = {row: found[row] for row in RUNGS if row in found}
    dim = min(MAX_COMPONENTS, len(reference) // SONGS_PER_COMPONENT) // len(PARTS)
    bases = [(part, Basis.fit(reference[:, part], dim)) for part in PARTS]

    def project(embeddings: np.ndarray) -> np.ndarray:
        return np.concatenate([basis(embeddings[:, part]) for part, basis in bases], axis=1)

    return {row: project(np.array(values)) for row, values in rungs.items()}, project(reference)


def ladder(rungs: dict[str, np.ndarray], reference: np.ndarray) -> dict[str, dict[str, float]]:
    """How far each rung (n, d) is from the reference, with 95 % intervals."""
    steps = {}
    for row in rungs:
        step: dict[str, float] = {"n": len(rungs[row]), "d": reference.shape[1]}
        for name, distance in DISTANCES.items():
            low, high = distances.interval(distance, reference, rungs[row])
            step |= {f"{name}_distance": distance(reference, rungs[row]), f"{name}_low": low, f"{name}_high": high}
        steps[row] = step
    return steps


def is_ordered(kernel: dict[str, float]) -> bool:
    """Whether kernel distances rise from rung to rung. Those of the same codec come in any order among themselves:
    what a good renderer and planner lose is less than what a set of songs happens to be away."""
    groups: dict[str, list[float]] = {}
    for row, value in kernel.items():
        groups.setdefault("codec" if row in SAME_CODEC else row, []).append(value)
    return all(max(near) < min(far) for near, far in itertools.pairwise(groups.values()))


def ladder_floor(reference: np.ndarray, n: int) -> dict[str, float]:
    """What n songs of the reference are away from its other songs: on average, and in 95 % of draws at most."""
    n = min(n, len(reference) // 2)
    floors: dict[str, float] = {"n": n}
    for name, distance in DISTANCES.items():
        floors[f"{name}_mean"], floors[f"{name}_high"] = distances.floor(distance, reference, n)
    return floors


# ---- control

Measured = tuple[EvalPrompt, str, TrackMeasurements]  # prompt, row of the task's measurements, what was measured


def control(results: Sequence[TaskResult], lengths: list[int]) -> dict[str, dict[str, Any]]:
    """Every measure of `CONTROL`: the model's value, the floor, the codec's; by length and by genre."""
    measured = list(all_measurements(results))
    by_length = {seconds: summarize_rows(m for m in measured if m[0].seconds == seconds) for seconds in lengths}
    first = [m for m in measured if m[0].seconds == lengths[0]]
    genres = sorted({prompt.genre for prompt, _, _ in first})
    by_genre = {genre: summarize_rows(m for m in first if m[0].genre == genre) for genre in genres}

    def figures(measure: str, rows: dict[str, dict[str, float]]) -> dict[str, float]:
        return {name: row[measure] for name, row in rows.items()} | {"n": rows["value"]["n"]}

    table: dict[str, dict[str, Any]] = {}
    for measure in CONTROL:
        judged = by_length[lengths[min(measure in OF_SECOND_LENGTH, len(lengths) - 1)]]
        table[measure] = {
            **figures(measure, judged),
            "by_length": {str(seconds): figures(measure, rows) for seconds, rows in by_length.items()},
            "by_genre": {genre: figures(measure, rows) for genre, rows in by_genre.items()},
        }
    by_chance = chance([track for _, row, track in first if row == ROWS["value"]])
    for measure in WITH_CHANCE:
        table[measure]["chance"] = by_chance[measure]
    return table


def all_measurements(results: Iterable[TaskResult]) -> Iterator[Measured]:
    """What was measured of songs and tracks, NaN where a result has null."""
    for result in results:
        for row, values in result.values.get("measurements", {}).items():
            yield result.prompt, row, TrackMeasurements(**null_to_nan(values))


def summarize_rows(measured: Iterable[Measured]) -> dict[str, dict[str, float]]:
    """For each of `ROWS` that has any tracks, its summary and n."""
    tracks: dict[str, list[TrackMeasurements]] = {}
    for _, row, track in measured:
        tracks.setdefault(row, []).append(track)
    return {
        name: {**summarize_tracks(tracks[row]), "n": len(tracks[row])} for name, row in ROWS.items() if row in tracks
    }


def chance(tracks: list[TrackMeasurements]) -> dict[str, float]:
    """The summary with each track's genre and roles compared with the targets of the next."""
    turned = zip(tracks, (*tracks[1:], *tracks[:1]), strict=True)
    return summarize_tracks([replace(a, genre_target=b.genre_target, roles_target=b.roles_target) for a, b in turned])


# ---- codec, clicks, CLAP, tracks


def codec_distortions(results: Iterable[TaskResult]) -> dict[str, dict[str, float]]:
    """What became of the ladder's songs in the codec and in two well-known corruptions: medians over songs.

    level_db, above_12k_db: change of loudness and of the share of energy above 12 kHz; above_12k_off_db: the latter,
    whichever the sign.
    """
    songs = [result.values for result in results if "distortions" in result.values]
    table = {way: medians([song["distortions"][way] for song in songs]) for way in songs[0]["distortions"]}
    changes = [_change(*(null_to_nan(song["measurements"][row]) for row in ("real", "codec"))) for song in songs]
    table["codec"] |= medians(changes) | {"n": len(songs)}
    return table


def _change(real: dict[str, Any], coded: dict[str, Any]) -> dict[str, float]:
    above = coded["above_12k_db"] - real["above_12k_db"]
    return {"level_db": coded["lufs"] - real["lufs"], "above_12k_db": above, "above_12k_off_db": abs(above)}


def notes(results: Sequence[TaskResult]) -> dict[str, dict[str, dict[str, float]]]:
    """How notes agree with plans, means over the ladder's songs and tracks: measure -> what -> row of `NOTE_ROWS`.

    `alone`, `mix`: by role, the F-measure of it rendered by itself and the share of its notes heard in the mix;
    `whole`: the contour of the lead, chroma and log-mel (of renders against what the codec makes of the song, of the
    codec against the song), and what of returning sections returns.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {"alone": {}, "mix": {}, "whole": {}}

    def collect(measure: str, what: str, row: str, value: float | None) -> None:
        found[measure].setdefault(what, {}).setdefault(row, []).append(math.nan if value is None else value)

    for result in results:
        heard = result.values.get("notes", {})
        for measure in ("alone", "mix"):
            for row, roles in heard.get(measure, {}).items():
                for role, value in roles.items():
                    collect(measure, role, row, value)
        whole = {"contour": heard.get("contour", {})} | {
            name: result.values.get(name, {}) for name in ("chroma", "log_mel_db", "repetition")
        }
        for what, rows in whole.items():
            for row, value in rows.items():
                collect("whole", what, row, value)
    return {
        measure: {what: {row: mean_of(values) for row, values in rows.items()} for what, rows in table.items()}
        for measure, table in found.items()
    }


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def mixes(results: Iterable[TaskResult], seconds: int) -> dict[str, dict[str, dict[str, float]]]:
    """What a producer measures, of songs and tracks of this length: figure -> row of `MIX_ROWS` -> `median`, and the
    quartiles `low` and `high` (linear between neighbors); what is unknown or silent is left out.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for row, values in result.values.get("mix", {}).items():
            octaves = zip((f"octave of {hertz:g} Hz, dB" for hertz in OCTAVES), values["octaves_db"], strict=True)
            for name, value in [*((name, values[name]) for name in MIX), *octaves]:
                if result.prompt.seconds == seconds and value is not None:
                    found.setdefault(name, {}).setdefault(row, []).append(value)
    return {
        name: {
            row: dict(zip(("low", "median", "high"), np.percentile(values, (25, 50, 75)).tolist(), strict=True))
            for row, values in rows.items()
        }
        for name, rows in found.items()
    }


def clicks(results: Iterable[TaskResult]) -> dict[str, dict[str, dict[str, float]]]:
    """For real, codec and generated sounds and each kind of border: medians over the ladder's tracks."""
    rows: dict[str, list[dict[str, dict[str, float | None]]]] = {}
    for result in results:
        for row, borders in result.values.get("clicks", {}).items():
            rows.setdefault(row, []).append(borders)
    return {
        row: {border: medians([track[border] for track in tracks]) for border in tracks[0]}
        for row, tracks in rows.items()
    }


def medians(rows: Sequence[dict[str, float | None]] | Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each column without what is unknown; NaN where all of it is."""
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    known = {name: column[~np.isnan(column)] for name, column in columns.items()}
    return {name: float(np.median(column)) if len(column) else float("nan") for name, column in known.items()}


def clap_scores(results: Sequence[TaskResult]) -> dict[str, float] | None:
    """CLAP's cosine between prompt and sound: of generated tracks, of the prompts' songs, and of other prompts."""
    scored = [result for result in results if "clap" in result.values]
    songs = [result.values["clap"][0] for result in scored if result.kind == "song"]
    if not songs:
        return None
    value, shuffled = np.mean([result.values["clap"] for result in scored if result.kind == "track"], axis=0)
    return {"value": float(value), "floor": float(np.mean(songs)), "shuffled": float(shuffled), "n": len(songs)}


def track_entry(result: TaskResult) -> dict[str, Any]:
    """One track's prompt and everything that was measured of it."""
    prompt, values = result.prompt, result.values
    facts = {"prompt": prompt.text, "genre": prompt.genre, "seconds": prompt.seconds, "seed": prompt.seed}
    return {**facts, "plan": values["plan"], "measurements": values["measurements"]["generated"]}
