"""The few operations worth a kernel: the definition anyone can read, and the faster twin where there is one.

A twin lives in `hybridgen_kernels`, under the same name with the same arguments, and is used for CUDA tensors.
Without Triton the package is absent and every op is its definition.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import hybridgen_kernels as fast
except ImportError:
    fast = None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) / sqrt(mean(x²) + eps) * weight (D,), in the dtype of x. https://arxiv.org/abs/1910.07467"""
    if fast is not None and x.is_cuda:
        return fast.rms_norm(x, weight, eps)
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), eps)


def fast_ops() -> tuple[str, ...]:
    """Names of the ops that have a faster twin on this machine's GPUs; () without CUDA or Triton."""
    return fast.__all__ if fast is not None and torch.cuda.is_available() else ()
