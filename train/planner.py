"""Trains the planner: python train/planner.py configs/train/planner.yaml run.out=... [prepared=...]

The composer never runs out of songs: scores, and notes for a model that writes them. With prepared songs
(train/prepare.py, with codes) a share of the steps trains on whole rendered songs, score and codes. The same command
resumes a stopped run, and a run on composed songs alone continues with codes once `prepared` is given. The weights of
the best validation are `run.out`/planner.safetensors. Many GPUs: docs/training.md.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hybridgen import config, grammar
from hybridgen.plan.controls import Controls
from hybridgen.plan.time_base import TimeBase
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.planning.score import decode_scores
from hybridgen.sampling import SamplingParams
from hybridgen.text.encoder import TextConfig, TextEncoder
from hybridgen.training import dataset, flops, objectives, planner_data
from hybridgen.training.configs import PlannerTrainConfig
from hybridgen.training.engine import Engine
from hybridgen.training.log import Log
from hybridgen.training.objectives import planner_losses
from hybridgen.training.planner_data import CodeCorruption, MixedBatches, PlannerBatch, ScoreBatches, SongBatches
from hybridgen.training.run import Run, new_model, run_script

VALID_BATCHES = 4
SHOWN_PROMPT, SHOWN_SECONDS = "calm piano ballad in A minor, 80 BPM", 40.0  # of the plan that validation logs


@dataclass(frozen=True)
class HeldOut:
    """Validation data: composed scores, and rendered songs where there are some."""

    scores: list[PlannerBatch]
    songs: list[PlannerBatch]
    prompt: tuple[Tensor, Tensor]  # text states (1, S, E) and mask (1, S) of SHOWN_PROMPT


def validate(held: HeldOut, train: PlannerTrainConfig, log: Log, step: int, model: Planner) -> dict[str, float]:
    """Nats per score token and, where there are some, per sub-token of the notes and per code; the weighted sum of
    the means is `valid/loss`. Also the share of copied bars whose source is found, and a plan.
    """
    device = model.start.device
    parts = [planner_losses(model, batch.to(device), 0.0) for batch in held.scores]
    values = {f"valid/{name}": sum(part[name].item() for part in parts) / len(parts) for name in parts[0]}
    values["valid/loss"] = values["valid/score"] + train.notes_weight * values.get("valid/notes", 0.0)
    if model.notes is not None:
        found, total = sum(objectives.copies_found(model, batch.to(device)) for batch in held.scores).tolist()
        values["valid/copies"] = found / max(total, 1)
    if held.songs:
        means = [planner_losses(model, batch.to(device), 0.0)["codes"].item() for batch in held.songs]
        values["valid/codes"] = sum(means) / len(means)
        values["valid/loss"] = values["valid/codes"] + train.score_weight * values["valid/loss"]
    text, text_mask = (part.to(device) for part in held.prompt)
    [tokens] = decode_scores(model, text, text_mask, [Controls(seconds=SHOWN_SECONDS)], [0], SamplingParams())
    log.text(step, "plan", grammar.parse(tokens, prompt=SHOWN_PROMPT).text())
    return values


def amounts(
    shapes: PlannerConfig, batches: list[PlannerBatch], counts: dict[str, Tensor], time_base: TimeBase, world_size: int
) -> dict[str, float]:
    """Work of a step; operations as if the batches of all ranks had the shapes of this one's."""
    operations = 0.0
    for batch in batches:
        n_frames = batch.codes.shape[2]
        n_steps = 0 if batch.steps is None else batch.steps.tokens.shape[1]
        row = flops.planner(shapes, batch.text.shape[1], batch.tokens.shape[1], n_frames, n_steps)
        operations += row.total * len(batch.tokens)
    values = {"songs": sum(len(batch.tokens) for batch in batches) * world_size, "flops": operations * world_size}
    values["tokens"] = sum(count.item() for count in counts.values())
    n_samples = counts["codes"].item() / shapes.n_codebooks * time_base.code_hop
    values["audio_hours"] = n_samples / time_base.sample_rate / 3600
    return values


def main(path: str, *overrides: str) -> None:
    """Trains to the last step, or until a signal."""
    train = config.load(PlannerTrainConfig, path, overrides)
    shapes = config.shapes(PlannerConfig, train.run.model, "planner")
    text, time_base = config.shapes(TextConfig, train.run.model, "text"), TimeBase()
    model = new_model(Planner, shapes, train)
    engine = Engine(model, train.optim, train.engine, layers=model.blocks)

    encoder = TextEncoder(text)
    [empty_text] = planner_data.encode(encoder, [""])
    held_scores = ScoreBatches(train.scores, text, shapes.notes, planner_data.FIRST_VALID)
    batch_fns = [ScoreBatches(train.scores, text, shapes.notes, rank=r, world_size=n) for r, n in engine.micro_ranks()]
    held_songs = []
    if train.prepared is not None:
        songs, rest = dataset.load(train.prepared)
        time_base = songs.time_base
        size, n = train.rendered_frames, train.rendered_multiple
        corruption = CodeCorruption(train.corrupted_codes, shapes.codebook_size)
        shared = partial(SongBatches, songs, size, n, train.run.seed, empty_text, corruption)
        rendered = [shared(*place) for place in engine.micro_ranks()]
        batch_fns = [MixedBatches(*pair, train.rendered_share) for pair in zip(batch_fns, rendered, strict=True)]
        held_songs = [SongBatches(rest, size, 1, 0, empty_text)(step) for step in range(1, VALID_BATCHES + 1)]
    held = HeldOut([held_scores(i + 1) for i in range(VALID_BATCHES)], held_songs, encoder.encode([SHOWN_PROMPT]))

    latest = dict[str, Tensor]()  # of each loss, since a step has some of them only
    with Run("planner", train, train.steps, shapes, __file__, {"planner": engine}) as run:
        for step, batches in run.steps(batch_fns):
            is_rendered = batches[0].codes is not None
            batches = [objectives.completed(batch, shapes) for batch in batches]
            weights = {"score": train.score_weight, "codes": 1.0} if is_rendered else {"score": 1.0, "codes": 0.0}
            if shapes.notes:
                weights["notes"] = 0.0 if is_rendered else train.notes_weight
            parts = [objectives.planner_counts(batch) for batch in batches]
            counts = {name: engine.all_reduce(sum(part[name] for part in parts)) for name in weights}  # of all ranks
            shares = dict.fromkeys(("loss", *weights), torch.zeros((), device=engine.device))
            rate, phase = train.optim.rate(step, train.steps), int(train.prepared is not None)
            for batch in batches:
                sums = objectives.planner_sums(engine, batch.to(engine.device), train.label_smoothing)
                means = {name: total / counts[name].clamp(min=1) for name, total in sums.items()}
                loss = sum(weight * means[name] for name, weight in weights.items())  # this part's share of the loss
                engine.backward(loss)
                shares = {name: total + (means | {"loss": loss})[name].detach() for name, total in shares.items()}
            norm = engine.step(rate, run.accept_step(step, shares["loss"], phase))  # clip, then step

            latest |= {name: share for name, share in shares.items() if weights.get(name, 1.0)}
            work = amounts(shapes, batches, counts, time_base, engine.world_size)
            run.log_step(step, latest, {"norm": norm, "rate": rate}, work)
            if run.should_validate(step):
                run.validate(step, partial(validate, held, train, run.log, step))


if __name__ == "__main__":
    run_script(main, __doc__)
