"""Triton twins of the operations in `hybridgen/ops.py`; importing it raises ImportError where Triton is absent."""

from hybridgen_kernels.rms_norm import rms_norm

__all__ = ("rms_norm",)
