"""The plan as JAMS, annotations for music information retrieval: Humphrey et al. 2014, https://jams.readthedocs.io

Times are those of the samples, as the track sounds: swing and tempo changes are in them.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from hybridgen import __version__
from hybridgen.formats.labels import spans
from hybridgen.formats.symbols import UNKNOWN, harte_label
from hybridgen.plan.harmony import METER_BEATS, meter_quarters
from hybridgen.plan.notes import Part
from hybridgen.plan.score import Score

JAMS_VERSION = "0.3.5"
TEMPO_DIGITS = 3  # to which bars have the same tempo

Row = tuple[int, int, str | float]  # first sample, one past the last, and what is there
Annotation = dict[str, Any]


def to_jams(plan: Score) -> str:
    """Beats, tempo, key, chords, sections and notes as the JSON of a JAMS file, one annotation each.

    beat: numbers in the bar from 1. tempo: quarter notes a minute, a bar's mean where it moves inside the bar. chord:
    Harte's syntax, "X" where unknown. segment_open: labels, "?" where unknown. note_midi: one annotation for each role
    and each stretch of bars in which its notes are known, with the role and its General MIDI program in `sandbox`;
    drums and percussion have keys of the General MIDI map. Velocities, energy and codes are not written.
    """
    whole = (0, plan.length)
    annotations = [
        _annotation(plan, "beat", _beats(plan), whole),
        _annotation(plan, "tempo", _tempi(plan), whole, confidence=1.0, rules="quarter notes a minute"),
        _annotation(plan, "key_mode", [] if plan.key is None else [(*whole, plan.key.replace(" ", ":"))], whole),
        _annotation(plan, "chord", [(a, b, harte_label(chord)) for a, b, chord in spans(plan, "chords")], whole),
        _annotation(plan, "segment_open", [(a, b, name or UNKNOWN) for a, b, name in spans(plan, "sections")], whole),
    ]
    annotations = [annotation for annotation in annotations if annotation["data"]]
    annotations += [annotation for part in plan.notes for annotation in _part(plan, part)]
    head: dict[str, Any] = {
        "title": plan.prompt,
        "artist": "",
        "release": "",
        "identifiers": {},
        "jams_version": JAMS_VERSION,
    }
    head["duration"] = _seconds(plan, plan.length)
    return json.dumps({"file_metadata": head, "annotations": annotations, "sandbox": {}}, ensure_ascii=False) + "\n"


def _seconds(plan: Score, samples: int) -> float:
    return round(samples / plan.time_base.sample_rate, 9)


def _annotation(
    plan: Score,
    namespace: str,
    rows: Sequence[Row],
    span: tuple[int, int],
    *,
    confidence: float | None = None,
    rules: str = "",
    sandbox: dict[str, Any] | None = None,
) -> Annotation:
    """One annotation, valid for the samples of a span."""
    metadata = {
        **{"curator": {"name": "", "email": ""}, "annotator": {}, "version": "", "corpus": "", "validation": ""},
        **{"annotation_tools": f"hybridgen {__version__}", "annotation_rules": rules, "data_source": "plan"},
    }
    return {
        "namespace": namespace,
        "time": _seconds(plan, span[0]),
        "duration": _seconds(plan, span[1] - span[0]),
        "sandbox": sandbox or {},
        "annotation_metadata": metadata,
        "data": [
            {
                "time": _seconds(plan, start),
                "duration": _seconds(plan, stop - start),
                "value": value,
                "confidence": confidence,
            }
            for start, stop, value in rows
        ],
    }


def _beats(plan: Score) -> list[Row]:
    starts = plan.beat_starts().tolist()
    beats = len(METER_BEATS[plan.meter]) if plan.meter else 1
    return [(start, start, i % beats + 1) for i, start in enumerate(starts) if start < plan.length]


def _tempi(plan: Score) -> list[Row]:
    """The tempo of each bar; bars of one tempo make one row."""
    if plan.tempo_map is None or plan.meter is None:
        return []
    quarters = meter_quarters(plan.meter)
    seconds = np.diff(plan.tempo_map.seconds_at(np.arange(plan.n_bars + 1) * quarters))
    bars = zip(spans(plan, "bars"), (60 * quarters / seconds).round(TEMPO_DIGITS).tolist(), strict=False)
    same = [(bpm, [bar for bar, _ in group]) for bpm, group in groupby(bars, key=lambda one: one[1])]
    return [(inside[0][0], inside[-1][1], bpm) for bpm, inside in same]


def _part(plan: Score, part: Part) -> list[Annotation]:
    samples, notes = plan.note_samples(part.role)
    bar_of = [number for number, bar in enumerate(part.bars) for _ in bar or ()]
    starts = np.minimum(plan.bar_starts(), plan.length).tolist()
    sandbox = {"role": part.role, "program": dict(plan.instruments)[part.role]}
    found = []
    for is_known, group in groupby(range(plan.n_bars), key=lambda number: part.bars[number] is not None):
        stretch = list(group)
        span = (starts[stretch[0]], starts[stretch[-1] + 1])
        rows: list[Row] = [
            (start, stop, note.pitch)
            for (start, stop), note, bar in zip(samples.tolist(), notes, bar_of, strict=True)
            if stretch[0] <= bar <= stretch[-1] and stop > start
        ]
        if is_known and span[1] > span[0]:
            found.append(_annotation(plan, "note_midi", rows, span, sandbox=sandbox))
    return found
