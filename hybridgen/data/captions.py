"""Captions: what people might type to get a song, in varied words, from its exact labels.

A caption says only what is true of the song, and may leave out any fact. What is unusual for the genre is hardly ever
left out, so that a planner learns that a "lo-fi beat" with no further description is slow and in 4/4. The controls that
`hybridgen.text.find_controls` finds in a caption are those of the plan, so a planner trained on captions learns to
follow them.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hybridgen.data.composer import is_usual_tempo
from hybridgen.data.composer.genres import style_named
from hybridgen.data.song import Song
from hybridgen.data.vocabulary import ENERGY_WORDS, MOOD_WORDS, TEMPO_WORDS
from hybridgen.plan.instruments import KIT_WORDS, PERCUSSION_WORDS, PROGRAM_WORDS, ROLE_WORDS
from hybridgen.plan.parts import Section
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import SOUND_WORDS

OTHER_NAMES = {"Db": ("C#", "C sharp", "D flat"), "Eb": ("D#", "E flat"), "F#": ("Gb", "F sharp", "G flat")}
OTHER_NAMES |= {"Ab": ("G#", "A flat"), "Bb": ("A#", "B flat")}
SPOKEN_METERS = {"3/4": "three-four time", "4/4": "four-four time", "6/8": "six-eight time", "7/8": "seven-eight time"}
NOUNS = ("track", "song", "tune", "piece", "instrumental")
DRUM_NOUNS = (*NOUNS, "beat", "groove")
SELF_NOUNS = {"music", "beats", "beat", "score", "soundtrack", "soundscape", "piece", "solo", "trio", "combo", "band"}
SELF_NOUNS |= {"groove", "jam", "shuffle", "instrumental", "soul", "strings", "tune", "electro"}
ENERGY_MOODS = {"energetic", "quiet", "steady"}  # moods that already state the energy
MASS_NOUNS = {"music", "beats", "soul", "strings"}
SAY_UNUSUAL = 0.97  # share of captions that state a tempo or meter that is unusual for the genre
SOUND_ADJECTIVES = frozenset(word for adjectives, _ in SOUND_WORDS.values() for word in adjectives)
NEVER_MISSPELLED = "without percussion vocals"  # a typo in these would change the meaning
REQUESTS = (
    "make me",
    "make",
    "give me",
    "I need",
    "I want",
    "can you make",
    "write",
    "compose",
    "generate",
    "please make",
)


@dataclass(frozen=True)
class CaptionWords:
    """The phrases of one caption; None or () where a fact is left out."""

    genre: str | None
    moods: tuple[str, ...]
    instruments: tuple[str, ...]
    absent: str | None  # "no drums"
    tempo: str | None  # "84 BPM"
    pace: str | None  # "slow"
    key: str | None  # "A minor"
    meter: str | None  # "6/8"
    bars: str | None  # "16 bars"
    energy: str | None
    form: str | None  # "starts with piano alone, then builds to the chorus"
    use: str | None
    nouns: tuple[str, ...]  # what the music may be called
    sound: tuple[str, ...] = ()  # "dusty", "vinyl crackle"


def caption(song: Song, rng: random.Random, sound: Sequence[str] = ()) -> str:
    """One caption of the song; each call draws other facts, other words and another template.

    sound: keys of `SOUND_WORDS` that are true of how it was played.
    """
    words = draw_words(song, rng, sound)
    template = rng.choices(TEMPLATES, TEMPLATE_WEIGHTS)[0]
    return add_typing_style(template(words, rng), words, rng)


def captions(song: Song, n: int = 10) -> list[str]:
    """The song's first `n` captions; the i-th depends on (song.seed, song.index, i) alone."""
    return [caption(song, _rng(song, i)) for i in range(n)]


def caption_words(song: Song, i: int) -> CaptionWords:
    """The phrases of the song's i-th caption."""
    return draw_words(song, _rng(song, i))


def _rng(song: Song, i: int) -> random.Random:
    return random.Random(f"{song.seed} {song.index} {i}")


# ---------------------------------------------------------------------------------------------- labels to phrases


def draw_words(song: Song, rng: random.Random, sound: Sequence[str] = ()) -> CaptionWords:
    """Draws which facts a caption states, and in which words."""
    plan, style = song.plan, style_named(song.genre)
    names = name_instruments(song, rng)
    pace = name_pace(plan, rng) if rng.random() < 0.3 else None
    tempo_share = SAY_UNUSUAL if not is_usual_tempo(song) else 0.35 if pace else 0.62
    meter_share = 0.12 if plan.meter == "4/4" else SAY_UNUSUAL
    return CaptionWords(
        genre=rng.choice(style.words) if rng.random() < 0.9 else None,
        moods=name_moods(song, rng) if rng.random() < 0.6 else (),
        instruments=draw_instruments(names, rng) if rng.random() < 0.72 else (),
        absent=name_absent(plan, rng) if rng.random() < 0.1 else None,
        tempo=name_tempo(plan, rng) if rng.random() < tempo_share else None,
        pace=pace,
        key=name_key(plan.key, rng) if plan.key and rng.random() < 0.48 else None,
        meter=name_meter(plan.meter, rng) if plan.meter and rng.random() < meter_share else None,
        bars=rng.choice(("{} bars", "{}-bar", "{} bars long")).format(plan.n_bars) if rng.random() < 0.1 else None,
        energy=name_energy(plan, rng) if rng.random() < 0.15 and not ENERGY_MOODS & set(song.mood) else None,
        form=name_form(plan, names, rng) if rng.random() < 0.3 else None,
        use=rng.choice(style.uses) if rng.random() < 0.08 else None,
        nouns=DRUM_NOUNS if has_role(plan, "drums") else NOUNS,
        sound=name_sound(sound, rng) if sound and rng.random() < 0.6 else (),
    )


def has_role(plan: Plan, role: str) -> bool:
    """Whether an instrument plays the role."""
    return any(role == name for name, _ in plan.instruments)


def name_moods(song: Song, rng: random.Random) -> tuple[str, ...]:
    """One to three mood words."""
    felt = [mood for mood in song.mood if mood != "fast"]  # a matter of tempo
    moods = rng.sample(felt, min(len(felt), rng.choice((1, 1, 2, 2, 3))))
    return tuple(dict.fromkeys(rng.choice(MOOD_WORDS.get(mood, (mood,))) for mood in moods))


def name_sound(sound: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """One to three phrases for how it was played and treated."""
    kinds = rng.sample(list(sound), min(len(sound), rng.choice((1, 1, 2, 3))))
    return tuple(rng.choice([phrase for phrases in SOUND_WORDS[kind] for phrase in phrases]) for kind in kinds)


def name_instruments(song: Song, rng: random.Random) -> dict[str, str]:
    """A word for every role that has one, in the plan's order."""
    names = {}
    for role, program in song.plan.instruments:
        choices = instrument_choices(song, role, program)
        if choices:
            names[role] = rng.choice(choices)
    return names


def instrument_choices(song: Song, role: str, program: int | None) -> tuple[str, ...]:
    """All words that are true of a role with this program."""
    general = ROLE_WORDS.get(role, ())
    if role == "percussion":
        pitches = {note.pitch for note in song.notes if note.role == role}
        return general + tuple(
            dict.fromkeys(PERCUSSION_WORDS[pitch] for pitch in sorted(pitches & set(PERCUSSION_WORDS)))
        )
    if role == "drums":
        return general if program is None else KIT_WORDS.get(program, general)
    names = () if program is None else PROGRAM_WORDS.get(program, ())
    exact = tuple(name for name in names if role == "lead" or not name.endswith("lead"))
    if role == "bass":
        exact = tuple(f"{name} bass" if name.endswith("synth") else name for name in exact)
    if role == "lead":
        exact = tuple(
            name if name.endswith("lead") else name + end for name in exact for end in ("", " melody", " lead")
        )
    if role == "keys" and program is not None and program > 20:
        general = ()  # a harp or a synth is not "keys"
    return exact * 2 + general


def draw_instruments(names: dict[str, str], rng: random.Random) -> tuple[str, ...]:
    """One to five of the instruments, in any order."""
    chosen = rng.sample(list(names.values()), min(len(names), rng.choice((1, 2, 2, 3, 3, 4, 5))))
    return tuple(dict.fromkeys(chosen))


def name_absent(plan: Plan, rng: random.Random) -> str | None:
    """ "no drums": one of the roles people rule out that does not play here, or vocals, which never do."""
    absent = ["vocals"] + (["bass"] if not has_role(plan, "bass") else [])
    if not has_role(plan, "drums") and not has_role(plan, "percussion"):
        absent += ["drums", "drums", "percussion"]
    return f"{rng.choice(('no', 'without', 'no'))} {rng.choice(absent)}"


def name_tempo(plan: Plan, rng: random.Random) -> str | None:
    """The first tempo mark, exactly: "84 BPM", "84.5bpm"."""
    if not plan.tempo:
        return None
    forms = ("{} BPM", "{} BPM", "{} bpm", "{} bpm", "{}bpm", "{}BPM", "{} beats per minute", "tempo {}", "bpm {}")
    return rng.choice(forms).format(f"{plan.tempo[0].bpm:g}")


def name_pace(plan: Plan, rng: random.Random) -> str | None:
    """How fast it feels; None where the beat is not a quarter note, or the tempo changes."""
    if not plan.tempo or len(plan.tempo) > 1 or plan.meter is None or not plan.meter.endswith("/4"):
        return None
    return rng.choice(words_at(TEMPO_WORDS, plan.tempo[0].bpm))


def words_at(table: Sequence[tuple[float, tuple[str, ...]]], value: float) -> tuple[str, ...]:
    """The words at the highest threshold that `value` reaches."""
    return [words for threshold, words in table if value >= threshold][-1]


def name_key(key: str, rng: random.Random) -> str:
    """One of the ways to write the key: "A minor", "Am", "C sharp minor", "Bb maj"."""
    tonic, mode = key.split()
    names = (tonic, tonic, tonic, *OTHER_NAMES.get(tonic, ()))
    name = rng.choice(names)
    if " " in name:
        return f"{name} {mode}"
    short = ("m",) if mode == "minor" else ("maj",)
    return name + rng.choice((f" {mode}", f" {mode}", f" {mode}", f"-{mode}", f" {mode[:3]}", *short))


def name_meter(meter: str, rng: random.Random) -> str:
    """ "6/8", "6/8 time", "six-eight time"."""
    return rng.choice((meter, meter, f"{meter} time", SPOKEN_METERS.get(meter, meter)))


def name_energy(plan: Plan, rng: random.Random) -> str | None:
    """A word for the mean energy of the bars; None where any of it is unknown."""
    energies = [section.energy for section in plan.sections for _ in section.bars]
    known = [energy for energy in energies if energy is not None]
    if not known or len(known) < len(energies):
        return None
    return rng.choice(words_at(ENERGY_WORDS, sum(known) / len(known)))


def name_form(plan: Plan, names: dict[str, str], rng: random.Random) -> str | None:
    """How it begins, develops and ends: "starts quietly and builds to a drop"; or its sections in a row."""
    labels = [section.label for section in plan.sections if section.label is not None]
    if len(labels) < 2 or len(labels) < len(plan.sections):
        return None
    if len(labels) <= 6 and rng.random() < 0.2:
        return f"goes {rng.choice((', ', ' - ', ' > ')).join(labels)}"
    first, last = plan.sections[0], plan.sections[-1]
    steps = [name_start(first, names, rng), name_middle(plan.sections, rng), name_end(last, names, rng)]
    kept = [phrase for phrase in steps if phrase and rng.random() < 0.85]
    if not kept:
        return None
    return kept[0] if len(kept) == 1 else f"{', '.join(kept[:-1])} and {kept[-1]}"


def name_start(section: Section, names: dict[str, str], rng: random.Random) -> str | None:
    """ "starts with just piano"."""
    verb = rng.choice(("starts", "begins", "opens"))
    playing = [names[role] for role in section.roles or () if role in names]
    if 1 <= len(playing) <= 2 and len(playing) == len(section.roles or ()):
        return f"{verb} with {rng.choice(('just ', 'only ', ''))}{' and '.join(playing)}"
    if section.energy is not None and section.energy <= 2:
        return f"{verb} {rng.choice(('quietly', 'softly', 'sparse', 'gently'))}"
    return f"{verb} with {label_of(section)}"


def label_of(section: Section) -> str:
    """ "an intro": the section's label, which must be known, with its article."""
    assert section.label is not None
    return f"{article(section.label)} {section.label}"


def name_middle(sections: Sequence[Section], rng: random.Random) -> str | None:
    """ "builds to a drop", only where a section has more energy than the first; "has a solo"."""
    peak = max(sections[1:], key=lambda section: section.energy or 0)
    inner = {section.label for section in sections[1:-1]}
    options = [f"has {article(label)} {label}" for label in ("break", "bridge", "solo", "interlude") if label in inner]
    if (peak.energy or 0) > (sections[0].energy or 0) and peak is not sections[-1]:
        verb = rng.choice(("builds to", "rises to", "grows into", "works up to"))
        options += [f"{verb} {label_of(peak)}"] * 3
    return rng.choice(sorted(options)) if options else None


def name_end(section: Section, names: dict[str, str], rng: random.Random) -> str | None:
    """ "ends quietly"."""
    playing = [names[role] for role in section.roles or () if role in names]
    if len(playing) == 1 and len(section.roles or ()) == 1:
        return f"ends with {playing[0]} alone"
    if section.energy is not None and section.energy <= 2:
        return rng.choice(("ends quietly", "ends softly", "calms down at the end"))
    return f"ends with {label_of(section)}"


# ------------------------------------------------------------------------------------------------ phrases to text


def tags_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "lo-fi hip hop, rhodes, 84 bpm, a minor, chill"."""
    rest = [*words.moods, *words.instruments, *drop_unsaid(words.tempo, words.pace, words.key, words.meter, words.bars)]
    rest += [*drop_unsaid(words.energy, words.absent, words.use), *words.sound]
    rng.shuffle(rest)
    place = 0 if rng.random() < 0.6 else rng.randint(0, len(rest))
    rest[place:place] = drop_unsaid(words.genre)
    return rng.choice((", ", ", ", ", ", " / ", "; ")).join(rest or [rng.choice(words.nouns)])


def short_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "lofi 84bpm Am"."""
    some = [*drop_unsaid(words.key, words.pace), *words.moods[:1], *words.instruments[:1]]
    some = rng.sample(some, min(len(some), rng.choice((0, 1, 1, 2)))) + drop_unsaid(words.tempo, words.meter)
    rng.shuffle(some)
    head = words.genre or rng.choice(words.nouns)
    loose = [word for word in some if word in words.moods or word == words.pace]
    loose = [*(word for word in words.sound if word in SOUND_ADJECTIVES), *loose]
    return " ".join([*loose, head, *(word for word in some if word not in loose)])


def sentence_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "A mellow lo-fi track in A minor at 84 BPM, with rhodes and brushed drums. It starts quietly."."""
    text = capitalize(describe(words, rng))
    if words.form:
        text += rng.choice((f". It {words.form}", f" that {words.form}" if "," not in text else f". It {words.form}"))
    return text + rng.choice((".", ".", ""))


def request_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "make me a slow bossa nova with nylon guitar"."""
    head = rng.choice(REQUESTS)
    text = f"{head} {describe(words, rng)}"
    if words.form:
        text += f", it {words.form}"
    return text + ("?" if head.startswith("can") else rng.choice(("", "", ".", " please")))


def scene_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "Rhodes and upright bass, mellow and rainy, 84 BPM. Starts quietly and builds to a chorus."."""
    parts = []
    if words.instruments:
        over = f" {rng.choice(('over', 'in', 'on'))} {subject(words, rng)}" if rng.random() < 0.6 else ""
        parts.append(join_words(words.instruments, rng) + (over or f", {words.genre}" if words.genre else over))
    else:
        parts.append(subject(words, rng))
    if words.moods and rng.random() < 0.5:
        parts.append("feels " + join_words(words.moods, rng))
    parts += musical_clauses(words, rng) + drop_unsaid(words.use, words.energy)
    parts += [phrase for phrase in words.sound if phrase not in parts[0]]
    text = capitalize(", ".join(parts)) + "."
    return f"{text} {capitalize(words.form)}." if words.form else text


def fields_caption(words: CaptionWords, rng: random.Random) -> str:
    """ "Genre: techno. Tempo: 130 BPM. Key: A minor."."""
    rows = [("Genre", words.genre), ("Mood", ", ".join(words.moods)), ("Key", words.key), ("Tempo", words.tempo)]
    rows += [("Instruments", ", ".join(words.instruments)), ("Meter", words.meter), ("Energy", words.energy)]
    rows += [("Sound", ", ".join(words.sound))]
    fields = [f"{name}: {value}" for name, value in rows if value]
    text = rng.choice((". ", "; ", ", ", " | ")).join(fields or [f"Genre: {rng.choice(words.nouns)}"])
    return text.replace("Tempo: tempo ", "Tempo: ")


TEMPLATES = (tags_caption, sentence_caption, request_caption, scene_caption, short_caption, fields_caption)
TEMPLATE_WEIGHTS = (30, 24, 18, 12, 10, 6)


def describe(words: CaptionWords, rng: random.Random) -> str:
    """ "a mellow lo-fi track in A minor at 84 BPM with rhodes"."""
    text = " ".join([subject(words, rng), *musical_clauses(words, rng)])
    if words.instruments:
        join = rng.choice((" with ", " with ", ", with ", " featuring ", " w/ ", ": ", " built on "))
        text += join + join_words(words.instruments, rng)
    later = [phrase for phrase in words.sound if phrase != _first_adjective(words)]
    return ", ".join([text, *later, *drop_unsaid(words.absent)]) + (f" {words.use}" if words.use else "")


def _first_adjective(words: CaptionWords) -> str | None:
    """The word of the sound that stands before the genre."""
    return next((phrase for phrase in words.sound if phrase in SOUND_ADJECTIVES), None)


def subject(words: CaptionWords, rng: random.Random) -> str:
    """Article, adjectives, genre and noun: "a slow, mellow lofi track"."""
    adjectives = ", ".join(dict.fromkeys(drop_unsaid(words.pace, *words.moods[:2], _first_adjective(words))))
    noun = words.genre or ""
    if noun.split(" ")[-1] not in SELF_NOUNS:
        waltz = words.meter is not None and words.meter.startswith(("3/4", "three-four")) and rng.random() < 0.4
        noun = f"{noun} {'waltz' if waltz else rng.choice(words.nouns)}".strip()
    phrase = f"{adjectives} {noun}".strip()
    return f"{'some' if noun.split(' ')[-1] in MASS_NOUNS else article(phrase)} {phrase}"


def musical_clauses(words: CaptionWords, rng: random.Random) -> list[str]:
    """ "in A minor", "at 84 BPM", "in 6/8", "16 bars long", in any order."""
    found = []
    if words.key:
        found.append(rng.choice(("in {}", "in {}", "in the key of {}", "in {}", "key of {}")).format(words.key))
    if words.tempo:
        lead = "with a " if words.tempo.startswith("tempo") else rng.choice(("at ", "at ", "@ ", "around "))
        exact = words.tempo.replace("tempo ", "tempo of ")
        found.append(exact if exact.startswith("bpm") else lead + exact)
    if words.meter:
        found.append(f"in {words.meter}")
    if words.bars:
        found.append(re.sub(r"(\d+)-bar", r"\1 bars", words.bars))
    rng.shuffle(found)
    return found


def add_typing_style(text: str, words: CaptionWords, rng: random.Random) -> str:
    """The text as people type it: their case and shorthand, and now and then a typo."""
    if rng.random() < 0.15:
        text = text.replace(" and ", " & ").replace(" with ", " w/ ")
    if rng.random() < 0.03:
        text = add_typo(text, f"{' '.join(words.instruments)} {words.form} {NEVER_MISSPELLED}", rng)
    habit = rng.random()
    if habit < 0.35:
        low = text.lower()
        if words.key and (not words.key.endswith("or") or rng.random() < 0.3):
            low = low.replace(words.key.lower(), words.key)
        return low
    if habit < 0.38:
        return text.upper()
    if habit < 0.44:
        return re.sub(r"(?<![\w'/&#-])[a-z](?=[a-z]{2})", lambda match: match[0].upper(), text)
    return text


def add_typo(text: str, correct: str, rng: random.Random) -> str:
    """The text with one typo (letters swapped, dropped or doubled) in a long word that does not occur in `correct`."""
    found = [m for m in re.finditer(r"[a-z]{6,}", text) if m[0] not in correct]
    if not found:
        return text
    word = rng.choice(found)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    one, two = text[at], text[at + 1]
    return text[:at] + rng.choice((two + one, two, one + two + two)) + text[at + 2 :]


def drop_unsaid(*words: str | None) -> list[str]:
    """The phrases that are not left out."""
    return [word for word in words if word]


def join_words(words: Sequence[str], rng: random.Random) -> str:
    """ "rhodes, upright bass and brushes"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])}{rng.choice((' and ', ' and ', ', ', ' & '))}{words[-1]}"


def article(phrase: str) -> str:
    """ "an" before a vowel and before 8, "a" elsewhere."""
    return "an" if phrase[:1].lower() in "aeio8" or phrase.startswith(("up", "un", "NES")) else "a"


def capitalize(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
