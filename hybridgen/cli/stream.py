"""stream: endless music, played, piped or written, and steered by lines that are typed."""

import argparse
import contextlib
import math
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.plan.parts import MIN_SECONDS

if TYPE_CHECKING:
    from hybridgen.render.stream import Stream

EPILOG = """While it plays, type a line to steer it, heard from the next bar on that is not rendered yet:
  energy 6 | tempo 96 | chords Am F C G | mute drums bass | mute | prompt solo piano | stop
Into another program:  hybridgen stream "deep house" -o - | aplay -        or  ... --raw -o - | ffplay -f s16le -ac 2 -
"""
UNKNOWN_LENGTH = 0xFFFFFFFF  # of a WAV file that is piped
LONGEST_FILE = 14_400.0  # seconds, of which a WAV file holds hardly more


def add_commands(commands: Commands) -> None:
    """stream."""
    stream = options.command(commands, "stream", run_stream, "endless music that can be steered while it plays")
    stream.epilog, stream.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    options.add_prompt(stream)
    options.add_request_controls(stream, without=("melody", "seconds", "ending"))
    group = stream.add_argument_group("playing")
    what = "a .wav file, or - for the standard output (default: the sound device, with the package sounddevice)"
    group.add_argument("-o", "--out", metavar="-|out.wav", help=what)
    group.add_argument("--raw", action="store_true", help="with -o -: 16-bit samples, two channels, without a header")
    what = "stop after exactly so long (default: never)"
    group.add_argument("--for", dest="limit", type=float, metavar="SECONDS", help=what)
    what = "when it stops, write what was played, its first minutes, as a track that can be replayed and changed"
    group.add_argument("--record", type=Path, metavar="track.flac", help=what)
    options.add_overwrite(group)
    group.add_argument("--steps", type=int, metavar="N", help="solver steps a window (default: the model's)")
    group.add_argument("--guidance", type=float, metavar="G", help="how hard to follow prompt and plan")
    options.add_adapters(group, "FOLDER[:STRENGTH]", "play with what `hybridgen finetune` learned; repeatable")
    options.add_model(stream)
    stream.set_defaults(no_latents=False, plot=None, render_seed=None)


def run_stream(args: argparse.Namespace) -> None:
    prompt, controls = options.read_prompt(args), options.read_controls(args, "request")
    chosen = options.read_render_options(args)
    out = None if args.out in (None, "-") else Path(args.out)
    if out is not None and (out.suffix.lower() != ".wav" or args.limit is None):
        need = "ends in " + repr(out.suffix) + ", not .wav" if out.suffix.lower() != ".wav" else "needs --for SECONDS"
        raise ValueError(f"--out {args.out}: {need}")
    if args.raw and args.out != "-":
        raise ValueError("--raw is for -o -, the standard output")
    longest = math.inf if out is None else LONGEST_FILE
    if args.limit is not None and not (MIN_SECONDS <= args.limit <= longest and math.isfinite(args.limit)):
        raise ValueError(f"--for {args.limit:g} is outside {MIN_SECONDS:g}-{longest:g} seconds")
    options.check_outputs(args, args.record, sound=out)
    pipe = options.load_pipeline(args).load()
    with _output(args.out, args.raw, pipe.time_base.sample_rate) as (write, say):
        stream = pipe.stream(prompt, seed=args.seed, **controls, **chosen)
        say(f"{stream.plan.text().splitlines()[0].strip()}; type a line to steer: {EPILOG.splitlines()[1].strip()}")
        if args.limit is not None:
            stream.end(args.limit)
        _play(stream, write, say)
    if args.record is not None:
        with contextlib.redirect_stdout(sys.stderr):  # the other may be a pipe of samples
            started = time.perf_counter()
            options.finish(stream.track(), argparse.Namespace(**{**vars(args), "out": args.record}), started)


def _play(stream: "Stream", write: Callable[[np.ndarray], None], say: Callable[[str], None]) -> None:
    """Plays to the end, if there is one, or until a line or a signal says stop; what is rendered is played out."""
    stopped = threading.Event()
    threading.Thread(target=_steer, args=(stream, stopped, say), daemon=True).start()
    with _until_signal(stopped):
        try:
            for block in stream:
                write(block)
                if stopped.is_set():
                    break
            stream.close()
            for block in stream:
                write(block)
        except BrokenPipeError:  # who listened has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            stream.close()


def _steer(stream: "Stream", stopped: threading.Event, say: Callable[[str], None]) -> None:
    """Reads lines that steer, until there are none; one that cannot be understood changes nothing."""
    for raw in sys.stdin.buffer if hasattr(sys.stdin, "buffer") else map(str.encode, sys.stdin):
        line = raw.decode(errors="replace")
        name, _, rest = line.strip().partition(" ")
        if name in ("stop", "quit", "q"):
            break
        if not name:
            continue
        try:
            say(f"from bar {stream.steer(**steering(name, rest))}: {line.strip()}")
        except ValueError as error:
            say(str(error))
    else:
        return
    stopped.set()


def steering(name: str, rest: str) -> dict[str, Any]:
    """The arguments of `Stream.steer` that a line asks for; ValueError for one that is none."""
    try:
        if name == "tempo":
            return {"tempo": float(rest)}
        if name == "energy":
            return {"energy": int(rest)}
    except ValueError:
        raise ValueError(f"{name} {rest[:40]!r} is no number") from None
    values = {"chords": rest.split(), "mute": rest.split(), "prompt": rest}
    if name not in values or (not rest and name != "mute"):
        raise ValueError(f"{name[:40]!r} {rest[:40]!r}: {EPILOG.splitlines()[1].strip()}")
    return {name: values[name]}


@contextlib.contextmanager
def _until_signal(stopped: threading.Event) -> Iterator[None]:
    """Sets `stopped` at Ctrl-C, so that what is played is played out and what was played is recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _output(
    out: str | None, is_raw: bool, rate: int
) -> Iterator[tuple[Callable[[np.ndarray], None], Callable[[str], None]]]:
    """Where blocks (2, n) go, and where what is said goes: not into a pipe of samples."""

    def say(text: str) -> None:
        print(options.printable(text), file=sys.stderr, flush=True)

    if out == "-":
        yield _piped(sys.stdout.buffer, rate, is_raw), say
    elif out is not None:
        import soundfile

        from hybridgen.files import atomic_write

        with (
            atomic_write(out) as temporary,
            soundfile.SoundFile(temporary, "w", rate, 2, "PCM_24", format="WAV") as file,
        ):
            yield lambda block: file.write(block.T), say
    else:
        yield from _device(rate, say)


def _piped(file: IO[bytes], rate: int, is_raw: bool) -> Callable[[np.ndarray], None]:
    """Writes 16-bit samples, after the header of a WAV file without an end."""
    if not is_raw:
        layout = struct.pack("<HHIIHH", 1, 2, rate, 4 * rate, 4, 16)
        file.write(b"RIFF" + struct.pack("<I", UNKNOWN_LENGTH) + b"WAVEfmt " + struct.pack("<I", 16) + layout)
        file.write(b"data" + struct.pack("<I", UNKNOWN_LENGTH))

    def write(block: np.ndarray) -> None:
        file.write(np.rint(block.T * 32767).astype("<i2").tobytes())
        file.flush()

    return write


def _device(
    rate: int, say: Callable[[str], None]
) -> Iterator[tuple[Callable[[np.ndarray], None], Callable[[str], None]]]:
    """The sound device; ValueError where the package that plays on it is missing, or none is there."""
    try:
        import sounddevice
    except (ImportError, OSError):
        raise ValueError(
            "to play on a sound device: pip install 'hybridgen[play]' (and PortAudio); or pipe it: -o - | aplay -"
        ) from None
    try:
        device = sounddevice.OutputStream(rate, channels=2, dtype="float32")
    except sounddevice.PortAudioError as error:
        raise ValueError(f"no sound device can be opened ({error}); pipe it instead: -o - | aplay -") from None
    with device:
        yield lambda block: device.write(np.ascontiguousarray(block.T)), say
