"""generate, plan, render: from a prompt or a plan to a track."""

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridgen import formats
from hybridgen.cli import options
from hybridgen.cli.options import Commands, Parser

if TYPE_CHECKING:
    from hybridgen.audio import Audio
    from hybridgen.manifest import Manifest

_PLAN_OUT = f"the ending chooses: {' '.join(formats.WRITES)}"
PLAN_ENDINGS = (*formats.READS, *options.AUDIO_ENDINGS)  # of the files that have a plan


def add_commands(commands: Commands) -> None:
    """generate, plan and render."""
    generate = options.command(commands, "generate", run_generate, "a track from a prompt")
    options.add_prompt(generate)
    options.add_request_controls(generate)
    generate.add_argument("--plan-seed", type=int, metavar="N", help="seed of the plan alone")
    generate.add_argument("--plan-out", type=Path, metavar="plan.json", help=f"also write the plan, {_PLAN_OUT}")
    several = generate.add_argument_group(
        "several to choose from",
        "each is listened to and ranked by how well it keeps its own plan: beats, key, chords and notes. That says how "
        "exactly it is played and not how good it is; needs hybridgen[eval]",
    )
    several.add_argument(
        "-n",
        type=int,
        default=1,
        metavar="N",
        help="make N tracks, of the seeds --seed, --seed + 1 ..., and write them to track-1.flac ... in order of rank "
        "(default 1)",
    )
    several.add_argument("--best", action="store_true", help="write the first of them alone, to track.flac")
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
    _add_arranging(plan)
    options.add_out(plan, "plan.json", f"where the plan goes, {_PLAN_OUT}")
    plan.epilog = (
        "Instead of a prompt, a score to take the plan from: song.mid, .abc, .musicxml, .mxl or chart.txt, "
        "a plan.json, or a track that hybridgen made"
    )

    understand = options.command(commands, "understand", run_understand, "what the words of a prompt fix, and what not")
    options.add_prompt(understand)
    understand.add_argument("--json", action="store_true", help="as JSON")

    render = options.command(commands, "render", run_render, "the track of a plan")
    render.add_argument("plan", type=Path, metavar="plan.json", help="or .mid .abc .musicxml .mxl, or a chart in .txt")
    _add_rendering(render)

    what = "a track as a pack for a DAW, or its plan as MIDI, ABC, MusicXML, chart, JAMS or labels"
    export = options.command(commands, "export", run_export, what)
    export.add_argument("file", type=Path, metavar="track.flac", help="a track, or a plan in any format that is read")
    what = "positions for Audacity, written as text, in place of the plan"
    export.add_argument("--labels", choices=("sections", "bars", "chords"), help=what)
    sound = f"of a track also {' '.join(formats.CHAPTERED)} with chapters, and .zip or a folder for a pack"
    options.add_out(export, "song.mid", f"{_PLAN_OUT}; {sound}")
    pack = export.add_argument_group("pack", "mix, stems, click, DAWproject, MIDI, lead sheet, chords and labels")
    pack.add_argument("--bits", metavar="16|24|32f", help="bits of a sample; 32f are floats (default 24)")
    pack.add_argument("--rate", type=int, metavar="44100|48000", help="sample rate in Hz (default: the track's)")
    pack.add_argument("--no-stems", action="store_true", help="the mix alone, without what adds up to it")
    options.add_model(export)


def _add_arranging(parser: Parser) -> None:
    group = parser.add_argument_group(
        "arranging",
        'a plan\'s sections in another order: hybridgen plan track.flac --arrange "intro A A B A outro" -o new.json',
    )
    group.add_argument(
        "--arrange",
        metavar="SECTIONS",
        help="by label (verse, verse2 the second verse) or by letter: A the first section that is neither intro nor "
        "outro, B the first with another label, A2 the second like A; A*2 or 2xA is A twice, A[4] its first four bars. "
        "What returns, returns with its chords, notes and tempo",
    )
    group.add_argument(
        "--variation",
        type=float,
        metavar="0-1",
        help="share of the notes, by role and bar, of bars that return which is written anew when the plan is rendered "
        "(default 0)",
    )


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
    options.add_overwrite(group)
    options.add_model(parser)


def run_generate(args: argparse.Namespace) -> None:
    prompt = options.read_prompt(args)
    chosen, controls = options.read_render_options(args), options.read_controls(args, "request")
    each = _outputs_of_each(args)
    for one in each:
        options.check_outputs(one, one.out, plans=_given(one.plan_out), inputs=_given(args.prompt_file, args.melody))
    options.print_understood(prompt, controls)
    melody = options.read_melody(args, prompt, controls)
    if args.n != 1:
        _generate_several(args, each, prompt, {**chosen, **controls, "melody": melody})
        return
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.generate(
            prompt,
            seed=args.seed,
            plan_seed=args.plan_seed,
            render_seed=args.render_seed,
            melody=melody,
            progress=progress,
            **chosen,
            **controls,
        )
    options.finish(track, args, started, args.plan_out)


def _outputs_of_each(args: argparse.Namespace) -> list[argparse.Namespace]:
    """The options with the files of each track that is written; ValueError for what -n does not go with."""
    if args.n == 1:
        if args.best:
            raise ValueError("--best is for several tracks, such as -n 8")
        return [args]
    from hybridgen.evaluation import check_installed
    from hybridgen.planning.plans import check_count

    check_installed("generate -n")
    check_count(args.n)
    for name in ("plan_seed", "render_seed"):
        if (seed := getattr(args, name)) is not None:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} {seed} is for one track, and -n {args.n} makes several: give --seed")
    if args.best:
        return [args]
    given = {name: path for name in ("out", "plot", "plan_out") if (path := getattr(args, name)) is not None}
    names = {name: options.numbered(path, args.n) for name, path in given.items()}
    return [argparse.Namespace(**vars(args) | {name: paths[i] for name, paths in names.items()}) for i in range(args.n)]


def _generate_several(
    args: argparse.Namespace, each: Sequence[argparse.Namespace], prompt: str, request: dict[str, Any]
) -> None:
    """Tracks of one prompt, ranked; as many of them are written as there are entries of `each`."""
    from hybridgen.evaluation.candidates import candidates, table
    from hybridgen.files import Outputs

    pipe = options.load_pipeline(args)
    with options.progress_bars() as progress:
        ranked = candidates(pipe, prompt, args.n, seed=args.seed, progress=progress, **request)
    with Outputs() as together:
        written = [
            options.add_track(together, candidate.track, one, one.plan_out)
            for candidate, one in zip(ranked, each, strict=False)
        ]
    print(table(ranked, [*written, *[None] * (len(ranked) - len(written))]))


def run_understand(args: argparse.Namespace) -> None:
    from hybridgen.text.controls import understand

    understood = understand(options.read_prompt(args))
    if args.json:
        fixed = {name: value for name, value in asdict(understood.controls).items() if value is not None}
        print(
            json.dumps({"controls": fixed, "notes": understood.notes, "unread": understood.unread}, ensure_ascii=False)
        )
        return
    print(f"from your words: {options.printable(understood.summary()) or 'nothing is fixed'}")
    for note in understood.notes:
        print(f"note: {options.printable(note)}")
    if understood.unread:
        print(f"not understood: {options.printable(', '.join(understood.unread))}")


def run_plan(args: argparse.Namespace) -> None:
    if args.variation is not None and args.arrange is None:
        raise ValueError(f"--variation {args.variation:g} is for --arrange, which is not given")
    if args.prompt and (score := Path(args.prompt)).suffix.lower() in PLAN_ENDINGS and score.is_file():
        _import_plan(score, args)
        return
    if args.arrange is not None:
        missing = "" if args.prompt is None else f", and {args.prompt[:60]!r} is no file here"
        raise ValueError(f"--arrange is for a plan or a track{missing}")
    prompt = options.read_prompt(args)
    controls = options.read_controls(args, "request")
    paths = options.numbered(args.out, args.n)
    options.check_outputs(args, plans=paths, inputs=_given(args.prompt_file, args.melody))
    for adapter in options.parse_adapters(args):
        if adapter.bars is not None:
            raise ValueError(f"adapter {adapter}: a score is written as a whole; give bars to render or generate")
    options.print_understood(prompt, controls)
    melody = options.read_melody(args, prompt, controls)
    pipe = options.load_pipeline(args)
    with options.progress_bars() as progress:
        plans = pipe.plan(prompt, args.n, seed=args.seed, melody=melody, progress=progress, **controls)
    options.write_plans(dict(zip(paths, plans, strict=True)))
    for path, plan in zip(paths, plans, strict=True):
        print(options.printable(f"{path}: {plan.text()}"))


def _import_plan(score: Path, args: argparse.Namespace) -> None:
    """The plan of a score in another format, or of a track, arranged if that is asked; no planner chooses anything."""
    given = [name for name, value in options.read_controls(args, "request").items() if value is not None]
    # no model is asked
    others = ("melody", "seed", "prompt_file", "adapter", "model", "memory", "threads", "accept_license")
    given += [name for name in others if getattr(args, name) not in (None, [])]
    given += ["n"] if args.n != 1 else []
    given += ["device"] if args.device != "cpu" else []
    if given:
        option = given[0].replace("_", "-")
        raise ValueError(f"--{option} is for a prompt, and {score} is a score: edit its plan instead")
    options.check_outputs(args, plans=[args.out], inputs=[score])
    plan = options.plan_in(score)
    if args.arrange is not None:
        plan = plan.arrange(args.arrange, args.variation or 0.0)
    options.write_plans({args.out: plan})
    print(options.printable(f"{args.out}: {plan.text()}"))


def run_export(args: argparse.Namespace) -> None:
    from hybridgen.files import Outputs

    kind = args.out.suffix.lower()
    is_pack = kind in ("", ".zip") or args.out.is_dir()
    is_track = args.file.suffix.lower() in options.AUDIO_ENDINGS
    _check_export(args, is_pack, is_track)
    if is_pack:
        _export_pack(args)
        return
    if kind in formats.CHAPTERED:
        _export_chapters(args)
        return
    if args.labels is not None:
        from hybridgen.formats.labels import to_labels

        options.check_outputs(args, other=args.out, inputs=[args.file])
        data = to_labels(options.plan_in(args.file), args.labels).encode()
    else:
        options.check_outputs(args, plans=[args.out], inputs=[args.file])
        data = formats.dump(options.plan_in(args.file), kind)
    with Outputs() as together:
        together.add(args.out).write_bytes(data)
    print(f"{args.out}: {len(data):,} bytes")


def _check_export(args: argparse.Namespace, is_pack: bool, is_track: bool) -> None:
    """ValueError for options that do not go together, and for a plan where it takes a track."""
    given = [name for name in ("bits", "rate", "no_stems") if getattr(args, name)]
    if given and not is_pack:
        option = given[0].replace("_", "-")
        raise ValueError(f"--{option} is for a pack, in a folder or a .zip, and {str(args.out)!r} is none")
    needs_track = is_pack or args.out.suffix.lower() in formats.CHAPTERED
    if args.labels is not None and args.out.suffix.lower() != ".txt":
        raise ValueError(f"--labels are written as text, and {str(args.out)!r} is no .txt")
    if needs_track and not is_track:
        raise ValueError(f"{args.file}: {str(args.out)!r} is made of a track, not of a plan alone: render it first")


def _export_pack(args: argparse.Namespace) -> None:
    from hybridgen import manifest, pack
    from hybridgen.audio import Audio

    record = manifest.read(args.file)
    _warn_if_changed(args.file)
    encoding = {"bits": args.bits or "24", "sample_rate": args.rate}
    pack.check(args.out, record.plan, **encoding, inputs=(args.file,), overwrite=args.overwrite)
    stems = {} if args.no_stems else _stems(args, record)
    sound = Audio.load(args.file)
    path = pack.write(args.out, sound, record, stems, **encoding)
    print(f"{path}: {pack.name(record.plan)}, {record.plan.n_bars} bars, {len(stems)} stems")


def _stems(args: argparse.Namespace, record: "Manifest") -> "dict[str, Audio]":
    """What each role plays of the track; nothing, with a note, of a recording."""
    if record.is_recording:
        warnings.warn(f"{args.file}: began as a recording, so the pack has no stems", stacklevel=2)
        return {}
    pipe = options.load_pipeline(args).load()
    if pipe.model_record.weights != record.operations[-1].model.weights:
        made = record.operations[-1].model.name
        raise ValueError(
            f"{args.file}: its stems need the weights of model {made!r} that made it, {pipe.name!r} has others: "
            "name it with --model, or leave the stems out with --no-stems"
        )
    with options.progress_bars() as progress:
        return pipe.stems(pipe.open(args.file, progress=progress), progress)


def _warn_if_changed(path: Path) -> None:
    """Says what is wrong with a track: what is made of it does not show that any more."""
    from hybridgen import manifest

    for problem in manifest.verify(path):
        warnings.warn(problem, stacklevel=2)


def _export_chapters(args: argparse.Namespace) -> None:
    from hybridgen import manifest, pack
    from hybridgen.files import Outputs

    options.check_outputs(args, other=args.out, inputs=[args.file])
    plan = manifest.read(args.file).plan
    _warn_if_changed(args.file)
    with Outputs() as together:
        n = pack.write_chapters(together.add(args.out), args.out.suffix.lower(), args.file, plan)
    print(f"{args.out}: {n} chapters")


def run_render(args: argparse.Namespace) -> None:
    plan = options.read_plan(args.plan)
    chosen = options.read_render_options(args)
    options.check_outputs(args, args.out, inputs=[args.plan])
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.render(plan, seed=args.render_seed, progress=progress, **chosen)
    options.finish(track, args, started)


def _given(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]
