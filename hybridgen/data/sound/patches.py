"""The sounds of our own synthesis for each General MIDI program, a little different in every song.

`draw` gives an engine and the words that are true of it; each `_name` below draws the sounds of one kind.
"""

from collections.abc import Callable

import numpy as np

from hybridgen.data.sound import tables
from hybridgen.data.sound.drum_synthesis import DrumPatch
from hybridgen.data.sound.envelopes import Envelope
from hybridgen.data.sound.hits import Drums
from hybridgen.data.sound.notes import Engine, NoteByNote
from hybridgen.data.sound.operators import FmPatch, Pair
from hybridgen.data.sound.strings import StringPatch, Strings
from hybridgen.data.sound.tables import TablePatch

Drawn = tuple[Engine, str]  # the engine and what kind of sound it is, a key of `plan.sounds.SOUND_WORDS`
Draw = Callable[[np.random.Generator, int], Drawn]  # from the program


def draw(role: str, program: int, genre: str, seed: int) -> Drawn | None:
    """An engine for this program, the same for the same arguments; None where synthesis has nothing like it."""
    rng = np.random.default_rng(seed)
    if role in ("drums", "percussion"):
        return _drum_machine(rng, program) if role == "percussion" or program in MACHINE_KITS else None
    if role == "bass" and program in (38, 39) and genre in GENRES_OF_808 and rng.random() < 0.7:
        return _bass_808(rng, program)
    makers = MAKERS.get(program)
    return None if makers is None else makers[rng.integers(len(makers))](rng, program)


MACHINE_KITS = (24, 25)
GENRES_OF_808 = ("trap", "lo-fi hip hop", "drum and bass", "trip hop", "hardstyle")


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _pick(rng: np.random.Generator, *values: float) -> float:
    return float(values[rng.integers(len(values))])


def _supersaw(rng: np.random.Generator, program: int) -> Drawn:
    is_pad = 88 <= program <= 95 or program in (50, 51)
    attack = rng.uniform(0.08, 0.6) if is_pad else rng.uniform(0.002, 0.012)
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.SAW,),
            amp=Envelope(attack, 1.5, 0.85, rng.uniform(0.5, 1.4) if is_pad else rng.uniform(0.12, 0.5)),
            filter=Envelope(2 * attack, rng.uniform(0.2, 1.2), rng.uniform(0.2, 0.7), 0.6),
            cutoff=rng.uniform(500, 1600) if is_pad else rng.uniform(900, 4500),
            sweep=rng.uniform(1, 2.5),
            resonance=rng.uniform(0, 0.35),
            poles=int(_pick(rng, 2, 4)),
            voices=int(_pick(rng, 5, 7, 7)),
            detune=rng.uniform(9, 26),
            spread=rng.uniform(0.4, 0.9),
            noise=rng.uniform(0, 0.02),
        )
    ), "supersaw"


def _analog(rng: np.random.Generator, program: int) -> Drawn:
    """A lead or chord synth of one or two oscillators."""
    square = program in (80, 82)
    wave = tables.SQUARE if square else tables.SAW
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(wave,),
            amp=Envelope(
                rng.uniform(0.002, 0.015), rng.uniform(0.3, 1.5), rng.uniform(0.5, 0.95), rng.uniform(0.08, 0.35)
            ),
            filter=Envelope(0.003, rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6), 0.3),
            cutoff=rng.uniform(700, 4000),
            sweep=rng.uniform(0.5, 3),
            resonance=rng.uniform(0.05, 0.7),
            poles=int(_pick(rng, 2, 4)),
            voices=int(_pick(rng, 1, 2, 3)),
            detune=rng.uniform(3, 10),
            spread=rng.uniform(0, 0.6),
            width=0.0 if square else _pick(rng, 0.0, 0.0, 0.3, 0.42),
            sub=_pick(rng, 0, 0, 0.3),
            vibrato=_pick(rng, 0, 8, 14),
            drive=_pick(rng, 0, 0, 0.5),
        )
    ), "analog"


def _chip(rng: np.random.Generator, program: int) -> Drawn:
    """A pulse wave as a games console makes it: no filter, no swell."""
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.pulse(_pick(rng, 0.125, 0.25, 0.5)),),
            amp=Envelope(0.001, _pick(rng, 0.15, 0.6, 2.0), _pick(rng, 0.3, 0.7), 0.03),
            filter=Envelope(0.001, 1, 1, 0.03),
            cutoff=18_000,
            tracking=0.0,
            vibrato=_pick(rng, 0, 0, 18),
            bite=0.0,
        )
    ), "chip"


def _synth_bass(rng: np.random.Generator, program: int) -> Drawn:
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.SQUARE if program in (39, 80) or rng.random() < 0.3 else tables.SAW,),
            amp=Envelope(0.002, rng.uniform(0.2, 1.5), rng.uniform(0.4, 0.9), rng.uniform(0.05, 0.15)),
            filter=Envelope(0.001, rng.uniform(0.06, 0.4), rng.uniform(0.0, 0.4), 0.1),
            cutoff=rng.uniform(250, 900),
            sweep=rng.uniform(1, 3.5),
            tracking=0.3,
            resonance=rng.uniform(0.1, 0.75),
            poles=4,
            voices=int(_pick(rng, 1, 1, 2)),
            detune=rng.uniform(3, 9),
            width=_pick(rng, 0, 0, 0.35),
            sub=rng.uniform(0.2, 0.8),
            drive=_pick(rng, 0, 0.3, 0.8),
        )
    ), "analog bass"


def _bass_808(rng: np.random.Generator, program: int) -> Drawn:
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.SINE,),
            amp=Envelope(0.002, rng.uniform(0.6, 1.6), 0.15, 0.12),
            filter=Envelope(0.001, 0.1, 1, 0.1),
            cutoff=rng.uniform(2500, 6000),
            tracking=0.0,
            drop=rng.uniform(5, 16),
            drop_seconds=rng.uniform(0.012, 0.035),
            drive=rng.uniform(0.2, 1.6),
        )
    ), "808 bass"


def _organ(rng: np.random.Generator, program: int) -> Drawn:
    levels = (1.0, rng.uniform(0.3, 1), rng.uniform(0.1, 0.8), *rng.uniform(0, 0.5, 4))
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.drawbars(tuple(map(float, levels))),),
            amp=Envelope(0.004, 1, 1, 0.05),
            filter=Envelope(0.001, rng.uniform(0.04, 0.1), 0.0, 0.05),
            cutoff=rng.uniform(2500, 7000),
            sweep=0.8,
            sub=rng.uniform(0.2, 0.6),
            noise=0.004,
            vibrato=_pick(rng, 0, 6, 10),
            drive=_pick(rng, 0, 0.3, 0.7),
            bite=0.1,
        )
    ), "drawbars"


def _wavetable(rng: np.random.Generator, program: int) -> Drawn:
    """A pad or swell that moves through hollow, sung and bright cycles."""
    shapes = [
        tables.formants(
            tuple((float(rng.uniform(1, 12)), float(rng.uniform(0.5, 3))) for _ in range(3)), rng.uniform(0.4, 1.4)
        )
        for _ in range(int(_pick(rng, 2, 3, 4)))
    ]
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=tuple(shapes),
            amp=Envelope(rng.uniform(0.15, 0.9), 2, 0.9, rng.uniform(0.6, 1.8)),
            filter=Envelope(rng.uniform(0.3, 1.5), 2, 0.6, 1.5),
            cutoff=rng.uniform(900, 4000),
            sweep=rng.uniform(0.3, 2),
            voices=int(_pick(rng, 2, 3, 4)),
            detune=rng.uniform(5, 12),
            spread=rng.uniform(0.3, 0.9),
            morph=rng.uniform(0.8, 4),
            noise=_pick(rng, 0, 0.01, 0.03),
        )
    ), "wavetable"


def _synth_brass(rng: np.random.Generator, program: int) -> Drawn:
    return NoteByNote(
        TablePatch(
            seed=_seed(rng),
            partials=(tables.SAW,),
            amp=Envelope(rng.uniform(0.02, 0.06), 1, 0.85, 0.2),
            filter=Envelope(rng.uniform(0.04, 0.12), 0.5, 0.5, 0.2),
            cutoff=rng.uniform(500, 1000),
            sweep=rng.uniform(1.5, 2.5),
            voices=3,
            detune=8,
            spread=0.5,
        )
    ), "analog"


def _rhodes(rng: np.random.Generator, program: int) -> Drawn:
    body = Pair(1.0, rng.uniform(0.5, 1.3), 0.8, Envelope(0.001, rng.uniform(1.2, 2.5), 0.0, 0.18), held=0.15)
    tine = Pair(
        rng.integers(7, 15) + 0.0,
        rng.uniform(0.2, 0.6),
        0.08,
        Envelope(0.001, 0.25, 0, 0.1),
        level=rng.uniform(0.15, 0.4),
    )
    tremolo = _pick(rng, 0, 0.15, 0.35)
    return NoteByNote(FmPatch(_seed(rng), (body, tine), tremolo=tremolo, rate=rng.uniform(3.5, 6))), "fm"


def _dx_piano(rng: np.random.Generator, program: int) -> Drawn:
    body = Pair(1.0, rng.uniform(0.8, 1.8), 1.2, Envelope(0.001, rng.uniform(1.0, 2.2), 0.0, 0.25), held=0.1)
    tine = Pair(14.0, rng.uniform(0.4, 1.0), 0.25, Envelope(0.001, 0.6, 0, 0.2), level=rng.uniform(0.25, 0.6))
    return NoteByNote(FmPatch(_seed(rng), (body, tine), detune=rng.uniform(3, 8))), "fm"


def _bells(rng: np.random.Generator, program: int) -> Drawn:
    ratio = _pick(rng, 1.4, 2.76, 3.5, 5.19)
    pair = Pair(ratio, rng.uniform(1, 3), 0.6, Envelope(0.001, rng.uniform(0.6, 1.6), 0, 1.2))
    top = Pair(_pick(rng, 7.1, 9.3), 0.6, 0.1, Envelope(0.001, 0.2, 0, 0.3), level=0.25, multiple=2.0)
    return NoteByNote(FmPatch(_seed(rng), (pair, top), detune=rng.uniform(2, 6))), "fm"


def _mallets(rng: np.random.Generator, program: int) -> Drawn:
    vibes = program == 11
    body = Pair(4.0 if vibes else 3.9, rng.uniform(0.3, 0.8), 0.06, Envelope(0.001, 1.4 if vibes else 0.2, 0, 0.5))
    return NoteByNote(FmPatch(_seed(rng), (body,), tremolo=_pick(rng, 0, 0.2) if vibes else 0, rate=4.5)), "fm"


_ACOUSTIC = ((105.0, 5.0, 3.0), (205.0, 4.0, 3.0), (390.0, 2.5, 2.5), (2800.0, 2.0, 1.0))


def _plucked(
    ring: tuple[float, float],
    soft: tuple[float, float],
    dullness: tuple[float, float],
    release: float = 0.09,
    body: tuple[tuple[float, float, float], ...] = (),
    drive: tuple[float, float] | None = None,
    palm: bool = False,
) -> Draw:
    """How to draw a plucked string; ranges as in `StringPatch`, drive in dB."""

    def make(rng: np.random.Generator, program: int) -> Drawn:
        patch = StringPatch(
            seed=_seed(rng),
            ring=rng.uniform(*ring),
            dullness=rng.uniform(*dullness),
            pick=rng.uniform(0.08, 0.3),
            soft=rng.uniform(*soft),
            release=release,
            noise=rng.uniform(0.01, 0.08),
            spread=rng.uniform(0, 0.35),
            palm=palm,
        )
        bells = tuple((hz * rng.uniform(0.93, 1.07), db, q) for hz, db, q in body)
        return Strings(patch, bells, rng.uniform(*drive) if drive else 0.0), "plucked"

    return make


MAKERS: dict[int, tuple[Draw, ...]] = {
    4: (_rhodes,),
    5: (_dx_piano,),
    6: (_plucked((1.5, 2.5), (6000, 12_000), (0.05, 0.12)),),
    7: (_plucked((0.8, 1.4), (5000, 10_000), (0.05, 0.15), 0.05),),
    8: (_bells,),
    11: (_mallets,),
    12: (_mallets,),
    16: (_organ,),
    17: (_organ,),
    18: (_organ,),
    24: (_plucked((2.0, 3.5), (1500, 3500), (0.2, 0.35), body=_ACOUSTIC),),
    25: (_plucked((3.0, 5.0), (3500, 8000), (0.06, 0.2), body=_ACOUSTIC),),
    26: (_plucked((2.0, 3.5), (1200, 2600), (0.2, 0.35)),),
    27: (_plucked((3.0, 5.0), (3000, 6000), (0.08, 0.2)),),
    28: (_plucked((2.0, 3.0), (2000, 4000), (0.1, 0.3), palm=True),),
    29: (_plucked((4.0, 6.0), (3000, 6000), (0.05, 0.15), drive=(12, 22)),),
    30: (_plucked((4.0, 6.0), (4000, 8000), (0.05, 0.12), drive=(22, 36)),),
    33: (_plucked((2.0, 4.0), (900, 2200), (0.15, 0.35), 0.06),),
    34: (_plucked((2.5, 4.5), (2000, 5000), (0.08, 0.2), 0.06),),
    38: (_synth_bass,),
    39: (_synth_bass,),
    46: (_plucked((2.5, 4.5), (2500, 6000), (0.1, 0.25), 0.9),),
    50: (_supersaw, _wavetable),
    51: (_supersaw, _wavetable),
    62: (_synth_brass,),
    80: (_analog, _chip),
    81: (_analog, _supersaw),
    82: (_analog,),
    84: (_analog,),
    87: (_synth_bass, _analog),
    88: (_wavetable,),
    89: (_supersaw, _wavetable),
    90: (_supersaw, _analog),
    92: (_wavetable,),
    94: (_wavetable,),
    95: (_supersaw, _wavetable),
    98: (_bells,),
    99: (_wavetable, _bells),
    105: (_plucked((0.6, 1.2), (4000, 9000), (0.05, 0.12), 0.15, ((450.0, 6.0, 2.0), (900.0, 3.0, 2.0))),),
}


def _drum_machine(rng: np.random.Generator, program: int) -> Drawn:
    deep = program == 25  # as an 808; else as a 909
    patch = DrumPatch(
        seed=_seed(rng),
        kick=rng.uniform(40, 52) if deep else rng.uniform(48, 62),
        kick_seconds=rng.uniform(0.5, 1.1) if deep else rng.uniform(0.25, 0.5),
        sweep=rng.uniform(0.8, 1.6) if deep else rng.uniform(1.8, 3.0),
        click=rng.uniform(0.05, 0.2) if deep else rng.uniform(0.2, 0.7),
        snare=rng.uniform(165, 200) if deep else rng.uniform(180, 240),
        snap=rng.uniform(0.35, 0.6) if deep else rng.uniform(0.45, 0.75),
        snare_seconds=rng.uniform(0.15, 0.25) if deep else rng.uniform(0.18, 0.35),
        hat=rng.uniform(6500, 8500),
        hat_seconds=rng.uniform(0.05, 0.09),
        metal=rng.uniform(0.7, 1.0) if deep else rng.uniform(0.2, 0.6),
        tom=rng.uniform(95, 125),
    )
    return Drums(patch, patch.seed), "drum synth"
