"""General MIDI soundfonts as an engine, played by FluidSynth without its reverb and chorus."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybridgen.data.song import Channel, Note
from hybridgen.data.sound.shaping import without_offset
from hybridgen.data.synth import Player


class SoundfontEngine:
    """A soundfont, loaded once; ValueError where it or FluidSynth is missing."""

    def __init__(self, path: Path):
        self.player = Player(path, effects=False)

    def play(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        """Samples (2, length); ValueError for a program that the soundfont lacks."""
        if not notes:
            return np.zeros((2, length), np.float32)
        channel = Channel(notes[0].role, program, gain_db=0.0, pan=0.0, reverb=0.0, chorus=0.0)
        return without_offset(self.player.play((channel,), [0.0], list(notes), length))
