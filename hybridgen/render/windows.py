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
from hybridgen.plan.editing import with_notes_before
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.plan.rolls import NoteRolls, NoteSpans
from hybridgen.plan.sounds import sound_values, with_default
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
    origin: int = 0  # number of frame 0, which its noise depends on
    near: Tensor | None = None  # (T, C): what frames that are not known are to resemble
    strength: float = 1.0  # 0-1: how much of the way from noise to `near` is made anew; 1: all of it
    before: "WindowRenderer | None" = None  # of an edit: what `near` is a render of, see `_edit`

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
        if self.before is None:
            solved = self._solve(start, cond, callback)
        else:
            solved = self._edit(start, cond, self.before._condition(latents, known, window, timbre), callback)
        fresh = torch.from_numpy(np.flatnonzero(~known[start:stop])).to(latents.device)
        latents[start:stop][fresh] = solved[0, fresh]  # others are not touched: a thread may be decoding them
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
            "sound": torch.from_numpy(sound_values(self._sound)),
            "heard": torch.tensor([not self.heard or role in self.heard for role in ROLES]),
        }
        parts |= _note_parts(self._notes.rolls(start, start + padded))
        rows = {name: part[None].to(device) for name, part in parts.items()}
        return Condition(text=self.prompt.text, text_mask=self.prompt.mask, **rows)

    @property
    def _sound(self) -> tuple[str, ...]:
        """How it is to sound: the model's usual sound where the plan wants none."""
        return with_default(self.plan.sound, self.sampling.default_sound)

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
    def _notes_before(self) -> NoteSpans | None:
        """Of an edit that changes notes: the plan's notes with those before it in their place."""
        if self.before is None or not self.sampling.edit_guidance:
            return None
        plan = with_notes_before(self.before.plan, self.plan)
        return None if plan.notes == self.plan.notes else _note_spans(plan)

    def _solve(self, start: int, cond: Condition, callback: Callable[[int, Tensor], None] | None) -> Tensor:
        """Latents (1, frames, C) of the window that begins at frame `start`, from noise or from where `near` is."""
        noise, begin = self._noise(start, cond), 0.0 if self.near is None else 1 - self.strength
        x, _ = flow.path(noise, self._near(start, cond, noise), noise.new_tensor([begin]))
        velocity = self._velocity(cond, noise)
        first = self._with_sound(velocity, cond, noise) if begin == 0 else None
        return flow.solve(velocity, x, self.sampling.num_steps, start=begin, first=first, callback=callback)

    def _edit(
        self, start: int, cond: Condition, before: Condition, callback: Callable[[int, Tensor], None] | None
    ) -> Tensor:
        """`near` in the window (1, frames, C) as `cond` has it, where the condition `before` has it otherwise.

        Left alone, a model plays what usually sounds in such a place: a note that is moved to an unusual pitch becomes
        a shade of the old one. So velocities are pushed away from those under the notes before, all else being equal.
        """
        noise = self._noise(start, cond)
        new, old = self._velocity(cond, noise), self._velocity(before, noise)
        if self._notes_before is not None:
            other = _with_notes(cond, self._notes_before, start)
            new = flow.make_pushed(new, self._velocity(other, noise), self.sampling.edit_guidance, ~cond.known)
        near, num_steps = self._near(start, cond, noise), self.sampling.num_steps
        return flow.edit(new, old, near, noise, num_steps, start=1 - self.strength, callback=callback)

    def _with_sound(self, velocity: flow.Velocity, cond: Condition, noise: Tensor) -> flow.Velocity | None:
        """Of a plan that is to sound other than usual: the velocity at t = 0, pushed away from that of a free sound.

        What is true of a whole track is decided there; later the model sees it in x_t.
        """
        if self._sound == self.sampling.default_sound or not self.sampling.sound_guidance:
            return None
        free = self._velocity(replace(cond, sound=torch.zeros_like(cond.sound)), noise)
        return flow.make_pushed(velocity, free, self.sampling.sound_guidance, ~cond.known)

    def _noise(self, start: int, cond: Condition) -> Tensor:
        """(1, frames, C)."""
        first = start + self.origin
        _, n_frames, channels = cond.context.shape
        noise = self.sampling.noise_scale * flow.noise(self.seed, first, first + n_frames, channels)
        return noise[None].to(cond.context.device)

    def _near(self, start: int, cond: Condition, noise: Tensor) -> Tensor:
        """(1, frames, C): what the window is to resemble, known frames as they are; the noise where that is nothing."""
        if self.near is None:
            return noise
        near = torch.zeros_like(noise)
        near[0, : len(self.near) - start] = self.near[start : start + noise.shape[1]]
        return torch.where(cond.known[..., None], cond.context, near)

    def _velocity(self, cond: Condition, noise: Tensor) -> flow.Velocity:
        """The renderer's velocity under `cond`, guided; of known frames the way from the noise to them.

        Known frames are so put back at every step, and what is made beside them meets them there. Only told of, it
        drifts away from them: latents then change 1.7 times as much from frame to frame at the border of a window as
        elsewhere, and 1.5 times with known frames put back (windows of 80, six prompts).

        Guidance leads away from a sound of which nothing is said, or (`guides_played`) of which all is said but what is
        played: a role alone, guided away from the others and their chords too, gets several dB louder than in the mix.
        """
        sampling = self.sampling
        both = cond.cat(cond.unplayed() if sampling.guides_played else cond.dropped())
        kept, to_known = cond.known[..., None], cond.context - noise

        def cond_velocity(x_t: Tensor, t: Tensor) -> Tensor:
            return self.renderer(x_t, t, cond)

        def cond_and_uncond(x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            first, second = self.renderer(x_t.expand(2, -1, -1), t.expand(2), both).chunk(2)
            return first, second

        guided = flow.make_guided(
            cond_velocity, cond_and_uncond, sampling.guidance_scale, is_late=sampling.guides_played
        )
        return lambda x_t, t: torch.where(kept, to_known, guided(x_t, t))


def _with_notes(cond: Condition, notes: NoteSpans, start: int) -> Condition:
    """The condition of the window at frame `start` with other notes."""
    parts = _note_parts(notes.rolls(start, start + cond.known.shape[1]))
    return replace(cond, **{name: part[None].to(cond.context.device) for name, part in parts.items()})


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
