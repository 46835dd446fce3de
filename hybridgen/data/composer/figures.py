"""Figures and grooves that genres share, written as `rhythm` reads them.

Signs of drums: x struck, g a ghost note. Those of basses, chords and arpeggios are explained at their players.
"""

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
)
from hybridgen.data.composer.players import Groove

EIGHTHS, SIXTEENTHS, QUARTERS, OFFBEATS = "x.x." * 4, "xxxx" * 4, "x..." * 4, "..x." * 4
STRAIGHT_SHAKER = "X.x." * 4
SOFT = ("intro", "break")  # section labels without a melody

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
        Groove(KICK, "X...X...X...X...", 2),
        Groove(OPEN, OFFBEATS, 3, -10),
        Groove(CLOSED, SIXTEENTHS, 0, -16),
        Groove(CLAP, "....X.......X...", 4),
        Groove(RIDE, OFFBEATS, 6, -14),
    ),
    (
        Groove(KICK, "X...X...X...X..x", 2),
        Groove(CLOSED, "x.x.x.x.x.x..xx.", 0, -8),
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
STRUM = ("X---x-u---u-x-u-", "X---x---x-u-x-u-", "X-x-x-u-x-x-x-u-")
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
HORN_HITS = ("x---............", "......xx........")
TRANCE_BASS = ("..rr" * 4, "Rrrr" * 4, "R.rr..rrR.rr..rr")
MONTUNO = ("0-2-.2-3-.2-1-2-", "02.20.2-02.20.2-", "0-3-2-3-.3-2-3-.")
TUMBAO = ("R-----f-----o---", "R--r--f---f-r---", "R-----f-f---r---")
BOOM_CHICK = ("b---x---b---x---", "b---x-u-b---x-u-")
OOM_PAH = ("X-------x---x---", "X---x---x---x---", "b---x---b---x---")
TRAIN_KIT = (
    (
        Groove(KICK, "X.......X.......", 0, -4),
        Groove(SNARE, "g.g.X.g.g.g.X.gg", 1, -6),
        Groove(TAMBOURINE, "....x.......x...", 4, -12),
    ),
    (
        Groove(KICK, "X.......X.......", 0),
        Groove(SNARE, "....X.......X...", 1),
        Groove(CLOSED, EIGHTHS, 0, -10),
    ),
)
METAL_KIT = (
    (
        Groove(KICK, "X.x.x.x.X.x.x.x.", 3),
        Groove(KICK, "X.......X.......", 0),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(RIDE, QUARTERS, 5, -6),
        Groove(CLOSED, EIGHTHS, 0, -12),
    ),
    (
        Groove(KICK, "X..xX..xX..xX..x", 2),
        Groove(SNARE, "....X.......X...", 1, 4),
        Groove(CRASH, "X.......X.......", 6, -16),
        Groove(CLOSED, QUARTERS, 0, -6),
    ),
)
