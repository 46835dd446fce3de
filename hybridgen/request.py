"""The request, in arguments and in words, as `Controls` with notes on what gives way."""

from dataclasses import replace

from hybridgen import constraints
from hybridgen.plan.controls import Controls
from hybridgen.plan.instruments import HEARD
from hybridgen.plan.parts import check_bars
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import merged
from hybridgen.text.controls import Understanding, understand
from hybridgen.text.vocabulary import unread_note

DEFAULT_SECONDS = 30.0
LENGTHS = ("bars", "seconds", "sections")
FORMS = ("form", "sections")
# What gives way, in this order, where all that the words fix cannot be had together.
GIVES_WAY = ("tempo_changes", "mode", "tempo", "cues", "meter", "bars", "sections", "without", "roles", "instruments")


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
            shown = Controls(**{name: worded}).text(understood.spelling) or name
            notes.append(f"{name} in the prompt ({shown}) gives way to the explicit argument")
    controls = _without_contradiction(replace(given, **taken), given, notes)
    controls = _possible(_with_length(controls), given, notes)
    return controls, tuple(notes)


def taken_from_words(understood: Understanding, given: Controls) -> Controls:
    """What of the prompt's words is in the request, beside what is given explicitly."""
    controls, _ = resolve_controls(understood, given)
    worded = [name for name, value in vars(understood.controls).items() if value is not None]
    return Controls(**{name: getattr(controls, name) for name in worded if getattr(given, name) is None})


def _with_length(controls: Controls) -> Controls:
    return controls if controls.fixes_length else replace(controls, seconds=DEFAULT_SECONDS)


def _possible(controls: Controls, given: Controls, notes: list[str]) -> Controls:
    """The controls without as much of the words as cannot be had; ValueError where the arguments alone cannot."""
    for name in GIVES_WAY:
        try:
            constraints.check(controls)
        except ValueError as error:
            if getattr(controls, name) != getattr(given, name):
                notes.append(f"{name} in the prompt is left free: {error}")
                controls = _with_length(replace(controls, **{name: getattr(given, name)}))
        else:
            break
    constraints.check(controls)
    return controls


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


def reworded(plan: Plan, bars: tuple[int, int] | None, prompt: str) -> tuple[Plan, tuple[str, ...]]:
    """The plan in other words: who plays in the bars (None: in all) is as the prompt says ("solo piano"); and notes.

    How it sounds is so too, where all bars are meant: what is said of a kind of sound replaces what was. Everything
    else that the prompt fixes is the plan's already, so it gives way, with a note.
    """
    understood = understand(prompt)
    asked, notes = understood.controls, list(understood.notes)
    first, last = check_bars((1, plan.n_bars) if bars is None else bars, plan.n_bars)
    programs, known = {}, dict(plan.instruments)
    for role, chosen in asked.instruments or ():
        stays = role in known and (not chosen or known[role] in chosen)
        programs[role] = known[role] if stays else (chosen or HEARD[role])[0]
    new, at = plan, 1
    for section in plan.sections:
        start, stop = max(first, at), min(last, at + len(section.bars) - 1)
        at += len(section.bars)
        if start <= stop and (asked.roles or asked.without or programs):
            kept = asked.roles or (*(section.roles or ()), *programs)
            roles = [role for role in dict.fromkeys(kept) if role not in (asked.without or ())]
            new = new.edit((start, stop), roles=roles, instruments=programs or None)
    taken = ["roles", "without", "instruments"]
    if asked.sound is not None and (first, last) == (1, plan.n_bars):
        taken.append("sound")
        new = new.edit(sound=merged(plan.sound, asked.sound))
    fixed = [name for name, value in vars(asked).items() if value is not None]
    others = [name for name in fixed if name not in taken]
    notes += [f"{name} in the prompt is not changed by an edit's words" for name in others]
    return new.edit(bars, prompt=prompt), tuple(notes)
