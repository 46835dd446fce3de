"""Flow matching over any velocity: the path from noise to data, its loss, guidance and solvers. Knows no model.

Rectified flow (Liu et al., https://arxiv.org/abs/2209.03003): x_t = (1 - t) x_0 + t x_1 with x_0 noise and x_1 data, so
the velocity is x_1 - x_0 and sampling runs from t = 0 to t = 1.

Shapes: B batch, T frames, C channels. `path`, `guide_projected` and `solve` take any (B, ...).
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

NOISE_BLOCK = 64  # frames drawn together
MAX_KEY = 2**64 - 1
MAX_FRAME = 2**40
MAX_PUSH = 0.1  # of a velocity, root mean square: what one moved note changes; larger edits are heard without more

Velocity = Callable[[Tensor, Tensor], Tensor]  # x_t (B, ...), t (B,) -> velocity (B, ...)
VelocityPair = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # x_t, t -> conditional and unconditional velocity


def path(x_0: Tensor, x_1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where the straight path from `x_0` to `x_1` is at `t` (B,), and its velocity there: both shaped as `x_1`."""
    t = t.view(-1, *[1] * (x_1.dim() - 1))
    return (1 - t) * x_0 + t * x_1, x_1 - x_0


def loss(velocity: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error () of velocities (B, T, C) over frames weighted by `weight` (B, T) >= 0, not all zero."""
    error = (velocity - target).square().mean(dim=-1)  # (B, T)
    return (error * weight).sum() / weight.sum()


def sample_t(n: int, rng: torch.Generator, uniform: float = 0.2, zero: float = 0.0) -> Tensor:
    """Times (n,) in 0-1 to train at: logit-normal (https://arxiv.org/abs/2403.03206), a share `uniform` of them flat.

    The middle of the path is the hard part; the flat share keeps both ends from being forgotten. A share `zero` of
    them is 0: a solver of four steps goes a quarter of the way from there, and what is true of a whole track (how wide
    it is, how bright) is decided there alone, for later the model sees it in x_t.
    """
    normal = torch.randn(n, generator=rng).sigmoid()
    flat = torch.rand(n, generator=rng)
    kind = torch.rand(n, generator=rng)
    return torch.where(kind < uniform, flat, normal) * (kind < 1 - zero)


def guide_projected(cond: Tensor, uncond: Tensor, scale: float, x_t: Tensor, t: Tensor) -> Tensor:
    """Projected guidance (https://arxiv.org/abs/2410.02416, without momentum and limit) from velocities (B, ...).

    What guidance adds along the data that `cond` leads to makes it louder, the rest makes it better: the former is left
    out. scale 1 is `cond`.
    """
    left = (1 - t).view(-1, *[1] * (x_t.dim() - 1))
    data, change = x_t + left * cond, cond - uncond  # where cond leads; the difference in data is left * change
    along = _mean(change * data) / _mean(data.square()).clamp(min=1e-12) * data
    return cond + (scale - 1) * (change - along)


def make_guided(
    cond_velocity: Velocity, cond_and_uncond: VelocityPair, scale: float, is_late: bool = False
) -> Velocity:
    """The velocity under projected guidance; scale 1 is `cond_velocity`, at half the cost, and 0 the unconditional.

    is_late: not at t = 0, where it is decided how loud and how bright all is (https://arxiv.org/abs/2404.07724).
    """
    if scale == 1:
        return cond_velocity

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        if is_late and not t.any():
            return cond_velocity(x_t, t)
        cond, uncond = cond_and_uncond(x_t, t)
        return uncond if scale == 0 else guide_projected(cond, uncond, scale, x_t, t)

    return velocity


def make_pushed(velocity: Velocity, other: Velocity, scale: float, fresh: Tensor) -> Velocity:
    """`velocity` and `scale` times what sets it apart from `other`, on x_t (B, T, C) and t below 1.

    With limits, so that nothing gets louder: the difference is scaled down to a root mean square of `MAX_PUSH` over the
    frames that are made anew, `fresh` (B, T) bool, and where it leads has in each frame the norm of where `velocity`
    does. scale 0 is `velocity`.
    """
    weight = fresh[..., None].float()

    def pushed(x_t: Tensor, t: Tensor) -> Tensor:
        left, cond = (1 - t).view(-1, 1, 1), velocity(x_t, t)
        change = cond - other(x_t, t)
        size = (_mean((change * weight).square()) / _mean(weight).clamp(min=1e-12)).sqrt()
        change = change * (MAX_PUSH / size.clamp(min=MAX_PUSH))
        data = x_t + left * cond
        moved = data + scale * left * change
        moved = moved * (data.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp(min=1e-12))
        return (moved - x_t) / left

    return pushed


def solve(
    velocity: Velocity,
    x: Tensor,
    num_steps: int,
    *,
    start: float = 0.0,
    first: Velocity | None = None,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Carry `x` (B, ...) along `velocity` from t = `start` to 1 in equal Euler steps; ValueError unless at least one.

    x: at t = 0 the noise; later a place on the path to what the result is to resemble (SDEdit,
    https://arxiv.org/abs/2108.01073). first: the velocity of the first step, where it is another.
    callback: called with (steps done, x_t) after each step.
    """
    x_t = x
    for i, (t, t_next) in enumerate(pairwise(_steps(num_steps, start))):
        of_step = first if i == 0 and first is not None else velocity
        x_t = x_t + (t_next - t) * of_step(x_t, _times(x_t, t))
        if callback is not None:
            callback(i + 1, x_t)
    return x_t


def edit(
    new: Velocity,
    old: Velocity,
    x_1: Tensor,
    x_0: Tensor,
    num_steps: int,
    *,
    start: float = 0.0,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Data `x_1` (B, ...), which the velocity `old` leads to, changed by what sets `new` apart from it.

    FlowEdit (https://arxiv.org/abs/2412.08629) with one noise `x_0` for all steps
    (https://arxiv.org/abs/2606.15149): the difference of the two velocities is added up, `old` where the data is on its
    straight path from `x_0`, `new` where the changed data is on its own. What both agree on stays; with one velocity
    twice all of it. start: 0-1, the later the smaller the change; callback, errors: as in `solve`.
    """
    x = x_1
    for i, (t, t_next) in enumerate(pairwise(_steps(num_steps, start))):
        at = _times(x, t)
        there, _ = path(x_0, x_1, at)
        x = x + (t_next - t) * (new(there + (x - x_1), at) - old(there, at))
        if callback is not None:
            callback(i + 1, x)
    return x


def solve_adaptive(velocity: Velocity, x_0: Tensor, tolerance: float = 1e-4) -> Tensor:
    """`solve` with steps as small as `tolerance`, relative and absolute, demands (Dormand-Prince, torchdiffeq).

    ValueError where the package torchdiffeq is not installed.
    """
    try:
        from torchdiffeq import odeint
    except ImportError:
        raise ValueError("solve_adaptive needs torchdiffeq: pip install hybridgen[adaptive]") from None

    def derivative(t: Tensor, x: Tensor) -> Tensor:
        return velocity(x, t.float().expand(x.shape[0]))

    times = torch.tensor([0.0, 1.0], device=x_0.device)
    return odeint(derivative, x_0, times, rtol=tolerance, atol=tolerance, method="dopri5")[-1]


def noise(seed: int, start: int, stop: int, channels: int) -> Tensor:
    """Standard normal noise (stop - start, channels) float32 of absolute frames start..stop-1, on the CPU.

    A pure function of (seed, frame, channels): never of batch, window or device. Frames before a track's first have
    negative numbers. Philox counters
    (https://doi.org/10.1145/2063384.2063405) and Box-Muller, so it does not change with a library's generator either.
    """
    if not 0 <= seed <= MAX_KEY:
        raise ValueError(f"seed {seed} is outside 0-{MAX_KEY}")
    if not -MAX_FRAME <= start <= stop <= MAX_FRAME:
        raise ValueError(f"frames {start}-{stop}: -{MAX_FRAME} <= start <= stop <= {MAX_FRAME} must hold")
    first = start // NOISE_BLOCK
    blocks = [_noise_block(seed, block, channels) for block in range(first, -(-stop // NOISE_BLOCK))]
    frames = np.concatenate([np.zeros((0, channels), dtype=np.float32), *blocks])
    offset = first * NOISE_BLOCK
    return torch.from_numpy(frames[start - offset : stop - offset].copy())


def _mean(x: Tensor) -> Tensor:
    """(B, ...) -> the mean of each row, with as many dimensions."""
    return x.mean(dim=tuple(range(1, x.dim())), keepdim=True)


def _steps(num_steps: int, start: float) -> list[float]:
    """The times of equal steps from `start` to 1; ValueError unless there is at least one."""
    if num_steps < 1:
        raise ValueError(f"num_steps {num_steps} must be at least 1")
    return (1 - torch.linspace(1 - start, 0, num_steps + 1, dtype=torch.float64)).float().tolist()


def _times(x: Tensor, t: float) -> Tensor:
    return torch.full((x.shape[0],), t, device=x.device, dtype=torch.float32)


def _noise_block(seed: int, block: int, channels: int) -> np.ndarray:
    counter = np.array([0, 0, block % (2 * MAX_FRAME), channels], dtype=np.uint64)
    bits = np.random.Philox(counter=counter, key=np.array([seed, 0], dtype=np.uint64))
    n = -(-NOISE_BLOCK * channels // 2)
    raw = bits.random_raw(2 * n) >> np.uint64(11)  # the 53 bits of a double
    u = (raw.astype(np.float64) + 0.5) * 2.0**-53  # never 0 or 1
    radius, angle = np.sqrt(-2 * np.log(u[:n])), 2 * np.pi * u[n:]
    values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[: NOISE_BLOCK * channels]
    return values.reshape(NOISE_BLOCK, channels).astype(np.float32)
