"""What 8-bit weights change: the planner's choices, the renderer's velocity, and how a track sounds.

    python tools/int8.py --n 4

On songs of the composer that no training has seen, with their true plans, so that both are asked the same.
"""

import argparse
from dataclasses import replace
from math import inf

import numpy as np
import torch

from hybridgen import flow, grammar, note_grammar, spectra
from hybridgen.data.captions import captions
from hybridgen.data.composer import compose
from hybridgen.evaluation.prompts import SEED
from hybridgen.metrics import spectral
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.planner import pad_scores, pad_steps
from hybridgen.render.windows import WindowRenderer

SECONDS = (12.0, 12.0)
TIMES = (0.0, 0.25, 0.5, 0.75)  # of the solver


def main() -> None:
    """Reads the command line, compares, prints the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--n", type=int, default=4, help="songs of 12 seconds (default %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    full = Pipeline.from_pretrained(args.model)
    small = full.within(inf, int8=True)
    rows = []
    for index in range(args.n):
        song = compose(SEED, index, SECONDS)
        plan = replace(song.plan, prompt=captions(song)[0], seed=index).on(full.time_base)
        rows.append({**of_planner(full, small, plan), **of_sound(full, small, plan)})
        print(index, {name: round(value, 4) for name, value in rows[-1].items()}, flush=True)
    for name in rows[0]:
        print(f"{name:<44}{np.mean([row[name] for row in rows]):10.4f}")


@torch.inference_mode()
def of_planner(full: Pipeline, small: Pipeline, plan: Plan) -> dict[str, float]:
    """How far the logits of a plan's own tokens are apart, and how likely both think what the composer wrote."""
    steps = note_grammar.steps(plan)
    batch = pad_steps([(steps, plan.bar_controls())])
    instruments = torch.from_numpy(plan.instrument_ids())[None]
    scores = pad_scores([grammar.tokens(plan)])
    prompt = full.encode_prompt(plan.prompt)
    found = {}
    logits = [
        pipe.planner(prompt.text, prompt.mask, *scores, instruments=instruments, steps=batch) for pipe in (full, small)
    ]
    written = torch.from_numpy(steps.tokens[steps.tokens >= 0])
    for name, part, target in (("score", 0, scores[0][0]), ("notes", 2, written)):
        ours, theirs = (one[part].reshape(-1, one[part].shape[-1]) for one in logits)
        difference = (ours - theirs).abs()
        found[f"{name}: logits differ, mean"] = float(difference.mean())
        found[f"{name}: logits differ, most"] = float(difference.max())
        found[f"{name}: same likeliest choice"] = float((ours.argmax(-1) == theirs.argmax(-1)).float().mean())
        for kind, one in (("float32", ours), ("int8", theirs)):
            found[f"{name}: nats, {kind}"] = float(torch.nn.functional.cross_entropy(one, target))
    return found


def of_sound(full: Pipeline, small: Pipeline, plan: Plan) -> dict[str, float]:
    """How far two renders of a plan are apart, with the same noise; and two of float32 with different noise."""
    track, other, again = full.render(plan, seed=1), small.render(plan, seed=1), full.render(plan, seed=2)
    found = {
        "velocity differs, share": float(np.mean([velocity_error(full, small, plan, t) for t in TIMES])),
        "latents differ, share": float(np.linalg.norm(track.latents - other.latents) / np.linalg.norm(track.latents)),
    }
    for name, one in (("int8", other), ("another seed", again)):
        pair = one.samples, track.samples
        found[f"log-mel distance in dB, {name}"] = float(
            spectra.log_mel_distance(*(torch.tensor(one)[None] for one in pair), full.time_base.sample_rate)
        )
        found[f"chroma correlation, {name}"] = float(spectral.chroma_correlation(*pair))
    return found


@torch.inference_mode()
def velocity_error(full: Pipeline, small: Pipeline, plan: Plan, t: float) -> float:
    """How far the velocities of a plan's first window are apart at a time of the solver, over their size."""
    size, width = full.config.sampling.window, full.codec.latent_dim
    x = flow.noise(1, 0, size, width)[None]
    velocities = []
    for pipe in (full, small):
        windows = WindowRenderer(pipe.renderer, plan, full.encode_prompt(plan.prompt), 1, full.config.sampling)
        known = np.zeros(plan.n_frames, dtype=bool)
        cond = windows._condition(torch.zeros(plan.n_frames, width), known, (0, min(size, plan.n_frames)), None)
        velocities.append(pipe.renderer(x[:, : cond.known.shape[1]], torch.tensor([t]), cond))
    return float((velocities[0] - velocities[1]).norm() / velocities[0].norm())


if __name__ == "__main__":
    main()
