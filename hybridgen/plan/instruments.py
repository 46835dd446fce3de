"""The names of the instruments: General MIDI programs, drum kits and percussion, and the roles that they play.

One table for captions, for the words of a prompt, for `instruments=` and for the plan as a page to read.
"""

import functools
from collections.abc import Iterable, Mapping

from hybridgen.plan.parts import ROLES, by_role, order_roles

Programs = tuple[int, ...] | None  # of a role: any of these; None = any at all

# One line for each General MIDI program that a pitched role may have: its names, the precise ones first.
PROGRAM_TABLE = """
0 piano, grand piano, acoustic piano
1 bright piano, piano, acoustic piano
2 electric grand piano, piano
3 honky-tonk piano, saloon piano, piano
4 rhodes, electric piano, fender rhodes, e-piano
5 electric piano, DX7 electric piano, FM electric piano, e-piano
6 harpsichord
7 clavinet, clav
8 celesta, celeste
9 glockenspiel, bells
10 music box
11 vibraphone, vibes
12 marimba, mallets
13 xylophone, mallets
14 tubular bells, bells
15 dulcimer
16 hammond organ, drawbar organ, organ
17 percussive organ, organ, hammond organ
18 rock organ, organ
19 church organ, pipe organ, organ
20 reed organ, harmonium
21 accordion
22 harmonica
23 bandoneon, accordion
24 nylon guitar, classical guitar, nylon-string guitar, acoustic guitar
25 steel-string guitar, acoustic guitar, steel guitar
26 jazz guitar, clean electric guitar, hollow-body guitar
27 clean guitar, clean electric guitar, electric guitar
28 muted guitar, palm-muted guitar, electric guitar
29 overdriven guitar, crunchy guitar, electric guitar
30 distorted guitar, distortion guitar, heavy guitar, electric guitar
31 guitar harmonics, electric guitar
32 upright bass, double bass, acoustic bass
33 fingered bass, electric bass, bass guitar
34 picked bass, electric bass, bass guitar
35 fretless bass, electric bass
36 slap bass, electric bass
37 slap bass, electric bass
38 synth bass, analog synth bass
39 synth bass, deep synth bass
40 violin, fiddle
41 viola
42 cello
43 contrabass, double bass
44 tremolo strings, strings
45 pizzicato strings, plucked strings, strings
46 harp
47 timpani
48 string ensemble, strings, string section
49 slow strings, string ensemble, strings
50 synth strings, analog synth strings
51 synth strings, synthesizer strings
52 choir aahs, choir
53 wordless oohs, choir
54 synth choir
55 orchestra hits
56 trumpet
57 trombone
58 tuba
59 muted trumpet, trumpet
60 french horn, horns
61 brass section, brass, horn section
62 synth brass, analog synth brass
63 synth brass
64 soprano sax, saxophone, sax
65 alto sax, saxophone, sax
66 tenor sax, saxophone, sax
67 baritone sax, saxophone, sax
68 oboe
69 english horn
70 bassoon
71 clarinet
72 piccolo
73 flute
74 recorder
75 pan flute
76 blown bottle
77 shakuhachi
78 whistle
79 ocarina
80 square wave synth, pulse wave synth, square lead
81 saw synth, sawtooth synth, saw lead
82 calliope synth
83 chiff synth
84 charang synth, gritty synth
85 choir-like synth
86 fifths synth
87 fat synth
88 new age pad, synth pad, shimmering pad
89 warm pad, synth pad, analog pad
90 polysynth, synth
91 choir pad, synth pad
92 bowed glass pad, synth pad
93 metallic pad, synth pad
94 halo pad, synth pad
95 sweep pad, sweeping synth pad, synth pad
96 rain synth
97 soundtrack synth
98 crystal synth, synth bells
99 atmosphere synth, synth
100 brightness synth
101 goblin synth
102 echo synth
103 sci-fi synth
104 sitar
105 banjo
106 shamisen
107 koto
108 kalimba, thumb piano
109 bagpipes
110 fiddle
111 shanai
112 tinkle bells
113 agogo
114 steel drums, steelpan
"""
PROGRAM_WORDS = {
    int(line.split(maxsplit=1)[0]): tuple(line.split(maxsplit=1)[1].split(", "))
    for line in PROGRAM_TABLE.strip().splitlines()
}
KIT_WORDS = {
    0: ("drums", "acoustic drums", "drum kit", "live drums"),
    8: ("drums", "roomy drums", "drum kit", "live drums"),
    16: ("drums", "big drums", "power drums", "hard-hitting drums"),
    24: ("drums", "electronic drums", "drum machine", "programmed drums"),
    25: ("808 drums", "808", "TR-808", "drum machine", "808 drum machine"),
    32: ("drums", "jazz drums", "jazz kit"),
    40: ("brushes", "brushed drums", "drums with brushes", "brushed kit"),
    48: ("orchestral drums", "orchestral percussion", "cinematic drums"),
}
PERCUSSION_WORDS = {  # by the notes of the General MIDI percussion map
    39: "claps", 54: "tambourine", 56: "cowbell", 60: "bongos", 61: "bongos", 62: "congas", 63: "congas", 64: "congas",
    69: "shaker", 70: "shaker", 75: "claves", 76: "woodblock", 77: "woodblock", 80: "triangle", 81: "triangle",
}  # fmt: skip
ROLE_WORDS = {"drums": ("drums", "drum groove"), "percussion": ("percussion",), "bass": ("bass", "bass line")}
ROLE_WORDS |= {"keys": ("keys",), "pad": ("pads", "pad"), "lead": ("lead melody",)}

SPOKEN_ROLES = {
    "drum": "drums",
    "kit": "drums",
    "beat": "drums",
    "basses": "bass",
    "guitars": "guitar",
    "brass": "winds",
}
SPOKEN_ROLES |= {"woodwinds": "winds", "woodwind": "winds", "horns": "winds", "string section": "strings"}

# What the shipped models have heard in each role; another program is played too, but nobody knows how it sounds.
HEARD = {
    "drums": (0, 8, 16, 24, 25, 32, 40, 48),
    "percussion": (0, 24),
    "bass": (32, 33, 34, 35, 36, 37, 38, 39, 42, 43, 45, 80, 87),
    "keys": (0, 1, 4, 5, 6, 7, 8, 11, 16, 17, 18, 21, 26, 46, 80, 81, 82, 90, 98, 105),
    "guitar": (24, 25, 26, 27, 28, 29, 30),
    "strings": (40, 41, 42, 45, 48, 49, 50),
    "winds": (22, 56, 57, 60, 61, 65, 66, 68, 71, 73, 74),
    "lead": (0, 4, 11, 12, 16, 17, 21, 22, 24, 26, 27, 29, 30, 40, 42, 48, 62, 65, 73, 79, 80, 81, 84, 87, 90, 99, 105),
    "pad": (50, 51, 62, 80, 88, 89, 90, 92, 94, 95),
}
_HOMES = (  # where an instrument plays unless something else is said: up to this program
    (11, "keys"), (12, "lead"), (21, "keys"), (22, "winds"), (23, "keys"), (31, "guitar"), (39, "bass"),
    (42, "strings"), (43, "bass"), (45, "strings"), (47, "keys"), (51, "strings"), (54, "pad"), (55, "keys"),
    (61, "winds"), (63, "lead"), (79, "winds"), (87, "lead"), (97, "pad"), (98, "keys"), (103, "pad"), (107, "lead"),
    (108, "keys"), (109, "winds"), (110, "strings"), (111, "winds"), (127, "keys"),
)  # fmt: skip


@functools.cache
def programs_by_name(role: str) -> Mapping[str, tuple[int, ...]]:
    """The names that an instrument of a role may have, in small letters, with their programs; of drums, their kits."""
    if role == "percussion":
        return {}
    words = KIT_WORDS if role == "drums" else PROGRAM_WORDS
    found: dict[str, tuple[int, ...]] = {}
    for program, names in words.items():
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), program)
    return found


def home_role(program: int) -> str:
    """The role in which an instrument (a General MIDI program that is no drum kit) usually plays."""
    return next(role for last, role in _HOMES if program <= last)


def name_of(role: str, program: int | None) -> str:
    """What people call a role's instrument: "rhodes", "brushes"; the role itself where the program is unknown."""
    words = {"drums": KIT_WORDS, "percussion": {}}.get(role, PROGRAM_WORDS)
    names = () if program is None else words.get(program, ())
    specific = [name for name in names if name not in ("drums", "percussion")]
    return specific[0] if specific else role


def parse_instruments(given: object, field: str = "instruments") -> tuple[tuple[str, Programs], ...]:
    """(role, programs) in the order of `ROLES`, from a mapping or pairs of roles to what `parse_programs` takes."""
    pairs = by_role(given, field)
    order = order_roles((role for role, _ in pairs), field)
    return tuple((role, parse_programs(role, dict(pairs)[role], field)) for role in order)


def parse_programs(role: str, given: object, field: str = "instruments") -> Programs:
    """The programs that a role may have: of a name ("rhodes"), a program 0-127, several of either, or None for any.

    Raises ValueError for a name that no instrument of the role has.
    """
    if given is None:
        return None
    if isinstance(given, str):
        known = programs_by_name(role)
        name = given.strip().lower()
        programs = known.get(name) or known.get(name.removesuffix("s"))
        if programs is None:
            close = ", ".join(sorted(n for n in known if set(n.split()) & set(name.split()))[:5] or sorted(known)[:5])
            raise ValueError(f"{field}: {given!r} is no instrument for {role}, there are for example {close}")
        return _heard(role, programs)
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given <= 127:
            raise ValueError(f"{field}: program {given} of {role} is outside 0-127")
        return (int(given),)
    if not isinstance(given, Iterable):
        raise ValueError(f"{field}: {given!r} of {role} is neither a program 0-127 nor a name")
    parts = [parse_programs(role, part, field) for part in given]
    programs = tuple(dict.fromkeys(program for part in parts for program in part or ()))
    if not programs:
        raise ValueError(f"{field}: no program is given for {role}")
    return programs


def _heard(role: str, programs: tuple[int, ...]) -> tuple[int, ...]:
    """Of several programs of one name those that the models know."""
    return tuple(program for program in programs if program in HEARD[role]) or programs


def parse_exclusions(given: Iterable[object], field: str = "without") -> tuple[str | int, ...]:
    """Who does not play: roles, then General MIDI programs, from roles, names of instruments and programs 0-127."""
    roles, programs = set(), set()
    for one in [given] if isinstance(given, str) else given:
        name = one.strip().lower() if isinstance(one, str) else one
        if name in ROLES:
            roles.add(name)
        elif isinstance(name, int) and not isinstance(name, bool) and 0 <= name <= 127:
            programs.add(name)
        else:
            found = [program for program, names in PROGRAM_WORDS.items() if name in [one.lower() for one in names]]
            if not found:
                raise ValueError(f"{field}: {one!r} is neither one of {', '.join(ROLES)} nor an instrument")
            programs.update(found)
    return (*sorted(roles, key=ROLES.index), *sorted(programs))
