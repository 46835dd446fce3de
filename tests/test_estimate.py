"""What a step costs is what PyTorch counts; what a model needs is what DeepSpeed says; the table says both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.note_grammar import N_LIKENESS, SOURCES
from hybridgen.pipeline import Pipeline
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner, Steps
from hybridgen.quantizer import Quantizer
from hybridgen.renderer import Condition, Renderer, no_notes
from hybridgen.stages import PipelineConfig
from hybridgen.training import flops, losses, memory, objectives
from hybridgen.training.discriminators import DiscriminatorConfig, Discriminators
from hybridgen.training.estimate import Assumptions, estimate
from hybridgen.training.flops import Flops
from hybridgen.training.memory import Activations

B, S, L, P, T, N = 2, 8, 60, 40, 64, 16_384
WINDOWS, MELS = (512, 2048), (16, 32)
DISCRIMINATORS = DiscriminatorConfig((512, 1024), (4, 8, 8))


@dataclass(frozen=True)
class Step:
    """A model, the loss of a batch of B, and what it is said to need."""

    model: nn.Module
    loss: Callable[[], Tensor]
    flops: Flops  # of a row
    kept: Activations


def planner_step(micro: PipelineConfig) -> Step:
    config, model = micro.planner, Planner(micro.planner)
    text = torch.randn(B, S, config.text_dim), torch.ones(B, S, dtype=torch.bool)
    score = torch.randint(0, 9, (B, L)), torch.zeros(B, L, 2, dtype=torch.int64)
    codes = torch.randint(0, config.codebook_size, (B, config.n_codebooks, P))
    controls = torch.randn(B, P, N_FEATURES), torch.zeros(B, len(ROLES), dtype=torch.int64)

    def loss() -> Tensor:
        score_logits, code_logits, _ = model(*text, *score, codes, *controls)
        codes_loss = F.cross_entropy(code_logits.permute(0, 3, 1, 2), codes.transpose(1, 2))
        return F.cross_entropy(score_logits.transpose(1, 2), score[0]) + codes_loss

    return Step(model, loss, flops.planner(config, S, L, P), memory.planner(config, B, S, L, P))


def note_step(micro: PipelineConfig) -> Step:
    """A planner's step on scores with their notes, and the empty code frame that follows."""
    config = replace(micro.planner, notes=True)
    model, n_steps = Planner(config), 30
    text = torch.randn(B, S, config.text_dim), torch.ones(B, S, dtype=torch.bool)
    score = torch.randint(0, 9, (B, L)), torch.zeros(B, L, 2, dtype=torch.int64)
    codes, controls = torch.zeros(B, config.n_codebooks, 1, dtype=torch.int64), torch.randn(B, 1, N_FEATURES)
    places = torch.zeros(B, n_steps, flops.SUBTOKENS, dtype=torch.int64)
    steps = Steps(
        places,
        places,
        places[..., 0],
        torch.randn(B, n_steps, N_BAR_FEATURES),
        torch.arange(B * n_steps * flops.SUBTOKENS),
        torch.zeros(B * n_steps * flops.SUBTOKENS, SOURCES, N_LIKENESS),
    )

    def loss() -> Tensor:
        instruments = torch.zeros(B, len(ROLES), dtype=torch.int64)
        logits = model(*text, *score, codes, controls, instruments, steps=steps)
        return sum(one.float().logsumexp(-1).mean() for one in logits)

    shape = (S, L, 1, n_steps)
    return Step(model, loss, flops.planner(config, *shape), memory.planner(config, B, *shape))


def renderer_step(micro: PipelineConfig) -> Step:
    config, model, latents = micro.renderer, Renderer(micro.renderer), torch.randn(B, T, micro.renderer.latent_dim)
    cond = Condition(
        text=torch.randn(B, S, config.text_dim),
        text_mask=torch.ones(B, S, dtype=torch.bool),
        codes=torch.randint(0, config.codebook_size, (B, config.n_codebooks, T // 4)),
        features=torch.randn(B, T, N_FEATURES),
        instruments=torch.zeros(B, len(ROLES), dtype=torch.int64),
        context=latents,
        known=torch.zeros(B, T, dtype=torch.bool),
        timbre=Renderer.timbre(latents),
        **no_notes(B, T),
    )

    def loss() -> Tensor:
        return model(latents, torch.rand(B), cond).square().mean()

    return Step(model, loss, flops.renderer(config, S, T), memory.renderer(config, B, S, T))


def quantizer_step(micro: PipelineConfig) -> Step:
    config, model, latents = micro.quantizer, Quantizer(micro.quantizer), torch.randn(B, T, micro.quantizer.latent_dim)

    def loss() -> Tensor:
        out = model(latents)
        predicted = sum(part.square().mean() for part in vars(out.note_targets).values())
        return F.mse_loss(out.latents, latents) + predicted + out.codebook_loss + out.commitment_loss

    return Step(model, loss, flops.quantizer(config, T), memory.quantizer(config, B, T))


def codec_step(shapes: SpectralCodecConfig, frozen: bool, adversarial: bool) -> Step:
    codec, samples = SpectralCodec(shapes), torch.randn(B, 2, N)
    discriminators = Discriminators(DISCRIMINATORS)
    codec.encoder.requires_grad_(not frozen)
    spectral = losses.SpectralLoss(codec.sample_rate, WINDOWS, MELS)

    def loss() -> Tensor:
        with torch.set_grad_enabled(not frozen):
            latents = codec.normalize(codec.posterior(samples)[0])
        output = codec.decode(latents)
        total = sum(objectives.sound_losses(codec, spectral, output, samples).values())
        if adversarial:
            (real, wanted), (fake, _) = discriminators(samples), discriminators(output.detach())
            losses.discriminator_loss(real, fake).backward()
            discriminators.requires_grad_(False)
            scores, features = discriminators(output)
            total = total + losses.generator_loss(scores) + losses.feature_loss(wanted, features)
        return total

    shape = (N, WINDOWS, MELS, frozen, DISCRIMINATORS if adversarial else None)
    return Step(codec, loss, flops.codec(shapes, *shape), memory.codec(shapes, B, *shape))


STEPS = {
    "planner": planner_step,
    "planner, with notes": note_step,
    "renderer": renderer_step,
    "quantizer": quantizer_step,
    "codec": lambda micro: codec_step(micro.codec, frozen=False, adversarial=False),
    "codec, with short frames and gains": lambda micro: codec_step(
        replace(micro.codec, decoder_hop=512, decoder_expansion=3, kernel=5, short_bands=8, gain_bands=4), False, False
    ),
    "codec, frozen and adversarial": lambda micro: codec_step(micro.codec, frozen=True, adversarial=True),
}


@pytest.mark.parametrize("name", STEPS)
def test_operations_counted_on_the_meta_device_are_those_of_a_real_step(name: str, pipe: Pipeline):
    """Of planner and renderer they are extrapolated from steps of other lengths, exactly."""
    step = STEPS[name](pipe.config)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # the counter does not know the CPU's fused attention
        step.loss().backward()
    assert B * step.flops.total == counter.get_total_flops()


def test_operations_of_a_layer_are_those_of_its_products():
    layer, x = nn.Linear(3, 5), torch.randn(7, 3, requires_grad=True)
    found = flops.count(layer, lambda: layer(x).sum())
    assert found == Flops(forward=2 * 7 * 3 * 5, backward=2 * 2 * 7 * 3 * 5)


def test_checkpointing_runs_the_blocks_forward_again(pipe: Pipeline):
    for make in (planner_step, renderer_step):
        step = make(pipe.config)
        assert 0.5 * step.flops.forward < step.flops.recomputed < step.flops.forward
        assert step.kept.size(True, 4, 4) < step.kept.size(False, 4, 4)


def kept_bytes(modules: Sequence[nn.Module], act: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of what `act` returns, weights apart."""
    kept: dict[int, int] = {}
    own = {tensor.data_ptr() for module in modules for tensor in (*module.parameters(), *module.buffers())}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = act()
    assert result is not None  # and alive until here, with all that it keeps
    return sum(kept.values())


@pytest.mark.parametrize("name", [name for name in STEPS if "adversarial" not in name])
def test_activations_are_what_autograd_keeps(name: str, pipe: Pipeline):
    """Up to a third more here: the CPU's norms and attention are not fused, and keep copies."""
    step = STEPS[name](pipe.config)
    assert 0.9 < kept_bytes([step.model], step.loss) / step.kept.size(False, 4, 4) < 1.4


def test_discriminators_keep_their_spectra_and_layers():
    discriminators, sounds = Discriminators(DISCRIMINATORS), torch.randn(2, B, 2, N)
    said = memory.discriminators_kept(DISCRIMINATORS, B, N)
    measured = kept_bytes([discriminators], lambda: [discriminators(sound) for sound in sounds])
    assert measured == pytest.approx(4 * (said.stream + said.half), rel=0.1)


@pytest.mark.parametrize("n_gpus", [1, 2, 8])
def test_states_are_those_of_deepspeed(n_gpus: int):
    """Its estimators know no average of the weights, and nothing of fp32."""
    stage12 = pytest.importorskip("deepspeed.runtime.zero.stage_1_and_2")
    from deepspeed.runtime.zero import stage3

    def ours(stage: int, offload: bool) -> float:
        need = memory.states(10**9, 10**7, n_gpus, stage, half=True, offload=offload)
        return need.weights + need.gradients + need.optimizer

    for offload in (False, True):
        _, theirs = stage12.estimate_zero2_model_states_mem_needs(10**9, n_gpus, 1, offload)
        assert ours(2, offload) == pytest.approx(theirs)
        _, theirs, _ = stage3.estimate_zero3_model_states_mem_needs(10**9, 10**7, n_gpus, 1, offload, False)
        assert ours(3, offload) == pytest.approx(theirs)
    if n_gpus <= 4:  # beyond, theirs counts a whole model that each rank makes at the start
        host, _ = stage12.estimate_zero2_model_states_mem_needs(10**9, n_gpus, 1, True, additional_buffer_factor=1)
        assert memory.states(10**9, 10**7, n_gpus, 2, half=True, offload=True).host * n_gpus == host + 4 * 10**9


def test_each_stage_needs_less_than_the_one_before():
    needs = [memory.states(10**9, 10**7, 8, stage, half=False).gpu for stage in (0, 1, 2, 3)]
    assert needs == sorted(needs, reverse=True)
    plain = memory.states(10**9, 10**7, 1, None, half=False)
    assert plain.gpu - memory.DRIVER_BYTES == 20 * 10**9  # fp32: weight, gradient, two moments, average


def test_utilization_is_a_share_of_the_peak():
    assert flops.utilization(989e12, 2.0, "NVIDIA H100 80GB HBM3") == 0.5
    assert flops.utilization(312e12, 1.0, "NVIDIA A100-SXM4-80GB", n_devices=4) == 0.25
    assert flops.utilization(1e12, 1.0, "NVIDIA GeForce GTX 970") is None


def test_the_table_and_its_errors(script: Callable[[str], ModuleType], capsys: pytest.CaptureFixture):
    main = script("tools/estimate.py").main
    main("configs/train/renderer.yaml", "run.model=large", "gpus=64", "price=2.5")
    table = capsys.readouterr().out
    for words in ("ZeRO 3", "parameters", "GPU-hours, costs", "utilization=0.4", "BATCH TOO SMALL"):
        assert words in table
    main("--help")
    assert "utilization" in capsys.readouterr().out
    for wrong, words in (
        (("configs/train/renderer.yaml", "gpu=TPU"), "gpu 'TPU' is none of"),
        (("configs/train/renderer.yaml", "phases=[]x"), "not YAML"),
        (("configs/train/renderer.yaml", "utilization=2"), "utilization 2"),
        (("configs/train/renderer.yaml", "run.model=huge"), "preset 'models/huge' unknown"),
        (("configs/models/tiny.yaml",), "not named after one of the stages"),
        (("nowhere/renderer.yaml",), "nowhere/renderer.yaml"),
    ):
        with pytest.raises(SystemExit) as exit_code:
            main(*wrong)
        error = capsys.readouterr().err
        assert exit_code.value.code == 2 and error.count("\n") == 1 and words in error


def test_more_gpus_take_less_time():
    path, over = "configs/train/renderer.yaml", ["configs/runs/large.yaml", "configs/runs/large-64xh100.yaml"]
    few, many = (estimate(path, over, Assumptions(gpus=gpus)) for gpus in (8, 64))
    assert few.seconds == pytest.approx(8 * many.seconds)
    assert few.configured.gpu > many.configured.gpu
