"""What one process measures at a time: one task, one file of results, so that a stopped run resumes.

Samples are float arrays (2, N) at 44.1 kHz.
"""

import contextlib
import functools
import hashlib
import io
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import spectra
from hybridgen.audio import Audio
from hybridgen.codecs.contract import DECODE_BLOCK
from hybridgen.data import corpus
from hybridgen.evaluation import notes, pictures, prompts, results
from hybridgen.evaluation.prompts import MAX_SHORTFALL, SEED, EvalPrompt, EvalSize
from hybridgen.files import sha256
from hybridgen.metrics import embedding, measurements, mix, repetition, spectral
from hybridgen.metrics.clap import Clap
from hybridgen.metrics.clicks import measure_clicks
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import PLAIN
from hybridgen.render.windows import window_spans
from hybridgen.sampling import SamplingConfig
from hybridgen.workers import run_tasks


@dataclass(frozen=True)
class EvalTask:
    """What one process does at a time, and one file of results."""

    kind: str  # of KINDS
    prompt: EvalPrompt
    other: EvalPrompt | None = None  # whose plan the track is compared with too; None: not part of the ladder
    picture: Path | None = None

    @property
    def name(self) -> str:
        """Its file of results, without the ending."""
        return f"{self.kind}-{self.prompt.seconds}-{self.prompt.seed:06d}"


@dataclass(frozen=True)
class EvalContext:
    """What all tasks share."""

    model: Path
    device: str
    clap: Path | None  # folder of a CLAP checkpoint
    results: Path  # folder
    accept_license: str | None = None

    def path(self, task: EvalTask) -> Path:
        """The task's file of results."""
        return self.results / f"{task.name}.json"


def plan_tasks(
    selected: Sequence[EvalPrompt], references: Sequence[EvalPrompt], size: EvalSize, out: Path
) -> list[EvalTask]:
    """All tasks, the longest first. In the ladder, each prompt is the `other` of the one before, in a circle."""
    ladder = [prompt for prompt in selected if prompt.seconds == size.prompts[0][0]]
    others = {prompt.seed: other for prompt, other in zip(ladder, (*ladder[1:], *ladder[:1]), strict=True)}
    drawn = {prompt.seed: out / f"{i + 1}.png" for i, prompt in enumerate(ladder[: size.n_pictures])}
    tasks = []
    for prompt in selected:
        in_ladder = prompt in ladder
        other = others[prompt.seed] if in_ladder else None
        picture = drawn.get(prompt.seed) if in_ladder else None
        tasks += [EvalTask("song", prompt, other), EvalTask("track", prompt, other, picture)]
    return tasks + [EvalTask("reference", prompt) for prompt in references]


def run_all(tasks: Sequence[EvalTask], context: EvalContext, workers: int) -> None:
    """Runs the tasks whose results are not there yet; what they find does not depend on the number of processes."""
    context.results.mkdir(parents=True, exist_ok=True)
    todo = [task for task in tasks if not is_done(task, context)]
    measurements.compile_estimators()
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), desc="measuring", unit="task", disable=None) as bar:
        for _ in run_tasks(functools.partial(run_task, context), todo, workers, ordered=False):
            bar.update()


def is_done(task: EvalTask, context: EvalContext) -> bool:
    """Whether the task's results are there, and its picture where it has one."""
    return context.path(task).exists() and (task.picture is None or task.picture.exists())


def run_task(context: EvalContext, task: EvalTask) -> None:
    """Runs one task and writes its results."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pipeline's notes on prompts, hundreds of times
        values = KINDS[task.kind](context, task)
    values["cpu_seconds"] = round(time.process_time() - start, 2)
    results.save(context.path(task), values)


def measure_reference(_context: EvalContext, task: EvalTask) -> dict[str, Any]:
    """`embedding`: a song of the reference set, with its plan."""
    return {"embedding": embed(load_song(task.prompt), task.prompt.plan, task.prompt)}


def measure_song(context: EvalContext, task: EvalTask) -> dict[str, Any]:
    """The prompt's own song, and the codec's version of it; in the ladder also the renderer's version, and noise.

    `measurements`, `mix`, and in the ladder `embeddings`, `distortions`, `chroma` and `log_mel_db` (of renders against
    the codec's version, of the codec against the song), `clicks`, `repetition`, `notes` (where the model knows them)
    and `clap`.
    """
    prompt, pipe, samples = task.prompt, load_pipeline(context), load_song(task.prompt)
    latents = pipe.encode(Audio(samples, SAMPLE_RATE))
    coded = pipe.decode(latents, samples.shape[-1])
    sounds = {"real": samples, "codec": coded}
    mastered = Audio(coded, SAMPLE_RATE).master().samples  # as all other rungs are
    values: dict[str, Any] = {
        "measurements": {row: measure(x, prompt.plan, prompt) for row, x in sounds.items()},
        "mix": {"real": asdict(mix.measure(samples)), "codec": asdict(mix.measure(mastered))},
    }
    if task.other is None:
        return values
    plan = true_plan(pipe, prompt, latents)
    oracle = pipe.render(plan, seed=prompt.seed)
    made = {"codec": mastered, "oracle": oracle.samples}
    if pipe.config.renderer.notes:
        made["without codes"] = notes.sound(pipe, notes.without_codes(pipe, plan), prompt.seed)
    rungs = {"real": samples, **made, "noise": noise(samples.shape[-1], prompt.seed)}
    ways = {
        **made,
        "codec": coded,
        "low-pass 8 kHz": spectral.low_pass(samples),
        "8-bit μ-law": spectral.mu_law(samples),
    }
    values["embeddings"] = {row: embed(sound, prompt.plan, prompt) for row, sound in rungs.items()}
    values["distortions"] = {way: distortion(sound, samples) for way, sound in ways.items()}
    targets = {row: samples if row == "codec" else mastered for row in made}
    values["chroma"] = {row: spectral.chroma_correlation(made[row], targets[row]) for row in made}
    values["log_mel_db"] = {row: distortion(made[row], targets[row])["log_mel_db"] for row in made}
    values["clicks"] = {"real": clicks(samples, pipe), "codec": clicks(coded, pipe)}
    values["repetition"] = {"real": repetition.returning(prompt.plan)}
    if pipe.config.renderer.notes:
        played = notes.played(prompt)
        alone = {
            "real": played,
            "codec": notes.coded(pipe, played),
            "oracle": notes.rendered(pipe, plan, prompt.seed, oracle.manifest.gain_db),
        }
        values["notes"] = notes.measure({"real": samples} | made, alone, prompt.plan)
    if context.clap is not None:
        values["clap"] = load_clap(context.clap).similarity([samples], [prompt.text]).tolist()
    return values


def measure_track(context: EvalContext, task: EvalTask) -> dict[str, Any]:
    """What the model generates from the prompt; in the ladder also with the other prompt's plan, and rendered without
    conditioning.

    `plan`, `measurements`, `mix`, and in the ladder `embeddings`, `clicks`, `repetition`, `notes` and `clap`.
    """
    prompt, pipe = task.prompt, load_pipeline(context)
    track = pipe.generate(prompt.text, seconds=prompt.seconds, seed=prompt.seed)
    generated = measure(track.samples, track.plan, prompt)
    values: dict[str, Any] = {
        "plan": track.plan.to_dict(),
        "measurements": {"generated": generated},
        "mix": {"generated": asdict(mix.measure(track.samples))},
    }
    if task.picture is not None:
        track.save(task.picture.with_suffix(".flac"), latents=False)
        pictures.draw_pair((track.samples, track.plan), (load_song(prompt), prompt.plan), task.picture)
    if task.other is None:
        return values
    other = pipe.plan(task.other.text, seconds=prompt.seconds, seed=task.other.seed)[0]
    blind = pipe.with_sampling(unconditional(pipe.config.sampling)).render(track.plan, seed=prompt.seed)
    rungs = {
        "generated": (track.samples, track.plan),
        "shuffled": (track.samples, other),
        "none": (blind.samples, track.plan),
    }
    values["embeddings"] = {row: embed(samples, plan, prompt) for row, (samples, plan) in rungs.items()}
    values["clicks"] = {"generated": clicks(track.samples, pipe)}
    values["repetition"] = {"generated": repetition.returning(track.plan)}
    if pipe.config.renderer.notes:
        alone = {"generated": notes.rendered(pipe, track.plan, prompt.seed, track.manifest.gain_db)}
        values["notes"] = notes.measure({"generated": track.samples}, alone, track.plan)
    if context.clap is not None:
        texts = [prompt.text, task.other.text]
        values["clap"] = load_clap(context.clap).similarity([track.samples] * 2, texts).tolist()
    return values


KINDS: dict[str, Callable[[EvalContext, EvalTask], dict[str, Any]]] = {
    "reference": measure_reference,
    "song": measure_song,
    "track": measure_track,
}


@functools.cache
def load_pipeline(context: EvalContext) -> Pipeline:
    """This process's pipeline."""
    return Pipeline.from_pretrained(context.model, device=context.device, accept_license=context.accept_license)


@functools.cache
def load_clap(folder: Path) -> Clap:
    """This process's CLAP."""
    return Clap(folder)


def load_song(prompt: EvalPrompt) -> np.ndarray:
    """Samples (2, N) of the prompt's song, which is written first where it is not there yet."""
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for each song
        seconds = (float(prompt.seconds), float(prompt.seconds))
        corpus.write(prompt.audio.parents[1], SEED, prompt.seed, 1, seconds, workers=1, subsets=0)
    return Audio.load(prompt.audio).samples


def measure(samples: np.ndarray, plan: Plan, prompt: EvalPrompt) -> dict[str, Any]:
    """All measurements of a sound, as JSON has them."""
    return asdict(measurements.measure(samples, plan, prompt.tempo, prompt.key, prompt.genre))


def distortion(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """How far samples (2, N) are from what they were made of, N at least 2048."""
    x, y = (torch.tensor(samples)[None] for samples in (prediction, target))
    stft = spectra.stft_distance(x, y)
    return {
        "log_mel_db": spectra.log_mel_distance(x, y, SAMPLE_RATE).item(),
        "stft_convergence": stft.convergence.item(),
        "stft_log_magnitude": stft.log_magnitude.item(),
    }


def embed(samples: np.ndarray, plan: Plan, prompt: EvalPrompt) -> list[float]:
    """Embedding (d,) of a sound with a plan, both cut to the same length for all prompts of the same seconds."""
    length = round((prompt.seconds - MAX_SHORTFALL) * SAMPLE_RATE)
    return embedding.plan_embedding(samples[:, :length], replace(plan, n_samples=length, codes=())).tolist()


def true_plan(pipe: Pipeline, prompt: EvalPrompt, latents: np.ndarray) -> Plan:
    """The plan of the prompt's song with everything that conditions the renderer: the prompt, the song's codes, and
    where the renderer knows kinds of sound that a soundfont plays it."""
    codes = pipe.quantizer.encode(torch.from_numpy(latents)[None].to(pipe.device))[0].tolist()
    sound = (PLAIN,) if pipe.config.renderer.sound else ()
    return replace(prompt.plan.on(pipe.time_base), prompt=prompt.text, codes=tuple(map(tuple, codes)), sound=sound)


def unconditional(sampling: SamplingConfig) -> SamplingConfig:
    """The same sampling without text, plan and codes."""
    return replace(sampling, guidance_scale=0.0, guides_played=False)


def noise(length: int, seed: int) -> np.ndarray:
    """White noise (2, length) at -14 LUFS."""
    samples = np.random.default_rng(seed).standard_normal((2, length), dtype=np.float32)
    return Audio(0.1 * samples, SAMPLE_RATE).master().samples


def clicks(samples: np.ndarray, pipe: Pipeline) -> dict[str, dict[str, float]]:
    """Clicks where the codec's blocks, its frames and the renderer's windows meet, if the sound was made in them."""
    base, sampling = pipe.time_base, pipe.config.sampling
    n_frames = base.n_frames(samples.shape[-1])
    spans = window_spans(n_frames, sampling.window, sampling.overlap, base.frames_per_code)
    borders = {
        "block": np.arange(DECODE_BLOCK, n_frames, DECODE_BLOCK),
        "frame": np.arange(1, n_frames),
        "window": np.array([stop for _, stop in spans[:-1]]),
    }
    return {name: asdict(measure_clicks(samples, base.latent_hop * frames)) for name, frames in borders.items()}


def signature(pipe: Pipeline, clap: Path | None) -> str:
    """What results depend on besides their songs, as the name of a folder: the model, the estimators, the tasks."""
    sources = [Path(__file__), Path(prompts.__file__), Path(notes.__file__), Path(spectra.__file__)]
    sources += sorted(path for path in Path(measurements.__file__).parent.iterdir() if path.is_file())
    facts = [pipe.weight_hashes, asdict(pipe.config.sampling), str(pipe.device), clap and str(clap)]
    facts.append({path.name: sha256(path) for path in sources})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
