"""Facts about RIFF chunks: another library reads what is written, what is read is what was written, junk is refused."""

import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wavinfo

from hybridgen import tags
from hybridgen.audio import Audio
from hybridgen.formats import riff
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan

LOOP = Plan(
    (Section("verse", (Bar("Am"), Bar("F G"))), Section("chorus", (Bar(), Bar("C")))),
    (Tempo(1, 120.0),),
    "4/4",
    "A minor",
    ending="cut",
)


def written(path: Path, chunks: riff.Chunks, bits: str = "24") -> Path:
    """A wav file of 99 samples of noise with these chunks."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 99)).astype(np.float32)
    Audio(noise, 44_100).write(path, ".wav", bits=bits)
    riff.append(path, chunks)
    return path


def test_a_loop_says_its_root_its_tempo_and_its_whole_length(tmp_path: Path):
    path = written(tmp_path / "x.wav", riff.describe(LOOP, "a tune é"))
    info = wavinfo.WavInfoReader(path, info_encoding="utf-8")
    (loop,) = info.smpl.sample_loops
    assert (loop.start, loop.end, loop.loop_type, loop.repetition_count) == (0, 8 * 44_100 - 1, 0, 0)
    assert (info.smpl.midi_note, info.smpl.sample_period_ns) == (69, 22_676)
    assert (info.info.title, info.info.keywords) == ("a tune é", "120 BPM, A minor, 4/4")
    assert info.info.software.startswith("hybridgen ") and info.info.comment == tags.MARK
    body = path.read_bytes().partition(b"acid")[2]
    flags, root, _, _, beats, unit, count, tempo = struct.unpack("<IHHfIHHf", body[4:28])
    assert (flags, root, beats, count, unit, tempo) == (0x02 | 0x04, 57, 16, 4, 4, 120.0)


@pytest.mark.parametrize(
    ("fields", "is_loop", "stretches"),
    [
        ({}, True, True),
        ({"ending": "loop"}, True, True),
        ({"ending": None}, False, False),
        ({"ending": "fade"}, False, False),
        ({"n_samples": 8 * 44_100 + 1}, False, False),  # the last bar line is not the end
        ({"n_samples": 8 * 44_100 - 1}, False, False),
        ({"tempo": (Tempo(1, 120, ramp=True), Tempo(3, 100))}, True, False),  # no one tempo to stretch from
    ],
)
def test_a_loop_is_what_is_cut_at_its_last_bar_line(fields: dict, is_loop: bool, stretches: bool):
    chunks = riff.describe(replace(LOOP, **fields), "x")
    assert (chunks.acid.is_loop, chunks.acid.stretches) == (is_loop, stretches)
    assert (chunks.sampler.loop is not None) == is_loop


def test_seven_eighths_count_seven_beats_a_bar_and_quarter_notes_a_minute():
    acid = riff.describe(Plan((Section(None, (Bar(),) * 3),), (Tempo(1, 92.3),), "7/8"), "x").acid
    assert (acid.beats, acid.meter, acid.root) == (21, (7, 8), None) and acid.tempo == pytest.approx(92.3)


def test_sections_are_regions_bars_and_chords_are_points(tmp_path: Path):
    path = written(tmp_path / "x.wav", riff.describe(LOOP, "x"))
    cues = wavinfo.WavInfoReader(path).cues
    found = [(at, cues.label_and_note(name)[0], cues.range(name)) for name, at in cues.each_cue()]
    bar = 2 * 44_100
    assert sorted(found, key=str) == sorted(
        [(0, "verse", 2 * bar), (2 * bar, "chorus", 2 * bar)]
        + [(number * bar, f"bar {number + 1}", None) for number in range(4)]
        + [(0, "Am", None), (bar, "F", None), (bar * 3 // 2, "G", None), (3 * bar, "C", None)],
        key=str,
    )


@pytest.mark.parametrize("bits", ["16", "24", "32f"])
def test_what_is_written_is_read_and_the_sound_is_as_it_was(bits: str, tmp_path: Path):
    rng = random.Random(1)
    plain = written(tmp_path / "plain.wav", riff.Chunks(), bits)
    for number in range(20):
        plan = random_plan(rng)
        chunks = riff.describe(plan, rng.choice(["x", "odd", "ünï"]), is_pitched=number % 2 == 0)
        path = written(tmp_path / f"{number}.wav", chunks, bits)
        assert riff.read(path) == chunks
        assert np.array_equal(soundfile.read(path)[0], soundfile.read(plain)[0])
        assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8


def test_the_clock_is_not_in_the_file(tmp_path: Path):
    data = written(tmp_path / "x.wav", riff.Chunks(), "32f").read_bytes()
    assert data[data.index(b"PEAK") + 12 :][:4] == bytes(4)


def test_thousands_of_markers_stop_no_reader(tmp_path: Path):
    plan = Plan((Section("verse", (Bar(("Am", "F")),) * 1400),), (Tempo(1, 300.0),), "2/4")
    path = written(tmp_path / "x.wav", riff.describe(plan, "x"))
    assert len(riff.read(path).markers) == 1 + 3 * 1400
    assert soundfile.info(path).frames == Audio.load(path).samples.shape[1] == 99


def test_a_plan_without_bars_has_no_chunks():
    with pytest.raises(ValueError, match="without bars"):
        riff.describe(Plan(n_samples=1000), "x")


# ---- what strangers write


def wave(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if length is None else length) + body + b"\0" * (len(body) % 2)


SMPL = struct.pack("<9I", 0, 0, 22_676, 60, 0, 0, 0, 1, 0)
ACID = struct.pack("<IHHfIHHf", 2, 60, 0x8000, 0.0, 16, 4, 4, 120.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a wav file"),
        (b"RIFF\0\0\0\0AVI ", "not a wav file"),
        (wave(chunk(b"smpl", SMPL)), "smpl of 36 bytes is cut short, 60 are needed"),
        (wave(chunk(b"smpl", SMPL[:20])), "smpl of 20 bytes is cut short"),
        (wave(chunk(b"smpl", SMPL + struct.pack("<6I", 0, 0, 9, 3, 0, 0))), "a loop from sample 9 to 3 cannot be"),
        (wave(chunk(b"smpl", bytes(36))), "a sample of 0 ns"),
        (wave(chunk(b"acid", ACID[:-1])), "acid of 23 bytes is cut short"),
        (wave(chunk(b"acid", ACID[:-4] + struct.pack("<f", float("nan")))), "tempo nan"),
        (wave(chunk(b"cue ", struct.pack("<I", 2**32 - 1))), "4294967295 cues need"),
        (wave(chunk(b"cue ", b"\1")), "cue of 1 bytes is cut short"),
        (wave(chunk(b"LIST", b"adtl" + chunk(b"labl", b"\1"))), "labl of 1 bytes is cut short"),
        (wave(chunk(b"LIST", b"INFO" + chunk(b"INAM", b"x", 2**31))), "runs over its end"),
        (wave(chunk(b"data", b"", 2**32 - 1)), "of 4294967295 bytes runs over the end"),
        (wave(b"dat"), "3 bytes after chunk 0 are no chunk"),
        (wave(*[chunk(b"junk", b"")] * (riff.MAX_CHUNKS + 1)), "more than 10000 chunks"),
        (wave(chunk(b"LIST", b"INFO" + bytes(riff.MAX_BYTES))), "over the limit"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(data: bytes, words: str, tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(ValueError, match=words) as refused:
        riff.read(tmp_path / "x.wav")
    assert "x.wav" in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_cut_or_damaged_anywhere_is_read_or_refused(tmp_path: Path):
    data = written(tmp_path / "x.wav", riff.describe(LOOP, "x")).read_bytes()
    rng, path = random.Random(0), tmp_path / "y.wav"
    damaged = [data[:stop] for stop in range(0, len(data), 3)]
    for _ in range(1000):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            copy[rng.choice([rng.randrange(len(data)), rng.randrange(12, 60), len(data) - rng.randint(1, 700)])] = (
                rng.choice([0, 1, 127, 255, rng.randrange(256)])
            )
        damaged.append(bytes(copy))
    refused = 0
    for one in damaged:
        path.write_bytes(one)
        try:
            riff.read(path)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > len(data) // 6


def test_text_that_is_not_utf_8_is_read_as_latin_1(tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(wave(chunk(b"LIST", b"INFO" + chunk(b"INAM", b"caf\xe9\0"))))
    assert riff.read(tmp_path / "x.wav").info == {"INAM": "café"}
