"""A whole evaluation, from a model folder to a report."""

import statistics
import time
from dataclasses import asdict
from pathlib import Path

import torch

from hybridgen import manifest
from hybridgen.data.synth import Synth
from hybridgen.evaluation import prompts, report, results, summary, tasks
from hybridgen.evaluation.prompts import EvalSize
from hybridgen.evaluation.tasks import EvalContext
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.pipeline import Pipeline
from hybridgen.weights import resolve

WORKERS = 2  # processes, one thread each
SPEED_PROMPT = "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor"


def evaluate(
    model: str | Path,
    out: Path,
    size: EvalSize,
    *,
    songs: Path | None = None,
    clap: Path | None = None,
    device: str = "cpu",
    accept_license: str | None = None,
    workers: int = WORKERS,
) -> str:
    """Measures a model, writes report.json, report.md and pictures to `out`, and returns the report's tables.

    model: a folder, a shipped name or a Hub id. songs: where the composer's songs are kept and used again (default:
    in `out`). clap: folder of a CLAP checkpoint. accept_license: as `Pipeline.from_pretrained` takes it. A stopped run
    resumes with the same arguments. Raises ValueError for a missing model, FluidSynth or soundfont, and OSError
    for an `out` that cannot be written.
    """
    folder = resolve(model)
    out.mkdir(parents=True, exist_ok=True)
    Synth()  # names what is missing before anything is loaded and selected
    pipe = Pipeline.from_pretrained(folder, device=device, accept_license=accept_license)
    if pipe.time_base.sample_rate != SAMPLE_RATE:
        raise ValueError(f"model {model}: sample rate {pipe.time_base.sample_rate} Hz, estimators need {SAMPLE_RATE}")
    selected, references = prompts.select_all(size, songs or out / "songs")
    context = EvalContext(folder, device, clap, out / "results" / tasks.signature(pipe, clap), accept_license)
    planned = tasks.plan_tasks(selected, references, size, out)
    tasks.run_all(planned, context, workers)
    found = [results.load(context.path(task), task.kind, task.prompt) for task in planned]
    facts = {
        "model": str(model),
        "weights": pipe.weight_hashes,
        "weights_mb": sum((folder / name).stat().st_size for name in pipe.weight_hashes) / 1e6,
        "versions": manifest.versions(torch.get_num_threads()),
        "sampling": asdict(pipe.config.sampling),
        "size": asdict(size),
        "songs_seed": prompts.SEED,
        **summary.summarize(found),
        "speed": measure_speed(pipe, size),
    }
    return report.write(facts, out)


def measure_speed(pipe: Pipeline, size: EvalSize) -> dict[str, float]:
    """Seconds from prompt to mastered samples, the median of some runs, alone on all cores."""
    pipe.generate(SPEED_PROMPT, seconds=2.0, seed=0)
    runs, plans = [], []
    for seed in range(size.speed_runs):
        start = time.perf_counter()
        plan = pipe.plan(SPEED_PROMPT, seconds=size.speed_seconds, seed=seed)[0]
        plans.append(time.perf_counter() - start)
        pipe.render(plan)
        runs.append(time.perf_counter() - start)
    seconds = statistics.median(runs)
    return {
        "track_seconds": size.speed_seconds,
        "seconds": seconds,
        "times_real_time": size.speed_seconds / seconds,
        "planning_seconds": statistics.median(plans),
        "threads": torch.get_num_threads(),
        "runs": size.speed_runs,
    }
