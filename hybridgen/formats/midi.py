"""Plan <-> Standard MIDI File.

The first track holds tempo, meter, key, a marker for each section and, as text, what MIDI has no event for: "chord: Am7",
"prompt: ...", "swing: 62% of eighths", "energy: 5", "roles: drums bass". Then each role has a track of its name, on the
tenth channel for drums and percussion, where "notes unknown: 4 bars" marks what is not written yet.
"""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import mido
import numpy as np

from hybridgen.formats.found import find_chords, find_key
from hybridgen.formats.midi_events import Event, Sequence, meta_text, read_events, text_of
from hybridgen.formats.voices import DRUM_CHANNEL, Sounding, Voice, assign, merged
from hybridgen.plan.harmony import METER_BEATS, METERS, parse_chord, parse_key
from hybridgen.plan.notes import TICKS, UNPITCHED, Part, Swing, parse_swing
from hybridgen.plan.parts import (
    LABELS, MAX_BARS, MAX_ENERGY, MAX_PROMPT, ROLES, Bar, Section, Tempo, check_tempo, instance, show,
)
from hybridgen.plan.plan import Plan
from hybridgen.text.form import PARTS

RAMP_STEP = 0.25  # quarter notes
MAX_MICROSECONDS = 0xFFFFFF  # of a quarter note; MIDI counts no slower tempo
UNLABELLED = "section"
LATE = 120  # ticks that a last note may run on into a bar without making it one more
LABEL_WORDS = PARTS | {"pre-chorus": "build", "prechorus": "build", "theme": "verse", "interlude": "interlude"}

Timed = tuple[int, mido.Message | mido.MetaMessage]


def to_midi(plan: Plan) -> bytes:
    """The plan as a MIDI file of format 1 with 480 ticks a quarter note; ValueError for a plan without bars.

    Tick 0 is the first bar. A ramp is a tempo every `RAMP_STEP`, music as it was played a tempo for each beat; swing is
    said, not played. A note ends where its pitch begins anew. Codes, length in samples and ending are not in it.
    """
    if not plan.n_bars:
        raise ValueError("a plan without bars has nothing that MIDI could hold")
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    file.tracks.append(_track("", [*_conductor(plan)], plan.n_bars * plan.bar_ticks))
    # percussion before drums: both choose their kit on one channel, and that of the drums is to stay
    order = sorted((role for role, _ in plan.instruments), key=lambda role: (role != "percussion", ROLES.index(role)))
    channels = {role: channel for channel, role in enumerate(role for role in ROLES if role not in UNPITCHED)}
    for role in order:
        events = [*_role_events(plan, role, channels.get(role, DRUM_CHANNEL))]
        file.tracks.append(_track(role, events, plan.n_bars * plan.bar_ticks))
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def _track(name: str, events: list[Timed], stop: int) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)] if name else [])
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, stop - now)))
    return track


def _text(text: str) -> mido.MetaMessage:
    return mido.MetaMessage("text", text=meta_text(text))


def _conductor(plan: Plan) -> Iterator[Timed]:
    assert plan.meter is not None
    beats, unit = (int(number) for number in plan.meter.split("/"))
    clicks = 36 if unit == 8 and beats % 3 == 0 else 24  # MIDI clocks, 24 a quarter note
    yield 0, mido.MetaMessage("time_signature", numerator=beats, denominator=unit, clocks_per_click=clicks)
    if plan.key is not None:
        yield 0, mido.MetaMessage("key_signature", key=_key_signature(plan.key))
    if plan.prompt:
        yield 0, _text(f"prompt: {plan.prompt}")
    if plan.swing is not None:
        yield 0, _text(f"swing: {plan.swing}")
    yield from _tempo_events(plan)
    bar = 0
    for section in plan.sections:
        tick = bar * plan.bar_ticks
        yield tick, mido.MetaMessage("marker", text=section.label or UNLABELLED)
        if section.energy is not None:
            yield tick, _text(f"energy: {section.energy}")
        if section.roles is not None:
            yield tick, _text(f"roles: {' '.join(section.roles) or 'none'}")
        bar += len(section.bars)
    for number, one in enumerate(plan.bars):
        for half, chord in enumerate(one.chords or ()):
            yield number * plan.bar_ticks + half * plan.bar_ticks // 2, _text(f"chord: {chord}")


def _key_signature(key: str) -> str:
    name = key.removesuffix(" major").replace(" minor", "m")
    return "C#m" if name == "Dbm" else name  # five flats more than a signature has


def _tempo_events(plan: Plan) -> Iterator[Timed]:
    """A tempo for each piece of the plan's map, for each step of one that is a ramp, as long as the plan has it last."""
    time = plan.tempo_map
    assert time is not None
    end = plan.n_bars * plan.bar_ticks / TICKS
    ends = np.append(time.quarters[1:], end)
    starts = [
        np.arange(start, stop, RAMP_STEP) if slope else np.array([start])
        for start, stop, slope in zip(time.quarters, ends, time.slope, strict=True)
        if start < end
    ]
    quarters = np.append(np.concatenate(starts), end)
    lengths = 1e6 * np.diff(time.seconds_at(quarters)) / np.diff(quarters)
    for quarter, length in zip(quarters[:-1], np.clip(np.rint(lengths), 1, MAX_MICROSECONDS), strict=True):
        yield round(quarter * TICKS), mido.MetaMessage("set_tempo", tempo=int(length))


def _role_events(plan: Plan, role: str, channel: int) -> Iterator[Timed]:
    program = dict(plan.instruments)[role]
    if program is not None:
        yield 0, mido.Message("program_change", channel=channel, program=program)
    starts: list[Timed] = []
    following: dict[int, int] = {}
    for number, bar in reversed(tuple(enumerate(plan.part(role).bars))):
        for note in reversed(bar or ()):
            start = number * plan.bar_ticks + note.tick
            stop = min(start + note.length, following.get(note.pitch, start + note.length))
            following[note.pitch] = start
            yield stop, mido.Message("note_off", channel=channel, note=note.pitch, velocity=64)
            on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
            starts.append((start, on))
    yield from starts  # after the ends, of which some are at the same tick
    yield from _unknown_events(plan, role)


def _unknown_events(plan: Plan, role: str) -> Iterator[Timed]:
    bars = plan.part(role).bars
    firsts = [i for i, bar in enumerate(bars) if bar is None and (i == 0 or bars[i - 1] is not None)]
    for first in firsts:
        length = next((i for i, bar in enumerate(bars[first:]) if bar is not None), len(bars) - first)
        yield first * plan.bar_ticks, _text(f"notes unknown: {length} bars")


# ---- reading


def from_midi(data: bytes, name: str = "MIDI") -> tuple[Plan, tuple[str, ...]]:
    """The plan that a MIDI file of format 0, 1 or 2 holds, and notes, a line each, on what it could not carry.

    Ticks are rounded to 480 a quarter note, sustain pedals lengthen notes, parts are merged into roles (see `assign`).
    The bars are those of the first track where it ends with a bar, otherwise those of the notes. Key and chords that the
    file does not say are found from its notes. ValueError, one line that begins with `name`, for what is no MIDI file,
    has no notes, changes its meter or has one that plans have not, or is over the limits of a plan or `MAX_EVENTS`.
    """
    try:
        return _read(read_events(instance(data, bytes, "data")))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read(sequence: Sequence) -> tuple[Plan, tuple[str, ...]]:
    remarks = list(sequence.remarks)
    tracks = _Tracks(sequence)
    voices = [voice for voice in tracks.voices.values() if voice.notes]
    if not voices:
        raise ValueError("the file has no notes")
    remarks += tracks.remarks
    starts = [note.start for voice in voices for note in voice.notes]
    meter = _meter(sequence.events, min(starts))
    grid = _Grid(meter, round(4 * TICKS * int(meter.split("/")[0]) / int(meter.split("/")[1])))
    n_bars = grid.count(sequence.stops[0], max(starts), max(note.stop for voice in voices for note in voice.notes))
    if n_bars > MAX_BARS:
        raise ValueError(f"{n_bars} bars are more than {MAX_BARS}")
    return Plan(), ()
