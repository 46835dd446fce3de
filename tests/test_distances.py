"""Distances between sets of sounds: closed forms, floors of nothing, and scales that do not matter."""

import numpy as np
import pytest

pytest.importorskip("librosa")

from scipy.linalg import sqrtm

from hybridgen.metrics import distances
from hybridgen.metrics.distances import Basis, frechet_distance, kernel_distance


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def exact(rng: np.random.Generator, n: int, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """n sounds whose mean, and whose unbiased and diagonal covariance, are exactly these."""
    x = rng.standard_normal((n, len(mean)))
    q, _ = np.linalg.qr(x - x.mean(axis=0))
    return np.sqrt(n - 1) * q * deviation + mean


# ---- Fréchet


@pytest.mark.parametrize("d", [1, 7, 40])
def test_distance_of_diagonal_gaussians_is_the_closed_form(rng, d):
    means, deviations = rng.standard_normal((2, d)), rng.uniform(0.1, 3.0, (2, d))
    sets = (exact(rng, n, mean, std) for n, mean, std in zip((90, 60), means, deviations, strict=True))
    closed = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(*sets) == pytest.approx(closed, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 16), (90, 2000, 64)])
def test_distance_is_that_of_the_formula_with_a_matrix_square_root(rng, n, m, d):
    a, b = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)), 2.0 + rng.standard_normal((m, d))
    s, t = np.cov(a.T), np.cov(b.T)
    formula = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(s + t - 2.0 * sqrtm(s @ t).real)
    assert frechet_distance(a, b) == pytest.approx(formula, rel=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(5, 8, 30), (20, 50, 30), (50, 40, 10)])
def test_distance_is_symmetric_zero_for_equals_and_the_same_in_a_larger_space(rng, n, m, d):
    a, b = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    found = frechet_distance(a, b)
    assert found == pytest.approx(frechet_distance(b, a), rel=1e-10)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-10)
    turn, _ = np.linalg.qr(rng.standard_normal((100, 100)))
    assert frechet_distance(a @ turn[:d], b @ turn[:d]) == pytest.approx(found, rel=1e-10)  # there d > n, m


def test_fewer_sounds_than_dimensions_have_the_distance_of_their_singular_gaussians(rng):
    """In one direction each, at right angles: nothing is shared, so all variance counts."""
    a, b = np.zeros((2, 3, 9))
    a[:, 0], b[:, 1] = (-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0)
    assert frechet_distance(a, b) == pytest.approx(1.0 + 4.0)
    b[:, 0], b[:, 1] = b[:, 1].copy(), 0.0
    assert frechet_distance(a, b) == pytest.approx((2.0 - 1.0) ** 2)


# ---- kernel


def test_kernel_distance_is_unbiased_and_may_be_negative(rng):
    same = [kernel_distance(*rng.standard_normal((2, 60, 5))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    assert min(same) < 0


def test_bandwidth_comes_from_the_reference(rng):
    reference, found = rng.standard_normal((40, 5)), 3.0 * rng.standard_normal((30, 5))
    distance = kernel_distance(reference, found)
    assert distance == pytest.approx(kernel_distance(7.0 * reference, 7.0 * found))  # no unit
    assert distance != pytest.approx(kernel_distance(found, reference))


# ---- floor, interval


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_what_is_of_the_source_lies_at_the_floor_and_what_is_not_above_it(rng, distance):
    reference, same, other = rng.standard_normal((100, 5)), rng.standard_normal((30, 5)), rng.standard_normal((30, 5))
    mean, high = distances.floor(distance, reference, n=30)
    assert (mean, high) == distances.floor(distance, reference, n=30)
    assert distance(reference, same) < 1.5 * high and mean < high < distance(reference, other + 1.0)


def test_kernel_floor_is_zero_and_frechet_floor_falls_with_more_sounds(rng):
    reference = rng.standard_normal((200, 10))
    assert abs(distances.floor(kernel_distance, reference, n=50)[0]) < 1.0
    few, many = (distances.floor(frechet_distance, reference, n, draws=50)[0] for n in (15, 60))
    assert few > 2 * many > 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_interval_holds_the_distance_and_narrows_with_more_sounds(rng, distance):
    reference, found = rng.standard_normal((150, 4)), 1.0 + rng.standard_normal((160, 4))
    low, high = distances.interval(distance, reference, found)
    few_low, few_high = distances.interval(distance, reference, found[:20])
    assert low < distance(reference, found) < high
    assert few_high - few_low > 1.5 * (high - low)


# ---- basis


def test_basis_makes_the_reference_white_whatever_its_units(rng):
    x = rng.standard_normal((80, 12)) @ rng.standard_normal((12, 12))
    white = Basis.fit(x, 6)(x)
    np.testing.assert_allclose(white.T @ white / 80, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-9)
    units = rng.uniform(0.01, 100.0, 12)
    np.testing.assert_allclose(np.abs(Basis.fit(x * units, 6)(x * units)), np.abs(white), atol=1e-6)


def test_basis_ignores_what_never_varies_and_refuses_more_directions_than_there_are(rng):
    x = np.hstack([rng.standard_normal((10, 4)), np.ones((10, 1))])
    basis = Basis.fit(x, 4)
    other = x.copy()
    other[:, 4] = 100.0
    np.testing.assert_array_equal(basis(other), basis(x))
    with pytest.raises(ValueError, match="dim 5 is outside 1-4"):
        Basis.fit(x, 5)
    with pytest.raises(ValueError, match="outside 1-2"):
        Basis.fit(x[:3], 4)


def test_direction_of_the_axes_does_not_depend_on_the_order_of_sounds(rng):
    x = rng.standard_normal((50, 8)) * np.arange(1, 9) + rng.standard_normal((50, 1))
    np.testing.assert_allclose(Basis.fit(x[::-1], 5)(x), Basis.fit(x, 5)(x), atol=1e-8)


# ---- doors


def test_sets_that_cannot_be_compared_are_refused():
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match="at least 2"):
            distance(np.zeros((1, 3)), np.zeros((5, 3)))
        with pytest.raises(ValueError, match="shape"):
            distance(np.zeros((5, 4)), np.zeros((5, 3)))
