"""finetune, evaluate: an adapter from songs, a report on a model."""

import argparse
import sys
import time
from pathlib import Path

from hybridgen import interrupts
from hybridgen.cli import options
from hybridgen.cli.options import Commands

FINETUNE = """Puts what is particular to your songs into a small file, an adapter, and leaves the model as it is.

  1. Put your songs into a folder, or several in one: wav, flac, mp3, ogg and with the extra hybridgen[ffmpeg] m4a and
     whatever else FFmpeg reads; eight or so, 6 seconds to 10 minutes each. Only music that is yours, or that you may
     use in this way.
  2. Beside any of them, if you like, its description in words: night-drive.txt beside night-drive.wav, such as
     "dark synthwave, analog bass, 96 BPM in E minor", or all of them in metadata.csv, metadata.jsonl (file_name, text)
     or captions.json. Tempo, key and meter are read from it. What it does not say is detected where librosa is
     installed (beats, in 4/4, and the key), or stays unknown.
  3. hybridgen finetune my-songs/ -o my-style
     Stop it when you like (Ctrl-C): the same command resumes it.
  4. hybridgen generate "night drive through rain" --adapter my-style:0.8

The adapter has two halves: how it composes (planner) and how it sounds (renderer); --only trains one of them."""


def add_commands(commands: Commands) -> None:
    """finetune and evaluate."""
    finetune = options.command(commands, "finetune", run_finetune, "an adapter from a folder of your own songs")
    finetune.description, finetune.formatter_class = FINETUNE, argparse.RawDescriptionHelpFormatter
    finetune.add_argument("folder", type=Path, metavar="FOLDER", help="your songs")
    finetune.add_argument("-o", "--out", type=Path, required=True, metavar="my-style", help="the adapter, a folder")
    finetune.add_argument("--only", choices=("planner", "renderer"), help="how it composes, or how it sounds, alone")
    finetune.add_argument("--steps", type=int, metavar="N", help="training steps of each half (default: 150 and 300)")
    options.add_model(finetune, makes_music=False)
    finetune.set_defaults(resumes=True)
    _add_evaluate(commands)


def _add_evaluate(commands: Commands) -> None:
    what = "a report on a model, measured on songs it has never seen"
    evaluate = options.command(commands, "evaluate", run_evaluate, what)
    evaluate.add_argument("model", metavar="tiny|FOLDER|HUB_ID", help="the model")
    evaluate.add_argument("-o", "--out", type=Path, required=True, metavar="report", help="folder for the report")
    evaluate.add_argument("--quick", action="store_true", help="fewer prompts: minutes, not an hour")
    evaluate.add_argument("--songs", type=Path, metavar="FOLDER", help="keep the songs here, for other models too")
    evaluate.add_argument("--clap", type=Path, metavar="FOLDER", help="a CLAP checkpoint, to score prompts and sounds")
    evaluate.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    evaluate.add_argument("--accept-license", metavar="ID", help="use a codec whose license forbids some uses")
    evaluate.set_defaults(resumes=True)


def run_finetune(args: argparse.Namespace) -> int:
    import torch

    from hybridgen.data import song_folder
    from hybridgen.training import finetune, lora

    options.use_device(args)
    finetune.check_out(args.out)
    train = finetune.settings(args.model, args.device, torch.get_num_threads(), args.only, args.steps)
    started = time.perf_counter()
    found = song_folder.read(args.folder, leave_out=args.out)
    print(options.printable(found.table()))
    results = finetune.main(found.songs, args.out, train, args.accept_license)
    if results is None:
        print(f"{args.out}: stopped; the same command resumes it")
        return 130
    for line in lora.summary(results):
        print(line)
    print(f"{args.out}: made in {time.perf_counter() - started:.0f} s; {args.out / lora.WORK} is no longer needed")
    print(f'use it: hybridgen generate "..." --adapter {args.out}:0.8')
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    from hybridgen import evaluation

    evaluation.check_installed()
    from hybridgen.evaluation.prompts import FULL, QUICK
    from hybridgen.evaluation.run import evaluate

    options.use_device(args)
    size = QUICK if args.quick else FULL
    try:
        given = {"songs": args.songs, "clap": args.clap, "device": args.device, "accept_license": args.accept_license}
        print(evaluate(args.model, args.out, size, **given))
    except interrupts.Stopped as stopped:
        print(f"{args.out}: stopped; the same command resumes it", file=sys.stderr)
        return stopped.exit_code
    return 0
