"""What a renderer in training is told: never everything, and each part as often as its share says."""

import pytest
import torch

from hybridgen import flow
from hybridgen.plan.features import N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.renderer import PARTS
from hybridgen.training.dataset import WindowBatch
from hybridgen.training.objectives import ConditioningDropout, FlowBatch, known_frames, make_flow_batch

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
        seeds=torch.arange(N),
    )


def make_task(batch: WindowBatch, drop: tuple[float, ...] = (0.0,) * 4, drop_all: float = 0.0) -> FlowBatch:
    """The batch on its way from noise, all that is known clean and right; a frame that is known counts an eighth."""
    dropout = ConditioningDropout(
        (0.25,) * 4, known_weight=0.125, corrupted_codes=0.0, context_noise=0.0, drop_shares=drop, drop_all=drop_all
    )
    return make_flow_batch(batch, dropout, codebook_size=8)


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
    told = (cond.text_mask.any(1), (cond.codes >= 0).all((1, 2)), cond.features.any((1, 2)), cond.timbre.any(1))
    for i, present in enumerate(told):
        assert abs(present.float().mean() - (0.7 if i == part else 1.0)) < 0.08
    nothing = make_task(make_batch(), drop_all=1.0).cond
    assert not nothing.text_mask.any() and (nothing.codes < 0).all() and not nothing.timbre.any()
