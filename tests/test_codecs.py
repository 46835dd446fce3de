"""Codecs of other people behind the contract: DAC and Oobleck with random weights, alone and under a whole pipeline."""

import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen import audio, config, manifest, weights
from hybridgen.analysis.detection import NOTHING_DETECTED
from hybridgen.cli import main
from hybridgen.codecs.contract import BlockCodec, check_license
from hybridgen.codecs.dac import DacCodec, DacConfig
from hybridgen.codecs.oobleck import OobleckCodec, OobleckConfig
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.stages import PipelineConfig
from tests.conftest import MICRO

DAC = DacConfig(sample_rate=44_100, encoder_dim=2, decoder_dim=8, downsampling_ratios=(8, 8, 8))
OOBLECK = OobleckConfig(
    sample_rate=48_000,
    latent_dim=8,
    encoder_hidden_size=16,
    decoder_channels=4,
    downsampling_ratios=(4, 6, 8, 10),
    channel_multiples=(1, 1, 2, 2),
    license="MIT",
)
PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar("F")) * 4, 4, ("drums", "bass")),),
    (Tempo(1, 120.0),),
    "4/4",
    "A minor",
    {"drums": 0, "bass": 33},
    prompt="a test",
)


def with_codec(**section) -> PipelineConfig:
    """The micro pipeline's shapes on another codec."""
    codec = next(iter(section.values()))
    widths = {"latent_dim": codec.latent_dim}
    parts = {"quantizer": replace(MICRO.quantizer, **widths), "renderer": replace(MICRO.renderer, **widths)}
    return replace(MICRO, codec=None, **parts, **section)


def randomized(codec: BlockCodec) -> BlockCodec:
    """Weights and statistics that let every input matter."""
    torch.manual_seed(1)
    codec.latent_mean.normal_()
    codec.latent_std.uniform_(0.5, 2.0)
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["dac", "oobleck"])
def codec(request: pytest.FixtureRequest) -> BlockCodec:
    torch.manual_seed(0)
    return randomized(DacCodec(DAC) if request.param == "dac" else OobleckCodec(OOBLECK))


@pytest.fixture(scope="module", params=[{"dac": DAC}, {"oobleck": OOBLECK}], ids=["dac", "oobleck"])
def pipe(request: pytest.FixtureRequest) -> Pipeline:
    torch.manual_seed(0)
    pipeline = Pipeline(with_codec(**request.param))
    for stage in (pipeline.planner, pipeline.renderer, pipeline.quantizer):
        for parameter in stage.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    randomized(pipeline.codec)
    return pipeline


def test_latents_cover_the_samples_and_decode_to_whole_frames(codec: BlockCodec):
    hop = codec.hop_length
    for n_samples in (1, hop - 1, hop, 10 * hop + 7):
        latents = codec.encode(torch.randn(2, 2, n_samples) * 0.1)
        assert latents.shape == (2, -(-n_samples // hop), codec.latent_dim)
        assert codec.decode(latents).shape == (2, 2, latents.shape[1] * hop)


def test_blocks_equal_the_whole(codec: BlockCodec, monkeypatch: pytest.MonkeyPatch):
    samples = torch.randn(1, 2, 90 * codec.hop_length - 5) * 0.1
    at_once = codec.encode(samples)
    monkeypatch.setattr("hybridgen.codecs.contract.ENCODE_BLOCK", 16)
    torch.testing.assert_close(codec.encode(samples), at_once, atol=1e-4, rtol=0)
    blocks = torch.cat([part for _, part in codec.decode_blocks(at_once[0], block=32)], 1)
    torch.testing.assert_close(blocks, codec.decode(at_once)[0], atol=1e-4, rtol=0)


def test_an_edit_changes_its_reach_and_not_a_bit_more(codec: BlockCodec):
    latents = torch.randn(90, codec.latent_dim, generator=torch.Generator().manual_seed(1))
    edited = latents.clone()
    edited[40] += 1
    whole, new = (torch.cat([part for _, part in codec.decode_blocks(x, block=16)], 1) for x in (latents, edited))
    changed = (whole != new).any(0).nonzero().squeeze(1)
    assert changed.min() >= (40 - codec.reach) * codec.hop_length
    assert changed.max() < (40 + codec.reach + 1) * codec.hop_length


@pytest.mark.parametrize("side", ["encode", "decode"])
def test_the_reach_suffices_and_is_not_far_from_needed(codec: BlockCodec, side: str):
    hop, middle = codec.hop_length, 30
    if side == "decode":
        leaf = torch.randn(1, 61, codec.latent_dim, requires_grad=True)
        output, reach = codec.decode(leaf)[..., middle * hop : (middle + 1) * hop], codec.reach
        touched = torch.autograd.grad(output.square().sum(), leaf)[0][0].abs().sum(-1)
    else:
        leaf = torch.randn(1, 2, 61 * hop, requires_grad=True)
        output, reach = codec._encode_inside(leaf)[:, middle], codec.encoder_reach
        touched = torch.autograd.grad(output.square().sum(), leaf)[0][0].abs().sum(0).unflatten(0, (61, hop)).sum(-1)
    found = touched.nonzero().squeeze(1)
    assert middle - reach <= found.min() <= middle - reach + 2
    assert middle + reach - 2 <= found.max() <= middle + reach


def test_generate_edit_and_replay_on_a_foreign_codec(pipe: Pipeline, tmp_path: Path):
    rate, hop = pipe.time_base.sample_rate, pipe.time_base.latent_hop
    worded = pipe.generate("jazz at 120 BPM", seconds=1.5, seed=3)
    assert worded.samples.shape == (2, round(1.5 * rate)) and worded.audio.sample_rate == rate
    track = pipe.render(PLAN, seed=5)
    assert track.samples.shape == (2, 16 * rate)
    assert track.plan.bar_starts()[1] == 2 * rate
    new = pipe.rerender(track, track.plan.edit((3, 4), chords=["Dm"]), (3, 4), seed=9)
    start, stop = new.plan.frame_range((3, 4), hop)
    outside = np.ones(new.plan.n_frames, dtype=bool)
    outside[start:stop] = False
    assert np.array_equal(new.latents[outside], track.latents[outside])
    assert (new.latents[~outside] != track.latents[~outside]).any(axis=1).all()
    reach = pipe.codec.reach * hop + audio.LIMITER_REACH
    low, high = max(0, start * hop - reach), stop * hop + reach
    assert np.array_equal(new.samples[:, :low], track.samples[:, :low])
    assert np.array_equal(new.samples[:, high:], track.samples[:, high:])
    path = new.save(tmp_path / "t.flac")
    again = pipe.replay(manifest.read(path)).save(tmp_path / "again.flac")
    assert again.read_bytes() == path.read_bytes()
    opened = pipe.open(path)
    assert opened.plan == new.plan and np.array_equal(opened.latents, new.latents)


def test_streamed_equals_offline_on_a_foreign_codec(pipe: Pipeline):
    blocks = list(pipe.stream(PLAN, seed=5))
    assert sum(block.shape[1] for block in blocks) == 16 * pipe.time_base.sample_rate


def test_saved_and_loaded_again_bit_for_bit(pipe: Pipeline, tmp_path: Path):
    first = Pipeline.from_pretrained(pipe.save_pretrained(tmp_path / "model"))
    second = Pipeline.from_pretrained(first.save_pretrained(tmp_path / "copy"))
    assert first.config == pipe.config and first.weight_hashes == second.weight_hashes
    a, b = (p.generate("x", seconds=1, seed=1).samples for p in (first, second))
    assert np.array_equal(a, b)


def test_a_plan_moves_to_another_time_base(pipe: Pipeline):
    plan = replace(PLAN, n_samples=44_100 * 9, codes=((1,) * 49,) * 4)
    moved = plan.on(pipe.time_base)
    assert moved.seconds == plan.seconds and moved.codes == ()
    assert np.allclose(moved.bar_starts() / moved.time_base.sample_rate, plan.bar_starts() / 44_100, atol=1e-4)
    assert Plan.from_json(moved.to_json()) == moved


def test_dac_codes_each_side_for_itself():
    torch.manual_seed(0)
    codec = randomized(DacCodec(DAC))
    codec.latent_mean.zero_()
    codec.latent_std.fill_(1)
    samples, half = torch.randn(1, 2, 5 * codec.hop_length), codec.latent_dim // 2
    swapped = codec.encode(samples.flip(1))
    torch.testing.assert_close(codec.encode(samples), torch.cat([swapped[..., half:], swapped[..., :half]], -1))
    torch.testing.assert_close(codec.decode(swapped).flip(1), codec.decode(codec.encode(samples)))


def test_dac_reads_a_checkpoint_of_transformers(tmp_path: Path):
    import transformers

    torch.manual_seed(0)
    shapes = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[2, 4], n_codebooks=2, codebook_dim=2
    )
    model = transformers.DacModel(shapes).eval()
    model.save_pretrained(tmp_path)
    codec = DacCodec.from_transformers(tmp_path)
    samples = torch.randn(1, 2, 800)
    with torch.no_grad():
        latents = model.encoder(samples.transpose(0, 1))  # (2, C / 2, T)
        sound = model.decoder(latents).transpose(0, 1)
    torch.testing.assert_close(codec.encode(samples), latents.flatten(0, 1).T[None], atol=1e-5, rtol=0)
    inner = slice(codec.reach * 8, -codec.reach * 8)
    torch.testing.assert_close(codec.decode(codec.encode(samples))[..., inner], sound[..., inner], atol=1e-5, rtol=0)


def test_dac_of_descript_and_of_transformers_are_the_same_codec(import_dac: Callable):
    torch.manual_seed(0)
    model = import_dac().DAC(encoder_dim=4, encoder_rates=[2, 4], decoder_dim=16, decoder_rates=[4, 2]).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    codec = DacCodec.from_descript(model)
    samples = torch.randn(1, 2, 800)
    with torch.no_grad():
        latents = model.encoder(samples.transpose(0, 1))
        sound = model.decoder(latents).transpose(0, 1)
    torch.testing.assert_close(codec.encode(samples), latents.flatten(0, 1).T[None], atol=1e-4, rtol=1e-4)
    inner = slice(codec.reach * 8, -codec.reach * 8)
    torch.testing.assert_close(codec.decode(codec.encode(samples))[..., inner], sound[..., inner], atol=1e-4, rtol=1e-4)


@pytest.fixture
def import_dac() -> Callable:
    """Imports the package `dac`, which needs a torchaudio that is not there, without leaving a trace of it."""
    before = set(sys.modules)

    def load() -> types.ModuleType:
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
        return pytest.importorskip("dac")

    yield load
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("torchaudio", "dac", "audiotools"):
            del sys.modules[name]


def test_oobleck_reads_a_checkpoint_of_diffusers(tmp_path: Path):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = diffusers.AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4],
        channel_multiples=[1, 2],
        decoder_channels=4,
        decoder_input_channels=4,
        sampling_rate=48_000,
    ).eval()
    model.save_pretrained(tmp_path)
    codec = OobleckCodec.from_diffusers(tmp_path, license="MIT")
    samples = torch.randn(1, 2, 800)
    with torch.no_grad():
        latents = model.encode(samples).latent_dist.mode()
        sound = model.decode(latents).sample
    torch.testing.assert_close(codec.encode(samples), latents.mT, atol=1e-5, rtol=0)
    inner = slice(codec.reach * 8, -codec.reach * 8)
    torch.testing.assert_close(codec.decode(codec.encode(samples))[..., inner], sound[..., inner], atol=1e-5, rtol=0)


def test_a_checkpoint_is_taken_over_and_its_latents_are_measured(tmp_path: Path, script: Callable, capsys):
    import transformers

    torch.manual_seed(0)
    shapes = transformers.DacConfig(
        encoder_hidden_size=2, decoder_hidden_size=8, downsampling_ratios=[8, 8, 8], n_codebooks=1, sampling_rate=44_100
    )
    model = transformers.DacModel(shapes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path / "theirs")
    (tmp_path / "sounds").mkdir()
    sound = np.random.default_rng(0).standard_normal((2, 4 * 44_100)).astype(np.float32) * 0.1
    audio.Audio(sound, 44_100).save(tmp_path / "sounds" / "a.wav")
    arguments = [str(tmp_path / "theirs"), "--license", "MIT", "--sounds", str(tmp_path / "sounds")]
    script("tools/import_codec.py").main([*arguments, "--out", str(tmp_path / "ours")])
    section = config.read(tmp_path / "ours" / "codec.yaml")
    codec = DacCodec(config.build(DacConfig, section["dac"])).eval()
    weights.load_weights(codec, tmp_path / "ours" / "codec.safetensors")
    latents = codec.encode(torch.from_numpy(sound)[None])[0]
    assert latents.mean(0).abs().max() < 0.1 and (latents.std(0) - 1).abs().max() < 0.1
    (tmp_path / "theirs" / "config.json").write_text("{}")
    with pytest.raises(SystemExit, match="2"):
        script("tools/import_codec.py").main([*arguments, "--out", str(tmp_path / "none")])
    assert "names neither" in capsys.readouterr().err


def test_a_license_that_forbids_some_uses_is_accepted_by_name(tmp_path: Path):
    config = with_codec(oobleck=replace(OOBLECK, license="CC-BY-NC-4.0"))
    with pytest.raises(ValueError, match=r"codec license 'CC-BY-NC-4.0' is none of .*accept_license='CC-BY-NC-4.0'"):
        Pipeline(config)
    with pytest.raises(ValueError, match="accept it by name"):
        Pipeline(config, accept_license="MIT")
    assert Pipeline(config, accept_license="CC-BY-NC-4.0").config == config
    check_license("MIT", None)


def test_a_license_is_accepted_on_the_command_line_too(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Each command without it and with it; an accepted evaluation ends at its next check, of the sample rate."""
    pytest.importorskip("librosa")
    monkeypatch.setattr("hybridgen.data.recordings.detect", lambda samples, known: NOTHING_DETECTED)  # half a minute
    torch.manual_seed(0)
    pipeline = Pipeline(with_codec(oobleck=replace(OOBLECK, license="CC-BY-NC-4.0")), accept_license="CC-BY-NC-4.0")
    randomized(pipeline.codec)
    model, songs = str(pipeline.save_pretrained(tmp_path / "model")), tmp_path / "songs"
    songs.mkdir()
    sound = np.random.default_rng(0).standard_normal((2, 6 * 48_000)).astype(np.float32) * 0.1
    audio.Audio(sound, 48_000).save(songs / "a.wav")
    finetune = ["finetune", str(songs), "--model", model, "--only", "renderer", "--steps", "1", "-o"]
    evaluate = ["evaluate", model, "--quick", "-o"]
    for name, command in (("style", finetune), ("report", evaluate)):
        assert main([*command, str(tmp_path / name)]) == 2
        assert "accept it by name" in capfd.readouterr().err
    accepted = ["--accept-license", "CC-BY-NC-4.0"]
    assert main([*finetune, str(tmp_path / "style"), *accepted]) == 0
    capfd.readouterr()
    assert main([*evaluate, str(tmp_path / "report"), *accepted]) == 2
    assert "sample rate 48000 Hz" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codec": None, "dac": None}, "one of the sections codec, dac, oobleck"),
        ({"dac": DAC}, r"found \['codec', 'dac'\]"),
        (
            {"quantizer": replace(MICRO.quantizer, frames_per_code=8)},
            "renderer.frames_per_code 4 != quantizer.frames_per_code 8",
        ),
        ({"plan_version": "0123456789ab"}, "plan_version 0123456789ab != "),
        ({"sampling": replace(MICRO.sampling, overlap=18)}, "sampling.overlap 18 is not a multiple of 4"),
    ],
)
def test_configs_that_do_not_fit_are_one_line(change: dict, words: str):
    with pytest.raises(ValueError, match=words):
        replace(MICRO, **change)


def test_odd_strides_are_refused():
    with pytest.raises(ValueError, match=r"downsampling_ratios \[3, 4\] must be even"):
        replace(DAC, downsampling_ratios=(3, 4))
