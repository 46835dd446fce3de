"""Measures a model against held-out songs of its corpus: python train/eval.py FOLDER --corpus CORPUS --out report

Three rows are measured alike: the composer's own songs (what the estimators hear in a perfect answer: the floor), the
same songs through the codec, and what the model makes of their captions. Estimators know neither prompt nor plan.
Writes report.json (every figure of every track, prompts, seeds, hashes), report.md and pictures.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import manifest
from hybridgen.audio import Audio
from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import distances, spectral
from hybridgen.metrics.hearing import Hearing, hear, summarise
from hybridgen.pipeline import Pipeline
from hybridgen.plan import SAMPLE_RATE
from hybridgen.plot import plot
from hybridgen.text import find_controls


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    codec_songs: int
    prompts: int
    seconds: float  # of each generated track
    reference_songs: int  # other held-out songs at most, for the distances between sets
    pictures: int


FULL = Size(codec_songs=20, prompts=32, seconds=30.0, reference_songs=96, pictures=4)
QUICK = Size(codec_songs=2, prompts=4, seconds=10.0, reference_songs=8, pictures=1)


@dataclass(frozen=True)
class Question:
    """A prompt that states tempo and key in words, from a held-out song."""

    prompt: str
    tempo: float
    key: str
    seed: int
    song: SongRecord


def main() -> None:
    """Reads the command line, measures, writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--device", default="cpu", help="where to compute (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few songs only: whether everything runs")
    args = parser.parse_args()
    size = QUICK if args.quick else FULL
    held_out = [record for record in corpus.read(args.corpus) if record.split == "test"]
    questions = choose_questions(held_out, size.prompts)
    pipe = Pipeline.from_pretrained(args.model, device=args.device)
    args.out.mkdir(parents=True, exist_ok=True)

    report = {
        "model": pipe.name,
        "weights": pipe.weight_hashes,
        "versions": manifest.versions(torch.get_num_threads()),
        "sampling": asdict(pipe.config.sampling),
        "codec": measure_codec(pipe, held_out[: size.codec_songs]),
        **measure_music(pipe, questions, size, args.out),
    }
    used = {question.song.index for question in questions}
    others = [record for record in held_out if record.index not in used][: size.reference_songs]
    report["sets"] = measure_sets(report.pop("embeddings"), [q.song.genre for q in questions], others)
    (args.out / "report.json").write_text(json.dumps(without_nan(report), indent=1, ensure_ascii=False) + "\n")
    text = render_report(report, size)
    (args.out / "report.md").write_text(text, encoding="utf-8")
    print(text)


def choose_questions(held_out: list[SongRecord], count: int) -> list[Question]:
    """`count` prompts, the genres in turn, from songs in one tempo with a caption that states tempo and key."""
    by_genre: dict[str, list[Question]] = {}
    for record in held_out:
        if (question := ask(record)) is not None:
            by_genre.setdefault(record.genre, []).append(question)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*(by_genre[genre] for genre in sorted(by_genre))))
    questions = [question for question in in_turn if question is not None][:count]
    if len(questions) < count:
        raise SystemExit(f"the corpus has {len(questions)} held-out songs with tempo and key in a caption, not {count}")
    return questions


def ask(record: SongRecord) -> Question | None:
    """The first caption of a song that fixes exactly the song's tempo and key, if there is one."""
    if len(record.plan.tempo) != 1:
        return None
    for caption in record.captions:
        asked, _ = find_controls(caption)
        if asked.tempo is not None and asked.key == record.plan.key:
            return Question(caption, asked.tempo, asked.key, record.index, record)
    return None


def measure_codec(pipe: Pipeline, records: list[SongRecord]) -> dict[str, dict[str, float]]:
    """How far songs are from themselves after the codec, and after two corruptions that everybody knows."""
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "codec": lambda samples: through_codec(pipe, samples),
        "low-pass 8 kHz": spectral.low_pass,
        "8-bit μ-law": spectral.mu_law,
    }
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    for record in tqdm(records, "codec", unit="song"):
        samples = Audio.load(record.audio).samples
        for name, way in ways.items():
            found = way(samples)
            stft = spectral.stft_distance(samples, found)
            rows[name].append((spectral.log_mel_distance(samples, found), stft.convergence, stft.log_magnitude))
    columns = ("log_mel_db", "stft_convergence", "stft_log_magnitude")
    return {name: dict(zip(columns, np.mean(row, axis=0).tolist(), strict=True)) for name, row in rows.items()}


def through_codec(pipe: Pipeline, samples: np.ndarray) -> np.ndarray:
    """Samples (2, N) encoded and decoded."""
    return pipe.decode(pipe.encode(Audio(samples, SAMPLE_RATE)), samples.shape[-1])


def measure_music(pipe: Pipeline, questions: list[Question], size: Size, out: Path) -> dict[str, object]:
    """The three rows (composer, codec, model): a summary of each, every hearing, and the embeddings (n, d)."""
    rows = ("composer", "codec", "model")
    hearings: dict[str, list[Hearing]] = {row: [] for row in rows}
    embeddings: dict[str, list[np.ndarray]] = {row: [] for row in rows}
    for number, question in enumerate(tqdm(questions, "music", unit="prompt")):
        song = Audio.load(question.song.audio).samples
        track = pipe.generate(question.prompt, seconds=size.seconds, seed=question.seed)
        sounds = (
            (song, question.song.plan),
            (through_codec(pipe, song), question.song.plan),
            (track.samples, track.plan),
        )
        for row, (samples, plan) in zip(rows, sounds, strict=True):
            hearings[row].append(hear(samples, plan, question.tempo, question.key))
            embeddings[row].append(distances.describe(samples))
        if number < size.pictures:
            track.save(out / f"{number + 1}-model.flac", latents=False)
            plot(track.samples, track.plan, out / f"{number + 1}-model.png")
            plot(song, question.song.plan, out / f"{number + 1}-composer.png")
    asked = [{"prompt": q.prompt, "seed": q.seed, "genre": q.song.genre, "seconds": size.seconds} for q in questions]
    return {
        "questions": asked,
        "music": {row: summarise(hearings[row]) for row in rows},
        "hearings": {row: [asdict(hearing) for hearing in hearings[row]] for row in rows},
        "embeddings": {row: np.stack(embeddings[row]) for row in rows},
    }


def measure_sets(
    embeddings: dict[str, np.ndarray], genres: list[str], others: list[SongRecord]
) -> dict[str, dict[str, float]]:
    """How well genres differ within each row, and how far each row is from other held-out songs."""
    reference = [distances.describe(Audio.load(record.audio).samples) for record in tqdm(others, "reference")]
    scale = np.maximum(np.std(reference, axis=0), 1e-9)
    reference = np.stack(reference) / scale
    mean, high = distances.kernel_floor(reference, n=len(genres))
    return {
        row: {
            "genre separation": distances.separation(found, genres),
            "kernel distance": distances.kernel_distance(reference, found / scale),
            "floor mean": mean,
            "floor 95 %": high,
        }
        for row, found in embeddings.items()
    }


def without_nan(value: object) -> object:
    """The same with null for every number that is none: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def render_report(report: dict, size: Size) -> str:
    """The report as Markdown."""
    lines = [f"# {report['model']}, measured", ""]
    lines += [f"Codec, on {size.codec_songs} held-out songs:", "", *table(report["codec"]), ""]
    lines += [f"Music, on {size.prompts} held-out prompts of {size.seconds:g} s:", "", *table(report["music"]), ""]
    lines += [f"Sets, against at most {size.reference_songs} other held-out songs:", "", *table(report["sets"]), ""]
    lines += ["| prompt | model | composer |", "|---|---|---|"]
    for number, question in enumerate(report["questions"][: size.pictures], start=1):
        lines.append(f"| {question['prompt']} | ![]({number}-model.png) | ![]({number}-composer.png) |")
    return "\n".join(lines) + "\n"


def table(rows: dict[str, dict[str, float]]) -> list[str]:
    """Markdown lines of named rows with the same columns."""
    columns = list(next(iter(rows.values())))
    body = [
        f"| {name} | " + " | ".join(f"{row[column]:.3g}" for column in columns) + " |" for name, row in rows.items()
    ]
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|", *body]


if __name__ == "__main__":
    main()
