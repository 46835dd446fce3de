"""The explicit controls in the words of a prompt: "84 BPM in A minor, 7/8, 16 bars" fixes four things.

One finder after another reads the prompt: chords, tempo, meter, length, key, then what is impossible. What a finder has
understood is blanked out, so nothing is read twice. A request that is not honored becomes a note of one line.
"""

import re

from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import METERS, meter_quarters
from hybridgen.plan.parts import LABELS, MAX_BARS, MAX_SECONDS, MAX_TEMPO, MIN_SECONDS, MIN_TEMPO, Bar, Section
from hybridgen.text.endings import find_ending
from hybridgen.text.harmony import find_chords, find_key, spell_chords
from hybridgen.text.reader import REFUSED_LIST, PromptScanner, before, clip, compiled

MAX_CHARACTERS = 20_000  # of a prompt; the rest is not read, with a note

NUMBER = r"(?<![\w#])(?<!\d[.,/:])\d{1,6}(?:[.,]\d{1,6})?"
ONES = dict(one=1, two=2, three=3, four=4, five=5, six=6, seven=7, eight=8, nine=9, ten=10, eleven=11, twelve=12)
ONES |= dict(thirteen=13, fourteen=14, fifteen=15, sixteen=16, seventeen=17, eighteen=18, nineteen=19)
TENS = dict(twenty=20, thirty=30, forty=40, fifty=50, sixty=60, seventy=70, eighty=80, ninety=90)
UNITS, ROUND = "|".join(sorted(ONES, key=len, reverse=True)), "|".join(TENS)
SPELLED = rf"(?:(?:{ROUND})(?:[\s-](?:{UNITS}))?|(?:{UNITS}))"
COUNT = (
    rf"(?:{NUMBER}|(?<![\w-])(?:(?:an?|one|two|three)[\s-]hundred(?:[\s-](?:and[\s-])?{SPELLED})?|{SPELLED}"
    r"|half[\s-]an?|an?))"
)


def find_controls(prompt: str) -> tuple[Controls, list[str]]:
    """What the prompt fixes explicitly, and a note for everything requested that is not understood or not possible.

    Read are tempo, key, meter, chords (names, or Roman numerals with a key), length (bars, seconds, or sections with
    their bars) and the ending. A second value that contradicts the first is ignored, with a note. Never raises: any
    string is valid.
    """
    scanner = PromptScanner(prompt, MAX_CHARACTERS)
    ending = find_ending(scanner)
    chords, numerals = find_chords(scanner)
    tempo = find_tempo(scanner)
    meter = find_meter(scanner)
    bars, seconds, sections = find_length(scanner)
    key = find_key(scanner)
    if numerals is not None:
        chords = spell_chords(scanner, numerals, key)
    bars = fit_bars(scanner, bars, tempo, meter)
    find_impossible(scanner)
    controls = Controls(
        tempo=tempo,
        key=key,
        meter=meter,
        bars=bars,
        seconds=seconds,
        sections=sections,
        chords=chords,
        ending=ending,
    )
    return controls, scanner.sorted_notes()


def to_number(text: str) -> float:
    """The value of what `COUNT` matches: "84,5" -> 84.5, "1,200" -> 1200, "twenty-four" -> 24, "half a" -> 0.5."""
    text = text.lower()
    if text[0].isdigit():
        return float(re.sub(r",(?=\d{3}$)", "", text).replace(",", "."))
    if text.startswith("half"):
        return 0.5
    total = 0
    for word in re.split(r"[\s-]", text):
        total = (
            100 * total if word == "hundred" else total + TENS.get(word, 0) + ONES.get(word, int(word in ("a", "an")))
        )
    return float(total)


# ---------------------------------------------------------------------------------------------------------- tempo

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


def find_tempo(scanner: PromptScanner) -> float | None:
    """Quarter notes a minute; of a range its middle."""
    found = []
    for match in scanner.take_requested(TEMPO_RANGE, is_tempo_range):
        low, high = to_number(match["low"]), to_number(match["high"])
        moves = (match["lead"] or "").lower().startswith("from")
        bpm = low if moves else (low + high) / 2
        said = "moves, which is set in the plan and not in words" if moves else "is a range"
        scanner.note(match.start(), f"tempo {clip(match[0])!r} {said}: {round(bpm, 1):g} BPM is taken")
        found.append((match.start(), round(bpm, 1)))
    for match in scanner.take_requested(TEMPO):
        requested = to_number(match["bpm"] or match["named"] or match["note"])
        if not MIN_TEMPO <= requested <= MAX_TEMPO:
            limits = f"{MIN_TEMPO:g}-{MAX_TEMPO:g} BPM"
            scanner.note(match.start(), f"tempo {requested:g} is outside {limits}: the tempo is left free")
            continue
        bpm = round(requested, 1)
        if bpm != requested:
            scanner.note(match.start(), f"tempo {requested:g} is rounded to {bpm:g}, tempi have steps of 0.1")
        found.append((match.start(), bpm))
    return scanner.first("tempo", found, "{:g} BPM".format)


def is_tempo_range(match: re.Match) -> bool:
    """Two tempi, and not "16-84 bpm" or "bars 3 to 120 bpm"."""
    lead = (match["lead"] or "").lower()
    spoken = match["unit"] or match["low_unit"] or lead.startswith(("tempo", "bpm"))
    joined = match["to"].lower() != "and" or "between" in lead
    within = all(MIN_TEMPO <= to_number(match[end]) <= MAX_TEMPO for end in ("low", "high"))
    return bool(spoken) and joined and within


# ---------------------------------------------------------------------------------------------------------- meter

METER = compiled(r"(?<![\d/:.,])(?P<beats>\d{1,2})\s?/\s?(?P<unit>2|4|8|16|32)(?![\d/]|\.\d|\s*of\s+(?:the|an?)\b)")
BEAT_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "nine": 9, "eleven": 11, "twelve": 12}
METER_WORDS = compiled(
    rf"\b(?P<beats>{'|'.join(BEAT_WORDS)}|\d{{1,2}})[\s-](?P<unit>four|quarter|eight|4|8)[\s-](?:time|meter|metre)\b"
    r"|\b(?P<named>common time|cut time|alla breve)\b"
)
NAMED_METERS = {"common time": "4/4", "cut time": "2/2", "alla breve": "2/2"}
WALTZ = compiled(r"\bwaltz(?:es)?\b")


def find_meter(scanner: PromptScanner) -> str | None:
    """The time signature; a waltz is in 3/4 unless the words say otherwise."""
    found = []
    for match in scanner.take_requested(METER, lambda match: int(match["beats"]) > 1):
        found.append((match.start(), f"{int(match['beats'])}/{match['unit']}"))
    for match in scanner.take_requested(METER_WORDS):
        unit = {"four": 4, "quarter": 4, "eight": 8}.get((match["unit"] or "").lower(), match["unit"])
        beats = BEAT_WORDS.get((match["beats"] or "").lower(), match["beats"])
        name = match["named"] and NAMED_METERS[match["named"].lower()]
        found.append((match.start(), name or f"{beats}/{unit}"))
    for position, named in found:
        if named not in METERS:
            scanner.note(position, f"meter {named} is none of {', '.join(METERS)}: it is not taken")
    meter = scanner.first("meter", [pair for pair in found if pair[1] in METERS])
    waltzes = scanner.take_requested(WALTZ)
    if waltzes and meter not in (None, "3/4"):
        scanner.note(waltzes[0].start(), f"a waltz is in 3/4, but meter {meter} is named: {meter} is taken")
    return meter or ("3/4" if waltzes else None)


# --------------------------------------------------------------------------------------------------------- length

PARTS = {label: label for label in LABELS} | {
    "introduction": "intro", "hook": "chorus", "refrain": "chorus", "breakdown": "break", "buildup": "build",
    "build-up": "build", "ending": "outro", "coda": "outro",
}  # fmt: skip
PART = rf"(?:{'|'.join(sorted(PARTS, key=len, reverse=True))})"
BARS = compiled(rf"(?P<count>{COUNT})(?P<half>\s+and\s+a\s+half)?[\s-]*(?:bars?|measures?)\b(?!\s*/)")
SECTION = compiled(
    rf"(?P<count>{COUNT})[\s-]*(?:bars?|measures?)\s+(?:long\s+|of\s+)?(?:an?\s+)?(?P<part>{PART})s?\b"
    rf"|(?<!piano )\b(?P<part_first>{PART})\s*(?:of|:|=|\(|is|lasts)?\s*(?P<count_last>{COUNT})"
    r"[\s-]*(?:bars?|measures?)\b"
)
TIME = compiled(
    rf"(?P<hours>{COUNT})[\s-]*(?:hours?|hrs?)\b"
    rf"|(?P<minutes>{COUNT})(?:\s+and\s+a\s+(?P<half>half))?[\s-]*(?:minutes?|mins?|m(?=\s?\d{{1,2}}\s?s))(?:\b|(?=\d))"
    rf"(?:\s+and\s+a\s+(?P<half_last>half))?(?:[\s,]*(?:and\s+)?(?P<rest>\d{{1,2}})[\s-]*(?:seconds?|secs?|s)\b)?"
    rf"|(?P<seconds>{COUNT})(?P<unit>[\s-]*(?:seconds?|secs?|s))\b"
    r"|(?<![\w:./])(?P<clock>\d{1,3}:[0-5]\d)(?![\d:])"
    r"|\b(?:length|duration)\s*(?:of|is|[:=])?\s*(?P<bare>\d{1,6})(?![\d.,:]\d|[\s-]*[a-z])"
)
WHOLE_AFTER = compiled(r"[\s-]*(?:long|in\s+length|in\s+total|total|altogether|duration|length)\b")
WHOLE_BEFORE = compiled(
    r"\b(?:length|duration|lasts?|lasting|long|running time|runtime|run time)(?:\s+(?:of|is))?\s*[:=]?\s*$"
)
TRACK_AFTER = compiled(r"[\s-]*(?:track|song|piece|loop|tune|beat|clip|instrumental|of\b)")
PLACE_BEFORE = compiled(
    r"(?:\b(?:after|every|at|by|until|till|first|final|(?:the|its) last|within|each|past)|@)\s+"
    r"(?:the\s+|about\s+|around\s+)?$"
)
PLACE_AFTER = compiled(
    rf"[\s-]*(?:long\s+|of\s+)?(?:{PART}|pre-chorus|fade|crossfade|tail|delay|reverb|echo|silence|pause|riser|sweep|"
    r"attack|decay|release|phrases?|riffs?|patterns?|motifs?|ostinato|fills?|sections?|per|each|apart|then|mark)s?\b"
    r"|\s+in\s*(?:$|[,.;])"
)
BLUES_AFTER = compiled(r"[\s-]*(?:\w+\s+)?blues\b")


def find_length(scanner: PromptScanner) -> tuple[int | None, float | None, tuple[Section, ...] | None]:
    """(bars, seconds, sections), at most one of them: the length of the whole, not of its parts."""
    sections = find_sections(scanner)
    counts = [(m.start(), read_bars(m)) for m in scanner.take_requested(BARS, lambda m: is_whole(scanner, m))]
    places = [(at, int(n)) for at, n in counts if check_length(scanner, at, n, MAX_BARS, "bars")]
    bars = scanner.first("bars", places)
    times = [(m.start(), read_seconds(m)) for m in scanner.take_requested(TIME, lambda m: is_whole(scanner, m))]
    times = [(at, min(s, MAX_SECONDS)) for at, s in times if check_length(scanner, at, s, MAX_SECONDS, "seconds")]
    seconds = scanner.first("seconds", times, "{:g}".format)
    if bars is not None and seconds is not None:
        scanner.note(times[0][0], f"{bars} bars and {seconds:g} seconds are both lengths: the bars are taken")
        seconds = None
    if sections is not None and (bars is not None or seconds is not None):
        total = sum(len(section.bars) for section in sections)
        if total == bars:
            return None, None, sections
        length = f"{bars} bars" if bars else f"{seconds:g} seconds"
        scanner.note(0, f"the sections named hold {total} bars and the whole is {length}: the sections are left free")
        sections = None
    return bars, seconds, sections


def find_sections(scanner: PromptScanner) -> tuple[Section, ...] | None:
    """Two or more parts named with their bars are the form; one alone is left free, with a note."""
    found = scanner.take(SECTION, lambda m: (m["count"] or m["count_last"]).lower() not in ("a", "an"))
    parts = [(PARTS[(m["part"] or m["part_first"]).lower()], to_number(m["count"] or m["count_last"])) for m in found]
    if len(parts) > 1 and all(n == int(n) and n >= 1 for _, n in parts) and sum(n for _, n in parts) <= MAX_BARS:
        return tuple(Section(label, (Bar(),) * int(n)) for label, n in parts)
    for match in found:
        scanner.note(
            match.start(), f"{clip(match[0])!r} is one part of a form: only a whole form can be fixed in words"
        )
    return None


def is_whole(scanner: PromptScanner, match: re.Match) -> bool:
    """A length of the whole track; a length of a part, or a place in it, is ignored, with a note."""
    groups = match.groupdict()
    if groups.get("unit") and is_decade(match, scanner):
        return False
    count = groups.get("count") or groups.get("seconds") or groups.get("minutes")
    if count and count.lower() in ("a", "an") and not re.search("minute", match[0], re.IGNORECASE):
        return False  # "a bar", "a second guitar", "a min"
    if WHOLE_AFTER.match(match.string, match.end()) or groups.get("bare"):
        return True
    if groups.get("count") and BLUES_AFTER.match(match.string, match.end()):
        scanner.note(
            match.start(), f"{clip(match[0])!r} blues is a chord scheme and not a length: give its chords to fix it"
        )
        return False
    place = PLACE_BEFORE.search(before(match)) or PLACE_AFTER.match(match.string, match.end())
    spoken = WHOLE_BEFORE.search(before(match)) or TRACK_AFTER.match(match.string, match.end())
    unclear = groups.get("clock") and not spoken
    if place or unclear:
        scanner.note(match.start(), f"{clip(match[0])!r} is read as a place or a part and not as the track's length")
    return not (place or unclear)


def is_decade(match: re.Match, scanner: PromptScanner) -> bool:
    """ "90s" and "1980s" are decades unless the words around say length; a short one gets a note."""
    if match["unit"].lower() != "s" or not re.fullmatch(r"[1-9]0|\d{3}0", match["seconds"]):
        return False
    if WHOLE_AFTER.match(match.string, match.end()) or WHOLE_BEFORE.search(before(match)):
        return False
    if int(match["seconds"]) <= 60:
        scanner.note(
            match.start(), f"{match[0]!r} is read as a decade: write '{match['seconds']} seconds' for a length"
        )
    return True


def read_bars(match: re.Match) -> float:
    """The bars that a match of `BARS` asks for."""
    return to_number(match["count"]) + (0.5 if match["half"] else 0)


def read_seconds(match: re.Match) -> float:
    """The seconds that a match of `TIME` asks for."""
    if match["clock"]:
        minutes, seconds = match["clock"].split(":")
        return 60.0 * int(minutes) + int(seconds)
    if match["minutes"]:
        half = 30 if match["half"] or match["half_last"] else 0
        return 60 * to_number(match["minutes"]) + half + float(match["rest"] or 0)
    return 3600 * to_number(match["hours"]) if match["hours"] else to_number(match["seconds"] or match["bare"])


def check_length(scanner: PromptScanner, position: int, length: float, limit: float, unit: str) -> bool:
    """Whether a length is possible; one over the limit in seconds is cut to it. Each case gets a note."""
    if unit == "seconds" and length > limit:
        scanner.note(position, f"{length:g} seconds are over the limit: {limit:g} seconds are taken")
        return True
    low = 1 if unit == "bars" else MIN_SECONDS
    whole = unit == "seconds" or length == int(length)
    if not (low <= length <= limit and whole):
        scanner.note(position, f"{length:g} {unit} are not possible ({low:g}-{limit:g}): the length is left free")
        return False
    return True


def fit_bars(scanner: PromptScanner, bars: int | None, tempo: float | None, meter: str | None) -> int | None:
    """As many of the bars as the longest track holds at this tempo."""
    if bars is None or tempo is None:
        return bars
    most = int(MAX_SECONDS * tempo / 60 / meter_quarters(meter or "4/4"))
    if bars > most:
        scanner.note(0, f"{bars} bars at {tempo:g} BPM are over {MAX_SECONDS:g} seconds: {most} bars are taken")
    return min(bars, most)


# -------------------------------------------------------------------------------------------- impossible

VOCALS = compiled(
    r"\b(?:vocals?|vox|vocalists?|singers?|sing|sings|singing(?!\s+(?:lead|melod|cello|violin|guitar|tone|string|line))"
    r"|sung|lyrics?|rap|raps|rapping|rapper|(?:fe)?male voice|spoken word|a ?cap+ella)\b"
    r"(?![\s-]*(?:free|less|beat|instrumental))"
)
IMPOSSIBLE = {
    "a change of tempo is set in the plan and not in words": (
        r"\b(?:tempo changes?|change of tempo|changing tempo|accelerando|ritardando|rallentando"
        r"|(?:speed|slow)(?:s|ing)? (?:up|down))\b"
    ),
    f"one meter can be fixed, one of {', '.join(METERS)}": (
        r"\b(?:(?:odd|changing|mixed|alternating) (?:time signatures?|met(?:er|re)s?)|poly(?:met(?:er|re)|rhythm)s?)\b"
    ),
    "no number: the length is left free": r"\b(?:a few|several|a couple of) (?:bars|measures|seconds|minutes|hours)\b",
    "a place in the track is not read from words": r"\b(?:bars?|measures?) \d+",
    "the tuning cannot be chosen": r"\b4(?:32|40|15)\s?hz\b|\ba\s?=\s?4\d\d\b|\bmicroton\w+|\bjust intonation\b",
    "a form is fixed by naming its sections with their bars": r"\b[a-d](?:[\s-]?[a-d]){2,7}[\s-]+(?:form|structure)\b",
}
IMPOSSIBLE_PATTERNS = tuple((compiled(pattern), reason) for reason, pattern in IMPOSSIBLE.items())


def find_impossible(scanner: PromptScanner) -> None:
    """Say what a prompt asks for that hybridgen cannot do, or does not read from words."""
    for match in scanner.take(VOCALS):
        if not REFUSED_LIST.search(before(match)):
            scanner.note(match.start(), f"{clip(match[0])!r}: there are no vocals, hybridgen is instrumental")
    for pattern, reason in IMPOSSIBLE_PATTERNS:
        for match in scanner.take(pattern, lambda match: not REFUSED_LIST.search(before(match))):
            scanner.note(match.start(), f"{clip(match[0])!r}: {reason}")
