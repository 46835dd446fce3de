"""The synthesizer: notes sound when and where the score says, always the same; the stems are the mix taken apart."""

import numpy as np
import pytest

from hybridgen.data import synth
from hybridgen.data.song import Channel, Note, Song
from hybridgen.data.synth import BLOCK, Soundfont, Synth, find_soundfont, mix
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE


@pytest.fixture(scope="module")
def player() -> Synth:
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    if not any(soundfont.path.is_file() for soundfont in synth.SOUNDFONTS):
        pytest.skip("no soundfont is installed")
    return Synth()


def channel(role: str, program: int, gain_db: float = 0.0, pan: float = 0.0, sends: float = 0.0) -> Channel:
    return Channel(role, program, gain_db, pan, reverb=sends, chorus=sends)


def song(channels: list[Channel], notes: list[Note], seconds: float = 2.0) -> Song:
    instruments = tuple((channel.role, channel.program) for channel in channels)
    plan = Plan(n_samples=round(seconds * SAMPLE_RATE), meter=None, instruments=instruments)
    return Song(0, 0, "test", (), plan, tuple(notes), tuple(channels))


def band(seconds: float = 3.001) -> Song:
    channels = [channel("drums", 0), channel("bass", 33, -3), channel("lead", 80, -6, 0.5, 0.6)]
    notes = [Note("drums", 38, t / 2, 0.1, 100) for t in range(6)]
    notes += [Note("bass", 36 + t, t / 3, 0.3, 90) for t in range(9)]
    notes += [Note("lead", 64 + t, t / 4, 0.4, 80) for t in range(12)]
    return song(channels, notes, seconds)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def onset(samples: np.ndarray) -> int:
    loud = np.abs(samples).max(0)
    return int(np.argmax(loud > 0.05 * loud.max()))


def test_a_song_has_exactly_the_samples_of_its_plan(player):
    for seconds in (1.0, 1.2345, 3.0):
        one = band(seconds)
        samples = player.play(one)
        assert samples.shape == (2, one.plan.length) == (2, round(seconds * SAMPLE_RATE))
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()


def test_the_same_song_gives_the_same_samples_whatever_was_played_before(player):
    first = player.play(band())
    player.play(song([channel("pad", 89, sends=1.0)], [Note("pad", 60, 0, 1.5, 100)]))
    np.testing.assert_array_equal(player.play(band()), first)
    np.testing.assert_array_equal(Synth().play(band()), first)


@pytest.mark.parametrize("start", [0.1, 0.5003, 1.23456])
def test_a_note_sounds_where_it_starts(player, start):
    zero = onset(player.play(song([channel("drums", 0)], [Note("drums", 37, 0.0, 0.1, 120)])))
    late = onset(player.play(song([channel("drums", 0)], [Note("drums", 37, start, 0.1, 120)])))
    assert abs(late - zero - start * SAMPLE_RATE) <= BLOCK / 2 + 1


def test_the_stems_add_up_to_the_mix(player):
    whole, stems = player.play(band()), player.stems(band())
    assert list(stems) == ["drums", "bass", "lead"]
    assert rms(sum(stems.values()) - whole) < 0.01 * rms(whole)


def test_roles_can_be_played_alone(player):
    np.testing.assert_array_equal(player.play(band(), ("bass",)), player.stems(band())["bass"])
    assert np.abs(player.play(band(), ())).max() < 1e-6


def test_pan_and_gain_are_heard(player):
    notes = [Note("keys", 60, 0.0, 1.0, 90)]
    for pan in (-1.0, 1.0):
        left, right = player.play(song([channel("guitar", 24, pan=pan)], [Note("guitar", 60, 0.0, 1.0, 90)]))
        assert -pan * 20 * np.log10(rms(left) / rms(right)) > 15
    soft = player.play(song([channel("keys", 4, -12), channel("bass", 33)], notes))
    full = player.play(song([channel("keys", 4, 0), channel("bass", 33)], notes))
    assert 10 < 20 * np.log10(rms(full) / rms(soft)) < 14


def test_programs_are_made_equally_loud(player):
    programs = (0, 47, 81, 13)
    raw = [player.level("keys", program) for program in programs]
    assert max(raw) - min(raw) > 12  # or there would be nothing to do
    channels = [
        channel(role, program) for role, program in zip(("keys", "winds", "lead", "guitar"), programs, strict=True)
    ]
    notes = [Note(c.role, pitch, i / 2, 0.45, 90) for c in channels for i, pitch in enumerate((55, 60, 64, 69))]
    stems = player.stems(song(channels, notes))
    levels = [synth.Audio(stem, SAMPLE_RATE).loudness() for stem in stems.values()]
    assert max(levels) - min(levels) < 4


def test_a_key_struck_again_is_not_cut_by_the_first_note_off(player):
    held = [Note("winds", 72, 0.0, 0.6, 90), Note("winds", 72, 0.5, 1.4, 90)]
    samples = player.play(song([channel("winds", 73)], held))
    late = slice(int(1.5 * SAMPLE_RATE), int(1.8 * SAMPLE_RATE))
    assert rms(samples[:, late]) > 0.3 * rms(samples[:, : SAMPLE_RATE // 2])


def test_the_master_is_at_its_level_and_ends_in_silence(player):
    stems = player.stems(band())
    audio, gain_db = mix(sum(stems.values()))
    alone = mix(stems["drums"], gain_db)[0]
    assert alone.loudness() < audio.loudness() < alone.loudness() + 20  # as loud as it is in the mix
    assert audio.samples.shape == (2, band().plan.length)
    assert abs(audio.loudness() + 14) < 1
    assert audio.true_peak() <= -1.0
    assert np.abs(audio.samples[:, -1]).max() < 1e-4
    assert abs(audio.samples.mean()) < 1e-3


def test_what_is_missing_is_named(monkeypatch, tmp_path, player):
    with pytest.raises(ValueError, match=r"drums program 77: the soundfont's bank 128 has none"):
        player.play(song([channel("drums", 77)], []))
    with pytest.raises(ValueError, match=r"nothing\.sf2' is not a file"):
        Synth(tmp_path / "nothing.sf2")
    (tmp_path / "bad.sf2").write_bytes(b"no soundfont")
    with pytest.raises(ValueError, match=r"bad\.sf2' cannot be read"):
        Synth(tmp_path / "bad.sf2")
    monkeypatch.setattr(synth, "SOUNDFONTS", (Soundfont(tmp_path / "no.sf2", "some-soundfont", ""),))
    with pytest.raises(ValueError, match="apt-get install some-soundfont"):
        find_soundfont()
