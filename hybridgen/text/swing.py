"""Swing, in the words of a prompt: "swung", "shuffle", "60 % swing", "swung sixteenths", "straight eighths"."""

from hybridgen.plan.notes import Swing
from hybridgen.text.reader import REFUSED, PromptScanner, compiled, is_refused

EIGHTHS, SIXTEENTHS = r"(?:eighths?|8ths?|quavers?)", r"(?:sixteenths?|16ths?|semiquavers?)"
UNIT = rf"(?:{EIGHTHS}|{SIXTEENTHS})(?:[\s-]notes?)?"
FEEL = r"(?:feel|rhythms?|grooves?|beats?|time)"
SWING, SHUFFLE = r"(?<!mood )(?:swing(?:ing|s)?|swung)", r"shuffl(?:ed?|ing)"
PERCENT = r"\s?(?:%|per\s?cent\b)"

STRAIGHT = compiled(
    rf"(?:\bstraight(?:[\s-]+(?:{FEEL}|{UNIT})|\s+and\s+not\s+swung)|\bun[\s-]?swung"
    rf"|{REFUSED}(?:{UNIT}\s+)?(?:{SWING}|{SHUFFLE})|(?:{SWING}|{SHUFFLE})(?:\s?[:=]\s?|\s)(?:off|none))\b(?:\s+{FEEL}\b)?"
)
SHARE = compiled(
    rf"(?:\b(?P<before>\d{{2}}(?:\.\d{{1,2}})?){PERCENT}\s+(?:of\s+)?(?:{UNIT}\s+)?{SWING}\b"
    rf"|\b(?:{UNIT}\s+)?{SWING}(?:\s+(?:{FEEL}|{UNIT}))?(?:\s?[:=]|\s+(?:of|at|by))?\s*"
    rf"(?:(?P<after>\d{{2}}(?:\.\d{{1,2}})?){PERCENT}|(?P<bare>(?:[56]\d|7[0-5])(?:\.\d{{1,2}})?)(?=\s?(?:$|[,;.)](?!\d)|\x00))))"
)
SWUNG = compiled(
    rf"\b(?:{UNIT}\s+{SWING}|{SWING}(?:\s+{UNIT})?|(?P<shuffle>{SHUFFLE}))\b(?:\s+{FEEL}\b)?|\btriplet\s+{FEEL}\b"
)
FINE = compiled(SIXTEENTHS)
ASKED, ASKED_16THS, SHUFFLED = Swing(0.62), Swing(0.58, 16), Swing(0.66)
USUAL = (  # where a prompt does not say it
    (compiled(r"\bjazz|\bbebop|\bbig band"), Swing(0.62)),
    (compiled(r"\bblues"), Swing(0.64)),
    (compiled(r"\blo-?\s?fi\b|\bchillhop"), Swing(0.57, 16)),
    (compiled(r"\btrip[\s-]?hop"), Swing(0.55, 16)),
    (compiled(r"\bfunk|\bboom[\s-]bap|\bhip[\s-]?hop"), Swing(0.53, 16)),
)
COMPOUND = ("6/8", "9/8", "12/8")  # whose beats are no pairs


def find_swing(scanner: PromptScanner, meter: str | None) -> Swing | None:
    """What the words fix; None where they say nothing. Of two that contradict each other the first is taken.

    In compound meters, whose eighths are no pairs, "swing" and "shuffle" name no swing: 12/8 is the shuffle.
    """
    found = [(match.start(), Swing()) for match in scanner.take(STRAIGHT)]
    for match in scanner.take_requested(SHARE):
        ratio = float(match["before"] or match["after"] or match["bare"]) / 100
        if 0.5 <= ratio <= 0.75:
            found.append((match.start(), Swing(round(ratio, 4), 16 if FINE.search(match[0]) else 8)))
        else:
            scanner.note(match.start(), f"a swing of {100 * ratio:g}% is not possible (50-75 %): it is left free")
    for match in scanner.take_requested(SWUNG):
        swing = SHUFFLED if match["shuffle"] else ASKED_16THS if FINE.search(match[0]) else ASKED
        if meter not in COMPOUND or swing.unit == 16:
            found.append((match.start(), swing))
    return scanner.first("swing", found)


def usual_swing(prompt: str, meter: str | None) -> Swing | None:
    """What music of a prompt's genre has; None where none that swings is asked, and in meters without pairs."""
    if meter in COMPOUND:
        return None
    named = (swing for pattern, swing in USUAL for match in pattern.finditer(prompt) if not is_refused(match))
    return next(named, None)
