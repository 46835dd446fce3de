"""Encodes a corpus for training: python train/prepare.py --corpus CORPUS --out PREPARED --codec FOLDER

Writes shards with latents, controls, labels and text states of every song; with `--quantizer FOLDER`, once there is
one, codes beside them. What the same weights have made already is left as it is, so a stopped run goes on with the same
command, and no number of workers changes a byte.
"""

import argparse
import sys
from pathlib import Path

import torch

from hybridgen import config
from hybridgen.data import corpus, preparing


def main(argv: list[str] | None = None) -> None:
    """Latents and text first, then codes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER", help="written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="prepared songs")
    parser.add_argument("--codec", type=Path, required=True, metavar="FOLDER", help="holds codec.safetensors")
    parser.add_argument("--quantizer", type=Path, metavar="FOLDER", help="holds quantizer.safetensors")
    parser.add_argument("--model", type=Path, default=None, metavar="YAML", help="shapes (default: models/tiny)")
    parser.add_argument("--captions", type=int, default=4, help="texts kept of each song (default %(default)s)")
    parser.add_argument("--hours", type=float, default=preparing.SHARD_HOURS, help="of a shard (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes, of a thread each (default %(default)s)")
    asked = parser.parse_args(argv)
    model = asked.model or config.preset("models/tiny")
    torch.set_num_threads(1)
    try:
        sources = [preparing.from_corpus(record) for record in corpus.read(asked.corpus)]
        recipe = preparing.Recipe(model, asked.codec, asked.captions)
        preparing.write(sources, asked.out, recipe, asked.hours, asked.workers)
        if asked.quantizer is not None:
            weights = asked.quantizer / "quantizer.safetensors"
            preparing.write_codes(asked.out, model, weights, asked.workers)
    except (ValueError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
