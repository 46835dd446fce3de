"""Facts about the plan: exact time, round trips, edits that touch what they name, errors that name the bar."""

import functools
import json
import random
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from hybridgen import grammar
from hybridgen.plan import picture
from hybridgen.plan.controls import Controls
from hybridgen.plan.editing import check_same_time, keep_codes
from hybridgen.plan.features import LAYOUT, N_FEATURES, ROLE_FEATURES, columns
from hybridgen.plan.harmony import (
    KEYS,
    METER_BEATS,
    METERS,
    PITCHES,
    QUALITIES,
    chord_pitches,
    meter_quarters,
    parse_chord,
    parse_key,
    rekey_chord,
    transpose_chord,
)
from hybridgen.plan.parts import LABELS, ROLES, Bar, Cue, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import CODE_HOP, LATENT_HOP, SAMPLE_RATE


def simple_plan(n_bars: int = 8, bpm: float = 120.0, meter: str = "4/4", **fields) -> Plan:
    section = Section("verse", tuple(Bar("Am") for _ in range(n_bars)), 4, ("drums", "bass"))
    return Plan((section,), (Tempo(1, bpm),), meter, "A minor", {"drums": 0, "bass": 33}, **fields)


def random_plan(rng: random.Random) -> Plan:
    """Any valid plan: unknown fields, ramps, played beats, tails, cuts, codes."""
    meter = rng.choice(METERS)
    instruments = {r: rng.choice([None, rng.randrange(128)]) for r in rng.sample(ROLES, rng.randint(0, 9))}
    sections = tuple(_random_section(rng, list(instruments)) for _ in range(rng.randint(1, 6)))
    n_bars = sum(len(section.bars) for section in sections)
    tempo, beats = (), ()
    if rng.random() < 0.8:
        bars = sorted({1, *(rng.randint(1, n_bars) for _ in range(rng.randint(0, 3)))})
        tempo = tuple(Tempo(b, rng.randint(600, 3000) / 10, rng.random() < 0.4) for b in bars)
    else:
        gaps = [rng.uniform(0.2, 1.0) for _ in range(n_bars * len(METER_BEATS[meter]) + 1)]
        beats = tuple(np.cumsum(gaps).round(6).tolist())
    key = rng.choice([None, *KEYS])
    plan = Plan(sections, tempo, meter, key, instruments, None, beats, (), "a prompt é", rng.randrange(2**40))
    if rng.random() < 0.5:
        plan = Plan(**{**vars_of(plan), "n_samples": max(1, plan.length + rng.randint(-30_000, 60_000))})
    if rng.random() < 0.5:
        codes = tuple(tuple(rng.randint(-1, 255) for _ in range(plan.n_code_frames)) for _ in range(4))
        plan = Plan(**{**vars_of(plan), "codes": codes})
    return plan


def vars_of(plan: Plan) -> dict:
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


def _random_section(rng: random.Random, roles: list[str]) -> Section:
    chords = [f"{p}{q}" for p in PITCHES for q in QUALITIES] + ["N"]
    bars = tuple(
        Bar(rng.choice([None, (rng.choice(chords),), (rng.choice(chords), rng.choice(chords))]))
        for _ in range(rng.randint(1, 20))
    )
    playing = rng.choice([None, tuple(rng.sample(roles, rng.randint(0, len(roles))))])
    return Section(rng.choice([None, *LABELS]), bars, rng.choice([None, *range(8)]), playing)


def test_a_thousand_fuzzed_plans_survive_json_and_tokens():
    rng = random.Random(0)
    for _ in range(1000):
        plan = random_plan(rng)
        assert Plan.from_json(plan.to_json()) == plan
        beside = (plan.prompt, plan.seed, plan.n_samples, plan.beats, plan.codes)
        assert grammar.parse(grammar.tokens(plan), *beside) == plan


def test_the_page_says_what_is_known_bar_by_bar():
    sections = (
        Section("intro", (Bar("Am"), Bar("F,G"), *[Bar()] * 7), 2, ("bass",)),
        Section(None, (Bar("N"),), None, None),
        Section("outro", (Bar("C"),), 0, ()),
    )
    plan = Plan(sections, (Tempo(1, 120, True), Tempo(3, 240)), "4/4", None, {"drums": 0, "bass": None})
    text = plan.text().splitlines()
    assert text[0].startswith("key unknown  ·  4/4  ·  120→ 240 (bar 3) BPM  ·  11 bars  ·  0:")
    assert "code frames" not in text[0]  # it has none
    coded = replace(plan, codes=((5, *(-1,) * (plan.n_code_frames - 1)),) * 4)
    assert coded.text().splitlines()[0].endswith("1 of 64 code frames written")
    assert text[1:] == [
        "drums:0  bass:?",
        "",
        "intro  bars 1-9  energy 2  bass",
        "    1 | Am      | F G     | ?       | ?       | ?       | ?       | ?       | ?       |",
        "    9 | ?       |",
        "",
        "?  bars 10-10  energy ?  roles unknown",
        "   10 | N       |",
        "",
        "outro  bars 11-11  energy 0  silence",
        "   11 | C       |",
    ]


BEATS_BY_HAND = {  # meter -> (bar, beats) in quarter notes
    "2/4": (2.0, (0.0, 1.0)),
    "3/4": (3.0, (0.0, 1.0, 2.0)),
    "4/4": (4.0, (0.0, 1.0, 2.0, 3.0)),
    "5/4": (5.0, (0.0, 1.0, 2.0, 3.0, 4.0)),
    "6/8": (3.0, (0.0, 1.5)),
    "7/8": (3.5, (0.0, 1.0, 2.0)),
    "9/8": (4.5, (0.0, 1.5, 3.0)),
    "12/8": (6.0, (0.0, 1.5, 3.0, 4.5)),
}


def test_beats_fall_where_musicians_tap_them():
    assert {meter: (meter_quarters(meter), METER_BEATS[meter]) for meter in METERS} == BEATS_BY_HAND
    seven = simple_plan(2, 120.0, "7/8")  # a quarter note is 22,050 samples
    assert seven.beat_starts().tolist() == [0, 22_050, 44_100, 77_175, 99_225, 121_275]
    assert seven.bar_starts().tolist() == [0, 77_175, 154_350]
    assert simple_plan(2, 120.0, "6/8").beat_starts().tolist() == [0, 33_075, 66_150, 99_225]


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("bpm", [50.0, 84.3, 120.0, 299.9])
def test_bars_fall_where_arithmetic_says(meter: str, bpm: float):
    plan = simple_plan(16, bpm, meter)
    exact = np.arange(17) * meter_quarters(meter) * 60 / bpm * SAMPLE_RATE
    assert np.abs(plan.bar_starts() - exact).max() <= 0.5
    assert plan.length == round(exact[-1])
    assert len(plan.beat_starts()) == 16 * len(METER_BEATS[meter])
    assert set(plan.bar_starts()[:-1]) <= set(plan.beat_starts())


def test_ramp_is_the_integral_of_its_tempo():
    bars = tuple(Bar() for _ in range(12))
    plan = Plan((Section(None, bars),), (Tempo(1, 60), Tempo(3, 60, True), Tempo(9, 180)), "4/4")
    quarters = np.linspace(0, 48, 480_001)
    bpm = np.interp(quarters, [0, 8, 32, 48], [60, 60, 180, 180])
    middle = (bpm[1:] + bpm[:-1]) / 2
    seconds = np.concatenate([[0], np.cumsum(np.diff(quarters) * 60 / middle)])
    assert np.abs(np.interp(np.arange(13) * 4, quarters, seconds) * SAMPLE_RATE - plan.bar_starts()).max() < 2
    assert np.allclose(plan.tempo_map.quarters_at(plan.tempo_map.seconds_at(quarters)), quarters)


def test_beat_phase_is_zero_on_beats_and_chords_follow_the_halves():
    section = Section("verse", (Bar("C,G"), Bar("Am")), 7, ("drums",))
    plan = Plan((section,), (Tempo(1, 120.0),), "4/4", "C", {"drums": 0})
    hop = plan.length // 16  # an eighth note
    frames = plan.frame_controls(hop, 0, 16)
    sine, cosine = frames[:, 1], frames[:, 2]
    assert np.allclose(sine, 0, atol=1e-3)
    assert np.allclose(cosine, [1, -1] * 8, atol=1e-3)
    chord_columns = frames[:, 18:30]
    assert [tuple(np.flatnonzero(row)) for row in chord_columns[[0, 3, 4, 7, 8, 15]]] == [
        (0, 4, 7), (0, 4, 7), (2, 7, 11), (2, 7, 11), (0, 4, 9), (0, 4, 9)
    ]  # fmt: skip
    assert (frames[:, ROLE_FEATURES][:, 0] == 1).all()


def full_plan() -> Plan:
    """Everything is known. A quarter note is 25,200 samples; four bars, then a ring-out: ten seconds in all."""
    sections = (
        Section("intro", (Bar("N"),), 0, ("drums",)),
        Section("verse", (Bar("Am"), Bar("F,G7"), Bar()), 5, ("bass", "lead")),
    )
    instruments = {"drums": 0, "bass": 33, "lead": None}
    return Plan(sections, (Tempo(1, 105.0),), "4/4", "A minor", instruments, n_samples=441_000)


def controls_at(plan: Plan, frame: int) -> dict[str, list[float]]:
    """The controls of one frame of a sixteenth note (of `full_plan`), by the names of the groups of columns."""
    row = plan.frame_controls(6300, frame, frame + 1)[0]
    return {name: row[columns(name)].tolist() for name in LAYOUT}


def only(n: int, *places: int) -> list[float]:
    return [float(i in places) for i in range(n)]


def test_controls_of_a_frame_are_what_the_score_says_there():
    near = functools.partial(pytest.approx, abs=1e-6)
    # bar 3, a sixteenth after its last beat: 13/16 of the bar, 283,500 samples or 6.428571 s after the start
    assert controls_at(full_plan(), 45) == {
        "grid": [1],
        "beat": near([1, 0, 0, -1, 0, 1]),  # sine and cosine of a quarter turn, a half, a whole
        "bar": near([-0.9238795, 0.3826834]),  # of 292.5 degrees
        "tempo": near([-0.1926451]),  # log2(105 / 120)
        "meter": only(8, 2),  # 2/4, 3/4, 4/4
        "chord": only(12, 7, 11, 2, 5),  # G7
        "root": only(12, 7),
        "chord_known": [1, 1],
        "key": only(12, 9),
        "mode": [0, 1],
        "label": only(10, 1),  # intro, verse
        "energy": near([5 / 7, 1]),
        "roles": only(9, 2, 7),  # drums, percussion, bass, keys, guitar, strings, winds, lead
        "roles_known": [1],
        "section": near([1.8125 / 8, 1.1875 / 8]),  # bars since it began and until it ends
        "place": near([6.4285714 / 8, 3.5714286 / 8, 0.1129283, 0]),  # the third: log2(1 + 1.1875 bars) / 10
    }


def test_the_first_frame_begins_everything_and_no_chord_is_known_to_be_none():
    found = controls_at(full_plan(), 0)
    assert found["beat"] == pytest.approx([0, 1, 0, 1, 0, 1], abs=1e-6)
    assert found["bar"] == pytest.approx([0, 1], abs=1e-6)
    assert found["place"] == pytest.approx([0, 1, 0.2321928, 0], abs=1e-6)  # log2(1 + 4 bars) / 10
    assert found["section"] == pytest.approx([0, 1 / 8], abs=1e-6)
    assert (found["chord"], found["root"], found["chord_known"]) == (only(12), only(12), [1, 0])
    assert (found["label"], found["energy"], found["roles"]) == (only(10, 0), [0, 1], only(9, 0))


def test_past_the_last_bar_key_meter_and_tempo_hold_and_the_form_is_over():
    found = controls_at(full_plan(), 66)  # 16.5 quarter notes of 16: 9.428571 s
    assert found["grid"] == [0]
    assert found["place"] == pytest.approx([1, 0.5714286 / 8, 0, 1], abs=1e-6)
    assert found["beat"] == pytest.approx([0, -1, 0, 1, 0, 1], abs=1e-6)
    assert found["tempo"] == pytest.approx([-0.1926451])
    assert (found["key"], found["mode"], found["meter"]) == (only(12, 9), [0, 1], only(8, 2))
    over = ("chord", "root", "chord_known", "label", "energy", "roles", "roles_known", "section")
    assert not any(any(found[name]) for name in over)


def test_what_is_unknown_is_zero():
    plan = Plan((Section(None, (Bar(),) * 4),), (Tempo(1, 105.0),), "4/4")
    found = controls_at(plan, 45)
    unknown = ("chord", "root", "chord_known", "key", "mode", "label", "energy", "roles", "roles_known")
    assert not any(any(found[name]) for name in unknown)
    assert found["grid"] == [1]


def test_instruments_are_programs_128_unknown_129_absent():
    assert full_plan().instrument_ids().tolist() == [0, 129, 33, 129, 129, 129, 129, 128, 129]


def test_a_key_is_marked_by_its_tonic_and_its_mode():
    for key, tonic, mode in (("Eb major", 3, [1, 0]), ("B minor", 11, [0, 1])):
        found = controls_at(replace(full_plan(), key=key), 0)
        assert (found["key"], found["mode"]) == (only(12, tonic), mode)


def test_frame_controls_of_a_slice_are_a_slice_of_the_whole():
    rng = random.Random(1)
    for _ in range(50):
        plan = random_plan(rng)
        whole = plan.frame_controls(LATENT_HOP)
        assert whole.shape == (plan.n_frames, N_FEATURES)
        assert np.isfinite(whole).all()
        assert np.abs(whole).max() <= 3
        start = rng.randrange(plan.n_frames)
        assert np.array_equal(whole[start:], plan.frame_controls(LATENT_HOP, start))


def test_edit_of_chords_touches_those_bars_and_their_codes_alone():
    plan = simple_plan(16)
    plan = Plan(**{**vars_of(plan), "codes": ((7,) * plan.n_code_frames,) * 4})
    new = plan.edit((9, 12), chords=["Dm", "G7,C"])
    assert [bar.chords for bar in new.bars[8:12]] == [("Dm",), ("G7", "C"), ("Dm",), ("G7", "C")]
    assert new.bars[:8] == plan.bars[:8]
    assert new.bars[12:] == plan.bars[12:]
    start, stop = plan.frames_of(plan.span((9, 12)), CODE_HOP)
    assert all(set(row[start:stop]) == {-1} and set(row[:start] + row[stop:]) == {7} for row in new.codes)


def with_codes(plan: Plan) -> Plan:
    return replace(plan, codes=((7,) * plan.n_code_frames,) * 4)


def test_edit_of_instruments_unsets_all_codes_and_changes_nothing_else():
    plan = with_codes(simple_plan(16, n_samples=40 * SAMPLE_RATE))
    new = plan.edit((9, 12), instruments={"bass": 38, "lead": 80})
    assert new.instruments == (("drums", 0), ("bass", 38), ("lead", 80))
    assert new.codes == ((-1,) * plan.n_code_frames,) * 4
    assert replace(new, instruments=plan.instruments, codes=plan.codes) == plan


@pytest.mark.parametrize("change", [{"prompt": "other words"}, {"instruments": {"bass": 38}}])
def test_what_holds_for_all_bars_unsets_all_codes(change: dict):
    new = with_codes(simple_plan(16)).edit((9, 12), **change)
    assert {code for row in new.codes for code in row} == {-1}


def test_codes_are_kept_outside_the_bars_and_are_the_new_plans_inside():
    old = with_codes(simple_plan(16))
    start, stop = old.frames_of(old.span((9, 12)), CODE_HOP)
    fresh = replace(old, codes=((5,) * old.n_code_frames,) * 4)
    for new, inside in ((fresh, 5), (replace(old, codes=()), -1)):
        for row in keep_codes(old, new, [old.span((9, 12))]).codes:
            assert row == (7,) * start + (inside,) * (stop - start) + (7,) * (old.n_code_frames - stop)


def test_codes_move_with_what_is_kept():
    old = replace(with_codes(simple_plan(4)), codes=(tuple(range(simple_plan(4).n_code_frames)),))
    new = replace(simple_plan(6), codes=((5,) * simple_plan(6).n_code_frames,))
    row = keep_codes(old, new, [(0, 3 * CODE_HOP)], moved=3).codes[0]
    assert row[:3] == (5, 5, 5) and row[3 : 3 + old.n_code_frames] == old.codes[0]
    assert set(row[3 + old.n_code_frames :]) == {-1}


def test_chords_of_an_edit_begin_with_its_first_bar():
    new = simple_plan(8).edit((2, 4), chords=["Dm", "G7,C"])
    assert [bar.chords for bar in new.bars[1:4]] == [("Dm",), ("G7", "C"), ("Dm",)]


def test_frames_of_bars_are_all_that_they_reach_into():
    plan = simple_plan(4, n_samples=5 * 88_200)  # bars of 88,200 samples and a ring-out of as many
    assert plan.frames_of(plan.span((3, 3)), LATENT_HOP) == (86, 130)  # 176,400 / 2,048 = 86.1; 264,600 / 2,048 = 129.2
    assert plan.frames_of(plan.span((3, 3)), CODE_HOP) == (21, 33)
    assert plan.frames_of(plan.span((4, 4)), LATENT_HOP) == (
        129,
        216,
    )  # to the end: 441,000 / 2,048 = 215.3


def test_played_beats_are_where_they_were_played_and_time_between_them_is_even():
    beats = (0.5, 1.0, 2.0, 2.5, 3.5)
    plan = Plan((Section(None, (Bar(),)),), (), "4/4", beats=beats, n_samples=200_000)
    assert plan.beat_starts().tolist() == [22_050, 44_100, 88_200, 110_250]
    assert plan.bar_starts().tolist() == [22_050, 154_350]
    assert plan.tempo_map.quarters_at(np.array([0.0, 0.75, 1.5, 3.0])).tolist() == [-1.0, 0.5, 1.5, 3.5]
    assert plan.tempo_map.seconds_at(np.array([0.5, 1.5, 3.5])).tolist() == [0.75, 1.5, 3.0]
    assert plan.tempo_map.bpm_at(np.array([0.5, 1.5])).tolist() == [120.0, 60.0]


def test_edit_of_energy_splits_sections_and_keeps_every_bar():
    plan = simple_plan(8)
    new = plan.edit((3, 5), energy=7, roles=["lead", "drums"], label="solo")
    assert [(s.label, len(s.bars), s.energy) for s in new.sections] == [
        ("verse", 2, 4),
        ("solo", 3, 7),
        ("verse", 3, 4),
    ]
    assert new.sections[1].roles == ("drums", "lead")
    assert new.bars == plan.bars
    assert ("lead", None) in new.instruments


def test_edit_of_tempo_in_a_range_leaves_the_others_as_fast_as_they_were():
    plan = simple_plan(8, 120.0, n_samples=8 * 88_200 + 1000)
    new = plan.edit((3, 4), tempo=60)
    assert np.diff(new.bar_starts()).tolist() == [88_200, 88_200, 176_400, 176_400] + [88_200] * 4
    assert new.length == 10 * 88_200 + 1000
    assert new.codes == ()


def test_an_edit_starts_where_its_first_bar_started():
    rng = random.Random(2)
    for _ in range(200):
        plan = random_plan(rng)
        plan = replace(plan, tempo=tuple(replace(mark, ramp=False) for mark in plan.tempo), n_samples=None, codes=())
        first = rng.randint(1, plan.n_bars)
        bars = (first, rng.randint(first, plan.n_bars))
        changes = [{"chords": ["C"]}, {"energy": 3}, {"label": "solo", "roles": ["lead"]}, {"prompt": "other"}]
        changes += [{"tempo": rng.randint(300, 3000) / 10}] if plan.tempo else []
        for change in changes:
            starts = plan.edit(bars, **change).bar_starts()
            assert np.array_equal(starts[:first], plan.bar_starts()[:first]), (bars, change)


def test_a_ramp_that_ends_at_an_edit_leads_to_its_tempo_and_one_that_runs_into_it_is_held():
    ramped = replace(simple_plan(8), tempo=(Tempo(1, 60, True), Tempo(5, 120)))
    assert ramped.edit((5, 8), tempo=90).tempo == (Tempo(1, 60, True), Tempo(5, 90))
    assert ramped.edit((2, 2), tempo=200).tempo == (Tempo(1, 60), Tempo(2, 200), Tempo(3, 90, True), Tempo(5, 120))


def in_time(*marks: tuple[int, float]) -> Plan:
    return replace(simple_plan(8), tempo=tuple(Tempo(bar, bpm) for bar, bpm in marks))


def test_a_plan_that_moves_the_start_of_the_first_bar_or_what_follows_the_last_is_no_edit():
    old = in_time((1, 120.0))
    moves_five = in_time((1, 120.0), (4, 80.0), (5, 240.0), (6, 120.0))  # bars 4 and 5 last 3 s and 1 s, not 2 s each
    check_same_time(old, moves_five, [old.span((4, 5))])
    for bars in ((5, 5), (5, 8), (1, 4), (6, 8)):
        with pytest.raises(ValueError, match="moves the start of bar 5"):
            check_same_time(old, moves_five, [old.span(bars)])
    with pytest.raises(ValueError, match="render it as a new track"):
        check_same_time(old, in_time((1, 120.0), (5, 240.0)), [old.span((5, 8))])


def test_edit_of_key_moves_the_chords_with_it():
    plan = Plan((Section("verse", (Bar("Am"), Bar("F"), Bar("E7"), Bar("G,C"))),), (Tempo(1, 100),), "4/4", "A minor")
    assert [b.chords for b in plan.edit(key="C minor").bars] == [("Cm",), ("Ab",), ("G7",), ("Bb", "Eb")]
    assert plan.edit(key="C minor").key == "C minor"
    assert [b.chords for b in plan.edit(key="C major").bars][:2] == [("C",), ("Am",)]
    assert plan.edit((1, 1), key="B minor").key == "A minor"


def test_a_chord_keeps_its_degree_in_the_other_mode():
    major = ("C", "Dm", "Em", "F", "G", "Am", "Bdim"), ("Cmaj7", "Dm7", "Em7", "Fmaj7", "G7", "Am7", "Bm7b5")
    minor = ("Cm", "Ddim", "Eb", "Fm", "G", "Ab", "Bb"), ("Cm7", "Dm7b5", "Ebmaj7", "Fm7", "G7", "Abmaj7", "Bb7")
    for in_major, in_minor in zip(major, minor, strict=True):
        assert tuple(rekey_chord(chord, "C major", "C minor") for chord in in_major) == in_minor
        assert tuple(rekey_chord(chord, "C minor", "C major") for chord in in_minor) == in_major
    assert rekey_chord("F#7", "C major", "A minor") == "Eb7"  # chromatic: transposed
    assert rekey_chord("G", "C major", "A minor") == "E"
    assert rekey_chord("N", "C major", "A minor") == "N"


NOTES_OF_CHORDS = {
    "C": "C E G", "Cm": "C Eb G", "C7": "C E G Bb", "Cmaj7": "C E G B", "Cm7": "C Eb G Bb", "Cdim": "C Eb F#",
    "Caug": "C E Ab", "Csus2": "C D G", "Csus4": "C F G", "Cm7b5": "C Eb F# Bb", "Cdim7": "C Eb F# A",
    "C6": "C E G A", "Cm6": "C Eb G A", "Cadd9": "C D E G", "C9": "C D E G Bb", "Cm9": "C D Eb G Bb",
    "Cmaj9": "C D E G B", "C5": "C G", "N": "", "Am": "A C E", "Bb7": "Bb D F Ab", "F#m7b5": "F# A C E",
}  # fmt: skip


def test_chords_have_the_notes_that_musicians_give_them():
    assert {chord: " ".join(PITCHES[pitch] for pitch in chord_pitches(chord)) for chord in NOTES_OF_CHORDS} == (
        NOTES_OF_CHORDS
    )
    assert {chord[1:] for chord in NOTES_OF_CHORDS if chord[0] == "C"} == set(QUALITIES)


def test_names_of_keys_and_chords():
    assert parse_key("am") == parse_key("A min") == parse_key("a minor") == "A minor"
    assert parse_key("C# minor") == parse_key("Dbm") == "Db minor"
    assert parse_key("F") == parse_key("Fmaj") == "F major"
    assert parse_chord("A#M7") == "Bbmaj7"
    assert parse_chord("G♯min7") == "Abm7"
    assert chord_pitches("Am7") == (9, 0, 4, 7)
    assert all(transpose_chord(transpose_chord(p + q, 5), 7) == p + q for p in PITCHES for q in QUALITIES)
    for wrong in ("H", "Amin13#11", "", "am"):
        with pytest.raises(ValueError, match="chord"):
            parse_chord(wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sections": [{"label": "verse", "chords": ["Am", "F", "Hm"]}]}, "bar 3.*Hm"),
        ({"sections": [{"label": "verse", "chords": ["Am", "F G C"]}]}, "bar 2.*3 chords"),
        ({"sections": [{"chords": ["Am", "F"]}, {"chords": ["C", "Hm"]}]}, "bar 4.*Hm"),
        ({"sections": [{"label": "chorale", "chords": ["Am"]}]}, "section 1 .from bar 1.*chorale"),
        ({"sections": [{"label": "verse", "energy": 9, "chords": ["Am"]}]}, "energy 9"),
        ({"sections": [{"label": "verse", "chords": []}]}, "0 bars"),
        ({"sections": [{"chords": ["Am"], "rolls": []}]}, "rolls"),
        ({"tempo": 0}, "tempo 0"),
        ({"tempo": "fast"}, "tempo"),
        ({"tempo": [{"bar": 2, "bpm": 100}]}, "first must be 1"),
        ({"meter": "11/8"}, "11/8"),
        ({"key": "H minor"}, "H minor"),
        ({"samples": 10**9}, "length"),
        ({"codes": [[1, 2], [3]]}, "codes"),
        ({"codes": [[1, 2]]}, "codes have 2 frames"),
        ({"codes": [[2**15] * 87]}, "every code is a whole number"),
        ({"instruments": {"drums": 200}}, "200"),
        ({"instruments": {"voice": 1}}, "voice"),
        ({"hybridgen_plan": 2}, "2"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_malformed_plan_is_one_line_that_names_the_place(change: dict, words: str):
    data = json.loads(simple_plan().to_json()) | change
    with pytest.raises(ValueError, match=words) as error:
        Plan.from_json(json.dumps(data))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"x"', "[" * 100_000, '{"hybridgen_plan": NaN}'])
def test_what_is_no_plan_is_said_in_one_line(text: str):
    with pytest.raises(ValueError, match="plan"):
        Plan.from_json(text)


def test_controls_check_what_they_fix():
    assert Controls(tempo=84.04, key="am", chords=("Am", "F,G")).chords == (("Am",), ("F", "G"))
    assert Controls(tempo=84.04).tempo == Tempo(1, 84.04).bpm == 84.0  # a score has steps of 0.1
    for fields in ({"tempo": 0}, {"tempo": float("nan")}, {"seconds": 1e9}, {"bars": 4, "seconds": 4}, {"bars": 0}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            Controls(**fields)


def test_a_picture_has_a_lane_for_each_role_and_a_line_for_each_note():
    score = (Section("verse", (Bar(("C",)), Bar(("F",))), 4, ("bass", "lead")), Section("outro", (Bar(("C",)),), 2, ()))
    plan = Plan(score, (Tempo(1, 120.0),), instruments={"bass": 33, "lead": 80})
    plan = plan.edit((1, 2), notes={"bass": ["C2 0 480", "F2 960 480, F2 1440 480"]})
    drawn = ElementTree.fromstring(picture.svg(plan))
    name = "{http://www.w3.org/2000/svg}"
    bands, (path,) = drawn.findall(f"{name}rect"), drawn.findall(f"{name}path")
    assert [one.text for one in drawn.findall(f"{name}text")] == ["verse", "outro", "bass", "lead"]
    width = picture.WIDTH - picture.LABEL
    assert [float(band.get("width")) for band in bands] == pytest.approx([width * 2 / 3, width / 3], abs=0.1)
    lines = [tuple(map(float, line)) for line in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path.get("d"))]
    quarter = width / 12
    places = [(0, 1), (6, 1), (7, 1)]
    for (x, _, length), (start, quarters) in zip(lines, places, strict=True):
        assert (x, length) == pytest.approx((picture.LABEL + start * quarter, quarters * quarter), abs=0.1)
    assert lines[1][1] == lines[2][1] < lines[0][1]  # higher notes are higher


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bar": True}, "cue: bar True should be a whole number"),
        ({"bar": 2.5}, "cue: bar 2.5 should be a whole number"),
        ({"last": "8"}, "cue: last '8' should be a whole number"),
        ({"seconds": False}, "cue: seconds False should be a number"),
        ({"seconds": -1}, "cue: seconds -1 are outside 0-600"),
        ({"seconds": float("nan")}, "cue: seconds nan are outside 0-600"),
        ({"bar": 9, "last": 8}, "cue: bars 9-8 are not a range"),
    ],
)
def test_a_cue_says_which_of_its_numbers_is_wrong(fields: dict[str, object], words: str):
    with pytest.raises((TypeError, ValueError), match=words):
        Cue(**fields)
