"""Style: everything that makes a genre, as data."""

from dataclasses import dataclass

from hybridgen.data.composer.context import Bass
from hybridgen.data.composer.harmony import Progressions
from hybridgen.data.composer.players import Part
from hybridgen.data.composer.staging import EVERYONE, RING_OUT, Staging


@dataclass(frozen=True)
class Style:
    """A genre. Its first part always plays, so that no section is silent."""

    name: str
    words: tuple[str, ...]  # what people call it
    uses: tuple[str, ...]  # what it might be for: "for a workout"
    tempo: tuple[float, float]  # quarter notes a minute in 4/4
    forms: tuple[str, ...]
    major: Progressions
    minor: Progressions
    parts: tuple[Part, ...]
    moods: tuple[str, ...]
    common_time: float = 0.65  # share of songs in 4/4
    drive: tuple[int, ...] = (0, 0, 1)  # added to the energy of the whole song; one is drawn
    holds: tuple[int, ...] = (1,)  # bars for each bar of a progression; one is drawn
    swing_unit: float = 0.0  # quarter notes: 0.5 swings eighths, 0.25 sixteenths
    swing: tuple[float, float] = (0.5, 0.5)  # share of a swung pair that its first note takes
    human_ms: float = 6.0  # standard deviation of timing, of a role that is neither tight nor loose; 0: a machine's
    feel_ms: float = 0.0  # by which chords and melodies are behind the beat; below 0 they push it
    bass: Bass = Bass()  # noqa: RUF009, it is frozen
    arc: float = 2.0  # steps of velocity between the softest and the loudest bar of a phrase
    accents: tuple[int, int, int, int] = (4, 0, 2, 0)  # velocity that each beat of a bar of four has more
    intros: tuple[Staging, ...] = (EVERYONE,)  # one is drawn
    endings: tuple[Staging, ...] = (RING_OUT,)  # one is drawn
