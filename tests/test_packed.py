"""Packed layers: 16 bits compute what 32 do, 8 bits are rounded once, and a row depends on no other row."""

import numpy as np
import pytest
import torch
from torch import nn

from hybridgen import adapters, packed, weights
from hybridgen.packed import LEVELS, PackedLinear
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.planning import host
from hybridgen.planning.session import DecoderSession, HostLayers, Layers

CONFIG = PlannerConfig(
    dim=24, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=40, depth_dim=12, depth_ffn_dim=16, text_dim=8,
    n_codebooks=2, codebook_size=10, notes=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "BLOCK", 1)  # so as many rows at once as are `ALIGNED`


def filled(dtype: torch.dtype, n_in: int = 40, n_out: int = 136, bias: bool = False) -> tuple[PackedLinear, nn.Linear]:
    """A packed layer, and the layer of the weights that were packed, which float16 can hold."""
    torch.manual_seed(n_in)
    layer = nn.Linear(n_in, n_out, bias).requires_grad_(False)
    layer.weight.copy_(layer.weight.half())
    made = PackedLinear(layer, dtype)
    made.fill(layer.weight)
    return made, layer


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 100)])
@pytest.mark.parametrize(("n_in", "n_out"), [(256, 1408), (704, 256), (1536, 1024), (4096, 320)])
def test_16_bits_compute_the_same_bits_as_32(shape: tuple[int, ...], n_in: int, n_out: int):
    """In blocks as in one: at the widths of the planners and renderers that are shipped."""
    made, layer = filled(torch.float16, n_in, n_out)
    x = torch.randn(*shape, n_in, generator=torch.Generator().manual_seed(1))
    assert made.weight.dtype == torch.float16 and len(list(made.widened())) > 1
    assert torch.equal(made(x), layer(x))
    rows = x.flatten(0, -2).numpy()[:4]
    assert np.array_equal(host.linear(made)(rows), host.linear(layer)(rows))


def test_a_bias_is_added():
    made, layer = filled(torch.float16, bias=True)
    torch.testing.assert_close(made(torch.ones(1, 40)), layer(torch.ones(1, 40)))


def test_8_bits_are_within_half_a_step_of_each_rows_scale():
    made, layer = filled(torch.int8)
    assert made.scale is not None and made.weight.abs().max() == LEVELS
    held = made.weight * made.scale[:, None]
    assert ((held - layer.weight).abs() <= 0.501 * made.scale[:, None]).all()
    torch.testing.assert_close(made.scale, layer.weight.abs().amax(dim=1) / LEVELS)
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(x), x @ held.T)


def test_a_row_of_zeros_stays_one():
    made, layer = filled(torch.int8)
    layer.weight[3] = 0
    made.fill(layer.weight)
    assert not made(torch.ones(1, 40))[0, 3] and made(torch.ones(1, 40)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
def test_in_numpy_a_row_has_the_same_bits_alone_and_in_a_batch(dtype: torch.dtype):
    made, _ = filled(dtype)
    x = np.random.default_rng(0).standard_normal((4, 40), dtype=np.float32)
    together = host.linear(made)(x)
    np.testing.assert_allclose(together, made(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6)
    for i in range(4):
        assert np.array_equal(host.linear(made)(x[i : i + 1])[0], together[i])


@pytest.fixture
def planners(tmp_path) -> tuple[Planner, Planner]:
    """A planner, and the same with its blocks in 8 bits."""
    torch.manual_seed(0)
    full, small = (Planner(CONFIG).eval().requires_grad_(False) for _ in range(2))
    weights.save_weights(full, tmp_path / "planner.safetensors")
    weights.load_weights(full, tmp_path / "planner.safetensors")
    packed.pack(small.blocks, torch.int8)
    assert len(packed.packed_layers(small)) == 5 * CONFIG.n_layers  # wq, wkv, wo, w_in, w_out
    weights.load_weights(small, tmp_path / "planner.safetensors")
    return full, small


def test_a_planner_in_8_bits_says_nearly_the_same_cached_or_not_in_numpy_or_not(planners, monkeypatch):
    full, small = planners
    generator = torch.Generator().manual_seed(2)
    text, x = torch.randn(2, 3, 8, generator=generator), torch.randn(2, 6, 24, generator=generator)
    mask, positions = torch.ones(2, 3, dtype=torch.bool), torch.arange(1, 7).expand(2, -1)

    def states(planner: Planner, n_at_once: int, layers: type) -> torch.Tensor:
        monkeypatch.setattr("hybridgen.planning.session.can_step", lambda _: layers is HostLayers)
        session = DecoderSession(planner, text, mask)
        parts = zip(x.split(n_at_once, 1), positions.split(n_at_once, 1), strict=True)
        return torch.cat([session.feed(*part) for part in parts], dim=1)

    with torch.inference_mode():
        at_once, exact = states(small, 6, Layers), states(full, 6, Layers)
        torch.testing.assert_close(states(small, 1, Layers), at_once, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(states(small, 1, HostLayers), at_once, rtol=1e-4, atol=1e-5)
    error = (at_once - exact).norm() / exact.norm()
    assert 1e-5 < error < 0.02


def test_adapters_lie_on_8_bits_as_on_32(planners):
    full, small = planners
    lora = adapters.create(full, ["wq", "w_out"], 2, 4.0, torch.Generator().manual_seed(0))
    for pair in lora.pairs.values():
        nn.init.normal_(pair.lora_B.weight, std=0.1)
    assert adapters.adapt(small, [(lora, 0.0)]) is small
    adapted = adapters.adapt(small, [(lora, 1.0)])
    x = torch.randn(1, 24)
    before, after = (model.get_submodule("blocks.0.attention.wq") for model in (small, adapted))
    pair = lora.pairs["blocks.0.attention.wq"]
    torch.testing.assert_close(after(x), before(x) + 2.0 * pair(x))
    np.testing.assert_allclose(host.linear(after)(x.numpy()), after(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert after.base.weight is before.weight and after.base.scale is before.scale
