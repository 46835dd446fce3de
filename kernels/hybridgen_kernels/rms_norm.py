"""RMSNorm in one pass over memory, forward and backward.

Shapes: R rows, D width. A row is read once and kept in registers while its mean square is formed; PyTorch's
composite reads it three times. The statistics are float32 whatever the dtype of x. The gradient of the weight is
summed over the rows of a program first, then over the (few) programs by PyTorch: deterministic, no atomics.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

N_PROGRAMS = 256  # of the backward pass; each sums the weight's gradient over its rows


@triton.jit
def forward_kernel(x_ptr, weight_ptr, y_ptr, rstd_ptr, D, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < D
    x = tl.load(x_ptr + row * D + columns, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    rstd = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / D + eps)
    tl.store(y_ptr + row * D + columns, (x * rstd * weight).to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(rstd_ptr + row, rstd)


@triton.jit
def backward_kernel(x_ptr, weight_ptr, rstd_ptr, dy_ptr, dx_ptr, dweight_ptr, R, D, BLOCK: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < D
    weight = tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    dweight = tl.zeros((BLOCK,), dtype=tl.float32)
    for row in range(program, R, tl.num_programs(0)):
        x = tl.load(x_ptr + row * D + columns, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + row * D + columns, mask=inside, other=0.0).to(tl.float32)
        rstd = tl.load(rstd_ptr + row)
        normed, g = x * rstd, dy * weight
        dx = rstd * (g - normed * (tl.sum(g * normed, axis=0) / D))
        tl.store(dx_ptr + row * D + columns, dx.to(dx_ptr.dtype.element_ty), mask=inside)
        dweight += dy * normed
    tl.store(dweight_ptr + program * D + columns, dweight, mask=inside)


class FusedRMSNorm(torch.autograd.Function):
    """Autograd around the two kernels."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """x (R, D) contiguous -> y (R, D) in the dtype of x."""
        y, rstd = torch.empty_like(x), torch.empty(len(x), dtype=torch.float32, device=x.device)
        block = triton.next_power_of_2(x.shape[1])
        forward_kernel[(len(x),)](x, weight, y, rstd, x.shape[1], eps, BLOCK=block)
        ctx.save_for_backward(x, weight, rstd)
        return y

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        """dy (R, D) -> gradients of x, weight, and none for eps."""
        x, weight, rstd = ctx.saved_tensors
        n_programs = min(len(x), N_PROGRAMS)
        dx = torch.empty_like(x)
        dweight = torch.empty(n_programs, x.shape[1], dtype=torch.float32, device=x.device)
        block = triton.next_power_of_2(x.shape[1])
        backward_kernel[(n_programs,)](x, weight, rstd, dy.contiguous(), dx, dweight, *x.shape, BLOCK=block)
        return dx, dweight.sum(0).to(weight.dtype), None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) / sqrt(mean(x²) + eps) * weight (D,), in the dtype of x; D up to 65,536."""
    if x.numel() == 0:
        return x
    return FusedRMSNorm.apply(x.reshape(-1, x.shape[-1]).contiguous(), weight.contiguous(), eps).view(x.shape)
