"""Who plays a song: for each role one engine of the sounds that are asked for, drawn by the song's seed."""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridgen.data.song import Channel, Song
from hybridgen.data.sound import patches, sources
from hybridgen.data.sound.grand import Grand
from hybridgen.data.sound.hits import AUDIOPHOB, KITS, RUMPF, SONIC_ACOUSTIC, SONIC_MACHINES, Drums, Kit, RecordedKit
from hybridgen.data.sound.notes import Engine, NoteByNote
from hybridgen.data.sound.soundfonts import SoundfontEngine
from hybridgen.data.synth import measure_level

PIANOS = (0, 1)  # programs that the grand plays
ACOUSTIC_KITS, MACHINE_KITS = (0, 8, 16), (24, 25)
KITS_FOR = {
    **dict.fromkeys(ACOUSTIC_KITS, (RUMPF, SONIC_ACOUSTIC)),
    **dict.fromkeys(MACHINE_KITS, (SONIC_MACHINES, AUDIOPHOB)),
}
DUSTY_GENRES = (
    "lo-fi hip hop",
    "trap",
    "drum and bass",
    "trip hop",
)  # these take the cheap kit too
ELECTRIC = frozenset(
    (4, 5, 38, 39, 50, 51, 62, *range(80, 100))
)  # programs that synthesis plays rather than recordings
WEIGHTS = {"fluid-r3": 1.0, "musescore": 1.2, "salamander": 3.0, "kit": 1.5, "electric": 4.0, "imitated": 0.8}


@dataclass(frozen=True)
class Voice:
    """Who plays one role."""

    channel: Channel
    source: str
    kind: str  # "soundfont", or a key of `plan.sounds.SOUND_WORDS`
    engine: Engine
    level: float  # LUFS of single notes, which the mix evens out


def cast(song: Song, sounds: Sequence[str], folder: Path) -> tuple[Voice, ...]:
    """A voice for each channel; sounds: names of sources, among them a soundfont; folder: of sample packs."""
    return tuple(_draw_voice(song, channel, sounds, folder) for channel in song.channels)


def _draw_voice(song: Song, channel: Channel, sounds: Sequence[str], folder: Path) -> Voice:
    rng = random.Random(f"voice {song.seed} {song.index} {channel.role}")
    seed = rng.randrange(2**31)
    options = _options(song, channel, sounds, folder, seed)
    source, kind, engine, _ = rng.choices(options, [weight for *_, weight in options])[0]
    if kind == "soundfont":
        level = _soundfont_level(source, channel.role, channel.program)
    else:
        level = measure_level(engine.play, channel.role, channel.program, _struck(song, channel))
    return Voice(channel, source, kind, engine, level)


def _struck(song: Song, channel: Channel) -> list[int]:
    """The drums of a role of percussion, of which kits have only some; [] for all others."""
    return sorted({note.pitch for note in song.notes if note.role == "percussion"}) * (channel.role == "percussion")


Option = tuple[str, str, Engine, float]  # source, kind, engine, weight


def _options(song: Song, channel: Channel, sounds: Sequence[str], folder: Path, seed: int) -> list[Option]:
    """Every engine that can play this role."""
    found: list[Option] = []
    for source in (one for one in sources.GENERAL_MIDI if one in sounds):
        found.append((source, "soundfont", _soundfont(source), WEIGHTS[source]))
    if "salamander" in sounds and channel.program in PIANOS and channel.role not in ("drums", "percussion"):
        found.append(("salamander", "grand", _grand(folder), WEIGHTS["salamander"]))
    if channel.role in ("drums", "percussion"):
        struck = {note.pitch for note in song.notes if note.role == channel.role}
        for source, kit in _kits(song.genre, channel, sounds):
            if struck <= kit.keys():
                played = RecordedKit(kit_folder(source, folder), kit, seed)
                kind = "drum samples" if kit in (SONIC_MACHINES, AUDIOPHOB) else "live drums"
                found.append((source, kind, Drums(played, seed), WEIGHTS["kit"]))
    if "synthesis" in sounds:
        drawn = patches.draw(channel.role, channel.program, song.genre, seed)
        if drawn is not None:
            is_electric = channel.role in ("drums", "percussion") or channel.program in ELECTRIC
            found.append(("synthesis", drawn[1], drawn[0], WEIGHTS["electric" if is_electric else "imitated"]))
    return found


def _kits(genre: str, channel: Channel, sounds: Sequence[str]) -> list[tuple[str, Kit]]:
    wanted: tuple[Kit, ...] = KITS_FOR.get(channel.program, ())
    if channel.role == "percussion":
        wanted = (SONIC_MACHINES, AUDIOPHOB)
    elif genre in DUSTY_GENRES:
        wanted = (*wanted, AUDIOPHOB) if AUDIOPHOB not in wanted else wanted
    return [(source, kit) for source, kits in KITS.items() if source in sounds for kit in kits if kit in wanted]


def kit_folder(source: str, folder: Path) -> Path:
    """Where a source's recordings of drums lie."""
    found = sources.BY_NAME[source]
    return found.path if found.path is not None else folder / found.packs[0].folder


@functools.cache
def _soundfont(source: str) -> SoundfontEngine:
    path = sources.BY_NAME[source].path
    assert path is not None
    return SoundfontEngine(path)


@functools.cache
def _soundfont_level(source: str, role: str, program: int) -> float:
    return measure_level(_soundfont(source).play, role, program)


@functools.cache
def _grand(folder: Path) -> NoteByNote:
    return NoteByNote(Grand(folder))
