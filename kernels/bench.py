"""Times each twin against its definition, eager and compiled, on this machine's GPU: python kernels/bench.py

One line a shape: microseconds of forward and backward together, and the bandwidth that the twin reaches.
"""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
import triton
from hybridgen_kernels import rms_norm
from torch import Tensor

SHAPES = ((64, 256), (4096, 1408), (8192, 2048), (65_536, 2048))  # rows, width


def definition(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """What `hybridgen.ops.rms_norm` is without its twin."""
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), eps)


def microseconds(op: Callable[[Tensor, Tensor, float], Tensor], rows: int, width: int, dtype: torch.dtype) -> float:
    """Median time of forward and backward."""
    x = torch.randn(rows, width, device="cuda", dtype=dtype, requires_grad=True)
    weight = torch.ones(width, device="cuda", requires_grad=True)
    dy = torch.randn_like(x)

    def both() -> None:
        torch.autograd.grad(op(x, weight, 1e-6), (x, weight), dy)

    return 1000 * triton.testing.do_bench(both, return_mode="median")


def main() -> None:
    """Prints the table."""
    if not torch.cuda.is_available():
        sys.exit("kernels/bench.py needs a CUDA GPU, and PyTorch sees none here")
    ops = {"eager": definition, "compiled": torch.compile(definition), "twin": rms_norm}
    print(torch.cuda.get_device_name())
    print(f"{'rows':>7}{'width':>7}{'dtype':>10}" + "".join(f"{name:>12}" for name in ops) + f"{'twin GB/s':>12}")
    for dtype in (torch.float32, torch.bfloat16):
        for rows, width in SHAPES:
            times = {name: microseconds(op, rows, width, dtype) for name, op in ops.items()}
            moved = 5 * rows * width * dtype.itemsize  # x in, y out; x and dy in, dx out
            row = f"{rows:>7}{width:>7}{str(dtype)[6:]:>10}" + "".join(f"{t:>9.1f} µs" for t in times.values())
            print(row + f"{moved / times['twin'] / 1000:>12.0f}")


if __name__ == "__main__":
    main()
