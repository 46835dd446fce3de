"""The command line. Every command is thin over `Pipeline` and imports what it needs when it runs.

Bad input is one line on stderr and exit code 2; `verify` exits with 1 when a file is not what was written; nothing is
left behind by a command that fails.
"""

import argparse
import re
import sys
import warnings
from typing import TextIO

from hybridgen import __version__, interrupts, shortage
from hybridgen.cli import bench, change, compare, generate, inspect, judge, push, serve, stream, train
from hybridgen.cli.options import Parser, one_line

EXAMPLES = """examples:
  hybridgen generate "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor" --seconds 60 -o track.wav
  hybridgen understand "slow 7/8 prog rock, no drums, rhodes and flute"               what is read in your words
  hybridgen plan "7/8 prog rock in E minor, 140 bpm, 16 bars" -n 8 -o plan.json      then look, choose and edit
  hybridgen render plan-3.json -o track.flac
  hybridgen repaint track.flac --bars 9-12 --chords "Am F C G" -o new.flac           all other bars stay as they are
  hybridgen extend track.flac --bars 8 -o longer.flac      hybridgen loop track.flac --bars 8 -o loop.wav
  hybridgen cover song.wav "string quartet" -o cover.flac  hybridgen layer song.wav --role lead -o with-lead.flac
  hybridgen vary track.flac --amount 0.3 -o other.flac     hybridgen stems track.flac -o stems/
  hybridgen style track.flac reference.wav -o warm.flac                    spectrum and stereo width of a reference
  hybridgen stream "deep house, 122 BPM" -o - | aplay -       endless; type "energy 6" or "mute drums" while it plays
  hybridgen serve --workers 2                         REST over a queue, on this machine alone unless there are keys
  hybridgen export track.flac -o pack.zip             mix, stems, click, DAWproject, MIDI, lead sheet, chords, labels
  hybridgen compare track.flac new.flac -o both.png                                  what differs, bar by bar
  hybridgen plan track.flac --arrange "intro A A B A outro" -o longer.json           its sections in another order
  hybridgen finetune my-songs/ -o my-style            then: hybridgen generate "..." --adapter my-style:0.8
  hybridgen inspect track.flac        hybridgen replay track.flac -o again.flac        hybridgen verify track.flac
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = build_parser()
    for argument in sys.argv[1:] if argv is None else argv:
        if re.fullmatch(r"--[a-z-]+=--", argument):  # which argparse makes an empty list
            parser.error(f"argument {argument[:-3]}: '--' is no value")
    args = parser.parse_args(argv)
    with warnings.catch_warnings(), interrupts.handled(unwinds=getattr(args, "resumes", False)):
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _print_note
        try:
            return args.run(args) or 0
        except interrupts.Stopped as stopped:
            print(interrupts.MESSAGE, file=sys.stderr)
            return stopped.exit_code
        except (ValueError, OSError) as error:
            print(f"hybridgen: {one_line(_said(error))}", file=sys.stderr)
            return 2
        except (MemoryError, RuntimeError, ImportError) as error:
            if (wanted := shortage.wanted(error)) is None:
                raise
            less = "; try --memory 2GB, or as much as is free" if hasattr(args, "memory") else ""
            print(f"hybridgen: not enough memory: {wanted}{less}", file=sys.stderr)
            return 2


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
    for group in (generate, change, stream, serve, train, push, inspect, compare, judge, bench):
        group.add_commands(commands)
    return parser


def _print_note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if category is UserWarning:
        print(f"hybridgen: note: {one_line(str(message))}", file=sys.stderr)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
