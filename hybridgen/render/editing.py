"""Some bars of a track re-rendered, the rest kept bit for bit; and renders in which some bars have adapters."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hybridgen import adapters, audio
from hybridgen.codecs import stereo
from hybridgen.history import Edit
from hybridgen.manifest import Manifest
from hybridgen.plan.editing import check_same_time, keep_codes
from hybridgen.plan.parts import check_bars, check_seed
from hybridgen.plan.plan import Plan
from hybridgen.planning import write_codes
from hybridgen.render import mixdown
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import RenderOptions
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track

FADE = 2048  # samples from a recording's own sound to new bars
NEAR = 128  # latent frames on each side of them from which their level is taken
FREE_DB = 1.0  # by which they may differ from it
MAX_MATCH_DB = 6.0  # either way


def render(stages: Stages, plan: Plan, options: RenderOptions, prompt: PromptStates | None = None) -> Track:
    """The track of a plan; bars that have adapters of their own are then re-rendered with them, as edits."""
    everywhere, ranges = adapters.group_by_bars(stages.adapters)
    for bars in ranges:
        check_bars(bars, plan.n_bars)
    track = mixdown.render(stages, plan, options, prompt)
    seed, sampling = mixdown.choose(stages, plan, options)
    for bars, own in ranges.items():
        composes = any("planner" in one.loras for one in own)
        new_plan = plan.on(stages.time_base) if composes else track.plan
        adapted = stages.adapted([*everywhere, *(one.everywhere() for one in own)]).with_sampling(sampling)
        track = rerender(adapted, track, new_plan, bars, RenderOptions(seed=seed, progress=options.progress))
    return track


def rerender(stages: Stages, track: Track, plan: Plan, bars: tuple[int, int], options: RenderOptions) -> Track:
    """The track with bars first..last (from 1, both included) re-rendered as `plan` has them.

    Every latent outside the bars, and every sample outside them and the reach of decoder and limiter, stays bit
    for bit. Raises ValueError when the new plan moves anything outside the bars.
    """
    check_no_ranges(stages, f"the edit is of bars {bars[0]}-{bars[1]}")
    check_stages(stages, track.manifest, "codec", "its latents cannot be decoded here")
    if track.plan.codes:
        check_stages(stages, track.manifest, "quantizer", "its codes mean something else here")
    check_time_base(stages, track.plan)
    plan = plan.on(track.plan.time_base)
    seed = check_seed(track.render_seed if options.seed is None else options.seed)
    sampling = options.sampling(stages.config.sampling)
    check_same_time(track.plan, plan, bars)
    prompt = stages.encode_prompt(plan.prompt)
    plan = write_codes(stages, keep_codes(track.plan, plan, bars), prompt, options.progress)
    start, stop = plan.frame_range(bars, plan.time_base.latent_hop)
    latents = torch.from_numpy(track.latents).to(stages.device, copy=True)
    known = np.ones(plan.n_frames, dtype=bool)
    known[start:stop] = False
    ratio = plan.time_base.frames_per_code
    span = (max(0, start - sampling.overlap) // ratio * ratio, min(plan.n_frames, stop + sampling.overlap))
    for _ in WindowRenderer(stages.renderer, plan, prompt, seed, sampling).fill(latents, known, span, options.progress):
        pass
    as_loud = [(one.energy, one.roles, one.label) for one in plan.sections]  # nobody asked for another level
    is_alike = as_loud == [(one.energy, one.roles, one.label) for one in track.plan.sections]
    samples = _splice(stages, track, latents, (start, stop), is_alike)
    operation = Edit(plan, (bars[0], bars[1]), seed, sampling, stages.model_record, stages.adapter_records)
    operations = (*track.manifest.operations, operation)
    record = replace(track.manifest, operations=operations)  # made first with the versions that it names
    return Track(samples, plan, latents.cpu().numpy(), record, prompt.notes)


def _splice(stages: Stages, track: Track, latents: Tensor, frames: tuple[int, int], is_alike: bool) -> np.ndarray:
    """The track's samples with those that frames start..stop reach decoded and mastered again, at the same gain.

    is_alike: whether new bars of a recording should be about as loud as those beside them.
    """
    hop, length = stages.codec.hop_length, track.plan.length
    reach, margin = stages.codec.reach * hop, audio.LIMITER_REACH
    low = max(0, frames[0] * hop - reach - margin)  # first and last sample that may change
    high = min(length, frames[1] * hop + reach + margin)
    first, last = max(0, low - margin) // hop, -(-min(length, high + margin) // hop)
    fresh = _decoded(stages, latents, first, last)[:, : length - first * hop]
    gain_db = track.manifest.gain_db
    if track.manifest.is_recording:
        inside = slice((frames[0] - first) * hop, (frames[1] - first) * hop)
        fresh, near_db, lost_db = _matched(stages, track, fresh, frames)
        gain_db += lost_db
        if is_alike and math.isfinite(near_db) and fresh[:, inside].any():
            apart_db = near_db - gain_db - _power_db(fresh[:, inside])
            gain_db += float(np.clip(apart_db - np.clip(apart_db, -FREE_DB, FREE_DB), -MAX_MATCH_DB, MAX_MATCH_DB))
    audio.master(fresh, gain_db)
    fresh = fresh[:, low - first * hop : high - first * hop]
    samples = track.samples.copy()
    if track.manifest.is_recording:  # its own sound is not what the codec makes of it: fade from one to the other
        ramp = np.minimum(np.arange(high - low), np.arange(high - low)[::-1]) / FADE
        fresh = samples[:, low:high] + np.minimum(ramp, 1).astype(np.float32) * (fresh - samples[:, low:high])
    samples[:, low:high] = fresh
    return samples


def _decoded(stages: Stages, latents: Tensor, first: int, last: int) -> np.ndarray:
    """Samples (2, N) of latent frames first..last-1, not mastered."""
    blocks = [block.cpu().numpy() for _, block in stages.codec.decode_blocks(latents, first, last)]
    return np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)


def _matched(
    stages: Stages, track: Track, fresh: np.ndarray, frames: tuple[int, int]
) -> tuple[np.ndarray, float, float]:
    """New sound (2, N) for frames start..stop of a recording; the level beside them, and what the codec takes off it.

    The codec loses a decibel or two of most recordings, and makes mono ones a little wide: the width is mended here.
    """
    hop, n_frames = stages.codec.hop_length, len(track.latents)
    latents = torch.from_numpy(track.latents).to(stages.device)
    spans = (max(0, frames[0] - NEAR), frames[0]), (frames[1], min(n_frames, frames[1] + NEAR))
    own = np.concatenate([track.samples[:, start * hop : stop * hop] for start, stop in spans], axis=1)
    made = np.concatenate([_decoded(stages, latents, start, stop) for start, stop in spans], axis=1)
    made = made * np.float32(10 ** (track.manifest.gain_db / 20))
    if not own.any() or not made.any():
        return fresh, -math.inf, 0.0
    if stereo.is_narrow(own_width := stereo.width(own)) and (made_width := stereo.width(made)):
        fresh, made = (stereo.narrowed(sound, own_width / made_width) for sound in (fresh, made))
    near_db = _power_db(own)
    return fresh, near_db, float(np.clip(near_db - _power_db(made), -MAX_MATCH_DB, MAX_MATCH_DB))


def _power_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.square(samples).mean(dtype=float) + 1e-12)


def check_no_ranges(stages: Stages, reason: str) -> None:
    """ValueError where an adapter has bars of its own."""
    for one in stages.adapters:
        if one.adapter.bars is not None:
            raise ValueError(f"adapter {one.adapter}: {reason}, an adapter with bars of its own is for a whole render")


def check_stages(stages: Stages, record: Manifest, stage: str, consequence: str) -> None:
    """ValueError unless the track was last changed by a model with the same weights of a stage."""
    made, here = record.operations[-1].model, stages.model_record
    theirs, ours = (model.weights.get(f"{stage}.safetensors", "none") for model in (made, here))
    if theirs != ours:
        raise ValueError(
            f"the track was made with the {stage} of model {made.name!r} (SHA-256 {theirs[:12]}), "
            f"that of {here.name!r} is another ({ours[:12]}): {consequence}"
        )


def check_time_base(stages: Stages, plan: Plan) -> None:
    """ValueError unless a track's plan counts time as these stages do."""
    if plan.time_base != stages.time_base:
        raise ValueError(f"the track's time base is {plan.time_base}, that of model {stages.name!r} {stages.time_base}")
