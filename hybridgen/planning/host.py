"""The planner's step on a CPU, in numpy, and its head for notes on any machine.

A step of small matrices costs more in calls than in arithmetic, and a call of numpy costs a fifth of one of PyTorch.
The weights and the caches are those of the modules, seen as arrays. A row is computed by itself, so it gets the same
numbers alone and in a batch.

Shapes: B rows, H heads, G key/value heads, K head width, D width, M slots, V choices.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hybridgen.adapters import Adapted, Pair
from hybridgen.layers import KVCache
from hybridgen.note_grammar import COPY, MOVED, PITCH
from hybridgen.note_stage import N_ANCHORS, NoteStage
from hybridgen.packed import PackedLinear
from hybridgen.planner import Block, Planner
from hybridgen.sampling import SamplingParams

PITCH_CLASSES = np.arange(len(PITCH)) % 12
Linear = Callable[[np.ndarray], np.ndarray]


def can_step(planner: Planner) -> bool:
    """Whether the planner lies where numpy can see it: float32 on the CPU."""
    return planner.start.device.type == "cpu" and planner.start.dtype == torch.float32


class HostLayers:
    """`session.Layers` in numpy."""

    def __init__(self, planner: Planner, caches: Sequence[KVCache], visible: Tensor | None):
        """The blocks with their caches, and which slots a row may look at, (B, 1, 1, M) bool; None = all."""
        shut = None if visible is None else np.where(visible.numpy(), np.float32(0), -np.float32(np.inf))
        self.blocks = [_HostBlock(block, cache, shut) for block, cache in zip(planner.blocks, caches, strict=True)]
        self.weight, self.eps = _array(planner.norm.weight), planner.norm.eps
        self.rotary = planner.rotary

    def step(self, x: Tensor, positions: Tensor, slot: Tensor) -> Tensor:
        """One slot x (B, 1, D) at positions (B, 1), as number `slot` (1,) int64 -> its state (B, 1, D)."""
        cos, sin = (table[:, 0].numpy() for table in self.rotary(positions))  # (B, 1, K / 2)
        state, last = x.numpy()[:, 0], int(slot)
        for block in self.blocks:
            state = block.step(state, (cos, sin), last)
        return torch.from_numpy(rms_norm(state, self.weight, self.eps)[:, None])


class _HostBlock:
    def __init__(self, block: nn.Module, cache: KVCache, shut: np.ndarray | None):
        assert isinstance(block, Block)
        heads = block.attention
        self.keys, self.values, self.shut = cache.keys.numpy(), cache.values.numpy(), shut
        self.wq, self.wkv, self.wo = linear(heads.wq), linear(heads.wkv), linear(heads.wo)
        self.w_in, self.w_out = linear(block.ffn.w_in), linear(block.ffn.w_out)
        self.attention_norm, self.ffn_norm = _array(block.attention_norm.weight), _array(block.ffn_norm.weight)
        self.n_heads, self.n_kv_heads, self.eps = heads.n_heads, heads.n_kv_heads, block.ffn_norm.eps
        norms = (_array(heads.q_norm.weight),) * heads.n_heads, (_array(heads.k_norm.weight),) * heads.n_kv_heads
        self.head_norms = np.stack([*norms[0], *norms[1]])  # (H + G, K)
        self.scale = np.float32(heads.head_dim**-0.5)

    def step(self, x: np.ndarray, cos_sin: tuple[np.ndarray, np.ndarray], last: int) -> np.ndarray:
        """(B, D) -> (B, D); `last`: the slot that is written, the last one looked at."""
        x = x + self.wo(self._attend(rms_norm(x, self.attention_norm, self.eps), cos_sin, last))
        return x + self.w_out(swiglu(self.w_in(rms_norm(x, self.ffn_norm, self.eps))))

    def _attend(self, x: np.ndarray, cos_sin: tuple[np.ndarray, np.ndarray], last: int) -> np.ndarray:
        n_heads = self.n_heads + 2 * self.n_kv_heads
        heads = np.concatenate((self.wq(x), self.wkv(x)), axis=1).reshape(len(x), n_heads, -1)
        n_turned = self.n_heads + self.n_kv_heads
        turned = _rotate(rms_norm(heads[:, :n_turned], self.head_norms, self.eps), cos_sin)
        self.keys[:, :, last], self.values[:, :, last] = turned[:, self.n_heads :], heads[:, n_turned:]
        q = turned[:, : self.n_heads].reshape(len(x), self.n_kv_heads, -1, turned.shape[2])  # (B, G, H / G, K)
        found = self.keys[:, :, : last + 1] @ q.swapaxes(2, 3)  # (B, G, slots, H / G)
        scores = np.multiply(found.swapaxes(2, 3), self.scale, order="C")  # side by side for what follows
        if self.shut is not None:
            scores += self.shut[..., : last + 1]
        return (softmax(scores) @ self.values[:, :, : last + 1]).reshape(len(x), -1)


class HostNotes:
    """The head of a `NoteStage` for one step at a time, whatever device its weights come from."""

    def __init__(self, notes: NoteStage):
        self.start, self.head, self.harmony = linear(notes.start), linear(notes.head), linear(notes.harmony_head)
        self.copies, self.w_in, self.w_out = linear(notes.copy_head), linear(notes.ffn.w_in), linear(notes.ffn.w_out)
        self.sums, self.lasts = _array(notes.sum_embedding.weight), _array(notes.last_embedding.weight)
        self.places = _array(notes.place_embedding.weight)
        self.norm, self.out_norm, self.eps = _array(notes.norm.weight), _array(notes.out_norm.weight), notes.norm.eps

    def logits(self, x: np.ndarray, harmony: "Harmony", likeness: np.ndarray | None) -> np.ndarray:
        """`NoteStage.logits` of inputs (B, d): (B, V). likeness (SOURCES, N_LIKENESS) of a decision, None elsewhere."""
        hidden = x + self.w_out(swiglu(self.w_in(rms_norm(x, self.norm, self.eps))))
        hidden = rms_norm(hidden, self.out_norm, self.eps)
        logits = self.head(hidden)
        logits[:, PITCH.start : PITCH.stop] += harmony.scores(self.harmony(hidden))[:, PITCH_CLASSES]
        if likeness is not None:
            weights = self.copies(hidden).reshape(len(x), 2, 1, -1)
            logits[:, COPY.start : MOVED.stop] += (weights * likeness).sum(axis=3).reshape(len(x), -1)
        return logits


class Harmony:
    """What of the harmony (5, 12) of a step, see `note_stage.harmony`, is the same for all its sub-tokens."""

    def __init__(self, harmony: np.ndarray):
        anchors, self.chords = np.split(harmony.astype(np.float32), (N_ANCHORS,))
        self.present = anchors.sum(axis=1, keepdims=True)
        self.above = (np.arange(12) - anchors.argmax(axis=1)[:, None]) % 12  # (anchors, 12)

    def scores(self, heads: np.ndarray) -> np.ndarray:
        """(B, 12) of the pitch classes, from what the harmony's head says (B, 12 x anchors + halves)."""
        above, inside = np.split(heads, (12 * N_ANCHORS,), axis=1)
        turned = above.reshape(-1, N_ANCHORS, 12)[:, np.arange(N_ANCHORS)[:, None], self.above]
        scores: np.ndarray = (turned * self.present).sum(axis=1) + inside @ self.chords
        return scores


def choose(logits: np.ndarray, noise: np.ndarray, params: SamplingParams, allowed: np.ndarray) -> int:
    """`decoding.choose` for one row: logits (1 or 2, V), noise (V,), allowed (V,) bool."""
    among = np.flatnonzero(allowed)
    logits = logits[:, among]
    scores = logits[0]
    if params.guidance_scale != 1:
        scores = logits[1] + np.float32(params.guidance_scale) * (logits[0] - logits[1])
    if params.temperature == 0:
        return int(among[scores.argmax()])
    scores = scores / np.float32(params.temperature)
    if params.top_p < 1:
        falling = np.sort(scores)[::-1]
        share = softmax(falling)
        scores = np.where(scores < falling[share.cumsum() - share < params.top_p][-1], -np.inf, scores)
    return int(among[(scores + noise[among]).argmax()])


def linear(layer: nn.Module) -> Linear:
    """A linear layer without bias, with what adapters add to it: (B, I) -> (B, O)."""
    if isinstance(layer, Adapted):
        base = linear(layer.base)
        added = [_low_rank(pair, scale) for pair, scale in zip(layer.pairs, layer.scales, strict=True)]
        return lambda x: base(x) + sum(one(x) for one in added)
    assert isinstance(layer, nn.Linear) and layer.bias is None
    if isinstance(layer, PackedLinear):
        return functools.partial(_packed_rows, layer)
    return functools.partial(_rows, _array(layer.weight))


def _low_rank(pair: nn.Module, scale: float) -> Linear:
    assert isinstance(pair, Pair)
    down, up = linear(pair.lora_A), linear(pair.lora_B)
    return lambda x: np.float32(scale) * up(down(x))


def _rows(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.matmul(weight, x[..., None])[..., 0]  # a product for each row, where x @ weight.T is one for all


def _packed_rows(layer: PackedLinear, x: np.ndarray) -> np.ndarray:
    y = np.empty((len(x), layer.out_features), np.float32)
    for first, rows in layer.widened():
        y[:, first : first + len(rows)] = _rows(rows.numpy(), x)
    return y if layer.scale is None else y * layer.scale.numpy()


def _array(parameter: Tensor) -> np.ndarray:
    array: np.ndarray = parameter.detach().float().cpu().numpy()
    return array


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """`ops.rms_norm`."""
    squares = np.einsum("...i,...i->...", x, x)[..., None]
    return x * (1 / np.sqrt(squares / np.float32(x.shape[-1]) + np.float32(eps))) * weight


def swiglu(gate_up: np.ndarray) -> np.ndarray:
    """`ops.swiglu`."""
    width = gate_up.shape[-1] // 2
    gate = gate_up[..., :width]
    return 0.5 * gate * (1 + np.tanh(0.5 * gate)) * gate_up[..., width:]


def softmax(x: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _rotate(x: np.ndarray, cos_sin: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    cos, sin = cos_sin
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - b * sin, b * cos + a * sin), axis=-1)
