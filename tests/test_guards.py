"""No update comes from what is not finite, a spike is undone, and whoever resumes decides as the run did."""

import json
import math
import random
from dataclasses import dataclass, field

import pytest

from hybridgen.training.checkpoints import generators
from hybridgen.training.guards import Guard

SAVE_EVERY = 40


def alone(value: float) -> float:
    return value


def fed(losses: list[float], guard: Guard | None = None) -> list[str]:
    """The verdicts on losses of steps 1, 2, ..."""
    guard = guard or Guard(alone)
    return [guard.check(step, loss, 0) for step, loss in enumerate(losses, 1)]


@dataclass
class Toy:
    """A run of one weight on two simulated ranks, with its checkpoints in memory, as the loops are to use the guard."""

    poison: dict[int, str] = field(default_factory=dict)  # batch -> what it does
    steps: int = 300
    updates: list[tuple[int, int]] = field(default_factory=list)  # (step, batch) of each that was applied
    skips: int = 0
    backs: list[tuple[int, int]] = field(default_factory=list)  # (from, to)

    def gradient(self, weight: float, batch: int, rank: int) -> tuple[float, float]:
        """Loss and gradient of a rank's half of a batch."""
        rng, _ = generators(0, batch)
        noise = [rng.gauss(0, 0.1), rng.gauss(0, 0.1)][rank]
        what = self.poison.get(batch)
        if what in ("nan loss", "inf loss") and rank == 1:
            return float(what[:3]), 0.0
        if what == "nan gradient" and rank == 1:
            return 0.5 * (weight - 1) ** 2 + 0.5, math.nan
        return 0.5 * (weight - 1) ** 2 + 0.5 + noise + (5.0 if what == "spike" else 0.0), weight - 1 + noise

    def run(self, saved: dict[int, str], stop: int | None = None) -> tuple[float, str]:
        """From the newest of `saved` (JSON by step) to the end or `stop`; weight and guard's state."""
        shares = [0.0, 0.0]
        ranks = [Guard(lambda _: sum(shares)) for _ in range(2)]
        step, weight = max(saved, default=0), 0.0
        if saved:
            weight, state = json.loads(saved[step])
            for guard in ranks:
                guard.load(state)
        while step < (stop or self.steps):
            step += 1
            batch = ranks[0].batch(step)
            results = [self.gradient(weight, batch, rank) for rank in range(2)]
            shares[:] = [loss / 2 for loss, _ in results]
            verdicts = {guard.check(step, shares[rank], 0) for rank, guard in enumerate(ranks)}
            assert len(verdicts) == 1 and len({json.dumps(guard.state()) for guard in ranks}) == 1
            verdict = verdicts.pop()
            norm = abs(sum(gradient for _, gradient in results))
            for guard in ranks:
                guard.record_norm(step, norm)
            if verdict == "rollback":
                to = max(old for old in saved if old <= ranks[0].last_good)
                weight, state = json.loads(saved[to])
                for guard in ranks:
                    guard.rollback(step, to, state)
                self.backs.append((step, to))
                step = to
                continue
            if verdict == "apply" and math.isfinite(norm):
                weight -= 0.01 * sum(gradient for _, gradient in results)
                self.updates.append((step, batch))
            else:
                self.skips += 1
            if step % SAVE_EVERY == 0:
                saved[step] = json.dumps([weight, ranks[0].state()])
        return weight, json.dumps(ranks[0].state())


@pytest.mark.parametrize("what", ["nan loss", "inf loss", "nan gradient"])
def test_nothing_of_a_batch_that_is_not_finite_on_one_rank_is_applied(what: str):
    toy = Toy(poison=dict.fromkeys((7, 50, 51), what), steps=60)
    weight, state = toy.run({})
    assert math.isfinite(weight) and toy.skips == 3
    assert [batch for _, batch in toy.updates] == [step for step in range(1, 61) if step not in (7, 50, 51)]
    assert json.loads(state)["skipped"] == [7, 50, 51]


@pytest.mark.parametrize("what", ["nan loss", "nan gradient"])
def test_a_run_stops_when_too_much_is_not_finite(what: str):
    toy = Toy(poison=dict.fromkeys(range(20, 300), what))
    with pytest.raises(ValueError, match=r"step 28: .* nan; 9 of the last 128 updates were not finite, the limit is 8"):
        toy.run({})
    Toy(poison=dict.fromkeys(range(1, 301, 17), what)).run({})  # never more than 8 in 128: it continues


def test_a_loss_that_is_not_finite_is_not_compared_with():
    assert "rollback" not in fed([1.0 + 0.1 * (i % 7) for i in range(140)] + [math.nan] * 5 + [1.3] * 20)


def test_a_spike_is_undone_and_its_batches_are_left_out():
    toy, saved = Toy(poison=dict.fromkeys(range(210, 216), "spike")), {}
    weight, _ = toy.run(saved)
    # 212 is the third high loss of five: 201 to 212 are left out; 213 to 215 follow and are left out with them
    assert toy.backs == [(212, 200), (203, 200)]
    batches = dict(toy.updates)
    assert batches[200] == 200 and batches[201] == 216 and batches[300] == 315
    assert sorted(batches) == list(range(1, 301)) and 0.5 < weight < 1.5


def test_batches_are_left_out_after_the_checkpoint_and_not_before():
    guard = Guard(alone)
    guard.rollback(212, 200, guard.state())
    assert [guard.batch(step) for step in (199, 200, 201, 202)] == [199, 200, 213, 214]


@pytest.mark.parametrize("stop", [205, 211, 212, 213, 230, 240, 241])
def test_a_run_killed_round_a_spike_goes_on_bit_for_bit(stop: int):
    poison = dict.fromkeys([*range(210, 217), 90], "spike") | {30: "nan loss", 150: "nan gradient"}
    unbroken, saved = Toy(poison), {}
    whole = unbroken.run({})
    Toy(poison).run(saved, stop=stop)
    resumed = Toy(poison)
    assert resumed.run(saved) == whole
    assert dict(unbroken.updates) | dict(resumed.updates) == dict(unbroken.updates)


def test_a_checkpoint_within_a_spike_is_not_gone_back_to():
    toy = Toy(poison=dict.fromkeys(range(199, 202), "spike"))
    toy.run({})
    assert toy.backs == [(201, 160)]  # step 200 was saved after a high loss


def test_a_spike_whatever_the_data_stops_the_run():
    with pytest.raises(ValueError, match=r"for the 4th time after the checkpoint of step 200, .* lower the learning"):
        Toy(poison=dict.fromkeys(range(210, 2000), "spike")).run({})


def test_single_high_losses_are_no_spike_and_heavy_tails_raise_no_alarm():
    rng = random.Random(0)
    losses = [(1 + math.exp(-step / 5_000)) * rng.lognormvariate(0, 0.5) for step in range(20_000)]
    assert max(losses) > 6  # of a median of 1 to 2 and a deviation of half of it: single ones are 6 deviations up
    assert set(fed(losses)) == {"apply"}


def test_a_small_rise_of_a_smooth_loss_is_no_spike_and_a_new_phase_starts_anew():
    assert "rollback" not in fed([1.0] * 140 + [1.05] * 20)
    assert "rollback" in fed([1.0] * 140 + [1.07] * 20)
    guard = Guard(alone)
    verdicts = [guard.check(step, 1.0 if step <= 140 else 2.0, int(step > 140)) for step in range(1, 400)]
    assert set(verdicts) == {"apply"}
