"""Spectral distances: zero for what is equal, right units, and further from worse corruptions."""

import math
from collections.abc import Callable

import pytest
import torch

from hybridgen import spectra

RATE = 44_100


def music(n_samples: int = 2 * RATE) -> torch.Tensor:
    """Two sounds (2, 2, N) of decaying tones over a little noise."""
    time = torch.arange(n_samples) / RATE
    rng = torch.Generator().manual_seed(0)
    tones = sum(torch.sin(2 * math.pi * 220 * k * time) / k for k in range(1, 12)) * torch.exp(-2 * (time % 0.5))
    return 0.1 * torch.stack([tones, 0.5 * tones]).repeat(2, 1, 1) + 0.01 * torch.randn(2, 2, n_samples, generator=rng)


def low_pass(samples: torch.Tensor, cutoff: float) -> torch.Tensor:
    spectrum = torch.fft.rfft(samples)
    spectrum[..., int(cutoff * samples.shape[-1] / RATE) :] = 0
    return torch.fft.irfft(spectrum, n=samples.shape[-1])


def mu_law(samples: torch.Tensor, bits: int) -> torch.Tensor:
    mu = 2**bits - 1
    levels = torch.round(torch.sign(samples) * torch.log1p(mu * samples.abs()) / math.log1p(mu) * 2 ** (bits - 1))
    return torch.sign(levels) * torch.expm1(levels.abs() * 2 ** (1 - bits) * math.log1p(mu)) / mu


def test_equal_sounds_have_no_distance():
    samples = music()
    assert spectra.log_mel_distance(samples, samples, RATE).eq(0).all()
    assert spectra.stft_distance(samples, samples).total.eq(0).all()


def test_halving_the_level_is_six_decibels_and_half_the_magnitude():
    noise = torch.randn(2, 2, RATE, generator=torch.Generator().manual_seed(0))
    assert spectra.log_mel_distance(0.05 * noise, 0.1 * noise, RATE) == pytest.approx([6.02, 6.02], abs=0.01)
    assert spectra.stft_distance(0.05 * noise, 0.1 * noise).convergence == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("corrupt", "more", "less"), [("low_pass", 4000, 12_000), ("mu_law", 6, 10)])
def test_worse_corruptions_are_further_away(corrupt: str, more: int, less: int):
    samples = music()
    corruption = {"low_pass": low_pass, "mu_law": mu_law}[corrupt]
    worse, better = corruption(samples, more), corruption(samples, less)
    for distance in (lambda x: spectra.log_mel_distance(x, samples, RATE), log_magnitude_from(samples)):
        assert (distance(worse) > distance(better)).all() and (distance(better) > 0).all()


def log_magnitude_from(target: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda samples: spectra.stft_distance(samples, target).log_magnitude


def test_a_low_pass_is_bounded_by_the_floor():
    noise = torch.randn(1, 2, RATE)
    assert 5 < spectra.log_mel_distance(low_pass(noise, 8000), noise, RATE).item() < 80


def test_left_and_right_count_alike():
    samples = music()
    flipped = samples * torch.tensor([1.0, -1.0])[:, None]
    assert spectra.log_mel_distance(flipped, samples, RATE).max() < 1e-3


def test_silence_has_a_finite_distance():
    silence = torch.zeros(2, 2, RATE)
    for pair in ((silence, music(RATE)), (music(RATE), silence), (silence, silence)):
        assert spectra.log_mel_distance(*pair, RATE).isfinite().all()
        assert spectra.stft_distance(*pair).total.isfinite().all()


def test_shapes_must_agree():
    samples = music()
    for distance in (spectra.stft_distance, lambda x, y: spectra.log_mel_distance(x, y, RATE)):
        with pytest.raises(ValueError, match="shape"):
            distance(samples, samples[..., 1:])


@pytest.mark.parametrize(("n_fft", "n_mels"), [(256, 32), (2048, 128), (2048, 160)])
def test_every_mel_band_has_a_bin(n_fft: int, n_mels: int):
    filters = spectra.mel_filters(RATE, n_fft, n_mels)
    assert filters.shape == (n_fft // 2 + 1, n_mels)
    assert filters.sum(0).min() > 0
    assert filters.max() <= 1


def test_a_full_scale_sine_peaks_at_one():
    time = torch.arange(RATE) / RATE
    sine = torch.sin(2 * math.pi * 47 * RATE / 2048 * time)  # in the middle of a bin
    assert spectra.magnitude(spectra.stft(sine, 2048, 512)).max() == pytest.approx(1, abs=0.01)


def test_centered_frames_surround_their_sample():
    click = torch.zeros(4096)
    click[1024] = 1.0
    frames = spectra.stft(click, 512, 128, center=True)
    assert frames.shape == (1 + 4096 // 128, 257)
    assert frames.abs().sum(-1).argmax() == 1024 // 128


def test_mel_bands_have_a_gradient_in_silence_too():
    for samples in (torch.zeros(2, 8192), music(8192)[0]):
        samples.requires_grad_()
        spectra.mel_magnitude(samples, RATE, 1024, 256, 64).sum().backward()
        assert samples.grad.isfinite().all()


def test_texture_tells_grain_from_smoothness():
    noise, other = torch.randn(2, 1, 2, 40, 64, generator=torch.Generator().manual_seed(0))
    assert spectra.texture_distance(noise, noise) == 0
    assert spectra.texture_distance(0 * noise, noise) > 5 * spectra.texture_distance(other, noise)
