"""The genres: grooves, figures and parts of each, and the table `STYLES`."""

from hybridgen.data.composer import form
from hybridgen.data.composer import progressions as pool
from hybridgen.data.composer.drums import (
    CABASA,
    CLAP,
    CLAVES,
    CLOSED,
    COWBELL,
    CRASH,
    HIGH_BONGO,
    KICK,
    LOW_BONGO,
    LOW_CONGA,
    MARACAS,
    MUTE_CONGA,
    OPEN,
    OPEN_CONGA,
    PEDAL,
    RIDE,
    RIM,
    SNARE,
    TAMBOURINE,
    TRIANGLE,
    kit,
)
from hybridgen.data.composer.melody import melody
from hybridgen.data.composer.players import Groove, Part, arpeggio, bass, chords, pad, power_chords, walking_bass
from hybridgen.data.composer.style import Style

EIGHTHS, SIXTEENTHS, QUARTERS, OFFBEATS = "x.x." * 4, "xxxx" * 4, "x..." * 4, "..x." * 4
STRAIGHT_SHAKER = "X.x." * 4
SOFT = ("intro", "break")

LOFI = (
    (
        Groove(KICK, "X.....x...X....."),
        Groove(SNARE, "....X.......X...", 2),
        Groove(RIM, "....x.......x...", 0, -8),
        Groove(CLOSED, EIGHTHS, 1, -14),
    ),
    (
        Groove(KICK, "X..x......X..x.."),
        Groove(SNARE, "....X.......X..g", 1),
        Groove(CLOSED, "x.x.x.xxx.x.x.x.", 0, -14),
        Groove(OPEN, "..............x.", 4, -14),
    ),
)
HOUSE = (
    (
        Groove(KICK, "X...X...X...X...", 1),
        Groove(CLAP, "....X.......X...", 3),
        Groove(OPEN, OFFBEATS, 3, -10),
        Groove(CLOSED, "x.x.x.x.x.x.x.x.", 0, -14),
    ),
    (
        Groove(KICK, "X...X...X...X...", 1),
        Groove(SNARE, "....X.......X..g", 3),
        Groove(CLOSED, "x.xxx.xxx.xxx.xx", 2, -14),
        Groove(OPEN, OFFBEATS, 5, -12),
        Groove(CLOSED, "..x...x...x...x.", 0, -10),
    ),
)
TECHNO = (
    (
        Groove(KICK, "X...X...X...X...", 0),
        Groove(OPEN, OFFBEATS, 3, -10),
        Groove(CLOSED, SIXTEENTHS, 2, -16),
        Groove(CLAP, "....X.......X...", 4),
        Groove(RIDE, OFFBEATS, 6, -14),
    ),
    (
        Groove(KICK, "X...X...X...X..x", 0),
        Groove(CLOSED, "..x...x...x..xx.", 1, -8),
        Groove(RIM, "...x..x....x..x.", 3, -10),
        Groove(CLAP, "............X...", 4),
    ),
)
JUNGLE = (
    (
        Groove(KICK, "X.........X.....", 1),
        Groove(SNARE, "....X.......X...", 2),
        Groove(CLOSED, EIGHTHS, 0, -12),
        Groove(SNARE, ".......g.g.....g", 5),
        Groove(RIDE, "x...x...x...x...", 6, -12),
    ),
    (
        Groove(KICK, "X.x.......X.....X.x.......x..x..", 1),
        Groove(SNARE, "....X..g.g..X.......X..g.g..X..g", 2),
        Groove(CLOSED, EIGHTHS, 0, -12),
    ),
)
SYNTH_BEAT = (
    (
        Groove(KICK, "X...x...X...x...", 1),
        Groove(SNARE, "....X.......X...", 2, 6),
        Groove(CLOSED, EIGHTHS, 0, -12),
        Groove(OPEN, "..............x.", 4, -12),
    ),
    (
        Groove(KICK, "X.......X.x.....", 1),
        Groove(SNARE, "....X.......X...", 2, 6),
        Groove(CLOSED, "x.xxx.xxx.xxx.xx", 1, -14),
    ),
)
JAZZ_KIT = (
    (
        Groove(RIDE, "X...x.x.X...x.x.", 0, -6),
        Groove(PEDAL, "....x.......x...", 0, -4),
        Groove(KICK, "x...x...x...x...", 2, -20),
        Groove(SNARE, "......g.......g.", 4, -4),
    ),
    (
        Groove(RIDE, "X...x...X...x.x.", 0, -6),
        Groove(PEDAL, "....x.......x...", 0, -4),
        Groove(KICK, "x.......x.......", 1, -14),
        Groove(RIM, "............x...", 3, -8),
    ),
)
BOSSA_KIT = (
    (
        Groove(KICK, "X..xx..xX..xx..x", 0, -8),
        Groove(RIM, "X..x..x...x..x..", 1, -6),
        Groove(CLOSED, EIGHTHS, 0, -14),
    ),
    (
        Groove(KICK, "X..xx..xX..xx..x", 0, -8),
        Groove(RIM, "..x..x..X..x..x.", 1, -6),
        Groove(CLOSED, "x.xxx.xxx.xxx.xx", 0, -16),
    ),
)
FUNK_KIT = (
    (
        Groove(KICK, "X.x.......x..x..", 0),
        Groove(SNARE, "....X..g.g..X..g", 0),
        Groove(CLOSED, "x.x.x.x.x.x.x.x.", 0, -10),
        Groove(OPEN, "..............x.", 4, -12),
    ),
    (
        Groove(KICK, "X..x..x...x....x", 0),
        Groove(SNARE, "....X.......X...", 0),
        Groove(SNARE, ".......g.g.g...g", 3),
        Groove(CLOSED, SIXTEENTHS, 0, -14),
    ),
)
ROCK_KIT = (
    (
        Groove(KICK, "X.......X.x.....", 1),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(CLOSED, EIGHTHS, 0, -10),
        Groove(OPEN, QUARTERS, 6, -10),
    ),
    (
        Groove(KICK, "X..x..x.X..x....", 1),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(CLOSED, EIGHTHS, 0, -10),
    ),
    (
        Groove(KICK, "X.x.....X.x.....", 1),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(CLOSED, EIGHTHS, 0, -12),
        Groove(CRASH, "X.......X.......", 7, -16),
    ),
)
FOLK_KIT = (
    (
        Groove(KICK, "X.......X.......", 1, -10),
        Groove(TAMBOURINE, "....x.......x...", 1, -10),
        Groove(CABASA, EIGHTHS, 2, -16),
    ),
    (
        Groove(KICK, "X...x...X...x...", 1, -12),
        Groove(SNARE, "..x...x...x...x.", 3, -22),
        Groove(TAMBOURINE, "....X.......X...", 1, -10),
    ),
)
CHIP_KIT = (
    (
        Groove(KICK, "X.......X..x....", 0),
        Groove(SNARE, "....X.......X...", 0),
        Groove(CLOSED, EIGHTHS, 1, -12),
    ),
    (
        Groove(KICK, "X...X...X...X...", 0),
        Groove(SNARE, "....X.......X..x", 0),
        Groove(CLOSED, "x.xxx.xxx.xxx.xx", 2, -14),
    ),
)
ORCHESTRAL_KIT = (
    (
        Groove(KICK, "X.......x.......", 3, 4),
        Groove(SNARE, "....g.......g.gg", 5, -6),
    ),
    (
        Groove(KICK, "X.....x.X.......", 3, 4),
        Groove(SNARE, "........x...x.xx", 5, -12),
    ),
)
TRAP_KIT = (
    (
        Groove(KICK, "X......x..X.....", 1, 4),
        Groove(SNARE, "........X.......", 1, 4),
        Groove(CLAP, "........x.......", 3),
        Groove(CLOSED, "x.x.x.x.x.x.xxxx", 0, -12),
    ),
    (
        Groove(KICK, "X.....x.....x...", 1, 4),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(CLOSED, "x.xxx.x.x.x.xxxx", 0, -12),
    ),
)
REGGAE_KIT = (
    (
        Groove(KICK, "x.......X.......", 0, 4),
        Groove(RIM, "....x.......x...", 0),
        Groove(CLOSED, "X.x.x.x.X.x.x.x.", 0, -8),
    ),
    (
        Groove(KICK, "X...X...X...X...", 0),
        Groove(SNARE, "....x.......x...", 1),
        Groove(CLOSED, EIGHTHS, 0, -10),
    ),
)
SHUFFLE_KIT = (
    (
        Groove(KICK, "X...x...X...x...", 0, -4),
        Groove(SNARE, "....X.......X...", 0, 2),
        Groove(RIDE, "X.x.x.x.X.x.x.x.", 0, -10),
    ),
    (
        Groove(KICK, "X.......X.x.....", 0),
        Groove(SNARE, "....X.......X...", 0, 2),
        Groove(CLOSED, "X.x.x.x.X.x.x.x.", 0, -8),
    ),
)
LATIN_KIT = (
    (
        Groove(KICK, "X.....x.X.....x.", 0, -4),
        Groove(COWBELL, "X...x.x.X...x.x.", 2, -10),
        Groove(RIM, "...x..x.....x...", 1),
        Groove(CLOSED, EIGHTHS, 0, -14),
    ),
)

CONGAS = (
    (
        Groove(MUTE_CONGA, "x...x...x...x...", 0, -8),
        Groove(OPEN_CONGA, "......xx......xx", 0, -4),
        Groove(LOW_CONGA, "...x.......x....", 3, -6),
    ),
)
BONGOS = ((Groove(HIGH_BONGO, "x.x.x.x.x.x.x.x.", 0, -12), Groove(LOW_BONGO, "......x.......x.", 0, -4)),)
SHAKER = ((Groove(MARACAS, SIXTEENTHS, 0, -20),), (Groove(CABASA, EIGHTHS, 0, -14),))
TAMBOURINES = ((Groove(TAMBOURINE, "....X.......X...", 0, -10),), (Groove(TAMBOURINE, STRAIGHT_SHAKER, 0, -18),))
CLAVE = (
    (Groove(CLAVES, "x..x..x...x.x...", 0, -10), Groove(MARACAS, EIGHTHS, 2, -18)),
    (Groove(CLAVES, "..x.x...x..x..x.", 0, -10), Groove(MARACAS, EIGHTHS, 2, -18)),
)
SOFT_BELLS = ((Groove(MARACAS, QUARTERS, 0, -16), Groove(TRIANGLE, "x...............", 2, -14)),)

ROOTS = ("R-------r-------", "R---------------")
ROOTS_FIFTH = ("R-------f-------", "R-----r-f-------", "R-------r---f---")
ROOTS_EIGHTHS = ("R-r-r-r-r-r-r-r-", "R-r-r-r-r-r-r-a-", "R-r-r-r-f-f-r-a-")
DISCO = ("R.o.r.o.r.o.r.o.", "..r...r...r...o.", "R..r..r.R..r..o.", "R.r.o.r.R.r.o.a.")
PUMP = ("Rrrr" * 4, "R.rrr.rrr.rrr.rr", "RrorRrorRrorRror")
FUNK_BASS = ("R..r..o.....r.s.", "R.....o.r..r.sf.", "R..o..r.f.s.r...", "R.r...s.o...f.a.")
LOFI_BASS = ("R-----r-f---r---", "R---..r-r---..a-", "R-----..r--.f-a-")
DNB_BASS = ("R-----r---r---f-", "R---..r---..r-o-", "R-------r-----f-")
BOSSA_BASS = ("R--.f--fF--.r--r", "R-----f-f-----r-", "R--rf---F--fr---")
REGGAE_BASS = ("R-..r-f-r-..f-r-", "R--.R-..f-t-r-..")
TRAP_BASS = ("R------r--r-----", "R-----------f---")

STABS = ("X...x...X...x...", "x-..x-..x-..x-..")
OFFBEAT_STABS = ("..x...x...x...x.", "..xx..x...xx..x.", "x.....x.....x...")
PIANO_POP = ("X---x---x---x---", "X-----x-x-----x-", "X---x-x-x---x-x-")
PIANO_ROLL = ("b-x-x-x-b-x-x-x-", "b---x---b---x---", "b-x-x-xxb-x-x-x-")
COMP_JAZZ = ("x--.......x.....", "....x-....x-....", "x-....x-........", "..x-......x--...")
BOSSA_COMP = ("x-.x-.x-..x-.x-.", "x--x--x---x--x--", "x-..x-.x.x-.x-..")
STRUM = ("D---x-u---u-x-u-", "D---x---x-u-x-u-", "X-x-x-u-x-x-x-u-")
STRUM = tuple(figure.replace("D", "X") for figure in STRUM)
STRUM_CALM = ("X-------x---x---", "X---x---x---x---")
FUNK_CHOPS = ("..x...xx..x..x..", "x..x..x...xx..x.", "....x..x....x..x")
SKANK = ("....x.......x...", "..x...x...x...x.")
CHUGS = ("X-x-x-x-x-x-x-x-", "X-..x-x-..x-x-x-", "X---------x-x-x-")
HELD = ("X---------------", "X-------x-------")
SPICCATO = ("x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x.", "x..xx..xx..xx.x.")
ARP_EIGHTHS = ("0-1-2-3-4-3-2-1-", "0-2-1-2-3-2-1-2-", "0-1-2-1-0-1-2-3-", "0-2-4-2-3-2-4-2-")
ARP_SIXTEENTHS = ("0123012301230123", "0121012301210123", "0123432101234321", "0213021302130213")
ARP_SLOW = ("0---1---2---3---", "0---2---1---2---", "0-----1---2-3---")
PICKING = ("0-2-3-2-1-2-3-2-", "0-2-1-2-3-2-1-2-", "0-3-2-4-1-3-2-4-", "0---2-3-1---2-3-")
ALBERTI = ("0-2-1-2-0-2-1-2-", "0---2-1-2---1-2-", "0-1-2-1-0-1-2-1-")
LEFT_HAND = ("R---f---o---f---", "R-f-o-f-R-f-o-f-", "R-------f-------")
CHIP_ARPS = ("0120120120120120", "0123012301230123", "0.1.2.1.0.1.2.1.")

STYLES: tuple[Style, ...] = (
    Style(
        "lo-fi hip hop",
        tempo=(68, 94),
        forms=form.SONG,
        major=pool.MELLOW_MAJOR,
        minor=pool.MELLOW_MINOR,
        moods=("mellow", "nostalgic", "sleepy", "cozy", "chill", "rainy"),
        swing_unit=0.25,
        swing=(0.53, 0.62),
        human_ms=7,
        parts=(
            Part("keys", chords, (4, 4, 5, 0), (HELD + PIANO_POP, PIANO_POP), 60, reverb=0.3, chorus=0.3),
            Part("drums", kit(*LOFI), (0, 8, 25), enters=0, velocity=2),
            Part("bass", bass, (33, 35, 32), (ROOTS, LOFI_BASS), 38, enters=1),
            Part("guitar", arpeggio, (26, 24), (ARP_SLOW, PICKING), 57, chance=0.5, enters=3, pan=-0.3, velocity=-6),
            Part(
                "lead",
                melody(1, True),
                (11, 0, 4, 26),
                centre=74,
                chance=0.8,
                enters=3,
                pan=0.15,
                velocity=4,
                turns=True,
            ),
            Part("winds", melody(0), (73, 66), centre=72, chance=0.25, enters=4, rests=("verse",), pan=0.2, turns=True),
            Part("pad", pad, (89, 92, 50), centre=60, chance=0.5, enters=1, velocity=-18, gain_db=-6),
            Part("percussion", kit(*SHAKER, fills=False), (0,), chance=0.3, enters=4, velocity=-8, pan=0.3),
        ),
    ),
    Style(
        "ambient",
        tempo=(50, 90),
        forms=form.DRIFT,
        major=pool.FLOAT_MAJOR,
        minor=pool.FLOAT_MINOR,
        moods=("calm", "dreamy", "meditative", "spacious", "peaceful", "floating"),
        drive=(-1, 0, 0),
        holds=(1, 1, 2),
        human_ms=7,
        parts=(
            Part("pad", pad, (88, 89, 92, 94, 95), centre=60, velocity=-4, reverb=0.6, chorus=0.4, is_open=True),
            Part("keys", arpeggio, (0, 4, 8, 98, 46), (ARP_SLOW, ARP_EIGHTHS), 66, velocity=2, reverb=0.6),
            Part("bass", bass, (39, 38, 35), (ROOTS[1:], ROOTS), 38, enters=2, velocity=-8, reverb=0.2),
            Part("strings", pad, (48, 49, 50), centre=67, chance=0.5, enters=3, velocity=-10, reverb=0.6, is_open=True),
            Part("lead", melody(0), (73, 79, 99, 11), centre=76, chance=0.6, enters=3, reverb=0.6, pan=0.2, turns=True),
            Part("percussion", kit(*SOFT_BELLS, fills=False), (0,), chance=0.5, enters=2, reverb=0.5, pan=-0.2),
            Part("guitar", arpeggio, (24, 27), (ARP_SLOW,), 60, chance=0.3, enters=2, reverb=0.5, pan=-0.3),
        ),
    ),
    Style(
        "house",
        tempo=(118, 130),
        forms=form.DANCE,
        major=pool.CLUB_MAJOR,
        minor=pool.CLUB_MINOR,
        moods=("groovy", "uplifting", "sunny", "energetic", "hypnotic", "warm"),
        common_time=0.75,
        drive=(0, 1, 1),
        human_ms=3,
        parts=(
            Part("keys", chords, (0, 16, 4, 90), (STABS + OFFBEAT_STABS, OFFBEAT_STABS + PIANO_POP), 62, chorus=0.2),
            Part("drums", kit(*HOUSE), (24, 25), velocity=8),
            Part("bass", bass, (38, 39, 33), (ROOTS_EIGHTHS, DISCO), 38, enters=2, velocity=4),
            Part("pad", pad, (89, 90, 50), centre=62, chance=0.7, velocity=-14, gain_db=-4, chorus=0.4),
            Part("lead", melody(2, True), (81, 80, 11, 16), centre=74, chance=0.7, enters=5, pan=0.1, turns=True),
            Part("strings", melody(0), (50, 48), centre=76, chance=0.4, enters=5, velocity=-6, pan=-0.2, turns=True),
            Part("percussion", kit(*CONGAS, *SHAKER, fills=False), (0, 24), chance=0.6, enters=4, pan=0.3),
        ),
    ),
    Style(
        "techno",
        tempo=(124, 142),
        forms=form.DANCE,
        major=pool.STARK_MAJOR,
        minor=pool.STARK_MINOR,
        moods=("dark", "driving", "hypnotic", "industrial", "relentless", "mechanical"),
        common_time=0.75,
        drive=(0, 1, 1),
        holds=(1, 1, 2),
        human_ms=2,
        parts=(
            Part("keys", arpeggio, (81, 80, 90, 98), (ARP_EIGHTHS, ARP_SIXTEENTHS), 58, velocity=-2, pan=-0.1),
            Part("drums", kit(*TECHNO), (24, 25), velocity=10),
            Part("bass", bass, (38, 39), (ROOTS_EIGHTHS, PUMP), 36, enters=1, velocity=4),
            Part("pad", pad, (95, 89, 51), centre=58, chance=0.8, velocity=-10, gain_db=-3, reverb=0.5),
            Part("lead", melody(1, True), (81, 87, 84), centre=70, chance=0.5, enters=5, pan=0.1, turns=True),
            Part("percussion", kit(*SHAKER, *BONGOS, fills=False), (24, 0), chance=0.5, enters=4, pan=0.3),
        ),
    ),
    Style(
        "drum and bass",
        tempo=(160, 180),
        forms=form.DANCE,
        major=pool.CLUB_MAJOR,
        minor=pool.CLUB_MINOR,
        moods=("fast", "energetic", "dark", "liquid", "intense", "futuristic"),
        common_time=0.75,
        drive=(0, 1, 1),
        holds=(1, 2),
        human_ms=3,
        parts=(
            Part("keys", chords, (4, 0, 90), (HELD + PIANO_POP, PIANO_POP + OFFBEAT_STABS), 62, reverb=0.4, chorus=0.3),
            Part("drums", kit(*JUNGLE), (24, 0, 16), velocity=10),
            Part("bass", bass, (38, 39, 87), (ROOTS, DNB_BASS), 36, enters=2, velocity=6, gain_db=1),
            Part("pad", pad, (89, 95, 50), centre=62, chance=0.8, velocity=-12, gain_db=-4, reverb=0.5),
            Part(
                "lead",
                melody(1, True),
                (81, 80, 11, 99),
                centre=74,
                chance=0.7,
                enters=5,
                reverb=0.3,
                pan=0.1,
                turns=True,
            ),
            Part("strings", pad, (50, 48), centre=69, chance=0.4, enters=4, velocity=-8, is_open=True),
            Part("percussion", kit(*SHAKER, fills=False), (0, 24), chance=0.4, enters=5, pan=0.3),
        ),
    ),
    Style(
        "synthwave",
        tempo=(84, 118),
        forms=form.SONG,
        major=pool.POP_MAJOR,
        minor=pool.POP_MINOR,
        moods=("nostalgic", "neon", "retro", "driving", "dreamy", "nocturnal"),
        common_time=0.7,
        human_ms=3,
        parts=(
            Part(
                "keys", arpeggio, (81, 80, 90, 5), (ARP_EIGHTHS, ARP_SIXTEENTHS), 62, velocity=-4, pan=-0.2, chorus=0.4
            ),
            Part("drums", kit(*SYNTH_BEAT), (24, 16, 25), velocity=6, reverb=0.35),
            Part("bass", bass, (38, 39), (ROOTS_EIGHTHS, PUMP + ROOTS_EIGHTHS), 37, enters=1, velocity=4),
            Part("pad", pad, (90, 50, 51, 62), centre=61, velocity=-8, gain_db=-2, reverb=0.4, chorus=0.5),
            Part(
                "lead", melody(1), (81, 80, 84, 62), centre=74, chance=0.9, enters=3, reverb=0.4, chorus=0.3, turns=True
            ),
            Part("guitar", power_chords, (29, 30), (HELD, CHUGS), 45, chance=0.3, enters=5, pan=0.3, gain_db=-5),
        ),
    ),
    Style(
        "cinematic strings",
        tempo=(60, 124),
        forms=form.ARC,
        major=pool.EPIC_MAJOR,
        minor=pool.EPIC_MINOR,
        moods=("epic", "emotional", "heroic", "tense", "sweeping", "majestic"),
        common_time=0.55,
        parts=(
            Part("strings", chords, (48, 49, 45), (HELD + STABS, SPICCATO + HELD), 58, velocity=4, reverb=0.5),
            Part("bass", bass, (43, 42), (ROOTS, ROOTS_EIGHTHS), 38, velocity=4, reverb=0.4, enters=1),
            Part(
                "winds",
                melody(0),
                (60, 61, 68, 71, 56),
                centre=67,
                chance=0.8,
                enters=4,
                reverb=0.5,
                pan=0.25,
                turns=True,
            ),
            Part(
                "lead",
                melody(1),
                (40, 48, 42),
                centre=74,
                chance=0.9,
                enters=2,
                velocity=6,
                reverb=0.5,
                pan=-0.2,
                turns=True,
            ),
            Part("keys", arpeggio, (46, 0), (ARP_SLOW, ARP_EIGHTHS), 64, chance=0.6, enters=1, reverb=0.5, pan=0.3),
            Part("drums", kit(*ORCHESTRAL_KIT, fills=False), (48,), chance=0.9, enters=3, velocity=8, reverb=0.5),
            Part("pad", pad, (89, 92, 50), centre=60, chance=0.5, velocity=-12, gain_db=-4, reverb=0.5, is_open=True),
        ),
    ),
    Style(
        "solo piano",
        tempo=(60, 132),
        forms=form.SONG,
        major=pool.CLASSICAL_MAJOR,
        minor=pool.CLASSICAL_MINOR,
        moods=("intimate", "tender", "reflective", "romantic", "wistful", "gentle"),
        common_time=0.55,
        drive=(-1, 0, 1),
        human_ms=7,
        parts=(
            Part("keys", arpeggio, (0, 0, 1), (ARP_SLOW + ALBERTI, ALBERTI + PICKING), 48, velocity=-4, reverb=0.35),
            Part("keys", melody(1), (0,), centre=74, velocity=10, rests=("build",), turns=True),
            Part("keys", bass, (0,), (ROOTS, ROOTS_FIFTH), 38, enters=3, velocity=-4),
            Part("keys", chords, (0,), (HELD, PIANO_POP), 61, enters=5, velocity=-8),
        ),
    ),
    Style(
        "jazz trio",
        tempo=(92, 190),
        forms=form.JAZZ,
        major=pool.JAZZ_MAJOR,
        minor=pool.JAZZ_MINOR,
        moods=("smoky", "sophisticated", "playful", "relaxed", "swinging", "cool"),
        swing_unit=0.5,
        swing=(0.58, 0.67),
        parts=(
            Part("keys", chords, (0, 0, 26), (COMP_JAZZ + HELD, COMP_JAZZ + PIANO_POP), 58, velocity=-4),
            Part("bass", walking_bass, (32,), centre=40, velocity=8, pan=-0.1),
            Part("drums", kit(*JAZZ_KIT), (32, 40), velocity=0, pan=0.1),
            Part("keys", melody(2), (0,), centre=74, rests=("intro",), velocity=6, turns=True),
            Part(
                "winds", melody(1), (65, 66, 56, 71), centre=70, chance=0.3, enters=3, pan=0.2, velocity=4, turns=True
            ),
        ),
    ),
    Style(
        "bossa nova",
        tempo=(100, 150),
        forms=form.SONG,
        major=pool.BOSSA_MAJOR,
        minor=pool.JAZZ_MINOR,
        moods=("breezy", "romantic", "sunny", "relaxed", "tropical", "gentle"),
        parts=(
            Part("guitar", chords, (24,), (BOSSA_COMP,), 58, pan=-0.2, velocity=2),
            Part("bass", bass, (32, 33), (ROOTS_FIFTH, BOSSA_BASS), 40, velocity=6),
            Part("drums", kit(*BOSSA_KIT), (0, 40, 32), enters=1, velocity=-4),
            Part(
                "winds",
                melody(1),
                (73, 66, 71),
                centre=73,
                chance=0.6,
                enters=2,
                pan=0.2,
                velocity=4,
                rests=SOFT,
                turns=True,
            ),
            Part("lead", melody(1), (11, 0, 26), centre=72, chance=0.6, enters=3, pan=0.1, rests=SOFT, turns=True),
            Part("keys", chords, (4, 0), (HELD,), 62, chance=0.5, enters=3, velocity=-10, pan=0.3),
            Part("percussion", kit(*CLAVE, *SHAKER, fills=False), (0,), chance=0.7, enters=2, pan=0.3),
            Part("strings", pad, (48, 50), centre=69, chance=0.3, enters=4, velocity=-14, reverb=0.4, is_open=True),
        ),
    ),
    Style(
        "funk",
        tempo=(92, 122),
        forms=form.SONG,
        major=pool.FUNK_MAJOR,
        minor=pool.FUNK_MINOR,
        moods=("groovy", "funky", "playful", "confident", "energetic", "sassy"),
        drive=(0, 1, 1),
        swing_unit=0.25,
        swing=(0.5, 0.56),
        human_ms=5,
        parts=(
            Part("guitar", chords, (27, 28), (FUNK_CHOPS,), 62, pan=-0.35, velocity=2),
            Part("drums", kit(*FUNK_KIT), (0, 8), velocity=6),
            Part("bass", bass, (36, 33, 37), (FUNK_BASS,), 38, velocity=8),
            Part("keys", chords, (7, 4, 16, 17), (HELD + STABS, STABS + FUNK_CHOPS), 60, enters=0, pan=0.3),
            Part("winds", chords, (61, 56, 66), (("x...............", "......xx........"), FUNK_CHOPS), 65, 0.6, 4),
            Part(
                "lead",
                melody(2, True),
                (65, 27, 81, 17),
                centre=72,
                chance=0.7,
                enters=4,
                rests=SOFT,
                pan=0.1,
                turns=True,
            ),
            Part("percussion", kit(*CONGAS, *TAMBOURINES, fills=False), (0,), chance=0.6, enters=3, pan=0.35),
        ),
    ),
    Style(
        "rock",
        tempo=(96, 168),
        forms=form.SONG,
        major=pool.ROCK_MAJOR,
        minor=pool.ROCK_MINOR,
        moods=("energetic", "powerful", "rebellious", "anthemic", "raw", "bold"),
        drive=(0, 1, 1),
        parts=(
            Part("guitar", chords, (27, 25, 29), (STRUM_CALM, STRUM), 55, pan=-0.35, velocity=0),
            Part("drums", kit(*ROCK_KIT), (16, 0, 8), velocity=10),
            Part("bass", bass, (34, 33), (ROOTS_FIFTH, ROOTS_EIGHTHS), 36, velocity=6, enters=1),
            Part(
                "lead", melody(2, True), (30, 29, 27), centre=70, chance=0.9, enters=3, rests=SOFT, pan=0.15, turns=True
            ),
            Part("keys", chords, (18, 0, 16), (HELD, PIANO_POP), 62, chance=0.5, enters=3, pan=0.35, velocity=-8),
            Part("percussion", kit(*TAMBOURINES, fills=False), (0,), chance=0.3, enters=5, pan=0.3),
        ),
    ),
    Style(
        "folk guitar",
        tempo=(72, 132),
        forms=form.SONG,
        major=pool.FOLK_MAJOR,
        minor=pool.FOLK_MINOR,
        moods=("warm", "earthy", "hopeful", "intimate", "pastoral", "nostalgic"),
        common_time=0.55,
        drive=(-1, 0, 0),
        human_ms=7,
        parts=(
            Part("guitar", arpeggio, (24, 25, 25), (PICKING,), 52, velocity=6, pan=-0.1),
            Part("guitar", chords, (25,), (STRUM_CALM, STRUM), 57, enters=5, velocity=-4),
            Part("bass", bass, (32, 33), (ROOTS, ROOTS_FIFTH), 40, chance=0.7, enters=2, velocity=2),
            Part(
                "winds", melody(1), (73, 74, 22, 68), centre=74, chance=0.6, enters=3, rests=SOFT, pan=0.2, turns=True
            ),
            Part(
                "lead",
                melody(1, True),
                (40, 105, 24, 21),
                centre=72,
                chance=0.7,
                enters=2,
                rests=SOFT,
                pan=0.15,
                turns=True,
            ),
            Part("drums", kit(*FOLK_KIT, fills=False), (0, 40), chance=0.7, enters=2, velocity=-4),
            Part("keys", chords, (0, 21), (HELD, PIANO_POP), 60, chance=0.3, enters=3, velocity=-12, pan=0.3),
            Part("strings", pad, (48, 42), centre=62, chance=0.4, enters=4, velocity=-14, reverb=0.4, is_open=True),
        ),
    ),
    Style(
        "8-bit",
        tempo=(112, 172),
        forms=form.SONG,
        major=pool.CHIP_MAJOR,
        minor=pool.CHIP_MINOR,
        moods=("playful", "retro", "bouncy", "heroic", "cheerful", "pixelated"),
        drive=(0, 1, 1),
        human_ms=1,
        parts=(
            Part("keys", arpeggio, (80, 82), (ARP_EIGHTHS, CHIP_ARPS + ARP_SIXTEENTHS), 62, velocity=-10, pan=-0.3),
            Part(
                "lead", melody(2), (80, 81), centre=76, velocity=6, rests=("break",), pan=0.15, reverb=0.1, turns=True
            ),
            Part("bass", bass, (38, 80, 87), (ROOTS_EIGHTHS, DISCO + ROOTS_EIGHTHS), 40, enters=1, velocity=6),
            Part("drums", kit(*CHIP_KIT), (25, 24), enters=1, velocity=6, reverb=0.05),
            Part("pad", chords, (80, 90), (HELD,), 64, chance=0.3, enters=5, velocity=-16, gain_db=-5, pan=0.3),
        ),
    ),
)
