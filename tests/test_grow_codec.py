"""A codec that has grown computes what it did, and only then learns."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig

SMALL = SpectralCodecConfig(
    sample_rate=44_100,
    hop_length=1024,
    latent_dim=4,
    n_fft=1024,
    frame_hop=512,
    phase_bins=12,
    band_stops=(16, 513),
    band_dims=(8, 6),
    frame_dim=8,
    latent_block_dim=12,
    encoder_layers=1,
    decoder_layers=1,
    latent_layers=1,
    expansion=2,
    tone_dim=6,
)
LARGE = replace(SMALL, decoder_layers=3, decoder_expansion=4, kernel=5, short_bands=6, gain_bands=3)


@pytest.fixture
def grow(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/grow_codec.py")


def decoded(codec: SpectralCodec) -> torch.Tensor:
    samples = 0.1 * torch.randn(1, 2, 20 * 1024, generator=torch.Generator().manual_seed(0))
    return codec.decode(codec.normalize(codec.posterior(samples)[0])).detach()


def test_a_grown_codec_computes_what_it_did(grow: ModuleType):
    torch.manual_seed(0)
    old = SpectralCodec(SMALL)
    assert torch.allclose(decoded(grow.grown(old, LARGE)), decoded(old), atol=1e-4)


def test_frames_are_repeated_for_a_shorter_hop(grow: ModuleType):
    """Each old frame is heard twice, a quarter of a window apart: tones go on, noise is another one."""
    torch.manual_seed(0)
    old = SpectralCodec(SMALL)
    for band in old.decoder.bands:
        band.weight.data.zero_()  # the same spectrum in all frames
    new, spectra = grow.grown(old, replace(LARGE, decoder_hop=256)), old.decoder(torch.zeros(1, 6, 4))[0]
    assert torch.allclose(new.decoder(torch.zeros(1, 6, 4))[0].abs(), spectra.abs().repeat_interleave(2, 2) / 2**0.5)


def test_a_codec_does_not_shrink(grow: ModuleType):
    old = SpectralCodec(LARGE)
    with pytest.raises(ValueError, match="cannot take over"):
        grow.grown(old, replace(LARGE, tone_dim=5))
    with pytest.raises(ValueError, match="kernel 5 is too short for 5 taps that are 2 apart"):
        grow.grown(old, replace(LARGE, decoder_hop=256))
