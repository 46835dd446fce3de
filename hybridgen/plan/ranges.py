"""The pitches that an instrument has, by General MIDI program, and how many of them a role sounds at once."""

import functools
from collections.abc import Sequence

import numpy as np

from hybridgen.plan.notes import PERCUSSION, UNPITCHED
from hybridgen.plan.parts import ROLES

# last program of a group: lowest and highest pitch, MIDI; sampled instruments reach a little further than real ones
_GROUPS = {
    7: (21, 108),  # pianos
    15: (48, 108),  # celesta to dulcimer
    20: (28, 103),  # organs
    23: (48, 96),  # accordion, harmonica, bandoneon
    31: (36, 93),  # guitars
    39: (23, 67),  # basses
    40: (55, 103),  # violin
    41: (36, 91),  # viola
    42: (28, 84),  # cello
    43: (23, 67),  # contrabass
    51: (28, 100),  # tremolo, pizzicato, harp, timpani, ensembles
    55: (36, 88),  # voices, hits
    56: (52, 89),  # trumpet
    58: (28, 77),  # trombone, tuba
    59: (52, 89),  # muted trumpet
    60: (34, 81),  # french horn
    63: (36, 90),  # brass
    64: (54, 91),  # saxophones, from soprano to baritone
    65: (49, 87),
    66: (42, 81),
    67: (36, 75),
    69: (52, 94),  # oboe, english horn
    70: (34, 77),  # bassoon
    71: (50, 96),  # clarinet
    79: (55, 108),  # flutes
    87: (24, 108),  # synthesizer leads
    95: (24, 100),  # pads
    103: (24, 108),  # effects
    111: (36, 96),  # sitar to shanai
    127: (24, 108),
}
UNKNOWN = (21, 108)  # of a role whose program nobody knows: a piano's
POLYPHONY = dict(zip(ROLES, (5, 4, 1, 8, 6, 6, 4, 2, 6), strict=True))  # notes of a role that begin together


@functools.cache
def program_range(program: int | None) -> tuple[int, int]:
    """The lowest and the highest pitch of a General MIDI program; None = unknown."""
    return UNKNOWN if program is None else next(span for last, span in _GROUPS.items() if program <= last)


def pitches(role: str, program: int | None) -> np.ndarray:
    """(128,) bool: what a role may play with a program; drums and percussion the sounds of the General MIDI map."""
    allowed = np.zeros(128, dtype=bool)
    low, high = (min(PERCUSSION), max(PERCUSSION)) if role in UNPITCHED else program_range(program)
    allowed[low : high + 1] = True
    return allowed


def of_plan(instruments: Sequence[tuple[str, int | None]]) -> np.ndarray:
    """(9, 128) bool: `pitches` of each role of a plan's instruments, none for the others."""
    table, programs = np.zeros((len(ROLES), 128), dtype=bool), dict(instruments)
    for i, role in enumerate(ROLES):
        if role in programs:
            table[i] = pitches(role, programs[role])
    return table
