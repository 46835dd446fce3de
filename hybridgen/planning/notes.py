"""A plan and the notes that it lacks, step by step: see `note_grammar`.

Shapes: S text tokens, V sub-tokens, D width of the planner, d of its head for notes; one plan, or two rows where
guidance needs them.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hybridgen import decoding, grammar, note_grammar
from hybridgen.note_grammar import State
from hybridgen.note_stage import NoteStage, harmony
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, count, pad_scores
from hybridgen.planning import host
from hybridgen.planning.host import Harmony, HostNotes
from hybridgen.planning.session import DecoderSession, with_unconditional
from hybridgen.progress import Progress, report
from hybridgen.sampling import SamplingParams
from hybridgen.stages import PromptStates, Stages
from hybridgen.workers import single_threaded

NOTES_STREAM = 3  # which noise a choice takes, see decoding.gumbel


def write_notes(
    stages: Stages,
    plan: Plan,
    states: PromptStates,
    bars: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan with all unknown notes of some bars, (bars,) bool (None: all), written; known ones stay.

    Itself where there are none to write, where nobody knows its bars or its meter, and where the model writes no notes.
    """
    if not stages.config.planner.notes or plan.n_bars == 0 or plan.meter is None:
        return plan
    unknown = unknown_bars(plan)
    if bars is not None:
        unknown[~bars] = False
    if not (unknown & note_grammar.playing(plan)).any():
        return plan
    params = stages.config.sampling.notes
    state = decode_notes(stages.planner, states.text, states.mask, plan, unknown, params, progress)
    return note_grammar.written(plan, state)


def unknown_bars(plan: Plan) -> np.ndarray:
    """(bars, 9) bool: where the notes of a role that the plan has are unknown."""
    unknown = np.zeros((plan.n_bars, len(ROLES)), dtype=bool)
    for role, _ in plan.instruments:
        unknown[:, ROLES.index(role)] = [bar is None for bar in plan.part(role).bars]
    return unknown


# ---- for a planner


@torch.inference_mode()
def decode_notes(
    planner: Planner,
    text: Tensor,
    text_mask: Tensor,
    plan: Plan,
    write: np.ndarray,
    params: SamplingParams,
    progress: Progress | None = None,
) -> State:
    """The notes of a plan where `write` (bars, 9) says so, in a state that `note_grammar.written` reads.

    text (1, S, text_dim), text_mask (1, S) bool. What is known of the bars up to the last one written is the context;
    what depends on the seed is that of the plan. progress("writing notes", bars written, bars to write).
    """
    assert planner.notes is not None
    state, sub_tokens = State(plan, write), _SubTokens(planner.notes, plan.seed, params)
    text, text_mask = with_unconditional(text, text_mask, params)
    copies = len(text)
    parts = pad_scores([grammar.tokens(plan)])
    score, bars_left = (part.to(text.device).expand(copies, *part.shape[1:]) for part in parts)
    bars = np.flatnonzero(write.any(axis=1))
    first, last = int(bars[0]), int(bars[-1])
    with single_threaded():
        session = DecoderSession(planner, text, text_mask, score, bars_left)
        slots = _Slots(planner, plan, text.device)
        known, before = [], None
        while not state.is_done and state.bar < first:
            known.append(slots.embed(state, before))
            before = list(_known_step(state))
        fed = len(known)
        while not state.is_done and state.bar <= last:
            x = torch.cat([*known, slots.embed(state, before)], dim=1).expand(copies, -1, -1)
            hidden = session.feed(x, count(x, fed - len(known) + 1, fed + 2) + score.shape[1])
            fed, known = fed + 1, []
            before = sub_tokens.write(state, hidden[:, -1], Harmony(slots.harmony[state.bar, state.kind]))
            report(progress, "writing notes", min(state.bar, last) + 1 - first, last + 1 - first)
    return state


def _known_step(state: State) -> Iterator[int]:
    """The sub-tokens of a step that leaves no choice, as they are taken."""
    step = state.step
    while state.step == step and not state.is_done:
        token = int(state.allowed().argmax())
        state.push(token)
        yield token


class _Slots:
    """Inputs of the layers at steps of a plan; what does not change from step to step is computed once."""

    def __init__(self, planner: Planner, plan: Plan, device: torch.device):
        assert planner.notes is not None
        self.notes = planner.notes
        instruments = torch.from_numpy(plan.instrument_ids())[None].to(device)
        features = torch.from_numpy(plan.bar_controls())[:, None].to(device)  # (bars, 1, 3 F)
        kinds = torch.arange(note_grammar.N_KINDS, device=device).expand(plan.n_bars, -1)
        wide = features.expand(-1, note_grammar.N_KINDS, -1)
        self.controls = planner.embed_note_controls(wide, kinds, instruments.expand(plan.n_bars, -1))
        self.harmony = harmony(wide, kinds).cpu().numpy()  # (bars, kinds, 5, 12)

    def embed(self, state: State, before: list[int] | None) -> Tensor:
        """(1, 1, D) of the step that a state is at, after the sub-tokens of the step before, if there is one."""
        controls = self.controls[None, state.bar, None, state.kind]
        said = controls.new_zeros(1, 0, 1, dtype=torch.int64)
        return self.notes.embed_steps(controls, said if before is None else said.new_tensor([[before]]))


class _SubTokens:
    """Writes the sub-tokens of steps, one after the other; the noise of each depends on the seed and on its number."""

    def __init__(self, notes: NoteStage, seed: int, params: SamplingParams):
        self.head, self.seed, self.params, self.n = HostNotes(notes), seed, params, 0

    def write(self, state: State, hidden: Tensor, harmony: Harmony) -> list[int]:
        """The sub-tokens of the step that the state is at, from what the layers make of it, (1 or 2, D), and the
        harmony of its bar."""
        step, written = state.step, list[int]()
        start = self.head.start(hidden.float().cpu().numpy())
        total, last = np.zeros_like(start[0]), np.zeros_like(start[0])
        while state.step == step and not state.is_done:
            allowed = state.allowed()
            if allowed.sum() == 1:
                token = int(allowed.argmax())
            else:
                x = start + (total + last + self.head.places[state.place])
                logits = self.head.logits(x, harmony, state.likeness())
                noise = decoding.gumbel(self.seed, NOTES_STREAM, self.n, allowed.shape)
                token = host.choose(logits, noise, self.params, allowed)
            total, last = total + self.head.sums[token], self.head.lasts[token]
            self.n += 1
            written.append(token)
            state.push(token)
        return written
