"""Trains the planner: python train/planner.py configs/train/planner.yaml out=... [corpus=... prepared=...]

Scores come without end from the composer. With a prepared corpus (train/prepare.py, with codes) a share of the steps
learns whole rendered songs, score and codes. A stopped run continues with the same command, and a run on scores alone
continues with codes once `corpus` and `prepared` are given; each checkpoint also writes the averaged weights as
`planner.safetensors` into `out`.
"""

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybridgen import config
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.training import checkpoints, dataset, planner_data
from hybridgen.training.dataset import Track
from hybridgen.training.log import Log
from hybridgen.training.objectives import planner_losses
from hybridgen.training.planner_data import Batch, ScoreConfig
from hybridgen.training.state import OptimConfig, TrainState
from hybridgen.weights import load_weights, save_weights


@dataclass(frozen=True)
class TrainConfig:
    """One run."""

    model: str  # preset or YAML file whose `planner` and `text` sections have the shapes
    corpus: str | None  # folder of rendered songs; None: scores alone
    prepared: str | None  # folder that train/prepare.py wrote, with codes
    out: str  # folder of the run
    start: str | None  # weights to begin with
    threads: int  # CPU threads of the training; the composer beside it takes one more, some of the time
    bfloat16: bool  # matrix products in bfloat16: faster where the hardware has it, 12 times slower elsewhere
    seed: int
    steps: int
    scores: ScoreConfig
    rendered_frames: int  # code frames in a step that learns songs with codes, about: so many songs as they make
    rendered_share: float  # of steps that learn songs with codes, where there are some
    score_weight: float  # of the score's loss in those steps; that of the codes counts 1
    label_smoothing: float  # of codes; a score's next token is too often certain
    optim: OptimConfig
    log_every: int  # steps
    valid_every: int
    save_every: int

    def __post_init__(self) -> None:
        if (self.corpus is None) != (self.prepared is None):
            raise ValueError(f"corpus {self.corpus} and prepared {self.prepared} go together: give both or neither")


@torch.no_grad()
def validate(
    model: Planner, held_scores: list[Batch], held_out: list[Track], empty_text: Tensor, n_frames: int
) -> dict[str, float]:
    """Nats a score token on songs that no step sees; nats a code on rendered songs that are held out."""
    means = [planner_losses(model, batch, 0.0)["score"].item() for batch in held_scores]
    values = {"valid/score": sum(means) / len(means)}
    if held_out:
        batches = [planner_data.rendered(held_out, n_frames, empty_text, 0, step) for step in range(3)]
        means = [planner_losses(model, batch, 0.0)["codes"].item() for batch in batches]
        values["valid/codes"] = sum(means) / len(means)
    return values


def main(path: str, *overrides: str) -> None:
    """Trains until the last step or until a signal comes."""
    train = config.load(TrainConfig, path, overrides)
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)
    preset = Path(train.model) if train.model.endswith(".yaml") else config.preset(f"models/{train.model}")
    shapes = config.read(preset)
    text = config.build(TextConfig, shapes["text"])
    model = Planner(config.build(PlannerConfig, shapes["planner"]))
    if train.start is not None:
        load_weights(model, train.start)
    state = TrainState(model, train.optim)
    out = Path(train.out)
    first = state.resume(out)
    encoder = TextEncoder(text)
    empty_text = torch.from_numpy(planner_data.encode(encoder, [""])[0])
    pool = planner_data.compose_pool(train.scores, encoder, planner_data.FIRST_VALID, 0)
    held_scores = [planner_data.collate(examples) for examples in pool]
    tracks, held_out = dataset.load(train.corpus, train.prepared) if train.prepared else ([], [])

    scores = planner_data.scores(train.scores, text, first + 1)
    with Log(out) as log, checkpoints.stop_on_signal() as stop, closing(scores):
        bar = tqdm(range(first + 1, train.steps + 1), "planner", initial=first, total=train.steps, mininterval=5)
        for step in bar:
            rng, _ = checkpoints.generators(train.seed, step)
            state.set_rate(step, train.steps)
            if tracks and rng.random() < train.rendered_share:
                batch = planner_data.rendered(tracks, train.rendered_frames, empty_text, train.seed, step)
            else:
                batch = next(scores)
            with torch.autocast("cpu", torch.bfloat16, enabled=train.bfloat16):
                parts = planner_losses(model, batch, train.label_smoothing)
            loss = parts["codes"] + train.score_weight * parts["score"] if "codes" in parts else parts["score"]
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), train.optim.clip)
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.ema.update(model)

            if step % train.log_every == 0:
                values = {name: value.item() for name, value in parts.items()}
                bar.set_postfix(values, refresh=False)
                log.write(step, values | {"norm": norm.item()})
            is_end = step == train.steps or stop.asked
            if step % train.valid_every == 0 or is_end:
                with state.ema.applied(model):
                    log.write(step, validate(model, held_scores, held_out, empty_text, train.rendered_frames))
            if step % train.save_every == 0 or is_end:
                state.save(out, step)
                with state.ema.applied(model):
                    save_weights(model, out / "planner.safetensors")
            if stop.asked:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
