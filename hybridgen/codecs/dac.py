"""Descript's audio codec (https://arxiv.org/abs/2306.06546): its continuous latents, before any codes of its own.

Left and right are coded each for itself, their channels stacked in the latents. The network is transformers' `DacModel`
without its quantizer; weights come from a checkpoint in transformers' format, or from a model of the package
`descript-audio-codec` (MIT, whose own files are pickles and so are never read here).
"""

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from hybridgen.codecs.convolutional import ConvolutionalCodec, check_ratios
from hybridgen.config import Count, Size, Width


@dataclass(frozen=True)
class DacConfig:
    """Shapes of DAC, as its authors name them."""

    sample_rate: Size  # Hz
    encoder_dim: Width  # channels after the first convolution, doubled by every stride
    decoder_dim: Width  # channels before the first stride of the decoder, halved by every stride
    downsampling_ratios: tuple[Count, ...]  # strides of the encoder; their product is the hop
    license: str = "MIT"  # of the weights, SPDX

    def __post_init__(self) -> None:
        check_ratios(self.downsampling_ratios)
        if self.decoder_dim % 2 ** len(self.downsampling_ratios):
            raise ValueError(f"decoder_dim {self.decoder_dim} cannot be halved {len(self.downsampling_ratios)} times")

    @property
    def latent_dim(self) -> int:
        """Latent channels of both sides together."""
        return 2 * self.encoder_dim * 2 ** len(self.downsampling_ratios)

    @property
    def hop_length(self) -> int:
        """Samples in a latent frame."""
        return prod(self.downsampling_ratios)


class DacCodec(ConvolutionalCodec):
    """DAC under the contract of `Codec`; `latent_mean` and `latent_std` are to be measured on music."""

    def __init__(self, config: DacConfig):
        import transformers

        super().__init__(config)
        self.config = config
        model = transformers.DacModel(
            transformers.DacConfig(
                sampling_rate=config.sample_rate,
                encoder_hidden_size=config.encoder_dim,
                decoder_hidden_size=config.decoder_dim,
                downsampling_ratios=list(config.downsampling_ratios),
                n_codebooks=1,
            )
        )
        self.encoder, self.decoder = model.encoder, model.decoder

    def _encode_inside(self, samples: Tensor) -> Tensor:
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop_length))
        latents = self.encoder(rearrange(padded, "b side n -> (b side) 1 n"))
        return rearrange(latents, "(b side) c t -> b t (side c)", side=2)

    def _decode_inside(self, raw: Tensor, first: int) -> Tensor:
        samples = self.decoder(rearrange(raw, "b t (side c) -> (b side) c t", side=2))
        return rearrange(samples, "(b side) 1 n -> b side n", side=2)

    @classmethod
    def from_transformers(cls, folder: str | Path, license: str = "MIT") -> "DacCodec":
        """The codec in a local folder that `DacModel.save_pretrained` wrote; license: of its weights."""
        import transformers

        model = transformers.DacModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        codec = cls(
            DacConfig(
                sample_rate=model.config.sampling_rate,
                encoder_dim=model.config.encoder_hidden_size,
                decoder_dim=model.config.decoder_hidden_size,
                downsampling_ratios=tuple(model.config.downsampling_ratios),
                license=license,
            )
        )
        codec.encoder.load_state_dict(model.encoder.state_dict())
        codec.decoder.load_state_dict(model.decoder.state_dict())
        return codec.eval()

    @classmethod
    def from_descript(cls, model: Any) -> "DacCodec":
        """The codec of a `dac.DAC` in memory."""
        codec = cls(
            DacConfig(
                sample_rate=model.sample_rate,
                encoder_dim=model.encoder_dim,
                decoder_dim=model.decoder_dim,
                downsampling_ratios=tuple(model.encoder_rates),
            )
        )
        state = _without_weight_norm(model.state_dict())
        n = len(model.encoder_rates)
        codec.encoder.load_state_dict(_renamed(state, "encoder.block", n, "conv1"))
        codec.decoder.load_state_dict(_renamed(state, "decoder.model", n, "conv_t1"))
        return codec.eval()


def _without_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights (g * v / |v|) in place of the two factors that PyTorch keeps of them (arXiv 1602.07868)."""
    found = {}
    for name, tensor in state.items():
        if name.endswith(".weight_v"):
            base = name.removesuffix("_v")
            found[base] = torch._weight_norm(tensor, state[f"{base}_g"], 0)
        elif not name.endswith(".weight_g"):
            found[name] = tensor
    return found


def _renamed(state: dict[str, Tensor], prefix: str, n_blocks: int, strided: str) -> dict[str, Tensor]:
    """Half of Descript's state in transformers' names: numbered sequences become named layers."""
    outer = {"0": "conv1", **{str(i + 1): f"block.{i}" for i in range(n_blocks)}}
    outer |= {str(n_blocks + 1): "snake1", str(n_blocks + 2): "conv2"}
    unit = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
    units = ("0", "1", "2") if strided == "conv1" else ("2", "3", "4")
    inner = {number: f"res_unit{i}" for i, number in enumerate(units, start=1)}
    inner |= {"3": "snake1", "4": strided} if strided == "conv1" else {"0": "snake1", "1": strided}
    found = {}
    for name, tensor in state.items():
        match = re.fullmatch(rf"{prefix}\.(\d+)(?:\.block\.(\d+)(?:\.block\.(\d+))?)?\.(\w+)", name)
        if match is not None:
            block, layer, part, kind = match.groups()
            path = [outer[block], inner[layer] if layer else None, unit[part] if part else None, kind]
            found[".".join(word for word in path if word)] = tensor
    return found
