"""How it is to sound, in the words of a prompt: "dusty vinyl", "wide", "bone-dry", "no reverb", "live drums"."""

import re

from hybridgen.plan.sounds import CONTRARY, SOUNDS
from hybridgen.text.reader import REFUSED_ONE, PromptScanner, before, clip, compiled, is_refused

WAYS = r"(?:mix|sound|sounding|stereo|image|tone|production|master)"
REVERB = r"(?:reverbs?|reverberation|echo\schamber|(?:concert|big|huge|large)\shall)"
STUDIO = {  # what is said of a whole mix
    "vinyl": r"vinyl(?:\s(?:crackles?|noise|hiss|texture|sound))?|(?:record|needle)\s(?:crackle|noise)|crackly"
    r"|dusty(?:\s(?:records?|vinyl))?",
    "echoing": r"(?:dub|tape|ping[\s-]pong)\s(?:echo(?:es)?|delays?)|echo(?:ing|es|ey|y)?(?!\schamber|\sof\s)|delays?",
    "tape": r"tape(?:[\s-](?:warm(?:th)?|wobble|hiss|saturation|sound))?|cassette(?:\stape)?|warbly",
    "driven": r"(?:heavily\s)?(?:distorted|saturated|overdriven)|heavy\s(?:saturation|distortion)"
    r"|pushed\shard",
    "pumping": r"pumping(?:\scompression)?|side-?\s?chain(?:ed|ing)?(?:\s(?:pumping|compression))?",
    "mono": rf"(?:in\s)?mono(?:phonic)?(?:\s{WAYS})?",
    "narrow": rf"narrow\s{WAYS}|narrow(?=\s?(?:[,.;]|and\b|$))",
    "wide": rf"(?:very\s)?wide(?:\s{WAYS})?",
    "dry": rf"(?:bone-?\s?)?dry(?:\s{WAYS})?|close\sand\sdry",
    "roomy": r"(?:in\sa\s)?small\sroom|room\ssound|roomy",
    "reverberant": rf"(?:(?:big|huge|heavy|long|lush|deep|lots\sof|plenty\sof|washed\sin|drenched\sin)\s)?{REVERB}"
    r"(?:-(?:heavy|drenched|soaked))?|reverberant|reverb[yed]+|cavernous",
    "bright": r"crisp(?:\shighs)?|airy(?:\s(?:top|highs))?",
    "muffled": r"muffled(?:\shighs)?|murky|low-?\s?pass(?:ed)?(?:\sfilter(?:ed)?)?",
    "compressed": r"(?:heavily\s)?compressed|squashed|heavy\scompression",
    "sweeping": r"(?:opening\sfilters?|filter\ssweeps?|sweeping\sfilters?)",
    "general midi": r"(?:general|plain)\smidi|midi[\s-](?:sound(?:ing|s)?|file\ssound)",
}
ENGINES = {  # what is said of who plays: the same words name a player, and are read as that too
    "grand": r"(?:concert|recorded|real)\sgrand(?:\spiano)?",
    "live drums": r"(?:live|real|recorded)\s(?:drums?|drum\skit|drummer)",
    "drum samples": r"(?:sampled|sample-based)\sdrums|drum\s(?:samples|breaks?)",
    "drum synth": r"(?:synthetic|synthesi[sz]ed)\sdrums|drum\ssynth",
    "supersaw": r"super-?\s?saws?",
    "analog": r"(?:vintage\s)?analog(?:ue)?(?:\s(?:sound|synths?|warmth))?",
    "wavetable": r"(?:morphing\s)?wave-?\s?tables?",
    "fm": r"fm\s(?:synth(?:esis|s)?|sounds?|bells?|keys|bass)|(?-i:FM)(?!\s(?:radio|electric))",
    "808 bass": r"(?:deep\s)?sub[\s-]?bass|808\sbass|808s",
    "chip": r"pulse\swaves|chip\ssounds?",
}


OTHER = {  # what follows where the word is said of something else: one player, or a scene
    **dict.fromkeys(
        ("mono", "driven"),
        compiled(r"[\s-]+(?:\w+[\s-]+)?(?:synths?|leads?|bass(?:line)?|guitars?|keys|organ|808s?|vocals?)\b"),
    ),
    **dict.fromkeys(
        ("vinyl", "dry"),
        compiled(r"[\s-]+(?:roads?|towns?|deserts?|trails?|streets?|plains?|saloons?|west\w*|land|season|river|ice)\b"),
    ),
    "wide": compiled(r"[\s-]+(?:open|range|variety|vibrato|intervals?|leaps?|world|angle|screen)\b"),
}


def _pattern(table: dict[str, str]) -> re.Pattern:
    return compiled("|".join(rf"(?P<k{SOUNDS.index(kind)}>\b(?:{words})\b)" for kind, words in table.items()))


IN_THE_STUDIO, BY_ENGINE = _pattern(STUDIO), _pattern(ENGINES)


def find_sound(scanner: PromptScanner) -> tuple[str, ...] | None:
    """What the words want and do not want, as `plan.sounds` has it; None where they say nothing.

    After who plays was read: "distorted guitar" is an instrument, and "live drums" are drums too. Of two kinds that
    exclude each other the first is taken.
    """
    engines = [match for match in BY_ENGINE.finditer(scanner.all_words) if not REFUSED_ONE.search(before(match))]
    scanner.take(BY_ENGINE)

    def is_of_all(match: re.Match) -> bool:
        other = OTHER.get(_kind(match))
        return other is None or other.match(scanner.all_words, match.end()) is None

    said: dict[str, bool] = {}
    for match in sorted([*engines, *scanner.take(IN_THE_STUDIO, is_of_all)], key=lambda match: match.start()):
        kind, wanted = _kind(match), not is_refused(match)
        others = {one for kinds in CONTRARY if kind in kinds for one in kinds} - {kind}
        against = [one for one in said if said[one] and (one == kind or one in others)]
        if not wanted:
            scanner.mislead(match.start(), match.end())
        if kind in said or (wanted and against):
            if not wanted or said.get(kind) is not True:
                taken = against[0] if against else f"not {kind}"
                scanner.note(match.start(), f"sound {clip(match[0])} contradicts {taken}: the first is taken")
            continue
        said[kind] = wanted
    return tuple(kind if said[kind] else f"not {kind}" for kind in SOUNDS if kind in said) or None


def _kind(match: re.Match) -> str:
    assert match.lastgroup is not None
    return SOUNDS[int(match.lastgroup[1:])]
