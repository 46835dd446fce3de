"""The samples of a track after a change: those before it, and where something was made anew the codec's.

The own sound of a recording, or of layers added to a track, is not what the codec makes of it: there new bars are
brought to the level of what lies beside them, and one sound fades into the other.

Shapes: N samples; T latent frames, C latent channels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybridgen import audio
from hybridgen.codecs import stereo
from hybridgen.history import Change, Style
from hybridgen.plan.plan import Plan
from hybridgen.render import edges, equalizer, mixdown
from hybridgen.stages import Stages
from hybridgen.track import Track

FADE = 2048  # samples from a recording's own sound to new bars
NEAR = 128  # latent frames on each side of them from which their level is taken
FREE_DB = 1.0  # by which they may differ from it
MAX_MATCH_DB = 6.0  # either way
ROUNDS = 4  # in which they come to that level


def samples(stages: Stages, track: Track, plan: Plan, latents: Tensor, change: Change, origin: int) -> np.ndarray:
    """Samples (2, N) of what a change makes of a track: of its new plan and its new latents (T, C) from `origin` on."""
    hop, new = plan.time_base.latent_hop, _Spliced(stages, track, plan, latents, origin)
    later = change.moved * hop + track.plan.pre_roll - plan.pre_roll  # samples by which what is kept lies later
    out = _kept(track.samples, later, plan.length)
    fresh = [plan.frames_of(span, hop) for span in change.fresh]
    if track.manifest.has_own_sound:
        for frames in fresh:
            new.fade_in(out, frames, later)
        if plan.ending != track.plan.ending:
            begin = edges.closing(plan)[0]
            out[:, begin:] *= edges.gain(plan, begin, plan.length)
        return out
    for low, high in (
        *_anew(track.plan, plan, later, new.rings),
        *(span for one in fresh for span in _reached(stages, plan, one, new.rings)),
    ):
        out[:, low:high] = new.made(low, high)
    return out


def _kept(old: np.ndarray, later: int, length: int) -> np.ndarray:
    """A copy of samples (2, n) `later` samples later, cut or filled with silence to `length`."""
    out = np.zeros((2, length), dtype=np.float32)
    start = max(0, later)
    stop = max(start, min(length, old.shape[1] + later))
    out[:, start:stop] = old[:, start - later : stop - later]
    return out


def _anew(old: Plan, new: Plan, later: int, rings: int) -> Iterator[tuple[int, int]]:
    """(low, high): the samples at an end that is not what it was; rings: as in `_reached`."""
    if (old.ending, old.length + later) != (new.ending, new.length):
        begin = min(edges.closing(old)[0] + later, edges.closing(new)[0])
        yield max(0, begin - audio.LIMITER_REACH), new.length
    if new.is_loop and not old.is_loop:
        yield 0, min(new.length, audio.LIMITER_REACH + rings)


def _reached(stages: Stages, plan: Plan, frames: tuple[int, int], rings: int) -> Iterator[tuple[int, int]]:
    """(low, high): the samples that frames start..stop-1 reach, through decoder and limiter; of a loop at both ends.

    rings: samples for which a filter rings on after them.
    """
    hop = stages.codec.hop_length
    reach = stages.codec.reach * hop + audio.LIMITER_REACH
    low, high = frames[0] * hop - plan.pre_roll - reach, frames[1] * hop - plan.pre_roll + reach + rings
    yield max(0, low), max(0, min(plan.length, high))
    if plan.is_loop and low < audio.LIMITER_REACH:  # the pre-roll sounds in the seam
        yield max(0, edges.closing(plan)[0] - audio.LIMITER_REACH), plan.length
    if plan.is_loop and high > plan.length:
        yield 0, min(plan.length, audio.LIMITER_REACH + rings)


@dataclass(frozen=True)
class _Spliced:
    """A track that changes, and what it becomes."""

    stages: Stages
    track: Track
    plan: Plan
    latents: Tensor
    origin: int

    @property
    def styles(self) -> tuple[Style, ...]:
        """What the track's sound was given; its own sound has it already, and what is new beside it gets it too."""
        return self.track.manifest.styles

    @property
    def rings(self) -> int:
        """Samples for which the filter of these styles rings on."""
        return equalizer.TAPS if self.styles else 0

    def made(self, low: int, high: int, gain_db: float = 0.0, narrow: float = 1.0) -> np.ndarray:
        """Samples low..high-1 of the new latents, mastered at the track's gain; gain_db and narrow: see `_match`."""
        margin = audio.LIMITER_REACH
        start, stop = low - margin - self.rings, high + margin
        if not self.plan.is_loop:
            start, stop = max(0, start), min(self.plan.length, stop)
        fresh = mixdown.decoded(self.stages, self.plan, self.latents, (start, stop), self.origin)
        fresh = fresh if narrow == 1.0 else stereo.narrowed(fresh, narrow)
        fresh = equalizer.toned(fresh, self.styles)
        audio.master(fresh, self.track.manifest.gain_db + gain_db)
        return audio.to_24_bits(fresh[:, low - start : high - start])

    def fade_in(self, out: np.ndarray, frames: tuple[int, int], later: int) -> None:
        """Fades a recording's own samples to what is made of frames start..stop-1, as loud as their neighbours.

        Its own samples lie `later` samples later; where there are none beside the frames, nothing fades.
        """
        hop, reach = self.stages.codec.hop_length, self.stages.codec.reach * self.stages.codec.hop_length
        start, stop = (frame * hop - self.plan.pre_roll for frame in frames)
        low = max(0, start - reach - audio.LIMITER_REACH)
        high = min(self.plan.length, stop + reach + audio.LIMITER_REACH)
        moved = (later + self.plan.pre_roll - self.track.plan.pre_roll) // hop
        gain_db, narrow, level_db = self._match((frames[0] - moved, frames[1] - moved))
        inside, added_db = slice(max(0, start) - low, stop - low), 0.0
        for _ in range(ROUNDS):  # each masters the bars: the limiter takes off what cannot be known before
            fresh = self.made(low, high, gain_db + added_db, narrow)
            apart_db = 0.0 if level_db is None or not fresh[:, inside].any() else level_db - _power_db(fresh[:, inside])
            if abs(apart_db) <= FREE_DB:
                break
            added_db = _clipped(added_db + apart_db - math.copysign(FREE_DB, apart_db), MAX_MATCH_DB)
        rise, fall = np.arange(high - low) / FADE, np.arange(high - low)[::-1] / FADE
        ramp = np.ones(high - low)
        if low > max(0, later):
            ramp = np.minimum(ramp, rise)
        if high < min(self.plan.length, later + self.track.plan.length):
            ramp = np.minimum(ramp, fall)
        out[:, low:high] += ramp.astype(np.float32) * (fresh - out[:, low:high])

    def _match(self, frames: tuple[int, int]) -> tuple[float, float, float | None]:
        """Gain in dB, a factor for the side, and the level in dB that make new frames like those beside them.

        frames: start and stop of the new ones, counted as those of the old track.

        The codec takes a decibel or two off most recordings, and makes mono ones a little wide; and new bars are as
        loud as their neighbours, unless the plan changes who plays or how loud, or nothing sounds beside them: then the
        level is None.
        """
        hop, old, record = self.stages.codec.hop_length, self.track.plan, self.track.manifest
        latents = torch.from_numpy(self.track.latents.copy()).to(self.stages.device)
        beside = (frames[0] - NEAR, frames[0]), (frames[1], frames[1] + NEAR)
        samples = [[min(max(0, one * hop - old.pre_roll), old.length) for one in pair] for pair in beside]
        spans = [(start, stop) for start, stop in samples if start < stop]
        if not spans:
            return 0.0, 1.0, None
        own = np.concatenate([self.track.samples[:, start:stop] for start, stop in spans], axis=1)
        parts = [mixdown.decoded(self.stages, old, latents, span, record.origin) for span in spans]
        parts = [equalizer.toned(part, self.styles) for part in parts]
        made = np.concatenate(parts, axis=1)
        if not own.any() or not made.any():
            return 0.0, 1.0, None
        own_width, made_width = stereo.width(own), stereo.width(made)
        narrow = own_width / made_width if stereo.is_narrow(own_width) and made_width else 1.0
        lost_db = _power_db(own) - record.gain_db - _power_db(stereo.narrowed(made, narrow))
        loudness = [[(one.energy, one.roles, one.label) for one in each.sections] for each in (self.plan, old)]
        is_as_loud = loudness[0] == loudness[1]
        return _clipped(lost_db, MAX_MATCH_DB), narrow, _power_db(own) if is_as_loud else None


def _clipped(decibels: float, limit: float) -> float:
    return max(-limit, min(limit, decibels))


def _power_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.square(samples).mean(dtype=float) + 1e-12)
