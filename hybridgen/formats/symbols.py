"""Chord symbols as sheets write them: the chord of ours that each is, or the nearest that we have.

"Cm7", "C-7", "Cmin7", "CΔ", "C7(b9)", "Cm7/Eb" and Harte's "C:min7/b3" are read; the bass of a slash chord is dropped.
"""

import re

from hybridgen.plan.harmony import NO_CHORD, PITCHES, QUALITY_INTERVALS, parse_chord, parse_pitch, split_chord

UNKNOWN = "?"  # chords that nobody knows
HARTE_UNKNOWN = "X"  # counts neither as right nor as wrong
HARTE_QUALITIES = {  # of ours in Harte's syntax, https://ismir2005.ismir.net/proceedings/1080.pdf
    "": "maj",
    "m": "min",
    "7": "7",
    "maj7": "maj7",
    "m7": "min7",
    "dim": "dim",
    "aug": "aug",
    "sus2": "sus2",
    "sus4": "sus4",
    "m7b5": "hdim7",
    "dim7": "dim7",
    "6": "maj6",
    "m6": "min6",
    "add9": "maj(9)",
    "9": "9",
    "m9": "min9",
    "maj9": "maj9",
    "5": "5",
}
MAX_SYMBOL = 40  # characters
_SILENT = ("n", "nc", "n.c", "n.c.")
_SYMBOL = re.compile(
    r"(?P<root>[A-G])(?P<accidental>##|bb|[#♯b♭])?:?(?P<quality>(?:[^/\s]*(?<=6)/9|[^/\s]*))(?P<bass>/\S+)?"
)
_BASS = re.compile(r"/(?:[A-G][#♯b♭]?|[#b]?1?\d)")  # a note, or Harte's degree
_TOKEN = re.compile(
    r"(?P<major>maj|Maj|MAJ|ma(?!dd)|M|Δ)|(?P<half>hdim7?|ø7?|h7?)|(?P<dim>dim|°|o(?!m))|(?P<sus2>sus2)|(?P<sus4>sus4?)"
    r"|(?P<aug>aug)|(?:no|omit|\*)(?P<gone>[b#]?\d{1,2})|add(?P<added>[b#]?\d{1,2})|(?P<minor>min|Min|MIN|mi|m)"
    r"|(?P<alt>alt)|(?P<dom>dom)|(?P<altered>[b#]\d{1,2}|[+-](?:5|9|11|13))|(?P<plus>\+)|(?P<six_nine>6/9|69)|(?P<six>6)"
    r"|(?P<stack>13|11|9|7)|(?P<two>2)|(?P<four>4)|(?P<one>1)"
)
# tone -> semitones above the root that a word gives it; None takes it away
_EFFECTS: dict[str, dict[str, int | None]] = {
    "major": {},
    "dom": {},
    "minor": {"third": 3},
    "dim": {"third": 3, "fifth": 6},
    "half": {"third": 3, "fifth": 6, "seventh": 10},
    "aug": {"fifth": 8},
    "plus": {"fifth": 8},
    "sus2": {"third": 2},
    "sus4": {"third": 5},
    "four": {"third": 5},
    "two": {"ninth": 2},
    "alt": {"seventh": 10, "ninth": 1},
    "six": {"sixth": 9},
    "six_nine": {"sixth": 9, "ninth": 2},
    "one": {"third": None, "fifth": None},
}
_DEGREES = {  # of the major scale: (tone, semitones above the root)
    1: ("root", 0),
    2: ("ninth", 2),
    3: ("third", 4),
    4: ("eleventh", 5),
    5: ("fifth", 7),
    6: ("sixth", 9),
    7: ("seventh", 11),
    9: ("ninth", 2),
    11: ("eleventh", 5),
    13: ("thirteenth", 9),
}
_STACKS = {"7": (), "9": (9,), "11": (9, 11), "13": (9, 13)}  # the degrees above a seventh
# how much is lost by a note too many or too few, by its semitones above the root: thirds most, then sevenths
_WEIGHTS = (9.0, 1.0, 1.0, 4.0, 4.0, 1.0, 1.5, 1.0, 1.5, 2.0, 3.0, 3.0)


def read_symbol(text: str) -> tuple[str, str | None]:
    """(the canonical chord, what of the symbol is lost or None); ValueError if it is no chord symbol."""
    if text.lower() in _SILENT:
        return NO_CHORD, None
    match = _SYMBOL.fullmatch(text) if len(text) <= MAX_SYMBOL else None
    if match is None or (match["bass"] and not _BASS.fullmatch(match["bass"])):
        raise ValueError(f"{text[:MAX_SYMBOL]!r} is no chord symbol")
    accidental = match["accidental"] or ""
    twice = (parse_pitch("C", accidental[1:]) + 6) % 12 - 6  # of a double accidental, its second
    root = PITCHES[(parse_pitch(match["root"], accidental[:1]) + twice) % 12]
    try:
        quality, is_exact = _quality(match["quality"])
    except ValueError:
        raise ValueError(f"{text!r} is no chord symbol") from None
    lost = [] if is_exact else [f"{root}{quality}, the nearest of ours, stands for it"]
    lost += [f"its bass {match['bass'][1:]} is dropped"] if match["bass"] else []
    return root + quality, f"chord {text}: {', '.join(lost)}" if lost else None


def _quality(text: str) -> tuple[str, bool]:
    """(the quality of ours that is nearest, whether it is the same); ValueError if it is none."""
    text = text.replace("♭", "b").replace("♯", "#").replace("^", "Δ")
    try:
        return parse_chord(f"C{text}")[1:], True
    except ValueError:
        wanted = _intervals(text)
    nearest = min(QUALITY_INTERVALS, key=lambda name: _distance(wanted, QUALITY_INTERVALS[name]))
    return nearest, set(QUALITY_INTERVALS[nearest]) == wanted


def _distance(wanted: set[int], intervals: tuple[int, ...]) -> tuple[float, int]:
    return sum(_WEIGHTS[interval] for interval in wanted ^ set(intervals)), len(intervals)


def _degree(text: str) -> tuple[str, int]:
    """(tone, semitones above the root, 0-11) of a degree such as 9, b5 or +11; ValueError for another."""
    number = int(text.lstrip("b#+-"))
    if number not in _DEGREES:
        raise ValueError(f"{text} is no degree of a chord")
    shift = text.count("#") + text.count("+") - text.count("b") - text.count("-")
    return _DEGREES[number][0], (_DEGREES[number][1] + shift) % 12


def _intervals(quality: str) -> set[int]:
    """Semitones above the root of a quality, word for word; ValueError where a word is none."""
    if re.fullmatch(r"\([b#]{0,2}\d{1,2}(?:,[b#]{0,2}\d{1,2})*\)", quality) and "," in quality:  # Harte's degrees
        return {0} | {_degree(one)[1] for one in quality.strip("()").split(",")}
    plain = re.sub(r"\(([^()]*)\)", lambda match: _added(match[1]), quality)
    plain = "m" + plain[1:] if plain.startswith("-") else plain
    tones: dict[str, int | None] = {"root": 0, "third": 4, "fifth": 7}
    place, seen = 0, set()
    while place < len(plain):
        match = _TOKEN.match(plain, place)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{plain[place:]} is no quality of a chord")
        word, text, place = match.lastgroup, match[match.lastgroup], match.end()
        seen.add(word)
        if word == "stack":
            tones["seventh"] = 11 if "major" in seen else 9 if "dim" in seen else 10
            tones |= dict(_DEGREES[degree] for degree in _STACKS[text])
        elif word == "gone":
            tones[_degree(text)[0]] = None
        elif word in ("added", "altered"):
            tones |= dict([_degree(text)])
        else:
            tones |= _EFFECTS[word]
    return {interval for interval in tones.values() if interval is not None}


def _added(inside: str) -> str:
    """What stands in brackets, each bare degree above a seventh as an added one."""
    parts = [part.strip() for part in inside.split(",")]
    return "".join(f"add{part}" if part in ("2", "4", "9", "11", "13") else part for part in parts)


def harte_label(chord: str | None) -> str:
    """A canonical chord in Harte's syntax: "Am7" -> "A:min7", no chord "N"; "X" for an unknown one."""
    if chord is None:
        return HARTE_UNKNOWN
    if chord == NO_CHORD:
        return "N"
    root, quality = split_chord(chord)
    return f"{PITCHES[root]}:{HARTE_QUALITIES[quality]}"
