"""Compares each twin with its definition in float64: python kernels/check.py     (on a GPU, else in an interpreter)

Every case is one line: op, dtype, shapes, the largest error over the tolerance. Outputs and gradients are compared over
dtypes, shapes that are no powers of two, and inputs that do not lie side by side in memory. The command ends with 1
where one is wrong. `--compile 90` has Triton compile each kernel for an H100, and needs none.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

if not torch.cuda.is_available() and "--compile" not in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

import hybridgen_kernels

from hybridgen import ops

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = 8  # roundings of the largest value
CONSTANTS = {"eps": 1e-6}
CACHES = ("cache", "keys", "values")  # arguments whose last axis is always dense
FIXED = ("cos_sin", "window", "noise")  # arguments that have no gradient


@dataclass(frozen=True)
class Case:
    """One call of an op. float64 tensors get the dtype that is tried, float32 ones stay what they are."""

    op: str
    arguments: dict[str, Any]  # tensors, tuples of tensors, numbers
    layout: str = "dense"  # see `laid_out`
    has_gradient: bool = True
    changes: tuple[str, ...] = ()  # arguments that are written into, compared as outputs
    is_exact: bool = False  # of integers, computed in float32

    def __str__(self) -> str:
        parts = [f"{tuple(x.shape)}" for x in pytree.tree_leaves(self.arguments) if isinstance(x, Tensor)]
        rest = [f"{name}={x:g}" for name, x in self.arguments.items() if isinstance(x, int | float) and name != "eps"]
        return " ".join([*parts, *rest, self.layout])


@dataclass(frozen=True)
class Result:
    """How a twin did in a case."""

    op: str
    dtype: str
    case: str
    error: float  # over the tolerance: right up to 1

    def __str__(self) -> str:
        return f"{self.op:<18} {self.dtype:<9} {self.error:6.2f}  {self.case}"


def rms_norm_cases() -> Iterator[Case]:
    for shape in ((1, 1), (3, 5, 33), (260, 64), (0, 16), (2, 1408)):
        yield Case("rms_norm", {"x": normal(*shape), "weight": normal(shape[-1]), **CONSTANTS})
    for layout in LAYOUTS:
        yield Case("rms_norm", {"x": normal(4, 3, 10), "weight": normal(10), **CONSTANTS}, layout)


def angles(*shape: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of any angles, float32."""
    turn = 6 * torch.rand(shape)
    return turn.cos(), turn.sin()


def norm_rotate_cases() -> Iterator[Case]:
    shapes = ((1, 1, 1, 2), (2, 3, 5, 10), (2, 4, 7, 64), (1, 70, 2, 96), (1, 2, 3, 128), (0, 2, 3, 8))
    for batch, heads, length, dim in shapes:
        parts = {"x": normal(batch, heads, length, dim), "weight": normal(dim), **CONSTANTS}
        for rows in {1, batch} - {0}:
            yield Case("norm_rotate", parts | {"cos_sin": angles(rows, 1, length, dim // 2)})
        yield Case("norm_rotate", parts | {"cos_sin": None})
    for layout in LAYOUTS:
        parts = {"x": normal(2, 3, 4, 12), "weight": normal(12), **CONSTANTS, "cos_sin": angles(2, 1, 4, 6)}
        yield Case("norm_rotate", parts, layout)


def norm_rotate_write_cases() -> Iterator[Case]:
    shapes = ((1, 1, 1, 1, 2, 0), (2, 4, 2, 9, 64, 8), (2, 5, 5, 70, 48, 33), (1, 12, 4, 8, 128, 0))
    for layout in ("dense", *LAYOUTS):
        for batch, heads, groups, slots, dim, slot in shapes:
            parts = {
                "qkv": (normal(batch, heads, 1, dim), normal(batch, groups, 1, dim), normal(batch, groups, 1, dim)),
                "weights": (normal(dim), normal(dim)),
                **CONSTANTS,
                "cos_sin": angles(batch, 1, 1, dim // 2),
                "cache": (normal(batch, groups, slots, dim), normal(batch, groups, slots, dim)),
                "slot": torch.tensor([slot]),
            }
            yield Case("norm_rotate_write", parts, layout, has_gradient=False, changes=("cache",))


def decode_attention_cases() -> Iterator[Case]:
    shapes = ((1, 1, 1, 1, 2), (2, 4, 2, 70, 64), (1, 6, 2, 300, 128), (1, 3, 3, 65, 20), (1, 20, 1, 200, 16))
    for batch, heads, groups, slots, dim in shapes:
        keys, values = normal(batch, groups, slots, dim), normal(batch, groups, slots, dim)
        parts = {"q": normal(batch, heads, 1, dim), "keys": keys, "values": values}
        visible = torch.rand(batch, 1, 1, slots) < 0.5
        for last in sorted({-1, 0, min(63, slots - 1), min(64, slots - 1), slots - 1}):
            seen = {"visible": visible} if last > 0 else {}
            yield Case("decode_attention", parts | {"last": torch.tensor([last])} | seen, has_gradient=False)
    visible = torch.stack([torch.zeros(70, dtype=torch.bool), torch.arange(70) > 65])[:, None, None]
    for layout in LAYOUTS:
        parts = {"q": normal(2, 4, 1, 64), "keys": normal(2, 2, 70, 64), "values": normal(2, 2, 70, 64)}
        yield Case("decode_attention", parts | {"last": torch.tensor([69]), "visible": visible}, layout, False)


def ada_norm_cases() -> Iterator[Case]:
    for batch, length, dim in ((1, 1, 1), (2, 3, 33), (1, 2, 1408), (0, 3, 8)):
        x, weight, update = normal(batch, length, dim), normal(dim), normal(batch, length, dim)
        gate, shift, scale = (normal(batch, 1, dim) for _ in range(3))
        modulation = {"shift": shift, "scale": scale}
        for added in ({}, {"update": update}, {"update": update, "gate": gate}):
            for changed in ({}, modulation):
                yield Case("ada_norm", {"x": x, "weight": weight, **CONSTANTS} | added | changed)
    whole = {name: normal(2, 3, 20) for name in ("x", "update")}
    whole |= {name: normal(2, 1, 20) for name in ("gate", "shift", "scale")} | {"weight": normal(20), **CONSTANTS}
    for layout in LAYOUTS:
        yield Case("ada_norm", whole, layout)
    long = {name: part if name in ("eps", "weight") else normal(130, *part.shape[1:]) for name, part in whole.items()}
    yield Case("ada_norm", long)  # more rows than programs of the backward pass
    for kept in (("x", "gate", "shift", "scale"), ("gate", "shift", "scale"), ("update",)):  # as autocast mixes them
        yield Case("ada_norm", {name: part.float() if name in kept else part for name, part in whole.items()})


def swiglu_cases() -> Iterator[Case]:
    for shape in ((1, 2), (3, 5, 66), (2, 3000), (0, 8)):
        yield Case("swiglu", {"gate_up": 4 * normal(*shape)})
    for layout in LAYOUTS:
        yield Case("swiglu", {"gate_up": normal(2, 3, 20)}, layout)


def choose_cases() -> Iterator[Case]:
    for rows, n in ((1, 1), (3, 5), (2, 256), (2, 1000), (1, 1500)):
        logits, noise = 3 * normal(2 * rows, n), -(-torch.rand(rows, n).log()).log()
        allowed = (torch.rand(rows, n) < 0.5).index_fill(1, torch.tensor([n - 1]), True)
        for temperature, top_p in ((0.0, 1.0), (1.0, 1.0), (0.6, 0.95), (1.3, 0.05)):
            parts = {"noise": noise, "temperature": temperature, "top_p": top_p}
            for scale, limits in ((1.0, None), (2.5, allowed)):
                given = logits if scale != 1 else logits[:rows]
                parts_all = parts | {"logits": given, "guidance_scale": scale, "allowed": limits}
                yield Case("choose", parts_all, has_gradient=False, is_exact=True)
    ties = {"noise": torch.zeros(2, 40), "logits": normal(2, 40).round(), "temperature": 1.0}
    for top_p in (0.3, 0.7, 1.0):
        yield Case("choose", ties | {"top_p": top_p}, has_gradient=False, is_exact=True)
    nothing = {"allowed": torch.zeros(2, 40, dtype=torch.bool), "top_p": 1.0}
    yield Case("choose", ties | nothing, has_gradient=False, is_exact=True)
    for layout in LAYOUTS:
        parts = {"logits": normal(6, 50), "noise": torch.rand(3, 50), "temperature": 0.8, "top_p": 0.9}
        yield Case("choose", parts | {"guidance_scale": 1.7}, layout, has_gradient=False, is_exact=True)


def overlap_add_cases() -> Iterator[Case]:
    shapes = ((1, 4), (2, 3, 5, 8), (7, 18), (3, 2, 1024), (2, 1, 4, 2048), (0, 8))
    for shape, hop in zip(shapes, (2, 2, 6, 512, 512, 4), strict=True):
        window = torch.rand(shape[-1])
        yield Case("overlap_add", {"frames": normal(*shape), "hop": hop, "window": window})
        yield Case("overlap_add", {"frames": normal(*shape), "hop": hop, "window": None})
    for layout in LAYOUTS:
        yield Case("overlap_add", {"frames": normal(2, 3, 16), "hop": 4, "window": torch.rand(16)}, layout)


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "ada_norm": ada_norm_cases,
    "choose": choose_cases,
    "decode_attention": decode_attention_cases,
    "norm_rotate": norm_rotate_cases,
    "norm_rotate_write": norm_rotate_write_cases,
    "overlap_add": overlap_add_cases,
    "rms_norm": rms_norm_cases,
    "swiglu": swiglu_cases,
}


def normal(*shape: int) -> Tensor:
    """Random numbers, float64."""
    return torch.randn(shape, dtype=torch.float64)


def sliced(x: Tensor) -> Tensor:
    """The same numbers with a gap after each."""
    return torch.stack([x, x + 1], dim=-1)[..., 0] if x.dim() else x


def transposed(x: Tensor) -> Tensor:
    """The same numbers, the last axis but one the slowest."""
    return x.movedim(-2, 0).contiguous().movedim(0, -2) if x.dim() > 1 else x


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {"sliced": sliced, "transposed": transposed}


def run(case: Case, dtype: torch.dtype, device: torch.device) -> Result:
    """The twin's outputs and gradients on the device, beside those of the definition in float64 on the CPU."""
    kind = torch.float32 if case.is_exact else torch.float64
    rounded = map_tensors(case.arguments, lambda x: x.to(dtype) if x.dtype == torch.float64 else x)
    expected = called(case, getattr(ops, case.op), with_gradients(map_tensors(rounded, lambda x: x.to(kind)), case))
    layout = LAYOUTS.get(case.layout, lambda x: x)
    given = pytree.tree_map_only(Tensor, lambda x: x.to(device), rounded)
    loose = {name: part for name, part in given.items() if case.layout != "sliced" or name not in CACHES}
    given = with_gradients(given | map_tensors(loose, layout), case)
    found = called(case, getattr(hybridgen_kernels, case.op), given)
    assert len(found) == len(expected), f"{case.op}: {len(found)} tensors, {len(expected)} expected"
    pairs = list(zip(found, expected, strict=True))
    return Result(case.op, str(dtype)[6:], str(case), max((error(a, b, dtype, case) for a, b in pairs), default=0.0))


def map_tensors(parts: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The arguments with floating-point tensors changed, and copies of the others."""
    return pytree.tree_map_only(Tensor, lambda x: change(x.clone()) if x.is_floating_point() else x.clone(), parts)


def with_gradients(arguments: dict[str, Any], case: Case) -> dict[str, Any]:
    """The arguments, and gradients asked of those that have any."""
    for name, part in arguments.items():
        if case.has_gradient and name not in FIXED and isinstance(part, Tensor) and part.is_floating_point():
            part.requires_grad_()
    return arguments


def called(case: Case, op: Callable[..., Any], arguments: dict[str, Any]) -> list[Tensor]:
    """Outputs of a call, then what it changed, then gradients of what was given, each drawn from the same numbers."""
    outputs = [x for x in pytree.tree_leaves(op(**arguments)) if isinstance(x, Tensor)]
    changed = pytree.tree_leaves([arguments[name] for name in case.changes])
    leaves = [x for x in pytree.tree_leaves(arguments) if isinstance(x, Tensor) and x.requires_grad]
    ends = [x for x in outputs if x.requires_grad]
    if not leaves or not ends or not any(x.numel() for x in outputs):
        return [*outputs, *changed]
    rng = torch.Generator().manual_seed(1)
    pulls = [torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x) for x in ends]
    gradients = torch.autograd.grad(ends, leaves, pulls, allow_unused=True)
    return [*outputs, *changed, *(x for x in gradients if x is not None)]


def error(found: Tensor, expected: Tensor, dtype: torch.dtype, case: Case) -> float:
    """The largest difference over the tolerance; infinite where shapes differ or a number is none."""
    if found.shape != expected.shape:
        return float("inf")
    if case.is_exact:
        return 0.0 if torch.equal(found.cpu(), expected) else float("inf")
    if found.numel() == 0:
        return 0.0
    scale = expected.abs().max().clamp(min=1)
    worst = (found.detach().cpu().double() - expected.detach()).abs().max() / scale
    return (worst / (TOLERANCE * torch.finfo(dtype).eps)).nan_to_num(nan=float("inf")).item()


def results(device: torch.device, names: list[str], dtypes: tuple[torch.dtype, ...] = DTYPES) -> Iterator[Result]:
    """Every case of some ops in every dtype."""
    for name in names:
        for dtype in dtypes:
            torch.manual_seed(0)
            for case in CASES[name]():
                yield run(case, dtype, device)


def shipped_cases() -> Iterator[Case]:
    """The widths of base and large, on few tokens: what a compiler must cope with."""
    for dim, width, heads, groups, head_dim in ((1536, 4608, 12, 4, 128), (2048, 8192, 32, 8, 64)):
        x, weight, update = normal(2, 3, dim), normal(dim), normal(2, 3, dim)
        gate, shift, scale = (normal(2, 1, dim) for _ in range(3))
        plain = {"x": x, "weight": weight, **CONSTANTS}
        yield Case("rms_norm", plain)
        yield Case("ada_norm", plain | {"update": update})
        yield Case("ada_norm", plain | {"shift": shift, "scale": scale})
        yield Case("ada_norm", plain | {"update": update, "gate": gate, "shift": shift, "scale": scale})
        yield Case("swiglu", {"gate_up": normal(2, 3, 2 * width)})
        parts = {"x": normal(2, heads, 3, head_dim), "weight": normal(head_dim), **CONSTANTS}
        yield Case("norm_rotate", parts | {"cos_sin": angles(1, 1, 3, head_dim // 2)})
        q, kv, cache = normal(2, heads, 1, head_dim), normal(2, groups, 1, head_dim), normal(2, groups, 2048, head_dim)
        slot = torch.tensor([700])
        written = {"qkv": (q, kv, kv), "weights": (normal(head_dim),) * 2, **CONSTANTS, "slot": slot}
        written |= {"cos_sin": angles(2, 1, 1, head_dim // 2), "cache": (cache, cache.clone())}
        yield Case("norm_rotate_write", written, has_gradient=False, changes=("cache",))
        seen = {
            "q": q,
            "keys": cache,
            "values": cache,
            "last": slot,
            "visible": torch.ones(2, 1, 1, 2048, dtype=torch.bool),
        }
        yield Case("decode_attention", seen, has_gradient=False)
    drawn = {"logits": normal(4, 1024), "noise": torch.rand(2, 1024), "temperature": 0.9, "top_p": 0.95}
    yield Case("choose", drawn | {"guidance_scale": 2.0}, has_gradient=False, is_exact=True)
    yield Case("choose", drawn | {"logits": normal(2, 1024)}, has_gradient=False, is_exact=True)
    yield Case("overlap_add", {"frames": normal(2, 4, 2048), "hop": 512, "window": torch.rand(2048)})
    yield Case("overlap_add", {"frames": normal(2, 4, 1024), "hop": 512, "window": None})


def compile_all(generation: int, names: list[str]) -> None:
    """Has Triton compile every launch of `shipped_cases` for a generation of GPUs; a line says how much each shares.

    What it cannot compile ends it. Nothing runs, and this process can run nothing afterwards.
    """
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    class NoGpu:
        """As much of a driver as compiling asks for."""

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", generation, 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    launch = JITFunction.run

    def compile_only(self: JITFunction, *args: object, **options: object) -> None:
        kernel = launch(self, *args, **{**options, "warmup": True})
        shared, name = kernel.metadata.shared, self.fn.__name__
        print(f"sm_{generation} {case.op:<18} {name:<16} {shared:>6} bytes  {dtype}", flush=True)

    driver.set_active(NoGpu())
    JITFunction.run = compile_only
    for dtype in (torch.bfloat16, torch.float32):
        torch.manual_seed(0)
        for case in shipped_cases():
            if case.op in names:
                run(case, dtype, torch.device("cpu"))


def main(argv: list[str] | None = None) -> None:
    """All cases, or those of some ops."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ops", nargs="*", metavar="OP", help=f"all by default: {', '.join(CASES)}")
    parser.add_argument("--compile", type=int, metavar="80", help="only compile, for GPUs of a generation, 80 or 90")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.ops if name not in CASES]:
        parser.error(f"{unknown[0]} is none of {', '.join(CASES)}")
    names = args.ops or list(CASES)
    if args.compile is not None:
        compile_all(args.compile, names)
        return
    wrong = 0
    for result in results(torch.device("cuda" if torch.cuda.is_available() else "cpu"), names):
        print(result, flush=True)
        wrong += result.error > 1
    sys.exit(f"{wrong} cases are wrong" if wrong else None)


if __name__ == "__main__":
    main()
