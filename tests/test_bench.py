"""hybridgen bench: what stands beside what, at equal shapes, and what is made of the timings."""

import functools
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hybridgen import config
from hybridgen.benchmark import agreement, measure, ours, peers, report, rows, run
from hybridgen.benchmark.measure import Act, Limits, Memory, Spread
from hybridgen.benchmark.rows import Contest, Row, Side
from hybridgen.benchmark.task import Sizes, Task, Work, make_task, n_parameters, n_rows
from hybridgen.cli import main
from hybridgen.planner import Planner
from hybridgen.renderer import Renderer
from hybridgen.stages import PipelineConfig

CPU = torch.device("cpu")
LIMITS = Limits(bandwidth=100.0, matrix=1000.0)


@pytest.fixture(scope="module")
def task(note_model: Path) -> Task:
    return make_task(ours.pipeline(str(note_model), CPU, None), str(note_model), 2.0)


@pytest.fixture(scope="module")
def tiny_task(task: Task) -> Task:
    """The same amounts, at the shapes of the shipped model."""
    shapes = config.load(PipelineConfig, config.model_file("tiny"))
    planner, renderer = Planner(shapes.planner), Renderer(shapes.renderer)
    step = n_parameters(planner.blocks, planner.norm, planner.depth_head)
    return replace(task, shapes=shapes, sizes=Sizes(step, n_parameters(renderer.blocks), 8_000_000))


def work(amount: float, parameters: int = 10, **facts: float) -> Callable[[Task], Work]:
    return lambda task: Work(lambda: None, amount, parameters, **facts)


def contest(**changes: object) -> Contest:
    plain = Contest("a part", "a peer", work(20, n_bytes=50.0), work(30), ("json",), "steps/s", "bandwidth")
    return replace(plain, **changes)  # type: ignore[arg-type]


def measured(task: Task, *contests: Contest, conditions: tuple[bool, ...] = (False,)) -> list[Row]:
    seconds = Spread(2.0, 1.0, 4.0), Spread(6.0, 5.0, 10.0)
    memory = lambda make, modules, task: Memory(3, 2)  # noqa: E731
    so_far = list(rows.Bench(task, LIMITS, lambda a, b: seconds, conditions, memory).measured(contests))
    assert [len(found) for found in so_far] == [(i + 1) * len(conditions) for i in range(len(contests))]
    return so_far[-1]


# ---- rows


def test_a_row_says_how_much_a_second_both_make_and_how_much_more_we_do(task: Task):
    (row,) = measured(task, contest())
    assert row.ours is not None and row.theirs is not None
    assert row.ours.rate == Spread(10.0, 5.0, 20.0)  # 20 in 2 s
    assert row.theirs.rate == Spread(5.0, 3.0, 6.0)
    assert row.ratio == 2.0 and row.ours.memory == Memory(3, 2)


def test_each_side_has_the_threads_that_suit_it(task: Task):
    seen, before = list[int](), torch.get_num_threads()
    looking = Contest(
        "a part", "a peer", *[lambda _: Work(lambda: seen.append(torch.get_num_threads()), 1, 1)] * 2, (), ""
    )

    def time(ours: Act, theirs: Act) -> tuple[Spread, Spread]:
        theirs(), ours(), theirs()
        return Spread(1, 1, 1), Spread(1, 1, 1)

    torch.set_num_threads(2)
    try:
        for threads in (1, None):
            list(rows.Bench(task, LIMITS, time, (False,), lambda *_: Memory(1, 1), threads=threads).measured([looking]))
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 1, 2, 2, 2, 2]


def test_a_step_is_measured_against_the_bytes_that_it_reads(task: Task):
    (row,) = measured(task, contest())
    assert row.ours is not None and row.ours.share == 50 / 2 / LIMITS.bandwidth
    assert row.theirs is not None and row.theirs.share == 0


def test_a_product_is_measured_against_its_operations(task: Task):
    a = torch.ones(5, 5)
    side = lambda task: Work(lambda: None, 1, 1, counted=lambda: a @ a)  # noqa: E731
    (row,) = measured(task, contest(ours=side, theirs=side, limit="matrix"))
    assert row.ours is not None and row.ours.share == 2 * 5**3 / 2 / LIMITS.matrix


def test_what_is_not_installed_is_named_and_the_rest_is_measured(task: Task):
    missing, there = measured(task, contest(modules=("json", "no_such_peer.model")), contest())
    assert missing.ratio is None and missing.note == "no_such_peer is not installed: pip install 'hybridgen[bench]'"
    assert there.ratio == 2.0


def test_what_fails_says_so_in_a_line_and_the_rest_is_measured(task: Task):
    def fails(task: Task) -> Work:
        raise RuntimeError("out of\nmemory")

    failed, there = measured(task, contest(theirs=fails), contest())
    assert failed.ratio is None and failed.note == "RuntimeError: out of memory" and there.ratio == 2.0


def test_everything_is_measured_again_beside_a_busy_core(task: Task, monkeypatch: pytest.MonkeyPatch):
    started = []
    monkeypatch.setattr(measure, "SPIN", "import time; time.sleep(60)")
    popen = measure.subprocess.Popen
    monkeypatch.setattr(measure.subprocess, "Popen", lambda *args: started.append(popen(*args)) or started[-1])
    assert [row.is_busy for row in measured(task, contest(), conditions=(False, True))] == [False, True]
    assert len(started) == 1 and started[0].poll() is not None


def test_a_busy_core_is_free_again_after_an_error():
    with pytest.raises(KeyError), measure.busy_core():
        raise KeyError
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children.read_text().split()]
        assert not any("getppid" in line for line in lines)


def test_two_calls_take_turns_and_the_first_of_each_does_not_count():
    called, clock = list[str](), iter([100.0, 100.0, 1.0, 10.0, 2.0, 20.0, 3.0, 30.0])

    def timed(act: Callable[[], object]) -> float:
        act()
        return next(clock)

    found = measure.alternate(lambda: called.append("ours"), lambda: called.append("peer"), 0.0, timed)
    assert called == ["ours", "peer"] * 4
    assert found == (Spread(2.0, 1.0, 3.0), Spread(20.0, 10.0, 30.0))


def test_the_limits_are_those_of_a_copy_and_of_a_product():
    found = measure.limits(CPU, measure.Probe(2**20, 128, 2))
    assert 1e8 < found.bandwidth < 1e13 and 1e8 < found.matrix < 1e15


def test_the_memory_of_a_process_is_what_it_makes():
    numbers = 25_000_000
    load, make = functools.partial(torch.ones, 1), functools.partial(functools.partial, torch.ones, numbers)
    found = measure.memory(load, make, CPU)
    assert 4 * numbers < found.work < 4 * numbers + 50e6 and found.peak > found.work


def test_a_process_that_fails_says_so():
    with pytest.raises(ValueError, match=r"^RuntimeError: .*negative"):
        measure.memory(functools.partial(torch.ones, 1), functools.partial(functools.partial, torch.ones, -1), CPU)


# ---- peers


def test_the_peers_have_the_size_of_our_models(tiny_task: Task):
    pytest.importorskip("diffusers")
    for make, size in ((peers.musicgen, tiny_task.sizes.step), (peers.stable_audio, tiny_task.sizes.blocks)):
        assert make(tiny_task).parameters == pytest.approx(size, rel=0.02)
    assert peers.oobleck(tiny_task).parameters == pytest.approx(tiny_task.sizes.decoder, rel=0.25)
    assert peers.dac(tiny_task).parameters == pytest.approx(tiny_task.sizes.decoder, rel=0.1)


def test_the_peers_have_our_layers_width_heads_and_codebooks(tiny_task: Task):
    pytest.importorskip("diffusers")
    shapes, theirs = tiny_task.shapes.planner, peers.musicgen_model(tiny_task).config
    assert (theirs.num_hidden_layers, theirs.hidden_size) == (shapes.n_layers, shapes.dim)
    assert (theirs.num_attention_heads, theirs.num_codebooks) == (shapes.n_heads, shapes.n_codebooks)
    renderer, model = tiny_task.shapes.renderer, peers.stable_audio_model(tiny_task)
    assert len(model.transformer_blocks) == renderer.n_layers and model.inner_dim == renderer.dim
    assert model.config.num_attention_heads == renderer.n_heads


@pytest.mark.parametrize("make", [peers.musicgen, peers.musicgen_static, peers.musicgen_notes])
def test_a_peer_takes_as_many_steps_as_we_do(task: Task, make: Callable[[Task], Work], monkeypatch: pytest.MonkeyPatch):
    model, steps = peers.musicgen_model(task), []
    model.model.register_forward_hook(lambda *_: steps.append(1))
    monkeypatch.setattr(peers, "musicgen_model", lambda _: model)
    one = make(task)
    for _ in range(2):  # a cache that is kept would be full in the second
        steps.clear()
        one.run()
        assert len(steps) == one.amount == (task.n_note_steps if make is peers.musicgen_notes else task.n_codes)


def test_both_caches_of_a_peer_give_the_same_tokens(task: Task, monkeypatch: pytest.MonkeyPatch):
    """With one for text and steps together, each step would look at the text once more than the last."""
    model, found = peers.musicgen_model(task), []
    monkeypatch.setattr(peers, "musicgen_model", lambda _: model)
    for make in (peers.musicgen, peers.musicgen_static):
        torch.manual_seed(0)
        found.append(make(task).run())
    assert torch.equal(*found) and found[0].shape[1] == task.shapes.planner.n_codebooks


def test_a_peer_makes_as_many_passes_over_as_many_frames(task: Task):
    pytest.importorskip("diffusers")
    model = peers.stable_audio_model(task)
    shapes = []
    model.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    made = peers._euler(task, model, model)()
    sampling, dim = task.shapes.sampling, task.shapes.renderer.latent_dim
    assert shapes == [(2, dim, n) for n in task.windows for _ in range(sampling.num_steps)]
    assert [latents.shape[2] for latents in made] == task.windows and all(x.isfinite().all() for x in made)


def test_a_peer_decodes_as_many_samples(task: Task):
    pytest.importorskip("diffusers")
    small = replace(task, sizes=replace(task.sizes, decoder=1))
    length, found = task.plan.length, peers.oobleck(small).run()
    assert found.shape[:2] == (1, 2) and length <= found.shape[2] < length + 2048
    found = peers.dac(small).run()
    assert len(found) == 2 and length - 512 <= found.shape[-1] < length + 512


def test_our_calls_do_what_they_say(task: Task):
    assert ours.code_frames(task).run().shape == (1, 4, task.n_codes)
    assert ours.note_steps(task).run().step == ours.note_steps(task).amount == task.n_note_steps > 0
    assert ours.rendering(task).run().shape == (task.plan.n_frames, task.shapes.renderer.latent_dim)
    assert ours.decoding(task).run() == task.plan.n_frames * task.plan.time_base.latent_hop
    assert ours.track(task).run().samples.shape == (2, task.plan.length)


# ---- with the same weights


def test_the_same_weights_give_the_same_numbers(task: Task):
    pytest.importorskip("diffusers")
    found = agreement.check(task)
    assert {one.peer for one in found} == {"LlamaRMSNorm", "LlamaMLP", "Qwen3Model", "FeedForward of diffusers"}
    assert max(one.error for one in found) < 1e-5


def test_nothing_is_timed_when_they_differ(task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(agreement, "error", lambda found, expected: math.nan)
    with pytest.raises(ValueError, match=r"^RMS norm: ours and LlamaRMSNorm differ by nan, so nothing is timed$"):
        agreement.check(task)


def test_an_error_is_a_share_of_the_largest_number():
    assert agreement.error(torch.tensor([1.0, 8.0]), torch.tensor([2.0, -10.0])) == pytest.approx(1.8)


# ---- the report and the command


def side(value: float) -> Side:
    return Side(Spread(value, value, value), 1_500_000, 0.5, Memory(300_000_000, 20_000_000))


def test_a_row_has_a_cell_for_each_column():
    whole = Row("render", "a peer", "x", "matrix", True, side(24.0), side(12.0))
    assert report.cells(whole) == (
        "render, busy core",
        "a peer",
        "x",
        "24.0 (24.0–24.0)",
        "12.0 (12.0–12.0)",
        "2.00",
        "50 % / 50 %",
        "300 (20) / 300 (20)",
        "1.50 / 1.50",
    )
    missing = Row("render", "a peer", "x", "matrix", note="not installed")
    lines = report.aligned([report.COLUMNS, report.cells(missing), report.cells(whole)])
    assert "not installed" in lines[1] and len(lines) == 3 and len(report.draw([missing, whole]).axes) == 1


def test_the_command_writes_its_files(
    note_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(run, "QUICK", run.Size(2.0, 0.0, False))
    monkeypatch.setattr(measure, "PROBES", {"cpu": measure.Probe(2**16, 64, 2)})
    monkeypatch.setattr(measure, "memory", lambda load, make, device: Memory(2, 1))
    monkeypatch.setattr(peers, "closest", lambda widths, size, wanted: min(widths))
    assert main(["bench", str(note_model), "-o", str(tmp_path / "out"), "--quick"]) == 0
    told, found = capsys.readouterr().out, json.loads((tmp_path / "out/bench.json").read_text())
    assert "MusicGen, static cache" in told and found["limits"]["bandwidth"] > 0
    names = {row["peer"]: row for row in found["rows"]}
    assert all(row["ratio"] or "not installed" in row["note"] for row in names.values())
    assert names["Qwen3"]["ratio"] > 0 and found["agreements"]
    assert "| render | Stable Audio |" in (tmp_path / "out/bench.md").read_text()
    assert (tmp_path / "out/bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["no-such-model", "-o", "{out}"], "no-such-model"),
        (["tiny", "-o", "{file}"], "File exists"),
        (["tiny", "-o", "{out}", "--device", "cuda"], "CUDA"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "file").write_text("")
    places = {"out": tmp_path / "out", "file": tmp_path / "file"}
    assert main(["bench", *(argument.format(**places) for argument in arguments)]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and not places["out"].exists()


def test_guidance_doubles_the_rows(task: Task):
    params = task.shapes.sampling.codes
    assert n_rows(replace(params, guidance_scale=1.0)) == 1 and n_rows(replace(params, guidance_scale=2.0)) == 2
