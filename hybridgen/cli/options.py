"""What the commands share: options, how they are read, where results go."""

import argparse
import contextlib
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tqdm import tqdm

from hybridgen.plan.controls import Option, options
from hybridgen.progress import Progress

if TYPE_CHECKING:
    from hybridgen.adapters import Adapter
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.plan import Plan
    from hybridgen.track import Track

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
Commands = argparse._SubParsersAction  # what add_subparsers returns


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for an error in place of the usage block."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


# ---- options


def command(commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], what: str) -> Parser:
    """A new command that calls `run`."""
    parser: Parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
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


def add_controls(parser: argparse._ActionsContainer, place: str) -> None:
    """An option for each of `written_controls`."""
    for name, option in written_controls(place).items():
        assert option.parse is not None
        parser.add_argument(f"--{name}", type=option.parse, metavar=option.metavar, help=option.help)


def read_controls(args: argparse.Namespace, place: str) -> dict[str, Any]:
    """What `add_controls` has read, as keyword arguments."""
    return {name: getattr(args, name) for name in written_controls(place)}


def add_request_controls(parser: Parser) -> None:
    """What a request may fix, and its seed."""
    group = parser.add_argument_group(
        "controls", "what is given here is kept exactly and beats the words of the prompt"
    )
    add_controls(group, "request")
    group.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same track (default: random, and said)"
    )


def add_model(parser: Parser) -> None:
    """Which model, and where it computes."""
    parser.add_argument("--model", metavar="tiny|FOLDER|HUB_ID", help="the model (default: tiny, which is shipped)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    parser.add_argument(
        "--accept-license", metavar="ID", help="use a codec whose license (such as CC-BY-NC-4.0) forbids some uses"
    )


def add_out(parser: Parser, example: str) -> None:
    """A sound file to write."""
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar=example, help="the ending chooses: .wav .flac .ogg .mp3"
    )


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
    """What `add_render_options` has read, as keyword arguments but for the seed."""
    return {"num_steps": args.steps, "guidance_scale": args.guidance}


# ---- reading them


def load_pipeline(args: argparse.Namespace) -> "Pipeline":
    """The model that --model, --device and --adapter name."""
    from hybridgen.pipeline import Pipeline

    check_device(args)
    found = parse_adapters(args)
    pipe = Pipeline.from_pretrained(args.model, device=args.device, accept_license=args.accept_license)
    return pipe.with_adapters(found) if found else pipe


def check_device(args: argparse.Namespace) -> None:
    """ValueError where CUDA is requested but not available."""
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was requested, but torch finds no CUDA device here; use cpu")


def parse_adapters(args: argparse.Namespace) -> "list[Adapter]":
    """The adapters that --adapter names; none for a command without that option."""
    texts = getattr(args, "adapter", [])
    if not texts:
        return []
    from hybridgen.adapters import Adapter

    return [Adapter.parse(text) for text in texts]


def read_prompt(args: argparse.Namespace) -> str:
    """The prompt, from wherever it is given; ValueError unless it is given once."""
    if (args.prompt is None) == (args.prompt_file is None):
        raise ValueError("give the prompt as words or as --prompt-file FILE, one of the two")
    if args.prompt_file is None:
        return args.prompt
    try:
        return args.prompt_file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{args.prompt_file}: not UTF-8 text") from None


def read_plan(path: Path) -> "Plan":
    """The plan in a JSON file; ValueError that names the file."""
    from hybridgen.plan.plan import Plan

    try:
        return Plan.from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text, so not a plan") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


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


# ---- results


def printable(text: str) -> str:
    """Text from a stranger's file, without characters that would steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def check_outputs(track: Path | None, *others: Path | None) -> None:
    """ValueError before any work is done when an output could not be written."""
    if track is not None and track.suffix.lower() not in AUDIO_ENDINGS:
        raise ValueError(f"output {str(track)!r} ends in {track.suffix!r}, none of {' '.join(AUDIO_ENDINGS)}")
    for path in (track, *others):
        if path is not None and not path.resolve().parent.is_dir():
            raise ValueError(f"output {str(path)!r}: the folder {str(path.parent)!r} does not exist")
        if path is not None and path.is_dir():
            raise ValueError(f"output {str(path)!r} is a folder")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    from hybridgen.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finish(track: "Track", args: argparse.Namespace, started: float, latents: bool) -> None:
    """Save, draw if requested, and say in one line what was made."""
    took = time.perf_counter() - started
    path = track.save(args.out or _default_name(track), latents=latents)
    if getattr(args, "plot", None) is not None:
        from hybridgen.plot import plot

        plot(track.samples, track.plan, args.plot)
    minutes, seconds = divmod(track.plan.seconds, 60)
    speed = track.plan.seconds / took
    seeds = f"plan seed {track.seed}, render seed {track.render_seed}"
    print(f"{path}: {int(minutes)}:{seconds:06.3f}, made in {took:.1f} s ({speed:.1f}x real time), {seeds}")


def _default_name(track: "Track") -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", track.plan.prompt.lower())[:40].strip("-") or "track"
    return Path(f"{slug}-{track.seed}.flac")


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
