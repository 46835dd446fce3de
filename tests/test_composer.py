"""Songs of the synthetic corpus: their labels are what is played."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import astuple

import numpy as np
import pytest

from hybridgen.data.captions import captions
from hybridgen.data.composer import GENRES, compose, form
from hybridgen.data.composer.genres import STYLES
from hybridgen.data.composer.harmony import parse_progression, voicings
from hybridgen.data.composer.melody import RANGES
from hybridgen.data.composer.performance import MAX_SHIFT
from hybridgen.data.composer.rhythm import fit, grid, strokes
from hybridgen.plan.harmony import KEYS, METERS, QUALITIES, chord_pitches, meter_quarters, split_chord
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE


@pytest.fixture(scope="module")
def songs():
    return [compose(7, index) for index in range(400)]


def beat_chords(song):
    """(seconds, chord) of each chord's start, and the end of the last bar."""
    starts = song.plan.bar_starts() / SAMPLE_RATE
    quarters = meter_quarters(song.plan.meter)
    for i, bar in enumerate(song.plan.bars):
        for j, chord in enumerate(bar.chords):
            position = (i + j / len(bar.chords)) * quarters
            yield (starts[i] if j == 0 else float(song.plan.tempo_map.seconds_at(np.float64(position)))), chord


def test_a_song_is_a_pure_function_of_its_numbers():
    code = "from hybridgen.data.composer import compose; print(hash(0) or [compose(3, i, (8, 15)) for i in range(12)])"
    outputs = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        outputs.append(done.stdout.strip())
    assert outputs[0] == outputs[1] == str([compose(3, i, (8, 15)) for i in range(12)])


def test_songs_and_captions_are_those_of_earlier_versions():
    """Corpora are written again from their seed, so a change of this hash is for the changelog."""
    found = hashlib.sha256()
    for index in range(40):
        song = compose(0, index, (20, 60))
        found.update(json.dumps([song.plan.key, song.plan.length, [astuple(note) for note in song.notes]]).encode())
        found.update("\n".join(captions(song, 10)).encode())
    assert found.hexdigest()[:16] == "5ca8c3bf0e3485f7"


def test_other_numbers_give_other_songs():
    assert len({compose(seed, index).notes for seed in (0, 1) for index in range(20)}) == 40


def test_everything_occurs(songs):
    assert {song.genre for song in songs} == set(GENRES)
    assert {song.plan.meter for song in songs} == set(METERS)
    assert {song.plan.key for song in songs} == set(KEYS)
    assert len(GENRES) == 31
    common = np.mean([song.plan.meter == "4/4" for song in songs])
    assert 0.55 < common < 0.75
    keys = Counter(song.plan.key for song in songs)
    assert max(keys.values()) < 40  # 16.7 on average
    assert 0.03 < np.mean([len(song.plan.tempo) > 1 for song in songs]) < 0.15
    qualities = {split_chord(name)[1] for song in songs for bar in song.plan.bars for name in bar.chords}
    assert qualities == set(QUALITIES)
    tempi = [mark.bpm for song in songs for mark in song.plan.tempo]
    assert min(tempi) < 60 and max(tempi) > 180


def test_plans_are_exact(songs):
    for song in songs:
        plan = song.plan
        assert Plan.from_json(plan.to_json()) == plan
        assert all(section.energy is not None and section.label for section in plan.sections)
        assert plan.sections[-1].label == "outro"
        assert [channel.role for channel in song.channels] == [role for role, _ in plan.instruments]
        assert [channel.program for channel in song.channels] == [program for _, program in plan.instruments]
        bars = plan.bar_starts()
        tail = plan.n_samples - int(bars[-1])
        assert 0 <= tail < bars[-1] - bars[-2] and tail <= 2 * SAMPLE_RATE


def test_lengths_are_about_what_was_asked():
    for seconds in ((16, 16), (20, 30), (280, 300), (600, 600)):
        lengths = [compose(1, index, seconds).plan.seconds for index in range(12)]
        assert max(lengths) <= seconds[1] + 0.01
        assert np.mean(lengths) > 0.75 * seconds[0]


def test_an_impossible_length_is_refused():
    for seconds in ((0, 10), (20, 10), (20, 700)):
        with pytest.raises(ValueError, match="seconds"):
            compose(0, 0, seconds)


def test_notes_are_inside_the_track_and_playable(songs):
    for song in songs:
        end = song.plan.seconds
        starts = [note.start for note in song.notes]
        assert starts == sorted(starts)
        assert starts[0] >= 0
        for note in song.notes:
            assert note.duration > 0 and note.start + note.duration <= end
            assert 1 <= note.velocity <= 127
            assert 21 <= note.pitch <= 108


def test_roles_listed_are_roles_that_play(songs):
    for song in songs:
        bars = song.plan.bar_starts() / SAMPLE_RATE
        first = np.cumsum([0] + [len(section.bars) for section in song.plan.sections])
        edges = bars[first]
        played = defaultdict(set)
        for note in song.notes:
            played[int(np.searchsorted(edges, note.start + MAX_SHIFT + 0.001, side="right")) - 1].add(note.role)
        for i, section in enumerate(song.plan.sections):
            assert played[i] == set(section.roles), (song.index, i)


def test_the_chords_are_heard(songs):
    for song in songs:
        times, names = zip(*beat_chords(song), strict=True)
        fitting = total = 0
        for note in song.notes:
            if note.role in ("bass", "keys", "guitar", "strings", "pad") and song.genre != "solo piano":
                i = int(np.searchsorted(times, note.start + 0.02, side="right")) - 1
                total += note.duration
                fitting += note.duration * (note.pitch % 12 in chord_pitches(names[i]))
        assert fitting >= 0.8 * total, (song.index, song.genre)


def test_the_bass_plays_roots_where_chords_start(songs):
    hits = total = 0
    for song in songs:
        bass = [note for note in song.notes if note.role == "bass"]
        starts = np.array([note.start for note in bass])
        for time, chord in beat_chords(song):
            near = [bass[i] for i in np.flatnonzero(np.abs(starts - time) < 0.03)] if bass else []
            hits += any(note.pitch % 12 == split_chord(chord)[0] for note in near)
            total += bool(near)
    assert hits > 0.9 * total


def test_music_starts_on_every_downbeat(songs):
    shares = []
    for song in songs:
        starts = np.array([note.start for note in song.notes])
        bars = song.plan.bar_starts()[:-1] / SAMPLE_RATE
        shares.append(np.mean([np.min(np.abs(starts - bar)) <= MAX_SHIFT + 1e-4 for bar in bars]))
    assert np.mean(shares) > 0.98


def test_timing_stays_on_the_grid(songs):
    straight = {style.name for style in STYLES if style.swing_unit == 0}
    for song in songs:
        if song.genre not in straight:
            continue
        quarters = song.plan.tempo_map.quarters_at(np.array([note.start for note in song.notes]))
        nearest = song.plan.tempo_map.seconds_at(np.round(quarters * 48) / 48)
        on_time = np.abs(nearest - [note.start for note in song.notes])
        sixteenth = np.abs(song.plan.tempo_map.seconds_at(np.round(quarters * 4) / 4) - [n.start for n in song.notes])
        assert on_time.max() <= 0.020
        assert np.mean(sixteenth <= MAX_SHIFT + 1e-4) > 0.97  # all but the spread of the last chord


def test_energy_is_audible(songs):
    calm, wild = [], []
    for song in songs:
        edges = song.plan.bar_starts()[np.cumsum([0] + [len(s.bars) for s in song.plan.sections])] / SAMPLE_RATE
        for section, start, stop in zip(song.plan.sections, edges, edges[1:], strict=False):
            weight = sum(note.velocity for note in song.notes if start <= note.start < stop) / (stop - start)
            (calm if section.energy <= 2 else wild if section.energy >= 5 else []).append(weight)
    assert np.median(wild) > 1.8 * np.median(calm)


def test_a_track_ends_on_its_tonic_and_is_not_cut(songs):
    for song in songs:
        tonic, mode = song.plan.key.split()
        assert song.plan.bars[-1].chords == (tonic + ("m" if mode == "minor" else ""),)
        last = song.plan.bar_starts()[-2] / SAMPLE_RATE
        onsets = [note.start for note in song.notes if note.start > last - 0.02]
        assert onsets and max(onsets) < last + 1.5


def test_melodies_stay_on_their_instruments(songs):
    for song in songs:
        for channel in song.channels:
            if channel.role in ("lead", "winds") and channel.program in RANGES:
                low, high = RANGES[channel.program]
                pitches = [note.pitch for note in song.notes if note.role == channel.role]
                assert np.mean([low - 2 <= pitch <= high + 2 for pitch in pitches]) > 0.97, (song.genre, channel)


def test_repeated_sections_are_recognized(songs):
    for song in songs[:60]:
        chords = defaultdict(set)
        for section in song.plan.sections[:-1]:
            chords[section.label].add(section.bars[0].chords)
        assert all(len(first) == 1 for first in chords.values())


@pytest.mark.parametrize("forms", [form.SONG, form.DANCE, form.JAZZ, form.DRIFT, form.ARC])
def test_forms_fill_any_number_of_bars(forms):
    for n_bars in range(2, 400, 3):
        shapes = form.shape_track(random.Random(n_bars), n_bars, forms, drive=1)
        assert sum(shape.n_bars for shape in shapes) == n_bars
        assert shapes[-1].label == "outro" and len(shapes) >= 2
        if n_bars >= 20:
            assert len({shape.label for shape in shapes}) >= 3
            assert all(shape.n_bars % 4 == 0 for shape in shapes[:-1])


def test_figures_take_the_accents_of_the_meter():
    for meter in METERS:
        signs = fit("X...s...X...s...", meter)
        assert len(signs) == grid(meter).steps
        assert signs[0] == "X"
        struck = [stroke.step for stroke in strokes(signs)]
        assert struck == list(grid(meter).beats)


def test_a_held_note_is_struck_again_where_the_chord_or_the_bar_changes():
    assert [fit("R---------------", meter, 1)[:3] for meter in ("2/4", "6/8", "4/4")] == ["r--", "r--", "R--"]
    assert fit("R---..--........", "2/4", 1) == "........" and fit("..R...------x---", "2/4", 1) == "----x---"
    assert [stroke.step for stroke in strokes("R---------------", (8,))] == [0, 8]
    assert [(stroke.step, stroke.length) for stroke in strokes("x-..x---")] == [(0, 2), (4, 4)]


def test_progressions_fit_their_mode_and_voicings_sound_their_chord():
    assert parse_progression("ii7 V7 | bVImaj7") == (((2, "m7"), (7, "7")), ((8, "maj7"),))
    for name in ("Am", "F#maj9", "Bdim", "G7"):
        pitches = voicings((name,), 60)[name]
        assert {pitch % 12 for pitch in pitches} <= set(chord_pitches(name))
        assert abs(np.mean(pitches) - 60) < 8
