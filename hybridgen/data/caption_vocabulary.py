"""The list of all words that captions may hold, which `hybridgen.text` knows the models by.

python -m hybridgen.data.caption_vocabulary     writes it
"""

import re

from hybridgen.data import captions
from hybridgen.data.composer.genres import STYLES
from hybridgen.data.vocabulary import ENERGY_WORDS, MOOD_WORDS, TEMPO_WORDS
from hybridgen.plan.instruments import KIT_WORDS, PERCUSSION_WORDS, PROGRAM_WORDS, ROLE_WORDS
from hybridgen.plan.parts import LABELS, ROLES
from hybridgen.text.vocabulary import FILE


def caption_vocabulary() -> list[str]:
    """Every word that a caption may hold, in small letters, sorted.

    Those of `SOUND_WORDS` are not among them: a prompt's are read as kinds of sound, and only by that reach the sound.
    """
    phrases = [phrase for style in STYLES for phrase in (style.name, *style.words, *style.uses)]
    phrases += [word for words in (*MOOD_WORDS.values(), tuple(MOOD_WORDS)) for word in words]
    phrases += [word for _, words in (*TEMPO_WORDS, *ENERGY_WORDS) for word in words]
    phrases += [*captions.DRUM_NOUNS, *captions.SELF_NOUNS, *captions.REQUESTS, *LABELS]
    tables = (PROGRAM_WORDS, KIT_WORDS, ROLE_WORDS)
    phrases += [name for table in tables for names in table.values() for name in names]
    phrases += [*PERCUSSION_WORDS.values(), *ROLES, FORM_WORDS]
    return sorted({word for phrase in phrases for word in re.findall(r"[\w']+(?:-[\w']+)*", phrase.lower())})


FORM_WORDS = "starts begins opens quietly softly sparse gently builds rises grows works up to has calms down ends alone"


if __name__ == "__main__":
    FILE.write_text("\n".join(caption_vocabulary()) + "\n", encoding="utf-8")
