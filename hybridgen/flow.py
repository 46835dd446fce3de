"""Flow matching over any velocity: the path from noise to data, its loss, guidance and solvers. Knows no model.

Rectified flow (Liu et al., https://arxiv.org/abs/2209.03003): x_t = (1 - t) x_0 + t x_1 with x_0 noise and x_1 data, so
the velocity is x_1 - x_0 and sampling runs from t = 0 to t = 1.

Shapes: B batch, T frames, C channels. `path`, `guide` and `solve` take any (B, ...).
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

METHODS = ("euler", "adaptive")
NOISE_BLOCK = 64  # frames drawn together
MAX_SEED = 2**64 - 1

Velocity = Callable[[Tensor, Tensor], Tensor]  # x_t (B, ...), t (B,) -> velocity (B, ...)
Pair = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # x_t, t -> conditional and unconditional velocity


def path(x_0: Tensor, x_1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where the straight path from `x_0` to `x_1` is at `t` (B,), and its velocity there: both shaped as `x_1`."""
    t = t.view(-1, *[1] * (x_1.dim() - 1))
    return (1 - t) * x_0 + t * x_1, x_1 - x_0


def loss(velocity: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error () of velocities (B, T, C) over frames weighted by `weight` (B, T) >= 0, not all zero."""
    error = (velocity - target).square().mean(dim=-1)  # (B, T)
    return (error * weight).sum() / weight.sum()


def sample_t(n: int, rng: torch.Generator, uniform: float = 0.2) -> Tensor:
    """Times (n,) in 0-1 to train at: logit-normal (https://arxiv.org/abs/2403.03206), a share `uniform` of them flat.

    The middle of the path is the hard part; the flat share keeps both ends from being forgotten.
    """
    normal = torch.randn(n, generator=rng).sigmoid()
    flat = torch.rand(n, generator=rng)
    return torch.where(torch.rand(n, generator=rng) < uniform, flat, normal)


def guide(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (https://arxiv.org/abs/2207.12598): scale 0 is `uncond`, 1 `cond`, above 1 more so."""
    return uncond + scale * (cond - uncond)


def guide_projected(cond: Tensor, uncond: Tensor, scale: float, x_t: Tensor, t: Tensor, parallel: float) -> Tensor:
    """Projected guidance (https://arxiv.org/abs/2410.02416, without momentum and limit) from velocities (B, ...).

    What guidance adds along the data that `cond` leads to makes it louder, the rest makes it better: of the former only
    the share `parallel` is kept (1: `guide`).
    """
    left = (1 - t).view(-1, *[1] * (x_t.dim() - 1))
    data, change = x_t + left * cond, cond - uncond  # where cond leads; the difference in data is left * change
    along = _mean(change * data) / _mean(data.square()).clamp(min=1e-12) * data
    return cond + (scale - 1) * (change - (1 - parallel) * along)


def guided(
    wished: Velocity, pair: Pair, scale: float, *, interval: tuple[float, float] = (0.0, 1.0), parallel: float = 1.0
) -> Velocity:
    """The guided velocity: `pair` is asked at times in `interval`, `wished` alone, at half the cost, at all others.

    Guidance in an interval: https://arxiv.org/abs/2404.07724. parallel: of `guide_projected`.
    """
    low, high = interval

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        if scale == 1 or not low <= t[0] <= high:
            return wished(x_t, t)
        cond, uncond = pair(x_t, t)
        if scale == 0:
            return uncond
        if parallel == 1:
            return guide(cond, uncond, scale)
        return guide_projected(cond, uncond, scale, x_t, t, parallel)

    return velocity


def schedule(num_steps: int, shift: float = 1.0) -> Tensor:
    """Times (num_steps + 1,) ascending from 0 to 1, in equal steps with shift 1.

    `shift` > 1 takes smaller steps near the noise, < 1 near the data (https://arxiv.org/abs/2403.03206, section 5.3.2).
    ValueError unless num_steps and shift are positive.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps {num_steps} must be at least 1")
    if not shift > 0:
        raise ValueError(f"shift {shift} must be above 0")
    noise_left = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    return (1 - shift * noise_left / (1 + (shift - 1) * noise_left)).float()


def solve(
    velocity: Velocity,
    x_0: Tensor,
    num_steps: int,
    *,
    method: str = "euler",
    shift: float = 1.0,
    tolerance: float = 1e-4,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Carry `x_0` (B, ...) along `velocity` from t = 0 to t = 1.

    method: "euler" asks for the velocity once a step, "adaptive" (Dormand-Prince, torchdiffeq) as often as `tolerance`,
    relative and absolute, demands. shift: of `schedule`. callback: told (steps done, x_t) after each step.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
    times = schedule(num_steps, shift).tolist()
    x_t = x_0
    for i, (t, t_next) in enumerate(pairwise(times)):
        if method == "euler":
            x_t = x_t + (t_next - t) * velocity(x_t, _times(x_t, t))
        else:
            x_t = _adaptive(velocity, x_t, t, t_next, tolerance)
        if callback is not None:
            callback(i + 1, x_t)
    return x_t


def noise(seed: int, start: int, stop: int, channels: int) -> Tensor:
    """Standard normal noise (stop - start, channels) float32 of absolute frames start..stop-1, on the CPU.

    A pure function of (seed, frame, channels): never of batch, window or device. Philox counters
    (https://doi.org/10.1145/2063384.2063405) and Box-Muller, so it does not change with a library's generator either.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed} is outside 0-{MAX_SEED}")
    if not 0 <= start <= stop:
        raise ValueError(f"frames {start}-{stop}: 0 <= start <= stop must hold")
    first = start // NOISE_BLOCK
    blocks = [_noise_block(seed, block, channels) for block in range(first, -(-stop // NOISE_BLOCK))]
    frames = np.concatenate([np.zeros((0, channels), dtype=np.float32), *blocks])
    offset = first * NOISE_BLOCK
    return torch.from_numpy(frames[start - offset : stop - offset].copy())


def _mean(x: Tensor) -> Tensor:
    """(B, ...) -> the mean of each row, with as many dimensions."""
    return x.mean(dim=tuple(range(1, x.dim())), keepdim=True)


def _times(x: Tensor, t: float) -> Tensor:
    return torch.full((x.shape[0],), t, device=x.device, dtype=torch.float32)


def _adaptive(velocity: Velocity, x: Tensor, t: float, t_next: float, tolerance: float) -> Tensor:
    from torchdiffeq import odeint  # 0.3 s to import, and only this method needs it

    def derivative(t: Tensor, x: Tensor) -> Tensor:
        return velocity(x, t.float().expand(x.shape[0]))

    times = torch.tensor([t, t_next], device=x.device)
    return odeint(derivative, x, times, rtol=tolerance, atol=tolerance, method="dopri5")[-1]


def _noise_block(seed: int, block: int, channels: int) -> np.ndarray:
    counter = np.array([0, 0, block, channels], dtype=np.uint64)
    bits = np.random.Philox(counter=counter, key=np.array([seed, 0], dtype=np.uint64))
    n = -(-NOISE_BLOCK * channels // 2)
    raw = bits.random_raw(2 * n) >> np.uint64(11)  # the 53 bits of a double
    u = (raw.astype(np.float64) + 0.5) * 2.0**-53  # never 0 or 1
    radius, angle = np.sqrt(-2 * np.log(u[:n])), 2 * np.pi * u[n:]
    values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[: NOISE_BLOCK * channels]
    return values.reshape(NOISE_BLOCK, channels).astype(np.float32)
