"""Is a changed note heard? python tools/note_edits.py --model FOLDER --n 40

In each of N tracks of the composer's plans one note of the lead moves by a third, and its bar is rendered again. An
estimator listens: the new pitch should be heard and the old one no longer, and nothing else may change. In a full mix
the estimator misses many notes of the lead, so the floors stand beside it: the same song played by the soundfont with
and without the move, as it is and through the codec. Writes nothing.
"""

import argparse
import dataclasses
import random
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from hybridgen import audio
from hybridgen.audio import Audio
from hybridgen.data.captions import captions
from hybridgen.data.composer import compose
from hybridgen.data.song import Song
from hybridgen.data.synth import Synth, mix
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
ROWS = ("soundfont", "through the codec", "edited track")


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
    parser.add_argument("--edit-guidance", type=float, help="instead of the model's")
    args = parser.parse_args()
    pipe = Pipeline.from_pretrained(args.model)
    if args.edit_guidance is not None:
        pipe = pipe.with_sampling(dataclasses.replace(pipe.config.sampling, edit_guidance=args.edit_guidance))
    synth = Synth()
    found = [
        [hear(move, *pair) for pair in (*floors(pipe, synth, song, move), edit(pipe, song, move))]
        for song, move in tqdm(moves(args.n), total=args.n, unit="track")
    ]
    report(np.array(found))


def report(probabilities: np.ndarray) -> None:
    """Prints a row each of probabilities (N, 3, 4): of the old and the new note before, and of both after."""
    heard = probabilities > transcription.THRESHOLD
    print(
        f"{'':20}{'old before':>12}{'new after':>12}{'old gone':>12}{'changed':>12}{'new > old':>12}{'of audible':>12}"
    )
    for i, name in enumerate(ROWS):
        old_before, new_after, old_after = heard[:, i, 0], heard[:, i, 3], heard[:, i, 2]
        changed = new_after & ~old_after
        shares = (
            old_before.mean(),
            new_after.mean(),
            (~old_after).mean(),
            changed.mean(),
            (probabilities[:, i, 3] > probabilities[:, i, 2]).mean(),
            changed[old_before].mean() if old_before.any() else np.nan,
        )
        print(f"{name:20}" + "".join(f"{share:12.3f}" for share in shares))
    print(f"of audible: changed, of the notes that are heard before they move; {len(heard)} tracks")


def moves(n: int) -> Iterator[tuple[Song, Move]]:
    """Composed songs, each with a note of its lead that can move."""
    index = found = 0
    while found < n:
        song = compose(SEED, index, SECONDS)
        move = choose(song.plan, random.Random(index))
        if move is not None:
            yield song, move
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


def hear(move: Move, before: np.ndarray, after: np.ndarray) -> list[float]:
    """Probabilities of the old and the new note in samples (2, N) before, and of both after the move."""
    rows = [note.pitch - transcription.LOWEST for note in (move.old, move.new)]
    return [float(transcription.listen(one).around(move.seconds)[row]) for one in (before, after) for row in rows]


def floors(pipe: Pipeline, synth: Synth, song: Song, move: Move) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples before and after, played by the soundfont; and the same through the codec."""
    near = [i for i, note in enumerate(song.notes) if (note.role, note.pitch) == ("lead", move.old.pitch)]
    moved = min(near, key=lambda i: abs(song.notes[i].start - move.seconds))
    notes = list(song.notes)
    notes[moved] = dataclasses.replace(notes[moved], pitch=move.new.pitch)
    before, gain_db = mix(synth.play(song))
    after, _ = mix(synth.play(dataclasses.replace(song, notes=tuple(notes))), gain_db)
    yield before.samples, after.samples
    coded = [pipe.decode(pipe.encode(one), one.samples.shape[1]) for one in (before, after)]
    first, second = (Audio(one, before.sample_rate).master().samples for one in coded)
    yield first, second


def edit(pipe: Pipeline, song: Song, move: Move) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a track of the song's plan, and of it with the note moved."""
    before = pipe.render(dataclasses.replace(song.plan, prompt=captions(song)[0]))
    bar = tuple(move.new if note == move.old else note for note in before.plan.part("lead").bars[move.bar - 1] or ())
    bars = (move.bar, move.bar)
    after = pipe.repaint(before, before.plan.edit(bars, notes={"lead": [bar]}), bars)
    check_rest(pipe, before, after, move.bar)
    return before.samples, after.samples


def check_rest(pipe: Pipeline, before: Track, after: Track, bar: int) -> None:
    """AssertionError unless everything out of reach of a bar is the same, bit for bit."""
    hop = before.plan.time_base.latent_hop
    start, stop = before.plan.frames_of(before.plan.span((bar, bar)), hop)
    assert np.array_equal(before.latents[:start], after.latents[:start])
    assert np.array_equal(before.latents[stop:], after.latents[stop:])
    reach = pipe.codec.reach * hop + audio.LIMITER_REACH
    for part in (slice(0, max(start * hop - reach, 0)), slice(stop * hop + reach, None)):
        assert np.array_equal(before.samples[:, part], after.samples[:, part])


if __name__ == "__main__":
    main()
