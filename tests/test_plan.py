"""Facts about the plan: exact time, round trips, edits that touch what they name, errors that name the bar."""

import json
import random

import numpy as np
import pytest

from hybridgen import grammar
from hybridgen.plan import (
    CODE_HOP,
    KEYS,
    LABELS,
    LATENT_HOP,
    METER_BEATS,
    METERS,
    N_FEATURES,
    PITCHES,
    QUALITIES,
    ROLE_FEATURES,
    ROLES,
    SAMPLE_RATE,
    Bar,
    Controls,
    Plan,
    Section,
    Tempo,
    chord_pitches,
    meter_quarters,
    parse_chord,
    parse_key,
    transpose_chord,
)


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
        assert plan.text()


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
    start, stop = plan.frame_range((9, 12), CODE_HOP)
    assert all(set(row[start:stop]) == {-1} and set(row[:start] + row[stop:]) == {7} for row in new.codes)


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
    ramped = Plan(plan.sections, (Tempo(1, 60, True), Tempo(5, 120)), "4/4", None, plan.instruments)
    kept = np.diff(ramped.edit((5, 8), tempo=90).bar_starts())[:3] - np.diff(ramped.bar_starts())[:3]
    assert np.abs(ramped.edit((2, 2), tempo=200).tempo_map.bpm_at(np.array([0.0, 8.0])) - [60, 90]).max() < 0.11
    assert len(kept) == 3


def test_edit_of_key_moves_the_chords_with_it():
    plan = Plan((Section("verse", (Bar("Am"), Bar("F"), Bar("E7"), Bar("G,C"))),), (Tempo(1, 100),), "4/4", "A minor")
    assert [b.chords for b in plan.edit(key="C minor").bars] == [("Cm",), ("Ab",), ("G7",), ("Bb", "Eb")]
    assert plan.edit(key="C minor").key == "C minor"
    assert [b.chords for b in plan.edit(key="C major").bars][:2] == [("C",), ("Am",)]
    assert plan.edit((1, 1), key="B minor").key == "A minor"


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
    for fields in ({"tempo": 0}, {"tempo": float("nan")}, {"seconds": 1e9}, {"bars": 4, "seconds": 4}, {"bars": 0}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            Controls(**fields)
