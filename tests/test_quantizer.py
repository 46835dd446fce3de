"""Codes stay in range, decode to what training heard, and every entry can be brought back to life."""

import pytest
import torch

from hybridgen.quantizer import Quantizer, QuantizerConfig

CONFIG = QuantizerConfig(latent_dim=6, n_codebooks=3, codebook_size=16, code_dim=4, dim=24)


def make_model() -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(CONFIG)


def make_latents(n: int, n_frames: int) -> torch.Tensor:
    return torch.randn(n, n_frames, CONFIG.latent_dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("n_frames", "n_code_frames"), [(1, 1), (4, 1), (5, 2), (40, 10)])
def test_four_latent_frames_become_one_code_frame(n_frames, n_code_frames):
    model = make_model()
    codes = model.encode(make_latents(2, n_frames))
    assert codes.shape == (2, CONFIG.n_codebooks, n_code_frames)
    assert codes.min() >= 0 and codes.max() < CONFIG.codebook_size
    assert model.decode(codes).shape == (2, 4 * n_code_frames, CONFIG.latent_dim)


def test_decoding_the_codes_gives_what_training_heard():
    model, latents = make_model(), make_latents(2, 24)
    out = model(latents)
    assert torch.equal(out.codes, model.encode(latents))
    torch.testing.assert_close(out.latents, model.decode(out.codes), rtol=0, atol=1e-5)


def test_batch_of_two_equals_two_of_one():
    model, latents = make_model(), make_latents(2, 24)
    both = model(latents)
    for i in range(2):
        alone = model(latents[i : i + 1])
        assert torch.equal(both.codes[i : i + 1], alone.codes)
        torch.testing.assert_close(both.latents[i : i + 1], alone.latents, rtol=0, atol=1e-5)
        torch.testing.assert_close(both.note_targets.pitches[i : i + 1], alone.note_targets.pitches, rtol=0, atol=1e-5)


def test_a_latent_frame_reaches_its_code_frame_and_the_two_beside_it():
    model, latents = make_model(), make_latents(1, 40)
    changed = latents.clone()
    changed[:, 20:24] += 10.0  # code frame 5
    differs = (model.encode(latents) != model.encode(changed)).any(dim=1)[0]
    assert differs[5] and not differs[:4].any() and not differs[7:].any()


def test_predictions_have_the_shapes_of_their_targets():
    predicted = make_model()(make_latents(2, 24)).note_targets
    assert predicted.onsets.shape == (2, 6, 9) and predicted.pitches.shape == (2, 6, 9, 12)
    assert predicted.chroma.shape == (2, 6, 12) and predicted.loudness.shape == (2, 6)


def test_what_is_played_reaches_the_encoder_through_the_codes():
    model = make_model()
    model(make_latents(2, 24)).note_targets.onsets.sum().backward()
    assert all(weight.grad.abs().amax() > 0 for weight in model.encoder.parameters())


def test_dead_entries_come_back_where_the_music_is():
    model, latents = make_model(), make_latents(8, 64)
    with torch.no_grad():
        model.codebooks[0].entries[1:] = -model.codebooks[0].entries[:1]  # one entry and fifteen far from it
    dead = torch.zeros(CONFIG.n_codebooks, CONFIG.codebook_size, dtype=torch.bool)
    dead[0, 1:] = True
    before = model.encode(latents)[:, 0].unique().numel()
    kept = model.codebooks[0].entries[0].clone()
    model.revive(latents, dead, torch.Generator().manual_seed(0))
    assert before <= 2 and model.encode(latents)[:, 0].unique().numel() > 10
    assert torch.equal(model.codebooks[0].entries[0], kept)


def test_a_few_steps_of_training_lower_the_error():
    model, latents = make_model(), make_latents(8, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(60):
        out = model(latents)
        error = (out.latents - latents).square().mean()
        (error + out.codebook_loss + 0.25 * out.commitment_loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(error.item())
    assert errors[-1] < 0.8 * errors[0]
