"""The codec's losses: spectral, tonal, the divergence from its prior, and adversarial.

Shapes: B batch, N samples, F spectral frames, K bins, M mel bands, T latent frames, C latent channels.
"""

import torch
from torch import Tensor, nn

from hybridgen.spectra import magnitude, mel_filters, stft, texture_distance


class SpectralLoss(nn.Module):
    """Distances at several window lengths, of left and right in one half of the batch, of mid and side in the other.

    Log-mel: mean absolute difference in units of 10 dB, over a soft floor of -80 dB below the excerpt's loudest band.
    Magnitude: spectral convergence, the relative error of the linear magnitudes (arXiv 1910.11480).
    Texture: how much less or more rough the log-mel spectrum is along time and frequency, patch by patch (in the same
    units). The other two are least where what cannot be known is blurred; this rewards texture, wherever it is.
    """

    def __init__(self, sample_rate: int, windows: tuple[int, ...], mels: tuple[int, ...]):
        super().__init__()
        self.sample_rate, self.windows, self.mels = sample_rate, windows, mels

    def forward(self, prediction: Tensor, target: Tensor, first: int = 0) -> dict[str, Tensor]:
        """Scalars `mel`, `magnitude` and `texture` for samples (B, 2, N), averaged over the windows.

        first: the number of the first example in the whole batch, of which this may be a part.
        """
        x, y = two_views(prediction, first), two_views(target, first)
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


def two_views(samples: Tensor, first: int = 0) -> Tensor:
    """Left and right of the examples of even number, mid and side of the others, (B, 2, N); they count from `first`."""
    left, right = samples.unbind(1)
    views = torch.stack([left + right, left - right], 1) * 0.5
    odd = (first + torch.arange(len(samples), device=samples.device))[:, None, None] % 2 == 1
    return torch.where(odd, views, samples)


def tone_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean log difference in units of 10 dB of powers (B, 2, T, J) of tones, 60 dB under the loudest and up."""
    floor = 1e-6 * target.amax((1, 2, 3), keepdim=True) + 1e-10
    return (torch.log10(prediction + floor) - torch.log10(target + floor)).abs().mean()


@torch.no_grad()
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
