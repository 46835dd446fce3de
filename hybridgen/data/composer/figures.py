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
    TOMS,
    TRIANGLE,
)
from hybridgen.data.composer.players import Fills, Groove

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
        Groove(SNARE, "....X..g.g..X...", 1, 4),
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
        Groove(SNARE, "..g.X.g...g.X.g.", 0, 2),
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

TRIP_KIT = (
    (
        Groove(KICK, "X.........X..x..", 0, 2),
        Groove(SNARE, "....X.......X..g", 1),
        Groove(CLOSED, "x.x.x.x.x.xxx.x.", 0, -14),
    ),
    (
        Groove(KICK, "X..x......X....."),
        Groove(SNARE, "....X..g.g..X...", 1),
        Groove(RIDE, EIGHTHS, 3, -16),
        Groove(CLOSED, "x.x.x.x.x.x.x.x.", 0, -16),
    ),
)
AFRO_KIT = (
    (
        Groove(KICK, "X.....x...x..x..", 0),
        Groove(SNARE, "...g..X.....g.X.", 1, -4),
        Groove(CLOSED, "X.xxX.xxX.xxX.xx", 0, -12),
        Groove(OPEN, "..............x.", 5, -14),
    ),
    (
        Groove(KICK, "X..x......x..x..", 0),
        Groove(SNARE, "....g.X...g..gX.", 1, -4),
        Groove(CLOSED, EIGHTHS, 0, -10),
        Groove(RIM, "x..x..x...x.x...", 4, -12),
    ),
)
DUB_KIT = (
    (
        Groove(KICK, "X...X...X...X...", 0, 2),
        Groove(OPEN, OFFBEATS, 2, -16),
        Groove(CLOSED, "..x...xx..x...x.", 0, -16),
        Groove(RIM, "..........x..x..", 1, -14),
        Groove(CLAP, "............X...", 4, -10),
    ),
    (
        Groove(KICK, "X...X...X...X...", 0, 2),
        Groove(CLOSED, "x.xxx.xxx.xxx.xx", 1, -20),
        Groove(SNARE, "....g.......g..g", 2, 2),
        Groove(OPEN, OFFBEATS, 3, -14),
    ),
)
HARD_KIT = (
    (
        Groove(KICK, "X...X...X...X...", 1, 10),
        Groove(CLAP, "....X.......X...", 3),
        Groove(OPEN, OFFBEATS, 3, -8),
        Groove(CLOSED, SIXTEENTHS, 0, -16),
        Groove(CRASH, "X...............", 6, -12),
    ),
    (
        Groove(KICK, "X...X...X...X..x", 1, 10),
        Groove(SNARE, "....X.......X...", 3),
        Groove(RIDE, OFFBEATS, 5, -8),
        Groove(CLOSED, EIGHTHS, 0, -12),
    ),
)
MARCH_KIT = (
    (
        Groove(KICK, "X.......X.......", 2, 2),
        Groove(SNARE, "X..gg.x.X..gg.xx", 3, -8),
        Groove(CRASH, "X...............", 6, -6),
    ),
    (
        Groove(KICK, "X...x...X...x...", 3, 2),
        Groove(SNARE, "X.ggX.ggX.ggxxxx", 4, -10),
        Groove(TRIANGLE, "....x.......x...", 1, -16),
    ),
)
SURF_KIT = (
    (
        Groove(KICK, "X.......X.......", 0),
        Groove(SNARE, "....X.x.....X...", 0, 4),
        Groove(RIDE, EIGHTHS, 3, -10),
        Groove(CLOSED, EIGHTHS, 0, -12),
    ),
    (
        Groove(KICK, "X.......X.x.....", 0),
        Groove(SNARE, "....X.......X.x.", 0, 4),
        Groove(CLOSED, EIGHTHS, 0, -10),
        Groove(TOMS[-1], "x.x...x.x.x...x.", 5, -10),
    ),
)
CLAPS = (
    (Groove(CLAP, "....X.......X...", 0, -8), Groove(CABASA, EIGHTHS, 2, -16)),
    (Groove(TAMBOURINE, "..x...x...x...x.", 0, -12), Groove(CLAP, "....X.......X.x.", 3, -8)),
)
BELLS_AND_SHAKER = (
    (Groove(COWBELL, "X..x..x...x.x...", 0, -14), Groove(MARACAS, STRAIGHT_SHAKER, 0, -16)),
    (Groove(CLAVES, "x..x..x...x.x...", 0, -10), Groove(CABASA, "X.xxX.xxX.xxX.xx", 0, -14)),
)

ROOTS = ("R-------r-------", "R---------------")
ROOTS_FIFTH = ("R-------f-------", "R-----r-f-------", "R-------r---f---")
ROOTS_EIGHTHS = ("R-r-r-r-r-r-r-r-", "R-r-r-r-r-r-r-a-", "R-r-r-r-f-f-r-a-")
DISCO = ("R.o.r.o.r.o.r.o.", "..r...r...r...o.", "R..r..r.R..r..o.", "R.r.o.r.R.r.o.a.")
PUMP = ("Rrrr" * 4, "R.rrr.rrr.rrr.rr", "RrorRrorRrorRror")
FUNK_BASS = ("R.gr..o...g.r.s.", "R..g..o.r.gr.sf.", "R..o.gr.f.s.r..g", "R.r..gs.o..gf.a.")
LOFI_BASS = ("R----gr-f---r---", "R---..r-r---..a-", "R-----..r--.f-a-")
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
FUNK_CHOPS = ("..xg..xx.gx..x..", "x.gx.gx...xxg.x.", "..g.x.gx..g.x.gx")
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
HORN_RIFFS = ("..x...xx..x..x..", "x..x..x...xx..x.", "....x..x....x..x")
HORN_HITS = ("x---............", "......xx........")
TRANCE_BASS = ("..rr" * 4, "Rrrr" * 4, "R.rr..rrR.rr..rr")
MONTUNO = ("0-2-.2-3-.2-1-2-", "02.20.2-02.20.2-", "0-3-2-3-.3-2-3-.")
TUMBAO = ("R-----f-----o---", "R--r--f---f-r---", "R-----f-f---r---")
BOOM_CHICK = ("b---x---b---x---", "b---x-u-b---x-u-")
OOM_PAH = ("X-------x---x---", "X---x---x---x---", "b---x---b---x---")
TRIP_BASS = ("R-----..r-r---..", "R--r----..f-r---", "R-------..r-s-r-")
AFRO_BASS = ("R..r..o...r.f.s.", "R.r...s.o...f.r.", "..r.R..o..r.f.a.", "R..f..r...o.s.r.")
DUB_BASS = ("R-----r-....r---", "R---....R-..r---", "R-..r-....r-..f-")
REVERSE_BASS = ("..R-..r-..r-..r-", "..Rr..rr..rr..rr", "..R-..r-..r-..o-")
CELLO_LINE = ("R---t---f---r---", "R-----r-f---t---", "R-t-f---r-f-t---")
MARCH_BASS = ("R---f---r---f---", "R-r-f---r-r-f---")

DUB_STABS = ("x.......x.......", "x..x.........x..", "x.....x.........")
AFRO_CHOPS = ("X.xx..x.X.xx..x.", "x..xg.x.x..xg.x.", "xgx.xgx.xgx.xgx.")
AFRO_RIFFS = ("0.2.3..2..0.2.1.", "02..3.2.0..2..3.", "0..3.2..0.2.3.2.")
AFRO_HORNS = (f"x--x..x.{24 * '.'}", f"{16 * '.'}....x.x-..x.x---", f"x.x---....x.x...{16 * '.'}")
ISLAND_STRUM = ("X---x-u-..u-x-u-", "X--ux-u-X--ux-u-", "X---x-uux---x-u-")
SURF_STRUM = ("x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x.", "X---x.x.X---x.x.")
FANFARES = ("X-----x-X---x-x-", "X---..xxX-------", "X-------X--xx-x-")
QUARTET_PULSE = ("x-x-x-x-x-x-x-x-", "..x-..x-..x-..x-", "X---x-x-X---x-x-")
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

ROCK_FILLS = Fills(
    full=("........s.s.ssss", "........s.tthmmf", "........ttmmffff", "....s...s.s.ssss", "......s.s.s.tmff"),
    half=("............s.ss", "............t.mf", "..............ss", ".............s.s"),
    landing=(KICK, CRASH),
)
METAL_FILLS = Fills(
    full=("....s.s.tthhmmff", "........ssssttmf", "........ttmmffff", "........s.s.ssss"),
    half=("............ssss", "............tmff", "............s.ss"),
    landing=(KICK, CRASH),
)
TOM_FILLS = Fills(  # the gated toms of the eighties
    full=("........t.t.mmff", "........s.tthmff", "....t...m.m.ffff"),
    half=("............t.mf", "............mmff", ".............s.s"),
    landing=(KICK, CRASH),
)
CLUB_FILLS = Fills(  # the kick drops out, claps or a roll fill its place
    full=("........c...c.cc", "........s.s.ssss", "............cccc", "............ssss"),
    half=("............c.cc", ".............c.c", "............o..."),
    landing=(KICK, CRASH),
)
BREAK_FILLS = Fills(
    full=("........s.gsgsss", "....s..s.s.sssss", "........k.s.ssss"),
    half=("............gsss", "..........s..s.s", "............s.gs"),
    landing=(KICK, CRASH),
)
LOFI_FILLS = Fills(
    full=("..........s..sgs", "........k..s.ggs"),
    half=("..............gs", ".............g.s", "............k.gs"),
    landing=(KICK,),
)
TRAP_FILLS = Fills(
    full=("........s...s.ss", "............ssss", "........c.c.cccc"),
    half=("............c.cc", "..............ss"),
    landing=(KICK, CRASH),
)
CHIP_FILLS = Fills(
    full=("........s.s.ssss", "........k.s.k.ss"), half=("............ssss", "............s.ss"), landing=(KICK, CRASH)
)
FUNK_FILLS = Fills(
    full=("........s..sg.ss", "........g.s.gsss", "......s..s.s.sss"),
    half=("............g.gs", "............gsss", ".............gss"),
    landing=(KICK, CRASH),
)
JAZZ_FILLS = Fills(  # swung eighths: snare and toms talk
    full=("........s.g.s.t.", "........s.t.s.f.", "....s...g.s.t.s."),
    half=("............g.s.", "............s.t.", "..............s."),
    landing=(KICK, RIDE),
)
FOLK_FILLS = Fills(
    full=("........s.g.ssgs", "........g.s.s.ss"),
    half=("............g.gs", "..............ss"),
    landing=(KICK, TAMBOURINE),
)
REGGAE_FILLS = Fills(
    full=("........i.s.t.mf", "........t.t.mmff", "............i.ss"),
    half=("............i.is", "............t.mf"),
    landing=(KICK, CRASH),
)
LATIN_FILLS = Fills(  # toms for timbales
    full=("........t.tt.ttt", "....t..t.t.tt.tt", "........i.i.t.tm"),
    half=("............t.tt", ".............t.t"),
    landing=(KICK, CRASH),
)
DRUM_CORPS_FILLS = Fills(
    full=("........f.f.ffff", "........g.ggssss", "........f...f.ss"),
    half=("............f.ff", "............ggss"),
    landing=(KICK, CRASH),
)
AFRO_FILLS = Fills(  # toms and snare talk
    full=("........g.t.s.tt", "......s..t.t.tmf", "........s.ts.tmm"),
    half=("............s.gs", "............t.mf", "............g.ts"),
    landing=(KICK, CRASH),
)
HARD_FILLS = Fills(  # kicks roll up to the next bar
    full=("........k.k.kkkk", "........k...k.kk", "............kkkk"),
    half=("............k.kk", "............c.cc", "..............kk"),
    landing=(KICK, CRASH),
)
SURF_FILLS = Fills(  # rolls down the toms
    full=("........ssttmmff", "....s...tthhmmff", "........tttthmff"),
    half=("............ssss", "............ttff", "..............ss"),
    landing=(KICK, CRASH),
)
