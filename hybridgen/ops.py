"""The few operations worth a kernel: the definition anyone can read, and the faster twin where there is one.

A twin lives in `hybridgen_kernels`, under the same name with the same arguments, and is used for CUDA tensors. Without
Triton the package is absent and every op is its definition; inside `torch.compile` too, for a compiler fuses it itself.

Shapes: B batch, L tokens, M slots of a cache, H heads, G key/value heads, K head width, D width, V choices.
"""

import functools
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

Rotary = tuple[Tensor, Tensor]  # cos and sin, each (B or 1, 1, L, K / 2)


@functools.cache
def _kernels() -> ModuleType | None:
    """The package of fast twins, imported when the first CUDA tensor comes; None without Triton."""
    try:
        import hybridgen_kernels
    except ImportError:
        return None
    return hybridgen_kernels


def _twins(x: Tensor) -> ModuleType | None:
    """The package of fast twins where they take x, else None."""
    return _kernels() if x.is_cuda and not torch.compiler.is_compiling() and are_fast_on(x.device) else None


def are_fast_on(device: torch.device) -> bool:
    """Whether ops are their twins there: on the current CUDA device, the only one that Triton launches on."""
    return device.type == "cuda" and device.index in (None, torch.cuda.current_device()) and _kernels() is not None


def fast_ops() -> tuple[str, ...]:
    """Names of the ops that have a faster twin on this machine's GPUs; () without CUDA or Triton."""
    kernels = _kernels() if torch.cuda.is_available() else None
    return () if kernels is None else tuple(kernels.__all__)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) / sqrt(mean(x²) + eps) * weight (D,), in the dtype of x. https://arxiv.org/abs/1910.07467"""
    if (twins := _twins(x)) is not None:
        return twins.rms_norm(x, weight, eps)
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), eps)


def norm_rotate(x: Tensor, weight: Tensor, eps: float, cos_sin: Rotary | None) -> Tensor:
    """Queries or keys (B, H, L, K): `rms_norm` of each, then turned by `rotate` where there are angles."""
    if (twins := _twins(x)) is not None:
        return twins.norm_rotate(x, weight, eps, cos_sin)
    normed = rms_norm(x, weight, eps)
    return normed if cos_sin is None else rotate(normed, cos_sin)


def rotate(x: Tensor, cos_sin: Rotary) -> Tensor:
    """Turn each pair (x[i], x[i + K / 2]) of x (B, H, L, K) by its angle. https://arxiv.org/abs/2104.09864"""
    cos, sin = (table.to(x.dtype) for table in cos_sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def norm_rotate_write(
    qkv: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    eps: float,
    cos_sin: Rotary,
    cache: tuple[Tensor, Tensor],
    slot: Tensor,
) -> Tensor:
    """One token's queries (B, H, 1, K) after `norm_rotate`; its keys too, and its values, go into a slot of the cache.

    qkv: queries, keys (B, G, 1, K), values; weights: (K,) of queries and of keys; cache: keys and values (B, G, M, K),
    changed in place; slot (1,) int64, 0 to M - 1. No gradient flows.
    """
    if (twins := _twins(slot)) is not None:
        return twins.norm_rotate_write(qkv, weights, eps, cos_sin, cache, slot)
    (q, k, v), (keys, values) = qkv, cache
    q, k = (norm_rotate(x, weight, eps, cos_sin) for x, weight in zip((q, k), weights, strict=True))
    keys.index_copy_(2, slot, k)
    values.index_copy_(2, slot, v)
    return q


def decode_attention(q: Tensor, keys: Tensor, values: Tensor, last: Tensor, visible: Tensor | None = None) -> Tensor:
    """What one token (B, H, 1, K) finds in a cache (B, G, M, K): attention on slots 0 to `last`, (B, H, 1, K).

    last (1,) int64, below M; visible (B, 1, 1, M) bool: the slots that a row may look at, None = all. Who may look
    nowhere finds zeros. No gradient flows.
    """
    if (twins := _twins(q)) is not None:
        return twins.decode_attention(q, keys, values, last, visible)
    stop = int(last) + 1
    mask = None if visible is None else visible[..., :stop]
    return F.scaled_dot_product_attention(
        q, keys[:, :, :stop], values[:, :, :stop], attn_mask=mask, enable_gqa=q.shape[1] != keys.shape[1]
    )


def ada_norm(
    x: Tensor,
    weight: Tensor,
    eps: float,
    update: Tensor | None = None,
    gate: Tensor | None = None,
    shift: Tensor | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """x + gate * update, and `rms_norm` of that, times 1 + scale, plus shift: (B, L, D) each.

    update (B, L, D), added as it is without a gate; gate, shift, scale (B, 1, D), the last two both or neither.
    """
    if (twins := _twins(x)) is not None:
        return twins.ada_norm(x, weight, eps, update, gate, shift, scale)
    if update is not None:
        x = x + (update if gate is None else gate * update)
    normed = rms_norm(x, weight, eps)
    return x, normed if scale is None or shift is None else normed * (1 + scale) + shift


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up from both side by side (..., 2 F): (..., F). https://arxiv.org/abs/2002.05202"""
    if (twins := _twins(gate_up)) is not None:
        return twins.swiglu(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def guide(logits: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: away from the unconditional logits by `scale`. https://arxiv.org/abs/2306.17806"""
    return unconditional + scale * (logits - unconditional)


def choose(
    logits: Tensor,
    noise: Tensor,
    temperature: float,
    top_p: float,
    guidance_scale: float = 1.0,
    allowed: Tensor | None = None,
) -> Tensor:
    """One choice (B,) int64 from logits (B, V) and Gumbel noise (B, V) among `allowed` (B, V) bool.

    temperature 0 takes the likeliest; only the likeliest that hold a share `top_p` are drawn from; guidance_scale
    other than 1: logits (2 B, V), the conditional rows and then the unconditional ones.
    """
    if (twins := _twins(logits)) is not None:
        return twins.choose(logits, noise, temperature, top_p, guidance_scale, allowed)
    if guidance_scale != 1:
        conditional, unconditional = logits.chunk(2)
        logits = guide(conditional, unconditional, guidance_scale)
    logits = logits.float()
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_p < 1:
        falling = logits.sort(descending=True).values
        share = falling.softmax(-1)
        beyond = share.cumsum(-1) - share >= top_p  # what comes before already holds top_p
        lowest = falling.masked_fill(beyond, torch.inf).amin(-1, keepdim=True)
        logits = logits.masked_fill(logits < lowest, -torch.inf)
    return (logits + noise).argmax(-1)


def overlap_add(frames: Tensor, hop: int, window: Tensor | None = None) -> Tensor:
    """Frames (..., F, n), a hop apart, under a window (n,) and added up: (..., F * hop), cut by (n - hop) / 2 at the
    ends; n a multiple of hop, n - hop even."""
    if (twins := _twins(frames)) is not None:
        return twins.overlap_add(frames, hop, window)
    if window is not None:
        frames = frames * window
    pieces = frames.unflatten(-1, (-1, hop)).unbind(-2)  # n / hop times (..., F, hop)
    padded = [F.pad(piece, (0, 0, i, len(pieces) - 1 - i)) for i, piece in enumerate(pieces)]
    total = sum(padded[1:], start=padded[0])
    cut = (frames.shape[-1] - hop) // 2
    return total.flatten(-2)[..., cut : total.shape[-2] * hop - cut]
