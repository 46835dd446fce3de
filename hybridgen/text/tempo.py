"""The tempo in the words of a prompt: "84 BPM", "96-100 bpm", "dotted quarter = 60", "slow", "from 80 to 140 BPM"."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybridgen.plan.parts import MAX_BARS, MAX_TEMPO, MIN_TEMPO, TempoChange
from hybridgen.text.names import GENRE
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
    r"(?:(?<![\w-])at|(?<!\w)@)\s*(?P<bare>\d{2,3})(?=\s*(?:$|[,;.)]|\x00|in\b|with\b|and\b|for\b|then\b))(?!\.\d)"
)
LOWEST_BARE, ALONE = 40, r"(?<![\w.,:/#%-])\d{2,3}(?:\.\d)?"
ENDS_CLAUSE = r"\s*(?:$|[,;.)|](?!\d))"
BARE_TEMPO = compiled(
    rf"(?:(?P<genre>(?<![\w-])(?:{GENRE})(?:\s(?:beats?|loop|track|song|tune|music|groove|jam|instrumental))?\s)|(?:(?<=[,;]\s)|(?<=\x00)\s?)"
    rf"|^(?=[\d\s–-]+,))(?P<low>{ALONE})(?:\s?(?:[-–—]|to)\s?(?P<high>\d{{2,3}}(?:\.\d)?))?"
    rf"(?=(?(genre)(?:{ENDS_CLAUSE}|\s*(?:\x00|(?:in|with|and|for)\b))|{ENDS_CLAUSE}))"
)
EVENT_BEFORE = compiled(
    r"\b(?:drop|enters?|comes? in|(?P<start>starts?|begins?)|ends?|arrives?|solo|break|chorus|verse)\s+$"
)
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
HEARD_CHANGE = 1.1  # where only the goal of a change is named, the start is this far from it at least
AT_THE_END = r"(?:\s+(?:(?:at|towards?|near|into)\s+the\s+(?:very\s+)?end(?:ing)?|in\s+the\s+(?:last\s+bars|outro)))"
GOAL = (  # "to 60 bpm", "from 100 up to 140"
    rf"(?:(?:\s+from\s+(?P<start>{NUMBER})(?:{BPM})?)?(?:\s*,?\s+(?:up|down))?\s+to\s+(?:{ABOUT}\s*)?(?P<goal>{NUMBER})"
    rf"(?P<unit>{BPM})?(?!\s*[/:%]\s*\d?|[\s-]*(?:bars?|measures?|min|sec|per\s?cent|times|voices|parts)|[.,]?\d|[a-z]))"
)
GRADUALLY = r"(?:\s+(?:gradually|slowly|steadily))?"
TAIL = rf"{GRADUALLY}(?P<end>{AT_THE_END})?{GRADUALLY}{GOAL}?(?P<late>{AT_THE_END})?(?!\w)"
RITARDANDOS = compiled(
    rf"\b(?:(?P<named>(?:(?:final|a|big|slight|molto|poco)\s+)?(?:ritardando|rallentando|ritenuto|rit\.|rall\.))"
    rf"|slow(?:s|ing)?(?:\s+down)?|gets?\s+slower|tempo\s+drops|(?P<any>drops|falls|decreases)){TAIL}"
)
SLOWING = compiled(
    r"\b(?:(?P<named>slow(?:s|ing)?\s+down|(?:gets?|getting|becom(?:es?|ing))\s+slower|calando)"
    rf"|slow(?:s|ing)|(?P<any>drops|falls|decreases|goes\s+down)){TAIL}"
)
HURRYING = compiled(
    r"\b(?:(?P<named>accelerando|stringendo|accel\.|speed(?:s|ing)?\s+up|(?:gets?|getting|becom(?:es?|ing))\s+faster"
    rf"|accelerat(?:es?|ing))|(?P<any>rises|climbs|increases|goes\s+up)){TAIL}"
)
CHANGE_AT = compiled(
    rf"\b(?:(?:tempo\s+)?change(?:s)?(?:\s+(?:of\s+)?tempo)?\s+to|switch(?:es)?\s+to|jumps?\s+to|drops?\s+to|then)\s+"
    rf"(?P<count>{NUMBER}){BPM}(?P<place>\s+(?:at|in|from)\s+bar\s+(?P<bar>\d{{1,4}}))\b"
)


@dataclass(frozen=True)
class Pace:
    """What is fixed of the tempo: quarter notes a minute, or a range of them; whether numbers say it; its changes."""

    tempo: TempoRange | None
    in_numbers: bool
    changes: tuple[TempoChange, ...] | None


@dataclass(frozen=True)
class Course:
    """How the tempo goes on: its changes, where it starts as far as they say it, and where else it may start."""

    changes: tuple[TempoChange, ...]
    starts: tuple[tuple[int, TempoRange], ...] = ()  # with their positions
    room: TempoRange | None = None


def find_tempo(scanner: PromptScanner) -> Pace:
    """The tempo and its changes; a number beats a word such as "slow"."""
    course = find_changes(scanner)
    changes = course.changes
    found = list(course.starts)
    for match in scanner.take_requested(TEMPO_RANGE, is_tempo_range):
        low, high = (round(to_number(match[end]), 1) for end in ("low", "high"))
        if moves(match):
            changes = (TempoChange(-1, bpm=high, ramp=True),)
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
        for match in scanner.take_requested(pattern, lambda match: not is_event(match, course)):
            found += read_tempo(scanner, match)
    tempo = scanner.first("tempo", found, show_tempo)
    pace = find_pace(scanner, is_changing=bool(changes))
    return Pace((pace or course.room) if tempo is None else tempo, tempo is not None, changes or None)


def is_event(match: re.Match, course: Course) -> bool:
    """Whether a number says where something happens ("drop at 90"), and not where a tempo with a goal starts."""
    event = EVENT_BEFORE.search(before(match))
    return event is not None and not (course.room and event["start"])


def find_bare_tempo(scanner: PromptScanner) -> TempoRange | None:
    """A number that stands alone where a tempo is usual: "techno 130", "deep house, 124", "allegro, 132-144".

    To be read after all other numbers, and where none of them is a tempo. None where there is more than one.
    """
    found = [match for match in BARE_TEMPO.finditer(scanner.words) if is_alone(match)]
    if len(found) != 1:
        return None
    scanner.blank(found[0].start("low"), found[0].end())
    return as_range(float(found[0]["low"]), float(found[0]["high"] or found[0]["low"]))


def is_alone(match: re.Match) -> bool:
    """Whether a match of `BARE_TEMPO` is a tempo that music may have, and its genre one that is wanted."""
    low, high = float(match["low"]), float(match["high"] or match["low"])
    usual = LOWEST_BARE <= low <= high <= MAX_TEMPO and high <= 2 * low
    return usual and not is_refused(match)


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


def find_changes(scanner: PromptScanner) -> Course:
    """Ritardando, accelerando, and steps to another tempo at a bar; their places are counted from the end."""
    steps: list[TempoChange] = []
    for match in scanner.take_requested(CHANGE_AT):
        bpm = to_number(match["count"])
        scanner.mislead(*match.span("place"))
        if MIN_TEMPO <= bpm <= MAX_TEMPO and 1 < int(match["bar"]) <= MAX_BARS:
            steps.append(TempoChange(int(match["bar"]), bpm=bpm))
        else:
            scanner.note(match.start(), f"{clip(match[0])!r} is not possible: the tempo is left free")
    if found := take_unrefused(scanner, RITARDANDOS, lambda match: is_change(match) and is_at_end(match)):
        return read_course(scanner, steps, found, RITARDANDO, RITARDANDO_BARS)
    if found := take_unrefused(scanner, SLOWING, is_change):
        return read_course(scanner, steps, found, SLOWER, 0)
    if found := take_unrefused(scanner, HURRYING, is_change):
        return read_course(scanner, steps, found, FASTER, 2 * RITARDANDO_BARS if is_at_end(found[0]) else 0)
    return Course(tuple(steps))


def is_change(match: re.Match) -> bool:
    """Whether it is the tempo that moves: "rises" and "drops" say it of much else."""
    return bool(match["unit"] if match["any"] else match["named"] or match["goal"] or is_at_end(match))


def is_at_end(match: re.Match) -> bool:
    """Whether a change of tempo is one of the last bars."""
    return bool(
        match["end"] or match["late"] or re.match(r"(?:\w+\s)?r(?:it|all)", match["named"] or "", re.IGNORECASE)
    )


def read_course(
    scanner: PromptScanner, steps: Sequence[TempoChange], found: Sequence[re.Match], scale: float, last_bars: int
) -> Course:
    """After the steps a ramp to the goal, or to `scale` times the tempo where none is named, over the `last_bars`.

    0: over the whole. A goal that is not possible leaves the tempo free, with a note.
    """
    goals = [pair for match in found for pair in checked_group(scanner, match, "goal")]
    goal = scanner.first("goal of the tempo", goals, show_tempo)
    held = (TempoChange(-last_bars, scale=1.0),) if last_bars else ()
    if not any(match["goal"] for match in found):
        return Course((*steps, *held, TempoChange(-1, scale=scale, ramp=True)))
    if not isinstance(goal, float):
        return Course(tuple(steps))
    starts = tuple(pair for match in found for pair in checked_group(scanner, match, "start"))
    room = (MIN_TEMPO, goal / HEARD_CHANGE) if scale > 1 else (goal * HEARD_CHANGE, MAX_TEMPO)
    changes = (*steps, *held, TempoChange(-1, bpm=goal, ramp=True))
    return Course(changes, starts, as_range(*room) if room[0] < room[1] else None)


def checked_group(scanner: PromptScanner, match: re.Match, group: str) -> list[tuple[int, TempoRange]]:
    """The tempo of a group with its position, if it is there and possible."""
    return checked(scanner, match.start(group), to_number(match[group]), about=False) if match[group] else []


def take_unrefused(scanner: PromptScanner, pattern: re.Pattern, wanted: Callable[[re.Match], bool]) -> list[re.Match]:
    """What the pattern finds and the words do not rule out: "no accelerando" is read, and nothing else is needed."""
    return [match for match in scanner.take(pattern, wanted) if not is_refused(match)]
