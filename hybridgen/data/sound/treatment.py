"""What the studio does to a song: drawn from the taste of its genre, and the words that are then true of it.

All of it is data: the same song gives the same treatment, `effects` and `session` carry it out.
"""

import random
from dataclasses import asdict, dataclass
from typing import Any

from hybridgen.data.song import Channel, Song

Range = tuple[float, float]


@dataclass(frozen=True)
class Taste:
    """What is usual in some genres; ranges are drawn from evenly, chances are of a song having the thing at all."""

    room: Range  # seconds in which the room falls by 60 dB
    wet: Range  # 0-1, how much of it is heard
    width: Range  # 0 mono, 1 as it is, over 1 wider
    tilt: Range  # dB by which highs are raised and lows are not
    glue: Range  # dB of compression of the whole
    punch: Range  # dB of compression of each role
    drive: Range  # dB of saturation of each role
    pump: float = 0.0  # chance
    tape: float = 0.1  # chance
    vinyl: float = 0.0  # chance
    echo: float = 0.2  # chance
    sweep: float = 0.0  # chance of filters that open with the energy


CLUB = Taste((0.4, 2.2), (0.05, 0.5), (0.8, 1.35), (-2, 4), (1, 5), (2, 7), (0, 8), pump=0.65, echo=0.5, sweep=0.6)
DUSTY = Taste((0.3, 1.2), (0.02, 0.4), (0.0, 1.1), (-7, 1), (1, 5), (2, 7), (2, 12), 0.35, 0.6, 0.65, 0.25, 0.3)
BAND = Taste((0.25, 1.6), (0.0, 0.4), (0.4, 1.25), (-2, 4), (0, 4), (1, 6), (0, 8), tape=0.25, echo=0.2)
ACOUSTIC = Taste(
    (0.3, 2.4), (0.0, 0.55), (0.3, 1.2), (-2, 5), (0, 1.5), (0, 3), (0, 1), tape=0.1, vinyl=0.06, echo=0.05
)
ORCHESTRA = Taste((1.2, 4.0), (0.15, 0.75), (0.7, 1.35), (-1, 6), (0, 1), (0, 2), (0, 0.5), tape=0.05, echo=0.05)
SPACE = Taste(
    (1.5, 5.0), (0.2, 0.9), (0.7, 1.4), (-4, 5), (0, 2), (0, 2), (0, 2), tape=0.3, vinyl=0.08, echo=0.6, sweep=0.4
)
CHIP = Taste((0.1, 0.6), (0.0, 0.2), (0.0, 1.0), (-2, 2), (0, 2), (0, 3), (0, 6), tape=0.1, echo=0.25)
HEAVY = Taste((0.25, 1.2), (0.0, 0.25), (0.7, 1.3), (-1, 4), (2, 6), (3, 8), (2, 10), tape=0.15, echo=0.1)
DUB = Taste((1.2, 4.0), (0.2, 0.75), (0.7, 1.4), (-6, 2), (1, 4), (1, 5), (0, 6), 0.4, 0.35, 0.15, echo=0.9, sweep=0.7)
HARD = Taste((0.4, 2.0), (0.05, 0.4), (0.8, 1.4), (0, 5), (2, 6), (3, 8), (4, 14), pump=0.8, echo=0.3, sweep=0.5)
SPRING = Taste((0.8, 2.4), (0.15, 0.6), (0.2, 1.1), (-2, 4), (0, 3), (1, 5), (0, 6), tape=0.3, vinyl=0.05, echo=0.4)
TASTES = {
    "lo-fi hip hop": DUSTY,
    "ambient": SPACE,
    "house": CLUB,
    "techno": CLUB,
    "drum and bass": CLUB,
    "synthwave": CLUB,
    "8-bit": CHIP,
    "trap": CLUB,
    "trance": CLUB,
    "cinematic strings": ORCHESTRA,
    "solo piano": ACOUSTIC,
    "jazz trio": ACOUSTIC,
    "bossa nova": ACOUSTIC,
    "folk guitar": ACOUSTIC,
    "blues": BAND,
    "country": BAND,
    "reggae": BAND,
    "chamber": ORCHESTRA,
    "metal": HEAVY,
    "trip hop": DUSTY,
    "dub techno": DUB,
    "hardstyle": HARD,
    "orchestral adventure": ORCHESTRA,
    "string quartet": ACOUSTIC,
    "afrobeat": BAND,
    "ukulele pop": ACOUSTIC,
    "surf rock": SPRING,
}  # all others: a band

LOW_CUTS = {"bass": 28.0, "drums": 28.0, "percussion": 150.0, "keys": 80.0, "pad": 110.0, "lead": 120.0}
OTHER_LOW_CUT = 90.0
DUCKED = {"bass": 1.0, "pad": 1.0, "keys": 0.8, "strings": 0.7, "guitar": 0.5, "lead": 0.35, "winds": 0.3}
SWEPT = ("keys", "pad", "strings", "lead")
SENDS = {"drums": 0.45, "bass": 0.15, "percussion": 0.7}  # of the room, against the others
EXTREME = 0.12  # chance each of mono, of bone dry, and of a whole song driven hard, whatever the genre
BEATS = (0.5, 0.75, 1.0, 1.5)  # of an echo


@dataclass(frozen=True)
class RoleTreatment:
    """What one role goes through, in this order."""

    low_cut: float  # Hz
    bells: tuple[tuple[float, float, float], ...]  # Hz, dB, Q
    drive: float  # dB into saturation; 0 is none
    punch: float  # dB of compression at peaks
    attack: float  # seconds of that
    chorus: float  # 0-1
    width: float  # 0 mono ... 1.5
    pan: float  # -1 left ... 1 right
    gain_db: float
    room: float  # 0-1.5, send
    echo: float  # 0-1, send
    duck: float  # 0-1, how far a kick pushes it down
    swept: bool  # its highs open with the energy of the section


@dataclass(frozen=True)
class Treatment:
    """What the studio does to a song."""

    roles: dict[str, RoleTreatment]
    seed: int  # of the room's and the record's noise
    room: float  # seconds
    damping: float  # 0 bright walls ... 1 soft ones
    pre_delay: float  # seconds
    wet: float  # 0-1
    echo_beats: float  # 0: no echo
    feedback: float  # 0-1, of the echo
    pump: float  # 0-1, depth
    pump_seconds: float
    width: float  # of the whole
    tilt: float  # dB
    glue: float  # dB
    tape: float  # 0-1
    vinyl: float  # 0-1
    drive: float  # dB, of the whole song's roles; 0 is none

    def to_dict(self) -> dict[str, Any]:
        """As values of JSON, rounded."""
        return _rounded(asdict(self))

    def kinds(self) -> tuple[str, ...]:
        """The keys of `plan.sounds.SOUND_WORDS` that are true of the song."""
        facts = {
            "vinyl": self.vinyl > 0,
            "tape": self.tape > 0,
            "driven": self.drive >= 10,
            "pumping": self.pump >= 0.4,
            "mono": self.width == 0,
            "narrow": 0 < self.width < 0.5,
            "wide": self.width >= 1.15,
            "dry": self.wet < 0.06 and not self.echo_beats,
            "roomy": self.wet >= 0.15 and self.room < 1.0,
            "reverberant": self.wet >= 0.4 and self.room >= 1.6,
            "echoing": self.echo_beats > 0 and self.feedback >= 0.3,
            "bright": self.tilt >= 3,
            "muffled": self.tilt <= -4,
            "compressed": self.glue >= 3.5,
            "sweeping": any(role.swept for role in self.roles.values()),
        }
        return tuple(kind for kind, is_true in facts.items() if is_true)


def draw_treatment(song: Song) -> Treatment:
    """The song's treatment: the same for the same song."""
    rng = random.Random(f"treatment {song.seed} {song.index}")
    taste = TASTES.get(song.genre, BAND)
    is_dry, is_mono, is_driven = (rng.random() < EXTREME for _ in range(3))
    wet = rng.uniform(0, 0.04) if is_dry else rng.uniform(*taste.wet)
    has_echo = rng.random() < taste.echo and not is_dry
    drive = rng.uniform(10, 20) if is_driven else 0.0
    pump = rng.uniform(0.35, 0.85) if rng.random() < taste.pump else 0.0
    sweeps = rng.random() < taste.sweep
    tape = rng.uniform(0.3, 1) if rng.random() < taste.tape else 0.0
    vinyl = rng.uniform(0.3, 1) if rng.random() < taste.vinyl else 0.0
    draw_role = _RoleDraw(rng, taste, drive, pump, sweeps, has_echo, tape)
    return Treatment(
        roles={channel.role: draw_role(channel) for channel in song.channels},
        seed=rng.randrange(2**31),
        room=rng.uniform(*taste.room),
        damping=rng.random(),
        pre_delay=rng.uniform(0.0, 0.03),
        wet=wet,
        echo_beats=rng.choice(BEATS) if has_echo else 0.0,
        feedback=rng.uniform(0.2, 0.6),
        pump=pump,
        pump_seconds=rng.uniform(0.15, 0.35),
        width=0.0 if is_mono else max(0.15, rng.uniform(*taste.width)),
        tilt=rng.uniform(*taste.tilt) - 4 * vinyl,
        glue=rng.uniform(*taste.glue),
        tape=tape,
        vinyl=vinyl,
        drive=drive,
    )


@dataclass(frozen=True)
class _RoleDraw:
    """Draws what each role goes through."""

    rng: random.Random
    taste: Taste
    drive: float
    pump: float
    sweeps: bool
    has_echo: bool
    tape: float

    def __call__(self, channel: Channel) -> RoleTreatment:
        rng, role = self.rng, channel.role
        own_drive = max(self.drive, rng.uniform(*self.taste.drive) if rng.random() < 0.5 else 0.0, 3 * self.tape)
        send = min(1.5, (0.9 + channel.reverb) * rng.uniform(0.6, 1.3) * SENDS.get(role, 1.0))
        is_low = role in ("bass", "drums")
        return RoleTreatment(
            low_cut=LOW_CUTS.get(role, OTHER_LOW_CUT) * rng.uniform(0.8, 1.3),
            bells=_draw_bells(rng, role),
            drive=own_drive,
            punch=rng.uniform(*self.taste.punch) * (1.3 if role in ("drums", "bass") else 1.0),
            attack=rng.uniform(0.004, 0.03),
            chorus=max(channel.chorus, rng.uniform(0.3, 0.8) if rng.random() < 0.25 and not is_low else 0.0),
            width=rng.uniform(0.0, 0.3) if role == "bass" else rng.uniform(0.5, 1.5),
            pan=max(-1.0, min(1.0, channel.pan * rng.uniform(0.8, 2.0))),
            gain_db=channel.gain_db + rng.uniform(-1.5, 1.5) + (3.0 if role == "drums" else 0.0),
            room=send,
            echo=rng.uniform(0.2, 0.8) if self.has_echo and not is_low and rng.random() < 0.6 else 0.0,
            duck=self.pump * DUCKED.get(role, 0.0),
            swept=self.sweeps and role in SWEPT and rng.random() < 0.7,
        )


def _draw_bells(rng: random.Random, role: str) -> tuple[tuple[float, float, float], ...]:
    """A cut where roles crowd, and something of the role's own."""
    if role == "drums":
        return (
            (rng.uniform(50, 80), rng.uniform(-1, 4), 1.0),
            (rng.uniform(300, 500), -rng.uniform(0, 5), 0.9),
            (rng.uniform(3000, 6000), rng.uniform(-2, 4), 0.7),
        )
    if role == "bass":
        return ((rng.uniform(50, 90), rng.uniform(-2, 3), 0.9), (rng.uniform(180, 320), -rng.uniform(0, 4), 0.9))
    crowded = (rng.uniform(200, 340), -rng.uniform(0, 6), 0.8)
    return (crowded, (rng.uniform(1200, 5000), rng.uniform(-2, 4), 0.8))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
