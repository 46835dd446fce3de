"""Whether two sets of sounds differ: distances with their floor and their uncertainty.

Embeddings are (n, d) arrays, one row a sound; any model's will do (`metrics.embedding` has one that needs none).
A distance is a function of a reference and of what was found. It means nothing without the floor: what two parts of the
reference itself, as large as the sets compared, differ.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr, svdvals
from scipy.spatial.distance import cdist, pdist

Distance = Callable[[np.ndarray, np.ndarray], float]  # of a reference (n, d) and of what was found (m, d)


def frechet_distance(reference: np.ndarray, found: np.ndarray) -> float:
    """Squared Fréchet (2-Wasserstein) distance of Gaussians with the means and unbiased covariances of both sets.

    Exact for fewer sounds than dimensions too: Tr sqrt(S1 S2) is the sum of the singular values of A B^T, where
    A^T A = S1 and B^T B = S2, and the centered sets themselves are such A and B. Small sets are far apart even when
    they come from one source; see `floor`.
    """
    reference, found = _sets(reference, found)
    a, b = _root_of_covariance(reference), _root_of_covariance(found)
    means = float(((reference.mean(axis=0) - found.mean(axis=0)) ** 2).sum())
    return max(means + float((a**2).sum() + (b**2).sum() - 2.0 * svdvals(a @ b.T).sum()), 0.0)


def _root_of_covariance(x: np.ndarray) -> np.ndarray:
    """A (r, d) with r the smaller of n and d, whose A^T A is the covariance of x (n, d)."""
    centered = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return centered if len(x) <= x.shape[1] else qr(centered, mode="r")[0][: x.shape[1]]


def kernel_distance(reference: np.ndarray, found: np.ndarray, bandwidth: float | None = None) -> float:
    """Unbiased squared maximum mean discrepancy x 1000 with a Gaussian kernel; 0 on average for sets of one source.

    The bandwidth is the median distance within the reference unless given (KAD, https://arxiv.org/abs/2502.15602).
    """
    reference, found = _sets(reference, found)
    if bandwidth is None:
        bandwidth = float(np.median(pdist(reference)))
    within = [_off_diagonal_mean(_gaussian(x, x, bandwidth)) for x in (reference, found)]
    return 1000.0 * float(sum(within) - 2.0 * _gaussian(reference, found, bandwidth).mean())


def _gaussian(a: np.ndarray, b: np.ndarray, bandwidth: float) -> np.ndarray:
    return np.exp(-cdist(a, b, "sqeuclidean") / max(2.0 * bandwidth**2, 1e-12))


def _off_diagonal_mean(kernel: np.ndarray) -> float:
    n = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))


def _sets(reference: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    reference, found = np.asarray(reference, dtype=float), np.asarray(found, dtype=float)
    if min(len(reference), len(found)) < 2:
        raise ValueError(f"sets of {len(reference)} and {len(found)} sounds; a distance takes at least 2 of each")
    if reference.shape[1:] != found.shape[1:]:
        raise ValueError(f"found has rows of shape {found.shape[1:]}, reference {reference.shape[1:]}")
    return reference, found


def floor(distance: Distance, reference: np.ndarray, n: int, draws: int = 200, seed: int = 0) -> tuple[float, float]:
    """Mean and 95th percentile of a distance between random disjoint parts of the reference, the second of n sounds.

    n is at most half of the reference.
    """
    reference, rng = np.asarray(reference, dtype=float), np.random.default_rng(seed)
    n = min(n, len(reference) // 2)
    found = []
    for _ in range(draws):
        order = rng.permutation(len(reference))
        found.append(distance(reference[order[n:]], reference[order[:n]]))
    return float(np.mean(found)), float(np.percentile(found, 95))


def interval(
    distance: Distance, reference: np.ndarray, found: np.ndarray, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """95 % interval (low, high) of a distance, over which sounds happen to be in `found`.

    Bootstrap percentiles, shifted so that the draws' mean is the distance itself: sounds that are drawn twice make a
    set look narrower than it is, which biases every draw alike. In simulations with 40 sounds it held the distance of
    the source in 91 and 92 of 100 cases: a little narrow.
    """
    reference, found = _sets(reference, found)
    rng = np.random.default_rng(seed)
    drawn = [distance(reference, found[rng.integers(len(found), size=len(found))]) for _ in range(draws)]
    low, high = np.percentile(drawn, (2.5, 97.5)) - np.mean(drawn) + distance(reference, found)
    return float(low), float(high)


@dataclass(frozen=True)
class Basis:
    """The directions in which a reference varies most, with columns of any unit: distances in it weigh all alike."""

    mean: np.ndarray  # (d,)
    directions: np.ndarray  # (d, k)

    @classmethod
    def fit(cls, reference: np.ndarray, dim: int) -> "Basis":
        """The first `dim` principal components of a reference (n, d), its columns scaled to unit deviation before.

        ValueError where the reference varies in fewer directions than that.
        """
        x = np.asarray(reference, dtype=float)
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
        _, strengths, rows = np.linalg.svd((x - mean) * scale, full_matrices=False)
        known = int((strengths > 1e-9 * strengths.max(initial=0.0)).sum())
        if not 1 <= dim <= known:
            raise ValueError(f"dim {dim} is outside 1-{known}, the directions in which {len(x)} sounds vary")
        rows, strengths = rows[:dim], strengths[:dim]
        rows = rows * np.sign(rows[np.arange(dim), np.abs(rows).argmax(axis=1)])[:, None]  # the largest is positive
        return cls(mean, scale[:, None] * rows.T * (np.sqrt(len(x)) / strengths))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, k): embeddings (n, d) along the directions; the reference itself has mean 0 and deviation 1 in each."""
        return (np.asarray(x, dtype=float) - self.mean) @ self.directions
