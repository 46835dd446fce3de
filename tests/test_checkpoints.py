"""A stopped run goes on as if it had not been stopped."""

import json
import os
import signal

import pytest
import torch

from hybridgen.training import checkpoints
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.log import Log


def start() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 3)
    return module, torch.optim.AdamW(module.parameters(), lr=0.1)


def run(module: torch.nn.Linear, optimizer: torch.optim.AdamW, first: int, last: int) -> None:
    for step in range(first, last):
        _, noise = checkpoints.generators(7, step)
        module(torch.randn(4, 3, generator=noise)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def snapshot(step: int, module: torch.nn.Linear, optimizer: torch.optim.AdamW) -> Checkpoint:
    tensors = {"model": module.state_dict(), "optimizer": checkpoints.optimizer_tensors(optimizer)}
    return Checkpoint(step, tensors, {"note": [1, "two"]})


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    unbroken = start()
    run(*unbroken, 0, 6)

    stopped = start()
    run(*stopped, 0, 3)
    checkpoints.save(tmp_path, snapshot(3, *stopped))

    module, optimizer = start()
    checkpoint = checkpoints.load(checkpoints.latest(tmp_path))
    module.load_state_dict(checkpoint.tensors["model"])
    checkpoints.restore_optimizer(optimizer, checkpoint.tensors["optimizer"])
    assert checkpoint.state == {"note": [1, "two"]}
    run(module, optimizer, checkpoint.step, 6)
    assert torch.equal(module.weight, unbroken[0].weight)


def test_the_newest_are_kept_and_a_draft_is_never_taken_for_one(tmp_path):
    for step in (5, 20, 100):
        checkpoints.save(tmp_path, snapshot(step, *start()), keep=2)
    (tmp_path / ".step_00000999.1").mkdir()
    assert sorted(path.name for path in tmp_path.glob("step_*")) == ["step_00000020", "step_00000100"]
    assert checkpoints.latest(tmp_path).name == "step_00000100"


def test_saving_a_step_again_replaces_it(tmp_path):
    module, optimizer = start()
    checkpoints.save(tmp_path, snapshot(1, module, optimizer))
    run(module, optimizer, 0, 1)
    place = checkpoints.save(tmp_path, snapshot(1, module, optimizer))
    assert torch.equal(checkpoints.load(place).tensors["model"]["weight"], module.weight)


def test_no_checkpoint_is_said_in_one_line(tmp_path):
    assert checkpoints.latest(tmp_path) is None
    with pytest.raises(ValueError, match=r"state\.json is missing"):
        checkpoints.load(tmp_path)


def test_random_numbers_depend_on_seed_and_step_alone():
    def draw(seed: int, step: int) -> float:
        rng, noise = checkpoints.generators(seed, step)
        return rng.random() + torch.rand(1, generator=noise).item()

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(1, 3), draw(2, 2), draw(12, 1), draw(1, 21)}) == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_the_old_handler_comes_back(number):
    before = signal.getsignal(number)
    with checkpoints.stop_on_signal() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before


def test_the_log_is_one_json_line_per_entry(tmp_path):
    for step in (1, 2):
        with Log(tmp_path) as log:
            log.write(step, {"loss": 0.5 * step})
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(entry["step"], entry["loss"]) for entry in entries] == [(1, 0.5), (2, 1.0)]
