"""How a planner writes notes: the input of its layers at each step of `note_grammar`, and the sub-tokens of a step.

Shapes: B batch, N steps of at most W sub-tokens, V their vocabulary, F features of a bar, D width of the planner.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen.layers import RMSNorm, SwiGLU
from hybridgen.note_grammar import N_KINDS, N_PLACES, VOCAB_SIZE
from hybridgen.plan.features import N_BAR_FEATURES


class NoteStage(nn.Module):
    """Embeddings of steps, and a small depth head that writes a step sub-token by sub-token."""

    def __init__(self, dim: int, depth_dim: int, depth_ffn_dim: int):
        super().__init__()
        self.token_embedding = nn.Embedding(VOCAB_SIZE, dim)
        self.kind_embedding = nn.Embedding(N_KINDS, dim)
        self.features_in = nn.Linear(N_BAR_FEATURES, dim)
        self.first_step = nn.Parameter(torch.zeros(dim))
        self.start = nn.Linear(dim, depth_dim, bias=False)
        self.sum_embedding = nn.Embedding(VOCAB_SIZE, depth_dim)  # of all sub-tokens of the step so far
        self.last_embedding = nn.Embedding(VOCAB_SIZE, depth_dim)  # of the last one
        self.place_embedding = nn.Embedding(N_PLACES, depth_dim)
        self.norm, self.ffn = RMSNorm(depth_dim), SwiGLU(depth_dim, depth_ffn_dim)
        self.out_norm, self.head = RMSNorm(depth_dim), nn.Linear(depth_dim, VOCAB_SIZE, bias=False)

    def embed_controls(self, features: Tensor, kinds: Tensor) -> Tensor:
        """(B, N, D) from the features of the bar of each step (B, N, F) and what is written in it (B, N)."""
        return self.features_in(features.to(self.first_step.dtype)) + self.kind_embedding(kinds)

    def embed_steps(self, controls: Tensor, before: Tensor) -> Tensor:
        """Inputs (B, N, D) of the layers from controls (B, N, D) and the sub-tokens of the step before each (B, N, W),
        -1 behind its end; (B, N - 1, W) where the first is the first of all."""
        said = (before >= 0).to(controls.dtype)
        x = (self.token_embedding(before.clamp(min=0)) * said[..., None]).sum(dim=2)
        if x.shape[1] < controls.shape[1]:
            x = torch.cat((self.first_step.expand(len(x), 1, -1), x), dim=1)
        return controls + x

    def forward(self, hidden: Tensor, tokens: Tensor, places: Tensor, written: Tensor) -> Tensor:
        """Logits (M, V) of the sub-tokens at `written` (M,) of B x N x W, each given those before it in its step.

        hidden (B, N, D): what the layers make of the steps; tokens and places (B, N, W).
        """
        before = F.pad(tokens[..., :-1], (1, 0), value=-1)
        said = (before >= 0).to(hidden.dtype)[..., None]
        total = (self.sum_embedding(before.clamp(min=0)) * said).cumsum(dim=2)
        x = self.start(hidden)[:, :, None] + total + self.last_embedding(before.clamp(min=0)) * said
        return self.logits(x.flatten(0, 2)[written] + self.place_embedding(places.flatten()[written]))

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) of a sub-token from its input (..., depth_dim)."""
        return self.head(self.out_norm(x + self.ffn(self.norm(x))))
