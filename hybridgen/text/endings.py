"""How a track ends, in the words of a prompt: "ends abruptly", "fades out over 4 bars", "rings out"."""

import re

from hybridgen.plan.parts import MAX_BARS, Ending
from hybridgen.text.reader import PromptScanner, compiled

END = r"(?:the\s+)?(?:end|ending|finish|close)"
ENDS = r"(?:end|ends|ending|finish|finishes|finishing|stop|stops|stopping|close|closes|closing)"
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS = {word: number for number, word in enumerate(WORDS, start=1)} | {"sixteen": 16}
COUNT = rf"(?P<bars>\d{{1,5}}|{'|'.join(NUMBERS)})"
OVER = rf"(?:(?:over|for|across|in|during)\s+(?:the\s+)?(?:(?:last|final)\s+)?{COUNT}[\s-]+(?:bars?|measures?)\b)"
PLACE = r"(?:the\s+)?(?:middle|verse|chorus|bridge|intro|drop|bar|measure|\d)"
ELSEWHERE = rf"(?!\s+(?:(?:in|at|by|from|after|before)\s+{PLACE}|every|then)\b)"  # not the end of the track
SLOWLY = r"(?:(?:slow|gentl|gradual|soft|quiet)(?:ly)?\s+)?"

FADE = compiled(
    rf"(?:\b(?:a|an|long|slow|gradual|gentle|with)\s+)*\b(?:{COUNT.replace('bars', 'before')}[\s-]+(?:bar|measure)\s+)?"
    rf"(?:fade[\s-]?outs?|fades?\s+(?:{SLOWLY}(?:out|away|to\s+(?:silence|nothing|black))|at\s+{END})"
    rf"|fading\s+(?:{SLOWLY}(?:out|away|to\s+(?:silence|nothing))|at\s+{END})|{ENDS}\s+(?:with|in|on)\s+(?:a\s+)?fade"
    rf"|fade(?:d|s)?\s+ending)\b(?:\s+(?:slowly|gradually|gently))?(?:\s+(?:at|toward|towards)\s+{END})?"
    rf"{ELSEWHERE}(?:\s*,?\s*{OVER})?"
)
CUT = compiled(
    rf"\b(?:{ENDS}\s+(?:abruptly|suddenly|sharply|cold|dead|tight|hard"
    rf"|(?:with|on|in)\s+a\s+(?:(?:hard|sudden|clean)\s+)?(?:cut|stop|stab))|(?:abrupt|sudden|cold|hard|tight|dead)(?:ly)?\s+(?:end|ending|stop|finish|cut)s?"
    rf"|cuts?\s+(?:off|out)\s+(?:abruptly\s+|suddenly\s+)?at\s+{END}"
    rf"|hard\s+cut\s+at\s+{END})\b{ELSEWHERE}"
)
RING_OUT = compiled(
    rf"\b(?:(?:ring|rings|ringing)\s+out(?!\s+bells?)"
    rf"|{ENDS}\s+(?:(?:with|on|in)\s+)?(?:(?:a|the)\s+)?(?:(?:long|final|last)\s+)*(?:chord\s+)?(?:ringing|sustained|held|ring[\s-]?out)(?:\s+(?:chord|note))?|ring[\s-]?out(?:\s+ending)?"
    rf"|let\s+(?:it|the\s+(?:last|final)\s+(?:chord|note))\s+ring(?:\s+out)?"
    rf"|(?:natural|long|ringing)\s+(?:decay|tail)\s+at\s+{END})\b"
)
KINDS = {"fade": FADE, "cut": CUT, "ring-out": RING_OUT}


def find_ending(scanner: PromptScanner) -> Ending | None:
    """How the track ends; None where the words do not say. Of two that contradict each other the first is taken."""
    found = []
    for kind, pattern in KINDS.items():
        for match in scanner.take_requested(pattern):
            found.append((match.start(), Ending(kind, _bars(scanner, match))))
    return scanner.first("ending", found)


def _bars(scanner: PromptScanner, match: re.Match) -> int | None:
    """The bars of a fade, where its words name them and they are possible."""
    groups = match.groupdict()
    count = groups.get("bars") or groups.get("before")
    if count is None:
        return None
    bars = NUMBERS.get(count.lower()) or int(count)
    if 1 <= bars <= MAX_BARS:
        return bars
    scanner.note(match.start(), f"a fade over {bars} bars is not possible (1-{MAX_BARS}): its length is left free")
    return None
