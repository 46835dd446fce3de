"""The planner in numpy says what the modules say, adapters and masks included, and a row the same bits in any batch."""

import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pytest
import torch

from hybridgen import adapters, decoding
from hybridgen.layers import KVCache
from hybridgen.note_grammar import SOURCES
from hybridgen.note_stage import N_LIKENESS, NoteStage
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.planning import host
from hybridgen.planning.host import Harmony, HostLayers, HostNotes
from hybridgen.planning.session import DecoderSession, Layers
from hybridgen.sampling import SamplingParams

CONFIG = PlannerConfig(
    dim=24, n_layers=3, n_heads=4, n_kv_heads=2, ffn_dim=40, depth_dim=12, depth_ffn_dim=16, text_dim=8,
    n_codebooks=2, codebook_size=10, notes=True,
)  # fmt: skip
N_SLOTS = 9
MakeLayers: TypeAlias = Callable[[Planner, Sequence[KVCache], torch.Tensor | None], Layers | HostLayers]


@pytest.fixture(scope="module")
def planner() -> Planner:
    torch.manual_seed(0)
    planner = Planner(CONFIG).eval().requires_grad_(False)
    for parameter in planner.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return planner


def stepped(
    planner: Planner, make: MakeLayers, x: torch.Tensor, visible: torch.Tensor | None = None, first: int = 0
) -> tuple[torch.Tensor, list[KVCache]]:
    """The states of the slots x (B, N_SLOTS, D) from the first on, fed one by one, and the caches after the last."""
    caches = [KVCache(len(x), CONFIG.n_kv_heads, N_SLOTS, 6, like=x) for _ in planner.blocks]
    layers, states = make(planner, caches, visible), []
    with torch.inference_mode():
        for slot in range(first, N_SLOTS):
            positions = torch.full((len(x), 1), slot - 2)
            states.append(layers.step(x[:, slot, None], positions, torch.tensor([slot])))
    return torch.cat(states, dim=1), caches


def slots(n: int) -> torch.Tensor:
    return torch.randn(n, N_SLOTS, CONFIG.dim, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n_hidden", (0, 4))
def test_a_step_is_that_of_the_modules(planner: Planner, n_hidden: int):
    visible = torch.ones(3, 1, 1, N_SLOTS, dtype=torch.bool)
    visible[-1, ..., :n_hidden] = False  # the first slots of the last row are padding
    makes: tuple[MakeLayers, ...] = (Layers, HostLayers)
    runs = [stepped(planner, make, slots(3), visible if n_hidden else None, n_hidden) for make in makes]
    (expected, caches), (got, own) = runs
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    for cache, other in zip(caches, own, strict=True):
        torch.testing.assert_close(other.keys, cache.keys, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other.values, cache.values, atol=1e-5, rtol=1e-5)


def test_a_row_has_the_same_bits_alone_and_in_a_batch(planner: Planner):
    x = slots(5)
    together, _ = stepped(planner, HostLayers, x)
    for row in range(len(x)):
        assert torch.equal(stepped(planner, HostLayers, x[row : row + 1])[0][0], together[row])


def test_adapters_are_heard(planner: Planner):
    rng = torch.Generator().manual_seed(0)
    lora = adapters.create(planner, ("wq", "w_in", "wo"), rank=2, alpha=4.0, rng=rng)
    for pair in lora.pairs.values():
        torch.nn.init.normal_(pair.lora_B.weight, std=0.3, generator=rng)
    adapted = adapters.adapt(planner, [(lora, 0.5), (lora, 0.25)])
    assert isinstance(adapted, Planner)
    expected, got = (stepped(adapted, make, slots(2))[0] for make in (Layers, HostLayers))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(got, stepped(planner, HostLayers, slots(2))[0], atol=1e-2)


@torch.inference_mode()
def test_a_session_steps_in_numpy_on_a_cpu_and_in_float32_alone(planner: Planner):
    text, mask = torch.randn(2, 3, CONFIG.text_dim), torch.ones(2, 3, dtype=torch.bool)
    assert isinstance(DecoderSession(planner, text, mask).layers, HostLayers)
    half = Planner(CONFIG).bfloat16()
    assert isinstance(DecoderSession(half, text.bfloat16(), mask).layers, Layers)


@pytest.mark.parametrize("n_rows", (1, 2))
@pytest.mark.parametrize("is_decision", (False, True))
def test_sub_tokens_of_notes_are_scored_as_the_stage_does(planner: Planner, n_rows: int, is_decision: bool):
    assert isinstance(planner.notes, NoteStage)
    rng = np.random.default_rng(n_rows)
    x = rng.standard_normal((n_rows, CONFIG.depth_dim), dtype=np.float32)
    harmony = np.zeros((5, 12), dtype=np.float32)
    harmony[[0, 2], [7, 3]] = 1  # the second half of the bar has no root
    harmony[3:, [0, 4, 7]] = 1
    likeness = rng.random((SOURCES, N_LIKENESS), dtype=np.float32) if is_decision else None
    alike = torch.zeros(SOURCES, N_LIKENESS) if likeness is None else torch.from_numpy(likeness)
    expected = planner.notes.logits(torch.from_numpy(x), torch.from_numpy(harmony).expand(n_rows, -1, -1), alike)
    got = HostNotes(planner.notes).logits(x, Harmony(harmony), likeness)
    np.testing.assert_allclose(got, expected.numpy(), atol=2e-5)


def test_a_choice_is_that_of_decoding():
    rng = np.random.default_rng(0)
    for number in range(1500):
        params = SamplingParams((0.0, 0.6, 1.0)[number % 3], (0.4, 0.9, 1.0)[number // 3 % 3], (1.0, 2.5)[number % 2])
        logits = 3 * rng.standard_normal((1 if params.guidance_scale == 1 else 2, 40), dtype=np.float32)
        noise, allowed = decoding.gumbel(number, 3, 0, (40,)), rng.random(40) < rng.random()
        allowed[rng.integers(40)] = True
        tensors = (torch.from_numpy(array)[None] for array in (noise, allowed))
        expected = decoding.choose(torch.from_numpy(logits), next(tensors), params, next(tensors))
        assert host.choose(logits, noise, params, allowed) == int(expected)


def test_loud_gates_do_not_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gated = host.swiglu(np.array([[-1e4, 1e4, 2.0, 3.0]], dtype=np.float32))
    assert gated.tolist() == [[0.0, 3e4]]
