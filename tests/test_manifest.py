"""Every file carries what made it, whole, and a single changed byte anywhere is noticed."""

import dataclasses
import functools
import json
import operator
import random
import struct
from collections.abc import Iterator

import av
import numpy as np
import pytest
import soundfile

from hybridgen import config, files, history, tags
from hybridgen import manifest as m
from hybridgen.history import AdapterRecord, Change, Import, ModelRecord, Render
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.sampling import SamplingConfig, SamplingParams

FORMATS = {
    "wav": ("WAV", "PCM_24"),
    "flac": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
RATE = 44_100


MODEL = ModelRecord("tiny", {"codec.safetensors": "ab" * 32})
SAMPLING = SamplingConfig(8, 3.5, 64, 16, SamplingParams(), SamplingParams(0.9))
PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar(("F", "G"))), 3, ("bass",)),),
    (Tempo(1, 84.1),),
    instruments={"bass": 33},
    prompt='slow "waltz" \u2665 \U0001f3b7\n{"sha256":"',
)
RENDER = Render(PLAN, 2**53 - 1, SAMPLING, MODEL, (AdapterRecord("my-style", 0.8, {"planner": "cd" * 32}),))


def a_manifest(size: int = 100, operations: tuple = (RENDER,), **changes) -> m.Manifest:
    versions = {**m.versions(threads=1), "filler": "x" * 4 * size}
    return m.Manifest(
        **{"generator": "hybridgen 0.1.0", "operations": operations, "gain_db": -2.5, "versions": versions, **changes}
    )


def a_file(folder, suffix: str, seconds: float = 1.0):
    t = np.arange(int(seconds * RATE)) / RATE
    wave = np.stack([np.sin(440 * t), np.sin(550 * t)], 1) * 0.3
    path = folder / f"x.{suffix}"
    container, subtype = FORMATS[suffix]
    soundfile.write(path, wave, RATE, subtype, format=container)
    return path


def test_json_round_trips_and_is_strict():
    edit = Change(PLAN.edit((2, 2), chords=["C"]), (PLAN.span((2, 2)),), 9, SAMPLING, MODEL)
    manifest = a_manifest(operations=(RENDER, edit))
    text = manifest.to_json()
    assert m.Manifest.from_json(text) == manifest and text.isascii() and "\n" not in text
    fields = json.loads(text)
    first = fields["operations"][0]
    bad = [
        ({**fields, "extra": 1}, "unknown ['extra']"),
        ({k: v for k, v in fields.items() if k != "operations"}, "missing ['operations']"),
        ({**fields, "gain_db": "loud"}, "gain_db 'loud' should be a number up to 200"),
        ({**fields, "format": 4}, "format 4 is none of 1 to 3"),
        ({**fields, "sha256": "x"}, "sha256 'x' is not"),
        ({**fields, "versions": {"torch": 2}}, "versions"),
        ({**fields, "operations": {}}, "operations '{}' should be a list"),
        ({**fields, "operations": []}, "operations: 0 is outside"),
        (
            {**fields, "operations": [{**first, "op": "dream"}]},
            "operation 1: op 'dream' is none of render, import, change",
        ),
        ({**fields, "operations": [{**first, "op": []}]}, "op '[]' is none of"),
        ({**fields, "operations": [{**first, "seed": 1.5}]}, "operation 1.seed: expected int, got 1.5"),
        ({**fields, "operations": [{**first, "plan": []}]}, "plan: expected dict"),
        ({**fields, "operations": [{**first, "mood": 1}]}, "operation 1: unknown ['mood']"),
        ({**fields, "operations": fields["operations"][1:]}, "the first operation is a change"),
        ({**fields, "operations": [first, first]}, "number 2 is 'render'"),
        ([], "expected a JSON object"),
        ("[" * 100_000, "is not JSON"),
    ]
    for value, message in bad:
        with pytest.raises(ValueError, match=r"manifest|operation|plan") as error:
            m.Manifest.from_json(value if isinstance(value, str) else json.dumps(value))
        assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="should be a number up to"):
        a_manifest(gain_db=float("nan"))


def test_format_1_is_read_as_operations():
    sampling = {**config.dump(SAMPLING), "method": "euler", "shift": 1.0}
    adapter = {"path": "my-style", "strength": 0.8, "sha256": {"planner": "cd" * 32}}
    edited = PLAN.edit((2, 2), chords=["C"])
    edit = {"plan": edited.to_dict(), "bars": [2, 2], "render_seed": 9, "sampling": sampling}
    fields = {
        "sha256": "0" * 64,
        "generator": "hybridgen 0.1.0",
        "kind": "edit",
        "prompt": PLAN.prompt,
        "plan": PLAN.to_dict(),
        "plan_seed": 0,
        "render_seed": RENDER.seed,
        "sampling": sampling,
        "gain_db": -2.5,
        "model": MODEL.name,
        "weights": MODEL.weights,
        "versions": {},
        "edits": [edit],
        "adapters": [adapter],
        "ai_generated": True,
        "format": 1,
    }
    read = m.Manifest.from_json(json.dumps(fields))
    assert read == a_manifest(
        operations=(RENDER, Change(edited, (edited.span((2, 2)),), 9, SAMPLING, MODEL)), versions={}
    )
    recording = {"recording": "ef" * 32, "tempo": 120, "downbeat": 0.5}
    read = m.Manifest.from_json(json.dumps({**fields, "edits": [recording, edit], "adapters": []}))
    assert read.operations[0] == Import(PLAN, "ef" * 32, 120.0, 0.5, MODEL) and len(read.operations) == 2
    assert read.is_recording and read.plan == edited
    with pytest.raises(ValueError, match="method 'rk9' is no longer an option"):
        m.Manifest.from_json(json.dumps({**fields, "sampling": {**sampling, "method": "rk9"}}))
    values = {**history.dump(RENDER), "plan": edited.to_dict(), "op": "edit", "bars": [2, 2]}
    old = {**json.loads(a_manifest(versions={}).to_json()), "format": 2}
    old["operations"] = [history.dump(RENDER), {**values, "seed": 9, "adapters": []}]
    assert m.Manifest.from_json(json.dumps(old)).operations[1].fresh == (edited.span((2, 2)),)
    old["operations"][1]["bars"] = [2, 99]
    with pytest.raises(ValueError, match="bars 2-99 are not inside the plan's bars"):
        m.Manifest.from_json(json.dumps(old))
    for edits in ([{}], [1], 5):
        with pytest.raises(ValueError, match="format 1"):
            m.Manifest.from_json(json.dumps({**fields, "edits": edits}))


JUNK = (
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    -(10**400),
    float("nan"),
    "",
    "x" * 5000,
    "\ud800",
    [],
    [1],
    {},
    {"a": 1},
    [[]],
)


def spots(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path of every part of a JSON value."""
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from spots(value[key], (*path, key))


def test_a_manifest_with_any_part_replaced_or_removed_is_read_or_refused_in_one_line():
    edit = Change(PLAN.edit((2, 2), chords=["C"]), (PLAN.span((2, 2)),), 9, SAMPLING, MODEL)
    text, rng = a_manifest(operations=(RENDER, edit)).to_json(), random.Random(0)
    places = list(spots(json.loads(text)))
    for _ in range(1500):
        fields = json.loads(text)
        *path, last = rng.choice(places)
        parent = functools.reduce(operator.getitem, path, fields)
        if rng.random() < 0.2:
            del parent[last]
        else:
            parent[last] = rng.choice(JUNK)
        try:
            m.Manifest.from_json(json.dumps(fields)).plan.text()
        except ValueError as error:
            assert "\n" not in str(error)


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


def chunks(data: bytes) -> list[bytes]:
    """Names of the chunks of a wav file, each at an even place, the last one ending with the file."""
    names, start = [], 12
    assert data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") == len(data) - 8
    while start < len(data):
        names.append(data[start : start + 4])
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        start += 8 + length + length % 2
    assert start == len(data)
    return names


def test_chunks_of_a_wav_file_of_odd_length_are_padded(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 101), RATE, subtype="PCM_U8")
    before, _ = soundfile.read(path)
    m.embed(path, a_manifest())
    assert chunks(path.read_bytes()) == [b"fmt ", b"hgen", b"LIST", b"data"]
    assert np.array_equal(soundfile.read(path)[0], before)
    assert m.verify(path) == []


def tags_and_samples(path):
    with av.open(str(path)) as container:
        found = {k.lower(): v for part in (*container.streams, container) for k, v in part.metadata.items()}
        return found, sum(frame.samples for frame in container.decode(audio=0))


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_player_finds_generator_mark_and_sound(tmp_path, suffix):
    path = a_file(tmp_path, suffix)
    _, before = tags_and_samples(path)
    m.embed(path, a_manifest(60_000))
    found, after = tags_and_samples(path)
    assert "AI-generated" in found["comment"]
    assert "hybridgen 0.1.0" in (found.get("encoder"), found.get("software"))
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
        corrupt = bytearray(whole)
        corrupt[place] ^= 1 << rng.randrange(8)
        path.write_bytes(corrupt)
        problems = m.verify(path)
        assert problems and not any("\n" in line for line in problems), place
    for corrupt in (whole[:-1], whole + b"\0", whole[: start + 40], whole[:5], b"", whole[1:]):
        path.write_bytes(corrupt)
        assert m.verify(path)


def test_ogg_pages_stay_valid_around_any_header_size(tmp_path):
    path = a_file(tmp_path, "ogg", seconds=0.2)
    for size in range(15_900, 16_200, 7):  # around the 65,025 bytes that a page can hold
        m.embed(path, a_manifest(size))
        assert m.verify(path) == [] and soundfile.info(path).frames == int(0.2 * RATE)


def test_ogg_checksum_is_that_of_the_encoder(tmp_path):
    data = a_file(tmp_path, "ogg").read_bytes()
    assert b"".join(tags._page(header, body) for _, header, body in tags._pages(data)) == data


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
        m.embed(path, a_manifest(m.MAX_BYTES // 4))


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
        a_manifest().generator = "other"
