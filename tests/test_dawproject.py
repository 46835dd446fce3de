"""Facts about DAWprojects: elements are those of the schema, references lead somewhere, and time is the plan's."""

import random
import zipfile
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hybridgen import tags
from hybridgen.formats import dawproject
from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan

# Project.xsd of DAWproject 1.0, as far as it is used: element -> (attributes that must be there, that may, children in
# the order in which they must come)
SCHEMA: dict[str, tuple[str, str, str]] = {
    "Project": ("version", "", "Application Transport Structure Arrangement"),
    "Application": ("name version", "", ""),
    "Transport": ("", "", "Tempo TimeSignature"),
    "Tempo": ("unit", "id name value min max", ""),
    "TimeSignature": ("numerator denominator", "id", ""),
    "Structure": ("", "", "Track"),
    "Track": ("", "id name contentType loaded", "Channel Track"),
    "Channel": ("", "id role audioChannels solo destination", "Volume"),
    "Volume": ("unit", "id name value min max", ""),
    "Arrangement": ("", "id", "Lanes Markers TempoAutomation"),
    "Lanes": ("", "id timeUnit track", "Lanes Clips"),
    "Clips": ("", "id timeUnit track", "Clip"),
    "Clip": ("time", "name duration contentTimeUnit playStart", "Audio"),
    "Audio": ("channels sampleRate duration", "id timeUnit", "File"),
    "File": ("path", "external", ""),
    "Markers": ("", "id timeUnit", "Marker"),
    "Marker": ("time", "name", ""),
    "TempoAutomation": ("", "id timeUnit unit", "Target RealPoint"),
    "Target": ("", "parameter", ""),
    "RealPoint": ("time value", "interpolation", ""),
}
NUMBERS = {"time", "duration", "value", "min", "max", "playStart"}
WORDS = {
    "timeUnit": {"beats", "seconds"},
    "contentTimeUnit": {"beats", "seconds"},
    "interpolation": {"hold", "linear"},
    "role": {"regular", "master"},
    "unit": {"bpm", "linear"},
    "contentType": {"audio"},
    "loaded": {"true"},
    "solo": {"false"},
}
SOUNDS = {"drums": "audio/01_drums.wav", "bass": "audio/02_bass.wav"}


def check_schema(root: ElementTree.Element) -> None:
    for element in root.iter():
        needed, allowed, children = SCHEMA[element.tag]
        assert set(needed.split()) <= set(element.attrib) <= set(needed.split()) | set(allowed.split()), element.attrib
        order = [children.split().index(child.tag) for child in element]
        assert order == sorted(order)
        for name, value in element.attrib.items():
            assert name not in NUMBERS or np.isfinite(float(value))
            assert value in WORDS.get(name, {value})
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for name in ("track", "destination", "parameter"):
        assert {element.get(name) for element in root.iter() if element.get(name)} <= set(ids)


def seconds_at(root: ElementTree.Element, beat: float) -> float:
    """Where a beat is, by the tempo automation alone, as a DAW counts it."""
    points = [
        (float(one.get("time")), float(one.get("value")), one.get("interpolation") == "linear")
        for one in root.iter("RealPoint")
    ]
    assert points[0][0] == 0 and all(a[0] < b[0] for a, b in pairwise(points))
    total = 0.0
    for i, (start, bpm, is_ramp) in enumerate(points):
        last = i == len(points) - 1
        stop = beat if last else min(beat, points[i + 1][0])
        if stop <= start:
            break
        if is_ramp and not last and points[i + 1][1] != bpm:
            slope = (points[i + 1][1] - bpm) / (points[i + 1][0] - start)
            total += 60 / slope * np.log((bpm + slope * (stop - start)) / bpm)
        else:
            total += 60 * (stop - start) / bpm
    return total


def test_the_project_is_one_of_the_schema_and_its_time_is_the_plans():
    rng = random.Random(5)
    kinds = set()
    for _ in range(60):
        plan = random_plan(rng)
        kinds |= {plan.meter, "ramps" if any(mark.ramp for mark in plan.tempo) else "", "beats" if plan.beats else ""}
        root = ElementTree.fromstring(dawproject.project_xml(plan, SOUNDS))
        check_schema(root)
        rate, clips = plan.time_base.sample_rate, list(root.iter("Clip"))
        assert [clip.get("name") for clip in clips] == list(SOUNDS)
        start = float(clips[0].get("time"))
        begin = seconds_at(root, start)  # of the sound, on the clock of the arrangement
        stop = seconds_at(root, start + float(clips[0].get("duration")))
        assert round((stop - begin) * rate) == plan.length
        lead = start - float(plan.tempo_map.quarters_at(np.array(0.0)))  # where bar 1 is
        assert lead == pytest.approx(round(lead / meter_quarters(plan.meter)) * meter_quarters(plan.meter))
        quarters = lead + np.arange(plan.n_bars + 1) * meter_quarters(plan.meter)
        exact = [(seconds_at(root, quarter) - begin) * rate for quarter in quarters]
        assert np.abs(np.array(exact) - plan.tempo_map.seconds_at(quarters - lead) * rate).max() < 1e-3
        firsts = np.cumsum([0, *(len(section.bars) for section in plan.sections)])[:-1]
        starts = [(bar, section) for bar, section in zip(firsts, plan.sections, strict=True)]
        inside = [(bar, section) for bar, section in starts if plan.bar_starts()[bar] < plan.length]
        assert [(float(one.get("time")), one.get("name")) for one in root.iter("Marker")] == [
            (quarters[bar], section.label or "?") for bar, section in inside
        ]
    assert {"7/8", "6/8", "ramps", "beats"} <= kinds


def test_a_ramp_is_one_and_sound_before_bar_1_has_bars_of_its_own():
    ramp = Plan((Section("verse", (Bar("C"),) * 4),), (Tempo(1, 100, ramp=True), Tempo(3, 120)), "4/4")
    points = ElementTree.fromstring(dawproject.project_xml(ramp, SOUNDS)).iter("RealPoint")
    assert [(float(p.get("time")), float(p.get("value")), p.get("interpolation")) for p in points] == [
        (0, 100, "linear"),
        (8, 120, "hold"),
    ]
    played = Plan((Section("verse", (Bar("C"),)),), (), "4/4", beats=(1.0, 1.5, 2.0, 2.5, 3.0))
    root = ElementTree.fromstring(dawproject.project_xml(played, SOUNDS))
    assert float(next(root.iter("Marker")).get("time")) == 4.0  # a bar of 2 s holds the one second before
    assert float(next(root.iter("Clip")).get("time")) == 2.0


def test_the_file_holds_its_sound_and_is_the_same_every_time(tmp_path: Path):
    sound = tmp_path / "01_drums.wav"
    sound.write_bytes(b"sound" * 1000)
    plan = Plan((Section("verse", (Bar("C"),)),), (Tempo(1, 120),), "4/4")
    for name in ("a", "b"):
        dawproject.write(tmp_path / name, plan, "<a & b>", {"drums": sound})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert archive.namelist() == ["project.xml", "metadata.xml", "audio/01_drums.wav"] and archive.testzip() is None
        root = ElementTree.fromstring(archive.read("project.xml"))
        assert archive.read(next(root.iter("File")).get("path")) == sound.read_bytes()
        facts = ElementTree.fromstring(archive.read("metadata.xml"))
    assert [(one.tag, one.text) for one in facts] == [("Title", "<a & b>"), ("Comment", tags.MARK)]


def test_a_plan_without_bars_has_no_project():
    with pytest.raises(ValueError, match="without bars"):
        dawproject.project_xml(Plan(n_samples=1000), SOUNDS)
