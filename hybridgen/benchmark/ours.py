"""What our pipeline does, part by part, by its own functions."""

from functools import cache

import torch
from torch import Tensor

from hybridgen import grammar
from hybridgen.benchmark.task import PROMPT, SEED, Task, Work, n_parameters, n_rows
from hybridgen.pipeline import Pipeline
from hybridgen.planner import count
from hybridgen.planning.codes import decode_codes
from hybridgen.planning.notes import decode_notes, unknown_bars
from hybridgen.planning.session import DecoderSession
from hybridgen.render import mixdown
from hybridgen.stages import PromptStates
from hybridgen.workers import single_threaded

N_SLOTS = 64  # that the layers alone are fed


@cache
def pipeline(model: str, device: torch.device, accept_license: str | None) -> Pipeline:
    """The model, loaded once a process."""
    return Pipeline.from_pretrained(model, device=device, accept_license=accept_license)


def of(task: Task) -> tuple[Pipeline, PromptStates]:
    """The pipeline of a task, and what it makes of the prompt."""
    pipe = pipeline(task.model, task.device, task.accept_license)
    return pipe, pipe.encode_prompt(PROMPT)


def code_frames(task: Task) -> Work:
    """Every code of the track, frame by frame, after its score."""
    pipe, states = of(task)
    planner, base = pipe.planner, task.plan.time_base
    codes = torch.full((1, planner.config.n_codebooks, task.n_codes), -1, device=task.device)
    features = torch.from_numpy(task.plan.frame_controls(base.code_hop))[None].to(task.device)
    instruments = torch.from_numpy(task.plan.instrument_ids())[None].to(task.device)
    tokens, params = [grammar.tokens(task.score)], task.shapes.sampling.codes

    def run() -> Tensor:
        return decode_codes(planner, states.text, states.mask, tokens, features, instruments, codes, [SEED], params)

    n_bytes = task.sizes.step * task.dtype.itemsize * task.n_codes
    return Work(run, task.n_codes, task.sizes.step, n_bytes)


def note_steps(task: Task) -> Work:
    """Every note of the track, step by step, after its score; a step has several sub-tokens."""
    pipe, states = of(task)
    write, params = unknown_bars(task.score), task.shapes.sampling.notes
    assert pipe.planner.notes is not None
    n = n_parameters(pipe.planner.blocks, pipe.planner.norm, pipe.planner.notes.head)

    def run() -> object:
        return decode_notes(pipe.planner, states.text, states.mask, task.score, write, params)

    return Work(run, task.n_note_steps, n, n * task.dtype.itemsize * task.n_note_steps)


def layers(task: Task) -> Work:
    """The planner's layers alone, fed one slot after the other."""
    pipe, states = of(task)
    planner, rows = pipe.planner, n_rows(task.shapes.sampling.codes)
    text, mask = states.text.expand(rows, -1, -1), torch.ones(rows, task.n_text, dtype=torch.bool, device=task.device)
    n = n_parameters(planner.blocks, planner.norm)

    @torch.inference_mode()
    def run() -> Tensor:
        with single_threaded():
            session = DecoderSession(planner, text, mask, room=N_SLOTS)
            x = session.hidden[:, -1:]
            for slot in range(N_SLOTS):
                x = session.feed(x, count(x, slot + 1, slot + 2))
        return x

    return Work(run, N_SLOTS, n, n * task.dtype.itemsize * N_SLOTS)


def rendering(task: Task) -> Work:
    """The latents of the track, window by window."""
    pipe, states = of(task)
    operation = mixdown.Render(task.plan, SEED, task.shapes.sampling, pipe.model_record)

    def run() -> Tensor:
        return mixdown.rendered(pipe, task.plan, states, operation)

    return Work(run, task.seconds, task.sizes.blocks)


def decoding(task: Task) -> Work:
    """The samples of the track, block by block."""
    pipe, _ = of(task)
    latents = torch.randn(task.plan.n_frames, pipe.codec.latent_dim, device=task.device)

    def run() -> int:
        return sum(block.shape[1] for _, block in pipe.codec.decode_blocks(latents))

    return Work(run, task.seconds, task.sizes.decoder)


def track(task: Task) -> Work:
    """From the prompt to a mastered track."""
    pipe, _ = of(task)
    total = n_parameters(pipe.planner, pipe.renderer) + task.sizes.decoder
    return Work(lambda: pipe.generate(PROMPT, seconds=task.seconds, seed=SEED), task.seconds, total)
