"""The kinds of harmonies of MusicXML and our qualities of chords."""

KINDS = {  # quality of ours -> kind
    "": "major",
    "m": "minor",
    "7": "dominant",
    "maj7": "major-seventh",
    "m7": "minor-seventh",
    "dim": "diminished",
    "aug": "augmented",
    "sus2": "suspended-second",
    "sus4": "suspended-fourth",
    "m7b5": "half-diminished",
    "dim7": "diminished-seventh",
    "6": "major-sixth",
    "m6": "minor-sixth",
    "add9": "major",  # with a degree added
    "9": "dominant-ninth",
    "m9": "minor-ninth",
    "maj9": "major-ninth",
    "5": "power",
}
QUALITIES = {kind: quality for quality, kind in reversed(KINDS.items())} | {
    "augmented-seventh": "7#5",
    "major-minor": "mmaj7",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "pedal": "1",
}
