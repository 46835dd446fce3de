"""The codec's losses: spectral, of attacks, tonal, semantic, the divergence from its prior, and adversarial.

Shapes: B batch, N samples, F spectral frames, K bins, M mel bands, T latent frames, C latent channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen.spectra import magnitude, mel_filters, stft, texture_distance

ATTACK_WINDOW, ATTACK_BANDS = 256, 24  # samples of a piece (6 ms at 44.1 kHz), mel bands
AHEAD = 5  # pieces after one in which an attack makes it count more: 29 ms
RISE, MOST = 0.6, 7.0  # decades of energy from which it does, and the weight of one that rises by a decade more


class SpectralLoss(nn.Module):
    """Distances at several window lengths, of left, right, mid and side.

    Log-mel: mean absolute difference in units of 10 dB, over a soft floor of -80 dB below the excerpt's loudest band.
    Magnitude: spectral convergence, the relative error of the linear magnitudes (arXiv 1910.11480).
    Texture: how much less or more rough the log-mel spectrum is along time and frequency, patch by patch (in the same
    units). The other two are least where what cannot be known is blurred; this rewards texture, wherever it is.
    """

    def __init__(self, sample_rate: int, windows: tuple[int, ...], mels: tuple[int, ...]):
        super().__init__()
        self.sample_rate, self.windows, self.mels = sample_rate, windows, mels

    def forward(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Scalars `mel`, `magnitude` and `texture` for samples (B, 2, N), averaged over the windows."""
        x, y = four_views(prediction), four_views(target)
        parts = [self._one(x, y, n_fft, n_mels) for n_fft, n_mels in zip(self.windows, self.mels, strict=True)]
        return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}

    def _one(self, x: Tensor, y: Tensor, n_fft: int, n_mels: int) -> dict[str, Tensor]:
        filters = mel_filters(self.sample_rate, n_fft, n_mels).to(x.device)
        x_size = magnitude(stft(x, n_fft, n_fft // 2))
        with torch.no_grad():
            y_size = magnitude(stft(y, n_fft, n_fft // 2))
        x_mel, y_mel = x_size @ filters, y_size @ filters
        floor = 1e-4 * y_mel.amax((1, 2, 3), keepdim=True) + 1e-6
        x_level, y_level = (2 * torch.log10(mel + floor) for mel in (x_mel, y_mel))
        error = (x_size - y_size).square().sum((1, 2, 3)) / (y_size.square().sum((1, 2, 3)) + 1e-3)
        return {
            "mel": (x_level - y_level).abs().mean(),
            "magnitude": (error + 1e-8).sqrt().mean(),
            "texture": texture_distance(x_level, y_level),
        }


def four_views(samples: Tensor) -> Tensor:
    """Left, right, mid and side (B, 4, N) of samples (B, 2, N)."""
    left, right = samples.unbind(1)
    return torch.stack([left, right, 0.5 * (left + right), 0.5 * (left - right)], 1)


def attack_loss(prediction: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mean log difference, in units of 10 dB, of the energy of 24 bands in pieces of 6 ms, of samples (B, 2, N).

    Pieces with a louder one at most 29 ms later count up to seven times: what sounds there is pre-echo. The floor is
    60 dB under the loudest piece.
    """
    with torch.no_grad():
        y = _short_energy(four_views(target), sample_rate)
        floor = 1e-6 * y.amax((1, 2, 3), keepdim=True) + 1e-10
        y_level = torch.log10(y + floor)
        ahead = F.max_pool2d(F.pad(y_level, (0, 0, 0, AHEAD)), (AHEAD, 1), 1)[:, :, 1:]
        weight = 1 + (MOST - 1) * (ahead - y_level - RISE).clamp(0, 1)
    error = (torch.log10(_short_energy(four_views(prediction), sample_rate) + floor) - y_level).abs()
    return (error * weight).mean() / weight.mean()


def _short_energy(samples: Tensor, sample_rate: int) -> Tensor:
    """Energy (B, V, pieces, bands) of samples (B, V, N), each piece a mean of four overlapping windows."""
    filters = mel_filters(sample_rate, ATTACK_WINDOW, ATTACK_BANDS).to(samples.device)
    power = torch.view_as_real(stft(samples, ATTACK_WINDOW, ATTACK_WINDOW // 4)).square().sum(-1) @ filters
    return F.avg_pool2d(power, (4, 1))


def semantic_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """What a head (B, T, 13) misses of a chroma, 1 - cosine, and of a level in units of 10 dB; see `semantics`."""
    chroma = 1 - F.cosine_similarity(prediction[..., :12], target[..., :12], dim=-1)
    return chroma.mean() + (prediction[..., 12] - target[..., 12]).abs().mean()


def tone_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean log difference in units of 10 dB of powers (B, 2, T, J) of tones, 60 dB under the loudest and up."""
    floor = 1e-6 * target.amax((1, 2, 3), keepdim=True) + 1e-10
    return (torch.log10(prediction + floor) - torch.log10(target + floor)).abs().mean()


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Nats of a diagonal normal (B, T, C) against the standard normal: summed over C, averaged over B and T."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(-1).mean()


def generator_loss(scores: list[Tensor]) -> Tensor:
    """Least squares (arXiv 1611.04076): generated sound should score 1."""
    return torch.stack([(1 - score).square().mean() for score in scores]).mean()


def discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Least squares: real sound should score 1, generated sound 0."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([(1 - r).square().mean() + f.square().mean() for r, f in pairs]).mean()


def feature_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean distance of the discriminators' features (B, ...), relative to the size of each example's real ones.

    As arXiv 2210.13438, but for each example, so that the loss does not depend on how ranks share a batch.
    """
    pairs = [(r.detach().float().flatten(1), f.float().flatten(1)) for r, f in zip(real, fake, strict=True)]
    return torch.stack([((f - r).abs().mean(1) / (r.abs().mean(1) + 1e-4)).mean() for r, f in pairs]).mean()
