"""A prompt while it is read: what is understood is blanked out, what is not becomes a note."""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from hybridgen.text.rewrite import to_english

T = TypeVar("T")
BLANK = "\x00"  # neither a word nor a space: no pattern reaches across what has been read
SYMBOLS = str.maketrans({"♯": "#", "♭": "b", "’": "'", "‑": "-", "‐": "-", "−": "-", "→": ">", BLANK: " "})
KEPT = r"(?<!not )(?<!n't )(?<!never )(?<!without )"  # "don't remove the drums" keeps them
ALL_BUT = (  # "nothing but drums" is the contrary
    r"(?:(?<!at )(?<!of )\b(?:everything|everyone|everybody|all(?:\s+(?:the\s+)?(?:instruments|parts))?)(?:\s+else)?"
    r"\s+(?:but|save)(?:\s+for)?|\bexcept(?:ing)?(?:\s+for)?(?!\s+that\b)|\bexcluding|\b(?:apart|aside)\s+from)"
)
REMOVE = (
    rf"{KEPT}\b(?:remov(?:e|ing)|omit(?:ting)?|exclude|get\s+rid\s+of|(?:leav|tak)(?:e|ing)\s+(?:out|away)"
    r"|strip\s+(?:out|away)|(?:turn|switch)\s+off|(?:mut(?:e|ing)|silence|cut|kill|lose|ditch|skip)(?=\s+(?:the|all|any)\b))"
    r"(?:\s+all)?"
)
EXCEPT = rf"(?:{ALL_BUT}|{REMOVE})"
FILLERS = r"(?:\s+(?:in|at|a|an|the|any|using|be|too|very|so|that|really|overly))*[\s-]+"
REFUSED = (
    r"(?:\b(?:not|no|non|without|never|avoid|zero|minus|free of|isn't|aren't|instead of|rather than|anything but"
    r"|other than|nothing|(?:don't|do not|doesn't|should not|shouldn't|must not|mustn't)"
    r"(?:\s(?:use|do|want|be|have|play|go|make (?:it|this)))?)"
    rf"|{EXCEPT}){FILLERS}"
)


def compiled(pattern: str) -> re.Pattern:
    """A case-insensitive pattern."""
    return re.compile(pattern, re.IGNORECASE)


def clip(words: str) -> str:
    """The user's words for a note: one line of at most 60 characters."""
    words = " ".join(words.replace(BLANK, " ").split())
    return words if len(words) <= 60 else words[:57] + "..."


def before(match: re.Match) -> str:
    """The words that lead up to a match, 80 characters at most."""
    return match.string[max(0, match.start() - 80) : match.start()]


ITEM = r"(?!(?:with|plus|add|but|then|only|just|use|more)\b)[\w-]+(?:\s[\w-]+)?"
REFUSED_ONE = compiled(REFUSED + "$")
REFUSED_LIST = compiled(REFUSED + r"(?:[\w-]+(?:\s?[,/]\s?|\s(?:or|nor)\s)){0,4}$")
LIST_GOES_ON = compiled(rf"s?(?:\s?,\s?{ITEM}){{0,3}}\s?,?\s(?:or|nor)\s")
LIST_ENDS = compiled(r"\b(?:or|nor)\s(?:an?\s|the\s|any\s)?$")
# "everything but drums and bass" lacks both; "no drums and bass" may have the bass
EXCEPT_LIST = compiled(rf"{EXCEPT}{FILLERS}(?:{ITEM}(?:\s?[,/&]\s?|\s(?:and|or)\s)(?:the\s)?){{0,4}}$")
EXCEPT_GOES_ON = compiled(rf"s?(?:\s?,\s?(?:the\s)?{ITEM}){{0,3}}\s?,?\s(?:and|or|&)\s")
EXCEPT_ENDS = compiled(r"(?:\b(?:and|or)|&)\s(?:an?\s|the\s|any\s)?$")
ALL_BUT_IT = compiled(rf"{ALL_BUT}{FILLERS}$")
SAID_OF_OTHERS = compiled(  # "reverb on everything but the drums", "dry except the drums"
    rf"\b(?:(?:on|to|for|over|across|in)\s(?=every|all)|(?:mono|dry|wet|quiet|soft|clean|distorted|muffled)\s(?=except|apart|aside))"
    rf"{ALL_BUT}{FILLERS}$"
)
OTHERS_DO = compiled(  # "everything but the drums is quiet"
    r"s?\s+(?:is|are|drops?|stops?|fades?|enters?|falls?|cuts?|gets?|goes)\b"
)
ENDS_HERE = r"(?=\s*(?:$|[,.;:!)|\x00]|(?:and|but)\b))"
AND_MORE = rf"(?:\s(?:and|&)\s(?:the\s)?{ITEM}){{0,2}}"
REFUSED_AFTER = compiled(
    rf"s?(?:\s?[:=]\s?(?:none|no|off|false)|{AND_MORE}\s(?:(?:is|are|all|both|turned|switched|should\sbe)\s){{0,2}}"
    rf"(?:off|none|excluded|removed|omitted|left\sout|unwanted|not\s(?:wanted|needed|allowed))){ENDS_HERE}"
)
LEAVE_IT = compiled(
    rf"{KEPT}\b(?:leav(?:e|ing)|tak(?:e|ing)|keep|keeping)\s(?:(?:the\s)?{ITEM}\s(?:and|&)\s){{0,2}}(?:(?:the|all|any)\s)?$"
)
IT_OUT = compiled(rf"s?{AND_MORE}\sout(?:\sof\s(?:it|this|the\s(?:mix|track|song)))?{ENDS_HERE}")


def is_refused(match: re.Match) -> bool:
    """Whether the words around a match refuse it: "no drums, bass or guitar" refuses all, "no vocals, bass" no bass."""
    lead, text, end = before(match), match.string, match.end()
    if SAID_OF_OTHERS.search(lead) or (ALL_BUT_IT.search(lead) and OTHERS_DO.match(text, end)):
        return False
    if REFUSED_ONE.search(lead) or REFUSED_AFTER.match(text, end):
        return True
    if LEAVE_IT.search(lead) and IT_OUT.match(text, end):
        return True
    if EXCEPT_LIST.search(lead) and (EXCEPT_ENDS.search(lead) or EXCEPT_GOES_ON.match(text, end)):
        return True
    return bool(REFUSED_LIST.search(lead) and (LIST_ENDS.search(lead) or LIST_GOES_ON.match(text, end)))


def _blanked(words: str, spans: Iterable[tuple[int, int]]) -> str:
    """The words with `BLANK` in place of every letter of the spans, which may overlap."""
    letters = list(words)
    for start, stop in spans:
        letters[start:stop] = BLANK * (stop - start)
    return "".join(letters)


class PromptScanner:
    """The words of a prompt that are still unread, and the notes so far."""

    def __init__(self, prompt: str, limit: int) -> None:
        plain = to_english(prompt[: 2 * limit].translate(SYMBOLS))
        self.words = self.all_words = " ".join(plain.split())[:limit]
        self.spelling: dict[str, str] = {}  # a key or chord as we write it -> as it was first typed
        self._misleading: list[tuple[int, int]] = []
        self._notes: list[tuple[int, str]] = []
        if len(prompt) > limit:
            self.note(limit, f"of a prompt of {len(prompt)} characters at most {limit} are read for controls")

    def take(self, pattern: re.Pattern, wanted: Callable[[re.Match], bool] = bool) -> list[re.Match]:
        """All wanted matches of the pattern, which are read now: blanked out of the words."""
        matches = [match for match in pattern.finditer(self.words) if wanted(match)]
        self.words = _blanked(self.words, [match.span() for match in matches])
        return matches

    def blank(self, start: int, stop: int) -> None:
        """Blank out some of the words, which are read now."""
        self.words = _blanked(self.words, [(start, stop)])

    def take_requested(self, pattern: re.Pattern, wanted: Callable[[re.Match], bool] = bool) -> list[re.Match]:
        """`take` without the matches that the words refuse ("not in 4/4"): each becomes a note."""
        requested = []
        for match in self.take(pattern, wanted):
            if refusal := REFUSED_ONE.search(before(match)):
                self.note(match.start(), f"what is not wanted is not read: {clip(match[0])!r} is left free")
                self.mislead(refusal.start() + max(0, match.start() - 80), match.end())
            else:
                requested.append(match)
        return requested

    def mislead(self, start: int, stop: int) -> None:
        """Keep words from the models: the number of a place looks like a meter, what is refused like a request."""
        self._misleading.append((start, stop))

    def told(self, prompt: str) -> str:
        """What the planner is told of a prompt: the prompt itself unless some of its words would mislead it."""
        if not self._misleading:
            return prompt
        text = _blanked(self.all_words, self._misleading)
        return " ".join(re.sub(rf"[\s,;.]*{BLANK}+", "", text).split()).strip(" ,;.")

    def spell(self, name: str, typed: str) -> str:
        """A key or chord, whose spelling is remembered for what is said of it."""
        self.spelling.setdefault(name, typed)
        return name

    def spelled(self, name: str) -> str:
        """A key or chord as it was first typed."""
        return self.spelling.get(name, name)

    def note(self, position: int, message: str) -> None:
        """Remember what is to be said about the words at `position`."""
        self._notes.append((position, message))

    def first(self, name: str, found: Iterable[tuple[int, T]], show: Callable[[T], str] = str) -> T | None:
        """Of (position, value) pairs the first value; every other becomes a note. None if there is none."""
        pairs = sorted(found, key=lambda pair: pair[0])
        for position, value in pairs[1:]:
            if value != pairs[0][1]:
                said, taken = clip(show(value)), clip(show(pairs[0][1]))
                self.note(position, f"{name} {said} contradicts {name} {taken}: the first is taken")
        return pairs[0][1] if pairs else None

    def sorted_notes(self) -> list[str]:
        """The notes in the order of the words, each once."""
        return list(dict.fromkeys(message for _, message in sorted(self._notes, key=lambda pair: pair[0])))
