"""Times every twin, the planner's step and the renderer: python kernels/bench.py --device cuda --json bench.json

Within ten minutes on an H100: first what the device can do with random numbers (zeros would run faster), bytes copied
and matrix products a second; then whether every twin is right there; then how fast it is beside its definition, eager
and compiled, and what share of those limits it reaches; then a step of the planner, launched one by one and as a graph,
and a forward pass of the renderer, plain, with twins and compiled, at the shapes of tiny, base and large. Weights are
random: only speed is measured. What is wrong is not timed. A CPU tries it out: small, definitions only, twins in
Triton's interpreter.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout, also where the package is not installed

import check
import hybridgen_kernels
import torch
from torch import Tensor, nn

from hybridgen import attention, config, graphs, ops
from hybridgen.plan.features import N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.planning.codes import Frames
from hybridgen.planning.session import DecoderSession
from hybridgen.renderer import Condition, Renderer, RendererConfig, no_notes
from hybridgen.sampling import SamplingParams
from hybridgen.training import flops

MODELS = ("tiny", "base", "large")
N_TEXT, N_SCORE = 32, 224  # tokens of a prompt and of a score
TOLERANCE = 3e-2  # of a whole model in bfloat16 beside its definitions
GUIDED = SamplingParams(temperature=0.9, top_p=0.95, guidance_scale=2.0)
PLAIN = replace(GUIDED, guidance_scale=1.0)


@dataclass(frozen=True)
class Load:
    """How much there is to do."""

    models: tuple[str, ...]
    op_models: tuple[str, ...]  # whose shapes the ops get
    songs: int  # rows of a batch that an op gets
    tokens: int  # of each
    slots: int  # of a cache, nearly all written
    frames: int  # that a planner writes in one measurement
    window: int  # latent frames of a renderer
    layers: int | None  # None: as many as the preset has
    copied: int  # numbers
    matrix: int  # rows and columns
    repeats: int


LOADS = {
    "cuda": Load(MODELS, MODELS[1:], 4, 2048, 2048, 128, 1024, None, 2**28, 8192, 20),
    "cpu": Load(MODELS[:1], MODELS[:1], 1, 8, 32, 3, 32, 2, 2**24, 512, 2),
}


@dataclass(frozen=True)
class Work:
    """An op at the shapes of a model, and how many bytes it cannot avoid to move."""

    case: check.Case
    forward: int
    backward: int = 0


@dataclass(frozen=True)
class Row:
    """A line of the table; None: not measured, and `note` says why."""

    what: str
    model: str
    variant: str
    microseconds: float | None = None  # the median
    limit: str = "bandwidth"  # or "matrix": what `share` is a share of
    share: float | None = None  # of the measured limit
    peak_mb: float | None = None  # beside what was there before
    note: str = ""


class Bench:
    """One run: the device, its limits, the time that is left, and the rows so far."""

    def __init__(self, device: torch.device, minutes: float):
        self.device, self.load = device, LOADS[device.type]
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.deadline = time.monotonic() + 60 * minutes
        self.rows: list[Row] = []
        self.bandwidth, self.matrix = self._bandwidth(), self._matrix()

    def _bandwidth(self) -> float:
        """Bytes a second that a copy of random numbers reads and writes."""
        x = torch.randn(self.load.copied, device=self.device).to(self.dtype)
        y = torch.empty_like(x)
        return 2 * x.nbytes / self.seconds(lambda: y.copy_(x))

    def _matrix(self) -> float:
        """Operations a second of a product of random matrices."""
        a, b = (torch.randn(self.load.matrix, self.load.matrix, device=self.device).to(self.dtype) for _ in range(2))
        return 2 * self.load.matrix**3 / self.seconds(lambda: a @ b)

    def seconds(self, act: Callable[[], object]) -> float:
        """The median of some repeats, after two that do not count."""
        times = []
        for i in range(self.load.repeats + 2):
            self.wait()
            begin = time.perf_counter()
            act()
            self.wait()
            if i >= 2:
                times.append(time.perf_counter() - begin)
        return statistics.median(times)

    def kernel_seconds(self, act: Callable[[], object]) -> float:
        """The same of something short: a GPU's own clock, its cache emptied before."""
        if self.device.type == "cpu":
            return self.seconds(act)
        from triton.testing import do_bench

        return do_bench(act, return_mode="median") / 1000

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def measure(
        self,
        row: Row,
        act: Callable[[], object],
        amount: float,
        clock: Callable[[Callable[[], object]], float],
        n: int = 1,
    ) -> None:
        """Times `act`, n times what the row is about; amount: bytes or operations of one. What fails becomes a note."""
        if time.monotonic() > self.deadline:
            self.add(replace(row, note="no time left"))
            return
        is_cuda = self.device.type == "cuda"
        try:
            act()
            if is_cuda:
                torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device) if is_cuda else 0
            act()
            peak = (torch.cuda.max_memory_allocated(self.device) - before) / 1e6 if is_cuda else None
            seconds = clock(act) / n
        except (RuntimeError, ValueError) as error:  # out of memory, and what a compiler cannot do, are RuntimeErrors
            self.add(replace(row, note=str(error).splitlines()[0][:90]))
            return
        limit = self.bandwidth if row.limit == "bandwidth" else self.matrix
        self.add(replace(row, microseconds=1e6 * seconds, share=amount / seconds / limit, peak_mb=peak))

    def add(self, row: Row) -> None:
        """Prints a row and keeps it."""
        figures = (
            [f"{row.microseconds:,.1f} µs", f"{100 * (row.share or 0):.1f} % of {row.limit}"]
            if row.microseconds
            else []
        )
        figures += [f"{row.peak_mb:,.1f} MB"] if row.peak_mb is not None else []
        print(f"{row.what:<30} {row.model:<6} {row.variant:<12} {'  '.join([*figures, row.note])}", flush=True)
        self.rows.append(row)


# ---- the ops


def works(planner: PlannerConfig, renderer: RendererConfig, load: Load, item: int) -> Iterator[Work]:
    """Every op at the shapes of a model; item: bytes of a number."""
    rows, n, dim, width = load.songs, load.tokens, renderer.dim, renderer.ffn_dim
    x, update, weight = check.normal(rows, n, dim), check.normal(rows, n, dim), check.normal(dim)
    gate, shift, scale = (check.normal(rows, 1, dim) for _ in range(3))
    size = x.numel() * item
    plain = {"x": x, "weight": weight, **check.CONSTANTS}
    yield Work(check.Case("rms_norm", plain), 2 * size, 3 * size)
    modulated = plain | {"update": update, "gate": gate, "shift": shift, "scale": scale}
    yield Work(check.Case("ada_norm", modulated), 4 * size, 6 * size)
    inner = rows * n * width * item
    yield Work(check.Case("swiglu", {"gate_up": check.normal(rows, n, 2 * width)}), 3 * inner, 5 * inner)
    head_dim = dim // renderer.n_heads
    split = check.normal(rows, n, renderer.n_heads, head_dim).transpose(1, 2)
    turned = {"x": split, "weight": check.normal(head_dim), **check.CONSTANTS}
    yield Work(
        check.Case("norm_rotate", turned | {"cos_sin": check.angles(1, 1, n, head_dim // 2)}), 2 * size, 3 * size
    )

    heads, groups, head_dim = planner.n_heads, planner.n_kv_heads, planner.dim // planner.n_heads
    q, kv = check.normal(2, heads, 1, head_dim), check.normal(2, groups, 1, head_dim)
    keys, values = check.normal(2, groups, load.slots, head_dim), check.normal(2, groups, load.slots, head_dim)
    last = torch.tensor([load.slots - 1])
    written = {"qkv": (q, kv, kv.clone()), "weights": (check.normal(head_dim), check.normal(head_dim))}
    written |= {
        **check.CONSTANTS,
        "cos_sin": check.angles(2, 1, 1, head_dim // 2),
        "cache": (keys, values),
        "slot": last,
    }
    yield Work(check.Case("norm_rotate_write", written, has_gradient=False), 2 * item * (q.numel() + 2 * kv.numel()))
    visible = torch.ones(2, 1, 1, load.slots, dtype=torch.bool)
    seen = {"q": q, "keys": keys, "values": values, "last": last, "visible": visible}
    yield Work(check.Case("decode_attention", seen, has_gradient=False), 2 * item * keys.numel())
    n_codes = planner.codebook_size
    drawn = {"logits": check.normal(4, n_codes), "noise": torch.rand(2, n_codes), "temperature": 0.9, "top_p": 0.95}
    case = check.Case("choose", drawn | {"guidance_scale": 2.0}, has_gradient=False)
    yield Work(case, n_codes * (4 * item + 2 * 4))
    frames = check.normal(2, 2 * n, 2048)  # of mid and side, as the codecs of base and large have them
    case = check.Case("overlap_add", {"frames": frames, "hop": 512, "window": torch.rand(2048)})
    yield Work(case, frames.numel() * item * 5 // 4, frames.numel() * item * 5 // 4)


def bench_ops(bench: Bench, model: str, wrong: set[str]) -> None:
    """Definition, the same compiled, and twin, of every op."""
    planner, renderer = shapes_of(model)
    for work in works(planner, renderer, bench.load, bench.dtype.itemsize):
        op, case = work.case.op, work.case
        rounded = check.map_tensors(case.arguments, lambda x: x.to(bench.dtype) if x.dtype == torch.float64 else x)
        given = torch.utils._pytree.tree_map_only(Tensor, lambda x: x.to(bench.device), rounded)
        check.with_gradients(given, case)
        definition = getattr(ops, op)
        variants: dict[str, Callable[..., object]] = {"definition": definition}
        if bench.device.type == "cuda":
            variants |= {"compiled": torch.compile(definition, dynamic=False), "twin": getattr(hybridgen_kernels, op)}
        for variant, function in variants.items():
            for way in ("forward", "forward and backward") if work.backward else ("forward",):
                row = Row(f"{op} {way}".replace(" and backward", "+backward"), model, variant)
                if variant == "twin" and op in wrong:
                    bench.add(replace(row, note="wrong on this device: not timed"))
                    continue
                act = forward(function, given) if way == "forward" else both(function, given)
                with definitions() if variant != "twin" else nullcontext():
                    amount = work.forward + (work.backward if way != "forward" else 0)
                    bench.measure(row, act, amount, bench.kernel_seconds)
        torch.compiler.reset()


def definitions() -> AbstractContextManager[object]:
    """Inside, ops are their definitions on a GPU too."""
    return mock.patch.object(ops, "_kernels", lambda: None)


def forward(op: Callable[..., object], given: dict[str, object]) -> Callable[[], object]:
    """A call without gradients."""

    def act() -> object:
        with torch.no_grad():
            return op(**given)

    return act


def both(op: Callable[..., object], given: dict[str, object]) -> Callable[[], object]:
    """A call and the gradients of all that has any."""
    leaves = [x for x in torch.utils._pytree.tree_leaves(given) if isinstance(x, Tensor) and x.requires_grad]

    def act() -> object:
        ends = [x for x in torch.utils._pytree.tree_leaves(op(**given)) if isinstance(x, Tensor)]
        return torch.autograd.grad(ends, leaves, ends, allow_unused=True)

    return act


def wrong_ops(bench: Bench) -> set[str]:
    """Ops whose twins are wrong on this device, after a line for each."""
    wrong, every = set(), list(check.shipped_cases()) if bench.device.type == "cuda" else []
    torch.manual_seed(0)
    every += [case for cases in check.CASES.values() for case in (cases() if every else list(cases())[:2])]
    worst: dict[str, list[float]] = {}
    for case in every:
        if time.monotonic() > bench.deadline:
            break
        try:
            result = check.run(case, bench.dtype, bench.device)
        except RuntimeError as error:  # a kernel that this GPU cannot run
            print(f"{case.op}: {str(error).splitlines()[0]}")
            result = check.Result(case.op, "", str(case), float("inf"))
        worst.setdefault(case.op, []).append(result.error)
    for op, errors in worst.items():
        print(f"{op:<18} {len(errors):>3} cases, the largest error {max(errors):.2f} of the tolerance")
        wrong |= {op} if max(errors) > 1 else set()
    return wrong


# ---- the models


def shapes_of(model: str) -> tuple[PlannerConfig, RendererConfig]:
    """Of planner and renderer of a preset."""
    raw = config.read(config.preset(f"models/{model}"))
    return config.build(PlannerConfig, raw["planner"]), config.build(RendererConfig, raw["renderer"])


def randomized(model: nn.Module, bench: Bench) -> nn.Module:
    """The model on the device, without zeros: layers that start at zero would make any output right."""
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model.to(bench.device, bench.dtype).eval()


def frames_of(planner: Planner, bench: Bench, params: SamplingParams) -> Frames:
    """A track whose score is fed; its codes are chosen and then kept, so that every variant computes the same."""
    shapes, copies, n = planner.config, 1 if params.guidance_scale == 1 else 2, bench.load.slots
    torch.manual_seed(0)
    with torch.device(bench.device):
        text, mask = torch.randn(copies, N_TEXT, shapes.text_dim), torch.ones(copies, N_TEXT, dtype=torch.bool)
        mask[1:] = False
        score, bars = torch.ones(copies, N_SCORE, dtype=torch.int64), torch.zeros(copies, N_SCORE, 2, dtype=torch.int64)
        session = DecoderSession(planner, text, mask, score, bars, room=n)
        features, instruments = torch.rand(1, n, N_FEATURES), torch.zeros(1, len(ROLES), dtype=torch.int64)
        codes = torch.randint(0, shapes.codebook_size, (1, shapes.n_codebooks, n))  # all known: no choice leads astray
        return Frames(planner, session, planner.embed_controls(features, instruments), codes, score, params)


@torch.inference_mode()
def bench_planner(bench: Bench, model: str) -> None:
    """A code frame of one track, with guidance and without."""
    shapes = shapes_of(model)[0]
    if bench.load.layers is not None:
        shapes = replace(shapes, n_layers=bench.load.layers)
    planner = randomized(Planner(shapes), bench)
    assert isinstance(planner, Planner)
    read = [planner.blocks, planner.norm, planner.depth_head.ffn, planner.depth_head.heads, planner.depth_head.start]
    n_bytes = sum(x.nbytes for part in read for x in part.parameters())
    for params in (PLAIN, GUIDED):
        rows = 1 if params.guidance_scale == 1 else 2
        noise = torch.rand(1, shapes.n_codebooks, shapes.codebook_size, device=bench.device)
        expected: Tensor | None = None
        for variant in ("definitions", "twins", "graph") if bench.device.type == "cuda" else ("definitions",):
            row = Row(f"planner, a frame, {rows} row{'s'[: rows - 1]}", model, variant)
            with definitions() if variant == "definitions" else nullcontext():
                frames = frames_of(planner, bench, params)
                step = graphs.captured(frames.step, bench.device) if variant == "graph" else frames.step
                for frame in range(4):
                    frames.write(frame, noise, step)
                state = frames.session.caches[-1].keys[:, :, : frames.session.length].float().clone()
                expected = state if expected is None else expected
                if (error := ((state - expected).norm() / expected.norm()).item()) > TOLERANCE:
                    bench.add(replace(row, note=f"keys differ by {error:.1e}: not timed"))
                    continue

                cache_bytes = 2 * rows * frames.session.length * shapes.n_layers * shapes.n_kv_heads
                cache_bytes *= shapes.dim // shapes.n_heads * bench.dtype.itemsize
                act = writing_on(frames, step, bench.load.frames, noise)
                bench.measure(row, act, n_bytes + cache_bytes, bench.seconds, bench.load.frames)


def writing_on(frames: Frames, step: Callable[..., Tensor], n: int, noise: Tensor) -> Callable[[], None]:
    """Writes the next n frames at each call; where the track ends, it goes back to its fourth frame."""

    def act() -> None:
        begin = frames.session.length - frames.first_slot
        if begin + n >= frames.codes.shape[2]:
            for cache in frames.session.caches:
                cache.length = frames.first_slot + 4
            begin = 4
        for frame in range(begin, begin + n):
            frames.write(frame, noise, step)

    return act


def bench_renderer(bench: Bench, model: str) -> None:
    """A forward pass of one window with guidance: two rows."""
    shapes = shapes_of(model)[1]
    if bench.load.layers is not None:
        shapes = replace(shapes, n_layers=bench.load.layers)
    operations = 2 * flops.renderer(shapes, N_TEXT, bench.load.window).forward
    with torch.inference_mode():
        render_windows(bench, model, shapes, operations)


def render_windows(bench: Bench, model: str, shapes: RendererConfig, operations: float) -> None:
    """The rows of `bench_renderer`."""
    n = bench.load.window
    renderer = randomized(Renderer(shapes), bench)
    assert isinstance(renderer, Renderer)
    torch.manual_seed(0)
    with torch.device(bench.device):
        x_t = torch.randn(2, n, shapes.latent_dim, dtype=bench.dtype)
        cond = Condition(
            text=torch.randn(2, N_TEXT, shapes.text_dim, dtype=bench.dtype),
            text_mask=torch.ones(2, N_TEXT, dtype=torch.bool),
            codes=torch.randint(0, shapes.codebook_size, (2, shapes.n_codebooks, n // shapes.frames_per_code)),
            features=torch.rand(2, n, N_FEATURES, dtype=bench.dtype),
            instruments=torch.zeros(2, len(ROLES), dtype=torch.int64),
            context=x_t,
            known=torch.zeros(2, n, dtype=torch.bool),
            timbre=Renderer.timbre(x_t),
            **no_notes(2, n),
        )
        t = torch.full((2,), 0.5, dtype=bench.dtype)
    with definitions():
        expected = renderer(x_t, t, cond).float()
    for variant in ("definitions", "twins", "compiled") if bench.device.type == "cuda" else ("definitions",):
        row = Row(f"renderer, {n} frames, 2 rows", model, variant, limit="matrix")
        if variant == "compiled":
            for block in renderer.blocks:
                block.compile(dynamic=False)
        with definitions() if variant == "definitions" else nullcontext():
            found = renderer(x_t, t, cond).float()
            if (error := ((found - expected).norm() / expected.norm()).item()) > TOLERANCE:
                bench.add(replace(row, note=f"velocity differs by {error:.1e}: not timed"))
                continue
            bench.measure(row, lambda: renderer(x_t, t, cond), operations, bench.seconds)


def main(argv: list[str] | None = None) -> None:
    """The whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--minutes", type=float, default=9.0, help="no row begins after so long (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not has_gpu:
        parser.error("--device cuda: PyTorch sees no CUDA GPU here")
    device = torch.device(args.device)
    bench = Bench(device, args.minutes)
    facts = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "CPU",
        "torch": torch.__version__,
        "triton": sys.modules["triton"].__version__,
        "attention": str(attention.choose(args.device, bench.dtype, 64, False, False, attention.installed())),
        "copied GB/s": round(bench.bandwidth / 1e9, 1),
        "matrix TFLOP/s": round(bench.matrix / 1e12, 3),
    }
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    wrong = wrong_ops(bench)
    for model in bench.load.models:
        bench_planner(bench, model)
        bench_renderer(bench, model)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    for model in bench.load.op_models:
        bench_ops(bench, model, wrong)
    if device.type == "cpu":
        print("\nNo GPU was used: small shapes, definitions only. All speeds, shares and memory await")
        print("python kernels/bench.py --device cuda on one.")
    if args.json is not None:
        rows = [asdict(row) for row in bench.rows]
        args.json.write_text(json.dumps(facts | {"wrong": sorted(wrong), "rows": rows}, indent=1) + "\n")
    sys.exit(f"wrong on this device: {', '.join(sorted(wrong))}" if wrong else None)


if __name__ == "__main__":
    main()
