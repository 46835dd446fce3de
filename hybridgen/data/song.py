"""A synthetic song: its plan, every note, and its mix.

A song is a score, not a sound: composing it costs milliseconds, and every label (tempo, key, chords, sections, roles,
instruments, notes) is exact because the notes were made from it.
"""

from dataclasses import dataclass

from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase

SAMPLE_RATE = TimeBase().sample_rate  # Hz, of all that the corpus holds


@dataclass(frozen=True)
class Note:
    """One note of one role, with human timing."""

    role: str
    pitch: int  # MIDI, 60 = middle C; the General MIDI percussion map for drums and percussion
    start: float  # seconds from the start of the track
    duration: float  # seconds
    velocity: int  # 1-127


@dataclass(frozen=True)
class Channel:
    """One role in the mix."""

    role: str
    program: int  # General MIDI 0-127; a kit for drums and percussion
    gain_db: float
    pan: float  # -1 left ... 1 right
    reverb: float  # 0-1, send level
    chorus: float  # 0-1, send level


@dataclass(frozen=True)
class Song:
    """Song `index` of corpus `seed`: notes in order of time, one channel for each role of the plan."""

    index: int
    seed: int
    genre: str
    mood: tuple[str, ...]
    plan: Plan
    notes: tuple[Note, ...]
    channels: tuple[Channel, ...]
