"""Gated residual, RMSNorm, shift and scale in one pass over memory, forward and backward.

Shapes: B batch, N tokens of a row, D width; R = B N. PyTorch's composite reads or writes (R, D) up to eleven times,
this two to four. The statistics are float32 whatever the dtype. Gradients of gate, shift, scale and weight are summed
over the tokens of a program first, then over the (few) programs by PyTorch: deterministic, no atomics.
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

N_PROGRAMS = 256  # of the backward pass, all rows of the batch together


@triton.jit
def forward_kernel(
    x_ptr, update_ptr, gate_ptr, shift_ptr, scale_ptr, weight_ptr, sum_ptr, y_ptr, rstd_ptr, N, D, eps,
    gate_batch, shift_batch, scale_batch,
    UPDATED: tl.constexpr, GATED: tl.constexpr, MODULATED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    batch = row // N
    columns = tl.arange(0, BLOCK)
    inside = columns < D
    x = tl.load(x_ptr + row * D + columns, mask=inside, other=0.0).to(tl.float32)
    if UPDATED:
        update = tl.load(update_ptr + row * D + columns, mask=inside, other=0.0).to(tl.float32)
        if GATED:
            update *= tl.load(gate_ptr + batch * gate_batch + columns, mask=inside, other=0.0).to(tl.float32)
        x = (x + update).to(sum_ptr.dtype.element_ty)  # rounded as it is stored: backward sees the same
        tl.store(sum_ptr + row * D + columns, x, mask=inside)
        x = x.to(tl.float32)
    rstd = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / D + eps)
    y = x * rstd * tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    if MODULATED:
        y *= 1 + tl.load(scale_ptr + batch * scale_batch + columns, mask=inside, other=0.0).to(tl.float32)
        y += tl.load(shift_ptr + batch * shift_batch + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * D + columns, y.to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(rstd_ptr + row, rstd)


@triton.jit
def backward_kernel(
    x_ptr, update_ptr, gate_ptr, scale_ptr, weight_ptr, rstd_ptr, dsum_ptr, dy_ptr, dx_ptr, dupdate_ptr, partial_ptr,
    N, D, gate_batch, scale_batch,
    UPDATED: tl.constexpr, GATED: tl.constexpr, MODULATED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x is the sum that was normalized; partial (B, programs, 4, D): gradients of weight, scale, shift, gate."""
    batch, program = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = tl.arange(0, BLOCK)
    inside = columns < D
    weight = tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    size = tl.full((BLOCK,), 1.0, dtype=tl.float32)
    if MODULATED:
        size += tl.load(scale_ptr + batch * scale_batch + columns, mask=inside, other=0.0).to(tl.float32)
    if GATED:
        gate = tl.load(gate_ptr + batch * gate_batch + columns, mask=inside, other=0.0).to(tl.float32)
    dgate, dnormed = tl.zeros((BLOCK,), dtype=tl.float32), tl.zeros((BLOCK,), dtype=tl.float32)
    dshift = tl.zeros((BLOCK,), dtype=tl.float32)
    for token in range(program, N, tl.num_programs(1)):
        at = (batch * N + token) * D + columns
        dy = tl.load(dy_ptr + at, mask=inside, other=0.0).to(tl.float32)
        rstd = tl.load(rstd_ptr + batch * N + token)
        normed = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) * rstd
        dnormed += dy * normed
        dshift += dy
        g = dy * size * weight
        dx = rstd * (g - normed * (tl.sum(g * normed, axis=0) / D))
        if UPDATED:
            dx += tl.load(dsum_ptr + at, mask=inside, other=0.0).to(tl.float32)
            if GATED:
                dgate += dx * tl.load(update_ptr + at, mask=inside, other=0.0).to(tl.float32)
                tl.store(dupdate_ptr + at, (dx * gate).to(dupdate_ptr.dtype.element_ty), mask=inside)
        tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)
    partial_ptr += (batch * tl.num_programs(1) + program) * 4 * D + columns
    tl.store(partial_ptr, dnormed * size, mask=inside)
    if MODULATED:
        tl.store(partial_ptr + D, dnormed * weight, mask=inside)
        tl.store(partial_ptr + 2 * D, dshift, mask=inside)
    if GATED:
        tl.store(partial_ptr + 3 * D, dgate, mask=inside)


def size_of(dim: int) -> dict[str, int]:
    """The padded width of a row, and warps for it: 16 numbers of each tensor a thread."""
    block = triton.next_power_of_2(dim)
    return {"BLOCK": block, "num_warps": min(max(block // 512, 1), 16)}


def promoted(x: Tensor, *others: Tensor | None) -> torch.dtype:
    """The dtype of a sum or product of all these."""
    return functools.reduce(torch.promote_types, [part.dtype for part in others if part is not None], x.dtype)


class AdaNorm(torch.autograd.Function):
    """Autograd around the two kernels."""

    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        weight: Tensor,
        update: Tensor | None,
        gate: Tensor | None,
        shift: Tensor | None,
        scale: Tensor | None,
        eps: float,
    ) -> tuple[Tensor | None, Tensor]:
        """x, update (B, N, D), gate, shift, scale (B, 1, D), contiguous -> the sum if there is one, and y."""
        batch, n_tokens, dim = x.shape
        total = x if update is None else x.new_empty(x.shape, dtype=promoted(x, update, gate))
        y = x.new_empty(x.shape, dtype=promoted(total, shift, scale))
        rstd = torch.empty(batch * n_tokens, dtype=torch.float32, device=x.device)
        forward_kernel[(batch * n_tokens,)](
            x, *(x if part is None else part for part in (update, gate, shift, scale)), weight, total, y, rstd,
            n_tokens, dim, eps, *(0 if part is None else part.stride(0) for part in (gate, shift, scale)),
            UPDATED=update is not None, GATED=gate is not None, MODULATED=scale is not None,
            **size_of(dim),
        )  # fmt: skip
        ctx.save_for_backward(total, weight, update if gate is not None else None, gate, scale, rstd)
        ctx.kinds = x.dtype, None if update is None else update.dtype
        return None if update is None else total, y

    @staticmethod
    def backward(ctx, dsum: Tensor | None, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what `forward` was given, in its order."""
        x, weight, update, gate, scale, rstd = ctx.saved_tensors
        (batch, n_tokens, dim), (kind, update_kind) = x.shape, ctx.kinds
        n_programs = max(1, min(n_tokens, N_PROGRAMS // batch))
        dx = torch.empty_like(x, dtype=kind)
        dupdate = dx if update is None else torch.empty_like(update)
        partial = torch.empty(batch, n_programs, 4, dim, dtype=torch.float32, device=x.device)
        backward_kernel[(batch, n_programs)](
            x, *(x if part is None else part for part in (update, gate, scale)), weight, rstd,
            dy if dsum is None else dsum.contiguous(), dy.contiguous(), dx, dupdate, partial, n_tokens, dim,
            *(0 if part is None else part.stride(0) for part in (gate, scale)),
            UPDATED=update_kind is not None, GATED=gate is not None, MODULATED=scale is not None,
            **size_of(dim),
        )  # fmt: skip
        dweight, dscale, dshift, dgate = partial.sum(1)[:, None].unbind(2)  # (B, 1, D) each
        return (
            dx,
            dweight.sum((0, 1)).to(weight.dtype),
            None if update_kind is None else dupdate.to(update_kind),
            None if gate is None else dgate.to(gate.dtype),
            None if scale is None else dshift.to(scale.dtype),
            None if scale is None else dscale.to(scale.dtype),
            None,
        )


def ada_norm(
    x: Tensor,
    weight: Tensor,
    eps: float,
    update: Tensor | None = None,
    gate: Tensor | None = None,
    shift: Tensor | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """x + gate * update, and RMSNorm of that, times 1 + scale, plus shift: (B, N, D) each; D up to 65,536."""
    if x.numel() == 0:
        return x, x
    parts = (part if part is None else part.contiguous() for part in (gate, shift, scale))
    total, y = AdaNorm.apply(
        x.contiguous(), weight.contiguous(), None if update is None else update.contiguous(), *parts, eps
    )
    return (x if update is None else total), y
