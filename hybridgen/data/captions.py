"""What people would type to get a song: varied words from its exact labels.

A caption says nothing that is not in the song; each fact may be left out. What is odd for the genre is hardly ever
left out: so a planner learns that a "lo-fi beat" of which no more is said is slow and in 4/4. What
`hybridgen.text.find_controls` finds in a caption is what stands in the plan, so a planner that learns from captions
learns to obey.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hybridgen.data.composer import is_usual_tempo
from hybridgen.data.composer.genres import style_named
from hybridgen.data.song import Song
from hybridgen.data.vocabulary import (
    ENERGY_WORDS,
    KIT_WORDS,
    MOOD_WORDS,
    PERCUSSION_WORDS,
    PROGRAM_WORDS,
    ROLE_WORDS,
    TEMPO_WORDS,
)
from hybridgen.plan import Plan, Section

OTHER_NAMES = {"Db": ("C#", "C sharp", "D flat"), "Eb": ("D#", "E flat"), "F#": ("Gb", "F sharp", "G flat")}
OTHER_NAMES |= {"Ab": ("G#", "A flat"), "Bb": ("A#", "B flat")}
SPOKEN_METERS = {"3/4": "three-four time", "4/4": "four-four time", "6/8": "six-eight time", "7/8": "seven-eight time"}
NOUNS = ("track", "song", "tune", "piece", "instrumental")
DRUM_NOUNS = (*NOUNS, "beat", "groove")
SELF_NOUNS = {"music", "beats", "beat", "score", "soundtrack", "soundscape", "piece", "solo", "trio", "combo", "band"}
SELF_NOUNS |= {"groove", "jam", "shuffle", "instrumental", "soul", "strings", "tune", "electro"}
LEVELS = {"energetic", "quiet", "steady"}  # moods that say the energy already
MASS_NOUNS = {"music", "beats", "soul", "strings"}
ODD = 0.97  # how often a tempo or meter is said that nobody would expect
KEPT = "without percussion vocals"  # a slip there would change what is said
ORDERS = (
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
class Words:
    """What one caption will say: bare phrases, None or () where the fact is left out."""

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
    nouns: tuple[str, ...]  # that it may be called


def caption(song: Song, rng: random.Random) -> str:
    """One caption of the song; each call draws other facts, other words and another manner."""
    words = draw_words(song, rng)
    manner = rng.choices((tags, sentence, order, scene, brief, sheet), (30, 24, 18, 12, 10, 6))[0]
    return dress(manner(words, rng), words, rng)


def captions(song: Song, n: int = 10) -> list[str]:
    """The song's first `n` captions; the i-th depends on (song.seed, song.index, i) alone."""
    return [caption(song, _rng(song, i)) for i in range(n)]


def said(song: Song, i: int) -> Words:
    """What the song's i-th caption says."""
    return draw_words(song, _rng(song, i))


def _rng(song: Song, i: int) -> random.Random:
    return random.Random(f"{song.seed} {song.index} {i}")


# ---------------------------------------------------------------------------------------------- facts to words


def draw_words(song: Song, rng: random.Random) -> Words:
    """Which facts are said, and in which words; the genre if nothing else."""
    plan, style = song.plan, style_named(song.genre)
    names = name_instruments(song, rng)
    pace = pace_of(plan, rng) if rng.random() < 0.3 else None
    tempo_share = ODD if not is_usual_tempo(song) else 0.35 if pace else 0.62
    meter_share = 0.12 if plan.meter == "4/4" else ODD
    return Words(
        genre=rng.choice(style.words) if rng.random() < 0.9 else None,
        moods=name_moods(song, rng) if rng.random() < 0.6 else (),
        instruments=draw_instruments(names, rng) if rng.random() < 0.72 else (),
        absent=name_absent(plan, rng) if rng.random() < 0.1 else None,
        tempo=name_tempo(plan, rng) if rng.random() < tempo_share else None,
        pace=pace,
        key=name_key(plan.key, rng) if plan.key and rng.random() < 0.48 else None,
        meter=name_meter(plan.meter, rng) if plan.meter and rng.random() < meter_share else None,
        bars=rng.choice(("{} bars", "{}-bar", "{} bars long")).format(plan.n_bars) if rng.random() < 0.1 else None,
        energy=name_energy(plan, rng) if rng.random() < 0.15 and not LEVELS & set(song.mood) else None,
        form=name_form(plan, names, rng) if rng.random() < 0.3 else None,
        use=rng.choice(style.uses) if rng.random() < 0.08 else None,
        nouns=DRUM_NOUNS if plays(plan, "drums") else NOUNS,
    )


def plays(plan: Plan, role: str) -> bool:
    """Whether the role has an instrument."""
    return any(role == name for name, _ in plan.instruments)


def name_moods(song: Song, rng: random.Random) -> tuple[str, ...]:
    """One to three mood words."""
    felt = [mood for mood in song.mood if mood != "fast"]  # the tempo is said by the tempo
    moods = rng.sample(felt, min(len(felt), rng.choice((1, 1, 2, 2, 3))))
    return tuple(dict.fromkeys(rng.choice(MOOD_WORDS.get(mood, (mood,))) for mood in moods))


def name_instruments(song: Song, rng: random.Random) -> dict[str, str]:
    """A word for every role that has one, in the plan's order."""
    names = {}
    for role, program in song.plan.instruments:
        choices = instrument_choices(song, role, program)
        if choices:
            names[role] = rng.choice(choices)
    return names


def instrument_choices(song: Song, role: str, program: int | None) -> tuple[str, ...]:
    """All words that hold for a role with this program."""
    general = ROLE_WORDS.get(role, ())
    if role == "percussion":
        heard = {note.pitch for note in song.notes if note.role == role}
        return general + tuple(
            dict.fromkeys(PERCUSSION_WORDS[pitch] for pitch in sorted(heard & set(PERCUSSION_WORDS)))
        )
    if role == "drums":
        return KIT_WORDS.get(program, general)
    exact = tuple(name for name in PROGRAM_WORDS.get(program, ()) if role == "lead" or not name.endswith("lead"))
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
    """A role that does not play, of those that people rule out; and there is never a voice."""
    absent = ["vocals"] + (["bass"] if not plays(plan, "bass") else [])
    if not plays(plan, "drums") and not plays(plan, "percussion"):
        absent += ["drums", "drums", "percussion"]
    return f"{rng.choice(('no', 'without', 'no'))} {rng.choice(absent)}"


def name_tempo(plan: Plan, rng: random.Random) -> str | None:
    """The first tempo mark, exactly: "84 BPM", "84.5bpm"."""
    if not plan.tempo:
        return None
    forms = ("{} BPM", "{} BPM", "{} bpm", "{} bpm", "{}bpm", "{}BPM", "{} beats per minute", "tempo {}", "bpm {}")
    return rng.choice(forms).format(f"{plan.tempo[0].bpm:g}")


def pace_of(plan: Plan, rng: random.Random) -> str | None:
    """How fast it feels; left out where the beat is no quarter note, and where the tempo moves."""
    if not plan.tempo or len(plan.tempo) > 1 or plan.meter is None or not plan.meter.endswith("/4"):
        return None
    return rng.choice(step(TEMPO_WORDS, plan.tempo[0].bpm))


def step(table: Sequence[tuple[float, tuple[str, ...]]], value: float) -> tuple[str, ...]:
    """The words of the highest threshold that `value` reaches."""
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
    """The mean energy of the bars."""
    energies = [section.energy for section in plan.sections for _ in section.bars]
    if not energies or None in energies:
        return None
    return rng.choice(step(ENERGY_WORDS, sum(energies) / len(energies)))


def name_form(plan: Plan, names: dict[str, str], rng: random.Random) -> str | None:
    """How it begins, where it goes and how it ends, as a row of verbs; or the row of its sections."""
    labels = [section.label for section in plan.sections]
    if len(labels) < 2 or None in labels:
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
    return f"{verb} with {article(section.label)} {section.label}"


def name_middle(sections: Sequence[Section], rng: random.Random) -> str | None:
    """ "builds to a drop"; only where something is louder than the start."""
    peak = max(sections[1:], key=lambda section: section.energy or 0)
    inner = {section.label for section in sections[1:-1]}
    options = [f"has {article(label)} {label}" for label in ("break", "bridge", "solo", "interlude") if label in inner]
    if (peak.energy or 0) > (sections[0].energy or 0) and peak is not sections[-1]:
        verb = rng.choice(("builds to", "rises to", "grows into", "works up to"))
        options += [f"{verb} {article(peak.label)} {peak.label}"] * 3
    return rng.choice(sorted(options)) if options else None


def name_end(section: Section, names: dict[str, str], rng: random.Random) -> str | None:
    """ "ends quietly"."""
    playing = [names[role] for role in section.roles or () if role in names]
    if len(playing) == 1 and len(section.roles or ()) == 1:
        return f"ends with {playing[0]} alone"
    if section.energy is not None and section.energy <= 2:
        return rng.choice(("ends quietly", "ends softly", "calms down at the end"))
    return f"ends with {article(section.label)} {section.label}"


# ------------------------------------------------------------------------------------------------ words to text


def tags(words: Words, rng: random.Random) -> str:
    """ "lo-fi hip hop, rhodes, 84 bpm, a minor, chill"."""
    rest = [*words.moods, *words.instruments, *present(words.tempo, words.pace, words.key, words.meter, words.bars)]
    rest += present(words.energy, words.absent, words.use)
    rng.shuffle(rest)
    place = 0 if rng.random() < 0.6 else rng.randint(0, len(rest))
    rest[place:place] = present(words.genre)
    return rng.choice((", ", ", ", ", ", " / ", "; ")).join(rest or [rng.choice(words.nouns)])


def brief(words: Words, rng: random.Random) -> str:
    """ "lofi 84bpm Am"."""
    some = [*present(words.key, words.pace), *words.moods[:1], *words.instruments[:1]]
    some = rng.sample(some, min(len(some), rng.choice((0, 1, 1, 2)))) + present(words.tempo, words.meter)
    rng.shuffle(some)
    head = words.genre or rng.choice(words.nouns)
    loose = [word for word in some if word in words.moods or word == words.pace]
    return " ".join([*loose, head, *(word for word in some if word not in loose)])


def sentence(words: Words, rng: random.Random) -> str:
    """ "A mellow lo-fi track in A minor at 84 BPM, with rhodes and brushed drums. It starts quietly."."""
    text = capital(described(words, rng))
    if words.form:
        text += rng.choice((f". It {words.form}", f" that {words.form}" if "," not in text else f". It {words.form}"))
    return text + rng.choice((".", ".", ""))


def order(words: Words, rng: random.Random) -> str:
    """ "make me a slow bossa nova with nylon guitar"."""
    head = rng.choice(ORDERS)
    text = f"{head} {described(words, rng)}"
    if words.form:
        text += f", it {words.form}"
    return text + ("?" if head.startswith("can") else rng.choice(("", "", ".", " please")))


def scene(words: Words, rng: random.Random) -> str:
    """ "Rhodes and upright bass, mellow and rainy, 84 BPM. Starts quietly and builds to a chorus."."""
    parts = []
    if words.instruments:
        over = f" {rng.choice(('over', 'in', 'on'))} {subject(words, rng)}" if rng.random() < 0.6 else ""
        parts.append(listed(words.instruments, rng) + (over or f", {words.genre}" if words.genre else over))
    else:
        parts.append(subject(words, rng))
    if words.moods and rng.random() < 0.5:
        parts.append("feels " + listed(words.moods, rng))
    parts += clauses(words, rng) + present(words.use, words.energy)
    text = capital(", ".join(parts)) + "."
    return f"{text} {capital(words.form)}." if words.form else text


def sheet(words: Words, rng: random.Random) -> str:
    """ "Genre: techno. Tempo: 130 BPM. Key: A minor."."""
    rows = [("Genre", words.genre), ("Mood", ", ".join(words.moods)), ("Key", words.key), ("Tempo", words.tempo)]
    rows += [("Instruments", ", ".join(words.instruments)), ("Meter", words.meter), ("Energy", words.energy)]
    said = [f"{name}: {value}" for name, value in rows if value]
    text = rng.choice((". ", "; ", ", ", " | ")).join(said or [f"Genre: {rng.choice(words.nouns)}"])
    return text.replace("Tempo: tempo ", "Tempo: ")


def described(words: Words, rng: random.Random) -> str:
    """ "a mellow lo-fi track in A minor at 84 BPM with rhodes"."""
    text = " ".join([subject(words, rng), *clauses(words, rng)])
    if words.instruments:
        join = rng.choice((" with ", " with ", ", with ", " featuring ", " w/ ", ": ", " built on "))
        text += join + listed(words.instruments, rng)
    return ", ".join([text, *present(words.absent)]) + (f" {words.use}" if words.use else "")


def subject(words: Words, rng: random.Random) -> str:
    """Article, adjectives, genre and noun: "a slow, mellow lofi track"."""
    adjectives = ", ".join(dict.fromkeys([*present(words.pace), *words.moods[:2]]))
    noun = words.genre or ""
    if noun.split(" ")[-1] not in SELF_NOUNS:
        waltz = words.meter is not None and words.meter.startswith(("3/4", "three-four")) and rng.random() < 0.4
        noun = f"{noun} {'waltz' if waltz else rng.choice(words.nouns)}".strip()
    phrase = f"{adjectives} {noun}".strip()
    return f"{'some' if noun.split(' ')[-1] in MASS_NOUNS else article(phrase)} {phrase}"


def clauses(words: Words, rng: random.Random) -> list[str]:
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


def dress(text: str, words: Words, rng: random.Random) -> str:
    """The typist's habits: case, shorthand, now and then a slip."""
    if rng.random() < 0.15:
        text = text.replace(" and ", " & ").replace(" with ", " w/ ")
    if rng.random() < 0.03:
        text = slip(text, f"{' '.join(words.instruments)} {words.form} {KEPT}", rng)
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


def slip(text: str, kept: str, rng: random.Random) -> str:
    """One typing error (letters swapped, dropped or doubled) in a long word that is none of `kept`."""
    found = [m for m in re.finditer(r"[a-z]{6,}", text) if m[0] not in kept]
    if not found:
        return text
    word = rng.choice(found)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    one, two = text[at], text[at + 1]
    return text[:at] + rng.choice((two + one, two, one + two + two)) + text[at + 2 :]


def present(*words: str | None) -> list[str]:
    """Those that are said."""
    return [word for word in words if word]


def listed(words: Sequence[str], rng: random.Random) -> str:
    """ "rhodes, upright bass and brushes"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])}{rng.choice((' and ', ' and ', ', ', ' & '))}{words[-1]}"


def article(phrase: str) -> str:
    """ "an" before a vowel and before 8, "a" elsewhere."""
    return "an" if phrase[:1].lower() in "aeio8" or phrase.startswith(("up", "un", "NES")) else "a"


def capital(text: str) -> str:
    """The first letter large."""
    return text[:1].upper() + text[1:]
