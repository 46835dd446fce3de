"""A track played in other words: its score, or more of it, under another prompt."""

from dataclasses import replace

from hybridgen.plan.controls import Controls
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import Section, number, words
from hybridgen.plan.plan import Plan
from hybridgen.planning.plans import check_request, write_plans
from hybridgen.render import change, mixdown
from hybridgen.render.change import Remake
from hybridgen.sampling import RenderOptions, random_seed
from hybridgen.stages import Stages
from hybridgen.track import Track

DEPTHS = ("plan", "codes", "latents")
STRENGTH = 0.6  # of a cover that keeps latents


def cover(
    stages: Stages, track: Track, prompt: str, depth: str, strength: float | None, options: RenderOptions
) -> Track:
    """The track under another prompt, which says who plays; bars, tempo, key and chords stay.

    depth: what else is kept. "plan": nothing, all notes are new; "codes": the codes of its sound, in place of notes;
    "latents": these, and the new sound begins `strength` of the way from the old one to noise.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth {words(depth, 'depth')[:60]!r} is none of {', '.join(DEPTHS)}")
    if strength is not None and depth != "latents":
        raise ValueError(f"strength {number(strength, 'strength'):g} is given, but depth {depth!r} keeps no latents")
    change.check_time_base(stages, track.plan)
    if track.plan.n_bars == 0:
        raise ValueError("bars: the track has none, so there is no score to play")
    seed = random_seed() if options.seed is None else options.seed
    plan, notes = _rewritten(stages, track.plan, prompt, seed, options)
    if depth != "plan":
        plan = replace(plan, notes=(), codes=mixdown.codes(stages, track.latents))
    share = 1.0 if depth != "latents" else STRENGTH if strength is None else strength
    remake = Remake(plan, ((-plan.pre_roll, plan.length),), strength=share)
    return change.make(stages, track, remake, replace(options, seed=seed)).with_notes(notes)


def _rewritten(
    stages: Stages, plan: Plan, prompt: str, seed: int, options: RenderOptions
) -> tuple[Plan, tuple[str, ...]]:
    """The score of a plan as the planner fills it for another prompt: roles, instruments, notes; in the plan's time."""
    sections = tuple(Section(section.label, section.bars, section.energy) for section in plan.sections)
    controls = Controls(sections=sections, meter=plan.meter, key=plan.key, tempo=_tempo(plan))
    seeds = check_request(prompt, 1, seed, controls)
    written = write_plans(stages, prompt, stages.encode_prompt(prompt), controls, seeds, options.progress)
    new = written.plans[0]
    time = {name: getattr(plan, name) for name in ("tempo", "beats", "ending", "pre_roll", "time_base")}
    bars = iter(plan.bars)
    sections = tuple(replace(filled, bars=tuple(next(bars) for _ in filled.bars)) for filled in new.sections)
    n_samples = plan.length if plan.beats or plan.n_samples is not None else None
    return replace(new, sections=sections, n_samples=n_samples, codes=(), **time), written.notes


def _tempo(plan: Plan) -> float:
    """One tempo, in BPM, that stands for the plan's while its notes are written."""
    assert plan.tempo_map is not None
    starts = plan.bar_starts() / plan.time_base.sample_rate
    mean = 60 * plan.n_bars * plan.bar_ticks / TICKS / (starts[-1] - starts[0])
    return plan.tempo[0].bpm if plan.tempo else round(min(max(float(mean), 30.0), 300.0), 1)
