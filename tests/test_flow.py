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


@pytest.mark.parametrize("method", flow.METHODS)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_straight_flow_is_solved_exactly_in_one_step(method, shift):
    x_0, x_1 = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = flow.solve(lambda x, t: x_1 - x_0, x_0, 1, method=method, shift=shift)
    torch.testing.assert_close(out, x_1, rtol=1e-12, atol=1e-12)


def test_halving_the_step_halves_the_error():
    x_0 = torch.ones(1, 1, dtype=torch.float64)

    def error(num_steps):
        return abs(flow.solve(lambda x, t: -2 * x, x_0, num_steps).item() - np.exp(-2))

    assert error(64) / error(128) == pytest.approx(2, rel=0.05)


def test_the_adaptive_solver_meets_its_tolerance():
    x_0 = torch.ones(2, 1, dtype=torch.float64)
    out = flow.solve(lambda x, t: x * torch.cos(8 * t)[:, None], x_0, 1, method="adaptive", tolerance=1e-6)
    assert out[0].item() == pytest.approx(np.exp(np.sin(8) / 8), abs=1e-4)


def test_schedule_runs_from_noise_to_data_and_shift_stays_longer_near_noise():
    plain, shifted = flow.schedule(8), flow.schedule(8, shift=3.0)
    for times in (plain, shifted):
        assert times[0] == 0 and times[-1] == 1 and (times.diff() > 0).all()
    torch.testing.assert_close(plain, torch.linspace(0, 1, 9))
    assert (shifted[1:-1] < plain[1:-1]).all()


def test_callback_sees_every_step():
    seen = []
    flow.solve(lambda x, t: torch.ones_like(x), torch.zeros(1, 1), 4, callback=lambda i, x: seen.append((i, x.item())))
    assert seen == [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0)]


def test_loss_counts_weighted_frames_only():
    velocity, target = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    target[:, 2:] = 100.0
    weight = torch.tensor([[1.0, 0.5, 0, 0], [1, 0, 0, 0]])
    assert flow.loss(velocity, target, weight).item() == pytest.approx(1.0)


def test_guidance_scale_0_is_unconditional_and_1_conditional():
    cond, uncond = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(flow.guide(cond, uncond, 0.0), uncond)
    torch.testing.assert_close(flow.guide(cond, uncond, 1.0), cond)
    torch.testing.assert_close(flow.guide(cond, uncond, 3.0) - cond, 2 * (cond - uncond))


def velocities(n: int = 3) -> tuple[torch.Tensor, ...]:
    """cond, uncond, x_t (n, 5, 4), t (n,) in double precision."""
    rng = torch.Generator().manual_seed(0)
    return (*torch.randn(3, n, 5, 4, generator=rng, dtype=torch.float64), torch.linspace(0, 0.9, n).double())


def test_projecting_nothing_away_is_plain_guidance():
    cond, uncond, x_t, t = velocities()
    torch.testing.assert_close(
        flow.guide_projected(cond, uncond, 3.0, x_t, t, parallel=1.0), flow.guide(cond, uncond, 3.0)
    )
    torch.testing.assert_close(flow.guide_projected(cond, uncond, 1.0, x_t, t, parallel=0.0), cond)


def test_projected_guidance_adds_nothing_along_the_expected_data():
    cond, uncond, x_t, t = velocities()
    left = (1 - t)[:, None, None]
    data = x_t + left * cond
    found = x_t + left * flow.guide_projected(cond, uncond, 3.0, x_t, t, parallel=0.0)
    torch.testing.assert_close(((found - data) * data).sum((1, 2)), torch.zeros(3, dtype=torch.float64))
    wished = x_t + left * flow.guide(cond, uncond, 3.0)
    across = (wished - data) - ((wished - data) * data).sum((1, 2), True) / data.square().sum((1, 2), True) * data
    torch.testing.assert_close(found - data, across)


def guided_run(scale: float, interval: tuple[float, float]) -> tuple[torch.Tensor, int, int]:
    """A solution in eight steps, and how often the condition alone and both sides were asked."""
    calls = []

    def wished(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return -x_t

    def pair(x_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(2)
        return -x_t, -2 * x_t

    out = flow.solve(flow.guided(wished, pair, scale, interval=interval), torch.ones(1, 4), 8)
    return out, calls.count(1), calls.count(2)


def test_guidance_works_in_its_interval_and_costs_nothing_outside():
    always, *calls = guided_run(2.0, (0.0, 1.0))
    assert calls == [0, 8]
    plain = flow.solve(lambda x, t: flow.guide(-x, -2 * x, 2.0), torch.ones(1, 4), 8)
    assert torch.equal(always, plain)
    never, *calls = guided_run(1.0, (0.0, 1.0))
    assert calls == [8, 0]
    early, *calls = guided_run(2.0, (0.0, 0.3))  # t = 0, 1/8, 2/8
    assert calls == [5, 3]
    assert never[0, 0] < early[0, 0] < always[0, 0]
    assert torch.equal(guided_run(2.0, (0.95, 1.0))[0], never)  # no step begins there


def test_sampled_times_are_inside_the_path_and_repeatable():
    times = flow.sample_t(4000, torch.Generator().manual_seed(1))
    assert times.min() >= 0 and times.max() <= 1 and times.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(times, flow.sample_t(4000, torch.Generator().manual_seed(1)))
    ends = ((times < 0.05) | (times > 0.95)).float().mean().item()
    assert ends == pytest.approx(0.2 * 0.1 + 0.8 * 0.0032, abs=0.008)  # a fifth is flat; of the rest 0.3 % are there


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (63, 65), (100, 300), (64, 128), (7, 7)])
def test_noise_of_a_window_is_a_slice_of_the_noise_of_the_track(start, stop):
    assert torch.equal(flow.noise(5, start, stop, 64), flow.noise(5, 0, 320, 64)[start:stop])


def test_noise_is_standard_normal_and_differs_between_seeds():
    one, other = flow.noise(0, 0, 4096, 64), flow.noise(1, 0, 4096, 64)
    assert one.mean().abs() < 0.01 and (one.std() - 1).abs() < 0.01 and one.abs().max() > 4
    assert (one.pow(4).mean() - 3).abs() < 0.1  # kurtosis
    assert np.abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.01
    assert torch.isfinite(flow.noise(flow.MAX_SEED, 10**9, 10**9 + 1, 3)).all()


def test_noise_keeps_its_values_between_versions():
    torch.testing.assert_close(flow.noise(0, 0, 1, 3), torch.tensor([[1.0193, 0.5456, -0.4291]]), rtol=0, atol=1e-4)


def test_what_a_caller_can_get_wrong_is_named():
    with pytest.raises(ValueError, match="num_steps 0"):
        flow.schedule(0)
    with pytest.raises(ValueError, match="shift -1"):
        flow.schedule(4, -1.0)
    with pytest.raises(ValueError, match="method 'rk9'"):
        flow.solve(lambda x, t: x, torch.zeros(1, 1), 4, method="rk9")
    with pytest.raises(ValueError, match="seed -1"):
        flow.noise(-1, 0, 4, 2)
    with pytest.raises(ValueError, match="frames 4-2"):
        flow.noise(0, 4, 2, 2)
