"""What the planner and the renderer share: RMSNorm, rotary positions, attention with a KV cache, SwiGLU.

Shapes: B batch, L tokens of this call, M keys that may be looked at, H heads, G key/value heads, K head width, D width.
Nothing here draws random numbers or keeps state between calls; a cache is made by the caller and passed in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen import ops

Rotary = tuple[Tensor, Tensor]  # cos and sin, each (B, 1, L, K / 2)


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis. https://arxiv.org/abs/1910.07467"""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., dim) -> the same shape."""
        return ops.rms_norm(x, self.weight, self.eps)


def rotary(positions: Tensor, head_dim: int, theta: float = 10_000.0) -> Rotary:
    """Cosines and sines for positions (B, L), any real numbers, negative ones too. https://arxiv.org/abs/2104.09864

    Only differences of positions matter to attention, so every row may count from where it likes.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[:, None, :, None].float() * theta**-exponents  # (B, 1, L, K / 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos_sin: Rotary) -> Tensor:
    """Turn each pair (x[i], x[i + K / 2]) of x (B, H, L, K) by its angle."""
    cos, sin = (table.to(x.dtype) for table in cos_sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class KVCache:
    """Keys and values of one attention layer, allocated ahead; `length` slots are written.

    A cache that runs full doubles, at the cost of a copy and a moment of twice the memory: say `max_length` well.
    """

    def __init__(self, batch: int, n_kv_heads: int, max_length: int, head_dim: int, like: Tensor):
        """Room for (batch, n_kv_heads, max_length, head_dim) on the device and in the dtype of `like`."""
        self.keys = like.new_zeros(batch, n_kv_heads, max_length, head_dim)
        self.values = like.new_zeros(batch, n_kv_heads, max_length, head_dim)
        self.length = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values (B, G, L, K) into the next L slots; all that is written so far, (B, G, M, K) each."""
        start, stop = self.length, self.length + keys.shape[2]
        if stop > self.keys.shape[2]:
            more = (0, 0, 0, max(stop, 2 * self.keys.shape[2]) - self.keys.shape[2])
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)
        self.keys[:, :, start:stop] = keys
        self.values[:, :, start:stop] = values
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class Attention(nn.Module):
    """Grouped-query attention with normalized queries and keys, on itself or on a context.

    https://arxiv.org/abs/2305.13245 (grouped queries), https://arxiv.org/abs/2302.05442 (query-key norm)
    """

    def __init__(
        self, dim: int, n_heads: int, n_kv_heads: int, head_dim: int | None = None, context_dim: int | None = None
    ):
        """`head_dim` defaults to dim / n_heads; `context_dim` is the width of what forward() gets as context."""
        super().__init__()
        if n_heads % n_kv_heads:
            raise ValueError(f"n_heads {n_heads} is not a multiple of n_kv_heads {n_kv_heads}")
        if head_dim is None and dim % n_heads:
            raise ValueError(f"dim {dim} is not a multiple of n_heads {n_heads}")
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.head_dim = head_dim or dim // n_heads
        self.wq = nn.Linear(dim, n_heads * self.head_dim, bias=False)
        self.wkv = nn.Linear(context_dim or dim, 2 * n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(n_heads * self.head_dim, dim, bias=False)
        self.q_norm = RMSNorm(self.head_dim)
        self.k_norm = RMSNorm(self.head_dim)

    def forward(
        self,
        x: Tensor,
        cos_sin: Rotary | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """x (B, L, D) -> (B, L, D).

        mask: bool, broadcastable to (B, H, L, M), True where a query may look; None = everywhere. A query that may
        look nowhere gets zeros. cache: this call's keys are appended to it and all of it is looked at. context
        (B, M, context_dim): look there and not at x; then `cos_sin` and `cache` have no place.
        """
        source = x if context is None else context
        q = self.wq(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, H, L, K)
        kv = self.wkv(source).unflatten(-1, (2 * self.n_kv_heads, -1)).transpose(1, 2)
        k, v = kv.chunk(2, dim=1)  # (B, G, M, K)
        q, k = self.q_norm(q), self.k_norm(k)
        if cos_sin is not None:
            q, k = rotate(q, cos_sin), rotate(k, cos_sin)
        if cache is not None:
            k, v = cache.append(k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=self.n_heads != self.n_kv_heads)
        return self.wo(y.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """Feed-forward w_out(silu(gate) * up). https://arxiv.org/abs/2002.05202"""

    def __init__(self, dim: int, ffn_dim: int):
        """`ffn_dim` is the width between, taken as it is."""
        super().__init__()
        self.w_in = nn.Linear(dim, 2 * ffn_dim, bias=False)
        self.w_out = nn.Linear(ffn_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., dim) -> the same shape."""
        gate, up = self.w_in(x).chunk(2, dim=-1)
        return self.w_out(F.silu(gate) * up)
