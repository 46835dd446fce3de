"""The request, in arguments and in words, as `Controls` with notes on what gives way."""

from dataclasses import replace

from hybridgen.plan.controls import Controls
from hybridgen.text.controls import Understanding
from hybridgen.text.vocabulary import unread_note

DEFAULT_SECONDS = 30.0
LENGTHS = ("bars", "seconds", "sections")
FORMS = ("form", "sections")


def resolve_controls(understood: Understanding, given: Controls) -> tuple[Controls, tuple[str, ...]]:
    """What is given explicitly, then what the prompt says in words, then the default length; and notes on conflicts."""
    unread = unread_note(understood.unread)
    notes = [*understood.notes, *([] if unread is None else [unread])]
    taken = {}
    for name, worded in vars(understood.controls).items():
        value = getattr(given, name)
        is_fixed = given.fixes_length if name in LENGTHS else value is not None
        is_fixed = is_fixed or (name in FORMS and any(getattr(given, form) is not None for form in FORMS))
        if worded is not None and not is_fixed:
            taken[name] = worded
        elif worded is not None and worded != value:
            notes.append(f"{name} in the prompt ({worded}) gives way to the explicit argument")
    controls = _without_contradiction(replace(given, **taken), given, notes)
    return controls if controls.fixes_length else replace(controls, seconds=DEFAULT_SECONDS), tuple(notes)


def _without_contradiction(controls: Controls, given: Controls, notes: list[str]) -> Controls:
    """Who plays, with the words giving way to the arguments where the two contradict each other."""
    out, cast = controls.without or (), controls.roles
    instruments = tuple(
        pair for pair in controls.instruments or () if pair[0] not in out and (not cast or pair[0] in cast)
    )
    if given.instruments is not None:
        asked = {role for role, _ in given.instruments}
        return replace(
            controls, without=tuple(one for one in out if one not in asked) or None, roles=_cast(cast, asked)
        )
    for role, _ in controls.instruments or ():
        if role not in dict(instruments):
            notes.append(f"{role} in the prompt gives way to the explicit argument")
    return replace(controls, instruments=instruments or None)


def _cast(cast: tuple[str, ...] | None, asked: set[str]) -> tuple[str, ...] | None:
    return None if cast is None else (*cast, *(role for role in sorted(asked) if role not in cast))
