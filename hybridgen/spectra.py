"""Short-time spectra, mel bands and the distances between them: one definition for training, metrics and pictures.

All of it is differentiable. Shapes: B batch, N samples, F spectral frames, K bins, M mel bands.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

DISTANCE_WINDOW, DISTANCE_HOP, DISTANCE_MELS = 2048, 512, 128  # of `log_mel_distance`
STFT_WINDOWS = (512, 1024, 2048)  # of `stft_distance`, each with a hop of a quarter
FLOOR_DB = -80.0  # what is further below the loudest band counts as silence
SILENCE = 1e-7  # magnitude, where a full-scale sine has 1
LAGS, PATCH = (1, 2, 4), 8  # frames and bands: of the steps that make roughness, and over which it is averaged


def hz_to_mel(frequency: Tensor) -> Tensor:
    """HTK's mel scale."""
    return 2595 * torch.log10(1 + frequency / 700)


def mel_to_hz(mels: Tensor) -> Tensor:
    """The inverse of `hz_to_mel`."""
    return 700 * (10 ** (mels / 2595) - 1)


@lru_cache(maxsize=32)
def mel_edges(sample_rate: int, n_mels: int) -> Tensor:
    """Frequencies (M + 2,) in Hz, float64: filter m rises from edge m to its peak at m + 1 and falls until m + 2."""
    top = hz_to_mel(torch.tensor(sample_rate / 2))
    return mel_to_hz(torch.linspace(0, float(top), n_mels + 2, dtype=torch.float64))


@lru_cache(maxsize=32)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Triangular mel filters (K, M) from 0 Hz to the Nyquist frequency, each peaking at 1 (HTK's mel scale)."""
    edges = mel_edges(sample_rate, n_mels)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)[:, None]
    width = sample_rate / n_fft  # slopes no steeper than a bin, so that no filter is empty
    rise = 1 + (bins - edges[1:-1]) / (edges[1:-1] - edges[:-2]).clamp(min=width)
    fall = 1 - (bins - edges[1:-1]) / (edges[2:] - edges[1:-1]).clamp(min=width)
    return torch.minimum(rise, fall).clamp(min=0).float()


def stft(samples: Tensor, n_fft: int, hop: int, center: bool = False) -> Tensor:
    """Complex spectra (..., F, K) of samples (..., N), Hann window, a full-scale sine peaking near 1.

    Frame f begins at sample f * hop, and only whole frames count; with `center` it is centered there, in a sound that
    silence surrounds, so that F = 1 + N // hop.
    """
    if center:
        samples = F.pad(samples, (n_fft // 2, n_fft // 2))
    window = torch.hann_window(n_fft, device=samples.device) * (4 / n_fft)
    return torch.fft.rfft(samples.unfold(-1, n_fft, hop) * window)


def magnitude(bins: Tensor) -> Tensor:
    """Absolute value with a gradient everywhere."""
    return (torch.view_as_real(bins).square().sum(-1) + 1e-14).sqrt()


def mel_magnitude(samples: Tensor, sample_rate: int, n_fft: int, hop: int, n_mels: int, center: bool = False) -> Tensor:
    """Magnitudes (..., F, M) of samples (..., N) in mel bands; framing as in `stft`."""
    filters = mel_filters(sample_rate, n_fft, n_mels).to(samples.device)
    return stft(samples, n_fft, hop, center).abs() @ filters


def decibels(magnitudes: Tensor, loudest: Tensor) -> Tensor:
    """Magnitudes in dB, none more than 80 dB below `loudest`, which broadcasts against them; silence is -140 dB."""
    return 20 * torch.log10(torch.maximum(magnitudes, 10 ** (FLOOR_DB / 20) * loudest).clamp(min=SILENCE))


@torch.no_grad()
def log_mel_distance(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mean absolute log-mel difference in dB (B,) of samples (B, 2, N), N >= 2048.

    128 bands, window 2048, hop 512; the floor is 80 dB below the target's loudest band.
    """
    _check_shapes(prediction, target)
    x, y = (
        mel_magnitude(samples, sample_rate, DISTANCE_WINDOW, DISTANCE_HOP, DISTANCE_MELS)
        for samples in (prediction, target)
    )  # (B, 2, F, M)
    loudest = y.amax((1, 2, 3), keepdim=True)
    return (decibels(x, loudest) - decibels(y, loudest)).abs().mean((1, 2, 3))


@dataclass(frozen=True)
class StftDistance:
    """Means over windows of 512, 1024 and 2048, after https://arxiv.org/abs/1910.11480; 0 is equal."""

    convergence: Tensor  # (B,): norm of the difference of the magnitudes over the norm of the target's
    log_magnitude: Tensor  # (B,): mean absolute difference of their decimal logarithms, from 100 dB below full scale up

    @property
    def total(self) -> Tensor:
        """(B,): the sum of both."""
        return self.convergence + self.log_magnitude


@torch.no_grad()
def stft_distance(prediction: Tensor, target: Tensor) -> StftDistance:
    """Multi-resolution STFT distance of samples (B, 2, N), N >= 2048."""
    _check_shapes(prediction, target)
    convergence, log_magnitude = [], []
    for n_fft in STFT_WINDOWS:
        x, y = (magnitude(stft(samples, n_fft, n_fft // 4)) for samples in (prediction, target))
        norm = y.square().sum((1, 2, 3)).sqrt().clamp(min=1e-5)
        convergence.append((x - y).square().sum((1, 2, 3)).sqrt() / norm)
        log_magnitude.append((torch.log10(x + 1e-5) - torch.log10(y + 1e-5)).abs().mean((1, 2, 3)))
    return StftDistance(torch.stack(convergence).mean(0), torch.stack(log_magnitude).mean(0))


def texture_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference () of the roughness of levels (B, 2, F, M), in their unit."""
    pairs = zip(roughness(x), roughness(y), strict=True)
    return torch.stack([(a - b).abs().mean() for a, b in pairs]).mean()


def roughness(levels: Tensor) -> list[Tensor]:
    """Mean absolute steps of levels (B, 2, F, M) in overlapping patches: along bands, along frames, and along both."""
    steps = []
    for lag in LAGS:
        steps.append(up := levels[..., lag:] - levels[..., :-lag])
        if lag < levels.shape[-2]:
            steps += [levels[..., lag:, :] - levels[..., :-lag, :], up[..., lag:, :] - up[..., :-lag, :]]
    return [
        F.avg_pool2d(step.abs(), [min(PATCH, size) for size in step.shape[-2:]], PATCH // 2, ceil_mode=True)
        for step in steps
    ]


def _check_shapes(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}")


def pitch_classes(power: Tensor, steps: int) -> Tensor:
    """Shares (..., T, 12) of the pitch classes, of norm 1, of powers (..., 2, T, J) of tones, `steps` a semitone."""
    classes = torch.arange(power.shape[-1], device=power.device).add(steps // 2).div(steps, rounding_mode="floor") % 12
    fold = F.one_hot(classes, 12).to(power.dtype)  # (J, 12)
    return F.normalize(power.sum(-3).sqrt() @ fold, dim=-1)


def chroma_correlation(prediction: Tensor, target: Tensor, steps: int) -> Tensor:
    """How well the notes survive, () in -1 … 1, from powers (2, T, J) of tones, `steps` a semitone.

    The correlation over time of each pitch class's share of a frame, a mean over the twelve. Log-mel distance does not
    notice when every note is lost; this does.
    """
    x, y = (pitch_classes(power, steps) for power in (prediction, target))
    x, y = x - x.mean(0), y - y.mean(0)
    return ((x * y).sum(0) / (x.square().sum(0) * y.square().sum(0) + 1e-12).sqrt()).mean()
