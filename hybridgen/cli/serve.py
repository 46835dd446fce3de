"""serve, demo: REST over a queue, and the page that uses it."""

import argparse
import contextlib
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands
from hybridgen.serve.limits import Limits

EPILOG = """It listens on this machine alone, for whoever sits at it. Another address needs a password or tokens:
  hybridgen serve --workers 2
  hybridgen serve --host 0.0.0.0 --tokens people.txt      a name and a token a line: each sees only what is his
docs/serve.md has requests to try.
"""
DEMO_EPILOG = """The page, on this machine alone. What is made is kept in a folder, and is there again the next time:
  hybridgen demo
  hybridgen demo --library my-tracks --port 8080
  hybridgen demo --host 0.0.0.0 --password "correct horse" --no-browser
docs/page.md is a tour.
"""
LIMITS = {  # flag -> field of `Limits`, and what it limits
    "--queue": ("queue", "jobs that wait"),
    "--max-seconds": ("seconds", "seconds of music"),
    "--max-steps": ("steps", "solver steps a window"),
    "--max-job": ("job_seconds", "seconds that one job may take"),
    "--max-upload": ("upload_mb", "megabytes of one upload"),
    "--max-disk": ("disk_gb", "gigabytes of results and uploads"),
}


def add_commands(commands: Commands) -> None:
    """serve and demo."""
    serve = options.command(commands, "serve", run_serve, "REST over a queue: plans, tracks and edits for programs")
    _add_server(serve, EPILOG, 8000)
    demo = options.command(commands, "demo", run_demo, "the page in your browser: plan, edit, hear, keep")
    _add_server(demo, DEMO_EPILOG, 7860)
    demo.add_argument(
        "--library", type=Path, default=Path("hybridgen-library"), metavar="FOLDER",
        help="where everything made is kept (default ./hybridgen-library)",
    )  # fmt: skip
    demo.add_argument("--no-browser", action="store_true", help="open no browser")


def _add_server(command: options.Parser, epilog: str, port: int) -> None:
    command.epilog, command.formatter_class = epilog, argparse.RawDescriptionHelpFormatter
    local = "(default 127.0.0.1: this machine alone)"
    command.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=local)
    command.add_argument("--port", type=int, default=port, metavar="P", help=f"(default {port})")
    command.add_argument("--workers", type=int, default=1, metavar="N", help="jobs at once, a process each (default 1)")
    keys = command.add_argument_group("who may come in")
    keys.add_argument("--password", metavar="WORD", help="what every request must bring: Authorization: Bearer WORD")
    keys.add_argument("--tokens", type=Path, metavar="FILE", help="who may come in: a name and a token a line")
    group = command.add_argument_group("limits", "for all who ask")
    for flag, (name, what) in LIMITS.items():
        default = getattr(Limits(), name)
        help = f"{what} (default {default:g})"
        group.add_argument(flag, dest=f"limit_{name}", type=type(default), default=default, metavar="N", help=help)
    learned = "make everything with what `hybridgen finetune` learned; repeatable"
    options.add_adapters(command, "FOLDER[:STRENGTH]", learned)
    options.add_model(command)
    command.set_defaults(resumes=True)  # a signal unwinds, so that the processes end


def run_serve(args: argparse.Namespace) -> None:
    _run(args, None, False)


def run_demo(args: argparse.Namespace) -> None:
    if args.library.exists() and not args.library.is_dir():
        raise ValueError(f"--library {args.library} is a file, not a folder")
    _run(args, args.library, not args.no_browser)


def _run(args: argparse.Namespace, library: Path | None, opens: bool) -> None:
    """The server until a signal ends it; with a library its page is what it is for, and all who come in share it."""
    try:
        import uvicorn

        from hybridgen.serve.app import create_app
    except ImportError as error:
        raise ValueError(
            f"{'serve' if library is None else 'demo'} needs {error.name}: pip install 'hybridgen[serve]'"
        ) from None
    from hybridgen.serve.jobs import Jobs
    from hybridgen.serve.nursery import Model
    from hybridgen.serve.owners import LOCAL_NAMES, Owners, check_address, read_tokens

    tokens = {} if args.tokens is None else read_tokens(args.tokens)
    owners = Owners(args.password, tokens, are_one=library is not None)
    check_address(args.host, owners)
    if not 0 < args.port < 65_536:
        raise ValueError(f"--port {args.port} is outside 1-65535")
    limits = Limits(**{name: getattr(args, f"limit_{name}") for name, _ in LIMITS.values()})
    threads = None if args.threads is None else options.check_threads(args.threads)
    model = Model(args.model, args.device, args.accept_license, tuple(args.adapter), threads, args.memory)
    names = None if owners.are_known else (*LOCAL_NAMES, args.host)
    with Jobs(model, args.workers, limits, library) as jobs:
        where = f"http://{args.host}:{args.port}"
        if library is None:
            print(f"{where}/v1 serves {model.title}: {args.workers} at once, {limits.queue} wait", flush=True)
        else:
            print(f"{where} plays {model.title}; tracks are kept in {library}. Ctrl-C ends it", flush=True)
        with _browser(where) if opens else contextlib.nullcontext():
            uvicorn.run(
                create_app(jobs, owners, names),
                host=args.host,
                port=args.port,
                log_level="warning",
                server_header=False,
                access_log=False,  # requests hold what people have written
                timeout_graceful_shutdown=5,
            )


@contextlib.contextmanager
def _browser(where: str) -> Iterator[None]:
    """Opens the page a second after the server has begun to start."""
    timer = threading.Timer(1.0, webbrowser.open, [where])
    timer.start()
    yield
    timer.cancel()
