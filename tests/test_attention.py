"""Which package computes attention is one rule; what any of them is given, PyTorch computes on a CPU."""

import pytest
import torch

from hybridgen.attention import FLASH_ATTN, PYTORCH, XFORMERS, attend, choose, installed

BOTH = frozenset({FLASH_ATTN, XFORMERS})
HALF = torch.bfloat16


@pytest.mark.parametrize(
    ("call", "found", "backend", "reason"),
    [
        (("cpu", HALF, 64, False, False), BOTH, PYTORCH, "need CUDA"),
        (("mps", HALF, 64, False, False), BOTH, PYTORCH, "need CUDA"),
        (("cuda", HALF, 64, False, False), BOTH, FLASH_ATTN, "takes the call"),
        (("cuda", torch.float16, 256, False, True), BOTH, FLASH_ATTN, "takes the call"),
        (("cuda", HALF, 64, False, False), {XFORMERS}, XFORMERS, "takes the call"),
        (("cuda", HALF, 64, False, True), {XFORMERS}, PYTORCH, "copy of the keys"),
        (("cuda", HALF, 64, True, False), BOTH, PYTORCH, "no mask"),
        (("cuda", torch.float32, 64, False, False), BOTH, PYTORCH, "not float32"),
        (("cuda", HALF, 264, False, False), BOTH, PYTORCH, "not 264"),
        (("cuda", HALF, 60, False, False), BOTH, PYTORCH, "not 60"),
        (("cuda", HALF, 64, False, False), {}, PYTORCH, "neither"),
    ],
)
def test_the_rule(call, found, backend, reason):
    choice = choose(*call, frozenset(found))
    assert choice.backend == backend and reason in choice.reason
    assert str(choice) == f"{choice.backend} ({choice.reason})"


def test_attention_is_its_formula_with_grouped_heads_and_a_mask():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.rand(2, 1, 3, 5) < 0.7
    mask[..., 0] = True
    scores = q @ k.repeat_interleave(2, 1).mT / 8**0.5
    expected = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v.repeat_interleave(2, 1)
    assert torch.allclose(attend(q, k, v, mask), expected, atol=1e-6)


def test_what_cannot_be_imported_is_not_installed():
    assert installed() <= BOTH
