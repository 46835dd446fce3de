"""Measures a model folder against songs that no training has seen: python train/eval.py FOLDER --out report

The composer writes the songs (seed 1; trainings use others) and prompts that say their tempo, key and genre. Estimators
hear samples alone, and every figure stands beside its floor: the same figure of the composer's own songs. The work is
cut into items, one file each in OUT/items, so that a run that was stopped goes on. Writes report.json (every figure of
every track), report.md and pictures.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import itertools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import manifest, spectra
from hybridgen.audio import Audio
from hybridgen.data import corpus
from hybridgen.data.captions import caption_words, captions
from hybridgen.data.composer import GENRES, compose
from hybridgen.data.song import Song
from hybridgen.data.synth import Synth
from hybridgen.files import sha256, write_json
from hybridgen.metrics import embedding, hearing, spectral
from hybridgen.metrics.clap import Clap
from hybridgen.pipeline import DECODE_BLOCK, Pipeline
from hybridgen.plan import LATENT_HOP, SAMPLE_RATE, Plan
from hybridgen.renderer import windows
from hybridgen.rendering import SamplingConfig
from hybridgen.text import find_controls
from hybridgen.workers import run_tasks
from train import figures, report

SEED = 1  # of the songs; trainings use others
SLACK = 0.5  # seconds by which a song may be shorter than asked; sets are compared without them
TEMPI = (60.0, 180.0)
WORKERS = 2  # processes, a thread each
SPEED_PROMPT = "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    prompts: tuple[tuple[int, int], ...]  # (seconds, tracks of that length); the first are those of the ladder
    references: int  # other songs of the first length
    pictures: int
    speed_seconds: float
    speed_runs: int


FULL = Size(((30, 64), (120, 16), (240, 4)), references=128, pictures=6, speed_seconds=120.0, speed_runs=3)
QUICK = Size(((30, 20), (120, 2)), references=40, pictures=3, speed_seconds=120.0, speed_runs=1)


@dataclass(frozen=True)
class Question:
    """A prompt that says tempo, key and genre, and the song that it was written for."""

    prompt: str
    tempo: float  # quarter notes a minute
    key: str
    genre: str
    seconds: int  # of the track; the song is at most SLACK shorter
    seed: int  # of the track; the song's index
    plan: Plan  # the song's
    audio: Path


@dataclass(frozen=True)
class Item:
    """What one process does at one time, and one file in OUT/items."""

    kind: str  # of KINDS
    question: Question
    other: Question | None = None  # whose plan the track is also seen through; None = no part of the ladder
    picture: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.question.seconds}-{self.question.seed:06d}"


@dataclass(frozen=True)
class Job:
    """What all items share."""

    model: Path
    device: str
    clap: Path | None
    items: Path


def main(argv: list[str] | None = None) -> None:
    """Reads the command line, measures, writes and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--songs", type=Path, help="folder of the songs, kept and used again (default OUT/songs)")
    parser.add_argument("--quick", action="store_true", help="fewer songs: minutes, not an hour")
    parser.add_argument("--clap", type=Path, help="folder of a CLAP checkpoint, to measure agreement with the prompts")
    parser.add_argument("--device", default="cpu", help="where to compute (default %(default)s)")
    args = parser.parse_args(argv)
    size = QUICK if args.quick else FULL
    try:
        evaluate(args.model, args.out, size, songs=args.songs, clap=args.clap, device=args.device)
    except (ValueError, OSError) as error:
        print(f"eval: {error}", file=sys.stderr)
        sys.exit(2)


def evaluate(
    model: Path, out: Path, size: Size, *, songs: Path | None = None, clap: Path | None = None, device: str = "cpu"
) -> None:
    """Measures the model, writes report.json, report.md and pictures to `out`, and prints the report's tables."""
    if not model.is_dir():
        raise ValueError(f"model {str(model)!r} is no folder")
    out.mkdir(parents=True, exist_ok=True)
    Synth()  # says what is missing before anything is loaded and chosen
    pipe = Pipeline.from_pretrained(model, device=device)
    questions, references = choose_all(size, songs or out / "songs")
    job = Job(model, device, clap, out / "items" / signature(pipe, clap))
    items = plan_work(questions, references, size, out)
    run(items, job)
    found = [(item.kind, item.question, json.loads((job.items / f"{item.name}.json").read_text())) for item in items]
    measured = {
        "model": str(model),
        "weights": pipe.weight_hashes,
        "weights_mb": sum((model / name).stat().st_size for name in pipe.weight_hashes) / 1e6,
        "versions": manifest.versions(torch.get_num_threads()),
        "sampling": asdict(pipe.config.sampling),
        "size": asdict(size),
        "songs_seed": SEED,
        **figures.assemble(found),
        "speed": measure_speed(pipe, size),
    }
    print(report.write(measured, out))


# ---------------------------------------------------------------------------------------------- what is asked


def choose_all(size: Size, songs: Path) -> tuple[list[Question], list[Question]]:
    """The questions, longest first, and the reference songs; never the same song in both."""
    longest_first = sorted(size.prompts, reverse=True)
    questions = [question for seconds, count in longest_first for question in choose(seconds, count, songs, part=0)]
    return questions, choose(size.prompts[0][0], size.references, songs, part=1)


def choose(seconds: int, count: int, songs: Path, part: int) -> list[Question]:
    """`count` questions about songs with even (part 0) or odd (1) index, all genres about as often and in turn."""
    found: dict[str, list[Question]] = {genre: [] for genre in GENRES}
    most = -(-count // len(GENRES))
    with tqdm(total=count, desc=f"choosing songs of {seconds} s", unit="song") as bar:
        for index in itertools.count(part, 2):
            if bar.n == count:
                break
            song = compose(SEED, index, (seconds, seconds))
            if len(found[song.genre]) < most and (question := ask(song, seconds, songs)):
                found[song.genre].append(question)
                bar.update()
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*found.values()))
    return [question for question in in_turn if question is not None]


def ask(song: Song, seconds: int, songs: Path) -> Question | None:
    """The song's first caption that says its tempo, key and genre, and no length; None where there is none, or where
    the song is too short, too slow, too fast or changes its tempo.
    """
    plan = song.plan
    if len(plan.tempo) != 1 or not TEMPI[0] <= plan.tempo[0].bpm <= TEMPI[1]:
        return None
    if not seconds - SLACK <= plan.seconds <= seconds:
        return None
    audio = songs / str(seconds) / "songs" / f"{song.index:06d}.flac"
    for i, caption in enumerate(captions(song)):
        asked, _ = find_controls(caption)
        no_length = asked.bars is None and asked.seconds is None and asked.sections is None
        if asked.tempo is not None and asked.key == plan.key and no_length and caption_words(song, i).genre:
            return Question(caption, asked.tempo, asked.key, song.genre, seconds, song.index, plan, audio)
    return None


def plan_work(questions: list[Question], references: list[Question], size: Size, out: Path) -> list[Item]:
    """All items, the longest first. In the ladder, each question is the `other` of the one before, in a circle."""
    ladder = [question for question in questions if question.seconds == size.prompts[0][0]]
    others = {q.seed: other for q, other in zip(ladder, (*ladder[1:], *ladder[:1]), strict=True)}
    pictures = {question.seed: out / f"{i + 1}.png" for i, question in enumerate(ladder[: size.pictures])}
    items = []
    for question in questions:
        other = others[question.seed] if question in ladder else None
        picture = pictures.get(question.seed) if question in ladder else None
        items += [Item("song", question, other), Item("model", question, other, picture)]
    return items + [Item("reference", question) for question in references]


# ---------------------------------------------------------------------------------------------- the items


def run(items: list[Item], job: Job, workers: int = WORKERS) -> None:
    """Does the items that are not done yet; what they find does not depend on how many processes there are."""
    job.items.mkdir(parents=True, exist_ok=True)
    todo = [item for item in items if not is_done(item, job)]
    hearing.compile_estimators()
    with tqdm(total=len(items), initial=len(items) - len(todo), desc="measuring", unit="item") as bar:
        for _ in run_tasks(functools.partial(work, job), todo, workers, ordered=False):
            bar.update()


def is_done(item: Item, job: Job) -> bool:
    """Whether the item's file is there, and its picture where it has one."""
    return (job.items / f"{item.name}.json").exists() and (item.picture is None or item.picture.exists())


def work(job: Job, item: Item) -> None:
    """Does one item and writes what it found; the file appears whole or not at all."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not a word of what a prompt says twice
        found = KINDS[item.kind](job, item)
    found["cpu_seconds"] = round(time.process_time() - start, 2)
    write_json(job.items / f"{item.name}.json", figures.without_nan(found))


def measure_reference(_job: Job, item: Item) -> dict:
    """A song of the reference set, seen through its plan."""
    return {"seen": seen(play(item.question), item.question.plan, item.question)}


def measure_song(job: Job, item: Item) -> dict:
    """The question's own song, and the codec's version of it; in the ladder also the renderer's version, and noise."""
    question, pipe, samples = item.question, load(job.model, job.device), play(item.question)
    latents = pipe.encode(Audio(samples, SAMPLE_RATE))
    coded = pipe.decode(latents, samples.shape[-1])
    sounds = {"real": samples, "codec": coded}
    found = {"hearings": {row: hear(sound, question.plan, question) for row, sound in sounds.items()}}
    if item.other is None:
        return found
    oracle = pipe.render(true_plan(pipe, question, latents), seed=question.seed).samples
    mastered = Audio(coded, SAMPLE_RATE).master().samples  # as all other rungs are
    rungs = {"real": samples, "codec": mastered, "oracle": oracle, "noise": noise(samples.shape[-1], question.seed)}
    ways = {"codec": coded, "low-pass 8 kHz": spectral.low_pass(samples), "8-bit μ-law": spectral.mu_law(samples)}
    found["seen"] = {row: seen(sound, question.plan, question) for row, sound in rungs.items()}
    found["likeness"] = {way: compare(samples, sound) for way, sound in ways.items()}
    found["clicks"] = {"real": clicks(samples, pipe), "codec": clicks(coded, pipe)}
    if job.clap is not None:
        found["clap"] = load_clap(job.clap).agreement([samples], [question.prompt]).tolist()
    return found


def measure_model(job: Job, item: Item) -> dict:
    """What the model makes of the question; in the ladder also seen through the other question's plan, and rendered
    without being told of its plan.
    """
    question, pipe = item.question, load(job.model, job.device)
    track = pipe.generate(question.prompt, seconds=question.seconds, seed=question.seed)
    found = {
        "plan": track.plan.to_dict(),
        "hearings": {"generated": hear(track.samples, track.plan, question)},
    }
    if item.picture is not None:
        track.save(item.picture.with_suffix(".flac"), latents=False)
        report.draw_pair((track.samples, track.plan), (play(question), question.plan), item.picture)
    if item.other is None:
        return found
    other = pipe.plan(item.other.prompt, seconds=question.seconds, seed=item.other.seed)[0]
    untold = pipe.with_sampling(untold_sampling(pipe.config.sampling)).render(track.plan, seed=question.seed)
    rungs = {
        "generated": (track.samples, track.plan),
        "shuffled": (track.samples, other),
        "none": (untold.samples, track.plan),
    }
    found["seen"] = {row: seen(samples, plan, question) for row, (samples, plan) in rungs.items()}
    found["clicks"] = {"generated": clicks(track.samples, pipe)}
    if job.clap is not None:
        prompts = [question.prompt, item.other.prompt]
        found["clap"] = load_clap(job.clap).agreement([track.samples] * 2, prompts).tolist()
    return found


KINDS: dict[str, Callable[[Job, Item], dict]] = {
    "reference": measure_reference,
    "song": measure_song,
    "model": measure_model,
}


@functools.cache
def load(model: Path, device: str) -> Pipeline:
    """This process's pipeline."""
    return Pipeline.from_pretrained(model, device=device)


@functools.cache
def load_clap(folder: Path) -> Clap:
    """This process's CLAP."""
    return Clap(folder)


def play(question: Question) -> np.ndarray:
    """Samples (2, N) of the question's song, which is written first where it is not there yet."""
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for each song
        span = (float(question.seconds),) * 2
        corpus.write(question.audio.parents[1], SEED, question.seed, 1, span, workers=1)
    return Audio.load(question.audio).samples


def hear(samples: np.ndarray, plan: Plan, question: Question) -> dict:
    """Everything that is heard, as JSON has it."""
    return asdict(hearing.hear(samples, plan, question.tempo, question.key, question.genre))


def compare(samples: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """How far samples (2, N) are from what was made of them, N at least 0.05 s."""
    target, prediction = (torch.from_numpy(x)[None] for x in (samples, found))
    stft = spectra.stft_distance(prediction, target)
    return {
        "log_mel_db": spectra.log_mel_distance(prediction, target, SAMPLE_RATE).item(),
        "stft_convergence": stft.convergence.item(),
        "stft_log_magnitude": stft.log_magnitude.item(),
    }


def seen(samples: np.ndarray, plan: Plan, question: Question) -> list[float]:
    """Embedding (d,) of a sound and a plan, both cut to the same length for all questions of the same seconds."""
    length = round((question.seconds - SLACK) * SAMPLE_RATE)
    return embedding.in_plan(samples[:, :length], replace(plan, n_samples=length, codes=())).tolist()


def true_plan(pipe: Pipeline, question: Question, latents: np.ndarray) -> Plan:
    """The plan of the question's song with everything that the renderer can be told: the prompt, the song's codes."""
    codes = pipe.quantizer.encode(torch.from_numpy(latents)[None].to(pipe.device))[0].tolist()
    return replace(question.plan, prompt=question.prompt, codes=tuple(map(tuple, codes)))


def untold_sampling(sampling: SamplingConfig) -> SamplingConfig:
    """The same with nothing of text, plan and codes told at any time."""
    return replace(sampling, guidance_scale=0.0, guidance_interval=(0.0, 1.0), guidance_parallel=1.0)


def noise(length: int, seed: int) -> np.ndarray:
    """White noise (2, length) at -14 LUFS."""
    samples = np.random.default_rng(seed).standard_normal((2, length), dtype=np.float32)
    return Audio(0.1 * samples, SAMPLE_RATE).master().samples


def clicks(samples: np.ndarray, pipe: Pipeline) -> dict[str, dict[str, float]]:
    """Clicks where the codec's blocks, its frames and the renderer's windows meet, if the sound was made in them."""
    n_frames = -(-samples.shape[-1] // LATENT_HOP)
    spans = windows(n_frames, pipe.config.sampling.window, pipe.config.sampling.overlap)
    borders = {
        "block": np.arange(DECODE_BLOCK, n_frames, DECODE_BLOCK),
        "frame": np.arange(1, n_frames),
        "window": np.array([stop for _, stop in spans[:-1]]),
    }
    return {name: asdict(hearing.clicks(samples, LATENT_HOP * frames)) for name, frames in borders.items()}


def signature(pipe: Pipeline, clap: Path | None) -> str:
    """What items depend on besides their songs, as the name of a folder: the model, the estimators, this file."""
    sources = [Path(__file__), *(path for path in Path(hearing.__file__).parent.iterdir() if path.is_file())]
    facts = [pipe.weight_hashes, asdict(pipe.config.sampling), str(pipe.device), clap and str(clap)]
    facts.append({path.name: sha256(path) for path in sources})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


# ---------------------------------------------------------------------------------------------- speed


def measure_speed(pipe: Pipeline, size: Size) -> dict[str, float]:
    """Seconds from prompt to mastered samples, the median of some runs, alone on all cores."""
    pipe.generate(SPEED_PROMPT, seconds=2.0, seed=0)
    runs = []
    for seed in range(size.speed_runs):
        start = time.perf_counter()
        pipe.generate(SPEED_PROMPT, seconds=size.speed_seconds, seed=seed)
        runs.append(time.perf_counter() - start)
    seconds = statistics.median(runs)
    return {
        "track_seconds": size.speed_seconds,
        "seconds": seconds,
        "times_real_time": size.speed_seconds / seconds,
        "threads": torch.get_num_threads(),
        "runs": size.speed_runs,
    }


if __name__ == "__main__":
    main()
