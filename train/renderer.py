"""Trains the renderer on prepared songs: python train/renderer.py configs/train/renderer.yaml prepared=... run.out=...

In every window random frames are known (inpainting) and slightly noisy, some codes are wrong (as the planner's will
be), and parts of the condition are dropped (for guidance; notes also by role and for a stretch of frames). A model that
knows notes also learns from files of some roles alone. The same command resumes a stopped run; the weights of the
best validation are `run.out`/renderer.safetensors. Many GPUs: docs/training.md.
"""

from functools import partial

import torch
from torch import Tensor

from hybridgen import config, flow
from hybridgen.codecs.contract import BlockCodec
from hybridgen.plan.time_base import TimeBase
from hybridgen.renderer import PARTS, PATCH, Condition, Renderer, RendererConfig
from hybridgen.stages import PipelineConfig, make_codec
from hybridgen.training import dataset, flops, objectives
from hybridgen.training.configs import RendererTrainConfig
from hybridgen.training.dataset import Phase, WindowBatches
from hybridgen.training.engine import Engine
from hybridgen.training.log import Log, spectrograms
from hybridgen.training.objectives import FlowBatch
from hybridgen.training.run import Run, new_model, run_script
from hybridgen.weights import load_weights

VALID_TIMES = (0.0, 0.25, 0.5, 0.75)  # those of a solver of four steps
VALID_WINDOWS = 8
SHOWN_STEPS = 8  # of the solver, for the window that validation logs as sound


def held_out_condition(batch: dataset.WindowBatch) -> tuple[Condition, Tensor]:
    """The complete condition of a batch, with no frame known, and its noise."""
    known = torch.zeros(batch.inside.shape, dtype=torch.bool)
    x_0 = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    return objectives.condition(batch, known), x_0


def validate(
    batch: dataset.WindowBatch, codec: BlockCodec | None, log: Log, step: int, model: Renderer
) -> dict[str, float]:
    """Loss on held-out windows at fixed times and noise: with the whole condition, without each part, without codes and
    notes, without codes and timbre (which say what the text may say too), without these and text, without any.

    With a codec the first window is also rendered with the whole condition, and logged as sound.
    """
    cond, x_0 = held_out_condition(batch)
    device, weight = model.out.weight.device, batch.inside.float()
    keep = {
        "loss": torch.ones(len(PARTS), dtype=torch.bool),
        "unconditional": torch.zeros(len(PARTS), dtype=torch.bool),
    }
    keep |= {f"without_{part}": torch.arange(len(PARTS)) != i for i, part in enumerate(PARTS)}
    keep["without_codes_and_notes"] = keep["without_codes"] & keep["without_notes"]
    keep["without_codes_and_timbre"] = keep["without_codes"] & keep["without_timbre"]
    keep["without_codes_timbre_and_text"] = keep["without_codes_and_timbre"] & keep["without_text"]
    values = {f"valid/{name}": 0.0 for name in keep}
    for t in VALID_TIMES:
        times = torch.full((len(x_0),), t)
        x_t, velocity = flow.path(x_0, batch.latents, times)
        for name, parts in keep.items():
            kept = cond.dropped(parts.expand(len(x_0), -1))
            error = objectives.renderer_sum(model, FlowBatch(x_t, times, kept, velocity, weight).to(device))
            values[f"valid/{name}"] += (error / weight.sum()).item() / len(VALID_TIMES)
    if codec is not None:
        show(batch, codec, log, step, model)
    return values


def show(batch: dataset.WindowBatch, codec: BlockCodec, log: Log, step: int, model: Renderer) -> None:
    """Logs the first window, rendered and decoded, and the original."""
    cond, x_0 = held_out_condition(batch)
    device = model.out.weight.device
    cond = Condition(**{name: value[:1].to(device) for name, value in vars(cond).items()})
    rendered = flow.solve(lambda x_t, t: model(x_t, t, cond), x_0[:1].to(device), SHOWN_STEPS)
    latents = {"original": batch.latents[:1], "rendered": rendered.cpu()}
    sounds = {name: codec.decode(frames)[0].numpy() for name, frames in latents.items()}
    for name, samples in sounds.items():
        log.audio(step, name, samples, codec.sample_rate)
    log.picture(step, "spectrograms", spectrograms(sounds, codec.sample_rate))


def amounts(shapes: RendererConfig, batches: list[FlowBatch], time_base: TimeBase, world_size: int) -> dict[str, float]:
    """Work of a step: of this rank's micro-batches, times the number of ranks."""
    (n_rows, n_frames, _), n_text = batches[0].x_t.shape, batches[0].cond.text.shape[1]
    n_rows *= len(batches) * world_size
    return {
        "windows": n_rows,
        "tokens": n_rows * n_frames / PATCH,
        "audio_hours": n_rows * n_frames * time_base.latent_hop / time_base.sample_rate / 3600,
        "flops": flops.renderer(shapes, n_text, n_frames).total * n_rows,
    }


def load_codec(model: str, weights: str) -> BlockCodec:
    """The codec that makes validation audible, on the CPU."""
    codec = make_codec(config.load(PipelineConfig, config.model_file(model))).eval().requires_grad_(False)
    load_weights(codec, weights)
    return codec


def main(path: str, *overrides: str) -> None:
    """Trains to the last step, or until a signal."""
    train = config.load(RendererTrainConfig, path, overrides)
    shapes, n_steps = config.shapes(RendererConfig, train.run.model, "renderer"), dataset.n_steps(train.phases)
    model = new_model(Renderer, shapes, train)
    engine = Engine(model, train.optim, train.engine, layers=model.blocks)
    songs, held_out = dataset.load(train.prepared, subsets=shapes.notes)
    batch_fns = [WindowBatches(songs, train.phases, train.run.seed, *place) for place in engine.micro_ranks()]
    window = train.phases[-1].windows[-1]
    held = WindowBatches(held_out, (Phase(1, (window,), VALID_WINDOWS * window),), 0)(1)
    codec = None if train.codec is None else load_codec(train.run.model, train.codec)

    with Run("renderer", train, n_steps, shapes, __file__, {"renderer": engine}) as run:
        for step, parts in run.steps(batch_fns):
            batches = [objectives.make_flow_batch(part, train.dropout, shapes).to(engine.device) for part in parts]
            weight = engine.all_reduce(sum(batch.weight.sum() for batch in batches))  # of the frames of all ranks
            rate, phase = train.optim.rate(step, n_steps), dataset.phase_number(train.phases, step)
            total = torch.zeros((), device=engine.device)
            for batch in batches:
                loss = objectives.renderer_sum(engine, batch) / weight  # this part's share of it
                engine.backward(loss)
                total += loss.detach()
            norm = engine.step(rate, run.accept_step(step, total, phase))  # clip, then step

            work = amounts(shapes, batches, songs.time_base, engine.world_size)
            run.log_step(step, {"loss": total}, {"norm": norm, "rate": rate}, work)
            if run.should_validate(step):
                run.validate(step, partial(validate, held, codec, run.log, step))


if __name__ == "__main__":
    run_script(main, __doc__)
