"""Codecs of other people behind the contract: DAC and Oobleck with random weights, alone and under a whole pipeline."""

import json
import re
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from hybridgen import audio, config, manifest, weights
from hybridgen.analysis.detection import NOTHING_DETECTED
from hybridgen.cli import main
from hybridgen.codecs.contract import BlockCodec, check_license
from hybridgen.codecs.dac import DacCodec, DacConfig
from hybridgen.codecs.oobleck import OobleckCodec, OobleckConfig
from hybridgen.data import prepare
from hybridgen.data.prepare import LabeledAudio
from hybridgen.data.prepared_dataset import Labels
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.stages import CODECS, PipelineConfig
from tests.conftest import MICRO

DAC = DacConfig(
    sample_rate=44_100, encoder_dim=2, decoder_dim=8, downsampling_ratios=(8, 8, 8), n_codebooks=2, codebook_dim=2
)
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


def with_codec(frames_per_code: int = 4, **section) -> PipelineConfig:
    """The micro pipeline's shapes on another codec."""
    codec = next(iter(section.values()))
    widths = {"latent_dim": codec.latent_dim, "frames_per_code": frames_per_code}
    parts = {"quantizer": replace(MICRO.quantizer, **widths), "renderer": replace(MICRO.renderer, **widths)}
    sampling = replace(MICRO.sampling, window=16 * frames_per_code, overlap=4 * frames_per_code)
    return replace(MICRO, codec=None, sampling=sampling, **parts, **section)


def randomized(codec: BlockCodec) -> BlockCodec:
    """Weights and statistics that let every input matter."""
    torch.manual_seed(1)
    codec.latent_mean.normal_()
    codec.latent_std.uniform_(0.5, 2.0)
    if isinstance(codec, DacCodec):
        codec.basis.copy_(torch.linalg.qr(torch.randn_like(codec.basis))[0])
        codec.offset.normal_()
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
    new = pipe.repaint(track, track.plan.edit((3, 4), chords=["Dm"]), (3, 4), seed=9)
    start, stop = new.plan.frames_of(new.plan.span((3, 4)), hop)
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
    blocks = list(pipe.render_blocks(PLAN, seed=5))
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


def save_theirs(kind: str, folder: Path) -> None:
    """A checkpoint of random weights in the shapes of DAC or OOBLECK, as their own library writes it."""
    torch.manual_seed(0)
    if kind == "dac":
        import transformers

        shapes = transformers.DacConfig(
            encoder_hidden_size=DAC.encoder_dim,
            decoder_hidden_size=DAC.decoder_dim,
            downsampling_ratios=list(DAC.downsampling_ratios),
            n_codebooks=DAC.n_codebooks,
            codebook_dim=DAC.codebook_dim,
            sampling_rate=DAC.sample_rate,
        )
        model = transformers.DacModel(shapes)
    else:
        model = pytest.importorskip("diffusers").AutoencoderOobleck(
            encoder_hidden_size=OOBLECK.encoder_hidden_size,
            downsampling_ratios=list(OOBLECK.downsampling_ratios),
            channel_multiples=list(OOBLECK.channel_multiples),
            decoder_channels=OOBLECK.decoder_channels,
            decoder_input_channels=OOBLECK.latent_dim,
            sampling_rate=OOBLECK.sample_rate,
        )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def test_dac_reads_a_checkpoint_of_transformers(tmp_path: Path):
    """Its latents are no further from the encoder's output than its own codes are, and are decoded by its decoder."""
    import transformers

    save_theirs("dac", tmp_path)
    model = transformers.DacModel.from_pretrained(tmp_path).eval()
    codec, hop = DacCodec.from_transformers(tmp_path), DAC.hop_length
    samples = torch.randn(1, 2, 60 * hop)
    with torch.no_grad():
        hidden = model.encoder(samples.transpose(0, 1))  # (2, H, T)
        coded = model.quantizer(hidden)[0]
        nearest = torch.stack(codec.encode(samples)[0].chunk(2, -1)) @ codec.basis.T + codec.offset  # (2, T, H)
        sound = model.decoder(nearest.mT).transpose(0, 1)
    assert codec.latent_dim == 2 * 4 and (codec.basis.T @ codec.basis - torch.eye(4)).abs().max() < 1e-5
    assert ((hidden - nearest.mT).norm(dim=1) < (hidden - coded).norm(dim=1)).all()
    torch.testing.assert_close(nearest @ codec.basis, hidden.mT @ codec.basis, atol=1e-4, rtol=1e-3)
    again = (coded.mT - codec.offset) @ codec.basis @ codec.basis.T + codec.offset
    torch.testing.assert_close(again, coded.mT, atol=1e-4, rtol=1e-4)  # its codes lie in the span
    inner = slice(codec.reach * hop, -codec.reach * hop)
    decoded = codec.decode(codec.encode(samples))
    torch.testing.assert_close(decoded[..., inner], sound[..., inner], atol=1e-4, rtol=1e-3)


def test_dac_of_descript_and_of_transformers_are_the_same_codec(import_dac: Callable):
    torch.manual_seed(0)
    model = (
        import_dac()
        .DAC(encoder_dim=4, encoder_rates=[2, 4], decoder_dim=16, decoder_rates=[4, 2], n_codebooks=2, codebook_dim=2)
        .eval()
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    codec = DacCodec.from_descript(model)
    samples = torch.randn(1, 2, 800)
    with torch.no_grad():
        hidden = model.encoder(samples.transpose(0, 1))
        nearest = (hidden.mT - codec.offset) @ codec.basis @ codec.basis.T + codec.offset
        sound = model.decoder(nearest.mT).transpose(0, 1)
        coded = model.quantizer(hidden)[0]
    again = (coded.mT - codec.offset) @ codec.basis @ codec.basis.T + codec.offset
    torch.testing.assert_close(again, coded.mT, atol=1e-4, rtol=1e-4)
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


def labeled(sound: Path, split: str) -> LabeledAudio:
    """A track of which only the sound matters."""
    return LabeledAudio(Labels(sound.stem, split, PLAN, ()), sound, None)


@pytest.fixture
def noise(tmp_path: Path) -> list[LabeledAudio]:
    """Two tracks of four seconds, one of them for training."""
    rng = np.random.default_rng(0)
    for name, level in (("a", 0.1), ("b", 0.2)):
        samples = rng.standard_normal((2, 4 * 44_100)).astype(np.float32) * level
        audio.Audio(samples, 44_100).save(tmp_path / f"{name}.wav")
    return [labeled(tmp_path / "a.wav", "train"), labeled(tmp_path / "b.wav", "test")]


def write_model(path: Path, frames_per_code: int = 4, **section) -> Path:
    """A YAML with the micro pipeline's shapes on another codec."""
    path.write_text(yaml.safe_dump(config.dump(with_codec(frames_per_code, **section))))
    return path


@pytest.mark.parametrize("section", [{"dac": DAC}, {"oobleck": OOBLECK}], ids=["dac", "oobleck"])
def test_a_checkpoint_is_taken_over_and_its_latents_are_measured(section: dict, tmp_path: Path, noise: list):
    kind, shapes = next(iter(section.items()))
    save_theirs(kind, tmp_path / "theirs")
    model = write_model(tmp_path / "model.yaml", **section)
    assert prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model) == tmp_path / "ours"
    codec = CODECS[type(shapes)](shapes).eval()
    weights.load_weights(codec, tmp_path / "ours" / "codec.safetensors")
    sound = audio.Audio.load(tmp_path / "a.wav", codec.sample_rate).samples
    latents = codec.encode(torch.from_numpy(sound.copy())[None])[0]
    assert latents.mean(0).abs().max() < 0.01 and (latents.std(0) - 1).abs().max() < 0.01
    before = (tmp_path / "ours" / "codec.safetensors").read_bytes()
    prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise[1:], model)  # other tracks: kept
    assert (tmp_path / "ours" / "codec.safetensors").read_bytes() == before
    with pytest.raises(ValueError, match="no tracks to train on"):
        prepare.take_over_codec(tmp_path / "theirs", tmp_path / "new", noise[1:], model)


def test_another_checkpoint_does_not_take_the_place_of_the_first(tmp_path: Path, noise: list):
    save_theirs("dac", tmp_path / "theirs")
    model = write_model(tmp_path / "model.yaml", dac=DAC)
    prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model)
    values = load_file(tmp_path / "theirs" / "model.safetensors")
    values["encoder.conv1.weight"] += 1
    save_file(values, tmp_path / "theirs" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"another codec than that of .*theirs; prepare into a new folder"):
        prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model)


def change(folder: Path, **fields) -> None:
    """Other values in a checkpoint's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def without_a_weight(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    values = load_file(path)
    values.pop(min(values))
    save_file(values, path, {"format": "pt"})


def cut_short(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("kind", "damage", "words"),
    [
        ("dac", without_a_weight, "1 weights are missing, among them decoder.block.0.conv_t1.bias"),
        ("oobleck", without_a_weight, "1 weights are missing, among them decoder.block.0.conv_t1.bias"),
        ("dac", cut_short, "not a whole DacModel"),
        ("oobleck", cut_short, "not a whole AutoencoderOobleck"),
        ("dac", lambda folder: change(folder, sampling_rate=48_000), "sample_rate 48000 != 44100 of the model"),
        ("oobleck", lambda folder: change(folder, sampling_rate="x"), "sample_rate: expected int, got 'x'"),
        ("oobleck", lambda folder: change(folder, decoder_channels=6), "not a whole AutoencoderOobleck"),
        ("dac", lambda folder: change(folder, model_type="encodec"), "neither a DacModel nor an AutoencoderOobleck"),
        ("dac", lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(
    kind: str, damage: Callable, words: str, tmp_path: Path, script: Callable, capsys, noise: list
):
    save_theirs(kind, tmp_path / "theirs")
    damage(tmp_path / "theirs")
    section = {"dac": DAC} if kind == "dac" else {"oobleck": OOBLECK}
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        prepare.take_over_codec(
            tmp_path / "theirs", tmp_path / "ours", noise, write_model(tmp_path / "model.yaml", **section)
        )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ours").exists()


def test_a_checkpoint_of_one_kind_is_not_a_codec_of_another(tmp_path: Path, noise: list):
    save_theirs("dac", tmp_path / "theirs")
    with pytest.raises(ValueError, match="theirs: DacCodec, but the model's shapes are OobleckConfig"):
        model = write_model(tmp_path / "model.yaml", oobleck=OOBLECK)
        prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model)
    forbids = replace(DAC, license="CC-BY-NC-4.0")
    model = write_model(tmp_path / "other.yaml", dac=forbids)
    with pytest.raises(ValueError, match="accept it by name"):
        prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model)
    prepare.take_over_codec(tmp_path / "theirs", tmp_path / "ours", noise, model, "CC-BY-NC-4.0")


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


def test_more_dimensions_than_channels_are_refused():
    with pytest.raises(ValueError, match="n_codebooks 9 of codebook_dim 2 are more than the encoder's 16 channels"):
        replace(DAC, n_codebooks=9)


def test_odd_strides_are_refused():
    with pytest.raises(ValueError, match=r"downsampling_ratios \[3, 4\] must be even"):
        replace(DAC, downsampling_ratios=(3, 4))
