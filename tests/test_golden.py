"""What the shipped weights compute, against values kept in golden.safetensors.

Random weights do not reveal the sign of a rotation, the scale of a feature or the part that carries the tones; trained
weights can. The values are rewritten only on purpose, by `make golden`, after a change that is meant to change them.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from hybridgen import grammar
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.planner import pad_scores
from hybridgen.renderer import Condition, no_notes

PATH = Path(__file__).with_name("golden.safetensors")
LATENT_HOP, CODE_HOP = TimeBase().latent_hop, TimeBase().code_hop
TOLERANCE = 1e-4  # of the largest value; other CPUs and torch versions differ by about 1e-6
PROMPT = "slow jazz ballad for piano and double bass, 7/8, in Eb minor"
PLAN = Plan(
    sections=(
        Section("intro", (Bar(("Ebm",)), Bar(("Abm7", "Bb7"))), energy=2, roles=("keys",)),
        Section("chorus", (Bar(("Cbmaj7",)), Bar(None), Bar(("N",))), energy=6, roles=("drums", "bass", "keys")),
    ),
    tempo=(Tempo(1, 96.0, ramp=True), Tempo(3, 150.0)),
    meter="7/8",
    key="Eb minor",
    instruments=(("drums", 40), ("bass", 32), ("keys", None)),
    n_samples=400_000,  # past the last bar
    prompt=PROMPT,
    seed=11,
)


def fixed_sound() -> np.ndarray:
    """(2, 66150) float32: 1.5 s of a decaying triad, a drum-like burst on the left and a rising tone on the right."""
    t = np.arange(66_150) / 44_100
    triad = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.18, 329.63)) * np.exp(-2 * t)
    noise = np.sin(1e4 * np.sin(1e4 * np.arange(len(t)))) * np.exp(-30 * (t % 0.5))
    sweep = np.sin(2 * np.pi * (300 * t + 600 * t**2))
    return np.stack([0.2 * triad + 0.2 * noise, 0.2 * triad + 0.1 * sweep]).astype(np.float32)


@torch.inference_mode()
def compute(pipe: Pipeline) -> dict[str, np.ndarray]:
    """Every golden value by name; long ones are thinned by strides that share no factor with any frame length."""
    sound = torch.from_numpy(fixed_sound())[None]
    latents = pipe.codec.encode(sound)
    codes = pipe.quantizer.encode(latents)
    text, text_mask = pipe.text.encode([PROMPT])
    frames = PLAN.n_code_frames
    plan_codes = codes[:, :, torch.arange(frames) % codes.shape[2]]
    instruments = torch.from_numpy(PLAN.instrument_ids())[None]
    features = torch.from_numpy(PLAN.frame_controls(CODE_HOP))[None]
    score, code_logits, _ = pipe.planner(
        text, text_mask, *pad_scores([grammar.tokens(PLAN)]), plan_codes, features, instruments
    )
    return {
        "latents": latents[0, ::5].numpy(),
        "samples": pipe.codec.decode(latents)[0, :, ::331].numpy(),
        "codes": codes[0].numpy(),
        "coarse_latents": pipe.quantizer.decode(codes)[0, ::7, ::3].numpy(),
        "score_logits": score[0, ::7, ::5].numpy(),
        "code_logits": code_logits[0, ::17, :, ::43].numpy(),
        "velocity": _velocity(pipe, latents, plan_codes, text, text_mask, instruments)[0, ::7, ::3].numpy(),
        "frame_controls": PLAN.frame_controls(LATENT_HOP)[::13],
        "plan": np.frombuffer(pipe.plan(PROMPT, seconds=20, seed=3)[0].to_json().encode(), np.uint8),
    }


def _velocity(pipe, latents, codes, text, text_mask, instruments) -> torch.Tensor:
    """(1, 32, C) of the renderer at t = 0.4, its first eight frames known."""
    features = torch.from_numpy(PLAN.frame_controls(LATENT_HOP, 16, 48))[None]
    known = (torch.arange(32) < 8)[None]
    timbre = pipe.renderer.timbre(latents)
    parts = (text, text_mask, codes[:, :, 4:12], features, instruments, latents[:, :32], known, timbre)
    cond = Condition(*parts, **no_notes(1, 32))
    return pipe.renderer(latents[:, :32].flip(1), torch.tensor([0.4]), cond)


@cache
def computed() -> dict[str, np.ndarray]:
    return compute(Pipeline.from_pretrained())


GOLDEN = safetensors.numpy.load_file(PATH) if PATH.exists() else {}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_shipped_weights_compute_what_they_did(name: str):
    value, golden = computed()[name], GOLDEN[name]
    assert value.shape == golden.shape
    if golden.dtype.kind == "f":
        np.testing.assert_allclose(value, golden, rtol=0, atol=TOLERANCE * np.abs(golden).max())
    else:
        np.testing.assert_array_equal(value, golden)


def test_every_golden_value_is_there():
    assert set(GOLDEN) == set(computed())


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(
            "usage: python tests/test_golden.py --write      rewrites golden.safetensors with what is computed now"
        )
    torch.set_num_threads(1)
    PATH.write_bytes(safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in computed().items()}))
    print(f"{PATH}: {PATH.stat().st_size} bytes")
