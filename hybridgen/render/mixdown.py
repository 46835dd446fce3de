"""Latents -> samples -> a mastered track: a whole render, the same as a stream, and any part of it.

Shapes: N samples, T latent frames, C latent channels.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor

from hybridgen import __version__, audio, manifest
from hybridgen.audio import Audio
from hybridgen.codecs.contract import DECODE_BLOCK
from hybridgen.history import Change, Operation, Render
from hybridgen.loudness import LoudnessMeter
from hybridgen.manifest import Manifest
from hybridgen.plan.parts import check_seed
from hybridgen.plan.plan import Plan
from hybridgen.planning.plans import complete
from hybridgen.progress import Progress, report
from hybridgen.render import beside, edges
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import RenderOptions, SamplingConfig
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track

Block = tuple[int, np.ndarray]  # the number of a first sample, and samples (2, n) from it on
Play = Callable[[np.ndarray], None]  # is given blocks (2, n) float32


def render(
    stages: Stages,
    plan: Plan,
    options: RenderOptions,
    prompt: PromptStates | None = None,
    gain_db: float | None = None,
    play: Play | None = None,
) -> Track:
    """The track of a plan, mastered to -14 LUFS, or at a given gain; what the plan lacks is written first.

    A plan without an ending is rendered without one, as it was before there were any: `change.render` chooses it.
    play: is given the blocks of `stream` while they are rendered.
    """
    plan = plan.on(stages.time_base)
    stages.check_seconds(plan.seconds)
    prompt = prompt or stages.encode_prompt(plan.prompt)
    seed, sampling = choose(stages, plan, options)
    plan = complete(stages, plan, prompt, progress=options.progress)
    latents = new_latents(stages, plan)
    samples = np.zeros((2, plan.length), dtype=np.float32)
    meter = LoudnessMeter(plan.time_base.sample_rate)

    def kept() -> Iterator[np.ndarray]:
        for first, block in decoded_blocks(stages, plan, prompt, seed, sampling, latents, options.progress):
            meter.feed(block)
            samples[:, first : first + block.shape[1]] = block
            yield block

    for heard in kept() if play is None else _mastered_at_once(stages, plan, sampling, kept()):
        if play is not None:
            play(heard)
    gain_db = audio.mastering_gain(meter.lufs()) if gain_db is None else gain_db
    operation = Render(plan, seed, sampling, stages.model_record, stages.adapter_records)
    record = describe((operation,), gain_db)
    return Track(master(samples, plan, gain_db), plan, latents.cpu().numpy(), record, prompt.notes)


def stream(stages: Stages, plan: Plan, options: RenderOptions, prompt: PromptStates) -> Iterator[np.ndarray]:
    """Blocks (2, n) float32 of the same track, the first as soon as its window is rendered.

    Before mastering they are the samples of `render`, bit for bit; the gain is that of the first window.
    """
    plan = edges.with_ending(plan.on(stages.time_base))
    seed, sampling = choose(stages, plan, options)
    plan = complete(stages, plan, prompt, progress=options.progress)
    latents = new_latents(stages, plan)
    blocks = (block for _, block in decoded_blocks(stages, plan, prompt, seed, sampling, latents, options.progress))
    yield from _mastered_at_once(stages, plan, sampling, blocks)


def _mastered_at_once(
    stages: Stages, plan: Plan, sampling: SamplingConfig, blocks: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """Blocks (2, n) of a whole plan at the gain of those of its first window, as 24-bit files hold them."""
    n_first = max(1, (min(sampling.window, plan.n_frames) - stages.codec.reach) // DECODE_BLOCK)
    first = list(itertools.islice(blocks, n_first))
    meter = LoudnessMeter(plan.time_base.sample_rate)
    for block in first:
        meter.feed(block)
    for block in audio.mastered(itertools.chain(first, blocks), audio.mastering_gain(meter.lufs())):
        yield audio.to_24_bits(block)


def decoded_blocks(
    stages: Stages,
    plan: Plan,
    prompt: PromptStates,
    seed: int,
    sampling: SamplingConfig,
    latents: Tensor,
    progress: Progress | None = None,
) -> Iterator[Block]:
    """A whole render in order, decoded as soon as its `latents` (T, C) are there, beside the windows after them.

    `latents`, on the stages' device, is filled on the way; the samples are not mastered.
    """
    known, done, n_frames = np.zeros(plan.n_frames, dtype=bool), 0, plan.n_frames
    windows, pending = WindowRenderer(stages.renderer, plan, prompt, seed, sampling), deque[Future[list[Block]]]()
    with beside.decoder(stages.device) as decoder:
        for ready in windows.fill(latents, known, (0, n_frames), progress):
            stop = ready if ready == n_frames else max(done, ready - stages.codec.reach) // DECODE_BLOCK * DECODE_BLOCK
            for start in range(done, stop, DECODE_BLOCK):
                span = (start, min(start + DECODE_BLOCK, stop))
                pending.append(decoder.submit(_shaped_blocks, stages, plan, latents, span))
            is_first, done = not done, stop
            while pending and (is_first or ready == n_frames or pending[0].done()):  # a listener waits for the first
                for first, block in pending.popleft().result():
                    yield first, block
                    frame = (first + plan.pre_roll) // plan.time_base.latent_hop
                    report(progress, "decoding", min(frame + DECODE_BLOCK, n_frames), n_frames)


def _shaped_blocks(stages: Stages, plan: Plan, latents: Tensor, frames: tuple[int, int]) -> list[Block]:
    """Frames start..stop-1 decoded, as the plan opens and ends them."""
    blocks = list[Block]()
    for first, block in _inside(stages, plan, latents, frames, 0):
        lead = _lead(stages, plan, latents, 0) if _is_last(plan, first + block.shape[1]) else None
        blocks.append((first, edges.shaped(plan, first, block, lead)))
    return blocks


def decoded(stages: Stages, plan: Plan, latents: Tensor, span: tuple[int, int], origin: int = 0) -> np.ndarray:
    """Samples start..stop-1 (2, n) of latents (T, C), opened and ended as the plan says, not mastered.

    origin: as in `Codec.decode_blocks`. Of a loop any part of its endless repetition, otherwise of the track.
    """
    start, stop = span
    if plan.is_loop and not 0 <= start <= stop <= plan.length:
        turns = range(start // plan.length, -(-stop // plan.length))
        cuts = [(max(start, turn * plan.length), min(stop, (turn + 1) * plan.length), turn) for turn in turns]
        parts = [(low - turn * plan.length, high - turn * plan.length) for low, high, turn in cuts]
        return np.concatenate([decoded(stages, plan, latents, part, origin) for part in parts], axis=1)
    frames = plan.frames_of(span, plan.time_base.latent_hop)
    lead = _lead(stages, plan, latents, origin) if _is_last(plan, stop) else None
    out = np.zeros((2, stop - start), dtype=np.float32)
    for first, block in _inside(stages, plan, latents, frames, origin):
        low, high = max(first, start), min(first + block.shape[1], stop)
        if low < high:
            block = edges.shaped(plan, first, block, lead)
            out[:, low - start : high - start] = block[:, low - first : high - first]
    return out


def _inside(stages: Stages, plan: Plan, latents: Tensor, frames: tuple[int, int], origin: int) -> Iterator[Block]:
    """Blocks of frames start..stop-1, as far as they lie in the track."""
    for at, block in stages.codec.decode_blocks(latents, *frames, origin=origin):
        first = at - plan.pre_roll
        inside = block[:, max(0, -first) : max(0, plan.length - first)]
        if inside.shape[1]:
            yield max(0, first), _imaged(plan, inside.cpu().numpy())


def _imaged(plan: Plan, samples: np.ndarray) -> np.ndarray:
    """Decoded samples (2, n), both channels the same where the plan wants mono: a renderer comes only near it."""
    if "mono" not in plan.sound:
        return samples
    return np.repeat(samples.mean(axis=0, keepdims=True, dtype=np.float32), 2, axis=0)


def _is_last(plan: Plan, stop: int) -> bool:
    """Whether samples up to `stop` reach into what a loop's pre-roll is mixed with."""
    return plan.is_loop and stop > edges.closing(plan)[0]


def _lead(stages: Stages, plan: Plan, latents: Tensor, origin: int) -> np.ndarray:
    """The last samples (2, SEAM) of a loop's pre-roll, or as many as the loop has."""
    size, hop = min(edges.SEAM, plan.length), stages.codec.hop_length
    first, last = (plan.pre_roll - size) // hop, -(-plan.pre_roll // hop)
    blocks = [block.cpu().numpy() for _, block in stages.codec.decode_blocks(latents, first, last, origin=origin)]
    start = plan.pre_roll - size - first * hop
    return _imaged(plan, np.concatenate(blocks, axis=1)[:, start : start + size])


def master(samples: np.ndarray, plan: Plan, gain_db: float) -> np.ndarray:
    """The samples (2, N) of a whole track after `audio.master`, as 24-bit files hold them; a loop goes round in it.

    Where it is no loop, this happens in place.
    """
    if not plan.is_loop:
        audio.master(samples, gain_db)
        return audio.to_24_bits(samples, out=samples)
    margin = audio.LIMITER_REACH
    turned = np.pad(samples, ((0, 0), (margin, margin)), mode="wrap")
    audio.master(turned, gain_db)
    return audio.to_24_bits(turned[:, margin:-margin])


def rendered(
    stages: Stages,
    plan: Plan,
    prompt: PromptStates,
    operation: Render | Change,
    origin: int = 0,
    progress: Progress | None = None,
    heard: tuple[str, ...] = (),
) -> Tensor:
    """Latents (T, C) of some roles of a plan alone, rendered as an operation says."""
    latents, known = new_latents(stages, plan), np.zeros(plan.n_frames, dtype=bool)
    windows = WindowRenderer(
        stages.renderer,
        plan,
        prompt,
        operation.seed,
        operation.sampling,
        heard=heard,
        origin=origin,
    )
    for _ in windows.fill(latents, known, (0, plan.n_frames), progress):
        pass
    return latents


def encode(stages: Stages, sound: Audio) -> np.ndarray:
    """Latents (T, C) float32 of a sound, resampled to the codec's rate."""
    samples = sound.resample(stages.codec.sample_rate).samples
    found = torch.tensor(samples, device=stages.device)[None]  # a copy: those of a track are read-only
    return stages.codec.encode(found)[0].cpu().numpy()


def codes(stages: Stages, latents: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """The quantizer's codes of latents (T, C), as a plan holds them."""
    found = stages.quantizer.encode(torch.from_numpy(latents)[None].to(stages.device))[0]
    return tuple(map(tuple, found.tolist()))


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
