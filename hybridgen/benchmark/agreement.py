"""The same weights in our layers and in the peers', which agree before anything is timed.

Shapes: B rows, L slots, D width.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hybridgen.benchmark import ours, peers
from hybridgen.benchmark.task import Task
from hybridgen.layers import RMSNorm, SwiGLU
from hybridgen.planner import Planner, causal_mask, count
from hybridgen.planning.session import DecoderSession

TOLERANCE = 1e-3  # of the largest number; float32, whose sums have other orders
LENGTH = 12


@dataclass(frozen=True)
class Agreement:
    """How far our output is from a peer's with the same weights and input."""

    what: str
    peer: str
    error: float  # the largest difference, as a share of the largest number
    tolerance: float = TOLERANCE


@torch.no_grad()
def check(task: Task) -> list[Agreement]:
    """Every agreement whose package is installed; ValueError for one that is none: then nothing is timed."""
    found = []
    for package, compare in (("transformers", _beside_transformers), ("diffusers", _beside_diffusers)):
        if importlib.util.find_spec(package) is not None:
            found += list(compare(task))
    for one in found:
        if not one.error <= one.tolerance:
            raise ValueError(f"{one.what}: ours and {one.peer} differ by {one.error:.1e}, so nothing is timed")
    return found


def _beside_transformers(task: Task) -> Iterator[Agreement]:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

    planner = ours.of(task)[0].planner
    dim, ffn_dim = planner.config.dim, planner.config.ffn_dim
    x = _normal(task, 2, LENGTH, dim)
    norm, their_norm = _on(task, RMSNorm(dim)), _on(task, LlamaRMSNorm(dim, eps=1e-6))
    norm.weight.copy_(torch.rand_like(norm.weight) + 0.5)
    their_norm.weight.copy_(norm.weight)
    yield Agreement("RMS norm", "LlamaRMSNorm", error(norm(x), their_norm(x)))

    swiglu = _on(task, SwiGLU(dim, ffn_dim))
    mlp = _on(task, LlamaMLP(LlamaConfig(hidden_size=dim, intermediate_size=ffn_dim)))
    gate, up = swiglu.w_in.weight.chunk(2)
    for linear, weight in ((mlp.gate_proj, gate), (mlp.up_proj, up), (mlp.down_proj, swiglu.w_out.weight)):
        linear.weight.copy_(weight)
    yield Agreement("SwiGLU", "LlamaMLP", error(swiglu(x), mlp(x)))

    theirs = peers.qwen_model(task)
    expected = theirs(inputs_embeds=x).last_hidden_state
    name = "rotary attention with a query-key norm, all layers of the planner"
    yield Agreement(name, "Qwen3Model", error(_at_once(planner, x), expected))
    yield Agreement(f"{name}, slot by slot with a cache", "Qwen3Model", error(*_stepwise(planner, theirs, task)))


def _beside_diffusers(task: Task) -> Iterator[Agreement]:
    from diffusers.models.attention import FeedForward

    dim, ffn_dim = task.shapes.renderer.dim, task.shapes.renderer.ffn_dim
    swiglu = _on(task, SwiGLU(dim, ffn_dim))
    other = _on(task, FeedForward(dim, activation_fn="swiglu", inner_dim=ffn_dim, bias=False))
    gate, up = swiglu.w_in.weight.chunk(2)
    other.net[0].proj.weight.copy_(torch.cat((up, gate)))
    other.net[2].weight.copy_(swiglu.w_out.weight)
    x = _normal(task, 2, LENGTH, dim)
    yield Agreement("SwiGLU", "FeedForward of diffusers", error(swiglu(x), other(x)))


def _at_once(planner: Planner, x: Tensor) -> Tensor:
    """States (B, L, D) of inputs (B, L, D), as a training pass computes them."""
    mask = causal_mask(torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))
    cos_sin = planner.rotary(count(x, 0, x.shape[1]))
    for block in planner.blocks:
        x = block(x, cos_sin, mask)
    return planner.norm(x)


def _stepwise(planner: Planner, theirs: nn.Module, task: Task) -> tuple[Tensor, Tensor]:
    """States (B, L, D) of slots that follow a text one by one: ours from a session, theirs all at once."""
    text = torch.randn(2, task.n_text, planner.config.text_dim, device=task.device)
    mask = torch.ones(2, task.n_text, dtype=torch.bool, device=task.device)
    inputs, states = _normal(task, 2, LENGTH, planner.config.dim), []
    with torch.inference_mode():
        session = DecoderSession(planner, text, mask, room=LENGTH)
        for slot in range(LENGTH):
            x = inputs[:, slot : slot + 1]
            states.append(session.feed(x, count(x, slot + 1, slot + 2)).clone())
        before = torch.cat((planner.embed_text(text), planner.start.expand(2, 1, -1)), dim=1)
        expected = theirs(inputs_embeds=torch.cat((before, inputs), dim=1)).last_hidden_state
    return torch.cat(states, dim=1), expected[:, -LENGTH:]


def error(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def _on(task: Task, module: nn.Module) -> Any:
    return module.to(task.device, task.dtype).eval()


def _normal(task: Task, *shape: int) -> Tensor:
    return torch.randn(*shape, device=task.device).to(task.dtype)
