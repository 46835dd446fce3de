"""Is a changed note heard? python tools/note_edits.py --model FOLDER --n 40

In each of N tracks of the composer's plans one note of the lead moves by a third, and its bar is rendered again. An
estimator listens: the new pitch should be heard and the old one no longer, and nothing else may change. Writes nothing.
"""

import argparse
import dataclasses
import random
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from hybridgen import audio
from hybridgen.data.captions import captions
from hybridgen.data.composer import compose
from hybridgen.evaluation.prompts import SEED
from hybridgen.metrics import transcription
from hybridgen.pipeline import Pipeline
from hybridgen.plan.notes import UNPITCHED, Note
from hybridgen.plan.plan import Plan
from hybridgen.track import Track

SECONDS = (30.0, 30.0)
THIRDS = (3, 4, -3, -4)
CLEAR = 0.15  # seconds around the onset in which no other note has either pitch
MIN_TICKS = 120  # of the note: a sixteenth


@dataclasses.dataclass(frozen=True)
class Move:
    """One note of the lead that goes elsewhere."""

    bar: int
    old: Note
    new: Note
    seconds: float  # of its onset


def main() -> None:
    """Reads the command line, renders, edits, listens, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--n", type=int, default=40, help="tracks (default %(default)s)")
    args = parser.parse_args()
    pipe = Pipeline.from_pretrained(args.model)
    heard = np.array([listen(pipe, plan, move) for plan, move in tqdm(moves(args.n), total=args.n, unit="track")])
    for name, share in zip(
        ("old note heard before", "new one heard after", "old one gone"), heard.mean(0), strict=True
    ):
        print(f"{name:<24}{share:.3f}")
    print(f"{'changed as asked':<24}{heard[:, 1:].all(1).mean():.3f}  of {len(heard)}")


def moves(n: int) -> Iterator[tuple[Plan, Move]]:
    """Plans of composed songs, each with a note of its lead that can move."""
    index = found = 0
    while found < n:
        song = compose(SEED, index, SECONDS)
        move = choose(song.plan, random.Random(index))
        if move is not None:
            yield dataclasses.replace(song.plan, prompt=captions(song)[0]), move
            found += 1
        index += 1


def choose(plan: Plan, rng: random.Random) -> Move | None:
    """A note of the lead that another role doubles in neither pitch; None where there is none."""
    planned = {role: plan.note_samples(role) for role, _ in plan.instruments if role not in UNPITCHED}
    places = [(number, note) for number, bar in enumerate(plan.part("lead").bars, 1) for note in bar or ()]
    onsets = [start for start, _ in planned["lead"][0].tolist()] if "lead" in planned else []
    candidates = list(zip(places, onsets, strict=True))
    for (bar, note), start in rng.sample(candidates, len(candidates)):
        new = note.moved(rng.choice(THIRDS))
        seconds = start / plan.time_base.sample_rate
        near = [
            other.pitch
            for samples, notes in planned.values()
            for (begin, end), other in zip(samples.tolist(), notes, strict=True)
            if begin / plan.time_base.sample_rate < seconds + CLEAR
            and end / plan.time_base.sample_rate > seconds - CLEAR
        ]
        is_heard = min(note.pitch, new.pitch) >= transcription.LOWEST and new.pitch <= transcription.HIGHEST
        if note.length >= MIN_TICKS and is_heard and near.count(note.pitch) == 1 and new.pitch not in near:
            return Move(bar, note, new, seconds)
    return None


def listen(pipe: Pipeline, plan: Plan, move: Move) -> tuple[bool, bool, bool]:
    """Whether the old note is heard before, the new one after, and the old one no longer."""
    before = pipe.render(plan)
    bar = tuple(move.new if note == move.old else note for note in before.plan.part("lead").bars[move.bar - 1] or ())
    bars = (move.bar, move.bar)
    after = pipe.rerender(before, before.plan.edit(bars, notes={"lead": [bar]}), bars)
    check_rest(pipe, before, after, move.bar)
    first, second = (transcription.listen(track.samples).around(move.seconds) for track in (before, after))
    old, new = (note.pitch - transcription.LOWEST for note in (move.old, move.new))
    threshold = transcription.THRESHOLD
    return bool(first[old] > threshold), bool(second[new] > threshold), bool(second[old] <= threshold)


def check_rest(pipe: Pipeline, before: Track, after: Track, bar: int) -> None:
    """AssertionError unless everything out of reach of a bar is the same, bit for bit."""
    hop = before.plan.time_base.latent_hop
    start, stop = before.plan.frame_range((bar, bar), hop)
    assert np.array_equal(before.latents[:start], after.latents[:start])
    assert np.array_equal(before.latents[stop:], after.latents[stop:])
    reach = pipe.codec.reach * hop + audio.LIMITER_REACH
    for part in (slice(0, max(start * hop - reach, 0)), slice(stop * hop + reach, None)):
        assert np.array_equal(before.samples[:, part], after.samples[:, part])


if __name__ == "__main__":
    main()
