"""How well changes of a track come out: python tools/measure_changes.py repaint --cases 30 --json FILE

Random cases on the shipped weights, a table for each operation. What must hold exactly is counted (length, all that is
kept bit for bit, replay); what is heard stands beside a floor: bends and flux at a border beside those at the other bar
lines of the same track, levels beside what the neighbours have, separated roles beside what each role is. The tracks
that are changed are made once and kept in --tracks. Writes nothing else but --json.
"""

import argparse
import functools
import json
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import audio
from hybridgen.evaluation import prompts
from hybridgen.history import Change
from hybridgen.manifest import Manifest
from hybridgen.metrics import harmony, probe, rhythm, scores
from hybridgen.pipeline import Pipeline
from hybridgen.plan import extending
from hybridgen.plan.harmony import NO_CHORD, chord_pitches
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import ROLES, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.render import edges, mixdown, stems
from hybridgen.render.windows import WindowRenderer
from hybridgen.track import Track

GENRES = prompts.genres()
METERS = ("4/4", "4/4", "4/4", "3/4", "4/4", "7/8", "4/4", "6/8", "4/4", "5/4")
ENDINGS = ("ring-out", None, "cut", "fade 2", None)
WORDS = ("a sparse quiet breakdown", "louder, with heavy drums", "soft strings", "a funk guitar groove", "dreamy pads")
NEAR = 2048  # samples on either side of a bar line in which its bend and its flux lie: a latent frame
N_FFT, HOP = 2048, 512  # of the flux
BESIDE = 0.25  # seconds on either side of a line, whose levels make its step
LEVEL_DB = 1.5  # by which new bars may differ from their neighbours
LONG = 240.0  # seconds of the track whose bars are repainted against the clock
Values = dict[str, Any]


def main() -> None:
    """Reads the command line, makes the cases, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operation", choices=OPERATIONS, metavar="OPERATION", help=", ".join(OPERATIONS))
    parser.add_argument("--cases", type=int, default=30, help="random cases (default %(default)s)")
    parser.add_argument("--only", metavar="8,18", help="numbers of cases from 0, instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default %(default)s)")
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--tracks", type=Path, help="folder of the tracks that are changed (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="where all cases are written")
    args = parser.parse_args()
    cases = range(args.cases) if args.only is None else [int(number) for number in args.only.split(",")]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)  # what a prompt asks for and does not get
    pipe = Pipeline.from_pretrained(args.model)
    rows: list[Values] = []
    with tempfile.TemporaryDirectory(prefix="hybridgen-tracks-") as temporary:
        tracks = Tracks(pipe, args.tracks or Path(temporary))
        measured = OPERATIONS[args.operation](pipe, tracks, cases, args.seed)
        for row in tqdm(measured, total=len(cases), unit="case", disable=None):
            rows.append(row)
            if args.json is not None:  # after every case: a run that is stopped leaves what it has measured
                args.json.write_text(json.dumps(rows, indent=1))
    print(f"{args.operation}: {len(rows)} cases")
    report(rows)


# ---- the tracks that are changed


@dataclass(frozen=True)
class Tracks:
    """Tracks of 12-40 s of all genres, tempi and meters, by number; made when they are first asked for."""

    pipe: Pipeline
    folder: Path

    def __getitem__(self, index: int) -> Track:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{index:03d}.npz"
        if not path.exists():
            track = self.pipe.render(self.plan(index))
            np.savez(path, samples=track.samples, latents=track.latents, manifest=track.manifest.to_json())
        with np.load(path) as file:
            record = Manifest.from_json(str(file["manifest"]))
            return Track(file["samples"], record.plan, file["latents"], record)

    def plan(self, index: int) -> Plan:
        """The plan of track `index`: every tenth has a tempo that rises, and all beats as played in every tenth."""
        rng = random.Random(f"track {index}")
        plan = self.pipe.plan(
            f"{GENRES[index % len(GENRES)]}",
            seconds=round(rng.uniform(12, 40), 2),
            tempo=round(rng.uniform(70, 160), 1),
            meter=METERS[index % len(METERS)],
            ending=ENDINGS[index // 2 % len(ENDINGS)],
            seed=index,
        )[0]
        if index % 10 == 8 and plan.n_bars > 2:
            bpm = plan.tempo[0].bpm
            return replace(plan, tempo=(Tempo(1, bpm, True), Tempo(plan.n_bars, bpm * 1.15)), n_samples=None)
        return plan


# ---- what every change must keep


def kept(pipe: Pipeline, old: Track, new: Track) -> Values:
    """What is kept of a track after its last operation, and whether a replay is the same."""
    change = last_change(new)
    hop, reach = new.plan.time_base.latent_hop, pipe.codec.reach * new.plan.time_base.latent_hop + audio.LIMITER_REACH
    later = change.moved * hop + old.plan.pre_roll - new.plan.pre_roll
    frames, samples = _inside(new, old, change.moved), np.ones(new.plan.length, dtype=bool)
    for start, stop in change.fresh:
        first, last = new.plan.frames_of((start, stop), hop)
        frames[first:last] = False
        samples[max(0, first * hop - new.plan.pre_roll - reach) : max(0, last * hop - new.plan.pre_roll + reach)] = 0
        if new.plan.is_loop:  # which goes round: the pre-roll sounds in its end, its end in the limiter of its start
            samples[-edges.SEAM - audio.LIMITER_REACH :] = False
            samples[: audio.LIMITER_REACH] = False
    samples[: max(0, later)] = False
    samples[max(0, old.plan.length + later) :] = False
    if (old.plan.ending, old.plan.length + later) != (new.plan.ending, new.plan.length):
        samples[max(0, min(_closing(old) + later, _closing(new)) - audio.LIMITER_REACH) :] = False
    at_frames, at_samples = np.flatnonzero(frames), np.flatnonzero(samples)
    again = pipe.replay(new.manifest)
    return {
        "length right": new.samples.shape == (2, new.plan.length),
        "latents kept": np.array_equal(new.latents[at_frames], old.latents[at_frames - change.moved]),
        "samples kept": np.array_equal(new.samples[:, at_samples], old.samples[:, at_samples - later]),
        "share kept": float(samples.mean()),
        "replay equal": _same(again, new),
        "peak under -1": new.audio.true_peak() <= -0.99,
    }


def last_change(track: Track) -> Change:
    """The last operation of a track that was changed."""
    last = track.manifest.operations[-1]
    assert isinstance(last, Change)
    return last


def _inside(new: Track, old: Track, moved: int) -> np.ndarray:
    """(T,) bool: the latent frames of a new track that the old one had, `moved` frames earlier."""
    at = np.arange(new.plan.n_frames) - moved
    return (at >= 0) & (at < old.plan.n_frames)


def _closing(track: Track) -> int:
    """The sample at which a track begins to end."""
    return edges.closing(track.plan)[0]


def _same(one: Track, other: Track) -> bool:
    same = one.samples.tobytes() == other.samples.tobytes() and one.latents.tobytes() == other.latents.tobytes()
    return same and one.manifest.to_json() == other.manifest.to_json()


def later_samples(old: Track, new: Track) -> int:
    """Samples by which what is kept lies later in the new track."""
    return last_change(new).moved * new.plan.time_base.latent_hop + old.plan.pre_roll - new.plan.pre_roll


# ---- borders, beside all other bar lines


@dataclass(frozen=True)
class Lines:
    """How a sound goes over lines in time: bend, flux and step of each."""

    samples: np.ndarray  # (2, N)
    log_size: np.ndarray  # (bins, F)

    @classmethod
    def of(cls, samples: np.ndarray) -> "Lines":
        """Of samples (2, N)."""
        mono = torch.from_numpy(samples.mean(axis=0))
        window = torch.hann_window(N_FFT)
        sizes = torch.stft(mono, N_FFT, HOP, window=window, return_complex=True).abs() * 2 / window.sum()
        return cls(samples, torch.log1p(1000 * sizes).numpy())

    def at(self, sample: int) -> dict[str, float]:
        """bend: the largest second difference near a line; flux: the largest change of the spectrum between windows
        that meet near it; step: the difference in dB of what lies on either side.
        """
        near = self.samples[:, max(0, sample - NEAR) : sample + NEAR].astype(float)
        frames = range((sample - NEAR) // HOP, (sample + NEAR) // HOP + 1)
        half, last = N_FFT // HOP // 2, self.log_size.shape[1] - 1
        flux = [
            float(np.abs(self.log_size[:, min(last, at + half)] - self.log_size[:, max(0, at - half)]).mean())
            for at in frames
        ]
        n = round(BESIDE * audio_rate())
        before, after = level(self.samples[:, max(0, sample - n) : sample]), level(self.samples[:, sample : sample + n])
        return {"bend": float(np.abs(np.diff(near, 2)).max()), "flux": max(flux), "step": abs(after - before)}


def audio_rate() -> int:
    """Samples a second of every track here."""
    return 44_100


def level(samples: np.ndarray) -> float:
    """Power of samples (2, n) in dB."""
    return 10 * math.log10(float(np.square(samples, dtype=float).mean()) + 1e-10) if samples.size else -100.0


def inner_lines(plan: Plan, without: Sequence[int] = ()) -> list[int]:
    """The bar lines inside a plan that are not near its ends, nor near these samples."""
    room = round(BESIDE * audio_rate())
    lines = [int(line) for line in plan.bar_starts()[1:] if room < line < plan.length - room]
    return [line for line in lines if all(abs(line - other) > 2 * NEAR for other in without)]


def borders(samples: np.ndarray, plan: Plan, at: Sequence[int]) -> Values:
    """Where lines `at` stand among the inner bar lines: shares that are lower, counts above their 95th percentile.

    The floor is every inner line among the others.
    """
    lines, room = Lines.of(samples), round(BESIDE * audio_rate())
    at = [line for line in at if room < line < plan.length - room]
    inner = [lines.at(line) for line in inner_lines(plan, at)]
    if len(inner) < 3 or not at:
        return {}
    found: Values = {}
    for name in ("bend", "flux", "step"):
        values = np.array([one[name] for one in inner])
        here = [lines.at(line)[name] for line in at]
        floor = [(values[i], np.delete(values, i)) for i in range(len(values))]
        found |= standing(name, [(value, values) for value in here])
        found |= standing(f"{name} floor", floor)
    return found


def standing(name: str, values: Sequence[tuple[float, np.ndarray]]) -> Values:
    """Of values, each beside others: their rank, 0-1, and whether they are over the 95th percentile and the maximum."""
    return {
        f"{name} rank": [float((other < value).mean()) for value, other in values],
        f"{name} over 95": [bool(value > np.percentile(other, 95)) for value, other in values],
        f"{name} over all": [bool(value > other.max()) for value, other in values],
    }


def hearing(old: np.ndarray, new: np.ndarray) -> Values:
    """Whether an estimator hears the same tempo and key in two sounds (2, N)."""
    tempi = [rhythm.beat_rate(rhythm.beats(one)) for one in (old, new)]
    keys = [harmony.key(one)[0] for one in (old, new)]
    if min(tempi) <= 0:
        return {}
    is_same = scores.tempo_correct(tempi[1], tempi[0])
    return {
        "tempo heard the same": is_same,
        "or twice, half": is_same or scores.octave_error(tempi[1], tempi[0]),
        "key heard the same": keys[0] == keys[1],
        "key weighted": scores.key_weighted(keys[0], keys[1]),
    }


def part_level(samples: np.ndarray, spans: Sequence[tuple[int, int]]) -> float:
    """Level in dB of spans of samples (2, N)."""
    parts = [samples[:, max(0, start) : stop] for start, stop in spans if stop > max(0, start)]
    return level(np.concatenate(parts, axis=1)) if parts else math.nan


# ---- operations


def repaint(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """One to three ranges of bars or seconds, with another plan, other words, less strength, or another seed."""
    for i in cases:
        rng, old = random.Random(f"repaint {seed} {i}"), tracks[i]
        kind = ("seed", "chords", "roles", "energy", "prompt", "strength")[i % 6]
        ranges = _ranges(rng, old.plan.n_bars, rng.randint(1, 3))
        plan, options = old.plan, dict[str, Any]()
        for bars in ranges:
            plan = _edited(plan, kind, bars, rng)
        if kind == "prompt":
            options["prompt"] = rng.choice(WORDS)
        if kind == "strength":
            options["strength"] = round(rng.uniform(0.2, 0.8), 2)
        where: dict[str, Any] = {"bars": ranges}
        spans = [old.plan.span(bars) for bars in ranges]
        if kind in ("seed", "strength", "prompt") and i % 4 >= 2:  # in seconds, which are no bar lines
            rate = audio_rate()
            spans = [(start + rate // 5, max(start + rate // 2, stop - rate // 3)) for start, stop in spans]
            where = {"seconds": [(start / rate, stop / rate) for start, stop in spans]}
        new = pipe.repaint(old, plan, **where, **options, seed=None if kind != "strength" else i)
        beside = [(a - 2 * audio_rate(), a) for a, _ in spans] + [(b, b + 2 * audio_rate()) for _, b in spans]
        lines = [line for span in spans for line in span]
        before = part_level(old.samples, spans)
        yield {
            "track": i,
            "kind": kind,
            "where": str(where),
            "exact length": new.samples.shape == old.samples.shape,
            **kept(pipe, old, new),
            **changed(old.samples, new.samples, spans),
            **near_level("level as before", part_level(new.samples, spans) - before),
            **near_level("level as beside", part_level(new.samples, spans) - part_level(new.samples, beside)),
            **near_level("floor: old as beside", before - part_level(old.samples, beside)),
            **borders(new.samples, new.plan, lines),
            **prefixed("old ", borders(old.samples, old.plan, lines), "rank", "over 95"),
            **hearing(old.samples, new.samples),
        }


def _ranges(rng: random.Random, n_bars: int, count: int) -> list[tuple[int, int]]:
    """Up to `count` ranges of bars, ascending, apart, of one to four bars each, less than half of all."""
    found, at = list[tuple[int, int]](), 1
    room = max(1, n_bars // count)
    for k in range(count):
        first = rng.randint(at, max(at, min(n_bars, 1 + k * room + room // 2)))
        last = min(n_bars, first + rng.randint(0, max(0, min(3, room // 2 - 1))))
        found.append((first, last))
        at = last + 2
        if at > n_bars:
            break
    return found


def _edited(plan: Plan, kind: str, bars: tuple[int, int], rng: random.Random) -> Plan:
    if kind == "chords":
        return plan.edit(bars, chords=[rng.choice(["Am", "F", "Dm", "G", "C", "E7", "Bb"]) for _ in range(2)])
    if kind == "energy":
        return plan.edit(bars, energy=rng.randint(1, 7))
    if kind == "roles":
        roles = [role for role, _ in plan.instruments]
        return plan.edit(bars, roles=rng.sample(roles, max(1, len(roles) - 1)))
    return plan


def changed(old: np.ndarray, new: np.ndarray, spans: Sequence[tuple[int, int]]) -> Values:
    """How much of what is inside is new."""
    before, after = (np.concatenate([one[:, max(0, a) : b] for a, b in spans], axis=1) for one in (old, new))
    apart_db = level(after - before) - level(before)
    return {"difference over sound": 10 ** (apart_db / 20), "inside changed": apart_db > -40}


def near_level(name: str, apart_db: float) -> Values:
    """A difference of levels, and whether it is small."""
    if not math.isfinite(apart_db):
        return {}
    return {f"{name} (dB)": apart_db, f"{name} within {LEVEL_DB}": abs(apart_db) <= LEVEL_DB}


def prefixed(prefix: str, values: Values, *endings: str) -> Values:
    """The values whose names end so, without floors, under other names."""
    return {prefix + name: one for name, one in values.items() if name.endswith(endings) and "floor" not in name}


def extend_end(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """More bars, or seconds, before the outro."""
    yield from _extend(pipe, tracks, cases, seed, "end")


def extend_start(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """An introduction."""
    yield from _extend(pipe, tracks, cases, seed, "start")


def _extend(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int, where: str) -> Iterator[Values]:
    for i in cases:
        rng, old = random.Random(f"extend {where} {seed} {i}"), tracks[i]
        how: dict[str, Any] = {"bars": rng.randint(1, 8)} if i % 3 else {"seconds": round(rng.uniform(3, 15), 1)}
        new = pipe.extend(old, **how, where=where)
        added, rate = new.plan.n_bars - old.plan.n_bars, audio_rate()
        starts, at = new.plan.bar_starts(), 0 if where == "start" else extending.insertion(old.plan)
        span = (int(starts[at]), int(starts[at + added]))
        tail_before, tail_after = (one.plan.length - int(one.plan.bar_starts()[-1]) for one in (old, new))
        is_as_before = _plays(new.plan, at) == _plays(new.plan, at + added if where == "start" else at - 1)
        beside = [(span[1], span[1] + 8 * rate)] if where == "start" else [(span[0] - 8 * rate, span[0])]
        alike = _alike(new.plan, at, added, where)
        yield {
            "track": i,
            "where": str(how),
            "exact length": abs(tail_before - tail_after) <= 1 and ("bars" not in how or added == how["bars"]),
            "near the seconds": abs(span[1] - span[0] - how.get("seconds", 0) * rate) <= (span[1] - span[0]) / added
            if "seconds" in how
            else True,
            "bar lines kept": _lines_kept(old, new, at, added, where),
            **kept(pipe, old, new),
            "sounds": part_level(new.samples, [span]) > -45,
            **near_level(
                f"level as beside, {'same' if is_as_before else 'other'} players or energy",
                part_level(new.samples, [span]) - part_level(new.samples, beside),
            ),
            **near_level("level as their like", part_level(new.samples, [span]) - part_level(new.samples, alike)),
            **borders(new.samples, new.plan, [span[0] if where == "end" else span[1]]),
            **hearing(old.samples, new.samples),
        }


def _plays(plan: Plan, bar: int) -> tuple[Any, ...]:
    """Who plays in a bar, from 0, and with what energy."""
    of_bars = [(section.roles, section.energy) for section in plan.sections for _ in section.bars]
    return of_bars[bar]


def _alike(plan: Plan, at: int, added: int, where: str) -> list[tuple[int, int]]:
    """Spans of the bars that were there before and are played by the same roles with the energy of the new ones."""
    starts, new = plan.bar_starts(), range(at, at + added)
    kinds = {_plays(plan, bar) for bar in new}
    old = range(added, plan.n_bars) if where == "start" else range(at)
    return [(int(starts[bar]), int(starts[bar + 1])) for bar in old if _plays(plan, bar) in kinds]


def _lines_kept(old: Track, new: Track, at: int, added: int, where: str) -> bool:
    """Whether every bar that is kept begins at the sample where it did, as far as that moved; a sample rounds."""
    before, after = old.plan.bar_starts(), new.plan.bar_starts()
    if where == "end":
        return bool(np.abs(after[: at + 1] - before[: at + 1]).max() <= 1)
    return bool(np.abs(after[added:] - before - later_samples(old, new)).max() <= 1)


def loop(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """Bars of a track, or a prompt, that go round: the seam stands among the other bar lines of it, played twice."""
    for i in cases:
        rng = random.Random(f"loop {seed} {i}")
        if i % 2:
            genre, bars, old = GENRES[i // 2 % 10], rng.choice([2, 4, 8, 8]), None
            new = pipe.loop(f"{genre}, {rng.randint(80, 150)} BPM", bars, seed=i)
            wanted = bars
        else:
            old = tracks[i // 2]
            first = rng.randint(1, max(1, old.plan.n_bars - 3))
            last = min(old.plan.n_bars, first + rng.randint(3, 7))
            which = min(4, old.plan.n_bars) if i % 8 == 6 else (first, last)
            new = pipe.loop(old, which)
            wanted = which if isinstance(which, int) else last - first + 1
        yield {
            "case": i,
            "of a track": old is not None,
            "exact length": new.plan.n_bars == wanted and new.samples.shape[1] == int(new.plan.bar_starts()[-1]),
            **(kept(pipe, old, new) if old is not None else {"replay equal": _same(pipe.replay(new.manifest), new)}),
            **(_loop_source(old, new) if old is not None else {}),
            **seam(new, "prompt" if old is None else "bars"),
        }


def _loop_source(old: Track, new: Track) -> Values:
    """Whether the grid of a loop is that of the bars it was cut out of, and how its first beat sounds beside theirs."""
    later = later_samples(old, new)
    before = old.plan.bar_starts() + later
    first = int(np.argmin(np.abs(before)))
    grid = before[first : first + new.plan.n_bars + 1] - before[first]
    beat = (0, int(new.plan.beat_starts()[1]))
    old_beat = (beat[0] - later, beat[1] - later)
    return {
        "grid kept": bool(np.abs(grid - new.plan.bar_starts()).max() <= 1),
        "grid apart (ms)": float(np.abs(grid - new.plan.bar_starts()).max() / audio_rate() * 1000),
        **near_level("first beat as before", part_level(new.samples, [beat]) - part_level(old.samples, [old_beat])),
    }


def seam(track: Track, name: str) -> Values:
    """Where the seam stands among the other bar lines of a loop that is played twice."""
    twice, n = np.tile(track.samples, 2), track.plan.length
    lines = Lines.of(twice)
    inner = [lines.at(int(line)) for line in track.plan.bar_starts()[1:-1]]
    if len(inner) < 2:
        return {}
    here, found = lines.at(n), dict[str, Any]()
    for measure in ("bend", "flux", "step"):
        values = np.array([one[measure] for one in inner])
        found |= standing(measure, [(here[measure], values)])
        found |= standing(f"{measure} floor", [(values[k], np.delete(values, k)) for k in range(len(values))])
    found |= {"over all, by chance": 1 / (len(inner) + 1)}
    found[f"{name}: level into the seam (dB)"] = into(twice, n)
    found[f"{name}: floor, into other lines (dB)"] = [into(twice, int(line)) for line in track.plan.bar_starts()[1:-1]]
    return found


def into(samples: np.ndarray, line: int) -> float:
    """The level in dB of what is mixed before a seam at a line, over that of as much before it."""
    before, mixed = (samples[:, line - k * edges.SEAM :][:, : edges.SEAM] for k in (2, 1))
    return level(mixed) - level(before)


def vary(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """Another version, of every amount."""
    for i in cases:
        amount, old = (0.1, 0.3, 0.5, 0.8, 1.0)[i % 5], tracks[i]
        new = pipe.vary(old, amount, seed=None if i % 2 else seed + i)
        whole = [(0, old.plan.length)]
        yield {
            "track": i,
            "amount": amount,
            "exact length": new.samples.shape == old.samples.shape,
            **kept(pipe, old, new),
            **{f"{amount}: {name}": one for name, one in changed(old.samples, new.samples, whole).items()},
            **near_level("level as before", part_level(new.samples, whole) - part_level(old.samples, whole)),
            "chords, form and tempo kept": replace(new.plan, notes=(), codes=(), seed=0)
            == replace(old.plan, notes=(), codes=(), seed=0),
            f"{amount}: bars of parts with other notes": _other_notes(old.plan, new.plan),
            **hearing(old.samples, new.samples),
        }


def _other_notes(old: Plan, new: Plan) -> float:
    pairs = [pair for part in old.notes for pair in zip(part.bars, new.part(part.role).bars, strict=True)]
    return float(np.mean([before != after for before, after in pairs])) if pairs else math.nan


def long(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """Bars of a track of four minutes made anew, beside the time and the windows of all of it."""
    for i in cases:
        rng = random.Random(f"long {seed} {i}")
        plan = pipe.plan(GENRES[i], seconds=LONG, seed=i)[0]
        old, whole_s, all_windows = timed(pipe, functools.partial(pipe.render, plan))
        for n_bars in (1, 4, 8):
            first = rng.randint(1, plan.n_bars - n_bars)
            bars = (first, first + n_bars - 1)
            _, seconds, windows = timed(pipe, functools.partial(pipe.repaint, old, bars=bars))
            yield {
                "track": i,
                "whole render: seconds": whole_s,
                "whole render: windows": all_windows,
                f"{n_bars} bars: seconds": seconds,
                f"{n_bars} bars: windows": windows,
                f"{n_bars} bars: share of the time": seconds / whole_s,
            }


def timed(pipe: Pipeline, work: Callable[..., Track]) -> tuple[Track, float, float]:
    """What `work`, which takes `progress`, makes, in how many seconds, and in how many windows."""
    steps = 0

    def count(stage: str, _done: int, _total: int) -> None:
        nonlocal steps
        steps += stage == "rendering"

    begun = time.perf_counter()
    track = work(progress=count)
    return track, time.perf_counter() - begun, steps / pipe.config.sampling.num_steps


# ---- stems


def take_apart(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """Whether stems add up, hold their role, and what they hold of the others.

    The probe was fitted on whole songs: what it says of a role rendered alone is the floor. The true parts of a track
    are unknown, so separation is measured on a sum of roles rendered alone, taken apart by renders from other noise.
    """
    for i in cases:
        track = tracks[i]
        parts = pipe.stems(track)
        total = np.sum([part.samples for part in parts.values()], axis=0)
        found: Values = {
            "track": i,
            "n stems": len(parts),
            "off by": float(np.abs(total - track.samples).max()),
            "add up": bool(np.abs(total - track.samples).max() < 1e-5),
        }
        true, guides = ({role: alone(pipe, track, role, s) for role in parts} for s in (seed + 101 + i, seed + 202 + i))
        for role, part in parts.items():
            found |= {
                "probe hears its role": [*found.get("probe hears its role", []), _hears(part.samples, role)],
                "floor: in it alone": [*found.get("floor: in it alone", []), _hears(true[role], role)],
            }
        yield found | separation(true, guides)


def alone(pipe: Pipeline, track: Track, role: str, seed: int) -> np.ndarray:
    """Samples (2, N) of a role of a track rendered alone from other noise, not mastered."""
    plan, record = track.plan, track.manifest
    latents, known = mixdown.new_latents(pipe, plan), np.zeros(plan.n_frames, dtype=bool)
    prompt, sampling = pipe.encode_prompt(plan.prompt), pipe.config.sampling
    windows = WindowRenderer(pipe.renderer, plan, prompt, seed, sampling, heard=(role,), origin=record.origin)
    for _ in windows.fill(latents, known, (0, plan.n_frames)):
        pass
    return mixdown.decoded(pipe, plan, latents, (0, plan.length), record.origin)


def separation(true: dict[str, np.ndarray], guides: dict[str, np.ndarray]) -> Values:
    """Of roles whose sum is taken apart with other renders: SI-SDR of each part, what a mask gains over the mix itself,
    and the energy of its own part over that of the others in it, in dB; the best mask is that of the true parts.
    """
    if len(true) < 2:
        return {}
    mix = np.sum(list(true.values()), axis=0).astype(np.float32)
    parts = stems.shares(mix, list(guides.values()))
    ideal = stems.shares(mix, list(true.values()))
    found: Values = {}
    for (role, own), part, best in zip(true.items(), parts, ideal, strict=True):
        if level(own) < level(mix) - 40:  # hardly plays
            continue
        found |= {
            f"{role} SI-SDR": si_sdr(part, own),
            f"{role} gain over mix": si_sdr(part, own) - si_sdr(mix, own),
            f"{role} SI-SDR of true masks": si_sdr(best, own),
            f"{role} own over others": own_over_others(part, own, mix - own),
        }
    return found


def si_sdr(found: np.ndarray, true: np.ndarray) -> float:
    """Scale-invariant signal to distortion in dB of (2, N)."""
    scale = float((found * true).sum(dtype=float) / (np.square(true).sum(dtype=float) + 1e-12))
    return level(scale * true) - level(found - scale * true)


def own_over_others(part: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Energy in dB of the own sound in a stem over that of the others, each as far as the stem correlates with it."""
    basis = np.stack([own.reshape(-1), others.reshape(-1)], axis=1).astype(float)
    amounts, *_ = np.linalg.lstsq(basis, part.reshape(-1).astype(float), rcond=None)
    return level(amounts[0] * own) - level(amounts[1] * others)


def _hears(samples: np.ndarray, role: str) -> float:
    """The probability that the probe gives a role in a sound."""
    if not samples.any():
        return 0.0
    score = probe.load().standardize(probe.features(samples)) @ probe.load().role_weights
    return float(1 / (1 + np.exp(-score[ROLES.index(role)])))


# ---- covers, layers, streams


def cover(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """A track as another genre, at each depth: what is kept of it, and how much the new genre is heard.

    Floors: key and chords of the track itself; the genre of a track that is generated from the same words.
    """
    for i in cases:
        old, genre = tracks[i], GENRES[(7 * i + 3 + seed) % len(GENRES)]
        spans = [span for span in harmony.chord_spans(old.plan) if span[2] not in (None, NO_CHORD)]
        plain = pipe.generate(genre, seconds=round(old.plan.seconds, 2), seed=i)
        found: Values = {
            "track": i,
            "genre floor": _genre(plain.samples) == genre,
            **_kept_harmony("floor", old, spans),
        }
        for depth in ("plan", "codes", "latents"):
            new = pipe.cover(old, genre, depth, seed=1000 + i)
            found |= _kept_harmony(depth, new, spans)
            found |= {
                f"{depth}: genre heard": _genre(new.samples) == genre,
                f"{depth}: likeness of latents": float(np.corrcoef(old.latents.ravel(), new.latents.ravel())[0, 1]),
                f"{depth}: bars where they were": np.array_equal(new.plan.bar_starts(), old.plan.bar_starts()),
                f"{depth}: replay the same": _same(pipe.replay(new.manifest), new),
            }
        yield found


def _kept_harmony(name: str, track: Track, spans: Sequence[tuple[float, float, str | None]]) -> Values:
    """How the key and the chords of a plan are heard in a track."""
    heard = harmony.chords(track.samples, np.array([span[:2] for span in spans]))
    right = [
        one == harmony.majmin(chord) for one, (_, _, chord) in zip(heard, spans, strict=True) if harmony.majmin(chord)
    ]
    key = track.plan.key
    return {
        f"{name}: key weighted": scores.key_weighted(key, harmony.key(track.samples)[0]) if key else None,
        f"{name}: chords": float(np.mean(right)) if right else None,
    }


def _genre(samples: np.ndarray) -> str:
    """The genre that the probe hears."""
    return probe.load().genre(probe.features(samples))


def layer(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """A role that a track lacks: is what it plays in the chords, does it begin on the grid, is the rest as it was?"""
    for i in cases:
        rng, old = random.Random(f"layer {seed} {i}"), tracks[i]
        plays = {role for section in old.plan.sections for role in section.roles or ()}
        role = rng.choice(
            [one for one in ("lead", "winds", "strings", "guitar", "pad", "keys", "bass") if one not in plays]
        )
        result = pipe.layer(old, role)
        new, (at, notes) = result.track, result.track.plan.note_samples(role)
        bars = np.searchsorted(old.plan.bar_starts(), at[:, 0], side="right") - 1
        inside, beats = [], []
        for (start, _), note, bar in zip(at, notes, bars, strict=True):
            chords = old.plan.bars[min(bar, old.plan.n_bars - 1)].chords
            if not chords or chord_pitches(chords[0]) is None:
                continue
            first, last = old.plan.bar_starts()[bar : bar + 2]
            chord = chord_pitches(chords[min(len(chords) - 1, int(len(chords) * (start - first) / (last - first)))])
            inside.append(note.pitch % 12 in chord)
            beats.append(abs(4 * note.tick / TICKS - round(4 * note.tick / TICKS)) < 0.01)
        yield {
            "track": i,
            "notes": len(notes),
            "notes in their chord": float(np.mean(inside)) if inside else None,
            "onsets on sixteenths": float(np.mean(beats)) if beats else None,
            "level over the track's in dB": level(result.alone.samples) - level(old.samples),
            "added": float(np.corrcoef((new.samples - old.samples).ravel(), result.alone.samples.ravel())[0, 1]),
            "heard by the probe": _hears(new.samples, role),
            "floor: before": _hears(old.samples, role),
            "replay the same": _same(pipe.replay(new.manifest), new),
        }


def steer(pipe: Pipeline, tracks: Tracks, cases: Sequence[int], seed: int) -> Iterator[Values]:
    """A stream that is steered at a random moment: when that is heard, and whether the record repeats all of it."""
    for i in cases:
        rng, plan = random.Random(f"steer {seed} {i}"), tracks.plan(i)
        change = (
            {"mute": ("drums", "bass")},
            {"energy": 7 if (plan.sections[0].energy or 0) < 4 else 0},
            {"tempo": 97},
            {"chords": ["Db", "Gb"]},
            {"prompt": "solo piano"},
        )[i % 5]
        live, other = pipe.stream(plan, seed=i), pipe.stream(plan, seed=i)
        n_before = rng.randint(10, 40)
        given = [next(live) for _ in range(n_before)]
        position = sum(block.shape[1] for block in given)
        bar = live.steer(**change)
        while sum(block.shape[1] for block in given) < position + 8 * audio_rate():
            given.append(next(live))
        live.close()
        samples = np.concatenate([*given, *live], axis=1)
        plain = np.concatenate([next(other) for _ in range(samples.shape[1] // given[0].shape[1])], axis=1)
        differs = np.flatnonzero((samples[:, : plain.shape[1]] != plain).any(axis=0))
        track, starts = live.track(), live.track().plan.bar_starts()
        two_bars = 2 * float(np.diff(starts[max(0, bar - 2) : bar]).max())
        yield {
            "track": i,
            "bar within two bars": bool(starts[bar - 1] - position <= two_bars),
            "heard within two bars": bool(len(differs) and position <= differs[0] <= position + two_bars),
            "bars until it is heard": (float(differs[0]) - position) / (two_bars / 2) if len(differs) else None,
            "seconds until it is heard": (float(differs[0]) - position) / audio_rate() if len(differs) else None,
            "the stream is its track": np.array_equal(samples, track.samples),
            "replay the same": _same(pipe.replay(track.manifest), track),
        }


# ---- tables


def report(rows: Sequence[Values]) -> None:
    """Prints a line for each measure: how often it holds, or its median and its tenth and ninetieth percentiles."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        values = [one for row in rows for one in _listed(row.get(name)) if one is not None]
        if values and all(isinstance(one, bool) for one in values):
            print(f"  {name:52} {sum(values):5d} of {len(values):5d}  {sum(values) / len(values):6.3f}")
        elif values and all(isinstance(one, int | float) for one in values) and name not in ("track", "case"):
            low, middle, high = np.nanpercentile(np.array(values, dtype=float), (10, 50, 90))
            print(f"  {name:52} median {middle:10.4g}  ({low:.4g} to {high:.4g})  n {len(values)}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


OPERATIONS: dict[str, Callable[[Pipeline, Tracks, Sequence[int], int], Iterator[Values]]] = {
    "repaint": repaint,
    "extend-end": extend_end,
    "extend-start": extend_start,
    "loop": loop,
    "vary": vary,
    "long": long,
    "stems": take_apart,
    "cover": cover,
    "layer": layer,
    "steer": steer,
}


if __name__ == "__main__":
    main()
