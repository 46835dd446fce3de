"""A plan -> its latents, window by window: each window is solved from noise, told what is known around it.

Shapes: T latent frames of the track, C latent channels, S text tokens, E text width. A batch of one throughout.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybridgen import flow
from hybridgen.decoding import SamplingParams
from hybridgen.plan import LATENT_HOP, Plan
from hybridgen.renderer import Condition, Renderer, windows

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True)
class SamplingConfig:
    """How a track is sampled; lives with the weights, and every caller reads it from there."""

    num_steps: int  # solver steps a window
    method: str  # of flow.solve
    shift: float  # of flow.schedule
    guidance_scale: float  # 1 = none; any other costs twice where guidance is on
    guidance_interval: tuple[float, float]  # times at which guidance is on, of 0 (noise) to 1 (music)
    guidance_parallel: float  # of flow.guide_projected; 1 = plain guidance
    window: int  # latent frames rendered at once
    overlap: int  # clean latent frames that a window sees of the one before
    score: SamplingParams
    codes: SamplingParams

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"steps {self.num_steps} must be at least 1")
        if self.method not in flow.METHODS:
            raise ValueError(f"method {self.method!r} is none of {', '.join(flow.METHODS)}")
        flow.schedule(self.num_steps, self.shift)  # says what is wrong with either
        if not 0 <= self.guidance_scale <= 100:
            raise ValueError(f"guidance {self.guidance_scale:g} is outside 0-100")
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"guidance_interval {low:g} to {high:g} does not ascend inside 0-1")
        if not 0 <= self.guidance_parallel <= 1:
            raise ValueError(f"guidance_parallel {self.guidance_parallel:g} is outside 0-1")
        if not 0 < self.overlap < self.window or self.window % 4 or self.overlap % 4:
            raise ValueError(f"window {self.window} and overlap {self.overlap} must be multiples of 4, overlap smaller")


@dataclass(frozen=True)
class Rendering:
    """What stays the same from window to window while a plan, all its codes written, becomes latents."""

    renderer: Renderer
    plan: Plan
    text: Tensor  # (1, S, E) hidden states of the plan's prompt
    text_mask: Tensor  # (1, S)
    seed: int  # of the noise
    sampling: SamplingConfig

    @torch.inference_mode()
    def fill(
        self, latents: np.ndarray, known: np.ndarray, span: tuple[int, int], progress: Progress | None = None
    ) -> Iterator[int]:
        """Write the frames of `latents` (T, C) in `span` that are not `known` (T,), window by window.

        Yields after each window how far all is known; `known` is kept up to date.
        """
        sampling, n_frames = self.sampling, self.plan.n_frames
        spans = windows(span[1] - span[0], sampling.window, sampling.overlap)
        timbre = self._timbre(latents, known)
        for i, (first, last) in enumerate(spans):
            start, stop = span[0] + first, min(span[0] + last, n_frames)
            cond = self._condition(latents, known, (start, stop), timbre)
            window = self._solve(start, cond, _steps(progress, i, len(spans), sampling.num_steps))
            fresh = ~known[start:stop]
            latents[start:stop][fresh] = window[0, : stop - start].cpu().numpy()[fresh]
            known[start:stop] = True
            if timbre is None:
                timbre = self._timbre(latents, known)
            yield int(np.argmin(known)) if not known.all() else len(known)

    def _timbre(self, latents: np.ndarray, known: np.ndarray) -> Tensor | None:
        """What the first window sounds like (1, 2C); None while nothing of it is known."""
        size = self.sampling.window
        if not known[:size].any():
            return None
        first = torch.from_numpy(latents[:size][known[:size]])
        return self.renderer.timbre(first[None].to(self.text.device))

    def _condition(
        self, latents: np.ndarray, known: np.ndarray, window: tuple[int, int], timbre: Tensor | None
    ) -> Condition:
        """What the renderer is told about latent frames start..stop, padded to whole code frames."""
        start, stop = window
        padded = -(-(stop - start) // 4) * 4
        context = np.zeros((padded, latents.shape[1]), dtype=np.float32)
        seen = np.zeros(padded, dtype=bool)
        context[: stop - start], seen[: stop - start] = latents[start:stop], known[start:stop]
        context[~seen] = 0
        parts = {
            "codes": torch.tensor(self.plan.codes)[:, start // 4 : (start + padded) // 4],
            "features": torch.from_numpy(self.plan.frame_controls(LATENT_HOP, start, start + padded)),
            "instruments": torch.from_numpy(self.plan.instrument_ids()),
            "context": torch.from_numpy(context),
            "known": torch.from_numpy(seen),
            "timbre": torch.zeros(2 * latents.shape[1]) if timbre is None else timbre[0],
        }
        rows = {name: part[None].to(self.text.device) for name, part in parts.items()}
        return Condition(text=self.text, text_mask=self.text_mask, **rows)

    def _solve(self, start: int, cond: Condition, callback: Callable[[int, Tensor], None] | None) -> Tensor:
        """Latents (1, frames, C) of the window that begins at frame `start`."""
        sampling, (_, n_frames, channels) = self.sampling, cond.context.shape
        return flow.solve(
            self._velocity(cond),
            flow.noise(self.seed, start, start + n_frames, channels)[None].to(cond.context.device),
            sampling.num_steps,
            method=sampling.method,
            shift=sampling.shift,
            callback=callback,
        )

    def _velocity(self, cond: Condition) -> flow.Velocity:
        """The renderer's velocity under `cond`, guided."""
        both = cond.cat(cond.dropped())

        def wished(x_t: Tensor, t: Tensor) -> Tensor:
            return self.renderer(x_t, t, cond)

        def pair(x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            return self.renderer(x_t.expand(2, -1, -1), t.expand(2), both).chunk(2)

        sampling = self.sampling
        return flow.guided(
            wished,
            pair,
            sampling.guidance_scale,
            interval=sampling.guidance_interval,
            parallel=sampling.guidance_parallel,
        )


def _steps(progress: Progress | None, window: int, n_windows: int, num_steps: int) -> Callable | None:
    if progress is None:
        return None
    return lambda step, _: progress("rendering", window * num_steps + step, n_windows * num_steps)
