"""What comes from strangers: every value of a plan, a manifest and a model's config replaced by hostile ones in turn.

Each is refused by one line, at once, or taken and of no harm: no other error, no memory, no control characters.
"""

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hybridgen import config, manifest, weights
from hybridgen.audio import Audio
from hybridgen.cli import main
from hybridgen.cli.options import printable
from hybridgen.history import AdapterRecord, Change, Import, ModelRecord, Render
from hybridgen.manifest import Manifest
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Ending, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.sampling import SamplingConfig, SamplingParams
from hybridgen.stages import PipelineConfig
from hybridgen.text.encoder import TextConfig, TextEncoder, find_folder
from hybridgen.track import Track
from tests.conftest import MICRO

PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar(("F", "G"))), 4, ("drums", "bass")), Section(None, (Bar(),))),
    (Tempo(1, 120.0, True), Tempo(2, 90.0)),
    instruments={"drums": 0, "bass": None},
    prompt="a test",
    meter="4/4",
    key="A minor",
    ending=Ending("fade", 1),
)
SAMPLING = SamplingConfig(2, 2.0, 64, 16, SamplingParams(), SamplingParams())
MODEL = ModelRecord("tiny", {"codec.safetensors": "0" * 64})
ADAPTERS = (AdapterRecord("style", 0.5, {"planner": "0" * 64}),)
MANIFESTS = (
    Manifest(
        "hybridgen 0",
        (Render(PLAN, 1, SAMPLING, MODEL, ADAPTERS), Change(PLAN, ((0, 9),), 1, SAMPLING, MODEL, ADAPTERS)),
        -3.0,
        {"torch": "2"},
    ),
    Manifest("hybridgen 0", (Import(PLAN, "0" * 64, 120.0, 0.5, MODEL),), -3.0, {}),
)
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
HOSTILE = [
    *(None, True, False, 0, -1, 1, 7.5, -0.0, 1e308, 2**31, 2**53 + 1, 10**18, 10**400, float("nan"), float("inf")),
    *("", "x", "\x1b]0;x\x07", "\u202e", "a" * 100_000, "../../etc/passwd", "\0", "٣", "\ud800"),
    *([], {}, [[]], [None], {"op": 1}, {"": None}, [0] * 20_000, DEEP),
]


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The place of every value in plain JSON values."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*at, key))


def with_value(values: Any, place: tuple, value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(values)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return changed


def without(values: Any, place: tuple) -> Any:
    changed = copy.deepcopy(values)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    del parent[place[-1]]
    return changed


def variants(values: Any) -> Iterator[Any]:
    """Values with each of their parts replaced by each of HOSTILE, taken away, or beside one that is unknown."""
    for place in places(values):
        for hostile in HOSTILE:
            yield with_value(values, place, hostile)
        if place:
            yield without(values, place)
        yield with_value(values, (*place, "\x1bunknown"), 1) if isinstance(_at(values, place), dict) else values


def _at(values: Any, place: tuple) -> Any:
    for key in place:
        values = values[key]
    return values


def check(error: ValueError) -> None:
    assert len(str(error).splitlines()) == 1 and len(str(error)) < 1000, str(error)[:2000]


@pytest.mark.parametrize("record", MANIFESTS, ids=["render and edit", "import"])
def test_a_manifest_is_taken_or_refused_in_one_line(record: Manifest):
    values, n_taken, n_refused = json.loads(record.to_json()), 0, 0
    for changed in variants(values):
        started = time.perf_counter()
        try:
            taken = Manifest.from_json(json.dumps(changed))
        except ValueError as error:
            check(error)
            n_refused += 1
        else:
            assert Manifest.from_json(taken.to_json()) == taken
            n_taken += 1
        assert time.perf_counter() - started < 5
    assert n_taken > 50 and n_refused > 500


def test_a_plan_is_taken_or_refused_in_one_line():
    values, n_taken, n_refused = json.loads(PLAN.to_json()), 0, 0
    for changed in variants(values):
        try:
            taken = Plan.from_json(json.dumps(changed))
        except ValueError as error:
            check(error)
            n_refused += 1
        else:
            assert Plan.from_json(taken.to_json()) == taken
            n_taken += 1
    assert n_taken > 50 and n_refused > 300


def test_a_config_is_taken_or_refused_in_one_line():
    values, n_refused = {name: section for name, section in config.dump(MICRO).items() if section is not None}, 0
    for changed in variants(values):
        try:
            config.build(PipelineConfig, changed)
        except ValueError as error:
            check(error)
            n_refused += 1
    assert n_refused > 1000


# ---- by command


@pytest.fixture(scope="module")
def track(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> tuple[Track, Path]:
    track = pipe.render(replace(PLAN, ending=None), seed=1)
    return track, track.save(tmp_path_factory.mktemp("track") / "a.wav", latents=False)


def embedded(track: tuple[Track, Path], record: dict, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The track's file with this JSON as its manifest, its digest right."""
    path = folder / "hostile.wav"
    path.write_bytes(track[1].read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(
            Manifest, "to_json", lambda self: json.dumps({"sha256": "0" * 64, **record}, separators=(",", ":"))
        )
        manifest.embed(path, track[0].manifest)
    return path


def refuse(*_: object, **__: object) -> None:
    raise ValueError("no model here")


@pytest.mark.parametrize(
    "change",
    [
        {"operations": [1]},
        {"operations": {}},
        {"operations": [{"op": "change"}]},
        {"versions": {"torch": "\x1b]0;x\x07"}},
        {"generator": "\x1b[2J"},
        {"gain_db": 10**30},
    ],
)
@pytest.mark.parametrize("command", ["inspect", "inspect --json", "verify", "replay", "repaint"])
def test_commands_on_a_hostile_manifest(track, change, command, tmp_path, monkeypatch, capsys):
    values = json.loads(track[0].manifest.to_json())
    path = embedded(track, {**values, **change, "sha256": "0" * 64}, tmp_path, monkeypatch)
    name, *flags = command.split()
    more = {"replay": ["-o", str(tmp_path / "r.wav")], "repaint": ["--bars", "1", "-o", str(tmp_path / "e.wav")]}
    monkeypatch.setattr(Pipeline, "from_pretrained", classmethod(refuse))  # what is taken need not be rendered
    assert main([name, str(path), *flags, *more.get(name, [])]) in (0, 1, 2)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err and "\x07" not in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_what_would_steer_a_terminal_is_not_printed():
    assert printable("a\x1b]0;x\x07\u202eb\nc") == "a\ufffd]0;x\ufffd\ufffdb\nc"


# ---- weights


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("planner", {"dim": 65_536, "n_heads": 512, "n_kv_heads": 1}),
        ("planner", {"ffn_dim": 65_536}),
        ("renderer", {"dim": 65_536}),
        ("quantizer", {"dim": 65_536}),
        ("codec", {"frame_dim": 65_536}),
        ("codec", {"decoder_layers": 512, "frame_dim": 4096}),
    ],
)
def test_no_more_memory_is_asked_for_than_the_weights_fill(pipe: Pipeline, tmp_path, section, changes):
    folder = pipe.save_pretrained(tmp_path / "model")
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values[section] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError, match=f"{section}.safetensors: the shapes in config.yaml ask for more than fits"):
        Pipeline.from_pretrained(folder).load()
    assert weights.SPARE < 10**7


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_files_of_the_text_encoder_are_held_to_their_hashes(tmp_path, name):
    folder = find_folder(TextConfig())
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    content = (folder / name).read_bytes()
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(content[:-1] + b" ")
    with pytest.raises(ValueError, match=f"{name} has sha256"):
        TextEncoder(replace(TextConfig(), folder=str(tmp_path)))


def test_a_config_that_is_a_link_out_of_its_folder_says_nothing_of_its_target(pipe: Pipeline, tmp_path):
    folder = pipe.save_pretrained(tmp_path / "model")
    (tmp_path / "secret").write_text("password: hunter2")
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="is a link to a file outside of its folder") as error:
        Pipeline.from_pretrained(folder)
    assert "password" not in str(error.value)
    (tmp_path / "models--a--b/blobs").mkdir(parents=True)
    (tmp_path / "models--a--b/snapshots/1").mkdir(parents=True)
    (tmp_path / "models--a--b/blobs/x").write_bytes((pipe.save_pretrained(tmp_path / "m") / "config.yaml").read_bytes())
    (tmp_path / "models--a--b/snapshots/1/config.yaml").symlink_to("../../blobs/x")
    assert weights.resolve(tmp_path / "models--a--b/snapshots/1")


# ---- what other tools lose, and what a machine lacks


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_file_that_lost_its_manifest_still_says_what_it_is(track, ending, tmp_path, capsys):
    path = track[0].save(tmp_path / f"a{ending}", latents=False)
    lost = path.read_bytes().replace(b'{"sha256":"', b'{"sha000":"').replace(b"hgen", b"junk")
    path.write_bytes(lost)
    if ending != ".ogg":  # whose pages then have other checksums
        assert main(["inspect", str(path)]) == 0
        assert "AI-generated music" in capsys.readouterr().out
        assert main(["inspect", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"ai_generated": True}
    Audio(np.zeros((2, 4410), np.float32), 44_100).save(tmp_path / "mine.wav")
    assert main(["inspect", str(tmp_path / "mine.wav")]) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: you tried to allocate 4460800 bytes."),
            "4460800 bytes",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has"), "2.50 GiB"),
        (MemoryError("Unable to allocate 1.50 GiB for an array with shape (2,)"), "1.50 GiB"),
        (RuntimeError("unable to mmap 90868376 bytes from file <x>: Cannot allocate memory (12)"), "90868376 bytes"),
        (MemoryError(), "could not be loaded"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "could not be loaded"),
        (RuntimeError("can't start new thread"), "could not be loaded"),
    ],
)
def test_too_little_memory_is_one_line(error, words, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("hybridgen.cli.inspect.run_info", fail)
    assert main(["info"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hybridgen: not enough memory") and words in said and len(said.splitlines()) == 1


def test_an_error_of_ours_is_not_taken_for_too_little_memory(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("hybridgen.cli.inspect.run_info", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        main(["info"])
