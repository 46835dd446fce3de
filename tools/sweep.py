"""Which sampling settings are worth their time: python tools/sweep.py FOLDER --songs CORPUS --out FOLDER

Held-out songs are rendered from their true plans and codes, so that only the sampling differs, and compared with what
the codec makes of the songs themselves. Every setting sees the same noise. Writes sweep.md and sweep.json.
T latent frames, N samples, d numbers of an embedding.
"""

import argparse
import functools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from tqdm import tqdm

from hybridgen import config, spectra
from hybridgen.audio import Audio
from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import distances, measurements, probe, spectral
from hybridgen.metrics.scores import chord_majmin
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.render import mixdown
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import SamplingConfig
from hybridgen.workers import run_tasks

WORKERS = 2  # processes, one thread each
NOTES = (
    "± is the standard error of the difference from the first row. The kernel distance is to the very same songs, "
    "so it may be below 0: it ranks settings and says no more."
)

# what differs from the model's own settings, one thing at a time; the first is the model's own
GRID = (
    "",
    *(f"num_steps={n}" for n in (2, 3, 4, 6, 8, 16)),
    *(f"guidance_scale={scale}" for scale in (1, 1.5, 2, 3)),
    *(f"window={window} overlap={overlap}" for window, overlap in ((256, 32), (256, 128), (512, 128))),
)


@dataclass(frozen=True)
class Score:
    """One song under one setting, against the codec's version of it."""

    evaluations: float  # of the renderer, a window; the two sides of guidance count as two
    seconds: float  # of rendering, decoding apart
    mel_db: float  # mean absolute difference; what is blurred fares well here
    chroma: float  # correlation over time, mean of the twelve pitch classes
    chords: float  # maj/min accuracy against the plan
    embedding: np.ndarray  # (d,)


def main() -> None:
    """Reads the command line, renders, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--songs", type=Path, required=True, help="folder written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    parser.add_argument("--n", type=int, default=24, help="held-out songs (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each song at most (default %(default)s)")
    parser.add_argument(
        "--settings", nargs="+", default=GRID, metavar='"num_steps=4 guidance_scale=3"', help="instead of all"
    )
    args = parser.parse_args()
    pipe = load(args.model)
    for setting in args.settings:
        pipe.with_sampling(sampling_of(pipe.config.sampling, setting))  # an error is raised before hours of work
    records = [record for record in corpus.read(args.songs) if record.split == "test"][: args.n]
    measure = functools.partial(measure_song, args.model, settings=tuple(args.settings), seconds=args.seconds)
    measurements.compile_estimators()
    songs = list(tqdm(run_tasks(measure, records, WORKERS), total=len(records), unit="song"))
    rows = summarize(songs, args.settings)
    lengths = [min(record.plan.seconds, args.seconds) for record in records]
    text = f"{args.model}, {len(records)} held-out songs of {np.mean(lengths):.0f} s\n\n" + table(rows)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "sweep.md").write_text(text, encoding="utf-8")
    (args.out / "sweep.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(text)


@functools.cache
def load(model: Path) -> Pipeline:
    """This process's pipeline."""
    return Pipeline.from_pretrained(model)


def sampling_of(base: SamplingConfig, setting: str) -> SamplingConfig:
    """`base` with what a setting such as "num_steps=4 guidance_scale=3" changes; ValueError for what it cannot be."""
    changes = dict(word.split("=", 1) for word in setting.split())
    return config.build(SamplingConfig, config.dump(base) | {k: yaml.safe_load(v) for k, v in changes.items()})


def measure_song(
    model: Path, record: SongRecord, settings: Sequence[str], seconds: float
) -> tuple[np.ndarray, list[Score]]:
    """The embedding (d,) of the song after the codec, and a score for each setting."""
    pipe = load(model)
    latents = pipe.encode(Audio.load(record.audio))
    codes = pipe.quantizer.encode(torch.from_numpy(latents)[None].to(pipe.device))[0]
    plan = replace(record.plan.on(pipe.time_base), codes=tuple(map(tuple, codes.tolist())), prompt=record.captions[0])
    base = pipe.time_base
    n_frames = min(len(latents), int(seconds * base.sample_rate / base.code_hop) * base.frames_per_code)
    compared = replace(plan, n_samples=min(plan.length, n_frames * base.latent_hop), codes=())  # what is rendered
    reference = pipe.decode(latents[:n_frames], compared.length)
    default = pipe.config.sampling
    chosen = [sampling_of(default, setting) for setting in settings]
    scores = [score(pipe, plan, compared, reference, record.index, sampling) for sampling in chosen]
    return embed(reference), scores


def score(
    pipe: Pipeline, plan: Plan, compared: Plan, reference: np.ndarray, seed: int, sampling: SamplingConfig
) -> Score:
    """Renders the beginning of a plan, as long as `compared`, and compares it with the reference (2, N)."""
    evaluations: list[int] = []
    hook = pipe.renderer.register_forward_hook(lambda _, inputs, __: evaluations.append(len(inputs[0])))
    latents, known = mixdown.new_latents(pipe, compared), np.zeros(compared.n_frames, dtype=bool)
    prompt = pipe.encode_prompt(plan.prompt)
    started = time.perf_counter()
    windows = WindowRenderer(pipe.renderer, plan, prompt, seed, sampling)
    n_windows = len(list(windows.fill(latents, known, (0, len(known)))))
    took = time.perf_counter() - started
    hook.remove()
    samples = pipe.decode(latents.cpu().numpy(), compared.length)
    return Score(
        evaluations=sum(evaluations) / n_windows,
        seconds=took,
        mel_db=log_mel_distance(reference, samples),
        chroma=spectral.chroma_correlation(samples, reference),
        chords=chord_majmin(compared, samples),
        embedding=embed(samples),
    )


def embed(samples: np.ndarray) -> np.ndarray:
    """Embedding (d,) of samples (2, N): the probe's features, each in deviations of the corpus."""
    return probe.load().standardize(probe.features(samples))


def log_mel_distance(reference: np.ndarray, samples: np.ndarray) -> float:
    """Mean absolute log-mel difference in dB of samples (2, N) from the reference."""
    prediction, target = (torch.from_numpy(x)[None] for x in (samples, reference))
    return spectra.log_mel_distance(prediction, target, spectral.SAMPLE_RATE).item()


def summarize(songs: list[tuple[np.ndarray, list[Score]]], settings: Sequence[str]) -> list[dict[str, object]]:
    """A row for each setting: means over the songs, and the standard error of the difference from the first setting."""
    reference = np.stack([own for own, _ in songs])
    rows = []
    for i, setting in enumerate(settings):
        scores = [each[i] for _, each in songs]
        row: dict[str, object] = {"setting": setting or "the model's own"}
        row |= {name: float(np.mean([getattr(s, name) for s in scores])) for name in ("evaluations", "seconds")}
        found = np.stack([s.embedding for s in scores])
        row["kernel"] = distances.kernel_distance(reference, found)
        for name in ("mel_db", "chroma", "chords"):
            values = np.array([getattr(s, name) for s in scores])
            change = values - [getattr(each[0], name) for _, each in songs]
            row[name] = float(np.nanmean(values))
            row[f"{name}_error"] = float(np.nanstd(change, ddof=1) / np.sqrt(np.isfinite(change).sum()))
        rows.append(row)
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Markdown; ± is the standard error of the difference from the first row."""
    lines = [
        "| setting | evaluations a window | render, s | kernel distance | log-mel, dB | chroma | chords |",
        "|---" * 7 + "|",
    ]
    for row in rows:
        errors = [f"{row[name]:.3f} ± {row[f'{name}_error']:.3f}" for name in ("mel_db", "chroma", "chords")]
        plain = f"{row['evaluations']:.1f} | {row['seconds']:.2f} | {row['kernel']:.1f}"
        lines.append(f"| {row['setting']} | {plain} | {' | '.join(errors)} |")
    return "\n".join([*lines, "", NOTES]) + "\n"


if __name__ == "__main__":
    main()
