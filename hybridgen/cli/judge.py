"""judge: what sound files measure, ours or anyone's."""

import argparse
import warnings
from pathlib import Path

from tqdm import tqdm

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.files import Outputs


def add_commands(commands: Commands) -> None:
    """judge."""
    judge = options.command(
        commands, "judge", run_judge, "measure sound files of any origin, beside their plans where there are any"
    )
    judge.add_argument("places", nargs="+", type=Path, metavar="FOLDER|FILE", help="each folder is summed up by itself")
    judge.add_argument(
        "--plans",
        type=Path,
        metavar="FOLDER",
        help="plans of the same names, in any format that is read (song.wav with song.json, song.mid ...); files made "
        "by hybridgen carry their own",
    )
    judge.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    judge.add_argument("--json", type=Path, metavar="FILE", help="also write every figure of every file")
    options.add_overwrite(judge)


def run_judge(args: argparse.Namespace) -> None:
    try:
        from hybridgen.evaluation import judge
    except ImportError as error:
        raise ValueError(f"judge needs {error.name}: pip install 'hybridgen[eval]'") from None

    found = judge.find(args.places)
    if args.plans is not None and not args.plans.is_dir():
        raise ValueError(f"--plans {args.plans}: is no folder")
    if args.json is not None:
        options.check_outputs(args, other=args.json, inputs=[path for files in found.values() for path in files])
    files = [path for each in found.values() for path in each]
    results = iter(tqdm(judge.judge_all(files, args.plans, args.workers), "judging", len(files), disable=None))
    judged = {place: [next(results) for _ in each] for place, each in found.items()}
    for bad in (one for many in judged.values() for one in many if isinstance(one, ValueError)):
        warnings.warn(f"left out: {bad}", stacklevel=1)
    known = {place: [one for one in many if not isinstance(one, ValueError)] for place, many in judged.items()}
    known = {place: many for place, many in known.items() if many}
    if not known:
        raise ValueError(f"{', '.join(map(str, args.places))}: none of {len(files)} files could be judged")
    print(options.printable(judge.table(known)))
    if args.json is not None:
        with Outputs() as together:
            together.add(args.json).write_text(judge.to_json(known), encoding="utf-8")
