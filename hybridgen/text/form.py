"""Form and course in the words of a prompt: "intro, verse, chorus", "AABA, 32 bars", "bass enters at bar 5"."""

import re
from dataclasses import replace

from hybridgen.plan.parts import LABELS, MAX_BARS, MAX_SECONDS, ROLES, Bar, Cue, Section
from hybridgen.text.players import known_name, names, role_of
from hybridgen.text.reader import REMOVE, PromptScanner, clip, compiled, is_refused

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
    rf"(?P<name>{names()})\s*(?:(?:enters?|comes?\s+(?:in|back)|returns?|joins?|starts?|begins?|kicks?\s+in|drops?\s+in)\s+)?"
    rf"(?=at|on|from|in|after){PLACE}(?![\w:])"
)
ABSENT_FIRST = compiled(
    rf"\b(?:no|without|{REMOVE})\s+(?:any\s+|the\s+)?(?P<name>{names()})\s+(?:(?:for|in|during)\s+the\s+first\s+(?P<count>\d{{1,3}})\s+bars?"
    r"|(?:until|till|before)\s+bar\s+(?P<until>\d{1,4}))"
)
UNTIL = r"(?:\s*(?:(?P<until>until|till)|to|through|-|–)\s*(?:bar\s+)?(?P<last>\d{1,4}))?"
FROM_THERE = rf"(?=at|on|from|after){PLACE}{UNTIL}(?![\w:])"
REMOVED_AT = compiled(rf"\b(?:no|without|{REMOVE})\s+(?:any\s+|the\s+)?(?P<name>{names()})\s+{FROM_THERE}")
LEAVES = compiled(
    rf"(?P<name>{names()})\s+(?:(?:is|are)\s+)?"
    rf"(?:(?:drops?|cuts?|falls?|goes|go)\s+out|stops?|leaves?|out|off|muted|removed|silent|gone)\s+{FROM_THERE}"
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


def find_cues(scanner: PromptScanner) -> tuple[list[Cue], str | None]:
    """Who enters or is silent where, which section begins where; and whether the energy rises or falls.

    To be read before lengths and meters: the number of a bar is none of those.
    """
    cues: list[Cue] = []
    _find_entries(scanner, cues)
    dynamics = None
    for pattern, name in ((CRESCENDO, "crescendo"), (DIMINUENDO, "diminuendo")):
        if scanner.take_requested(pattern):
            dynamics = dynamics or name
    return cues, dynamics


def find_course(scanner: PromptScanner, bars: int | None) -> tuple[tuple[str, ...] | None, tuple[Section, ...] | None]:
    """The labels of the sections in order; and the sections themselves where letters divide a known number of bars."""
    found = [(match.start(), _labels(match)) for match in scanner.take_requested(SEQUENCE)]
    letters = scanner.take(LETTERS, lambda match: "B" in match[0] and match[0] not in ("ABBA", "ABC", "ABCD"))
    found += [(match.start(), _letter_labels(match[0].replace("-", ""))) for match in letters]
    if not found:
        loops = scanner.take_requested(LOOP)
        return (("verse",) if loops else None), None  # one section, without a beginning and an ending of its own
    form = scanner.first("form", found, " ".join)
    if letters and bars is not None and form and bars % len(form) == 0:
        return None, tuple(Section(label, (Bar(),) * (bars // len(form))) for label in form)
    return form, None


def _labels(match: re.Match) -> tuple[str, ...]:
    return tuple(PARTS[word.lower()] for word in re.findall(rf"(?i){PART}", match[0]))


def _letter_labels(letters: str) -> tuple[str, ...]:
    labels = LETTER_LABELS | ({"B": "bridge"} if letters == "AABA" else {})
    return tuple(labels[letter] for letter in letters)


def _find_entries(scanner: PromptScanner, cues: list[Cue]) -> None:
    for match in scanner.take(ABSENT_FIRST):
        last = int(match["count"]) if match["count"] else int(match["until"]) - 1
        if _possible(scanner, match, last + 1):
            role = role_of(known_name(match["name"]))
            cues += [Cue(1, last, silent=_with_percussion(role)), Cue(last + 1, enter=(role,))]
            scanner.mislead(*match.span())
    for match in [*scanner.take(REMOVED_AT), *scanner.take(LEAVES, lambda match: not is_refused(match))]:
        _leave(scanner, match, cues)
    entries = [(m, role_of(known_name(m["name"]))) for m in scanner.take(ENTERS, lambda m: not is_refused(m))]
    for match, role in entries:
        bar, seconds = _place(match)
        scanner.mislead(*match.span())
        if seconds is None and bar > 1 and _possible(scanner, match, bar):
            left = [cue for cue in cues if role in cue.silent and cue.last == MAX_BARS and cue.bar < bar]
            cues += [
                replace(left[0], last=bar - 1) if left else Cue(1, bar - 1, silent=(role,)),
                Cue(bar, enter=(role,)),
            ]
            cues[:] = [cue for cue in cues if cue not in left]
        elif seconds is not None:
            cues.append(Cue(seconds=seconds, enter=(role,)))
    for match in scanner.take(STARTS_WITH):
        first = {role_of(known_name(name)) for name in re.findall(f"(?i){names()}", match["names"])}
        bars = [cue.bar for cue in cues if cue.enter and cue.bar > 1]
        enter, silent = (tuple(role for role in ROLES if (role in first) == plays) for plays in (True, False))
        cues.append(Cue(1, min(bars) - 1 if bars else None, enter=enter, silent=silent))
    for match in scanner.take_requested(AT_PLACE):
        bar, seconds = _place(match)
        if _possible(scanner, match, bar):
            scanner.mislead(*match.span())
            label = PARTS[match["part"].lower()]
            cues.append(
                Cue(bar, seconds=seconds, label=label) if seconds is None else Cue(seconds=seconds, label=label)
            )


def _leave(scanner: PromptScanner, match: re.Match, cues: list[Cue]) -> None:
    """Who plays up to a place and not from there on, or up to a bar that is named too: "no bass from bar 5 to 8"."""
    role = role_of(known_name(match["name"]))
    bar, seconds = _place(match)
    last = int(match["last"]) - bool(match["until"]) if match["last"] and seconds is None else MAX_BARS
    scanner.mislead(*match.span())
    if seconds is not None:
        cues.append(Cue(last=MAX_BARS, seconds=seconds, silent=_with_percussion(role)))
    elif _possible(scanner, match, bar) and _possible(scanner, match, last) and bar <= last:
        cues += [Cue(1, bar - 1, enter=(role,))] if bar > 1 else []
        cues.append(Cue(bar, last, silent=_with_percussion(role)))


def _with_percussion(role: str) -> tuple[str, ...]:
    """Who is silent where a role is: without drums there is no percussion."""
    return ("drums", "percussion") if role in ("drums", "percussion") else (role,)


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
