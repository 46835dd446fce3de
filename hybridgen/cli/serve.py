"""serve: REST over a queue of jobs."""

import argparse
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.serve.limits import Limits

EPILOG = """It listens on this machine alone, for whoever sits at it. Another address needs a password or tokens:
  hybridgen serve --workers 2
  hybridgen serve --host 0.0.0.0 --tokens people.txt      a name and a token a line: each sees only what is his
docs/serve.md has requests to try.
"""
LIMITS = {  # flag -> field of `Limits`, and what it limits
    "--queue": ("queue", "jobs that wait"),
    "--max-seconds": ("seconds", "seconds of music"),
    "--max-steps": ("steps", "solver steps a window"),
    "--max-job": ("job_seconds", "seconds that one job may take"),
    "--max-upload": ("upload_mb", "megabytes of one upload"),
    "--max-disk": ("disk_gb", "gigabytes of results and uploads, of which the oldest give way"),
}


def add_commands(commands: Commands) -> None:
    """serve."""
    serve = options.command(commands, "serve", run_serve, "REST over a queue: plans, tracks and edits for programs")
    serve.epilog, serve.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(default 127.0.0.1: this machine alone)")
    serve.add_argument("--port", type=int, default=8000, metavar="P", help="(default 8000)")
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="jobs at once, a process each (default 1)")
    keys = serve.add_argument_group("who may come in")
    keys.add_argument("--password", metavar="WORD", help="what every request must bring: Authorization: Bearer WORD")
    keys.add_argument("--tokens", type=Path, metavar="FILE", help="who may come in: a name and a token a line")
    group = serve.add_argument_group("limits", "for all who ask")
    for flag, (name, what) in LIMITS.items():
        default = getattr(Limits(), name)
        help = f"{what} (default {default:g})"
        group.add_argument(flag, dest=f"limit_{name}", type=type(default), default=default, metavar="N", help=help)
    learned = "make everything with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(serve, "FOLDER[:STRENGTH]", learned)
    options.add_model(serve)
    serve.set_defaults(resumes=True)  # a signal unwinds, so that the processes end


def run_serve(args: argparse.Namespace) -> None:
    try:
        import uvicorn

        from hybridgen.serve.app import create_app
    except ImportError as error:
        raise ValueError(f"serve needs {error.name}: pip install 'hybridgen[serve]'") from None
    from hybridgen.serve.jobs import Jobs
    from hybridgen.serve.nursery import Model
    from hybridgen.serve.owners import LOCAL_NAMES, Owners, check_address, read_tokens

    owners = Owners(args.password, {} if args.tokens is None else read_tokens(args.tokens))
    check_address(args.host, owners)
    if not 0 < args.port < 65_536:
        raise ValueError(f"--port {args.port} is outside 1-65535")
    limits = Limits(**{name: getattr(args, f"limit_{name}") for name, _ in LIMITS.values()})
    model = Model(args.model, args.device, args.accept_license, tuple(args.adapter))
    names = None if owners.are_known else (*LOCAL_NAMES, args.host)
    with Jobs(model, args.workers, limits) as jobs:
        where = f"http://{args.host}:{args.port}"
        print(f"{where}/v1 serves {model.title}: {args.workers} at once, {limits.queue} wait", flush=True)
        uvicorn.run(
            create_app(jobs, owners, names),
            host=args.host,
            port=args.port,
            log_level="warning",
            server_header=False,
            access_log=False,  # requests hold what people have written
            timeout_graceful_shutdown=5,
        )
