"""train/on_gpu.py on the CPU: stopped runs go on where they were, and what is missing or fails is one line."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hybridgen import config
from hybridgen.codecs.own import SpectralCodec
from hybridgen.data import corpus
from hybridgen.training.configs import CodecTrainConfig
from hybridgen.weights import save_weights
from tests.conftest import MICRO

ROOT = Path(__file__).parents[1]
SETTINGS = (
    "batch_size=2", "crop=16384", "run.workers=0", "run.log_every=1", "run.valid_every=1000000",
    "run.save_every=1000000", "optim.warm_up=1", "optim.cool_down=1", "engine.device=cpu", "engine.bfloat16=false",
)  # fmt: skip
POLISH = ("freeze_encoder=true", "adversarial_weight=0.1", "adversarial_start=0", "adversarial_ramp=1", "steps=2")


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("train/on_gpu.py")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The file of a plan: twenty songs of a second, of which one is held out, and two trainings."""
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(config.dump(MICRO)))
    save_weights(SpectralCodec(MICRO.codec), tmp_path / "start.safetensors")
    parts = {"folder": f"{tmp_path}/corpus", "hours": 20 / 3600, "seconds": [1.0, 1.0], "subsets": 0, "sounds": []}
    facts = {
        "corpus": parts,
        "runs": f"{tmp_path}/runs",
        "start": f"{tmp_path}/start.safetensors",
        "settings": [f"run.model={tmp_path}/model.yaml", *SETTINGS],
        "trainings": {"codec": ["steps=1000000"], "polished": list(POLISH)},
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))
    return tmp_path / "plan.yaml"


def arguments(plan: Path, *overrides: str) -> list[str]:
    """Options between the plan and its overrides, as people write them."""
    return [str(plan), "--minutes", "60", "--out", str(plan.parent / "results"), *overrides]


def logged(run: Path) -> list[int]:
    """The steps of a training's log, one after the other."""
    log = run / "log.jsonl"
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [entry["step"] for entry in entries if "loss" in entry]


@pytest.mark.timeout(300)
def test_a_stopped_run_goes_on_with_the_same_command(plan: Path):
    runs, results = plan.parent / "runs", plan.parent / "results"
    command = [sys.executable, str(ROOT / "train/on_gpu.py")]
    process = subprocess.Popen([*command, *arguments(plan)], stdout=subprocess.PIPE, text=True)
    while len(logged(runs / "codec")) < 3 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 3 and "/corpus: finished" in said and "/codec: not finished" in said
    first = logged(runs / "codec")[-1]
    assert (runs / f"codec/step_{first:08d}").is_dir() and (results / "codec/log.jsonl").is_file()

    facts = yaml.safe_load(plan.read_text())
    facts["trainings"]["codec"] = [f"steps={first + 2}"]  # that many are enough
    plan.write_text(yaml.safe_dump(facts, sort_keys=False))
    done = subprocess.run([*command, *arguments(plan)], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "not finished" not in done.stdout
    assert logged(results / "codec") == list(range(1, first + 3)) and logged(results / "polished") == [1, 2]
    weights = [load_file(results / name / "codec.safetensors") for name in ("codec", "polished")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0] if name.startswith("encoder."))
    assert not all(weights[0][name].equal(weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("corpus.hour=1", "corpus: unknown ['hour']"),
        ("corpus.sounds=[kazoo]", "sounds kazoo: known are"),
        ("start=nothing.safetensors", "start nothing.safetensors is missing"),
        ("engine.device=tpu", "device 'tpu' is neither cpu nor cuda"),
        ("step=4", "unknown ['step']"),
    ],
)
def test_what_is_missing_is_said_before_anything_begins(
    tool: ModuleType, plan: Path, override: str, words: str, capsys: pytest.CaptureFixture[str]
):
    assert tool.main(arguments(plan, override)) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (plan.parent / "corpus").exists()


def test_packages_and_a_gpu_are_looked_for_first(
    tool: ModuleType, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert tool.main(arguments(plan, "engine.device=cuda")) == 2
    assert "PyTorch finds no GPU here" in capsys.readouterr().err
    for name in ("soundfile", "fluidsynth"):
        monkeypatch.setitem(sys.modules, name, None)
    assert tool.main(arguments(plan)) == 2
    assert "packages that cannot be imported: fluidsynth, soundfile (" in capsys.readouterr().err


def test_the_script_itself_starts_without_the_packages_that_it_looks_for(tool: ModuleType):
    code = f"import sys; sys.modules.update(dict.fromkeys({tool.PACKAGES!r})); import runpy; "
    code += f"sys.argv = ['on_gpu.py', '{ROOT}/configs/gpu/codec-v2.yaml', '--minutes', '1', '--out', 'x']; "
    code += f"runpy.run_path('{ROOT}/train/on_gpu.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("on_gpu.py: packages that cannot be imported: " + ", ".join(tool.PACKAGES))


def test_a_step_that_fails_is_its_last_line(tool: ModuleType, plan: Path, capsys: pytest.CaptureFixture[str]):
    corpus.write(plan.parent / "corpus", 0, 0, 1, seconds=(1.0, 1.0), workers=1, subsets=0)
    capsys.readouterr()  # its bar of progress
    assert tool.main(arguments(plan, "corpus.subsets=1")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the songs there have subsets 0, not 1" in error


def test_no_process_outlives_its_end(tool: ModuleType, tmp_path: Path):
    """Neither one that does not listen, nor what it has started; and neither counts as finished."""
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    code = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {ignores!r}])\n"
    code += f"open('{tmp_path}/pid', 'w').write(str(c.pid)); {ignores}"
    step, begin = tool.Step(tmp_path / "x", (sys.executable, "-c", code)), time.monotonic()
    assert not tool.run(step, tool.Times(begin + 3, begin + 4))
    assert time.monotonic() - begin < 10 and not step.is_finished
    child, deadline = int((tmp_path / "pid").read_text()), time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie, which nobody may come to collect."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_the_last_line_is_what_was_said_last(tool: ModuleType, tmp_path: Path):
    (tmp_path / "said").write_bytes(b"one\ntwo 1%\rtwo 2%\r\n\n")
    assert tool.last_line(tmp_path / "said") == "two 2%"
    (tmp_path / "said").write_bytes(b"")
    assert tool.last_line(tmp_path / "said") == "ended without a word"


@pytest.mark.parametrize("path", sorted((ROOT / "configs/gpu").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_plan_loads_with_the_configs_of_its_trainings(tool: ModuleType, path: Path):
    plan = config.load(tool.GpuConfig, path)
    settings = tool.training_settings(plan, [])
    first, second = (config.load(CodecTrainConfig, tool.SETTINGS, one) for one in settings.values())
    assert first.run.start == plan.start and second.run.start == f"{first.run.out}/codec.safetensors"
    assert first.data == second.data == f"{plan.corpus.folder}/songs"
    assert second.freeze_encoder and not first.freeze_encoder
    assert second.adversarial_weight > 0 == first.adversarial_weight and first.engine.device == "cuda"
