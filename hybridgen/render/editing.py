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
from hybridgen.plan.editing import check_same_time, keep_codes, with_notes_before
from hybridgen.plan.parts import check_bars, check_seed
from hybridgen.plan.plan import Plan
from hybridgen.planning.plans import complete
from hybridgen.render import edges, mixdown
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import RenderOptions
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track

FADE = 2048  # samples from a recording's own sound to new bars
NEAR = 128  # latent frames on each side of them from which their level is taken
FREE_DB = 1.0  # by which they may differ from it
MAX_MATCH_DB = 6.0  # either way
ROUNDS = 4  # in which they come to that level


def render(stages: Stages, plan: Plan, options: RenderOptions, prompt: PromptStates | None = None) -> Track:
    """The track of a plan; bars that have adapters of their own are then re-rendered with them, as edits.

    An ending that the plan leaves open is chosen (`edges.with_ending`) and becomes part of the track's plan.
    """
    plan = edges.with_ending(plan)
    everywhere, ranges = adapters.group_by_bars(stages.adapters)
    for bars in ranges:
        check_bars(bars, plan.n_bars)
    track = mixdown.render(stages, plan, options, prompt)
    if plan.notes and not stages.config.renderer.notes:
        track = track.with_notes(("the plan's notes are kept in it, but this model does not play them",))
    seed, sampling = mixdown.choose(stages, plan, options)
    for bars, own in ranges.items():
        composes = any("planner" in one.loras for one in own)
        new_plan = plan.on(stages.time_base) if composes else track.plan
        adapted = stages.adapted([*everywhere, *(one.everywhere() for one in own)]).with_sampling(sampling)
        track = rerender(adapted, track, new_plan, bars, RenderOptions(seed=seed, progress=options.progress))
    return track


def rerender(stages: Stages, track: Track, plan: Plan, bars: tuple[int, int] | None, options: RenderOptions) -> Track:
    """The track with bars first..last (from 1, both included) re-rendered as `plan` has them; None for no bars.

    Every latent outside the bars, and every sample outside them and the reach of decoder and limiter, stays bit
    for bit; so does the end, unless the plan has another ending. Raises ValueError when the new plan moves anything
    outside the bars.
    """
    check_no_ranges(stages, "the edit is of " + ("the ending" if bars is None else f"bars {bars[0]}-{bars[1]}"))
    check_stages(stages, track.manifest, "codec", "its latents cannot be decoded here")
    check_time_base(stages, track.plan)
    plan = plan.on(track.plan.time_base)
    plan = replace(plan, ending=plan.ending or track.plan.ending)
    if bars is not None:
        return _rerender_bars(stages, track, plan, bars, options)
    if replace(plan, ending=track.plan.ending) != track.plan:
        raise ValueError("bars: none are named, so nothing but the ending of the plan may differ from the track's")
    samples = _end_anew(stages, track, plan)
    return _edited(stages, track, Track(samples, plan, track.latents, track.manifest), None, options)


def _rerender_bars(stages: Stages, track: Track, plan: Plan, bars: tuple[int, int], options: RenderOptions) -> Track:
    if track.plan.codes:
        check_stages(stages, track.manifest, "quantizer", "its codes mean something else here")
    seed, sampling = _seed(track, options), options.sampling(stages.config.sampling)
    check_same_time(track.plan, plan, bars)
    prompt = stages.encode_prompt(plan.prompt)
    plan = complete(stages, keep_codes(track.plan, plan, bars), prompt, bars, options.progress)
    start, stop = plan.frame_range(bars, plan.time_base.latent_hop)
    latents = torch.from_numpy(track.latents).to(stages.device, copy=True)
    known = np.ones(plan.n_frames, dtype=bool)
    known[start:stop] = False
    ratio = plan.time_base.frames_per_code
    span = (max(0, start - sampling.overlap) // ratio * ratio, min(plan.n_frames, stop + sampling.overlap))
    replaced = with_notes_before(track.plan, plan)
    windows = WindowRenderer(stages.renderer, plan, prompt, seed, sampling, replaced=replaced)
    for _ in windows.fill(latents, known, span, options.progress):
        pass
    samples = _end_anew(stages, track, plan)
    _splice(stages, track, plan, latents, (start, stop), samples)
    return _edited(
        stages, track, Track(samples, plan, latents.cpu().numpy(), track.manifest, prompt.notes), bars, options
    )


def _seed(track: Track, options: RenderOptions) -> int:
    return check_seed(track.render_seed if options.seed is None else options.seed)


def _edited(stages: Stages, old: Track, new: Track, bars: tuple[int, int] | None, options: RenderOptions) -> Track:
    """The new track with an edit of the old one in its manifest, which was made first with the versions it names."""
    seed, sampling = _seed(old, options), options.sampling(stages.config.sampling)
    operation = Edit(new.plan, bars, seed, sampling, stages.model_record, stages.adapter_records)
    return replace(new, manifest=replace(old.manifest, operations=(*old.manifest.operations, operation)))


def _end_anew(stages: Stages, track: Track, plan: Plan) -> np.ndarray:
    """A copy of the track's samples that ends as `plan` says. A recording's own sound is kept, and only gets quieter.

    ValueError for a recording whose end another ending has changed already.
    """
    samples = track.samples.copy()
    if plan.ending == track.plan.ending:
        return samples
    begin = min(edges.closing(one)[0] for one in (track.plan, plan))
    if not track.manifest.is_recording:
        span = (max(0, begin - audio.LIMITER_REACH), plan.length)
        samples[:, span[0] :] = _remade(stages, track, plan, torch.from_numpy(track.latents).to(stages.device), span)
    elif track.plan.ending is None:
        samples[:, begin:] *= edges.gain(plan, begin, plan.length)
    else:
        raise ValueError(f"ending {plan.ending}: the recording already has ending {track.plan.ending}")
    return samples


def _splice(
    stages: Stages, track: Track, plan: Plan, latents: Tensor, frames: tuple[int, int], samples: np.ndarray
) -> None:
    """Writes into the track's samples those that frames start..stop reach, decoded and mastered again."""
    hop, reach = stages.codec.hop_length, stages.codec.reach * stages.codec.hop_length + audio.LIMITER_REACH
    low, high = max(0, frames[0] * hop - reach), min(plan.length, frames[1] * hop + reach)
    if not track.manifest.is_recording:
        samples[:, low:high] = _remade(stages, track, plan, latents, (low, high))
        return
    gain_db, narrow, level_db = _match(stages, track, plan, frames)
    inside, added_db = slice(frames[0] * hop - low, frames[1] * hop - low), 0.0
    for _ in range(ROUNDS):  # each masters the bars: the limiter takes off what cannot be known before
        fresh = _remade(stages, track, plan, latents, (low, high), gain_db + added_db, narrow)
        apart_db = 0.0 if level_db is None or not fresh[:, inside].any() else level_db - _power_db(fresh[:, inside])
        if abs(apart_db) <= FREE_DB:
            break
        added_db = _clipped(added_db + apart_db - math.copysign(FREE_DB, apart_db), MAX_MATCH_DB)
    # its own sound is not what the codec makes of it: fade from one to the other
    ramp = np.minimum(np.arange(high - low), np.arange(high - low)[::-1]) / FADE
    samples[:, low:high] += np.minimum(ramp, 1).astype(np.float32) * (fresh - samples[:, low:high])


def _match(stages: Stages, track: Track, plan: Plan, frames: tuple[int, int]) -> tuple[float, float, float | None]:
    """Gain in dB, a factor for the side, and the level in dB that make frames start..stop like those beside them.

    The codec takes a decibel or two off most recordings, and makes mono ones a little wide; and new bars are as loud as
    their neighbours, unless the plan changes who plays or how loud, or nothing sounds beside them: then the level is
    None.
    """
    hop, old = stages.codec.hop_length, torch.from_numpy(track.latents.copy()).to(stages.device)
    beside = (max(0, frames[0] - NEAR), frames[0]), (frames[1], min(len(old), frames[1] + NEAR))
    own = np.concatenate([track.samples[:, start * hop : stop * hop] for start, stop in beside], axis=1)
    made = np.concatenate([_decoded(stages, old, start, stop) for start, stop in beside], axis=1)
    if not own.any() or not made.any():
        return 0.0, 1.0, None
    own_width, made_width = stereo.width(own), stereo.width(made)
    narrow = own_width / made_width if stereo.is_narrow(own_width) and made_width else 1.0
    lost_db = _power_db(own) - track.manifest.gain_db - _power_db(stereo.narrowed(made, narrow))
    loudness = [[(one.energy, one.roles, one.label) for one in each.sections] for each in (plan, track.plan)]
    return _clipped(lost_db, MAX_MATCH_DB), narrow, _power_db(own) if loudness[0] == loudness[1] else None


def _clipped(decibels: float, limit: float) -> float:
    return max(-limit, min(limit, decibels))


def _power_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.square(samples).mean(dtype=float) + 1e-12)


def _remade(
    stages: Stages,
    track: Track,
    plan: Plan,
    latents: Tensor,
    span: tuple[int, int],
    gain_db: float = 0.0,
    narrow: float = 1.0,
) -> np.ndarray:
    """Samples low..high-1 of the latents (T, C) as the plan begins and ends them, mastered at the track's gain.

    gain_db and narrow: see `_match`.
    """
    hop, length, margin, (low, high) = stages.codec.hop_length, plan.length, audio.LIMITER_REACH, span
    first, last = max(0, low - margin) // hop, -(-min(length, high + margin) // hop)
    fresh = edges.shaped(plan, first * hop, _decoded(stages, latents, first, last)[:, : length - first * hop])
    fresh = fresh if narrow == 1.0 else stereo.narrowed(fresh, narrow)
    audio.master(fresh, track.manifest.gain_db + gain_db)
    return fresh[:, low - first * hop : high - first * hop]


def _decoded(stages: Stages, latents: Tensor, first: int, last: int) -> np.ndarray:
    """Samples (2, N) of latent frames first..last-1, not mastered."""
    blocks = [block.cpu().numpy() for _, block in stages.codec.decode_blocks(latents, first, last)]
    return np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)


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
