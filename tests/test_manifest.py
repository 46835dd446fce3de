"""Every file carries what made it, whole, and a single changed byte anywhere is noticed."""

import dataclasses
import json
import random
import struct

import av
import numpy as np
import pytest
import soundfile

from hybridgen import files
from hybridgen import manifest as m

FORMATS = {
    "wav": ("WAV", "PCM_24"),
    "flac": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
RATE = 44_100


def a_manifest(size: int = 100, **changes) -> m.Manifest:
    rng = random.Random(0)
    fields = {
        "generator": "hybridgen 0.1.0",
        "kind": "generate",
        "prompt": 'slow "waltz" \u2665 \U0001f3b7\n{"sha256":"',
        "plan": {"codes": [rng.randrange(256) for _ in range(size)], "tempo": 84.1},
        "plan_seed": 1,
        "render_seed": 2**62,
        "sampling": {"num_steps": 8, "guidance_scale": 3.5},
        "gain_db": -2.5,
        "model": "tiny",
        "weights": {"codec.safetensors": "ab" * 32},
        "versions": m.versions(threads=1),
    }
    return m.Manifest(**{**fields, **changes})


def a_file(folder, suffix: str, seconds: float = 1.0):
    t = np.arange(int(seconds * RATE)) / RATE
    wave = np.stack([np.sin(440 * t), np.sin(550 * t)], 1) * 0.3
    path = folder / f"x.{suffix}"
    container, subtype = FORMATS[suffix]
    soundfile.write(path, wave, RATE, subtype, format=container)
    return path


def test_json_round_trips_and_is_strict():
    manifest = a_manifest(edits=[{"bars": [9, 12]}])
    text = manifest.to_json()
    assert m.Manifest.from_json(text) == manifest and text.isascii() and "\n" not in text
    fields = json.loads(text)
    bad = [
        ({**fields, "extra": 1}, "unknown ['extra']"),
        ({k: v for k, v in fields.items() if k != "plan"}, "missing ['plan']"),
        ({**fields, "plan_seed": 1.5}, "plan_seed '1.5' should be int"),
        ({**fields, "plan_seed": True}, "plan_seed 'True' should be int"),
        ({**fields, "plan": []}, "plan '[]' should be dict"),
        ({**fields, "format": 2}, "format 2 is not 1"),
        ({**fields, "kind": "dream"}, "kind 'dream' is none of"),
        ({**fields, "sha256": "x"}, "sha256 'x' is not"),
        ([], "missing"),
        ("[" * 100_000, "is not JSON"),
    ]
    for value, message in bad:
        with pytest.raises(ValueError, match="manifest") as error:
            m.Manifest.from_json(value if isinstance(value, str) else json.dumps(value))
        assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="JSON cannot"):
        a_manifest(plan={"x": float("nan")}).to_json()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_long_manifest_survives_whole_and_the_audio_is_untouched(tmp_path, suffix):
    path = a_file(tmp_path, suffix)
    before, _ = soundfile.read(path)
    written = m.embed(path, a_manifest(60_000))
    assert len(written.to_json()) > 200_000
    assert m.read(path) == written and m.verify(path) == []
    after, rate = soundfile.read(path)
    assert np.array_equal(before, after) and rate == RATE
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def tags_and_samples(path):
    with av.open(str(path)) as container:
        tags = {k.lower(): v for part in (*container.streams, container) for k, v in part.metadata.items()}
        return tags, sum(frame.samples for frame in container.decode(audio=0))


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_player_finds_generator_mark_and_sound(tmp_path, suffix):
    path = a_file(tmp_path, suffix)
    _, before = tags_and_samples(path)
    m.embed(path, a_manifest(60_000))
    tags, after = tags_and_samples(path)
    assert "AI-generated" in tags["comment"] and "hybridgen 0.1.0" in (tags.get("encoder"), tags.get("software"))
    assert before == after > 0.9 * RATE


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_inputs_give_the_same_bytes_and_embedding_again_replaces(tmp_path, suffix):
    path, copy = a_file(tmp_path, suffix), tmp_path / "copy"
    m.embed(path, a_manifest())
    first = path.read_bytes()
    copy.write_bytes(first)
    m.embed(copy, a_manifest(50_000))
    m.embed(copy, a_manifest())
    m.embed(a_file(tmp_path, suffix), a_manifest())
    assert path.read_bytes() == first == copy.read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_flipped_cut_or_added_byte_is_detected(tmp_path, suffix):
    path = a_file(tmp_path, suffix, seconds=0.2)
    m.embed(path, a_manifest(3_000))
    whole = path.read_bytes()
    rng = random.Random(1)
    start = whole.index(b'{"sha256":"')
    places = [*range(64), *range(start, start + 80), *rng.choices(range(len(whole)), k=200)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        problems = m.verify(path)
        assert problems and not any("\n" in line for line in problems), place
    for damaged in (whole[:-1], whole + b"\0", whole[: start + 40], whole[:5], b"", whole[1:]):
        path.write_bytes(damaged)
        assert m.verify(path)


def test_ogg_pages_stay_valid_around_any_header_size(tmp_path):
    path = a_file(tmp_path, "ogg", seconds=0.2)
    for size in range(15_900, 16_200, 7):  # around the 65,025 bytes that a page can hold
        m.embed(path, a_manifest(size))
        assert m.verify(path) == [] and soundfile.info(path).frames == int(0.2 * RATE)


def test_ogg_checksum_is_that_of_the_encoder(tmp_path):
    data = a_file(tmp_path, "ogg").read_bytes()
    assert b"".join(m._page(header, body) for _, header, body in m._pages(data)) == data


def test_a_file_without_manifest_says_so(tmp_path):
    path = a_file(tmp_path, "wav")
    with pytest.raises(ValueError, match=r"x\.wav carries no hybridgen manifest"):
        m.read(path)
    assert m.verify(path) == [f"{path} carries no hybridgen manifest"]


def test_what_is_no_audio_file_or_too_long_is_refused_and_left_alone(tmp_path):
    path = a_file(tmp_path, "wav")
    whole = path.read_bytes()
    lying = whole[:40] + struct.pack("<I", 2**31) + whole[44:]
    for content in (b"some text", b"", b"fLaC\x00\x01", b"OggS", lying):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.wav"):
            m.embed(path, a_manifest())
        assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="over the limit"):
        m.embed(path, a_manifest(prompt="x" * (m.MAX_BYTES + 1)))


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"), files.atomic_write(tmp_path / "none" / "x.wav"):
        pytest.fail("ran")
    (tmp_path / "x").write_text("old")
    with pytest.raises(OSError, match="disk full"), files.atomic_write(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert (tmp_path / "x").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_manifest_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_manifest().prompt = "other"
