"""edit: re-render some bars of a track."""

import argparse
import shlex
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.plan.parts import check_bars

if TYPE_CHECKING:
    from hybridgen.manifest import Manifest
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.plan import Plan
    from hybridgen.track import Track


def add_commands(commands: Commands) -> None:
    """edit."""
    edit = options.command(commands, "edit", run_edit, "re-render some bars of a track, everything else untouched")
    edit.add_argument("file", type=Path, metavar="track.flac")
    edit.add_argument(
        "--bars",
        metavar="9-12",
        help="bars to re-render, from 1, both included; several: 3,5-6,9-12; without it --ending changes the end "
        "alone, any other change renders the whole track anew",
    )
    changes = edit.add_argument_group("changes")
    options.add_controls(changes, "edit")
    changes.add_argument("--plan", type=Path, metavar="edited.json", help="take the bars from an edited plan instead")
    foreign = edit.add_argument_group("for a recording that hybridgen did not make")
    heard = "(default: heard, where librosa is installed)"
    foreign.add_argument(
        "--tempo", type=float, metavar="BPM", help=f"its tempo {heard}; of our own track: a new one, without --bars"
    )
    foreign.add_argument("--downbeat", type=float, metavar="SECONDS", help=f"where its bar 1 begins {heard}")
    foreign.add_argument("--meter", metavar="4/4", help="(default 4/4)")
    options.add_render_options(edit)
    learned = "make these bars with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(edit, "FOLDER[:STRENGTH]", learned)
    edit.add_argument("--no-latents", action="store_true", help="do not keep the latents beside the track")
    options.add_out(edit, "new.flac")
    options.add_model(edit)


def run_edit(args: argparse.Namespace) -> None:
    ranges = None if args.bars is None else options.parse_bars(args.bars)
    chosen, changes = options.read_render_options(args), options.read_controls(args, "edit")
    options.check_outputs(args, args.out, inputs=[] if args.plan is None else [args.plan])
    if args.plan is not None and (given := [name for name, value in changes.items() if value is not None]):
        raise ValueError(f"--plan {args.plan} and --{given[0]} both say what the bars become: give one of them")
    anew = _check_whole(args, ranges is None, changes)
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        chosen["progress"] = progress
        new = _render_anew(pipe, args, changes, chosen) if anew else _edit_bars(pipe, args, ranges, changes, chosen)
    options.finish(new, args, started)


def _check_whole(args: argparse.Namespace, is_whole: bool, changes: dict[str, Any]) -> bool:
    """Whether the edit renders the whole track anew; ValueError, with the command that works, where bars are missing
    or cannot be kept apart."""
    from hybridgen import manifest

    is_ours = manifest.carries(args.file)
    if not is_whole:
        if is_ours and args.tempo is not None and not manifest.read(args.file).is_recording:
            raise ValueError(
                f"--tempo {args.tempo:g} would move every bar after bars {args.bars}, and an edit of bars keeps all "
                f"others where they are; to render the whole track anew: hybridgen edit {shlex.quote(str(args.file))} "
                f"--tempo {args.tempo:g} -o {shlex.quote(str(args.out))}"
            )
        return False
    named = [name for name, value in changes.items() if value is not None]
    if args.plan is not None:
        raise ValueError(f"--bars is missing. All bars of the plan: hybridgen render {args.plan} -o {args.out}")
    if named == ["ending"] and (args.tempo is None or not is_ours):
        return False
    if not is_ours:
        raise ValueError(
            f"{args.file}: --bars is missing; of a recording single bars are made new, such as --bars 9-12"
        )
    if not named and args.tempo is None:
        raise ValueError("--bars is missing, and nothing is to change in the whole track (such as --tempo 96)")
    return True


def _render_anew(
    pipe: "Pipeline", args: argparse.Namespace, changes: dict[str, Any], chosen: dict[str, Any]
) -> "Track":
    """The track of our own track's plan with `changes` and another tempo: every bar is new."""
    from hybridgen import manifest
    from hybridgen.history import Render

    record = manifest.read(args.file)
    if record.is_recording:
        raise ValueError(f"{args.file}: began as a recording, so --bars must say which bars are made new")
    _warn_of_adapters(args, record)
    first = record.operations[0]
    seed = first.seed if args.render_seed is None and isinstance(first, Render) else args.render_seed
    plan = _changed(record.plan.edit(tempo=args.tempo), None, changes)
    return pipe.render(plan, seed=seed, **chosen)


def _edit_bars(
    pipe: "Pipeline",
    args: argparse.Namespace,
    ranges: Sequence[tuple[int, int]] | None,
    changes: dict[str, Any],
    chosen: dict[str, Any],
) -> "Track":
    """The track with each of the ranges of bars made new, one after the other; with none of them, its end alone."""
    track = pipe.open(
        args.file, tempo=args.tempo, downbeat=args.downbeat, meter=args.meter, progress=chosen["progress"]
    )
    if ranges is not None:
        _warn_of_adapters(args, track.manifest)
    for bars in ranges or ():
        check_bars(bars, track.plan.n_bars)  # all of them before any work
    written = None if args.plan is None else options.read_plan(args.plan)
    each: Sequence[tuple[int, int] | None] = ranges or (None,)
    for one in each:
        plan = _changed(track.plan, one, changes) if written is None else written
        track = pipe.rerender(track, plan, one, seed=args.render_seed, **chosen)
    return track


def _changed(plan: "Plan", bars: tuple[int, int] | None, changes: dict[str, Any]) -> "Plan":
    """The plan with the changes made in some bars or in all, the words of another prompt first."""
    from hybridgen.request import reworded

    others = {name: value for name, value in changes.items() if name != "prompt"}
    if (prompt := changes["prompt"]) is not None:
        plan, notes = reworded(plan, bars, prompt)
        for note in notes:
            warnings.warn(note, stacklevel=1)
    return plan.edit(bars, **others)


def _warn_of_adapters(args: argparse.Namespace, record: "Manifest") -> None:
    if not args.adapter and any(getattr(operation, "adapters", ()) for operation in record.operations):
        warnings.warn("the track was made with adapters; without --adapter its new bars are not", stacklevel=1)
