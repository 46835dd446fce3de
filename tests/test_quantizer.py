"""Codes stay in range, decode to the latents of training, and every entry can be brought back to life."""

import pytest
import torch

from hybridgen.quantizer import Quantizer, QuantizerConfig

CONFIG = QuantizerConfig(latent_dim=6, n_codebooks=3, codebook_size=16, code_dim=4, dim=24)


def make_model() -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(CONFIG)


def make_latents(n: int, n_frames: int) -> torch.Tensor:
    return torch.randn(n, n_frames, CONFIG.latent_dim, generator=torch.Generator().manual_seed(1))


def make_two_books(first: list[list[float]], second: list[list[float]]) -> Quantizer:
    """Two codebooks of known entries, and nothing before, between and behind them: four latent frames are a vector."""
    model = Quantizer(QuantizerConfig(latent_dim=1, n_codebooks=2, codebook_size=len(first), code_dim=4, dim=4))
    model.encoder, model.decoder = torch.nn.Identity(), torch.nn.Identity()
    for book, entries in zip(model.codebooks, (first, second), strict=True):
        book.down, book.up = torch.nn.Identity(), torch.nn.Identity()
        book.entries = torch.nn.Parameter(torch.tensor(entries))
    return model


def test_each_codebook_codes_what_those_before_it_have_left():
    model = make_two_books([[4.0, 0, 0, 0], [0, 4, 0, 0]], [[1.0, 0, 0, 0], [0, 0, 1, 0]])
    latents = torch.tensor([4.0, 0, 1, 0, 0, 4, 1, 0, 1, 4, 0, 0]).view(1, 12, 1)  # three code frames
    codes = model.encode(latents)
    assert codes.tolist() == [[[0, 1, 1], [1, 1, 0]]]  # the second sees (0, 0, 1, 0) twice, then (1, 0, 0, 0)
    assert torch.equal(model.decode(codes), latents)
    assert torch.equal(model(latents).latents, latents)


def test_the_entry_of_the_smallest_angle_is_taken_however_long_it_is():
    model = make_two_books([[100.0, 100, 0, 0], [1, 0, 0, 0]], [[1.0, 0, 0, 0], [0, 1, 0, 0]])
    assert model.encode(torch.tensor([9.0, 1, 0, 0]).view(1, 4, 1))[0, 0].tolist() == [1]


def test_entries_of_a_later_codebook_come_back_at_what_those_before_it_have_left():
    model = make_two_books([[4.0, 0, 0, 0], [0, 4, 0, 0]], [[1.0, 0, 0, 0], [0, 0, 1, 0]])
    dead = torch.tensor([[False, False], [True, False]])
    model.revive(torch.tensor([4.0, 0, 0, 3]).view(1, 4, 1), dead, torch.Generator().manual_seed(0))
    assert model.codebooks[1].entries.tolist() == [[0, 0, 0, 3], [0, 0, 1, 0]]


def test_the_codebook_loss_moves_entries_and_the_commitment_loss_what_is_before_them():
    model, latents = make_model(), make_latents(2, 24)
    out = model(latents)
    for loss, moved, stays in (
        (out.codebook_loss, model.codebooks[1].entries, model.codebooks[1].down.weight),
        (out.commitment_loss, model.codebooks[1].down.weight, model.codebooks[1].entries),
    ):
        to_moved, to_other = torch.autograd.grad(loss, (moved, stays), retain_graph=True, allow_unused=True)
        assert to_moved.abs().amax() > 0
        assert to_other is None or not to_other.any()


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
