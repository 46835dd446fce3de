"""Composed songs are arranged: phrases turn, drums lead on, voices move little, melodies answer themselves."""

import itertools

import numpy as np
import pytest

from hybridgen.data.composer import compose
from hybridgen.data.composer.drums import CRASH, KICK, RIDE, SIGNS
from hybridgen.data.composer.genres import STYLES, style_named
from hybridgen.data.composer.harmony import movement, voicings
from hybridgen.data.composer.rhythm import between_kicks, with_kick
from hybridgen.metrics.repetition import returning
from hybridgen.plan.harmony import chord_pitches, split_chord
from hybridgen.plan.notes import TICKS, swung


@pytest.fixture(scope="module")
def songs():
    return [compose(23, index, (40, 60)) for index in range(48)]


def section_bars(song, role):
    """(section, its bars of a role) of each section but the last, which ends the song."""
    bars, first = song.plan.part(role).bars, 0
    for section in song.plan.sections[:-1]:
        yield section, bars[first : first + len(section.bars)]
        first += len(section.bars)


def rhythm(bar):
    return [(note.tick, note.length) for note in bar]


def test_the_end_of_a_phrase_turns_and_the_rest_of_it_does_not(songs):
    middles, ends = [], []
    for song in songs:
        for section, bars in [*section_bars(song, "keys"), *section_bars(song, "guitar")]:
            one_chord = all(len(bar.chords) == 1 for bar in section.bars)
            if song.genre not in ("jazz trio", "solo piano") and one_chord and len(bars) >= 4 and all(bars):
                middles.append(set(rhythm(bars[2])) == set(rhythm(bars[0])))
                ends.append(set(rhythm(bars[3])) == set(rhythm(bars[1])))
    assert len(ends) > 50
    assert np.mean(middles) > 0.95 and 0.1 < np.mean(ends) < 0.75


def test_a_section_that_returns_is_the_same_but_for_its_end(songs):
    assert np.nanmean([returning(song.plan) for song in songs]) >= 0.7
    first, last = [], []
    for song in songs:
        seen = {}
        for section, bars in section_bars(song, "keys"):
            earlier = seen.get(section.label)
            if earlier and len(bars) == len(earlier) >= 4 and all(bars) and all(earlier):
                first.append(rhythm(bars[0]) == rhythm(earlier[0]))
                last.append(rhythm(bars[-1]) == rhythm(earlier[-1]))
            seen[section.label] = bars
    assert np.mean(first) > 0.9 and np.mean(last) < np.mean(first) - 0.1


def melodies(songs):
    """(section, its bars) of each melody of at least four bars with one chord each."""
    for song in songs:
        for role in ("lead", "winds"):
            for section, bars in section_bars(song, role):
                is_melody = all(len({note.tick for note in bar}) == len(bar) for bar in bars if bar)
                if len(bars) >= 4 and all(bars[:4]) and is_melody and all(len(bar.chords) == 1 for bar in section.bars):
                    yield section, bars


def test_a_melody_calls_and_answers(songs):
    """The call returns, on other chords moved; the answer begins like it and goes on otherwise."""
    calls, moved, begun, answered = [], [], [], []
    for section, bars in melodies(songs):
        call, answer, again = bars[0], bars[1], bars[2]
        if rhythm(call) == rhythm(answer):
            continue
        calls.append(rhythm(call) == rhythm(again))
        if calls[-1] and section.bars[0].chords != section.bars[2].chords:
            moved.append([note.pitch for note in call] != [note.pitch for note in again])
        begun.append(rhythm(call)[0] == rhythm(answer)[0])
        answered.append(rhythm(call)[-1] != rhythm(answer)[-1])
    assert len(calls) > 15
    assert np.mean(calls) > 0.6 and np.mean(begun) > 0.7 and np.mean(answered) > 0.9 and np.mean(moved) > 0.8


def test_a_phrase_ends_on_a_chord_tone_and_breathes(songs):
    at_home, breaths = [], []
    for section, bars in melodies(songs):
        last = max(bars[3], key=lambda note: note.length)
        following = [note.tick for note in bars[3] if note.tick > last.tick]
        at_home.append(last.pitch % 12 in chord_pitches(section.bars[3].chords[0]))
        breaths.append(not following or min(following) >= last.tick + last.length)
    assert np.mean(at_home) > 0.95 and np.mean(breaths) > 0.95


def test_fills_grow_denser_and_each_genre_with_a_kit_has_some():
    for style in STYLES:
        for part in style.parts:
            assert (part.role == "drums") == (part.fills is not None), style.name
            for fill in () if part.fills is None else (*part.fills.full, *part.fills.half):
                beats = [len(fill[i : i + 4].strip(".").replace(".", "")) for i in (0, 4, 8, 12)]
                assert len(fill) == 16 and beats == sorted(beats) and set(fill) <= {*SIGNS, "."}, fill


def drum_joins(songs):
    """(the bar before a section, bars of the section before, the first bar of the section) where drums play in both."""
    for song in songs:
        played = list(section_bars(song, "drums"))
        for (section, bars), (following, others) in itertools.pairwise(played):
            ready = section.label != "build" and section.energy >= 2 and len(bars) >= 4 and all(bars)
            lands = following.energy >= 3 and following.label not in ("intro", "break", "interlude")
            if ready and lands and others[0]:
                yield bars[-1], bars, others[0]


def test_drums_lead_into_a_section_and_land_on_its_first_beat(songs):
    led, lands, rises = [], [], []
    for last, bars, first in drum_joins(songs):
        led.append(rhythm(last) != rhythm(bars[-3]))
        lands.append(bool({KICK, CRASH, RIDE} & {note.pitch for note in first if note.tick == 0}))
        groove = {(note.tick, note.pitch) for note in bars[-3]}
        fill = [note for note in last if (note.tick, note.pitch) not in groove]
        if len(fill) >= 3:
            rises.append(fill[-1].velocity > fill[0].velocity)
    assert len(led) > 30
    assert np.mean(led) > 0.85 and np.mean(lands) > 0.98 and np.mean(rises) > 0.85


def test_some_phrases_inside_a_section_end_with_a_short_fill(songs):
    inside = []
    for song in songs:
        for section, bars in section_bars(song, "drums"):
            if section.label != "build" and section.energy >= 2 and len(bars) >= 8 and all(bars):
                inside.append(rhythm(bars[3]) != rhythm(bars[1]))
    assert 0.2 < np.mean(inside) < 0.8


def test_a_chord_is_voiced_near_its_center_and_nearer_to_the_one_before():
    names = ("C", "Am", "F", "G7", "Dm7", "Em", "Bb", "Fmaj7", "Ab", "E7", "Cm", "Bdim")
    led, alone = [], []
    for one, other in itertools.permutations(names, 2):
        found, by_itself = voicings((one, other), 60), voicings((other,), 60)[other]
        assert abs(np.mean(by_itself) - 60) <= 3.5, other
        led.append(movement(found[one], found[other]))
        alone.append(movement(found[one], by_itself))
    assert np.all(np.array(led) <= alone) and np.mean(np.array(led) < alone) > 0.1


def test_voices_are_led(songs):
    """Chords move by steps, keep what they have in common, stay in their register and return as they were."""
    led = voicings(("C", "Am", "F", "G7", "C"), 60)
    assert {60, 64} <= set(led["C"]) & set(led["Am"])
    moves, leaps, same = [], [], []
    for song in songs:
        for role in ("pad", "strings"):
            for section, bars in section_bars(song, role):
                chords = [tuple(note.pitch for note in bar or () if note.tick == 0) for bar in bars]
                names = [bar.chords for bar in section.bars]
                pairs = list(zip(chords, chords[1:], names, names[1:], strict=False))
                for one, other, name, following in pairs:
                    if min(len(one), len(other)) >= 3 and name != following:
                        moves.append(movement(one, other))
                        leaps.append(abs(np.mean(one) - np.mean(other)))
                of_name = {}
                for chord, name in zip(chords, names, strict=True):
                    if len(chord) >= 3:
                        same.append(of_name.setdefault(name, chord) == chord)
    assert len(moves) > 100
    assert np.mean(moves) < 1.6 and np.mean(np.array(leaps) > 4) < 0.03 and np.mean(same) > 0.95


def test_phrases_have_arcs_and_beats_their_accents(songs):
    """In whole steps, so that a bar still returns; flat where machines play."""
    wide, flat, accents = [], [], []
    for song in songs:
        arc = style_named(song.genre).arc
        for role in ("keys", "guitar", "strings", "pad"):
            for section, bars in section_bars(song, role):
                if len(bars) >= 4 and all(bars[:4]) and section.label != "build":
                    first = [bar[0].velocity for bar in bars[:4] if bar[0].tick == 0]
                    if len(first) == 4:
                        (wide if arc >= 3 else flat if arc <= 1 else []).append(max(first) - min(first))
        for bar in song.plan.part("lead").bars:
            on, off = ([n.velocity for n in bar or () if (n.tick == 0) == is_on] for is_on in (True, False))
            accents += [np.mean(on) - np.mean(off)] if on and off else []
    assert np.mean(wide) > np.mean(flat) + 5 and np.mean(flat) < 8
    assert np.mean(accents) > 6


def test_funk_has_ghost_notes(songs):
    for song in songs:
        if song.genre == "funk" and any(song.plan.part("bass").bars):
            levels = [note.velocity for bar in song.plan.part("bass").bars for note in bar or ()]
            assert min(levels) < np.median(levels) - 15


def lateness(song, role):
    """Milliseconds by which each note of a role is behind its place in the score, swing included."""
    plan = song.plan
    bars = plan.part(role).bars
    quarters = [(i * plan.bar_ticks + note.tick) / TICKS for i, bar in enumerate(bars) for note in bar or ()]
    pitches = [note.pitch for bar in bars for note in bar or ()]
    due = plan.tempo_map.seconds_at(swung(np.array(quarters), plan.swing, plan.bar_ticks / TICKS))
    written = sorted(zip(pitches, due.tolist(), strict=True))
    played = sorted((note.pitch, note.start) for note in song.notes if note.role == role)
    assert [pitch for pitch, _ in written] == [pitch for pitch, _ in played]
    return 1000 * (np.array([start for _, start in played]) - [start for _, start in written])


def test_a_genre_has_its_feel_and_a_role_its_looseness():
    late, spread = {}, {}
    for song in (compose(31, index, (20, 30)) for index in range(150)):
        style = style_named(song.genre)
        for role in ("drums", "lead", "keys"):
            if not any(song.plan.part(role).bars):
                continue
            off = lateness(song, role)
            if style.human_ms == 0:
                assert np.abs(off).max() < 0.05, (song.genre, role)
            late.setdefault((style.name, role), []).append(np.mean(off))
            spread.setdefault(role, []).append(np.std(off) / style.human_ms if style.human_ms else np.nan)
    assert {name for name, _ in late} >= {"techno", "trance"}
    assert np.mean(late["lo-fi hip hop", "keys"]) > 5 > 4 > np.mean(late["lo-fi hip hop", "drums"])
    assert np.mean(late["metal", "lead"]) < -2
    assert np.nanmean(spread["lead"]) > 1.5 * np.nanmean(spread["drums"])


def test_a_bass_figure_goes_with_the_kick_or_between_its_strokes():
    assert with_kick("R-----r-f---r---", "X......x..x.....") == "R-----.r-.f-r---"
    assert between_kicks("R-r-r-r-r-r-r-r-", "X...X...X...X...") == "..r-..r-..r-..r-"
    assert between_kicks("R---------------", "X...X...X...X...") == "..R-------------"
    assert with_kick("R-------r-------", "X.....x.........") == "R-----r-------.."


def test_a_bass_breathes_with_the_kick_and_leads_into_chords(songs):
    on_kick, leads, rests = {"with": [], "between": []}, [], []
    for song in songs:
        how, drums = style_named(song.genre).bass, song.plan.part("drums").bars
        for i, bar in enumerate(song.plan.part("bass").bars[:-2]):
            kicks = {note.tick for note in drums[i] or () if note.pitch == KICK}
            if (
                bar
                and kicks
                and how.kick != "free"
                and song.plan.meter == "4/4"
                and song.genre not in ("jazz trio", "blues")
            ):
                on_kick[how.kick].append(np.mean([note.tick in kicks for note in bar]))
            roots = [split_chord(chord)[0] for chord in (song.plan.bars[i].chords[-1], song.plan.bars[i + 1].chords[0])]
            if bar and how.approach >= 0.3 and roots[0] != roots[1]:
                leads.append(bar[-1].pitch % 12 not in chord_pitches(song.plan.bars[i].chords[-1]))
        for _, bars in section_bars(song, "bass"):
            if len(bars) >= 4 and bars[-1]:
                rests.append(bars[-1][-1].tick + bars[-1][-1].length <= song.plan.bar_ticks - 480)
    assert np.mean(on_kick["with"]) > 0.6 and np.mean(on_kick["between"]) < 0.15
    assert np.mean(leads) > 0.15 and 0.15 < np.mean(rests) < 0.7
