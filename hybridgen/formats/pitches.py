"""Key signatures, and the letters and accidentals that pitches have under them.

Places on the line of fifths: F = -1, C = 0, G = 1 ... B = 5, F# = 6; Bb = -2. A signature is the place of its major
tonic: its sharps, or its flats below 0.
"""

from hybridgen.plan.harmony import LETTERS, MODES, PITCHES, split_key

_LINE = "FCGDAEB"
_MAX_SIGNATURE = 7
# the signature of a mode on C
_MODE_FIFTHS = {
    "lydian": 1,
    "major": 0,
    "ionian": 0,
    "mixolydian": -1,
    "dorian": -2,
    "minor": -3,
    "aeolian": -3,
    "phrygian": -4,
    "locrian": -5,
}


def letter_at(place: int) -> tuple[str, int]:
    """(letter, sharps or, below 0, flats) at a place of the line of fifths."""
    return _LINE[(place + 1) % 7], (place + 1) // 7


def signature_of(letter: str, alter: int, mode: str) -> int:
    """The signature of a key by its tonic and mode; ValueError for more than seven sharps or flats, or another mode."""
    if mode not in _MODE_FIFTHS:
        raise ValueError(f"mode {mode[:40]!r} is none of {', '.join(_MODE_FIFTHS)}")
    fifths = _LINE.index(letter) - 1 + 7 * alter + _MODE_FIFTHS[mode]
    if abs(fifths) > _MAX_SIGNATURE:
        raise ValueError(f"a signature of {abs(fifths)} {'sharps' if fifths > 0 else 'flats'} is more than seven")
    return fifths


def key_of(fifths: int, mode: str) -> str:
    """The canonical key of a signature and a mode, major or minor as the mode is; ValueError as `signature_of`."""
    if mode not in _MODE_FIFTHS or abs(fifths) > _MAX_SIGNATURE:
        raise ValueError(f"signature {str(fifths)[:20]} with mode {mode[:40]!r} is no key")
    kind = mode if mode in ("major", "minor") else MODES[mode][1]
    return f"{PITCHES[(fifths - _MODE_FIFTHS[mode]) * 7 % 12]} {kind}"


def signature(key: str | None) -> int:
    """The signature of a canonical key, the usual of two enharmonic ones; 0 for None."""
    if key is None:
        return 0
    tonic, mode = split_key(key)
    fifths = (tonic + (3 if mode == "minor" else 0)) * 7 % 12
    return fifths - 12 if fifths > 6 or (fifths == 6 and mode == "minor") else fifths


def tonic_of(key: str) -> tuple[str, int]:
    """(letter, sharps or flats) that a canonical key's tonic has under `signature`."""
    return letter_at(signature(key) + (3 if split_key(key)[1] == "minor" else 0))


def sharpened(fifths: int) -> dict[str, int]:
    """Letter -> sharps or flats that a signature gives it."""
    return dict(letter_at(place) for place in range(fifths - 1, fifths + 6))


def spell(pitch: int, fifths: int) -> tuple[str, int, int]:
    """(letter, sharps or flats -1 to 1, octave with C4 = 60) of a MIDI pitch under a signature."""
    letter, alter = _from(fifths - 3, pitch)
    return letter, alter, (pitch - alter - LETTERS[letter]) // 12 - 1


def spell_root(root: int, key: str | None) -> tuple[str, int]:
    """(letter, sharps or flats -1 to 1) of a chord's root 0-11 in a canonical key.

    Major keys borrow chords from the side of the flats: b2, b6, b3. Without a key it is as in C major, as in `PITCHES`.
    """
    is_minor = key is not None and split_key(key)[1] == "minor"
    return _from(signature(key) - (3 if is_minor else 5), root)


def _from(lowest: int, pitch: int) -> tuple[str, int]:
    """(letter, sharps or flats) of a pitch among the twelve places of the line from `lowest`, kept to -1 to 1."""
    lowest = min(max(lowest, -8), 1)
    return letter_at(lowest + (pitch * 7 - lowest) % 12)


def midi(letter: str, alter: int, octave: int) -> int:
    """The MIDI pitch of a spelled one; it may lie outside 0-127."""
    return 12 * (octave + 1) + LETTERS[letter] + alter
