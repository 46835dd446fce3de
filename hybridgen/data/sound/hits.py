"""Drums hit by hit: recorded ones, tuned and levelled into kits, and the engine that plays a kit of either kind.

Sound is (2, n) float32 at 44.1 kHz. A drum is the pitch of the General MIDI percussion map.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridgen.data.song import SAMPLE_RATE, Note
from hybridgen.data.sound.files import read_at, trimmed
from hybridgen.data.sound.notes import Touch, add, touches
from hybridgen.data.sound.shaping import butter, filtered, shelf, without_offset

LEVELS = {  # dB of the loudest tenth of a second (K-weighted) against the kick's, as in the soundfont's kits
    36: 0.0, 37: -4.0, 38: 1.0, 39: -1.0, 42: -9.0, 43: 0.0, 44: -10.0, 45: 0.0, 46: -8.0, 47: 0.0, 48: 0.0, 49: -2.0,
    50: 0.0, 51: -8.0, 54: -6.0, 56: -6.0, 60: -4.0, 61: -4.0, 62: -5.0, 63: -3.0, 64: -2.0, 69: -9.0, 70: -9.0,
    75: -6.0, 81: -7.0,
}  # fmt: skip
KICK_LEVEL = -22.0  # LUFS of the loudest tenth of a second at full force
HATS = (42, 44, 46)  # each of them ends an open one
OPEN_HAT = 46
CHOKE = 0.012  # seconds in which
VARIETY_DB = 1.5  # by which kits differ drum by drum
PLACES = {42: 0.2, 44: 0.2, 46: 0.2, 49: -0.35, 51: 0.35, 50: -0.25, 48: -0.1, 47: 0.05, 45: 0.2, 43: 0.35}  # -1 left
SOFT = 0.55  # force under which a soft recording plays, where there is one


@dataclass(frozen=True)
class Hit:
    """A recording of a drum, by its file's name in the source's folder."""

    file: str
    semitones: float = 0.0
    soft: str | None = None  # the same drum struck softly


Kit = Mapping[int, tuple[Hit, ...]]  # drum -> recordings, of which each song draws one


def _hits(*files: str, semitones: float = 0.0) -> tuple[Hit, ...]:
    return tuple(Hit(file, semitones) for file in files)


def _beats(*numbers: str, semitones: float = 0.0) -> tuple[Hit, ...]:
    return _hits(*(f"beats_{number}.flac" for number in numbers), semitones=semitones)


def _sonic(*names: str, semitones: float = 0.0) -> tuple[Hit, ...]:
    return _hits(*(f"samples/{name}.flac" for name in names), semitones=semitones)


RUMPF: Kit = {
    36: _beats("06-38", "06-46", "07-18", "07-20"), 37: _beats("09-12"), 38: _beats("01-21", "06-25"),
    39: _beats("01-26"), 42: _beats("09-10"), 44: _beats("06-28"), 46: _beats("08-31"), 49: _beats("06-43"),
    51: _beats("06-30", "06-40"), 50: _beats("08-19", semitones=2), 48: _beats("08-19"), 47: _beats("08-18"),
    45: _beats("08-17"), 43: _beats("08-17", semitones=-3), 56: _beats("08-32"),
}  # fmt: skip
AUDIOPHOB: Kit = {
    36: _hits("86335__zgump__tom-0105.wav"), 37: _hits("16336__sstokes__ss-ht-crunchtime.wav"),
    38: _hits("25671__walter-odington__garage-city-snare-snappy.wav", "124382__cubix__8bit-snare.wav"),
    39: _hits("29800__stomachache__3.wav"), 42: _hits("116973__cbeeching__hat-light.wav"),
    44: _hits("156272__dayvonjersen__fxshake5.wav"), 46: _hits("104227__minorr__hhat-paiste-302-14-open-p.wav"),
    49: _hits("124101__connersaw8__crash.wav"),
    51: _hits("104227__minorr__hhat-paiste-302-14-open-p.wav", semitones=-5),
    50: _hits("101450__menegass__tomh.wav", semitones=2), 48: _hits("101450__menegass__tomh.wav"),
    47: _hits("99931__menegass__noise-tom1.wav"), 45: _hits("99930__menegass__noise-tom0.wav"),
    43: _hits("99930__menegass__noise-tom0.wav", semitones=-3), 56: _hits("122557__anillogic__trimo-c3.wav"),
    70: _hits("156272__dayvonjersen__fxshake5.wav"),
}  # fmt: skip
_STRUCK = {
    name: (Hit(f"samples/drum_{name}_hard.flac", soft=f"samples/drum_{name}_soft.flac"),)
    for name in ("bass", "snare", "tom_hi", "tom_mid", "tom_lo", "cymbal")
}
SONIC_ACOUSTIC: Kit = {
    36: (*_STRUCK["bass"], *_sonic("bd_jazz", "drum_heavy_kick")), 37: _sonic("drum_cymbal_pedal", semitones=5),
    38: _STRUCK["snare"], 39: _sonic("perc_snap"), 42: _sonic("drum_cymbal_closed"), 44: _sonic("drum_cymbal_pedal"),
    46: _sonic("drum_cymbal_open"), 49: (*_STRUCK["cymbal"], *_sonic("drum_splash_hard")),
    51: _sonic("ride_tri", "ride_via"), 50: _STRUCK["tom_hi"], 48: _STRUCK["tom_hi"], 47: _STRUCK["tom_mid"],
    45: _STRUCK["tom_lo"], 43: (Hit("samples/drum_tom_lo_hard.flac", -3, "samples/drum_tom_lo_soft.flac"),),
    56: _sonic("drum_cowbell"),
}  # fmt: skip
SONIC_MACHINES: Kit = {
    36: _sonic(
        "bd_808", "bd_boom", "bd_fat", "bd_gas", "bd_haus", "bd_klub", "bd_pure", "bd_sone", "bd_tek", "bd_zome",
        "bd_zum",
    ),
    37: _sonic("elec_tick", "elec_wood"), 38: _sonic("sn_dolf", "sn_dub", "sn_generic", "sn_zome", "elec_snare"),
    39: _sonic("perc_snap", "perc_snap2"), 44: _sonic("hat_star", "hat_bdu"),
    42: _sonic("hat_cab", "hat_gem", "hat_gnu", "hat_hier", "hat_mess", "hat_raw", "hat_yosh", "hat_zan", "hat_zild"),
    46: _sonic("hat_metal", "hat_noiz", "hat_gump"), 49: _sonic("elec_cymbal", "drum_splash_hard"),
    51: _sonic("ride_tri", "ride_via"), 50: _sonic("elec_fuzz_tom", semitones=5),
    48: _sonic("elec_fuzz_tom", semitones=3),
    47: _sonic("elec_fuzz_tom"), 45: _sonic("elec_fuzz_tom", semitones=-3), 43: _sonic("elec_fuzz_tom", semitones=-5),
    54: _sonic("hat_psych"), 56: _sonic("drum_cowbell"), 60: _sonic("tabla_te1"), 61: _sonic("tabla_tun2"),
    62: _sonic("tabla_tas2"), 63: _sonic("tabla_na"), 64: _sonic("tabla_ghe4"), 69: _sonic("hat_tap"),
    70: _sonic("hat_snap"), 75: _sonic("elec_wood"), 81: _sonic("elec_triangle"),
}  # fmt: skip
KITS: dict[str, tuple[Kit, ...]] = {  # source -> its kits
    "rumpf-kit": (RUMPF,),
    "audiophob-kit": (AUDIOPHOB,),
    "sonic-pi": (SONIC_ACOUSTIC, SONIC_MACHINES),
}


class RecordedKit:
    """A kit of recordings, drawn by a seed; called with how a drum is struck, it gives that hit."""

    def __init__(self, folder: Path, kit: Kit, seed: int):
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.drawn = {drum: hits[rng.integers(len(hits))] for drum, hits in sorted(kit.items())}
        self.tuning = float(rng.normal(0, 0.4))  # semitones, of the whole kit
        self.read: dict[tuple[str, int, int], np.ndarray] = {}  # by file, drum and variant

    def __call__(self, touch: Touch) -> np.ndarray:
        """The hit (2, n), at its own level; ValueError for a drum that the kit lacks."""
        if touch.pitch not in self.drawn:
            raise ValueError(f"drum {touch.pitch}: the kit has {sorted(self.drawn)}")
        hit = self.drawn[touch.pitch]
        is_soft = hit.soft is not None and touch.force < SOFT
        file = hit.soft if is_soft and hit.soft else hit.file
        key = (file, touch.pitch, touch.variant)
        if key not in self.read:
            semitones = hit.semitones + self.tuning + touch.rng(0).normal(0, 0.12)
            self.read[key] = read_at(without_offset(_recording(self.folder / file)), 2 ** (semitones / 12))
        return self.read[key] if is_soft else softened(self.read[key], touch.force)


@functools.lru_cache(maxsize=200)
def _recording(path: Path) -> np.ndarray:
    return trimmed(path)


def softened(sound: np.ndarray, force: float) -> np.ndarray:
    """A hit (2, n) as dull as a softer one is: up to 9 dB less over 4 kHz."""
    return filtered(sound, shelf(4000, -9 * max(0.0, 0.85 - force), high=True))


@dataclass(frozen=True)
class Drums:
    """An engine that plays a kit: each drum at its level and place, an open hat until the next hat."""

    sound: Callable[[Touch], np.ndarray]
    seed: int

    def play(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        """Samples (2, length)."""
        out = np.zeros((2, length), np.float32)
        gains: dict[int, np.ndarray] = {}  # of each drum, (2, 1)
        played: dict[Touch, np.ndarray] = {}
        struck = touches(notes)
        hats = sorted(start for start, touch in struck if touch.pitch in HATS)
        for start, touch in struck:
            one_shot = Touch(touch.pitch, touch.velocity, 0.0, touch.variant)
            if touch.pitch not in gains:
                hard = self.sound(Touch(touch.pitch, 124, 0.0, 0))
                gains[touch.pitch] = self._gain(touch.pitch) / loudness(hard)
            if one_shot not in played:
                played[one_shot] = (gains[touch.pitch] * touch.force**1.5 * self.sound(one_shot)).astype(np.float32)
            sound = played[one_shot]
            if touch.pitch == OPEN_HAT:
                sound = choked(sound, next((hat - start for hat in hats if hat > start), sound.shape[1]))
            add(out, sound, start)
        return out

    def _gain(self, drum: int) -> np.ndarray:
        """Gains (2, 1) of a drum, of its level and place in this kit."""
        rng = np.random.default_rng((self.seed, drum))
        level = KICK_LEVEL + LEVELS.get(drum, -4.0) + rng.uniform(-VARIETY_DB, VARIETY_DB)
        angle = (1 + PLACES.get(drum, 0.0)) * math.pi / 4
        return np.array([[math.cos(angle)], [math.sin(angle)]]) * math.sqrt(2) * 10 ** (level / 20)


def loudness(hit: np.ndarray) -> float:
    """Amplitude of the loudest tenth of a second of a hit (2, n), as the ear weighs it; 1 is 0 LUFS."""
    heard = filtered(hit, _EAR)
    tenth = SAMPLE_RATE // 10
    power = np.cumsum(np.pad(np.square(heard, dtype=np.float64).sum(0), (1, tenth)))
    return max(math.sqrt(float((power[tenth:] - power[:-tenth]).max()) / tenth), 1e-6) * 10 ** (-0.691 / 20)


_EAR = np.concatenate([shelf(1500, 4, high=True), butter(2, 38, "highpass")])


def choked(sound: np.ndarray, after: int) -> np.ndarray:
    """The sound (2, n), ended `after` samples from its start."""
    fade = round(CHOKE * SAMPLE_RATE)
    if after >= sound.shape[1]:
        return sound
    sound = sound[:, : after + fade].copy()
    fade = min(fade, sound.shape[1])
    sound[:, sound.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=sound.dtype)
    return sound
