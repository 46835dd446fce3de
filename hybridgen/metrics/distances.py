"""Whether two sets of sounds differ: kernel distance with its floor, and how well a simple classifier tells them apart.

Embeddings are (n, d) arrays, one row a sound; any model's will do. `describe` is one that needs no model.
"""

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.stats import mannwhitneyu

from hybridgen.metrics.rhythm import onset_rate
from hybridgen.metrics.spectral import decibels, mel, mono


def describe(samples: np.ndarray) -> np.ndarray:
    """Embedding (65,) of a sound: mean and deviation of 32 log-mel bands in dB, and onsets a second."""
    bands = mel(mono(samples)).reshape(32, 4, -1).mean(axis=1)
    bands = decibels(bands, bands.max())
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1), [onset_rate(samples)]])


def kernel_distance(reference: np.ndarray, found: np.ndarray, bandwidth: float | None = None) -> float:
    """Unbiased squared maximum mean discrepancy x 1000 with a Gaussian kernel; 0 on average for sets of one source.

    The bandwidth is the median distance within the reference unless given (KAD, https://arxiv.org/abs/2502.15602).
    """
    reference, found = np.asarray(reference, dtype=float), np.asarray(found, dtype=float)
    if min(len(reference), len(found)) < 2:
        raise ValueError(
            f"sets of {len(reference)} and {len(found)} sounds; a kernel distance takes at least 2 of each"
        )
    if bandwidth is None:
        bandwidth = float(np.median(pdist(reference)))
    within = [_off_diagonal_mean(_gaussian(x, x, bandwidth)) for x in (reference, found)]
    return 1000.0 * float(sum(within) - 2.0 * _gaussian(reference, found, bandwidth).mean())


def kernel_floor(reference: np.ndarray, n: int, draws: int = 200, seed: int = 0) -> tuple[float, float]:
    """Mean and 95th percentile of `kernel_distance` between random disjoint parts of the reference, the second of n."""
    rng = np.random.default_rng(seed)
    n = min(n, len(reference) // 2)
    bandwidth = float(np.median(pdist(reference)))
    distances = []
    for _ in range(draws):
        order = rng.permutation(len(reference))
        distances.append(kernel_distance(reference[order[n:]], reference[order[:n]], bandwidth))
    return float(np.mean(distances)), float(np.percentile(distances, 95))


def _gaussian(a: np.ndarray, b: np.ndarray, bandwidth: float) -> np.ndarray:
    return np.exp(-cdist(a, b, "sqeuclidean") / max(2.0 * bandwidth**2, 1e-12))


def _off_diagonal_mean(kernel: np.ndarray) -> float:
    n = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))


def separation(embeddings: np.ndarray, labels: list[str]) -> float:
    """How well (n, d) embeddings tell labels apart: the share of cases in which two sounds of one label are closer
    than two of different labels (area under the ROC curve; 0.5 is chance, 1 is perfect).

    Every column is first scaled to unit deviation. NaN unless there are pairs of both kinds.
    """
    x = np.asarray(embeddings, dtype=float)
    distances = pdist((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9))
    same = pdist(np.unique(labels, return_inverse=True)[1][:, None], "hamming") == 0.0
    if same.all() or not same.any():
        return float("nan")
    return float(mannwhitneyu(distances[~same], distances[same]).statistic / (same.sum() * (~same).sum()))
