"""Chord progressions: a pool for each manner and mode, written as `harmony` reads them."""

from hybridgen.data.composer.harmony import Progressions

JAZZY = (("", ("maj7", "6", "maj7")), ("m", ("m7", "m7", "m9")), ("dom", ("7", "9")), ("maj7", ("maj7", "maj9")))
AIRY = (("", ("", "add9", "")), ("m", ("m", "m7")), ("dom", ("", "sus4")))
ROCKING = (("", ("", "", "", "5")), ("m", ("m", "m", "m", "5")), ("dom", ("", "", "sus4")))
FUNKY = (("7", ("7", "9")), ("m7", ("m7", "m9")), ("dom", ("7", "9")))

POP_MAJOR = Progressions(
    verse=(
        "I | V | vi | IV",
        "I | vi | IV | V",
        "I | IV | vi | V",
        "I | iii | IV | V",
        "I | IV | I | V",
        "I | ii | IV | V",
        "I | V | IV | V",
        "I | IV | V | I | I | IV | V | V",
    ),
    chorus=("I | V | vi | IV", "I | IV | V | IV", "IV | V | I | vi", "I | V | ii | IV", "I | IV | vi V | I"),
    bridge=("vi | iii | IV | V", "IV | V | iii | vi", "ii | V | I | V", "IV | I | ii | V"),
    cadence=("V", "V", "IV", "V7"),
)
POP_MINOR = Progressions(
    verse=(
        "i | bVI | bIII | bVII",
        "i | bVII | bVI | V",
        "i | iv | bVI | V",
        "i | iv | i | V",
        "i | bVI | iv | V",
        "i | v | bVI | iv",
        "i | bVII | iv | V",
    ),
    chorus=("i | bVI | bVII | i", "i | bVI | bIII | V", "i | iv | V | i", "bVI | bVII | i | i", "i | bVII | bVI | V"),
    bridge=("bVI | bVII | i | V", "iv | i | bVI | V", "iv | bVII | bIII | V", "bIII | bVII | i | V"),
    cadence=("V", "V7", "V", "iv"),
)
ROCK_MAJOR = Progressions(
    verse=("I | bVII | IV | I", "I | IV | V | IV", "I | V | vi | IV", "I | IV | I | V", "I | I | IV | V"),
    chorus=("I | V | IV | V", "I | IV | vi | V", "I | bVII | IV | V", "I | V | vi | IV"),
    bridge=("vi | IV | I | V", "IV | IV | V | V", "bVII | IV | I | V"),
    cadence=("V", "IV", "bVII"),
    colors=ROCKING,
)
ROCK_MINOR = Progressions(
    verse=("i | bVII | bVI | bVII", "i | bVI | bIII | bVII", "i | i | iv | V", "i | bIII | bVII | iv"),
    chorus=("i | bVI | bVII | i", "i | bVII | bVI | V", "i | iv | bVI | V"),
    bridge=("bVI | bVII | i | i", "iv | bVI | bVII | V"),
    cadence=("V", "bVII", "V"),
    colors=ROCKING,
)
JAZZ_MAJOR = Progressions(
    verse=(
        "Imaj7 | vi7 | ii7 | V7",
        "Imaj7 vi7 | ii7 V7 | iii7 VI7 | ii7 V7",
        "Imaj7 | IVmaj7 | iii7 VI7 | ii7 V7",
        "Imaj7 | Imaj7 | ii7 | V7 | iii7 | VI7 | ii7 | V7",
        "I6 | ii7 V7 | I6 | ii7 V7",
        "Imaj7 | #idim7 | ii7 | V7",
    ),
    chorus=("Imaj7 | II7 | ii7 | V7", "Imaj7 | iii7 VI7 | ii7 | V7", "Imaj7 | I7 | IVmaj7 | iv6"),
    bridge=("ii7 | V7 | Imaj7 | VI7", "IVmaj7 | iv6 | iii7 VI7 | ii7 V7", "v7 | I7 | IVmaj7 | V7"),
    cadence=("V7", "V9", "V7"),
    colors=JAZZY,
)
JAZZ_MINOR = Progressions(
    verse=(
        "i7 | iv7 | iim7b5 | V7",
        "i6 | bVI7 | iim7b5 V7 | i6",
        "i7 | i7 | iv7 | i7 | iim7b5 | V7 | i7 | V7",
        "i7 | viidim7 | i7 | V7",
        "i7 bVImaj7 | iim7b5 V7 | i7 | V7",
    ),
    chorus=("i7 | bVII7 | bVImaj7 | V7", "iv7 | bVII7 | bIIImaj7 | V7", "i7 | iv7 | V7 | i7"),
    bridge=("iv7 | bVII7 | bIIImaj7 | bVImaj7", "bVImaj7 | iim7b5 | V7 | V7"),
    cadence=("V7",),
    colors=(("m7", ("m7", "m9")), ("7", ("7",))),
)
MELLOW_MAJOR = Progressions(
    verse=(
        "Imaj7 | vi7 | ii7 | V7",
        "Imaj7 | iii7 | IVmaj7 | V9",
        "Imaj9 | vi9 | ii9 | V9",
        "Imaj7 | IVmaj7 | ii7 | V7",
        "Imaj7 | iii7 | vi7 | IVmaj7",
    ),
    chorus=(
        "Imaj7 | IVmaj7 | iii7 vi7 | ii7 V7",
        "Imaj7 | V7 | vi7 | IVmaj7",
        "Imaj7 | iii7 | IVmaj7 | iv6",
        "Imaj7 | Iaug | IVmaj7 | iv6",
    ),
    bridge=("ii7 | iii7 | IVmaj7 | V7", "IVmaj7 | iii7 | ii7 | V7"),
    cadence=("V7", "IV", "V9"),
    colors=JAZZY,
)
MELLOW_MINOR = Progressions(
    verse=(
        "i9 | bVImaj7 | bIIImaj7 | V7",
        "i7 | iv7 | bVImaj7 | V7",
        "i7 | bVII | bVImaj7 | V7",
        "i9 | iv9 | i9 | V7",
    ),
    chorus=("i7 | iv7 | bVII | bIIImaj7", "bVImaj7 | V7 | i7 | i7", "i7 | v7 | bVImaj7 | V7"),
    bridge=("iv7 | v7 | bVImaj7 | V7", "bVImaj7 | bVII | i7 | V7"),
    cadence=("V7",),
    colors=(("m7", ("m7", "m9")), ("maj7", ("maj7", "maj9"))),
)
FLOAT_MAJOR = Progressions(
    verse=("I | IV", "I | vi | IV | I", "Imaj7 | IVmaj7", "I | iii | IV | I", "I | V | IV | I", "I | ii | I | IV"),
    chorus=("I | IV | vi | IV", "I | V | vi | IV", "I | iii | vi | IV"),
    bridge=("vi | IV | I | V", "IV | I | ii | V"),
    cadence=("V", "IV"),
    colors=AIRY,
)
FLOAT_MINOR = Progressions(
    verse=("i | bVI", "i | iv | i | v", "i | bVI | bIII | V", "i | bVII | bVI | i", "i | iv"),
    chorus=("i | bVI | iv | V", "i | bIII | bVI | V"),
    bridge=("bVI | bIII | iv | V", "iv | bVI | i | V"),
    cadence=("V", "iv"),
    colors=AIRY,
)
EPIC_MAJOR = Progressions(
    verse=("I | vi | IV | V", "I | iii | vi | IV", "I | IV | iv | I", "I | V | vi | IV"),
    chorus=("I | V | vi | IV", "I | bVI | bVII | I", "I | IV | ii | V"),
    bridge=("vi | IV | I | V", "bVI | bVII | I | V"),
    cadence=("V", "IV", "V7"),
    colors=(("", ("", "", "add9")), ("dom", ("", "sus4"))),
)
EPIC_MINOR = Progressions(
    verse=("i | bVI | bIII | bVII", "i | bVI | iv | V", "i | v | bVI | iv", "i | i | bVI | V", "i | viidim7 | i | V"),
    chorus=("i | bVI | bIII | V", "i | bVII | bVI | V", "i | iv | bVI | V"),
    bridge=("iv | i | bVI | V", "bVI | bIII | iv | V", "bVI | iv | bII | V"),
    cadence=("V", "V7"),
)
CLUB_MAJOR = Progressions(
    verse=("I | I | IV | I", "I | vi | IV | V", "I | V | vi | IV", "I | ii | I | V", "I | iii | vi | IV"),
    chorus=("I | V | vi | IV", "I | IV | vi | V", "I | iii | IV | V"),
    bridge=("vi | IV | I | V", "IV | V | vi | V"),
    cadence=("V", "IV"),
    colors=(("", ("", "maj7", "add9")), ("m", ("m7", "m7", "m")), ("dom", ("", "7", "sus4"))),
)
CLUB_MINOR = Progressions(
    verse=("i | i | bVI | bVII", "i | iv | i | V", "i | bVII | bVI | V", "i | bVI | bIII | bVII", "i | v | bVI | iv"),
    chorus=("i | bVI | bVII | i", "i | bVI | iv | V", "i | bIII | bVI | V"),
    bridge=("iv | bVI | i | V", "bVI | bVII | i | V"),
    cadence=("V", "iv"),
    colors=(("m", ("m7", "m7", "m9", "m")), ("", ("", "maj7")), ("dom", ("", "7"))),
)
STARK_MAJOR = Progressions(
    verse=("I | I | I | bVII", "I | I | IV | I", "I | I | I | I", "I | I | ii | V"),
    chorus=("I | I | bVII | IV", "I | I | IV | V"),
    bridge=("IV | IV | I | V", "vi | vi | IV | V"),
    cadence=("V", "IV"),
)
STARK_MINOR = Progressions(
    verse=("i | i | i | bVII", "i | i | bVI | V", "i | i | i | i", "i | i | iv | i"),
    chorus=("i | i | bVI | bVII", "i | i | iv | V"),
    bridge=("iv | iv | i | V", "bVI | bVI | i | V"),
    cadence=("V", "v"),
    colors=(("m", ("m", "m", "m7")),),
)
FUNK_MAJOR = Progressions(
    verse=("I7 | I7 | IV7 | I7", "I7 | IV7", "I9 | I9 | I9 | V9", "I7 | I7 | bVII7 | IV7"),
    chorus=("IV7 | IV7 | I7 | V7", "I7 | vi7 | ii7 | V7", "I7 | IV7 | V7 | IV7"),
    bridge=("IV7 | IV7 | I7 | I7", "ii7 | V7 | I7 | V7"),
    cadence=("V7", "V9"),
    colors=FUNKY,
)
FUNK_MINOR = Progressions(
    verse=("i7 | IV7", "i7 | i7 | iv7 | V7", "i7 | i7 | IV7 | V7", "i7 | bVII | bVI | V7"),
    chorus=("i7 | iv7 | bVII7 | V7", "bVI7 | V7 | i7 | i7"),
    bridge=("iv7 | iv7 | i7 | V7", "bVI7 | bVI7 | V7 | V7"),
    cadence=("V7",),
    colors=FUNKY,
)
BLUES_MAJOR = Progressions(
    verse=(
        "I7 | I7 | I7 | I7 | IV7 | IV7 | I7 | I7 | V7 | IV7 | I7 | V7",
        "I7 | IV7 | I7 | I7 | IV7 | IV7 | I7 | I7 | V7 | IV7 | I7 | V7",
        "I7 | IV7 | I7 | V7",
    ),
    chorus=("I7 | I7 | IV7 | I7 | V7 | IV7 | I7 | V7", "I7 | IV7 | I7 V7 | I7"),
    bridge=("IV7 | IV7 | I7 | V7", "IV7 | I7 | II7 | V7"),
    cadence=("V7",),
)
BLUES_MINOR = Progressions(
    verse=("i7 | i7 | i7 | i7 | iv7 | iv7 | i7 | i7 | bVI7 | V7 | i7 | V7", "i7 | iv7 | i7 | V7"),
    chorus=("i7 | iv7 | i7 | i7 | bVI7 | V7 | i7 | V7",),
    bridge=("iv7 | iv7 | i7 | V7",),
    cadence=("V7",),
)
BOSSA_MAJOR = Progressions(
    verse=("Imaj7 | II7 | ii7 | V7", "Imaj7 | Imaj7 | ii7 | V7", "Imaj9 | vi9 | ii9 | V9", "I6 | ii7 | iii7 | V7"),
    chorus=("Imaj7 | VI7 | ii7 | V7", "ii7 | V7 | Imaj7 | vi7", "Imaj7 | iv6 | Imaj7 | V7"),
    bridge=("IVmaj7 | iv6 | iii7 | VI7 | ii7 | V7 | Imaj7 | V7", "ii7 | V7 | Imaj7 | V7"),
    cadence=("V7", "V9"),
    colors=JAZZY,
)
FOLK_MAJOR = Progressions(
    verse=(
        "I | IV | I | V",
        "I | V | vi | IV",
        "I | vi | IV | V",
        "I | IV | V | I",
        "I | I | IV | V",
        "I | ii | V | I",
    ),
    chorus=("IV | I | V | I", "I | V | IV | I", "I | IV | I V | I"),
    bridge=("vi | IV | I | V", "ii | IV | I | V"),
    cadence=("V", "V7", "IV"),
    colors=(("", ("", "", "", "sus2")), ("dom", ("", "7"))),
)
FOLK_MINOR = Progressions(
    verse=("i | bVII | i | V", "i | iv | V | i", "i | bVI | bIII | V", "i | bVII | bVI | V"),
    chorus=("bIII | bVII | i | V", "i | iv | i | V", "i | bVII | i | i"),
    bridge=("bVI | bVII | i | V", "iv | i | iv | V"),
    cadence=("V", "V7"),
)
CHIP_MAJOR = Progressions(
    verse=("I | IV | V | I", "I | V | vi | IV", "I | bVI | bVII | I", "I | IV | I | V", "I | ii | V | I"),
    chorus=("I | V | vi | IV", "IV | V | I | I", "I | bIII | IV | V", "I | Iaug | IV | V"),
    bridge=("vi | IV | V | V", "bVI | bVII | I | V"),
    cadence=("V", "bVII"),
)
CHIP_MINOR = Progressions(
    verse=("i | bVI | bVII | i", "i | bVII | bVI | V", "i | iv | V | i", "i | bVI | iv | V"),
    chorus=("i | bIII | bVII | V", "i | bVI | bVII | V"),
    bridge=("bVI | bVII | i | V", "iv | V | i | V"),
    cadence=("V", "bVII"),
)
CLASSICAL_MAJOR = Progressions(
    verse=(
        "I | V | I | V",
        "I | IV | V | I",
        "I | vi | ii V | I",
        "I | ii | V7 | I",
        "I | viidim | I | V7",
        "I | Iaug | IV | V7",
        "I | V | vi | iii | IV | I | IV | V",
    ),
    chorus=("I | IV ii | V | I", "I | vi | IV | V7", "IV | I | V7 | I"),
    bridge=("vi | iii | IV | V", "ii | vi | II7 | V7"),
    cadence=("V7", "V7", "V"),
)
CLASSICAL_MINOR = Progressions(
    verse=(
        "i | V | i | V",
        "i | iv | V7 | i",
        "i | viidim7 | i | V7",
        "i | iidim | V7 | i",
        "i | bVI | iv | V7",
        "i | bVII | bIII | V",
    ),
    chorus=("i | iv | V7 | i", "bIII | bVII | i | V", "i | bVI | iim7b5 V7 | i"),
    bridge=("bIII | bVII | i | V7", "iv | i | bVI | V7"),
    cadence=("V7",),
)
AFRO_MAJOR = Progressions(
    verse=("I7 | I7 | IV7 | I7", "I7 | I7 | bVII7 | I7", "I7 | ii7 | I7 | V7"),
    chorus=("I7 | IV7 | I7 | V7", "I7 | bVII7 | IV7 | I7"),
    bridge=("IV7 | IV7 | I7 | V7", "ii7 | ii7 | I7 | V7"),
    cadence=("V7", "IV7"),
    colors=FUNKY,
)
AFRO_MINOR = Progressions(
    verse=("i7 | i7 | IV7 | i7", "i7 | bVII7 | i7 | i7", "i7 | i7 | v7 | i7", "i7 | IV7 | i7 | bVII7"),
    chorus=("i7 | IV7 | bVII7 | IV7", "i7 | bVI7 | bVII7 | i7", "i7 | v7 | IV7 | i7"),
    bridge=("iv7 | iv7 | i7 | bVII7", "bVI7 | bVII7 | i7 | v7"),
    cadence=("V7", "bVII7"),
    colors=FUNKY,
)
DUB_MAJOR = Progressions(
    verse=("Imaj7 | Imaj7 | ii7 | ii7", "Imaj7 | IVmaj7", "Imaj7 | Imaj7 | vi7 | ii7"),
    chorus=("IVmaj7 | IVmaj7 | Imaj7 | ii7", "Imaj7 | vi7 | IVmaj7 | ii7"),
    bridge=("vi7 | vi7 | IVmaj7 | ii7", "ii7 | iii7 | IVmaj7 | V7"),
    cadence=("V7", "ii7"),
    colors=JAZZY,
)
DUB_MINOR = Progressions(
    verse=("i7 | i7 | v7 | i7", "i9 | i9 | iv9 | i9", "i7 | bVImaj7", "i7 | i7 | iv7 | v7"),
    chorus=("i7 | iv7 | bVImaj7 | v7", "i9 | bVImaj7 | iv9 | i9"),
    bridge=("iv7 | iv7 | i7 | v7", "bVImaj7 | bVImaj7 | iv7 | v7"),
    cadence=("v7", "V7"),
    colors=(("m7", ("m7", "m9")), ("maj7", ("maj7", "maj9"))),
)
NOIR_MAJOR = Progressions(
    verse=("Imaj7 | iv6 | Imaj7 | bVI7", "I | bVImaj7 | I | iv6", "Imaj7 | iii7 | iv6 | V7"),
    chorus=("IVmaj7 | iv6 | Imaj7 | V7", "vi7 | IVmaj7 | iv6 | Imaj7"),
    bridge=("vi7 | II7 | IVmaj7 | iv6", "bVImaj7 | bVII | Imaj7 | V7"),
    cadence=("V7", "iv6"),
)
NOIR_MINOR = Progressions(
    verse=("i | i | bVI | V7", "i7 | iv7 | i7 | bVI7", "i | bVII | iv7 | V7", "i6 | iim7b5 | V7 | i6"),
    chorus=("i | bVImaj7 | iv7 | V7", "iv7 | bVII | bIIImaj7 | V7", "i | iv6 | bVI7 | V7"),
    bridge=("bVImaj7 | v7 | iv7 | V7", "iv7 | i7 | bII | V7"),
    cadence=("V7", "iv7"),
)
ADVENTURE_MAJOR = Progressions(
    verse=("I | bVII | IV | I", "I | V | IV | V", "I | II | IV | I", "I | vi | bVI | bVII", "I | IV V | I | V"),
    chorus=("I | IV | V | I", "I | bVI | bVII | I", "I | bIII | IV | V", "IV | V | iii | vi"),
    bridge=("bVI | bIII | bVII | V", "vi | iv | I | V", "bVI | iv | II | V"),
    cadence=("V", "V7", "bVII"),
)
ADVENTURE_MINOR = Progressions(
    verse=("i | bVII | bVI | bVII", "i | iv | bVII | i", "i | V | i | bVI", "i | bIII | IV | i"),
    chorus=("bIII | bVII | i | V", "i | bVI | bIII | bVII", "i | iv | bVII | bIII"),
    bridge=("bVI | bII | i | V", "iv | bVII | bIII | V7"),
    cadence=("V", "V7", "bVII"),
)
SURF_MAJOR = Progressions(
    verse=("I | vi | IV | V", "I | I | IV | V", "I | IV | I | V", "I | iii | IV | V"),
    chorus=("IV | IV | I | V", "I | IV | V | I", "I | II | IV | V"),
    bridge=("vi | vi | II | V", "IV | iv | I | V"),
    cadence=("V", "V7"),
)
SURF_MINOR = Progressions(
    verse=("i | bVII | bVI | V", "i | i | iv | V7", "i | bVI | V | i", "i | iv | i | V7"),
    chorus=("i | bVII | bVI | V", "bVI | bVII | i | V", "iv | i | V7 | i"),
    bridge=("iv | iv | i | V", "bIII | bVII | bVI | V7"),
    cadence=("V", "V7"),
)
ISLAND_MAJOR = Progressions(
    verse=("I | V | vi | IV", "I | iii | IV | V", "I | vi | ii | V7", "I | IV | I | V7"),
    chorus=("I | iii | vi | IV", "IV | V | I | vi", "I | I7 | IV | iv"),
    bridge=("vi | iii | IV | V", "ii | V7 | I | V"),
    cadence=("V7", "V", "IV"),
    colors=(("", ("", "", "", "6", "add9")),),
)
