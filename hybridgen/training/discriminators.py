"""Discriminators of generated from real sound: small convolutions over complex spectra (arXiv 2306.06546, 2210.13438).

Shapes: B batch, N samples, F spectral frames, K bins, H channels of a layer.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from hybridgen.config import Width
from hybridgen.spectra import stft


@dataclass(frozen=True)
class DiscriminatorConfig:
    """One discriminator for each window length."""

    windows: tuple[Width, ...]  # samples
    channels: tuple[Width, ...]  # of the hidden layers; frequency is halved twice by the first and once by each other


class SpectrumDiscriminator(nn.Module):
    """Two-dimensional convolutions over frames and bins of left and right, real and imaginary."""

    def __init__(self, window: int, channels: tuple[int, ...]):
        super().__init__()
        self.window = window
        sizes = (4, *channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (3, 8 if i == 0 else 5), (1, 4 if i == 0 else 2), (1, 2)))
            for i, (a, b) in enumerate(zip(sizes, channels, strict=False))
        )
        self.head = weight_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """A score for each region, and the features of each layer (B, H, F, ·), from samples (B, 2, N)."""
        spectra = stft(samples, self.window, self.window // 2)  # half the work of a quarter
        tilt = (spectra.real.square() + spectra.imag.square() + 1e-8).pow(-0.25)  # magnitude to the power of 0.5
        x = torch.view_as_real(spectra * tilt).movedim(-1, 2).flatten(1, 2)  # (B, 4, F, K)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.head(x).float(), features


class Discriminators(nn.Module):
    """One discriminator for each window length, run together."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.by_window = nn.ModuleList(SpectrumDiscriminator(window, config.channels) for window in config.windows)

    def forward(self, samples: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Scores, one map for each discriminator, and the features of all layers, from samples (B, 2, N)."""
        outputs = [discriminator(samples) for discriminator in self.by_window]
        return [scores for scores, _ in outputs], [feature for _, features in outputs for feature in features]
