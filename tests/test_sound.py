"""Engines and studio: the same song gives the same samples, notes sound where and as they are written, stems add up."""

import hashlib
import json
import os
import random
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen.data import captions
from hybridgen.data.composer import GENRES, compose
from hybridgen.data.song import Channel, Note, Song
from hybridgen.data.sound import effects, patches, session, shaping, sources, treatment
from hybridgen.data.sound.casting import Voice, kit_folder
from hybridgen.data.sound.grand import Grand
from hybridgen.data.sound.hits import KITS, Drums, Hit, RecordedKit
from hybridgen.data.sound.notes import NoteByNote, Touch, touches
from hybridgen.plan.sounds import SOUND_WORDS
from hybridgen.text.controls import find_controls
from tests.conftest import PACKS, SAMPLE_RATE

N = SAMPLE_RATE
TUNED = sorted(set(patches.MAKERS) - {8, 11, 12, 98, 99})  # bells and mallets have partials of their own
KINDS = [("808 bass", "bass", 38, "trap"), ("machine", "drums", 24, "house"), ("808", "drums", 25, "trap")]
KINDS += [(str(program), "keys", program, "house") for program in sorted(patches.MAKERS)]


def notes_of(role: str, *pitches: int, step: float = 0.25, velocity: int = 96) -> list[Note]:
    return [Note(role, pitch, 0.1 + i * step, 0.8 * step, velocity) for i, pitch in enumerate(pitches)]


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def onset(samples: np.ndarray) -> int:
    loud = np.abs(samples).max(0)
    return int(np.argmax(loud > 0.02 * loud.max()))


@pytest.mark.parametrize(("name", "role", "program", "genre"), KINDS, ids=[kind[0] for kind in KINDS])
def test_synthesis_plays_a_program_the_same_each_time_and_without_clicks(name, role, program, genre):
    drawn, again = (patches.draw(role, program, genre, seed=5) for _ in range(2))
    assert drawn is not None and again is not None and drawn[1] == again[1]
    pitches = (36, 38, 42, 46) if role == "drums" else (36, 43, 36) if role == "bass" else (60, 67, 60)
    samples = drawn[0].play(notes_of(role, *pitches), program, 2 * N)
    assert samples.shape == (2, 2 * N) and samples.dtype == np.float32 and np.isfinite(samples).all()
    np.testing.assert_array_equal(again[0].play(notes_of(role, *pitches), program, 2 * N), samples)
    peak = np.abs(samples).max()
    assert 0.02 < peak < 2 and np.abs(samples.mean(axis=1)).max() < 0.02 * peak
    assert np.abs(samples[:, : N // 10 - 200]).max() < 1e-3 * peak  # nothing before the first note
    assert not drawn[0].play([], program, 100).any()


@pytest.mark.parametrize("program", TUNED)
def test_a_tuned_note_has_its_pitch(program):
    engine, _ = patches.draw("keys", program, "house", seed=2)
    samples = engine.play([Note("keys", 57, 0.0, 1.0, 100)], program, N)[:, N // 5 :].sum(axis=0)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    hz = np.fft.rfftfreq(1 << 18, 1 / SAMPLE_RATE)
    near = {k: spectrum[np.abs(hz - 220 * k) < 4 * k].max() for k in (0.5, 1, 2, 3)}
    assert max(near.values()) > 0.2 * spectrum.max()  # its partials are where they belong
    loud = max((1, 2, 3), key=lambda k: near[k])
    window = np.abs(hz - 220 * loud) < 8 * loud
    cents = 1200 * np.log2(hz[window][spectrum[window].argmax()] / (220 * loud))
    assert abs(cents) < 30  # supersaws and vibrato spread that far


@pytest.mark.parametrize("start", [0.1, 0.5003, 1.23456])
def test_a_hit_sounds_where_it_starts(start):
    engine, _ = patches.draw("drums", 25, "trap", seed=1)
    found = onset(engine.play([Note("drums", 38, start, 0.1, 120)], 25, 2 * N))
    assert abs(found - start * SAMPLE_RATE) < 0.0015 * SAMPLE_RATE


def test_a_loud_touch_is_louder_and_repeats_take_turns():
    engine, _ = patches.draw("guitar", 25, "folk guitar", seed=1)
    soft, hard = (engine.play(notes_of("guitar", 60, velocity=v), 25, N) for v in (40, 120))
    assert rms(hard) > 3 * rms(soft)
    assert [touch.variant for _, touch in touches(notes_of("keys", 60, 60, 61, 60, 60))] == [0, 1, 0, 2, 0]


def test_saturation_adds_no_tones_that_are_not_harmonics():
    t = np.arange(N) / SAMPLE_RATE
    tone = np.repeat(0.1 * np.sin(2 * np.pi * 1470 * t)[None], 2, axis=0).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(shaping.distort(tone, 30.0)[0] * np.blackman(N))))
    hz = np.fft.rfftfreq(N, 1 / SAMPLE_RATE)
    harmonic = np.abs(hz / 1470 - np.round(hz / 1470)) * 1470 < 4
    heard = (hz > 30) & (hz < 18_000)
    assert power[heard & ~harmonic].sum() < 1e-6 * power.sum() < power[heard & harmonic].sum()


# ---------------------------------------------------------------------------------------- recordings, made up here


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """Sample packs with a few sounds: a piano of three keys in two layers, and drums."""
    rng = np.random.default_rng(0)
    for layer, level in ((4, 0.2), (13, 0.8)):
        folder = tmp_path / f"piano-velocity{layer}" / "audio"
        folder.mkdir(parents=True)
        for name, hz in (("C4", 261.63), ("D#4", 311.13), ("A4", 440.0)):
            t = np.arange(2 * 48_000) / 48_000
            tone = level * np.sin(2 * np.pi * hz * t) * np.exp(-t)
            sound = np.pad(np.stack([tone, tone], 1), ((900, 0), (0, 0)))
            soundfile.write(folder / f"{name}v{layer}.ogg", sound, 48_000, format="OGG", subtype="VORBIS")
    for name, seconds in (("kick", 0.3), ("hat", 0.1), ("open", 1.0)):
        noise = rng.standard_normal(int(seconds * N)) * np.exp(-np.arange(int(seconds * N)) / (seconds * N / 5))
        soundfile.write(tmp_path / f"{name}.flac", 0.1 * np.pad(noise, (300, 0)) / 4 + 0.01, N)
    return tmp_path


def kit(packs: Path) -> Drums:
    hits = {36: (Hit("kick.flac"),), 42: (Hit("hat.flac", 3.0),), 46: (Hit("open.flac"),)}
    return Drums(RecordedKit(packs, hits, seed=1), seed=1)


def test_the_grand_starts_on_time_and_in_tune_between_its_recorded_keys(packs):
    grand = NoteByNote(Grand(packs))
    for pitch in (59, 60, 61, 64, 70):
        samples = grand.play([Note("keys", pitch, 0.1, 1.0, 100)], 0, 2 * N)
        assert abs(onset(samples) - 0.1 * N) < 0.004 * N
        spectrum = np.abs(np.fft.rfft(samples[0], 1 << 18))
        assert abs(np.fft.rfftfreq(1 << 18, 1 / N)[spectrum.argmax()] - 440 * 2 ** ((pitch - 69) / 12)) < 1
        assert rms(samples[:, int(1.6 * N) :]) < 1e-3 * rms(samples)  # damped when let go
    loud, soft = (rms(grand.play([Note("keys", 60, 0.1, 1.0, v)], 0, N)) for v in (110, 30))
    assert loud > 3 * soft


def test_recorded_drums_are_levelled_and_a_hat_ends_the_open_one(packs):
    alone = kit(packs).play(notes_of("drums", 46), 0, N)
    ended = kit(packs).play(notes_of("drums", 46, 42, step=0.1), 0, N)
    late = slice(int(0.4 * N), int(0.6 * N))
    assert rms(ended[:, late]) < 0.05 * rms(alone[:, late])
    assert abs(float(alone.mean())) < 1e-5  # the recording's offset is gone
    kick = kit(packs).play(notes_of("drums", 36), 0, N)
    assert rms(kick[:, : N // 4]) > 1.2 * rms(kit(packs).play(notes_of("drums", 42), 0, N)[:, : N // 4])
    with pytest.raises(ValueError, match=r"drum 51: the kit has \[36, 42, 46\]"):
        kit(packs).play(notes_of("drums", 51), 0, N)


def test_what_is_missing_is_named(packs, tmp_path):
    with pytest.raises(ValueError, match=r"sample .*nothing\.flac"):
        Drums(RecordedKit(packs, {36: (Hit("nothing.flac"),)}, 0), 0).play(notes_of("drums", 36), 0, N)
    with pytest.raises(ValueError, match="there is no piano-velocity"):
        Grand(tmp_path / "empty")
    with pytest.raises(ValueError, match="sounds organ: known are fluid-r3, musescore, salamander"):
        sources.check(("organ",), packs)
    with pytest.raises(ValueError, match=r"not there: sonic-pi \(python -m hybridgen.data.sound.sources .*\)$"):
        sources.check(("sonic-pi",), packs)
    with pytest.raises(ValueError, match="sounds synthesis: fluid-r3 or musescore must be among them"):
        sources.check(("synthesis",), packs)


def test_a_pack_is_unpacked_only_if_it_is_the_one_that_is_expected(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/one.flac").write_bytes(b"sound")
    with tarfile.open(tmp_path / "made-up-pack-1.0.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    tarball = tmp_path / "made-up-pack-1.0.tgz"
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n[ $3 = '@made/up-pack@1.0' ] && cp {tarball} .\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    pack = sources.Pack("@made/up-pack", "1.0", hashlib.sha512(tarball.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=r"SHA-512 .* is not 00"):
        sources.fetch(replace(pack, sha512="00"), tmp_path / "packs")
    sources.fetch(pack, tmp_path / "packs")
    assert [path.name for path in (tmp_path / "packs").rglob("*")] == ["up-pack", "one.flac"]


@pytest.mark.parametrize("source", sorted(KITS))
def test_every_recording_that_a_kit_names_is_in_its_pack(source):
    if how := sources.BY_NAME[source].missing(PACKS):
        pytest.skip(f"sound {source} is not here: {how}")
    for hits in (hits for kit in KITS[source] for hits in kit.values()):
        for hit in hits:
            assert all((kit_folder(source, PACKS) / file).is_file() for file in (hit.file, hit.soft) if file)


# ------------------------------------------------------------------------------------------------------ the studio

ROLES = {"drums": 24, "bass": 38, "keys": 81, "pad": 89}


def voices(song: Song) -> tuple[Voice, ...]:
    """Synthesis for every role, whatever its program."""
    made = []
    for channel in song.channels:
        program = ROLES.get(channel.role, 80)
        engine, kind = patches.draw(channel.role, program, "house", seed=3)
        made.append(Voice(replace(channel, program=program), "synthesis", kind, engine, -20.0))
    return tuple(made)


@pytest.fixture(scope="module")
def song() -> Song:
    """Four seconds of several roles."""
    return next(one for one in (compose(9, i, (4, 5)) for i in range(50)) if one.genre == "house")


@pytest.fixture(scope="module")
def everything(song) -> treatment.Treatment:
    """A treatment that leaves nothing out."""
    drawn = treatment.draw_treatment(song)
    roles = {role: replace(t, drive=8.0, chorus=0.4, echo=0.3, duck=0.6, swept=True) for role, t in drawn.roles.items()}
    return replace(drawn, roles=roles, wet=0.4, room=0.8, echo_beats=0.5, tape=0.7, vinyl=0.6, glue=4.0, width=1.2)


def test_stems_add_up_to_the_mix_through_the_whole_studio(song, everything):
    made = session.record(song, voices(song), everything)
    whole, roles = made.mix(), list(made.stems)
    assert len(roles) >= 3 and whole.shape == (2, song.plan.length) and whole.dtype == np.float32
    assert np.isfinite(whole).all() and rms(whole) > 1e-3
    assert rms(sum(made.mix([role]) for role in roles) - whole) < 1e-5 * rms(whole)
    assert rms(made.mix(roles[:1]) + made.mix(roles[1:]) - whole) < 1e-5 * rms(whole)
    assert min(rms(made.mix([role])) for role in roles) > 1e-4
    assert not made.mix([]).any()


def test_a_song_is_produced_the_same_each_time(song, everything):
    one, two = (session.record(song, voices(song), everything) for _ in range(2))
    two.mix(["drums"])
    np.testing.assert_array_equal(one.mix(), two.mix())
    assert one.kinds == two.kinds and json.dumps(one.facts()) == json.dumps(two.facts())
    assert set(one.facts()) == {"kinds", "voices", "treatment"}


def test_the_treatment_is_heard(song, everything):
    plain = replace(everything, wet=0.0, echo_beats=0.0, tape=0.0, vinyl=0.0, glue=0.0, width=1.0, pump=0.0)
    dry, wet = (session.record(song, voices(song), one).mix() for one in (plain, replace(plain, wet=0.9, room=2.5)))
    assert rms(wet[:, -N // 4 :]) > 1.5 * rms(dry[:, -N // 4 :]) or rms(wet) > 1.1 * rms(dry)
    mono = session.record(song, voices(song), replace(everything, width=0.0, vinyl=0.0)).mix()
    assert rms(mono[0] - mono[1]) < 1e-3 * rms(mono)


def test_pumping_follows_the_kicks_and_not_the_sound():
    curve = effects.held(effects.ducking([0.5, 1.0], depth=0.8, seconds=0.2, n=2 * N), 2 * N)
    assert curve[: int(0.49 * N)].min() > 0.999 and 0.15 < curve[int(0.5 * N) :].min() < 0.25
    assert curve[int(0.75 * N)] > 0.99 and curve[int(1.01 * N)] < 0.35
    assert np.abs(np.diff(curve)).max() < 0.02  # no click


def test_a_room_decays_as_it_should_and_highs_fall_first():
    room = effects.room_response(1.5, damping=0.8, pre_delay=0.0, rng=np.random.default_rng(1))
    assert abs(float(np.square(room).sum()) - 2) < 1e-3
    early, late = (room[:, int(t * N) : int((t + 0.2) * N)] for t in (0.2, 0.9))
    assert -36 < 20 * np.log10(rms(late) / rms(early)) < -22  # 60 dB in 1.5 s is 28 in 0.7

    def highs(part: np.ndarray) -> float:
        power = np.square(np.abs(np.fft.rfft(part))).sum(axis=0)
        return float(power[len(power) // 4 :].sum() / power.sum())

    assert highs(late) < 0.3 * highs(early)


def test_each_genre_has_a_treatment_that_is_data_and_true_to_its_words():
    seen: set[str] = set()
    for index in range(150):
        song = compose(4, index, (4, 4))
        drawn = treatment.draw_treatment(song)
        assert drawn == treatment.draw_treatment(song) and set(drawn.roles) == {c.role for c in song.channels}
        assert set(drawn.kinds()) <= set(SOUND_WORDS)
        assert json.loads(json.dumps(drawn.to_dict()))["wet"] == pytest.approx(drawn.wet, abs=1e-4)
        assert not (("wide" in drawn.kinds() or "narrow" in drawn.kinds()) and "mono" in drawn.kinds())
        assert not ("dry" in drawn.kinds() and {"reverberant", "echoing", "roomy"} & set(drawn.kinds()))
        seen |= set(drawn.kinds())
    assert len(seen) == 15  # each of them happens
    assert set(treatment.TASTES) <= set(GENRES)


def test_a_caption_may_say_how_it_sounds_and_a_prompt_is_read_so():
    song = compose(11, 3)
    plain = [captions.caption(song, random.Random(i)) for i in range(100)]
    assert plain == [captions.caption(song, random.Random(i), ()) for i in range(100)]
    said = [captions.caption(song, random.Random(i), ("vinyl", "wide")).lower() for i in range(200)]
    words = [phrase for kind in ("vinyl", "wide") for phrases in SOUND_WORDS[kind] for phrase in phrases]
    assert 0.35 < np.mean([any(word in text for word in words) for text in said]) < 0.75
    for kind, phrases in SOUND_WORDS.items():
        for phrase in (phrase for some in phrases for phrase in some):
            controls, _ = find_controls(f"lofi, {phrase}, 84 bpm")
            expected, _ = find_controls("lofi, 84 bpm")
            told = {k for k, v in vars(controls).items() if v != getattr(expected, k)}
            assert told <= {"instruments", "cues", "roles", "sound"} and controls.sound == (kind,), (phrase, controls)


def test_channels_are_placed_and_weighed(song, everything):
    pans = {role: replace(t, pan=-0.8 if i else 0.8, width=0.0) for i, (role, t) in enumerate(everything.roles.items())}
    made = session.record(song, voices(song), replace(everything, roles=pans))
    first, second = list(made.stems)[:2]
    assert rms(made.stems[first][1]) > 2 * rms(made.stems[first][0])
    assert rms(made.stems[second][0]) > 2 * rms(made.stems[second][1])


def test_a_touch_is_read_from_a_note():
    ((start, touch),) = touches([Note("keys", 69, 0.5, 0.333, 97)])
    assert (start, touch.pitch, touch.velocity, touch.seconds) == (22_050, 69, 96, 0.34)
    assert touch.frequency == 440.0 and touch == Touch(69, 96, 0.34, 0)
    assert Channel("keys", 0, 0, 0, 0, 0).role == "keys"
