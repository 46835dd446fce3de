"""Facts about packs: every position in every file is the plan's sample, the mix is the track, all appear or none."""

import io
import random
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
import soundfile
import wavinfo

from hybridgen import formats, manifest, pack, tags
from hybridgen.audio import Audio
from hybridgen.cli import main
from hybridgen.formats import dawproject, riff
from hybridgen.history import ModelRecord, Render
from hybridgen.manifest import Manifest
from hybridgen.plan.harmony import METER_BEATS, meter_quarters
from hybridgen.plan.notes import TICKS
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.sampling import SamplingConfig, SamplingParams
from tests.sheets import random_sheet
from tests.test_click import onsets
from tests.test_dawproject import check_schema, seconds_at
from tests.test_labels import rows
from tests.test_plan import random_plan

PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar("F G"))), Section("chorus", (Bar("C"),))),
    (Tempo(1, 132.7),),
    "7/8",
    "A minor",
    {"drums": 0, "lead": 80},
    ending="cut",
    prompt="Warm lo-fi hip hop, rhodes",
)
NAME = "Warm-Lo-Fi-Hip-Hop_133bpm_Am_3bar"
FILES = ["chords.txt", "click.wav", "labels.txt", "leadsheet.musicxml", "plan.json", "plan.mid", "session.dawproject"]


def record_of(plan: Plan) -> Manifest:
    sampling = SamplingConfig(2, 2.0, 64, 16, SamplingParams(), SamplingParams())
    return Manifest("hybridgen 0", (Render(plan, 1, sampling, ModelRecord("tiny", {})),), 0.0, {})


def sound_of(plan: Plan, seed: int = 0) -> Audio:
    """Noise on the grid of 24 bits, which every lossless file gives back."""
    noise = np.random.default_rng(seed).integers(-(1 << 22), 1 << 22, (2, plan.length))
    return Audio((noise / (1 << 23)).astype(np.float32), plan.time_base.sample_rate)


def track(path: Path, plan: Plan = PLAN) -> Path:
    sound_of(plan).save(path, record_of(plan))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def plans() -> Iterator[Plan]:
    """Twenty short ones: of any kind, in 7/8, with ramps, as it was played, and ten with notes that swing."""
    rng = random.Random(11)
    any_kind = (plan for plan in iter(lambda: random_plan(rng), None) if 1 < plan.seconds < 25)
    sheets = (replace(random_sheet(rng), swing="62%") for _ in iter(int, 1))
    for number in range(10):
        wanted = (
            lambda plan: True,
            lambda plan: plan.meter == "7/8",
            lambda plan: any(mark.ramp for mark in plan.tempo),
            lambda plan: bool(plan.beats),
        )[number % 4]
        yield next(filter(wanted, any_kind))
        yield next(plan for plan in sheets if plan.seconds < 25)


# ---- positions


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_every_position_is_the_plans_sample(rate: int, tmp_path: Path):
    kinds, off = set(), 0
    for number, given in enumerate(plans()):
        kinds |= {given.meter, *("ramps" for mark in given.tempo if mark.ramp), "beats" if given.beats else ""}
        stems = {role: sound_of(given, seed) for seed, role in enumerate(("drums", "bass"), start=1)}
        folder = pack.write(tmp_path / str(number), sound_of(given), record_of(given), stems, sample_rate=rate)
        off += _check_positions(folder, given.on(replace(given.time_base, sample_rate=rate)), rate)
        shutil.rmtree(folder)
    assert off == 0 and {"7/8", "ramps", "beats"} <= kinds


def _check_positions(folder: Path, plan: Plan, rate: int) -> int:
    """How many positions of a pack are not the rounded exact ones; what else is there is checked on the way."""
    bar = meter_quarters(plan.meter)

    def sample(bars: float) -> int:
        exact = plan.tempo_map.seconds_at(np.array(bars * bar)) * rate
        return min(int(np.rint(exact)), plan.length)

    firsts = np.cumsum([0, *(len(section.bars) for section in plan.sections)]).tolist()
    sections = [
        (sample(a), sample(b), s.label or "?") for a, b, s in zip(firsts, firsts[1:], plan.sections, strict=False)
    ]
    sections = [one for one in sections if one[1] > one[0]]
    bars = [(sample(i), f"bar {i + 1}") for i in range(plan.n_bars) if sample(i) < sample(i + 1)]
    halves = [
        (i + j / len(c.chords), 1 / len(c.chords), x)
        for i, c in enumerate(plan.bars)
        if c.chords
        for j, x in enumerate(c.chords)
    ]
    chords = [(sample(at), name) for at, length, name in halves if sample(at) < sample(at + length)]

    mix = folder / f"{pack.name(plan)}.wav"
    info = wavinfo.WavInfoReader(mix, info_encoding="utf-8")
    cues = [(at, info.cues.label_and_note(name)[0], info.cues.range(name)) for name, at in info.cues.each_cue()]
    wanted = [(a, name, b - a) for a, b, name in sections] + [(at, name, None) for at, name in bars + chords]
    off = len(set(cues) ^ set(wanted))
    assert len(cues) == len(wanted) and info.data.frame_count == plan.length and info.fmt.sample_rate == rate
    loops = [(loop.start, loop.end + 1) for loop in info.smpl.sample_loops]
    is_loop = plan.ending is not None and plan.ending.kind == "cut"
    assert loops == ([(sample(0), sample(plan.n_bars))] if is_loop and plan.length == sample(plan.n_bars) else [])

    clicks = soundfile.read(folder / "click.wav", dtype="float32")[0]
    beats = [number + start / bar for number in range(plan.n_bars) for start in METER_BEATS[plan.meter]]
    levels = np.float32(riff_levels(clicks))
    off += len({at for at, _ in levels} ^ {sample(beat) for beat in beats if sample(beat) < plan.length})
    found = rows((folder / "labels.txt").read_text())
    off += len({(round(a * rate), round(b * rate), name) for a, b, name in found} ^ set(sections))

    for stem in ("01_drums", "02_bass"):
        assert soundfile.info(folder / f"stems/{stem}.wav").frames == plan.length
    with zipfile.ZipFile(folder / "session.dawproject") as archive:
        root = ElementTree.fromstring(archive.read("project.xml"))
        paths = [element.get("path") for element in root.iter("File")]
        assert [archive.read(path) for path in paths] == [
            (folder / "stems" / Path(path).name).read_bytes() for path in paths
        ]
    check_schema(root)
    begin = seconds_at(root, float(next(root.iter("Clip")).get("time")))
    marks = [(seconds_at(root, float(one.get("time"))) - begin) * rate for one in root.iter("Marker")]
    off += sum(round(at) != start for at, (start, _, _) in zip(marks, sections, strict=True))

    assert Plan.from_json((folder / "plan.json").read_text()) == plan
    _check_midi(folder / "plan.mid", plan)
    sheet, _ = formats.read(folder / "leadsheet.musicxml")
    chart, _ = formats.read(folder / "chords.txt")
    assert sheet.n_bars == chart.n_bars == plan.n_bars
    return off


def riff_levels(clicks: np.ndarray) -> list[tuple[int, float]]:
    """Where clicks begin in a file of 24 bits."""
    from hybridgen.formats.click import FIRST, OTHER

    grid = [np.float32(np.rint(level * (1 << 23)) / (1 << 23)) for _, level in (FIRST, OTHER)]
    mono = clicks[:, 0].copy()
    for level, (_, exact) in zip(grid, (FIRST, OTHER), strict=True):
        mono[mono == level] = np.float32(exact)
    return onsets(mono)


def _check_midi(path: Path, plan: Plan) -> None:
    """Ticks are the plan's; a tempo of MIDI is a whole number of microseconds, half of one off at most."""
    file = mido.MidiFile(path)
    tick, markers, tempi = 0, [], []
    for message in file.tracks[0]:
        tick += message.time
        if message.type == "marker":
            markers.append(tick)
        elif message.type == "set_tempo":
            tempi.append((tick, message.tempo))
    firsts = np.cumsum([0, *(len(section.bars) for section in plan.sections)])[:-1]
    assert markers == (firsts * plan.bar_ticks).tolist()
    end = plan.n_bars * plan.bar_ticks
    stops = [at for at, _ in tempi[1:]] + [end]
    seconds = sum((stop - at) / TICKS * tempo * 1e-6 for (at, tempo), stop in zip(tempi, stops, strict=True))
    first, last = plan.tempo_map.seconds_at(np.array([0, end / TICKS]))
    assert abs(seconds - (last - first)) <= 0.5e-6 * end / TICKS + 1e-9
    for number, role in enumerate(mido_roles(file), start=1):
        notes = {i * plan.bar_ticks + note.tick for i, bar in enumerate(plan.part(role).bars) for note in bar or ()}
        assert notes == set(note_ticks(file.tracks[number]))


def mido_roles(file: mido.MidiFile) -> list[str]:
    return [part.name for part in file.tracks[1:]]


def note_ticks(part: mido.MidiTrack) -> Iterator[int]:
    tick = 0
    for message in part:
        tick += message.time
        if message.type == "note_on" and message.velocity:
            yield tick


# ---- the pack


def test_a_pack_holds_the_track_and_what_belongs_to_it(tmp_path: Path):
    stems = {"drums": sound_of(PLAN, 1), "lead": sound_of(PLAN, 2)}
    folder = pack.write(tmp_path / "packs", sound_of(PLAN), record_of(PLAN), stems)
    assert folder == tmp_path / "packs" / NAME and not list(tmp_path.rglob("*.tmp"))
    assert sorted(contents(folder)) == sorted([*FILES, f"{NAME}.wav", "stems/01_drums.wav", "stems/02_lead.wav"])
    mix = folder / f"{NAME}.wav"
    assert np.array_equal(Audio.load(mix).samples, sound_of(PLAN).samples)
    assert manifest.verify(mix) == [] and manifest.read(mix).plan == PLAN
    assert riff.read(mix).info["INAM"] == "Warm lo-fi hip hop" and riff.read(mix).acid.root == 9
    assert np.array_equal(Audio.load(folder / "stems/02_lead.wav").samples, stems["lead"].samples)
    drums, lead = (riff.read(folder / "stems" / name) for name in ("01_drums.wav", "02_lead.wav"))
    assert drums.acid == replace(lead.acid, root=None) and drums.sampler.loop == (0, PLAN.length)
    assert all(tags.is_marked(folder / name) for name in (f"{NAME}.wav", "stems/01_drums.wav"))
    assert not tags.is_marked(folder / "click.wav")  # nothing generated it


def test_a_zip_holds_the_folder_and_the_same_track_gives_the_same_bytes(tmp_path: Path):
    folder = pack.write(tmp_path / "packs", sound_of(PLAN), record_of(PLAN), {"bass": sound_of(PLAN, 1)}, bits="32f")
    for name in ("a.zip", "b.zip"):
        pack.write(tmp_path / name, sound_of(PLAN), record_of(PLAN), {"bass": sound_of(PLAN, 1)}, bits="32f")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name.removeprefix(f"{NAME}/"): archive.read(name) for name in archive.namelist()} == contents(folder)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(("bits", "subtype"), [("16", "PCM_16"), ("24", "PCM_24"), ("32f", "FLOAT")])
def test_bits_and_rate_are_those_that_are_given(bits: str, subtype: str, tmp_path: Path):
    folder = pack.write(
        tmp_path, sound_of(PLAN), record_of(PLAN), {"lead": sound_of(PLAN)}, bits=bits, sample_rate=48_000
    )
    for path in folder.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.subtype, info.samplerate) == (subtype, 48_000)
    assert manifest.verify(folder / f"{NAME}.wav") == []
    assert manifest.read(folder / f"{NAME}.wav").plan == PLAN  # what made the track, at its own rate


def test_a_sound_that_is_a_sample_short_goes_on_as_it_ended(tmp_path: Path):
    lengths = set()
    for tempo in range(60, 130):
        plan = replace(PLAN, tempo=(Tempo(1, tempo + 0.3),), sections=(Section(None, (Bar(),)),))
        at_48 = plan.on(TimeBase(48_000))
        lengths.add(at_48.length - round(plan.length * 48_000 / 44_100))
        if at_48.length - round(plan.length * 48_000 / 44_100) == 1:
            ones = Audio(np.full((2, plan.length), 0.5, np.float32), 44_100)
            folder = pack.write(tmp_path / str(tempo), ones, record_of(plan), {}, sample_rate=48_000)
            end = Audio.load(folder / f"{pack.name(plan)}.wav").samples[:, -2:]
            assert np.array_equal(end[:, 0], end[:, 1])
    assert {0, 1} <= lengths <= {-1, 0, 1}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, NAME),
        ({"prompt": ""}, "Track_133bpm_Am_3bar"),
        ({"prompt": "日本の音楽"}, "Track_133bpm_Am_3bar"),
        ({"prompt": "Café 'noir'/../etc\\x: more", "key": None}, "Cafe-Noir-Etc-X_133bpm_3bar"),
        ({"prompt": "a\x1b[0m\u202eb", "key": "F# minor"}, "A-0mb_133bpm_Gbm_3bar"),
        (
            {"tempo": (Tempo(1, 84, ramp=True), Tempo(3, 104.4)), "key": "Eb major"},
            "Warm-Lo-Fi-Hip-Hop_84-104bpm_Eb_3bar",
        ),
    ],
)
def test_names_are_safe_and_say_tempo_key_and_bars(fields: dict, name: str):
    assert pack.name(replace(PLAN, **fields)) == name


# ---- what cannot be, and what must not be lost


@pytest.mark.parametrize(
    ("options", "stems", "words"),
    [
        ({"bits": "20"}, {}, "bits '20' is none of 16, 24, 32f"),
        ({"sample_rate": 22_050}, {}, "rate 22050 is none of 44100, 48000"),
        ({}, {"../x": sound_of(PLAN)}, "role '../x'"),
        ({}, {"bass": Audio(np.zeros((2, 9), np.float32), 44_100)}, "bass has 9 samples at 44100 Hz, the mix"),
        ({}, {"bass": Audio(sound_of(PLAN).samples * 3, 44_100)}, "stems: bass: samples up to 1.5"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_left(options: dict, stems: dict, words: str, tmp_path: Path):
    with pytest.raises(ValueError, match=words):
        pack.write(tmp_path / "packs", sound_of(PLAN), record_of(PLAN), stems, **options)
    assert list(tmp_path.iterdir()) == []


def test_floats_may_be_over_full_scale(tmp_path: Path):
    loud = Audio(sound_of(PLAN).samples * 3, 44_100)
    folder = pack.write(tmp_path, sound_of(PLAN), record_of(PLAN), {"bass": loud}, bits="32f")
    assert np.array_equal(Audio.load(folder / "stems/01_bass.wav").samples, loud.samples)


def test_a_plan_without_bars_and_a_sound_of_another_length_are_refused(tmp_path: Path):
    unknown = Plan(n_samples=44_100)
    with pytest.raises(ValueError, match="the plan has 0 bars and so no tempo"):
        pack.write(tmp_path / "x.zip", sound_of(unknown), record_of(unknown), {})
    short = Audio(sound_of(PLAN).samples[:, :44_100], 44_100)
    with pytest.raises(ValueError, match=r"1.000 s of sound, but its plan has 4.748 s"):
        pack.write(tmp_path / "x.zip", short, record_of(PLAN), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("out", ["packs", "x.zip"])
def test_a_pack_that_fails_leaves_what_was_there(
    out: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_args: object) -> None:
        raise error

    pack.write(tmp_path / out, sound_of(PLAN), record_of(PLAN), {})
    before = contents(tmp_path)
    monkeypatch.setattr(dawproject, "write", fails)
    with pytest.raises(type(error)) as raised:
        pack.write(tmp_path / out, sound_of(PLAN, 1), record_of(PLAN), {})
    assert contents(tmp_path) == before and not [path for path in tmp_path.rglob(".*")]
    assert not isinstance(error, OSError) or "hybridgen-" not in str(raised.value.filename)
    with pytest.raises(type(error)):
        pack.write(tmp_path / "new", sound_of(PLAN), record_of(PLAN), {})
    assert not (tmp_path / "new").exists()


# ---- by command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    track(tmp_path / "track.flac")
    return tmp_path


def test_a_track_becomes_a_pack_by_command(folder: Path, capsys: pytest.CaptureFixture):
    assert main(["export", "track.flac", "-o", "pack.zip", "--bits", "16", "--rate", "48000", "--no-stems"]) == 0
    with zipfile.ZipFile("pack.zip") as archive:
        sound = soundfile.info(io.BytesIO(archive.read(f"{NAME}/{NAME}.wav")))
    assert (sound.subtype, sound.samplerate) == ("PCM_16", 48_000)
    assert main(["export", "track.flac", "-o", "packs", "--no-stems"]) == 0
    assert sorted(contents(folder / "packs" / NAME)) == sorted([*FILES, f"{NAME}.wav"])
    assert main(["verify", f"packs/{NAME}/{NAME}.wav"]) == 0
    assert main(["export", f"packs/{NAME}/{NAME}.wav", "-o", "again.zip", "--no-stems"]) == 0
    assert NAME in capsys.readouterr().out


@pytest.mark.parametrize("out", ["pack.zip", "packs"])
def test_a_pack_is_replaced_when_that_is_asked_for(out: str, folder: Path, capsys: pytest.CaptureFixture):
    assert main(["export", "track.flac", "-o", out, "--no-stems"]) == 0
    before = contents(folder)
    assert main(["export", "track.flac", "-o", out, "--bits", "16", "--no-stems"]) == 2
    assert "replacing it takes overwrite" in capsys.readouterr().err and contents(folder) == before
    assert main(["export", "track.flac", "-o", out, "--bits", "16", "--overwrite", "--no-stems"]) == 0
    assert contents(folder) != before and contents(folder).keys() == before.keys()


def test_a_folder_that_holds_more_than_a_pack_is_never_replaced(folder: Path, capsys: pytest.CaptureFixture):
    assert main(["export", "track.flac", "-o", "packs", "--no-stems"]) == 0
    (folder / "packs" / NAME / "my-song.als").write_text("work")
    assert main(["export", "track.flac", "-o", "packs", "--overwrite", "--no-stems"]) == 2
    assert "'my-song.als', which is not of a pack" in capsys.readouterr().err
    (folder / "packs" / NAME / "my-song.als").unlink()
    mix = f"packs/{NAME}/{NAME}.wav"
    assert main(["export", mix, "-o", "packs", "--overwrite", "--no-stems"]) == 2
    assert "holds the input" in capsys.readouterr().err and (folder / mix).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["track.flac", "-o", "x.rar"], "cannot be written as '.rar'"),
        (["track.flac", "-o", "x.mid", "--bits", "16"], "--bits is for a pack"),
        (["track.flac", "-o", "x.m4a", "--no-stems"], "--no-stems is for a pack"),
        (["track.flac", "-o", "x.zip", "--rate", "22050"], "rate 22050 is none of"),
        (["track.flac", "-o", "x.zip", "--bits", "20"], "bits '20' is none of"),
        (["track.flac", "-o", "x.zip", "--labels", "bars"], "--labels are written as text"),
        (["plan.json", "-o", "x.zip"], "is made of a track, not of a plan alone"),
        (["plan.json", "-o", "x.opus"], "is made of a track, not of a plan alone"),
        (["other.wav", "-o", "x.zip"], "carries no hybridgen manifest"),
        (["unknown.wav", "-o", "x.zip"], "the plan has 0 bars and so no tempo"),
        (["track.flac", "-o", "none/x.zip"], "does not exist"),
        (["none.flac", "-o", "x.zip"], "No such file"),
    ],
)
def test_what_cannot_be_exported_is_one_line(arguments: list[str], words: str, folder: Path, capsys):
    (folder / "plan.json").write_text(PLAN.to_json())
    sound_of(PLAN).save(folder / "other.wav")
    track(folder / "unknown.wav", Plan(n_samples=44_100))
    before = contents(folder)
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1 and contents(folder) == before


def test_a_track_that_was_changed_is_said_to_be(folder: Path, capsys: pytest.CaptureFixture):
    sound_of(PLAN).save(folder / "changed.wav", record_of(PLAN))
    with (folder / "changed.wav").open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert main(["export", "changed.wav", "-o", "x.zip", "--no-stems"]) == 0
    assert "was changed" in capsys.readouterr().err


@pytest.mark.parametrize("kind", formats.CHAPTERED)
def test_a_track_becomes_a_file_with_chapters_by_command(kind: str, folder: Path):
    av = pytest.importorskip("av")
    assert main(["export", "track.flac", "-o", f"x{kind}"]) == 0
    with av.open(f"x{kind}") as file:
        assert [one["metadata"]["title"] for one in file.chapters()] == ["verse", "chorus"]
