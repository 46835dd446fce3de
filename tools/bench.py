"""Training speed on this GPU: python tools/bench.py --out bench.json     (within ten minutes; a CPU only tries it out)

First the matrix product that the GPU makes of random numbers (zeros would run faster), then training steps of planner,
renderer and codec, base and large, as deep as memory allows: plain, compiled, and with the attention of flash-attn or
xformers where they are installed. Compiled and foreign results are compared with the plain ones before they are timed.
Weights and inputs are random: only speed is measured.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from hybridgen import attention, config
from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.plan.features import N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.renderer import Condition, Renderer, RendererConfig, no_notes
from hybridgen.training import flops, memory
from hybridgen.training.memory import Activations

FOREIGN = (attention.FLASH_ATTN, attention.XFORMERS)
VARIANTS = ("plain", *FOREIGN, "compiled")  # compiled layers stay so: they come last
TOLERANCE = {"cuda": 2e-2, "cpu": 1e-4}  # relative error of the output, in bfloat16 and fp32
N_TEXT, N_TOKENS = 32, 224  # of a prompt, of a score


@dataclass(frozen=True)
class Load:
    """How much data a step has."""

    songs: int
    code_frames: int
    windows: int
    frames: int
    crops: int
    samples: int
    matrix: int  # rows and columns of the measured product
    repeats: int


LOADS = {
    "cuda": Load(songs=8, code_frames=1024, windows=16, frames=1024, crops=16, samples=131_072, matrix=8192, repeats=8),
    "cpu": Load(songs=1, code_frames=16, windows=1, frames=32, crops=1, samples=16_384, matrix=256, repeats=1),
}


@dataclass(frozen=True)
class Case:
    """A model with its loss and what a step of it costs."""

    model: nn.Module
    output: Callable[[nn.Module], Tensor]  # of a forward pass, always of the same input
    flops: float  # of a step
    kept: Activations
    tokens: int
    layers: list[nn.Module]  # compiled one by one: those that are alike are compiled once


@dataclass(frozen=True)
class Row:
    """A line of the table; None: not measured, and `note` says why."""

    model: str
    stage: str
    variant: str
    layers: int
    parameters: int
    error: float | None = None  # of the output, relative to the plain one's
    seconds: float | None = None  # a step, the median
    tokens_per_s: float | None = None
    tflops: float | None = None
    of_measured: float | None = None  # share of the measured matrix product
    of_peak: float | None = None  # model-FLOPs utilization
    peak_gb: float | None = None
    note: str = ""


def planner_case(shapes: PlannerConfig, load: Load, device: torch.device) -> Case:
    """Whole songs, score and codes."""
    n, frames = load.songs, load.code_frames
    text = torch.randn(n, N_TEXT, shapes.text_dim, device=device)
    text_mask = torch.ones(n, N_TEXT, dtype=torch.bool, device=device)
    tokens = torch.randint(0, 500, (n, N_TOKENS), device=device)
    bars_left = torch.zeros(n, N_TOKENS, 2, dtype=torch.int64, device=device)
    codes = torch.randint(0, shapes.codebook_size, (n, shapes.n_codebooks, frames), device=device)
    controls = torch.randn(n, frames, N_FEATURES, device=device)
    instruments = torch.zeros(n, len(ROLES), dtype=torch.int64, device=device)

    model = Planner(shapes)

    def output(model: nn.Module) -> Tensor:
        score, said, _ = model(text, text_mask, tokens, bars_left, codes, controls, instruments)
        return torch.cat([score.flatten(), said.flatten()])

    operations = n * flops.planner(shapes, N_TEXT, N_TOKENS, frames).total
    kept = memory.planner(shapes, n, N_TEXT, N_TOKENS, frames)
    return Case(model, output, operations, kept, n * (N_TOKENS + frames), list(model.blocks))


def renderer_case(shapes: RendererConfig, load: Load, device: torch.device) -> Case:
    """Windows of one length."""
    n, frames = load.windows, load.frames
    latents = torch.randn(n, frames, shapes.latent_dim, device=device)
    cond = Condition(
        text=torch.randn(n, N_TEXT, shapes.text_dim, device=device),
        text_mask=torch.ones(n, N_TEXT, dtype=torch.bool, device=device),
        codes=torch.randint(0, shapes.codebook_size, (n, shapes.n_codebooks, frames // 4), device=device),
        features=torch.randn(n, frames, N_FEATURES, device=device),
        instruments=torch.zeros(n, len(ROLES), dtype=torch.int64, device=device),
        context=latents,
        known=torch.zeros(n, frames, dtype=torch.bool, device=device),
        timbre=Renderer.timbre(latents),
        **no_notes(n, frames, device),
    )
    times = torch.rand(n, device=device)
    operations = n * flops.renderer(shapes, N_TEXT, frames).total
    kept, model = memory.renderer(shapes, n, N_TEXT, frames), Renderer(shapes)
    return Case(model, lambda model: model(latents, times, cond), operations, kept, n * frames // 2, list(model.blocks))


class Autoencoder(nn.Module):
    """The codec's training pass without its losses."""

    def __init__(self, codec: SpectralCodec):
        super().__init__()
        self.codec = codec

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (B, 2, N) there and back."""
        return self.codec.decode(self.codec.normalize(self.codec.posterior(samples)[0]))


def codec_case(shapes: SpectralCodecConfig, load: Load, device: torch.device) -> Case:
    """Crops there and back."""
    samples = 0.1 * torch.randn(load.crops, 2, load.samples, device=device)
    operations = load.crops * flops.codec(shapes, load.samples, (), ()).total  # no losses
    kept = memory.codec(shapes, load.crops, load.samples, (), ())
    model, n_frames = SpectralCodec(shapes), load.crops * load.samples // shapes.hop_length
    layers = [model.encoder, model.decoder]
    return Case(Autoencoder(model), lambda model: model(samples), operations, kept, n_frames, layers)


STAGES = {
    "planner": (PlannerConfig, planner_case),
    "renderer": (RendererConfig, renderer_case),
    "codec": (SpectralCodecConfig, codec_case),
}


def shapes_of(
    model: str, stage: str, device: torch.device, load: Load
) -> PlannerConfig | RendererConfig | SpectralCodecConfig:
    """The preset's shapes, with as many layers as fit the GPU, or two on a CPU."""
    schema, make = STAGES[stage]
    shapes = config.build(schema, config.read(config.preset(f"models/{model}"))[stage])
    if stage == "codec":
        return shapes
    if device.type == "cpu":
        return replace(shapes, n_layers=2)
    limit = 0.9 * torch.cuda.get_device_properties(device).total_memory
    while shapes.n_layers > 1 and needed(make, shapes, load) > limit:
        shapes = replace(shapes, n_layers=shapes.n_layers - 1)
    return shapes


def needed(make: Callable[..., Case], shapes: PlannerConfig | RendererConfig, load: Load) -> float:
    """Bytes of a step, by the formulas."""
    with torch.device("meta"):
        case = make(shapes, load, torch.device("meta"))
    states = memory.states(*memory.sizes(case.model), n_gpus=1, stage=None, half=False, autocast=True)
    return states.gpu - states.average + case.kept.size(False, 4, 2)


def matrix_rate(n: int, device: torch.device) -> float:
    """Operations a second of the best of ten products of random matrices, bfloat16 on a GPU."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / min(timed(lambda: a @ b, device, 10))


def timed(act: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds of each repeat, after two that do not count."""
    seconds = []
    for i in range(repeats + 2):
        synchronize(device)
        begin = time.perf_counter()
        act()
        synchronize(device)
        if i >= 2:
            seconds.append(time.perf_counter() - begin)
    return seconds


def synchronize(device: torch.device) -> None:
    """Waits for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(case: Case, variant: str, expected: Tensor | None, device: torch.device, load: Load, backend: str) -> dict:
    """Error and speed of a variant, as fields of a `Row`; ValueError where its output is wrong."""
    half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    for layer in case.layers if variant == "compiled" else ():
        layer.compile(backend=backend)
    optimizer = torch.optim.AdamW(case.model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        with half:
            loss = case.output(case.model).float().square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(case.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    with mock.patch.object(attention, "installed", lambda: frozenset({variant}) & frozenset(FOREIGN)):
        error = None
        if expected is not None:
            with torch.no_grad(), half:
                error = ((case.output(case.model).float() - expected).norm() / expected.norm()).item()
            if not error < TOLERANCE[device.type]:
                raise ValueError(f"output differs by {error:.1e}, over {TOLERANCE[device.type]:g}: not timed")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = statistics.median(timed(step, device, load.repeats))
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    rate = case.flops / seconds
    return {
        "error": error,
        "seconds": seconds,
        "tokens_per_s": case.tokens / seconds,
        "tflops": rate / 1e12,
        "peak_gb": peak,
    }


def rows_of(model: str, stage: str, device: torch.device, args: argparse.Namespace, rate: float) -> Iterator[Row]:
    """Each variant of one stage; what fails is a row with a note."""
    load = LOADS[device.type]
    shapes, make = shapes_of(model, stage, device, load), STAGES[stage][1]
    torch.manual_seed(0)
    with device:
        case = make(shapes, load, device)
    for parameter in case.model.parameters():  # layers that start at zero would make any output right
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    with torch.no_grad(), half, mock.patch.object(attention, "installed", frozenset):
        expected = case.output(case.model).float()
    weights = {name: value.clone() for name, value in case.model.state_dict().items()}
    row = Row(model, stage, "plain", len(case.layers), memory.sizes(case.model)[0])
    for variant in sorted(args.variants, key=VARIANTS.index):
        row = replace(row, variant=variant)
        if variant in FOREIGN and variant not in attention.installed():
            continue
        if variant in FOREIGN and stage != "renderer":
            continue  # the planner's attention has a mask, the codec has none
        if time.monotonic() > args.deadline:
            yield replace(row, note="no time left")
            continue
        case.model.load_state_dict(weights)
        try:
            values = measure(case, variant, None if variant == "plain" else expected, device, load, args.backend)
        except (ValueError, torch.OutOfMemoryError) as error:
            yield replace(row, note=str(error).splitlines()[0][:100])
            continue
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        used = flops.utilization(case.flops, values["seconds"], name)
        yield replace(row, **values, of_measured=1e12 * values["tflops"] / rate, of_peak=used)
        gc.collect()


def attention_backends(device: torch.device) -> dict[str, list[str]]:
    """Which of PyTorch's fused attentions take the calls of renderer (no mask) and planner (mask, grouped heads)."""
    if device.type != "cuda":
        return {}
    q = torch.randn(1, 8, 256, 64, device=device, dtype=torch.bfloat16)
    mask = torch.ones(1, 1, 256, 256, device=device, dtype=torch.bool).tril()
    calls = {"renderer": (q, q, q, None), "planner": (q, q[:, :2], q[:, :2], mask)}
    takes = {}
    for name, (query, key, value, attn_mask) in calls.items():
        grouped = query.shape[1] != key.shape[1]
        params = torch.backends.cuda.SDPAParams(query, key, value, attn_mask, 0.0, False, grouped)
        checks = {
            "flash": torch.backends.cuda.can_use_flash_attention,
            "efficient": torch.backends.cuda.can_use_efficient_attention,
            "cudnn": torch.backends.cuda.can_use_cudnn_attention,
        }
        takes[name] = [kind for kind, can in checks.items() if can(params)]
    return takes


COLUMNS = ("layers", "params M", "ms/step", "tokens/s", "TFLOP/s", "of matrix", "of peak", "GB", "error")


def line(row: Row) -> str:
    """A row of the table."""
    head = f"{row.model:<6} {row.stage:<9} {row.variant:<10} {row.layers:>9} {row.parameters / 1e6:>9,.1f}"
    if row.seconds is None:
        return f"{head}  {row.note}"
    figures = [f"{1e3 * row.seconds:.1f}", f"{row.tokens_per_s:,.0f}", f"{row.tflops:.3f}"]
    figures += ["-" if share is None else f"{100 * share:.1f}%" for share in (row.of_measured, row.of_peak)]
    figures.append("-" if row.peak_gb is None else f"{row.peak_gb:.1f}")
    figures.append("-" if row.error is None else f"{row.error:.1e}")
    return f"{head} {' '.join(f'{figure:>9}' for figure in figures)}"


def main(argv: list[str] | None = None) -> None:
    """The whole table."""
    args = parser().parse_args(argv)
    device = torch.device(args.device)
    args.deadline = time.monotonic() + 60 * args.minutes
    args.backend = "inductor" if device.type == "cuda" else "aot_eager"  # a CPU would compile for minutes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    present = {variant: variant in attention.installed() for variant in FOREIGN}
    rate = matrix_rate(LOADS[device.type].matrix, device)
    facts = {
        "device": name,
        "torch": torch.__version__,
        "installed": present,
        "attention": attention_backends(device),
        "matrix_tflops": rate / 1e12,
    }
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    print(f"\n{'':27} {' '.join(f'{name:>9}' for name in COLUMNS)}")
    rows = []
    for model in args.models:
        for stage in STAGES:
            for row in rows_of(model, stage, device, args, rate):
                print(line(row), flush=True)
                rows.append(row)
            if device.type == "cuda":
                torch.cuda.empty_cache()
    if device.type == "cpu":
        print("\nNo GPU was used: two layers, small batches. The errors hold; all speeds, utilization and memory await")
        print("python tools/bench.py on one.")
    if args.out is not None:
        args.out.write_text(json.dumps(facts | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """What can be args."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--models", nargs="+", default=["base", "large"] if has_gpu else ["tiny"], metavar="PRESET")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--minutes", type=float, default=9.0, help="no row begins after so long (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="bench.json", help="also write every figure here")
    return parser


if __name__ == "__main__":
    main()
