"""What musicians ask for in their words, what is taken of it, and what is said."""

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from hybridgen import grammar
from hybridgen.data.caption_vocabulary import caption_vocabulary
from hybridgen.data.composer.genres import STYLES
from hybridgen.data.composer.style import Style
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.plan.instruments import HEARD, PROGRAM_WORDS, home_role, name_of, parse_programs
from hybridgen.plan.notes import Swing
from hybridgen.plan.parts import MAX_BARS, Bar, Cue, Section, Tempo, TempoChange
from hybridgen.plan.plan import Plan
from hybridgen.request import resolve_controls, reworded
from hybridgen.text.controls import understand
from hybridgen.text.swing import ASKED
from hybridgen.text.vocabulary import FILE

DRUMS = ("drums", "percussion")
ALL_BUT = {role: tuple(other for other in HEARD if other != role) for role in HEARD}

AABA = ("verse", "verse", "bridge", "verse")
MINOR_BLUES = ("Cm7", "Cm7", "Cm7", "Cm7", "Fm7", "Fm7", "Cm7", "Cm7", "G7", "Fm7", "Cm7", "G7")
BLUES = ("A7", "A7", "A7", "A7", "D7", "D7", "A7", "A7", "E7", "D7", "A7", "E7")

LAST_BARS = (TempoChange(-4, scale=1),)


def to(bpm: float) -> TempoChange:
    """A ramp to a tempo at the end."""
    return TempoChange(-1, bpm=bpm, ramp=True)


WITHOUT_DRUMS = (
    "everything but drums", "all but the drums", "everything except drums", "except drums", "excluding drums",
    "apart from the drums", "remove the drums", "leave the drums out", "take out all the drums", "get rid of the drums",
    "cut the drums", "drums off", "drums: none", "drums = off", "drums excluded", "mute drums",
)  # fmt: skip
WITHOUT_BASS, DRUMS_ALONE = ("mute the bass", "bass muted", "leave out the bass"), ("nothing but drums", "only drums")
WITHOUT_BOTH = (
    "everything but drums and bass", "remove the drums and the bass", "leave the drums and bass out",
    "drums and bass off", "drums and bass muted",
)  # fmt: skip
WITH_DRUMS = (
    "not only drums", "all but silent drums", "nothing at all but drums", "don't remove the drums",
    "without removing the drums", "everything but the drums is quiet", "drums off the grid", "drums off-beat",
)  # fmt: skip

TABLE = [  # asked, taken (fields of Controls), said
    # instruments
    ("warm rhodes and brushes", {"instruments": {"keys": 4, "drums": 40}}, ()),
    ("808 drums with upright bass", {"instruments": {"drums": 25, "bass": 32}}, ()),
    ("Klavier und Geige", {"instruments": {"keys": (0, 1), "strings": 40}}, ()),
    ("flute and trumpet", {"instruments": {"lead": 73, "winds": 56}}, ()),
    ("trumpet and flute", {"instruments": {"lead": 73, "winds": 56}}, ()),
    ("hurdy-gurdy drone", {"instruments": {"winds": 109}}, ("no hurdy-gurdy here: bagpipes", "never heard")),
    ("vibraphone lead over nylon guitar", {"instruments": {"lead": 11, "guitar": 24}}, ()),
    ("ピアノ", {"instruments": {"keys": (0, 1)}}, ("not in English",)),
    # who plays
    ("lofi, no drums", {"without": DRUMS}, ()),
    ("drumless", {"without": DRUMS}, ()),
    ("no drums, bass or guitar", {"without": (*DRUMS, "bass", "guitar")}, ()),
    ("no vocals, jazz drums", {"instruments": {"drums": 32}}, ()),
    ("only piano", {"instruments": {"keys": (0, 1)}, "roles": ("keys",)}, ()),
    ("solo cello", {"instruments": {"strings": 42}, "roles": ("strings",)}, ()),
    ("just bass and drums", {"instruments": {"drums": None, "bass": None}, "roles": ("drums", "bass")}, ()),
    ("negative prompt: drums. rhodes", {"instruments": {"keys": 4}, "without": DRUMS}, ()),
    ("techno --no drums", {"without": DRUMS}, ()),
    ("string quartet", {"instruments": {"strings": 41, "lead": 40}, "roles": ("strings", "lead")}, ()),
    ("deep house without hi-hats", {}, ("cannot be chosen one by one",)),
    *((words, {"without": DRUMS}, ()) for words in WITHOUT_DRUMS),
    *((words, {"without": ("bass",)}, ()) for words in WITHOUT_BASS),
    *((words, {"without": (*DRUMS, "bass")}, ()) for words in WITHOUT_BOTH),
    *((words, {"instruments": {"drums": None}}, ()) for words in WITH_DRUMS),
    *((words, {"instruments": {"drums": None}, "roles": ("drums",)}, ()) for words in DRUMS_ALONE),
    ("no drums and bass", {"without": DRUMS, "instruments": {"bass": None}}, ()),
    ("remove the drums and add piano", {"without": DRUMS, "instruments": {"keys": (0, 1)}}, ()),
    ("all but drums, with rhodes and bass", {"without": DRUMS, "instruments": {"keys": 4, "bass": None}}, ()),
    ("all but silent", {}, ()),
    ("reverb on everything but the drums", {"instruments": {"drums": None}, "sound": ("reverberant",)}, ()),
    ("dry except the drums", {"instruments": {"drums": None}, "sound": ("dry",)}, ()),
    ("trumpet muted", {"instruments": {"winds": 56}}, ()),
    ("don't mute the bass", {"instruments": {"bass": None}}, ()),
    ("everything except vocals", {}, ()),
    # form and course
    ("intro, verse, chorus, outro", {"form": ("intro", "verse", "chorus", "outro")}, ()),
    ("verse chorus verse chorus bridge chorus", {"form": ("verse", "chorus") * 2 + ("bridge", "chorus")}, ()),
    ("AABA, 8 bars", {"sections": [Section(label, (Bar(),) * 2) for label in AABA]}, ()),
    ("drop at 0:15", {"cues": (Cue(seconds=15, label="drop"),)}, ()),
    (
        "no drums for the first 8 bars",
        {"cues": (Cue(1, 8, silent=DRUMS), Cue(9, enter=("drums",)))},
        (),
    ),
    (
        "starts with only drums, bass enters at bar 5",
        {
            "cues": (
                Cue(1, 4, silent=("bass",)),
                Cue(5, enter=("bass",)),
                Cue(1, 4, enter=("drums",), silent=ALL_BUT["drums"]),
            )
        },
        (),
    ),
    ("remove the bass at bar 9", {"cues": (Cue(1, 8, enter=("bass",)), Cue(9, MAX_BARS, silent=("bass",)))}, ()),
    ("drums drop out after bar 8", {"cues": (Cue(1, 8, enter=("drums",)), Cue(9, MAX_BARS, silent=DRUMS))}, ()),
    ("mute the bass from bar 5 to bar 8", {"cues": (Cue(1, 4, enter=("bass",)), Cue(5, 8, silent=("bass",)))}, ()),
    ("no bass from bar 5 until bar 9", {"cues": (Cue(1, 4, enter=("bass",)), Cue(5, 8, silent=("bass",)))}, ()),
    (
        "bass leaves at bar 5, bass returns at bar 9",
        {"cues": (Cue(1, 4, enter=("bass",)), Cue(5, 8, silent=("bass",)), Cue(9, enter=("bass",)))},
        (),
    ),
    ("bass stops at 0:20", {"cues": (Cue(seconds=20, last=MAX_BARS, silent=("bass",)),)}, ()),
    ("mute the drums until bar 9", {"cues": (Cue(1, 8, silent=DRUMS), Cue(9, enter=("drums",)))}, ()),
    ("post rock that builds up slowly", {"dynamics": "crescendo"}, ()),
    ("starts quiet and gets louder", {"dynamics": "crescendo"}, ()),
    ("8 bar loop", {"bars": 8, "form": ("verse",)}, ()),
    # tempo and time
    ("slow", {"tempo": (50, 92)}, ()),
    ("adagio", {"tempo": (60, 78)}, ()),
    ("presto", {"tempo": (168, 210)}, ()),
    ("about 100 bpm", {"tempo": (97, 103)}, ()),
    ("tempo 96-100", {"tempo": (96, 100)}, ()),
    ("slow, 80 bpm", {"tempo": 80}, ()),
    ("dotted quarter = 60", {"tempo": 90}, ()),
    ("quarter note = 72", {"tempo": 72}, ()),
    ("jungle at 174", {"tempo": 174}, ()),
    ("time signature: 3", {"meter": "3/4"}, ()),
    ("7 over 8", {"meter": "7/8"}, ()),
    ("cut time march", {}, ("meter 2/2 is none of",)),
    ("half a minute", {"seconds": 30}, ()),
    ("2 minutes 30", {"seconds": 150}, ()),
    ("8A (Camelot)", {"key": "A minor"}, ()),
    ("Am7 / D7 / Gmaj7", {"chords": ("Am7", "D7", "Gmaj7")}, ()),
    ("12 bar blues in A", {"key": "A major", "chords": BLUES}, ()),
    ("from 80 to 140 BPM", {"tempo": 80, "tempo_changes": (TempoChange(-1, bpm=140, ramp=True),)}, ()),
    ("ritardando at the end", {"tempo_changes": (TempoChange(-4, scale=1), TempoChange(-1, scale=0.7, ramp=True))}, ()),
    ("90 bpm, accelerando", {"tempo": 90, "tempo_changes": (TempoChange(-1, scale=1.35, ramp=True),)}, ()),
    ("starts slow, gets faster", {"tempo": (50, 92), "tempo_changes": (TempoChange(-1, scale=1.35, ramp=True),)}, ()),
    ("changes to 140 BPM at bar 9", {"tempo_changes": (TempoChange(9, bpm=140),)}, ()),
    ("120 bpm, no accelerando", {"tempo": 120}, ()),
    ("under 100 bpm", {"tempo": (30, 100)}, ()),
    # goals of a tempo, and numbers that stand alone
    ("slows down to 60 bpm at the end", {"tempo": (66, 300), "tempo_changes": (*LAST_BARS, to(60))}, ()),
    ("120 bpm, ritardando to 60", {"tempo": 120, "tempo_changes": (*LAST_BARS, to(60))}, ()),
    ("90 bpm, slows to 60", {"tempo": 90, "tempo_changes": (to(60),)}, ()),
    ("starts at 100 bpm and speeds up to 140", {"tempo": 100, "tempo_changes": (to(140),)}, ()),
    ("starts at 100 and speeds up to 140", {"tempo": 100, "tempo_changes": (to(140),)}, ()),
    ("accelerando to 160", {"tempo": (30, 145.5), "tempo_changes": (to(160),)}, ()),
    ("accelerando from 100 to 160", {"tempo": 100, "tempo_changes": (to(160),)}, ()),
    ("80 bpm, rises to 120 bpm", {"tempo": 80, "tempo_changes": (to(120),)}, ()),
    ("starts fast and slows down to 60", {"tempo": (140, 200), "tempo_changes": (to(60),)}, ()),
    ("accelerando to 500", {}, ("tempo 500 is outside",)),
    ("90 bpm, gets faster to 120, gets faster to 140", {"tempo": 90, "tempo_changes": (to(120),)}, ("contradicts",)),
    ("no accelerando to 160", {}, ()),
    ("speeds up to 4/4", {"tempo_changes": (TempoChange(-1, scale=1.35, ramp=True),), "meter": "4/4"}, ()),
    ("the beat drops to 140 at the end", {}, ()),
    ("techno 130", {"tempo": 130}, ()),
    ("drum and bass 174", {"tempo": 174, "instruments": {"drums": None, "bass": None}}, ()),
    ("hip hop beat 90 with rhodes", {"tempo": 90, "instruments": {"keys": 4}}, ()),
    ("deep house, 124, F minor", {"tempo": 124, "key": "F minor"}, ()),
    ("swing feel 160", {"tempo": 160, "swing": ASKED}, ()),
    ("allegro, 132-144", {"tempo": (132, 144)}, ()),
    ("slow, 80, piano", {"tempo": 80, "instruments": {"keys": (0, 1)}}, ()),
    ("techno 130, 140 bpm", {"tempo": 140}, ()),
    ("swing 66", {"swing": Swing(0.66)}, ()),
    ("trap, 808s, 140 bpm", {"tempo": 140, "instruments": {"drums": 25}, "sound": ("808 bass",)}, ()),
    ("acid house with 303s", {}, ()),
    ("303 s", {"seconds": 303}, ()),
    ("303 seconds", {"seconds": 303}, ()),
    ("lasting 303s", {"seconds": 303}, ()),
    ("105s", {"seconds": 105}, ()),
    ("no slower than 140 BPM", {"tempo": (140, 300)}, ()),
    ("half note = 60", {"tempo": 120}, ()),
    ("♩. = 60", {"tempo": 90}, ()),
    ("M.M. 72", {"tempo": 72}, ()),
    ("time signature: 6", {"meter": "6/8"}, ()),
    ("12 bar minor blues in C", {"key": "C minor", "chords": MINOR_BLUES}, ()),
    ("dorian mode in G", {"key": "G minor", "mode": "dorian"}, ()),
    ("A harmonic minor", {"key": "A minor", "mode": "harmonic minor"}, ()),
    ("E phrygian dominant", {"key": "E major", "mode": "phrygian dominant"}, ()),
    ("C major, dorian", {"key": "C major"}, ("mode dorian is a minor one",)),
    # chords that the vocabulary has not
    ("Cmaj7#11 - Am7b5 - D7alt", {"chords": ("Cmaj7", "Am7b5", "D7")}, ("Cmaj7 is taken", "D7 is taken")),
    ("Amin7 | D7b9 | Gmaj13", {"chords": ("Am7", "D7", "Gmaj9")}, ("D7 is taken", "Gmaj9 is taken")),
    ("C13 F7alt Bbmaj7", {"chords": ("C9", "F7", "Bbmaj7")}, ("C13 is not in the vocabulary: C9", "F7 is taken")),
    ("chords: F6/9 Dm7(b5) G11", {"chords": ("F6", "Dm7b5", "G9")}, ("F6 is taken", "Dm7b5", "G9 is taken")),
    ("F7#9 vamp", {"chords": ("F7",)}, ("F7 is taken",)),
    ("Am7 D7", {"chords": ("Am7", "D7")}, ()),
    ("A dorian", {"key": "A minor", "mode": "dorian"}, ()),
    ("phrygian", {"mode": "phrygian"}, ()),
    # other languages
    ("techno 128bpm a-Moll 16 Takte", {"tempo": 128, "key": "A minor", "bars": 16}, ()),
    ("h-Moll", {"key": "B minor"}, ()),
    ("Es-Dur, 60 Schläge pro Minute", {"tempo": 60, "key": "Eb major"}, ()),
    ("à 130 bpm en la mineur, 16 mesures", {"tempo": 130, "key": "A minor", "bars": 16}, ()),
    (
        "guitarra española triste en mi menor, lento",
        {"instruments": {"guitar": 24}, "key": "E minor", "tempo": (50, 92)},
        ("not in English",),
    ),
    ("8小节 A小调 120拍每分钟", {"bars": 8, "key": "A minor", "tempo": 120}, ("not in English",)),
    ("イ短調 BPM120 8小節", {"bars": 8, "key": "A minor", "tempo": 120}, ("not in English",)),
    ("Dreivierteltakt in fis-Moll, sehr langsam", {"tempo": (40, 66), "key": "F# minor", "meter": "3/4"}, ()),
    ("Walzer in H-Moll", {"key": "B minor", "meter": "3/4"}, ()),
    ("valse en si bémol mineur", {"key": "Bb minor", "meter": "3/4"}, ()),
    ("samba em dó maior, 32 compassos, rápido", {"key": "C major", "bars": 32, "tempo": (140, 200)}, ()),
    ("降B大调 快 2分30秒", {"key": "Bb major", "tempo": (140, 200), "seconds": 150}, ("not in English",)),
    ("8分の6拍子 嬰ヘ短調 ゆっくり", {"meter": "6/8", "key": "F# minor", "tempo": (50, 92)}, ("not in English",)),
    # pasted settings
    ("meter=3, bpm: 90; scale: minor; key: C", {"meter": "3/4", "tempo": 90, "key": "C minor"}, ()),
    ("--bpm 120 --key Am --duration 60", {"tempo": 120, "key": "A minor", "seconds": 60}, ()),
    ('{"bpm": 120, "key": "F#m", "duration": 60}', {"tempo": 120, "key": "F# minor", "seconds": 60}, ()),
    # what is read must not be read wrongly
    ("tempo isn't 120", {}, ("is left free",)),
    ("anything but 120 bpm", {}, ("is left free",)),
    ("not too fast", {}, ("is left free",)),
    ("nothing sad", {}, ("kept from the model",)),
    ("not in a minor key", {}, ("is left free",)),
    ("not only piano", {"instruments": {"keys": (0, 1)}}, ()),
    ("bars 5-8 quiet", {}, ("a place in the track",)),
    ("the tempo is not 120", {}, ("is left free",)),
    ("don't make it sad", {}, ("kept from the model",)),
    ("tempo=140, key=F#m, bars=16, meter=3/4", {"tempo": 140, "key": "F# minor", "bars": 16, "meter": "3/4"}, ()),
    ("24 bars: 8-bar intro", {"bars": 24}, ("one part of a form",)),
    ("not in 4/4", {}, ("is left free",)),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "taken", "said"), TABLE, ids=[row[0] for row in TABLE])
def test_what_a_musician_asks_for_is_taken_or_said(asked: str, taken: dict, said: tuple[str, ...]):
    understood = understand(asked)
    assert understood.controls == Controls(**taken)
    for part in said:
        assert any(part in note for note in understood.notes), understood.notes
    assert bool(said) == bool(understood.notes), understood.notes


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("stop-time break in bar 5, funk", "stop-time, funk"),
        ("2:30 long house track", "long house track"),
        ("jazz, bass enters at bar 5", "jazz"),
        ("disco, no drums for the first 8 bars", "disco"),
        ("not in 4/4, jazz", "jazz"),
        ("jazz, changes to 140 BPM at bar 9", "jazz, changes to 140 BPM"),
        ("bars 5-8 sparse, on the 5th bar a break, techno", "sparse a break, techno"),
        ("not sad or dark, piano", "piano"),
        ("not too fast, jazz", "jazz"),
        ("techno, the tempo is not 120", "techno"),
        ("techno, no drums, no vocals", "techno, no drums, no vocals"),
        ("don't make it sad", ""),
        ("warm lo-fi hip hop, 84 BPM in A minor, 16 bars", "warm lo-fi hip hop, 84 BPM in A minor, 16 bars"),
    ],
)
def test_the_planner_is_not_told_what_would_mislead_it(prompt: str, told: str):
    assert understand(prompt).text == told


def test_what_is_left_over_is_named_once():
    assert understand("warm hurdy-gurdy with glorp, 3D and Glorp at 84 bpm").unread == ("glorp", "3D")
    assert understand("a mellow lo-fi track with rhodes and brushes, for studying").unread == ()


@pytest.mark.parametrize(
    ("prompt", "unread"),
    [
        ("techno, 120, 130", ("120", "130")),
        ("techno 130, 140 bpm", ("130",)),
        ("140 dubstep", ("140", "dubstep")),
        ("3 dogs and 120 cats, 3 times", ("3", "dogs", "120", "cats")),
        ("blues, 12", ("12",)),
        ("house 84,5", ("84,5",)),
        ("24/7", ("24/7",)),
        ("piano 8", ("8",)),
        ("the beat drops to 140", ("140",)),
        ("not techno 130", ("130",)),
        ("acid house with 303s", ("acid", "303s")),
        ("jazz in 11/8", ()),  # a note says it
        ("drop after 16 bars", ()),
        ("8 bit, 4 on the floor, 4-on-the-floor, 80s", ()),
        ("everything except the drums, mute the bass", ()),
    ],
)
def test_no_number_is_dropped_silently(prompt: str, unread: tuple[str, ...]):
    assert understand(prompt).unread == unread


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_number_after_a_genre_is_a_tempo(style: Style):
    assert understand(f"{style.name} 133").controls.tempo == 133
    assert understand(f"{style.words[0]}, 133").controls.tempo == 133


def test_who_leaves_is_silent_from_there_on(pipe: Pipeline):
    assert understand("remove the bass at bar 9").summary() == "bass from bar 1, from bar 9 without bass"
    for plan in pipe.plan("drums and bass, remove the bass at bar 3", 3, seed=1, bars=6):
        at = 1
        for section in plan.sections:
            assert ("bass" in section.roles) == (at < 3)
            at += len(section.bars)


def test_a_key_is_shown_as_it_is_spelled():
    assert understand("C# minor, slow rhodes").summary() == "50-92 BPM, C# minor, keys = rhodes"
    assert understand("C# dorian").summary() == "C# dorian"
    assert understand("in Db, A#m - D# - G#").summary() == "Db major, chords A#m D# G#"
    assert understand("120 bpm, ritardando").summary() == "120 BPM, to 70% of the tempo by the last bar"
    notes = understand("C# minor, later in G# minor").notes
    assert notes == ("key G# minor contradicts key C# minor: the first is taken",)


def test_the_words_of_the_captions_are_those_of_the_composer():
    assert FILE.read_text(encoding="utf-8").split() == caption_vocabulary()


def test_every_program_has_a_home_and_is_found_by_its_names():
    for program, names in PROGRAM_WORDS.items():
        role = home_role(program)
        assert role in HEARD and name_of(role, program) == names[0]
        assert program in parse_programs(role, names[0]) or set(parse_programs(role, names[0])) <= set(HEARD[role])


ENSEMBLES = [
    ("rhodes, upright bass and brushes", {"keys": {4}, "bass": {32}, "drums": {40}}),
    ("violin and piano", {"strings": {40}, "keys": {0, 1}}),
    ("flute, harp and cello", {"winds": {73}, "keys": {46}, "strings": {42}}),
    ("saxophone, electric piano, slap bass", {"winds": {65, 66}, "keys": {4, 5}, "bass": {36, 37}}),
    ("distorted guitar, organ, no drums", {"guitar": {30}, "keys": {16, 17, 18}, "drums": None, "percussion": None}),
]


@pytest.mark.parametrize(("prompt", "cast"), ENSEMBLES, ids=[row[0] for row in ENSEMBLES])
def test_whoever_is_named_plays_in_every_plan(pipe: Pipeline, prompt: str, cast: dict):
    for plan in pipe.plan(prompt, 3, seed=int(np.sum([ord(letter) for letter in prompt])), seconds=20):
        played = {role for section in plan.sections for role in section.roles}
        for role, programs in cast.items():
            if programs is None:
                assert role not in dict(plan.instruments)
            else:
                assert role in played and dict(plan.instruments)[role] in programs


def test_other_words_for_some_bars_say_who_plays_there():
    verse, chorus = Section("verse", (Bar(),) * 4, 3, ("drums", "bass")), Section("chorus", (Bar(),) * 4, 5, ("bass",))
    sections = (verse, chorus)
    plan = Plan(sections, (Tempo(1, 120.0),), instruments={"drums": 0, "bass": 33})
    new, notes = reworded(plan, (3, 6), "solo piano")
    assert [(len(section.bars), section.roles) for section in new.sections] == [
        (2, ("drums", "bass")), (2, ("keys",)), (2, ("keys",)), (2, ("bass",)),
    ]  # fmt: skip
    assert dict(new.instruments) == {"drums": 0, "bass": 33, "keys": 0} and new.prompt == "solo piano" and not notes
    quiet, notes = reworded(plan, (1, 8), "no drums, 90 bpm, upright bass")
    assert [section.roles for section in quiet.sections] == [("bass",), ("bass",)]
    assert dict(quiet.instruments)["bass"] == 32 and notes == ("tempo in the prompt is not changed by an edit's words",)


def test_arguments_beat_the_words_and_contradict_nobody():
    controls, notes = resolve_controls(understand("no drums, rhodes"), Controls(instruments={"drums": "808"}))
    assert controls.without == ("percussion",) and dict(controls.instruments) == {"drums": (25,)}
    controls, notes = resolve_controls(understand("rhodes and drums"), Controls(without=["drums"]))
    assert dict(controls.instruments) == {"keys": (4,)} and "drums in the prompt gives way" in " ".join(notes)
    controls, notes = resolve_controls(understand("slow, C# minor"), Controls(tempo=120, key="A minor"))
    assert notes == (
        "tempo in the prompt (50-92 BPM) gives way to the explicit argument",
        "key in the prompt (C# minor) gives way to the explicit argument",
    )
    controls, _ = resolve_controls(understand("AABA"), Controls(form=["intro", "outro"]))
    assert controls.form == ("intro", "outro")


@pytest.mark.parametrize(
    ("prompt", "given", "left_free"),
    [
        ("600 bars, slow", {}, "tempo"),
        ("140 bpm, 4/4, 350 bars, ritardando", {}, "tempo_changes"),
        ("dorian", {"key": "C major"}, "mode"),
        ("under 60 bpm", {"bars": 300, "meter": "4/4"}, "tempo"),
    ],
)
def test_words_that_cannot_be_had_together_never_fail(prompt: str, given: dict, left_free: str):
    controls, notes = resolve_controls(understand(prompt), Controls(**given))
    assert getattr(controls, left_free) is None and any(f"{left_free} in the prompt is left free" in n for n in notes)
    grammar.State(controls)


def test_arguments_that_cannot_be_had_together_fail():
    with pytest.raises(ValueError, match="bars 4000 of any meter cannot end"):
        resolve_controls(understand("slow"), Controls(bars=4000, tempo=30))


VOCABULARY = (
    "slow fast not no from 80 to 140 BPM about under at 174 bar 9 bars 600 ritardando accelerando changes then dorian "
    "phrygian dominant in C# minor Db major Am7b5 C13 F7alt - | , . 7/8 time signature 6 = : 12 blues don't make it "
    'sad nothing la mineur a-Moll Takte 小节 短調 8分の6拍子 half note ♩ dotted quarter { } " AABA 32 drop 0:15 drums '
    "only without solo 2 minutes 30 seconds form fade"
)


@settings(max_examples=200, deadline=None)
@examples(st.lists(st.sampled_from(VOCABULARY.split(" ")), max_size=20).map(" ".join))
def test_any_string_is_a_request_that_can_be_written(prompt: str):
    controls, notes = resolve_controls(understand(prompt), Controls())
    grammar.State(controls)
    assert all(note and "\n" not in note for note in notes)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"instruments": {"keys": "kazoo"}}, "'kazoo' is no instrument for keys"),
        ({"instruments": {"keys": 128}}, "program 128 of keys is outside 0-127"),
        ({"without": ["theremin"]}, "'theremin' is neither one of drums"),
        ({"tempo": (100, 90)}, "should be a number or a range"),
        ({"form": ["refrain"]}, "'refrain' is none of intro"),
        ({"dynamics": "loud"}, "'loud' is none of crescendo, diminuendo"),
        ({"mode": "blues"}, "'blues' is none of ionian"),
    ],
)
def test_a_control_that_is_none_is_one_line(given: dict, error: str):
    with pytest.raises(ValueError, match=error) as caught:
        Controls(**given)
    assert len(str(caught.value).splitlines()) == 1
