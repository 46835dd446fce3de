"""The planner's layers with their caches, fed piece by piece, and classifier-free guidance.

Shapes: B batch, S text tokens, L score tokens, V choices, D width.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridgen import decoding
from hybridgen.layers import KVCache
from hybridgen.planner import Planner, causal_mask, count, score_mask, text_positions
from hybridgen.sampling import SamplingParams


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """On the CPU a single thread: a step is so short that waiting for a second one costs more than it brings."""
    n_threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


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
        self.has_padding = not bool(self.prefix.all())
        self.hidden = self.feed(x, torch.cat((text_positions(text_mask), count(tokens, 0, tokens.shape[1] + 1)), 1))

    def feed(self, x: Tensor, positions: Tensor) -> Tensor:
        """The next slots x (B, n, D) at positions (B, n) -> their states (B, n, D)."""
        n_seen = self.caches[0].length + x.shape[1]
        mask = None
        if self.has_padding or x.shape[1] > 1:
            valid = F.pad(self.prefix, (0, n_seen - self.prefix.shape[1]), value=True)
            mask = causal_mask(valid)[:, :, -x.shape[1] :] if x.shape[1] > 1 else valid[:, None, None]
        cos_sin = self.planner.rotary(positions)
        for block, cache in zip(self.planner.blocks, self.caches, strict=True):
            x = block(x, cos_sin, mask, cache)
        return self.planner.norm(x)


def with_unconditional(text: Tensor, text_mask: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The rows, followed by the same rows without text where guidance needs them."""
    if params.guidance_scale == 1:
        return text, text_mask
    return text.repeat(2, 1, 1), torch.cat((text_mask, torch.zeros_like(text_mask)))


def guided(logits: Tensor, params: SamplingParams) -> Tensor:
    """(B, V) from the rows of `with_unconditional`."""
    if params.guidance_scale == 1:
        return logits
    cond, uncond = logits.chunk(2)
    return decoding.guide(cond, uncond, params.guidance_scale)
