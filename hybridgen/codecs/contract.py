"""What a codec is: samples (B, 2, N) <-> latents (B, T, C) of zero mean and unit variance in each channel.

`Codec` is the contract that the pipeline and the training know. `BlockCodec` keeps it for any network whose frames
depend on a bounded neighborhood: long tracks are encoded and decoded in blocks at fixed positions, each with its exact
context, so memory stays flat and a changed latent changes the samples that it reaches and no other, bit for bit.

Shapes: B batch, N samples, T = ceil(N / hop_length) latent frames, C latent channels.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODE_BLOCK = 512  # latent frames encoded at once
DECODE_BLOCK = 128  # latent frames decoded at once
FREE_LICENSES = ("Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0")  # SPDX; any use, commercial too


class Codec(Protocol):
    """Samples <-> latents; implemented by `own.SpectralCodec`, `dac.DacCodec` and `oobleck.OobleckCodec`."""

    sample_rate: int  # Hz
    hop_length: int  # samples in a latent frame
    latent_dim: int  # C
    channels: int  # of sound: 2
    reach: int  # latent frames on each side that a decoded frame depends on
    license: str  # SPDX identifier of the weights' license
    latent_mean: Tensor  # (C,) of the raw latents
    latent_std: Tensor  # (C,)

    def encode(self, samples: Tensor) -> Tensor:
        """Latents (B, T, C) of samples (B, 2, N); silence surrounds the samples."""
        ...

    def encode_blocks(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The latents of `encode` as (B, t, C), block after block, from the samples in blocks (B, 2, n) of any size."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Samples (B, 2, T * hop_length) of latents (B, T, C); zero latents surround the track."""
        ...

    def decode_blocks(
        self, latents: Tensor, start: int = 0, stop: int | None = None, *, origin: int = 0
    ) -> Iterator[tuple[int, Tensor]]:
        """Latent frames [start, stop) of a track (T, C) as (first sample, samples (2, n)), block after block.

        origin: the number of frame 0, which may be negative. What is decoded depends on it, as oscillators do on time:
        frames that move in a track keep their numbers, and so their sound.
        """
        ...


class BlockCodec(nn.Module):
    """A codec made of two networks of bounded reach, `_encode_inside` and `_decode_inside`."""

    latent_mean: Tensor
    latent_std: Tensor
    channels = 2
    image_reach = 0  # latent frames beyond `encoder_reach` that `_select` depends on

    def __init__(
        self, *, sample_rate: int, hop_length: int, latent_dim: int, reach: int, encoder_reach: int, license: str
    ):
        super().__init__()
        self.sample_rate, self.hop_length, self.latent_dim = sample_rate, hop_length, latent_dim
        self.reach, self.encoder_reach, self.license = reach, encoder_reach, license
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))

    @abstractmethod
    def _encode_inside(self, samples: Tensor) -> Tensor:
        """Raw latents (B, T, C) of samples (B, 2, N), all but `encoder_reach` frames at each end exact."""

    @abstractmethod
    def _decode_inside(self, raw: Tensor, first: int) -> Tensor:
        """Samples (B, 2, T * hop_length) of raw latents from frame `first` on, all but `reach` at each end exact."""

    def normalize(self, raw: Tensor) -> Tensor:
        """Raw latents (B, T, C) -> zero mean and unit variance."""
        return (raw - self.latent_mean) / self.latent_std

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """As `Codec.encode`; ValueError for samples of another shape."""
        if samples.dim() != 3 or samples.shape[1] != self.channels or samples.shape[2] == 0:
            raise ValueError(f"samples of shape {tuple(samples.shape)} are not (batch, 2, samples) with samples > 0")
        return torch.cat(list(self.encode_blocks([samples])), 1)

    @torch.no_grad()
    def encode_blocks(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """As `Codec.encode_blocks`; what is held of the samples does not grow with their length."""
        hop, reach = self.hop_length, self.encoder_reach + self.image_reach
        held, first, start = torch.zeros(0), 0, 0  # held: samples from frame `first` on; start: next frame to encode
        for block in blocks:
            held = torch.cat([held, block], -1) if held.numel() else block
            while held.shape[-1] >= (start + ENCODE_BLOCK + reach - first) * hop:
                yield self._encode_block(held, first, start, start + ENCODE_BLOCK)
                start += ENCODE_BLOCK
                held = held[..., (max(start - reach, first) - first) * hop :]
                first = max(start - reach, first)
        n_frames = first + ceil(held.shape[-1] / hop)
        for begin in range(start, n_frames, ENCODE_BLOCK):
            yield self._encode_block(held, first, begin, min(begin + ENCODE_BLOCK, n_frames))

    def _encode_block(self, held: Tensor, first: int, start: int, stop: int) -> Tensor:
        """Latents of frames start … stop from samples that begin at frame `first` and hold all that they depend on."""
        low, high = max(start - self.encoder_reach, 0), stop + self.encoder_reach
        raw = self._encode_inside(self._select(held, low - first, high - first))
        return self.normalize(raw[:, start - low : stop - low])

    def _select(self, held: Tensor, start: int, stop: int) -> Tensor:
        """Samples of frames start … stop of `held` (B, 2, N), as the encoder is to see them."""
        return held[..., start * self.hop_length : stop * self.hop_length]

    def decode(self, latents: Tensor) -> Tensor:
        """As `Codec.decode`, at once and with gradients."""
        padded = F.pad(latents, (0, 0, self.reach, self.reach))
        margin = self.reach * self.hop_length
        return self._decode_inside(padded * self.latent_std + self.latent_mean, -self.reach)[..., margin:-margin]

    @torch.no_grad()
    def decode_blocks(
        self, latents: Tensor, start: int = 0, stop: int | None = None, block: int = DECODE_BLOCK, *, origin: int = 0
    ) -> Iterator[tuple[int, Tensor]]:
        """As `Codec.decode_blocks`; blocks start at frames whose numbers are multiples of `block` and have one shape.

        Only frames from `reach` before the first block to `reach` after the last are read.
        """
        stop = len(latents) if stop is None else stop
        if not 0 <= start <= stop <= len(latents):
            raise ValueError(f"frames {start} to {stop} are not inside the track of {len(latents)} frames")
        for first in range((start + origin) // block * block - origin, stop, block):
            low, high = first - self.reach, first + block + self.reach
            inside = latents[max(low, 0) : high]
            padded = F.pad(inside, (0, 0, max(-low, 0), high - max(low, 0) - len(inside)))
            samples = self._decode_inside(padded[None] * self.latent_std + self.latent_mean, low + origin)[0]
            begin, end = max(start, first), min(stop, first + block)
            hop = self.hop_length
            yield begin * hop, samples[:, (begin - low) * hop : (end - low) * hop]


def check_license(license: str, accepted: str | None) -> None:
    """ValueError unless the weights may be used for anything, or the user has accepted their license by name."""
    if license not in FREE_LICENSES and license != accepted:
        raise ValueError(
            f"codec license {license!r} is none of {', '.join(FREE_LICENSES)}; to use it all the same, accept it by "
            f"name: --accept-license {license}, or accept_license={license!r} in Python"
        )
