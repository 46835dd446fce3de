"""The few operations worth a kernel: the definition anyone can read, and the faster twin where there is one.

A twin lives in `hybridgen_kernels`, under the same name with the same arguments, and is used for CUDA tensors.
Without Triton the package is absent and every op is its definition.
"""

import functools
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor


@functools.cache
def _kernels() -> ModuleType | None:
    """The package of fast twins, imported when the first CUDA tensor comes; None without Triton."""
    try:
        import hybridgen_kernels
    except ImportError:
        return None
    return hybridgen_kernels


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) / sqrt(mean(x²) + eps) * weight (D,), in the dtype of x. https://arxiv.org/abs/1910.07467"""
    if x.is_cuda and (kernels := _kernels()) is not None:
        return kernels.rms_norm(x, weight, eps)
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), eps)


def fast_ops() -> tuple[str, ...]:
    """Names of the ops that have a faster twin on this machine's GPUs; () without CUDA or Triton."""
    kernels = _kernels() if torch.cuda.is_available() else None
    return () if kernels is None else tuple(kernels.__all__)
