"""A plan as MIDI and back: the same music; and what other programs write, with all that may be wrong in it."""

import io
import random
import time
import tracemalloc
from dataclasses import replace

import mido
import numpy as np
import pytest

from hybridgen.formats.found import find_chords, find_key
from hybridgen.formats.midi import from_midi, to_midi
from hybridgen.plan.harmony import KEYS, METERS, PITCHES, QUALITIES, chord_pitches, meter_quarters
from hybridgen.plan.notes import UNPITCHED, Note, Part, Swing
from hybridgen.plan.parts import LABELS, ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan


def random_plan(seed: int) -> Plan:
    """Sections, tempo marks, programs, chords and notes by chance; some of it unknown."""
    rng = random.Random(seed)
    meter = rng.choice(METERS)
    roles = sorted(rng.sample(ROLES, rng.randint(1, 9)), key=ROLES.index)
    sections = tuple(random_section(rng, roles) for _ in range(rng.randint(1, 4)))
    n_bars = sum(len(section.bars) for section in sections)
    marks = [Tempo(1, rng.randint(800, 2000) / 10)]
    for bar in sorted(rng.sample(range(2, n_bars + 1), rng.randint(0, min(3, n_bars - 1)))):
        marks.append(Tempo(bar, (marks[-1].bpm + rng.randint(1, 700) / 10 - 30) % 220 + 80))
    playing = [section.roles for section in sections for _ in section.bars]
    parts = [Part(role, tuple(random_bar(rng, meter, role in who) for who in playing)) for role in roles]
    plan = Plan(
        sections,
        tuple(marks),
        meter,
        rng.choice(KEYS),
        tuple((role, rng.choice([None, rng.randrange(128)])) for role in roles),
        prompt=rng.choice(["", "a slow waltz, naïve – 3/4\nfor two"]),
        swing=rng.choice([None, Swing(), Swing(0.62), Swing(0.5833, 16)]),
    )
    first = Part(roles[0], tuple((Note(0, 7, 60),) if roles[0] in who else () for who in playing))
    parts = parts if any(bar for part in parts for bar in part.bars) else [first, *parts[1:]]
    return plan.with_parts(parts)


def random_section(rng: random.Random, roles: list[str]) -> Section:
    bars = tuple(Bar(random_chords(rng)) for _ in range(rng.randint(1, 6)))
    who = [role for role in roles if rng.random() < 0.7] or roles
    return Section(rng.choice([None, *LABELS]), bars, rng.choice([None, *range(8)]), tuple(who))


def random_chords(rng: random.Random) -> tuple[str, ...] | None:
    names = [rng.choice(PITCHES) + rng.choice(QUALITIES) for _ in range(rng.randint(0, 2))]
    return tuple(names) or None


def random_bar(rng: random.Random, meter: str, plays: bool) -> tuple[Note, ...] | None:
    if rng.random() < 0.2:
        return None
    ticks = round(480 * meter_quarters(meter))
    starts = {(rng.randrange(ticks), rng.randrange(36, 84)) for _ in range(rng.randint(0, 12) if plays else 0)}
    return tuple(Note(tick, rng.randint(1, 3000), pitch, rng.randint(1, 127)) for tick, pitch in sorted(starts))


def sounding(plan: Plan, role: str) -> list[tuple[int, int, int, int]]:
    """(start, stop, pitch, velocity) of each note in ticks, each ending where its pitch begins anew."""
    notes = [
        (number * plan.bar_ticks + note.tick, note.length, note.pitch, note.velocity)
        for number, bar in enumerate(plan.part(role).bars)
        for note in bar or ()
    ]
    later = {one: [start for start, _, pitch, _ in notes if pitch == one] for one in {n[2] for n in notes}}
    return [
        (start, min([start + length, *(next_one for next_one in later[pitch] if next_one > start)]), pitch, velocity)
        for start, length, pitch, velocity in sorted(notes)
    ]


@pytest.mark.parametrize("seed", range(150))
def test_a_plan_comes_back_from_midi(seed: int):
    plan = random_plan(seed)
    back, remarks = from_midi(to_midi(plan))
    for role in ROLES:
        assert sorted(sounding(back, role)) == sorted(sounding(plan, role))
        is_known = [bar is not None for bar in plan.part(role).bars]
        assert [bar is not None for bar in back.part(role).bars] == is_known
    same = ("tempo", "meter", "key", "instruments", "prompt", "swing")
    assert {name: getattr(back, name) for name in same} == {name: getattr(plan, name) for name in same}
    has_chords = any(bar.chords for bar in plan.bars)
    assert all("moved" not in one and "left out" not in one for one in remarks)
    assert remarks == () if has_chords else "found from its notes" in remarks[0]
    assert back.sections == plan.sections if has_chords else len(back.sections) == len(plan.sections)
    assert to_midi(replace(back, sections=plan.sections)) == to_midi(plan)


def test_written_files_are_read_by_mido_as_they_are_meant():
    section = Section("verse", (Bar("Am"), Bar(("F", "G"))), 4, ("drums", "percussion", "bass"))
    plan = Plan((section,), (Tempo(1, 96),), "6/8", "Db minor", (("drums", 32), ("percussion", 0), ("bass", 33)))
    plan = plan.with_parts([Part("bass", ((Note(0, 5000, 33, 90),), (Note(0, 240, 33, 70),)))])
    file = mido.MidiFile(file=io.BytesIO(to_midi(plan)))
    assert (file.type, file.ticks_per_beat) == (1, 480)
    assert [track.name for track in file.tracks] == ["", "percussion", "drums", "bass"]
    conductor = {message.type: message for message in file.tracks[0]}
    assert conductor["set_tempo"].tempo == 625_000
    assert (conductor["time_signature"].numerator, conductor["time_signature"].denominator) == (6, 8)
    assert conductor["key_signature"].key == "C#m"
    assert conductor["marker"].text == "verse"
    assert [m.text for m in file.tracks[0] if m.type == "text" and "chord" in m.text] == [
        "chord: Am",
        "chord: F",
        "chord: G",
    ]
    assert {m.channel for track in file.tracks[1:3] for m in track if m.type == "program_change"} == {9}
    on_off = [(m.type, m.time) for m in file.tracks[3] if m.type in ("note_on", "note_off")]
    assert on_off == [("note_on", 0), ("note_off", 1440), ("note_on", 0), ("note_off", 240)]
    assert sum(message.time for message in file.tracks[0]) == 2 * 1440


def test_a_plan_without_bars_is_no_midi():
    with pytest.raises(ValueError, match="without bars"):
        to_midi(Plan(n_samples=44_100))


def test_unknown_notes_are_tracks_without_notes():
    plan = Plan((Section(None, (Bar("C"),) * 2),), (Tempo(1, 120),), "4/4", "C", (("keys", 4), ("lead", None)))
    file = mido.MidiFile(file=io.BytesIO(to_midi(plan)))
    assert [track.name for track in file.tracks] == ["", "keys", "lead"]
    assert not [message for track in file.tracks for message in track if message.type == "note_on"]
    with pytest.raises(ValueError, match=r"^MIDI: the file has no notes$"):
        from_midi(to_midi(plan))


@pytest.mark.parametrize("as_played", [False, True])
def test_bars_of_a_ramp_and_of_played_music_last_as_long_in_midi(as_played: bool):
    sections = (Section(None, (Bar(),) * 8),)
    plan = Plan(sections, (Tempo(1, 90), Tempo(3, 100, True), Tempo(7, 140)), "7/8")
    if as_played:
        rng = np.random.default_rng(5)
        plan = Plan(sections, (), "7/8", beats=tuple(1.5 + np.cumsum(rng.uniform(0.3, 0.9, 25))))
    times, now = [0.0], 0.0
    for message in mido.MidiFile(file=io.BytesIO(to_midi(plan))):
        now += message.time
        if message.type == "end_of_track":
            times.append(now)
    expected = plan.bar_starts() / plan.time_base.sample_rate
    assert times[-1] == pytest.approx(expected[-1] - expected[0], abs=1e-3)


# ---- files of other programs


def file_of(*tracks: list, kind: int = 1, division: int = 480) -> bytes:
    """A MIDI file of tracks of (tick, message)."""
    file = mido.MidiFile(type=kind, ticks_per_beat=division)
    for events in tracks:
        now, track = 0, mido.MidiTrack()
        for tick, message in sorted(events, key=lambda one: one[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def meta(tick: int, kind: str, **values: object) -> tuple:
    return tick, mido.MetaMessage(kind, **values)


def note(start: int, stop: int, pitch: int, channel: int = 0, velocity: int = 80) -> list:
    on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
    return [(start, on), (stop, mido.Message("note_off", channel=channel, note=pitch))]


def program(number: int, channel: int = 0, tick: int = 0) -> tuple:
    return tick, mido.Message("program_change", channel=channel, program=number)


def control(tick: int, number: int, value: int, channel: int = 0) -> tuple:
    return tick, mido.Message("control_change", channel=channel, control=number, value=value)


def notes_of(plan: Plan, role: str) -> list[tuple[int, int, int]]:
    return [(start, stop, pitch) for start, stop, pitch, _ in sounding(plan, role)]


def test_a_bare_file_is_four_four_at_120():
    plan, remarks = from_midi(file_of(note(0, 480, 60), kind=0))
    assert (plan.meter, plan.tempo, plan.n_bars) == ("4/4", (Tempo(1, 120),), 1)
    assert plan.instruments == (("keys", None),)
    assert any("120 BPM" in one for one in remarks)
    assert [one for one in remarks if "found from its notes" in one]


def test_format_2_gives_its_first_sequence():
    plan, remarks = from_midi(file_of(note(0, 480, 60), note(0, 480, 62), kind=2))
    assert notes_of(plan, "keys") == [(0, 480, 60)]
    assert any("only the first" in one for one in remarks)


@pytest.mark.parametrize("division", [1, 24, 96, 100, 384, 480, 960, 15_360, 32_767])
def test_any_division_is_rounded_to_the_nearest_tick(division: int):
    starts = [0, division // 3, division, 3 * division]
    events = [event for i, start in enumerate(starts) for event in note(start, start + division, 60 + i)]
    plan, _ = from_midi(file_of(events, division=division))
    assert [one[0] for one in notes_of(plan, "keys")] == sorted(int(s * 480 / division + 0.5) for s in starts)


def test_smpte_time_is_refused():
    data = bytearray(file_of(note(0, 480, 60)))
    data[12:14] = bytes([0xE7, 40])
    with pytest.raises(ValueError, match=r"^song: time is counted in SMPTE"):
        from_midi(bytes(data), "song")


def test_running_status_and_velocity_zero():
    body = b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x3e\x40\x60\x3e\x00\x00\xff\x2f\x00"
    plan, _ = from_midi(b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk" + len(body).to_bytes(4, "big") + body)
    assert notes_of(plan, "keys") == [(0, 480, 60), (480, 960, 62)]


def test_time_of_unknown_meta_events_counts_and_unknown_chunks_do_not():
    body = b"\x60\xff\x60\x01\x00\x60\xf0\x02\x01\xf7\x00\x90\x3c\x40\x60\x3c\x00\x00\xff\x2f\x00"
    track = b"MTrk" + len(body).to_bytes(4, "big") + body
    plan, _ = from_midi(b"MThd\0\0\0\6\0\0\0\1\0\x60XFIH\0\0\0\3abc" + track)
    assert notes_of(plan, "keys") == [(960, 1440, 60)]


def test_the_pedal_holds_notes():
    events = [*note(0, 100, 60), *note(200, 300, 64), *note(1000, 1100, 67)]
    plan, remarks = from_midi(file_of([control(0, 64, 127), control(900, 64, 0), *events]))
    assert notes_of(plan, "keys") == [(0, 900, 60), (200, 900, 64), (1000, 1100, 67)]
    assert any(one.startswith("2 notes") and "pedal" in one for one in remarks)


def test_the_pedal_of_one_channel_holds_no_other():
    events = [program(33, 1), *note(0, 100, 40, channel=1), *note(0, 100, 60), *note(200, 300, 60)]
    plan, _ = from_midi(file_of([control(0, 64, 127), control(900, 64, 0), *events]))
    assert notes_of(plan, "bass") == [(0, 100, 40)]
    assert notes_of(plan, "lead") == [(0, 200, 60), (200, 900, 60)]


def test_notes_without_an_end_last_to_the_end_of_the_file():
    plan, remarks = from_midi(file_of([note(0, 480, 60)[0], *note(0, 1920, 64)]))
    assert notes_of(plan, "keys") == [(0, 1920, 60), (0, 1920, 64)]
    assert any(one.startswith("1 note without an end") for one in remarks)


def test_all_notes_off():
    plan, _ = from_midi(file_of([note(0, 480, 60)[0], control(700, 123, 0), *note(960, 1920, 64)]))
    assert notes_of(plan, "keys") == [(0, 700, 60), (960, 1920, 64)]


def test_of_two_overlapping_notes_of_a_pitch_the_earlier_ends():
    name = meta(0, "track_name", name="Keys")
    tracks = [[name, *note(0, 960, 60)], [name, *note(480, 1440, 60)]]
    plan, _ = from_midi(file_of(*tracks))
    assert notes_of(plan, "keys") == [(0, 480, 60), (480, 1440, 60)]


def test_doubled_notes_are_counted():
    plan, remarks = from_midi(
        file_of(*([meta(0, "track_name", name="keys"), *note(0, stop, 60)] for stop in (480, 960, 100)))
    )
    assert notes_of(plan, "keys") == [(0, 960, 60)]
    assert "keys: 2 notes left out, as another one has the same pitch and start" in remarks


def test_a_very_long_note_is_cut_and_crowded_bars_are_thinned():
    many = [event for i in range(600) for event in note(i * 2, i * 2 + 1, i % 128)]
    held = [program(90, 1), *note(0, 480 * 2500, 60, channel=1), meta(0, "set_tempo", tempo=200_000)]
    plan, remarks = from_midi(file_of([meta(0, "track_name", name="keys"), *many], held))
    assert len(plan.part("keys").bars[0]) == 512
    assert "keys: 88 notes left out, as a bar has more than 512" in remarks
    assert notes_of(plan, "pad") == [(0, 1 << 20, 60)]
    assert f"pad: 1 note cut to {1 << 20} ticks" in remarks


PROGRAMS = {0: "keys", 23: "keys", 24: "guitar", 31: "guitar", 32: "bass", 39: "bass", 40: "strings", 51: "strings"}
PROGRAMS |= {53: "pad", 56: "winds", 79: "winds", 80: "lead", 87: "lead", 88: "pad", 95: "pad", 105: "lead"}


@pytest.mark.parametrize(("number", "role"), PROGRAMS.items())
def test_programs_play_in_the_role_of_their_family(number: int, role: str):
    plan, _ = from_midi(file_of([program(number), *note(0, 480, 60)]))
    assert plan.instruments == ((role, number),)


def test_drums_and_percussion_share_the_tenth_channel():
    kit = [event for i, pitch in enumerate((36, 42, 38, 42)) for event in note(480 * i, 480 * i + 10, pitch, 9)]
    congas = [event for i, pitch in enumerate((62, 63, 64, 36)) for event in note(480 * i, 480 * i + 10, pitch, 9)]
    plan, _ = from_midi(file_of([program(25, 9), *kit], congas))
    assert [len(notes_of(plan, role)) for role in UNPITCHED] == [4, 4]
    assert dict(plan.instruments)["drums"] == 25


def test_the_lowest_and_the_highest_melody_are_bass_and_lead():
    low = [event for i in range(4) for event in note(480 * i, 480 * i + 400, 36 + i)]
    chords = [event for pitch in (60, 64, 67) for event in note(0, 1920, pitch, 1)]
    high = [event for i in range(4) for event in note(480 * i, 480 * i + 400, 76 + i, 2)]
    plan, remarks = from_midi(file_of([program(0), *low], [program(48, 1), *chords], [program(73, 2), *high]))
    assert plan.instruments == (("bass", 0), ("strings", 48), ("lead", 73))
    assert {one.split(":")[0] for one in remarks} >= {"bass", "lead"}


def test_merged_parts_are_said_and_the_first_gives_the_program():
    piano = [meta(0, "track_name", name="Grand\nPiano"), program(0), *[e for p in (60, 64) for e in note(0, 480, p)]]
    organ = [meta(0, "track_name", name="Org"), program(16, 1), *[e for p in (67, 71) for e in note(480, 960, p, 1)]]
    plan, remarks = from_midi(file_of(piano, organ))
    assert plan.instruments == (("keys", 0),)
    assert len(notes_of(plan, "keys")) == 4
    assert "keys: 2 parts are merged: 'Grand\\nPiano' (program 0), 'Org' (program 16)" in remarks


def test_tempo_inside_bars():
    bars = [event for i in range(4) for event in note(1920 * i, 1920 * i + 480, 60)]
    tempos = [(0, 120.0), (1920 + 960, 90.0), (3840, 100.04), (3840 + 480, 110.0), (3840 + 960, 130.0)]
    marks = [meta(tick, "set_tempo", tempo=round(6e7 / bpm)) for tick, bpm in tempos]
    plan, remarks = from_midi(file_of([*marks, *bars]))
    assert plan.tempo == (Tempo(1, 120), Tempo(2, 90), Tempo(3, 100), Tempo(4, 130))
    assert "tempo changes inside a bar that were moved to its start: 1" in remarks
    assert "tempo changes inside bars that were left out, as bars keep their first: 2" in remarks


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ([(0, 5, 8)], "bar 1: meter 5/8 is none of 2/4"),
        ([(0, 3, 4), (1440, 4, 4)], "bar 2: the meter changes from 3/4 to 4/4"),
        ([(1920, 3, 4)], "bar 2: the meter changes from 4/4 to 3/4"),
    ],
)
def test_other_meters_are_refused(signatures: list, message: str):
    events = [meta(tick, "time_signature", numerator=n, denominator=d) for tick, n, d in signatures]
    with pytest.raises(ValueError, match=f"^MIDI: {message}[^\n]*$"):
        from_midi(file_of([*events, *note(0, 480, 60), *note(1920, 2400, 60)]))


def test_a_repeated_meter_is_one_meter():
    events = [meta(tick, "time_signature", numerator=3, denominator=4) for tick in (0, 1440)]
    assert from_midi(file_of([*events, *note(0, 480, 60)]))[0].meter == "3/4"


def test_markers_become_sections():
    names = {0: "Intro", 1920: "Verse 2", 4000: "Hook", 5760: "Zxy", 7680: "outtro", 7700: "twice", 99_999: "late"}
    bars = [event for i in range(5) for event in note(1920 * i, 1920 * i + 480, 60)]
    plan, remarks = from_midi(file_of([meta(tick, "marker", text=text) for tick, text in names.items()], bars))
    assert [section.label for section in plan.sections] == ["intro", "verse", "chorus", None, "outro"]
    assert [len(section.bars) for section in plan.sections] == [1] * 5
    said = " ".join(remarks)
    assert "'Hook' as chorus" in said and "'Zxy' as a section without a label" in said
    assert "markers that were moved to the nearest bar: 1" in remarks
    assert "markers that were left out, as no section begins there: 2" in remarks


def test_who_plays_in_a_section_is_who_has_notes():
    keys = [program(0), *note(0, 480, 60), *note(1920, 2400, 60)]
    drums = [event for i in range(4) for event in note(1920 + 480 * i, 1930 + 480 * i, 36, 9)]
    plan, _ = from_midi(file_of([meta(0, "marker", text="intro"), meta(1920, "marker", text="verse")], keys, drums))
    assert [section.roles for section in plan.sections] == [("keys",), ("drums", "keys")]


@pytest.mark.parametrize("key", KEYS)
def test_the_key_and_the_chords_are_found_from_the_notes(key: str):
    tonic, minor = PITCHES.index(key.split()[0]), key.endswith("minor")
    degrees = ((0, "m"), (5, "m"), (7, ""), (0, "m")) if minor else ((0, ""), (5, ""), (7, "7"), (0, ""))
    chords = [PITCHES[(tonic + step) % 12] + quality for step, quality in degrees]
    events = [
        event
        for bar, chord in enumerate(chords)
        for i, pitch in enumerate(chord_pitches(chord))
        for event in note(1920 * bar, 1920 * (bar + 1), (48 if i else 36) + pitch)
    ]
    plan, remarks = from_midi(file_of(events))
    assert plan.key == key
    assert [bar.chords for bar in plan.bars] == [(chord,) for chord in chords]
    assert sum("found from its notes" in one for one in remarks) == 2


def test_half_bars_have_chords_of_their_own_and_silence_none():
    notes = np.array([[0, 960, p] for p in (48, 52, 55)] + [[960, 1920, p] for p in (53, 57, 60)])
    assert find_chords(notes, 2, 1920, "C major") == [("C", "F"), ("N",)]
    assert find_key(np.zeros((0, 3), dtype=int)) is None


def test_drums_alone_have_no_key():
    plan, remarks = from_midi(file_of(note(0, 10, 36, 9)))
    assert plan.key is None and plan.bars[0].chords == ("N",)
    assert not any(one.startswith("the key") for one in remarks)


def test_chords_that_plans_do_not_know_are_counted():
    texts = [
        meta(0, "text", text="chord: Cmaj13#11"),
        meta(1920, "text", text="chord: Bbmaj7"),
        meta(0, "text", text="hi"),
    ]
    plan, remarks = from_midi(file_of([*texts, *note(0, 480, 60), *note(1920, 2400, 60)]))
    assert [bar.chords for bar in plan.bars] == [None, ("Bbmaj7",)]
    assert "chords whose names plans do not know and that were left out: 1" in remarks


def test_key_changes_and_wrong_key_signatures_are_said():
    events = [meta(0, "key_signature", key="Cb"), meta(960, "key_signature", key="Am"), *note(0, 480, 60)]
    plan, remarks = from_midi(file_of(events))
    assert plan.key == "B major"
    assert "changes of key that were left out, as the plan stays in B major: 1" in remarks
    wrong = file_of(events).replace(b"\xff\x59\x02\xf9\x00", b"\xff\x59\x02\x31\x00")
    plan, remarks = from_midi(wrong)
    assert plan.key == "A minor" and any("key signature" in one for one in remarks)


def test_a_swing_that_is_none_is_said():
    plan, remarks = from_midi(file_of([meta(0, "text", text="swing: 99%"), *note(0, 480, 60)]))
    assert plan.swing is None and any("swing" in one for one in remarks)


LIMITS = {
    "empty": (lambda: b"", "the file is empty"),
    "no MIDI": (lambda: b"RIFF" * 9, "no MIDI file"),
    "without notes": (lambda: file_of([program(3)]), "no notes"),
    "without tracks": (lambda: b"MThd\0\0\0\6\0\1\0\0\1\xe0", "no notes"),
    "format": (lambda: b"MThd\0\0\0\6\0\3\0\0\1\xe0", "format 3"),
    "no ticks": (lambda: b"MThd\0\0\0\6\0\1\0\0\0\0", "0 ticks"),
    "long": (lambda: file_of(note(0, 480 * 1300, 60)), "600 s"),
    "bars": (
        lambda: file_of([*note(0, 1, 60), *note(1920 * 4095, 1920 * 4095 + 480, 60)]),
        "4096 bars are more than 4095",
    ),
    "endless": (lambda: file_of(note(0, 2**27, 60)), "bars are more than 4095"),
    "bytes": (lambda: b"MThd" + bytes(9 << 20), "bytes are over the limit"),
    "slow": (
        lambda: file_of([meta(0, "set_tempo", tempo=3_000_000), *note(0, 1, 60)]),
        "bar 1: tempo 20 is outside 30-300",
    ),
    "standing": (lambda: file_of([meta(0, "set_tempo", tempo=0), *note(0, 1, 60)]), "bar 1: tempo"),
}


@pytest.mark.parametrize(("make", "message"), LIMITS.values(), ids=LIMITS)
def test_what_is_over_a_limit_is_one_line(make, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        from_midi(make(), "tune.mid")
    assert str(caught.value).startswith("tune.mid: ") and "\n" not in str(caught.value)


def crowd(n_events: int) -> bytes:
    body = b"\x00\x90\x3c\x40" + b"\x00\x3c\x00\x01\x3c\x40" * ((n_events - 2) // 2) + b"\x01\x3c\x00\x00\xff\x2f\x00"
    return b"MThd\0\0\0\6\0\0\0\1\x7f\xffMTrk" + len(body).to_bytes(4, "big") + body


def test_many_events_are_read_in_bounded_memory_and_more_are_refused():
    with pytest.raises(ValueError, match="more than 200000 events"):
        from_midi(crowd(2_000_000))
    tracemalloc.start()
    plan, remarks = from_midi(crowd(199_990))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 256 << 20
    kept = sum(len(bar) for bar in plan.part("keys").bars)
    said = sum(int(one.split()[1]) for one in remarks if one.startswith("keys: "))
    assert kept + said == 99_995


def test_repeated_texts_and_tracks_take_no_longer_than_their_bytes():
    texts = [
        meta(0, "track_name", name="keys"),
        *[meta(i, "text", text="notes unknown: 4095 bars") for i in range(9000)],
    ]
    silent = [[meta(0, "track_name", name="pad"), program(90, 1)]] * 3000
    began = time.monotonic()
    plan, _ = from_midi(file_of([*texts, *note(0, 480, 60), *note(1920 * 250, 1920 * 250 + 480, 60)], *silent))
    assert time.monotonic() - began < 20
    assert [bar is None for bar in plan.part("keys").bars] == [False, *[True] * 249, False]
    assert plan.part("pad").bars == ((),) * 251


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The file with some bytes flipped, cut out, put in or cut off."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(max(len(changed), 1))
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in changed[at : at + 1])
            case 1:
                del changed[at : at + rng.randint(1, 9)]
            case 2:
                changed[at:at] = rng.randbytes(rng.randint(1, 9))
            case 3 if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(500))
def test_a_damaged_file_is_a_plan_or_one_line(seed: int):
    rng = random.Random(seed)
    data = mutated(to_midi(random_plan(seed % 20)), rng)
    try:
        plan, remarks = from_midi(data)
    except ValueError as error:
        assert str(error).startswith("MIDI: ") and "\n" not in str(error) and len(str(error)) < 400
        return
    assert isinstance(plan, Plan) and all("\n" not in one for one in remarks)
    to_midi(plan)
