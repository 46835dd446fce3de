"""The whole way, tiny: a corpus is composed and played, every stage makes steps on it, and the result makes a track."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
import yaml

from hybridgen import config
from hybridgen.data import corpus
from hybridgen.pipeline import Pipeline
from hybridgen.training import configs, objectives
from hybridgen.training.run import only_one
from tests.test_codecs import DAC, OOBLECK, save_theirs, write_model

ROOT = Path(__file__).parents[1]
N_SONGS = 20  # the last is the first that is held out
STAGES = ("codec", "quantizer", "planner", "renderer")
Script = Callable[[str], ModuleType]
CROPS = ("batch_size=2", "crop=16384", "engine.bfloat16=false")


Train = Callable[..., None]  # stage, folder, overrides


@pytest.fixture
def train(script: Script) -> Train:
    """Runs one stage's script on the corpus in a folder."""
    return partial(run_stage, script)


def run_stage(script: Script, stage: str, folder: Path, *overrides: str) -> None:
    shared = (
        f"run.model={folder}/model.yaml",
        f"run.out={folder}/runs/{stage}",
        "run.log_every=1",
        "run.valid_every=2",
        "run.save_every=2",
    )
    script(f"train/{stage}.py").main(str(ROOT / f"configs/train/{stage}.yaml"), *shared, *overrides)


@pytest.fixture(scope="module")
def folder(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of short songs, two of them rendered, one of these held out."""
    folder = tmp_path_factory.mktemp("chain")
    corpus.write(folder / "corpus", seed=0, first=N_SONGS - 2, count=2, seconds=(6.0, 8.0), workers=1)
    (folder / "model.yaml").write_text(yaml.safe_dump(config.dump(pipe.config)))
    return folder


def test_every_stage_makes_steps_and_the_result_makes_a_track(folder: Path, script: Script, train: Train):
    rendered = (f"prepared={folder}/prepared",)
    prepare = ["--corpus", f"{folder}/corpus", "--out", f"{folder}/prepared", "--model", f"{folder}/model.yaml"]
    prepare += ["--codec", f"{folder}/runs/codec", "--captions", "1"]

    train("codec", folder, f"data={folder}/corpus/songs", "steps=2", *CROPS)
    script("train/prepare.py").main(prepare)
    train("quantizer", folder, *rendered, "phases=[{steps: 2, windows: [16], frames: 32}]")
    script("train/prepare.py").main([*prepare, "--quantizer", f"{folder}/runs/quantizer"])
    scores = ("run.workers=0", "rendered_share=1.0", "scores.batch_size=4", "scores.seconds=[5, 8]")
    train("planner", folder, *rendered, *scores, "scores.long_share=0", "steps=2")
    phases = "phases=[{steps: 1, windows: [16], frames: 32}, {steps: 1, windows: [32], frames: 32}]"
    train("renderer", folder, *rendered, phases, f"codec={folder}/runs/codec/codec.safetensors")

    shown = {stage: {path.suffix for path in (folder / f"runs/{stage}/shown").iterdir()} for stage in STAGES}
    assert shown == {"codec": {".flac", ".png"}, "quantizer": set(), "planner": {".txt"}, "renderer": {".flac", ".png"}}
    export = script("train/export.py")
    export.main(
        export.parser().parse_args(
            ["--runs", f"{folder}/runs", "--model", f"{folder}/model.yaml", "--out", f"{folder}/model"]
        )
    )
    record = json.loads((folder / "model/training.json").read_text())
    assert all(record["stages"][stage] for stage in STAGES)
    track = Pipeline.from_pretrained(folder / "model").generate("rock, 120 bpm", seconds=2, seed=1)
    assert track.samples.shape == (2, 88_200)


@pytest.mark.parametrize("section", [{"dac": replace(DAC, license="X")}, {"oobleck": OOBLECK}], ids=["dac", "oobleck"])
def test_the_whole_way_on_a_codec_of_others(
    section: dict, folder: Path, tmp_path: Path, script: Script, capsys: pytest.CaptureFixture
):
    """From its checkpoint and songs to a track, on frames of its own rate; a license is accepted in every step."""
    kind, shapes = next(iter(section.items()))
    accepted = ["--accept-license", shapes.license]
    save_theirs(kind, tmp_path / "theirs")
    model = str(write_model(tmp_path / "model.yaml", frames_per_code=6, **section))
    prepare = ["--corpus", f"{folder}/corpus", "--out", f"{tmp_path}/prepared", "--model", model, "--workers", "1"]
    prepare += ["--codec", f"{tmp_path}/theirs", "--captions", "1", *accepted]
    prepared = f"prepared={tmp_path}/prepared"

    script("train/prepare.py").main(prepare)
    train = partial(run_stage, script)
    train("quantizer", tmp_path, prepared, "phases=[{steps: 2, windows: [24], frames: 48}]")
    script("train/prepare.py").main([*prepare, "--quantizer", f"{tmp_path}/runs/quantizer"])
    scores = ("run.workers=0", "rendered_share=1.0", "scores.batch_size=4", "scores.seconds=[5, 8]")
    train("planner", tmp_path, prepared, *scores, "scores.long_share=0", "steps=2")
    train("renderer", tmp_path, prepared, "phases=[{steps: 2, windows: [24], frames: 48}]")

    (tmp_path / "runs/codec").mkdir()
    shutil.copy(tmp_path / "prepared/codec/codec.safetensors", tmp_path / "runs/codec")
    export = script("train/export.py")
    export.main(
        export.parser().parse_args(
            ["--runs", f"{tmp_path}/runs", "--model", model, "--out", f"{tmp_path}/model", *accepted]
        )
    )
    pipeline = Pipeline.from_pretrained(tmp_path / "model", accept_license=shapes.license)
    track = pipeline.generate("rock, 120 bpm", seconds=2, seed=1)
    assert track.audio.sample_rate == shapes.sample_rate
    assert track.samples.shape == (2, 2 * shapes.sample_rate)
    assert track.latents.shape == (-(-2 * shapes.sample_rate // shapes.hop_length), shapes.latent_dim)
    with pytest.raises(SystemExit, match="2"):
        script("train/prepare.py").main([*prepare, "--model", str(config.preset("models/tiny"))])
    assert "but the model's shapes are SpectralCodecConfig" in capsys.readouterr().err


def test_a_folder_without_any_codec_is_one_line(folder: Path, tmp_path: Path, script: Script, capsys):
    arguments = ["--corpus", f"{folder}/corpus", "--out", f"{tmp_path}/prepared", "--codec", f"{tmp_path}/none"]
    with pytest.raises(SystemExit, match="2"):
        script("train/prepare.py").main(arguments)
    assert f"codec {tmp_path}/none holds neither codec.safetensors nor" in capsys.readouterr().err


def test_the_decoder_is_polished_against_discriminators_and_the_encoder_stays(folder: Path, train: Train):
    data = (f"data={folder}/corpus/songs", "steps=2", *CROPS, "engine.micro_batches=2")
    start = f"run.start={folder}/runs/codec/codec.safetensors"
    polish = ("freeze_encoder=true", "adversarial_weight=0.1", "adversarial_start=0", "adversarial_ramp=1")
    train("codec", folder, *data, start, *polish, f"run.out={folder}/runs/codec2")
    before, after = (codec_weights(folder, run) for run in ("codec", "codec2"))
    assert all(before[name].equal(after[name]) for name in before if name.startswith(("encoder.", "latent_")))
    assert any(not before[name].equal(after[name]) for name in before if name.startswith("decoder."))


def test_all_files_of_a_held_out_song_are_held_out(script: Script):
    held_out = script("train/codec.py").is_held_out
    assert [held_out(Path(name)) for name in ("000019.flac", "000019-drums-bass.flac", "000039-lead.flac")] == [
        True
    ] * 3
    assert [held_out(Path(name)) for name in ("000018.flac", "000018-drums-bass.flac", "000040-lead.flac")] == [
        False
    ] * 3


def test_the_codec_reads_mono_files_and_refuses_another_rate(script: Script, tmp_path: Path):
    read, mono, fast = script("train/codec.py").read, tmp_path / "mono.wav", tmp_path / "fast.wav"
    wave = np.arange(1000, dtype=np.float32) / 2000
    soundfile.write(mono, wave, 44_100, "FLOAT")
    soundfile.write(fast, wave, 48_000, "FLOAT")
    samples = read(mono, 100, 44_100, lambda positions: positions - 1)
    assert samples.shape == (2, 100) and np.array_equal(samples, [wave[900:]] * 2)
    assert read(mono, 5000, 44_100, lambda positions: positions - 1).shape == (2, 1000)
    with pytest.raises(ValueError, match=r"fast.wav: 48000 Hz, but the codec is trained at 44100 Hz"):
        read(fast, 100, 44_100, lambda positions: 0)


def codec_weights(folder: Path, run: str) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "runs" / run / "codec.safetensors")


@pytest.mark.parametrize("stage", STAGES)
def test_every_training_config_loads(stage: str):
    schema = getattr(configs, f"{stage.capitalize()}TrainConfig")
    assert config.load(schema, ROOT / f"configs/train/{stage}.yaml").run.model == "tiny"


def test_the_renderer_meets_codes_and_context_as_spoilt_as_they_will_be():
    rng = torch.Generator().manual_seed(0)
    codes = torch.zeros(200, 4, 50, dtype=torch.int64)
    wrong = (objectives.corrupt_codes(codes, 1000, 0.1, rng) != codes).float().mean(dim=(1, 2))
    assert 0.08 < wrong.mean() < 0.12 and wrong.min() < 0.02 and wrong.max() > 0.17
    noise = objectives.noise_context(torch.zeros(200, 50, 4), 0.2, rng).std(dim=(1, 2))
    assert noise.min() < 0.02 and 0.17 < noise.max() < 0.23
    assert torch.equal(objectives.noise_context(codes.float(), 0.0, rng), codes.float())


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path):
    words = "another process is training in this folder"
    with only_one(tmp_path), pytest.raises(ValueError, match=words), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass
