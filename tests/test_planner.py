"""Facts about the planner: it sees only the past, a cache or a batch changes nothing, what is fixed stays fixed."""

import numpy as np
import pytest
import torch

from hybridgen import decoding, grammar
from hybridgen.plan.controls import Controls
from hybridgen.plan.features import N_FEATURES, N_INSTRUMENTS, ROLE_FEATURES
from hybridgen.plan.parts import ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner, PlannerConfig, pad_scores
from hybridgen.planning.codes import decode_codes
from hybridgen.planning.score import decode_scores
from hybridgen.planning.session import DecoderSession
from hybridgen.sampling import SamplingParams
from tests.conftest import CODE_HOP

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
)


@pytest.fixture
def planner():
    """Random weights, loud enough that every input matters."""
    torch.manual_seed(0)
    planner = Planner(CONFIG).eval()
    with torch.no_grad():
        for parameter in planner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return planner


def plan(n_bars, tempo=120.0):
    chords = tuple(Bar(name) for name in ("Am", "F G", "C", "E7"))
    sections = (
        Section("intro", chords[:1], 2, ("keys",)),
        Section("verse", (chords * n_bars)[: n_bars - 1], 5, ("bass", "keys")),
    )
    return Plan(sections, (Tempo(1, tempo),), "4/4", "A minor", (("bass", 33), ("keys", 4)))


def text(*lengths):
    """States and mask of prompts of these many tokens; the padding is not zero, so that a leak shows."""
    states = torch.randn(len(lengths), max(lengths), CONFIG.text_dim, generator=torch.Generator().manual_seed(1))
    return states, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def inputs(*plans):
    """tokens, features, instruments and codes of plans, padded to the longest."""
    tokens = [grammar.tokens(one) for one in plans]
    n_frames = max(one.n_code_frames for one in plans)
    features = torch.zeros(len(plans), n_frames, N_FEATURES)
    codes = torch.zeros(len(plans), CONFIG.n_codebooks, n_frames, dtype=torch.int64)
    for row, one in enumerate(plans):
        features[row, : one.n_code_frames] = torch.from_numpy(one.frame_controls(CODE_HOP))
        codes[row, :, : one.n_code_frames] = -1
    return tokens, features, torch.from_numpy(np.stack([one.instrument_ids() for one in plans])), codes


def drawn(shape):
    return torch.randint(CONFIG.codebook_size, shape, generator=torch.Generator().manual_seed(2))


def run_forward(planner, plans, lengths, codes):
    tokens, features, instruments, _ = inputs(*plans)
    return planner(*text(*lengths), *pad_scores(tokens), codes, features, instruments)


def test_logits_depend_on_the_past_only(planner):
    one = plan(4)
    tokens, features, instruments, _ = inputs(one)
    codes = drawn((1, CONFIG.n_codebooks, one.n_code_frames))
    padded, places = pad_scores(tokens)
    score_logits, code_logits, _ = planner(*text(4), padded, places, codes, features, instruments)

    changed = padded.clone()
    changed[0, 20:] = grammar.SPLIT
    later, _, _ = planner(*text(4), changed, places, codes, features, instruments)
    assert torch.allclose(later[:, :21], score_logits[:, :21], atol=1e-5)
    assert not torch.allclose(later[:, 21:], score_logits[:, 21:], atol=1e-2)

    changed = codes.clone()
    changed[0, 1, 7] = (codes[0, 1, 7] + 1) % CONFIG.codebook_size
    _, later, _ = planner(*text(4), padded, places, changed, features, instruments)
    same = torch.isclose(later, code_logits, atol=1e-5).all(-1)[0]  # (P, Q)
    assert same[:7].all() and same[7, :2].all() and not same[7, 2] and not same[8:].any()


def test_a_mistake_is_seen_by_the_frames_after_it(planner):
    tokens, features, instruments, codes = inputs(plan(2))
    codes = drawn(codes.shape)
    corrupted = codes.clone()
    corrupted[:, 1, 3] = (corrupted[:, 1, 3] + 1) % CONFIG.codebook_size
    rows = (*text(3), *pad_scores(tokens), codes, features, instruments)
    (_, right, _), (_, same, _), (_, misled, _) = planner(*rows), planner(*rows, codes), planner(*rows, corrupted)
    assert torch.equal(right, same)
    assert torch.equal(right[:, :4], misled[:, :4]) and not torch.allclose(right[:, 4], misled[:, 4])


def test_a_score_without_its_codes_has_the_same_logits(planner):
    tokens, features, instruments, _ = inputs(plan(3))
    codes = drawn((1, CONFIG.n_codebooks, features.shape[1]))
    alone, none, _ = planner(*text(4), *pad_scores(tokens))
    assert none is None
    assert torch.allclose(alone, planner(*text(4), *pad_scores(tokens), codes, features, instruments)[0], atol=1e-5)


def test_a_batch_of_two_equals_two_of_one(planner):
    plans, lengths = (plan(6), plan(3, 97.5)), (3, 5)
    tokens, _, _, codes = inputs(*plans)
    codes = drawn(codes.shape)
    score_logits, code_logits, _ = run_forward(planner, plans, lengths, codes)
    states, mask = text(*lengths)
    for row, one in enumerate(plans):
        n_text, n_frames = lengths[row], one.n_code_frames
        single, features, instruments, _ = inputs(one)
        score, code, _ = planner(
            states[row : row + 1, :n_text],
            mask[row : row + 1, :n_text],
            *pad_scores(single),
            codes[row : row + 1, :, :n_frames],
            features,
            instruments,
        )
        assert torch.allclose(score_logits[row, : len(tokens[row])], score[0], atol=1e-5)
        assert torch.allclose(code_logits[row, :n_frames], code[0], atol=1e-5)


CONTROLS = (Controls(bars=5), Controls(seconds=20, tempo=90), Controls(bars=2, key="C minor"))


@pytest.mark.parametrize("params", (SamplingParams(), SamplingParams(temperature=0.7, top_p=0.9, guidance_scale=2.0)))
def test_scores_are_valid_and_the_same_alone_or_in_a_batch(planner, params):
    states, mask = text(3, 6, 1)
    together = decode_scores(planner, states, mask, CONTROLS, [5, 6, 7], params)
    for row, controls in enumerate(CONTROLS):
        score = grammar.parse(together[row], n_samples=882_000)
        assert controls.bars in (None, score.n_bars) and controls.key in (None, score.key)
        n_text = int(mask[row].sum())
        one = slice(row, row + 1)
        alone = decode_scores(planner, states[one, :n_text], mask[one, :n_text], [controls], [5 + row], params)
        assert alone == [together[row]]


def test_cached_scores_equal_uncached(planner):
    params = SamplingParams(top_p=0.9)
    states, mask = text(4)
    state, written = grammar.State(CONTROLS[0]), []

    def step(tokens):
        written.extend([] if tokens is None else tokens.tolist())
        padded = torch.tensor([[*written, 0]])
        bars_left = torch.from_numpy(np.append(bars_left_of(written), [[0, 0]], axis=0))[None]
        return planner(states, mask, padded, bars_left)[0][:, -1]

    with torch.inference_mode():
        uncached = decoding.write(step, [state], [3], 1, params)
    assert decode_scores(planner, states, mask, CONTROLS[:1], [3], params) == uncached


def bars_left_of(tokens):
    """`grammar.bars_left_after` of a score that is not finished."""
    state, rows = grammar.State(), []
    for token in tokens:
        state.push(token)
        rows.append(grammar.bars_left(state))
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def test_cached_logits_equal_uncached(planner):
    one = plan(4)
    tokens, features, instruments, codes = inputs(one)
    codes = drawn(codes.shape)
    score, bars_left = pad_scores(tokens)
    with torch.inference_mode():
        expected = planner(*text(4), score, bars_left, codes, features, instruments)[1]
        session = DecoderSession(planner, *text(4), score, bars_left, room=4)  # less than is needed: the cache grows
        controls = planner.embed_controls(features, instruments)
        hidden = []
        for first, last in ((0, 1), (1, 2), (2, 9), (9, one.n_code_frames)):
            x = planner.embed_frames(controls[:, first:last], codes[:, :, max(first - 1, 0) : last - 1])
            hidden.append(session.feed(x, torch.arange(first, last)[None] + len(tokens[0]) + 1))
        got = planner.depth_head(torch.cat(hidden, dim=1), codes)
    assert torch.allclose(got, expected, atol=1e-5)


def write_uncached(planner, row_text, one, codes, seed, params):
    """Codes written with nothing but `forward`, one level of one frame at a time."""
    tokens, features, instruments, _ = inputs(one)
    codes = codes.clone()
    for frame in range(codes.shape[2]):
        noise = torch.from_numpy(decoding.gumbel(seed, 2, frame, (CONFIG.n_codebooks, CONFIG.codebook_size)))
        for level in range(CONFIG.n_codebooks):
            if codes[0, level, frame] < 0:
                logits = planner(*row_text, *pad_scores(tokens), codes, features, instruments)[1]
                codes[0, level, frame] = decoding.choose(logits[:, frame, level], noise[None, level], params)[0]
    return codes


def test_cached_codes_equal_uncached_and_known_codes_stay(planner):
    params = SamplingParams(temperature=0.9, top_p=0.9)
    one = plan(3)
    tokens, features, instruments, codes = inputs(one)
    known = drawn(codes.shape)
    codes[:, :, 4:9] = known[:, :, 4:9]
    codes[:, 0, 11] = known[:, 0, 11]  # only the first level of a frame
    codes[:, :, -3:] = known[:, :, -3:]
    written = decode_codes(planner, *text(4), tokens, features, instruments, codes, [9], params)
    assert (written >= 0).all() and (written < CONFIG.codebook_size).all()
    assert torch.equal(written[codes >= 0], codes[codes >= 0])
    with torch.inference_mode():
        assert torch.equal(written, write_uncached(planner, text(4), one, codes, 9, params))


@pytest.mark.parametrize("params", (SamplingParams(), SamplingParams(top_p=0.9, guidance_scale=1.5)))
def test_codes_are_the_same_alone_or_in_a_batch(planner, params):
    plans, lengths = (plan(6), plan(3, 97.5)), (3, 5)
    states, mask = text(*lengths)
    together = decode_codes(planner, states, mask, *inputs(*plans), [1, 2], params)
    for row, one in enumerate(plans):
        row_text = states[row : row + 1, : lengths[row]], mask[row : row + 1, : lengths[row]]
        alone = decode_codes(planner, *row_text, *inputs(one), [row + 1], params)
        assert torch.equal(alone[0], together[row, :, : one.n_code_frames])


def test_a_rewritten_frame_takes_the_same_noise(planner):
    one = plan(3)
    tokens, features, instruments, codes = inputs(one)
    written = decode_codes(planner, *text(4), tokens, features, instruments, codes, [9], SamplingParams())
    again = written.clone()
    again[:, :, 6:] = -1
    assert torch.equal(
        decode_codes(planner, *text(4), tokens, features, instruments, again, [9], SamplingParams()), written
    )


def test_codes_that_are_all_known_are_kept(planner):
    tokens, features, instruments, codes = inputs(plan(2))
    codes = drawn(codes.shape)
    assert torch.equal(
        decode_codes(planner, *text(2), tokens, features, instruments, codes, [0], SamplingParams()), codes
    )


def test_a_prompt_changes_the_score_and_no_text_is_a_prompt_too(planner):
    states, mask = text(5)
    logits = planner(states, mask, *pad_scores([grammar.tokens(plan(2))]))[0]
    other = planner(states + 1, mask, *pad_scores([grammar.tokens(plan(2))]))[0]
    nothing = planner(states, torch.zeros_like(mask), *pad_scores([grammar.tokens(plan(2))]))[0]
    assert nothing.isfinite().all()
    assert not torch.allclose(logits, other, atol=1e-2) and not torch.allclose(logits, nothing, atol=1e-2)


def test_progress_ends_at_its_total(planner):
    reports = []
    one = plan(3)
    decode_scores(planner, *text(2), CONTROLS[:1], [0], SamplingParams(), lambda *report: reports.append(report))
    assert reports[-1] == ("planning", 5, 5)
    decode_codes(planner, *text(2), *inputs(one), [0], SamplingParams(), lambda *report: reports.append(report))
    assert reports[-1] == ("composing", one.n_code_frames, one.n_code_frames)


def test_a_planner_guided_by_nothing_writes_what_it_writes_without_a_prompt(planner):
    one, (states, mask) = plan(3), text(4)
    silent, free = torch.zeros_like(mask), SamplingParams(guidance_scale=0.0)
    tokens, features, instruments, codes = inputs(one)
    assert decode_scores(planner, states, mask, CONTROLS[:1], [3], free) == decode_scores(
        planner, states, silent, CONTROLS[:1], [3], SamplingParams()
    )
    written = decode_codes(planner, states, mask, tokens, features, instruments, codes, [9], free)
    without_text = decode_codes(planner, states, silent, tokens, features, instruments, codes, [9], SamplingParams())
    assert torch.equal(written, without_text)


def rows_used(planner, embedding, **changes) -> list[int]:
    """Which rows of an embedding reach the logits of a score of two tokens and the codes of one frame."""
    inputs_ = {
        "tokens": torch.tensor([[5, 6]]),
        "bars_left": torch.tensor([[[-1, -1], [-1, -1]]]),
        "codes": torch.zeros(1, CONFIG.n_codebooks, 1, dtype=torch.int64),
        "features": torch.zeros(1, 1, N_FEATURES),
        "instruments": torch.full((1, len(ROLES)), 129),
    } | changes
    score, codes, _ = planner(*text(2), **inputs_)
    (score.square().sum() + codes.square().sum()).backward()
    return embedding.weight.grad.abs().sum(1).nonzero().flatten().tolist()


def test_each_number_of_bars_left_up_to_64_has_its_row_and_beyond_each_quarter_of_an_octave(planner):
    rows = {-1: 0, 0: 1, 1: 2, 64: 65, 65: 66, 76: 66, 77: 67, 127: 69, 128: 70, 4095: 89}
    for n_bars, row in rows.items():
        bars_left = torch.tensor([[[n_bars, -1], [n_bars, -1]]])
        planner.zero_grad()
        assert rows_used(planner, planner.bars_embedding, bars_left=bars_left) == [row]
    assert planner.bars_embedding.num_embeddings == 90


def test_the_instruments_of_the_roles_that_play_are_given_and_kits_are_other_programs(planner):
    instruments = torch.tensor([[0, 129, 0, 4, 129, 129, 129, 129, 129]])  # drums, bass and keys
    features = torch.zeros(1, 1, N_FEATURES)
    features[..., ROLE_FEATURES][..., [0, 2]] = 1  # drums and bass play
    used = rows_used(planner, planner.instrument_embedding, instruments=instruments, features=features)
    assert used == [0, N_INSTRUMENTS]
