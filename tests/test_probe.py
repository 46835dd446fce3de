"""The probe of genre and roles: its features, its questions, and the one that ships."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.data.composer.genres import STYLES
from hybridgen.metrics import probe
from hybridgen.metrics.probe import Probe, features, planned_roles, roles_agreement
from hybridgen.plan.parts import ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((2, round(seconds * SAMPLE_RATE)))).astype(np.float32)


# ---- features


@pytest.mark.parametrize("seconds", [0.05, 1.0, 31.0])
def test_any_length_has_as_many_finite_features(seconds):
    for samples in (noise(seconds), 0.0 * noise(seconds)):
        found = features(samples)
        assert found.shape == probe.load().mean.shape and np.isfinite(found).all()


def test_only_the_middle_is_measured_and_loudness_does_not_matter():
    middle = noise(30.0)
    longer = np.concatenate([np.ones((2, SAMPLE_RATE)), middle, -np.ones((2, SAMPLE_RATE))], axis=1)
    np.testing.assert_array_equal(features(longer), features(middle))
    np.testing.assert_allclose(features(0.1 * middle), features(middle), atol=1e-3)


def test_width_is_measured_and_which_channel_is_which_is_not():
    wide = noise(2.0)
    narrow = np.stack([wide[0], wide[0] + 0.01 * wide[1]])
    np.testing.assert_allclose(features(wide[::-1]), features(wide), atol=1e-6)
    assert (features(narrow)[-8:] < features(wide)[-8:] - 20).all()


# ---- the models


@pytest.fixture
def small() -> Probe:
    """Two features: high and low; genre follows the first, drums the second."""
    roles = np.zeros((3, 9))
    roles[1, 0], roles[2, 1:] = 1.0, -1.0
    return Probe(("ambient", "metal"), "a test", np.array([1.0, 0.0]), np.array([2.0, 1.0]), np.eye(3)[:, ::2], roles)


def test_scores_are_probabilities_and_the_best_is_the_genre(small):
    scores = small.genre_scores(np.array([3.0, 0.0]))  # one deviation up, and the bias of metal is 1
    np.testing.assert_allclose(scores, [0.5, 0.5])
    assert small.genre(np.array([4.0, 0.0])) == "ambient" and small.genre(np.array([2.0, 0.0])) == "metal"


def test_roles_are_those_with_positive_scores(small):
    assert small.roles(np.array([0.0, 1.0])) == {"drums"}
    assert small.roles(np.array([0.0, -1.0])) == frozenset()


def test_features_far_away_count_no_more(small):
    near, far = (small.genre_scores(np.array([x, 0.0])) for x in (9.0, 1e9))
    np.testing.assert_array_equal(near, far)


def test_a_saved_probe_is_the_same(small, tmp_path, monkeypatch):
    small.save(tmp_path / "probe.safetensors")
    monkeypatch.setattr(probe, "PATH", tmp_path / "probe.safetensors")
    again = probe.load.__wrapped__()
    for field in dataclasses.fields(Probe):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(small, field.name))


def test_the_shipped_probe_knows_its_genres_and_is_small():
    shipped = probe.load()
    assert (
        set(shipped.genres) <= {style.name for style in STYLES}
        and len(shipped.genres) >= 23
        and "training songs" in shipped.origin
    )
    assert shipped.role_weights.shape == (len(shipped.mean) + 1, len(ROLES))
    assert probe.PATH.stat().st_size < 400_000
    assert "drums" not in shipped.roles(features(0.0 * noise(1.0)))


# ---- questions


def test_roles_that_hardly_play_in_the_middle_are_not_asked():
    """Two seconds a bar: the middle 30 s are bars 6 to 20 of 25."""
    roles, sizes = (("bass",), ("bass", "drums"), ("bass", "lead")), (8, 13, 4)
    sections = [Section(None, (Bar(),) * size, roles=part) for size, part in zip(sizes, roles, strict=True)]
    instruments = {"bass": 33, "drums": 0, "lead": 80}
    plan = Plan(sections=sections, tempo=(Tempo(1, 120.0),), instruments=instruments)
    assert planned_roles(plan) == {"bass", "drums"}
    lead = Section(None, (Bar(),) * 3, roles=("lead",))  # 6 s of the 30
    assert planned_roles(dataclasses.replace(plan, sections=(*sections[:1], lead, *sections[1:]))) == {"bass", "drums"}
    unknown = [dataclasses.replace(section, roles=None) for section in sections]
    assert planned_roles(dataclasses.replace(plan, sections=unknown)) == set(instruments)
    assert planned_roles(Plan(meter=None, n_samples=SAMPLE_RATE, instruments=instruments)) == set(instruments)


def test_agreement_is_the_share_of_nine_roles():
    assert roles_agreement(frozenset(), frozenset()) == 1.0
    assert roles_agreement(frozenset({"drums", "bass"}), frozenset({"bass", "keys"})) == pytest.approx(7 / 9)
    assert roles_agreement(frozenset(ROLES), frozenset()) == 0.0
