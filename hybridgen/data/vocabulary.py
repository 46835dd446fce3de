"""The words that people use for moods, tempi and energy; those of a genre are fields of its `Style`.

Every word here is a claim: a caption uses it only of a song of which it is true.
"""

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
