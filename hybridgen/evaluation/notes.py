"""How the notes that are heard agree with those of a plan: role by role alone, and in the mix.

Samples are float arrays (2, N) at 44.1 kHz.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hybridgen.audio import Audio
from hybridgen.data.composer import compose
from hybridgen.data.synth import Synth, mix
from hybridgen.evaluation.prompts import SEED, EvalPrompt
from hybridgen.metrics import transcription
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.render import edges, mixdown
from hybridgen.render.windows import WindowRenderer

ALONE = ("drums", "bass", "keys", "lead")  # roles that are also listened to one by one


def measure(mixes: Mapping[str, np.ndarray], alone: Mapping[str, Mapping[str, np.ndarray]], plan: Plan) -> dict:
    """What is heard in sounds of a plan: `mix`: row -> role -> share of the role's notes; `alone`: row -> role ->
    F-measure; `contour`: row -> share of the lead's steps up and down that are heard, alone."""
    roles = [part.role for part in plan.notes if any(part.bars)]
    found: dict[str, Any] = {"mix": {}, "alone": {}, "contour": {}}
    for row, samples in mixes.items():
        onsets = transcription.listen(samples)
        found["mix"][row] = {role: transcription.agreement(onsets, plan, (role,)).recall for role in roles}
    for row, sounds in alone.items():
        heard = {role: transcription.listen(samples) for role, samples in sounds.items()}
        found["alone"][row] = {role: transcription.agreement(heard[role], plan, (role,)).f_measure for role in heard}
        if "lead" in heard:
            found["contour"][row] = transcription.contour(heard["lead"], plan, "lead")
    return found


def played(prompt: EvalPrompt) -> dict[str, np.ndarray]:
    """Role -> samples of the composer's song, each role of `ALONE` by itself, as loud as in the mix."""
    song, synth = compose(SEED, prompt.seed, (float(prompt.seconds), float(prompt.seconds))), Synth()
    _, gain_db = mix(synth.play(song))
    roles = [channel.role for channel in song.channels if channel.role in ALONE]
    return {role: mix(synth.play(song, (role,)), gain_db)[0].samples for role in roles}


def coded(pipe: Pipeline, sounds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same sounds after the codec of a model, which no render can be better than."""
    return {
        role: pipe.decode(pipe.encode(Audio(samples, pipe.time_base.sample_rate)), samples.shape[1])
        for role, samples in sounds.items()
    }


def rendered(pipe: Pipeline, plan: Plan, seed: int, gain_db: float) -> dict[str, np.ndarray]:
    """Role -> samples of a whole plan, each role of `ALONE` rendered by itself, with the gain of the mix."""
    roles = [part.role for part in plan.notes if part.role in ALONE and any(part.bars)]
    return {role: sound(pipe, without_codes(pipe, plan), seed, gain_db, (role,)) for role in roles}


def sound(
    pipe: Pipeline, plan: Plan, seed: int, gain_db: float | None = None, heard: tuple[str, ...] = ()
) -> np.ndarray:
    """What the renderer makes of a whole plan, with its codes as they are; mastered, by a gain in dB if it is given.

    Opened and ended as a render is, so that the codec's first sample is no click.
    """
    plan = edges.with_ending(plan)
    latents, known = mixdown.new_latents(pipe, plan), np.zeros(plan.n_frames, dtype=bool)
    prompt = pipe.encode_prompt(plan.prompt)
    windows = WindowRenderer(pipe.renderer, plan, prompt, seed, pipe.config.sampling, heard=heard)
    for _ in windows.fill(latents, known, (0, plan.n_frames)):
        pass
    samples = edges.shaped(plan, 0, pipe.decode(latents.cpu().numpy(), plan.length))
    return Audio(samples, plan.time_base.sample_rate).master(gain_db).samples


def without_codes(pipe: Pipeline, plan: Plan) -> Plan:
    """The plan with every code unset."""
    return replace(plan, codes=((-1,) * plan.n_code_frames,) * pipe.config.quantizer.n_codebooks)
