"""What is said to a request that cannot be done: why, about which field, and what would have been accepted."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_REPAIRS = 8  # fields that are put right in one suggestion
TRIED = 3  # similar words that are tried for one


class Refused(ValueError):
    """A request that cannot be done. suggestion: fields that make it one that can; None removes one."""

    def __init__(self, message: str, field: str | None = None, suggestion: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.field, self.suggestion = field, suggestion


@dataclass(frozen=True)
class Range:
    """What is known of a field's values."""

    low: float | None = None
    high: float | None = None
    choices: Sequence[str] = ()


Check = Callable[[Mapping[str, Any]], object]  # raises Refused


def with_suggestion(refused: Refused, fields: Mapping[str, Any], check: Check, ranges: Mapping[str, Range]) -> Refused:
    """The refusal with a suggestion, where one is found that `check` accepts."""
    if refused.suggestion is not None:
        return refused
    repaired, changes, problem = dict(fields), dict[str, Any](), refused
    for _ in range(MAX_REPAIRS):
        name = problem.field
        if name is None or name not in repaired:
            break
        for new_name, new_value in candidates(name, repaired[name], ranges):
            trial = {other: one for other, one in repaired.items() if other != name}
            if new_value is not None:
                trial[new_name] = new_value
            found = _problem(trial, check)
            if found is None or found.field != name:
                repaired = trial
                changes |= {name: None, new_name: new_value}
                break
        else:
            break
        if found is None:
            return Refused(str(refused), refused.field, changes)
        problem = found
    return refused


def _problem(fields: Mapping[str, Any], check: Check) -> Refused | None:
    try:
        check(fields)
    except Refused as refused:
        return refused
    return None


def candidates(name: str, value: Any, ranges: Mapping[str, Range]) -> Iterator[tuple[str, Any]]:
    """(field, value) pairs that may be meant by one that is refused, the likeliest first; at last, without it."""
    if name not in ranges:
        for other in difflib.get_close_matches(name, ranges, TRIED):
            yield other, value
    else:
        known = ranges[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = known.low, known.high
            if low is not None and value < low:
                yield name, low
            elif high is not None and value > high:
                yield name, high
        words = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if known.choices and words and all(isinstance(word, str) for word in words):
            near = [_nearest(word, known.choices) for word in words]
            if all(near):
                yield name, near[0] if isinstance(value, str) else near
    yield name, None


def _nearest(word: str, choices: Sequence[str]) -> str | None:
    plain = {choice.lower(): choice for choice in choices if choice[0].lower() == word[:1].lower()}
    found = difflib.get_close_matches(word[:40].lower(), plain, 1, 0.5)
    return plain[found[0]] if found else None


def field_of(message: str, fields: Mapping[str, Any]) -> str | None:
    """The field that a message of ours begins with."""
    found = re.match(r"\w+", message)
    return found[0] if found and found[0] in fields else None
