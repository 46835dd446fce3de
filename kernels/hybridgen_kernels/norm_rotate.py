"""Queries and keys in one pass: RMSNorm over a head, rotary positions, and for one token the write into the cache.

Shapes: B batch, L tokens, H heads, G key/value heads, K head width, M slots of a cache. A program takes some heads of
one token, the two halves of each side by side, wherever they lie in memory: the split of a projection is not copied.
All arithmetic is float32. The gradient of the weight is summed over the tokens of a program, then by PyTorch: no
atomics.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

N_PROGRAMS = 256  # of the backward pass; each sums the weight's gradient over its tokens
TILE = 2048  # elements of a tile: heads times half a head


@triton.jit
def load_halves(x_ptr, stride, heads, half, inside, HALF):
    """float32 halves (heads, K / 2) of heads that are `stride` apart."""
    at = x_ptr + heads[:, None] * stride + half[None, :]
    return tl.load(at, mask=inside, other=0.0).to(tl.float32), tl.load(at + HALF, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def store_halves(y_ptr, stride, heads, half, inside, HALF, a, b):
    at = y_ptr + heads[:, None] * stride + half[None, :]
    tl.store(at, a.to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(at + HALF, b.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def load_vector(x_ptr, half, HALF):
    """(1, K / 2) twice: the halves of one vector (K,)."""
    inside = half < HALF
    a = tl.load(x_ptr + half, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(x_ptr + half + HALF, mask=inside, other=0.0).to(tl.float32)
    return a[None, :], b[None, :]


@triton.jit
def norm_rotate_tile(
    x_ptr, x_stride, y_ptr, y_stride, weight_ptr, cos_ptr, sin_ptr, heads, n_heads, HALF, eps,
    ROTARY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Some heads of one token, from x to y; cos and sin (K / 2,) are this token's."""
    half = tl.arange(0, BLOCK)
    inside = (heads < n_heads)[:, None] & (half < HALF)[None, :]
    a, b = load_halves(x_ptr, x_stride, heads, half, inside, HALF)
    mean = (tl.sum(a * a, axis=1) + tl.sum(b * b, axis=1)) / (2 * HALF)
    rstd = (1.0 / tl.sqrt(mean + eps))[:, None]
    weight_a, weight_b = load_vector(weight_ptr, half, HALF)
    a, b = a * rstd * weight_a, b * rstd * weight_b
    if ROTARY:
        cos = tl.load(cos_ptr + half, mask=half < HALF, other=0.0).to(tl.float32)[None, :]
        sin = tl.load(sin_ptr + half, mask=half < HALF, other=0.0).to(tl.float32)[None, :]
        a, b = a * cos - b * sin, b * cos + a * sin
    store_halves(y_ptr, y_stride, heads, half, inside, HALF, a, b)


@triton.jit
def forward_kernel(
    x_ptr, y_ptr, weight_ptr, cos_ptr, sin_ptr, L, H, HALF, eps,
    x_batch, x_head, x_token, y_batch, y_head, y_token, cos_batch, cos_token,
    ROTARY: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    batch, token = row // L, row % L
    heads = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    turn = batch * cos_batch + token * cos_token
    norm_rotate_tile(
        x_ptr + batch * x_batch + token * x_token, x_head, y_ptr + batch * y_batch + token * y_token, y_head,
        weight_ptr, cos_ptr + turn, sin_ptr + turn, heads, H, HALF, eps, ROTARY, BLOCK,
    )  # fmt: skip


@triton.jit
def backward_kernel(
    x_ptr, dy_ptr, dx_ptr, weight_ptr, dweight_ptr, cos_ptr, sin_ptr, N_ROWS, L, H, HALF, eps,
    x_batch, x_head, x_token, dy_batch, dy_head, dy_token, dx_batch, dx_head, dx_token, cos_batch, cos_token,
    ROTARY: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    half = tl.arange(0, BLOCK)
    weight_a, weight_b = load_vector(weight_ptr, half, HALF)
    dweight_a, dweight_b = tl.zeros((BLOCK,), dtype=tl.float32), tl.zeros((BLOCK,), dtype=tl.float32)
    for row in range(program, N_ROWS, tl.num_programs(0)):
        batch, token = row // L, row % L
        turn = batch * cos_batch + token * cos_token + half
        for first in range(0, H, HEADS):
            heads = first + tl.arange(0, HEADS)
            inside = (heads < H)[:, None] & (half < HALF)[None, :]
            a, b = load_halves(x_ptr + batch * x_batch + token * x_token, x_head, heads, half, inside, HALF)
            da, db = load_halves(dy_ptr + batch * dy_batch + token * dy_token, dy_head, heads, half, inside, HALF)
            if ROTARY:  # a turn back
                cos = tl.load(cos_ptr + turn, mask=half < HALF, other=0.0).to(tl.float32)[None, :]
                sin = tl.load(sin_ptr + turn, mask=half < HALF, other=0.0).to(tl.float32)[None, :]
                da, db = da * cos + db * sin, db * cos - da * sin
            mean = (tl.sum(a * a, axis=1) + tl.sum(b * b, axis=1)) / (2 * HALF)
            rstd = (1.0 / tl.sqrt(mean + eps))[:, None]
            a, b = a * rstd, b * rstd
            dweight_a += tl.sum(da * a, axis=0)
            dweight_b += tl.sum(db * b, axis=0)
            da, db = da * weight_a, db * weight_b
            along = ((tl.sum(da * a, axis=1) + tl.sum(db * b, axis=1)) / (2 * HALF))[:, None]
            da, db = rstd * (da - a * along), rstd * (db - b * along)
            store_halves(
                dx_ptr + batch * dx_batch + token * dx_token, dx_head, heads, half, inside, HALF, da, db
            )  # fmt: skip
    partial = dweight_ptr + program * 2 * HALF + half
    tl.store(partial, dweight_a, mask=half < HALF)
    tl.store(partial + HALF, dweight_b, mask=half < HALF)


@triton.jit
def write_kernel(
    q_ptr, k_ptr, v_ptr, y_ptr, keys_ptr, values_ptr, q_weight_ptr, k_weight_ptr, cos_ptr, sin_ptr, slot_ptr,
    H, G, HALF, eps, q_batch, q_head, k_batch, k_head, v_batch, v_head, y_batch, y_head,
    keys_batch, keys_head, keys_slot, values_batch, values_head, values_slot, cos_batch,
    HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes heads of the queries of one row, or heads of its keys and values."""
    batch, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    n_query_tiles = tl.cdiv(H, HEADS)
    cos_ptr += batch * cos_batch
    sin_ptr += batch * cos_batch
    if tile < n_query_tiles:
        heads = tile * HEADS + tl.arange(0, HEADS)
        norm_rotate_tile(
            q_ptr + batch * q_batch, q_head, y_ptr + batch * y_batch, y_head,
            q_weight_ptr, cos_ptr, sin_ptr, heads, H, HALF, eps, True, BLOCK,
        )  # fmt: skip
    else:
        heads = (tile - n_query_tiles) * HEADS + tl.arange(0, HEADS)
        slot = tl.load(slot_ptr).to(tl.int64)
        norm_rotate_tile(
            k_ptr + batch * k_batch, k_head, keys_ptr + batch * keys_batch + slot * keys_slot, keys_head,
            k_weight_ptr, cos_ptr, sin_ptr, heads, G, HALF, eps, True, BLOCK,
        )  # fmt: skip
        half = tl.arange(0, BLOCK)
        inside = (heads < G)[:, None] & (half < HALF)[None, :]
        a, b = load_halves(v_ptr + batch * v_batch, v_head, heads, half, inside, HALF)
        written = values_ptr + batch * values_batch + slot * values_slot
        store_halves(written, values_head, heads, half, inside, HALF, a, b)


def tiles(n_heads: int, head_dim: int) -> tuple[int, int]:
    """Heads in a tile and the padded half of a head."""
    block = triton.next_power_of_2(head_dim // 2)
    return min(triton.next_power_of_2(n_heads), max(TILE // block, 1)), block


def dense(x: Tensor) -> Tensor:
    """x, or a copy of it, whose last axis lies side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def turns(cos: Tensor) -> tuple[int, int]:
    """Steps of cosines (B or 1, 1, L, K / 2) from row to row and from token to token."""
    return (0 if len(cos) == 1 else cos.stride(0)), cos.stride(2)


class NormRotate(torch.autograd.Function):
    """Autograd around the first two kernels; cos and sin have no gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, cos: Tensor | None, sin: Tensor | None, eps: float) -> Tensor:
        """x (B, H, L, K), its last axis dense -> the same shape, a token's heads side by side."""
        batch, n_heads, length, dim = x.shape
        y = x.new_empty(batch, length, n_heads, dim).transpose(1, 2)
        heads, block = tiles(n_heads, dim)
        turn = (weight, weight, 0, 0) if cos is None or sin is None else (cos, sin, *turns(cos))
        grid = (batch * length, triton.cdiv(n_heads, heads))
        forward_kernel[grid](
            x, y, weight, *turn[:2], length, n_heads, dim // 2, eps, *x.stride()[:3], *y.stride()[:3], *turn[2:],
            ROTARY=cos is not None, HEADS=heads, BLOCK=block,
        )  # fmt: skip
        ctx.save_for_backward(x, weight, cos, sin)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """dy (B, H, L, K) -> gradients of x and weight."""
        x, weight, cos, sin = ctx.saved_tensors
        dy = dense(dy)
        batch, n_heads, length, dim = x.shape
        dx = x.new_empty(batch, length, n_heads, dim).transpose(1, 2)
        heads, block = tiles(n_heads, dim)
        turn = (weight, weight, 0, 0) if cos is None else (cos, sin, *turns(cos))
        n_programs = min(batch * length, N_PROGRAMS)
        dweight = torch.empty(n_programs, dim, dtype=torch.float32, device=x.device)
        backward_kernel[(n_programs,)](
            x, dy, dx, weight, dweight, *turn[:2], batch * length, length, n_heads, dim // 2, ctx.eps,
            *x.stride()[:3], *dy.stride()[:3], *dx.stride()[:3], *turn[2:],
            ROTARY=cos is not None, HEADS=heads, BLOCK=block,
        )  # fmt: skip
        return dx, dweight.sum(0).to(weight.dtype), None, None, None


def norm_rotate(x: Tensor, weight: Tensor, eps: float, cos_sin: tuple[Tensor, Tensor] | None) -> Tensor:
    """Queries or keys (B, H, L, K), K even: RMSNorm of each, then turned where there are angles."""
    if x.numel() == 0:
        return x
    cos, sin = (None, None) if cos_sin is None else map(dense, cos_sin)
    return NormRotate.apply(dense(x), weight.contiguous(), cos, sin, eps)


def norm_rotate_write(
    qkv: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    eps: float,
    cos_sin: tuple[Tensor, Tensor],
    cache: tuple[Tensor, Tensor],
    slot: Tensor,
) -> Tensor:
    """One token's queries normalized and turned, (B, H, 1, K); its keys too, and its values, go into a cache's slot.

    The last axis of the cache is dense.
    """
    (q, k, v), (keys, values), (cos, sin), weights = map(dense, qkv), cache, map(dense, cos_sin), map(dense, weights)
    batch, n_heads, _, dim = q.shape
    heads, block = tiles(n_heads, dim)
    y = torch.empty_like(q, memory_format=torch.contiguous_format)
    n_tiles = triton.cdiv(n_heads, heads) + triton.cdiv(k.shape[1], heads)
    write_kernel[(batch, n_tiles)](
        q, k, v, y, keys, values, *weights, cos, sin, slot, n_heads, k.shape[1], dim // 2, eps,
        *q.stride()[:2], *k.stride()[:2], *v.stride()[:2], *y.stride()[:2], *keys.stride()[:3], *values.stride()[:3],
        turns(cos)[0], HEADS=heads, BLOCK=block,
    )  # fmt: skip
    return y
