"""A track taken apart: what each role plays of it. The parts add up to the track, sample for sample.

Every role is rendered alone, with the noise of the track. Each of these renders resembles its part of the mix, and so
says what share of every place in time and frequency belongs to its role; the shares, which add up to one, are then
taken of the track itself (soft masks, as in https://hal.science/hal-00544230): nothing is heard that is not in the mix.

Shapes: N samples; n of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from hybridgen.audio import Audio
from hybridgen.history import Import, Style
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.progress import Progress, report
from hybridgen.render import change, equalizer, mixdown
from hybridgen.stages import Stages
from hybridgen.track import Track

N_FFT, HOP = 4096, 1024
POWER = 1.2  # of sizes: 2, as for sounds in equal phase with their guides, takes too much from the quieter of two
FLOOR = 1e-6  # of such a power: silence is shared evenly
PIECE = 256 * HOP  # samples at once, so that memory stays flat


def stems(stages: Stages, track: Track, progress: Progress | None = None) -> dict[str, Audio]:
    """What each role of a track plays, in the order of `ROLES`; they add up to its samples to float rounding.

    ValueError for a recording, whose roles nobody knows, for a plan that does not say who plays, and for a track of
    another model.
    """
    plan, record = track.plan, track.manifest
    if isinstance(record.operations[0], Import):
        raise ValueError("the track began as a recording, of which nobody knows who plays what")
    change.check_stages(stages, record, "codec", "its latents cannot be decoded here")
    change.check_stages(stages, record, "renderer", "its roles would sound otherwise here")
    roles = playing(plan)
    if not roles:
        raise ValueError("instruments: the plan does not say who plays, so nothing can be taken apart")
    alone = [_alone(stages, track, role, (i, len(roles)), progress) for i, role in enumerate(roles)]
    parts = shares(track.samples, alone) if len(roles) > 1 else [track.samples.copy()]
    parts[0] += track.samples - np.sum(parts, axis=0)
    return {role: Audio(part, plan.time_base.sample_rate) for role, part in zip(roles, parts, strict=True)}


def playing(plan: Plan) -> list[str]:
    """The roles that play in some section, in the order of `ROLES`."""
    heard = {role for section in plan.sections for role in section.roles or ()}
    return [role for role in ROLES if role in heard]


def _alone(stages: Stages, track: Track, role: str, place: tuple[int, int], progress: Progress | None) -> np.ndarray:
    """Samples (2, N) of a role rendered without the others, at the level that it has in the mix."""
    plan, record = track.plan, track.manifest
    last = next(one for one in reversed(record.operations) if not isinstance(one, Import | Style))
    last = replace(last, sampling=stages.config.sampling)  # the best there is now: stems are not replayed
    prompt = stages.encode_prompt(plan.prompt)

    def all_roles(stage: str, done: int, total: int) -> None:
        report(progress, "taking apart", place[0] * total + done, place[1] * total)

    latents = mixdown.rendered(stages, plan, prompt, last, record.origin, all_roles, (role,))
    samples = mixdown.decoded(stages, plan, latents, (0, plan.length), record.origin)
    return equalizer.toned(samples, record.styles, plan.is_loop) * np.float32(10 ** (record.gain_db / 20))


def shares(mix: np.ndarray, alone: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each sound (2, N) that resembles a part of `mix` (2, N), its share of the mix (2, N); piece by piece."""
    parts = [np.zeros_like(mix) for _ in alone]
    padded = [np.pad(sound, ((0, 0), (N_FFT, N_FFT + PIECE))) for sound in (mix, *alone)]
    for start in range(0, mix.shape[1], PIECE):
        pieces = [sound[:, start : start + PIECE + 2 * N_FFT] for sound in padded]
        stop = min(start + PIECE, mix.shape[1])
        for part, share in zip(parts, _shares(pieces), strict=True):
            part[:, start:stop] = share[:, N_FFT : N_FFT + stop - start]
    return parts


def _shares(pieces: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """`shares` of a piece (2, n) of the mix and of the sounds, without their first and last N_FFT samples."""
    window = torch.hann_window(N_FFT)
    mix, *alone = (torch.stft(torch.tensor(piece), N_FFT, HOP, window=window, return_complex=True) for piece in pieces)
    sizes = torch.stack([one.abs() ** POWER for one in alone]) + FLOOR
    sizes /= sizes.sum(0)
    for share in sizes:
        yield torch.istft(mix * share, N_FFT, HOP, window=window, length=pieces[0].shape[1]).numpy()
