"""What a prompt asks for that hybridgen cannot do, or does not read from words."""

from hybridgen.plan.harmony import METERS
from hybridgen.text.reader import REFUSED_LIST, PromptScanner, before, clip, compiled

VOCALS = compiled(
    r"\b(?:vocals?|vox|vocalists?|singers?|sing|sings|singing(?!\s+(?:lead|melod|cello|violin|guitar|tone|string|line))"
    r"|sung|lyrics?|rap|raps|rapping|rapper|(?:fe)?male voice|spoken word|a ?cap+ella)\b"
    r"(?![\s-]*(?:free|less|beat|instrumental))"
)
PLACE = "a place in the track is not read from words"
IMPOSSIBLE = {
    "a change of tempo is set in the plan and not in words": (
        r"\b(?:tempo changes?|change of tempo|changing tempo|accelerando|ritardando|rallentando"
        r"|(?:speed|slow)(?:s|ing)? (?:up|down))\b"
    ),
    f"one meter can be fixed, one of {', '.join(METERS)}": (
        r"\b(?:(?:odd|changing|mixed|alternating) (?:time signatures?|met(?:er|re)s?)|poly(?:met(?:er|re)|rhythm)s?)\b"
    ),
    "no number: the length is left free": r"\b(?:a few|several|a couple of) (?:bars|measures|seconds|minutes|hours)\b",
    PLACE: r"\b(?:bars?|measures?) \d+",
    "the tuning cannot be chosen": r"\b4(?:32|40|15)\s?hz\b|\ba\s?=\s?4\d\d\b|\bmicroton\w+|\bjust intonation\b",
    "a form is fixed by naming its sections with their bars": r"\b[a-d](?:[\s-]?[a-d]){2,7}[\s-]+(?:form|structure)\b",
}
IMPOSSIBLE_PATTERNS = tuple((compiled(pattern), reason) for reason, pattern in IMPOSSIBLE.items())


NEGATED_MOOD = compiled(
    r"\b(?:don't|do not|never|mustn't|should ?n[o']t)\s+(?:make|let|want|be|sound)\b"
    r"(?:\s+(?:it|this|that|to|be|sound|too|very|so))*\s+[a-z-]+"
)


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
    for match in scanner.take(NEGATED_MOOD):
        scanner.note(
            match.start(), f"{clip(match[0])!r}: what is not wanted is kept from the model, nothing else is done"
        )
        scanner.mislead(*match.span())
