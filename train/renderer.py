"""Trains the renderer on prepared songs: python train/renderer.py configs/train/renderer.yaml prepared=... run.out=...

In every window random frames are known (inpainting) and slightly noisy, some codes are wrong (as the planner's will
be), and parts of the condition are dropped (for guidance). The same command resumes a stopped run; the weights of the
best validation are `run.out`/renderer.safetensors. Many GPUs: docs/training.md.
"""

from functools import partial

import torch
from torch import Tensor

from hybridgen import config, flow
from hybridgen.codec import Codec, CodecConfig
from hybridgen.plan import LATENT_HOP, SAMPLE_RATE
from hybridgen.renderer import PARTS, PATCH, Condition, Renderer, RendererConfig
from hybridgen.training import dataset, flops, objectives
from hybridgen.training.configs import RendererTrainConfig
from hybridgen.training.dataset import Phase, WindowBatches
from hybridgen.training.engine import Engine
from hybridgen.training.log import Log, spectrograms
from hybridgen.training.objectives import Task
from hybridgen.training.run import Run, new_model, run_script
from hybridgen.weights import load_weights

VALID_TIMES = (0.1, 0.35, 0.6, 0.85)
VALID_WINDOWS = 8
SHOWN_STEPS = 8  # of the solver, for the windows that a validation lets hear


def held_out_task(batch: dataset.Batch) -> tuple[Condition, Tensor]:
    """Everything that there is to say about a batch, no frame known, and its noise."""
    known = torch.zeros(batch.inside.shape, dtype=torch.bool)
    x_0 = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    return objectives.condition(batch, known), x_0


def validate(batch: dataset.Batch, codec: Codec | None, log: Log, step: int, model: Renderer) -> dict[str, float]:
    """Loss on held-out windows at fixed times and noise: told everything, without one part each, told nothing.

    With a codec the log lets hear the first window, rendered when told everything.
    """
    cond, x_0 = held_out_task(batch)
    device, weight = model.out.weight.device, batch.inside.float()
    keep = {"loss": torch.ones(len(PARTS), dtype=torch.bool), "told_nothing": torch.zeros(len(PARTS), dtype=torch.bool)}
    keep |= {f"without_{part}": torch.arange(len(PARTS)) != i for i, part in enumerate(PARTS)}
    values = {f"valid/{name}": 0.0 for name in keep}
    for t in VALID_TIMES:
        times = torch.full((len(x_0),), t)
        x_t, velocity = flow.path(x_0, batch.latents, times)
        for name, parts in keep.items():
            told = cond.dropped(parts.expand(len(x_0), -1))
            error = objectives.renderer_sum(model, Task(x_t, times, told, velocity, weight).to(device))
            values[f"valid/{name}"] += (error / weight.sum()).item() / len(VALID_TIMES)
    if codec is not None:
        show(batch, codec, log, step, model)
    return values


def show(batch: dataset.Batch, codec: Codec, log: Log, step: int, model: Renderer) -> None:
    """The first window rendered and decoded, beside the window as it is."""
    cond, x_0 = held_out_task(batch)
    device = model.out.weight.device
    cond = Condition(**{name: value[:1].to(device) for name, value in vars(cond).items()})
    rendered = flow.solve(lambda x_t, t: model(x_t, t, cond), x_0[:1].to(device), SHOWN_STEPS)
    latents = {"original": batch.latents[:1], "rendered": rendered.cpu()}
    sounds = {name: codec.decode(frames)[0].numpy() for name, frames in latents.items()}
    for name, samples in sounds.items():
        log.audio(step, name, samples, codec.sample_rate)
    log.picture(step, "spectrograms", spectrograms(sounds))


def amounts(cfg: RendererConfig, tasks: list[Task], world_size: int) -> dict[str, float]:
    """How much went through in a step: of this rank's micro-batches, times the ranks."""
    (n_rows, n_frames, _), n_text = tasks[0].x_t.shape, tasks[0].cond.text.shape[1]
    n_rows *= len(tasks) * world_size
    return {
        "windows": n_rows,
        "tokens": n_rows * n_frames / PATCH,
        "audio_hours": n_rows * n_frames * LATENT_HOP / SAMPLE_RATE / 3600,
        "flops": flops.renderer(cfg, n_text, n_frames).total * n_rows,
    }


def load_codec(model: str, weights: str) -> Codec:
    """The codec that makes validation audible, on the CPU."""
    codec = Codec(config.shapes(CodecConfig, model, "codec")).eval().requires_grad_(False)
    load_weights(codec, weights)
    return codec


def main(path: str, *overrides: str) -> None:
    """Trains until the last phase ends or a signal comes."""
    train = config.load(RendererTrainConfig, path, overrides)
    cfg, n_steps = config.shapes(RendererConfig, train.run.model, "renderer"), dataset.n_steps(train.phases)
    model = new_model(Renderer, cfg, train)
    engine = Engine(model, train.optim, train.engine, layers=model.blocks)
    songs, held_out = dataset.load(train.prepared)
    batch_fns = [WindowBatches(songs, train.phases, train.run.seed, *place) for place in engine.micro_ranks()]
    window = train.phases[-1].windows[-1]
    held = WindowBatches(held_out, (Phase(1, (window,), VALID_WINDOWS * window),), 0)(1)
    codec = None if train.codec is None else load_codec(train.run.model, train.codec)

    with Run("renderer", train, n_steps, cfg, __file__, {"renderer": engine}) as run:
        for step, parts in run.steps(batch_fns):
            tasks = [objectives.draw_task(part, train.gaps, cfg.codebook_size).to(engine.device) for part in parts]
            weight = engine.all_reduce(sum(task.weight.sum() for task in tasks))  # of the frames of all ranks
            rate, phase = train.optim.rate(step, n_steps), dataset.phase_number(train.phases, step)
            total = torch.zeros((), device=engine.device)
            for task in tasks:
                loss = objectives.renderer_sum(engine, task) / weight  # this part's share of it
                engine.backward(loss)
                total += loss.detach()
            norm = engine.step(rate, run.accept_step(step, total, phase))  # clip, then step

            run.log_step(step, {"loss": total}, {"norm": norm, "rate": rate}, amounts(cfg, tasks, engine.world_size))
            if run.should_validate(step):
                run.validate(step, partial(validate, held, codec, run.log, step))


if __name__ == "__main__":
    run_script(main, __doc__)
