"""Encodes music for training: python train/prepare.py --songs FOLDER --out PREPARED --codec FOLDER

`--songs` is a folder of your own: sound files, and beside each, if there is one, NAME.txt with a caption; in
PREPARED/songs they come to one rate and loudness. `--corpus` is the synthetic one, with its scores. Writes shards with
latents, controls, labels and text states of every song; with `--quantizer FOLDER`, once there is one, codes beside
them. What the same weights have already written is kept, so the same command resumes a stopped run; the number of
workers changes no byte.
"""

import argparse
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import torch

from hybridgen import config
from hybridgen.data import corpus, preparing
from hybridgen.data.preparing import Source
from hybridgen.training import finetune

MIN_SECONDS = 10.0  # of a song of one's own


def own_songs(folder: Path, work: Path) -> list[Source]:
    """Songs of a folder, mastered and labelled in `work`; one name in twenty is held out, as by train/codec.py."""
    sources = finetune.collect(finetune.find_songs(folder), work, MIN_SECONDS)
    splits = [corpus.split(zlib.crc32(source.labels.name.encode())) for source in sources]
    return [replace(s, labels=replace(s.labels, split=split)) for s, split in zip(sources, splits, strict=True)]


def main(argv: list[str] | None = None) -> None:
    """Latents and text first, then codes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    music = parser.add_mutually_exclusive_group(required=True)
    music.add_argument("--songs", type=Path, metavar="FOLDER", help="your own, captions beside them as NAME.txt")
    music.add_argument("--corpus", type=Path, metavar="FOLDER", help="written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="prepared songs")
    parser.add_argument("--codec", type=Path, required=True, metavar="FOLDER", help="holds codec.safetensors")
    parser.add_argument("--quantizer", type=Path, metavar="FOLDER", help="holds quantizer.safetensors")
    parser.add_argument("--model", type=Path, default=None, metavar="YAML", help="shapes (default: models/tiny)")
    parser.add_argument("--captions", type=int, default=4, help="texts kept of each song (default %(default)s)")
    parser.add_argument("--hours", type=float, default=preparing.SHARD_HOURS, help="of a shard (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes, of a thread each (default %(default)s)")
    args = parser.parse_args(argv)
    model = args.model or config.preset("models/tiny")
    torch.set_num_threads(1)
    try:
        if args.songs is not None:
            sources = own_songs(args.songs, args.out / "songs")
        else:
            sources = [preparing.from_corpus(record) for record in corpus.read(args.corpus)]
        recipe = preparing.Recipe(model, args.codec, args.captions)
        preparing.write(sources, args.out, recipe, args.hours, args.workers)
        if args.quantizer is not None:
            weights = args.quantizer / "quantizer.safetensors"
            preparing.write_codes(args.out, model, weights, args.workers)
    except (ValueError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
