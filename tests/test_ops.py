"""Facts about the operations as they are defined; their twins are compared with them in test_kernels.py."""

import pytest
import torch

from hybridgen import ops


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float16))
def test_rms_norm_is_its_formula(dtype):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 7, 20, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight
    y = ops.rms_norm(x.to(dtype), weight.float(), 1e-6)
    assert y.dtype == dtype
    assert torch.allclose(y.double(), expected, rtol=3 * torch.finfo(dtype).eps, atol=8 * torch.finfo(dtype).eps)


def test_rms_norm_of_silence_is_silence():
    x = torch.zeros(2, 8, requires_grad=True)
    y = ops.rms_norm(x, torch.ones(8), 1e-6)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 8)) and x.grad.isfinite().all()


def test_fast_ops_are_ops():
    assert all(callable(getattr(ops, name)) for name in ops.fast_ops())
