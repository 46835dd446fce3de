"""Chords and keys in the words of a prompt: "Am | F | C G", "ii-V-I in Bb", "key of F#m", "c sharp minor"."""

import re
from collections.abc import Callable

from hybridgen.plan.harmony import MODES, PITCHES, QUALITIES, parse_chord, parse_key, scale_pitches, split_key
from hybridgen.text.reader import REFUSED_LIST, PromptScanner, before, clip, compiled

Chords = tuple[tuple[str, ...], ...]  # one or two names for each bar

# --------------------------------------------------------------------------------------------------------- chords

EXTENSION = r"(?:\(?(?:sus|add|maj|no|omit|b|#|\+)\d{1,2}\)?|\(maj7\)|alt|/9(?!\d))"
QUALITY = rf"(?:maj|min|dom|dim|aug|sus|add|mi|ma|m|M|Δ|°|ø|o|\+|-(?=\d))?(?:\d{{0,2}}){EXTENSION}{{0,6}}"
SIMPLER = (  # what an extended quality comes down to, in the order tried; the rest is cut from its end
    (r"[()]", ""), (r"^-", "m"), (r"^(?:min|mi)", "m"), (r"^(?:ma|M|Δ)(?!j)", "maj"), (r"^dom", ""),
    (r"^m(?:maj|M|Δ)7", "m"), (r"^(m|maj|)1[13]", r"\g<1>9"), (r"^(m?)(?:69|6/9)", r"\g<1>6"),
    (r"^(?:7|9)?alt", "7"), (r"^[79]sus4?", "sus4"), (r"^\+7|^aug7|^7#5|^7\+5", "7"), (r"^add2", "add9"),
    (r"^2", "sus2"), (r"^4", "sus4"), (r"^7(?:b5|b9|#9|#11|b13|add\d+).*", "7"),
)  # fmt: skip
NOT_A_CHORD = r"(?![\w#'°]|[\s-]*(?i:major|minor|maj|min|sharp|flat|dorian|phrygian|lydian|mixolydian)\b)"
CHORD = rf"(?<![\w#'])[A-G][#b]?{QUALITY}(?:/[A-G][#b]?)?{NOT_A_CHORD}"
LOW_CHORD = rf"(?<![\w#'])[a-g][#b]?(?:maj7|m7|m|7)?{NOT_A_CHORD}"
DEGREE = r"(?:VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)"
NUMERAL = rf"(?<![\w#'])[b#]?{DEGREE}(?:maj7|M7|m7|dim|°|ø|o|\+|sus[24])?7?(?![\w#'°])"
JOINT = r"(?:\s?(?:->|>|[-–—|,;])\s?|\s/\s|\s(?:to|and|then)\s|\s)"


def run_of(token: str) -> re.Pattern:
    """One token or more, joined as musicians write progressions; "in Am, F-C-G" begins after its key."""
    not_a_key = rf"(?:(?<!in )(?<!key )(?<!key of )(?<!key: )|(?!{token}[,;]))"
    return re.compile(rf"{not_a_key}{token}(?:{JOINT}{token}){{0,255}}")


CHORDS, LOW_CHORDS, NUMERALS = run_of(CHORD), run_of(LOW_CHORD), run_of(NUMERAL)
ANNOUNCED = compiled(
    r"\b(?:chords?(?:\s+(?:progression|sequence|changes|loop|vamp))?|progression|changes)"
    r"(?:\s+(?:of|are|is|like|goes|going|go))*\s*(?P<colon>[:=])?\s*[|(\[\"]?\s*$"
)
VAMP_AFTER = compiled(r"\s(?:vamp|drone|pedal)\b")
NO_CHORDS_AFTER = compiled(r"\b(?:notes?|form|structure|parts?|sections?|tuning|tuned to|strings?)\s*[:=]?\s*$")


def find_chords(scanner: PromptScanner) -> tuple[Chords | None, list[str] | None]:
    """(chords, Roman numerals): the numerals wait for a key."""
    runs = scanner.take_requested(CHORDS, is_progression) + scanner.take_requested(LOW_CHORDS, is_low_progression)
    found = [(match.start(), read_bars(scanner, match)) for match in runs]
    chords = scanner.first(
        "chords", found, lambda bars: " | ".join(" ".join(map(scanner.spelled, bar)) for bar in bars)
    )
    runs = scanner.take_requested(NUMERALS, is_progression)
    numerals = scanner.first("chords", [(match.start(), re.findall(NUMERAL, match[0])) for match in runs], " ".join)
    if chords is not None and numerals is not None:
        scanner.note(runs[0].start(), f"chords {clip(runs[0][0])!r} are given as names too: the names are taken")
        numerals = None
    return chords, numerals


def is_progression(match: re.Match) -> bool:
    """Three chords or more, or two that can be nothing else, or any that are announced as chords."""
    tokens = re.findall(rf"{CHORD}|{NUMERAL}", match[0])
    announced = ANNOUNCED.search(before(match))
    if announced:
        return len(tokens) > 1 or bool(announced["colon"])
    if NO_CHORDS_AFTER.search(before(match)):
        return False
    joints = re.sub(rf"{CHORD}|{NUMERAL}", "", match[0])
    drawn = bool(re.search(r"[-–—|>]", joints))
    marked = [len(token) > 1 for token in tokens]  # more than the bare letter of a form or a word
    if len(tokens) == 2:
        surely = [bool(re.search(r"\d|maj|min|dim|aug|°|ø", token)) for token in tokens]
        return "|" in joints or (drawn and all(marked)) or all(surely)
    if len(tokens) == 1:
        return bool(VAMP_AFTER.match(match.string, match.end())) and marked[0]
    letters = set("".join(tokens)) <= set("ABCD")  # "A-B-A"
    return len(tokens) > 2 and (any(marked) or (bool(joints.strip()) and not letters))


def is_low_progression(match: re.Match) -> bool:
    """Small letters are chords only where they are announced, three at least: "chords am f c g"."""
    return bool(ANNOUNCED.search(before(match))) and len(re.findall(LOW_CHORD, match[0])) > 2


def read_bars(scanner: PromptScanner, match: re.Match) -> Chords:
    """The chords of every bar; a bar line parts bars, without one every chord has its own."""
    text = without_article(match)
    token = rf"{CHORD}|{LOW_CHORD}"
    cells = text.split("|") if "|" in text else re.findall(token, text)
    bars = [re.findall(token, cell) for cell in cells]
    for bar in bars:
        if len(bar) > 2:
            scanner.note(match.start(), f"bar {' '.join(bar)!r} has {len(bar)} chords: the first two are taken")
    return tuple(tuple(to_chord(scanner, match.start(), name) for name in bar[:2]) for bar in bars if bar)


def without_article(match: re.Match) -> str:
    """The run without an "A" that is an article ("Am-F-C A slow song", "A Dm7-G7 vamp")."""
    text = match[0]
    if text.endswith(" A") and re.match(r"\s[a-z]", match.string[match.end() : match.end() + 2]):
        text = text[:-2]
    if re.match(rf"A {CHORD}\s?[-–—|>,]", text):
        text = text[2:]
    return text


def to_chord(scanner: PromptScanner, position: int, name: str) -> str:
    """The canonical chord; a slash bass and extensions that a plan cannot hold are left off, with a note."""
    name = name[0].upper() + name[1:]
    plain = re.sub(r"/[A-G][#b]?$", "", name)
    try:
        return scanner.spell(parse_chord(plain), plain) if plain == name else _nearest(scanner, position, name, plain)
    except ValueError:
        return _nearest(scanner, position, name, plain)


def _nearest(scanner: PromptScanner, position: int, name: str, plain: str) -> str:
    """The chord of the vocabulary that comes nearest, with a note."""
    split = re.fullmatch(r"([A-G][#b]?)(.*)", plain)
    assert split is not None
    root, quality = split.groups()
    if f"{quality}" not in QUALITIES:
        for pattern, simpler in SIMPLER:
            quality = re.sub(pattern, simpler, quality)
    for stop in range(len(quality), -1, -1):
        try:
            chord = parse_chord(root + quality[:stop])
        except ValueError:
            continue
        break
    spelled = root + chord[len(parse_chord(root)) :]
    scanner.note(position, f"chord {name} is not in the vocabulary: {spelled} is taken")
    return scanner.spell(chord, spelled)


def spell_chords(scanner: PromptScanner, numerals: list[str], key: str | None) -> Chords | None:
    """Roman numerals in a key, a bar each; None, and a note, if there is no key."""
    if key is None:
        scanner.note(0, f"chords {clip(' '.join(numerals))!r} need a key: they are left free")
        return None
    return tuple((spell_chord(scanner, numeral, key),) for numeral in numerals)


def spell_chord(scanner: PromptScanner, numeral: str, key: str) -> str:
    """ "ii7" in C major -> "Dm7"; plain degrees are those of the key's scale, b and # count from the major scale."""
    match = re.fullmatch(rf"([b#]?)({DEGREE})(.*)", numeral)
    assert match is not None
    sign, degree, quality = match.groups()
    tonic, _ = split_key(key)
    scale = scale_pitches(f"{PITCHES[tonic]} major" if sign else key)
    step = ("I", "II", "III", "IV", "V", "VI", "VII").index(degree.upper())
    root = (scale[step] + {"b": -1, "#": 1, "": 0}[sign]) % 12
    minor = "m" if degree.islower() and quality in ("", "7") else ""
    return to_chord(scanner, 0, PITCHES[root] + minor + quality)


BLUES = compiled(r"\b(?:12|twelve)[\s-]bars?\s+(?:minor\s+)?blues\b")
BLUES_STEPS = (0, 0, 0, 0, 5, 5, 0, 0, 7, 5, 0, 7)


def find_blues(scanner: PromptScanner) -> Callable[[str | None], Chords | None] | None:
    """What gives the twelve bars of a blues in a key, where one is asked for; a note where there is no key."""
    matches = scanner.take_requested(BLUES)
    if not matches:
        return None

    def chords(key: str | None) -> Chords | None:
        if key is None:
            scanner.note(matches[0].start(), f"{clip(matches[0][0])!r} needs a key for its chords: they are left free")
            return None
        tonic, kind = split_key(key)
        qualities = ("m7", "m7", "7") if kind == "minor" else ("7", "7", "7")
        quality = dict(zip((0, 5, 7), qualities, strict=True))
        return tuple((PITCHES[(tonic + step) % 12] + quality[step],) for step in BLUES_STEPS)

    return chords


# ----------------------------------------------------------------------------------------------------------- keys

ACCIDENTAL = r"(?:[#b](?![a-z#])|[\s-]?(?:sharp|flat))"
MODE = "|".join(sorted(MODES, key=len, reverse=True))
KEY = compiled(
    rf"(?<![\w#'])(?<!\w/)(?P<letter>[a-g])(?P<sign>{ACCIDENTAL}|[#b](?=(?:maj|min)))?[\s_-]*"
    rf"(?:(?P<scale>harmonic|melodic|natural)\s+)?(?P<mode>major|minor|maj|min)(?![a-z0-9])"
    r"(?![\s-]*(?:\d{1,2}(?:th)?[\s-]+)?(?:chord|triad|arpeggio)s?\b)"
)
SHORT_KEY = re.compile(r"(?<![\w#'])(?P<letter>[A-G])(?P<sign>[#b]?)m(?![\w#'])")
BARE_KEY = re.compile(rf"\b(?:[Ii]n|IN)\s(?P<letter>[A-G]|[a-g](?={ACCIDENTAL}))(?P<sign>{ACCIDENTAL})?(?![\w#'])")
NAMED_KEY = compiled(rf"\bkey(?:\s+of|\s+is|\s?[:=])\s?(?P<letter>[a-g])(?P<sign>{ACCIDENTAL})?(?P<short>m)?(?![\w#'])")
MODAL = compiled(
    rf"(?:(?<![\w#'])(?P<letter>[a-g])(?P<sign>{ACCIDENTAL})?[\s-]+)?\b(?P<mode>{MODE})\b(?:\s+(?:mode|scale))?"
    rf"(?:\s+(?:in|on)\s(?P<after>[A-G])(?P<sign_after>{ACCIDENTAL})?(?![\w#'])(?!\s(?:major|minor)))?"
)
NO_TONIC = compiled(
    r"(?<![\w#'])(?P<odd>(?:in the key of\s)?[h-z])[\s-]*(?:major|minor)\b|\b(?P<odd_key>in the key of\s[^\s\x00]+)"
    r"|\b(?:in\s+)?(?:an?\s+)?(?:minor|major)[\s-]+(?:key|keys|tonality|mode|scale)\b"
    r"|\bin\s(?:minor|major)\b"
)
UNCLEAR_KEY = re.compile(
    r"(?<![\w#'/])(?:[A-G][#b]?m(?![\w#'])(?!\sI\b)|(?:[A-G][#b]?|[b-g][#b]?)[\s-]*(?i:major|minor)\b)"
)
CHORD_AFTER = compiled(r"\s(?:I|chords?|stabs?|dash|to|and)\b")
CHORD_BEFORE = compiled(r"\b(?:on|to|from|with|and|a|an|the|I)\s$")
CLAUSE_END = compiled(r"\s*(?:$|[,;|.)\x00])")
MID_SENTENCE = re.compile(r"[^.!?\s]\s*$")
SPELLED_SIGNS, KINDS = {"sharp": "#", "flat": "b"}, {"maj": "major", "min": "minor"}
KEY_OF = compiled(r"\bkey(?:\s+of|\s+is|\s?[:=])?\s*$")
KEY_CHANGE = compiled(
    r"\b(?:key[\s-]+changes?|changes?\s+(?:of\s+)?key|changing\s+keys?|modulat(?:es?|ing|ion)\s+(?:up|down|to))\b"
    r"(?:(?:\s+(?:to|into|up|down))*\s+[a-g][#b]?(?:m|[\s-]*(?:major|minor|maj|min))?(?![\w#]))?"
)
SCALES = compiled(r"\b(?:pentatonic|blues scale|whole[\s-]tone|octatonic|chromatic scale|hijaz|maqam|raga|atonal)\b")
CLEAR_AFTER = compiled(
    r"\s*(?:$|[^\w\s'-]|[–-]\s|\d|(?:at|with|and|for|on|over|using|featuring|tempo|then|please|\w+/\d)\b)"
)
CLEAR_BEFORE = compiled(r"(?:^|[^\w\s'-]|\b(?:in|key|of|is))\s*$")


def find_key(scanner: PromptScanner) -> tuple[str | None, str | None]:
    """The key, a tonic with major or minor, in any usual spelling; and the mode that its chords keep to."""
    for match in scanner.take(KEY_CHANGE, lambda match: not REFUSED_LIST.search(before(match))):
        scanner.note(match.start(), f"{clip(match[0])!r}: one key holds for the whole plan")
    keys = scanner.take_requested(KEY, is_key)
    found = [(match.start(), read_key(scanner, match)) for match in keys]
    scales = [
        f"{match['scale'].lower()} minor"
        for match in keys
        if match["scale"] and f"{match['scale']} minor".lower() in MODES
    ]
    modal, mode = find_modes(scanner)
    mode = mode or next(iter(scales), None)
    found += modal
    found += [(m.start(), read_key(scanner, m)) for m in scanner.take_requested(NAMED_KEY)]
    found += [(m.start(), read_key(scanner, m)) for m in scanner.take_requested(SHORT_KEY, is_short_key)]
    found += [(m.start(), read_key(scanner, m)) for m in scanner.take_requested(BARE_KEY, is_bare_key)]
    for match in scanner.take(SCALES):
        scanner.note(match.start(), f"{clip(match[0])!r} is not a key: a key is a tonic with major or minor")
    for match in scanner.take_requested(NO_TONIC):
        reason = "is none of the 24 keys" if match["odd"] or match["odd_key"] else "names no tonic"
        scanner.note(match.start(), f"{clip(match[0])!r} {reason}: it fixes no key")
    for match in scanner.take(UNCLEAR_KEY):
        scanner.note(match.start(), f"{clip(match[0])!r} is not clearly a key: write 'in {clip(match[0])}' to fix it")
    key = scanner.first("key", found, scanner.spelled)
    if mode is not None and key is not None and not key.endswith(MODES[mode][1]):
        scanner.note(
            0, f"mode {mode} is a {MODES[mode][1]} one, but the key is {scanner.spelled(key)}: the mode is not taken"
        )
        mode = None
    return key, mode


def read_key(scanner: PromptScanner, match: re.Match) -> str:
    """The canonical key of a match with letter, sign and mode."""
    groups = match.groupdict()
    sign = (groups["sign"] or "").strip(" -").lower()
    short = match.re is SHORT_KEY or groups.get("short")
    mode = groups.get("mode") or ("minor" if short else "major")
    return spelled_key(scanner, groups["letter"].upper(), sign, KINDS[mode.lower()[:3]])


def spelled_key(scanner: PromptScanner, letter: str, sign: str, kind: str) -> str:
    """The canonical key, its spelling remembered: "C", "sharp", "minor" -> "Db minor", typed "C# minor"."""
    return scanner.spell(parse_key(f"{letter}{sign} {kind}"), f"{letter}{SPELLED_SIGNS.get(sign, sign)} {kind}")


def find_modes(scanner: PromptScanner) -> tuple[list[tuple[int, str]], str | None]:
    """The keys of "A dorian" and its like, and the first mode that is named; major and minor themselves are none."""
    found, modes = [], []
    for match in scanner.take_requested(MODAL):
        mode, letter = match["mode"].lower(), match["letter"] or match["after"]
        if mode not in ("aeolian", "ionian"):
            modes.append(mode)
        elif letter is None:
            scanner.note(match.start(), f"mode {clip(match[0])!r} names no tonic: it fixes no key")
        if letter is not None:
            sign = (match["sign"] or match["sign_after"] or "").strip(" -").lower()
            found.append((match.start(), spelled_key(scanner, letter.upper(), sign, MODES[mode][1])))
    return found, modes[0] if modes else None


def is_key(match: re.Match) -> bool:
    """Whether "A minor" is a key, or "a minor" the article and an adjective."""
    if match["letter"] not in "aA" or match["sign"] or match["scale"] or re.match(r"a[-_]", match[0], re.IGNORECASE):
        return True
    leading, mid_sentence = before(match), MID_SENTENCE.search(before(match))
    if KEY_OF.search(leading) or (match["letter"] == "A" and mid_sentence and not leading.isupper()):
        return True
    return bool(CLEAR_BEFORE.search(leading) and CLEAR_AFTER.match(match.string, match.end()))


def is_short_key(match: re.Match) -> bool:
    """ "Em" is a key after "in" or "key" and at the head or the end of a clause, if it is not a chord there."""
    if CHORD_AFTER.match(match.string, match.end()) or CHORD_BEFORE.search(before(match)):
        return False
    return bool(CLEAR_BEFORE.search(before(match)) or CLAUSE_END.match(match.string, match.end()))


def is_bare_key(match: re.Match) -> bool:
    """ "in G" at the end of a clause is a key."""
    return bool(CLEAR_AFTER.match(match.string, match.end()))
