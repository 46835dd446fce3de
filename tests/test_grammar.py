"""Facts about scores as tokens: nothing is lost, nothing invalid can be written, and what is fixed stays fixed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridgen import constraints, grammar
from hybridgen.plan.controls import DYNAMICS, Controls
from hybridgen.plan.harmony import KEYS, METER_BEATS, METERS, MODES, PITCHES, chord_pitches, meter_quarters, rekey_chord
from hybridgen.plan.parts import LABELS, MAX_SECONDS, ROLES, Bar, Cue, Section, Tempo, TempoChange
from hybridgen.plan.plan import Plan

chords = st.none() | st.lists(st.sampled_from(grammar.CHORDS), min_size=1, max_size=2).map(tuple)
tempos = st.integers(300, 3000).map(lambda tenths: tenths / 10)


def some_roles(among):
    return st.none() | st.lists(st.sampled_from(among), unique=True).map(tuple) if among else st.none() | st.just(())


@st.composite
def sections(draw, among):
    n_bars = draw(st.integers(1, 6) | st.sampled_from((63, 64, 65, 128, 130)))
    bars = draw(st.lists(chords.map(Bar), min_size=n_bars, max_size=n_bars))
    return Section(draw(st.none() | st.sampled_from(LABELS)), tuple(bars), draw(st.none() | st.integers(0, 7)),
                   draw(some_roles(among)))  # fmt: skip


@st.composite
def plans(draw):
    """Plans with everything that a score can hold, unknown fields included."""
    roles = draw(st.lists(st.sampled_from(ROLES), unique=True))
    programs = st.none() | st.integers(0, 127)
    instruments = tuple((role, draw(programs)) for role in roles)
    form = tuple(draw(st.lists(sections(roles), max_size=3)))
    n_bars = sum(len(section.bars) for section in form)
    meter = draw(st.sampled_from(METERS) if n_bars else st.none() | st.sampled_from(METERS))
    tempo, beats = (), ()
    if n_bars and draw(st.booleans()):
        starts = sorted({1, *draw(st.lists(st.integers(1, n_bars), max_size=3))})
        tempo = tuple(Tempo(bar, draw(tempos), draw(st.booleans())) for bar in starts)
    elif n_bars:
        beats = tuple(0.5 * i for i in range(n_bars * len(METER_BEATS[meter]) + 1))
    key = draw(st.none() | st.sampled_from(KEYS))
    return Plan(form, tempo, meter, key, instruments, n_samples=441_000, beats=beats)


@settings(max_examples=150, deadline=None)
@given(plans())
def test_a_score_is_its_tokens(plan):
    tokens = grammar.tokens(plan)
    again = grammar.parse(tokens, n_samples=plan.n_samples, beats=plan.beats)
    assert again == plan
    assert grammar.tokens(again) == tokens


def write(controls, rng):
    """A score whose every token is drawn at random among the allowed ones."""
    state = grammar.State(controls)
    out = []
    while not state.is_done:
        allowed = np.flatnonzero(state.allowed())
        assert len(allowed)
        token = int(rng.choice(allowed))
        out.append(token)
        state.push(token)
    return out


def plan_of(controls, rng):
    n_samples = None if controls.seconds is None else round(controls.seconds * 44_100)
    return grammar.parse(write(controls, rng), n_samples=n_samples)


@pytest.mark.parametrize("seed", range(12))
def test_random_choices_give_a_valid_and_complete_plan(seed):
    plan = plan_of(Controls(), np.random.default_rng(seed))
    assert plan.n_bars >= 1 and plan.tempo and plan.instruments and plan.key
    assert plan.length <= MAX_SECONDS * 44_100
    assert all(section.label and section.roles and section.energy is not None for section in plan.sections)
    assert all(bar.chords for bar in plan.bars)


@settings(max_examples=40, deadline=None)
@given(
    st.none() | tempos,
    st.none() | st.sampled_from(KEYS),
    st.none() | st.sampled_from(METERS),
    st.integers(1, 90),
    st.integers(0, 2**32 - 1),
)
def test_what_is_fixed_stays_fixed(tempo, key, meter, bars, seed):
    bars = bars if tempo is None or bars * 360 / tempo <= MAX_SECONDS else 1
    plan = plan_of(Controls(tempo=tempo, key=key, meter=meter, bars=bars), np.random.default_rng(seed))
    assert plan.n_bars == bars
    assert key in (None, plan.key) and meter in (None, plan.meter)
    assert tempo is None or plan.tempo == (Tempo(1, tempo),)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 600), st.none() | tempos, st.integers(0, 2**32 - 1))
def test_seconds_are_filled_to_the_last_whole_bar(seconds, tempo, seed):
    plan = plan_of(Controls(seconds=seconds, tempo=tempo), np.random.default_rng(seed))
    bar = 60 * meter_quarters(plan.meter) / plan.tempo[0].bpm
    assert len(plan.tempo) == 1 and not plan.tempo[0].ramp
    assert plan.n_bars == max(1, int(seconds / bar * (1 + 1e-9)))


def test_fixed_sections_chords_and_instruments():
    form = (
        Section("verse", (Bar("Am"), Bar(None), Bar("F G")), energy=3, roles=("bass", "keys")),
        Section(None, (Bar(None),) * 70),
    )
    controls = Controls(
        sections=form, chords=(("C",), ("D", "E")), instruments={"bass": 33, "keys": None}, roles=("bass", "keys")
    )
    plan = plan_of(controls, np.random.default_rng(1))
    assert [len(section.bars) for section in plan.sections] == [3, 70]
    assert (plan.sections[0].label, plan.sections[0].energy, plan.sections[0].roles) == ("verse", 3, ("bass", "keys"))
    assert [bar.chords for bar in plan.bars[:5]] == [("Am",), ("D", "E"), ("F", "G"), ("D", "E"), ("C",)]
    assert plan.instruments[0] == ("bass", 33) and plan.instruments[1][0] == "keys" and len(plan.instruments) == 2
    assert plan.instruments[1][1] is not None


def test_roles_of_fixed_sections_get_an_instrument():
    form = (Section("intro", (Bar(None),), roles=("pad",)), Section("solo", (Bar(None),), roles=("winds", "pad")))
    plan = plan_of(Controls(sections=form), np.random.default_rng(0))
    assert {"winds", "pad"} <= {role for role, _ in plan.instruments}


def test_fixed_sections_and_seconds_choose_a_tempo_that_fits():
    form = (Section("verse", (Bar(None),) * 16),)
    plan = plan_of(Controls(sections=form, seconds=30.0), np.random.default_rng(3))
    bar = 60 * meter_quarters(plan.meter) / plan.tempo[0].bpm
    assert plan.n_bars == 16 and 0 <= 30.0 - 16 * bar < bar


def test_a_range_of_tempi_holds_all_of_them():
    allowed = constraints.TENTHS[constraints.tempos_allowed(Controls(tempo=(80, 100)), "4/4")]
    assert allowed.tolist() == list(range(800, 1001))


def test_controls_that_contradict_each_other():
    with pytest.raises(ValueError, match=r"bars 4000 of 4/4 cannot end within 600 s at tempo 30"):
        grammar.State(Controls(bars=4000, meter="4/4", tempo=30))
    sections = (Section("verse", (Bar(None),), roles=("pad",)),)
    with pytest.raises(ValueError, match=r"pad should play, but roles are \['bass'\]"):
        grammar.State(Controls(sections=sections, roles=("bass",)))
    with pytest.raises(ValueError, match=r"drums should play, but without is \['drums'\]"):
        grammar.State(Controls(instruments={"drums": 0}, without=("drums",)))
    with pytest.raises(ValueError, match=r"keys should be one of \[4\], but without excludes them"):
        grammar.State(Controls(instruments={"keys": 4}, without=("rhodes",)))


@st.composite
def casts(draw):
    """Who plays and who does not, without contradiction."""
    named = draw(st.sets(st.sampled_from(ROLES), max_size=3))
    without = draw(st.sets(st.sampled_from([role for role in ROLES if role not in named]), max_size=3))
    instruments = {role: draw(st.none() | st.lists(st.integers(0, 127), min_size=1, max_size=3)) for role in named}
    free = [role for role in ROLES if role not in named | without]
    roles = draw(st.none() | st.just(tuple(named) + tuple(free[:2])))
    return {"instruments": instruments or None, "without": tuple(without) or None, "roles": roles or None}


@st.composite
def courses(draw):
    """Form, dynamics, cues and mode."""
    cue = st.builds(
        lambda bar, length, enter, silent, label: Cue(bar, bar + length, None, enter, silent - set(enter), label),
        *(st.integers(1, 9), st.integers(0, 6)),
        *(st.sets(st.sampled_from(ROLES), max_size=2), st.sets(st.sampled_from(ROLES), max_size=3)),
        st.none() | st.sampled_from(LABELS),
    )
    return {
        "form": draw(st.none() | st.lists(st.sampled_from(LABELS), min_size=1, max_size=6)),
        "cues": draw(st.none() | st.lists(cue, max_size=1)),
        "dynamics": draw(st.none() | st.sampled_from(DYNAMICS)),
        "mode": draw(st.none() | st.sampled_from(tuple(MODES))),
        "tempo": draw(st.none() | st.just((80.0, 100.0))),
    }


@settings(max_examples=120, deadline=None)
@given(casts(), courses(), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_whatever_the_logits_who_plays_when_is_as_the_controls_say(cast, course, n_bars, seed):
    controls = Controls(**cast | {"roles": None} if course["cues"] else cast, **course, bars=n_bars, meter="4/4")
    try:
        plan = plan_of(controls, np.random.default_rng(seed))
    except ValueError as error:
        assert "should play, but without" in str(error)  # a cue asks for who is excluded
        return
    instruments, chosen = dict(plan.instruments), dict(controls.instruments or ())
    played = {role for section in plan.sections for role in section.roles}
    assert not set(instruments) & set(controls.without or ())
    assert all(role in instruments and (not some or instruments[role] in some) for role, some in chosen.items())
    if controls.roles is not None:
        assert set(instruments) == set(controls.roles)
    if not controls.cues:
        assert set(chosen) <= played
    if course["form"] and not controls.cues and not controls.dynamics:
        assert [section.label for section in plan.sections] == list(controls.form)[: len(plan.sections)]
        assert len(plan.sections) == min(len(controls.form), n_bars)
    if controls.dynamics and n_bars > 1:
        energies = [section.energy for section in plan.sections]
        assert energies == sorted(energies, reverse=controls.dynamics == "diminuendo") and energies[0] != energies[-1]
    if controls.mode:
        scale = {(PITCHES.index(plan.key.split()[0]) + step) % 12 for step in MODES[controls.mode][0]}
        assert all(set(chord_pitches(chord)) <= scale for bar in plan.bars for chord in bar.chords)
    if controls.tempo:
        assert len(plan.tempo) == 1 and 80 <= plan.tempo[0].bpm <= 100
    first = 1
    for section in plan.sections:
        for cue in controls.cues or ():
            if cue.bar <= first <= cue.last:
                silent = set(cue.silent)
                assert not silent & set(section.roles) or set(instruments) <= silent
                assert first + len(section.bars) - 1 <= cue.last or cue.last > n_bars
                assert cue.label is None or section.label == cue.label
                assert not set(cue.enter) - silent - set(section.roles)
        first += len(section.bars)


def test_what_is_no_score_is_refused():
    tokens = grammar.tokens(Plan((Section("verse", (Bar("C"),)),), (Tempo(1, 120),)))
    with pytest.raises(ValueError, match="ends too early"):
        grammar.parse(tokens[:-1])
    with pytest.raises(ValueError, match="not among the 0 allowed"):
        grammar.parse([*tokens, grammar.END])
    with pytest.raises(ValueError, match="not among"):
        grammar.parse(tokens[1:])
    with pytest.raises(ValueError, match="not among"):
        grammar.parse([-1])


def test_positions_count_down_to_the_end():
    plan = Plan((Section("verse", (Bar("C"),) * 3), Section(None, (Bar("C G"), Bar("F")))), (Tempo(1, 120),))
    tokens = grammar.tokens(plan)
    places = grammar.bars_left_after(tokens)
    assert places.shape == (len(tokens), 2)
    assert places[0].tolist() == [-1, -1] and places[-1].tolist() == [0, 0]
    digits = [i for i, token in enumerate(tokens) if token in grammar.DIGIT]
    assert places[digits[-1]].tolist() == [5, 0]
    known = places[digits[-1] :, 0]
    assert (np.diff(known) <= 0).all() and set(known) == set(range(6))
    assert set(places[:, 1]) == {-1, 0, 1, 2, 3}


def test_a_progression_is_the_same_tokens_in_every_key():
    names = (("Am",), ("Fmaj7", "G7"), ("N",), None)

    def score(key):
        bars = tuple(Bar(part and tuple(rekey_chord(name, "A minor", key) for name in part)) for part in names)
        return grammar.tokens(Plan((Section("verse", bars),), (Tempo(1, 120),), key=key))

    first, *others = [score(key) for key in KEYS if key.endswith("minor")]
    assert len(others) == 11
    for tokens in others:
        assert [a for a, b in zip(tokens, first, strict=True) if a != b] == [tokens[4]]  # the key
    assert grammar.parse(first).sections[0].bars[0] == Bar(rekey_chord("Am", "A minor", "C minor"))


@pytest.mark.parametrize("n_fast", [1, 20, 200])
def test_however_slow_a_score_becomes_it_ends_within_the_limit(n_fast):
    state, out = grammar.State(Controls(bars=250, meter="4/4")), []
    while not state.is_done:
        allowed = np.flatnonzero(state.allowed()).tolist()
        slow = len(state.tempo) >= n_fast  # as fast as it goes for so many marks, then as slow as it may
        whole = [token for token in allowed if token in grammar.WHOLE]
        token = grammar.RAMP if grammar.RAMP in allowed else whole[0 if slow else -1] if whole else allowed[0]
        out.append(token)
        state.push(token)
    plan = grammar.parse(out)
    assert len(plan.tempo) == 250 and all(mark.ramp for mark in plan.tempo)
    assert 0.9 * MAX_SECONDS < plan.seconds <= MAX_SECONDS


def test_tokens_keep_their_numbers():
    """Trained weights know a token by its number alone."""
    sections = (Section("verse", (Bar("Am"), Bar(("F", "G7"))), 5, ("bass",)), Section(None, (Bar(), Bar("N"))))
    marks = (Tempo(1, 92.5), Tempo(4, 120.0, True))
    plan = Plan(sections, marks, "7/8", "A minor", (("drums", 0), ("bass", None)))
    assert grammar.tokens(plan) == [
        *(14, 3, 80, 294, 320),  # 7/8; a step to 92 and 5 tenths; A minor
        *(324, 328, 388, 397, 390, 525, 1),  # 0 * 64 + 4 bars; drums with program 0, bass with any; stop
        *(527, 538, 606, 390, 1, 612, 2, 755, 793),  # verse, 2 bars, energy 5, bass; i, VI and VII7
        *(536, 538, 609, 6, 8, 4, 108, 289, 610),  # anything, 2 bars, any energy and roles; any chord; a ramp; no chord
        0,
    ]
    assert grammar.VOCAB_SIZE == 827


tempo_changes = st.lists(
    st.builds(TempoChange, st.integers(2, 9) | st.integers(-6, -1), bpm=tempos, ramp=st.booleans())
    | st.builds(TempoChange, st.integers(-6, -1), scale=st.floats(0.5, 2.0), ramp=st.booleans()),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(tempo_changes, st.sampled_from([None, (90.0, 110.0), 100.0]), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_tempo_changes_are_where_and_what_they_should_be(changes, tempo, n_bars, seed):
    length = {"bars": n_bars} if n_bars else {"seconds": 40.0}
    controls = Controls(tempo=tempo, tempo_changes=changes, **length)
    plan = plan_of(controls, np.random.default_rng(seed))
    if tempo is not None:
        assert 90 <= plan.tempo[0].bpm <= 110
    expected, last = [], 1
    for change in changes:
        bar, bpm = change.mark(plan.tempo[0].bpm, plan.n_bars)
        if last < bar <= plan.n_bars:
            expected, last = [*expected, (bar, bpm, change.ramp)], bar
    assert [(mark.bar, mark.bpm) for mark in plan.tempo[1:]] == [(bar, bpm) for bar, bpm, _ in expected]
    ramps = [mark.ramp for mark in plan.tempo[1:-1]]
    assert ramps == [ramp for _, _, ramp in expected[1:]] and plan.tempo[0].ramp == changes[0].ramp
    if not n_bars:
        ends = plan.bar_starts()[-1] / 44_100
        one_more = constraints.seconds_of(
            constraints.tempo_marks(controls, plan.tempo[0].bpm, plan.n_bars + 1), plan.n_bars + 1, plan.meter
        )
        assert plan.n_bars == 1 or ends <= 40.0 + 1e-4 < one_more + 1e-4
        assert one_more > 40.0


def test_a_mode_chooses_a_key_of_its_kind_and_contradicts_another():
    for mode, (_, kind) in MODES.items():
        plan = plan_of(Controls(mode=mode, bars=4), np.random.default_rng(0))
        assert plan.key.endswith(kind)
    with pytest.raises(ValueError, match="mode dorian is of a minor key, but key is C major"):
        grammar.State(Controls(mode="dorian", key="C major"))


def test_of_a_range_of_tempi_those_stay_that_end_in_time():
    both = constraints.tempos_allowed(Controls(tempo=(80.0, 100.0), bars=240), "4/4")
    assert (constraints.TENTHS[both] / 10).tolist() == [tenth / 10 for tenth in range(960, 1001)]  # within 600 s
