"""What a training run needs: python tools/estimate.py configs/train/renderer.yaml run.model=large gpus=64 price=2.5

Prints parameters, operations a step, memory on each GPU by ZeRO stage, how much music a day goes through, and what the
run costs. Takes what the training scripts take (a YAML file of configs/train, files of configs/runs, overrides such as
run.model=large), and these, each an assumption:

  gpus=8              GPUs that train together
  gpu=H100            H100, H200 or A100: its peak, from the vendor, and its memory
  utilization=0.4     share of the peak that the step's operations reach; tools/bench.py measures it
  price=2.5           of a GPU for an hour, in any currency
  hours=10000         of music, to be gone through once
  offload=true        optimizer states on the host, in stages 1-3
  song_seconds=180    length of a rendered song
  score_rate=1.2      tokens of a score for a second of music
  text_tokens=32      of a prompt

Examples:
  python tools/estimate.py configs/train/renderer.yaml configs/runs/large-8xh100.yaml gpus=8 price=2.5
  python tools/estimate.py configs/train/planner.yaml run.model=base gpus=1 gpu=A100 utilization=0.3
"""

import sys
from collections.abc import Iterable
from dataclasses import fields

import yaml

from hybridgen import config
from hybridgen.training import flops, memory
from hybridgen.training.estimate import Assumptions, Estimate, estimate, read_zero
from hybridgen.training.flops import Flops

GB = 1e9
RECOMPUTED = ("planner", "renderer")  # whose scripts let `engine.recompute` run layers again


def model_lines(run: Estimate) -> Iterable[str]:
    """Parameters, and what a step does."""
    work = sum((step.flops() * step.rows * step.n_steps for step in run.steps), Flops()) * (1 / run.n_steps / 1e12)
    yield f"{run.stage} of model {run.train.run.model} on {run.assumed.gpus} x {run.assumed.gpu}"
    yield ""
    yield f"parameters   {run.n_params / 1e6:,.1f} M, {run.n_largest / 1e6:,.1f} M in the largest layer"
    yield f"a step       {work.total:,.2f} TFLOP on average: forward {work.forward:,.2f}, backward {work.backward:,.2f}"
    if run.stage in RECOMPUTED:
        yield f"             (activation checkpointing, {on(run.train.engine.recompute)}, adds {work.recomputed:,.2f})"
    rows, tokens = run.mean(lambda step: step.rows), run.mean(lambda step: step.rows * step.tokens)
    hours = run.mean(lambda step: step.rows * step.seconds) / 3600
    yield f"             {rows:,.0f} rows, {tokens:,.0f} tokens, {hours:,.2f} h of music"
    idle = [step.rows for step in run.steps if step.n_steps and step.rows % run.parts]
    if idle:
        yield f"             BATCH TOO SMALL: {idle[0]} rows cannot be shared evenly by {run.parts} micro-batches;"
        yield "             the training would refuse it, see configs/runs for batches of many GPUs"


def memory_lines(run: Estimate) -> Iterable[str]:
    """A row for each stage that the cluster can have, with and without checkpointing and offload."""
    names = ("weights", "gradients", "optimizer", "average", "buffers", "activations")
    limit = memory.GPU_BYTES[run.assumed.gpu] / GB
    configured, half, _ = read_zero(run.train.engine.deepspeed)
    yield f"GB a GPU       {' '.join(f'{name:>11}' for name in (*names, 'in all'))}   of {limit:.0f}"
    stages = (None, 0, 1, 2, 3) if run.assumed.gpus == 1 else (0, 1, 2, 3)
    for offload in (False, True):
        for stage in stages if not offload else (2, 3):
            for recompute in (False, True) if run.stage in RECOMPUTED else (False,):
                need = run.memory(stage, half and bool(stage), offload, recompute)
                label = "plain" if stage is None else f"ZeRO {stage}"
                label += " offload" if offload else ""
                values = " ".join(f"{getattr(need, name) / GB:11.1f}" for name in names)
                verdict = "fits" if need.gpu / GB <= limit else "no"
                chosen = "  <- configured" if (stage, recompute) == (configured, run.train.engine.recompute) else ""
                chosen = "" if offload and not run.assumed.offload else chosen
                mark = "*" if recompute else " "
                yield f"{label:<14}{mark}{values} {need.gpu / GB:11.1f}   {verdict}{chosen}"
    yield f"             * with activation checkpointing; {memory.DRIVER_BYTES / GB:.0f} GB of all are the driver's"
    yield f"             rank 0 needs {4 * run.n_params / GB:.1f} GB more while it validates"


def cost_lines(run: Estimate) -> Iterable[str]:
    """Throughput, time and price."""
    assumed = run.assumed
    music = run.mean(lambda step: step.rows * step.seconds) / 3600  # hours a step
    per_day = 86_400 / run.seconds
    tokens = run.mean(lambda step: step.rows * step.tokens)
    yield f"speed        {1 / run.seconds:,.2f} steps a second; a day: {tokens * per_day:,.0f} tokens,"
    yield f"             {music * per_day:,.0f} h of music"
    for label, n_steps in (
        (f"{run.n_steps:,.0f} steps", run.n_steps),
        (f"{assumed.hours:,.0f} h once", assumed.hours / music),
    ):
        days = n_steps / per_day
        gpu_hours = 24 * days * assumed.gpus
        price = "" if assumed.price is None else f", costs {gpu_hours * assumed.price:,.0f}"
        yield f"{label:<20} {days:,.2f} days, {gpu_hours:,.1f} GPU-hours{price}"


def assumption_lines(run: Estimate) -> Iterable[str]:
    """Every figure that is not counted."""
    peak = flops.peak_flops(run.assumed.gpu)
    given = [f"{field.name}={getattr(run.assumed, field.name)}" for field in fields(Assumptions)]
    yield f"assumed      {' '.join(given[:5])}"
    yield f"             {' '.join(given[5:])}"
    yield f"             peak {peak / 1e12:.0f} TFLOP/s; bfloat16 products {on(run.train.engine.bfloat16)};"
    yield "             communication and input are part of the utilization, preparation and validation are not in"


def on(flag: bool) -> str:
    """A switch in words."""
    return "on" if flag else "off"


def main(*arguments: str) -> None:
    """Prints the table; one line on stderr and exit code 2 for what is wrong."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return
    path, *rest = arguments
    known = {field.name for field in fields(Assumptions)}
    own = [argument for argument in rest if argument.partition("=")[0] in known]
    try:
        values = dict(argument.split("=", 1) for argument in own)
        assumed = config.build(Assumptions, {name: yaml.safe_load(text) for name, text in values.items()})
        run = estimate(path, [argument for argument in rest if argument not in own], assumed)
        lines = [*model_lines(run), "", *memory_lines(run), "", *cost_lines(run), "", *assumption_lines(run)]
    except (ValueError, OSError, yaml.YAMLError) as error:
        print(f"estimate: {error}", file=sys.stderr)
        sys.exit(2)
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
