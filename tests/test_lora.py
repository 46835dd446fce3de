"""Adapters learn: only what is theirs, from songs as musicians have them, and a stopped run resumes."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import adapters, config
from hybridgen.adapters import Adapter
from hybridgen.analysis.detection import NOTHING_DETECTED, Detected
from hybridgen.audio import Audio
from hybridgen.cli import main
from hybridgen.data import recordings, song_folder
from hybridgen.data.prepared_dataset import PreparedDataset
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.training import finetune, lora
from hybridgen.training.lora import AdapterConfig, LoraTrainConfig
from hybridgen.training.objectives import ConditioningDropout
from tests.conftest import SAMPLE_RATE

ROOT = Path(__file__).parents[1]
WINDOW = 32  # latent frames
ENDS = {  # layers at the ends of a model, without which one with random weights in the rest can learn little
    "planner": tuple(f"heads.{level}" for level in range(4)),
    "renderer": ("frames", "out"),
}


def song(seconds: float, seed: int) -> np.ndarray:
    """Chords of decaying sines, a new one each half second: (2, N)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = np.zeros((2, len(t)))
    for start in np.arange(0, seconds, 0.5):
        notes = rng.choice([220.0, 261.6, 329.6, 392.0, 440.0], 3, replace=False)
        after = np.clip(t - start, 0, None)
        tone = (np.sin(2 * np.pi * notes[:, None] * after) * np.exp(-6 * after) * (t >= start)).sum(axis=0)
        samples += 0.1 * np.stack([tone, np.roll(tone, 30)])
    return samples.astype(np.float32)


def detect_nothing(samples: np.ndarray, known: Controls) -> Detected:
    return NOTHING_DETECTED


@pytest.fixture(scope="module")
def model(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipe.save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs as musicians have them: a wav at 48 kHz with a caption, an mp3 without."""
    folder = tmp_path_factory.mktemp("songs")
    soundfile.write(folder / "Night Drive.wav", song(4.0, 0).T, 48_000)
    (folder / "Night Drive.txt").write_text("\ufeffdark synthwave in E minor,\n 96 BPM, 3/4\n", encoding="utf-8")
    Audio(song(3.5, 1), SAMPLE_RATE).save(folder / "loop.mp3")
    (folder / "notes.md").write_text("not a song")
    return folder


@pytest.fixture(autouse=True)
def _no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """librosa compiles for half a minute; a test of detection calls `detect` itself."""
    monkeypatch.setattr(recordings, "find_detector", lambda: detect_nothing)


def small(model: Path, steps: int = 3, only: str | None = None) -> LoraTrainConfig:
    train = finetune.settings(str(model), "cpu", 1, only, steps)
    if train.renderer is not None:
        train = replace(train, renderer=replace(train.renderer, window=WINDOW, frames=2 * WINDOW))
    return replace(train, run=replace(train.run, log_every=1, save_every=2))


@pytest.fixture(scope="module")
def tuned(model: Path, songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter trained for three steps."""
    out = tmp_path_factory.mktemp("out") / "my-style"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "find_detector", lambda: detect_nothing)
        results = finetune.main(song_folder.read(songs).songs, out, small(model))
    assert set(results) == {"planner", "renderer"}
    return out


def test_songs_in_a_folder_become_an_adapter_that_plays(tuned: Path, model: Path):
    pipe = Pipeline.from_pretrained(model)
    plain = pipe.generate("x", seconds=2, seed=1)
    track = pipe.with_adapters([Adapter(tuned, 1.0)]).generate("x", seconds=2, seed=1)
    assert not np.array_equal(track.latents, plain.latents)
    facts = json.loads((tuned / "adapter.json").read_text())
    assert facts["training"]["renderer"]["songs"] == 2
    assert facts["base"] == {stage: pipe.weight_hashes[f"{stage}.safetensors"] for stage in adapters.STAGES}


def test_the_command_says_how_to_use_it_and_trains_nothing_twice(
    tuned: Path, model: Path, songs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    train, path = small(model), tuned / "planner" / adapters.WEIGHTS_FILE
    monkeypatch.setattr(finetune, "settings", lambda *_: train)
    before = path.read_bytes()
    assert main(["finetune", str(songs), "-o", str(tuned), "--model", str(model)]) == 0
    assert f'use it: hybridgen generate "..." --adapter {tuned}:0.8' in capsys.readouterr().out
    assert path.read_bytes() == before


def test_the_script_trains_on_a_prepared_folder(
    script: Callable[[str], ModuleType], tuned: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    places = [f"run.model={model}", f"prepared={tuned}/training/prepared", f"run.out={tmp_path}/style"]
    only = ["planner=null", "renderer.steps=2", f"renderer.window={WINDOW}", f"renderer.frames={2 * WINDOW}"]
    script("train/lora.py").main(str(ROOT / "configs/train/lora.yaml"), *places, *only)
    assert capsys.readouterr().out.startswith("renderer: loss ")
    assert list(adapters.load(Adapter(tmp_path / "style")).loras) == ["renderer"]


def test_labels_say_what_is_said_and_no_more(tuned: Path):
    prepared = PreparedDataset(tuned / "training/prepared", "train")
    labels = {prepared.labels(i).name.rsplit("-", 1)[0]: prepared.labels(i) for i in range(len(prepared))}
    drive, loop = labels["Night-Drive"], labels["loop"]
    assert drive.captions == ("dark synthwave in E minor, 96 BPM, 3/4",)
    assert (drive.plan.key, drive.plan.meter, drive.plan.n_bars) == ("E minor", "3/4", 0)
    assert drive.plan.length == round(4.0 * SAMPLE_RATE * 44_100 / 48_000)
    assert loop.captions == ()
    assert (loop.plan.key, loop.plan.meter, loop.plan.instruments) == (None, None, ())


def test_only_the_adapter_learns(model: Path, tuned: Path):
    train = small(model)
    songs = PreparedDataset(tuned / "training/prepared", "train")
    objective = lora.renderer_objective(model, songs, train.renderer, train)
    before = {name: value.clone() for name, value in objective.model.state_dict().items()}
    train = replace(train, run=replace(train.run, out=str(tuned.parent / "again")))
    trained = lora.fit("renderer", objective, train.renderer, train, "base", songs)
    after = objective.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(pair.lora_B.weight.any() for pair in trained.lora.pairs.values())
    saved = adapters.load(Adapter(tuned)).loras["renderer"]
    for name, pair in saved.pairs.items():  # the same seed and songs: the same adapter
        assert torch.equal(pair.lora_B.weight, trained.lora.pairs[name].lora_B.weight)


def test_a_run_that_was_stopped_goes_on_to_the_same_adapter(
    tuned: Path, model: Path, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, note = tmp_path / "my-style", lora.Run.log_step

    def stop_at_2(run: lora.Run, step: int, *rest: object) -> None:
        note(run, step, *rest)
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(lora.Run, "log_step", stop_at_2)
    assert finetune.main(song_folder.read(songs).songs, out, small(model)) is None
    assert not (out / "adapter.json").exists()
    monkeypatch.setattr(lora.Run, "log_step", note)
    assert finetune.main(song_folder.read(songs).songs, out, small(model)) is not None
    for stage in adapters.STAGES:
        path = f"{stage}/{adapters.WEIGHTS_FILE}"
        assert (out / path).read_bytes() == (tuned / path).read_bytes()
    (songs / "third.wav").write_bytes((songs / "Night Drive.wav").read_bytes())
    try:
        with pytest.raises(ValueError, match="the checkpoint was made with"):
            finetune.main(song_folder.read(songs).songs, out, small(model))
    finally:
        (songs / "third.wav").unlink()


@pytest.mark.parametrize("stage", adapters.STAGES)
def test_overfitting_one_song_halves_its_loss_in_50_steps(stage: str, model: Path, tmp_path: Path):
    (tmp_path / "one").mkdir()
    soundfile.write(tmp_path / "one" / "song.wav", song(4.0, 0).T, SAMPLE_RATE)
    train = small(model, 50, only=stage)
    own = getattr(train, stage)
    optim = replace(own.optim, learning_rate=2e-2, cool_down=10, ema=0.8)
    own = replace(own, adapter=AdapterConfig(16, 16.0, (*own.adapter.targets, *ENDS[stage])), optim=optim)
    if stage == "renderer":  # given everything: what is not given cannot be memorized
        own = replace(own, dropout=ConditioningDropout((1.0, 0.0, 0.0, 0.0), 1.0, 0.0, 0.0, (0.0,) * 6, 0.0, 0.0, 0.0))
    train = replace(train, run=replace(train.run, save_every=50), **{stage: own})
    results = finetune.main(song_folder.read(tmp_path / "one").songs, tmp_path / "out", train)
    assert results[stage].after < 0.5 * results[stage].before


def test_the_config_loads_and_refuses_what_cannot_be():
    train = config.load(LoraTrainConfig, config.preset("train/lora"))
    assert train.planner is not None and train.renderer is not None
    with pytest.raises(ValueError, match="nothing to train"):
        replace(train, planner=None, renderer=None)
    with pytest.raises(ValueError, match=r"run: \['start'\] are not for adapters"):
        replace(train, run=replace(train.run, start="renderer.safetensors"))
    with pytest.raises(ValueError, match="one process"):
        replace(train, engine=replace(train.engine, micro_batches=2))


# ---- mistakes


def broken(name: str, write: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        write(folder / name)

    return make


MISTAKES = [
    (lambda folder: None, "songs is not a folder"),
    (lambda folder: folder.mkdir(), "contains no sound files"),
    (broken("a.wav", lambda path: path.write_text("this is not sound")), "a.wav"),
    (broken("short.wav", lambda path: soundfile.write(path, song(2.0, 0).T, SAMPLE_RATE)), "short.wav: 2.0 s"),
    (
        broken("still.wav", lambda path: soundfile.write(path, np.zeros((400_000, 2)), SAMPLE_RATE)),
        "still.wav: is silent",
    ),
]


@pytest.mark.parametrize(("make", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_one_line(
    make: Callable,
    words: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "songs")
    assert main(["finetune", "songs", "-o", "my-style", "--model", str(model)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith("hybridgen: ") for line in lines) and words in lines[0]
    assert lines[1:] in ([], ["hybridgen: none of the 1 songs can be used"])
    assert not (tmp_path / "my-style/adapter.json").exists()


def test_mistakes_about_the_output_and_the_steps(
    model: Path, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    assert main(["finetune", str(songs), "-o", str(tmp_path / "photos"), "--model", str(model)]) == 2
    assert "is not an unfinished adapter" in capsys.readouterr().err
    assert main(["finetune", str(songs), "-o", str(tmp_path / "x"), "--model", str(model), "--steps", "0"]) == 2
    assert "steps 0 must be at least 1" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    assert "hybridgen generate" in (text := capsys.readouterr().out) and "night-drive.txt" in text
