"""silu(gate) * up in one pass over memory, forward and backward; gate and up are read where the projection left them.

Shapes: R rows, F inner width. The backward pass forms silu again instead of keeping it, and writes the gradients of
both halves into one tensor, which PyTorch's composite must first put together.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # columns of a program


@triton.jit
def forward_kernel(x_ptr, y_ptr, F, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < F
    gate = tl.load(x_ptr + row * 2 * F + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(x_ptr + row * 2 * F + F + columns, mask=inside, other=0.0).to(tl.float32)
    y = gate * tl.sigmoid(gate) * up
    tl.store(y_ptr + row * F + columns, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(x_ptr, dy_ptr, dx_ptr, F, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < F
    gate = tl.load(x_ptr + row * 2 * F + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(x_ptr + row * 2 * F + F + columns, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + row * F + columns, mask=inside, other=0.0).to(tl.float32)
    open = tl.sigmoid(gate)
    dgate = dy * up * open * (1 + gate * (1 - open))
    dup = dy * gate * open
    tl.store(dx_ptr + row * 2 * F + columns, dgate.to(dx_ptr.dtype.element_ty), mask=inside)
    tl.store(dx_ptr + row * 2 * F + F + columns, dup.to(dx_ptr.dtype.element_ty), mask=inside)


def grid_of(n_rows: int, width: int) -> tuple[tuple[int, int], int]:
    """The grid, and columns of a program."""
    block = min(triton.next_power_of_2(width), BLOCK)
    return (n_rows, triton.cdiv(width, block)), block


class SwiGLU(torch.autograd.Function):
    """Autograd around the two kernels."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        """x (R, 2 F) contiguous -> (R, F)."""
        n_rows, width = len(x), x.shape[1] // 2
        y = x.new_empty(n_rows, width)
        grid, block = grid_of(n_rows, width)
        forward_kernel[grid](x, y, width, BLOCK=block)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:
        """dy (R, F) -> the gradient of x (R, 2 F)."""
        (x,) = ctx.saved_tensors
        dx = torch.empty_like(x)
        grid, block = grid_of(*dy.shape)
        backward_kernel[grid](x, dy.contiguous(), dx, dy.shape[1], BLOCK=block)
        return dx


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up from both side by side (..., 2 F): (..., F)."""
    shape = (*gate_up.shape[:-1], gate_up.shape[-1] // 2)
    if gate_up.numel() == 0:
        return gate_up.new_empty(shape)
    return SwiGLU.apply(gate_up.reshape(-1, gate_up.shape[-1]).contiguous()).view(shape)
