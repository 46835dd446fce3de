"""Notes and steps of sub-tokens are the same thing, and whatever is chosen among the allowed ones is playable."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from hybridgen import note_grammar
from hybridgen.data.composer import GENRES, compose
from hybridgen.note_grammar import COPY, EMPTY, FULL, GRID, MAX_ONSETS, MOVED, NEW, SHIFT, UNKNOWN, State, steps
from hybridgen.plan import ranges
from hybridgen.plan.harmony import METERS, meter_quarters
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import LABELS, ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan

CHORDS = ("C", "Am", "F#m7", "N", "Bb")


def random_plan(seed: int) -> Plan:
    """Notes on the grid by chance: chords of many notes, long ones, bars that return, some unknown, some silent."""
    rng = random.Random(seed)
    meter, roles = rng.choice(METERS), sorted(rng.sample(ROLES, rng.randint(1, 5)), key=ROLES.index)
    ticks = round(meter_quarters(meter) * 480)
    sections = []
    for _ in range(rng.randint(1, 5)):
        who = [role for role in roles if rng.random() < 0.7] or roles
        bars = tuple(Bar(rng.choice([None, *CHORDS])) for _ in range(rng.randint(1, 6)))
        sections.append(Section(rng.choice([None, *LABELS[:3]]), bars, None, rng.choice([None, tuple(who)])))
    playing = [section.roles for section in sections for _ in section.bars]

    def notes() -> tuple[Note, ...]:
        places = {(GRID * rng.randrange(ticks // GRID), rng.randrange(128)) for _ in range(rng.randint(0, 8))}
        if rng.random() < 0.1:  # more notes at once than a step holds
            places |= {(GRID, pitch) for pitch in rng.sample(range(128), 2 * FULL + 3)}
        if rng.random() < 0.05:  # one everywhere
            places |= {(tick, 60) for tick in range(0, ticks, GRID)}
        lengths = (1, 5, 96, 192, 193, 384, 3000)
        return tuple(Note(*place, pitch, rng.randint(1, 127)) for (tick, pitch) in sorted(places)
                     for place in [(tick, GRID * rng.choice(lengths))])  # fmt: skip

    parts = []
    for role in roles:
        bars: list[tuple[Note, ...] | None] = []
        for who in playing:
            if who is not None and role not in who:
                bars.append(())
            elif bars and rng.random() < 0.4 and bars[-1]:
                bars.append(tuple(replace(note, velocity=min(note.velocity + 4, 127)) for note in bars[-1]))
            else:
                bars.append(None if rng.random() < 0.15 else notes())
        parts.append(Part(role, tuple(bars)))
    tempo, instruments = (Tempo(1, 240.0),), dict.fromkeys(roles, rng.choice([None, 33]))
    return Plan(tuple(sections), tempo, meter, instruments=instruments, notes=tuple(parts))


def flat(found: note_grammar.NoteSteps) -> list[int]:
    return found.tokens[found.tokens >= 0].tolist()


def forgotten(plan: Plan) -> Plan:
    return plan.with_parts(Part(role, (None,) * plan.n_bars) for role, _ in plan.instruments)


def write(plan: Plan, rng: np.random.Generator, where: np.ndarray | None = None) -> tuple[State, Plan]:
    """The plan with notes that are drawn from what is allowed."""
    state = State(plan, np.ones((plan.n_bars, len(ROLES)), dtype=bool) if where is None else where)
    while not state.is_done:
        allowed = np.flatnonzero(state.allowed())
        assert len(allowed)
        state.push(int(rng.choice(allowed)))
    return state, note_grammar.written(plan, state)


@pytest.mark.parametrize("seed", range(300))
def test_notes_on_the_grid_come_back_from_their_steps(seed: int):
    plan = random_plan(seed)
    found = steps(plan)
    silent = ~note_grammar.playing(plan)
    back = note_grammar.from_steps(plan, flat(found))
    for role, _ in plan.instruments:
        mine, theirs = list(plan.part(role).bars), list(back.part(role).bars)
        for bar in np.flatnonzero(silent[:, ROLES.index(role)]):
            mine[bar], theirs[bar] = mine[bar] or (), theirs[bar] or ()
        assert mine == theirs
    assert found.places.max(initial=0) < note_grammar.N_PLACES and (found.kinds < note_grammar.N_KINDS).all()
    assert (np.diff(found.bars) >= 0).all()


@pytest.fixture(scope="module")
def songs_by_genre() -> dict[str, list[Plan]]:
    """At least two composed songs of each genre."""
    found: dict[str, list[Plan]] = {genre: [] for genre in GENRES}
    for index in itertools.count(60_000_000):
        song = compose(0, index, (20, 40))
        found[song.genre].append(song.plan)
        if min(map(len, found.values())) >= 2:
            return found
    raise AssertionError


@pytest.mark.parametrize("genre", GENRES)
def test_composed_songs_are_exact_and_what_their_instruments_play(genre: str, songs_by_genre: dict[str, list[Plan]]):
    for plan in songs_by_genre[genre]:
        assert note_grammar.from_steps(plan, flat(steps(plan))).notes == plan.notes
        check_playable(plan)


def check_playable(plan: Plan) -> None:
    table = ranges.of_plan(plan.instruments)
    for part in plan.notes:
        for bar in part.bars:
            ticks = [note.tick for note in bar or ()]
            assert max(map(ticks.count, ticks), default=0) <= ranges.POLYPHONY[part.role]
            assert len(set(ticks)) <= MAX_ONSETS
            assert all(table[ROLES.index(part.role), note.pitch] for note in bar or ()), part.role


@pytest.mark.parametrize("seed", range(200))
def test_any_choices_end_in_notes_that_the_instruments_have(seed: int):
    plan = forgotten(random_plan(seed))
    _, made = write(plan, np.random.default_rng(seed))
    table, playing = ranges.of_plan(plan.instruments), note_grammar.playing(plan)
    for part in made.notes:
        role = ROLES.index(part.role)
        for number, bar in enumerate(part.bars):
            assert bar is not None and (playing[number, role] or not bar)
            ticks = [note.tick for note in bar]
            assert max(map(ticks.count, ticks), default=0) <= ranges.POLYPHONY[part.role]
            assert len(set(ticks)) <= MAX_ONSETS and all(table[role, note.pitch] for note in bar)
    assert note_grammar.from_steps(made, flat(steps(made))).notes == made.notes
    assert Plan.from_json(made.to_json()) == made


def test_known_notes_stay_and_only_the_cells_asked_for_are_written():
    plan = random_plan(11)
    where = np.random.default_rng(0).random((plan.n_bars, len(ROLES))) < 0.5
    _, made = write(plan, np.random.default_rng(1), where)
    playing, n_written = note_grammar.playing(plan), 0
    for role, _ in plan.instruments:
        for number, (old, new) in enumerate(zip(plan.part(role).bars, made.part(role).bars, strict=True)):
            is_wanted = where[number, ROLES.index(role)] and old is None
            assert new == old or is_wanted
            assert (new is None) == (old is None and not is_wanted)
            n_written += is_wanted and playing[number, ROLES.index(role)]
    assert n_written


def decisions(plan: Plan) -> list[list[int]]:
    found = steps(plan)
    return [[token for token in row.tolist() if token >= 0] for row in found.tokens[found.kinds == 0]]


def test_a_bar_that_returns_is_a_copy_of_the_nearest_one():
    groove = (Note(0, 480, 36, 80), Note(960, 240, 43, 90))
    louder = tuple(replace(note, velocity=note.velocity + 8) for note in groove)
    fifth = tuple(note.moved(-5) for note in groove)
    other = (Note(0, 480, 40, 80),)
    bars = (groove, groove, louder, other, fifth, (), None, groove)
    section = Section("verse", tuple(Bar(chord) for chord in ("C", "C", "C", "C", "G", "C", "C", "C")))
    plan = Plan((section,), (Tempo(1, 120.0),), instruments={"bass": 33}, notes=(Part("bass", bars),))
    middle = SHIFT.start + 6
    assert decisions(plan) == [
        [NEW],
        [COPY[0], middle],
        [COPY[0], middle + 2],
        [NEW],
        [MOVED[1], middle - 2],
        [EMPTY],
        [UNKNOWN],
        [COPY[4], middle - 2],
    ]


def test_a_section_returns_from_further_away_than_the_last_bars():
    tune = [(Note(0, 480, 60 + i, 80),) for i in range(4)]
    middle = [(Note(0, 480, 72 + i, 80), Note(480, 480, 50, 80)) for i in range(20)]
    sections = [Section(label, (Bar("C"),) * n) for label, n in (("verse", 4), ("bridge", 20), ("verse", 4))]
    part = Part("lead", (*tune, *middle, *tune))
    plan = Plan(tuple(sections), (Tempo(1, 120.0),), instruments={"lead": 80}, notes=(part,))
    assert [row[0] for row in decisions(plan)[-4:]] == [COPY[note_grammar.BACK]] * 4


def test_a_section_that_returns_soon_is_a_copy_of_it_and_not_of_the_nearest_bar():
    tune = [(Note(0, 480, 60 + i, 80),) for i in (0, 2, 0, 0)]
    sections = [Section(label, (Bar("C"),) * 4) for label in ("verse", "chorus", "verse")]
    part = Part("lead", (*tune, *tune, *tune))
    plan = Plan(tuple(sections), (Tempo(1, 120.0),), instruments={"lead": 80}, notes=(part,))
    copied = [row[0] for row in decisions(plan)]
    assert copied[4:8] == [COPY[0], COPY[3], COPY[1], COPY[0]]
    assert copied[8:] == [COPY[note_grammar.BACK]] * 4


def test_what_is_written_repeats_no_pitches_over_another_root():
    section, tune = Section("verse", tuple(Bar(chord) for chord in ("C", "F", "Cm", None))), (Note(0, 480, 60, 80),)
    parts = [Part(role, (tune, None, None, None)) for role in ("drums", "lead")]
    plan = Plan((section,), (Tempo(1, 120.0),), instruments={"drums": 0, "lead": 80}, notes=parts)
    state = State(plan, np.ones((4, len(ROLES)), dtype=bool))
    found = {}
    while not state.is_done:
        if state.kind == 0 and state.place % 2 == 0 and state.bar:
            sources = np.flatnonzero(state.allowed()[COPY.start : COPY.stop])
            found[ROLES[state.place // 2], state.bar] = (sources < state.bar).sum(), state.allowed()[MOVED[0]]
        state.push(EMPTY if state.allowed()[EMPTY] else int(state.allowed().argmax()))
    assert [found["drums", bar][0] for bar in (1, 2, 3)] == [1, 1, 1]
    assert found["lead", 1] == (0, True) and found["lead", 2] == (1, False) and found["lead", 3][0] == 1


def test_sources_say_what_they_have_in_common_with_a_bar():
    """Drums and bass play A B over C F, then A B over G C: in bar 4 the bar before is like bar 1, but for its chord."""
    beat, fill = (Note(0, 240, 36, 80),), (Note(0, 240, 38, 80),)
    bass = [(Note(0, 480, 36, 80),), (Note(0, 480, 41, 80), Note(480, 480, 48, 80)), (Note(0, 480, 43, 60),)]
    last = (Note(0, 480, 36, 80), Note(480, 480, 43, 80))
    sections = (Section("verse", (Bar("C"), Bar("F"))), Section("chorus", (Bar("G"), Bar("C"))))
    parts = (Part("drums", (beat, fill, beat, fill)), Part("bass", (*bass, last)))
    plan = Plan(sections, (Tempo(1, 120.0),), "4/4", instruments={"drums": 0, "bass": 33}, notes=parts)
    found = steps(plan)
    assert found.likeness.shape == (8, note_grammar.SOURCES, note_grammar.N_LIKENESS)
    drums, basses = found.likeness[0::2], found.likeness[1::2]
    chords, begin, end, before, others = range(5)
    third, second = 1, 2  # of the sources of bar 4: bar 2 and bar 1
    assert (drums[3, [second, third], chords] == [1, 0]).all() and drums[3, second:, chords].sum() == 1
    assert drums[3, :3, begin].tolist() == drums[3, :3, end].tolist() == [0, 1, 0]
    assert drums[3, :3, before].tolist() == [0, 1, 0]  # bar 3 is played as bar 1 is, which comes before bar 2
    assert basses[3, :3, before].tolist() == [0, 1, 0]  # of the bass too, moved with the chord, and softer
    assert not drums[..., others].any() and basses[3, :3, others].tolist() == [0, 1, 0]
    assert not found.likeness[:2].any() and not found.likeness[:, :, begin][:, note_grammar.BACK :].any()
    blank = State(forgotten(plan), np.ones((4, len(ROLES)), dtype=bool))
    seen = []
    for token in flat(found):  # what is written is seen as what is known
        alike = blank.likeness()
        seen += [] if alike is None else [alike]
        blank.push(token)
    assert np.array_equal(np.stack(seen), found.likeness) and blank.likeness() is None


def test_drums_do_not_move_with_the_chord_and_a_token_out_of_place_is_refused():
    beat, other = (Note(0, 120, 36),), (Note(0, 120, 43),)
    section = Section("verse", (Bar("C"), Bar("G")))
    plan = Plan((section,), (Tempo(1, 120.0),), instruments={"drums": 0}, notes=(Part("drums", (beat, other)),))
    assert [row[0] for row in decisions(plan)] == [NEW, NEW]
    with pytest.raises(ValueError, match="is not among the 1 allowed"):
        State(plan).push(EMPTY)
    with pytest.raises(ValueError, match="end too early"):
        note_grammar.from_steps(plan, flat(steps(plan))[:-1])


def test_notes_beside_the_grid_are_read_at_the_nearest_step():
    section = Section("verse", (Bar("C"),))
    notes = (Note(9, 11, 60, 70), Note(11, 1, 60, 90), Note(1915, 70_000, 62, 50))
    plan = Plan((section,), (Tempo(1, 120.0),), instruments={"lead": 80}, notes=(Part("lead", (notes,)),))
    [bar] = note_grammar.from_steps(plan, flat(steps(plan))).part("lead").bars
    assert bar == (Note(0, 20, 60, 70), Note(20, 20, 60, 90), Note(1900, 20 * note_grammar.MAX_STEPS, 62, 50))


def test_a_plan_without_bars_has_no_steps():
    plan = Plan((), (), None, None, (), n_samples=44_100)
    assert State(plan).is_done and len(steps(plan).kinds) == 0
