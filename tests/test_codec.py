"""The codec: lengths, blocks, and how far a latent reaches."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from hybridgen.codecs.contract import ENCODE_BLOCK
from hybridgen.codecs.own import GAIN_HOP, N_TONES, STFT, Envelope, SpectralCodec, SpectralCodecConfig, Tones, mid_side

HOP = 256
CONFIG = SpectralCodecConfig(
    sample_rate=44_100,
    hop_length=HOP,
    latent_dim=4,
    n_fft=256,
    frame_hop=128,
    phase_bins=12,
    band_stops=(16, 129),
    band_dims=(8, 6),
    frame_dim=8,
    latent_block_dim=12,
    encoder_layers=1,
    decoder_layers=2,
    latent_layers=1,
    expansion=2,
    tone_dim=6,
)


FULL = replace(  # everything that newer shapes have
    CONFIG,
    hop_length=HOP,
    decoder_hop=128,
    frame_hop=256,
    n_fft=512,
    band_stops=(16, 257),
    decoder_expansion=3,
    kernel=5,
    gain_bands=4,
    any_width=True,
)
SHORT = replace(FULL, hop_length=512, short_bands=6)


def make_codec(config: SpectralCodecConfig) -> SpectralCodec:
    """A codec of random weights, those included that are made to do nothing at first."""
    torch.manual_seed(0)
    codec = SpectralCodec(config).eval().requires_grad_(False)
    for part in (codec.decoder.gains, None if codec.encoder.short is None else codec.encoder.short.out):
        if part is not None:
            part.weight.normal_(std=0.3)
    codec.latent_mean.normal_()
    codec.latent_std.uniform_(0.5, 2.0)
    return codec


@pytest.fixture(scope="module", params=[CONFIG, FULL], ids=["plain", "full"])
def codec(request: pytest.FixtureRequest) -> SpectralCodec:
    return make_codec(request.param)


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(75, 4, generator=torch.Generator().manual_seed(1))


def whole(codec: SpectralCodec, latents: torch.Tensor, block: int) -> torch.Tensor:
    return torch.cat([samples for _, samples in codec.decode_blocks(latents, block=block)], 1)


@pytest.mark.parametrize("n_samples", [1, HOP - 1, HOP, HOP + 1, 10 * HOP + 7])
def test_latents_cover_the_samples_and_no_more(codec, n_samples):
    latents = codec.encode(torch.randn(2, 2, n_samples) * 0.1)
    n_latents = -(-n_samples // HOP)
    assert latents.shape == (2, n_latents, 4)
    assert codec.decode(latents).shape == (2, 2, n_latents * HOP)


@pytest.fixture
def near_mean(codec) -> Iterator[SpectralCodec]:
    """The codec with latents as near their mean as those of music."""
    narrow = codec.latent_std.clone()
    codec.latent_std.mul_(8)
    yield codec
    codec.latent_std.copy_(narrow)


def test_encoding_in_blocks_equals_encoding_at_once(near_mean):
    samples = torch.randn(1, 2, (ENCODE_BLOCK * 2 + 9) * HOP - 5) * 0.1
    at_once = near_mean.normalize(near_mean.posterior(samples)[0])
    assert torch.allclose(near_mean.encode(samples), at_once, atol=1e-5)


def test_latents_are_what_the_encoder_says_in_deviations_from_its_mean(near_mean):
    samples = torch.randn(1, 2, 20 * HOP) * 0.1
    raw, _ = near_mean.posterior(samples)
    assert torch.allclose(near_mean.encode(samples) * near_mean.latent_std + near_mean.latent_mean, raw, atol=1e-5)


@pytest.mark.parametrize("sizes", [[1, HOP, 70_000], [ENCODE_BLOCK * HOP] * 3, [999] * 200])
def test_samples_in_blocks_of_any_size_have_the_latents_of_all_of_them_bit_for_bit(codec, sizes):
    samples = torch.randn(1, 2, sum(sizes)) * 0.1
    samples[:, 1, 40_000:90_000] = samples[:, 0, 40_000:90_000]  # mono for a while
    assert torch.equal(torch.cat(list(codec.encode_blocks(samples.split(sizes, -1))), 1), codec.encode(samples))


def test_latents_far_from_the_mean_are_drawn_towards_it_until_they_are_not_too_loud(codec, monkeypatch):
    samples = torch.randn(1, 2, 20 * HOP) * 0.1
    raw = codec.posterior(samples)[0]

    def decode(drawn: torch.Tensor, first: int) -> torch.Tensor:  # four times too loud at first
        return 4 * samples * ((drawn - codec.latent_mean) / (raw - codec.latent_mean)).mean()

    monkeypatch.setattr(codec, "_decode_inside", decode)
    n_steps = 11  # 4 * 0.9 ** 11 is the first under 2 dB
    assert torch.allclose(codec.encode(samples), codec.normalize(raw) * 0.9**n_steps, atol=1e-4)


def test_short_windows_reach_no_further_than_the_rest():
    codec = make_codec(SHORT)
    codec.latent_std.mul_(8)
    samples = torch.randn(1, 2, (ENCODE_BLOCK + 9) * 512 - 5) * 0.1
    at_once = codec.normalize(codec.posterior(samples)[0])
    assert torch.allclose(codec.encode(samples), at_once, atol=1e-5)


def test_gains_of_nothing_change_nothing():
    envelope, sides = Envelope(FULL), torch.randn(1, 2, 10 * GAIN_HOP)
    inner = slice(GAIN_HOP, -GAIN_HOP)  # at the ends frames are missing
    assert torch.allclose(envelope(sides, torch.zeros(1, 2, 10, 4))[..., inner], sides[..., inner], atol=1e-5)


def test_a_gain_acts_on_its_own_milliseconds_side_and_band():
    envelope, gains, sides = Envelope(FULL), torch.zeros(1, 2, 10, 4), torch.randn(1, 2, 10 * GAIN_HOP)
    plain = envelope(sides, gains)
    gains[0, 1, 5, 3] = -2.0
    difference = envelope(sides, gains)[0] - plain[0]
    changed = (difference.abs() > 1e-4).any(0).nonzero()
    assert changed.min() >= 4.5 * GAIN_HOP and changed.max() < 6.5 * GAIN_HOP
    assert difference[0].abs().max() < 1e-5
    power = torch.fft.rfft(difference[1]).abs().square()
    assert power[:100].sum() < 0.02 * power.sum()  # under 3.4 kHz


def test_gains_can_silence_what_a_frame_smears():
    envelope, gains, sides = Envelope(FULL), torch.full((1, 2, 10, 4), -20.0), torch.randn(1, 2, 10 * GAIN_HOP)
    assert envelope(sides, gains).square().mean() < 10 ** (-34 / 10) * sides.square().mean()  # and no further


def test_frames_of_one_moment_add_up_to_an_unbroken_sine():
    """Phases count from the middle of the encoder's frame, so a tone of a bin has the same ones in all its frames."""
    decoder, k = SpectralCodec(FULL).decoder, 24
    spectra = torch.zeros(1, 2, 20, FULL.n_bins, dtype=torch.complex64)
    spectra[..., k] = 1.0  # of which every 256 samples see 12 whole turns
    found = STFT(FULL.n_fft, FULL.decoder_hop).inverse(decoder._turned(spectra))[0, 0, 512:-512]
    time = torch.arange(len(found))
    sine = torch.view_as_complex(
        torch.stack([(2 * torch.pi * k * time / 512).cos(), (2 * torch.pi * k * time / 512).sin()], -1)
    )
    share = (found * sine).sum().abs() ** 2 / (found.square().sum() * len(found)) * 2
    assert share > 0.999


def test_a_row_that_is_mended_leaves_the_others_of_its_batch(codec):
    samples = torch.randn(2, 2, 20 * HOP) * 0.1
    samples[0, 1] = samples[0, 0]
    assert torch.allclose(codec.encode(samples)[1:], codec.encode(samples[1:]), atol=1e-5)


@pytest.mark.parametrize("block", [1, 16, 75, 128])
def test_decoding_in_blocks_equals_decoding_at_once(codec, latents, block):
    assert torch.allclose(whole(codec, latents, block), codec.decode(latents[None])[0], atol=1e-5)


def test_blocks_lie_where_they_lie_whatever_is_asked(codec, latents):
    track = whole(codec, latents, 16)
    pieces = list(codec.decode_blocks(latents, 21, 50, block=16))
    assert [first for first, _ in pieces] == [21 * HOP, 32 * HOP, 48 * HOP]
    assert torch.equal(torch.cat([samples for _, samples in pieces], 1), track[:, 21 * HOP : 50 * HOP])


@pytest.mark.parametrize("frame", [0, 31, 40, 74])
def test_an_edit_changes_its_reach_and_not_a_bit_more(codec, latents, frame):
    edited = latents.clone()
    edited[frame] += 1
    changed = (whole(codec, latents, 16) != whole(codec, edited, 16)).any(0).nonzero().squeeze(1)
    assert changed.min() >= (frame - codec.reach) * HOP
    assert changed.max() < (frame + codec.reach + 1) * HOP


def test_the_context_is_needed_and_suffices(codec):
    latents = torch.zeros(1, 31, 4, requires_grad=True)
    output = codec.decode(latents)[..., 15 * HOP : 16 * HOP]
    touched = torch.autograd.grad(output.square().sum(), latents)[0][0].abs().sum(-1).nonzero().squeeze(1)
    assert (touched.min(), touched.max()) == (15 - codec.reach, 15 + codec.reach)


def test_batch_of_two_equals_two_of_one(codec):
    samples = torch.randn(2, 2, 20 * HOP) * 0.1
    latents = codec.encode(samples)
    assert torch.allclose(latents[1:], codec.encode(samples[1:]), atol=1e-5)
    assert torch.allclose(codec.decode(latents)[1:], codec.decode(latents[1:]), atol=1e-5)


def test_the_spectrum_is_undone_exactly():
    for n_fft, hop in ((64, 32), (64, 16), (96, 16)):
        spectrum = STFT(n_fft, hop)
        samples = torch.randn(2, 10 * hop)
        padded = torch.nn.functional.pad(samples, (spectrum.pad, spectrum.pad))
        inner = slice(n_fft, -n_fft)
        assert torch.allclose(spectrum.inverse(spectrum(padded))[:, inner], samples[:, inner], atol=1e-5)


def test_a_tone_of_constant_gain_is_one_unbroken_sine_wherever_it_begins():
    tones = Tones(CONFIG.sample_rate, CONFIG.frame_hop, CONFIG.hop_length)
    gains = torch.zeros(40, N_TONES, dtype=torch.complex64)
    gains[:, 3 * (41 + 5)] = 0.5  # five semitones above A at 440 Hz
    whole = tones.synthesize(gains, 0)
    time = (torch.arange(len(whole), dtype=torch.float64) + 0.5) / CONFIG.sample_rate
    sine = 0.5 * torch.cos(2 * torch.pi * 440 * 2 ** (5 / 12) * time).float()
    inner = slice(CONFIG.frame_hop, -CONFIG.frame_hop)
    assert torch.allclose(whole[inner], sine[inner], atol=1e-4)
    later = tones.synthesize(gains[25:], 25)
    assert torch.allclose(later[CONFIG.frame_hop :], whole[25 * CONFIG.frame_hop :][CONFIG.frame_hop :], atol=1e-5)


def test_a_tone_is_measured_where_it_is():
    tones = Tones(CONFIG.sample_rate, CONFIG.frame_hop, CONFIG.hop_length)
    time = torch.arange(32_000) / CONFIG.sample_rate
    power = tones.power(torch.sin(2 * torch.pi * 440 * 2 ** (-3 / 12) * time))
    assert (power.argmax(-1) == 3 * (41 - 3)).all()
    assert 0.2 < power.max() < 0.5


def test_mid_and_side_turn_back():
    samples = torch.randn(2, 2, 100)
    assert torch.allclose(mid_side(mid_side(samples)), samples, atol=1e-6)


def test_silence_and_full_scale_stay_finite(codec):
    for samples in (torch.zeros(1, 2, 2560), torch.ones(1, 2, 2560), torch.full((1, 2, 2560), 1e3)):
        assert codec.decode(codec.encode(samples)).isfinite().all()
    assert codec.decode(torch.full((1, 8, 4), 1e4)).isfinite().all()


def test_mono_and_empty_are_refused(codec):
    with pytest.raises(ValueError, match="samples of shape"):
        codec.encode(torch.zeros(1, 1, 100))
    with pytest.raises(ValueError, match="samples of shape"):
        codec.encode(torch.zeros(1, 2, 0))
    with pytest.raises(ValueError, match="frames 0 to 9"):
        list(codec.decode_blocks(torch.zeros(8, 4), 0, 9))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hop_length", 50),
        ("n_fft", 384),
        ("band_stops", (8, 32)),
        ("sample_rate", 8000),
        ("band_dims", (8,)),
        ("decoder_hop", 100),
        ("kernel", 4),
        ("short_bands", 8),
    ],
)
def test_shapes_that_do_not_fit_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        replace(CONFIG, **{field: value})
    with pytest.raises(ValueError, match="gain_bands need a decoder_hop 64"):
        replace(CONFIG, decoder_hop=64, gain_bands=4)
