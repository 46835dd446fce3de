"""Settings and other languages, put into the plain English that the finders read: "a-Moll, 16 Takte", "bars=16".

Only what a finder reads is rewritten; the rest of the text stays as it is. The languages are German, French, Spanish,
Italian, Portuguese, Chinese and Japanese.
"""

import re
from collections.abc import Callable

from hybridgen.plan.harmony import PITCHES

SOLFEGE = {
    "dó": "C",
    "fá": "F",
    "lá": "A",
    "do": "C",
    "ut": "C",
    "re": "D",
    "ré": "D",
    "mi": "E",
    "fa": "F",
    "sol": "G",
    "la": "A",
    "si": "B",
}
GERMAN = {"h": "B", "b": "Bb", "cis": "C#", "dis": "D#", "es": "Eb", "fis": "F#", "gis": "G#", "as": "Ab", "ais": "A#"}
GERMAN |= {"des": "Db", "ges": "Gb", "ces": "B", "eis": "F"}
IROHA = {"ハ": "C", "ニ": "D", "ホ": "E", "ヘ": "F", "ト": "G", "イ": "A", "ロ": "B"}
SIGNS = {"#": "#", "♯": "#", "b": "b", "♭": "b", "sharp": "#", "flat": "b", "升": "#", "降": "b", "嬰": "#", "変": "b"}
SIGNS |= {"dièse": "#", "bémol": "b", "sostenido": "#", "bemol": "b", "diesis": "#", "bemolle": "b", "sustenido": "#"}
SIGN_WORDS = "dièse|bémol|sostenido|bemolle|bemol|diesis|sustenido"
MINOR = {"moll", "mineur", "mineure", "マイナー", "menor", "minore", "小", "短"}
BARS = "takte?n?|mesures?|compases|compás|compassos?|battute|battuta|misure"
SECONDS, MINUTES = "sekunden?|secondes?|segundos?|secondi", "minuten?|minutos?|minuti"
BEATS = r"(?:schläge|battements|pulsaciones|battiti|batidas)\s+(?:pro|par|por|al)\s+minut[eo]"
CAMELOT_MINOR = (8, 3, 10, 5, 0, 7, 2, 9, 4, 11, 6, 1)  # pitch of 1A, 2A, ...: a fifth up each

BEAT_NAMES = {"zwei": "2", "drei": "3", "vier": "4", "fünf": "5", "deux": "2", "trois": "3", "quatre": "4"}
BEAT_NAMES |= {"dos": "2", "tres": "3", "cuatro": "4", "três": "3", "quatro": "4"}

Rewrite = Callable[[re.Match], str]


def _key(letter: str, sign: str | None, mode: str) -> str:
    return f"in {letter.upper()}{SIGNS.get((sign or '').lower(), '')} {'minor' if mode.lower() in MINOR else 'major'}"


def _german_key(match: re.Match) -> str:
    note = match["note"].lower()
    letter = GERMAN.get(note) or note.upper()
    return f"in {letter} {'minor' if match['mode'].lower() == 'moll' else 'major'}"


def _camelot(match: re.Match) -> str:
    number, ring = int(match["number"]), match["ring"].upper()
    pitch = (CAMELOT_MINOR[0] + 7 * (number - 1)) % 12
    return f"in {PITCHES[pitch if ring == 'A' else (pitch + 3) % 12]} {'minor' if ring == 'A' else 'major'}"


def _counted(match: re.Match) -> str:
    """ "time signature: 6" -> "6/8": the count that is usual for so many beats."""
    beats = int(match["n"])
    return f"{beats}/{8 if beats in (6, 7, 9, 12) else 4}"


def _romance_beats(match: re.Match) -> str:
    return f"{BEAT_NAMES.get(match['n'].lower(), match['n'])}/4"


RULES: tuple[tuple[str, Rewrite | str], ...] = (
    # settings
    (r"(?<![\d-] )(?<![\d-])\b(?:bars|measures|length_bars)\s*[=:]\s*(?P<n>\d{1,4})\b", r"\g<n> bars"),
    (
        r"\b(?:time[\s_-]?signature|meter(?=\s*[=:])|metre(?=\s*[=:]))\"?\s*[=:]?\s*\"?(?:of\s+|is\s+)?(?P<n>[2-9]|12)\b"
        r"(?!\s?/|\s?over|\s*-?\s*\d|\.\d)",
        _counted,
    ),
    (r"\"(?P<name>[a-z_ ]{2,20})\"\s*:\s*\"?(?P<value>[\w#/.♭♯ ]{1,30})\"?", r"\g<name>: \g<value>"),
    (
        r"\b(?:scale|mode)\s*[=:]\s*(?P<kind>major|minor)\s*[,;|]?\s*key\s*[=:]\s*(?P<note>[a-g][#b♯♭]?)(?!\w)",
        r"key: \g<note> \g<kind>",
    ),
    (
        r"\bkey\s*[=:]\s*(?P<note>[a-g][#b♯♭]?)(?!\w)\s*[,;|]?\s*(?:scale|mode)\s*[=:]\s*(?P<kind>major|minor)\b",
        r"key: \g<note> \g<kind>",
    ),
    (r"\bminor blues in (?P<note>(?-i:[A-G])[#b]?)(?!\w|\s(?:major|minor))", r"minor blues in \g<note> minor"),
    (r"\b(?P<n>\d{1,2})\s+over\s+(?P<m>4|8)\b", r"\g<n>/\g<m>"),
    (r"\b(?P<n>two|three|four|five|six|seven|nine|twelve)\s+over\s+(?P<m>four|eight)\b", r"\g<n>-\g<m> time"),
    (r"\b(?:keyscale|key_scale|key\s?signature)\s*[=:]", "key:"),
    (
        r"(?<![\w.])(?P<number>1[0-2]|[1-9])(?P<ring>[AB])(?=\s*\(?\s*camelot|\s+key\b)\s*\(?\s*(?:camelot)?\s*\)?",
        _camelot,
    ),
    (r"\bcamelot\s*[=:]?\s*(?P<number>1[0-2]|[1-9])(?P<ring>[ab])\b", _camelot),
    (r"\b(?P<n>\d{1,2})\s*min(?:ute)?s?\s+(?P<m>[0-5]\d)(?=\s*(?:$|[,.;]))", r"\g<n> minutes \g<m> seconds"),
    # keys
    (r"(?<![\w-])(?P<note>[a-h]|[cdfga]is|es|as|des|ges)[\s-]?(?P<mode>moll|dur)\b", _german_key),
    (
        rf"(?<!\w)(?:(?:en|in|em|i)\s+)?(?P<note>dó|do|ut|ré|re|mi|fá|fa|sol|lá|la|si)(?:[\s-]+(?P<sign>{SIGN_WORDS}))?[\s-]+"
        r"(?P<mode>mineure?|majeure?|menor|mayor|minore|maggiore|maior)\b",
        lambda m: _key(SOLFEGE[m["note"].lower()], m["sign"], m["mode"]),
    ),
    (
        r"(?P<sign>[升降]?)(?P<note>[A-Ga-g])(?P<sign_after>[#b♯♭]?)\s*(?P<mode>[大小])调",
        lambda m: _key(m["note"], m["sign"] or m["sign_after"], m["mode"]),
    ),
    (
        r"(?P<sign>[嬰変]?)(?P<note>[ハニホヘトイロ])(?P<mode>[長短])調",
        lambda m: _key(IROHA[m["note"]], m["sign"], m["mode"]),
    ),
    (
        r"(?<![a-z])(?P<note>[a-g])(?P<sign>[#b♯♭]?)\s*(?P<mode>マイナー|メジャー)",
        lambda m: _key(m["note"], m["sign"], m["mode"]),
    ),
    # length, tempo, meter
    (r"(?P<m>\d{1,2})\s*分[の之]\s*(?P<n>\d{1,2})\s*拍子?", r" \g<n>/\g<m> "),
    (r"四分之(?P<n>[二三四五])拍", lambda m: f" {'二三四五'.index(m['n']) + 2}/4 "),
    (r"\b(?P<n>\d{1,2}/\d{1,2})-?takt\b", r"\g<n> time"),
    (r"\b(?P<n>zwei|drei|vier|fünf)viertel-?takt\b", _romance_beats),
    (r"\bsechsachtel-?takt\b|\bsechsachtel\b", "6/8 time"),
    (
        r"\b(?:à|en|em)\s(?P<n>2|3|4|5|deux|trois|quatre|dos|tres|cuatro|três|quatro)\s(?:temps|tiempos|tempos)\b",
        _romance_beats,
    ),
    (r"\b(?:walzer|valse|vals|valzer|valsa)\b", "waltz"),
    (r"ワルツ|华尔兹|華爾滋", " waltz "),
    (rf"(?P<n>\d{{1,4}})\s*(?:{BARS})\b", r"\g<n> bars"),
    (r"(?P<n>\d{1,4})\s*(?:小节|小節)", r" \g<n> bars "),
    (rf"(?P<n>\d{{1,4}})\s*(?:{SECONDS})\b", r"\g<n> seconds"),
    (r"(?P<n>\d{1,4})\s*秒", r" \g<n> seconds "),
    (rf"(?P<n>\d{{1,3}})\s*(?:{MINUTES})\b", r"\g<n> minutes"),
    (r"(?P<n>\d{1,3})\s*分(?:钟|鐘|間)?(?![の之])", r" \g<n> minutes "),
    (rf"(?P<n>\d{{2,3}})\s*(?:{BEATS})", r"\g<n> bpm"),
    (r"(?:每分钟\s*(?P<n>\d{2,3})\s*拍|(?P<m>\d{2,3})\s*拍\s*(?:每分钟|/分))", lambda m: f" {m['n'] or m['m']} bpm "),
    (r"bpm\s?(?P<n>\d{2,3})(?!\d)", r"bpm \g<n>"),
    (r"(?P<n>\d{1,2})-?(?:viertel|achtel)-?takt\b", lambda m: f"{m['n']}/{4 if 'viertel' in m[0].lower() else 8}"),
    (r"(?P<n>\d)\s*拍子", r" \g<n>/4 "),
    (
        r"毎分\s*(?P<n>\d{2,3})\s*拍?|(?:テンポ|速度)\s*[:：=は]?\s*(?P<m>\d{2,3})",
        lambda m: f" {m['n'] or m['m']} bpm ",
    ),
    # pace
    (r"\b(?:sehr langsam|très lente?|muy lent[oa]|molto lent[oa]|muito lent[oa])\b", "very slow"),
    (r"\b(?:sehr schnell|très rapide|muy rápid[oa]|molto veloce|muito rápid[oa])\b", "very fast"),
    (r"ゆっくり(?:な|とした)?|遅い|慢板|缓慢|緩慢|慢[速的]?", " slow "),
    (r"速い|アップテンポ(?:な|の)?|快板|快速|快的?", " fast "),
    (r"\b(?:langsam(?:e[rsnm]?)?|lent[oae]?|despacio|devagar)\b", "slow"),
    (r"\b(?:schnell(?:e[rsnm]?)?|rapides?|rápid[oa]s?|veloc[ei])\b", "fast"),
    # who
    (r"\b(?:ohne|sans|sin|senza|sem)\s+(?:la\s+|le\s+|les\s+|el\s+|il\s+|a\s+|o\s+)?", "without "),
    (r"\b(?:nur|seulement|solamente|solo\s+con|soltanto|apenas)\s+", "only "),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), rewrite) for pattern, rewrite in RULES)
FOREIGN = re.compile(
    r"[\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff\u0900-\u0dff\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
    r"|(?i:(?<![\w-])(?:und|mit|für|eine?|einen|der|das|ist|avec|une?|pour|dans|triste|con|una|para|della|uma|com|española"
    r"|traurig|ruhig|ein)(?![\w-]))"
)


def to_english(text: str) -> str:
    """The text with what the finders read put into their words."""
    for pattern, rewrite in _COMPILED:
        text = pattern.sub(rewrite, text)
    return text


def is_foreign(text: str) -> bool:
    """Whether a text seems not to be English, which is all that the text encoder knows: its script, or two words."""
    found = FOREIGN.findall(text)
    return any(ord(word[0]) > 0x2FF for word in found) or len({word.lower() for word in found}) > 1
