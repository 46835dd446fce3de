"""A caption never says what is not in the song, and says it in as many ways as people do."""

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from hybridgen.data.captions import caption, caption_words, captions
from hybridgen.data.composer import compose
from hybridgen.data.composer.genres import STYLES, style_named
from hybridgen.data.composer.style import Style
from hybridgen.data.song import Note, Song
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.text.controls import find_controls

SONGS = [compose(11, index) for index in range(100)]
CAPTIONS = [(song, text) for song in SONGS for text in captions(song, 10)]

# A second, independent account of what words claim: (pattern, role or None for any, General MIDI programs).
CLAIMS = (
    (r"rhodes", None, {4}),
    (r"(?:electric|e-) ?piano|e-piano", None, {4, 5}),
    (r"(?<!electric )(?<!thumb )(?<!e-)piano|honky-tonk", None, {0, 1, 2, 3}),
    (r"(?<!synth )\bkeys", "keys", set(range(21))),
    (r"(?<!synth )(?<!tinkle )\bbells", None, {9, 14, 112}),
    (r"harpsichord", None, {6}),
    (r"clav(?:inet)?\b", None, {7}),
    (r"vibraphone|\bvibes", None, {11}),
    (r"(?<!pipe )(?<!church )organ", None, {16, 17, 18, 19}),
    (r"church organ|pipe organ", None, {19}),
    (r"accordion", None, {21, 23}),
    (r"harmonica", None, {22}),
    (r"nylon|classical guitar", None, {24}),
    (r"steel(?:-string)? guitar", None, {25}),
    (r"acoustic guitar", None, {24, 25}),
    (r"jazz guitar", None, {26}),
    (r"(?:overdriven|crunchy) guitar", None, {29}),
    (r"(?:distort\w+|heavy) guitar", None, {30}),
    (r"(?<!bass )guitar", None, set(range(24, 32))),
    (r"(?:upright|double|acoustic) bass", None, {32, 43}),
    (r"slap bass", "bass", {36, 37}),
    (r"fretless", "bass", {35}),
    (r"electric bass|bass guitar", "bass", {33, 34, 35, 36, 37}),
    (r"synth bass", "bass", {38, 39, 80, 81, 84, 87, 62}),
    (r"violin|fiddle", None, {40, 110}),
    (r"\bcello", None, {42}),
    (r"pizzicato|plucked strings", None, {45}),
    (r"synth(?:esizer)? strings", None, {50, 51}),
    (r"(?<!synth )(?<!synthesizer )(?<!steel-)strings?(?! guitar)(?!-string)", None, {44, 45, 48, 49}),
    (r"\bharp\b", None, {46}),
    (r"muted trumpet", None, {59}),
    (r"trumpet", None, {56, 59}),
    (r"trombone", None, {57}),
    (r"french horn", None, {60}),
    (r"(?<!synth )brass", None, {61}),
    (r"\bsax(?:ophone)?\b", None, {64, 65, 66, 67}),
    (r"oboe", None, {68}),
    (r"bassoon", None, {70}),
    (r"clarinet", None, {71}),
    (r"(?<!pan )flute", None, {73}),
    (r"recorder", None, {74}),
    (r"banjo", None, {105}),
    (r"sitar", None, {104}),
    (r"square wave|pulse wave|square lead", None, {80}),
    (r"saw(?:tooth)? (?:synth|lead)", None, {81}),
    (r"synth(?! strings)(?! brass)", None, {38, 39, 54, 96, 97} | set(range(80, 104))),
    (r"\bpads?\b", None, {50, 51, 62, 80} | set(range(88, 96))),
    (r"\blead\b", "lead", set(range(128))),
    (r"\bbrush", "drums", {40}),
    (r"\b808\b|tr-808", "drums", {25}),
    (r"drum machine", "drums", {24, 25}),
    (r"electronic drums|programmed drums", "drums", {24}),
    (r"jazz (?:drums|kit)", "drums", {32}),
    (r"orchestral (?:drums|percussion)", "drums", {48}),
    (r"drums?\b|\bkit\b|\bbeat\b(?!s)", "drums", set(range(128))),
    (r"(?<!orchestral )percussion", "percussion", set(range(128))),
    (r"shaker|tambourine|congas|bongos|claves|cowbell|triangle|woodblock", "percussion", set(range(128))),
    (r"\bbass\b", "bass", set(range(128))),
)
PACES = {  # what a word of tempo allows, in quarter notes a minute
    r"(?<!very )slow": (0, 92), r"very slow": (0, 66), r"downtempo": (78, 92), r"mid-tempo": (92, 122),
    r"medium tempo": (92, 110), r"uptempo": (122, 168), r"(?<!moderately )\bfast": (140, 999), r"very fast": (168, 999),
    r"adagio": (66, 78), r"presto": (168, 999),
}  # fmt: skip


def without_genres(song: Song, text: str) -> str:
    """The caption in small letters without the names of its genre, its uses and what it rules out."""
    text, style = text.lower(), style_named(song.genre)
    for phrase in sorted((*style.words, *style.uses), key=len, reverse=True):
        text = text.replace(phrase.lower().replace(" and ", " & "), "~").replace(phrase.lower(), "~")
    return re.sub(r"beats per minute|(?:no|without) (?:vocals|drums|bass|percussion)", "~", text)


def claims_of(patterns, song, text):
    for pattern, role, programs in patterns:
        for match in re.finditer(pattern, text):
            yield match, [pair for pair in song.plan.instruments if role in (None, pair[0]) and pair[1] in programs]


def test_every_instrument_named_is_in_the_song():
    named = 0
    for song, text in CAPTIONS:
        for match, players in claims_of(CLAIMS, song, without_genres(song, text)):
            is_bass_string = match[0] == "bass" and any(program == 43 for _, program in song.plan.instruments)
            assert players or is_bass_string, (match[0], text, song.plan.instruments)
            named += 1
    assert named > 1000


def test_what_is_ruled_out_is_not_in_the_song():
    found = 0
    for song, text in CAPTIONS:
        roles = {role for role, _ in song.plan.instruments}
        for match in re.finditer(r"(?:no|without) (drums|bass|percussion)", text.lower()):
            assert match[1] not in roles and not (match[1] == "drums" and "percussion" in roles)
            found += 1
    assert found > 5


def test_controls_found_in_a_caption_are_the_plans():
    found = Counter()
    for song, text in CAPTIONS:
        controls, notes = find_controls(text)
        plan = song.plan
        said = {name: value for name, value in vars(controls).items() if value is not None}
        if isinstance(tempo := said.pop("tempo", None), tuple):
            assert tempo[0] <= plan.tempo[0].bpm <= tempo[1], text
        elif tempo is not None:
            assert tempo == plan.tempo[0].bpm, text
            found["tempo"] += 1
        for role in said.pop("without", ()):
            assert role not in dict(plan.instruments), text
        if (form := said.pop("form", None)) is not None:
            assert form == tuple(section.label for section in plan.sections), text
        for role, programs in said.pop("instruments", ()):
            found["roles"] += 1
            played = dict(plan.instruments).get(role)
            found["true roles"] += role in dict(plan.instruments) and (not programs or played in programs)
        if (swing := said.pop("swing", None)) is not None:
            assert plan.swing.ratio == pytest.approx(swing.ratio, abs=0.07) and plan.swing.unit == swing.unit, text
        assert set(said.pop("sound", ())) <= {"live drums", "analog", "wide"}, (
            text
        )  # words for instruments and moods too
        said = {name: value for name, value in said.items() if name not in ("cues", "roles", "dynamics")}
        truth = {"key": plan.key, "meter": plan.meter, "bars": plan.n_bars}
        assert all(truth.get(name) == value for name, value in said.items()), (said, text)
        assert not any("contradicts" in note or "is none of" in note for note in notes), (notes, text)
        found.update(list(said))
    assert found["roles"] > 500 and found["true roles"] > 0.9 * found["roles"], found
    assert found["tempo"] > 350 and found["key"] > 250 and found["meter"] > 100 and found["bars"] > 20


def test_a_number_in_a_caption_is_the_tempo_the_meter_or_the_bars():
    for song, text in CAPTIONS:
        plan = song.plan
        known = {f"{plan.tempo[0].bpm:g}", *plan.meter.split("/"), str(plan.n_bars)}
        rest = re.sub(r"(?i)8[- ]bit|808|dx7|[789]0s", "~", text)
        assert set(re.findall(r"\d+(?:\.\d+)?", rest)) <= known, (text, known)


def test_words_of_tempo_fit_the_tempo():
    for song, text in CAPTIONS:
        for pattern, (low, high) in PACES.items():
            if re.search(pattern, without_genres(song, text)) and "slow strings" not in text.lower():
                assert low <= song.plan.tempo[0].bpm < high, (pattern, text, song.plan.tempo)


def test_a_waltz_is_in_three_four():
    waltzes = [song.plan.meter for song, text in CAPTIONS if "waltz" in text.lower()]
    assert waltzes and set(waltzes) == {"3/4"}


def test_a_caption_is_one_short_clean_line():
    for _, text in CAPTIONS:
        assert text == text.strip() and 2 < len(text) < 400 and "\n" not in text
        assert not re.search(r"None|  |,,|\{|\}|\ba (?:[aeio]|8-)|\ban [bcdfgjklmpqrstvwxyz]", text), text


def test_captions_vary_and_repeat_exactly():
    assert len({text for _, text in CAPTIONS}) > 0.97 * len(CAPTIONS)
    song = SONGS[0]
    assert captions(song, 10) == captions(song, 10) and captions(song, 3) == captions(song, 10)[:3]
    assert caption(song, random.Random(1)) == caption(song, random.Random(1))
    assert sum(text == text.lower() for _, text in CAPTIONS) > 200
    assert any(text.endswith(".") for _, text in CAPTIONS)


def test_each_fact_is_sometimes_left_out():
    for pattern in (
        r"bpm|beats per minute|tempo \d",
        r"minor|major|\bmin\b|\bmaj\b|[A-G][#b]?m\b",
        "drum|bass",
    ):
        share = sum(bool(re.search(pattern, text, re.IGNORECASE)) for _, text in CAPTIONS) / len(CAPTIONS)
        assert 0.2 < share < 0.8, (pattern, share)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_genre_has_five_names_and_a_use(style: Style):
    assert len(set(style.words)) >= 5 and style.uses


def test_a_genre_without_a_style_is_refused():
    song = replace(SONGS[0], genre="polka")
    with pytest.raises(ValueError, match="genre 'polka' is not one of: lo-fi hip hop, ambient"):
        captions(song, 1)


def test_what_a_caption_says_is_known():
    pairs = [(caption_words(song, i).genre, text) for song in SONGS for i, text in enumerate(captions(song, 10))]

    def plain(words: str) -> str:
        return words.lower().replace(" and ", " & ")

    named = [plain(genre) in plain(text) for genre, text in pairs if genre]
    assert 0.98 < sum(named) / len(named) <= 1.0  # a few have a slip in it
    assert 0.85 < len(named) / len(pairs) < 0.95  # a tenth leave it out


def test_unknown_labels_are_left_out():
    bars = (Bar(("Am",)), Bar())
    plan = Plan(sections=(Section(None, bars),), tempo=(Tempo(1, 84.5),), instruments=(("drums", None), ("lead", None)))
    notes = (Note("drums", 36, 0.0, 0.1, 90),)
    song = Song(0, 0, "rock", ("jolly",), plan, notes, ())
    texts = captions(song, 200)
    assert any("84.5" in text for text in texts) and any("rock" in text.lower() for text in texts)
    assert not any("None" in text or "minor" in text or "starts" in text for text in texts)
    bare = replace(song, mood=(), plan=Plan(n_samples=44_100, meter=None))
    assert all(captions(bare, 100))
