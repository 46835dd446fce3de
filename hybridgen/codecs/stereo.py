"""Stereo images that a codec of mid and side was not trained on, brought to ones that it was.

Music has a side some 5 to 20 dB under its mid. A side that is silent (mono), or a mid that is (channels that cancel),
makes features that no training song has, and a network that writes log magnitudes answers them with any level at all.

Shapes: B batch, N samples, T frames of `hop` samples.
"""

import math
from math import ceil, pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 16_384  # samples on each side over which levels are compared
NARROWEST_DB = -22.0  # level of side against mid; what is narrower gets a faint, delayed mid as its side
DELAY = 401  # samples, 9 ms at 44.1 kHz: long enough to be unlike mid, too short for an echo
TURN_DB = (4.0, 8.0)  # side against mid: from here to there, side takes the place of mid


def context(hop: int) -> int:
    """Frames on each side that a frame of `normalized` depends on."""
    return ceil(SPAN / hop) + ceil(DELAY / hop) + 1


def normalized(sides: Tensor, hop: int) -> Tensor:
    """Mid and side (B, 2, N) with a side at most 22 dB under mid, and 8 dB over it at most before they change places.

    The power stays, but for what little is added. What is an ordinary image around a sample leaves it bit for bit.
    """
    mid, side, both = _moments(sides, hop)
    turn = ((_decibels(side, mid) - TURN_DB[0]) / (TURN_DB[1] - TURN_DB[0])).clamp(0, 1) * (pi / 2)
    sin, cos = turn.sin(), turn.cos()
    new_mid = cos.square() * mid + sin.square() * side + 2 * sin * cos * both
    new_side = sin.square() * mid + cos.square() * side - 2 * sin * cos * both
    missing = (10 ** (NARROWEST_DB / 10) - new_side / new_mid.clamp(min=1e-20)).clamp(min=0).sqrt()
    missing = torch.where(new_mid > 0, missing, 0)
    if turn.any():
        sin, cos = _to_samples(sin, sides), _to_samples(cos, sides)
        first, second = sides.unbind(1)
        sides = torch.stack([cos * first + sin * second, cos * second - sin * first], 1)
    if missing.any():
        delayed = F.pad(sides[:, 0], (DELAY, 0))[..., : sides.shape[-1]]
        sides = torch.stack([sides[:, 0], sides[:, 1] + _to_samples(missing, sides) * delayed], 1)
    return sides


class WidthMeter:
    """Level of side over that of mid, of sound fed in blocks."""

    def __init__(self) -> None:
        self.n_samples, self._mid, self._side = 0, 0.0, 0.0

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (2, n)."""
        left, right = samples
        self.n_samples += samples.shape[1]
        self._mid += float(np.square(left + right).sum(dtype=float))
        self._side += float(np.square(left - right).sum(dtype=float))

    def width(self) -> float:
        """0 for mono, infinite where there is no mid."""
        return math.sqrt(self._side / self._mid) if self._mid > 0 else math.inf


def width(samples: np.ndarray) -> float:
    """Level of side over that of mid in samples (2, N); see `WidthMeter`."""
    meter = WidthMeter()
    meter.feed(samples)
    return meter.width()


def is_narrow(width: float) -> bool:
    """Whether what has this width is widened by `normalized`, so that it comes out of a codec wider than it was."""
    return width < 10 ** (NARROWEST_DB / 20)


def narrowed(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Samples (2, N) with their side multiplied by a ratio, at most 1."""
    middle = samples.mean(axis=0)
    return middle + np.float32(min(ratio, 1)) * (samples - middle)


def _moments(sides: Tensor, hop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Power of mid and of side, and their product, around each frame: (B, T) each, float64."""
    n_frames, reach = ceil(sides.shape[-1] / hop), ceil(SPAN / hop)
    framed = F.pad(sides, (0, n_frames * hop - sides.shape[-1])).unflatten(-1, (n_frames, hop))  # (B, 2, T, hop)
    first, second = framed.double().unbind(1)
    moments = torch.stack([first.square().sum(-1), second.square().sum(-1), (first * second).sum(-1)], 1)
    window = torch.hann_window(2 * reach + 3, periodic=False, dtype=torch.float64, device=sides.device)[1:-1]
    smooth = F.conv1d(moments.flatten(0, 1)[:, None], window[None, None], padding=reach)
    mid, side, both = smooth.view_as(moments).unbind(1)
    return mid, side, both


def _decibels(power: Tensor, other: Tensor) -> Tensor:
    """Power against another, in dB; far below where both are silent."""
    return 10 * torch.log10((power + 1e-20) / (other + 1e-16))


def _to_samples(values: Tensor, sides: Tensor) -> Tensor:
    """(B, N) float32 from values (B, T) at the middle of frames, on straight lines between them."""
    n_samples = sides.shape[-1]
    hop = ceil(n_samples / values.shape[-1])
    return F.interpolate(values[:, None].float(), scale_factor=hop, mode="linear")[:, 0, :n_samples]
