"""repaint, extend, loop, vary, cover, layer, style, stems: another track out of a track."""

import argparse
import os
import re
import shlex
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridgen.cli import options
from hybridgen.cli.options import Commands, Parser
from hybridgen.plan.parts import ROLES

if TYPE_CHECKING:
    from hybridgen.audio import Audio
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.plan import Plan
    from hybridgen.track import Track


def add_commands(commands: Commands) -> None:
    """repaint, extend, loop, vary, cover, layer, style and stems."""
    what = "change some bars of a track, or make them anew, everything else untouched"
    repaint = options.command(commands, "repaint", run_repaint, what, older="edit")
    _add_file(repaint)
    repaint.add_argument(
        "--bars",
        metavar="9-12",
        help="bars from 1, both included; several: 3,5-6,9-12; what is not said to change keeps its sound, with "
        "--render-seed all of it is made anew; without --bars --ending changes the end alone, any other change renders "
        "the whole track anew",
    )
    repaint.add_argument("--seconds", metavar="12-15.5", help="seconds instead of bars; several: 12-15.5,30-32")
    repaint.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="S",
        help="how far from what is there: 0.3 a shade of the change (default 1)",
    )
    changes = repaint.add_argument_group("changes")
    options.add_controls(changes, "edit")
    changes.add_argument("--plan", type=Path, metavar="edited.json", help="take the bars from an edited plan instead")
    _add_rest(repaint, "new.flac")

    extend = options.command(
        commands, "extend", run_extend, "make a track longer: its form goes on, or it gets an intro"
    )
    _add_file(extend)
    extend.add_argument("--bars", type=int, metavar="N", help="so many bars more")
    extend.add_argument("--seconds", type=float, metavar="S", help="as many whole bars as come next to it, instead")
    extend.add_argument("--where", choices=("end", "start"), default="end", help="(default: at the end)")
    _add_rest(extend, "longer.flac")

    loop = options.command(commands, "loop", run_loop, "a loop without a seam, out of a track or from a prompt")
    loop.add_argument("source", metavar="track.flac|PROMPT", help="a track, or in words what the loop should be")
    loop.add_argument("--bars", default="8", metavar="8|9-12", help="how many, or which bars of the track (default 8)")
    loop.add_argument("--seed", type=int, metavar="N", help="of a prompt (default: random, and said)")
    _add_rest(loop, "loop.wav", is_recording=False)

    vary = options.command(commands, "vary", run_vary, "another version of a track on the same score")
    _add_file(vary)
    vary.add_argument(
        "--amount", type=float, default=0.3, metavar="A", help="0, the same, to 1, other notes and sound (default 0.3)"
    )
    _add_rest(vary, "other.flac")

    cover = options.command(commands, "cover", run_cover, "a track or a recording played in other words")
    _add_file(cover)
    options.add_prompt(cover)
    cover.add_argument(
        "--depth",
        choices=("plan", "codes", "latents"),
        default="plan",
        help="kept beside bars, tempo, key and chords: nothing, what its sound says, or some of the sound itself",
    )
    cover.add_argument("--strength", type=float, metavar="S", help="with latents: 1 anew, 0.3 a shade (default 0.6)")
    _add_rest(cover, "cover.flac")

    layer = options.command(commands, "layer", run_layer, "one more part for a track or a recording, on its chords")
    _add_file(layer)
    layer.add_argument("--role", required=True, choices=ROLES, help="what it does")
    layer.add_argument("--instrument", metavar="violin|40", help="a General MIDI name or program (default: usual ones)")
    layer.add_argument("--notes", metavar='"A4 0 480 v80"', help="a bar of what it plays, repeated (default: written)")
    layer.add_argument("--alone", type=Path, metavar="part.wav", help="also write the part alone")
    _add_rest(layer, "layered.flac")

    style = options.command(
        commands, "style", run_style, "give a track the spectrum and the stereo width of a reference, as loud as before"
    )
    _add_file(style)
    style.add_argument("reference", type=Path, metavar="reference.wav", help="any recording, or a track")
    style.add_argument(
        "--strength", type=float, default=1.0, metavar="S", help="how much of the way: above 0 to 1 (default 1)"
    )
    _add_foreign(style)
    _add_output(style, "styled.flac")

    stems = options.command(
        commands, "stems", run_stems, "what each role plays of a track, a file each; they add up to it"
    )
    stems.add_argument("file", type=Path, metavar="track.flac")
    stems.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for 01_drums.wav, 02_bass.wav ... (32-bit float)",
    )
    options.add_overwrite(stems)
    options.add_model(stems)


def _add_file(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="track.flac", help="a track of ours, or a recording")


def _add_rest(parser: Parser, example: str, is_recording: bool = True) -> None:
    """What all changes share."""
    if is_recording:
        _add_foreign(parser)
    options.add_render_options(parser)
    learned = "make what is new with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(parser, "FOLDER[:STRENGTH]", learned)
    _add_output(parser, example)


def _add_foreign(parser: Parser) -> None:
    foreign = parser.add_argument_group("for a recording that hybridgen did not make")
    heard = "(default: heard, where librosa is installed)"
    what = f"its tempo {heard}" + ("; of our own track: a new one, without --bars" if "repaint" in parser.prog else "")
    foreign.add_argument("--tempo", type=float, metavar="BPM", help=what)
    foreign.add_argument("--downbeat", type=float, metavar="SECONDS", help=f"where its bar 1 begins {heard}")
    foreign.add_argument("--meter", metavar="4/4", help="(default 4/4)")


def _add_output(parser: Parser, example: str) -> None:
    parser.add_argument("--no-latents", action="store_true", help="do not keep the latents beside the track")
    parser.add_argument("--plot", type=Path, metavar="track.png", help="draw the plan over the spectrogram")
    options.add_out(parser, example)
    options.add_model(parser)


def _run(
    args: argparse.Namespace,
    make: "Callable[[Pipeline, dict[str, Any]], Track]",
    beside: "Mapping[Path, Audio] | None" = None,
) -> None:
    """Loads the model, makes a track with it, writes it, and with it the sounds that are `beside` it by then."""
    chosen = {**options.read_render_options(args), "seed": args.render_seed}
    given = [getattr(args, name, None) for name in ("file", "plan", "prompt_file")]
    inputs = [path for path in given if path is not None]
    options.check_outputs(args, args.out, sound=getattr(args, "alone", None), inputs=inputs)
    _warn_of_adapters(args)
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = make(pipe, {**chosen, "progress": progress})
    options.finish(track, args, started, beside=beside)


def _open(pipe: "Pipeline", args: argparse.Namespace, chosen: dict[str, Any]) -> "Track":
    """The track in the file, or the recording with its bars."""
    progress = chosen["progress"]
    return pipe.open(args.file, tempo=args.tempo, downbeat=args.downbeat, meter=args.meter, progress=progress)


def run_extend(args: argparse.Namespace) -> None:
    def make(pipe: "Pipeline", chosen: dict[str, Any]) -> "Track":
        track = _open(pipe, args, chosen)
        return pipe.extend(track, args.bars, seconds=args.seconds, where=args.where, **chosen)

    if (args.bars is None) == (args.seconds is None):
        raise ValueError(f"--bars {args.bars} and --seconds {args.seconds}: give one of the two")
    _run(args, make)


def run_loop(args: argparse.Namespace) -> None:
    ranges = options.parse_bars(args.bars)
    if len(ranges) > 1:
        raise ValueError(f"--bars {args.bars}: a loop is one range of bars, such as 9-12, or a number of them")
    bars = ranges[0] if "-" in args.bars or "–" in args.bars else ranges[0][0]
    path = Path(args.source)
    is_file = path.suffix.lower() in options.AUDIO_ENDINGS
    if is_file and args.seed is not None:
        raise ValueError(f"--seed {args.seed} is for a prompt; of a track use --render-seed")
    if not is_file and isinstance(bars, tuple):
        raise ValueError(f"--bars {args.bars} is a range, which takes a track; of a prompt say how many, such as 8")
    if not is_file and os.path.isfile(args.source):  # which a long prompt may be asked, as a Path may not
        raise ValueError(f"source {args.source!r} is a file, but no track ({' '.join(options.AUDIO_ENDINGS)})")
    if not is_file:
        options.check_is_words(args.source)

    def make(pipe: "Pipeline", chosen: dict[str, Any]) -> "Track":
        if is_file:
            return pipe.loop(pipe.open(path, progress=chosen["progress"]), bars, **chosen)
        return pipe.loop(args.source, bars, **{**chosen, "seed": args.seed, "render_seed": chosen["seed"]})

    _run(argparse.Namespace(**vars(args), file=path if is_file else None), make)


def run_vary(args: argparse.Namespace) -> None:
    if not 0 <= args.amount <= 1:
        raise ValueError(f"--amount {args.amount:g} is outside 0-1")
    _run(args, lambda pipe, chosen: pipe.vary(_open(pipe, args, chosen), args.amount, **chosen))


def run_cover(args: argparse.Namespace) -> None:
    prompt = options.read_prompt(args)

    def make(pipe: "Pipeline", chosen: dict[str, Any]) -> "Track":
        foreign = {"tempo": args.tempo, "downbeat": args.downbeat, "meter": args.meter}
        return pipe.cover(args.file, prompt, args.depth, strength=args.strength, **foreign, **chosen)

    _run(args, make)


def run_layer(args: argparse.Namespace) -> None:
    if args.alone is not None and args.alone.suffix.lower() != ".wav":
        raise ValueError(f"--alone {args.alone}: ends in {args.alone.suffix!r}, not .wav")

    alone: dict[Path, Audio] = {}

    def make(pipe: "Pipeline", chosen: dict[str, Any]) -> "Track":
        foreign = {"tempo": args.tempo, "downbeat": args.downbeat, "meter": args.meter}
        instrument = int(args.instrument) if re.fullmatch(r"\d{1,9}", args.instrument or "") else args.instrument
        result = pipe.layer(args.file, args.role, instrument, args.notes, **foreign, **chosen)
        if args.alone is not None:
            alone[args.alone] = result.alone
        return result.track

    _run(args, make, alone)


def run_style(args: argparse.Namespace) -> None:
    options.check_outputs(args, args.out, inputs=[args.file, args.reference])
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        given = {"tempo": args.tempo, "downbeat": args.downbeat, "meter": args.meter}
        styled = pipe.style(pipe.open(args.file, **given, progress=progress), args.reference, args.strength)
    options.finish(styled, args, started)


def run_stems(args: argparse.Namespace) -> None:
    from hybridgen import files, manifest, outputs
    from hybridgen.render.stems import playing

    roles = playing(manifest.read(args.file).plan)
    paths = {role: args.out / f"{i:02d}_{role}.wav" for i, role in enumerate(roles, start=1)}
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"output {str(args.out)!r} is no folder")
    made = list(paths.values()) if args.out.exists() else [args.out]
    outputs.check([(path, "other") for path in made], [args.file], args.overwrite)
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        parts = pipe.stems(pipe.open(args.file, progress=progress), progress)
    with files.made_folder(args.out), files.Outputs() as together:
        for role, part in parts.items():
            part.write(together.add(paths[role]), ".wav", bits="32f")
    took = time.perf_counter() - started
    print(f"{args.out}: {', '.join(path.name for path in paths.values())}, made in {took:.1f} s")


def run_repaint(args: argparse.Namespace) -> None:
    bars = None if args.bars is None else options.parse_bars(args.bars)
    seconds = None if args.seconds is None else options.parse_seconds(args.seconds)
    changes = options.read_controls(args, "edit")
    if args.plan is not None and (given := [name for name, value in changes.items() if value is not None]):
        raise ValueError(f"--plan {args.plan} and --{given[0]} both say what the bars become: give one of them")
    anew = _check_whole(args, bars is None and seconds is None, changes)

    def make(pipe: "Pipeline", chosen: dict[str, Any]) -> "Track":
        if anew:
            return _render_anew(pipe, args, changes, chosen)
        track = _open(pipe, args, chosen)
        plan = options.read_plan(args.plan) if args.plan else _edited(track.plan, bars, seconds, changes)
        return pipe.repaint(track, plan, bars, seconds=seconds, strength=args.strength, **chosen)

    _run(args, make)


def _check_whole(args: argparse.Namespace, is_whole: bool, changes: dict[str, Any]) -> bool:
    """Whether the whole track is rendered anew; ValueError, with the command that works, where bars are missing
    or cannot be kept apart."""
    from hybridgen import manifest

    is_ours = manifest.carries(args.file)
    if not is_whole:
        if is_ours and args.tempo is not None and not manifest.read(args.file).is_recording:
            raise ValueError(
                f"--tempo {args.tempo:g} would move every bar after {args.bars or args.seconds}, and a repaint keeps "
                f"all others where they are; to render the whole track anew: hybridgen repaint "
                f"{shlex.quote(str(args.file))} --tempo {args.tempo:g} -o {shlex.quote(str(args.out))}"
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
    for name, default in (("strength", 1.0), ("downbeat", None), ("meter", None)):
        if (value := getattr(args, name)) != default:
            raise ValueError(f"--{name} {value} is given without --bars, but then the whole track is rendered anew")
    return True


def _render_anew(
    pipe: "Pipeline", args: argparse.Namespace, changes: dict[str, Any], chosen: dict[str, Any]
) -> "Track":
    """The track of our own track's plan with `changes` and another tempo: every bar is new."""
    from hybridgen import manifest
    from hybridgen.history import Render
    from hybridgen.render.style import restyled

    record = manifest.read(args.file)
    if record.is_recording:
        raise ValueError(f"{args.file}: began as a recording, so --bars must say which bars are made new")
    first = record.operations[0]
    seed = first.seed if args.render_seed is None and isinstance(first, Render) else args.render_seed
    plan = record.plan.edit(tempo=args.tempo)
    track = pipe.render(_edited(plan, None, None, changes), **{**chosen, "seed": seed})
    return restyled(pipe, track, record.styles)


def _edited(
    plan: "Plan",
    bars: Sequence[tuple[int, int]] | None,
    seconds: Sequence[tuple[float, float]] | None,
    changes: dict[str, Any],
) -> "Plan":
    """The plan with the changes in each of the ranges, or in all bars; what is to be said of them is said."""
    from hybridgen.render.repaint import edited

    new, notes = edited(plan, bars, seconds, changes)
    for note in notes:
        warnings.warn(note, stacklevel=1)
    return new


def _warn_of_adapters(args: argparse.Namespace) -> None:
    """Says so where the track that is changed was made with adapters and none are given."""
    from hybridgen import manifest

    if args.adapter or args.file is None or not manifest.carries(args.file):
        return
    if any(getattr(operation, "adapters", ()) for operation in manifest.read(args.file).operations):
        warnings.warn("the track was made with adapters; without --adapter its new bars are not", stacklevel=1)
