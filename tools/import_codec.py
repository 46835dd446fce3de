"""Imports a third-party codec: python tools/import_codec.py FOLDER --sounds SONGS --out runs/codec

FOLDER is a checkpoint as transformers (DacModel) or diffusers (AutoencoderOobleck) saves it: config.json, safetensors.
The mean and deviation of each latent channel are measured on the sounds. Writes codec.safetensors, and codec.yaml with
the section that a model's YAML then has in place of `codec:`; its quantizer and renderer need the same `latent_dim`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from tqdm import tqdm

from hybridgen import config, weights
from hybridgen.audio import Audio
from hybridgen.codecs.contract import BlockCodec
from hybridgen.codecs.dac import DacCodec
from hybridgen.codecs.oobleck import OobleckCodec
from hybridgen.data import song_folder
from hybridgen.files import atomic_write, read_json

MIN_DEVIATION = 1e-3  # of a channel that never changes
SECONDS = 30.0  # of each sound, from its middle


def main(argv: list[str] | None = None) -> None:
    """Reads the command line, loads, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder of config.json and safetensors")
    parser.add_argument("--license", required=True, metavar="ID", help="SPDX identifier of the weights' license")
    parser.add_argument("--sounds", type=Path, required=True, help="folder of music to measure the latents on")
    parser.add_argument("--out", type=Path, required=True, help="folder for codec.safetensors and codec.yaml")
    args = parser.parse_args(argv)
    try:
        section, codec = load(args.checkpoint, args.license)
        measure(codec, [song.path for song in song_folder.read(args.sounds).songs])
        save(section, codec, args.out)
    except (ValueError, OSError) as error:
        print(f"import_codec: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{args.out}: {section} codec, {codec.latent_dim} channels, {codec.sample_rate / codec.hop_length:.2f} Hz")


def load(checkpoint: Path, license: str) -> tuple[str, BlockCodec]:
    """The section of a model's YAML and the codec; ValueError for a checkpoint of another kind."""
    kind = read_json(checkpoint / "config.json")
    if kind.get("model_type") == "dac":
        return "dac", DacCodec.from_transformers(checkpoint, license)
    if kind.get("_class_name") == "AutoencoderOobleck":
        return "oobleck", OobleckCodec.from_diffusers(checkpoint, license)
    raise ValueError(f"{checkpoint}: config.json names neither a DacModel nor an AutoencoderOobleck")


@torch.no_grad()
def measure(codec: BlockCodec, sounds: list[Path]) -> None:
    """Sets mean and deviation of each latent channel to those of the sounds."""
    total, squares, count = 0.0, 0.0, 0
    for path in tqdm(sounds, desc="measuring", unit="sound"):
        samples = Audio.load(path).resample(codec.sample_rate).samples
        start = max(0, (samples.shape[1] - round(SECONDS * codec.sample_rate)) // 2)
        part = np.ascontiguousarray(samples[:, start : start + round(SECONDS * codec.sample_rate)])
        latents = codec.encode(torch.from_numpy(part)[None])[0].double()  # mean 0 and deviation 1 are set: raw
        total, squares, count = total + latents.sum(0), squares + latents.square().sum(0), count + len(latents)
    mean = total / count
    codec.latent_mean.copy_(mean)
    codec.latent_std.copy_((squares / count - mean**2).clamp(min=0).sqrt().clamp(min=MIN_DEVIATION))


def save(section: str, codec: BlockCodec, out: Path) -> None:
    """Writes the weights in single precision, and the codec's section."""
    out.mkdir(parents=True, exist_ok=True)
    weights.save_weights(codec, out / "codec.safetensors", half=False)
    with atomic_write(out / "codec.yaml") as temporary:
        temporary.write_text(yaml.safe_dump({section: config.dump(codec.config)}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
