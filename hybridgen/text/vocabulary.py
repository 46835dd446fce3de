"""The words that the training data's captions hold, and the words that mean nothing by themselves."""

import functools
import re
from pathlib import Path

from hybridgen.text.reader import BLANK

FILE = Path(__file__).with_name("vocabulary.txt")  # written by hybridgen.data.caption_vocabulary
COMMON = Path(__file__).with_name("common_words.txt")  # that fix nothing and describe nothing
WORD = re.compile(r"[^\W\d_][\w'+-]*|(?<!\d)\d{1,9}[^\W\d_][\w-]*")
MOST = 12  # words named in a note


@functools.cache
def known_words() -> frozenset[str]:
    """All of them, in small letters."""
    return frozenset(word for file in (FILE, COMMON) for word in file.read_text(encoding="utf-8").split())


def find_unread(words: str) -> tuple[str, ...]:
    """The words of a prompt, blanked where they were read, that are neither known nor common; each once."""
    unread: dict[str, str] = {}
    for match in WORD.finditer(words.replace(BLANK, " ")):
        word = match[0].strip("-'")
        if len(word) > 1 and not _is_known(word.lower()):
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
