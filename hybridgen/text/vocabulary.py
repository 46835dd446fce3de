"""The words that the training data's captions hold, and the words that mean nothing by themselves."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from hybridgen.text.reader import BLANK, clip

FILE = Path(__file__).with_name("vocabulary.txt")  # written by hybridgen.data.caption_vocabulary
COMMON = Path(__file__).with_name("common_words.txt")  # that fix nothing and describe nothing
WORD = re.compile(
    r"[^\W\d_][\w'+-]*|(?<!\d)\d{1,9}[^\W\d_][\w-]*|(?<!\w)(?<!\w[-.,:/])\d{1,9}-[^\W\d_][\w-]*"
    r"|(?<!\w)(?<!\w[-.,:/])(?!8\sbit|4\son\sthe\sfloor)\d[\d.,:/–-]*"
)
NUMBER = re.compile(r"\d[\d.,:/–-]*")
EDGES = "-–.,:/'"  # of a word or a number that are no part of it
MOST = 12  # words named in a note


@functools.cache
def known_words() -> frozenset[str]:
    """All of them, in small letters."""
    return frozenset(word for file in (FILE, COMMON) for word in file.read_text(encoding="utf-8").split())


def find_unread(words: str, notes: Iterable[str] = ()) -> tuple[str, ...]:
    """The words of a prompt, blanked where they were read, that are neither known nor common; each once.

    Numbers are among them, but for those that a note names.
    """
    unread: dict[str, str] = {}
    named = {number.strip(EDGES) for note in notes for number in NUMBER.findall(note)}
    for match in WORD.finditer(words.replace(BLANK, " ")):
        word = clip(match[0].strip(EDGES))
        is_number = NUMBER.fullmatch(word) is not None
        if word not in named and (is_number or (len(word) > 1 and not _is_known(word.lower()))):
            unread.setdefault(word.lower(), word)
    return tuple(unread.values())


def _is_known(word: str) -> bool:
    known = known_words()
    if word in known or word.removesuffix("s") in known or word.removesuffix("'s") in known:
        return True
    parts = re.split(r"[-']", word)
    return len(parts) > 1 and all(part in known for part in parts)


def unread_note(unread: tuple[str, ...]) -> str | None:
    """What to say of them; None for none."""
    if not unread:
        return None
    more = f" and {len(unread) - MOST} more" if len(unread) > MOST else ""
    return f"not understood: {', '.join(unread[:MOST])}{more}"
