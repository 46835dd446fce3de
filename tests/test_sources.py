"""Sound files whose names or headers lie, broken, joined or endless ones: what is in them is read, the rest said."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from hybridgen import audio, sources
from hybridgen.audio import Audio

RATE, SECONDS = 44_100, 3.0
HEADER = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 4, 16)


@pytest.fixture
def sound() -> np.ndarray:
    """(2, N) float32, low noise as music has."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, round(SECONDS * RATE) + 8)) * 0.3
    return np.lib.stride_tricks.sliding_window_view(noise, 9, axis=1).mean(2).astype(np.float32)


def pcm(samples: np.ndarray) -> bytes:
    return (samples.T * 32767).astype("<i2").tobytes()


def wave(data: bytes, promised: int, riff: int = 0, after: bytes = b"") -> bytes:
    """A WAV file whose header says that `promised` bytes of sound follow."""
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<I", 16) + HEADER
    return head + b"data" + struct.pack("<I", promised) + data + after


def write_m4a(path: Path, samples: np.ndarray) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        for start in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("promised", "riff", "note"),
    [
        (0, 0, "promises 0 bytes of sound"),  # a recorder that died
        (0xFFFFFFFF, 0xFFFFFFFF, None),  # a program that wrote to a pipe
        (10_000_000, 10_000_036, "promises 10,000,000 bytes of sound"),  # a copy that broke off
    ],
)
def test_a_wav_file_whose_header_does_not_fit_is_read_to_its_end(sound, tmp_path, promised, riff, note):
    path = tmp_path / "x.wav"
    path.write_bytes(wave(pcm(sound), promised, riff))
    loaded = Audio.load(path)
    assert np.abs(loaded.samples - sound).max() < 1e-4
    assert (note is None and not loaded.notes) or note in loaded.notes[0]


def test_chunks_after_the_sound_are_no_sound_and_bytes_that_are_no_chunks_are_named(sound, tmp_path):
    path, data = tmp_path / "x.wav", pcm(sound)
    path.write_bytes(wave(data, len(data), 36 + len(data), b"LIST" + struct.pack("<I", 4) + b"INFO"))
    loaded = Audio.load(path)
    assert loaded.samples.shape == sound.shape and not loaded.notes
    path.write_bytes(wave(data, len(data) // 2, 36 + len(data) // 2))
    loaded = Audio.load(path)
    assert loaded.samples.shape[1] == sound.shape[1] // 2
    assert "follow the end that its header gives" in loaded.notes[0]
    path.write_bytes(wave(b"", 0, 36))
    assert Audio.load(path).samples.shape == (2, 0)


@pytest.mark.parametrize("name", ["song.m4a", "song.mp3", "song.wav", "song.flac", "song"])
def test_the_content_decides_what_a_file_is_and_not_its_name(sound, tmp_path, name):
    write_m4a(tmp_path / name, sound)
    assert abs(Audio.load(tmp_path / name).seconds - SECONDS) < 0.1


def test_a_container_that_soundfile_takes_for_mp3_is_not_offered_to_it(sound, tmp_path, monkeypatch):
    write_m4a(tmp_path / "song.mp3", sound)
    monkeypatch.setattr(sources, "_open_soundfile", lambda *_: pytest.fail("its bytes say MP4"))
    assert abs(Audio.load(tmp_path / "song.mp3").seconds - SECONDS) < 0.1


@pytest.mark.parametrize("ending", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_format_of_soundfile_under_any_name(sound, tmp_path, ending):
    for name in ("x.mp3", "x.m4a", "x.txt"):
        soundfile.write(tmp_path / name, sound.T, RATE, format=ending)
        assert abs(Audio.load(tmp_path / name).seconds - SECONDS) < 0.1


def test_mp3_files_joined_to_one_are_all_read(sound, tmp_path):
    soundfile.write(tmp_path / "one.mp3", sound.T, RATE)
    one = (tmp_path / "one.mp3").read_bytes()
    single = Audio.load(tmp_path / "one.mp3")
    assert not single.notes
    (tmp_path / "two.mp3").write_bytes(one + b"TAG" + b"\0" * 125 + one)
    both = Audio.load(tmp_path / "two.mp3")
    assert both.samples.shape[1] == 2 * single.samples.shape[1]
    assert "2 MP3 files" in both.notes[0]


def test_a_part_of_another_rate_is_left_out_with_a_note(sound, tmp_path):
    soundfile.write(tmp_path / "a.mp3", sound.T, RATE)
    soundfile.write(tmp_path / "b.mp3", sound.T, 48_000)
    (tmp_path / "both.mp3").write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    both = Audio.load(tmp_path / "both.mp3")
    assert both.samples.shape == Audio.load(tmp_path / "a.mp3").samples.shape
    assert "part 2 has another rate" in both.notes[-1]


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(sound, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.flac", sound.T, RATE)
    whole = (tmp_path / "x.flac").read_bytes()
    monkeypatch.setattr(sources, "BLOCK", 8192)
    (tmp_path / "x.flac").write_bytes(whole[: len(whole) // 2])
    loaded = Audio.load(tmp_path / "x.flac")
    assert 0 < loaded.samples.shape[1] < sound.shape[1]
    assert "promises 3.00 s" in loaded.notes[0] or "is broken after" in loaded.notes[0]


def test_without_ffmpeg_the_extra_is_named(sound, tmp_path, monkeypatch):
    write_m4a(tmp_path / "x.m4a", sound)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'hybridgen\[ffmpeg\]'"):
        Audio.load(tmp_path / "x.m4a")


@pytest.mark.parametrize("bits", [0, 33])
def test_sound_of_no_bits_that_anyone_decodes_is_one_line(tmp_path, bits):
    header = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 2 * bits // 8, bits)
    data = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", 4000) + bytes(4000)
    (tmp_path / "x.wav").write_bytes(b"RIFF" + struct.pack("<I", len(data)) + data)
    with pytest.raises(ValueError, match="not audio that can be read"):
        Audio.load(tmp_path / "x.wav")


# ---- limits


@pytest.mark.parametrize("rate", [44_100, 192_000])
def test_an_hour_of_silence_is_refused_by_its_header_before_a_sample_is_decoded(tmp_path, monkeypatch, rate):
    with soundfile.SoundFile(tmp_path / "bomb.flac", "w", rate, 2) as file:
        for _ in range(20):
            file.write(np.zeros((rate, 2)))
    monkeypatch.setattr(audio, "MAX_SECONDS", 10)
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    with pytest.raises(ValueError, match="longer than the limit of"):
        Audio.load(tmp_path / "bomb.flac")


def test_samples_are_counted_where_the_header_does_not_say_how_many(sound, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.mp3", sound.T, RATE)
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    monkeypatch.setattr(soundfile.SoundFile, "frames", 2**63 - 1)
    with pytest.raises(ValueError, match="longer than the limit of 1 s"):
        Audio.load(tmp_path / "x.mp3")


@pytest.mark.parametrize("change", [lambda samples: samples, lambda samples: samples[:, :50_001]])
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_a_file_read_at_another_rate_has_the_length_of_the_whole_resampled(
    sound, tmp_path, rate, change: Callable[[np.ndarray], np.ndarray]
):
    samples = change(sound)
    soundfile.write(tmp_path / "x.wav", samples.T, RATE, "FLOAT")
    at_once, streamed = Audio(samples, RATE).resample(rate), Audio.load(tmp_path / "x.wav", rate)
    assert streamed.sample_rate == rate and streamed.samples.shape == at_once.samples.shape
    assert np.abs(streamed.samples - at_once.samples).max() < 1e-3
