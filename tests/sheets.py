"""Random plans of what sheets carry, and inputs that are damaged."""

import random
from collections.abc import Callable

import pytest

from hybridgen.plan.harmony import KEYS, METERS, NO_CHORD, PITCHES, QUALITIES, meter_quarters
from hybridgen.plan.notes import TICKS, Note, Part
from hybridgen.plan.parts import LABELS, Bar, Section, Tempo
from hybridgen.plan.plan import Plan


def random_chords(rng: random.Random) -> tuple[str, ...] | None:
    """A bar's chords, sometimes unknown."""
    if rng.random() < 0.1:
        return None
    return tuple(
        NO_CHORD if rng.random() < 0.1 else rng.choice(PITCHES) + rng.choice(QUALITIES)
        for _ in range(rng.choice([1, 1, 2]))
    )


def random_sections(rng: random.Random) -> tuple[Section, ...]:
    """One to four sections."""
    return tuple(
        Section(rng.choice([None, *LABELS]), tuple(Bar(random_chords(rng)) for _ in range(rng.randint(1, 6))))
        for _ in range(rng.randint(1, 4))
    )


def random_lead(rng: random.Random, meter: str, n_bars: int) -> Part:
    """Up to three voices on several grids, held over bar lines, with bars of silence and bars that are unknown."""
    ticks, end = round(meter_quarters(meter) * TICKS), round(meter_quarters(meter) * TICKS) * n_bars
    grid = rng.choice([13, 20, 30, 60, 80, 120, 160, 240, 480])
    unknown = {number for number in range(n_bars) if rng.random() < 0.15}
    free = {number for number in range(n_bars) if rng.random() < 0.2} | unknown
    bars: list[list[Note] | None] = [None if number in unknown else [] for number in range(n_bars)]
    ends: dict[int, int] = {}  # pitch -> when it is over
    walls = [number * ticks for number in sorted(unknown)] + [end]
    for begin in range(0, end, max(grid * rng.randint(1, 6), 50 // grid * grid)):
        if begin // ticks in free or rng.random() < 0.3:
            continue
        limit = min(wall for wall in walls if wall > begin) - begin
        for pitch in {
            rng.randint(0, 127) if rng.random() < 0.1 else rng.randint(55, 79)
            for _ in range(rng.choice([1, 1, 1, 2, 3]))
        }:
            if ends.get(pitch, 0) <= begin:
                length = min(grid * rng.randint(1, 12), limit)
                ends[pitch] = begin + length
                bar = bars[begin // ticks]
                assert bar is not None
                bar.append(Note(begin % ticks, length, pitch))
    if not any(bars):
        bars[0] = [Note(0, ticks, 60)]
    return Part("lead", tuple(None if bar is None else tuple(bar) for bar in bars))


def random_sheet(rng: random.Random, with_notes: bool = True) -> Plan:
    """A plan of sections, chords, one key, steps of tempo and, perhaps, notes of the lead."""
    meter, sections = rng.choice(METERS), random_sections(rng)
    n_bars = sum(len(section.bars) for section in sections)
    lead = random_lead(rng, meter, n_bars) if with_notes and rng.random() < 0.8 else None
    tempo = [Tempo(1, rng.randint(600, 3000) / 10)]
    for bar in sorted(rng.sample(range(2, n_bars + 1), rng.randint(0, min(2, n_bars - 1)))):
        bpm = rng.randint(600, 3000) / 10
        if bpm != tempo[-1].bpm:
            tempo.append(Tempo(bar, bpm))
    return Plan(
        sections,
        tuple(tempo) if with_notes else tuple(tempo[:1]),
        meter,
        rng.choice([None, *KEYS]),
        () if lead is None else (("lead", None),),
        prompt=rng.choice(["", "a slow waltz", "100% \\ é"]) if with_notes else "",
        notes=() if lead is None else (lead,),
    )


def check_damaged(read: Callable[[str], object], texts: list[str], seed: int) -> None:
    """500 damaged texts are read or refused by a ValueError of one line."""
    rng = random.Random(seed)
    for _ in range(500):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                text = text[:at]
            elif kind == 1:
                text = text[:at] + text[at + rng.randint(1, 8) :]
            elif kind == 2:
                text = text[:at] + chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x3000)])) + text[at + 1 :]
            else:
                text = text[:at] + rng.choice(list("|:[]()0123456789/-%\"'<>&;\n")) + text[at:]
        refused_in_one_line(read, text)


def refused_in_one_line(read: Callable[[str], object], text: str) -> None:
    """`read` takes the text or raises a ValueError of one line."""
    try:
        read(text)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 400, str(error)
    except Exception as error:  # the fact under test
        pytest.fail(f"{type(error).__name__}: {error} for {text!r}")
