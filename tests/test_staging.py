"""Songs open and end as their genre does, and the labels say who plays there."""

from dataclasses import replace

import pytest

from hybridgen.data.composer import compose, staging
from hybridgen.data.composer.context import Bass, Event, Passage, SongContext
from hybridgen.data.composer.genres import STYLES, style_named
from hybridgen.data.composer.rhythm import grid
from hybridgen.data.composer.staging import BEAT_FIRST, BEAT_LAST, COLD, EVERYONE, FALL_AWAY, GATHER, SOLO, STOP, staged
from hybridgen.plan.notes import UNPITCHED

CONTEXT = SongContext("a song", grid("4/4"), "A minor", 120.0, Bass())
INTRO = Passage("intro", 2, 0, (("Am",),) * 8, closing=False, lifts=True)
OUTRO = Passage("outro", 2, 0, (("Am",),) * 9, closing=True, lifts=False)
ROLES = ("drums", "bass", "keys", "lead")


def quarters(passage: Passage, roles: tuple[str, ...] = ROLES) -> staging.Notes:
    """A note of each role on every beat."""
    return {role: [Event(60, float(beat), 1.0, 80) for beat in range(4 * len(passage.bars))] for role in roles}


def bars_of(notes: staging.Notes) -> dict[str, list[int]]:
    """The bars in which each role plays."""
    return {role: sorted({int(event.start // 4) for event in own}) for role, own in notes.items() if own}


def test_everyone_plays_all_of_it_where_nothing_else_is_said():
    for passage in (INTRO, OUTRO):
        assert staged(quarters(passage), EVERYONE, "keys", CONTEXT, passage) == quarters(passage)


def test_roles_enter_one_after_another():
    bars = bars_of(staged(quarters(INTRO), BEAT_FIRST, "keys", CONTEXT, INTRO))
    assert bars == {"drums": list(range(8)), "bass": list(range(2, 8)), "keys": [6, 7]}
    bars = bars_of(staged(quarters(INTRO), GATHER, "keys", CONTEXT, INTRO))
    assert bars["keys"] == list(range(8)) and bars["bass"][0] < bars["drums"][0] < bars["lead"][0]
    two = replace(INTRO, bars=INTRO.bars[:2])
    assert bars_of(staged(quarters(two), BEAT_FIRST, "keys", CONTEXT, two))["keys"] == [1]


def test_roles_leave_one_after_another_and_the_last_chord_has_pitches():
    bars = bars_of(staged(quarters(OUTRO), FALL_AWAY, "keys", CONTEXT, OUTRO))
    assert bars["keys"] == list(range(9)) and bars["drums"][-1] < bars["lead"][-1] < bars["bass"][-1] < 8
    bars = bars_of(staged(quarters(OUTRO), BEAT_LAST, "keys", CONTEXT, OUTRO))
    assert bars["drums"] == list(range(9)) and 7 not in bars["bass"] and bars["bass"][-1] == bars["keys"][-1] == 8


def test_drums_lead_out_of_a_solo():
    notes = staged(quarters(INTRO), SOLO, "keys", CONTEXT, INTRO)
    assert {role for role, own in notes.items() if own} == {"keys", "drums"}
    assert [event.start for event in notes["drums"]] == [30.0, 31.0]
    assert "drums" not in staged(quarters(INTRO, ("bass", "keys")), SOLO, "keys", CONTEXT, INTRO)


def test_a_role_that_never_plays_gives_its_place_to_the_one_that_always_does():
    bars = bars_of(staged(quarters(INTRO, ("bass", "keys")), BEAT_FIRST, "keys", CONTEXT, INTRO))
    assert bars["keys"] == list(range(8)) and bars["bass"][0] > 0


def test_a_cold_end_is_struck_together_and_short():
    late = {"keys": [Event(60, 32.25, 3.75, 80)], "bass": [Event(40, 31.0, 1.0, 80), Event(40, 32.0, 4.0, 80)]}
    notes = staged(late, COLD, "keys", CONTEXT, OUTRO)
    assert notes["keys"] == [Event(60, 32.0, 1.0, 80)]
    assert notes["bass"] == [Event(40, 31.0, 1.0, 80), Event(40, 32.0, 1.0, 80)]


def test_a_stop_leaves_one_player_alone_before_the_last_chord():
    notes = staged(quarters(OUTRO), STOP, "keys", CONTEXT, OUTRO)
    before = {role: [event.start for event in own if 28 <= event.start < 32] for role, own in notes.items()}
    assert before == {"lead": [28, 29, 30, 31], "drums": [28, 30, 31], "bass": [28], "keys": [28]}
    assert all(32.0 in [event.start for event in own] for own in notes.values())


@pytest.fixture(scope="module")
def songs():
    return [compose(41, index, (40, 60)) for index in range(150)]


def opening(song) -> list[set[str]]:
    """Who plays in each bar of the first section."""
    n_bars = len(song.plan.sections[0].bars)
    return [{part.role for part in song.plan.notes if part.bars[bar]} for bar in range(n_bars)]


def test_songs_are_staged_as_their_genres_are(songs):
    beats, alone, others = 0, 0, 0
    for song in songs:
        if song.plan.sections[0].label != "intro":
            continue
        who = opening(song)
        is_beat = who[0] <= {*UNPITCHED} and len(who[-1]) > len(who[0])
        intros = style_named(song.genre).intros
        assert not is_beat or BEAT_FIRST in intros or staging.RHYTHM_FIRST in intros
        beats += is_beat
        alone += len(who[0]) == 1 and "drums" not in who[0] and len(style_named(song.genre).parts) > 4
        others += len(who[0]) > 2
    assert beats > 5 and alone > 10 and others > 5


def test_some_songs_end_short_and_none_without_a_pitch(songs):
    short = []
    for song in songs:
        last = {part.role: part.bars[-1] for part in song.plan.notes if part.bars[-1]}
        assert set(last) - {*UNPITCHED}
        ends = [note.tick + note.length for role, bar in last.items() if role not in UNPITCHED for note in bar]
        short.append(max(ends) < 0.6 * song.plan.bar_ticks)
        if short[-1]:
            assert COLD in style_named(song.genre).endings or BEAT_LAST in style_named(song.genre).endings
    assert 0.15 < sum(short) / len(short) < 0.6


def test_labels_name_exactly_those_who_play(songs):
    for song in songs:
        first = 0
        for section in song.plan.sections:
            bars = range(first, first + len(section.bars))
            assert set(section.roles) == {part.role for part in song.plan.notes if any(part.bars[bar] for bar in bars)}
            first += len(section.bars)


def test_each_genre_of_several_roles_has_intros_and_endings_of_its_own():
    for style in STYLES:
        if len({part.role for part in style.parts}) > 1:
            assert style.intros != (EVERYONE,) and style.endings != (staging.RING_OUT,), style.name
