"""What keeps a bad step from spoiling a run: updates that are not finite are skipped, a spike in the loss is undone.

Every decision is a pure function of the guard's state and the losses of all ranks together. The state belongs in every
checkpoint; so a run that is resumed decides again as it did. A loop asks twice a step:

    verdict = guard.admit(step, loss, phase)                    # before the update, on every rank
    norm = engine.step(rate, apply=verdict == "apply")
    guard.updated(step, norm)                                   # a norm that is not finite was not applied either

and, where the verdict is "back", goes to the newest checkpoint until `guard.last_good` and calls `guard.back`. It
draws the batch and the noise of a step by `guard.batch(step)`, which leaves out what led to a spike.

The numbers: 128 losses give a median within 0.11 and a deviation within 0.1 of the true ones (in deviations), and are
soon forgotten. One high loss is a hard batch, and clipping deals with it: the middle one of 5 has to be high, so three.
If one loss in 1,000 lay 6 deviations up, as heavy tails may, three of five would by chance do so once in 10^8 steps.
"""

import math
from collections.abc import Callable
from statistics import median
from typing import Any, Literal

Verdict = Literal["apply", "skip", "back"]

WINDOW = 128  # losses that the last ones are compared with; steps over which skipped updates are counted
RECENT = 5  # losses whose median is compared
LIMIT = 6.0  # robust deviations above the window's median, from which on it is a spike
LEAST = 0.01  # of the median: the least deviation, so that a rise under 6 % is no spike however smooth the loss was
MAX_SKIPPED = 8  # updates that may be skipped in a window: overflows are rare and apart, a broken model is neither
MAX_BACK = 3  # times from one checkpoint: what fails with three different stretches of data is not the data's fault


class Guard:
    """Watches one run; the same on every rank."""

    def __init__(self, total: Callable[[float], float]):
        """total: the sum of a value over all ranks, the same on each; it must carry NaN and infinity through."""
        self._total = total
        self._phase = 0
        self._losses: list[tuple[int, float]] = []  # by step
        self._skipped: list[int] = []  # steps of the last window
        self._gaps: list[list[int]] = []  # [step that the run went back to, batches left out after it, times]

    def admit(self, step: int, loss: float, phase: int) -> Verdict:
        """What to do with the update of a step, alike on every rank. Collective.

        loss: this rank's share. phase: losses of another phase (longer windows, other data) are not compared.
        ValueError when too many updates had to be skipped.
        """
        loss = self._total(loss)
        if not math.isfinite(loss):
            self._skip(step, f"loss {loss}")
            return "skip"
        if phase != self._phase:
            self._phase, self._losses = phase, []
        self._losses = [*self._losses, (step, loss)][-WINDOW - RECENT :]
        return "back" if median(self._deviations()) > LIMIT else "apply"

    def updated(self, step: int, norm: float) -> None:
        """Told the global norm of the gradient, counts an update that was not applied because of it."""
        if not math.isfinite(norm) and step not in self._skipped:
            self._skip(step, f"gradient norm {norm}")

    def batch(self, step: int) -> int:
        """The number of the batch that a step sees: its own, plus all that were left out before it."""
        return step + sum(count for at, count, _ in self._gaps if step > at)

    @property
    def last_good(self) -> int:
        """After "back": the last step before the first of the losses that are a spike."""
        recent = zip(self._losses[-RECENT:], self._deviations(), strict=True)
        return min(step for (step, _), up in recent if up > LIMIT) - 1

    def back(self, step: int, checkpoint_step: int, state: dict[str, Any]) -> None:
        """Takes over the state of the checkpoint that the run goes back to from a spike at `step`.

        All batches since then are left out. ValueError when that has not helped often enough.
        """
        last = self.batch(step)
        times = 1 + next((times for at, _, times in self._gaps if at == checkpoint_step), 0)
        if times > MAX_BACK:
            raise ValueError(
                f"the loss spiked at step {step}, for the {times}th time after the checkpoint of step "
                f"{checkpoint_step}, each time on other batches; lower the learning rate"
            )
        self.load(state)
        self._gaps.append([checkpoint_step, last - self.batch(checkpoint_step), times])

    @property
    def counts(self) -> dict[str, int]:
        """For the log: updates skipped in the last window, and batches left out so far."""
        return {"skipped": len(self._skipped), "left_out": sum(count for _, count, _ in self._gaps)}

    def state(self) -> dict[str, Any]:
        """All that the next decisions depend on, for JSON."""
        losses, gaps = [list(pair) for pair in self._losses], [list(gap) for gap in self._gaps]
        return {"phase": self._phase, "losses": losses, "skipped": list(self._skipped), "gaps": gaps}

    def load(self, state: dict[str, Any]) -> None:
        """Continues from what `state` gave."""
        self._phase, self._losses = state["phase"], [(step, loss) for step, loss in state["losses"]]
        self._skipped, self._gaps = list(state["skipped"]), [list(gap) for gap in state["gaps"]]

    def _deviations(self) -> list[float]:
        """How many robust deviations each of the last RECENT losses lies above the WINDOW before; else zeros."""
        before, recent = self._losses[:-RECENT], self._losses[-RECENT:]
        if len(before) < WINDOW:
            return [0.0] * RECENT
        middle = median(loss for _, loss in before)
        spread = 1.4826 * median(abs(loss - middle) for _, loss in before)  # of a normal distribution, its deviation
        return [(loss - middle) / max(spread, LEAST * abs(middle), 1e-12) for _, loss in recent]

    def _skip(self, step: int, reason: str) -> None:
        self._skipped = [old for old in self._skipped if old > step - WINDOW] + [step]
        if len(self._skipped) > MAX_SKIPPED:
            raise ValueError(
                f"step {step}: {reason}; {len(self._skipped)} of the last {WINDOW} updates were not finite, the limit "
                f"is {MAX_SKIPPED}; lower the learning rate or look at the data"
            )
