"""edit: re-render some bars of a track."""

import argparse
import time
import warnings
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.plan.parts import check_bars


def add_commands(commands: Commands) -> None:
    """edit."""
    edit = options.command(commands, "edit", run_edit, "re-render some bars of a track, everything else untouched")
    edit.add_argument("file", type=Path, metavar="track.flac")
    edit.add_argument(
        "--bars", required=True, metavar="9-12", help="bars to re-render, from 1, both included; several: 3,5-6,9-12"
    )
    changes = edit.add_argument_group("changes")
    options.add_controls(changes, "edit")
    changes.add_argument("--plan", type=Path, metavar="edited.json", help="take the bars from an edited plan instead")
    foreign = edit.add_argument_group("for a recording that hybridgen did not make")
    heard = "(default: heard, where librosa is installed)"
    foreign.add_argument("--tempo", type=float, metavar="BPM", help=f"quarter notes a minute {heard}")
    foreign.add_argument("--downbeat", type=float, metavar="SECONDS", help=f"where its bar 1 begins {heard}")
    foreign.add_argument("--meter", metavar="4/4", help="(default 4/4)")
    options.add_render_options(edit)
    learned = "make these bars with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(edit, "FOLDER[:STRENGTH]", learned)
    edit.add_argument("--no-latents", action="store_true", help="do not keep the latents beside the track")
    options.add_out(edit, "new.flac")
    options.add_model(edit)


def run_edit(args: argparse.Namespace) -> None:
    ranges = options.parse_bars(args.bars)
    options.check_outputs(args.out)
    changes = options.read_controls(args, "edit")
    if args.plan is not None and (given := [name for name, value in changes.items() if value is not None]):
        raise ValueError(f"--plan {args.plan} and --{given[0]} both say what the bars become: give one of them")
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.open(args.file, tempo=args.tempo, downbeat=args.downbeat, meter=args.meter, progress=progress)
        made_with_adapters = any(getattr(operation, "adapters", ()) for operation in track.manifest.operations)
        if made_with_adapters and not args.adapter:
            warnings.warn("the track was made with adapters; without --adapter its new bars are not", stacklevel=1)
        written = None if args.plan is None else options.read_plan(args.plan)
        chosen = options.read_render_options(args)
        for bars in ranges:
            check_bars(bars, track.plan.n_bars)  # all of them before any work
        for bars in ranges:
            plan = track.plan.edit(bars, **changes) if written is None else written
            track = pipe.rerender(track, plan, bars, seed=args.render_seed, progress=progress, **chosen)
    options.finish(track, args, started, latents=not args.no_latents)
