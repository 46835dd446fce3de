"""Harmony: progressions as Roman numerals, their colors, and how a chord is voiced.

Numerals count from the major scale of the tonic in both modes ("bVI" in minor), lower case is minor; bars are separated
by "|", two chords in one bar by a space.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from hybridgen.plan.harmony import PITCHES, chord_pitches, scale_pitches, split_chord, split_key

DEGREES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
REGISTER = 7  # semitones that the mean of a voicing may be off its part's center
PULL = 0.1  # semitones of movement that are worth one nearer to it
CLASH = 1.5  # and that are worth two neighbors that are not a semitone apart
MINOR_SUFFIX = {"": "m", "7": "m7", "9": "m9", "6": "m6", "add9": "m"}


@dataclass(frozen=True)
class Progressions:
    """What a genre plays in one mode: verses, choruses and bridges, the chord before the end, and colors.

    colors: for a plain quality ("" or "m", or "dom" for V and bVII) the qualities that may replace it.
    """

    verse: tuple[str, ...]
    chorus: tuple[str, ...]
    bridge: tuple[str, ...]
    cadence: tuple[str, ...]
    colors: tuple[tuple[str, tuple[str, ...]], ...] = ()


@cache
def parse_roman(numeral: str) -> tuple[int, str]:
    """(semitones above the tonic, quality) of "bVII", "ii7", "V7", "iim7b5"."""
    match = re.fullmatch(r"(b|#)?([iv]+|[IV]+)(.*)", numeral)
    assert match is not None, numeral
    offset = DEGREES[match[2].lower()] + {"b": -1, "#": 1, None: 0}[match[1]]
    quality = match[3]
    if match[2].islower():
        quality = MINOR_SUFFIX.get(quality, quality)
    return offset % 12, quality


@cache
def parse_progression(text: str) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Bars of one or two (semitones above the tonic, quality)."""
    return tuple(tuple(parse_roman(numeral) for numeral in bar.split()) for bar in text.split("|"))


def color(rng: random.Random, chord: tuple[int, str], colors: dict[str, tuple[str, ...]]) -> tuple[int, str]:
    """The chord in one of the genre's colors."""
    offset, quality = chord
    kind = "dom" if quality == "" and offset in (7, 10) and "dom" in colors else quality
    return (offset, rng.choice(colors[kind])) if kind in colors else chord


def chord_name(tonic: int, chord: tuple[int, str]) -> str:
    """Canonical name of (semitones above the tonic, quality)."""
    return PITCHES[(tonic + chord[0]) % 12] + chord[1]


@dataclass(frozen=True)
class Harmonizer:
    """Writes the chords of sections; sections of one label have the same chords."""

    key: str
    themes: dict[str, tuple[tuple[str, ...], ...]]  # "verse", "chorus", "bridge" -> bars of chord names
    hold: int  # bars that each bar of a progression lasts
    cadence: str

    def section(self, label: str, n_bars: int, closing: bool, leads_on: bool) -> tuple[tuple[str, ...], ...]:
        """Chords of `n_bars` bars. `leads_on`: the last is a cadence; `closing`: it is the tonic and the end."""
        theme = self.themes[THEME.get(label, "verse")]
        bars = [theme[(i // self.hold) % len(theme)] for i in range(n_bars)]
        tonic, mode = split_key(self.key)
        home = PITCHES[tonic] + ("" if mode == "major" else "m")
        if closing:
            bars[-1] = (home,)
            if n_bars > 1:
                bars[-2] = (self.cadence,)
        elif leads_on and n_bars >= 4:
            bars[-1] = (*bars[-1][:1], self.cadence) if len(bars[-1]) == 2 else (self.cadence,)
        return tuple(bars)


THEME = {"chorus": "chorus", "drop": "chorus", "bridge": "bridge", "solo": "verse", "build": "verse"}


def draw_harmonizer(
    rng: random.Random, key: str, progressions: Progressions, hold: int, halves: bool, packs: bool
) -> Harmonizer:
    """A harmonizer for one song.

    hold: bars that each bar of a progression lasts. halves: whether a bar may hold two chords; if not, two chords take
    a bar each. packs: two bars of a progression share one.
    """
    tonic, _ = split_key(key)
    colors = dict(progressions.colors)
    themes = {}
    for name, pool in (("verse", progressions.verse), ("chorus", progressions.chorus), ("bridge", progressions.bridge)):
        bars = [[color(rng, chord, colors) for chord in bar] for bar in parse_progression(rng.choice(pool))]
        if not halves:
            bars = [[chord] for bar in bars for chord in bar]
        elif packs and all(len(bar) == 1 for bar in bars) and len(bars) % 4 == 0:
            bars = [[a[0], b[0]] for a, b in zip(bars[::2], bars[1::2], strict=True)]
        themes[name] = tuple(_merge(chord_name(tonic, chord) for chord in bar) for bar in bars)
    cadence = color(rng, parse_roman(rng.choice(progressions.cadence)), colors)
    return Harmonizer(key, themes, hold, chord_name(tonic, cadence))


def _merge(names: Iterable[str]) -> tuple[str, ...]:
    names = tuple(names)
    return names[:1] if len(set(names)) == 1 else names


@lru_cache(maxsize=8192)
def _stacks(chord: str, center: int, size: int, is_open: bool) -> tuple[tuple[int, ...], ...]:
    """All inversions of a chord whose mean is within `REGISTER` of `center`, low to high; at least one."""
    pitches = list(chord_pitches(chord))
    if len(pitches) > size:  # ninths leave the fifth out
        fifth = (pitches[0] + 7) % 12
        pitches = [p for p in pitches if p != fifth][:size] if fifth in pitches else pitches[:size]
    ordered = sorted(pitches)
    stacks = []
    for turn in range(len(ordered)):
        for octave in range(-24, 25, 12):
            base = center - center % 12 + octave
            stack = [base + p for p in ordered[turn:]] + [base + 12 + p for p in ordered[:turn]]
            if is_open and len(stack) > 2:
                stack = sorted((*stack[:-2], stack[-2] - 12, stack[-1]))
            stacks.append(tuple(stack))
    return tuple(stack for stack in stacks if abs(sum(stack) / len(stack) - center) <= REGISTER)


def movement(before: tuple[int, ...], after: tuple[int, ...]) -> float:
    """Mean semitones from each pitch of two voicings to the nearest of the other."""
    gaps = [min(abs(a - b) for b in before) for a in after] + [min(abs(a - b) for a in after) for b in before]
    return sum(gaps) / len(gaps)


def _strain(stack: tuple[int, ...], center: int) -> float:
    """What speaks against a voicing by itself: far from its register, or neighbors a semitone apart."""
    clashes = sum(b - a == 1 for a, b in pairwise(stack))
    return PULL * abs(sum(stack) / len(stack) - center) + CLASH * clashes


@lru_cache(maxsize=2048)
def voicings(chords: tuple[str, ...], center: int, size: int = 4, is_open: bool = False) -> dict[str, tuple[int, ...]]:
    """MIDI pitches of each chord, low to high, led from the chord before with as little movement as the register has.

    A chord that comes again has the voicing that it had, so that a progression that returns is played as it was.
    """
    found: dict[str, tuple[int, ...]] = {}
    before: tuple[int, ...] = ()
    for chord in chords:
        if chord not in found:
            stacks = _stacks(chord, center, size, is_open)
            costs = [(movement(before, one) if before else 0.0) + _strain(one, center) for one in stacks]
            found[chord] = stacks[costs.index(min(costs))]
        before = found[chord]
    return found


@lru_cache(maxsize=8192)
def ladder(chord: str, low: int, rungs: int = 10) -> tuple[int, ...]:
    """Chord tones upwards from the lowest root at or above `low`."""
    root = split_chord(chord)[0]
    base = low + (root - low) % 12
    intervals = sorted((p - root) % 12 for p in chord_pitches(chord))
    return tuple(base + 12 * (i // len(intervals)) + intervals[i % len(intervals)] for i in range(rungs))


@lru_cache(maxsize=8192)
def scale_over(key: str, chord: str, pentatonic: bool = False) -> tuple[int, ...]:
    """Pitch classes for a melody over a chord: its own, and those of the key that do not clash with foreign ones."""
    tones = set(chord_pitches(chord))
    tonic, mode = split_key(key)
    scale = set(scale_pitches(key))
    if pentatonic:
        scale = {(tonic + step) % 12 for step in ((0, 2, 4, 7, 9) if mode == "major" else (0, 3, 5, 7, 10))}
    foreign = tones - set(scale_pitches(key))
    kept = {p for p in scale if not any((p - f) % 12 in (1, 11) for f in foreign)}
    return tuple(sorted(tones | kept))
