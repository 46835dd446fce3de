"""Encodes music for training: python train/prepare.py --songs FOLDER --out PREPARED --codec FOLDER

`--songs` is a folder of your own sound files, each with an optional caption beside it in NAME.txt, or all of these in
metadata.csv, metadata.jsonl or captions.json; the songs are brought to one sample rate and loudness in PREPARED/songs.
`--corpus` is the synthetic corpus, with its scores. Writes shards with latents, controls, labels and text states of
every song, and with `--quantizer FOLDER`, once there is one, their codes. Shards that the same weights have made are
kept, so a stopped run resumes with the same command, and the number of workers does not change a byte.

A codec of others may be given as transformers or diffusers saves it, with a `--model` of its shapes: its latents are
measured on the songs, and PREPARED/codec holds it from then on.
"""

import argparse
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import torch

from hybridgen import config
from hybridgen.codecs import checkpoint
from hybridgen.data import corpus, prepare, recordings, song_folder
from hybridgen.data.prepare import LabeledAudio

MIN_SECONDS = 10.0  # of each of your own songs


def own_songs(folder: Path, work: Path) -> list[LabeledAudio]:
    """The songs of a folder, mastered and labeled in `work`; one name in twenty is held out, as in train/codec.py."""
    found = song_folder.read(folder, leave_out=work.parent)
    print(found.table())
    tracks = recordings.master_recordings(found.songs, work, MIN_SECONDS)
    splits = [corpus.split(zlib.crc32(track.labels.name.encode())) for track in tracks]
    return [replace(t, labels=replace(t.labels, split=split)) for t, split in zip(tracks, splits, strict=True)]


def main(argv: list[str] | None = None) -> None:
    """Latents and text first, then codes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    music = parser.add_mutually_exclusive_group(required=True)
    music.add_argument("--songs", type=Path, metavar="FOLDER", help="your own, with captions in NAME.txt")
    music.add_argument("--corpus", type=Path, metavar="FOLDER", help="written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="prepared songs")
    parser.add_argument(
        "--codec", type=Path, required=True, metavar="FOLDER", help="holds codec.safetensors, or a codec of others"
    )
    parser.add_argument("--quantizer", type=Path, metavar="FOLDER", help="holds quantizer.safetensors")
    parser.add_argument("--model", type=Path, default=None, metavar="YAML", help="shapes (default: models/tiny)")
    parser.add_argument("--accept-license", metavar="ID", help="use a codec whose license forbids some uses")
    parser.add_argument("--captions", type=int, default=4, help="texts kept of each song (default %(default)s)")
    parser.add_argument("--hours", type=float, default=prepare.SHARD_HOURS, help="of a shard (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes, of a thread each (default %(default)s)")
    args = parser.parse_args(argv)
    model = args.model or config.preset("models/tiny")
    torch.set_num_threads(1)
    try:
        if args.songs is not None:
            tracks = own_songs(args.songs, args.out / "songs")
        else:
            tracks = [track for record in corpus.read(args.corpus) for track in prepare.from_corpus(record)]
        codec = args.codec
        if checkpoint.is_checkpoint(codec):
            codec = prepare.take_over_codec(codec, args.out / "codec", tracks, model, args.accept_license)
        elif not (codec / "codec.safetensors").is_file():
            raise ValueError(f"codec {codec} holds neither codec.safetensors nor a checkpoint's config.json")
        settings = prepare.PrepareConfig(model, codec, args.captions, accept_license=args.accept_license)
        prepare.write_latents(tracks, args.out, settings, args.hours, args.workers)
        if args.quantizer is not None:
            weights = args.quantizer / "quantizer.safetensors"
            prepare.write_codes(args.out, model, weights, args.workers)
    except (ValueError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
