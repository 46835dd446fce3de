"""Keys, chords and meters: their names, their pitch classes, and how they move.

Pitch classes are integers 0-11 with C = 0. Names have one canonical spelling (`PITCHES`, `QUALITIES`, `KEYS`);
parsing accepts the spellings that musicians type ("Bbmaj7", "A#M7", "Db minor", "f♯m").
"""

import re

PITCHES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
NO_CHORD = "N"
KEYS = tuple(f"{pitch} {mode}" for mode in ("major", "minor") for pitch in PITCHES)

# intervals above the root, in semitones
QUALITY_INTERVALS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "add9": (0, 2, 4, 7),
    "9": (0, 2, 4, 7, 10),
    "m9": (0, 2, 3, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "5": (0, 7),
}
QUALITIES = tuple(QUALITY_INTERVALS)
QUALITY_SPELLINGS = {
    "maj": "",
    "M": "",
    "min": "m",
    "-": "m",
    "dom7": "7",
    "M7": "maj7",
    "Δ": "maj7",
    "Δ7": "maj7",
    "ma7": "maj7",
    "min7": "m7",
    "-7": "m7",
    "°": "dim",
    "o": "dim",
    "+": "aug",
    "sus": "sus4",
    "ø": "m7b5",
    "min7b5": "m7b5",
    "°7": "dim7",
    "o7": "dim7",
    "maj6": "6",
    "min6": "m6",
    "min9": "m9",
    "M9": "maj9",
}
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10)
# the chord on each degree when a chord follows its key into the other mode; V keeps its leading tone in minor
MAJOR_TRIADS, MINOR_TRIADS = ("", "m", "m", "", "", "m", "dim"), ("m", "dim", "", "m", "", "", "")
MAJOR_SEVENTHS = ("maj7", "m7", "m7", "maj7", "7", "m7", "m7b5")
MINOR_SEVENTHS = ("m7", "m7b5", "maj7", "m7", "7", "maj7", "7")

# beat starts inside a bar and the bar's length, in quarter notes; compound meters beat dotted quarters, 7/8 is 2+2+3
METER_BEATS: dict[str, tuple[float, ...]] = {
    "2/4": (0.0, 1.0),
    "3/4": (0.0, 1.0, 2.0),
    "4/4": (0.0, 1.0, 2.0, 3.0),
    "5/4": (0.0, 1.0, 2.0, 3.0, 4.0),
    "6/8": (0.0, 1.5),
    "7/8": (0.0, 1.0, 2.0),
    "9/8": (0.0, 1.5, 3.0),
    "12/8": (0.0, 1.5, 3.0, 4.5),
}
METERS = tuple(METER_BEATS)

MODES = {  # semitones above the tonic, and whether the key is a major or a minor one
    "ionian": ((0, 2, 4, 5, 7, 9, 11), "major"),
    "dorian": ((0, 2, 3, 5, 7, 9, 10), "minor"),
    "phrygian": ((0, 1, 3, 5, 7, 8, 10), "minor"),
    "lydian": ((0, 2, 4, 6, 7, 9, 11), "major"),
    "mixolydian": ((0, 2, 4, 5, 7, 9, 10), "major"),
    "aeolian": ((0, 2, 3, 5, 7, 8, 10), "minor"),
    "locrian": ((0, 1, 3, 5, 6, 8, 10), "minor"),
    "harmonic minor": ((0, 2, 3, 5, 7, 8, 11), "minor"),
    "melodic minor": ((0, 2, 3, 5, 7, 9, 11), "minor"),
    "phrygian dominant": ((0, 1, 4, 5, 7, 8, 10), "major"),
}

NOTE = r"([A-Ga-g])\s?(#|♯|b|♭|-?sharp|-?flat)?"
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def meter_quarters(meter: str) -> float:
    """Quarter notes in a bar of `meter` ("7/8" -> 3.5)."""
    beats, unit = meter.split("/")
    return int(beats) * 4 / int(unit)


def parse_pitch(letter: str, accidental: str | None = None) -> int:
    """Pitch class 0-11 of a note letter and an accidental ("#", "b", "sharp", "flat" or none)."""
    shift = 0 if not accidental else 1 if accidental.strip("-")[0] in "#♯s" else -1
    return (LETTERS[letter.upper()] + shift) % 12


def parse_key(name: str) -> str:
    """Canonical key ("A minor") of any usual spelling ("Am", "a min", "C# major"); ValueError if there is none."""
    match = re.fullmatch(rf"{NOTE}\s*(major|maj|M|minor|min|m)?", name.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"key {name[:60]!r} is none of the 24 (a note C ... B with # or b, then major or minor)")
    mode = match[3] or "major"
    is_minor = mode == "m" or mode.lower().startswith("min")
    return f"{PITCHES[parse_pitch(match[1], match[2])]} {'minor' if is_minor else 'major'}"


def split_key(key: str) -> tuple[int, str]:
    """(tonic pitch class, "major" or "minor") of a canonical key."""
    pitch, mode = key.split()
    return PITCHES.index(pitch), mode


def parse_chord(name: str) -> str:
    """Canonical chord name ("Am", "Bbmaj7", "N") of any usual spelling; ValueError if it names no chord we have."""
    text = name.strip()
    if text in ("N", "N.C.", "NC"):
        return NO_CHORD
    match = re.fullmatch(r"([A-G])(#|♯|b|♭)?(.*)", text)
    quality = match and QUALITY_SPELLINGS.get(match[3], match[3])
    if match is None or quality not in QUALITY_INTERVALS:
        raise ValueError(
            f"chord {name[:60]!r} is not known: a root C ... B, then one of {', '.join(QUALITIES[1:])}, or N"
        )
    return PITCHES[parse_pitch(match[1], match[2])] + quality


def split_chord(name: str) -> tuple[int, str]:
    """(root pitch class, quality) of a canonical chord that is not `NO_CHORD`."""
    root = name[:2] if name[1:2] in ("#", "b") else name[:1]
    return PITCHES.index(root), name[len(root) :]


def chord_pitches(name: str) -> tuple[int, ...]:
    """Pitch classes of a canonical chord, root first; () for `NO_CHORD`."""
    if name == NO_CHORD:
        return ()
    root, quality = split_chord(name)
    return tuple((root + interval) % 12 for interval in QUALITY_INTERVALS[quality])


def transpose_chord(name: str, semitones: int) -> str:
    """The chord `semitones` higher, canonically spelled."""
    if name == NO_CHORD:
        return name
    root, quality = split_chord(name)
    return PITCHES[(root + semitones) % 12] + quality


def scale_pitches(key: str) -> tuple[int, ...]:
    """The seven pitch classes of a canonical key (natural minor)."""
    tonic, mode = split_key(key)
    return tuple((tonic + step) % 12 for step in (MAJOR_SCALE if mode == "major" else MINOR_SCALE))


def rekey_chord(name: str, old_key: str, new_key: str) -> str:
    """The chord that plays in `new_key` the part that `name` plays in `old_key`.

    Between keys of one mode this is transposition; into the other mode a diatonic chord keeps its degree and takes the
    quality it has there, and a chromatic chord is transposed.
    """
    (old_tonic, old_mode), (new_tonic, new_mode) = split_key(old_key), split_key(new_key)
    moved = transpose_chord(name, new_tonic - old_tonic)
    if old_mode == new_mode or name == NO_CHORD:
        return moved
    root, quality = split_chord(name)
    old_scale, new_scale = (MAJOR_SCALE, MINOR_SCALE) if old_mode == "major" else (MINOR_SCALE, MAJOR_SCALE)
    if (root - old_tonic) % 12 not in old_scale:
        return moved
    degree = old_scale.index((root - old_tonic) % 12)
    sevenths = len(QUALITY_INTERVALS[quality]) > 3
    table = {("minor", False): MINOR_TRIADS, ("minor", True): MINOR_SEVENTHS}.get(
        (new_mode, sevenths), MAJOR_SEVENTHS if sevenths else MAJOR_TRIADS
    )
    return PITCHES[(new_tonic + new_scale[degree]) % 12] + table[degree]
