"""Prompt and controls -> plans: scores with their notes; and what an unfinished plan lacks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from hybridgen import grammar, note_grammar
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import Ending, check_prompt, check_seed, show, whole
from hybridgen.plan.plan import Plan
from hybridgen.planning.codes import write_codes
from hybridgen.planning.melody import check_melody, fitted, with_melody
from hybridgen.planning.notes import unknown_bars, write_notes
from hybridgen.planning.score import decode_scores
from hybridgen.progress import Progress
from hybridgen.request import resolve_controls
from hybridgen.sampling import MAX_PLANS
from hybridgen.stages import PromptStates, Stages
from hybridgen.text.controls import understand
from hybridgen.text.swing import usual_swing


@dataclass(frozen=True)
class PlanResult(Sequence[Plan]):
    """Plans, indexed and iterated like a tuple of them, and notes on what of the request was not done."""

    plans: tuple[Plan, ...]
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Plan: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Plan, ...]: ...

    def __getitem__(self, index: int | slice) -> Plan | tuple[Plan, ...]:
        return self.plans[index]

    def __len__(self) -> int:
        return len(self.plans)

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)


def write_plans(
    stages: Stages,
    prompt: str,
    states: PromptStates,
    controls: Controls,
    seeds: Sequence[int],
    progress: Progress | None = None,
    melody: Plan | None = None,
) -> PlanResult:
    """A score for each seed, with notes where the model writes them, without codes; see `Pipeline.plan`."""
    scores = write_scores(stages, prompt, states, controls, seeds, progress, melody)
    return replace(scores, plans=tuple(write_notes(stages, plan, states, progress=progress) for plan in scores.plans))


def write_scores(
    stages: Stages,
    prompt: str,
    states: PromptStates,
    controls: Controls,
    seeds: Sequence[int],
    progress: Progress | None = None,
    melody: Plan | None = None,
) -> PlanResult:
    """`write_plans` without the notes."""
    understood, notes_of_prompt = understand(prompt), states.notes
    if melody is not None:
        controls, worded = fitted(controls, understood.controls, melody)
        understood = replace(understood, controls=worded)
    is_long = controls.fixes_length or understood.controls.fixes_length
    controls, notes = resolve_controls(understood, controls)
    if understood.text != prompt:
        states = replace(stages.encode_prompt(understood.text), notes=states.notes)
    n, sampling = len(seeds), stages.config.sampling.score
    text, mask = states.text.expand(n, -1, -1), states.mask.expand(n, -1)
    rows = decode_scores(stages.planner, text, mask, [controls] * n, seeds, sampling, progress)
    rate = stages.time_base.sample_rate
    n_samples = None if controls.seconds is None else round(controls.seconds * rate)
    plans = [
        grammar.parse(row, prompt=prompt, seed=seed, n_samples=n_samples, time_base=stages.time_base)
        for row, seed in zip(rows, seeds, strict=True)
    ]
    plans = [
        replace(plan, swing=controls.swing or usual_swing(prompt, plan.meter), sound=controls.sound or ())
        for plan in plans
    ]
    plans, ending_notes = _end_plans(plans, controls.ending, controls.seconds if is_long else None)
    stages.check_seconds(max(plan.seconds for plan in plans))
    if melody is not None:
        plans = [with_melody(plan, melody) for plan in plans]
        if (n_bars := min(plan.n_bars for plan in plans)) < melody.n_bars:
            ending_notes.append(f"the melody has {melody.n_bars} bars, of which {n_bars} are played")
    return PlanResult(tuple(plans), (*notes, *ending_notes, *notes_of_prompt))


def _end_plans(plans: list[Plan], ending: Ending | None, seconds: float | None) -> tuple[list[Plan], list[str]]:
    """The plans with the ending that is fixed; a fade over more bars than there are fades all, with a note.

    A loop is as long as its bars, with a note where other `seconds` were asked for.
    """
    if ending is None:
        return plans, []
    if ending.kind == "loop":
        loops = [replace(plan, ending=ending, n_samples=None, pre_roll=0) for plan in plans]
        if seconds is None or all(plan.length == round(seconds * plan.time_base.sample_rate) for plan in loops):
            return loops, []
        made = " and ".join(f"{one:g}" for one in sorted({round(plan.seconds, 3) for plan in loops}))
        return loops, [f"seconds {show(seconds)}: a loop is as long as its bars, here {made} s; ask for bars instead"]
    ended, notes = [], []
    for plan in plans:
        fits = ending.bars is None or ending.bars <= plan.n_bars
        ended.append(replace(plan, ending=ending if fits else Ending("fade", plan.n_bars)))
        if not fits:
            notes.append(f"a fade over {ending.bars} bars is longer than the {plan.n_bars} bars: all of them fade")
    return ended, notes


def check_request(prompt: str, n: int, seed: int, controls: Controls, melody: Plan | None = None) -> list[int]:
    """The seeds of `n` plans; ValueError for an empty or endless prompt, n outside 1-64, or impossible controls.

    Nothing is loaded for it. TypeError for what is no text or no whole number.
    """
    if not check_prompt(prompt).strip():
        raise ValueError("prompt is empty: say in words what the music should be")
    check_count(n)
    understood = understand(prompt)
    if melody is not None:
        check_melody(melody, controls)
        controls, worded = fitted(controls, understood.controls, melody)
        understood = replace(understood, controls=worded)
    resolve_controls(understood, controls)
    return [check_seed(check_seed(seed) + i) for i in range(check_count(n))]


def check_count(n: int) -> int:
    """`n` as an int; ValueError outside the 1-64 plans that are written together."""
    if not 1 <= whole(n, "n") <= MAX_PLANS:
        raise ValueError(f"n {n} is outside 1-{MAX_PLANS}")
    return whole(n, "n")


def complete(
    stages: Stages,
    plan: Plan,
    states: PromptStates,
    bars: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan with what it lacks for a render of some bars, (bars,) bool (None: all): notes, or codes.

    A renderer that knows notes needs no codes where all of them are known; where some are not, as in recordings, the
    codes say what is played. In some bars of a plan without any notes, none are invented.
    """
    if bars is None or plan.notes:
        plan = write_notes(stages, plan, states, bars, progress)
    is_known = not (unknown_bars(plan) & note_grammar.playing(plan)).any()
    if stages.config.renderer.notes and plan.notes and is_known:
        return plan
    return write_codes(stages, plan, states, progress)
