"""The planner's note stage: it sees only the past, a cache changes nothing, what is known stays, any weights do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridgen import decoding, grammar, note_grammar
from hybridgen.data.composer import compose
from hybridgen.note_stage import harmony
from hybridgen.pipeline import Pipeline
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, PlannerConfig, pad_scores, pad_steps
from hybridgen.planning.notes import NOTES_STREAM, decode_notes, unknown_bars
from hybridgen.planning.plans import complete
from hybridgen.sampling import SamplingParams

CONFIG = PlannerConfig(
    dim=24,
    n_layers=2,
    n_heads=2,
    n_kv_heads=1,
    ffn_dim=32,
    depth_dim=12,
    depth_ffn_dim=16,
    text_dim=8,
    n_codebooks=3,
    codebook_size=10,
    notes=True,
)
NOTHING_ALIKE = torch.zeros(note_grammar.SOURCES, note_grammar.N_LIKENESS)
PARAMS = (SamplingParams(top_p=0.9), SamplingParams(temperature=0.8, guidance_scale=2.0))


@pytest.fixture(scope="module")
def planner() -> Planner:
    """Random weights, loud enough that every input matters."""
    torch.manual_seed(0)
    planner = Planner(CONFIG).eval().requires_grad_(False)
    for parameter in planner.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return planner


def song(index: int, low: float = 8, high: float = 14) -> Plan:
    return compose(3, index, (low, high)).plan


def forgotten(plan: Plan, first: int = 1) -> Plan:
    """The plan, its notes unknown from a bar (from 1) on."""
    return plan.with_parts(part.with_bars(first, (None,) * (plan.n_bars - first + 1)) for part in plan.notes)


def text(n: int = 1, length: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.randn(n, length, CONFIG.text_dim, generator=torch.Generator().manual_seed(1))
    return states, torch.ones(n, length, dtype=torch.bool)


def run(planner: Planner, *plans: Plan) -> tuple[torch.Tensor, ...]:
    """Logits of score tokens and sub-tokens of plans in one batch."""
    songs = [(note_grammar.steps(plan), plan.bar_controls()) for plan in plans]
    instruments = torch.from_numpy(np.stack([plan.instrument_ids() for plan in plans]))
    scores = pad_scores([grammar.tokens(plan) for plan in plans])
    states, mask = text()
    rows = states.expand(len(plans), -1, -1), mask.expand(len(plans), -1)
    score, _, notes = planner(*rows, *scores, instruments=instruments, steps=pad_steps(songs))
    return score, notes


def test_sub_tokens_see_only_what_comes_before_them_and_a_batch_changes_nothing(planner: Planner):
    one, other = song(0), song(1)
    score, notes = run(planner, one)
    (first, rest), n = (note_grammar.steps(plan) for plan in (one, forgotten(one, one.n_bars))), one.n_bars
    n_same = int((first.tokens[first.bars < n - 1] >= 0).sum())
    _, later = run(planner, forgotten(one, n))
    assert 0 < n_same < len(notes) and len(rest.kinds) < len(first.kinds)
    torch.testing.assert_close(later[:n_same], notes[:n_same], rtol=0, atol=1e-5)
    both_score, both = run(planner, one, other)
    torch.testing.assert_close(both[: len(notes)], notes, rtol=0, atol=1e-5)
    torch.testing.assert_close(both[len(notes) :], run(planner, other)[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(both_score[:1, : score.shape[1]], score, rtol=0, atol=1e-5)


def test_notes_and_codes_do_not_see_each_other(planner: Planner):
    plan = song(2)
    steps = pad_steps([(note_grammar.steps(plan), plan.bar_controls())])
    score, instruments = pad_scores([grammar.tokens(plan)]), torch.from_numpy(plan.instrument_ids())[None]
    codes = torch.randint(CONFIG.codebook_size, (1, CONFIG.n_codebooks, plan.n_code_frames))
    features = torch.from_numpy(plan.frame_controls(plan.time_base.code_hop))[None]
    both = planner(*text(), *score, codes, features, instruments, steps=steps)
    alone = (
        planner(*text(), *score, codes, features, instruments),
        planner(*text(), *score, instruments=instruments, steps=steps),
    )
    torch.testing.assert_close(both[1], alone[0][1], rtol=0, atol=1e-5)
    torch.testing.assert_close(both[2], alone[1][2], rtol=0, atol=1e-5)


def test_weights_without_the_note_stage_compute_the_same_scores_and_codes(planner: Planner):
    old = Planner(replace(CONFIG, notes=False)).eval()
    missing, unexpected = old.load_state_dict(planner.state_dict(), strict=False)
    assert not missing and unexpected and all(name.startswith(Planner.OPTIONAL_TENSORS) for name in unexpected)
    plan = song(3)
    score = pad_scores([grammar.tokens(plan)])
    torch.testing.assert_close(old(*text(), *score)[0], planner(*text(), *score)[0])


def test_pitches_are_scored_alike_in_every_key(planner: Planner):
    """The scores beyond those of an instrument's keys turn with roots, chords and tonic; drums have none."""
    notes, pitches = planner.notes, note_grammar.PITCH
    assert notes is not None
    x, [first] = (
        torch.randn(1, CONFIG.depth_dim, generator=torch.Generator().manual_seed(2)),
        [song(6).bar_controls()[:1]],
    )
    features, lead = torch.from_numpy(first), torch.tensor([1 + ROLES.index("lead")])
    here, nowhere = harmony(features, lead), harmony(features, torch.tensor([1 + ROLES.index("drums")]))
    assert here[0, :3].sum() == 3 and here[0, 3:].sum() >= 6 and not nowhere.any()

    def scores(of: torch.Tensor) -> torch.Tensor:
        return notes.logits(x, of, NOTHING_ALIKE) - notes.logits(x, nowhere, NOTHING_ALIKE)

    own, turned = scores(here), scores(here.roll(5, dims=-1))
    assert own[:, : pitches.start].abs().max() < 1e-5 < own[:, pitches.start :].std()
    torch.testing.assert_close(turned[:, pitches.start + 5 :], own[:, pitches.start : -5], rtol=0, atol=1e-5)


def test_copies_are_scored_by_what_their_source_has_in_common_with_the_bar(planner: Planner):
    """Two sources that are alike are scored alike, beyond what their distance is worth; nothing else moves."""
    notes, copy, moved = planner.notes, note_grammar.COPY, note_grammar.MOVED
    assert notes is not None
    x, nowhere = torch.randn(1, CONFIG.depth_dim, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 5, 12)
    likeness = NOTHING_ALIKE.clone()
    likeness[2] = likeness[7] = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.5])
    [scores] = notes.logits(x, nowhere, likeness) - notes.logits(x, nowhere, NOTHING_ALIKE)
    is_scored = torch.zeros(note_grammar.VOCAB_SIZE, dtype=torch.bool)
    for block in (copy, moved):
        is_scored[block.start + 2] = is_scored[block.start + 7] = True
        assert scores[block.start + 2] == pytest.approx(float(scores[block.start + 7]), abs=1e-5)
    assert scores[is_scored].abs().min() > 1e-3 and scores[~is_scored].abs().max() < 1e-5


def write_uncached(planner: Planner, plan: Plan, write: np.ndarray, params: SamplingParams) -> Plan:
    """Notes written with nothing but `forward`, a sub-token at a time."""
    state, rows, likeness, n = note_grammar.State(plan, write), list[list[tuple[int, int, int, int]]](), [], 0
    score, instruments = pad_scores([grammar.tokens(plan)]), torch.from_numpy(plan.instrument_ids())[None]
    table, last = plan.bar_controls(), int(np.flatnonzero(write.any(axis=1))[-1])
    begun = -1
    while not state.is_done and state.bar <= last:
        if state.step > begun:
            begun = state.step
            rows.append([])
        allowed, alike = state.allowed(), state.likeness()
        token = int(allowed.argmax())
        rows[-1].append((token, state.place, state.kind, state.bar))
        likeness += [] if alike is None else [alike]
        if state.bar >= int(np.flatnonzero(write.any(axis=1))[0]):
            if allowed.sum() > 1:
                steps = pad_steps([(as_steps(rows, likeness), table)])
                logits = [
                    planner(*given, *score, instruments=instruments, steps=steps)[2][-1:]
                    for given in (text(), (text()[0], ~text()[1]))
                ]
                logits = torch.cat(logits if params.guidance_scale != 1 else logits[:1])
                noise = torch.from_numpy(decoding.gumbel(plan.seed, NOTES_STREAM, n, (1, note_grammar.VOCAB_SIZE)))
                token = int(decoding.choose(logits, noise, params, torch.from_numpy(allowed)[None]))
                rows[-1][-1] = (token, *rows[-1][-1][1:])
            n += 1
        state.push(token)
    return note_grammar.written(plan, state)


def as_steps(rows: list[list[tuple[int, int, int, int]]], likeness: list[np.ndarray]) -> note_grammar.NoteSteps:
    table = np.full((len(rows), max(map(len, rows)), 2), -1)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = [one[:2] for one in row]
    kinds, bars = np.array([row[0][2:] for row in rows]).T
    return note_grammar.NoteSteps(table[..., 0], np.maximum(table[..., 1], 0), kinds, bars, np.stack(likeness))


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("first", [1, 3])
def test_cached_notes_equal_uncached_and_known_notes_stay(planner: Planner, params: SamplingParams, first: int):
    plan = forgotten(replace(song(4), seed=5), first)
    write = unknown_bars(plan)
    write[first:] = False  # one bar, which random weights fill to the brim
    state = decode_notes(planner, *text(), plan, write, params)
    made = note_grammar.written(plan, state)
    assert made.notes == write_uncached(planner, plan, write, params).notes
    for part in plan.notes:
        assert made.part(part.role).bars[: first - 1] == part.bars[: first - 1]
        assert made.part(part.role).bars[first - 1] is not None
        assert made.part(part.role).bars[first:] == part.bars[first:]


def test_the_seed_decides_and_half_of_a_role_may_be_known(planner: Planner):
    plan = song(5, 6, 8)
    role = plan.notes[0].role
    plan = forgotten(plan).with_parts([Part(role, plan.notes[0].bars)])
    write = unknown_bars(plan)
    assert not write[:, ROLES.index(role)].any() and write.any()
    one, same, other = (
        note_grammar.written(plan, decode_notes(planner, *text(), replace(plan, seed=seed), write, PARAMS[0]))
        for seed in (1, 1, 2)
    )
    assert one.notes == same.notes != other.notes and one.part(role) == plan.part(role)


def test_a_plan_comes_with_its_notes_and_a_track_is_made_again_from_its_manifest(note_pipe: Pipeline):
    [plan] = note_pipe.plan("bass and drums, 120 BPM in C major", bars=2, seed=1)
    assert plan.notes and not unknown_bars(plan).any()
    track = note_pipe.render(plan)
    assert track.plan.notes == plan.notes and not track.plan.codes  # which would say nothing more
    assert np.array_equal(note_pipe.replay(track.manifest).samples, track.samples)


def test_a_cleared_bar_is_written_anew_and_the_rest_stays_bit_for_bit(note_pipe: Pipeline):
    [plan] = note_pipe.plan("bass and drums, 120 BPM in C major", bars=4, seed=1)
    track = note_pipe.render(plan)
    role = plan.notes[0].role
    new = note_pipe.repaint(track, track.plan.edit((2, 2), clear=(role,)), (2, 2), seed=4)
    assert new.plan.part(role).bars[1] is not None
    for part in plan.notes:
        assert [bar for i, bar in enumerate(new.plan.part(part.role).bars) if i != 1] == [
            bar for i, bar in enumerate(part.bars) if i != 1
        ]
    start, stop = plan.frames_of(plan.span((2, 2)), plan.time_base.latent_hop)
    assert np.array_equal(new.latents[:start], track.latents[:start])
    assert np.array_equal(new.latents[stop:], track.latents[stop:])


def test_notes_that_are_written_by_hand_are_kept_and_the_others_follow(note_pipe: Pipeline):
    [plan] = note_pipe.plan("bass and drums, 120 BPM in C major", bars=2, seed=1)
    role = (plan.sections[0].roles or ())[0]
    blank = forgotten(plan).edit((1, 1), notes={role: (Note(0, 480, 60, 90),)})
    made = note_pipe.write_notes(blank)
    assert made.part(role).bars[0] == (Note(0, 480, 60, 90),) and not unknown_bars(made).any()
    half = note_pipe.write_notes(blank, (1, 1))
    assert unknown_bars(half)[1].any() and not unknown_bars(half)[0].any()
    assert note_pipe.write_notes(made) is made or note_pipe.write_notes(made) == made


def test_codes_are_written_where_notes_stay_unknown(note_pipe: Pipeline):
    [plan] = note_pipe.plan("bass and drums, 120 BPM in C major", bars=2, seed=1)
    part = plan.notes[0]
    recorded = forgotten(plan).with_parts([part.with_bars(2, (None,))])  # as much as is known of a recording
    states = note_pipe.encode_prompt(plan.prompt)
    first = np.array([True, False])
    made = complete(note_pipe, recorded, states, first)
    assert made.part(part.role).bars[0] == part.bars[0] and unknown_bars(made)[1].any()
    assert made.codes and min(map(min, made.codes)) >= 0
    nothing = forgotten(plan)
    assert not complete(note_pipe, nothing, states, first).notes and complete(note_pipe, nothing, states).notes
