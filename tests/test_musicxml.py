"""Facts about MusicXML: lead sheets come back, what it says is read, damage and large files are refused."""

import io
import random
import re
import zipfile
from itertools import accumulate
from xml.etree import ElementTree

import pytest

from hybridgen.formats.abc.read import from_abc
from hybridgen.formats.abc.write import to_abc
from hybridgen.formats.musicxml.container import MAX_BYTES
from hybridgen.formats.musicxml.read import from_musicxml
from hybridgen.formats.musicxml.write import to_musicxml
from hybridgen.formats.sheet import chord_changes
from hybridgen.plan.harmony import KEYS, PITCHES, QUALITIES, split_chord, split_key
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.sheets import random_sheet, refused_in_one_line

CONTAINER = '<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'


def sheet(measures: str, attributes: str = "", head: str = "") -> bytes:
    """A score of one part: its first measure has 4/4, C major and two divisions a quarter note."""
    first = (
        f"<attributes><divisions>2</divisions>{attributes or '<key><fifths>0</fifths><mode>major</mode></key>'}"
        "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
    )
    body = measures.replace("<measure>", "<measure>" + first, 1)
    return f'{head}<score-partwise><part id="P1">{body}</part></score-partwise>'.encode()


def note(step: str, octave: int, duration: int, inside: str = "", before: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{before}{pitch}<duration>{duration}</duration>{inside}</note>"


def harmony(step: str, kind: str, inside: str = "") -> str:
    return f"<harmony><root><root-step>{step}</root-step></root><kind>{kind}</kind>{inside}</harmony>"


def zipped(data: bytes, container: str = CONTAINER) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("score.xml", data)
    return file.getvalue()


def lead(plan: Plan) -> list[tuple[int, int, int]]:
    """(tick from the start, length, pitch) of every note."""
    bars = enumerate(plan.part("lead").bars)
    return sorted((i * plan.bar_ticks + n.tick, n.length, n.pitch) for i, bar in bars for n in bar or ())


def test_lead_sheets_come_back():
    rng = random.Random(0)
    for i in range(200):
        plan = random_sheet(rng)
        data = to_musicxml(plan)
        again, remarks = from_musicxml(zipped(data) if i % 4 == 0 else data)
        assert again == plan
        assert not remarks


def test_every_chord_and_key_comes_back():
    bars = tuple(Bar(pitch + quality) for pitch in PITCHES for quality in QUALITIES)
    for key in KEYS:
        plan = Plan((Section("verse", bars),), (Tempo(1, 200),), "2/4", key)
        assert from_musicxml(to_musicxml(plan)) == (plan, ())


@pytest.mark.parametrize(
    ("key", "chords", "written"),
    [
        ("Db minor", "Dbm Ab7 A Dbm", "C# G# A C#"),  # C# minor, four sharps
        ("E major", "E Abm Dbm B7", "E G# C# B"),
        ("Ab major", "Ab Db E B", "Ab Db Fb Cb"),  # b6 and b3
        ("C major", "C Ab Db7 F#m7b5", "C Ab Db F#"),
        ("A minor", "Am Bb Abdim7 F#m7b5", "A Bb G# F#"),
        (None, "Db Eb F# Bb", "Db Eb F# Bb"),
    ],
)
def test_chords_are_spelled_as_the_key_spells_notes(key: str | None, chords: str, written: str):
    plan = Plan((Section("verse", tuple(Bar(chord) for chord in chords.split())),), (Tempo(1, 90),), "4/4", key)
    roots = ElementTree.fromstring(to_musicxml(plan)).iter("root")
    sign = {None: "", "1": "#", "-1": "b"}
    assert [r.findtext("root-step") + sign[r.findtext("root-alter")] for r in roots] == written.split()
    assert from_musicxml(to_musicxml(plan))[0] == plan
    assert re.findall(r'"([A-G][#b]?)', to_abc(plan)) == written.split()
    assert from_abc(to_abc(plan))[0] == plan


def test_notes_chords_and_voices():
    music = (
        "<measure>"
        + note("C", 4, 2, "<voice>1</voice>")
        + note("E", 4, 2, "<voice>1</voice>", "<chord/>")
        + note("D", 4, 6, '<tie type="start"/>')
        + "<backup><duration>8</duration></backup>"
        + note("C", 3, 8, "<voice>2</voice>")
        + "</measure><measure>"
        + note("D", 4, 4, '<tie type="stop"/>')
        + "<note><grace/><pitch><step>C</step><octave>4</octave></pitch></note>"
        + "<note><rest/><duration>4</duration></note></measure>"
    )
    plan, remarks = from_musicxml(sheet(music))
    assert lead(plan) == [(0, 480, 60), (0, 480, 64), (480, 2400, 62)]
    assert any("voices" in line for line in remarks) and any("grace" in line for line in remarks)


def test_transposing_instruments_sound_where_they_sound():
    attributes = "<transpose><chromatic>-2</chromatic><octave-change>-1</octave-change></transpose>"
    plan, _ = from_musicxml(sheet(f"<measure>{note('D', 5, 8)}</measure>", attributes))
    assert lead(plan) == [(0, 1920, 60)]


def test_harmonies():
    degree = (
        "<degree><degree-value>{}</degree-value><degree-alter>{}</degree-alter><degree-type>{}</degree-type></degree>"
    )
    rest = "<note><rest/><duration>{}</duration></note>"
    bars = [
        harmony("A", "minor-seventh") + rest.format(4) + harmony("D", "dominant") + rest.format(4),
        rest.format(8),
        harmony("C", "major", degree.format(9, 0, "add")) + rest.format(8),
        harmony("C", "dominant", degree.format(9, -1, "add")) + rest.format(8),
        harmony("C", "major", "<bass><bass-step>E</bass-step></bass>") + rest.format(8),
        harmony("C", "Tristan") + rest.format(8),
        harmony("C", "none") + rest.format(8),
        harmony("F", "major") + harmony("G", "major", "<offset>4</offset>") + rest.format(8),
    ]
    plan, remarks = from_musicxml(sheet("".join(f"<measure>{bar}</measure>" for bar in bars)))
    assert [bar.chords for bar in plan.bars] == [
        *(("Am7", "D7"), ("D7",), ("Cadd9",), ("C7",), ("C",), ("C",), ("N",), ("F", "G")),
    ]
    assert len(remarks) == 3
    assert plan.notes == ()  # rests alone say nothing of a melody


def test_repeats_endings_sections_and_tempi():
    start = '<barline location="left"><repeat direction="forward"/></barline>'
    first = '<barline location="left"><ending number="1" type="start"/></barline>'
    back = '<barline location="right"><ending number="1" type="stop"/><repeat direction="backward"/></barline>'
    second = '<barline location="left"><ending number="2" type="start"/></barline>'
    close = '<barline location="right"><ending number="2" type="discontinue"/></barline>'
    mark = "<direction><direction-type><rehearsal>{}</rehearsal></direction-type></direction>"
    tempo = (
        "<direction><direction-type><metronome><beat-unit>half</beat-unit><per-minute>50</per-minute></metronome>"
        "</direction-type></direction>"
    )
    bars = [
        start + mark.format("Verse") + '<sound tempo="90"/>' + note("C", 4, 8),
        first + note("D", 4, 8) + back,
        second + note("E", 4, 8) + close,
        mark.format("B") + tempo + note("F", 4, 8),
    ]
    plan, remarks = from_musicxml(sheet("".join(f"<measure>{bar}</measure>" for bar in bars)))
    assert [pitch for _, _, pitch in lead(plan)] == [60, 62, 60, 64, 65]
    assert [(section.label, len(section.bars)) for section in plan.sections] == [("verse", 4), (None, 1)]
    assert plan.tempo == (Tempo(1, 90), Tempo(5, 100))
    assert remarks == ("section 'B' is none of our labels",)


def test_the_title_is_the_prompt_and_the_first_part_with_notes_is_read():
    one = sheet(f"<measure>{note('C', 4, 8)}</measure>").decode()
    part = one[one.index("<part ") : one.index("</score-partwise>")]
    text = (
        f"<score-partwise><movement-title> Blue  Moon </movement-title><part><measure/></part>{part}</score-partwise>"
    )
    plan, remarks = from_musicxml(text.encode())
    assert plan.prompt == "Blue Moon" and lead(plan) == [(0, 1920, 60)]
    assert any("parts" in line for line in remarks)


def time(beats: str, unit: str) -> str:
    return f"<attributes><time><beats>{beats}</beats><beat-type>{unit}</beat-type></time></attributes>"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not XML"),
        (b"<score-partwise>", "not XML"),
        (b"<score-timewise/>", "score-timewise"),
        (b"<score-partwise/>", "no part"),
        (b"<score-partwise><part/></score-partwise>", "no bars"),
        (b"PK\x03\x04", "container"),
        (zipped(b"<a/>"), "the root is 'a'"),
        (zipped(b"<a/>", CONTAINER.replace("score.xml", "other.xml")), "container"),
        (zipped(b"<a/>", "<container/>"), "names no score"),
        (zipped(b" " * (MAX_BYTES + 1)), "over the limit"),
        (b" " * (MAX_BYTES + 1), "over the limit"),
        (sheet(f"<measure>{note('C', 4, 9)}</measure>"), "measure 1: 2160 ticks"),
        (sheet(f"<measure>{note('C', 12, 8)}</measure>"), "measure 1: C12 is outside"),
        (sheet(f"<measure>{note('X', 4, 8)}</measure>"), "measure 1: step 'X'"),
        (
            sheet("<measure>" + note("C", 4, 8) + "</measure><measure>" + time("3", "4") + "</measure>"),
            "measure 2: the meter",
        ),
        (sheet("<measure/>").replace(b"<measure/>", f"<measure>{time('3+2', '8')}</measure>".encode()), "3+2/8"),
        (b"<score-partwise><part>" + b"<measure/>" * 5000 + b"</part></score-partwise>", "4095"),
        (b"<score-partwise><part>" + b"<measure/>" * 1000 + b"</part></score-partwise>", "600"),
        (b"<score-partwise>" + b"<a/>" * 100_001 + b"</score-partwise>", "100000 elements"),
        (b"<a>" * 100_000, "inside each other"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, message: str):
    with pytest.raises(ValueError, match="musicxml: ") as error:
        from_musicxml(data)
    assert message in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(encoding: str):
    for entity in ('<!ENTITY a "b">', '<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % a "b">'):
        text = f"<!DOCTYPE score-partwise [{entity}]><score-partwise/>"
        with pytest.raises(ValueError, match="entit"):
            from_musicxml(text.encode(encoding))


def test_a_document_type_that_lies_elsewhere_is_not_fetched():
    head = '<!DOCTYPE score-partwise PUBLIC "-//Recordare" "http://127.0.0.1:9/partwise.dtd">'
    assert lead(from_musicxml(sheet(f"<measure>{note('C', 4, 8)}</measure>", head=head))[0]) == [(0, 1920, 60)]


def test_a_plan_without_bars_is_refused():
    with pytest.raises(ValueError, match="no bars"):
        to_musicxml(Plan(n_samples=1000))


def test_damaged_files_are_refused_in_one_line():
    rng = random.Random(1)
    files = [to_musicxml(random_sheet(rng)) for _ in range(10)]
    files += [zipped(data) for data in files[:5]]
    for _ in range(500):
        data = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            if rng.random() < 0.2:
                del data[at:]
            elif rng.random() < 0.5:
                del data[at : at + rng.randint(1, 30)]
            else:
                data[at] = rng.choice([rng.randrange(256), *b"0123456789-<>/"])
            if not data:
                break
        refused_in_one_line(from_musicxml, bytes(data))


def test_damaged_numbers_and_words_are_refused_in_one_line():
    rng = random.Random(2)
    files = [to_musicxml(random_sheet(rng)).decode() for _ in range(10)]
    values = ["", "-1", "0", "7", "1e9", "99999999999", "x", "NaN", "1.5", "²", "none", "C", "?", "part", "measure"]
    for _ in range(500):
        pieces = rng.choice(files).split(">")
        for _ in range(rng.randint(1, 3)):
            i = rng.randrange(1, len(pieces))
            text, bracket, tag = pieces[i].partition("<")
            pieces[i] = rng.choice(values) + bracket + tag if text.strip() else pieces[i]
        refused_in_one_line(from_musicxml, ">".join(pieces).encode())


def test_music21_reads_the_same_chords_and_notes():
    converter = pytest.importorskip("music21.converter")
    harmony_type = pytest.importorskip("music21.harmony").ChordSymbol
    rng = random.Random(3)
    for _ in range(5):
        plan = random_sheet(rng)
        score = converter.parse(to_musicxml(plan).decode(), format="musicxml")
        heads = [one for one in score.flatten().notes if not isinstance(one, harmony_type)]
        theirs = [
            (round(float(head.offset) * 480), note.pitch.midi)
            for head in heads
            for note in (head.notes if head.isChord else (head,))
            if note.tie is None or note.tie.type == "start"
        ]
        assert sorted(theirs) == sorted((tick, pitch) for tick, _, pitch in lead(plan))
        symbols = [symbol for symbol in score.flatten().getElementsByClass(harmony_type) if symbol.figure != "N.C."]
        theirs = [
            (symbol.root().pitchClass, float(symbol.offset) * 480) for symbol in symbols if symbol.chordKind != "none"
        ]
        ours = [
            (split_chord(chord)[0], number * plan.bar_ticks + tick)
            for number, changes in enumerate(chord_changes(plan))
            for tick, chord in changes
            if chord not in (None, "N")
        ]
        assert theirs == ours


def test_music21_finds_the_same_bars_meter_key_tempi_and_sections():
    converter = pytest.importorskip("music21.converter")
    rng = random.Random(4)
    for _ in range(5):
        plan = random_sheet(rng)
        part = converter.parse(to_musicxml(plan).decode(), format="musicxml").parts[0]

        def found(kind: str, part=part) -> list[tuple[float, object]]:
            return [(one.getOffsetInHierarchy(part) * 480, one) for one in part.recurse().getElementsByClass(kind)]

        ticks = plan.bar_ticks
        assert [at for at, _ in found("Measure")] == [number * ticks for number in range(plan.n_bars)]
        assert [(at, one.ratioString) for at, one in found("TimeSignature")] == [(0, plan.meter)]
        keys = [(one.tonic.pitchClass, one.mode) for _, one in found("Key")]
        assert keys == ([] if plan.key is None else [split_key(plan.key)])
        tempi = [(at, round(one.getQuarterBPM(), 6)) for at, one in found("MetronomeMark")]
        assert tempi == [((mark.bar - 1) * ticks, mark.bpm) for mark in plan.tempo]
        firsts = [0, *accumulate(len(section.bars) for section in plan.sections)]
        headings = [(first * ticks, one.label or "?") for first, one in zip(firsts, plan.sections, strict=False)]
        headings = [] if headings == [(0, "?")] else headings
        assert [(at, one.content) for at, one in found("RehearsalMark")] == headings
