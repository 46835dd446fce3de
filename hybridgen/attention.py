"""Which package computes attention: flash-attn or xformers where they are installed and take the call, else PyTorch.

Steps with a cache are not decided here, they have a kernel of their own: `ops.decode_attention`.

Shapes: B batch, L queries, M keys, H heads, G key/value heads, K head width.
"""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PYTORCH, FLASH_ATTN, XFORMERS = "PyTorch", "flash-attn", "xformers"
WIDEST = 256  # head that flash-attn and xformers take


@dataclass(frozen=True)
class Choice:
    """A package, and why it is this one."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} ({self.reason})"


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √K) v: (B, H, L, K) from queries (B, H, L, K), keys and values (B, G, M, K).

    mask: bool, broadcastable to (B, H, L, M), True where a query may look. A query that may look nowhere gets zeros.
    """
    is_grouped = q.shape[1] != k.shape[1]
    if q.is_cuda:
        backend = choose("cuda", q.dtype, q.shape[-1], mask is not None, is_grouped, installed()).backend
        if backend == FLASH_ATTN:
            from flash_attn import flash_attn_func

            return flash_attn_func(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
        if backend == XFORMERS:
            from xformers.ops import memory_efficient_attention

            return memory_efficient_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=is_grouped)


@functools.cache
def choose(
    device: str, dtype: torch.dtype, head_dim: int, is_masked: bool, is_grouped: bool, installed: frozenset[str]
) -> Choice:
    """The package for a call: device "cpu", "cuda", ...; is_grouped: fewer key/value heads than queries have."""
    if device != "cuda":
        return Choice(PYTORCH, "the others need CUDA")
    if not installed:
        return Choice(PYTORCH, "neither flash-attn nor xformers is installed")
    if is_masked:
        return Choice(PYTORCH, "the others take no mask")
    if dtype not in (torch.bfloat16, torch.float16):
        return Choice(PYTORCH, f"the others take bfloat16 and float16, not {str(dtype).removeprefix('torch.')}")
    if head_dim > WIDEST or head_dim % 8:
        return Choice(PYTORCH, f"the others take heads up to {WIDEST} wide in steps of 8, not {head_dim}")
    if FLASH_ATTN in installed:
        return Choice(FLASH_ATTN, "installed, and it takes the call")
    if is_grouped:
        return Choice(PYTORCH, "xformers would need a copy of the keys for each head")
    return Choice(XFORMERS, "installed, and it takes the call")


@functools.cache
def installed() -> frozenset[str]:
    """Which of flash-attn and xformers can be imported with their kernels, where there is CUDA.

    One that was built for another torch cannot.
    """
    found = set[str]()
    if not torch.cuda.is_available():
        return frozenset()
    try:
        import flash_attn  # noqa: F401

        found.add(FLASH_ATTN)
    except ImportError:
        pass
    try:
        from xformers.ops.fmha import flash

        if flash.FwOp.is_available():
            found.add(XFORMERS)
    except ImportError:
        pass
    return frozenset(found)
