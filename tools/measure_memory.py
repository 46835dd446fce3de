"""Peak memory of `hybridgen generate` under budgets that each leave another choice: measured beside what was counted.

python tools/measure_memory.py                     a model of random weights, 43 M + 107 M
python tools/measure_memory.py FOLDER --seconds 30 any model
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from hybridgen import config
from hybridgen.memory import CHOICES, LENGTHS, Choice, size
from hybridgen.pipeline import Pipeline
from hybridgen.stages import PipelineConfig

SHAPES = (  # over those of tiny: large enough for its weights to count, small enough for two cores
    *("planner.dim=768", "planner.n_layers=6", "planner.n_heads=6", "planner.ffn_dim=2304"),
    *("renderer.dim=1024", "renderer.n_layers=6", "renderer.n_heads=8", "renderer.ffn_dim=2816"),
)
MAIN = """
import sys
from hybridgen.benchmark.measure import resident
from hybridgen.cli import main
code = main(sys.argv[1:])
print(resident()[1])  # of a process itself: what its parent waits for counts what it had before it was another program
sys.exit(code)
"""


@dataclass(frozen=True)
class Measured:
    """What a run was allowed, and what it took."""

    choice: Choice
    budget: float  # bytes: the least with which it is chosen
    counted: float  # for the track that was made, shorter than what the budget is for
    peak: float  # resident, of the whole process
    said: str


def random_model(folder: Path) -> Path:
    """A model of `SHAPES`, with random weights in half precision."""
    torch.manual_seed(0)
    shapes = config.load(PipelineConfig, config.preset("models/tiny"), SHAPES)
    return Pipeline(shapes).save_pretrained(folder)


def measure(model: Path, choice: Choice, seconds: float, steps: int = 1) -> Measured:
    """A track made in a process of its own with just the memory that a choice is counted to need."""
    need = Pipeline.from_pretrained(model).need(choice)
    length = LENGTHS[-1] if choice == CHOICES[-1] else LENGTHS[0]  # nothing is smaller than the last
    budget = round(need.total(length)) + 1
    with tempfile.TemporaryDirectory() as folder:
        words = f"generate pads --seconds {seconds} --seed 1 --steps {steps} --no-latents --memory {budget}B".split()
        command = [sys.executable, "-c", MAIN, *words, "--model", str(model), "-o", f"{folder}/track.wav"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"hybridgen {' '.join(words)}: {done.stderr}")
    return Measured(choice, budget, need.total(seconds), float(done.stdout.split()[-1]), done.stderr.strip())


def main() -> None:
    """Measures every choice of one model, and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, metavar="FOLDER", help="(default: one of random weights)")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="length of the track (default 4)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = args.model or random_model(Path(folder) / "model")
        for choice in CHOICES:
            found = measure(model, choice, args.seconds)
            figures = f"measured {size(found.peak)}, counted {size(found.counted)}, budget {size(found.budget)}"
            print(f"{figures}: {choice}", flush=True)


if __name__ == "__main__":
    main()
