"""Who plays, in the words of a prompt: "rhodes and brushes", "no drums", "solo cello", "just bass and drums"."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hybridgen.plan.instruments import HEARD, KIT_WORDS, PROGRAM_WORDS, home_role
from hybridgen.plan.parts import ROLES
from hybridgen.text.names import ENSEMBLES, NEAREST, ROLE_NAMES, SYNONYMS
from hybridgen.text.reader import AND_MORE, ENDS_HERE, KEPT, PromptScanner, before, clip, compiled, is_refused

DRUM_PARTS = compiled(r"\b(?:kick(?: drum)?|snares?(?: drum)?|hi-?hats?|cymbals?|ride|crash|toms?)\b")

NOT_PLAYERS = r"(?![\s-]*(?:clef|boost|drop|lines? \d|tuning|tab|strings? guitar|key|scale))"
ONLY_BEFORE = compiled(
    r"(?:(?<!not )\b(?:only|just|solo|unaccompanied|nothing but|purely|exclusively|alone on)"
    r"(?:\s+(?:an?|the|some|one))?(?:\s+[\w-]+){0,1}[\s:]+)$"
)
ONLY_AFTER = compiled(r"\s*,?\s*(?:only|alone|unaccompanied|solo piece|(?:and\s+)?nothing else)\b")
LEADS = compiled(r"\s+(?:lead|melody|melodies|theme)\b")
NEGATIVE = compiled(r"\b(?:negative prompt|avoid|exclude|not wanted)\s*:\s*(?P<rest>[^.;|]*)")
NOTHING_ELSE = compiled(r"\bnothing else\b|\bno other instruments?\b")
MUTE = compiled(rf"{KEPT}\bmute\s+$")
MUTED = compiled(rf"s?{AND_MORE}\s(?:(?:is|are|both)\s)?muted{ENDS_HERE}")
NOT_BY_HAND = ("drums", "percussion", "bass", "keys", "pad")  # a trumpet or a string may be muted and play
LESS = compiled(r"\b(?P<name>drum|beat|bass|guitar|piano)s?(?:less|[\s-]free)\b")


@dataclass
class Players:
    """Who is asked for."""

    instruments: dict[str, tuple[int, ...] | None] = field(default_factory=dict)  # role -> programs, None = any
    without: list[str | int] = field(default_factory=list)
    roles: tuple[str, ...] | None = None  # nobody else


@functools.cache
def _programs() -> dict[str, tuple[int, ...]]:
    """Every name of an instrument that is no drum, with its programs."""
    found: dict[str, tuple[int, ...]] = {}
    for program, names in PROGRAM_WORDS.items():
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), program)
    return {name: programs for name, programs in found.items() if name not in (*ROLE_NAMES, "synth")}


@functools.cache
def _kits() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for kit, names in KIT_WORDS.items():
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), kit)
    return {name: kits for name, kits in found.items() if name not in ROLE_NAMES}


@functools.cache
def _known() -> frozenset[str]:
    return frozenset((*_programs(), *_kits(), *ROLE_NAMES, *SYNONYMS, *NEAREST, *ENSEMBLES))


@functools.cache
def names() -> str:
    """A regular expression that matches any name of an instrument, a role or a line-up."""
    alternatives = (
        re.escape(name).replace(r"\ ", r"[\s-]").replace(r"\-", r"[\s-]?") for name in _longest_first(_known())
    )
    return rf"(?:(?<![\w-])(?:{'|'.join(alternatives)})s?(?!\w)|(?:{'|'.join(_longest_first(_cjk(_known())))}))"


@functools.cache
def name_pattern() -> re.Pattern:
    """`names`, compiled, without what is no player."""
    return compiled(names() + NOT_PLAYERS)


def _longest_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (-len(name), name))


def _cjk(names: Iterable[str]) -> set[str]:
    """Names of languages that are written without spaces."""
    return {name for name in names if ord(name[0]) > 0x2E80}


def find_players(scanner: PromptScanner) -> Players:
    """Who plays, who does not, and whether anybody else may."""
    players = Players()
    text = scanner.words
    refused = [match.span("rest") for match in NEGATIVE.finditer(text)]
    only = bool(NOTHING_ELSE.search(text))
    for match in scanner.take(LESS):
        _exclude(players, {"beat": "drums"}.get(match["name"].lower(), match["name"].lower()))
    asked: list[tuple[int, str, bool]] = []
    for match in scanner.take(name_pattern()):
        name = name_of(match)
        is_out = is_refused(match) or _is_muted(match, name)
        if is_out or any(start <= match.start() < stop for start, stop in refused):
            _exclude(players, name)
            continue
        asked.append((match.start(), name, bool(LEADS.match(text, match.end()))))
        only = only or bool(ONLY_BEFORE.search(before(match)) or ONLY_AFTER.match(text, match.end()))
    for position, name, leads in asked:
        only = _ask(scanner, players, position, name, leads) or only
    _say_drum_parts(scanner, text)
    players.without = [one for one in dict.fromkeys(players.without) if one not in players.instruments]
    if only and players.instruments:
        players.roles = tuple(role for role in ROLES if role in players.instruments)
    return players


def _is_muted(match: re.Match, name: str) -> bool:
    """Whether a part is switched off, and not played with a mute: "bass muted", "mute drums"."""
    return role_of(name) in NOT_BY_HAND and bool(MUTE.search(before(match)) or MUTED.match(match.string, match.end()))


def name_of(match: re.Match) -> str:
    """The name in the tables of what `names` has matched."""
    return known_name(match[0])


def known_name(words: str) -> str:
    """The name in the tables of a name as it is typed, whatever its hyphens and its plural."""
    said = " ".join(words.lower().split())
    bare = re.sub(r"[\s-]", "", said)
    for candidate in (said, said.removesuffix("s")):
        if candidate in _known():
            return SYNONYMS.get(candidate, candidate)
    found = [name for name in _known() if re.sub(r"[\s-]", "", name) in (bare, bare.removesuffix("s"))]
    return SYNONYMS.get(min(found), min(found))


def role_of(name: str) -> str:
    """The role that an instrument of the tables usually plays."""
    name = NEAREST.get(name, name)
    if name in ROLE_NAMES:
        return ROLE_NAMES[name]
    if name in ENSEMBLES:
        return next(iter(ENSEMBLES[name][0]))
    return "drums" if name in _kits() else home_role(_programs()[name][0])


def _exclude(players: Players, name: str) -> None:
    name = NEAREST.get(name, name)
    role = ROLE_NAMES.get(name)
    if role in ("drums", "percussion") or name in _kits():
        players.without += ["drums", "percussion"]
    elif role is not None:
        players.without.append(role)
    else:
        players.without += _programs().get(name, ())


def _ask(scanner: PromptScanner, players: Players, position: int, name: str, leads: bool) -> bool:
    """Gives a name its role, that of the lead if it `leads`; True where it is a line-up in which nobody else plays."""
    if name in ENSEMBLES:
        line_up, alone = ENSEMBLES[name]
        for role, instrument in line_up.items():
            programs = _programs().get(instrument) or _kits().get(instrument)
            players.instruments.setdefault(role, _heard(role, programs) if programs else None)
        return alone
    if name in NEAREST:
        scanner.note(position, f"there is no {name} here: {NEAREST[name]} is taken")
        name = NEAREST[name]
    if name in ROLE_NAMES:
        players.instruments.setdefault(ROLE_NAMES[name], None)
    elif name in _kits():
        _add(scanner, players, position, name, "drums", _kits()[name])
    else:
        programs = _programs()[name]
        leads = leads and "lead" not in players.instruments and bool(set(programs) & set(HEARD["lead"]))
        role = "lead" if leads else _free_role(players, programs)
        _add(scanner, players, position, name, role, programs)
    return False


def _free_role(players: Players, programs: tuple[int, ...]) -> str:
    """The usual role of an instrument, or another that the models know it in where somebody plays that one already.

    Whoever plays it gives way where the newcomer cannot.
    """
    home = home_role(programs[0])
    taken = players.instruments.get(home)
    if taken is None or set(taken) & set(programs):
        return home
    if (other := _other_role(players, programs)) is not None:
        return other
    if (other := _other_role(players, taken)) is not None:
        players.instruments[other] = _heard(other, players.instruments.pop(home) or ())
    return home


def _other_role(players: Players, programs: tuple[int, ...]) -> str | None:
    pitched = [role for role in ("lead", *ROLES) if role not in ("drums", "percussion", *players.instruments)]
    return next((role for role in pitched if set(programs) & set(HEARD[role])), None)


def _add(
    scanner: PromptScanner, players: Players, position: int, name: str, role: str, programs: tuple[int, ...]
) -> None:
    programs, taken = _heard(role, programs), players.instruments.get(role)
    if not set(programs) & set(HEARD[role]):
        scanner.note(position, f"{name} as {role}: the model has never heard it, so its sound is a guess")
    if taken is None:
        players.instruments[role] = programs
    elif both := tuple(program for program in taken if program in programs):
        players.instruments[role] = both
    else:
        players.instruments[role] = tuple(dict.fromkeys((*taken, *programs)))
        scanner.note(position, f"{clip(name)} is one instrument too many for {role}: one of those named plays")


def _heard(role: str, programs: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(program for program in programs if program in HEARD[role]) or programs


def _say_drum_parts(scanner: PromptScanner, text: str) -> None:
    for match in DRUM_PARTS.finditer(text):
        if is_refused(match) or ONLY_BEFORE.search(before(match)):
            scanner.note(match.start(), f"{clip(match[0])!r}: the parts of a drum kit cannot be chosen one by one")
