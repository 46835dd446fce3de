"""Frames under a window, added up where they overlap: each sample is the sum of its few frames, read once.

Shapes: S signals, F frames of n samples, a hop apart. PyTorch's composite multiplies all frames by the window, pads
each of their n / hop pieces and adds these up, about five times as many bytes.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # samples of a program


@triton.jit
def forward_kernel(
    frames_ptr, window_ptr, y_ptr, N_FRAMES, LENGTH, CUT, n: tl.constexpr, hop: tl.constexpr,
    WINDOWED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sample s of a signal lies s + CUT - f hop samples inside frame f."""
    signal = tl.program_id(0).to(tl.int64)
    samples = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    last = (samples + CUT) // hop  # the last frame that reaches it
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for i in tl.static_range(n // hop):
        frame = last - (n // hop - 1 - i)
        place = samples + CUT - frame * hop
        inside = (samples < LENGTH) & (frame >= 0) & (frame < N_FRAMES)
        at = (signal * N_FRAMES + frame) * n + place
        piece = tl.load(frames_ptr + at, mask=inside, other=0.0).to(tl.float32)
        if WINDOWED:
            piece *= tl.load(window_ptr + place, mask=inside, other=0.0).to(tl.float32)
        total += piece
    tl.store(y_ptr + signal * LENGTH + samples, total.to(y_ptr.dtype.element_ty), mask=samples < LENGTH)


class OverlapAdd(torch.autograd.Function):
    """Autograd around the kernel; the way back is a view of the padded gradient times the window, one pass already."""

    @staticmethod
    def forward(ctx, frames: Tensor, hop: int, window: Tensor | None) -> Tensor:
        """frames (S, F, n) contiguous -> (S, F * hop)."""
        n_signals, n_frames, n = frames.shape
        y = frames.new_empty(n_signals, n_frames * hop)
        block = min(triton.next_power_of_2(y.shape[1]), BLOCK)
        forward_kernel[(n_signals, triton.cdiv(y.shape[1], block))](
            frames, frames if window is None else window, y, n_frames, y.shape[1], (n - hop) // 2,
            n=n, hop=hop, WINDOWED=window is not None, BLOCK=block,
        )  # fmt: skip
        ctx.save_for_backward(window)
        ctx.n, ctx.hop = n, hop
        return y

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, None, None]:
        """dy (S, F * hop) -> the gradient of the frames; the window has none."""
        (window,) = ctx.saved_tensors
        cut = (ctx.n - ctx.hop) // 2
        dframes = F.pad(dy, (cut, ctx.n - ctx.hop - cut)).unfold(-1, ctx.n, ctx.hop)
        return (dframes.contiguous() if window is None else dframes * window), None, None


def overlap_add(frames: Tensor, hop: int, window: Tensor | None = None) -> Tensor:
    """Frames (..., F, n), a hop apart, under a window (n,) and added up: (..., F * hop).

    n is a multiple of hop, and n - hop even.
    """
    shape = (*frames.shape[:-2], frames.shape[-2] * hop)
    if frames.numel() == 0:
        return frames.new_empty(shape)
    window = None if window is None else window.contiguous()
    return OverlapAdd.apply(frames.reshape(-1, *frames.shape[-2:]).contiguous(), hop, window).view(shape)
