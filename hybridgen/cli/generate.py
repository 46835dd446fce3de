"""generate, plan, render: from a prompt or a plan to a track."""

import argparse
import time
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands, Parser


def add_commands(commands: Commands) -> None:
    """generate, plan and render."""
    generate = options.command(commands, "generate", run_generate, "a track from a prompt")
    options.add_prompt(generate)
    options.add_request_controls(generate)
    generate.add_argument("--plan-seed", type=int, metavar="N", help="seed of the plan alone")
    generate.add_argument("--plan-out", type=Path, metavar="plan.json", help="also write the plan")
    _add_rendering(generate)

    what = "one or several plans from a prompt, to read, choose and edit"
    plan = options.command(commands, "plan", run_plan, what)
    options.add_prompt(plan)
    plan.add_argument(
        "-n", type=int, default=1, metavar="N", help="how many; several go to plan-1.json ... (default 1)"
    )
    options.add_request_controls(plan)
    learned = "compose with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(plan, "FOLDER[:STRENGTH]", learned)
    options.add_model(plan)
    plan.add_argument("-o", "--out", type=Path, required=True, metavar="plan.json")

    render = options.command(commands, "render", run_render, "the track of a plan")
    render.add_argument("plan", type=Path, metavar="plan.json")
    _add_rendering(render)


def _add_rendering(parser: Parser) -> None:
    group = parser.add_argument_group("rendering")
    options.add_render_options(group)
    options.add_adapters(
        group,
        "FOLDER[:STRENGTH[:BARS]]",
        "play with what `hybridgen finetune` learned: my-style, my-style:0.8, or my-style:0.8:9-16 for bars 9 to 16 "
        "alone; 0 is not at all, 1 as learned; repeatable, several add up",
    )
    group.add_argument("--no-latents", action="store_true", help="do not keep the latents beside the track")
    group.add_argument("--plot", type=Path, metavar="track.png", help="draw the plan over the spectrogram")
    group.add_argument(
        "-o", "--out", type=Path, metavar="track.flac", help=".wav .flac .ogg .mp3 (default: named by prompt and seed)"
    )
    options.add_model(parser)


def run_generate(args: argparse.Namespace) -> None:
    prompt = options.read_prompt(args)
    options.check_outputs(args.out, args.plan_out, args.plot)
    chosen = {**options.read_render_options(args), **options.read_controls(args, "request")}
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.generate(
            prompt,
            seed=args.seed,
            plan_seed=args.plan_seed,
            render_seed=args.render_seed,
            progress=progress,
            **chosen,
        )
    options.finish(track, args, started, latents=not args.no_latents)
    if args.plan_out is not None:
        options.write_text(args.plan_out, track.plan.to_json())


def run_plan(args: argparse.Namespace) -> None:
    prompt = options.read_prompt(args)
    paths = [args.out]
    if args.n > 1:
        paths = [args.out.with_stem(f"{args.out.stem}-{i}") for i in range(1, args.n + 1)]
    options.check_outputs(None, *paths)
    for adapter in options.parse_adapters(args):
        if adapter.bars is not None:
            raise ValueError(f"adapter {adapter}: a score is written as a whole; give bars to render or generate")
    controls = options.read_controls(args, "request")
    pipe = options.load_pipeline(args)
    with options.progress_bars() as progress:
        plans = pipe.plan(prompt, args.n, seed=args.seed, progress=progress, **controls)
    for path, plan in zip(paths, plans, strict=True):
        options.write_text(path, plan.to_json())
        print(f"{path}: {plan.text()}")


def run_render(args: argparse.Namespace) -> None:
    plan = options.read_plan(args.plan)
    options.check_outputs(args.out, args.plot)
    chosen = options.read_render_options(args)
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.render(plan, seed=args.render_seed, progress=progress, **chosen)
    options.finish(track, args, started, latents=not args.no_latents)
