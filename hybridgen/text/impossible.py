"""What a prompt asks for that hybridgen cannot do, or does not read from words."""

from hybridgen.plan.harmony import METERS
from hybridgen.text.players import name_pattern
from hybridgen.text.reader import REFUSED_LIST, PromptScanner, before, clip, compiled

VOCALS = compiled(
    r"\b(?:vocals?|vox|vocalists?|singers?|sing|sings|singing(?!\s+(?:lead|melod|cello|violin|guitar|tone|string|line))"
    r"|sung|lyrics?|rap|raps|rapping|rapper|(?:fe)?male voice|spoken word|a ?cap+ella)\b"
    r"(?![\s-]*(?:free|less|beat|instrumental))"
)
PLACE = "a place in the track is not read from words"
IMPOSSIBLE = {
    "say to which tempo and at which bar, as in 'changes to 140 BPM at bar 9'": (
        r"\b(?:(?:tempo changes?|change of tempo|changing tempos?)\b|rubato\b)"
    ),
    f"one meter can be fixed, one of {', '.join(METERS)}": (
        r"\b(?:(?:odd|changing|mixed|alternating) (?:time signatures?|met(?:er|re)s?)|poly(?:met(?:er|re)|rhythm)s?)\b"
    ),
    "no number: the length is left free": r"\b(?:a few|several|a couple of) (?:bars|measures|seconds|minutes|hours)\b",
    PLACE: (
        r"(?:\b(?:at|in|on|from|after|before|until|till|by|to|around|during)\s+(?:the\s+)?)?"
        r"\b(?:(?:bars?|measures?)\s\d+(?:\s*(?:-|–|to|and)\s*(?:bar\s)?\d+)?|\d{1,3}(?:st|nd|rd|th)\s(?:bar|measure|beat)"
        r"|(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|twelfth)\s(?:bar|measure|beat))\b"
    ),
    "the tuning cannot be chosen": r"\b4(?:32|40|15)\s?hz\b|\ba\s?=\s?4\d\d\b|\bmicroton\w+|\bjust intonation\b",
    "a form is fixed by naming its sections with their bars": r"\b[a-d](?:[\s-]?[a-d]){2,7}[\s-]+(?:form|structure)\b",
}
IMPOSSIBLE_PATTERNS = tuple((compiled(pattern), reason) for reason, pattern in IMPOSSIBLE.items())


FILLERS = "it|this|that|to|be|sound|feel|too|very|so|at|all|a|an|the|any|in|really|overly|making|being|use|have"
MOOD = rf"(?!(?:{FILLERS}|only|just|but|else)\b)[a-z-]+"
NEGATED_MOOD = compiled(
    r"\b(?:(?:don't|do not|never|mustn't|should ?n[o']t|must not|can't)\s+(?:make|let|want|be|sound|get|feel|go)\b"
    r"|(?:it|this|track|song|music|mood|key)(?:\sis|'s)?\s+(?:not|never|isn't|doesn't)(?:\s(?:be|sound|feel))?"
    r"|nothing(?=\s+(?!but\b|else\b))|not(?=\s+(?!only\b|just\b|(?:\w+\s)?(?:vocals?|drums?)\b))|isn't|aren't|avoid(?!\s*:)|never)"
    rf"(?:\s+(?:{FILLERS}))*"
    rf"\s+{MOOD}(?:(?:\s+or|,\s*or|\s+nor)\s+[a-z-]+)*(?:\s+(?:key|mode|mood|feel|parts?|meter|time))?"
)


def names_a_player(words: str) -> bool:
    """Whether somebody who plays, or sings, is what the words refuse: the captions know that ("no drums")."""
    return bool(name_pattern().search(words) or VOCALS.search(words))


def find_impossible(scanner: PromptScanner) -> None:
    """Say what a prompt asks for that hybridgen cannot do, or does not read from words."""
    for match in scanner.take(VOCALS):
        if not REFUSED_LIST.search(before(match)):
            scanner.note(match.start(), f"{clip(match[0])!r}: there are no vocals, hybridgen is instrumental")
    for pattern, reason in IMPOSSIBLE_PATTERNS:
        for match in scanner.take(pattern, lambda match: not REFUSED_LIST.search(before(match))):
            scanner.note(match.start(), f"{clip(match[0])!r}: {reason}")
            if reason == PLACE:
                scanner.mislead(*match.span())
    for match in scanner.take(NEGATED_MOOD, lambda match: not names_a_player(match[0])):
        scanner.note(
            match.start(), f"{clip(match[0])!r}: what is not wanted is kept from the model, nothing else is done"
        )
        scanner.mislead(*match.span())
