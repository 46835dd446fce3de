"""bench: how fast a model is beside its rivals on this machine."""

import argparse
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands


def add_commands(commands: Commands) -> None:
    """bench."""
    what = "measure a model's speed and memory beside other packages' models of the same size, on this machine"
    bench = options.command(commands, "bench", run_bench, what)
    bench.add_argument("model", nargs="?", default="tiny", metavar="tiny|FOLDER|HUB_ID", help="default: tiny")
    bench.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="for bench.json, .md and .png")
    bench.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    bench.add_argument("--quick", action="store_true", help="six seconds of music, and no compiled peers")
    bench.add_argument("--busy", action="store_true", help="everything once more while one core has other work")
    what = (
        "cores that both sides may use (default: all): threads of the peers; ours divide them as they would otherwise"
    )
    bench.add_argument("--threads", type=int, metavar="N", help=what)
    bench.add_argument("--accept-license", metavar="ID", help="of a codec whose license forbids some uses")
    bench.epilog = "The peers come with: pip install 'hybridgen[bench]'. What is not installed is named and left out."
    bench.set_defaults(resumes=True)  # its processes end with it


def run_bench(args: argparse.Namespace) -> None:
    options.use_device(args)
    from hybridgen.benchmark.run import FULL, QUICK, compare

    size = QUICK if args.quick else FULL
    table = compare(args.model, args.out, size, device=args.device, busy=args.busy, accept_license=args.accept_license)
    print(options.printable(table))
