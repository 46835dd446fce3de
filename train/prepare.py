"""Encodes a corpus for training: python train/prepare.py --corpus CORPUS --out PREPARED --codec FOLDER

Writes latents, loudness and text states of every song; with `--quantizer FOLDER`, once there is one, codes as well.
What the same weights have made already is left as it is, so a stopped run goes on with the same command.
"""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import soundfile
import torch
from tqdm import tqdm

from hybridgen import config
from hybridgen.codec import Codec, CodecConfig
from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.quantizer import Quantizer, QuantizerConfig
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.training.dataset import Prepared, load_prepared, loudness, pad_frames, prepared_path, save_prepared
from hybridgen.weights import load_weights, sha256


def encode_song(record: SongRecord, codec: Codec, codec_hash: str, text: TextEncoder, n_captions: int) -> Prepared:
    """Latents, loudness and text states of one song; ValueError when the audio is not as long as the plan says."""
    samples, rate = soundfile.read(record.audio, dtype="float32", always_2d=True)
    if rate != codec.sample_rate or samples.shape != (record.plan.length, 2):
        raise ValueError(f"{record.audio}: {samples.shape} at {rate} Hz, the plan has {record.plan.length} samples")
    latents = codec.encode(torch.from_numpy(samples.T.copy())[None])[0]
    states, mask = text.encode(record.captions[:n_captions])
    return Prepared(
        latents=pad_frames(latents).half(),
        loudness=torch.from_numpy(loudness(samples.T)).half(),
        texts=tuple(row[present].half() for row, present in zip(states, mask, strict=True)),
        codes=None,
        codec=codec_hash,
        quantizer=None,
    )


def encoder_hash(codec: Codec) -> str:
    """SHA-256 of all of a codec that its latents depend on: a decoder that is trained further changes nothing."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        if not name.startswith("decoder."):
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def write_latents(records: list[SongRecord], asked: argparse.Namespace) -> None:
    """Prepares each song that this codec has not prepared yet."""
    model = config.read(asked.model)
    codec = Codec(config.build(CodecConfig, model["codec"])).eval()
    text = TextEncoder(config.build(TextConfig, model["text"]))
    load_weights(codec, asked.codec / "codec.safetensors")
    codec_hash = encoder_hash(codec)
    for record in tqdm(records, "latents", mininterval=2):
        path = prepared_path(asked.out, record.index)
        if not path.exists() or load_prepared(path).codec != codec_hash:
            save_prepared(path, encode_song(record, codec, codec_hash, text, asked.captions))


def write_codes(records: list[SongRecord], asked: argparse.Namespace) -> None:
    """Adds codes to each prepared song that has none of this quantizer."""
    quantizer = Quantizer(config.build(QuantizerConfig, config.read(asked.model)["quantizer"])).eval()
    weights = asked.quantizer / "quantizer.safetensors"
    load_weights(quantizer, weights)
    quantizer_hash = sha256(weights)
    for record in tqdm(records, "codes", mininterval=2):
        path = prepared_path(asked.out, record.index)
        prepared = load_prepared(path)
        if prepared.quantizer != quantizer_hash:
            codes = quantizer.encode(prepared.latents[None].float())[0].to(torch.int16)
            save_prepared(path, replace(prepared, codes=codes, quantizer=quantizer_hash))


def main(argv: list[str] | None = None) -> None:
    """Latents and text first, then codes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="FOLDER", help="written by hybridgen.data.corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="prepared songs")
    parser.add_argument("--codec", type=Path, required=True, metavar="FOLDER", help="holds codec.safetensors")
    parser.add_argument("--quantizer", type=Path, metavar="FOLDER", help="holds quantizer.safetensors")
    parser.add_argument("--model", type=Path, default=None, metavar="YAML", help="shapes (default: models/tiny)")
    parser.add_argument("--captions", type=int, default=4, help="texts kept of each song (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    asked = parser.parse_args(argv)
    asked.model = asked.model or config.preset("models/tiny")
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    records = corpus.read(asked.corpus)
    write_latents(records, asked)
    if asked.quantizer is not None:
        write_codes(records, asked)


if __name__ == "__main__":
    main()
