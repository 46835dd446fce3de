"""Facts about labels: they lie on the samples of the plan, follow each other without gaps, and name what is there."""

import random
from itertools import pairwise

import pytest

from hybridgen.formats.labels import KINDS, to_labels
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan


def rows(text: str) -> list[tuple[float, float, str]]:
    return [(float(a), float(b), name) for a, b, name in (line.split("\t") for line in text.splitlines())]


def plan_of_two_sections(**fields) -> Plan:
    sections = (Section("verse", (Bar("Am"), Bar("F G"))), Section(None, (Bar(),)))
    return Plan(sections, (Tempo(1, 120),), "4/4", **fields)


def test_each_kind_as_it_is_written():
    plan = plan_of_two_sections()
    assert to_labels(plan) == "0.000000\t4.000000\tverse\n4.000000\t6.000000\t?\n"
    assert to_labels(plan, "bars") == "0.000000\t2.000000\t1\n2.000000\t4.000000\t2\n4.000000\t6.000000\t3\n"
    assert rows(to_labels(plan, "chords")) == [(0, 2, "Am"), (2, 3, "F"), (3, 4, "G"), (4, 6, "?")]


def test_labels_lie_on_the_samples_of_the_bars():
    rng = random.Random(0)
    for _ in range(100):
        plan = random_plan(rng)
        starts = [min(int(sample), plan.length) for sample in plan.bar_starts()]
        inside = [(a, b) for a, b in pairwise(starts) if b > a]
        found = rows(to_labels(plan, "bars"))
        rate = plan.time_base.sample_rate
        assert [(round(a * rate), round(b * rate)) for a, b, _ in found] == inside


@pytest.mark.parametrize("kind", KINDS)
def test_labels_follow_each_other_without_gaps(kind: str):
    rng = random.Random(1)
    for _ in range(100):
        plan = random_plan(rng)
        found = rows(to_labels(plan, kind))
        assert all(before[1] == after[0] for before, after in pairwise(found))
        assert all(a < b <= plan.seconds + 1e-6 for a, b, _ in found)


def test_a_cut_track_has_labels_up_to_its_end():
    plan = plan_of_two_sections(n_samples=3 * 44_100)
    assert rows(to_labels(plan)) == [(0, 3, "verse")]


def test_a_plan_without_bars_has_no_labels_and_other_kinds_are_refused():
    assert to_labels(Plan(n_samples=1000)) == ""
    with pytest.raises(ValueError, match="none of sections, bars, chords"):
        to_labels(plan_of_two_sections(), "beats")
