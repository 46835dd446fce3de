"""Plan <-> Standard MIDI File.

The first track holds tempo, meter, key, a marker for each section and, as text, what MIDI has no event for:
"chord: Am7", "prompt: ...", "swing: 62% of eighths", "energy: 5", "roles: drums bass". Then each role has a track of
its name, on the tenth channel for drums and percussion; "notes unknown: 4 bars" in it marks what is not written yet.
"""

import difflib
import io
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import mido
import numpy as np

from hybridgen.formats.found import find_chords, find_key
from hybridgen.formats.listener import Listener
from hybridgen.formats.midi_events import Sequence, meta_text, read_events, text_of
from hybridgen.formats.voices import DRUM_CHANNEL, NAMED, Voice, assign, merged
from hybridgen.plan.harmony import METERS, meter_quarters, parse_chord, parse_key
from hybridgen.plan.notes import TICKS, UNPITCHED, NoteBar, Part, Swing, parse_swing
from hybridgen.plan.parts import (
    LABELS,
    MAX_BARS,
    MAX_PROMPT,
    ROLES,
    Bar,
    Section,
    Tempo,
    check_tempo,
    instance,
    show,
)
from hybridgen.plan.plan import Plan
from hybridgen.text.form import PARTS

RAMP_STEP = 0.25  # quarter notes
MAX_MICROSECONDS = 0xFFFFFF  # of a quarter note; MIDI counts no slower tempo
UNLABELLED = "section"
LATE = 120  # ticks that a last note may run on into a bar without making it one more
LABEL_WORDS = PARTS | {"pre-chorus": "build", "prechorus": "build", "theme": "verse"}

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
    """A tempo for each piece of the plan's map, or each step of one that is a ramp: what keeps it as long as it is."""
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
    notes: list[tuple[int, bool, int, int]] = []  # tick, whether it begins there, pitch, velocity
    following: dict[int, int] = {}
    for number, bar in reversed(tuple(enumerate(plan.part(role).bars))):
        for note in reversed(bar or ()):
            start = number * plan.bar_ticks + note.tick
            stop = min(start + note.length, following.get(note.pitch, start + note.length))
            following[note.pitch] = start
            notes += [(start, True, note.pitch, note.velocity), (stop, False, note.pitch, 64)]
    for tick, begins, pitch, velocity in sorted(notes):  # at one tick ends come first
        kind = "note_on" if begins else "note_off"
        yield tick, mido.Message(kind, channel=channel, note=pitch, velocity=velocity)
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
    The bars are those of the first track where it ends with a bar, otherwise those of the notes. Key and chords that
    the file does not say are found from its notes. ValueError, one line that begins with `name`, for what is no MIDI
    file, has no notes, changes its meter or has one that plans have not, or is over the limits of a plan (10 minutes,
    `MAX_BARS`) or of a file (`MAX_EVENTS`, `MAX_BYTES`).
    """
    try:
        return _read(read_events(instance(data, bytes, "data")))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read(sequence: Sequence) -> tuple[Plan, tuple[str, ...]]:
    listener = Listener()
    voices = listener.voices(sequence)
    if not any(voice.notes for voice in voices):
        raise ValueError("the file has no notes")
    facts = _Facts(sequence)
    remarks = [*sequence.remarks, *listener.remarks()]
    grid = _grid(sequence, voices)
    tempo = _tempo(facts.tempos, grid, remarks)
    parts, instruments = _parts(voices, facts.said["notes unknown"], grid, remarks)
    key = _key(facts.keys, parts, grid, remarks)
    chords = _chords(facts.said["chord"], parts, key, grid, remarks)
    plan = Plan(
        sections=_sections(facts, parts, chords, grid, remarks),
        tempo=tempo,
        meter=grid.meter,
        key=key,
        instruments=tuple(instruments.items()),
        prompt=next((text for _, _, text in facts.said["prompt"]), "")[:MAX_PROMPT],
        notes=tuple(parts),
        swing=_swing(facts.said["swing"], remarks),
    )
    return plan, tuple(remarks)


class _Facts:
    """What the meta events of a file say, each with its tick, and in `said` also with its track."""

    def __init__(self, sequence: Sequence) -> None:
        self.tempos: list[tuple[int, int]] = []  # microseconds of a quarter note
        self.keys: list[tuple[int, str]] = []
        self.markers: list[tuple[int, str]] = []
        self.said: dict[str, list[tuple[int, int, str]]] = defaultdict(list)  # by the word before the colon
        for event in sequence.events:
            message = event.message
            if message.type == "set_tempo":
                self.tempos.append((event.tick, message.tempo))
            elif message.type == "key_signature":
                self.keys.append((event.tick, parse_key(message.key)))
            elif message.type == "marker":
                self.markers.append((event.tick, text_of(message).strip()))
            elif message.type == "text":
                what, _, text = text_of(message).partition(": ")
                self.said[what].append((event.tick, event.track, text))


@dataclass(frozen=True)
class _Grid:
    """The bars of a file."""

    meter: str
    bar_ticks: int
    n_bars: int


def _grid(sequence: Sequence, voices: list[Voice]) -> _Grid:
    starts = [note.start for voice in voices for note in voice.notes]
    meter = _meter(sequence, min(starts))
    bar_ticks = round(meter_quarters(meter) * TICKS)
    end, n_bars = sequence.stops[0], max(starts) // bar_ticks + 1
    if end % bar_ticks or end < n_bars * bar_ticks:
        end = max(note.stop for voice in voices for note in voice.notes) - LATE
    n_bars = max(n_bars, -(-end // bar_ticks))
    if n_bars > MAX_BARS:
        raise ValueError(f"{n_bars} bars are more than {MAX_BARS}")
    return _Grid(meter, bar_ticks, n_bars)


def _meter(sequence: Sequence, first_start: int) -> str:
    """The only meter of a file, 4/4 if it says none; ValueError, naming the bar, for another or one that is unknown."""
    signatures = [event for event in sequence.events if event.message.type == "time_signature"]
    meters = [(one.tick, f"{one.message.numerator}/{show(one.message.denominator)}") for one in signatures]
    if not meters or meters[0][0] > first_start:
        meters.insert(0, (0, "4/4"))
    meter = meters[0][1]
    if meter not in METERS:
        raise ValueError(f"bar 1: meter {meter} is none of {', '.join(METERS)}")
    for tick, other in meters:
        if other != meter:
            bar = tick // round(meter_quarters(meter) * TICKS) + 1
            raise ValueError(f"bar {bar}: the meter changes from {meter} to {other}, but a plan has one meter")
    return meter


def _tempo(tempos: list[tuple[int, int]], grid: _Grid, remarks: list[str]) -> tuple[Tempo, ...]:
    """A mark at each bar that begins with another tempo; a single change inside a bar moves to the bar's start."""
    changes: dict[int, dict[int, int]] = defaultdict(dict)  # bar -> tick in it -> microseconds
    for tick, length in tempos:
        changes[tick // grid.bar_ticks][tick % grid.bar_ticks] = length
    if 0 not in changes[0]:
        remarks.append("the file begins without a tempo, which means 120 BPM")
    counts: Counter[str] = Counter()
    current = 500_000
    marks: list[Tempo] = []
    for bar in range(grid.n_bars):
        inside = changes.get(bar, {})
        has_moved = len(inside) == 1 and 0 not in inside
        length = next(iter(inside.values())) if has_moved else inside.get(0, current)
        counts["moved"] += has_moved
        counts["dropped"] += 0 if has_moved else len(inside.keys() - {0})
        bpm = check_tempo(round(6e7 / max(length, 1), 1), f"bar {bar + 1}: tempo")
        if not marks or marks[-1].bpm != bpm:
            marks.append(Tempo(bar + 1, bpm))
        current = inside[max(inside)] if inside else length
    if counts["moved"]:
        remarks.append(f"tempo changes inside a bar that were moved to its start: {counts['moved']}")
    if counts["dropped"]:
        remarks.append(f"tempo changes inside bars that were left out, as bars keep their first: {counts['dropped']}")
    return tuple(marks)


def _parts(
    voices: list[Voice], unknown: list[tuple[int, int, str]], grid: _Grid, remarks: list[str]
) -> tuple[list[Part], dict[str, int | None]]:
    """What each role plays, and its first program."""
    members, merges = assign(voices)
    remarks += merges
    parts: list[Part] = []
    instruments: dict[str, int | None] = {}
    for role, own in members.items():
        part, lost = merged(role, own, grid.n_bars, grid.bar_ticks)
        remarks += lost
        tracks = {voice.track for voice in own}
        gaps = [(tick, text) for tick, track, text in unknown if track in tracks and own[0].named_role == role]
        parts.append(_with_unknown(part, gaps, grid))
        instruments[role] = next((voice.program for voice in own if voice.program is not None), None)
    return parts, instruments


def _with_unknown(part: Part, gaps: list[tuple[int, str]], grid: _Grid) -> Part:
    """The part with bars unknown that a text says are, unless they have notes."""
    lengths: dict[int, int] = {}  # by first bar, from 0
    for tick, text in gaps:
        if match := re.fullmatch(r"(\d{1,4}) bars", text):
            lengths[tick // grid.bar_ticks] = int(match[1])
    bars: list[NoteBar] = []
    stop = 0
    for number, bar in enumerate(part.bars):
        stop = max(stop, number + lengths.get(number, 0))
        bars.append(None if number < stop and not bar else bar)
    return Part(part.role, tuple(bars))


def _key(keys: list[tuple[int, str]], parts: list[Part], grid: _Grid, remarks: list[str]) -> str | None:
    if keys:
        changes = sum(a[1] != b[1] for a, b in itertools.pairwise(keys))
        if changes:
            remarks.append(f"changes of key that were left out, as the plan stays in {keys[0][1]}: {changes}")
        return keys[0][1]
    key = find_key(_pitched(parts, grid))
    if key is not None:
        remarks.append(f"the key {key} was found from its notes, as the file says none")
    return key


def _pitched(parts: list[Part], grid: _Grid) -> np.ndarray:
    """(N, 3): ticks at which the notes of the pitched roles begin and end, and their pitches."""
    notes = [
        (number * grid.bar_ticks + note.tick, number * grid.bar_ticks + note.tick + note.length, note.pitch)
        for part in parts
        if part.role not in UNPITCHED
        for number, bar in enumerate(part.bars)
        for note in bar or ()
    ]
    return np.array(notes, dtype=np.int64).reshape(-1, 3)


def _chords(
    said: list[tuple[int, int, str]], parts: list[Part], key: str | None, grid: _Grid, remarks: list[str]
) -> list[tuple[str, ...] | None]:
    """The chords of each bar: as the file says, or as its notes say."""
    if not said:
        remarks.append("the chords were found from its notes, as the file says none")
        return [*find_chords(_pitched(parts, grid), grid.n_bars, grid.bar_ticks, key)]
    halves: dict[int, str] = {}  # number of the half bar -> chord
    unread = 0
    for tick, _, text in said:
        try:
            halves[(4 * tick + grid.bar_ticks) // (2 * grid.bar_ticks)] = parse_chord(text)
        except ValueError:
            unread += 1
    if unread:
        remarks.append(f"chords whose names plans do not know and that were left out: {unread}")
    found: list[tuple[str, ...] | None] = []
    current = None
    for bar in range(grid.n_bars):
        first, second = halves.get(2 * bar), halves.get(2 * bar + 1)
        if first is None and second is not None:
            first = current
        names = tuple(name for name in (first, second) if name is not None)
        current = names[-1] if names else None
        found.append(names or None)
    return found


def _sections(
    facts: _Facts, parts: list[Part], chords: list[tuple[str, ...] | None], grid: _Grid, remarks: list[str]
) -> tuple[Section, ...]:
    labels = _labels(facts.markers, grid, remarks)
    energies = {tick // grid.bar_ticks: text for tick, _, text in facts.said["energy"]}
    casts = {tick // grid.bar_ticks: text for tick, _, text in facts.said["roles"]}
    firsts = sorted(labels)
    sections = []
    for first, stop in itertools.pairwise([*firsts, grid.n_bars]):
        bars = tuple(Bar(names) for names in chords[first:stop])
        energy = energies.get(first, "")
        level = int(energy) if re.fullmatch(r"[0-7]", energy) else None
        sections.append(Section(labels[first], bars, level, _cast(casts.get(first), parts, first, stop)))
    return tuple(sections)


def _labels(markers: list[tuple[int, str]], grid: _Grid, remarks: list[str]) -> dict[int, str | None]:
    """The label of the section that begins with each bar (from 0), None where the file has none that plans know."""
    labels: dict[int, str | None] = {}
    counts: Counter[str] = Counter()
    read_as: dict[str, str] = {}
    for tick, text in markers:
        bar = (2 * tick + grid.bar_ticks) // (2 * grid.bar_ticks)
        if bar >= grid.n_bars or bar in labels:
            counts["left out, as no section begins there"] += 1
            continue
        counts["moved to the nearest bar"] += tick % grid.bar_ticks > 0
        labels[bar] = label = _label(text)
        if text.lower() not in (label, UNLABELLED):
            read_as[repr(text[:40])] = label or "a section without a label"
    remarks += [f"markers that were {what}: {count}" for what, count in counts.items() if count]
    shown = [f"{text} as {label}" for text, label in list(read_as.items())[:NAMED]]
    if shown:
        more = f" and {len(read_as) - NAMED} more" if len(read_as) > NAMED else ""
        remarks.append(f"markers were read: {', '.join(shown)}{more}")
    return {0: None} | labels


def _label(text: str) -> str | None:
    """The label that a marker names, "Verse 2" or "Hook", or nearly names; None if there is none."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", text[:100].lower())
    exact = next((LABEL_WORDS[word] for word in words if word in LABEL_WORDS), None)
    close = difflib.get_close_matches(words[0][:20], LABELS, 1, 0.75) if words else []
    return exact or (close[0] if close else None)


def _cast(text: str | None, parts: list[Part], first: int, stop: int) -> tuple[str, ...] | None:
    """Who plays in some bars: whom the file names and whoever has notes; None where neither says all."""
    bars = {part.role: part.bars[first:stop] for part in parts}
    named = [role for role in ROLES if text is not None and role in text.split() and role in bars]
    if text is None and any(bar is None for own in bars.values() for bar in own):
        return None
    return tuple(role for role in ROLES if role in named or any(bars.get(role, ())))


def _swing(said: list[tuple[int, int, str]], remarks: list[str]) -> Swing | None:
    if not said:
        return None
    try:
        return parse_swing(said[0][2])
    except ValueError as error:
        remarks.append(f"{error}: left out")
        return None
