"""The corpus on disk: it resumes where it stopped, a song written again is the same file, test songs stay apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from hybridgen.data import synth
from hybridgen.data.composer import compose
from hybridgen.data.corpus import draw_subsets, main, read, split, write
from hybridgen.data.sound import sources
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import SOUND_WORDS

SECONDS = (4.0, 6.0)
SOUNDS = ("fluid-r3", "synthesis")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    if not any(soundfont.path.is_file() for soundfont in synth.SOUNDFONTS):
        pytest.skip("no soundfont is installed")
    folder = tmp_path_factory.mktemp("corpus")
    write(folder, seed=3, first=18, count=2, seconds=SECONDS, workers=1)
    return folder


def test_a_folder_reads_back_as_the_songs_that_were_composed(folder):
    records = read(folder)
    assert [record.index for record in records] == [18, 19]
    for record in records:
        song = compose(3, record.index, SECONDS)
        assert record.song() == song
        assert record.plan == replace(song.plan, sound=("general midi",))
        assert record.genre == song.genre
        assert len(record.captions) == 10
        assert all(record.captions)


def test_some_roles_are_written_without_the_others_as_loud_as_in_the_mix(folder):
    for record in read(folder):
        assert 1 <= len(record.subsets) <= 2
        song, player = record.song(), synth.Synth()
        _, gain_db = synth.mix(player.play(song))
        for roles in record.subsets:
            written, rate = soundfile.read(record.audio_of(roles), dtype="float32")
            alone, _ = synth.mix(player.play(song, roles), gain_db)
            assert rate == 44_100
            np.testing.assert_allclose(written, alone.samples.T, atol=2**-15)  # 16 bits


def test_roles_add_up_to_the_mix_where_nothing_is_limited(folder):
    song, player = read(folder)[0].song(), synth.Synth()
    _, gain_db = synth.mix(player.play(song))
    roles, quiet = [channel.role for channel in song.channels], gain_db - 20  # no peak reaches the limiter
    whole, first, rest = (
        synth.mix(player.play(song, part), quiet)[0].samples for part in (roles, roles[:1], roles[1:])
    )
    assert rms(first + rest - whole) < 0.01 * rms(whole) and min(rms(first), rms(rest)) > 0.01 * rms(whole)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


def test_every_file_is_a_mix_or_roles_that_its_song_lists(folder):
    expected = set()
    for record in read(folder):
        names = [(), *record.subsets]
        expected |= {f"{'-'.join((f'{record.index:06d}', *roles))}.flac" for roles in names}
        expected.add(f"{record.index:06d}.json")
        assert all(record.audio_of(roles).is_file() for roles in record.subsets)
    assert {path.name for path in (folder / "songs").iterdir()} == expected


def test_subsets_are_different_some_of_the_roles_and_mostly_one():
    drawn = []
    for index in range(60):
        song = compose(0, index, (20, 20))
        roles = [channel.role for channel in song.channels]
        subsets = draw_subsets(song, 2)
        assert subsets == draw_subsets(song, 2) and len(subsets) == len(set(subsets)) <= 2
        assert bool(subsets) == (len(roles) > 1) and draw_subsets(song, 0) == []
        for subset in subsets:
            assert set(subset) < set(roles) and list(subset) == [role for role in ROLES if role in subset]
        drawn += subsets
    assert 0.5 < np.mean([len(subset) == 1 for subset in drawn]) < 0.9
    assert {len(subset) for subset in drawn} >= {1, 2, 3}


def test_a_corpus_without_subsets_has_mixes_alone(tmp_path, folder):
    write(tmp_path, seed=3, first=18, count=1, seconds=SECONDS, workers=1, subsets=0)
    assert {path.name for path in (tmp_path / "songs").iterdir()} == {"000018.flac", "000018.json"}
    mixed = folder / "songs" / "000018.flac"
    assert (tmp_path / "songs" / mixed.name).read_bytes() == mixed.read_bytes()
    with pytest.raises(ValueError, match="the songs there have subsets 0, not 2"):
        write(tmp_path, seed=3, first=18, count=1, seconds=SECONDS, workers=1)


def test_the_audio_has_the_samples_of_the_plan(folder):
    for record in read(folder):
        samples, rate = soundfile.read(record.audio, always_2d=True)
        assert rate == 44_100
        assert samples.shape == (record.plan.length, 2)
        assert 0.05 < np.abs(samples).max() < 10 ** (-1 / 20)
        assert soundfile.info(record.audio).subtype == "PCM_16"


def test_a_song_written_again_is_the_same_file(folder):
    paths = sorted((folder / "songs").glob("000018*"))
    assert len(paths) > 2  # the mix, some roles alone, what is known
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    summary = write(folder, seed=3, first=18, count=2, seconds=SECONDS, workers=1)
    assert (summary.written, summary.found) == (1, 1)
    assert [path.read_bytes() for path in paths] == before


def test_what_is_there_is_not_written_again(folder):
    before = {path: path.stat().st_mtime_ns for path in (folder / "songs").iterdir()}
    summary = write(folder, seed=3, first=18, count=2, seconds=SECONDS, workers=2)
    assert (summary.written, summary.found, summary.audio_hours) == (0, 2, 0)
    assert {path: path.stat().st_mtime_ns for path in (folder / "songs").iterdir()} == before


def test_processes_write_what_one_process_writes(folder, tmp_path):
    write(tmp_path, seed=3, first=18, count=2, seconds=SECONDS, workers=2)
    for path in (folder / "songs").iterdir():
        assert (tmp_path / "songs" / path.name).read_bytes() == path.read_bytes()


def test_a_song_without_its_json_is_not_counted(folder, tmp_path):
    songs = tmp_path / "songs"
    songs.mkdir()
    (songs / "000018.flac").write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"contains no songs/\*\.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.pop("index"), "has no 'index'"),
        (lambda facts: facts.update(plan=3), "expected dict, got 3"),
        (lambda facts: facts.update(subsets=3), "not iterable"),
    ],
)
def test_a_damaged_file_is_named(folder, tmp_path, change, message):
    facts = json.loads((folder / "songs" / "000018.json").read_text())
    change(facts)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "000018.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=rf"000018\.json: .*{message}"):
        read(tmp_path)


def test_the_split_follows_the_songs_identity(folder):
    assert [record.split for record in read(folder)] == ["train", "test"]
    assert sum(split(index) == "test" for index in range(1000)) == 50


def test_a_folder_holds_one_corpus(folder):
    with pytest.raises(ValueError, match="the songs there have seed 3, not 4"):
        write(folder, seed=4, first=0, count=1, seconds=SECONDS, workers=1)
    with pytest.raises(ValueError, match=r"seconds \[4.0, 6.0\], not \[5.0, 6.0\]"):
        write(folder, seed=3, first=0, count=1, seconds=(5.0, 6.0), workers=1)


def test_the_song_files_are_plain_json_and_the_corpus_names_the_soundfonts_license(folder):
    facts = json.loads((folder / "songs" / "000019.json").read_text())
    assert set(facts) == {"index", "seed", "genre", "mood", "captions", "plan", "channels", "notes", "subsets"}
    assert isinstance(Plan.from_dict(facts["plan"]), Plan)
    assert "MIT license" in json.loads((folder / "corpus.json").read_text())["notice"]


@pytest.fixture(scope="module")
def produced(folder, tmp_path_factory):
    """The same songs by synthesis and the soundfont, in the studio."""
    if sources.BY_NAME["fluid-r3"].missing(folder):
        pytest.skip("sound fluid-r3 is not here: apt-get install fluid-soundfont-gm")
    made = tmp_path_factory.mktemp("produced")
    write(made, seed=3, first=18, count=2, seconds=SECONDS, workers=1, sounds=SOUNDS)
    return made


def test_a_produced_corpus_says_what_played_and_what_was_done(produced, folder):
    facts = json.loads((produced / "corpus.json").read_text())
    assert facts["sounds"] == list(SOUNDS) and "soundfont" not in facts
    assert facts["notices"] == sources.notices(SOUNDS) and "MIT license" in facts["notices"]["fluid-r3"]["notice"]
    for record, plain in zip(read(produced), read(folder), strict=True):
        sound = json.loads(record.audio.with_suffix(".json").read_text())["sound"]
        assert {voice["source"] for voice in sound["voices"].values()} <= set(facts["notices"])
        assert list(sound["voices"]) == [channel.role for channel in record.song().channels]
        assert record.sound == tuple(sound["kinds"]) and set(record.sound) <= set(SOUND_WORDS)
        assert record.song() == plain.song() and record.subsets == plain.subsets and plain.sound == ()


def test_produced_roles_add_up_and_are_the_same_when_written_again(produced, tmp_path):
    write(tmp_path, seed=3, first=18, count=1, seconds=SECONDS, workers=1, sounds=SOUNDS)
    written = sorted((tmp_path / "songs").iterdir())
    assert len(written) > 2
    assert all(path.read_bytes() == (produced / "songs" / path.name).read_bytes() for path in written)
    with pytest.raises(ValueError, match="the songs there have soundfont None"):
        write(produced, seed=3, first=18, count=1, seconds=SECONDS, workers=1)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sounds", "kazoo"], "sounds kazoo: known are fluid-r3, musescore"),
        (["--sounds", "synthesis"], "sounds synthesis: fluid-r3 or musescore must be among them"),
        (["--hours", "0"], "hours 0.0: must be more than 0"),
        (["--seconds", "60", "20"], "seconds 60 to 20: must be increasing"),
        (["--workers", "0"], "workers 0: must be at least 1"),
        (["--subsets", "-1"], "subsets -1: must be at least 0"),
        (["--out", "/dev/null/corpus"], "[Errno 20] Not a directory"),
    ],
)
def test_bad_input_ends_in_one_line(argv, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--out", str(tmp_path / "new"), *argv])
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"corpus: {message}")
    assert printed.count("\n") == 1
    assert not (tmp_path / "new").exists()
