"""Oobleck, the stereo autoencoder of Stable Audio (https://arxiv.org/abs/2407.14358), read through diffusers.

The MIT-licensed autoencoder of ACE-Step 1.5 (48 kHz, 64 channels at 25 Hz) is one of them. Latents are the mean of the
posterior.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hybridgen.codecs.convolutional import ConvolutionalCodec, check_ratios, pretrained
from hybridgen.config import Count, Size, Width, build


@dataclass(frozen=True)
class OobleckConfig:
    """Shapes of Oobleck, as diffusers names them."""

    sample_rate: Size  # Hz
    latent_dim: Width
    encoder_hidden_size: Width  # twice latent_dim: a mean and a deviation
    decoder_channels: Width
    downsampling_ratios: tuple[Count, ...]  # strides of the encoder; their product is the hop
    channel_multiples: tuple[Count, ...]  # width of each block over the first
    license: str  # of the weights, SPDX

    def __post_init__(self) -> None:
        check_ratios(self.downsampling_ratios)
        if len(self.channel_multiples) != len(self.downsampling_ratios):
            raise ValueError(
                f"channel_multiples {self.channel_multiples} needs one for each of {self.downsampling_ratios}"
            )
        if self.encoder_hidden_size != 2 * self.latent_dim:
            raise ValueError(f"encoder_hidden_size {self.encoder_hidden_size} != twice latent_dim {self.latent_dim}")

    @property
    def hop_length(self) -> int:
        """Samples in a latent frame."""
        return prod(self.downsampling_ratios)


class OobleckCodec(ConvolutionalCodec):
    """Oobleck under the contract of `Codec`; `latent_mean` and `latent_std` are to be measured on music."""

    def __init__(self, config: OobleckConfig):
        super().__init__(config)
        self.config = config
        model = _autoencoder_class()(
            encoder_hidden_size=config.encoder_hidden_size,
            downsampling_ratios=list(config.downsampling_ratios),
            channel_multiples=list(config.channel_multiples),
            decoder_channels=config.decoder_channels,
            decoder_input_channels=config.latent_dim,
            audio_channels=2,
            sampling_rate=config.sample_rate,
        )
        self.encoder, self.decoder = model.encoder, model.decoder

    def _encode_inside(self, samples: Tensor) -> Tensor:
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop_length))
        return self.encoder(padded)[:, : self.latent_dim].mT

    def _decode_inside(self, raw: Tensor, first: int) -> Tensor:
        return self.decoder(raw.mT)

    @classmethod
    def from_diffusers(cls, folder: str | Path, license: str) -> "OobleckCodec":
        """The codec in a local folder that `AutoencoderOobleck.save_pretrained` wrote; license: of its weights.

        ValueError for a folder without all of its weights.
        """
        model = pretrained(_autoencoder_class(), folder)
        theirs = model.config
        if theirs.audio_channels != 2:
            raise ValueError(f"{folder}: audio_channels {theirs.audio_channels} is not 2")
        shapes = {
            "sample_rate": theirs.sampling_rate,
            "latent_dim": theirs.decoder_input_channels,
            "encoder_hidden_size": theirs.encoder_hidden_size,
            "decoder_channels": theirs.decoder_channels,
            "downsampling_ratios": theirs.downsampling_ratios,
            "channel_multiples": theirs.channel_multiples,
            "license": license,
        }
        codec = cls(build(OobleckConfig, shapes, str(folder)))
        codec.encoder.load_state_dict(model.encoder.state_dict())
        codec.decoder.load_state_dict(model.decoder.state_dict())
        return codec.eval()


def _autoencoder_class() -> Any:
    try:
        from diffusers import AutoencoderOobleck
    except ImportError:
        raise ValueError("codec oobleck needs diffusers: pip install hybridgen[codecs]") from None
    return AutoencoderOobleck
