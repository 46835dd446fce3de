"""A prompt while it is read: what is understood is blanked out, what is not becomes a note."""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from hybridgen.text.rewrite import to_english

T = TypeVar("T")
BLANK = "\x00"  # neither a word nor a space: no pattern reaches across what has been read
SYMBOLS = str.maketrans({"♯": "#", "♭": "b", "’": "'", "‑": "-", "‐": "-", "−": "-", "→": ">", BLANK: " "})
REFUSED = (
    r"\b(?:not|no|non|without|never|avoid|zero|minus|free of|isn't|aren't|instead of|rather than|anything but"
    r"|other than|nothing|(?:don't|do not|doesn't|should not|shouldn't|must not|mustn't)"
    r"(?:\s(?:use|do|want|be|have|play|go|make (?:it|this)))?)"
    r"(?:\s+(?:in|at|a|an|the|any|using|be|too|very|so|that|really|overly))*[\s-]+"
)


def compiled(pattern: str) -> re.Pattern:
    """A case-insensitive pattern."""
    return re.compile(pattern, re.IGNORECASE)


def clip(words: str) -> str:
    """The user's words for a note: one line of at most 60 characters."""
    words = " ".join(words.replace(BLANK, " ").split())
    return words if len(words) <= 60 else words[:57] + "..."


REFUSED_ONE = compiled(REFUSED + "$")
REFUSED_LIST = compiled(REFUSED + r"(?:[\w-]+(?:\s?[,/]\s?|\s(?:or|nor)\s)){0,4}$")


def before(match: re.Match) -> str:
    """The words that lead up to a match, 80 characters at most."""
    return match.string[max(0, match.start() - 80) : match.start()]


LIST_GOES_ON = compiled(r"s?(?:\s?,\s?[\w-]+(?:\s[\w-]+)?){0,3}\s?,?\s(?:or|nor)\s")
LIST_ENDS = compiled(r"\b(?:or|nor)\s(?:an?\s|the\s|any\s)?$")


def is_refused(match: re.Match) -> bool:
    """Whether the words before a match refuse it: "no drums, bass or guitar" refuses all, "no vocals, bass" no bass."""
    lead = before(match)
    if REFUSED_ONE.search(lead):
        return True
    in_list = REFUSED_LIST.search(lead)
    return bool(in_list and (LIST_ENDS.search(lead) or LIST_GOES_ON.match(match.string, match.end())))


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
