"""Loudness of stereo sound as ITU-R BS.1770-4 (https://www.itu.int/rec/R-REC-BS.1770) and EBU Tech 3342 define it."""

import functools
import math

import numpy as np

_WIDTH = 128  # samples that one matrix product weights
_FRAME = 1 << 16  # samples that are weighted at once: always the same products, whatever was fed at a time


class LoudnessMeter:
    """Loudness of a stereo sound fed in blocks of any size, which do not matter; ten numbers a second are kept."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate, self._hop = sample_rate, round(sample_rate / 10)
        self._held = np.zeros((2, 0), np.float32)  # samples that fill no frame yet
        self._state = np.zeros((2, 4))
        self._energies = np.zeros(0)  # of hops of 0.1 s
        self._left = np.zeros(0)  # power of the samples that fill no hop yet

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (2, n)."""
        self._held = np.concatenate([self._held, samples], axis=1)
        while self._held.shape[1] >= _FRAME:
            power, self._state = self._weighted_power(self._held[:, :_FRAME])
            energies, self._left = self._by_hop(power)
            self._energies = np.concatenate([self._energies, energies])
            self._held = self._held[:, _FRAME:]

    def lufs(self) -> float:
        """Loudness of all that was fed: 400 ms blocks every 100 ms, gated at -70 LUFS and 10 LU under their mean.

        A sound shorter than one block counts as a block. -inf when nothing passes the gate.
        """
        energies, left = self._all()
        if len(energies) >= 4:
            blocks = np.lib.stride_tricks.sliding_window_view(energies, 4).sum(1) / (4 * self._hop)
        else:
            blocks = np.array([(energies.sum() + left.sum()) / max(1, len(energies) * self._hop + len(left))])
        blocks = blocks[_lufs(blocks) > -70]
        gated = blocks[_lufs(blocks) > _lufs(blocks.mean()) - 10] if len(blocks) else blocks
        return float(_lufs(gated.mean())) if len(gated) else -math.inf

    def range(self) -> float:
        """From the 10th to the 95th percentile of the loudness of 3 s, every 100 ms, in LU; 0 where nothing is loud.

        Gated at -70 LUFS and 20 LU under the mean.
        """
        energies, _ = self._all()
        if len(energies) < 30:
            return 0.0
        blocks = np.lib.stride_tricks.sliding_window_view(energies, 30).sum(1) / (30 * self._hop)
        blocks = blocks[_lufs(blocks) > -70]
        gated = blocks[_lufs(blocks) > _lufs(blocks.mean()) - 20] if len(blocks) else blocks
        return float(np.diff(np.percentile(_lufs(gated), [10, 95]))[0]) if len(gated) else 0.0

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        """Energies of all hops so far, and the power of the samples after them."""
        n_held = self._held.shape[1]
        power, _ = self._weighted_power(np.pad(self._held, ((0, 0), (0, _FRAME - n_held))))
        energies, left = self._by_hop(power[:n_held])
        return np.concatenate([self._energies, energies]), left

    def _by_hop(self, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The power (n,) of the next samples, as energies of whole hops and what is left after them."""
        power = np.concatenate([self._left, power])
        whole = len(power) // self._hop * self._hop
        return power[:whole].reshape(-1, self._hop).sum(1), power[whole:]

    def _weighted_power(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(_FRAME,) power of both channels of a frame (2, _FRAME) after K-weighting, and the filter's state after it.

        The filter as a linear system that takes `_WIDTH` samples a step: SciPy's, one sample a step, would make every
        program start half a second later.
        """
        of_samples, of_state = _response(self._sample_rate)
        driven = frame.reshape(2, -1, _WIDTH).astype(np.float64) @ of_samples  # (2, steps, _WIDTH + 4)
        states = np.empty((driven.shape[1] + 1, 2, 4))
        states[0] = self._state
        for i, pushed in enumerate(driven[..., _WIDTH:].swapaxes(0, 1)):
            states[i + 1] = states[i] @ of_state[:, _WIDTH:] + pushed
        weighted = driven[..., :_WIDTH] + states[:-1].swapaxes(0, 1) @ of_state[:, :_WIDTH]
        return np.square(weighted).sum(0).reshape(-1), states[-1]


@functools.cache
def _response(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """What K-weighting makes of each of `_WIDTH` samples, (_WIDTH, _WIDTH + 4), and of each of the four numbers of its
    state before them, (4, _WIDTH + 4): the weighted samples, then the state after them."""
    inputs = np.eye(_WIDTH + 4)
    x, states = inputs[:, :_WIDTH].copy(), inputs[:, _WIDTH:].reshape(-1, 2, 2).copy()
    for section, (b0, b1, b2, _, a1, a2) in enumerate(_k_weighting(sample_rate)):
        first, second = states[:, section].T.copy()
        for i in range(_WIDTH):
            taken = x[:, i].copy()
            x[:, i] = b0 * taken + first
            first, second = b1 * taken - a1 * x[:, i] + second, b2 * taken - a2 * x[:, i]
        states[:, section] = np.stack([first, second], axis=1)
    response = np.concatenate([x, states.reshape(-1, 4)], axis=1)
    return response[:_WIDTH], response[_WIDTH:]


def _k_weighting(sample_rate: int) -> np.ndarray:
    """(2, 6) second-order sections: the shelf and the high-pass of BS.1770, from their analog forms, at any rate."""
    k, q = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    mid = high**0.4996667741545416
    numerator = np.array([high + mid * k / q + k * k, 2 * (k * k - high), high - mid * k / q + k * k])
    shelf = [*(numerator / (1 + k / q + k * k)), *_poles(k, q)]
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    return np.array([shelf, [1, -2, 1, *_poles(k, q)]])


def _poles(k: float, q: float) -> tuple[float, float, float]:
    norm = 1 + k / q + k * k
    return 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))
