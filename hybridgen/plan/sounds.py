"""How a track sounds: what the studio did to it and what made its tones, as a plan says it and as people say it.

A plan names the kinds that are wanted ("vinyl") and those that are not ("not vinyl"); of all others nothing is said,
and the renderer is free. Only kinds that the corpus labels are known: each is something that a renderer can learn.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

SOUND_WORDS = {  # kind -> adjectives, other phrases
    "vinyl": (("dusty", "crackly"), ("vinyl", "vinyl crackle", "dusty record")),
    "tape": (("tape-warm", "warbly"), ("tape", "cassette", "tape wobble")),
    "driven": (("distorted", "saturated", "overdriven"), ("heavy saturation", "pushed hard")),
    "pumping": (("pumping", "sidechained"), ("sidechain pumping", "pumping compression")),
    "mono": (("mono",), ("in mono", "mono mix")),
    "narrow": (("narrow",), ("narrow stereo",)),
    "wide": (("wide",), ("wide stereo", "wide mix")),
    "dry": (("dry", "bone-dry"), ("close and dry", "dry mix")),
    "roomy": (("roomy",), ("small room", "room sound")),
    "reverberant": (("reverberant", "cavernous"), ("big reverb", "huge hall", "washed in reverb")),
    "echoing": (("echoing",), ("delay", "echoes", "dub echoes")),
    "bright": (("crisp", "airy"), ("crisp highs", "airy top")),
    "muffled": (("muffled", "murky"), ("low-passed", "muffled highs")),
    "compressed": (("compressed", "squashed"), ("heavy compression",)),
    "sweeping": ((), ("filter sweeps", "opening filters")),
    "grand": ((), ("concert grand", "recorded grand piano")),
    "live drums": ((), ("live drums", "real drums")),
    "drum samples": ((), ("sampled drums", "drum samples")),
    "drum synth": ((), ("synthetic drums", "synthesized drums")),
    "supersaw": ((), ("supersaws", "supersaw")),
    "analog": ((), ("analog sound", "vintage analog")),
    "wavetable": ((), ("wavetables", "morphing wavetables")),
    "fm": ((), ("FM", "FM synthesis")),
    "808 bass": ((), ("sub bass", "deep sub bass")),
    "chip": ((), ("pulse waves", "chip sound")),
    "general midi": ((), ("General MIDI", "plain MIDI", "MIDI sound")),  # a soundfont, and no studio
}
SOUNDS = tuple(SOUND_WORDS)
PLAIN = "general midi"
CONTRARY = (("mono", "narrow", "wide"), ("dry", "roomy"), ("dry", "reverberant"), ("bright", "muffled"))  # never both
NO = re.compile(r"(?:no|not|without)\s+(?=\S)")
NAMES = {phrase.lower(): kind for kind, phrases in SOUND_WORDS.items() for group in phrases for phrase in group}
NAMES |= {kind: kind for kind in SOUNDS}  # "bright" is a kind, whatever else it is a word for


def parse_sound(values: Sequence[str], field: str = "sound") -> tuple[str, ...]:
    """Kinds that are wanted, and kinds that are not ("not vinyl"), in the order of `SOUNDS`, each once.

    A kind may go by any of its `SOUND_WORDS`. Raises ValueError naming what is unknown, and kinds that exclude each
    other.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{field} {str(values)[:60]!r} should be a list of kinds of sound")
    said: dict[str, bool] = {}
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{field}: {str(value)[:60]!r} should be the name of a kind of sound")
        words = " ".join(value.lower().split())
        name = NO.sub("", words, count=1)
        if (kind := NAMES.get(name)) is None:
            raise ValueError(f"{field} {value[:60]!r} is none of {', '.join(SOUNDS)}")
        if said.setdefault(kind, name == words) != (name == words):
            raise ValueError(f"{field}: {kind!r} is both wanted and not wanted")
    for kinds in CONTRARY:
        wanted = [kind for kind in kinds if said.get(kind)]
        if len(wanted) > 1:
            raise ValueError(f"{field}: {wanted[0]!r} and {wanted[1]!r} exclude each other")
    return tuple(kind if said[kind] else f"not {kind}" for kind in SOUNDS if kind in said)


def labelled(kinds: Iterable[str]) -> tuple[str, ...]:
    """The sound of a produced track of which everything is known: these kinds, and none of the others."""
    known = set(kinds)
    return tuple(kind if kind in known else f"not {kind}" for kind in SOUNDS)


def merged(sound: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """A parsed sound in which the kinds of `new` are as it says, and none that they exclude is wanted."""
    wanted = {kind for kind in new if kind in SOUNDS}
    gone = {kind.removeprefix("not ") for kind in new}
    gone |= {one for kinds in CONTRARY if wanted & set(kinds) for one in kinds}
    return parse_sound([*(kind for kind in sound if kind.removeprefix("not ") not in gone), *new])


def with_default(sound: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """A parsed sound in which no kind is wanted, with the kinds of `default` that it allows; any other as it is."""
    return tuple(sound) if any(kind in SOUND_WORDS for kind in sound) else merged(default, sound)


def sound_values(sound: Sequence[str]) -> np.ndarray:
    """(len(SOUNDS),) float32 of a parsed sound: 1 wanted, -1 not wanted, 0 nothing is said."""
    return np.array([(kind in sound) - (f"not {kind}" in sound) for kind in SOUNDS], dtype=np.float32)
