"""Guidance, what is allowed, temperature, top-p and the Gumbel maximum of a row of logits in one launch, no sorting.

Shapes: B rows, V choices. Which choices hold the share top_p is a question about one threshold: the smallest value
above which less than that share lies. It is found by bisection over the bit patterns of floats, 32 sums of a row that
never leaves the registers. The noise is the caller's, made on the CPU, so that every device makes the same choices.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def choose_kernel(
    logits_ptr, uncond_ptr, noise_ptr, allowed_ptr, chosen_ptr, V, temperature, top_p, guidance_scale,
    logits_row, uncond_row, noise_row, allowed_row,
    GUIDED: tl.constexpr, LIMITED: tl.constexpr, GREEDY: tl.constexpr, FILTERED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < V
    x = tl.load(logits_ptr + row * logits_row + columns, mask=inside, other=0.0).to(tl.float32)
    if GUIDED:
        uncond = tl.load(uncond_ptr + row * uncond_row + columns, mask=inside, other=0.0).to(tl.float32)
        x = uncond + guidance_scale * (x - uncond)
    if LIMITED:
        inside = inside & (tl.load(allowed_ptr + row * allowed_row + columns, mask=inside, other=0) != 0)
    x = tl.where(inside, x, float("-inf"))
    if not GREEDY:
        x = x / temperature
        if FILTERED:
            x = tl.where(x == 0, 0.0, x)  # no -0.0, whose bits are not those of 0.0
            highest = tl.max(x, axis=0)
            weights = tl.where(inside, tl.exp(x - tl.where(highest == float("-inf"), 0.0, highest)), 0.0)
            limit = top_p * tl.sum(weights, axis=0)
            bits = x.to(tl.int32, bitcast=True)
            order = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)  # rises with x
            low, high = tl.min(order, axis=0), tl.max(order, axis=0)
            for _ in range(32):
                middle = (low + high) >> 1
                is_enough = tl.sum(tl.where(order > middle, weights, 0.0), axis=0) < limit
                low, high = tl.where(is_enough, low, middle + 1), tl.where(is_enough, middle, high)
            x = tl.where(order >= high, x, float("-inf"))
        x += tl.load(noise_ptr + row * noise_row + columns, mask=columns < V, other=0.0)
    tl.store(chosen_ptr + row, tl.argmax(x, axis=0).to(tl.int64))


def choose(
    logits: Tensor,
    noise: Tensor,
    temperature: float,
    top_p: float,
    guidance_scale: float = 1.0,
    allowed: Tensor | None = None,
) -> Tensor:
    """One choice (B,) int64 from logits (B, V), with guidance (2 B, V), and Gumbel noise (B, V) float32."""
    logits, noise = (x if x.stride(-1) == 1 else x.contiguous() for x in (logits, noise))
    cond, uncond = logits.chunk(2) if guidance_scale != 1 else (logits, logits)
    allows = noise if allowed is None else allowed.view(torch.uint8)
    chosen = torch.empty(len(cond), dtype=torch.int64, device=logits.device)
    block = triton.next_power_of_2(logits.shape[1])
    choose_kernel[(len(cond),)](
        cond, uncond, noise, allows, chosen, logits.shape[1], temperature, top_p, guidance_scale,
        cond.stride(0), uncond.stride(0), noise.stride(0), allows.stride(0),
        GUIDED=guidance_scale != 1, LIMITED=allowed is not None, GREEDY=temperature == 0, FILTERED=top_p < 1,
        BLOCK=block, num_warps=min(max(block // 256, 1), 16),
    )  # fmt: skip
    return chosen
