"""How a planner writes notes: the input of its layers at each step of `note_grammar`, and the sub-tokens of a step.

Pitches are scored twice: as keys of the instrument, and by how far they lie above the roots of the bar's chords and
above the tonic, which is the same in every key and so learned from all of them at once. So are copies: as a distance,
and by what their source has in common with the bar.

Shapes: B batch, N steps of at most W sub-tokens, V their vocabulary, F features of a bar, D width of the planner.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen.layers import RMSNorm, SwiGLU
from hybridgen.note_grammar import COPY, MOVED, N_KINDS, N_LIKENESS, N_PLACES, PITCH, VOCAB_SIZE
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES, columns
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.parts import ROLES

PITCHED_KINDS = (False, *(role not in UNPITCHED for role in ROLES))  # of steps: an onset of a role that has pitches
N_ANCHORS, N_HALVES = 3, 2  # the roots of a bar's halves and the tonic; the chords of its halves


def _harmony_columns() -> list[int]:
    """Of `bar_controls`: the anchors, each one of 12 pitch classes or none, and then the chords, some of 12."""
    every = list(range(N_BAR_FEATURES))
    first, second = every[:N_FEATURES], every[N_FEATURES : 2 * N_FEATURES]
    root, key, chord = columns("root"), columns("key"), columns("chord")
    return [*first[root], *second[root], *first[key], *first[chord], *second[chord]]


HARMONY_COLUMNS = _harmony_columns()


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
        self.harmony_head = nn.Linear(depth_dim, 12 * N_ANCHORS + N_HALVES, bias=False)
        self.copy_head = nn.Linear(depth_dim, 2 * N_LIKENESS, bias=False)  # of a copy as it is, and of one moved

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

    def forward(
        self, hidden: Tensor, tokens: Tensor, places: Tensor, written: Tensor, harmony: Tensor, likeness: Tensor
    ) -> Tensor:
        """Logits (M, V) of the sub-tokens at `written` (M,) of B x N x W, each given those before it in its step.

        hidden (B, N, D): what the layers make of the steps; tokens and places (B, N, W); harmony (B, N, 5, 12) from
        `harmony`; likeness (M, SOURCES, N_LIKENESS).
        """
        before = F.pad(tokens[..., :-1], (1, 0), value=-1)
        said = (before >= 0).to(hidden.dtype)[..., None]
        total = (self.sum_embedding(before.clamp(min=0)) * said).cumsum(dim=2)
        x = self.start(hidden)[:, :, None] + total + self.last_embedding(before.clamp(min=0)) * said
        x = x.flatten(0, 2)[written] + self.place_embedding(places.flatten()[written])
        return self.logits(x, harmony.flatten(0, 1)[written // tokens.shape[2]], likeness)

    def logits(self, x: Tensor, harmony: Tensor, likeness: Tensor) -> Tensor:
        """(..., V) of a sub-token from its input (..., depth_dim), the harmony (..., 5, 12) of its step, and for a
        decision what the sources of a copy have in common with the bar, (..., SOURCES, N_LIKENESS), 0 elsewhere."""
        x = self.out_norm(x + self.ffn(self.norm(x)))
        above, inside = self.harmony_head(x).split((12 * N_ANCHORS, N_HALVES), dim=-1)
        anchors, chords = harmony.to(x.dtype).split((N_ANCHORS, N_HALVES), dim=-2)
        distances = (torch.arange(12, device=x.device) - anchors.argmax(-1, keepdim=True)) % 12  # (..., 3, 12)
        scores = above.unflatten(-1, (N_ANCHORS, 12)).expand(distances.shape).gather(-1, distances)
        classes = (scores * anchors.sum(-1, keepdim=True)).sum(-2) + (inside[..., None] * chords).sum(-2)  # (..., 12)
        octaves = classes[..., torch.arange(len(PITCH), device=x.device) % 12]
        weights = self.copy_head(x).unflatten(-1, (2, N_LIKENESS))
        copies = (weights @ likeness.to(x.dtype).mT).flatten(-2)  # (..., 2 SOURCES)
        in_place = F.pad(copies, (COPY.start, VOCAB_SIZE - MOVED.stop)) + F.pad(
            octaves, (PITCH.start, VOCAB_SIZE - PITCH.stop)
        )
        return self.head(x) + in_place


def harmony(features: Tensor, kinds: Tensor) -> Tensor:
    """(..., 5, 12): roots of the first and the second half of a bar and its tonic, 1 at their pitch class; chords of
    both halves, 1 at those that sound. From features (..., 3 F) and kinds (...) of steps; 0 for those without pitches.
    """
    is_pitched = torch.tensor(PITCHED_KINDS, device=kinds.device)[kinds]
    return features[..., HARMONY_COLUMNS].unflatten(-1, (N_ANCHORS + N_HALVES, 12)) * is_pitched[..., None, None]
