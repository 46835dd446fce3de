"""Every stage trained for a few steps, by two processes with ZeRO 2, and a track made with the result: make smoke

Composes and plays a corpus of a few seconds, trains on it with the scripts as they are, stops the renderer with SIGTERM
and resumes it, exports, and generates. Any failure ends it with the command that failed. Some minutes on two cores.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from hybridgen import config
from hybridgen.data import corpus

ROOT = Path(__file__).parents[1]
N_RANKS, STEPS = 2, 4
STOPPED_STEPS = 40  # of the renderer, so that there is time to stop it
FIRST_SONG, N_SONGS = 17, 3  # the last is the first song that is held out
SHAPES = {
    "planner": {"dim": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "ffn_dim": 48},
    "renderer": {"dim": 32, "n_layers": 2, "n_heads": 2, "ffn_dim": 48},
    "quantizer": {"dim": 16},
    "codec": {"frame_dim": 16, "latent_block_dim": 16, "band_dims": [16, 8, 8], "tone_dim": 8, "decoder_layers": 1},
    "sampling": {"window": 64, "overlap": 16},
}  # instead of those of the tiny preset


def train(stage: str, folder: Path, *overrides: str) -> list[str]:
    """The command that trains a stage."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(N_RANKS)]
    shared = [f"run.model={folder}/model.yaml", f"run.out={folder}/runs/{stage}", "run.log_every=1", "run.workers=0"]
    deepspeed = f"engine.deepspeed={ROOT}/configs/deepspeed/zero2.json"
    script = [str(ROOT / f"train/{stage}.py"), str(ROOT / f"configs/train/{stage}.yaml")]
    return [*launch, *script, *shared, deepspeed, "engine.bfloat16=false", *overrides]


def run(name: str, command: list[str]) -> None:
    """Runs a command to its end, silently; RuntimeError with what it said if it failed."""
    with timed(name):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout[-4000:]}")


def stop(name: str, command: list[str], log: Path) -> int:
    """Starts a training, sends SIGTERM once it logs, waits for its end; the step of its last entry."""
    with timed(name):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (log.exists() and log.read_text().count("\n") > 1):
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)}\nended with {process.returncode} before it was stopped")
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.wait()
    return logged(log)[-1]


def logged(log: Path) -> list[int]:
    """The steps of a log's training entries."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return [entry["step"] for entry in entries if "loss" in entry]


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Says how long the block took."""
    begin = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)


def smoke(folder: Path) -> None:
    """The whole way."""
    shapes = config.read(config.preset("models/tiny"))
    (folder / "model.yaml").write_text(yaml.safe_dump(shapes | {name: shapes[name] | SHAPES[name] for name in SHAPES}))
    with timed("corpus"):
        corpus.write(folder / "corpus", seed=0, first=FIRST_SONG, count=N_SONGS, seconds=(6.0, 8.0), workers=1)
    prepare = [sys.executable, str(ROOT / "train/prepare.py"), "--corpus", f"{folder}/corpus", "--captions", "1"]
    prepare += ["--out", f"{folder}/prepared", "--model", f"{folder}/model.yaml", "--codec", f"{folder}/runs/codec"]
    prepare += ["--workers", "1"]
    prepared, optim = f"prepared={folder}/prepared", "optim.cool_down=1"

    crops = ("batch_size=2", "crop=16384", f"steps={STEPS}", optim)
    run("codec", train("codec", folder, f"data={folder}/corpus/songs", *crops))
    run("latents", prepare)
    windows = "phases=[{steps: %d, windows: [16], frames: 64}]"
    run("quantizer", train("quantizer", folder, prepared, windows % STEPS, "revive_every=2", optim))
    run("codes", [*prepare, "--quantizer", f"{folder}/runs/quantizer"])
    scores = ("scores.batch_size=8", "scores.seconds=[5, 8]", "scores.long_share=0", "rendered_multiple=2")
    run("planner", train("planner", folder, prepared, *scores, "rendered_share=0.5", f"steps={STEPS}", optim))
    renderer = train("renderer", folder, prepared, windows % STOPPED_STEPS)
    log = folder / "runs/renderer/log.jsonl"
    step = stop("renderer, stopped", renderer, log)
    run(f"renderer, from step {step}", renderer)
    if not step < STOPPED_STEPS or logged(log) != list(range(1, STOPPED_STEPS + 1)):
        raise RuntimeError(f"the renderer was stopped at step {step} and then logged {logged(log)}")

    export = [sys.executable, str(ROOT / "train/export.py"), "--runs", f"{folder}/runs", "--out", f"{folder}/model"]
    run("export", [*export, "--model", f"{folder}/model.yaml"])
    generate = [sys.executable, "-m", "hybridgen", "generate", "rock, 120 bpm", "--seconds", "4", "--seed", "1"]
    run("track", [*generate, "--model", f"{folder}/model", "-o", f"{folder}/track.wav"])


def main() -> None:
    """In a folder that is kept where one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder to work in and to keep (default: a temporary one)")
    args = parser.parse_args()
    with timed("smoke"), tempfile.TemporaryDirectory(prefix="hybridgen-smoke-") as temporary:
        folder = Path(temporary) if args.out is None else args.out.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        smoke(folder)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"tools/smoke.py: {error}")
