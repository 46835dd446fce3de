"""The words that people use for instruments, moods, tempi and energy; those of a genre are fields of its `Style`.

Every word here is a claim: a caption uses it only of a song of which it is true.
"""

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

MOOD_WORDS = {
    "mellow": ("mellow", "soft", "laid-back"), "nostalgic": ("nostalgic", "wistful", "bittersweet"),
    "sleepy": ("sleepy", "drowsy"), "cozy": ("cozy", "snug", "cosy"), "chill": ("chill", "relaxed", "chilled out"),
    "rainy": ("rainy", "rainy-day"), "calm": ("calm", "tranquil", "serene"), "dreamy": ("dreamy", "dreamlike", "hazy"),
    "meditative": ("meditative", "contemplative"), "spacious": ("spacious", "wide", "vast"),
    "peaceful": ("peaceful", "serene", "tranquil"), "floating": ("floating", "weightless", "drifting"),
    "groovy": ("groovy", "grooving"), "uplifting": ("uplifting", "feel-good"), "sunny": ("sunny", "summery"),
    "energetic": ("energetic", "high-energy", "lively"), "hypnotic": ("hypnotic", "trance-like"),
    "warm": ("warm", "warm-hearted"), "dark": ("dark", "brooding", "ominous"), "driving": ("driving", "propulsive"),
    "industrial": ("industrial", "gritty"), "relentless": ("relentless", "unrelenting"),
    "mechanical": ("mechanical", "robotic"), "liquid": ("liquid", "fluid"), "intense": ("intense", "fierce"),
    "futuristic": ("futuristic", "sci-fi"), "neon": ("neon", "neon-lit"), "retro": ("retro", "old-school", "vintage"),
    "nocturnal": ("nocturnal", "late-night", "night-time"), "epic": ("epic", "grand"),
    "emotional": ("emotional", "moving", "touching"), "heroic": ("heroic", "triumphant"),
    "tense": ("tense", "suspenseful"), "sweeping": ("sweeping", "soaring"), "majestic": ("majestic", "grand", "regal"),
    "intimate": ("intimate", "up-close"), "tender": ("tender", "delicate"), "reflective": ("reflective", "pensive"),
    "romantic": ("romantic", "amorous"), "wistful": ("wistful", "longing"), "gentle": ("gentle", "soft"),
    "smoky": ("smoky", "late-night"), "sophisticated": ("sophisticated", "elegant", "classy"),
    "playful": ("playful", "fun", "whimsical"), "relaxed": ("relaxed", "easy-going", "chill"),
    "swinging": ("swinging", "swingy"), "cool": ("cool", "suave"), "breezy": ("breezy", "light"),
    "tropical": ("tropical", "summery"), "funky": ("funky",), "confident": ("confident", "strutting"),
    "sassy": ("sassy", "cheeky"), "powerful": ("powerful", "strong"), "rebellious": ("rebellious", "defiant"),
    "anthemic": ("anthemic", "stadium-sized"), "raw": ("raw", "gritty"), "bold": ("bold", "daring"),
    "earthy": ("earthy", "rustic"), "hopeful": ("hopeful", "optimistic"), "pastoral": ("pastoral", "rural"),
    "bouncy": ("bouncy", "springy"), "cheerful": ("cheerful", "joyful", "merry"), "pixelated": ("pixelated", "blippy"),
    "happy": ("happy", "joyful", "cheerful"), "bright": ("bright", "sparkling"), "sad": ("sad", "sorrowful", "tearful"),
    "moody": ("moody", "sullen"), "menacing": ("menacing", "threatening"), "cold": ("cold", "icy"),
    "euphoric": ("euphoric", "ecstatic"), "soaring": ("soaring", "lofty"), "glamorous": ("glamorous", "glitzy"),
    "danceable": ("danceable", "dancey"), "joyful": ("joyful", "happy"), "sparkling": ("sparkling", "glittering"),
    "laid-back": ("laid-back", "relaxed"), "carefree": ("carefree", "untroubled"),
    "soulful": ("soulful", "heartfelt"),
    "gritty": ("gritty", "raw"), "lonesome": ("lonesome", "lonely"), "festive": ("festive", "celebratory"),
    "passionate": ("passionate", "fiery"), "hot": ("hot", "fiery"), "lively": ("lively", "spirited"),
    "homely": ("homely", "down-home"), "rustic": ("rustic", "country-style"), "heartfelt": ("heartfelt", "sincere"),
    "easygoing": ("easygoing", "easy-going"), "heavy": ("heavy", "crushing"), "aggressive": ("aggressive", "angry"),
    "furious": ("furious", "raging"), "elegant": ("elegant", "refined"), "graceful": ("graceful", "elegant"),
    "noble": ("noble", "dignified"), "delicate": ("delicate", "fragile"), "courtly": ("courtly", "stately"),
    "serene": ("serene", "peaceful"),
    "melancholic": ("melancholic", "melancholy", "sad"), "serious": ("serious", "solemn"),
    "quiet": ("quiet", "soft", "hushed"), "steady": ("steady", "constant"),
}  # fmt: skip

TEMPO_WORDS = (  # from this many quarter notes a minute
    (0, ("slow", "very slow", "largo")),
    (66, ("slow", "slow-paced", "adagio")),
    (78, ("slow", "downtempo", "unhurried", "andante")),
    (92, ("mid-tempo", "medium tempo", "moderate", "andante")),
    (110, ("mid-tempo", "moderately fast", "moderato")),
    (122, ("uptempo", "brisk", "quick", "allegro")),
    (140, ("fast", "uptempo", "quick", "allegro")),
    (168, ("very fast", "fast", "breakneck", "presto")),
)
ENERGY_WORDS = (  # from this mean energy of 0-7
    (0, ("low energy", "calm", "very quiet")),
    (2.2, ("laid-back", "low-key", "gentle")),
    (3.4, ("medium energy", "steady energy")),
    (4.6, ("high energy", "energetic", "full energy")),
    (5.6, ("very high energy", "full power", "intense")),
)
