"""Losses: zero for what is equal, right units, gradients everywhere, and a game that both sides can win."""

import math

import pytest
import torch

from hybridgen import spectra
from hybridgen.training import losses
from hybridgen.training.discriminators import DiscriminatorConfig, Discriminators

RATE = 44100


def music(n_examples: int = 2, n_samples: int = 4096) -> torch.Tensor:
    time = torch.arange(n_samples) / RATE
    tone = 0.3 * torch.sin(2 * math.pi * 440 * time) + 0.1 * torch.sin(2 * math.pi * 3000 * time)
    return torch.stack([tone, 0.5 * tone]).repeat(n_examples, 1, 1) + 0.01 * torch.randn(n_examples, 2, n_samples)


def spectral_loss() -> losses.SpectralLoss:
    return losses.SpectralLoss(RATE, windows=(256, 1024), mels=(32, 64))


def test_equal_sounds_cost_nothing():
    samples = music()
    assert all(value.item() < 1e-3 for value in spectral_loss()(samples, samples).values())


def test_a_shift_by_four_samples_costs_hardly_anything():
    samples = music()
    parts = spectral_loss()(samples.roll(4, -1), samples)
    assert parts["mel"] < 0.3


def test_texture_asks_for_grain_wherever_it_is():
    noise, other = torch.randn(2, 1, 2, RATE)
    flat = torch.zeros(1, 2, RATE)
    flat[..., ::128] = 128**0.5  # clicks: as loud in every band, and as smooth as a spectrum can be
    grain, blur = (spectral_loss()(sound, noise) for sound in (other, flat))
    assert grain["texture"] < 0.3 * blur["texture"] and grain["texture"] < 0.3 * grain["mel"]


def test_a_tone_that_is_ten_decibels_down_costs_one_and_what_is_far_below_costs_nothing():
    target = torch.full((1, 2, 3, 4), 1e-9)
    target[..., 0] = 1.0
    weaker = target.clone()
    weaker[..., 0] = 0.1
    assert torch.allclose(losses.tone_loss(weaker, target), torch.tensor(0.25), atol=1e-2)
    assert losses.tone_loss(target * torch.tensor([1, 0, 0, 0]), target) < 1e-3


def test_silence_has_finite_gradients():
    for target in (torch.zeros(2, 2, 4096), music(n_samples=4096)):
        prediction = torch.zeros(2, 2, 4096, requires_grad=True)
        sum(spectral_loss()(prediction, target).values()).backward()
        assert prediction.grad.isfinite().all()


def test_mid_and_side_are_judged_too():
    samples = music()
    flipped = samples * torch.tensor([1.0, -1.0])[:, None]
    assert spectra.log_mel_distance(flipped, samples, RATE).max() < 1e-3
    assert spectral_loss()(flipped, samples)["mel"] > 0.1


def test_what_sounds_before_an_attack_costs_most():
    burst = torch.zeros(1, 2, 16_384)
    burst[..., 8192:8448] = 0.3 * torch.randn(2, 256)
    early, late = burst.clone(), burst.clone()
    early[..., 7168:7424] += 0.01 * torch.randn(2, 256)  # 23 ms before
    late[..., 10_240:10_496] += 0.01 * torch.randn(2, 256)  # as long after it
    assert losses.attack_loss(burst, burst, RATE) == 0
    assert losses.attack_loss(early, burst, RATE) > 3 * losses.attack_loss(late, burst, RATE) > 0


def test_all_four_views_of_each_example_are_judged():
    views = losses.four_views(torch.tensor([[[1.0], [0.5]]]))
    assert views.flatten().tolist() == [1.0, 0.5, 0.75, 0.25]


def test_a_head_that_is_right_costs_nothing():
    target = torch.rand(2, 5, 13)
    assert losses.semantic_loss(target, target) < 1e-6
    louder = target + torch.eye(13)[12]  # ten decibels
    assert losses.semantic_loss(louder, target) == pytest.approx(1.0, abs=1e-5)


def test_divergence_of_the_prior_from_itself_is_zero():
    zeros = torch.zeros(2, 5, 4)
    assert losses.kl_divergence(zeros, zeros) == 0
    assert losses.kl_divergence(zeros + 1, zeros) == pytest.approx(2.0)  # half a nat for each of 4 channels
    mean = torch.ones(2, 5, 4, requires_grad=True)
    losses.kl_divergence(mean, zeros).backward()
    assert (mean.grad > 0).all()  # it pulls


def test_the_best_scores_cost_nothing():
    real, fake = [torch.ones(2, 1, 3, 3)], [torch.zeros(2, 1, 3, 3)]
    assert losses.discriminator_loss(real, fake) == 0
    assert losses.generator_loss(real) == 0
    assert losses.feature_loss(real, real) == 0
    assert losses.discriminator_loss(fake, real) == 2


def test_discriminators_learn_to_tell_noise_from_music():
    torch.manual_seed(0)
    discriminators = Discriminators(DiscriminatorConfig(windows=(256, 512), channels=(4, 4)))
    optimizer = torch.optim.AdamW(discriminators.parameters(), lr=2e-2)
    real, fake = music(), 0.3 * torch.randn(2, 2, 4096)
    for _ in range(25):
        loss = losses.discriminator_loss(discriminators(real)[0], discriminators(fake)[0])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.45  # scores of one half for both would cost 0.5


def test_features_carry_gradients_to_the_decoder_only():
    discriminators = Discriminators(DiscriminatorConfig(windows=(256,), channels=(4, 4))).requires_grad_(False)
    output = music().requires_grad_()
    scores, features = discriminators(output)
    (losses.generator_loss(scores) + losses.feature_loss(discriminators(music())[1], features)).backward()
    assert output.grad.abs().sum() > 0


def test_chroma_follows_the_notes_and_not_the_level():
    powers = torch.rand(2, 50, 37, generator=torch.Generator().manual_seed(0)) ** 8
    assert spectra.chroma_correlation(powers * torch.rand(50, 1), powers, 3) > 0.999
    assert spectra.chroma_correlation(powers.roll(7, 1), powers, 3).abs() < 0.3
