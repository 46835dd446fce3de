"""What people call instruments and line-ups, beyond the names of `plan.instruments`; in several languages."""

from hybridgen.plan.instruments import PERCUSSION_WORDS

# Words for a role as a whole.
ROLE_NAMES = {
    "drums": "drums", "drum": "drums", "drum kit": "drums", "drum groove": "drums", "percussion": "percussion",
    "bass": "bass", "bass line": "bass", "bassline": "bass", "walking bass": "bass", "guitar": "guitar",
    "keys": "keys", "keyboard": "keys", "keyboards": "keys", "strings": "strings", "string section": "strings",
    "winds": "winds", "woodwinds": "winds", "woodwind": "winds", "pad": "pad", "pads": "pad",
    "lead melody": "lead",
}  # fmt: skip
ROLE_NAMES |= {name: "percussion" for name in PERCUSSION_WORDS.values()}

# What people say -> a name of the table; then German, French, Spanish, Italian and Portuguese, Chinese and Japanese.
SYNONYMS = {
    "wurlitzer": "electric piano", "wurli": "electric piano", "ep": "electric piano", "steinway": "grand piano",
    "upright piano": "piano", "keyboard piano": "piano", "b3": "hammond organ", "vibraphones": "vibraphone",
    "contrabasses": "contrabass", "stand-up bass": "upright bass", "standup bass": "upright bass",
    "acoustic guitars": "acoustic guitar", "nylon-string guitar": "nylon guitar", "spanish guitar": "nylon guitar",
    "flamenco guitar": "nylon guitar", "electric guitars": "electric guitar",
    "distorted guitars": "distorted guitar", "flugelhorn": "trumpet", "cornet": "trumpet",
    "tenor saxophone": "tenor sax", "alto saxophone": "alto sax", "soprano saxophone": "soprano sax",
    "baritone saxophone": "baritone sax", "saxophones": "saxophone", "panpipes": "pan flute",
    "pan pipes": "pan flute", "pipe organ": "church organ", "cellos": "cello", "analog bass": "synth bass",
    "sub bass": "synth bass", "808 bass": "synth bass", "reese bass": "synth bass", "acid bass": "synth bass",
    "moog bass": "synth bass", "synth lead": "saw lead", "violins": "violin",
}  # fmt: skip
SYNONYMS |= {
    "klavier": "piano", "flügel": "grand piano", "geige": "violin", "bratsche": "viola", "gitarre": "guitar",
    "konzertgitarre": "nylon guitar", "schlagzeug": "drums", "kontrabass": "double bass", "flöte": "flute",
    "querflöte": "flute", "trompete": "trumpet", "posaune": "trombone", "orgel": "organ",
    "kirchenorgel": "church organ", "harfe": "harp", "streicher": "strings", "klarinette": "clarinet",
    "akkordeon": "accordion", "saxofon": "saxophone", "saxophon": "saxophone", "guitare": "guitar",
    "violon": "violin", "violoncelle": "cello", "batterie": "drums", "flûte": "flute", "trompette": "trumpet",
    "orgue": "organ", "harpe": "harp", "contrebasse": "double bass", "clarinette": "clarinet",
    "accordéon": "accordion", "cordes": "strings", "basse": "bass", "guitarra": "guitar",
    "guitarra española": "nylon guitar", "guitarra acústica": "acoustic guitar",
    "guitarra eléctrica": "electric guitar", "violín": "violin", "violonchelo": "cello", "chelo": "cello",
    "batería": "drums", "flauta": "flute", "trompeta": "trumpet", "arpa": "harp", "contrabajo": "double bass",
    "clarinete": "clarinet", "acordeón": "accordion", "cuerdas": "strings", "bajo": "bass", "chitarra": "guitar",
    "violino": "violin", "violoncello": "cello", "batteria": "drums", "flauto": "flute", "tromba": "trumpet",
    "organo": "organ", "contrabbasso": "double bass", "clarinetto": "clarinet", "fisarmonica": "accordion",
    "archi": "strings", "pianoforte": "piano", "violão": "nylon guitar", "bateria": "drums",
    "trompete de jazz": "trumpet", "contrabaixo": "double bass", "sanfona": "accordion", "baixo": "bass",
    "cordas": "strings",
}  # fmt: skip
SYNONYMS |= {
    "钢琴": "piano", "鋼琴": "piano", "吉他": "guitar", "小提琴": "violin", "大提琴": "cello", "鼓": "drums",
    "贝斯": "bass", "长笛": "flute", "萨克斯": "saxophone", "小号": "trumpet", "竖琴": "harp", "古筝": "koto",
    "ピアノ": "piano", "ギター": "guitar", "バイオリン": "violin", "ヴァイオリン": "violin", "チェロ": "cello",
    "ドラム": "drums", "ベース": "bass", "フルート": "flute", "サックス": "saxophone", "トランペット": "trumpet",
    "ハープ": "harp", "琴": "koto",
}  # fmt: skip

# What does not exist here -> what comes nearest.
NEAREST = {
    "hurdy-gurdy": "bagpipes", "hurdy gurdy": "bagpipes", "theremin": "square lead", "mandolin": "acoustic guitar",
    "ukulele": "nylon guitar", "oud": "nylon guitar", "lute": "nylon guitar", "bouzouki": "acoustic guitar",
    "balalaika": "nylon guitar", "charango": "nylon guitar", "pedal steel": "steel guitar",
    "lap steel": "steel guitar", "slide guitar": "steel guitar", "erhu": "violin", "guzheng": "koto",
    "pipa": "koto", "zither": "harp", "kora": "harp", "santur": "dulcimer", "melodica": "harmonica",
    "concertina": "accordion", "duduk": "clarinet", "ney": "flute", "bansuri": "flute", "tin whistle": "whistle",
    "didgeridoo": "bassoon", "euphonium": "trombone", "mellotron": "strings", "tabla": "percussion",
    "cajon": "percussion", "cajón": "percussion", "djembe": "percussion", "taiko": "percussion",
    "timbales": "percussion", "maracas": "shaker", "hang drum": "kalimba", "handpan": "kalimba",
    "kazoo": "harmonica", "glass harmonica": "celesta", "singing bowls": "tubular bells",
    "talking drum": "percussion",
}  # fmt: skip

ENSEMBLES: dict[str, tuple[dict[str, str], bool]] = {  # a line-up: its roles with names, and whether nobody else plays
    "string quartet": ({"strings": "viola", "lead": "violin"}, True),
    "string trio": ({"strings": "cello", "lead": "violin"}, True),
    "jazz trio": ({"keys": "piano", "bass": "upright bass", "drums": ""}, True),
    "piano trio": ({"keys": "piano", "bass": "upright bass", "drums": ""}, True),
    "jazz quartet": ({"keys": "piano", "bass": "upright bass", "drums": "", "winds": "saxophone"}, True),
    "rock band": ({"guitar": "electric guitar", "bass": "electric bass", "drums": ""}, False),
    "power trio": ({"guitar": "electric guitar", "bass": "electric bass", "drums": ""}, True),
    "big band": ({"winds": "brass", "keys": "piano", "bass": "upright bass", "drums": ""}, False),
    "brass band": ({"winds": "brass"}, False),
}

# What genres are called: their last words, since "deep house" is house.
GENRES = (
    "8-bit", "acid", "afro-funk", "afrobeats?", "amapiano", "ambient", "americana", "ballad", "bebop", "big beat",
    "bluegrass", "blues", "bolero", "boom bap", "bossa(?: nova)?", "breakbeat", "breakcore", "chillhop", "chillout",
    "chamber", "chiptune", "cinematic(?: strings)?", "classical", "country", "cumbia", "dancehall", "disco", "dnb",
    "d&b", "downtempo", "drill", "drum (?:and|&|n|'n') bass", "dub", "dubstep", "edm", "electro", "eurodance",
    "flamenco", "folk(?: guitar)?", "footwork", "funk", "gabber", "garage", "gospel", "grime", "grunge", "hardcore",
    "hardstyle", "hip hop", "house", "idm", "industrial", "jazz(?: trio)?", "jungle", "klezmer", "latin", "lo ?fi",
    "lo-fi", "mambo", "march", "merengue", "metal", "new age", "orchestral(?: adventure)?", "outrun", "phonk",
    "polka", "pop", "psytrance", "punk", "r&b", "reggae", "reggaeton", "retrowave", "rnb", "rock", "rumba", "salsa",
    "samba", "shoegaze", "ska", "solo piano", "soul", "string quartet", "swing", "synthwave", "tango", "techno",
    "trance", "trap", "trip hop", "vaporwave", "waltz", "western",
)  # fmt: skip
GENRE = "|".join(name.replace(" ", r"[\s-]") for name in GENRES)
