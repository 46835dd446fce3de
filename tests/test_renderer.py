"""The renderer sees its conditions and nothing else; rows are independent; windows have fixed positions."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridgen.plan.features import N_FEATURES, N_INSTRUMENTS, ROLE_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.plan.rolls import STRENGTHS
from hybridgen.plan.sounds import SOUNDS
from hybridgen.render.windows import window_spans
from hybridgen.renderer import PARTS, ROLES_KNOWN, SOUND_SCALE, Condition, Renderer, RendererConfig, no_notes, sinusoids

CONFIG = RendererConfig(
    latent_dim=6,
    text_dim=5,
    n_codebooks=2,
    codebook_size=7,
    dim=16,
    n_layers=3,
    n_heads=2,
    ffn_dim=24,
    notes=True,
    sound=True,
)
FRAMES, N_NOTES = 12, 20


def make_model(seed: int = 0, config: RendererConfig = CONFIG) -> Renderer:
    """A renderer whose every weight is random: the zeros of a fresh one would hide what reaches the output."""
    rng = torch.Generator().manual_seed(seed)
    model = Renderer(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            size = 0.3 / SOUND_SCALE if name.startswith("sound.") else 0.3
            weight.copy_(torch.randn(weight.shape, generator=rng) * size)
    return model.eval()


def make_condition(n: int, seed: int = 0) -> Condition:
    rng = torch.Generator().manual_seed(seed)
    return Condition(
        text=torch.randn(n, 4, CONFIG.text_dim, generator=rng),
        text_mask=torch.arange(4)[None] < torch.randint(1, 5, (n, 1), generator=rng),
        codes=torch.randint(-1, CONFIG.codebook_size, (n, CONFIG.n_codebooks, FRAMES // 4), generator=rng),
        features=torch.rand(n, FRAMES, N_FEATURES, generator=rng),
        instruments=torch.randint(0, N_INSTRUMENTS, (n, len(ROLES)), generator=rng),
        context=torch.randn(n, FRAMES, CONFIG.latent_dim, generator=rng),
        known=torch.rand(n, FRAMES, generator=rng) < 0.5,
        timbre=torch.randn(n, 2 * CONFIG.latent_dim, generator=rng),
        notes=make_notes(n, rng),
        strengths=torch.rand(n, N_NOTES, len(STRENGTHS), generator=rng),
        notes_known=torch.rand(n, FRAMES, len(ROLES), generator=rng) < 0.5,
        heard=torch.ones(n, len(ROLES), dtype=torch.bool),
        sound=torch.randint(-1, 2, (n, len(SOUNDS)), generator=rng).float(),
    )


def make_notes(n: int, rng: torch.Generator) -> torch.Tensor:
    frames = torch.randint(0, FRAMES, (n, N_NOTES), generator=rng).sort(dim=1).values
    roles, pitches = (torch.randint(0, high, (n, N_NOTES), generator=rng) for high in (len(ROLES), 128))
    return torch.stack([frames, roles, pitches], dim=2)


def make_input(n: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, FRAMES, CONFIG.latent_dim, generator=rng), torch.rand(n, generator=rng)


def row(cond: Condition, i: int) -> Condition:
    return Condition(**{name: value[i : i + 1] for name, value in vars(cond).items()})


@torch.no_grad()
def test_batch_of_two_equals_two_of_one():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    both = model(x_t, t, cond)
    alone = torch.cat([model(x_t[i : i + 1], t[i : i + 1], row(cond, i)) for i in range(2)])
    assert both.shape == x_t.shape
    torch.testing.assert_close(both, alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_of_the_prompt_changes_nothing():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    pad = torch.full((2, 3, CONFIG.text_dim), 9.0)
    longer = replace(
        cond, text=torch.cat([cond.text, pad], 1), text_mask=torch.nn.functional.pad(cond.text_mask, (0, 3))
    )
    torch.testing.assert_close(model(x_t, t, longer), model(x_t, t, cond), rtol=0, atol=1e-5)


@torch.no_grad()
def test_every_part_of_the_condition_reaches_the_velocity_and_dropping_it_hides_it():
    model, (x_t, t), one = make_model(), make_input(2), make_condition(2)
    other = make_condition(2, seed=5)
    fields = {
        "text": ("text", "text_mask"),
        "codes": ("codes",),
        "controls": ("features", "instruments"),
        "timbre": ("timbre",),
        "notes": ("notes", "strengths", "notes_known"),
        "sound": ("sound",),
    }
    for i, part in enumerate(PARTS):
        changed = replace(one, **{name: getattr(other, name) for name in fields[part]})
        assert (model(x_t, t, changed) - model(x_t, t, one)).abs().amax() > 1e-3, part
        keep = torch.ones(2, len(PARTS), dtype=torch.bool)
        keep[:, i] = False
        torch.testing.assert_close(model(x_t, t, changed.dropped(keep)), model(x_t, t, one.dropped(keep)))
        assert (model(x_t, t, one.dropped(keep)) - model(x_t, t, one)).abs().amax() > 1e-3, part


@torch.no_grad()
def test_dropping_works_row_by_row_and_everything_is_the_default():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    keep = torch.tensor([[True] * len(PARTS), [False] * len(PARTS)])
    mixed = model(x_t, t, cond.dropped(keep))
    torch.testing.assert_close(mixed[:1], model(x_t, t, cond)[:1], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed[1:], model(x_t, t, cond.dropped())[1:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_context_is_read_only_where_it_is_known():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    other = torch.randn(cond.context.shape, generator=torch.Generator().manual_seed(7))
    hidden = replace(cond, context=torch.where(cond.known[..., None], cond.context, other))
    seen = replace(cond, context=torch.where(cond.known[..., None], other, cond.context))
    torch.testing.assert_close(model(x_t, t, hidden), model(x_t, t, cond))
    assert (model(x_t, t, seen) - model(x_t, t, cond)).abs().amax() > 1e-3


@torch.no_grad()
def test_instruments_are_heard_of_the_roles_that_play_and_of_all_where_nobody_says_which_do():
    model, (x_t, t), cond = make_model(), make_input(1), make_condition(1)
    cond.features[..., ROLES_KNOWN] = 1
    cond.features[..., ROLE_FEATURES] = torch.eye(len(ROLES))[2]  # the bass alone
    unknown = replace(cond, features=cond.features.clone())
    unknown.features[..., ROLES_KNOWN] = 0
    unknown.features[..., ROLE_FEATURES] = 0
    for role, has_effect in ((2, True), (3, False)):
        others = cond.instruments.clone()
        others[:, role] = (others[:, role] + 1) % N_INSTRUMENTS
        for known, expected in ((cond, has_effect), (unknown, True)):
            differs = (model(x_t, t, replace(known, instruments=others)) - model(x_t, t, known)).abs().amax() > 1e-4
            assert differs == expected, (role, expected)


@torch.no_grad()
def test_an_unset_code_is_no_code():
    model, (x_t, t), cond = make_model(), make_input(1), make_condition(1)
    unset = model(x_t, t, replace(cond, codes=torch.full_like(cond.codes, -1)))
    for code in range(CONFIG.codebook_size):
        with_code = model(x_t, t, replace(cond, codes=torch.full_like(cond.codes, code)))
        assert (with_code - unset).abs().amax() > 1e-3


def test_time_is_given_in_waves_of_one_to_a_thousand_radians():
    found = sinusoids(torch.tensor([0.0, 0.5]), 8)
    frequencies = torch.tensor([1.0, 10, 100, 1000])
    torch.testing.assert_close(found[0], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]))
    expected = torch.cat([(0.5 * frequencies).cos(), (0.5 * frequencies).sin()])
    torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-3)


@torch.no_grad()
def test_conditions_join_row_by_row():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    joined = model(torch.cat([x_t, x_t]), torch.cat([t, t]), cond.cat(cond.dropped()))
    torch.testing.assert_close(joined[:2], model(x_t, t, cond), rtol=0, atol=1e-5)
    torch.testing.assert_close(joined[2:], model(x_t, t, cond.dropped()), rtol=0, atol=1e-5)


def test_a_fresh_renderer_says_zero_and_learns_from_every_weight_in_two_steps():
    torch.manual_seed(0)
    model, (x_t, t), cond = Renderer(CONFIG), make_input(4), make_condition(4)
    cond = replace(cond, heard=torch.arange(len(ROLES)).expand(4, -1) % 3 > 0)
    assert model(x_t, t, cond).abs().amax() == 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        (model(x_t, t, cond) - x_t).square().mean().backward()
        optimizer.step()
    assert [name for name, weight in model.named_parameters() if not weight.grad.abs().amax() > 0] == []


def test_timbre_forgets_order_and_masked_frames():
    latents = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9)[None].expand(2, -1) < 6
    whole = Renderer.timbre(latents[:, :6])
    assert whole.shape == (2, 6)
    torch.testing.assert_close(Renderer.timbre(latents, mask), whole)
    torch.testing.assert_close(Renderer.timbre(latents[:, torch.randperm(6)]), whole)
    torch.testing.assert_close(whole[:, 3:], latents[:, :6].std(dim=1, correction=0))


@given(n_frames=st.integers(1, 5000), size=st.integers(1, 64), overlap=st.integers(0, 63))
def test_windows_cover_the_track_and_overlap(n_frames, size, overlap):
    size, overlap = 4 * size, 4 * min(overlap, size - 1)
    spans = window_spans(n_frames, size, overlap, 4)
    assert spans[0][0] == 0 and 0 <= spans[-1][1] - n_frames < 4
    assert all(start % 4 == stop % 4 == 0 and 0 < stop - start <= size for start, stop in spans)
    assert all(before[1] - after[0] == overlap for before, after in pairwise(spans))
    assert all(stop - start > overlap for start, stop in spans[1:])


def test_windows_of_a_longer_track_start_where_those_of_a_shorter_one_do():
    short, long = window_spans(1000, 256, 64, 4), window_spans(4000, 256, 64, 4)
    assert [start for start, _ in long][: len(short)] == [start for start, _ in short]


def test_what_a_caller_can_get_wrong_is_named():
    with pytest.raises(ValueError, match="window size 256, overlap 256"):
        window_spans(100, 256, 256, 4)
    with pytest.raises(ValueError, match="window size 10"):
        window_spans(100, 10, 4, 4)
    with pytest.raises(ValueError, match="n_frames 0"):
        window_spans(0, 256, 64, 4)
    with pytest.raises(ValueError, match="dim 30"):
        replace(CONFIG, dim=30, n_heads=4)
    with pytest.raises(ValueError, match="frames 6"):
        make_model()(torch.zeros(1, 6, 6), torch.zeros(1), make_condition(1))


# ---- notes


@torch.no_grad()
def test_notes_are_the_sum_of_what_a_dense_roll_would_give():
    embedding, cond = make_model().embedding.notes, make_condition(2)
    assert embedding is not None
    dense = torch.zeros(2, FRAMES // 2, 2, len(ROLES), 128, len(STRENGTHS))
    for batch in range(2):
        for (frame, role, pitch), strengths in zip(cond.notes[batch].tolist(), cond.strengths[batch], strict=True):
            dense[batch, frame // 2, frame % 2, role, pitch] += strengths
    expected = dense.flatten(2) @ embedding.table
    quiet = replace(cond, notes_known=torch.zeros_like(cond.notes_known))
    torch.testing.assert_close(embedding(quiet), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_padding_of_the_notes_changes_nothing():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    last = torch.tensor([FRAMES - 1, 0, 0]).expand(2, 3, 3)
    longer = replace(
        cond,
        notes=torch.cat([cond.notes, last], 1),
        strengths=torch.nn.functional.pad(cond.strengths, (0, 0, 0, 3)),
    )
    torch.testing.assert_close(model(x_t, t, longer), model(x_t, t, cond), rtol=0, atol=1e-5)


@torch.no_grad()
def test_nothing_of_a_role_that_is_not_heard_reaches_the_velocity():
    model, (x_t, t), one = make_model(), make_input(2), make_condition(2)
    heard = torch.ones(2, len(ROLES), dtype=torch.bool)
    heard[:, 3] = False
    one = replace(one, heard=heard)
    is_own = (one.notes[..., 1] == 3)[..., None]
    features = one.features.clone()
    features[..., ROLE_FEATURES.start + 3] = 0.7
    other = replace(
        one,
        notes=torch.where(is_own & torch.tensor([False, False, True]), 5, one.notes),
        strengths=torch.where(is_own, 0.1, one.strengths),
        notes_known=one.notes_known ^ ~heard[:, None],
        instruments=torch.where(heard, one.instruments, 17),
        features=features,
    )
    assert is_own.any()
    torch.testing.assert_close(model(x_t, t, other), model(x_t, t, one), rtol=0, atol=1e-5)
    everyone = replace(one, heard=torch.ones_like(heard))
    assert (model(x_t, t, everyone) - model(x_t, t, one)).abs().amax() > 1e-3


@torch.no_grad()
def test_fresh_embeddings_of_notes_and_of_sound_change_nothing():
    (x_t, t), cond = make_input(2), make_condition(2)
    old = make_model(config=replace(CONFIG, notes=False, sound=False))
    new = Renderer(CONFIG).eval()
    missing = new.load_state_dict(old.state_dict(), strict=False).missing_keys
    assert missing and all(name.startswith(Renderer.OPTIONAL_TENSORS) for name in missing)
    torch.testing.assert_close(new(x_t, t, cond), old(x_t, t, cond), rtol=0, atol=1e-6)


def test_every_tensor_of_the_notes_and_of_the_sound_learns_from_the_first_step():
    model, (x_t, t), cond = Renderer(CONFIG), make_input(2), make_condition(2)
    torch.nn.init.normal_(model.out.weight)
    torch.nn.init.normal_(model.modulation.weight)
    heard = torch.tensor([True, False] * 4 + [True]).expand(2, -1)
    model(x_t, t, replace(cond, heard=heard)).square().sum().backward()
    for name, weight in model.named_parameters():
        if name.startswith(Renderer.OPTIONAL_TENSORS):
            assert weight.grad is not None and weight.grad.any(), name


@torch.no_grad()
def test_without_any_notes_the_model_runs():
    model, (x_t, t), cond = make_model(), make_input(2), make_condition(2)
    bare = replace(cond, **no_notes(2, FRAMES))
    keep = torch.tensor([[part not in ("notes", "sound") for part in PARTS]] * 2)
    torch.testing.assert_close(model(x_t, t, bare), model(x_t, t, cond.dropped(keep)), rtol=0, atol=1e-5)
