"""Facts about the layers: a cache changes speed and not results, positions are relative, masks hide."""

import math

import pytest
import torch

from hybridgen.layers import AdaNorm, Attention, KVCache, RMSNorm, SwiGLU, rotary
from hybridgen.ops import rotate


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def test_rms_norm_has_unit_mean_square_at_any_level():
    norm = RMSNorm(16)
    for level in (0.1, 1.0, 1e4):
        y = norm(level * torch.randn(3, 5, 16))
        assert torch.allclose(y.square().mean(-1), torch.ones(3, 5), atol=0.02)


def test_position_p_turns_each_pair_by_p_times_its_frequency_from_the_first_axis_towards_the_second():
    positions = torch.tensor([[0.0, 1.0, -2.0]])
    x = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # pairs are (0, 2) and (1, 3)
    turned = torch.stack([rotate(row.expand(1, 1, 3, 4), rotary(positions, 4))[0, 0] for row in x])
    c, s, slow_c, slow_s = math.cos(1), math.sin(1), math.cos(0.01), math.sin(0.01)  # frequencies 1 and 10,000 ** -1/2
    assert torch.equal(turned[:, 0], x)
    by_one = torch.tensor([[c, 0, s, 0], [0, slow_c, 0, slow_s], [-s, 0, c, 0], [0, -slow_s, 0, slow_c]])
    assert torch.allclose(turned[:, 1], by_one, atol=1e-6)
    assert torch.allclose(turned[0, 2], torch.tensor([math.cos(2), 0, -math.sin(2), 0]), atol=1e-6)


def test_rotary_attention_depends_on_differences_of_positions_only():
    attention = Attention(16, 4, 2)
    x, positions = torch.randn(2, 6, 16), torch.arange(6).expand(2, 6)
    here = attention(x, rotary(positions, 4), causal(6))
    moved = attention(x, rotary(positions - torch.tensor([[100], [7]]), 4), causal(6))
    assert torch.allclose(here, moved, atol=1e-5)
    assert not torch.allclose(here, attention(x, None, causal(6)), atol=1e-3)


def test_cached_attention_equals_uncached():
    attention = Attention(16, 4, 2)
    x = torch.randn(2, 7, 16)
    cos, sin = rotary(torch.arange(7).expand(2, 7) - 3, 4)
    whole = attention(x, (cos, sin), causal(7))
    cache = KVCache(2, attention.n_kv_heads, 7, attention.head_dim, x)
    parts = []
    for start, stop in ((0, 3), (3, 4), (4, 7)):
        part = (cos[:, :, start:stop], sin[:, :, start:stop])
        parts.append(attention(x[:, start:stop], part, causal(7)[start:stop, :stop], cache))
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-6)
    assert cache.length == 7


@pytest.mark.parametrize("padded", (False, True))
def test_a_step_is_bit_for_bit_what_is_appended_and_looked_at(padded):
    attention = Attention(16, 4, 2)
    x, cos_sin = torch.randn(2, 7, 16), rotary(torch.arange(7).expand(2, 7), 4)
    visible = torch.ones(2, 20, dtype=torch.bool)
    visible[1, :2] = not padded
    visible = visible[:, None, None]
    appended, stepped = (KVCache(2, 2, 20, attention.head_dim, x) for _ in range(2))
    with torch.no_grad():
        for slot in range(7):
            one, turn = x[:, slot : slot + 1], tuple(table[:, :, slot : slot + 1] for table in cos_sin)
            mask = visible[..., : slot + 1] if padded else None
            there = attention(one, turn, mask, appended)
            here = attention.step(one, turn, stepped, torch.tensor([slot]), visible if padded else None)
            assert torch.equal(here, there)
    assert torch.equal(stepped.keys, appended.keys) and torch.equal(stepped.values, appended.values)


def test_an_adaptive_norm_is_its_formula_with_and_without_each_of_its_parts():
    norm, (x, update) = AdaNorm(8), torch.randn(2, 2, 3, 8)
    gate, shift, scale = torch.randn(3, 2, 1, 8)
    total, normed = norm(x, update, gate, shift, scale)
    assert torch.allclose(total, x + gate * update)
    unit = total / total.square().mean(-1, keepdim=True).add(1e-6).sqrt()
    assert torch.allclose(normed, unit * (1 + scale) + shift, atol=1e-5)
    assert torch.equal(norm(x, update)[0], x + update) and norm(x)[0] is x
    assert torch.allclose(norm(total)[1], unit, atol=1e-5)


def test_grouped_queries_equal_repeated_keys_and_values():
    grouped, full = Attention(16, 4, 2), Attention(16, 4, 4)
    full.load_state_dict(grouped.state_dict() | {"wkv.weight": full.wkv.weight})
    repeated = grouped.wkv.weight.view(2, 2, 4, 16).repeat_interleave(2, dim=1)  # (keys or values, head, K, D)
    full.wkv.weight.data.copy_(repeated.reshape(32, 16))
    x = torch.randn(2, 5, 16)
    assert torch.allclose(grouped(x), full(x), atol=1e-6)


def test_what_is_masked_has_no_influence_and_nothing_to_look_at_gives_zeros():
    attention = Attention(16, 4, 2, context_dim=8)
    x, context = torch.randn(2, 3, 16), torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)[:, None, None]
    y = attention(x, mask=mask, context=context)
    context[:, 2:] = 100.0
    assert torch.equal(attention(x, mask=mask, context=context), y)
    assert torch.equal(y[1], torch.zeros(3, 16))
    assert torch.allclose(y[:1], attention(x[:1], context=context[:1, :2]), atol=1e-6)


def test_attention_weighs_directions_of_queries_and_keys_and_not_their_lengths():
    attention, x = Attention(16, 4, 2), torch.randn(2, 5, 16)
    y = attention(x)
    with torch.no_grad():
        attention.wq.weight *= 5
        attention.wkv.weight[:8] /= 5  # the keys
    assert torch.allclose(attention(x), y, atol=1e-4)


def test_head_dim_may_differ_from_the_width_per_head():
    assert Attention(16, 4, 1, head_dim=8)(torch.randn(1, 2, 16)).shape == (1, 2, 16)


def test_shapes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="n_heads 4 is not a multiple of n_kv_heads 3"):
        Attention(16, 4, 3)
    with pytest.raises(ValueError, match="dim 18 is not a multiple of n_heads 4"):
        Attention(18, 4, 2)


def test_swiglu_is_its_formula():
    layer, x = SwiGLU(4, 6), torch.randn(3, 4)
    gate, up = layer.w_in.weight.split(6)
    expected = (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ layer.w_out.weight.T
    assert torch.allclose(layer(x), expected, atol=1e-6)
