"""A concert grand, recorded: every third key in some layers of force, pitched to the keys between."""

import functools
import math
from pathlib import Path

import numpy as np

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound.files import read_at, trimmed
from hybridgen.data.sound.notes import Touch
from hybridgen.data.sound.shaping import filtered, shelf

LAYERS = (4, 7, 10, 13, 16)  # of the 16 that were recorded
LOWEST, HIGHEST = 21, 108  # keys recorded, every third
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LONGEST = 10.0  # seconds of a note that are kept
RELEASE = 0.16  # seconds in which a damped string falls by 60 dB; twice that in the bass, none at the top
BRIGHTER = (2500.0, 6.0)  # Hz, dB: the microphones stood where the highs are 20 dB under those of other pianos
UNDAMPED = 89  # keys from here have no dampers
LAYER_STEP = 8  # of velocity from one recorded layer to the next


class Grand:
    """The piano; called with how a key is struck, it gives that note. Layers that are not there are done without."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.layers = tuple(layer for layer in LAYERS if _layer(folder, layer).is_dir())
        if not self.layers:
            raise ValueError(f"sound packs {str(folder)!r}: there is no piano-velocity4, 7, 10, 13 or 16")

    def __call__(self, touch: Touch) -> np.ndarray:
        """The note (2, n)."""
        layer = min(self.layers, key=lambda one: abs(one * LAYER_STEP - 4 - touch.velocity))
        recorded = min(range(LOWEST, HIGHEST + 1, 3), key=lambda key: abs(key - touch.pitch))
        sound = _recording(_file(self.folder, layer, recorded))
        release = 0.0 if touch.pitch >= UNDAMPED else RELEASE * (2 - (touch.pitch - LOWEST) / (HIGHEST - LOWEST))
        n = round((touch.seconds + release) * SAMPLE_RATE) if release else sound.shape[1]
        out = read_at(sound, 2 ** ((touch.pitch - recorded) / 12), n)
        if release:
            late = np.maximum(np.arange(out.shape[1]) / SAMPLE_RATE - touch.seconds, 0) / release
            out *= (np.exp(-6.9 * late) * np.clip(10 * (1 - late), 0, 1)).astype(np.float32)
        return out * np.float32(math.sqrt(touch.velocity / (layer * LAYER_STEP - 4)))


def _layer(folder: Path, layer: int) -> Path:
    return folder / f"piano-velocity{layer}" / "audio"


def _file(folder: Path, layer: int, key: int) -> Path:
    return _layer(folder, layer) / f"{NAMES[key % 12]}{key // 12 - 1}v{layer}.ogg"


@functools.lru_cache(maxsize=160)  # all, of 3.5 MB
def _recording(path: Path) -> np.ndarray:
    return filtered(trimmed(path, LONGEST), shelf(*BRIGHTER, high=True))
