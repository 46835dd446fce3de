"""Keeps a bad step from spoiling a run: updates that are not finite are skipped, a spike in the loss is rolled back.

Every decision is a pure function of the guard's state and of the losses of all ranks together. The state is part of
every checkpoint, so a resumed run decides as it did before. A loop asks twice a step:

    verdict = guard.check(step, loss, phase)                    # before the update, on every rank
    norm = engine.step(rate, apply=verdict == "apply")
    guard.record_norm(step, norm)                               # a norm that is not finite was not applied either

After the verdict "rollback" it loads the newest checkpoint up to `guard.last_good` and calls `guard.rollback`. The
batch and the noise of a step are those of number `guard.batch(step)`, which leaves out what led to a spike.

The numbers: 128 losses give a median within 0.11 and a deviation within 0.1 of the true ones (in deviations), and soon
leave the window. One high loss is a hard batch, which clipping handles; the median of 5 is high only if three of them
are. If one loss in 1,000 were 6 deviations up, as heavy tails allow, three of five would be so by chance once in 10^8
steps.
"""

import math
from collections.abc import Callable
from statistics import median
from typing import Any, Literal

Verdict = Literal["apply", "skip", "rollback"]

WINDOW = 128  # losses that the recent ones are compared with; steps over which skipped updates are counted
N_RECENT = 5  # losses whose median is compared
SPIKE_DEVIATIONS = 6.0  # robust deviations of a recent loss above the window's median that make a spike
MIN_DEVIATION = 0.01  # of the median: no rise under 6 % is a spike, however smooth the loss was
MAX_SKIPPED = 8  # updates skipped in a window: overflows are rare and isolated, those of a broken model are neither
MAX_ROLLBACKS = 3  # to one checkpoint: what fails on three different stretches of data is not the data's fault


class Guard:
    """Watches one run; the same on every rank."""

    def __init__(self, total: Callable[[float], float]):
        """total: the sum of a value over all ranks, the same on each; it must carry NaN and infinity through."""
        self._total = total
        self._phase = 0
        self._losses: list[tuple[int, float]] = []  # by step
        self._skipped: list[int] = []  # steps of the last window
        self._left_out: list[list[int]] = []  # [step that was rolled back to, batches left out after it, times]

    def check(self, step: int, loss: float, phase: int) -> Verdict:
        """What to do with the update of a step, the same on every rank. Collective.

        loss: this rank's share. phase: losses of another phase (longer windows, other data) are not compared.
        ValueError when too many updates had to be skipped.
        """
        loss = self._total(loss)
        if not math.isfinite(loss):
            self._skip(step, f"loss {loss}")
            return "skip"
        if phase != self._phase:
            self._phase, self._losses = phase, []
        self._losses = [*self._losses, (step, loss)][-WINDOW - N_RECENT :]
        return "rollback" if median(self._deviations()) > SPIKE_DEVIATIONS else "apply"

    def record_norm(self, step: int, norm: float) -> None:
        """Counts an update that was not applied because the global norm of its gradient was not finite."""
        if not math.isfinite(norm) and step not in self._skipped:
            self._skip(step, f"gradient norm {norm}")

    def batch(self, step: int) -> int:
        """The number of the batch that a step trains on: its own, plus all that were left out before it."""
        return step + sum(count for at, count, _ in self._left_out if step > at)

    @property
    def last_good(self) -> int:
        """After "rollback": the last step before the first loss of the spike."""
        recent = zip(self._losses[-N_RECENT:], self._deviations(), strict=True)
        return min(step for (step, _), up in recent if up > SPIKE_DEVIATIONS) - 1

    def rollback(self, step: int, checkpoint_step: int, state: dict[str, Any]) -> None:
        """Takes over the state of the checkpoint that a spike at `step` is rolled back to.

        All batches since then are left out. ValueError after `MAX_ROLLBACKS` rollbacks to one checkpoint.
        """
        last = self.batch(step)
        times = 1 + next((times for at, _, times in self._left_out if at == checkpoint_step), 0)
        if times > MAX_ROLLBACKS:
            raise ValueError(
                f"the loss spiked at step {step}, for the {times}th time after the checkpoint of step "
                f"{checkpoint_step}, each time on other batches; lower the learning rate"
            )
        self.load(state)
        self._left_out.append([checkpoint_step, last - self.batch(checkpoint_step), times])

    @property
    def counts(self) -> dict[str, int]:
        """For the log: updates skipped in the last window, and batches left out so far."""
        return {"skipped": len(self._skipped), "left_out": sum(count for _, count, _ in self._left_out)}

    def state(self) -> dict[str, Any]:
        """Everything that later decisions depend on, for JSON."""
        losses, left_out = [list(pair) for pair in self._losses], [list(entry) for entry in self._left_out]
        return {"phase": self._phase, "losses": losses, "skipped": list(self._skipped), "left_out": left_out}

    def load(self, state: dict[str, Any]) -> None:
        """Continues from what `state` gave."""
        self._phase, self._losses = state["phase"], [(step, loss) for step, loss in state["losses"]]
        self._skipped, self._left_out = list(state["skipped"]), [list(entry) for entry in state["left_out"]]

    def _deviations(self) -> list[float]:
        """By how many robust deviations each of the N_RECENT last losses exceeds the median of the WINDOW before.

        Zeros while there are not enough losses.
        """
        before, recent = self._losses[:-N_RECENT], self._losses[-N_RECENT:]
        if len(before) < WINDOW:
            return [0.0] * N_RECENT
        middle = median(loss for _, loss in before)
        spread = 1.4826 * median(abs(loss - middle) for _, loss in before)  # the deviation of a normal distribution
        return [(loss - middle) / max(spread, MIN_DEVIATION * abs(middle), 1e-12) for _, loss in recent]

    def _skip(self, step: int, reason: str) -> None:
        self._skipped = [old for old in self._skipped if old > step - WINDOW] + [step]
        if len(self._skipped) > MAX_SKIPPED:
            raise ValueError(
                f"step {step}: {reason}; {len(self._skipped)} of the last {WINDOW} updates were not finite, the limit "
                f"is {MAX_SKIPPED}; lower the learning rate or look at the data"
            )
