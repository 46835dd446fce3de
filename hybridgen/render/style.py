"""A track with the spectrum and the width of a reference: an equalizer and a gain of the side, as mastering has them.

The level of each third of an octave is brought to that of the reference, the side to its share; what is played, and
the latents, stay. What is made anew of the track later gets the same.

Shapes: N samples.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from hybridgen.audio import Audio
from hybridgen.history import Style, check_strength
from hybridgen.render import change, mixdown
from hybridgen.render.equalizer import WINDOW, levels, toned
from hybridgen.stages import Stages
from hybridgen.track import Track

MAX_DB = 12.0  # by which a band may change, either way
SIDE_DB = (-40.0, 12.0)  # by which the side may change
SILENT_DB = -70.0  # under all bands, or under the mid, what is there is as good as silent and stays as it is


def style(stages: Stages, track: Track, reference: Audio, sha256: str, strength: float) -> Track:
    """The track, `strength` (above 0 to 1) of the way to the spectrum and the width of a reference; as loud as before.

    sha256: of the reference's file, for the manifest. Raises ValueError for a reference that is silent or shorter than
    a fifth of a second.
    """
    strength, plan = check_strength(strength), track.plan
    rate, clip = plan.time_base.sample_rate, reference.resample(plan.time_base.sample_rate).samples
    if clip.shape[1] < WINDOW or not clip.any():
        raise ValueError(
            f"reference of {clip.shape[1] / rate:.2f} s, silent or too short to have a spectrum: 0.2 s at least"
        )
    own, model = toned(_unmastered(stages, track), _own_styles(track), plan.is_loop), stages.model_record
    wanted, wanted_width = levels(clip, rate)
    found = Style(plan, sha256, strength, _gains(levels(own, rate)[0], wanted, strength), 0.0, model)
    width = levels(toned(own, (found,), plan.is_loop), rate)[1]  # the bands change it too
    if width > SILENT_DB:
        found = replace(found, side_db=round(strength * float(np.clip(wanted_width - width, *SIDE_DB)), 2))
    louder = Audio(toned(own, (found,), plan.is_loop), rate).loudness() - Audio(own, rate).loudness()
    if np.isfinite(louder):
        found = replace(found, bands_db=tuple(round(band - louder, 2) for band in found.bands_db))
    return styled(stages, track, found)


def styled(stages: Stages, track: Track, operation: Style) -> Track:
    """The track with the spectrum and the width that an operation gives it."""
    change.check_time_base(stages, track.plan)
    record = track.manifest.followed_by(operation)
    samples = toned(_unmastered(stages, track), (*_own_styles(track), operation), track.plan.is_loop)
    return replace(track, samples=mixdown.master(samples, track.plan, record.gain_db), manifest=record, stems=None)


def restyled(stages: Stages, track: Track, styles: Sequence[Style]) -> Track:
    """A track that was rendered anew, with the styles of the one that it takes the place of."""
    for one in styles:
        track = styled(stages, track, replace(one, plan=track.plan, model=stages.model_record))
    return track


def _unmastered(stages: Stages, track: Track) -> np.ndarray:
    """Samples (2, N) of a track before gain and limiter: of the codec, or its own sound, which has been through all."""
    plan, record = track.plan, track.manifest
    if record.has_own_sound:
        return track.samples * np.float32(10 ** (-record.gain_db / 20))
    change.check_stages(stages, record, "codec", "its latents cannot be decoded here")
    latents = torch.from_numpy(track.latents.copy()).to(stages.device)
    return mixdown.decoded(stages, plan, latents, (0, plan.length), record.origin)


def _own_styles(track: Track) -> tuple[Style, ...]:
    """What `_unmastered` has not been given yet."""
    return () if track.manifest.has_own_sound else track.manifest.styles


def _gains(present: np.ndarray, wanted: np.ndarray, strength: float) -> tuple[float, ...]:
    """Gains in dB that bring the levels of bands `strength` of the way to those wanted, without steps between them."""
    apart = np.where(present > SILENT_DB, np.clip(wanted - present, -MAX_DB, MAX_DB), 0.0)
    smooth = np.convolve(np.pad(apart, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    return tuple((strength * smooth).round(2).tolist())
