"""The path and its velocity, the solvers, and noise that belongs to frames."""

import numpy as np
import pytest
import torch

from hybridgen import flow


def test_velocity_is_the_derivative_of_the_path():
    rng = torch.Generator().manual_seed(0)
    x_0, x_1 = torch.randn(2, 3, 5, 4, generator=rng, dtype=torch.float64)
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    x_t, derivative = torch.func.jvp(lambda t: flow.path(x_0, x_1, t)[0], (t,), (torch.ones_like(t),))
    torch.testing.assert_close(derivative, flow.path(x_0, x_1, t)[1])
    torch.testing.assert_close(x_t[1], (x_0[1] + x_1[1]) / 2)


def test_a_straight_flow_is_solved_exactly_in_one_step():
    x_0, x_1 = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for out in (flow.solve(lambda x, t: x_1 - x_0, x_0, 1), flow.solve_adaptive(lambda x, t: x_1 - x_0, x_0)):
        torch.testing.assert_close(out, x_1, rtol=1e-12, atol=1e-12)


def test_halving_the_step_halves_the_error():
    x_0 = torch.ones(1, 1, dtype=torch.float64)

    def error(num_steps):
        return abs(flow.solve(lambda x, t: -2 * x, x_0, num_steps).item() - np.exp(-2))

    assert error(64) / error(128) == pytest.approx(2, rel=0.05)


def test_the_adaptive_solver_meets_its_tolerance():
    x_0 = torch.ones(2, 1, dtype=torch.float64)
    out = flow.solve_adaptive(lambda x, t: x * torch.cos(8 * t)[:, None], x_0, tolerance=1e-6)
    assert out[0].item() == pytest.approx(np.exp(np.sin(8) / 8), abs=1e-4)


def test_callback_sees_every_step():
    seen = []
    flow.solve(lambda x, t: torch.ones_like(x), torch.zeros(1, 1), 4, callback=lambda i, x: seen.append((i, x.item())))
    assert seen == [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0)]


def test_loss_counts_weighted_frames_only():
    velocity, target = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    target[:, 2:] = 100.0
    weight = torch.tensor([[1.0, 0.5, 0, 0], [1, 0, 0, 0]])
    assert flow.loss(velocity, target, weight).item() == pytest.approx(1.0)


def velocities(n: int = 3) -> tuple[torch.Tensor, ...]:
    """cond, uncond, x_t (n, 5, 4), t (n,) in double precision."""
    rng = torch.Generator().manual_seed(0)
    return (*torch.randn(3, n, 5, 4, generator=rng, dtype=torch.float64), torch.linspace(0, 0.9, n).double())


def test_guidance_of_scale_1_is_the_conditional_velocity():
    cond, uncond, x_t, t = velocities()
    torch.testing.assert_close(flow.guide_projected(cond, uncond, 1.0, x_t, t), cond)


def test_projected_guidance_adds_nothing_along_the_expected_data():
    cond, uncond, x_t, t = velocities()
    left = (1 - t)[:, None, None]
    data = x_t + left * cond
    found = x_t + left * flow.guide_projected(cond, uncond, 3.0, x_t, t)
    torch.testing.assert_close(((found - data) * data).sum((1, 2)), torch.zeros(3, dtype=torch.float64))
    plain = x_t + left * (uncond + 3.0 * (cond - uncond))
    across = (plain - data) - ((plain - data) * data).sum((1, 2), True) / data.square().sum((1, 2), True) * data
    torch.testing.assert_close(found - data, across)


def pushed(other: torch.Tensor, scale: float, fresh: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the velocity of `velocities` leads, and where it does pushed away from another."""
    cond, _, x_t, t = velocities()
    found = flow.make_pushed(lambda *_: cond, lambda *_: other, scale, fresh)(x_t, t)
    left = (1 - t)[:, None, None]
    return x_t + left * cond, x_t + left * found


def test_a_push_away_leaves_every_frame_of_the_data_as_large_as_it_was():
    cond, other, _, t = velocities()
    fresh, other = torch.ones(3, 5, dtype=torch.bool), cond + 0.01 * other  # below the limit
    before, after = pushed(other, 2.0, fresh)
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
    wanted = before + 2 * (1 - t)[:, None, None] * (cond - other)
    torch.testing.assert_close(after, wanted * (before.norm(dim=-1) / wanted.norm(dim=-1))[..., None])
    for same in (pushed(other, 0.0, fresh), pushed(cond, 2.0, fresh)):
        torch.testing.assert_close(*same)


def test_a_push_is_limited_by_what_it_does_to_the_new_frames_alone():
    cond, other, _, _ = velocities()
    fresh = torch.tensor([[False, True, True, False, False]]).expand(3, -1)
    apart = (cond - other)[fresh].unflatten(0, (3, 2)).square().mean((1, 2)).sqrt()
    assert (apart > flow.MAX_PUSH).all()
    limited = cond - (cond - other) * (flow.MAX_PUSH / apart)[:, None, None]
    torch.testing.assert_close(pushed(other, 2.0, fresh), pushed(limited, 2.0, fresh))


def towards(data: torch.Tensor) -> flow.Velocity:
    """The velocity of a flow in which everything leads to `data`."""
    return lambda x_t, t: (data - x_t) / (1 - t).view(-1, 1, 1)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_an_edit_leads_from_what_the_old_velocity_gives_to_what_the_new_one_does(num_steps: int):
    old, new, x_0 = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = flow.edit(towards(new), towards(old), old, x_0, num_steps)
    torch.testing.assert_close(found, new)


def test_an_edit_keeps_what_neither_velocity_knows():
    old, new, x_0, own = torch.randn(4, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = new - old

    def velocity(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(3 * x_t) + t.view(-1, 1, 1)

    found = flow.edit(lambda x_t, t: velocity(x_t, t) * 0 + shift, lambda x_t, t: x_t * 0, own, x_0, 4)
    torch.testing.assert_close(found, own + shift)
    assert torch.equal(flow.edit(velocity, velocity, own, x_0, 4), own)


def test_a_later_start_edits_less():
    old, new, x_0 = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def constant(data: torch.Tensor) -> flow.Velocity:
        return lambda x_t, t: data - x_0

    found = flow.edit(constant(new), constant(old), old, x_0, 4, start=0.75)
    torch.testing.assert_close(found, old + 0.25 * (new - old))


def test_guidance_evaluates_both_sides_together_and_none_costs_one():
    calls = []

    def cond_velocity(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return -x_t

    def cond_and_uncond(x_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(2)
        return -x_t, -x_t.flip(1)

    start = torch.tensor([[1.0, 2.0, -1.0, 0.5]])
    guided = flow.solve(flow.make_guided(cond_velocity, cond_and_uncond, 2.0), start, 8)
    assert calls == [2] * 8
    calls.clear()
    flow.solve(flow.make_guided(cond_velocity, cond_and_uncond, 2.0, is_late=True), start, 4)
    assert calls == [1, 2, 2, 2]
    calls.clear()
    plain = flow.solve(flow.make_guided(cond_velocity, cond_and_uncond, 1.0), start, 8)
    assert calls == [1] * 8
    assert not torch.equal(guided, plain)
    unconditional = flow.solve(flow.make_guided(cond_velocity, cond_and_uncond, 0.0), start, 8)
    assert torch.equal(unconditional, flow.solve(lambda x_t, t: cond_and_uncond(x_t, t)[1], start, 8))


def test_sampled_times_are_inside_the_path_and_repeatable():
    times = flow.sample_t(4000, torch.Generator().manual_seed(1))
    assert times.min() > 0 and times.max() <= 1 and times.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(times, flow.sample_t(4000, torch.Generator().manual_seed(1)))
    ends = ((times < 0.05) | (times > 0.95)).float().mean().item()
    assert ends == pytest.approx(0.2 * 0.1 + 0.8 * 0.0032, abs=0.008)  # a fifth is flat; of the rest 0.3 % are there
    some = flow.sample_t(4000, torch.Generator().manual_seed(1), zero=0.25)
    assert (some == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)  # where a solver's first step begins
    assert torch.equal(some[some > 0], times[some > 0])


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (63, 65), (100, 300), (64, 128), (7, 7)])
def test_noise_of_a_window_is_a_slice_of_the_noise_of_the_track(start, stop):
    assert torch.equal(flow.noise(5, start, stop, 64), flow.noise(5, 0, 320, 64)[start:stop])


def test_noise_is_standard_normal_and_differs_between_seeds():
    one, other = flow.noise(0, 0, 4096, 64), flow.noise(1, 0, 4096, 64)
    assert one.mean().abs() < 0.01 and (one.std() - 1).abs() < 0.01 and one.abs().max() > 4
    assert (one.pow(4).mean() - 3).abs() < 0.1  # kurtosis
    assert np.abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.01
    assert torch.isfinite(flow.noise(flow.MAX_KEY, 10**9, 10**9 + 1, 3)).all()


def test_noise_keeps_its_values_between_versions():
    torch.testing.assert_close(flow.noise(0, 0, 1, 3), torch.tensor([[1.0193, 0.5456, -0.4291]]), rtol=0, atol=1e-4)


def test_what_a_caller_can_get_wrong_is_named():
    with pytest.raises(ValueError, match="num_steps 0"):
        flow.solve(lambda x, t: x, torch.zeros(1, 1), 0)
    with pytest.raises(ValueError, match="seed -1"):
        flow.noise(-1, 0, 4, 2)
    with pytest.raises(ValueError, match="frames 4-2"):
        flow.noise(0, 4, 2, 2)
