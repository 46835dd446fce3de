"""What a step costs is what PyTorch counts; what a model needs is what DeepSpeed says; the table says both."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hybridgen.codec import Codec, mid_side
from hybridgen.pipeline import Pipeline, PipelineConfig
from hybridgen.plan import N_FEATURES, ROLES
from hybridgen.planner import Planner
from hybridgen.quantizer import Quantizer
from hybridgen.renderer import Condition, Renderer
from hybridgen.training import cost, losses
from hybridgen.training.cost import Work
from hybridgen.training.discriminators import DiscriminatorConfig, Discriminators

B, S, L, P, T, N = 2, 8, 60, 40, 64, 16_384
WINDOWS, MELS = (512, 2048), (16, 32)
JUDGES = DiscriminatorConfig((512, 1024), (4, 8, 8))

Step = tuple[nn.Module, Callable[[], Tensor], Work]


def planner_step(micro: PipelineConfig) -> Step:
    model = Planner(micro.planner)
    text = torch.randn(B, S, micro.planner.text_dim), torch.ones(B, S, dtype=torch.bool)
    score = torch.randint(0, 9, (B, L)), torch.zeros(B, L, 2, dtype=torch.int64)
    codes = torch.randint(0, micro.planner.codebook_size, (B, micro.planner.n_codebooks, P))
    controls = torch.randn(B, P, N_FEATURES), torch.zeros(B, len(ROLES), dtype=torch.int64)

    def loss() -> Tensor:
        score_logits, code_logits = model(*text, *score, codes, *controls)
        codes_loss = F.cross_entropy(code_logits.permute(0, 3, 1, 2), codes.transpose(1, 2))
        return F.cross_entropy(score_logits.transpose(1, 2), score[0]) + codes_loss

    return model, loss, cost.planner(micro.planner, B, S, L, P)


def renderer_step(micro: PipelineConfig) -> Step:
    model, latents = Renderer(micro.renderer), torch.randn(B, T, micro.renderer.latent_dim)
    cond = Condition(
        text=torch.randn(B, S, micro.renderer.text_dim),
        text_mask=torch.ones(B, S, dtype=torch.bool),
        codes=torch.randint(0, micro.renderer.codebook_size, (B, micro.renderer.n_codebooks, T // 4)),
        features=torch.randn(B, T, N_FEATURES),
        instruments=torch.zeros(B, len(ROLES), dtype=torch.int64),
        context=latents,
        known=torch.zeros(B, T, dtype=torch.bool),
        timbre=Renderer.timbre(latents),
    )
    work = cost.renderer(micro.renderer, B, S, T)
    return model, lambda: model(latents, torch.rand(B), cond).square().mean(), work


def quantizer_step(micro: PipelineConfig) -> Step:
    model, latents = Quantizer(micro.quantizer), torch.randn(B, T, micro.quantizer.latent_dim)

    def loss() -> Tensor:
        out = model(latents)
        played = sum(part.square().mean() for part in vars(out.played).values())
        return F.mse_loss(out.latents, latents) + played + out.codebook_loss + out.commitment_loss

    return model, loss, cost.quantizer(micro.quantizer, B, T)


def codec_step(micro: PipelineConfig, frozen: bool, judged: bool) -> Step:
    codec, judges, samples = Codec(micro.codec), Discriminators(JUDGES), torch.randn(B, 2, N)
    codec.encoder.requires_grad_(not frozen)
    spectral = losses.SpectralLoss(codec.sample_rate, WINDOWS, MELS)

    def power(sound: Tensor) -> Tensor:
        return codec.tones.power(F.pad(mid_side(sound), (codec.tones.pad, codec.tones.pad)))

    def loss() -> Tensor:
        with torch.set_grad_enabled(not frozen):
            latents = codec.normalise(codec.posterior(samples)[0])
        output = codec.decode(latents)
        total = sum(spectral(output, samples).values()) + losses.tone_loss(power(output), power(samples))
        if judged:
            (real, wanted), (fake, _) = judges(samples), judges(output.detach())
            losses.discriminator_loss(real, fake).backward()
            judges.requires_grad_(False)
            scores, features = judges(output)
            total = total + losses.generator_loss(scores) + losses.feature_loss(wanted, features)
        return total

    work = cost.codec(micro.codec, B, N, WINDOWS, MELS, frozen, JUDGES if judged else None)
    return codec, loss, work


STEPS = {
    "planner": planner_step,
    "renderer": renderer_step,
    "quantizer": quantizer_step,
    "codec": lambda micro: codec_step(micro, False, False),
    "codec, frozen and judged": lambda micro: codec_step(micro, True, True),
}


@pytest.mark.parametrize("name", STEPS)
def test_operations_are_those_that_pytorch_counts(name: str, pipe: Pipeline):
    model, loss, work = STEPS[name](pipe.config)
    counter = FlopCounterMode(model, display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # the counter does not know the CPU's fused attention
        loss().backward()
    assert work.flops == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("name", ["planner", "renderer"])
def test_checkpointing_runs_the_blocks_forward_again(name: str, pipe: Pipeline):
    _, _, work = STEPS[name](pipe.config)
    assert 0.5 * work.forward < work.recomputed < work.forward
    assert work.activations(True, 4, 4) < work.activations(False, 4, 4)


@pytest.mark.parametrize("name", STEPS)
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


@pytest.mark.parametrize("name", [name for name in STEPS if "judged" not in name])
def test_activations_are_what_autograd_keeps(name: str, pipe: Pipeline):
    """Up to a third more here: the CPU's norms and attention are not fused, and keep copies."""
    model, loss, work = STEPS[name](pipe.config)
    assert 0.9 < kept_bytes([model], loss) / work.activations(False, 4, 4) < 1.4


def test_judges_keep_their_spectra_and_layers():
    judges, sounds = Discriminators(JUDGES), torch.randn(2, B, 2, N)
    said = cost.judged_kept(JUDGES, B, N)
    measured = kept_bytes([judges], lambda: [judges(sound) for sound in sounds])
    assert measured == pytest.approx(4 * (said.stream + said.half), rel=0.1)


@pytest.mark.parametrize("n_gpus", [1, 2, 8])
def test_states_are_those_of_deepspeed(n_gpus: int):
    """Its estimators know no average of the weights, and nothing of fp32."""
    stage12 = pytest.importorskip("deepspeed.runtime.zero.stage_1_and_2")
    from deepspeed.runtime.zero import stage3

    def ours(stage: int, offload: bool) -> float:
        memory = cost.states(10**9, 10**7, n_gpus, stage, half=True, offload=offload)
        return memory.weights + memory.gradients + memory.optimizer

    for offload in (False, True):
        _, theirs = stage12.estimate_zero2_model_states_mem_needs(10**9, n_gpus, 1, offload)
        assert ours(2, offload) == pytest.approx(theirs)
        _, theirs, _ = stage3.estimate_zero3_model_states_mem_needs(10**9, 10**7, n_gpus, 1, offload, False)
        assert ours(3, offload) == pytest.approx(theirs)
    if n_gpus <= 4:  # beyond, theirs counts a whole model that each rank makes at the start
        host, _ = stage12.estimate_zero2_model_states_mem_needs(10**9, n_gpus, 1, True, additional_buffer_factor=1)
        assert cost.states(10**9, 10**7, n_gpus, 2, half=True, offload=True).host * n_gpus == host + 4 * 10**9


def test_each_stage_needs_less_than_the_one_before():
    needs = [cost.states(10**9, 10**7, 8, stage, half=False).gpu for stage in (0, 1, 2, 3)]
    assert needs == sorted(needs, reverse=True)
    plain = cost.states(10**9, 10**7, 1, None, half=False)
    assert plain.gpu - cost.CONTEXT == 20 * 10**9  # fp32: weight, gradient, two moments, average


def test_utilisation_is_a_share_of_the_peak():
    assert cost.utilisation(989e12, 2.0, "NVIDIA H100 80GB HBM3") == 0.5
    assert cost.utilisation(312e12, 1.0, "NVIDIA A100-SXM4-80GB", n_devices=4) == 0.25
    assert cost.utilisation(1e12, 1.0, "NVIDIA GeForce GTX 970") is None


def test_the_table_and_its_errors(capsys: pytest.CaptureFixture):
    from train import estimate

    estimate.main("configs/train/renderer.yaml", "run.model=large", "gpus=64", "price=2.5")
    table = capsys.readouterr().out
    for words in ("ZeRO 3", "parameters", "GPU-hours, costs", "utilisation=0.4", "BATCH TOO SMALL"):
        assert words in table
    estimate.main("--help")
    assert "utilisation" in capsys.readouterr().out
    for wrong, words in (
        (("configs/train/renderer.yaml", "gpu=TPU"), "gpu 'TPU' is none of"),
        (("configs/train/renderer.yaml", "phases=[]x"), "not YAML"),
        (("configs/train/renderer.yaml", "utilisation=2"), "utilisation 2"),
        (("configs/train/renderer.yaml", "run.model=huge"), "preset 'models/huge' unknown"),
        (("configs/models/tiny.yaml",), "named after none of the stages"),
        (("nowhere/renderer.yaml",), "nowhere/renderer.yaml"),
    ):
        with pytest.raises(SystemExit) as exit_code:
            estimate.main(*wrong)
        error = capsys.readouterr().err
        assert exit_code.value.code == 2 and error.count("\n") == 1 and words in error


def test_more_gpus_take_less_time_and_twice_the_price_costs_twice(capsys: pytest.CaptureFixture):
    from train.estimate import Assumed, estimate

    path, over = "configs/train/renderer.yaml", ["configs/runs/large.yaml", "configs/runs/large-64xh100.yaml"]
    few, many = (estimate(path, over, Assumed(gpus=gpus)) for gpus in (8, 64))
    assert few.seconds == pytest.approx(8 * many.seconds)
    assert few.configured.gpu > many.configured.gpu
