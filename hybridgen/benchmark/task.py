"""What is asked of everyone: as many seconds of music as a model of ours would write, and the calls that do it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.plan.plan import Plan
from hybridgen.planning.notes import decode_notes, unknown_bars
from hybridgen.planning.plans import complete, write_scores
from hybridgen.render.windows import window_spans
from hybridgen.sampling import SamplingParams
from hybridgen.stages import PipelineConfig

PROMPT = "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor"
SEED = 0


@dataclass(frozen=True)
class Task:
    """A model of ours, and what it is to make; peers read the shapes and the amounts, and never load the model."""

    model: str  # a shipped name, a folder or a Hub id
    device: torch.device
    accept_license: str | None
    seconds: float
    shapes: PipelineConfig
    dtype: torch.dtype  # of the weights, the peers' too
    sizes: "Sizes"
    score: Plan  # as the planner writes it first, without notes
    plan: Plan  # ready to be rendered
    n_text: int  # tokens of the prompt
    n_note_steps: int  # of the notes of this plan; 0 where the planner writes none

    @property
    def n_codes(self) -> int:
        """Code frames of the track."""
        return self.plan.n_code_frames

    @property
    def windows(self) -> list[int]:
        """Latent frames of each window that is rendered."""
        sampling, multiple = self.shapes.sampling, self.shapes.quantizer.frames_per_code
        spans = window_spans(self.plan.n_frames, sampling.window, sampling.overlap, multiple)
        return [stop - start for start, stop in spans]


@dataclass(frozen=True)
class Sizes:
    """Parameters of our layers, which those of the peers come close to."""

    step: int  # that the planner reads for a code frame: its blocks and the head
    blocks: int  # of the renderer
    decoder: int  # of the codec


@dataclass(frozen=True)
class Work:
    """A call, and what is known of it."""

    run: Callable[[], object]
    amount: float  # steps, or seconds of sound
    parameters: int  # numbers of the layers that are compared
    n_bytes: float = 0.0  # that have to be read at least; where memory is not the limit, 0
    counted: Callable[[], object] | None = None  # the same call, where `run` is compiled and hides its operations


def make_task(pipe: Pipeline, model: str, seconds: float) -> Task:
    """The task of a loaded pipeline: the plan that it writes for `PROMPT`."""
    codec: Any = pipe.codec  # every kind has a decoder
    states = pipe.encode_prompt(PROMPT)
    score = write_scores(pipe, PROMPT, states, Controls(seconds=seconds), [SEED])[0]
    n_steps = 0
    if pipe.config.planner.notes:
        write, params = unknown_bars(score), pipe.config.sampling.notes
        n_steps = decode_notes(pipe.planner, states.text, states.mask, score, write, params).step
    sizes = Sizes(
        step=n_parameters(pipe.planner.blocks, pipe.planner.norm, pipe.planner.depth_head),
        blocks=n_parameters(pipe.renderer.blocks),
        decoder=n_parameters(codec.decoder),
    )
    return Task(
        model=model,
        device=torch.device(pipe.device),
        accept_license=pipe.accept_license,
        seconds=seconds,
        shapes=pipe.config,
        dtype=pipe.planner.start.dtype,
        sizes=sizes,
        score=score,
        plan=complete(pipe, score, states),
        n_text=states.text.shape[1],
        n_note_steps=n_steps,
    )


def n_parameters(*modules: torch.nn.Module) -> int:
    """Numbers that modules hold as parameters."""
    return sum(x.numel() for module in modules for x in module.parameters())


def n_rows(params: SamplingParams) -> int:
    """Rows of a track: with guidance one more, without its text."""
    return 1 if params.guidance_scale == 1 else 2
