"""train/on_gpu.py on the CPU: short runs make what a long one makes, and what goes wrong is one line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from safetensors.torch import load_file

from hybridgen import config
from hybridgen.data import corpus
from hybridgen.training.configs import CodecTrainConfig
from tests.conftest import MICRO

ROOT = Path(__file__).parents[1]
STEPS = 40
TINY = ("batch_size=2", "crop=16384", "run.workers=0", "run.log_every=1", "run.valid_every=20", "run.save_every=5")
SONG_SECONDS = (1.0, 1.5)


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("train/on_gpu.py")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty songs, of which the last is held out."""
    folder = tmp_path_factory.mktemp("songs") / "corpus"
    corpus.write(folder, seed=0, first=0, count=20, seconds=SONG_SECONDS, workers=1, subsets=0)
    return folder


def write_plan(folder: Path, songs: Path, steps: int = STEPS) -> Path:
    """A plan of two short trainings in `folder`, the second against discriminators."""
    (folder / "model.yaml").write_text(yaml.safe_dump(config.dump(MICRO)))
    shared = (f"data={songs}/songs", f"run.model={folder}/model.yaml", *TINY)
    optim = ("optim.warm_up=1", "optim.cool_down=1")
    polish = ("freeze_encoder=true", "adversarial_weight=0.1", "adversarial_start=0", "adversarial_ramp=1", "steps=3")
    start = f"run.start={folder}/runs/codec/codec.safetensors"
    plan = {
        "corpus": {
            "folder": str(songs),
            "hours": 20 * 1.25 / 3600,
            "seconds": SONG_SECONDS,
            "subsets": 0,
            "sounds": [],
        },
        "trainings": [
            {"stage": "codec", "out": f"{folder}/runs/codec", "settings": [*shared, *optim, f"steps={steps}"]},
            {"stage": "codec", "out": f"{folder}/runs/codec2", "settings": [*shared, *optim, start, *polish]},
        ],
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(plan))))
    return folder / "plan.yaml"


def command(plan: Path, minutes: float) -> list[str]:
    """Runs the plan beside which it lies."""
    own = ["--minutes", str(minutes), "--out", str(plan.parent / "results")]
    return [
        sys.executable,
        str(ROOT / "train/on_gpu.py"),
        str(plan),
        *own,
        "engine.device=cpu",
        "engine.bfloat16=false",
    ]


def logged(folder: Path, run: str = "codec") -> list[int]:
    """The steps of a training's log, one after the other."""
    log = folder / "runs" / run / "log.jsonl"
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [entry["step"] for entry in entries if "loss" in entry]


@pytest.mark.timeout(900)
def test_a_run_that_was_stopped_twice_makes_the_same_weights(songs: Path, tmp_path: Path):
    """Once by a signal, once because its time was up."""
    for name in ("short", "long"):
        (tmp_path / name).mkdir()
    short, long = (write_plan(tmp_path / name, songs) for name in ("short", "long"))
    process = subprocess.Popen(command(short, 60), stdout=subprocess.DEVNULL)
    while len(logged(short.parent)) < 3 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 3
    first = logged(short.parent)[-1]
    assert 3 <= first < STEPS and (short.parent / f"runs/codec/step_{first:08d}").is_dir()
    minutes = 0.1
    while (done := subprocess.run(command(short, minutes), stdout=subprocess.PIPE, text=True)).returncode == 3:
        assert "the same command goes on" in done.stdout
        minutes *= 1.5  # until there is time for a step
    assert done.returncode == 0 and "codec2, step 3: finished" in done.stdout
    assert minutes > 0.1
    assert subprocess.run(command(long, 60), stdout=subprocess.DEVNULL).returncode == 0

    assert logged(short.parent) == list(range(1, STEPS + 1))
    for run in ("codec", "codec2"):
        weights = [load_file(plan.parent / "results" / run / "codec.safetensors") for plan in (short, long)]
        assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])
    facts = json.loads((short.parent / "results/figures.json").read_text())
    assert [facts[name]["finished"] for name in ("corpus", "codec", "codec2")] == [True, True, True]
    assert [entry["step"] for entry in facts["codec"]["validations"]] == [20, STEPS]
    assert facts["codec2"]["last"]["adversarial"] > 0
    begin = time.monotonic()
    assert subprocess.run(command(long, 60), stdout=subprocess.DEVNULL).returncode == 0  # nothing is left to do
    assert logged(long.parent, "codec2") == [1, 2, 3] and time.monotonic() - begin < 60


def test_what_fails_is_one_line_and_the_rest_is_kept(tool: ModuleType, songs: Path, tmp_path: Path, capsys):
    plan = write_plan(tmp_path, songs)
    shared = ["--minutes", "60", "--out", str(tmp_path / "results")]
    assert tool.main([str(plan), *shared, "engine.device=tpu"]) == 2
    error = capsys.readouterr().err
    assert error == "on_gpu.py: codec: codec.py: " + error.partition("codec.py: ")[2] and error.count("\n") == 1
    assert "device 'tpu' is neither cpu nor cuda" in error
    facts = json.loads((tmp_path / "results/figures.json").read_text())
    assert facts["corpus"]["finished"] and not facts["codec"]["finished"]
    assert tool.main([str(plan), *shared, "corpus.subsets=1"]) == 2
    assert "the songs there have subsets 0, not 1" in capsys.readouterr().err
    assert tool.main([str(plan), "--minutes", "0", "--out", str(tmp_path / "results")]) == 2
    assert "minutes 0: must be more than 0" in capsys.readouterr().err
    assert tool.main([str(plan), *shared, "corpus.hour=1"]) == 2
    assert "corpus: unknown ['hour']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "codecs"}, "stage 'codecs' is none of codec, quantizer, planner, renderer"),
        ({"out": "elsewhere/codec2"}, "must differ"),
    ],
)
def test_plans_that_cannot_be_are_refused(tool: ModuleType, tmp_path: Path, change: dict, words: str, capsys):
    plan = yaml.safe_load(write_plan(tmp_path, tmp_path).read_text())
    plan["trainings"][0] |= change
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert tool.main([str(tmp_path / "plan.yaml"), "--minutes", "1", "--out", str(tmp_path / "results")]) == 2
    assert words in capsys.readouterr().err


def test_no_process_outlives_its_end(tool: ModuleType, tmp_path: Path):
    """Neither one that does not listen, nor what it has started."""
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    code = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {ignores!r}])\n"
    code += f"open('{tmp_path}/pids', 'w').write(str(c.pid)); {ignores}"
    step = tool.Step("x", tmp_path / "x", (sys.executable, "-c", code))
    begin = time.monotonic()
    with tool.stop_on_signal() as stop:
        assert not tool.run(step, tool.Clock(begin, 12.0), stop)
    assert 10 < time.monotonic() - begin < 16 and not step.is_finished
    child = int((tmp_path / "pids").read_text())
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z") if os.path.isdir("/proc") else True
    )


def test_the_last_line_is_what_was_said_last(tool: ModuleType, tmp_path: Path):
    (tmp_path / "said").write_bytes(b"one\ntwo 1%\rtwo 2%\r\n\n")
    assert tool.last_line(tmp_path / "said") == "two 2%"
    (tmp_path / "said").write_bytes(b"")
    assert tool.last_line(tmp_path / "said") == "ended without a word"


@pytest.mark.parametrize("path", sorted((ROOT / "configs/gpu").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_plan_loads_with_the_configs_of_its_trainings(tool: ModuleType, path: Path):
    plan = config.load(tool.GpuConfig, path)
    first, second = (
        config.load(CodecTrainConfig, ROOT / f"configs/train/{one.stage}.yaml", one.settings) for one in plan.trainings
    )
    assert first.run.model == second.run.model == "tiny-v2" and second.freeze_encoder and not first.freeze_encoder
    assert first.engine.device == second.engine.device == "cuda"
    assert second.adversarial_weight > 0 and len(second.discriminators.windows) == 3
    assert {Path(one.out).name for one in plan.trainings} == {"codec", "codec-adversarial"}
    assert (plan.trainings[1].settings[1]) == f"run.start={plan.trainings[0].out}/codec.safetensors"
