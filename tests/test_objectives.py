"""What a renderer in training is told: never everything, and each part as often as its share says."""

import pytest
import torch

from hybridgen import flow
from hybridgen.plan.features import N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.plan.sounds import SOUNDS
from hybridgen.renderer import PARTS, RendererConfig
from hybridgen.training.dataset import WindowBatch
from hybridgen.training.objectives import (
    TOLD_SHARES,
    ZERO_TIMES,
    ConditioningDropout,
    FlowBatch,
    corrupt_codes,
    known_frames,
    make_flow_batch,
    told_sound,
)

N, FRAMES = 400, 16


def make_batch() -> WindowBatch:
    rng = torch.Generator().manual_seed(0)
    return WindowBatch(
        latents=torch.randn(N, FRAMES, 3, generator=rng),
        inside=torch.arange(FRAMES).expand(N, -1) < 12,
        reference=torch.randn(N, FRAMES, 3, generator=rng),
        text=torch.randn(N, 2, 5, generator=rng),
        text_mask=torch.ones(N, 2, dtype=torch.bool),
        codes=torch.ones(N, 2, FRAMES // 4, dtype=torch.int64),
        features=torch.ones(N, FRAMES, N_FEATURES),
        instruments=torch.zeros(N, len(ROLES), dtype=torch.int64),
        notes=torch.stack(
            [torch.arange(FRAMES).expand(N, -1), torch.arange(FRAMES).expand(N, -1) % 9, torch.full((N, FRAMES), 60)], 2
        ),
        strengths=torch.ones(N, FRAMES, 4),
        notes_known=torch.ones(N, FRAMES, len(ROLES), dtype=torch.bool),
        heard=torch.ones(N, len(ROLES), dtype=torch.bool),
        sound=torch.ones(N, len(SOUNDS)),
        seeds=torch.arange(N),
    )


NOTHING_DROPPED = (0.0,) * len(PARTS)


def make_task(
    batch: WindowBatch,
    drop: tuple[float, ...] = NOTHING_DROPPED,
    drop_all: float = 0.0,
    roles: float = 0,
    spans: float = 0,
    knows_sound: bool = True,
) -> FlowBatch:
    """The batch on its way from noise, all that is known clean and right; a frame that is known counts an eighth."""
    dropout = ConditioningDropout(
        (0.25,) * 4,
        known_weight=0.125,
        corrupted_codes=0.0,
        context_noise=0.0,
        drop_shares=drop,
        drop_all=drop_all,
        unknown_roles=roles,
        unknown_spans=spans,
    )
    shapes = RendererConfig(
        3, 5, n_codebooks=2, codebook_size=8, dim=4, n_layers=1, n_heads=1, ffn_dim=4, sound=knows_sound
    )
    return make_flow_batch(batch, dropout, shapes)


def test_known_frames_count_little_and_those_past_the_end_nothing():
    batch = make_batch()
    task = make_task(batch)
    known = task.cond.known
    assert set(task.weight[known & batch.inside].tolist()) == {0.125}
    assert set(task.weight[~known & batch.inside].tolist()) == {1.0}
    assert not task.weight[~batch.inside].any()


def test_a_task_lies_on_the_straight_path_from_noise_to_its_latents():
    batch = make_batch()
    task = make_task(batch)
    noise = batch.latents - task.velocity
    torch.testing.assert_close(task.x_t, flow.path(noise, batch.latents, task.t)[0])
    assert abs(noise.std() - 1) < 0.02 and abs(noise.mean()) < 0.02
    assert torch.equal(task.cond.context, batch.latents)  # clean, where no noise is requested


def test_frames_are_known_at_the_start_at_the_end_or_at_both_and_up_to_half_of_them():
    rng = torch.Generator().manual_seed(0)
    for kind, (at_start, at_end) in enumerate(((False, False), (True, False), (False, True), (True, True))):
        known = known_frames(N, 32, torch.eye(4)[kind].tolist(), rng)
        assert (known[:, 0] == at_start).all() and not known.all(1).any()
        assert (known[:, -1].float().mean() > 0.8) == at_end
        assert (known[:, :16].sum(1) <= 16).all() and known.float().mean() < 0.6


@pytest.mark.parametrize("part", range(len(PARTS)))
def test_a_part_is_left_out_in_its_share_of_the_windows(part: int):
    shares = [0.0] * len(PARTS)
    shares[part] = 0.3
    cond = make_task(make_batch(), tuple(shares)).cond
    told = (
        cond.text_mask.any(1),
        (cond.codes >= 0).all((1, 2)),
        cond.features.any((1, 2)),
        cond.timbre.any(1),
        cond.notes_known.all((1, 2)) & cond.strengths.all((1, 2)),
        cond.sound.any(1),
    )
    for i, present in enumerate(told):
        assert abs(present.float().mean() - (0.7 if i == part else 1.0)) < 0.08
    nothing = make_task(make_batch(), drop_all=1.0).cond
    assert not nothing.text_mask.any() and (nothing.codes < 0).all() and not nothing.timbre.any()
    assert not nothing.notes_known.any() and not nothing.strengths.any() and not nothing.sound.any()


def test_notes_are_unknown_by_role_and_for_a_stretch_and_what_is_unknown_is_not_said():
    batch = make_batch()
    by_role = make_task(batch, roles=0.25).cond
    shares = 1 - by_role.notes_known.float().mean(1)  # (N, 9)
    assert set(shares.flatten().tolist()) == {0.0, 1.0} and abs(shares.mean() - 0.25) < 0.05
    by_span = make_task(batch, spans=0.5).cond
    assert (by_span.notes_known.all(2) == by_span.notes_known.any(2)).all()
    gaps = by_span.notes_known[..., 0].int().diff(dim=1)
    assert ((gaps != 0).sum(1) <= 2).all() and abs((~by_span.notes_known).any((1, 2)).float().mean() - 0.45) < 0.1
    for cond in (by_role, by_span):
        frame, role, _ = cond.notes.unbind(-1)
        known = cond.notes_known.flatten(1).gather(1, frame * len(ROLES) + role)
        assert torch.equal(cond.strengths.all(-1), known) and torch.equal(cond.strengths.any(-1), known)


def test_kinds_of_sound_are_told_all_or_some_or_those_that_are_wanted_alone():
    sound = torch.tensor([1.0, -1.0]).repeat(N, 10)
    told = told_sound(sound, torch.Generator().manual_seed(0))
    assert abs(told.all(1).float().mean() - TOLD_SHARES[0]) < 0.06
    wanted, others = told[:, ::2].float().mean(1), told[:, 1::2].float().mean(1)
    alone = (others == 0) & (wanted > 0.2)
    assert abs(alone.float().mean() - TOLD_SHARES[2] * 0.8) < 0.08
    assert abs(wanted[alone].mean() - 0.65) < 0.05 and wanted[alone].std() > 0.2  # a share that a row draws, 0.3 to 1


def test_times_are_zero_in_a_share_of_the_windows_that_are_told_of_their_sound():
    for drop, knows_sound in ((0.0, True), (0.5, True), (0.0, False)):
        task = make_task(make_batch(), (*NOTHING_DROPPED[:-1], drop), knows_sound=knows_sound)
        told = task.cond.sound.any(1) & torch.tensor(knows_sound)
        assert not (task.t[~told] == 0).any()
        assert not told.any() or abs((task.t[told] == 0).float().mean() - ZERO_TIMES) < 0.08


def test_unset_codes_are_not_corrupted():
    codes = torch.where(torch.rand(N, 2, 8) < 0.5, -1, 3)
    wrong = corrupt_codes(codes, 8, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(wrong < 0, codes < 0) and (wrong != codes).any()
