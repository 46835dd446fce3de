"""A song in the studio: every role is played and treated once; any of them are then mixed.

The stems add up: `mix` of some roles and `mix` of the others are `mix` of all, to float error. What bends a wave
happens to each role by itself; what is shared (rooms, echoes, tape, width, glue, the record's noise) is linear, and the
glue's gain follows the whole song, whatever is mixed.

Shapes: N = song.plan.length samples; sound is (2, N) float32 at 44.1 kHz.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridgen.data.song import SAMPLE_RATE, Song
from hybridgen.data.sound import casting, effects
from hybridgen.data.sound.casting import Voice
from hybridgen.data.sound.envelopes import control_times
from hybridgen.data.sound.shaping import butter, distort, filtered, peaks
from hybridgen.data.sound.tables import low_pass
from hybridgen.data.sound.treatment import RoleTreatment, Treatment, draw_treatment
from hybridgen.plan.sounds import SOUND_WORDS

KICKS = (35, 36)
NOMINAL = -26.0  # LUFS of a role at 0 dB
RECORD_DB = -30.0  # of a record's noise against the music, at most
RIDE_DB = 0.6  # by which a role is louder for each step of a section's energy over the middle
CLOSED, OPENING = 500.0, 0.75  # Hz of a swept filter at no energy, octaves by which each step opens it
GLIDE = 0.25  # seconds in which rides and sweeps move


@dataclass(frozen=True, eq=False)
class Session:
    """The treated roles of a song, and what they share."""

    voices: tuple[Voice, ...]
    treatment: Treatment
    stems: dict[str, np.ndarray]
    glue: np.ndarray  # (N,) gain
    room: np.ndarray  # (2, n) impulse response
    echo: np.ndarray | None
    noise: np.ndarray | None  # (2, N), of the record

    @property
    def kinds(self) -> tuple[str, ...]:
        """The keys of `plan.sounds.SOUND_WORDS` that are true of the song."""
        engines = [voice.kind for voice in self.voices if voice.kind in SOUND_WORDS and _is_heard(voice)]
        return tuple(dict.fromkeys([*engines, *self.treatment.kinds()]))

    def facts(self) -> dict[str, Any]:
        """Who played what, and what was done to it, as values of JSON."""
        voices = {voice.channel.role: {"source": voice.source, "kind": voice.kind} for voice in self.voices}
        return {"kinds": list(self.kinds), "voices": voices, "treatment": self.treatment.to_dict()}

    def mix(self, roles: Iterable[str] | None = None) -> np.ndarray:
        """These roles (default all) as loud as in the whole, not mastered."""
        wanted = [role for role in self.stems if roles is None or role in set(roles)]
        sound = np.zeros((2, len(self.glue)), np.float32)
        for role in wanted:
            sound += self.stems[role]
        sound += self._shared(wanted)
        sound *= self.glue
        sound = effects.bus(sound, self.treatment.width, self.treatment.tilt, self.treatment.tape)
        if self.noise is not None:
            sound += self.noise * np.float32(len(wanted) / len(self.stems))
        return sound

    def _shared(self, wanted: Sequence[str]) -> np.ndarray:
        """Rooms and echoes of the roles."""
        room = sum(np.float32(self.treatment.roles[role].room) * self.stems[role] for role in wanted)
        sends = [(np.asarray(room) * np.float32(self.treatment.wet), self.room)] if wanted else []
        calls = [role for role in wanted if self.treatment.roles[role].echo]
        if self.echo is not None and calls:
            total = sum(np.float32(self.treatment.roles[role].echo) * self.stems[role] for role in calls)
            sends.append((np.repeat(np.asarray(total).mean(axis=0, keepdims=True), 2, axis=0), self.echo))
        return effects.convolved(sends, len(self.glue)) if sends else np.zeros((2, len(self.glue)), np.float32)


def produce(song: Song, sounds: Sequence[str], packs: Path) -> Session:
    """A song played by these sounds (`sources.SOURCES`, among them a soundfont) and treated: the same each time."""
    return record(song, casting.cast(song, sounds, packs), draw_treatment(song))


def _is_heard(voice: Voice) -> bool:
    """Whether words for a kind of drums are true: percussion is not what they mean."""
    return voice.channel.role != "percussion"


def record(song: Song, voices: Sequence[Voice], treatment: Treatment) -> Session:
    """Plays and treats every role of a song."""
    kicks = [note.start for note in song.notes if note.role == "drums" and note.pitch in KICKS]
    stems = {
        voice.channel.role: treated(song, voice, treatment.roles[voice.channel.role], treatment, kicks)
        for voice in voices
    }
    total = np.asarray(sum(stems.values()))
    glue = effects.held(effects.compression(total, treatment.glue, 0.02), song.plan.length)
    rng = np.random.default_rng(treatment.seed)
    noise = None
    if treatment.vinyl:
        level = float(np.sqrt(np.mean(total**2))) * 10 ** ((RECORD_DB + 12 * (treatment.vinyl - 1)) / 20)
        noise = effects.record_noise(song.plan.length, treatment.vinyl, rng) * np.float32(level)
    echo = None
    if treatment.echo_beats:
        echo = effects.echo_response(treatment.echo_beats * beat_seconds(song), treatment.feedback)
    room = effects.room_response(treatment.room, treatment.damping, treatment.pre_delay, rng)
    return Session(tuple(voices), treatment, stems, glue, room, echo, noise)


def beat_seconds(song: Song) -> float:
    """Of a quarter note, at the start."""
    return 60 / song.plan.tempo[0].bpm if song.plan.tempo else 0.5


def treated(song: Song, voice: Voice, role: RoleTreatment, treatment: Treatment, kicks: Sequence[float]) -> np.ndarray:
    """One role (2, N), played and through its own chain."""
    notes = [note for note in song.notes if note.role == voice.channel.role]
    n = song.plan.length
    sound = voice.engine.play(notes, voice.channel.program, n)
    sound = sound * np.float32(10 ** ((NOMINAL - voice.level) / 20))
    cut = butter(2, role.low_cut, "highpass")
    sound = filtered(sound, cut, *peaks(role.bells))
    if role.drive:
        sound = distort(sound, role.drive, 0.25 if treatment.tape else 0.0)
    if role.punch > 0.5:
        sound = effects.compressed(sound, role.punch, role.attack)
    if role.chorus:
        sound = effects.chorused(sound, role.chorus)
    if role.swept:
        low_pass(sound, sweep(song), 0.25, 2)
    gain = 10 ** ((role.gain_db + rides(song)) / 20)
    if role.duck:
        gain = gain * effects.ducking(kicks, role.duck, treatment.pump_seconds, n)
    return effects.panned(sound, role.pan, role.width) * effects.held(gain, n)


def rides(song: Song) -> np.ndarray:
    """Control curve in dB: louder where the section has more energy."""
    return RIDE_DB * (_energy(song) - 3.5)


def sweep(song: Song) -> np.ndarray:
    """Control curve in Hz of a filter that opens with the energy, all through a section that builds."""
    return CLOSED * np.exp2(OPENING * _energy(song))


def _energy(song: Song) -> np.ndarray:
    """Control curve of 0-7, the sections' energy; it grows through a build to that of the section after it."""
    t = control_times(song.plan.length)
    starts = song.plan.bar_starts() / SAMPLE_RATE
    points: list[tuple[float, float]] = []
    bar = 0
    for section, following in zip(song.plan.sections, (*song.plan.sections[1:], None), strict=True):
        start, end = float(starts[bar]), float(starts[bar + len(section.bars)])
        energy = 3.5 if section.energy is None else float(section.energy)
        leads_to = following.energy if section.label == "build" and following is not None else None
        points += [(start, energy), (end - GLIDE, energy if leads_to is None else float(leads_to))]
        bar += len(section.bars)
    at, values = zip(*points, strict=True) if points else ((0.0,), (3.5,))
    return np.interp(t, at, values)
