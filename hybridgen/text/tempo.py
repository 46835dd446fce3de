"""The tempo in the words of a prompt: "84 BPM", "96-100 bpm", "dotted quarter = 60", "slow", "from 80 to 140 BPM"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hybridgen.plan.parts import MAX_BARS, MAX_TEMPO, MIN_TEMPO, TempoChange
from hybridgen.text.numbers import COUNT, NUMBER, to_number
from hybridgen.text.reader import PromptScanner, before, clip, compiled, is_refused

TempoRange = float | tuple[float, float]

BPM = r"\s*-?\s*(?:bpm|b\.p\.m\.?|beats?\s*(?:per|a|/)\s*min(?:ute)?)(?![a-z])"
IS = r"(?:\s*(?:of|is|at|near|marking|set\s+to|to\s+be|should\s+be|must\s+be|[:=@\"']))*\s*"
ABOUT = r"(?:around|about|approx(?:imately|\.)?|roughly|circa|c\.|ca\.?|nearly|close\s+to|[~≈])"
TEMPO_RANGE = compiled(
    rf"(?P<lead>\b(?:tempo|bpm|between|from)[\s:=]+(?:(?:of|is|between|from|{ABOUT})\s+)*)?"
    rf"(?P<low>{NUMBER})(?P<low_unit>{BPM})?\s*(?P<to>[-–—>]|to\b|and\b|up\s+to\b|down\s+to\b)\s*(?P<high>{NUMBER})"
    rf"(?P<unit>{BPM})?(?!\s*/)"
)
NOTES = {  # how many quarter notes
    "half": 2.0, "minim": 2.0, "quarter": 1.0, "crotchet": 1.0, "eighth": 0.5, "quaver": 0.5, "sixteenth": 0.25,
    "♩": 1.0, "♪": 0.5,
}  # fmt: skip
NOTE = (
    r"(?:(?P<dotted>dotted[\s-]+)?(?P<note>half|minim|quarter|crotchet|eighth|quaver|sixteenth)(?:[\s-]?notes?)?"
    r"|(?P<sign>[♩♪])(?P<dot>\s?\.)?)"
)
METRONOME = compiled(
    rf"(?<!\w){NOTE}\s*(?:=|is|equals|at)\s*(?P<about>{ABOUT}\s*)?(?P<count>{NUMBER})(?:{BPM})?(?!\s*[/:]\s*\d)"
)
TEMPO = compiled(
    rf"(?P<about>(?<!\w){ABOUT}\s*(?:a\s+)?(?:tempo\s+of\s+)?)?(?P<bpm>{COUNT}){BPM}"
    rf"|(?<!\w)(?<!\w-)(?:tempo(?:[\s_]bpm)?|bpm|metronome|m\.?m\.?){IS}(?P<named_about>{ABOUT}\s*)?"
    rf"(?P<named>{NUMBER}|(?<=bpm)\d{{2,3}})"
    rf"(?:{BPM})?(?!\s*[/:]\s*\d|[\s-]*(?:bars?|measures?|min|sec)|[.,]?\d|[a-z])"
)
BARE = compiled(
    r"(?:(?<![\w-])at|(?<!\w)@)\s*(?P<bare>\d{2,3})(?=\s*(?:$|[,;.)]|\x00|in\b|with\b|and\b|for\b))(?!\.\d)"
)
EVENT_BEFORE = compiled(r"\b(?:drop|enters?|comes? in|starts?|begins?|ends?|arrives?|solo|break|chorus|verse)\s+$")
NOT_TEMPO = compiled(
    rf"\b(?:the\s+)?(?:tempo|bpm|speed)\s+(?:(?:is|should be|must be|may be|can be)\s*)?(?:not|n't|isn't|never"
    rf"|anything but|other than)\s+(?:be\s+|at\s+)?{NUMBER}(?:{BPM})?"
)
BOUND = compiled(
    rf"\b(?:(?P<most>under|below|at most|not? (?:faster|more|quicker|higher) than|slower than|less than"
    rf"|not (?:over|above)|max(?:imum)?(?:\s+of)?)"
    rf"|(?P<least>over|above|at least|not? (?:slower|less|lower) than|faster than|more than"
    rf"|not (?:under|below)|min(?:imum)?(?:\s+of)?))\s+(?P<bpm>{NUMBER}){BPM}"
)

ABOUT_SHARE = 0.03  # "about 100" is 97-103
# Quarter notes a minute. The everyday words go with the captions that the planner learned from
# (data.vocabulary.TEMPO_WORDS), the Italian ones with their usual metronome markings
# (https://en.wikipedia.org/wiki/Tempo#Basic_tempo_markings).
PACES: dict[str, tuple[float, float]] = {
    r"(?:very|extremely|super|really) slow|glacial": (40, 66),
    r"moderately slow": (78, 100),
    r"slow(?:ish|[\s-]paced|[\s-]tempo)?|unhurried|leisurely|ballad(?=\s*$)": (50, 92),
    r"down[\s-]?tempo": (60, 100),
    r"half[\s-]?time": (60, 90),
    r"(?:mid|medium|moderate)[\s-]*(?:tempo|paced?)|moderate(?=\s*(?:[,.;]|$))": (92, 122),
    r"moderately fast": (108, 126),
    r"up[\s-]?tempo|brisk|quick": (122, 170),
    r"(?:very|super|extremely|really) fast|breakneck|lightning[\s-]fast": (168, 240),
    r"fast(?:[\s-]paced|[\s-]tempo)?|double[\s-]?time": (140, 200),
    r"grave(?=\s*(?:[,.;)]|$|maestoso))": (30, 50),
    r"larghetto": (60, 70), r"largo|lento": (40, 66), r"adagietto": (65, 80), r"adagio": (60, 78),
    r"andantino|andante": (78, 110), r"moderato": (108, 122), r"allegretto": (104, 126), r"allegro": (122, 170),
    r"vivace|vivo": (140, 180), r"prestissimo": (190, 240), r"presto": (168, 210),
}  # fmt: skip
PACE_PATTERNS = tuple((compiled(rf"(?<![\w-])(?:{words})(?![\w'])"), pace) for words, pace in PACES.items())
NOT_A_PACE = compiled(  # "slow strings", "fast attack": of something else than the track
    r"[\s-]+(?:strings?|attack|decay|release|fade|build\w*|burn\w*|motion|evolv\w+|pads?|lfo|sweep|rise|rises|swell\w*|forward"
    r"|start|intro|outro|ending|hi-?hats?|hats?|arpeggi\w+|runs?|rolls?|fills?|licks?|riffs?|picking|strumming|solos?"
    r"|food|cars?|up|down)\b"
)
PART_BEFORE = compiled(
    r"\b(?:(?P<start>starts?|begins?|opens?|starting)|ends?|ending|then|later|intro|outro)\s+(?:off\s+)?$"
)

RITARDANDO, RITARDANDO_BARS, SLOWER, FASTER = 0.7, 4, 0.7, 1.35
AT_THE_END = r"(?:\s+(?:(?:at|towards?|near|into)\s+the\s+(?:very\s+)?end(?:ing)?|in\s+the\s+(?:last\s+bars|outro)))"
RITARDANDOS = compiled(
    rf"\b(?:(?:(?:final|a|big|slight|molto|poco)\s+)?(?:ritardando|rallentando|ritenuto|rit\.|rall\.){AT_THE_END}?"
    rf"|(?:slow(?:s|ing)?(?:\s+down)?|gets?\s+slower|tempo\s+drops){AT_THE_END})(?!\w)"
)
SLOWING = compiled(
    r"\b(?:slow(?:s|ing)?\s+down|(?:gets?|getting|becom(?:es?|ing))\s+slower|calando)(?:\s+(?:gradually|slowly))?\b"
)
HURRYING = compiled(
    rf"\b(?:accelerando|stringendo|accel\.|speed(?:s|ing)?\s+up|(?:gets?|getting|becom(?:es?|ing))\s+faster|accelerat(?:es?|ing))"
    rf"(?P<end>{AT_THE_END})?(?:\s+(?:gradually|slowly))?(?!\w)"
)
CHANGE_AT = compiled(
    rf"\b(?:(?:tempo\s+)?change(?:s)?(?:\s+(?:of\s+)?tempo)?\s+to|switch(?:es)?\s+to|jumps?\s+to|drops?\s+to|then)\s+"
    rf"(?P<count>{NUMBER}){BPM}(?P<place>\s+(?:at|in|from)\s+bar\s+(?P<bar>\d{{1,4}}))\b"
)


@dataclass(frozen=True)
class Pace:
    """What is fixed of the tempo: quarter notes a minute, or a range of them; and how it changes."""

    tempo: TempoRange | None
    changes: tuple[TempoChange, ...] | None


def find_tempo(scanner: PromptScanner) -> Pace:
    """The tempo and its changes; a number beats a word such as "slow"."""
    changes = find_changes(scanner)
    found: list[tuple[int, TempoRange]] = []
    for match in scanner.take_requested(TEMPO_RANGE, is_tempo_range):
        low, high = (round(to_number(match[end]), 1) for end in ("low", "high"))
        if moves(match):
            changes = [TempoChange(-1, bpm=high, ramp=True)]
            found.append((match.start(), low))
        else:
            found.append((match.start(), as_range(low, high)))
    for match in scanner.take(NOT_TEMPO):
        scanner.note(match.start(), f"what is not wanted is not read: {clip(match[0])!r} is left free")
        scanner.mislead(*match.span())
    for match in scanner.take(BOUND):
        bpm = min(max(to_number(match["bpm"]), MIN_TEMPO), MAX_TEMPO)
        found.append((match.start(), as_range(*((MIN_TEMPO, bpm) if match["most"] else (bpm, MAX_TEMPO)))))
    for match in scanner.take_requested(METRONOME):
        value = NOTES[(match["note"] or match["sign"]).lower()] * (1.5 if match["dotted"] or match["dot"] else 1.0)
        found += checked(scanner, match.start(), to_number(match["count"]) * value, bool(match["about"]))
    for pattern in (TEMPO, BARE):
        for match in scanner.take_requested(pattern, lambda match: not EVENT_BEFORE.search(before(match))):
            found += read_tempo(scanner, match)
    tempo = scanner.first("tempo", found, show_tempo)
    pace = find_pace(scanner, is_changing=bool(changes))
    return Pace(pace if tempo is None else tempo, tuple(changes) or None)


def read_tempo(scanner: PromptScanner, match: re.Match) -> list[tuple[int, TempoRange]]:
    """The tempo of a match of `TEMPO` or `BARE`."""
    groups = match.groupdict()
    about = bool(groups.get("about") or groups.get("named_about"))
    requested = to_number(groups.get("bpm") or groups.get("named") or groups["bare"])
    return checked(scanner, match.start(), requested, about)


def checked(scanner: PromptScanner, position: int, requested: float, about: bool) -> list[tuple[int, TempoRange]]:
    """The tempo with its position, on the grid of 0.1; nothing, and a note, where it is not possible."""
    if not MIN_TEMPO <= requested <= MAX_TEMPO:
        limits = f"{MIN_TEMPO:g}-{MAX_TEMPO:g} BPM"
        scanner.note(position, f"tempo {requested:g} is outside {limits}: the tempo is left free")
        return []
    if about:
        return [(position, as_range(requested * (1 - ABOUT_SHARE), requested * (1 + ABOUT_SHARE)))]
    bpm = round(requested, 1)
    if bpm != requested:
        scanner.note(position, f"tempo {requested:g} is rounded to {bpm:g}, tempi have steps of 0.1")
    return [(position, bpm)]


def as_range(low: float, high: float) -> TempoRange:
    """The range between two tempi, whichever is higher, inside what is possible."""
    low, high = sorted((low, high))
    return (round(max(low, MIN_TEMPO), 1), round(min(high, MAX_TEMPO), 1)) if low != high else round(low, 1)


def show_tempo(tempo: TempoRange) -> str:
    """ "84 BPM", "96-100 BPM"."""
    return f"{tempo[0]:g}-{tempo[1]:g} BPM" if isinstance(tempo, tuple) else f"{tempo:g} BPM"


def is_tempo_range(match: re.Match) -> bool:
    """Two tempi, and not "16-84 bpm" or "bars 3 to 120 bpm"."""
    lead = (match["lead"] or "").lower()
    spoken = match["unit"] or match["low_unit"] or lead.startswith(("tempo", "bpm"))
    joined = match["to"].lower() != "and" or "between" in lead
    within = all(MIN_TEMPO <= to_number(match[end]) <= MAX_TEMPO for end in ("low", "high"))
    return bool(spoken) and joined and within


def moves(match: re.Match) -> bool:
    """Whether the tempo goes from the one to the other: "from 80 to 140 BPM", "80 > 140 BPM", "90 up to 120 bpm"."""
    directed = match["to"].lower().split()[0] in (">", "up", "down")
    return directed or (match["lead"] or "").lower().startswith("from")


def find_pace(scanner: PromptScanner, is_changing: bool) -> tuple[float, float] | None:
    """The range of the first word for a pace: "slow", "allegro"; of several, the most precise comes first."""
    found = []
    for pattern, (low, high) in PACE_PATTERNS:
        for match in scanner.take_requested(pattern, lambda match: is_pace(match, is_changing)):
            found.append((match.start(), (float(low), float(high))))
    paces = sorted(found)
    for position, (low, high) in paces[1:]:
        if low >= paces[0][1][1] or high <= paces[0][1][0]:
            first = show_tempo(paces[0][1])
            scanner.note(position, f"{show_tempo((low, high))} contradicts {first} in words: the first is taken")
    return paces[0][1] if paces else None


def is_pace(match: re.Match, is_changing: bool) -> bool:
    """Whether a word for a pace is said of the whole track, or of its start where the tempo then changes."""
    part = PART_BEFORE.search(before(match))
    return not NOT_A_PACE.match(match.string, match.end()) and (part is None or (is_changing and bool(part["start"])))


def find_changes(scanner: PromptScanner) -> Sequence[TempoChange]:
    """Ritardando, accelerando, and steps to another tempo at a bar; their places are counted from the end."""
    ends: list[TempoChange] = []
    for match in scanner.take_requested(CHANGE_AT):
        bpm = to_number(match["count"])
        scanner.mislead(*match.span("place"))
        if MIN_TEMPO <= bpm <= MAX_TEMPO and 1 < int(match["bar"]) <= MAX_BARS:
            ends.append(TempoChange(int(match["bar"]), bpm=bpm))
        else:
            scanner.note(match.start(), f"{clip(match[0])!r} is not possible: the tempo is left free")
    if take_unrefused(scanner, RITARDANDOS):
        return [*ends, TempoChange(-RITARDANDO_BARS, scale=1.0), TempoChange(-1, scale=RITARDANDO, ramp=True)]
    if take_unrefused(scanner, SLOWING):
        return [*ends, TempoChange(-1, scale=SLOWER, ramp=True)]
    hurried = take_unrefused(scanner, HURRYING)
    if hurried and hurried[0]["end"]:
        ends.append(TempoChange(-2 * RITARDANDO_BARS, scale=1.0))
    return [*ends, TempoChange(-1, scale=FASTER, ramp=True)] if hurried else ends


def take_unrefused(scanner: PromptScanner, pattern: re.Pattern) -> list[re.Match]:
    """What the pattern finds and the words do not rule out: "no accelerando" is read, and nothing else is needed."""
    return [match for match in scanner.take(pattern) if not is_refused(match)]
