"""What the planner and the renderer share: norms, rotary positions, attention with a KV cache, SwiGLU.

Shapes: B batch, L tokens of this call, M keys that may be looked at, H heads, G key/value heads, K head width, D width.
Nothing here draws random numbers or keeps state between calls; a cache is made by the caller and passed in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridgen import attention, ops
from hybridgen.ops import Rotary


class Norm(nn.Module):
    """The weight of a norm over the last axis; the classes below say what else is done in the same pass."""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))


class RMSNorm(Norm):
    """x / rms(x) * weight. https://arxiv.org/abs/1910.07467"""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., dim) -> the same shape."""
        return ops.rms_norm(x, self.weight, self.eps)


class HeadNorm(Norm):
    """RMSNorm of each query or key, then turned by its position where it has one."""

    def forward(self, x: Tensor, cos_sin: Rotary | None = None) -> Tensor:
        """x (B, H, L, K) -> the same shape."""
        return ops.norm_rotate(x, self.weight, self.eps, cos_sin)


class AdaNorm(Norm):
    """A gated residual, RMSNorm of the sum, then scale and shift that a condition sets; each may be left out.

    https://arxiv.org/abs/2212.09748
    """

    def forward(
        self,
        x: Tensor,
        update: Tensor | None = None,
        gate: Tensor | None = None,
        shift: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x + gate * update (B, L, D), and that normalized, times 1 + scale, plus shift; the last three (B, 1, D)."""
        return ops.ada_norm(x, self.weight, self.eps, update, gate, shift, scale)


def rotary(positions: Tensor, head_dim: int, theta: float = 10_000.0) -> Rotary:
    """Cosines and sines for positions (B, L), any real numbers, negative ones too. https://arxiv.org/abs/2104.09864

    Only differences of positions matter to attention, so every row may count from where it likes.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[:, None, :, None].float() * theta**-exponents  # (B, 1, L, K / 2)
    return angles.cos(), angles.sin()


class KVCache:
    """Keys and values of one attention layer, (B, G, M, K) each, allocated ahead; `length` slots are written.

    A cache that runs full doubles, at the cost of a copy and a moment of twice the memory: say `max_length` well.
    """

    def __init__(self, batch: int, n_kv_heads: int, max_length: int, head_dim: int, like: Tensor):
        """Room for (batch, n_kv_heads, max_length, head_dim) on the device and in the dtype of `like`."""
        self.keys = like.new_zeros(batch, n_kv_heads, max_length, head_dim)
        self.values = like.new_zeros(batch, n_kv_heads, max_length, head_dim)
        self.length = 0

    @property
    def max_length(self) -> int:
        """Slots that there is room for."""
        return self.keys.shape[2]

    def reserve(self, length: int) -> None:
        """Room for `length` slots at least; the tensors are others where there was less."""
        if length > self.max_length:
            more = (0, 0, 0, max(length, 2 * self.max_length) - self.max_length)
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values (B, G, L, K) into the next L slots; all that is written so far, (B, G, M, K) each."""
        start, stop = self.length, self.length + keys.shape[2]
        self.reserve(stop)
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
        self.q_norm = HeadNorm(self.head_dim)
        self.k_norm = HeadNorm(self.head_dim)

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
        q, k, v = self._project(x, x if context is None else context)
        q, k = self.q_norm(q, cos_sin), self.k_norm(k, cos_sin)
        if cache is not None:
            k, v = cache.append(k, v)
        return self._out(attention.attend(q, k, v, mask))

    def step(self, x: Tensor, cos_sin: Rotary, cache: KVCache, slot: Tensor, visible: Tensor | None = None) -> Tensor:
        """One token x (B, 1, D) that looks at itself and the slots before it -> (B, 1, D); `forward` with a cache, but
        where the token lies is said by a tensor, so that a GPU can replay it.

        slot (1,) int64, below the cache's `max_length`; visible (B, 1, 1, max_length) bool: slots that a row may look
        at, None = all. The cache's `length` is left to the caller.
        """
        qkv, weights = self._project(x, x), (self.q_norm.weight, self.k_norm.weight)
        q = ops.norm_rotate_write(qkv, weights, self.q_norm.eps, cos_sin, (cache.keys, cache.values), slot)
        return self._out(ops.decode_attention(q, cache.keys, cache.values, slot, visible))

    def _project(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, L, K) of x, keys and values (B, G, M, K) of what is looked at."""
        q = self.wq(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        kv = self.wkv(source).unflatten(-1, (2 * self.n_kv_heads, -1)).transpose(1, 2)
        return (q, *kv.chunk(2, dim=1))

    def _out(self, y: Tensor) -> Tensor:
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
        return self.w_out(ops.swiglu(self.w_in(x)))
