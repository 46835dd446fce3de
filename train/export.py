"""Gathers trained stages into a model folder: python train/export.py --runs runs --out my-model

Each run's averaged weights (runs/codec/codec.safetensors ...) become one file in half precision; beside them go
config.yaml (shapes and sampling defaults) and training.json: the corpus's settings and every validation figure.
"""

import argparse
import json
import sys
from pathlib import Path

from hybridgen import config, weights
from hybridgen.files import read_json, write_json
from hybridgen.pipeline import Pipeline
from hybridgen.stages import STAGES, PipelineConfig


def figures(log: Path) -> list[dict[str, float]]:
    """The validation entries of a run's log, oldest first, and its last training entry."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    validations = [entry for entry in entries if any(name.startswith("valid/") for name in entry)]
    return [{name: value for name, value in entry.items() if name != "time"} for entry in validations]


def stage_files(runs: Path) -> dict[str, Path]:
    """stage -> its weights; ValueError naming the one that is missing."""
    paths = {stage: runs / stage / f"{stage}.safetensors" for stage in STAGES}
    for stage, path in paths.items():
        if not path.is_file():
            raise ValueError(f"{stage}: {path} is missing; has train/{stage}.py run with run.out={runs / stage}?")
    return paths


def main(args: argparse.Namespace) -> None:
    """Load, check, save."""
    model = config.preset("models/tiny") if args.model is None else args.model
    pipe = Pipeline(config.load(PipelineConfig, model, args.set), accept_license=args.accept_license)
    for stage, path in stage_files(args.runs).items():
        weights.load_weights(getattr(pipe, stage), path)
    pipe.save_pretrained(args.out)
    logs = {stage: args.runs / stage / "log.jsonl" for stage in STAGES}
    record = {
        "corpus": read_json(args.corpus) if args.corpus else None,
        "stages": {stage: figures(log) for stage, log in logs.items() if log.is_file()},
    }
    write_json(args.out / "training.json", record)
    size = sum(path.stat().st_size for path in args.out.glob("*.safetensors"))
    print(f"{args.out}: {size / 1e6:.1f} MB of weights")


def parser() -> argparse.ArgumentParser:
    """What can be args."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with one run per stage (default runs)")
    parser.add_argument("--model", type=Path, help="YAML with the shapes and sampling defaults (default: models/tiny)")
    parser.add_argument("--corpus", type=Path, help="the corpus's corpus.json, to be recorded in training.json")
    parser.add_argument("--set", nargs="*", default=[], metavar="sampling.num_steps=12", help="overrides of the YAML")
    parser.add_argument("--accept-license", metavar="ID", help="use a codec whose license forbids some uses")
    parser.add_argument("--out", type=Path, required=True, help="the model folder")
    return parser


if __name__ == "__main__":
    try:
        main(parser().parse_args())
    except (ValueError, OSError) as error:
        print(f"train/export.py: {error}", file=sys.stderr)
        sys.exit(2)
