"""A budget for memory: what is chosen for it, that it is kept, and that nothing changes the music unsaid."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hybridgen import history, memory
from hybridgen.cli import main
from hybridgen.memory import CHOICES, LENGTHS, Budget, Choice, Need, Stage
from hybridgen.packed import PackedLinear
from hybridgen.pipeline import Pipeline
from hybridgen.track import Track

STORED, STORED_IN_TURN, INT8, INT8_IN_TURN = CHOICES[1:]
REQUEST = {"seconds": 2.0, "seed": 5}


@pytest.fixture(scope="module")
def folder(note_pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return note_pipe.save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def plain(folder: Path) -> Track:
    return Pipeline.from_pretrained(folder).generate("warm pads", **REQUEST)


def held(folder: Path, choice: Choice) -> Pipeline:
    """The model as a choice holds it, whatever would be chosen."""
    pipe = Pipeline.from_pretrained(folder)
    pipe.budget = Budget(1e9, pipe.need(choice))
    return pipe


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("4GB", 4e9), ("1.5 GiB", 1.5 * 2**30), ("900mb", 9e8), ("1000000B", 1e6), (2_000_000_000, 2e9), (1.5e9, 1.5e9)],
)
def test_a_size_is_read(text: str | float, n_bytes: float):
    assert memory.parse(text) == n_bytes


@pytest.mark.parametrize("text", ["", "4", "GB", "-1GB", "0GB", "1e9", "4 TB", "4GBs", True, 0, -1, float("nan")])
def test_what_is_no_size_is_one_line(text: str | float):
    with pytest.raises(ValueError, match="should be a size such as 4GB"):
        memory.parse(text)


@pytest.mark.parametrize("choice", [Choice(), STORED, INT8])
def test_what_is_counted_is_what_is_loaded(folder: Path, choice: Choice):
    pipe = held(folder, choice)
    for stage in pipe.need(choice).stages:
        module = getattr(pipe, stage.name)
        tensors = [*module.parameters(), *(one for name, one in module.named_buffers() if name.endswith("scale"))]
        if stage.name in ("planner", "renderer", "quantizer"):
            assert sum(one.nbytes for one in tensors) == stage.weights
        layers = [one for one in module.modules() if isinstance(one, PackedLinear)]
        assert bool(layers) == (stage.name in ("planner", "renderer") and choice != Choice())


@pytest.mark.parametrize("choice", [STORED, STORED_IN_TURN])
def test_weights_as_stored_make_the_same_music_bit_for_bit(folder: Path, plain: Track, choice: Choice):
    track = held(folder, choice).generate("warm pads", **REQUEST)
    assert track.plan == plain.plan and np.array_equal(track.samples, plain.samples)
    assert track.manifest == plain.manifest


def test_8_bits_are_recorded_and_replayed_by_a_pipeline_without_a_budget(folder: Path, plain: Track):
    track = held(folder, INT8).generate("warm pads", **REQUEST)
    assert track.manifest.operations[0].model.int8 and not plain.manifest.operations[0].model.int8
    assert not np.array_equal(track.samples, plain.samples)
    again = Pipeline.from_pretrained(folder).replay(track.manifest)
    assert np.array_equal(again.samples, track.samples) and again.manifest == track.manifest


def test_full_weights_are_replayed_under_a_budget_that_would_take_8_bits(folder: Path, plain: Track):
    again = held(folder, INT8).replay(plain.manifest)
    assert np.array_equal(again.samples, plain.samples)


def test_a_manifest_of_before_there_were_8_bits_reads_as_full_weights(plain: Track):
    values = history.dump(plain.manifest.operations[0])
    del values["model"]["int8"]
    assert history.build(values, "operation 1") == plain.manifest.operations[0]


def test_in_turn_planner_and_renderer_are_never_there_together(folder: Path):
    pipe, seen = held(folder, INT8_IN_TURN), set[frozenset[str]]()

    def look(*_: object) -> None:
        seen.add(frozenset(stage for stage, _ in pipe._loaded))

    pipe.load().generate("warm pads", **REQUEST, progress=look)
    assert seen == {frozenset({"text", "planner"}), frozenset({"renderer", "codec"})}


def test_a_stream_needs_all_stages_at_once(folder: Path):
    with pytest.raises(ValueError, match=r"memory .* in turn.*: a stream needs all of them at once"):
        held(folder, STORED_IN_TURN).stream("warm pads")


def need(gigabytes: dict[Choice, float], choice: Choice) -> Need:
    """A need of so many gigabytes, and a tenth of one for each 100 seconds."""
    stages = (Stage("planner", choice.weights, round(gigabytes[choice] * 1e9), 0), Stage("text", "float32", 0, 0))
    return Need(Choice(choice.weights), stages, 0.0, 1e6)


@pytest.mark.parametrize(
    ("limit", "expected", "seconds"),
    [
        (9e9, Choice(), 5000),
        (4.24e9, Choice(), 240),
        (4.23e9, STORED, 2230),
        (1.2e9, INT8_IN_TURN, 300),
        (1.1e9, INT8_IN_TURN, 200),
    ],
)
def test_the_first_that_fits_is_chosen(limit: float, expected: Choice, seconds: float):
    sizes = dict(zip(CHOICES, (4, 2, 1.5, 1.2, 0.9), strict=True))
    found = memory.choose(limit, lambda choice: need(sizes, choice))
    assert found.need.choice.weights == expected.weights and found.seconds == pytest.approx(seconds)
    found.check(seconds - 1)
    with pytest.raises(ValueError, match=rf"memory .* is too little for {seconds + 1:.0f} s of music: that needs"):
        found.check(seconds + 1)


def test_too_little_is_one_line_with_both_figures_before_anything_is_loaded(folder: Path, capsys):
    with pytest.raises(ValueError, match=r"memory 100 MB is too little: .* needs \d{3} MB$"):
        Pipeline.from_pretrained(folder, memory="100MB")
    assert main(["generate", "warm pads", "--model", str(folder), "--memory", "100MB", "-o", "x.wav"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hybridgen: memory 100 MB is too little") and len(said.splitlines()) == 1


def test_the_choice_is_said_in_one_line(folder: Path, tmp_path: Path, capsys):
    limit = round(Pipeline.from_pretrained(folder).need(Choice()).total()) - 1
    out = ["--seconds", "1", "-o", str(tmp_path / "track.wav")]
    assert main(["generate", "warm pads", "--model", str(folder), "--memory", f"{limit}B", *out]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert len(said) == 1 and "weights as stored, the same sound" in said[0]


def test_info_shows_what_each_stage_takes(folder: Path, capsys):
    assert main(["info", "--model", str(folder), "--memory", "4GB"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["stage", "matrices", "weights", "work"] in rows
    assert {"planner", "renderer", "codec", "text", "quantizer"} <= {row[0] for row in rows if row[1:2] == ["float32"]}


LIMITED = """
import resource, sys
from hybridgen import pipeline
from hybridgen.cli import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 40_000_000,) * 2)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_real_shortage_is_one_line_that_names_the_option(tmp_path: Path):
    command = [
        sys.executable,
        "-c",
        LIMITED,
        "generate",
        "warm pads",
        "--seconds",
        "20",
        "-o",
        str(tmp_path / "track.wav"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("hybridgen: not enough memory: ") and "--memory" in last
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_peak_of_a_process_stays_within_its_budget(script, tmp_path: Path):
    """Of 43 M + 107 M random weights, at the smallest choice: nothing but what is counted."""
    tool = script("tools/measure_memory.py")
    found = tool.measure(tool.random_model(tmp_path / "model"), INT8_IN_TURN, seconds=LENGTHS[-1] / 10)
    assert "in int8" in found.said and "in turn" in found.said
    assert found.peak < 1.05 * found.budget


def test_stages_that_work_at_the_same_time_need_memory_for_both():
    """A window is rendered while another is decoded; notes are written before."""
    works = {"planner": 30, "renderer": 20, "codec": 15}
    stages = tuple(Stage(name, "float32", 100, work) for name, work in works.items())
    assert Need(Choice(), stages, 0.0, 0.0).total() == 300 + 35
    assert Need(Choice(in_turn=True), stages, 0.0, 0.0).total() == 200 + 35 + memory.KEPT * 100
