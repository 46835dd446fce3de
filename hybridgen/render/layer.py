"""A part for what is there: one more role, written to the chords of a track or a recording, alone and with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybridgen.audio import Audio
from hybridgen.history import Change
from hybridgen.plan.controls import InstrumentArg
from hybridgen.plan.instruments import HEARD
from hybridgen.plan.parts import order_roles
from hybridgen.plan.plan import Plan
from hybridgen.planning.notes import write_notes
from hybridgen.render import change, equalizer, mixdown
from hybridgen.sampling import RenderOptions
from hybridgen.stages import Stages
from hybridgen.track import Track


@dataclass(frozen=True, eq=False)
class Layered:
    """A part and the track with it."""

    alone: Audio
    track: Track


def layer(
    stages: Stages, track: Track, role: str, instrument: InstrumentArg, notes: Any, options: RenderOptions
) -> Layered:
    """The track with one more role; nothing of what was there is made anew, only the limiter may hold back its peaks.

    notes: what it plays, as in `Plan.edit`; None: the planner writes it, to the chords and beside the others' notes.
    ValueError for a role that plays already, and for a model whose renderer knows no notes.
    """
    order_roles([role], "role")
    change.check_no_ranges(stages, "a change makes some of a track anew")
    change.check_time_base(stages, track.plan)
    if not (stages.config.renderer.notes and stages.config.planner.notes):
        raise ValueError(f"role {role!r}: model {stages.name!r} does not write and play notes")
    if track.plan.n_bars == 0:
        raise ValueError("bars: the track has none, so nothing can be written for it")
    is_added = any(isinstance(one, Change) and role in one.heard for one in track.manifest.operations)
    if is_added or any(role in (section.roles or ()) for section in track.plan.sections):
        raise ValueError(f"role {role!r} plays in the track already; repaint makes what it plays anew")
    prompt = stages.encode_prompt(track.plan.prompt)
    plan = with_role(track.plan, role, instrument, notes)
    if track.plan.notes or notes is None:
        plan = write_notes(stages, plan, prompt, None, options.progress)
    seed = track.render_seed if options.seed is None else options.seed
    sampling = options.sampling(stages.config.sampling)
    operation = Change(
        replace(plan, codes=track.plan.codes),
        ((-plan.pre_roll, plan.length),),
        seed,
        sampling,
        stages.model_record,
        stages.adapter_records,
        heard=(role,),
    )
    return added(stages, track, operation, options)


def added(stages: Stages, track: Track, operation: Change, options: RenderOptions) -> Layered:
    """The roles that a change is to let be heard, rendered alone, and the track with them."""
    plan, record = operation.plan, track.manifest
    change.check_time_base(stages, plan)
    if (plan.length, plan.pre_roll) != (track.plan.length, track.plan.pre_roll):
        raise ValueError(f"heard: the plan of a layer has {plan.length} samples, the track {track.plan.length}")
    extended = record.followed_by(operation)  # before a render that could not be saved
    prompt = stages.encode_prompt(plan.prompt)
    unset = replace(plan, codes=())  # what the others play
    latents = mixdown.rendered(stages, unset, prompt, operation, record.origin, options.progress, operation.heard)
    alone = mixdown.decoded(stages, plan, latents, (0, plan.length), record.origin)
    alone = equalizer.toned(alone, record.styles, plan.is_loop) * np.float32(10 ** (record.gain_db / 20))
    samples = mixdown.master(track.samples + alone, plan, 0.0)
    mixed = Audio(samples * np.float32(10 ** (-record.gain_db / 20)), plan.time_base.sample_rate)
    new = Track(samples, plan, mixdown.encode(stages, mixed), extended, prompt.notes)
    return Layered(Audio(mixdown.master(alone, plan, 0.0), plan.time_base.sample_rate), new)


def with_role(plan: Plan, role: str, instrument: InstrumentArg, notes: Mapping[str, Any] | Any = None) -> Plan:
    """The plan in which a role plays in every section where it is known who does, on an instrument of its kind."""
    chosen = HEARD[role][0] if instrument is None else instrument
    sections = tuple(
        section if section.roles is None else replace(section, roles=(*section.roles, role))
        for section in plan.sections
    )
    new = replace(plan.edit(None, instruments={role: chosen}), sections=sections)
    return new if notes is None else new.edit(None, notes={role: notes})
