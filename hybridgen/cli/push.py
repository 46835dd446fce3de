"""push, push-space: a model, an adapter or the page to the Hugging Face Hub."""

import argparse
from pathlib import Path

from hybridgen.cli import options
from hybridgen.cli.options import Commands

EPILOG = """Log in first, with a token that may write: hf auth login. What is sent is private unless you say --public.
  hybridgen push my-model me/my-model --license apache-2.0     then anyone: hybridgen generate "..." --model me/my-model
  hybridgen push my-style me/my-style --license cc-by-4.0      an adapter, from hybridgen finetune
docs/hub.md says what is sent, and what the card is made of.
"""
DEMOS = Path(__file__).parents[2] / "demos"  # of a checkout


def add_commands(commands: Commands) -> None:
    """push and push-space."""
    push = options.command(commands, "push", run_push, "a model or an adapter to the Hugging Face Hub, with a card")
    push.epilog, push.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    push.add_argument("what", metavar="MODEL|ADAPTER", help="tiny, a model's folder, or an adapter's")
    push.add_argument("repo", metavar="owner/name", help="the repository; it is made where there is none")
    push.add_argument("--license", required=True, metavar="ID", help="of the weights, as the Hub spells it: apache-2.0")
    push.add_argument("--public", action="store_true", help="let everyone see it (default: you alone)")
    push.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="ID",
        help="a data set of the Hub that it learned from; repeatable",
    )
    push.add_argument("--prompt", metavar="WORDS", help="what the sample on the card is made from")
    options.add_model(push, makes_music=False)

    space = options.command(commands, "push-space", run_push_space, "the page as a Space of the Hugging Face Hub")
    space.add_argument("repo", metavar="owner/name", help="the Space; it is made where there is none")
    space.add_argument(
        "--files",
        type=Path,
        default=DEMOS,
        metavar="FOLDER",
        help="app.py, requirements.txt, README.md (default: demos)",
    )
    space.add_argument("--public", action="store_true", help="let everyone use it (default: you alone)")


def run_push(args: argparse.Namespace) -> None:
    from hybridgen import hub
    from hybridgen.release.adapter import is_adapter

    hub.check_repo(args.repo)
    given = {"license": args.license, "private": not args.public, "prompt": args.prompt}
    if is_adapter(args.what):
        if args.dataset:
            raise ValueError("--dataset is for models: an adapter's card says how many songs it learned from")
        sent = options.load_pipeline(args).push_adapter_to_hub(args.what, args.repo, **given)
    else:
        if args.model is not None:
            raise ValueError(f"--model {args.model} is for adapters, and {args.what} is none: name one model")
        args.model = args.what
        sent = options.load_pipeline(args).push_to_hub(args.repo, datasets=args.dataset, **given)
    print(f"{sent.url}: {sent.id}")


def run_push_space(args: argparse.Namespace) -> None:
    from hybridgen.release import space

    sent = space.push(args.files, args.repo, not args.public)
    print(f"{sent.url}: {sent.id}")
