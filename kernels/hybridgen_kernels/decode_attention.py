"""Attention of one token on a cache: the keys are split among programs, what each finds is joined by a second kernel.

One query cannot fill a GPU by itself: reading the cache at full speed takes many programs. How many is fixed by the
cache's size, so that a CUDA graph can hold the launch; how far the cache is written is read from memory, and what is
written is shared out evenly. The query heads that share keys are one tile, so keys and values are read once.

Products are TF32 for 16-bit numbers, all of which TF32 holds, and float32 for the others; everything else is float32.

Shapes: B batch, H heads, G key/value heads, R = H / G, M slots of the cache, S splits, K head width.
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 32  # keys that a program looks at together; those that are on their way fit a small GPU's shared memory
SMALLEST_TILE = 16  # rows of a matrix product
INTERPRETED_PROCESSORS = 8  # without a GPU: enough for several splits


@triton.jit
def split_kernel(
    q_ptr, keys_ptr, values_ptr, visible_ptr, last_ptr, found_ptr, highest_ptr, total_ptr, scale, K,
    q_batch, q_head, keys_batch, keys_head, keys_slot, values_batch, values_head, values_slot, visible_batch,
    G: tl.constexpr, R: tl.constexpr, S: tl.constexpr, MASKED: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The heads of one group on one share of the keys: highest score, sum of weights, weighted sum of values."""
    batch, group, split = tl.program_id(0).to(tl.int64) // G, tl.program_id(0) % G, tl.program_id(1)
    length = tl.load(last_ptr).to(tl.int32) + 1
    share = tl.cdiv(tl.cdiv(length, S), BLOCK) * BLOCK
    begin, end = split * share, tl.minimum((split + 1) * share, length)
    rows, columns = tl.arange(0, ROWS), tl.arange(0, WIDTH)
    in_q = (rows < R)[:, None] & (columns < K)[None, :]
    heads = group * R + rows
    q_at = q_ptr + batch * q_batch + heads[:, None] * q_head + columns[None, :]
    q = tl.load(q_at, mask=in_q, other=0.0).to(tl.float32)
    highest = tl.full((ROWS,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((ROWS,), dtype=tl.float32)
    found = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    for first in range(begin, end, BLOCK):
        slots = first + tl.arange(0, BLOCK)
        looks = slots < end
        places = (slots < end)[:, None] & (columns < K)[None, :]
        at = slots.to(tl.int64)[:, None]
        k_at = keys_ptr + batch * keys_batch + group * keys_head + at * keys_slot + columns[None, :]
        v_at = values_ptr + batch * values_batch + group * values_head + at * values_slot + columns[None, :]
        k = tl.load(k_at, mask=places, other=0.0).to(tl.float32)
        v = tl.load(v_at, mask=places, other=0.0).to(tl.float32)
        if MASKED:
            looks = looks & (tl.load(visible_ptr + batch * visible_batch + slots, mask=looks, other=0) != 0)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        scores = tl.where(looks[None, :], scores, float("-inf"))
        new = tl.maximum(highest, tl.max(scores, axis=1))
        base = tl.where(new == float("-inf"), 0.0, new)  # nothing to look at yet
        weights = tl.exp(scores - base[:, None])
        shrink = tl.exp(highest - base)
        found = found * shrink[:, None] + tl.dot(weights, v, input_precision=PRECISION)
        total = total * shrink + tl.sum(weights, axis=1)
        highest = new
    place = ((batch * G + group) * R + rows) * S + split
    tl.store(highest_ptr + place, highest, mask=rows < R)
    tl.store(total_ptr + place, total, mask=rows < R)
    tl.store(found_ptr + place[:, None] * K + columns[None, :], found, mask=in_q)


@triton.jit
def join_kernel(
    found_ptr, highest_ptr, total_ptr, y_ptr, K, S: tl.constexpr, SPLITS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """One head's parts added up; zeros where no split found anything."""
    head = tl.program_id(0).to(tl.int64)
    splits, columns = tl.arange(0, SPLITS), tl.arange(0, WIDTH)
    inside = (splits < S)[:, None] & (columns < K)[None, :]
    highest = tl.load(highest_ptr + head * S + splits, mask=splits < S, other=float("-inf"))
    total = tl.load(total_ptr + head * S + splits, mask=splits < S, other=0.0)
    found = tl.load(found_ptr + (head * S + splits[:, None]) * K + columns[None, :], mask=inside, other=0.0)
    base = tl.max(highest, axis=0)
    shrink = tl.exp(highest - tl.where(base == float("-inf"), 0.0, base))
    total = tl.sum(total * shrink, axis=0)
    y = tl.sum(found * shrink[:, None], axis=0) / tl.where(total == 0, 1.0, total)
    tl.store(y_ptr + head * K + columns, y.to(y_ptr.dtype.element_ty), mask=columns < K)


@functools.cache
def n_processors(device: torch.device) -> int:
    """Multiprocessors of a GPU."""
    if device.type != "cuda":
        return INTERPRETED_PROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count


def n_splits(n_groups: int, n_slots: int, device: torch.device) -> int:
    """How many programs share the keys of a group: two for each multiprocessor in all, but none without keys."""
    wanted = triton.cdiv(2 * n_processors(device), n_groups)
    return max(1, min(wanted, triton.cdiv(n_slots, BLOCK), 64))


def decode_attention(q: Tensor, keys: Tensor, values: Tensor, last: Tensor, visible: Tensor | None = None) -> Tensor:
    """What one token (B, H, 1, K) finds in slots 0 to `last` (1,) of a cache (B, G, M, K): (B, H, 1, K).

    The last axis of the cache is dense.
    """
    (batch, n_heads, _, dim), (n_groups, n_slots) = q.shape, keys.shape[1:3]
    q = q if q.stride(-1) == 1 else q.contiguous()
    splits = n_splits(batch * n_groups, n_slots, q.device)
    parts = torch.empty(batch * n_heads * splits * (dim + 2), dtype=torch.float32, device=q.device)
    found, highest, total = parts.split([batch * n_heads * splits * n for n in (dim, 1, 1)])
    seen = last if visible is None else visible.view(torch.uint8)
    width = max(triton.next_power_of_2(dim), SMALLEST_TILE)
    split_kernel[(batch * n_groups, splits)](
        q, keys, values, seen, last, found, highest, total, dim**-0.5, dim,
        *q.stride()[:2], *keys.stride()[:3], *values.stride()[:3], seen.stride(0),
        G=n_groups, R=n_heads // n_groups, S=splits, MASKED=visible is not None,
        ROWS=max(triton.next_power_of_2(n_heads // n_groups), SMALLEST_TILE), WIDTH=width, BLOCK=BLOCK,
        **({"PRECISION": "ieee", "num_stages": 2} if keys.dtype == torch.float32 else {"PRECISION": "tf32"}),
    )  # fmt: skip
    y = torch.empty_like(q, memory_format=torch.contiguous_format)
    join_kernel[(batch * n_heads,)](
        found, highest, total, y, dim, S=splits, SPLITS=triton.next_power_of_2(splits), WIDTH=width
    )
    return y
