"""A plan -> its latents, window by window: each window is solved from noise, with what is known around it as context.

Shapes: T latent frames of the track, C latent channels, S text tokens, E text width. A batch of one throughout.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hybridgen import flow
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.plan.rolls import NoteRolls, NoteSpans
from hybridgen.progress import Progress, report
from hybridgen.renderer import Condition, Renderer
from hybridgen.sampling import SamplingConfig
from hybridgen.stages import PromptStates


def window_spans(n_frames: int, size: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """(start, stop) of the windows that render frames 0..n_frames-1, each overlapping the one before by `overlap`.

    Starts are fixed multiples of size - overlap whatever the length; the last stop is n_frames rounded up to a
    `multiple` (latent frames in a code frame), and frames past n_frames are dropped. ValueError unless size and
    overlap are multiples of it, overlap < size.
    """
    if size % multiple or overlap % multiple or not 0 <= overlap < size:
        raise ValueError(f"window size {size}, overlap {overlap}: multiples of {multiple}, overlap below size")
    if n_frames < 1:
        raise ValueError(f"n_frames {n_frames} must be at least 1")
    end = -(-n_frames // multiple) * multiple
    starts = range(0, max(end - overlap, 1), size - overlap)
    return [(start, min(start + size, end)) for start in starts]


@dataclass(frozen=True)
class WindowRenderer:
    """What stays the same from window to window while a plan, all its notes or codes written, becomes latents."""

    renderer: Renderer
    plan: Plan
    prompt: PromptStates
    seed: int  # of the noise
    sampling: SamplingConfig
    heard: tuple[str, ...] = ()  # the roles that are to be heard; (): all
    replaced: Plan | None = None  # of an edit: the plan with the notes that it had before, see `_velocity`
    origin: int = 0  # number of frame 0, which its noise depends on
    near: Tensor | None = None  # (T, C): what frames that are not known are to resemble
    strength: float = 1.0  # 0-1: how much of the way from noise to `near` is made anew; 1: all of it

    @torch.inference_mode()
    def fill(
        self, latents: Tensor, known: np.ndarray, span: tuple[int, int], progress: Progress | None = None
    ) -> Iterator[int]:
        """Write the frames of `latents` (T, C) in `span` that are not `known` (T,) bool, window by window.

        Yields after each window how far all is known; `known` is kept up to date.
        """
        sampling, n_frames = self.sampling, self.plan.n_frames
        multiple = self.plan.time_base.frames_per_code
        spans = window_spans(span[1] - span[0], sampling.window, sampling.overlap, multiple)
        timbre = self.timbre(latents, known)
        for i, (first, last) in enumerate(spans):
            window = (span[0] + first, min(span[0] + last, n_frames))
            callback = _step_callback(progress, i, len(spans), sampling.num_steps)
            self.fill_window(latents, known, window, timbre, callback)
            if timbre is None:
                timbre = self.timbre(latents, known)
            yield int(np.argmin(known)) if not known.all() else len(known)

    @torch.inference_mode()
    def fill_window(
        self,
        latents: Tensor,
        known: np.ndarray,
        window: tuple[int, int],
        timbre: Tensor | None,
        callback: Callable[[int, Tensor], None] | None = None,
    ) -> None:
        """`fill` of one window, frames start..stop-1; timbre: as `timbre` gives it."""
        start, stop = window
        cond = self._condition(latents, known, window, timbre)
        solved = self._solve(start, cond, self._with_notes_replaced(cond, start), callback)
        fresh = torch.from_numpy(~known[start:stop]).to(latents.device)
        latents[start:stop] = torch.where(fresh[:, None], solved[0, : stop - start], latents[start:stop])
        known[start:stop] = True

    def timbre(self, latents: Tensor, known: np.ndarray) -> Tensor | None:
        """What the first window of which anything is known sounds like (1, 2C); None while nothing is."""
        if not known.any():
            return None
        size = self.sampling.window
        start = int(np.argmax(known)) // size * size
        frames = torch.from_numpy(known[start : start + size]).to(latents.device)
        return self.renderer.timbre(latents[start : start + size][frames][None])

    def _condition(
        self, latents: Tensor, known: np.ndarray, window: tuple[int, int], timbre: Tensor | None
    ) -> Condition:
        """What the renderer is given about latent frames start..stop, padded to whole code frames."""
        start, stop = window
        base, device = self.plan.time_base, latents.device
        ratio = base.frames_per_code
        padded = -(-(stop - start) // ratio) * ratio
        context = latents.new_zeros(padded, latents.shape[1])
        context[: stop - start] = latents[start:stop]
        seen = np.zeros(padded, dtype=bool)
        seen[: stop - start] = known[start:stop]
        parts = {
            "codes": self._codes[:, start // ratio : (start + padded) // ratio],
            "features": torch.from_numpy(self.plan.frame_controls(base.latent_hop, start, start + padded)),
            "instruments": torch.from_numpy(self.plan.instrument_ids()),
            "context": context,
            "known": torch.from_numpy(seen),
            "timbre": latents.new_zeros(2 * latents.shape[1]) if timbre is None else timbre[0],
            "heard": torch.tensor([not self.heard or role in self.heard for role in ROLES]),
        }
        parts |= _note_parts(self._notes.rolls(start, start + padded))
        rows = {name: part[None].to(device) for name, part in parts.items()}
        return Condition(text=self.prompt.text, text_mask=self.prompt.mask, **rows)

    def _with_notes_replaced(self, cond: Condition, start: int) -> Condition | None:
        """`cond` of the window at latent frame `start` with the notes before an edit; None where none are others."""
        if self._replaced_notes is None:
            return None
        parts = _note_parts(self._replaced_notes.rolls(start, start + cond.known.shape[1]))
        return replace(cond, **{name: part[None].to(cond.context.device) for name, part in parts.items()})

    @cached_property
    def _codes(self) -> Tensor:
        """(Q, P), -1 where the plan has none."""
        if self.plan.codes:
            return torch.tensor(self.plan.codes)
        return torch.full((self.renderer.config.n_codebooks, self.plan.n_code_frames), -1)

    @cached_property
    def _notes(self) -> NoteSpans:
        return _note_spans(self.plan)

    @cached_property
    def _replaced_notes(self) -> NoteSpans | None:
        if self.replaced is None or self.replaced.notes == self.plan.notes or not self.sampling.edit_guidance:
            return None
        return _note_spans(self.replaced)

    def _solve(
        self, start: int, cond: Condition, before: Condition | None, callback: Callable[[int, Tensor], None] | None
    ) -> Tensor:
        """Latents (1, frames, C) of the window that begins at frame `start`.

        Known frames are put back at every step: they stay on the straight path to what they are known to be, and what
        is made beside them meets them there. Only told of, it drifts away from them: latents then change 1.7 times as
        much from frame to frame at the border of a window as elsewhere, and 1.5 times with known frames put back
        (windows of 80, six prompts).
        """
        _, n_frames, channels = cond.context.shape
        first = start + self.origin
        x = flow.noise(self.seed, first, first + n_frames, channels)[None].to(cond.context.device)
        velocity, kept, to_known = self._velocity(cond, before), cond.known[..., None], cond.context - x
        begin = 0.0 if self.near is None else 1 - self.strength
        if self.near is not None:
            near = torch.zeros_like(x)
            near[0, : len(self.near) - start] = self.near[start : start + n_frames]
            near = torch.where(kept, cond.context, near)
            x, _ = flow.path(x, near, x.new_tensor([begin]))
        return flow.solve(
            lambda x_t, t: torch.where(kept, to_known, velocity(x_t, t)),
            x,
            self.sampling.num_steps,
            start=begin,
            callback=callback,
        )

    def _velocity(self, cond: Condition, before: Condition | None) -> flow.Velocity:
        """The renderer's velocity under `cond`, guided; and of an edit away from that under its notes `before`.

        Left alone, a model plays what usually sounds in such a place: a note that is moved to an unusual pitch becomes
        a shade of the old one. Two conditions that differ in nothing else say what the change sounds like, as with the
        two prompts of delta denoising (https://arxiv.org/abs/2304.07090).
        """
        both, scale = cond.cat(cond.dropped()), self.sampling.edit_guidance

        def changed(velocity: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
            if before is None:
                return velocity
            return flow.push_away(velocity, self.renderer(x_t, t, before), scale, ~cond.known, x_t, t)

        def cond_velocity(x_t: Tensor, t: Tensor) -> Tensor:
            return changed(self.renderer(x_t, t, cond), x_t, t)

        def cond_and_uncond(x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            first, second = self.renderer(x_t.expand(2, -1, -1), t.expand(2), both).chunk(2)
            return changed(first, x_t, t), second

        return flow.make_guided(cond_velocity, cond_and_uncond, self.sampling.guidance_scale)


def _note_spans(plan: Plan) -> NoteSpans:
    base = plan.time_base
    return plan.note_spans(base.latent_hop, plan.n_code_frames * base.frames_per_code)


def _note_parts(rolls: NoteRolls) -> dict[str, Tensor]:
    """The fields of a `Condition` that hold these notes, without the batch."""
    values = {"notes": rolls.entries, "strengths": rolls.strengths, "notes_known": rolls.known}
    return {name: torch.from_numpy(value) for name, value in values.items()}


def _step_callback(
    progress: Progress | None, window: int, n_windows: int, num_steps: int
) -> Callable[[int, Tensor], None]:
    return lambda step, _: report(progress, "rendering", window * num_steps + step, n_windows * num_steps)
