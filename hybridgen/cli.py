"""The command line: generate, plan, render, edit, finetune, inspect, replay, verify, encode, decode, evaluate, info.

Every command is thin over `Pipeline`. Bad input is one line on stderr and exit code 2; `verify` exits with 1 when a
file is not what was written; nothing is left behind by a command that fails.
"""

import argparse
import contextlib
import json
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from hybridgen import __version__

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")

EXAMPLES = """examples:
  hybridgen generate "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor" --seconds 60 -o track.wav
  hybridgen plan "7/8 prog rock in E minor, 140 bpm, 16 bars" -n 8 -o plan.json      then look, choose and edit
  hybridgen render plan-3.json -o track.flac
  hybridgen edit track.flac --bars 9-12 --chords "Am F C G" -o new.flac              all other bars stay as they are
  hybridgen finetune my-songs/ -o my-style            then: hybridgen generate "..." --adapter my-style:0.8
  hybridgen inspect track.flac        hybridgen replay track.flac -o again.flac        hybridgen verify track.flac
"""


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for an error in place of the usage block."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _print_note
        try:
            return args.run(args) or 0
        except KeyboardInterrupt:
            print("hybridgen: stopped, nothing was written", file=sys.stderr)
            return 130
        except (ValueError, OSError) as error:
            print(f"hybridgen: {_one_line(error)}", file=sys.stderr)
            return 2


def _print_note(message: Warning | str, category: type[Warning], *_: object) -> None:
    if category is UserWarning:
        print(f"hybridgen: note: {message}", file=sys.stderr)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


# ---- arguments


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="hybridgen",
        description="Instrumental music from a plan: what you ask for is what is written, bar by bar.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hybridgen {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    generate = _command(commands, "generate", run_generate, "a track from a prompt")
    _add_prompt(generate)
    _add_controls(generate)
    generate.add_argument("--plan-seed", type=int, metavar="N", help="seed of the plan alone")
    generate.add_argument("--plan-out", type=Path, metavar="plan.json", help="also write the plan")
    _add_render(generate)

    plan = _command(commands, "plan", run_plan, "one or several plans from a prompt, to read, choose and edit")
    _add_prompt(plan)
    plan.add_argument(
        "-n", type=int, default=1, metavar="N", help="how many; several go to plan-1.json ... (default 1)"
    )
    _add_controls(plan)
    _add_adapters(plan, "FOLDER[:STRENGTH]", "compose with what `hybridgen finetune` learned; repeatable")
    _add_model(plan)
    plan.add_argument("-o", "--out", type=Path, required=True, metavar="plan.json")

    render = _command(commands, "render", run_render, "the track of a plan")
    render.add_argument("plan", type=Path, metavar="plan.json")
    _add_render(render)

    edit = _command(commands, "edit", run_edit, "some bars of a track anew, everything else untouched")
    _add_edit(edit)

    finetune = _command(commands, "finetune", run_finetune, "an adapter from a folder of your own songs")
    _add_finetune(finetune)

    inspect = _command(commands, "inspect", run_inspect, "what made a file: its manifest and its plan")
    inspect.add_argument("file", type=Path, metavar="FILE", help="a track, or a plan.json")
    inspect.add_argument("--json", action="store_true", help="the manifest as JSON")

    replay = _command(commands, "replay", run_replay, "make a file again from its manifest alone")
    replay.add_argument("file", type=Path, metavar="FILE")
    _add_adapters(replay, "FOLDER", "where an adapter that it was made with lies now; repeatable")
    _add_model(replay)
    _add_out(replay, "again.flac")

    verify = _command(commands, "verify", run_verify, "whether a file is what was written (exit code 1 if not)")
    verify.add_argument("file", type=Path, metavar="FILE")

    encode = _command(commands, "encode", run_encode, "a recording to latents")
    encode.add_argument("file", type=Path, metavar="FILE")
    encode.add_argument("-o", "--out", type=Path, required=True, metavar="latents.safetensors")
    _add_model(encode)

    decode = _command(commands, "decode", run_decode, "latents to audio")
    decode.add_argument("file", type=Path, metavar="latents.safetensors")
    _add_out(decode, "out.wav")
    _add_model(decode)

    evaluate = _command(commands, "evaluate", run_evaluate, "a report on a model, measured on songs it has never seen")
    _add_evaluate(evaluate)

    info = _command(commands, "info", run_info, "versions, the model, its defaults, what is fast here")
    _add_adapters(info, "FOLDER", "also say what an adapter holds; repeatable")
    _add_model(info)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, run: object, what: str) -> Parser:
    parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def _add_prompt(parser: Parser) -> None:
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help='such as "deep house, 124 BPM in F minor, 32 bars"')
    parser.add_argument("--prompt-file", type=Path, metavar="FILE", help="read the prompt from a text file instead")


def _add_controls(parser: Parser) -> None:
    group = parser.add_argument_group(
        "controls", "what is given here is kept exactly and beats the words of the prompt"
    )
    group.add_argument("--seconds", type=float, metavar="S", help="exact length, 0.1 to 600 (default 30)")
    group.add_argument("--bars", type=int, metavar="N", help="length in whole bars, instead of seconds")
    group.add_argument("--tempo", type=float, metavar="BPM", help="quarter notes a minute, 30 to 300")
    group.add_argument("--key", metavar='"A minor"', help="one of the 24 major and minor keys")
    group.add_argument("--meter", metavar="7/8", help="2/4 3/4 4/4 5/4 6/8 7/8 9/8 or 12/8")
    group.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same track (default: random, and said)"
    )


def _add_model(parser: Parser) -> None:
    parser.add_argument("--model", metavar="tiny|FOLDER|HUB_ID", help="the model (default: tiny, which is shipped)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")


def _add_out(parser: Parser, example: str) -> None:
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar=example, help="the ending chooses: .wav .flac .ogg .mp3"
    )


def _add_render(parser: Parser) -> None:
    group = parser.add_argument_group("rendering")
    _add_render_options(group)
    _add_adapters(
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
    _add_model(parser)


def _add_render_options(group: argparse._ActionsContainer) -> None:
    group.add_argument("--render-seed", type=int, metavar="N", help="seed of the sound alone")
    group.add_argument("--steps", type=int, metavar="N", help="solver steps a window (default: the model's)")
    group.add_argument(
        "--guidance", type=float, metavar="G", help="how hard to follow prompt and plan (default: the model's)"
    )


def _add_adapters(parser: argparse._ActionsContainer, form: str, what: str) -> None:
    parser.add_argument("--adapter", action="append", default=[], metavar=form, help=what)


def _add_edit(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="track.flac")
    parser.add_argument("--bars", required=True, metavar="9-12", help="bars to make anew, from 1, both included")
    parser.add_argument("--chords", metavar='"Am F C,G"', help="one entry a bar, repeated; a comma splits a bar")
    parser.add_argument("--key", metavar='"A minor"', help="transpose the chords of these bars")
    parser.add_argument("--energy", type=int, metavar="0-7")
    parser.add_argument("--roles", metavar='"drums bass"', help="who plays in these bars")
    parser.add_argument("--prompt", metavar="WORDS", help="other words for these bars")
    parser.add_argument("--plan", type=Path, metavar="edited.json", help="take the bars from an edited plan")
    foreign = parser.add_argument_group("for a recording that hybridgen did not make")
    foreign.add_argument("--tempo", type=float, metavar="BPM")
    foreign.add_argument("--downbeat", type=float, metavar="SECONDS", help="where its bar 1 begins")
    foreign.add_argument("--meter", metavar="4/4", help="(default 4/4)")
    _add_render_options(parser)
    _add_adapters(parser, "FOLDER[:STRENGTH]", "make these bars with what `hybridgen finetune` learned; repeatable")
    parser.add_argument("--no-latents", action="store_true", help="do not keep the latents beside the track")
    _add_out(parser, "new.flac")
    _add_model(parser)


def _add_evaluate(parser: Parser) -> None:
    parser.add_argument("model", metavar="tiny|FOLDER|HUB_ID", help="the model")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="report", help="folder for the report")
    parser.add_argument("--quick", action="store_true", help="fewer prompts: minutes, not an hour")
    parser.add_argument("--songs", type=Path, metavar="FOLDER", help="keep the songs here, for other models too")
    parser.add_argument("--clap", type=Path, metavar="FOLDER", help="a CLAP checkpoint, to score prompts and sounds")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")


FINETUNE = """Puts what is particular to your songs into a small file, an adapter, and leaves the model as it is.

  1. Put your songs into a folder: wav, flac, mp3, ogg, m4a or aiff; eight or so, 6 seconds to 10 minutes each. Only
     music that is yours, or that you may use in this way.
  2. Beside any of them, if you like, its description in words: night-drive.txt beside night-drive.wav, such as
     "dark synthwave, analog bass, 96 BPM in E minor". Tempo, key and meter are read from it. What it does not say
     is heard where librosa is installed (beats, in 4/4, and the key), or stays unknown.
  3. hybridgen finetune my-songs/ -o my-style
     Stop it when you like (Ctrl-C): the same command goes on.
  4. hybridgen generate "night drive through rain" --adapter my-style:0.8

The adapter has two halves: how it composes (planner) and how it sounds (renderer); --only trains one of them."""


def _add_finetune(parser: Parser) -> None:
    parser.description, parser.formatter_class = FINETUNE, argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="your songs")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="my-style", help="the adapter, a folder")
    parser.add_argument("--only", choices=("planner", "renderer"), help="how it composes, or how it sounds, alone")
    parser.add_argument("--steps", type=int, metavar="N", help="training steps of each half (default: 150 and 300)")
    _add_model(parser)


# ---- commands


def run_generate(args: argparse.Namespace) -> None:
    prompt = _read_prompt(args)
    _check_outputs(args.out, args.plan_out, args.plot)
    pipe = _load_adapted(args)
    started = time.perf_counter()
    with _bars() as progress:
        track = pipe.generate(
            prompt,
            seconds=args.seconds,
            bars=args.bars,
            tempo=args.tempo,
            key=args.key,
            meter=args.meter,
            seed=args.seed,
            plan_seed=args.plan_seed,
            render_seed=args.render_seed,
            num_steps=args.steps,
            guidance_scale=args.guidance,
            progress=progress,
        )
    _finish(track, args, started)
    if args.plan_out is not None:
        _write_text(args.plan_out, track.plan.to_json())


def run_plan(args: argparse.Namespace) -> None:
    prompt = _read_prompt(args)
    paths = [args.out]
    if args.n > 1:
        paths = [args.out.with_stem(f"{args.out.stem}-{i}") for i in range(1, args.n + 1)]
    _check_outputs(None, *paths)
    for adapter in _parse_adapters(args):
        if adapter.bars is not None:
            raise ValueError(f"adapter {adapter}: a score is written as a whole; give bars to render or generate")
    with _bars() as progress:
        plans = _load_adapted(args).plan(
            prompt,
            args.n,
            seconds=args.seconds,
            bars=args.bars,
            tempo=args.tempo,
            key=args.key,
            meter=args.meter,
            seed=args.seed,
            progress=progress,
        )
    for path, plan in zip(paths, plans, strict=True):
        _write_text(path, plan.to_json())
        print(f"{path}: {plan.text()}")


def run_render(args: argparse.Namespace) -> None:
    plan = _read_plan(args.plan)
    _check_outputs(args.out, args.plot)
    pipe = _load_adapted(args)
    started = time.perf_counter()
    with _bars() as progress:
        track = pipe.render(
            plan, seed=args.render_seed, num_steps=args.steps, guidance_scale=args.guidance, progress=progress
        )
    _finish(track, args, started)


def run_edit(args: argparse.Namespace) -> None:
    bars = _parse_bars(args.bars)
    _check_outputs(args.out)
    pipe = _load_adapted(args)
    started = time.perf_counter()
    with _bars() as progress:
        track = pipe.open(args.file, tempo=args.tempo, downbeat=args.downbeat, meter=args.meter, progress=progress)
        if args.plan is not None:
            plan = _read_plan(args.plan)
        else:
            plan = track.plan.edit(
                bars,
                key=args.key,
                chords=None if args.chords is None else args.chords.split(),
                energy=args.energy,
                roles=None if args.roles is None else args.roles.replace(",", " ").split(),
                prompt=args.prompt,
            )
        if track.manifest.adapters and not args.adapter:
            warnings.warn("the track was made with adapters; without --adapter its new bars are not", stacklevel=1)
        new = pipe.rerender(
            track,
            plan,
            bars,
            seed=args.render_seed,
            num_steps=args.steps,
            guidance_scale=args.guidance,
            progress=progress,
        )
    _finish(new, args, started)


def run_finetune(args: argparse.Namespace) -> int:
    import torch

    from hybridgen.training import finetune, lora

    _check_device(args)
    train = finetune.settings(args.model, args.device, torch.get_num_threads(), args.only, args.steps)
    started = time.perf_counter()
    results = finetune.main(args.folder, args.out, train)
    if results is None:
        print(f"{args.out}: stopped; the same command goes on")
        return 130
    for line in lora.summary(results):
        print(line)
    print(f"{args.out}: made in {time.perf_counter() - started:.0f} s; {args.out / lora.WORK} is no longer needed")
    print(f'use it: hybridgen generate "..." --adapter {args.out}:0.8')
    return 0


def run_inspect(args: argparse.Namespace) -> None:
    from hybridgen import manifest
    from hybridgen.plan import Plan

    if args.file.suffix == ".json":
        print(_read_plan(args.file).text())
        return
    record = manifest.read(args.file)
    if args.json:
        print(record.to_json())
        return
    plan = Plan.from_dict((record.edits[-1] if record.edits else {"plan": record.plan})["plan"])
    print(f"{args.file}: {manifest.MARK}")
    print(f"made by {record.generator}, model {record.model}, command {record.kind}, {len(record.edits)} edits")
    print(f"prompt: {record.prompt}")
    print(f"plan seed {record.plan_seed}, render seed {record.render_seed}, gain {record.gain_db:+.2f} dB")
    print(f"sampling: {json.dumps(record.sampling)}")
    for adapter in record.adapters:
        print(f"adapter: {_told(adapter)}")
    for edit in record.edits:
        for adapter in edit.get("adapters", []):
            print(f"adapter in bars {edit['bars'][0]}-{edit['bars'][1]}: {_told(adapter)}")
    print(f"versions: {', '.join(f'{name} {version}' for name, version in record.versions.items())}")
    print(f"\n{plan.text()}")


def _told(adapter: dict) -> str:
    hashes = ", ".join(f"{stage} {digest[:12]}" for stage, digest in adapter["sha256"].items())
    return f"{adapter['path']} at strength {adapter['strength']:g} ({hashes})"


def run_replay(args: argparse.Namespace) -> None:
    from hybridgen import manifest

    record = manifest.read(args.file)
    _check_outputs(args.out)
    args.model = args.model or record.model
    pipe = _load(args)
    started = time.perf_counter()
    with _bars() as progress:
        track = pipe.replay(record, progress, args.adapter)
    args.no_latents = True
    _finish(track, args, started)


def run_verify(args: argparse.Namespace) -> int:
    from hybridgen import manifest

    problems = manifest.verify(args.file)
    for problem in problems:
        print(f"{args.file}: {problem}")
    if not problems:
        print(f"{args.file}: intact, every byte as it was written")
    return 1 if problems else 0


def run_encode(args: argparse.Namespace) -> None:
    from hybridgen import files, weights
    from hybridgen.audio import Audio
    from hybridgen.plan import SAMPLE_RATE

    _check_outputs(None, args.out)
    recording = Audio.load(args.file).resample(SAMPLE_RATE)
    latents = _load(args).encode(recording)
    n_samples = recording.samples.shape[1]
    weights.save_latents(args.out, latents, files.sha256(args.file), n_samples)
    print(f"{args.out}: {latents.shape[0]} latent frames of {latents.shape[1]}, {n_samples / SAMPLE_RATE:.3f} s")


def run_decode(args: argparse.Namespace) -> None:
    from hybridgen import audio, weights
    from hybridgen.plan import SAMPLE_RATE

    _check_outputs(args.out)
    latents, n_samples = weights.load_latents(args.file)
    samples = _load(args).decode(latents, n_samples)
    audio.master(samples, gain_db=0.0)  # the level as it is, peaks limited
    audio.Audio(samples, SAMPLE_RATE).save(args.out)
    print(f"{args.out}: {n_samples / SAMPLE_RATE:.3f} s")


def run_evaluate(args: argparse.Namespace) -> int:
    from hybridgen import evaluation

    evaluation.check_installed()
    from hybridgen.evaluation.prompts import FULL, QUICK
    from hybridgen.evaluation.run import evaluate

    _check_device(args)
    size = QUICK if args.quick else FULL
    try:
        print(evaluate(args.model, args.out, size, songs=args.songs, clap=args.clap, device=args.device))
    except KeyboardInterrupt:
        print(f"{args.out}: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def run_info(args: argparse.Namespace) -> None:
    import platform

    import torch

    from hybridgen import ops, weights

    folder = weights.resolve(args.model)
    print(
        f"hybridgen {__version__}, Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}"
    )
    print(f"threads {torch.get_num_threads()}, CUDA {'available' if torch.cuda.is_available() else 'not available'}")
    print(f"fast kernels: {', '.join(ops.fast_ops()) or 'none (they need CUDA and Triton)'}")
    pipe = _load(args)
    print(f"model {pipe.name} in {folder}")
    for stage in ("text", "planner", "renderer", "codec", "quantizer"):
        count = sum(parameter.numel() for parameter in getattr(pipe, stage).parameters())
        path = folder / f"{stage}.safetensors"
        size = f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "pretrained, not part of the model"
        print(f"  {stage:<10}{count / 1e6:8.2f} M parameters   {size}")
    print(f"sampling: {pipe.config.sampling}")
    for adapter in pipe.with_adapters(_parse_adapters(args)).adapters:
        for stage, lora in adapter.loras.items():
            count = sum(parameter.numel() for parameter in lora.parameters())
            size = f"{len(lora.pairs)} layers, rank {lora.rank}"
            print(f"adapter {adapter.asked.path}: {stage} {count / 1e6:.2f} M parameters, {size}")


# ---- what the commands share


def _load(args: argparse.Namespace):  # -> Pipeline, imported here so that --help needs no torch
    from hybridgen.pipeline import Pipeline

    _check_device(args)
    return Pipeline.from_pretrained(args.model, device=args.device)


def _check_device(args: argparse.Namespace) -> None:
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is asked for, but torch finds no CUDA device here; use cpu")


def _load_adapted(args: argparse.Namespace):  # -> Pipeline
    asked = _parse_adapters(args)
    return _load(args).with_adapters(asked)


def _parse_adapters(args: argparse.Namespace) -> list:  # of Adapter
    from hybridgen.adapters import Adapter

    return [Adapter.parse(text) for text in args.adapter]


def _read_prompt(args: argparse.Namespace) -> str:
    if (args.prompt is None) == (args.prompt_file is None):
        raise ValueError("give the prompt as words or as --prompt-file FILE, one of the two")
    if args.prompt_file is None:
        return args.prompt
    try:
        return args.prompt_file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{args.prompt_file}: is no UTF-8 text") from None


def _read_plan(path: Path):  # -> Plan
    from hybridgen.plan import Plan

    try:
        return Plan.from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no UTF-8 text, so no plan") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse_bars(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:\s*[-–]\s*(\d+))?", text.strip())
    if match is None:
        raise ValueError(f"bars {text!r} is no range such as 9-12")
    return int(match[1]), int(match[2] or match[1])


def _check_outputs(track: Path | None, *others: Path | None) -> None:
    """ValueError before any work is done when an output could not be written."""
    if track is not None and track.suffix.lower() not in AUDIO_ENDINGS:
        raise ValueError(f"output {str(track)!r} ends in {track.suffix!r}, none of {' '.join(AUDIO_ENDINGS)}")
    for path in (track, *others):
        if path is not None and not path.resolve().parent.is_dir():
            raise ValueError(f"output {str(path)!r}: the folder {str(path.parent)!r} does not exist")
        if path is not None and path.is_dir():
            raise ValueError(f"output {str(path)!r} is a folder")


def _write_text(path: Path, text: str) -> None:
    from hybridgen.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _finish(track, args: argparse.Namespace, started: float) -> None:
    """Save, draw if asked, and say in one line what was made."""
    took = time.perf_counter() - started
    path = track.save(args.out or _default_name(track), latents=not args.no_latents)
    if getattr(args, "plot", None) is not None:
        from hybridgen.plot import plot

        plot(track.samples, track.plan, args.plot)
    minutes, seconds = divmod(track.plan.seconds, 60)
    speed = track.plan.seconds / took
    seeds = f"plan seed {track.seed}, render seed {track.render_seed}"
    print(f"{path}: {int(minutes)}:{seconds:06.3f}, made in {took:.1f} s ({speed:.1f}x real time), {seeds}")


def _default_name(track) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", track.plan.prompt.lower())[:40].strip("-") or "track"
    return Path(f"{slug}-{track.seed}.flac")


@contextlib.contextmanager
def _bars() -> Iterator[object]:
    """A progress callback that draws one bar a stage on a terminal, and nothing elsewhere."""
    bars: dict[str, tqdm] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = tqdm(total=total, desc=f"{stage:<10}", leave=False, disable=None)
        bars[stage].total = total
        bars[stage].update(done - bars[stage].n)

    try:
        yield progress
    finally:
        for bar in bars.values():
            bar.close()
