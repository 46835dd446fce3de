"""The planner's layers with their caches, fed piece by piece, and classifier-free guidance.

Shapes: B batch, S text tokens, L score tokens, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridgen import graphs
from hybridgen.layers import KVCache
from hybridgen.planner import Block, Planner, causal_mask, count, score_mask, text_positions
from hybridgen.planning.host import HostLayers, can_step
from hybridgen.sampling import SamplingParams


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor; a GPU takes it over when it comes to it, and nothing waits."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@dataclass(frozen=True)
class Layers:
    """The blocks with their caches, and which slots a row may look at, (B, 1, 1, max_length) bool; None = all."""

    planner: Planner
    caches: Sequence[KVCache]
    visible: Tensor | None

    def step(self, x: Tensor, positions: Tensor, slot: Tensor) -> Tensor:
        """One slot x (B, 1, D) at positions (B, 1), as number `slot` (1,) int64 -> its state (B, 1, D).

        A function of tensors that stay where they are: a GPU can record it.
        """
        cos_sin = self.planner.rotary(positions)
        for block, cache in zip(self.planner.blocks, self.caches, strict=True):
            assert isinstance(block, Block)
            x = block.step(x, cos_sin, cache, slot, self.visible)
        return self.planner.norm(x)


class DecoderSession:
    """The blocks with their caches: what is fed piece by piece sees all that was fed before it, but no padding."""

    def __init__(
        self,
        planner: Planner,
        text: Tensor,
        text_mask: Tensor,
        tokens: Tensor | None = None,
        bars_left: Tensor | None = None,
        room: int = 512,
    ):
        """Feeds the text, the start slot and, where given, a whole score; `hidden` is what comes out.

        text (B, S, text_dim), text_mask (B, S); tokens (B, L), bars_left (B, L, 2); room: slots expected to follow.
        """
        config = planner.config
        tokens = text_mask.new_zeros(len(text), 0, dtype=torch.int64) if tokens is None else tokens
        bars_left = tokens.new_zeros(*tokens.shape, 2) if bars_left is None else bars_left
        x = torch.cat((planner.embed_text(text), planner.embed_score(tokens, bars_left)), dim=1)
        slots, head_dim = x.shape[1] + room, config.dim // config.n_heads
        self.planner = planner
        self.caches = [KVCache(len(x), config.n_kv_heads, slots, head_dim, like=x) for _ in range(config.n_layers)]
        self.prefix = torch.cat((text_mask, score_mask(tokens)), dim=1)
        self._settle()
        self.hidden = self.feed(x, torch.cat((text_positions(text_mask), count(tokens, 0, tokens.shape[1] + 1)), 1))

    @property
    def length(self) -> int:
        """Slots that are fed."""
        return self.caches[0].length

    def feed(self, x: Tensor, positions: Tensor) -> Tensor:
        """The next slots x (B, n, D) at positions (B, n) -> their states (B, n, D), until the next call."""
        start, stop = self.length, self.length + x.shape[1]
        if stop > self.caches[0].max_length:
            for cache in self.caches:
                cache.reserve(stop)
            self._settle()
        if x.shape[1] == 1:
            hidden = self._replayed(x, positions, self._slots[start:stop])
            self.advance()
            return hidden
        valid = F.pad(self.prefix, (0, stop - self.prefix.shape[1]), value=True)
        mask, cos_sin = causal_mask(valid)[:, :, start:], self.planner.rotary(positions)
        for block, cache in zip(self.planner.blocks, self.caches, strict=True):
            x = block(x, cos_sin, mask, cache)
        return self.planner.norm(x)

    def step(self, x: Tensor, positions: Tensor, slot: Tensor) -> Tensor:
        """`Layers.step`; `advance` follows."""
        return self.layers.step(x, positions, slot)

    def advance(self) -> None:
        """Counts the slot that `step` wrote."""
        for cache in self.caches:
            cache.length += 1

    def _settle(self) -> None:
        """What depends on the size of the caches, made anew for it."""
        device, n_slots, visible = self.prefix.device, self.caches[0].max_length, None
        if not bool(self.prefix.all()):
            visible = F.pad(self.prefix, (0, n_slots - self.prefix.shape[1]), value=True)[:, None, None]
        layers = HostLayers if can_step(self.planner) else Layers
        self.layers = layers(self.planner, self.caches, visible)
        self._slots = torch.arange(n_slots, device=device)
        self._replayed = graphs.captured(self.layers.step, device)


def with_unconditional(text: Tensor, text_mask: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The rows, followed by the same rows without text where guidance needs them."""
    if params.guidance_scale == 1:
        return text, text_mask
    return text.repeat(2, 1, 1), torch.cat((text_mask, torch.zeros_like(text_mask)))
