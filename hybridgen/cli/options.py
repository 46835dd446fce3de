"""What the commands share: options, how they are read, where results go."""

import argparse
import contextlib
import itertools
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from tqdm import tqdm

from hybridgen import formats
from hybridgen.plan.controls import ControlArgs, Controls, Option, options
from hybridgen.plan.notes import bar_text
from hybridgen.plan.parts import check_seed
from hybridgen.progress import Progress

if TYPE_CHECKING:
    from hybridgen.adapters import Adapter
    from hybridgen.audio import Audio
    from hybridgen.files import Outputs
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.plan import Plan
    from hybridgen.track import Track

MAX_THREADS = 512
AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
Commands = argparse._SubParsersAction  # what add_subparsers returns


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for an error in place of the usage block."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {one_line(message)} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


# ---- options


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], what: str, older: str | None = None
) -> Parser:
    """A new command that calls `run`; older: the name that it had before, under which scripts still find it."""
    about = what[0].upper() + what[1:] + "."
    parser: Parser = commands.add_parser(name, aliases=[older] if older else [], help=what, description=about)
    parser.set_defaults(run=run)
    return parser


def add_prompt(parser: Parser) -> None:
    """The prompt, in words or from a file; see `read_prompt`."""
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help='such as "deep house, 124 BPM in F minor, 32 bars"')
    parser.add_argument("--prompt-file", type=Path, metavar="FILE", help="read the prompt from a text file instead")


def written_controls(place: str) -> dict[str, Option]:
    """The fields of `Controls` that belong to a "request" or an "edit" and can be written in one argument.

    An edit keeps the time of the track, so the tempo is not among what it changes.
    """
    found = options(place).items()
    return {name: option for name, option in found if option.parse and (place, name) != ("edit", "tempo")}


def add_controls(parser: argparse._ActionsContainer, place: str, without: Collection[str] = ()) -> None:
    """An option for each of `written_controls` but those named in `without`, which stay None."""
    for name, option in written_controls(place).items():
        if name in without:
            parser.set_defaults(**{name: None})
            continue
        assert option.parse is not None
        flag, action = f"--{option.repeats or name}", "append" if option.repeats else "store"
        what = option.help.replace("%", "%%")  # argparse formats it
        read = option.parse if option.parse in (int, float, str) else _argument(option.parse)
        parser.add_argument(flag, dest=name, action=action, type=read, metavar=option.metavar, help=what)


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """`parse` of an argument, whose message argparse shows; of a ValueError it shows the name of the function."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def read_controls(args: argparse.Namespace, place: str) -> dict[str, Any]:
    """What `add_controls` has read, as keyword arguments; ValueError for what is not possible."""
    controls = {name: getattr(args, name) for name in written_controls(place)}
    for name, option in written_controls(place).items():
        if option.repeats and controls[name] is not None:
            controls[name] = {key: value for entry in controls[name] for key, value in entry.items()}
    Controls.of(place, cast(ControlArgs, controls))  # before a model is loaded for it
    return controls


def add_request_controls(parser: Parser, without: Collection[str] = ()) -> None:
    """What a request may fix, and its seed; what is named in `without` has no option and stays None."""
    group = parser.add_argument_group(
        "controls", "what is given here is kept exactly and beats the words of the prompt"
    )
    add_controls(group, "request", without)
    parser.set_defaults(melody=None)
    if "melody" not in without:
        group.add_argument(
            "--melody",
            type=Path,
            metavar="hum.wav",
            help="what the lead plays: a hummed, sung or whistled tune, or the lead of .mid .abc .musicxml plan.json",
        )
    group.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same track (default: random, and said)"
    )


def read_melody(args: argparse.Namespace, prompt: str, controls: dict[str, Any]) -> "Plan | None":
    """The melody that `--melody` names, shown as it is heard or read; None without one.

    A tune is quantised to the tempo and the meter of the request.
    """
    if args.melody is None:
        return None
    if args.melody.suffix.lower() in formats.READS:
        melody = read_plan(args.melody)
    else:
        from hybridgen.pipeline import Pipeline
        from hybridgen.text.controls import understand

        asked = understand(prompt).controls
        tempo = controls["tempo"] or asked.tempo
        melody = Pipeline.hear_melody(
            args.melody, None if isinstance(tempo, tuple) else tempo, controls["meter"] or asked.meter or "4/4"
        )
    for number, bar in enumerate(melody.part("lead").bars, start=1):
        print(f"melody {number}: {bar_text(bar or (), 'lead') or 'silence'}")
    return melody


def add_model(parser: Parser, makes_music: bool = True) -> None:
    """Which model, and where it computes; makes_music: whether planner or renderer work, whose memory is limited."""
    parser.add_argument(
        "--model",
        metavar="tiny|FOLDER|HUB_ID",
        help="the model (default: tiny, which is shipped); of the Hub owner/name or owner/name@revision",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    add_threads(parser)
    if makes_music:
        parser.add_argument(
            "--memory",
            metavar="4GB",
            help="make do with so much; says how, and whether the music changes by it (default: no limit)",
        )
    parser.add_argument(
        "--accept-license", metavar="ID", help="use a codec whose license (such as CC-BY-NC-4.0) forbids some uses"
    )


def add_threads(parser: Parser) -> None:
    """How many threads compute."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="of the CPU for each stage, two of which may be at work at a time (default: by the model's width, half as "
        "many as cores or as many); recorded, as the last bits of the sound depend on it",
    )


def add_out(parser: Parser, example: str, what: str = "the ending chooses: .wav .flac .ogg .mp3") -> None:
    """A file to write."""
    parser.add_argument("-o", "--out", type=Path, required=True, metavar=example, help=what)
    add_overwrite(parser)


def add_overwrite(parser: argparse._ActionsContainer) -> None:
    """Whether files that are not ours may be replaced."""
    what = "replace existing files that hybridgen did not make, or of another kind, too"
    parser.add_argument("--overwrite", action="store_true", help=what)


def add_adapters(parser: argparse._ActionsContainer, form: str, what: str) -> None:
    """--adapter, repeatable."""
    parser.add_argument("--adapter", action="append", default=[], metavar=form, help=what)


def add_render_options(group: argparse._ActionsContainer) -> None:
    """The fields of `RenderOptions`."""
    group.add_argument("--render-seed", type=int, metavar="N", help="seed of the sound alone")
    group.add_argument("--steps", type=int, metavar="N", help="solver steps a window (default: the model's)")
    group.add_argument(
        "--guidance", type=float, metavar="G", help="how hard to follow prompt and plan (default: the model's)"
    )


def read_render_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_render_options` has read, as keyword arguments but for the seed; ValueError for a bad value."""
    from hybridgen.sampling import RenderOptions

    for name in ("seed", "plan_seed"):
        if getattr(args, name, None) is not None:
            check_seed(getattr(args, name))
    RenderOptions(args.render_seed, args.steps, args.guidance)  # before a model is loaded for it
    return {"num_steps": args.steps, "guidance_scale": args.guidance}


# ---- reading them


def load_pipeline(args: argparse.Namespace) -> "Pipeline":
    """The model that --model, --device and --adapter name, in the memory that --memory leaves it."""
    import torch

    from hybridgen.pipeline import Pipeline
    from hybridgen.render import beside

    use_device(args)
    found, memory = parse_adapters(args), getattr(args, "memory", None)
    pipe = Pipeline.from_pretrained(args.model, device=args.device, accept_license=args.accept_license, memory=memory)
    if getattr(args, "threads", None) is None:
        torch.set_num_threads(beside.default_threads(pipe.config.renderer.dim, torch.get_num_threads()))
    if pipe.budget is not None:
        print(f"hybridgen: {pipe.budget}", file=sys.stderr)  # stdout may be sound
    return pipe.with_adapters(found) if found else pipe


def use_device(args: argparse.Namespace) -> None:
    """Takes the threads that --threads asks for; ValueError for none, and where CUDA is requested but not available."""
    import torch

    from hybridgen.stages import check_device

    check_device(args.device)
    if (threads := getattr(args, "threads", None)) is not None:
        torch.set_num_threads(check_threads(threads))


def check_threads(threads: int) -> int:
    """The number; ValueError where no machine has as many."""
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"--threads {threads} is outside 1-{MAX_THREADS}")
    return threads


def parse_adapters(args: argparse.Namespace) -> "list[Adapter]":
    """The adapters that --adapter names; none for a command without that option."""
    texts = getattr(args, "adapter", [])
    if not texts:
        return []
    from hybridgen.adapters import Adapter

    return [Adapter.parse(text) for text in texts]


def read_prompt(args: argparse.Namespace) -> str:
    """The prompt, from wherever it is given; ValueError unless it is given once, and for the name of a file."""
    if (args.prompt is None) == (args.prompt_file is None):
        raise ValueError("give the prompt as words or as --prompt-file FILE, one of the two")
    if args.prompt_file is None:
        check_is_words(args.prompt)
        return args.prompt
    try:
        return args.prompt_file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{args.prompt_file}: not UTF-8 text") from None


def check_is_words(prompt: str) -> None:
    """ValueError for the name of a file in place of a prompt, FileNotFoundError where none of that name is there."""
    if not prompt.lower().endswith((*formats.READS, *AUDIO_ENDINGS)):
        return
    if os.path.isfile(prompt):  # which a long prompt may be asked, as a Path may not
        ways = "hybridgen render takes plans, hybridgen vary and repaint tracks, --prompt-file words"
        raise ValueError(f"prompt {prompt!r} is a file: {ways}")
    if len(prompt.split()) == 1:
        raise FileNotFoundError(2, "No such file", prompt)


def print_understood(prompt: str, controls: dict[str, Any]) -> None:
    """Says what is taken from the words of a prompt, beside the controls that are given."""
    from hybridgen.request import taken_from_words
    from hybridgen.text.controls import understand

    understood = understand(prompt)
    if summary := taken_from_words(understood, Controls(**controls)).text(understood.spelling):
        print(f"from your words: {printable(summary)}")


def read_plan(path: Path) -> "Plan":
    """The plan in a JSON, MIDI, ABC, MusicXML or chord chart file, with notes on what it could not carry."""
    from hybridgen import formats

    plan, notes = formats.read(path)
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return plan


def plan_in(path: Path) -> "Plan":
    """The plan of a track of ours, or the one in a file of any format that is read; ValueError for anything else."""
    from hybridgen import manifest

    return manifest.read(path).plan if path.suffix.lower() in AUDIO_ENDINGS else read_plan(path)


def parse_bars(text: str) -> list[tuple[int, int]]:
    """(first, last) of each range in "3,5-6,9-12", in order; ValueError for all else and for shared bars."""
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?", part.strip())
        if match is None:
            raise ValueError(f"bars {part.strip()[:60]!r} is no range such as 9-12; several are written 3,5-6,9-12")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    ranges.sort()
    for (_, last), (first, _) in itertools.pairwise(ranges):
        if first <= last:
            raise ValueError(f"bars {text!r}: bar {first} is in two of the ranges")
    return ranges


def parse_seconds(text: str) -> list[tuple[float, float]]:
    """(start, stop) of each range in "12-15.5,30-32"; ValueError for all else."""
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*[-–]\s*(\d{1,6}(?:\.\d{1,6})?)", part.strip())
        if match is None:
            raise ValueError(f"seconds {part.strip()[:60]!r} is no range such as 12-15.5; several: 12-15.5,30-32")
        ranges.append((float(match[1]), float(match[2])))
    return ranges


# ---- results


def printable(text: str) -> str:
    """Text from a stranger's file, without characters that would steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def one_line(text: str) -> str:
    """The same of an error or a note, in one line, even where a file's name has two."""
    return printable(" ".join(text.split()))


def check_outputs(
    args: argparse.Namespace,
    track: Path | None = None,
    *,
    sound: Path | None = None,
    plans: Sequence[Path] = (),
    latents: Path | None = None,
    other: Path | None = None,
    inputs: Sequence[Path] = (),
) -> None:
    """ValueError before any work is done when an output could not, or must not, be written.

    track: with its picture and its latents, as far as `args` ask for them; sound: one without a manifest; plans: in any
    format that is written; other: a file of another kind.
    """
    from hybridgen import outputs
    from hybridgen.track import sidecar

    picture = getattr(args, "plot", None)
    _check_ending("output", track, AUDIO_ENDINGS)
    _check_ending("output", sound, AUDIO_ENDINGS)
    _check_ending("plot", picture, outputs.PICTURE_ENDINGS)
    for plan in plans:
        try:
            formats.check_written(plan.suffix.lower())
        except ValueError as error:
            raise ValueError(f"output {str(plan)!r}: {error}") from None
    beside = None if track is None or getattr(args, "no_latents", True) else sidecar(track)
    made: list[tuple[Path | None, outputs.Kind]] = [(track, "track"), (picture, "picture"), (sound, "other")]
    made += [(plan, "plan" if plan.suffix.lower() == ".json" else "other") for plan in plans]
    made += [(latents, "latents"), (other, "other"), (beside, "latents")]
    outputs.check([(path, kind) for path, kind in made if path is not None], inputs, args.overwrite)


def _check_ending(name: str, path: Path | None, endings: Sequence[str]) -> None:
    if path is not None and path.suffix.lower() not in endings:
        raise ValueError(f"{name} {str(path)!r} ends in {path.suffix!r}, none of {' '.join(endings)}")


def write_plans(plans: "Mapping[Path, Plan]") -> None:
    """Write plans in the formats that their names end in, all of them or none."""
    from hybridgen.files import Outputs

    with Outputs() as together:
        for path, plan in plans.items():
            together.add(path).write_bytes(formats.dump(plan, path.suffix.lower()))


def finish(
    track: "Track",
    args: argparse.Namespace,
    started: float,
    plan_out: Path | None = None,
    beside: "Mapping[Path, Audio] | None" = None,
) -> None:
    """Save, draw if requested, with the sounds `beside` it, all of it or nothing, and say in one line what was made."""
    from hybridgen.files import Outputs
    from hybridgen.plan.serial import clock

    took = time.perf_counter() - started
    with Outputs() as together:
        path = add_track(together, track, args, plan_out)
        for place, sound in (beside or {}).items():
            sound.write(together.add(place), ".wav", bits="32f")
    speed = track.plan.seconds / took
    seeds = f"plan seed {track.seed}, render seed {track.render_seed}"
    print(f"{path}: {clock(track.plan.seconds)}, made in {took:.1f} s ({speed:.1f}x real time), {seeds}")


def add_track(together: "Outputs", track: "Track", args: argparse.Namespace, plan_out: Path | None = None) -> Path:
    """Add a track, and its picture and plan as far as requested, to what is written together; returns its path."""
    path, picture = args.out or _default_name(track), getattr(args, "plot", None)
    track.write(together, path, latents=not getattr(args, "no_latents", True))
    if picture is not None:
        from hybridgen import plot

        plot.write(plot.draw(track.samples, track.plan), together.add(picture), picture.suffix)
    if plan_out is not None:
        together.add(plan_out).write_bytes(formats.dump(track.plan, plan_out.suffix.lower()))
    return path


def numbered(path: Path, n: int) -> list[Path]:
    """The names of several files instead of one: plan-1.json, plan-2.json ...; of one the name itself.

    ValueError for fewer or more than are made together.
    """
    from hybridgen.planning.plans import check_count

    check_count(n)
    return [path] if n == 1 else [path.with_stem(f"{path.stem}-{i}") for i in range(1, n + 1)]


def _default_name(track: "Track") -> Path:
    """A name by prompt and seed; numbered where something else, not made by hybridgen, has that name."""
    from hybridgen.outputs import Kind, is_ours
    from hybridgen.track import sidecar

    slug = re.sub(r"[^a-z0-9]+", "-", track.plan.prompt.lower())[:40].strip("-") or "track"
    for number in itertools.count(1):
        path = Path(f"{slug}-{track.seed}{f'-{number}' if number > 1 else ''}.flac")
        names: list[tuple[Path, Kind]] = [(path, "track"), (sidecar(path), "latents")]
        if all(not one.exists() or (one.is_file() and is_ours(one, kind)) for one, kind in names):
            break
    return path


@contextlib.contextmanager
def progress_bars() -> Iterator[Progress]:
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
