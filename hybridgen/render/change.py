"""Some of a track made anew, the rest kept bit for bit: what every change of a track comes down to; and its replay.

A change gives the plan of the whole track afterwards, the spans of samples that are made anew, and by how many latent
frames what is kept lies later than before. Who changes what is in `repaint`, `extend`, `loop` and `vary`.

Shapes: T latent frames, C latent channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hybridgen import adapters
from hybridgen.history import Change, check_spans, check_strength
from hybridgen.manifest import Manifest
from hybridgen.plan.editing import keep_codes, with_codes_in_common
from hybridgen.plan.parts import check_bars, check_seed
from hybridgen.plan.plan import Plan
from hybridgen.planning.plans import complete
from hybridgen.render import edges, mixdown, splice
from hybridgen.render.windows import WindowRenderer
from hybridgen.sampling import RenderOptions
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track


@dataclass(frozen=True)
class Remake:
    """What of a track is made anew; see `history.Change`, which records it."""

    plan: Plan
    fresh: tuple[tuple[int, int], ...] = ()
    moved: int = 0
    strength: float = 1.0
    keeps: bool = False


def render(
    stages: Stages,
    plan: Plan,
    options: RenderOptions,
    prompt: PromptStates | None = None,
    play: mixdown.Play | None = None,
) -> Track:
    """The track of a plan; bars that have adapters of their own are then made anew with them.

    An ending that the plan leaves open is chosen (`edges.with_ending`) and becomes part of the track's plan. play: is
    given its sound while it is rendered, as `mixdown.stream` has it; ValueError for adapters of some bars.
    """
    if play is not None:
        check_no_ranges(stages, "what is played is played as it is rendered")
    plan = edges.with_ending(plan)
    everywhere, ranges = adapters.group_by_bars(stages.adapters)
    for bars in ranges:
        check_bars(bars, plan.n_bars)
    track = mixdown.render(stages, plan, options, prompt, play=play)
    if plan.notes and not stages.config.renderer.notes:
        track = track.with_notes(("the plan's notes are kept in it, but this model does not play them",))
    if set(plan.sound) - {"mono"} and not stages.config.renderer.sound:  # mono is made so after decoding
        track = track.with_notes(("the plan's sound is kept in it, but this model knows no kinds of sound",))
    seed, sampling = mixdown.choose(stages, plan, options)
    for bars, own in ranges.items():
        composes = any("planner" in one.loras for one in own)
        new_plan = plan.on(stages.time_base) if composes else track.plan
        adapted = stages.adapted([*everywhere, *(one.everywhere() for one in own)]).with_sampling(sampling)
        again = RenderOptions(seed=seed, progress=options.progress)
        track = make(adapted, track, Remake(new_plan, (new_plan.span(bars),)), again)
    return track


def make(stages: Stages, track: Track, remake: Remake, options: RenderOptions) -> Track:
    """The track after a change; what its plan lacks in the spans made anew is written first.

    Every latent outside the spans, and every sample outside them and the reach of decoder and limiter, stays bit for
    bit; so does the end, unless the plan has another ending. Raises ValueError where the track was made with another
    codec or quantizer, and for adapters of some bars.
    """
    check_no_ranges(stages, "a change makes some of a track anew")
    check_stages(stages, track.manifest, "codec", "its latents cannot be decoded here")
    check_time_base(stages, track.plan)
    seed = check_seed(track.render_seed if options.seed is None else options.seed)
    sampling, strength = options.sampling(stages.config.sampling), check_strength(remake.strength)
    plan = replace(remake.plan, ending=remake.plan.ending or track.plan.ending)
    fresh = check_spans(remake.fresh, plan)
    check_time_base(stages, plan)
    if remake.keeps and (remake.moved or not same_time(track.plan, plan)):
        raise ValueError("keeps: the plan has other bars than the track's, so what they have in common is not known")
    if remake.moved % plan.time_base.frames_per_code:
        raise ValueError(
            f"moved {remake.moved} is no multiple of the {plan.time_base.frames_per_code} frames of a code"
        )
    if not fresh and (remake.moved, plan.length, plan.pre_roll) != (0, track.plan.length, track.plan.pre_roll):
        raise ValueError(
            f"fresh: nothing is made anew, but the plan has {plan.length} samples, not {track.plan.length}"
        )
    operation = Change(
        plan,
        fresh,
        seed,
        sampling,
        stages.model_record,
        stages.adapter_records,
        remake.moved,
        strength,
        keeps=remake.keeps,
    )
    record = track.manifest.followed_by(operation)  # before a render that could not be saved
    stages.check_seconds(plan.seconds)
    latents, notes = torch.from_numpy(track.latents).to(stages.device, copy=True), tuple[str, ...]()
    if fresh:
        prompt = stages.encode_prompt(plan.prompt)
        plan, notes = _completed(stages, track, replace(remake, plan=plan), prompt, options), prompt.notes
        operation = replace(operation, plan=plan)
        record = track.manifest.followed_by(operation)
        frames = [plan.frames_of(span, plan.time_base.latent_hop) for span in fresh]
        latents = _moved(latents, remake.moved, plan.n_frames)
        windows = WindowRenderer(
            stages.renderer,
            plan,
            prompt,
            seed,
            sampling,
            origin=track.manifest.origin - remake.moved,
            near=latents.clone() if strength < 1 or remake.keeps else None,
            strength=strength,
        )
        if remake.keeps:
            before = with_codes_in_common(track.plan, plan)
            windows = replace(windows, before=replace(windows, plan=before, prompt=stages.encode_prompt(before.prompt)))
        _fill(windows, latents, frames, options)
    samples = splice.samples(stages, track, plan, latents, operation, record.origin)
    return Track(samples, plan, latents.cpu().numpy(), record, notes)


def replayed(stages: Stages, track: Track, change: Change, options: RenderOptions) -> Track:
    """The track after a change that a manifest records."""
    remake = Remake(change.plan, change.fresh, change.moved, change.strength, change.keeps)
    return make(stages, track, remake, options)


def same_time(old: Plan, new: Plan) -> bool:
    """Whether all bars of two plans lie at the same samples."""
    return (old.length, old.pre_roll) == (new.length, new.pre_roll) and np.array_equal(
        old.bar_starts(), new.bar_starts()
    )


def bars_in(plan: Plan, fresh: Sequence[tuple[int, int]]) -> np.ndarray:
    """(bars,) bool: which bars of the plan the spans of samples reach into."""
    starts, inside = np.minimum(plan.bar_starts(), plan.length), np.zeros(plan.n_bars, dtype=bool)
    for start, stop in fresh:
        inside |= (starts[:-1] < stop) & (starts[1:] > start)
    return inside


def _completed(stages: Stages, track: Track, remake: Remake, prompt: PromptStates, options: RenderOptions) -> Plan:
    """The plan with what it lacks in the spans, and the track's codes elsewhere."""
    old, plan, ratio = track.plan, remake.plan, remake.plan.time_base.frames_per_code
    if old.codes:
        check_stages(stages, track.manifest, "quantizer", "its codes mean something else here")
    plan = keep_codes(old, plan, remake.fresh, remake.moved // ratio) if old.codes or plan.codes else plan
    return complete(stages, plan, prompt, bars_in(plan, remake.fresh), options.progress)


def _moved(latents: Tensor, moved: int, n_frames: int) -> Tensor:
    """Latents (T, C) of another track: the same `moved` frames later, zeros where there were none."""
    if not moved and len(latents) == n_frames:
        return latents
    new = latents.new_zeros(n_frames, latents.shape[1])
    start = max(0, moved)
    stop = max(start, min(n_frames, len(latents) + moved))
    new[start:stop] = latents[start - moved : stop - moved]
    return new


def _fill(windows: WindowRenderer, latents: Tensor, frames: Sequence[tuple[int, int]], options: RenderOptions) -> None:
    """Writes the frames made anew into latents (T, C), in windows that reach into what is known on both sides."""
    ratio, overlap, n_frames = windows.plan.time_base.frames_per_code, windows.sampling.overlap, len(latents)
    known = np.ones(n_frames, dtype=bool)
    for start, stop in frames:
        known[start:stop] = False
    edges_ = np.flatnonzero(np.diff(np.concatenate([[False], ~known, [False]]).astype(int)))
    for start, stop in _joined([(int(a), int(b)) for a, b in edges_.reshape(-1, 2)], overlap):
        span = (max(0, start - overlap) // ratio * ratio, min(n_frames, stop + overlap))
        for _ in windows.fill(latents, known, span, options.progress):
            pass


def _joined(spans: list[tuple[int, int]], near: int) -> list[tuple[int, int]]:
    """Spans, ascending, with those less than `near` frames apart as one."""
    cuts = [i for i, (one, other) in enumerate(pairwise(spans), start=1) if other[0] - one[1] >= near]
    return [(spans[a][0], spans[b - 1][1]) for a, b in pairwise([0, *cuts, len(spans)]) if b > a]


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
