"""The Triton twins equal the definitions in ops.py, forward and backward, over dtypes and odd shapes.

Without a GPU they run in Triton's interpreter, which must be switched on before Triton is imported: hence a process
of its own.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
ROOT = Path(__file__).parent.parent

COMPARE = """
import torch
from hybridgen import ops
from hybridgen_kernels import rms_norm

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for shape in ((1, 1), (3, 5, 33), (300, 64), (0, 16), (2, 1408)):
        x = torch.randn(shape, device=device).to(dtype).double().requires_grad_()
        weight = torch.randn(shape[-1], device=device).double().requires_grad_()
        dy = torch.randn(shape, device=device).to(dtype).double()
        inputs = [t.detach().clone().to(kind).requires_grad_() for t, kind in ((x, dtype), (weight, torch.float32))]
        y = rms_norm(*inputs, 1e-6)
        assert y.dtype == dtype and y.shape == x.shape
        expected = torch.nn.functional.rms_norm(x, weight.shape, weight, 1e-6)
        got = [y, *torch.autograd.grad(y, inputs, dy.to(dtype))] if x.numel() else [y]
        want = [expected, *torch.autograd.grad(expected, (x, weight), dy)] if x.numel() else [expected]
        eps = torch.finfo(dtype).eps
        for a, b in zip(got, want):
            scale = b.abs().max().clamp(min=1) if b.numel() else 1
            assert ((a.double() - b).abs() <= 8 * eps * scale).all(), (dtype, shape, (a.double() - b).abs().max())
strided, weight = torch.randn(6, 20, device=device)[:, ::2], torch.ones(10, device=device)
expected = ops.rms_norm(strided.cpu(), weight.cpu(), 1e-6)
assert torch.allclose(rms_norm(strided, weight, 1e-6).cpu(), expected, atol=1e-5)
print("equal")
"""


def test_rms_norm_equals_its_definition():
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1"}
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    run = subprocess.run([sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "equal", run.stderr
