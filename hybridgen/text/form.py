"""Form and course in the words of a prompt: "intro, verse, chorus", "AABA, 32 bars", "bass enters at bar 5"."""

import re
from dataclasses import dataclass, field

from hybridgen.plan.parts import LABELS, MAX_BARS, MAX_SECONDS, ROLES, Bar, Cue, Section
from hybridgen.text.players import known_name, names, role_of
from hybridgen.text.reader import REFUSED_LIST, PromptScanner, before, clip, compiled

PARTS = {label: label for label in LABELS} | {
    "introduction": "intro", "hook": "chorus", "refrain": "chorus", "breakdown": "break", "buildup": "build",
    "build-up": "build", "ending": "outro", "coda": "outro",
}  # fmt: skip
PART = rf"(?:{'|'.join(sorted(PARTS, key=len, reverse=True))})"
JOINED = r"(?:\s*(?:,\s*(?:and\s+)?(?:then\s+)?(?:an?\s+)?|->|→|>|/|–|—|-|\bthen\b|\band then\b|\+)\s*|\s+)"
SEQUENCE = compiled(rf"(?<![\w-]){PART}(?:{JOINED}{PART})+(?![\w-])")
LETTERS = re.compile(r"(?<![\w-])A[A-D](?:[A-D]){1,6}(?![\w-])|(?<![\w-])A(?:-[A-D]){2,7}(?![\w-])")
LETTER_LABELS = {"A": "verse", "B": "chorus", "C": "bridge", "D": "solo"}
LOOP = compiled(r"\bloop\b")
PLACE = (
    r"(?:(?:at|on|from|in|after)\s+)?(?:bar\s+(?P<bar>\d{1,4})|(?P<minutes>\d{1,2}):(?P<seconds>[0-5]\d)"
    r"|(?P<only_seconds>\d{1,3})\s*(?:s|sec|secs|seconds)\b)"
)
AT_PLACE = compiled(rf"(?<![\w-])(?P<part>{PART})\s+(?=at|on|from|in|after){PLACE}(?![\w:])")
ENTERS = compiled(
    rf"(?P<name>{names()})\s*(?:(?:enters?|comes?\s+in|joins?|starts?|begins?|kicks?\s+in|drops?\s+in)\s+)?"
    rf"(?=at|on|from|in|after){PLACE}(?![\w:])"
)
ABSENT_FIRST = compiled(
    rf"\b(?:no|without)\s+(?:any\s+)?(?P<name>{names()})\s+(?:(?:for|in|during)\s+the\s+first\s+(?P<count>\d{{1,3}})\s+bars?"
    r"|(?:until|till|before)\s+bar\s+(?P<until>\d{1,4}))"
)
STARTS_WITH = compiled(
    rf"\b(?:starts?|begins?|opens?|opening|starting|beginning)\s+with\s+(?:only\s+|just\s+|solo\s+)?(?:the\s+|an?\s+)?"
    rf"(?P<names>{names()}(?:\s*(?:,|and|&)\s*{names()}){{0,3}})(?:\s+(?:alone|only))?"
)
CRESCENDO = compiled(
    r"\b(?:builds?(?:ing)?\s+(?:up\s+)?(?:slowly|gradually|steadily)|(?:slowly|gradually|steadily)\s+build(?:s|ing)?(?:\s+up)?"
    r"|slow\s+build(?:[\s-]?up)?|builds?\s+up|crescendo|(?:gets?|becom(?:es?|ing)|grow(?:s|ing)?|getting)\s+(?:louder|bigger|more\s+intense)"
    r"|(?:rising|growing|increasing)\s+(?:energy|intensity|tension))\b"
)
DIMINUENDO = compiled(
    r"\b(?:diminuendo|decrescendo|(?:gets?|becom(?:es?|ing)|grow(?:s|ing)?|getting)\s+(?:quieter|softer|calmer)"
    r"|dies\s+(?:away|down)|calms\s+down|winds\s+down|(?:falling|decreasing)\s+(?:energy|intensity))\b"
)
FROM_QUIET = compiled(
    r"\bstarts?\s+(?:very\s+)?(?:quiet|soft|calm|gentle)(?:ly)?\s*(?:,|and|then|but)?\s*(?:then\s+)?$"
)


@dataclass
class Course:
    """The form, and what happens where."""

    form: tuple[str, ...] | None = None
    sections: tuple[Section, ...] | None = None  # where their lengths are known too
    cues: list[Cue] = field(default_factory=list)
    dynamics: str | None = None


def find_course(scanner: PromptScanner, bars: int | None) -> Course:
    """Who enters where, the order of the sections, and whether the energy rises or falls."""
    course = Course()
    _find_cues(scanner, course)
    for pattern, dynamics in ((CRESCENDO, "crescendo"), (DIMINUENDO, "diminuendo")):
        if scanner.take_requested(pattern) and course.dynamics is None:
            course.dynamics = dynamics
    _find_form(scanner, course, bars)
    return course


def _find_form(scanner: PromptScanner, course: Course, bars: int | None) -> None:
    found = [(match.start(), _labels(match)) for match in scanner.take_requested(SEQUENCE)]
    letters = [m for m in LETTERS.finditer(scanner.words) if "B" in m[0] and m[0] not in ("ABBA", "ABC", "ABCD")]
    for match in letters:
        scanner.take(re.compile(re.escape(match[0])))
        found.append((match.start(), _letter_labels(match[0].replace("-", ""))))
    if not found:
        if LOOP.search(scanner.words) and not REFUSED_LIST.search(scanner.words[: LOOP.search(scanner.words).start()]):
            course.form = ("verse",)  # one section, and no beginning and ending of its own
        return
    course.form = scanner.first("form", found, " ".join)
    if letters and bars is not None and course.form and bars % len(course.form) == 0:
        length = bars // len(course.form)
        course.sections, course.form = tuple(Section(label, (Bar(),) * length) for label in course.form), None


def _labels(match: re.Match) -> tuple[str, ...]:
    return tuple(PARTS[word.lower()] for word in re.findall(rf"(?i){PART}", match[0]))


def _letter_labels(letters: str) -> tuple[str, ...]:
    labels = LETTER_LABELS | ({"B": "bridge"} if letters == "AABA" else {})
    return tuple(labels[letter] for letter in letters)


def _find_cues(scanner: PromptScanner, course: Course) -> None:
    for match in scanner.take(ABSENT_FIRST):
        last = int(match["count"]) if match["count"] else int(match["until"]) - 1
        if _possible(scanner, match, last + 1):
            role = role_of(known_name(match["name"]))
            silent = ("drums", "percussion") if role in ("drums", "percussion") else (role,)
            course.cues += [Cue(1, last, silent=silent), Cue(last + 1, enter=(role,))]
    opening = scanner.take(STARTS_WITH)
    entries = [
        (m, role_of(known_name(m["name"]))) for m in scanner.take(ENTERS, lambda m: not REFUSED_LIST.search(before(m)))
    ]
    for match, role in entries:
        bar, seconds = _place(match)
        if seconds is None and bar > 1 and _possible(scanner, match, bar):
            course.cues += [Cue(1, bar - 1, silent=(role,)), Cue(bar, enter=(role,))]
        elif seconds is not None:
            course.cues.append(Cue(seconds=seconds, enter=(role,)))
    for match in opening:
        first = {role_of(known_name(name)) for name in re.findall(f"(?i){names()}", match["names"])}
        bars = [cue.bar for cue in course.cues if cue.enter and cue.bar > 1]
        silent = tuple(role for role in ROLES if role not in first)
        enter = tuple(role for role in ROLES if role in first)
        course.cues.append(Cue(1, min(bars) - 1 if bars else None, enter=enter, silent=silent))
    for match in scanner.take_requested(AT_PLACE):
        bar, seconds = _place(match)
        if _possible(scanner, match, bar):
            label = PARTS[match["part"].lower()]
            course.cues.append(
                Cue(bar, seconds=seconds, label=label) if seconds is None else Cue(seconds=seconds, label=label)
            )


def _place(match: re.Match) -> tuple[int, float | None]:
    """(bar, None) or (1, seconds)."""
    after = 1 if re.search(r"\bafter\b", match[0], re.IGNORECASE) else 0
    if match["bar"]:
        return int(match["bar"]) + after, None
    seconds = 60.0 * int(match["minutes"] or 0) + float(match["seconds"] or match["only_seconds"])
    return 1, min(seconds, MAX_SECONDS)


def _possible(scanner: PromptScanner, match: re.Match, bar: int) -> bool:
    if not 1 <= bar <= MAX_BARS:
        scanner.note(match.start(), f"{clip(match[0])!r}: there is no bar {bar}")
    return 1 <= bar <= MAX_BARS
