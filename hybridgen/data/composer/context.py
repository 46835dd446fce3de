"""What a player is given: the song as a whole (`SongContext`), and one section with its chords (`Passage`)."""

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hybridgen.data.composer.rhythm import STEP, Grid

SLOW_PULSE = 92.0
PHRASE = 4  # bars


class Event(NamedTuple):
    """A note on the grid, before swing and humanization."""

    pitch: int
    start: float  # quarter notes from the start of the track
    length: float  # quarter notes
    velocity: int


@dataclass(frozen=True)
class Bass:
    """How a genre's bass goes with the kick and into chords."""

    kick: Literal["with", "between", "free"] = "with"  # onsets move to the kick's, or into the gaps between them
    approach: float = 0.3  # share of changes of the root that a step leads into
    rest: float = 0.4  # share of the ends of other phrases at which it takes a breath


@dataclass(frozen=True)
class Passage:
    """One section: `bars[i]` holds one or two chord names, the first bar is bar `first_bar` (from 0) of the track."""

    label: str
    energy: int
    first_bar: int
    bars: tuple[tuple[str, ...], ...]
    closing: bool  # its last bar ends the track
    lifts: bool  # the next section has more energy
    turn: int = 0  # how many sections of this label came before
    first_energy: int = 0  # of the first of them: its figures come back, whatever the energy is by now
    at_least: int = 0  # energy by which roles and layers of drums enter, if it has less

    def chord_at(self, bar: int, step: int, grid: Grid) -> str:
        """The chord at a step of a bar; both are counted from the start of the section."""
        chords = self.bars[bar]
        return chords[-1] if 2 * step >= grid.steps else chords[0]

    def breaks(self, bar: int, grid: Grid) -> tuple[int, ...]:
        """Steps inside a bar at which the chord changes."""
        return (grid.steps // 2,) if len(self.bars[bar]) == 2 else ()

    def spans(self, bar: int, grid: Grid) -> tuple[tuple[int, int, str], ...]:
        """(first step, steps, chord) of each chord of a bar."""
        length = grid.steps // len(self.bars[bar])
        return tuple((i * length, length, chord) for i, chord in enumerate(self.bars[bar]))

    def phrase_end(self, bar: int) -> tuple[object, ...] | None:
        """What names the end of a phrase, None inside one: each end of a section is new, the others come back."""
        if len(self.bars) < PHRASE:
            return None
        if bar == self.n_played - 1:
            return self.label, "end", self.turn
        return (self.label, "phrase", bar // PHRASE % 2) if bar % PHRASE == PHRASE - 1 else None

    @property
    def entering(self) -> int:
        """The energy by which roles and layers of drums enter."""
        return max(self.energy, self.at_least)

    @property
    def n_played(self) -> int:
        """Bars that are played in full: all but the one that ends the track."""
        return len(self.bars) - self.closing


@dataclass(frozen=True)
class SongContext:
    """What all players know of the song. `seed` is the text from which each draws its own random choices."""

    seed: str
    grid: Grid
    key: str
    pulse: float  # beats a minute, as a listener taps them
    bass: Bass
    kick: str = ""  # its figure, "" where there is none

    @property
    def is_slow(self) -> bool:
        """Whether the beat is so slow that busy figures would make listeners tap at twice its rate."""
        return self.pulse < SLOW_PULSE

    def choices(self, *purpose: object) -> random.Random:
        """The random choices for a purpose: the same each time, so that repeats are repeats."""
        return random.Random(":".join((self.seed, *map(str, purpose))))

    def quarter(self, passage: Passage, bar: int, step: float = 0) -> float:
        """Position of a step of a bar of a section, in quarter notes from the start of the track."""
        return (passage.first_bar + bar) * self.grid.quarters + step * STEP

    def weight(self, step: int) -> int:
        """How strong a step is: 3 the downbeat, 2 a beat, 1 an eighth, 0 the rest."""
        if step == 0:
            return 3
        return 2 if step in self.grid.beats else 1 if step % 2 == 0 else 0
