"""Time signatures in the words of a prompt: "7/8", "six-eight time", "waltz"."""

from hybridgen.plan.harmony import METERS
from hybridgen.text.reader import PromptScanner, compiled

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
