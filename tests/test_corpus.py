"""The corpus on disk: it resumes where it stopped, a song written again is the same file, test songs stay apart."""

import json

import numpy as np
import pytest
import soundfile

from hybridgen.data import synth
from hybridgen.data.composer import compose
from hybridgen.data.corpus import main, read, split, write
from hybridgen.plan.plan import Plan

SECONDS = (4.0, 6.0)


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
        assert record.plan == song.plan
        assert record.genre == song.genre
        assert len(record.captions) == 10
        assert all(record.captions)


def test_some_roles_are_written_without_the_others_as_loud_as_in_the_mix(folder):
    for record in read(folder):
        assert 1 <= len(record.subsets) <= 2
        mixed, _ = soundfile.read(record.audio)
        for roles in record.subsets:
            assert set(roles) < {role for role, _ in record.plan.instruments}
            alone, rate = soundfile.read(record.audio_of(roles))
            assert (alone.shape, rate) == (mixed.shape, 44_100) and alone.any()
            assert np.square(alone).mean() < 1.5 * np.square(mixed).mean()
    assert len({roles for record in read(folder) for roles in record.subsets}) > 1


def test_the_audio_has_the_samples_of_the_plan(folder):
    for record in read(folder):
        samples, rate = soundfile.read(record.audio, always_2d=True)
        assert rate == 44_100
        assert samples.shape == (record.plan.length, 2)
        assert 0.05 < np.abs(samples).max() < 10 ** (-1 / 20)
        assert soundfile.info(record.audio).subtype == "PCM_16"


def test_a_song_written_again_is_the_same_file(folder):
    paths = [folder / "songs" / f"000018{suffix}" for suffix in (".flac", ".json")]
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


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--hours", "0"], "hours 0.0: must be more than 0"),
        (["--seconds", "60", "20"], "seconds 60 to 20: must be increasing"),
        (["--workers", "0"], "workers 0: must be at least 1"),
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
