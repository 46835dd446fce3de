"""Descript's audio codec (https://arxiv.org/abs/2306.06546): its continuous latents, before any codes of its own.

All that its decoder ever hears of its encoder's 1,024 channels lies in the span of the codebooks' projections, 9 x 8
dimensions. A latent is the point of that span nearest to what the encoder says: never further from it than DAC's own
codes are, and of a width that a renderer can carry. Left and right are coded each for itself, their channels stacked.
The networks are those of transformers' `DacModel`; weights come from a checkpoint in transformers' format, or from a
model of the package `descript-audio-codec` (MIT, whose own files are pickles and so are never read here).

Shapes: as in `contract`; H channels of the encoder's output, D dimensions of the span.
"""

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from hybridgen.codecs.convolutional import ConvolutionalCodec, check_ratios, pretrained
from hybridgen.config import Count, Size, Width, build

Projections = list[tuple[Tensor, Tensor]]  # from each codebook's lookup to H channels: weight (H, ·, 1), bias (H,)


@dataclass(frozen=True)
class DacConfig:
    """Shapes of DAC, as its authors name them."""

    sample_rate: Size  # Hz
    encoder_dim: Width  # channels after the first convolution, doubled by every stride
    decoder_dim: Width  # channels before the first stride of the decoder, halved by every stride
    downsampling_ratios: tuple[Count, ...]  # strides of the encoder; their product is the hop
    n_codebooks: Count
    codebook_dim: Count  # width of a lookup
    license: str = "MIT"  # of the weights, SPDX

    def __post_init__(self) -> None:
        check_ratios(self.downsampling_ratios)
        if self.decoder_dim % 2 ** len(self.downsampling_ratios):
            raise ValueError(f"decoder_dim {self.decoder_dim} cannot be halved {len(self.downsampling_ratios)} times")
        if self.latent_dim > 2 * self.hidden_dim:
            raise ValueError(
                f"n_codebooks {self.n_codebooks} of codebook_dim {self.codebook_dim} are more than the encoder's "
                f"{self.hidden_dim} channels"
            )

    @property
    def hidden_dim(self) -> int:
        """Channels of the encoder's output."""
        return self.encoder_dim * 2 ** len(self.downsampling_ratios)

    @property
    def latent_dim(self) -> int:
        """Latent channels of both sides together."""
        return 2 * self.n_codebooks * self.codebook_dim

    @property
    def hop_length(self) -> int:
        """Samples in a latent frame."""
        return prod(self.downsampling_ratios)


class DacCodec(ConvolutionalCodec):
    """DAC under the contract of `Codec`; `latent_mean` and `latent_std` are to be measured on music."""

    basis: Tensor  # (H, D) of the span, orthonormal
    offset: Tensor  # (H,) the point of the span that is its origin

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
                n_codebooks=1,  # unused
            )
        )
        self.encoder, self.decoder = model.encoder, model.decoder
        self.register_buffer("basis", torch.eye(config.hidden_dim, config.latent_dim // 2))
        self.register_buffer("offset", torch.zeros(config.hidden_dim))

    def _encode_inside(self, samples: Tensor) -> Tensor:
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop_length))
        hidden = self.encoder(rearrange(padded, "b side n -> (b side) 1 n")).mT  # (B * 2, T, H)
        return rearrange((hidden - self.offset) @ self.basis, "(b side) t c -> b t (side c)", side=2)

    def _decode_inside(self, raw: Tensor, first: int) -> Tensor:
        latents = rearrange(raw, "b t (side c) -> (b side) t c", side=2)
        samples = self.decoder((latents @ self.basis.T + self.offset).mT)
        return rearrange(samples, "(b side) 1 n -> b side n", side=2)

    def _take_over(self, encoder: dict[str, Tensor], decoder: dict[str, Tensor], projections: Projections) -> Self:
        """This codec with the weights of another form of it, to be used."""
        self.encoder.load_state_dict(encoder)
        self.decoder.load_state_dict(decoder)
        weights, biases = zip(*projections, strict=True)
        self.basis.copy_(torch.linalg.qr(torch.cat([weight[..., 0] for weight in weights], 1))[0])
        self.offset.copy_(torch.stack(biases).sum(0))
        return self.eval()

    @classmethod
    def from_transformers(cls, folder: str | Path, license: str = "MIT") -> "DacCodec":
        """The codec in a local folder that `DacModel.save_pretrained` wrote; license: of its weights.

        ValueError for a folder without all of its weights.
        """
        import transformers

        model = pretrained(transformers.DacModel, folder)
        theirs = model.config
        shapes = {
            "sample_rate": theirs.sampling_rate,
            "encoder_dim": theirs.encoder_hidden_size,
            "decoder_dim": theirs.decoder_hidden_size,
            "downsampling_ratios": theirs.downsampling_ratios,
            "n_codebooks": theirs.n_codebooks,
            "codebook_dim": theirs.codebook_dim,
            "license": license,
        }
        codec = cls(build(DacConfig, shapes, str(folder)))
        projections = [(q.out_proj.weight.detach(), q.out_proj.bias.detach()) for q in model.quantizer.quantizers]
        return codec._take_over(model.encoder.state_dict(), model.decoder.state_dict(), projections)

    @classmethod
    def from_descript(cls, model: Any) -> "DacCodec":
        """The codec of a `dac.DAC` in memory."""
        shapes = DacConfig(
            sample_rate=model.sample_rate,
            encoder_dim=model.encoder_dim,
            decoder_dim=model.decoder_dim,
            downsampling_ratios=tuple(model.encoder_rates),
            n_codebooks=model.n_codebooks,
            codebook_dim=model.quantizer.quantizers[0].codebook_dim,
        )
        state = _without_weight_norm(model.state_dict())
        n, place = len(model.encoder_rates), "quantizer.quantizers.{}.out_proj.{}"
        return cls(shapes)._take_over(
            _renamed(state, "encoder.block", n, "conv1"),
            _renamed(state, "decoder.model", n, "conv_t1"),
            [(state[place.format(i, "weight")], state[place.format(i, "bias")]) for i in range(shapes.n_codebooks)],
        )


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
