"""The plan and its sound as a DAWproject, which Bitwig, Studio One, Cubase and others open: https://github.com/bitwig/dawproject

A ZIP of project.xml, metadata.xml and the sound. Time is in quarter notes, the unit that the format calls beats; every
track holds one clip, of sound that is not stretched.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from hybridgen import __version__, files, tags
from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.score import Score
from hybridgen.plan.tempo_map import TempoMap

VERSION = "1.0"


def write(path: Path, plan: Score, title: str, sounds: Mapping[str, Path]) -> None:
    """Writes a DAWproject with a track for each sound, a wav file as long as the plan; ValueError without bars."""
    members: dict[str, Path | bytes] = {
        "project.xml": project_xml(plan, {name: f"audio/{sound.name}" for name, sound in sounds.items()}),
        "metadata.xml": metadata_xml(title),
    }
    files.write_zip(path, members | {f"audio/{sound.name}": sound for sound in sounds.values()})


def metadata_xml(title: str) -> bytes:
    """Title and origin."""
    root = Element("MetaData")
    SubElement(root, "Title").text = title
    SubElement(root, "Comment").text = tags.MARK
    return _document(root)


def project_xml(plan: Score, sounds: Mapping[str, str]) -> bytes:
    """Tempo, meter, a marker for each section, and a track for each sound: name -> path in the ZIP.

    Bar 1 is at time 0, or after as many whole bars as the sound before it takes. ValueError for a plan without bars.
    """
    if plan.tempo_map is None or plan.meter is None:
        raise ValueError("dawproject: a plan without bars has no tempo")
    beats, unit = plan.meter.split("/")
    lead = _lead(plan.tempo_map, meter_quarters(plan.meter))
    root = Element("Project", version=VERSION)
    SubElement(root, "Application", name="hybridgen", version=__version__)
    transport = SubElement(root, "Transport")
    SubElement(transport, "Tempo", id="tempo", name="Tempo", unit="bpm", value=_number(plan.tempo_map.bpm[0]))
    SubElement(transport, "TimeSignature", id="meter", numerator=beats, denominator=unit)
    structure = SubElement(root, "Structure")
    for number, name in enumerate(sounds, start=1):
        _write_track(structure, f"track-{number}", name, "regular")
    _write_track(structure, "master", "Master", "master")
    arrangement = SubElement(root, "Arrangement", id="arrangement")
    lanes = SubElement(arrangement, "Lanes", id="lanes", timeUnit="beats")
    for number, (name, path) in enumerate(sounds.items(), start=1):
        _write_clip(lanes, plan, plan.tempo_map, lead, number, name, path)
    _write_markers(arrangement, plan, lead)
    automation = SubElement(arrangement, "TempoAutomation", id="tempo-points", timeUnit="beats", unit="bpm")
    SubElement(automation, "Target", parameter="tempo")
    for quarter, bpm, is_ramp in _tempo_points(plan.tempo_map, lead, plan.n_bars * meter_quarters(plan.meter)):
        how = "linear" if is_ramp else "hold"
        SubElement(automation, "RealPoint", time=_number(quarter), value=_number(bpm), interpolation=how)
    return _document(root)


def _lead(time: TempoMap, bar_quarters: float) -> float:
    """Quarter notes of the whole bars that the sound before bar 1 needs."""
    before = -float(time.quarters_at(np.array(0.0)))
    return bar_quarters * math.ceil(before / bar_quarters) if before > 0 else 0.0


def _tempo_points(time: TempoMap, lead: float, end: float) -> Iterator[tuple[float, float, bool]]:
    """(quarter note, tempo, whether it runs on to the next one) of each piece that begins before the end."""
    if lead:
        yield 0.0, float(time.bpm[0]), False
    for quarter, bpm, slope in zip(time.quarters.tolist(), time.bpm.tolist(), time.slope.tolist(), strict=True):
        if quarter < end:
            yield lead + quarter, bpm, slope != 0


def _write_track(structure: Element, name: str, title: str, role: str) -> None:
    track = SubElement(structure, "Track", id=name, name=title, contentType="audio", loaded="true")
    said = {"id": f"{name}-channel", "role": role, "audioChannels": "2", "solo": "false"}
    said |= {} if role == "master" else {"destination": "master-channel"}
    channel = SubElement(track, "Channel", said)
    SubElement(channel, "Volume", id=f"{name}-volume", name="Volume", unit="linear", value="1.0", min="0.0", max="2.0")


def _write_clip(lanes: Element, plan: Score, time: TempoMap, lead: float, number: int, name: str, path: str) -> None:
    seconds = plan.length / plan.time_base.sample_rate
    start, stop = (float(quarter) for quarter in time.quarters_at(np.array([0.0, seconds])))
    lane = SubElement(lanes, "Lanes", id=f"lanes-{number}", track=f"track-{number}")
    clips = SubElement(lane, "Clips", id=f"clips-{number}")
    place = {"time": _number(lead + start), "duration": _number(stop - start), "playStart": "0.0"}
    clip = SubElement(clips, "Clip", {"name": name, "contentTimeUnit": "seconds", **place})
    form = {"channels": "2", "sampleRate": str(plan.time_base.sample_rate), "duration": _number(seconds)}
    audio = SubElement(clip, "Audio", {"id": f"audio-{number}", **form})
    SubElement(audio, "File", path=path)


def _write_markers(arrangement: Element, plan: Score, lead: float) -> None:
    markers = SubElement(arrangement, "Markers", id="markers", timeUnit="beats")
    assert plan.meter is not None
    starts, bar = plan.bar_starts(), 0
    for section in plan.sections:
        if starts[bar] < plan.length:
            time = lead + bar * meter_quarters(plan.meter)
            SubElement(markers, "Marker", time=_number(time), name=section.label or UNKNOWN)
        bar += len(section.bars)


def _number(value: float) -> str:
    """All digits of a number."""
    return repr(float(value))


def _document(root: Element) -> bytes:
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode").encode() + b"\n"
