"""Facts about JAMS: the library accepts every file, and what it holds lies on the samples of the plan."""

import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest

from hybridgen import formats
from hybridgen.cli import main
from hybridgen.formats.jams import to_jams
from hybridgen.plan.harmony import METER_BEATS, PITCHES, QUALITIES
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.sheets import random_sheet
from tests.test_plan import random_plan

# the values of two namespaces, from the schemata of jams 0.3.5; of shorthands and degrees those that we have
SHORTHANDS = "maj|min|dim|aug|5|sus2|sus4|maj6|min6|7|maj7|min7|dim7|hdim7|9|maj9|min9"
CHORD = re.compile(rf"N|X|[A-G](b*|#*):({SHORTHANDS})(\(9\))?")
KEY = re.compile(r"[A-G][b#]?:(major|minor)")


def plan_of_three_bars(**fields) -> Plan:
    sections = (
        Section("verse", (Bar("Am"), Bar(("F", "Gm7b5"))), roles=("lead", "drums")),
        Section(None, (Bar(),), roles=("lead", "drums")),
    )
    lead = Part("lead", ((Note(0, 480, 69), Note(240, 480, 72)), None, ()))
    drums = Part("drums", (None, (Note(0, 60, 36), Note(480, 60, 42)), (Note(0, 60, 38),)))
    given = {"key": "A minor", "swing": "60%", "instruments": {"lead": 80, "drums": None}, "notes": (lead, drums)}
    return Plan(sections, (Tempo(1, 120),), "4/4", **given | fields)


def read(plan: Plan) -> dict[str, list[dict]]:
    """Namespace -> its annotations."""
    found: dict[str, list[dict]] = {}
    for annotation in json.loads(to_jams(plan))["annotations"]:
        found.setdefault(annotation["namespace"], []).append(annotation)
    return found


def rows(annotation: dict) -> list[tuple]:
    return [(one["time"], one["duration"], one["value"]) for one in annotation["data"]]


def test_each_annotation_as_it_is_written():
    plan = plan_of_three_bars(prompt="a tune é")
    head = json.loads(to_jams(plan))["file_metadata"]
    assert (head["title"], head["duration"]) == ("a tune é", 6.0)
    found = read(plan)
    assert rows(found["beat"][0]) == [(0.5 * i, 0.0, i % 4 + 1) for i in range(12)]
    assert rows(found["tempo"][0]) == [(0.0, 6.0, 120.0)]
    assert rows(found["key_mode"][0]) == [(0.0, 6.0, "A:minor")]
    assert rows(found["chord"][0]) == [(0, 2, "A:min"), (2, 1, "F:maj"), (3, 1, "G:hdim7"), (4, 2, "X")]
    assert rows(found["segment_open"][0]) == [(0, 4, "verse"), (4, 2, "?")]


def test_notes_are_those_that_are_heard_and_unknown_bars_are_outside_their_annotation():
    drums, lead_1, lead_3 = read(plan_of_three_bars())["note_midi"]
    assert drums["sandbox"] == {"role": "drums", "program": None} and (drums["time"], drums["duration"]) == (2.0, 4.0)
    assert [(time, value) for time, _, value in rows(drums)] == [(2.0, 36), (2.5, 42), (4.0, 38)]
    assert lead_1["sandbox"] == {"role": "lead", "program": 80}
    assert [(a, value) for a, _, value in rows(lead_1)] == [(0.0, 69), (0.3, 72)]  # the second eighth swings
    assert (lead_1["time"], lead_1["duration"], lead_3["time"], lead_3["data"]) == (0.0, 2.0, 4.0, [])


def test_a_tempo_that_moves_is_that_of_each_bar():
    sections = (Section("verse", (Bar("C"),) * 4),)
    plan = Plan(sections, (Tempo(1, 100, ramp=True), Tempo(3, 120)), "4/4")
    [tempo] = read(plan)["tempo"]
    (_, _, first), (_, _, second), (start, seconds, last) = rows(tempo)
    assert 100 < first < 110 < second < 120 and last == 120
    assert (start, seconds) == (pytest.approx(plan.bar_starts()[2] / 44_100), pytest.approx(4.0, abs=1e-4))
    assert {one["confidence"] for one in tempo["data"]} == {1.0}


def test_a_cut_track_is_annotated_up_to_its_end():
    plan = plan_of_three_bars(n_samples=3 * 44_100 // 2)
    found = read(plan)
    assert len(found["beat"][0]["data"]) == 3 and rows(found["chord"][0]) == [(0, 1.5, "A:min")]
    assert [annotation["sandbox"]["role"] for annotation in found["note_midi"]] == ["lead"]
    assert rows(found["tempo"][0]) == [(0, 1.5, 120.0)]


def test_a_plan_of_which_nothing_is_known_has_no_annotations():
    assert json.loads(to_jams(Plan(n_samples=44_100)))["annotations"] == []


def random_plans(n: int) -> list[Plan]:
    rng = random.Random(0)
    return [random_plan(rng) for _ in range(n)] + [replace(random_sheet(rng), swing="62%") for _ in range(n)]


def test_every_plan_keeps_its_samples_and_its_values_are_in_their_namespaces():
    for plan in random_plans(100):
        found, rate = read(plan), plan.time_base.sample_rate
        beats = [sample for sample in plan.beat_starts().tolist() if sample < plan.length]
        assert [round(time * rate) for time, _, _ in rows(found["beat"][0])] == beats if beats else "beat" not in found
        assert all(1 <= value <= len(METER_BEATS[plan.meter]) for _, _, value in rows(found["beat"][0]))
        assert all(CHORD.fullmatch(value) for _, _, value in rows(found["chord"][0]))
        assert all(KEY.fullmatch(value) for one in found.get("key_mode", ()) for _, _, value in rows(one))
        for part in plan.notes:
            samples, notes = plan.note_samples(part.role)
            heard = [(int(a), int(b), x.pitch) for (a, b), x in zip(samples, notes, strict=True) if b > a]
            written = [row for one in found["note_midi"] if one["sandbox"]["role"] == part.role for row in rows(one)]
            assert [(round(a * rate), round((a + b) * rate), value) for a, b, value in written] == heard
        for annotations in found.values():
            for annotation in annotations:
                times = [time for time, _, _ in rows(annotation)]
                assert times == sorted(times) and all(
                    time + length <= plan.seconds + 1e-6 for time, length, _ in rows(annotation)
                )


def test_every_chord_is_one_of_the_namespace():
    bars = tuple(Bar(pitch + quality) for pitch in PITCHES for quality in QUALITIES)
    plan = Plan((Section("verse", bars),), (Tempo(1, 240),), "4/4")
    values = [value for _, _, value in rows(read(plan)["chord"][0])]
    assert len(values) == len(bars) and all(CHORD.fullmatch(value) for value in values)


def test_the_library_reads_what_is_written(tmp_path):
    jams = pytest.importorskip("jams")
    for number, plan in enumerate(random_plans(20)):
        path = tmp_path / f"{number}.jams"
        path.write_bytes(formats.dump(plan, ".jams"))
        labels = jams.load(str(path), validate=True, strict=True)
        assert json.loads(labels.dumps()) == json.loads(path.read_text())
        for name in {annotation.namespace for annotation in labels.annotations}:
            intervals, values = labels.annotations.search(namespace=name)[0].to_interval_values()
            assert len(values) == len(intervals) and np.isfinite(intervals).all()


def test_by_command(tmp_path):
    (tmp_path / "plan.json").write_text(plan_of_three_bars().to_json())
    assert main(["export", str(tmp_path / "plan.json"), "-o", str(tmp_path / "labels.jams")]) == 0
    assert (tmp_path / "labels.jams").read_text() == to_jams(plan_of_three_bars())
