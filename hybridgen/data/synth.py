"""A composed song -> audio: FluidSynth plays it with a General MIDI soundfont, then it is mixed and mastered.

An event loop of our own plays the score faster than real time, without a MIDI file, into float arrays: no dither, no
clipping. Each song gets a new synthesizer that borrows the loaded soundfont, because a reset one keeps the phase of its
chorus; so the same song gives the same samples, whatever was played before.

Shapes: N samples; audio is (2, N) float32 at 44.1 kHz.
"""

import ctypes
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from hybridgen.audio import TARGET_LUFS, Audio
from hybridgen.data.song import SAMPLE_RATE, Channel, Note, Song

BLOCK = 64  # samples that FluidSynth computes at once; events sound at the nearest block, at most 0.73 ms off
DRUM_BANK = 128
VOLUME, PAN, REVERB, CHORUS = 7, 10, 91, 93  # MIDI control changes
WARNING = 2  # FluidSynth's log level
EFFECTS = {"synth.chorus.level": 0.4}  # the default (2.0) is 12 dB above the dry sound of the soundfont's synth leads
NO_EFFECTS = {"synth.reverb.active": 0, "synth.chorus.active": 0}
FADE = 0.02  # seconds, at the very end
HIGHPASS = signal.butter(2, 20, "highpass", fs=SAMPLE_RATE, output="sos")  # many soundfont samples have an offset
MIN_LEVEL = -50.0  # LUFS; programs quieter than this are not brought up to the others
LEVEL_NOTES = {  # notes that measure the loudness of a program, played one after another
    "drums": (36, 38, 42, 45),
    "percussion": (54, 56, 63, 70),
    "bass": (31, 36, 41, 45),
}
MIDDLE_NOTES = (55, 60, 64, 69)  # for all other roles
Play = Callable[[Sequence[Note], int, int], np.ndarray]  # notes of one role, program, length -> samples
SLOW_ROLES = ("strings", "pad")  # measured with longer notes, because they swell


@dataclass(frozen=True)
class Soundfont:
    """A General MIDI soundfont that may be used and redistributed freely, with the notice that its license asks for."""

    path: Path
    package: str  # Debian's
    notice: str


SOUNDFONTS = (  # the better one first
    Soundfont(
        Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
        "fluid-soundfont-gm",
        "Fluid R3 GM, Copyright 2000-2002, 2008 Frank Wen, 2008 Toby Smithe; MIT license",
    ),
    Soundfont(
        Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"),
        "musescore-general-soundfont-small",
        "MuseScore General, Copyright 2000-2013 Frank Wen, Michael Cowgill, S. Christian Collins; MIT license",
    ),
)


def find_soundfont() -> Soundfont:
    """The first of `SOUNDFONTS` that is installed; ValueError, naming the packages, if there is none."""
    for soundfont in SOUNDFONTS:
        if soundfont.path.is_file():
            return soundfont
    packages = " or ".join(soundfont.package for soundfont in SOUNDFONTS)
    raise ValueError(f"no General MIDI soundfont is installed: apt-get install {packages}")


class Synth:
    """A soundfont, loaded once and played many times. Not safe to share between processes or threads."""

    def __init__(self, soundfont: Path | None = None):
        self.player = Player(find_soundfont().path if soundfont is None else Path(soundfont))
        self.levels: dict[tuple[str, int], float] = {}

    def play(self, song: Song, roles: Iterable[str] | None = None) -> np.ndarray:
        """Samples (2, song.plan.length) of these roles (default all) at their level in the mix, not mastered.

        Programs are first made equally loud; then only differences between the channels' gains count, and the loudest
        channel plays at full volume. Raises ValueError for a program that the soundfont lacks.
        """
        gains = [channel.gain_db - self.level(channel.role, channel.program) for channel in song.channels]
        quieter = [gain - max(gains, default=0.0) for gain in gains]
        wanted = {channel.role for channel in song.channels} if roles is None else set(roles)
        notes = [note for note in song.notes if note.role in wanted]
        samples = self.player.play(song.channels, quieter, notes, song.plan.length)
        return signal.sosfilt(HIGHPASS, samples).astype(np.float32)

    def stems(self, song: Song) -> dict[str, np.ndarray]:
        """Role -> samples (2, song.plan.length), rendered one by one; their sum is `play(song)`."""
        return {channel.role: self.play(song, (channel.role,)) for channel in song.channels}

    def level(self, role: str, program: int) -> float:
        """Loudness (LUFS) of single notes of a program; programs of one soundfont differ by up to 25 dB."""
        if (role, program) not in self.levels:
            self.levels[role, program] = measure_level(self._play_notes, role, program)
        return self.levels[role, program]

    def _play_notes(self, notes: Sequence[Note], program: int, length: int) -> np.ndarray:
        channel = Channel(notes[0].role, program, gain_db=0.0, pan=0.0, reverb=0.0, chorus=0.0)
        return self.player.play((channel,), [0.0], list(notes), length)


def measure_level(play: Play, role: str, program: int, pitches: Sequence[int] = ()) -> float:
    """Loudness (LUFS, at least `MIN_LEVEL`) of single notes, one after another, of what plays a program.

    pitches: of the notes; () are those that are usual for the role.
    """
    pitches = pitches or LEVEL_NOTES.get(role, MIDDLE_NOTES)
    step = 1.5 if role in SLOW_ROLES else 0.5
    notes = [Note(role, pitch, start=i * step, duration=0.9 * step, velocity=90) for i, pitch in enumerate(pitches)]
    samples = play(notes, program, round(len(pitches) * step * SAMPLE_RATE))
    return max(Audio(samples, SAMPLE_RATE).loudness(), MIN_LEVEL)


def mix(samples: np.ndarray, gain_db: float | None = None) -> tuple[Audio, float]:
    """Samples (2, N) with a short fade at the end, mastered to -14 LUFS, true peak below -1 dBTP; and the gain in dB.

    gain_db: instead of the gain that makes it as loud, as roles of a song have the gain of its mix.
    """
    fade = min(round(FADE * SAMPLE_RATE), samples.shape[1])
    samples = samples.copy()
    samples[:, samples.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    audio = Audio(samples, SAMPLE_RATE)
    if gain_db is not None:
        return audio.master(gain_db), gain_db
    gain_db = TARGET_LUFS - audio.loudness()
    limited = audio.master(gain_db)
    lost_db = TARGET_LUFS - limited.loudness()  # drums lose 1 to 4 dB to the limiter; about half can be restored
    return (audio.master(gain_db + lost_db), gain_db + lost_db) if lost_db > 0.3 else (limited, gain_db)


class Player:
    """FluidSynth's C functions: pyfluidsynth's bindings, and four functions that it does not bind.

    effects: its reverb and chorus; without them it is faster.
    """

    def __init__(self, soundfont: Path, effects: bool = True):
        if not soundfont.is_file():
            raise ValueError(f"soundfont {str(soundfont)!r} is not a file")
        try:
            import fluidsynth
        except ImportError as error:  # pyfluidsynth raises it too when the C library is missing
            raise ValueError(f"{error}: pip install pyfluidsynth; apt-get install libfluidsynth3") from None
        self.fluidsynth = fluidsynth
        self.settings = EFFECTS if effects else NO_EFFECTS
        library, pointer, number = fluidsynth._fl, ctypes.c_void_p, ctypes.c_int
        self.get_font = _bind(library.fluid_synth_get_sfont_by_id, pointer, pointer, number)
        self.add_font = _bind(library.fluid_synth_add_sfont, number, pointer, pointer)
        self.remove_font = _bind(library.fluid_synth_remove_sfont, number, pointer, pointer)
        side = (pointer, number, number)  # array, first sample, stride
        self.write_float = _bind(library.fluid_synth_write_float, number, pointer, number, *side, *side)
        # A synthesizer without a soundfont warns about every channel
        _bind(library.fluid_set_log_function, pointer, number, pointer, pointer)(WARNING, None, None)
        self.font = self._load(soundfont)

    def _load(self, soundfont: Path) -> int:
        synth = self._new_synth()
        font = synth.sfload(str(soundfont))
        if font < 0:
            raise ValueError(f"soundfont {str(soundfont)!r} cannot be read as SF2 or SF3")
        address = self.get_font(synth.synth, font)
        self.remove_font(synth.synth, address)
        synth.delete()
        return address

    def _new_synth(self) -> Any:
        return self.fluidsynth.Synth(gain=0.2, samplerate=float(SAMPLE_RATE), channels=16, **self.settings)

    def play(self, channels: Iterable[Channel], gains: list[float], notes: list[Note], length: int) -> np.ndarray:
        """Samples (2, length); gains in dB, at most 0, one for each channel."""
        synth = self._new_synth()
        font = self.add_font(synth.synth, self.font)
        try:
            for i, (channel, gain) in enumerate(zip(channels, gains, strict=True)):
                _set_up(synth, font, i, channel, gain)
            return self._write(synth, _events(notes, [channel.role for channel in channels]), length)
        finally:
            self.remove_font(synth.synth, self.font)
            synth.delete()

    def _write(self, synth: Any, events: dict[int, list[tuple]], length: int) -> np.ndarray:
        n_blocks = -(-length // BLOCK)
        samples = np.zeros((2, n_blocks * BLOCK), np.float32)
        left, right = (side.ctypes.data for side in samples)
        starts = [0, *sorted(block for block in events if 0 < block < n_blocks), n_blocks]
        for start, stop in itertools.pairwise(starts):
            for is_on, channel, pitch, velocity in sorted(events.get(start, ())):  # offs before ons
                synth.noteon(channel, pitch, velocity) if is_on else synth.noteoff(channel, pitch)
            first = start * BLOCK
            self.write_float(synth.synth, (stop - start) * BLOCK, left, first, 1, right, first, 1)
        return samples[:, :length]


def _bind(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


def _set_up(synth: Any, font: int, i: int, channel: Channel, gain: float) -> None:
    bank = DRUM_BANK if channel.role in ("drums", "percussion") else 0
    if synth.program_select(i, font, bank, channel.program) < 0:
        raise ValueError(f"{channel.role} program {channel.program}: the soundfont's bank {bank} has none")
    synth.cc(i, VOLUME, round(127 * 10 ** (gain / 40)))  # General MIDI: 40 log10(value / 127) dB
    synth.cc(i, PAN, round(64 + 63 * channel.pan))
    synth.cc(i, REVERB, round(127 * channel.reverb))
    synth.cc(i, CHORUS, round(127 * channel.chorus))


def _events(notes: list[Note], roles: list[str]) -> dict[int, list[tuple[bool, int, int, int]]]:
    """Block -> (is on, channel, pitch, velocity); a key that is struck again while it sounds is released first."""
    events = defaultdict(list)
    struck_next: dict[tuple[int, int], int] = {}
    for note in sorted(notes, key=lambda note: note.start, reverse=True):
        channel = roles.index(note.role)
        start = max(0, round(note.start * SAMPLE_RATE / BLOCK))
        stop = max(start + 1, round((note.start + note.duration) * SAMPLE_RATE / BLOCK))
        stop = min(stop, struck_next.get((channel, note.pitch), stop))
        if stop > start:
            events[start].append((True, channel, note.pitch, note.velocity))
            events[stop].append((False, channel, note.pitch, 0))
            struck_next[channel, note.pitch] = start
    return events
