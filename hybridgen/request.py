"""The request, in arguments and in words, as `Controls` with notes on what gives way."""

from dataclasses import replace

from hybridgen.plan.controls import Controls
from hybridgen.text import find_controls

DEFAULT_SECONDS = 30.0
LENGTHS = ("bars", "seconds", "sections")


def resolve_controls(prompt: str, given: Controls) -> tuple[Controls, tuple[str, ...]]:
    """What is given explicitly, then what the prompt says in words, then the default length; and notes on conflicts."""
    in_words, notes = find_controls(prompt)
    taken = {}
    for name, worded in vars(in_words).items():
        value = getattr(given, name)
        is_fixed = given.fixes_length if name in LENGTHS else value is not None
        if worded is not None and not is_fixed:
            taken[name] = worded
        elif worded is not None and worded != value:
            notes.append(f"{name} in the prompt ({worded}) gives way to the explicit argument")
    controls = replace(given, **taken)
    return controls if controls.fixes_length else replace(controls, seconds=DEFAULT_SECONDS), tuple(notes)
