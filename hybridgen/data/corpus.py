"""The synthetic corpus on disk: songs/000123.flac (the master) and songs/000123.json (everything known about it).

Beside a master lie some of its roles, as loud as in it: songs/000123-drums-bass.flac, so that a renderer learns stems.

FluidSynth plays it with one soundfont, or, with `sounds`, several engines and a studio (`hybridgen.data.sound`) do.
Each song depends on (seed, index, range of seconds, sounds) alone, so writing may stop and resume at any time, with any
number of processes, and a song that is written again is the same file, byte for byte. Every twentieth song is held out.

Run it: python -m hybridgen.data.corpus --out corpus --hours 10
"""

import argparse
import functools
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from hybridgen.audio import Audio
from hybridgen.data.captions import caption
from hybridgen.data.composer import compose
from hybridgen.data.song import SAMPLE_RATE, Channel, Note, Song
from hybridgen.data.sound import sources
from hybridgen.data.synth import Synth, find_soundfont, mix
from hybridgen.files import atomic_write, read_json, write_json
from hybridgen.plan.parts import MAX_SECONDS, MIN_SECONDS, order_roles
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import PLAIN, labelled
from hybridgen.workers import run_tasks

N_CAPTIONS = 10
HOLD_OUT = 20  # the last of every 20 songs is for testing
SECONDS = (20.0, 120.0)
N_SUBSETS = 2  # of a song's roles
ALONE = 0.6  # share of them that are a single role
PACKS = Path(".setup/sounds")  # where `make corpus` unpacks sample packs
MAX_SONG_JSON = 16 << 20  # bytes; two minutes take about 0.2 MB


@dataclass(frozen=True)
class SongRecord:
    """One song of a corpus folder, without its notes; `song` reads those too."""

    index: int
    audio: Path  # FLAC, 44.1 kHz stereo, plan.length samples
    plan: Plan  # its `sound` is known whole
    genre: str
    mood: tuple[str, ...]
    captions: tuple[str, ...]
    split: str  # train, test
    subsets: tuple[tuple[str, ...], ...] = ()  # roles that were also written without the others
    sound: tuple[str, ...] = ()  # keys of `plan.sounds.SOUND_WORDS` that are true of how it was played

    def audio_of(self, roles: Sequence[str]) -> Path:
        """The file of a subset of roles."""
        return self.audio.with_stem("-".join((self.audio.stem, *roles)))

    def song(self) -> Song:
        """The whole song as it was composed, with its notes and its mix."""
        facts = read_json(self.audio.with_suffix(".json"), MAX_SONG_JSON)
        return Song(
            index=self.index,
            seed=facts["seed"],
            genre=self.genre,
            mood=self.mood,
            plan=replace(self.plan, sound=()),
            notes=tuple(Note(*row) for row in facts["notes"]),
            channels=tuple(Channel(**fields) for fields in facts["channels"]),
        )


@dataclass(frozen=True)
class Summary:
    """What a run of `write` did."""

    written: int  # songs
    found: int  # songs that existed already
    audio_hours: float  # written in this run
    wall_seconds: float

    def __str__(self) -> str:
        speed = 3600 * self.audio_hours / max(self.wall_seconds, 1e-9)
        return (
            f"{self.written} songs written ({self.audio_hours:.2f} hours, {speed:.0f} times real time), "
            f"{self.found} existed already"
        )


def split(index: int) -> str:
    """'test' for every twentieth song, else 'train': a matter of the index alone, so it never changes."""
    return "test" if index % HOLD_OUT == HOLD_OUT - 1 else "train"


def write(
    folder: Path,
    seed: int,
    first: int,
    count: int,
    seconds: tuple[float, float] = SECONDS,
    workers: int = 2,
    subsets: int = N_SUBSETS,
    sounds: Sequence[str] = (),
    packs: Path = PACKS,
) -> Summary:
    """Writes those of songs first ... first + count - 1 that are missing, each within the range of `seconds`.

    subsets: of its roles, at most, that are written of each song beside its mix. sounds: names of `sources.SOURCES`
    that play in a studio (default: one soundfont plays everything); packs: the folder of those that were unpacked.
    Raises ValueError for a folder with another corpus (other seed, seconds, subsets, soundfont or sounds), for values
    out of range, and for sounds that are unknown or not there.
    """
    _check(first, count, seconds, workers, subsets)
    folder = Path(folder)
    if sounds:
        sources.check(sounds, packs)
        import_module("hybridgen.data.sound.loops")  # compiles what it must before there are processes
    _check_corpus(folder, seed, seconds, subsets, sounds)
    todo = [index for index in range(first, first + count) if not _path(folder, index).exists()]
    start, length = time.monotonic(), 0
    make = functools.partial(
        _write_song, folder, seed, seconds=seconds, subsets=subsets, sounds=tuple(sounds), packs=packs
    )
    with tqdm(total=count, initial=count - len(todo), unit="song", desc=str(folder)) as bar:
        for n_samples in run_tasks(make, todo, workers, ordered=False):
            length += n_samples
            bar.set_postfix_str(f"{length / SAMPLE_RATE / (time.monotonic() - start):.0f}x real time", refresh=False)
            bar.update()
    return Summary(len(todo), count - len(todo), length / SAMPLE_RATE / 3600, time.monotonic() - start)


def read(folder: Path) -> list[SongRecord]:
    """The songs of a corpus folder in order of their index; ValueError where there are none, or for a damaged file."""
    paths = sorted((Path(folder) / "songs").glob("*.json"))
    if not paths:
        raise ValueError(f"corpus folder {str(folder)!r} contains no songs/*.json; write them: {_COMMAND}")
    return [_read_record(path) for path in paths]


_COMMAND = "python -m hybridgen.data.corpus --out FOLDER --hours 10"


def _read_record(path: Path) -> SongRecord:
    facts = read_json(path, MAX_SONG_JSON)
    try:
        kinds = tuple(facts["sound"]["kinds"]) if "sound" in facts else None
        return SongRecord(
            index=facts["index"],
            audio=path.with_suffix(".flac"),
            plan=replace(Plan.from_dict(facts["plan"]), sound=(PLAIN,) if kinds is None else labelled(kinds)),
            genre=facts["genre"],
            mood=tuple(facts["mood"]),
            captions=tuple(facts["captions"]),
            split=split(facts["index"]),
            subsets=tuple(map(tuple, facts.get("subsets", ()))),
            sound=kinds or (),
        )
    except KeyError as error:
        raise ValueError(f"{path}: has no {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _path(folder: Path, index: int) -> Path:
    """The file that is written last: where it exists, the song is complete."""
    return folder / "songs" / f"{index:06d}.json"


def _check(first: int, count: int, seconds: tuple[float, float], workers: int, subsets: int) -> None:
    low, high = seconds
    if not MIN_SECONDS <= low <= high <= MAX_SECONDS:
        raise ValueError(f"seconds {low:g} to {high:g}: must be increasing, within {MIN_SECONDS:g} to {MAX_SECONDS:g}")
    for name, value, least in (
        ("first", first, 0),
        ("count", count, 1),
        ("workers", workers, 1),
        ("subsets", subsets, 0),
    ):
        if value < least:
            raise ValueError(f"{name} {value}: must be at least {least}")


def _check_corpus(folder: Path, seed: int, seconds: tuple[float, float], subsets: int, sounds: Sequence[str]) -> None:
    """Checks corpus.json, the settings that determine all songs of the folder, and writes it into a new folder."""
    facts: dict[str, Any] = {"seed": seed, "seconds": list(seconds), "sample_rate": SAMPLE_RATE}
    notice: dict[str, Any]
    if sounds:
        facts["sounds"], notice = list(sounds), {"notices": sources.notices(sounds)}
    else:
        soundfont = find_soundfont()
        facts["soundfont"], notice = soundfont.path.name, {"notice": soundfont.notice}
    facts["subsets"] = subsets
    path = folder / "corpus.json"
    if path.exists():
        there = read_json(path)
        for name, value in facts.items():
            if there.get(name) != value:
                raise ValueError(f"{path}: the songs there have {name} {there.get(name)}, not {value}")
    else:
        (folder / "songs").mkdir(parents=True, exist_ok=True)
        write_json(path, {**facts, **notice})


@functools.cache
def _synth() -> Synth:
    """This process's synthesizer, kept because loading a soundfont takes a second."""
    return Synth()


def _write_song(
    folder: Path,
    seed: int,
    index: int,
    seconds: tuple[float, float],
    subsets: int,
    sounds: tuple[str, ...],
    packs: Path,
) -> int:
    """Composes, plays and writes one song; its length in samples."""
    song = compose(seed, index, seconds)
    play, sound = _player(song, sounds, packs)
    audio, gain_db = mix(play(None))
    assert audio.samples.shape == (2, song.plan.length)
    path = _path(folder, index)
    _write_flac(path.with_suffix(".flac"), audio)
    drawn = draw_subsets(song, subsets)
    for roles in drawn:
        alone, _ = mix(play(roles), gain_db)
        _write_flac(path.with_name("-".join((path.stem, *roles)) + ".flac"), alone)
    with atomic_write(path) as temporary:
        temporary.write_text(_song_json(song, drawn, sound), encoding="utf-8")
    return song.plan.length


def _player(
    song: Song, sounds: tuple[str, ...], packs: Path
) -> tuple[Callable[[Sequence[str] | None], np.ndarray], dict[str, Any] | None]:
    """What plays roles of the song (None: all), and what is known of its sound."""
    if not sounds:
        return functools.partial(_synth().play, song), None
    from hybridgen.data.sound.session import produce  # with numba, which nothing else here needs

    session = produce(song, sounds, packs)
    return session.mix, session.facts()


def draw_subsets(song: Song, n: int) -> list[tuple[str, ...]]:
    """At most `n` different subsets of a song's roles: most of them one role, the others any number but all.

    The same song gives the same ones; a song of one role gives none.
    """
    rng = random.Random(f"subsets {song.seed} {song.index}")
    roles = [channel.role for channel in song.channels]
    drawn = set()
    for _ in range(n if len(roles) > 1 else 0):
        size = 1 if rng.random() < ALONE else rng.randint(1, len(roles) - 1)
        drawn.add(order_roles(rng.sample(roles, size), "roles"))
    return sorted(drawn)


def _write_flac(path: Path, audio: Audio) -> None:
    with atomic_write(path) as temporary:
        soundfile.write(temporary, audio.samples.T, SAMPLE_RATE, subtype="PCM_16", format="FLAC")


def _song_json(song: Song, subsets: list[tuple[str, ...]], sound: dict[str, Any] | None) -> str:
    kinds = sound["kinds"] if sound else ()
    facts = {
        "index": song.index,
        "seed": song.seed,
        "genre": song.genre,
        "mood": song.mood,
        "captions": [caption(song, random.Random(f"{song.seed} {song.index} {i}"), kinds) for i in range(N_CAPTIONS)],
        "plan": song.plan.to_dict(),
        "subsets": subsets,
        "channels": [asdict(channel) for channel in song.channels],
        "notes": [astuple(note) for note in song.notes],  # role, pitch, start, duration, velocity
        **({"sound": sound} if sound else {}),
    }
    return json.dumps(facts, ensure_ascii=False) + "\n"


def main(argv: list[str] | None = None) -> None:
    """The command line: `python -m hybridgen.data.corpus --out corpus --hours 10`."""
    parser = argparse.ArgumentParser(
        prog="python -m hybridgen.data.corpus",
        description="Composes and plays the synthetic corpus. Run it again to resume where it stopped.",
        epilog="An hour of music takes about 380 MB (twice that with two subsets), and two (four) minutes on one core.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where songs/ is written")
    parser.add_argument("--hours", type=float, default=10.0, help="of music, roughly (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="each seed is another corpus (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=SECONDS, metavar=("LOW", "HIGH"), help="length of a song"
    )
    parser.add_argument(
        "--subsets", type=int, default=N_SUBSETS, help="of its roles, written beside each song (default %(default)s)"
    )
    parser.add_argument(
        "--sounds",
        nargs="+",
        default=(),
        metavar="NAME",
        help=f"play in a studio with some of: {', '.join(sources.BY_NAME)} (default: one soundfont, plainly)",
    )
    parser.add_argument("--packs", type=Path, default=PACKS, help="folder of sample packs (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        if not 0 < args.hours < math.inf:
            raise ValueError(f"hours {args.hours}: must be more than 0")
        count = math.ceil(args.hours * 3600 / (sum(args.seconds) / 2))
        seconds = tuple(args.seconds)
        done = write(args.out, args.seed, 0, count, seconds, args.workers, args.subsets, args.sounds, args.packs)
        print(done)
    except (ValueError, OSError) as error:
        print(f"corpus: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
