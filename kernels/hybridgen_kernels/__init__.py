"""Triton twins of the operations in `hybridgen/ops.py`; importing it raises ImportError where Triton is absent."""

from hybridgen_kernels.ada_norm import ada_norm
from hybridgen_kernels.choose import choose
from hybridgen_kernels.decode_attention import decode_attention
from hybridgen_kernels.norm_rotate import norm_rotate, norm_rotate_write
from hybridgen_kernels.overlap_add import overlap_add
from hybridgen_kernels.rms_norm import rms_norm
from hybridgen_kernels.swiglu import swiglu

__all__ = (
    "ada_norm",
    "choose",
    "decode_attention",
    "norm_rotate",
    "norm_rotate_write",
    "overlap_add",
    "rms_norm",
    "swiglu",
)
