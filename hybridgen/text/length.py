"""The length of the whole, in the words of a prompt: "16 bars", "2 minutes 30", "intro 4 bars, verse 8 bars"."""

import re

from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.parts import MAX_BARS, MAX_SECONDS, MIN_SECONDS, Bar, Section
from hybridgen.text.form import PART, PARTS
from hybridgen.text.numbers import COUNT, to_number
from hybridgen.text.reader import PromptScanner, before, clip, compiled

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
    if groups.get("clock"):  # its numbers look like a meter
        scanner.mislead(*match.span())
    if groups.get("unit") and is_decade(match, scanner):
        return False
    count = groups.get("count") or groups.get("seconds") or groups.get("minutes")
    if count and count.lower() in ("a", "an") and not re.search("minute", match[0], re.IGNORECASE):
        return False  # "a bar", "a second guitar", "a min"
    if WHOLE_AFTER.match(match.string, match.end()) or groups.get("bare"):
        return True
    place = PLACE_BEFORE.search(before(match)) or PLACE_AFTER.match(match.string, match.end())
    spoken = WHOLE_BEFORE.search(before(match)) or TRACK_AFTER.match(match.string, match.end())
    unclear = groups.get("clock") and not spoken
    if place or unclear:
        scanner.note(match.start(), f"{clip(match[0])!r} is read as a place or a part and not as the track's length")
    return not (place or unclear)


def is_decade(match: re.Match, scanner: PromptScanner) -> bool:
    """ "90s" and "1980s" are decades, "808s" and "106s" machines, unless the words around say length.

    A short one gets a note.
    """
    if match["unit"].lower() != "s" or not re.fullmatch(r"[1-9]0|\d{3}0|([1-9])0\1|106", match["seconds"]):
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
