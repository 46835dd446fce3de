"""One engine: the number of micro-batches, ranks and the ZeRO stage change rounding, and nothing else."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from hybridgen import config
from hybridgen.pipeline import Pipeline
from hybridgen.training import distributed
from hybridgen.training.backends import read_settings
from hybridgen.training.ema import MOMENTS, AveragingAdamW
from hybridgen.training.engine import Engine, EngineConfig, OptimConfig, Tensors

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs/deepspeed").glob("*.json"))
OPTIM = OptimConfig(learning_rate=0.01, warm_up=1, cool_down=1, weight_decay=0.1, clip=1.0, ema=0.9)


def settings(**changes) -> EngineConfig:
    fields = {"device": "cpu", "threads": 1, "bfloat16": False, "micro_batches": 1, "recompute": False}
    return EngineConfig(**(fields | {"deepspeed": None} | changes))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5, affine=False), nn.GELU(), nn.Linear(5, 2))


def train(made: Engine, first: int, last: int) -> None:
    for step in range(first, last + 1):
        rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        for rank, world_size in made.micro_ranks():
            share = made(rows.chunk(world_size)[rank]).square().sum() / 16
            made.backward(share)
        made.step(OPTIM.rate(step, 100))


def same(a: Tensors, b: Tensors) -> bool:
    return all(torch.equal(a[part][name], b[part][name]) for part in a for name in a[part])


def test_micro_batches_and_recomputed_layers_change_only_rounding():
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    whole = Engine(models[0], OPTIM, settings())
    parts = Engine(models[1], OPTIM, settings(micro_batches=4, recompute=True), layers=models[1])
    for made in (whole, parts):
        train(made, 1, 3)
    expected, found = whole.tensors(), parts.tensors()
    for part in MOMENTS:
        assert found[part].keys() == expected[part].keys()
        for name, value in found[part].items():
            assert torch.allclose(value, expected[part][name], rtol=1e-4, atol=1e-7), (part, name)


def test_what_leaves_the_engine_comes_back_bit_for_bit():
    first = Engine(network(), OPTIM, settings())
    train(first, 1, 3)
    tensors, state = first.tensors(), json.loads(json.dumps(first.state()))
    second = Engine(network(), OPTIM, settings())
    train(second, 7, 8)
    second.load(tensors, state)
    assert same(second.tensors(), tensors)
    for made in (first, second):
        train(made, 4, 6)
    assert same(second.tensors(), first.tensors())


def test_a_checkpoint_of_another_model_is_refused():
    tensors = Engine(network(), OPTIM, settings()).tensors()
    with pytest.raises(ValueError, match=r"model 0\.weight is \(5, 3\), the model's has shape \(4, 3\)"):
        Engine(nn.Sequential(nn.Linear(3, 4)), OPTIM, settings()).load(tensors, {"n_updates": 0})
    with pytest.raises(ValueError, match=r"has \['3\.bias', '3\.weight'\], which the model does not have"):
        Engine(network()[:3], OPTIM, settings()).load(tensors, {"n_updates": 0})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    made = Engine(network()[3:], OPTIM, settings())
    before, state = made.tensors(), made.state()
    made.backward(made(torch.full((1, 5), bad)).sum())
    assert not math.isfinite(made.step(0.1))
    made.backward(made(torch.ones(1, 5)).sum())
    assert math.isfinite(made.step(0.1, apply=False))
    assert same(made.tensors(), before) and made.state() == state


def test_frozen_weights_have_no_moments_and_stay():
    model = network()
    model[0].requires_grad_(False)
    made = Engine(model, OPTIM, settings())
    before = made.tensors()
    train(made, 1, 2)
    after = made.tensors()
    assert torch.equal(after["model"]["0.weight"], before["model"]["0.weight"])
    assert not torch.equal(after["model"]["3.weight"], before["model"]["3.weight"])
    assert set(after["exp_avg"]) == {"3.weight", "3.bias"}
    assert set(after["ema"]) == set(model.state_dict())


def test_the_average_is_whole_plain_and_the_moving_one():
    made = Engine(network(), OPTIM, settings())
    start = made.tensors()["model"]["0.weight"]
    train(made, 1, 1)
    after = made.tensors()["model"]["0.weight"]
    with made.averaged() as model:
        rate = 1 - 2 / 11  # of the first update, (1 + 1) / (10 + 1) kept
        assert torch.allclose(model[0].weight, start + rate * (after - start))
        assert not model.training and not torch.is_grad_enabled()
    assert torch.equal(made.tensors()["model"]["0.weight"], after)


def test_a_decay_of_one_never_learns():
    with pytest.raises(ValueError, match=r"ema 1\.0"):
        AveragingAdamW([{"params": [nn.Parameter(torch.ones(1))]}], (0.9, 0.95), 1.0)


def test_the_rate_rises_stays_and_falls():
    optim = OptimConfig(learning_rate=1.0, warm_up=4, cool_down=5, weight_decay=0, clip=1, ema=0)
    assert [optim.rate(step, 20) for step in (1, 2, 4, 10, 16, 18, 20)] == [0.25, 0.5, 1, 1, 1, 0.6, 0.2]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_deepspeed_files_say_nothing_that_the_engine_decides(path):
    written = json.loads(path.read_text())
    assert set(written) <= {"bf16", "zero_optimization"}
    read = read_settings(str(path), micro_batches=3, clip=0.5, max_stage=2)
    assert read["gradient_accumulation_steps"] == 3 and read["zero_optimization"]["stage"] <= 2


def test_settings_that_cannot_work_are_said_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text('{"bf16": {"enabled": true}, "zero_optimization": {"stage": 1}}')
    with pytest.raises(ValueError, match="bf16 needs stage 2 or 3, got 1"):
        read_settings(str(tmp_path / "x.json"), 1, 1.0, 3)
    with pytest.raises(ValueError, match="no such file"):
        read_settings("nowhere.json", 1, 1.0, 3)
    with pytest.raises(ValueError, match="'tpu' is neither cpu nor cuda"):
        settings(device="tpu")
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="deepspeed null is for one process, but there are 2"):
        Engine(network(), OPTIM, settings())


def test_slurm_says_who_is_who(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("SLURM_PROCID", "9"), ("SLURM_LOCALID", "1"), ("SLURM_STEP_NUM_TASKS", "16")):
        monkeypatch.setenv(name, value)
    assert distributed.rank_info() == distributed.RankInfo(rank=9, local_rank=1, world_size=16)
    for nodes, first in (("gpu[03-05,9]", "gpu03"), ("a1,b[2-3]", "a1"), ("node7", "node7"), ("n[2,4],m1", "n2")):
        monkeypatch.setenv("SLURM_JOB_NODELIST", nodes)
        assert distributed._first_host() == first


@pytest.mark.timeout(600)
def test_two_processes_learn_what_one_does_in_every_stage(pipe: Pipeline, tmp_path: Path):
    """tools/parity.py asserts by itself that a checkpoint of one process goes through all stages of two unchanged."""
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(config.dump(pipe.config)))
    command = [
        str(ROOT / "tools/parity.py"),
        "--out",
        str(tmp_path),
        "--model",
        f"{tmp_path}/model.yaml",
        "--steps",
        "2",
    ]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for run in ([sys.executable, *command], [*launch, *command]):
        done = subprocess.run(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-4000:]
    for losses in json.loads((tmp_path / "losses.json").read_text()).values():
        assert set(losses) == {"plain", "plain, 2 micro-batches, recomputed", *(path.stem for path in FILES)}
        for way, values in losses.items():
            is_half = "bf16" in way or "offload" in way
            assert values == pytest.approx(losses["plain"], rel=0.03 if is_half else 1e-5), way
