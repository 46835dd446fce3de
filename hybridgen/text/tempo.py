"""Tempo in the words of a prompt: "84 BPM", "slow", "96-100", "dotted quarter = 60"."""

import re

from hybridgen.plan.parts import MAX_TEMPO, MIN_TEMPO
from hybridgen.text.numbers import COUNT, NUMBER, to_number
from hybridgen.text.reader import PromptScanner, before, clip, compiled

BPM = r"\s*-?\s*(?:bpm|b\.p\.m\.?|beats?\s*(?:per|a|/)\s*min(?:ute)?)(?![a-z])"
TEMPO_RANGE = compiled(
    rf"(?P<lead>\b(?:tempo|bpm|between|from)[\s:=]+(?:(?:of|is|between|from|around|about)\s+)*)?"
    rf"(?P<low>{NUMBER})(?P<low_unit>{BPM})?\s*(?P<to>[-–—]|to\b|and\b)\s*(?P<high>{NUMBER})(?P<unit>{BPM})?(?!\s*/)"
)
TEMPO = compiled(
    rf"(?P<bpm>{COUNT}){BPM}"
    rf"|(?<![\w-])(?:tempo|bpm|metronome)(?:\s*(?:of|is|at|around|about|near|marking|set\s+to|[:=~≈@]))*\s*(?P<named>{NUMBER})"
    rf"(?:{BPM})?(?!\s*[/:]\s*\d|[\s-]*(?:bars?|measures?|min|sec)|[.,]?\d|[a-z])"
    rf"|♩\s*=\s*(?P<note>{NUMBER})"
)


# The words of the captions (data.vocabulary) where they are used there, and the usual ranges of the Italian ones.
PACES = (
    (r"very slow|largo|grave|lento", (40.0, 66.0)),
    (r"adagio|larghetto", (60.0, 78.0)),
    (r"slow(?:-paced|ish)?|downtempo|unhurried|ballad(?=\s*$)", (50.0, 92.0)),
    (r"andante|andantino", (78.0, 110.0)),
    (r"mid-?\s?tempo|medium tempo|moderate(?: tempo)?", (92.0, 122.0)),
    (r"moderato|moderately fast", (108.0, 122.0)),
    (r"very fast|breakneck|presto|prestissimo", (168.0, 210.0)),
    (r"allegro|allegretto|vivace|uptempo|up-tempo|quick|brisk", (122.0, 170.0)),
    (r"fast(?:-paced)?", (140.0, 200.0)),
)
PACE_PATTERNS = tuple(
    (
        compiled(
            rf"(?<![\w-])(?:{words})(?![\w-]|\s+(?:attack|release|build|motion|fade|pads?|strings|reverb|lfo|burn|sweep|"
            r"arpegg\w*|hi-?hats?|drums?|breaks?|run|runs|strumm\w*|picking|decay|riser|ma non))"
        ),
        bounds,
    )
    for words, bounds in PACES
)
ABOUT = re.compile(r"\b(?:about|around|approximately|approx\.?|roughly|circa|ca\.?|near|some)\s*$|~\s*$", re.IGNORECASE)
NEGATED = compiled(r"\b(?:tempo|bpm)\s+(?:is\s+|should\s+)?(?:not|never)(?:\s+(?:be|at))*\s+\d{2,3}(?:\s*bpm)?")
ABOUT_SHARE = 0.03  # "about 100" is 97-103


def find_tempo(scanner: PromptScanner) -> float | tuple[float, float] | None:
    """Quarter notes a minute, or a range of them: "96-100", "about 100", "slow"."""
    for match in scanner.take(NEGATED):
        scanner.note(match.start(), f"what is not wanted is not read: {clip(match[0])!r} is left free")
        scanner.mislead(*match.span())
    found: list[tuple[int, float | tuple[float, float]]] = []
    for match in scanner.take_requested(TEMPO_RANGE, is_tempo_range):
        low, high = to_number(match["low"]), to_number(match["high"])
        if (match["lead"] or "").lower().startswith("from"):
            said = "moves, which is set in the plan and not in words"
            scanner.note(match.start(), f"tempo {clip(match[0])!r} {said}: {round(low, 1):g} BPM is taken")
            found.append((match.start(), round(low, 1)))
        else:
            found.append((match.start(), (round(min(low, high), 1), round(max(low, high), 1))))
    for match in scanner.take_requested(TEMPO):
        requested = to_number(match["bpm"] or match["named"] or match["note"])
        if not MIN_TEMPO <= requested <= MAX_TEMPO:
            limits = f"{MIN_TEMPO:g}-{MAX_TEMPO:g} BPM"
            scanner.note(match.start(), f"tempo {requested:g} is outside {limits}: the tempo is left free")
            continue
        bpm = round(requested, 1)
        if bpm != requested:
            scanner.note(match.start(), f"tempo {requested:g} is rounded to {bpm:g}, tempi have steps of 0.1")
        if ABOUT.search(before(match)) or ABOUT.search(match[0][: match[0].find(f"{requested:g}")]):
            around = max(MIN_TEMPO, bpm * (1 - ABOUT_SHARE)), min(MAX_TEMPO, bpm * (1 + ABOUT_SHARE))
            found.append((match.start(), (round(around[0], 1), round(around[1], 1))))
        else:
            found.append((match.start(), bpm))
    paces = [(m.start(), bounds) for pattern, bounds in PACE_PATTERNS for m in scanner.take_requested(pattern)]
    return scanner.first("tempo", found, _show) or (min(paces)[1] if paces else None)


def _show(tempo: float | tuple[float, float]) -> str:
    return f"{tempo[0]:g}-{tempo[1]:g} BPM" if isinstance(tempo, tuple) else f"{tempo:g} BPM"


def is_tempo_range(match: re.Match) -> bool:
    """Two tempi, and not "16-84 bpm" or "bars 3 to 120 bpm"."""
    lead = (match["lead"] or "").lower()
    spoken = match["unit"] or match["low_unit"] or lead.startswith(("tempo", "bpm"))
    joined = match["to"].lower() != "and" or "between" in lead
    within = all(MIN_TEMPO <= to_number(match[end]) <= MAX_TEMPO for end in ("low", "high"))
    return bool(spoken) and joined and within
