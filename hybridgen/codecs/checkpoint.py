"""Codecs of others in the folders that transformers (`DacModel`) and diffusers (`AutoencoderOobleck`) save.

Such a folder holds config.json and safetensors; what the latents are like on music is not in it.
"""

from dataclasses import fields
from pathlib import Path

from hybridgen.codecs.contract import BlockCodec
from hybridgen.codecs.dac import DacCodec, DacConfig
from hybridgen.codecs.oobleck import OobleckCodec, OobleckConfig
from hybridgen.codecs.own import SpectralCodecConfig
from hybridgen.files import read_json


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a checkpoint, and not a codec that was taken over."""
    return (folder / "config.json").is_file() and not (folder / "codec.safetensors").is_file()


def load(folder: Path, shapes: SpectralCodecConfig | DacConfig | OobleckConfig) -> BlockCodec:
    """The codec of a checkpoint, of latents not yet measured; ValueError unless it has these very shapes."""
    codec = _read(folder, shapes.license)
    if type(codec.config) is not type(shapes):
        raise ValueError(f"{folder}: {type(codec).__name__}, but the model's shapes are {type(shapes).__name__}")
    for field in fields(shapes):
        found, wanted = (getattr(one, field.name) for one in (codec.config, shapes))
        if found != wanted:
            raise ValueError(f"{folder}: {field.name} {found} != {wanted} of the model")
    return codec


def _read(folder: Path, license: str) -> DacCodec | OobleckCodec:
    kind = read_json(folder / "config.json")
    if kind.get("model_type") == "dac":
        return DacCodec.from_transformers(folder, license)
    if kind.get("_class_name") == "AutoencoderOobleck":
        return OobleckCodec.from_diffusers(folder, license)
    raise ValueError(f"{folder}: config.json names neither a DacModel nor an AutoencoderOobleck")
