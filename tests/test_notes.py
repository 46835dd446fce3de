"""Notes in a plan: JSON and text, edits that keep and clear them, where they sound, and rolls of frames."""

import random
from dataclasses import replace

import numpy as np
import pytest

from hybridgen.plan.harmony import METERS, meter_quarters
from hybridgen.plan.notes import TICKS, Note, Part, Swing, bar_text, parse_bar, parse_swing, swung
from hybridgen.plan.parts import ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan

A, E = Note(0, 480, 33), Note(720, 240, 40, 76)
KICK, HAT = Note(0, 60, 36, 100), Note(240, 60, 42, 60)


def make(**changes: object) -> Plan:
    """Eight bars of bass and drums, the notes of bar 3 unknown."""
    bass = Part("bass", ((A, E), (A,), None, (), (A, E), (A,), (A,), (A,)))
    drums = Part("drums", ((KICK, HAT),) * 8)
    sections = (
        Section("verse", (Bar("Am"),) * 4, 4, ("drums", "bass")),
        Section("chorus", (Bar("F"),) * 4, 6, ("drums", "bass", "lead")),
    )
    instruments = {"drums": 0, "bass": 33, "lead": 80}
    plan = Plan(sections, (Tempo(1, 120.0),), key="A minor", instruments=instruments, notes=(drums, bass))
    return replace(plan, **changes)


def random_plan(seed: int) -> Plan:
    rng = random.Random(seed)
    meter, n_bars = rng.choice(METERS), rng.randint(1, 9)
    roles = rng.sample(ROLES, rng.randint(1, 5))
    ticks = round(meter_quarters(meter) * TICKS)

    def bar(role: str) -> tuple[Note, ...] | None:
        if rng.random() < 0.2:
            return None
        places = {(rng.randrange(ticks), rng.randrange(128)) for _ in range(rng.randint(0, 6))}
        return tuple(Note(tick, rng.randint(1, 3 * ticks), pitch, rng.randint(1, 127)) for tick, pitch in places)

    swing = rng.choice([None, Swing(), Swing(round(rng.uniform(0.5, 0.75), 3), rng.choice([8, 16]))])
    cut = rng.randint(1, n_bars)
    sections = [Section(None, (Bar(),) * cut, None, tuple(roles))]
    sections += [Section("verse", (Bar("C"),) * (n_bars - cut))] if cut < n_bars else []
    notes = []
    for role in roles:
        bars = [bar(role) for _ in range(n_bars)]
        if n_bars > 1 and rng.random() < 0.5:
            bars[-1] = bars[0]
        notes.append(Part(role, tuple(bars)))
    return Plan(
        tuple(sections),
        (Tempo(1, rng.uniform(40, 200), True), *([Tempo(n_bars, 90.0)] if n_bars > 1 else [])),
        meter,
        instruments=dict.fromkeys(roles),
        notes=tuple(notes),
        swing=swing,
    )


# ---- as text


@pytest.mark.parametrize("seed", range(300))
def test_a_plan_with_notes_is_the_same_after_json(seed: int):
    plan = random_plan(seed)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_bar_is_a_line_that_a_person_reads():
    chord = (Note(0, 960, 60, 70), Note(0, 960, 64, 70), Note(0, 960, 67, 70))
    assert bar_text((A, E), "bass") == "A1 0 480 v80, E2 720 240 v76"
    assert bar_text(chord, "keys") == "C4+E4+G4 0 960 v70"
    assert bar_text((KICK, HAT, Note(300, 1, 30)), "drums") == "kick 0 60 v100, closed-hat 240 60 v60, 30 300 1 v80"
    text = make().to_json()
    assert '"bass": {\n      "1": "A1 0 480 v80, E2 720 240 v76",\n      "2": "A1 0 480 v80",\n      "4": ""' in text
    assert '"5": "as 1"' in text and '"3"' not in text.split('"bass": {')[1]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("", ()),
        ("Bb-1 0 1", (Note(0, 1, 10),)),
        ("f#3  10   20  v1", (Note(10, 20, 54, 1),)),
        ("as 1", (A, E)),
        ("as 1 +2", (Note(0, 480, 35), Note(720, 240, 42, 76))),
        ("as 1 -35", (Note(0, 480, 10), Note(720, 240, 5, 76))),  # what would leave 0-127 goes an octave the other way
    ],
)
def test_what_is_written_by_hand_is_read(text: str, notes: tuple):
    assert parse_bar(text, "bass", {1: (A, E)}.get, "bar 9") == notes


@pytest.mark.parametrize(
    ("role", "text", "words"),
    [
        ("bass", "A1 0", r"note 1 'A1 0' should read PITCH TICK LENGTH"),
        ("bass", "A1 0 10, H1 0 10", r"note 2: 'H1' is no pitch such as A1"),
        ("bass", "A1 0 0", r"note 1: note length 0 is outside 1-"),
        ("bass", "A1 0 10 v200", r"note 1: note velocity 200 is outside 1-127"),
        ("bass", "C10 0 10", r"note 1: 'C10' is no pitch"),
        ("bass", "B9 0 10", r"note 1: note pitch 131 is outside 0-127"),
        ("drums", "boom 0 10", r"note 1: 'boom' is no sound of the General MIDI percussion map"),
        ("bass", "as 3", r"as 3: nothing is known of that bar"),
        ("bass", "A1 1920 10", r"bass, bar 2: A1 begins at tick 1920, a bar of 4/4 has 1920"),
        ("bass", "A1 0 10, A1 0 20", r"bass, bar 2: A1 begins twice at tick 0"),
        ("lead", "A1 0 10", r"lead has notes in bar 2, but does not play there"),
        ("keys", "A1 0 10", r"keys has no entry in instruments"),
        ("bass", ", ".join(f"A1 {i} 1" for i in range(600)), "600 notes are more than 512"),
    ],
)
def test_errors_name_bar_role_and_note(role: str, text: str, words: str):
    with pytest.raises(ValueError, match=words):
        make().edit((2, 2), notes={role: text})
    values = make().to_dict()
    values["notes"].setdefault(role, {})["2"] = text
    with pytest.raises(ValueError, match=words):
        Plan.from_dict(values)


def test_bars_outside_the_plan_are_named():
    values = make().to_dict()
    for number in ("0", "9", "x", "٣"):
        values["notes"] = {"bass": {number: ""}}
        with pytest.raises(ValueError, match=f"bass, bar {number}: is outside 1-8"):
            Plan.from_dict(values)


def test_the_page_shows_notes_where_they_are_asked_for():
    assert "A1 0 480" not in make().text()
    page = make(swing="62%").text(notes=True)
    assert "      bass 1: A1 0 480 v80, E2 720 240 v76\n" in page and "bass 4: silence" in page and "bass 3" not in page
    assert "swing 62% of eighths" in page


# ---- edits


def known(plan: Plan, role: str) -> list[int]:
    return [number for number, bar in enumerate(plan.part(role).bars, start=1) if bar is not None]


@pytest.mark.parametrize(
    ("change", "bass", "drums"),
    [
        ({"chords": ["Dm"]}, [1, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"chords": ["Dm"], "keep_notes": True}, [1, 2, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"energy": 7}, [1, 4, 5, 6, 7, 8], [1, 4, 5, 6, 7, 8]),
        ({"prompt": "other words"}, [1, 4, 5, 6, 7, 8], [1, 4, 5, 6, 7, 8]),
        ({"roles": ["drums"]}, [1, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"clear": ["drums"]}, [1, 2, 4, 5, 6, 7, 8], [1, 4, 5, 6, 7, 8]),
        ({"tempo": 90}, [1, 2, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"instruments": {"bass": 38}}, [1, 2, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"notes": {"bass": "A1 0 480"}}, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_an_edit_clears_the_notes_that_it_makes_wrong(change: dict, bass: list, drums: list):
    new = make().edit((2, 3), **change)
    assert known(new, "bass") == bass and known(new, "drums") == drums


def test_a_new_key_moves_the_notes_of_pitched_roles_and_another_mode_clears_them():
    up = make().edit((1, 2), key="B minor")
    assert up.part("bass").bars[:2] == ((Note(0, 480, 35), Note(720, 240, 42, 76)), (Note(0, 480, 35),))
    assert up.part("bass").bars[2:] == make().part("bass").bars[2:] and up.part("drums") == make().part("drums")
    down = make().edit(key="E minor")
    assert down.part("bass").bars[0][0].pitch == 28  # a fourth down, not a fifth up
    assert known(make().edit((1, 2), key="A major"), "bass") == [4, 5, 6, 7, 8]


def test_written_notes_repeat_over_the_bars_and_unset_their_codes():
    plan = make()
    plan = replace(plan, codes=((1,) * plan.n_code_frames,))
    new = plan.edit((3, 6), notes={"bass": ["C2 0 480", [Note(0, 10, 50)]]})
    bars = new.part("bass").bars
    assert bars[2] == bars[4] == (Note(0, 480, 36),) and bars[3] == bars[5] == (Note(0, 10, 50),)
    start, stop = plan.frames_of(plan.span((3, 6)), plan.time_base.code_hop)
    assert [i for i, code in enumerate(new.codes[0]) if code < 0] == list(range(start, stop))
    assert make().edit((2, 2), notes={"bass": "as 1 +2"}).part("bass").bars[1][0].pitch == 35


def test_transpose_and_copy():
    new = make().transpose((1, 2), -2)
    assert new.part("bass").bars[0] == (Note(0, 480, 31), Note(720, 240, 38, 76)) and new.part("drums") == make().part(
        "drums"
    )
    assert make().transpose(None, 5, roles=["lead"]) == make()
    copied = make().copy((1, 2), 7)
    assert [bar.chords for bar in copied.bars] == [("Am",)] * 4 + [("F",)] * 2 + [("Am",)] * 2
    assert copied.part("bass").bars[6:] == make().part("bass").bars[:2]
    part = make().copy((1, 1), 7, roles=["bass"])
    assert part.bars == make().bars and part.part("bass").bars[6] == (A, E)
    with pytest.raises(ValueError, match="bars"):
        make().copy((1, 4), 6)
    lead = make().edit((5, 5), notes={"lead": "C5 0 480"}).copy((5, 5), 1)
    assert lead.part("lead").bars[0] is None  # it does not play there


@pytest.mark.parametrize("value", [1, [1], {"bass": 1}, {"bass": []}, {"bass": [1]}, {"bass": [["A1 0 1"]]}])
def test_notes_of_a_wrong_type_are_one_line(value: object):
    with pytest.raises((TypeError, ValueError)):
        make().edit((1, 1), notes=value)


# ---- time


def test_notes_sound_where_the_tempo_map_says_and_end_where_their_pitch_begins_anew():
    plan = make(notes=(Part("bass", ((Note(0, 9600, 33), Note(960, 10, 40)), (Note(0, 480, 33),), *[None] * 6)),))
    samples, notes = plan.note_samples("bass")
    assert [note.pitch for note in notes] == [33, 40, 33]
    assert samples.tolist() == [[0, 88_200], [44_100, 44_100 + round(10 / 480 * 22_050)], [88_200, 110_250]]
    assert plan.note_samples("lead")[0].shape == (0, 2)


def test_the_last_note_ends_with_the_track():
    plan = make(notes=(Part("bass", (*[None] * 7, (Note(1900, 5000, 33),))),))
    assert plan.note_samples("bass")[0][0, 1] == plan.length


@pytest.mark.parametrize(
    ("swing", "position", "expected"),
    [
        (Swing(2 / 3), 0.5, 2 / 3),
        (Swing(2 / 3), 1.5, 1 + 2 / 3),
        (Swing(2 / 3), 0.25, 1 / 3),
        (Swing(2 / 3), 1.0, 1.0),
        (Swing(0.6, 16), 0.25, 0.3),
        (Swing(0.6, 16), 0.5, 0.5),
        (Swing(), 0.5, 0.5),
        (None, 0.5, 0.5),
    ],
)
def test_swing_makes_every_second_one_late(swing: Swing | None, position: float, expected: float):
    assert swung(np.array([position]), swing, 4.0)[0] == pytest.approx(expected)


def test_bars_without_whole_pairs_stay_straight():
    assert swung(np.array([0.5]), Swing(0.6), 3.5)[0] == 0.5
    assert swung(np.array([0.25]), Swing(0.6, 16), 3.5)[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("text", "swing"),
    [
        ("straight", Swing()),
        ("62%", Swing(0.62)),
        ("62.5% of eighths", Swing(0.625)),
        ("58% of 16ths", Swing(0.58, 16)),
        (0.6, Swing(0.6)),
    ],
)
def test_swing_in_words(text: str | float, swing: Swing):
    assert parse_swing(text) == swing == parse_swing(str(swing))


@pytest.mark.parametrize("value", ["62% of quarters", "80%", "x", 0.4, 0.8, float("nan")])
def test_swing_out_of_range_is_one_line(value: object):
    with pytest.raises(ValueError, match="swing"):
        make(swing=value)


# ---- rolls


@pytest.mark.parametrize("seed", range(60))
def test_rolls_of_a_stretch_are_those_of_the_whole(seed: int):
    plan, hop = random_plan(seed), 2048
    n_frames = -(-plan.length // hop)
    spans = plan.note_spans(hop)
    whole = spans.rolls(0, n_frames)
    assert whole.known.shape == (n_frames, len(ROLES))
    start, stop = n_frames // 3, n_frames // 3 + min(20, n_frames - n_frames // 3)
    part = spans.rolls(start, stop)
    inside = (whole.entries[:, 0] >= start) & (whole.entries[:, 0] < stop)
    assert np.array_equal(whole.entries[inside] - [start, 0, 0], part.entries)
    assert np.array_equal(whole.strengths[inside], part.strengths)
    assert np.array_equal(whole.known[start:stop], part.known)
    assert (whole.strengths >= 0).all() and (whole.strengths <= 1).all() and (whole.strengths[:, 0] == 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_rolls_are_those_of_a_loop_over_all_notes(seed: int):
    plan, hop = random_plan(seed), 2048
    n_frames = -(-plan.length // hop)
    sounding, onsets = set(), {}
    for part in plan.notes:
        role = ROLES.index(part.role)
        samples, notes = plan.note_samples(part.role)
        for (begin, end), note in zip(samples.tolist(), notes, strict=True):
            if begin < plan.length:
                first = begin // hop
                sounding.update((frame, role, note.pitch) for frame in range(first, max(end - 1, begin) // hop + 1))
                onset = (note.velocity / 127, -(begin % hop) / hop)
                onsets[first, role, note.pitch] = max(onsets.get((first, role, note.pitch), onset), onset)
    rolls = plan.note_spans(hop).rolls(0, n_frames)
    found = list(map(tuple, rolls.entries.tolist()))
    assert found == sorted(sounding)
    strengths = [(1, *((1, -onsets[one][1], onsets[one][0]) if one in onsets else (0, 0, 0))) for one in found]
    np.testing.assert_allclose(rolls.strengths, np.array(strengths).reshape(-1, 4), atol=1e-6)


def test_rolls_say_what_begins_where_how_loud_and_what_sounds():
    plan, hop = make(notes=(Part("bass", ((Note(100, 480, 33, 127),), *[None] * 7)),)), 2048
    rolls = plan.note_spans(hop).rolls(0, -(-plan.length // hop))
    begin, end = round(100 / 480 * 22_050), round(580 / 480 * 22_050)
    frames = range(begin // hop, (end - 1) // hop + 1)
    assert rolls.entries.tolist() == [[frame, ROLES.index("bass"), 33] for frame in frames]
    assert rolls.strengths[0].tolist() == pytest.approx([1.0, 1.0, (begin % hop) / hop, 1.0])
    assert (rolls.strengths[1:] == [1, 0, 0, 0]).all()
    bar = plan.frames_of(plan.span((1, 1)), hop)[1]
    assert rolls.known[: bar - 1, ROLES.index("bass")].all() and not rolls.known[bar:].any()
    assert not rolls.known[:, ROLES.index("drums")].any()
