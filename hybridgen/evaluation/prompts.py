"""Which songs the composer writes for an evaluation, and the prompts that describe them."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from hybridgen.data.captions import caption_words, captions
from hybridgen.data.composer import compose
from hybridgen.data.composer.genres import STYLES
from hybridgen.data.song import Song
from hybridgen.metrics import probe
from hybridgen.plan.plan import Plan
from hybridgen.text.controls import find_controls

SEED = 1  # of the songs; trainings use others
MAX_SHORTFALL = 0.5  # seconds by which a song may be shorter than its prompt's; sets are compared without them
TEMPO_RANGE = (60.0, 180.0)  # quarter notes a minute


@dataclass(frozen=True)
class EvalSize:
    """How much is measured."""

    prompts: tuple[tuple[int, int], ...]  # (seconds, tracks of that length); the first are those of the ladder
    n_references: int  # other songs of the first length
    n_pictures: int
    speed_seconds: float
    speed_runs: int


FULL = EvalSize(((30, 64), (120, 16), (240, 4)), n_references=128, n_pictures=6, speed_seconds=120.0, speed_runs=3)
QUICK = EvalSize(((30, 20), (120, 2)), n_references=40, n_pictures=3, speed_seconds=120.0, speed_runs=1)


@dataclass(frozen=True)
class EvalPrompt:
    """A prompt that states tempo, key and genre, and the song that it was written for."""

    text: str
    tempo: float  # quarter notes a minute
    key: str
    genre: str
    seconds: int  # of the track; the song is at most MAX_SHORTFALL shorter
    seed: int  # of the track; the song's index
    plan: Plan  # the song's
    audio: Path  # the song's


def select_all(size: EvalSize, songs: Path) -> tuple[list[EvalPrompt], list[EvalPrompt]]:
    """The prompts, longest first, and the reference songs; never the same song in both."""
    longest_first = sorted(size.prompts, reverse=True)
    prompts = [prompt for seconds, count in longest_first for prompt in select(seconds, count, songs, part=0)]
    return prompts, select(size.prompts[0][0], size.n_references, songs, part=1)


def genres() -> tuple[str, ...]:
    """Those that the probe can recognize, in the composer's order."""
    return tuple(style.name for style in STYLES if style.name in probe.load().genres)


def select(seconds: int, count: int, songs: Path, part: int) -> list[EvalPrompt]:
    """`count` prompts for songs with even (part 0) or odd (1) index; the probe's genres equally often, in turn."""
    selected: dict[str, list[EvalPrompt]] = {name: [] for name in genres()}
    per_genre = -(-count // len(selected))
    with tqdm(total=count, desc=f"selecting songs of {seconds} s", unit="song", disable=None) as bar:
        indices = itertools.count(part, 2)
        while sum(map(len, selected.values())) < count:
            song = compose(SEED, next(indices), (seconds, seconds))
            room = song.genre in selected and len(selected[song.genre]) < per_genre
            if room and (prompt := make_prompt(song, seconds, songs)):
                selected[song.genre].append(prompt)
                bar.update()
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*selected.values()))
    return [prompt for prompt in in_turn if prompt is not None]


def make_prompt(song: Song, seconds: int, songs: Path) -> EvalPrompt | None:
    """The song's first caption that states its tempo, key and genre, and no length; None where there is none, or where
    the song is too short, too slow, too fast or changes its tempo.
    """
    plan = song.plan
    if len(plan.tempo) != 1 or not TEMPO_RANGE[0] <= plan.tempo[0].bpm <= TEMPO_RANGE[1]:
        return None
    if not seconds - MAX_SHORTFALL <= plan.seconds <= seconds:
        return None
    audio = songs / str(seconds) / "songs" / f"{song.index:06d}.flac"
    for i, caption in enumerate(captions(song)):
        stated, _ = find_controls(caption)
        no_length = stated.bars is None and stated.seconds is None and stated.sections is None
        if not isinstance(stated.tempo, float) or stated.key is None or stated.key != plan.key:
            continue
        if no_length and caption_words(song, i).genre:
            return EvalPrompt(caption, stated.tempo, stated.key, song.genre, seconds, song.index, plan, audio)
    return None
