"""Performance: swing, human timing, seconds, and the mix."""

import random

import numpy as np

from hybridgen.data.composer.context import Event
from hybridgen.data.composer.drums import CLAP, RIM, SNARE
from hybridgen.data.composer.players import Part
from hybridgen.data.composer.rhythm import Grid
from hybridgen.data.composer.style import Style
from hybridgen.data.song import SAMPLE_RATE, Channel, Note
from hybridgen.plan.notes import swung
from hybridgen.plan.plan import Plan

MAX_SHIFT = 0.018  # seconds by which a note may be early or late
MAX_TOUCH = 4  # velocity by which it may be softer or harder
CHORD_SPREAD = 0.15  # share of the timing deviation that is each note's own; the rest moves a chord as one
# how loose a role is against its genre, and how far it follows the feel; snares lie between the kick and the others
LOOSENESS = {"drums": 0.5, "percussion": 0.7, "bass": 0.7, "strings": 1.2, "lead": 1.3, "winds": 1.3}
FEEL = {"drums": 0.0, "percussion": 0.0, "bass": 0.5}
BACKBEAT, BACKBEAT_FEEL = (SNARE, CLAP, RIM), 0.6
STRUM = 0.003  # seconds from string to string of a strummed chord
GAIN_DB = {"drums": -6.5, "percussion": -7.0, "bass": -2.5, "keys": 0.0, "guitar": 0.0}
OTHER_GAIN_DB = -1.5


def perform(
    events: dict[str, list[Event]],
    dynamics: list[tuple[float, float]],
    plan: Plan,
    grid: Grid,
    style: Style,
    seed: int,
) -> tuple[Note, ...]:
    """Notes in order of time: swung as the plan says, never quite on the beat, and not all equally loud.

    dynamics: positions in quarter notes and the change of velocity there, linear in between.
    No note is more than `MAX_SHIFT` off its (swung) position, starts before the track or ends after it.
    """
    time = plan.tempo_map
    assert time is not None  # a composed plan has bars and a tempo
    rng = np.random.default_rng(seed)
    played = [event for group in events.values() for event in group]
    roles = [role for role, group in events.items() for _ in group]
    role_numbers = np.repeat(np.arange(len(events)), [len(group) for group in events.values()])
    starts = np.array([event.start for event in played])
    lengths = np.array([event.length for event in played])
    is_strummed = role_numbers == list(events).index("guitar") if "guitar" in events else np.zeros(len(starts), bool)
    human = 1e-3 * style.human_ms * np.array([LOOSENESS.get(role, 1.0) for role in roles])
    feel = 1e-3 * style.feel_ms * np.array([_feel(event, role) for event, role in zip(played, roles, strict=True)])
    shift = _shifts(rng, role_numbers, starts, human, feel, is_strummed)
    at, change = np.array(dynamics).T
    touch = rng.integers(-MAX_TOUCH, MAX_TOUCH + 1, len(played))
    levels = np.array([event.velocity for event in played]) + np.interp(starts, at, change) + touch
    velocities = np.clip(np.rint(levels), 10, 127).astype(int).tolist()
    begins = time.seconds_at(swung(starts, plan.swing, grid.quarters)) + shift
    ends = time.seconds_at(swung(starts + lengths, plan.swing, grid.quarters)) + shift
    begins = np.clip(begins, 0, None)
    durations = np.maximum(np.minimum(ends, plan.length / SAMPLE_RATE - 0.01) - begins, 0.02)
    order = np.argsort(begins, kind="stable").tolist()
    begins, durations = begins.round(5).tolist(), durations.round(5).tolist()
    return tuple(Note(roles[i], played[i].pitch, begins[i], durations[i], velocities[i]) for i in order)


def _shifts(
    rng: np.random.Generator,
    roles: np.ndarray,
    starts: np.ndarray,
    human: np.ndarray,
    feel: np.ndarray,
    is_strummed: np.ndarray,
) -> np.ndarray:
    """Seconds by which each note is late or early: what a role strikes together moves together, or is strummed."""
    together = roles * 1_000_000 + np.rint(starts * 48)
    _, first, group = np.unique(together, return_index=True, return_inverse=True)
    shared = human * rng.normal(0, 1, len(first))[group]
    string = np.clip(np.arange(len(starts)) - first[group], 0, 4)
    strum = np.where(is_strummed, STRUM * string, 0.0)
    own = human * CHORD_SPREAD * rng.normal(0, 1, len(group))
    return np.clip(feel + shared + strum + own, -MAX_SHIFT, MAX_SHIFT)


def _feel(event: Event, role: str) -> float:
    """The share of the genre's feel that a note has."""
    return BACKBEAT_FEEL if role == "drums" and event.pitch in BACKBEAT else FEEL.get(role, 1.0)


def mix_channel(part: Part, program: int, rng: random.Random) -> Channel:
    """The mix settings of the part, a little different in every song."""
    gain = GAIN_DB.get(part.role, OTHER_GAIN_DB) + part.gain_db + rng.uniform(-1.5, 1.5)
    pan = max(-1.0, min(1.0, part.pan * rng.choice((1, 1, -1)) + rng.uniform(-0.05, 0.05)))
    reverb = max(0.0, min(1.0, part.reverb + rng.uniform(-0.08, 0.12)))
    return Channel(part.role, program, round(gain, 2), round(pan, 2), round(reverb, 2), part.chorus)
