"""Latents -> samples -> a mastered track: a whole render, and the same as a stream.

Shapes: N samples, T latent frames, C latent channels.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hybridgen import __version__, audio, manifest
from hybridgen.codecs.contract import DECODE_BLOCK
from hybridgen.history import Operation, Render
from hybridgen.manifest import Manifest
from hybridgen.plan.parts import check_seed
from hybridgen.plan.plan import Plan
from hybridgen.planning.plans import complete
from hybridgen.progress import Progress, report
from hybridgen.render import edges
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import RenderOptions, SamplingConfig
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track


def render(stages: Stages, plan: Plan, options: RenderOptions, prompt: PromptStates | None = None) -> Track:
    """The track of a plan, mastered to -14 LUFS; what the plan lacks is written first.

    A plan without an ending is rendered without one, as it was before there were any: `editing.render` chooses it.
    """
    plan = plan.on(stages.time_base)
    prompt = prompt or stages.encode_prompt(plan.prompt)
    seed, sampling = choose(stages, plan, options)
    plan = complete(stages, plan, prompt, progress=options.progress)
    latents = new_latents(stages, plan)
    samples = np.zeros((2, plan.length), dtype=np.float32)
    meter = audio.LoudnessMeter(plan.time_base.sample_rate)
    for first, block in decoded_blocks(stages, plan, prompt, seed, sampling, latents, options.progress):
        meter.feed(block)
        samples[:, first : first + block.shape[1]] = block
    gain_db = audio.mastering_gain(meter.lufs())
    audio.master(samples, gain_db)
    operation = Render(plan, seed, sampling, stages.model_record, stages.adapter_records)
    return Track(samples, plan, latents.cpu().numpy(), describe((operation,), gain_db), prompt.notes)


def stream(stages: Stages, plan: Plan, options: RenderOptions, prompt: PromptStates) -> Iterator[np.ndarray]:
    """Blocks (2, n) float32 of the same track, the first as soon as its window is rendered.

    Before mastering they are the samples of `render`, bit for bit; the gain is that of the first window.
    """
    plan = edges.with_ending(plan.on(stages.time_base))
    seed, sampling = choose(stages, plan, options)
    plan = complete(stages, plan, prompt, progress=options.progress)
    latents = new_latents(stages, plan)
    blocks = (block for _, block in decoded_blocks(stages, plan, prompt, seed, sampling, latents, options.progress))
    n_first = max(1, (min(sampling.window, plan.n_frames) - stages.codec.reach) // DECODE_BLOCK)
    first = list(itertools.islice(blocks, n_first))
    meter = audio.LoudnessMeter(plan.time_base.sample_rate)
    for block in first:
        meter.feed(block)
    yield from audio.mastered(itertools.chain(first, blocks), audio.mastering_gain(meter.lufs()))


def decoded_blocks(
    stages: Stages,
    plan: Plan,
    prompt: PromptStates,
    seed: int,
    sampling: SamplingConfig,
    latents: Tensor,
    progress: Progress | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """(first sample, samples (2, n)) of a whole render in order, decoded as soon as their `latents` (T, C) are there.

    `latents`, on the stages' device, is filled on the way; the samples are not mastered.
    """
    known, done, n_frames = np.zeros(plan.n_frames, dtype=bool), 0, plan.n_frames
    windows = WindowRenderer(stages.renderer, plan, prompt, seed, sampling)
    for ready in windows.fill(latents, known, (0, n_frames), progress):
        stop = ready if ready == n_frames else max(done, ready - stages.codec.reach) // DECODE_BLOCK * DECODE_BLOCK
        for first, block in stages.codec.decode_blocks(latents, done, stop):
            yield first, edges.shaped(plan, first, block[:, : plan.length - first].cpu().numpy())
            frame = first // plan.time_base.latent_hop
            report(progress, "decoding", min(frame + DECODE_BLOCK, n_frames), n_frames)
        done = stop


def new_latents(stages: Stages, plan: Plan) -> Tensor:
    """Zero latents (T, C) for a plan on the stages' device."""
    return torch.zeros(plan.n_frames, stages.codec.latent_dim, device=stages.device)


def choose(stages: Stages, plan: Plan, options: RenderOptions) -> tuple[int, SamplingConfig]:
    """The seed of the noise and the sampling of a render: what `options` says, else the plan's and the model's."""
    seed = plan.seed if options.seed is None else options.seed
    return check_seed(seed), options.sampling(stages.config.sampling)


def describe(operations: tuple[Operation, ...], gain_db: float) -> Manifest:
    """The manifest of a track that these operations made here."""
    versions = manifest.versions(torch.get_num_threads())
    return Manifest(f"hybridgen {__version__}", operations, gain_db, versions)
