"""Folders of songs as people have them: what is a song, what is its caption, and what is said about the rest."""

import json
from pathlib import Path

import pytest

from hybridgen.cli import main
from hybridgen.data import song_folder

CAPTION = "deep house, 124 BPM in F minor"


def fill(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def captions(folder: Path) -> dict[str, str]:
    return {str(song.path.relative_to(folder)): song.caption for song in song_folder.read(folder).songs}


@pytest.mark.parametrize(
    "leaving", ["._a.wav", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/b.wav", ".git/c.wav"]
)
def test_leavings_of_systems_are_passed_over(tmp_path, leaving):
    found = song_folder.read(fill(tmp_path, {"a.wav": "", leaving: "\0\5\26\7"}))
    assert [song.path.name for song in found.songs] == ["a.wav"] and not found.passed_over


def test_every_ending_that_ffmpeg_reads_is_taken_and_subfolders_too(tmp_path):
    names = ["a.WAV", "b.aif", "c.opus", "d.oga", "e.caf", "f.webm", "g.mp4", "one/a.m4a", "two/deep/b.wma"]
    assert list(captions(fill(tmp_path, dict.fromkeys(names, "")))) == names


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": CAPTION},
        {"a.TXT": f"\n {CAPTION.replace(', ', ',' + chr(10))}\n"},
        {"a.wav.txt": CAPTION},
        {"a.txt": b"\xef\xbb\xbf" + CAPTION.encode()},
        {"a.txt": CAPTION.encode("utf-16")},
        {"a.txt": CAPTION.encode("utf-16-le")},
        {"a.txt": CAPTION.encode("utf-16-be")},
        {"a.caption.txt": CAPTION, "a.txt": "[Verse]\nlines that are sung\n"},
        {"a.caption.txt": CAPTION, "a.txt": "another"},
        {"a.txt": CAPTION, "metadata.csv": "file_name,text\na.wav,another\n"},
        {"metadata.csv": f'file_name,text\na.wav,"{CAPTION}"\n'},
        {"metadata.csv": f'path,caption\n"./a.wav","{CAPTION}"\n'},
        {"metadata.jsonl": json.dumps({"file_name": "a.wav", "text": CAPTION}) + "\n\n"},
        {"captions.json": json.dumps({"a.wav": CAPTION})},
        {"captions.json": json.dumps({"a.wav": {"prompt": CAPTION}})},
        {"captions.json": json.dumps([{"audio": "a.wav", "caption": CAPTION}, 7])},
    ],
)
def test_a_caption_is_found_wherever_people_put_it(tmp_path, files):
    assert captions(fill(tmp_path, {"a.wav": ""} | files)) == {"a.wav": CAPTION}


def test_latin_1_is_read_and_a_folder_above_may_say_what_is_below(tmp_path):
    words = "café, 96 BPM"
    metadata = "file_name,text\nx/b.wav,waltz\n"
    fill(tmp_path, {"x/a.wav": "", "x/a.txt": words.encode("latin-1"), "x/b.wav": "", "metadata.csv": metadata})
    assert captions(tmp_path) == {"x/a.wav": words, "x/b.wav": "waltz"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "[Verse 1]\nlines that are sung\n[Chorus]\n", "lyrics, no caption"),
        ("a.txt", "[00:12.50] a line that is sung", "lyrics, no caption"),
        ("a.lrc", "words", "lyrics"),
        ("a.lyrics.txt", "words", "lyrics"),
        ("a.txt", b"\x00\x01\x02\x03", "no text"),
        ("a.txt", "x" * 10_001, "over 10000 characters, no caption"),
        ("a.mid", "MThd", "notes without sound"),
        ("other.txt", "words", "a text beside no sound file"),
        ("cover.jpg", "", "no sound files"),
        ("metadata.jsonl", "{broken", "no captions (Expecting property name enclosed in double quotes"),
        ("captions.json", "[" * 100_000, "no captions ("),
    ],
)
def test_what_is_passed_over_is_named_with_its_reason(tmp_path, name, content, reason):
    found = song_folder.read(fill(tmp_path, {"a.wav": "", name: content}))
    assert found.songs[0].caption == ""
    [(path, why)] = found.passed_over
    assert path == tmp_path / name and why.startswith(reason)
    assert reason in found.table() and name in found.table()


def test_the_table_says_what_was_read_from_each_caption(tmp_path):
    fill(tmp_path, {"a.wav": "", "a.txt": f"{CAPTION}, zzyx", "b.wav": "", "c.jpg": "", ".DS_Store": ""})
    table = song_folder.read(tmp_path).table()
    assert table.splitlines()[0].endswith("2 songs, 1 with a caption")
    assert "a.wav: 124 BPM, F minor (from a.txt)" in table
    assert "not understood: zzyx" in table and "b.wav: no caption" in table
    assert "left there by an operating system: 1" in table


def test_what_we_make_of_the_songs_is_no_song(tmp_path):
    fill(tmp_path, {"a.wav": "", "style/training/songs/a-123.flac": ""})
    assert len(song_folder.read(tmp_path).songs) == 2
    assert len(song_folder.read(tmp_path, leave_out=tmp_path / "style").songs) == 1


def test_a_folder_without_songs_is_one_line(tmp_path, capsys):
    assert main(["finetune", str(fill(tmp_path, {"a.mid": ""})), "-o", str(tmp_path / "x")]) == 2
    assert "contains no sound files" in capsys.readouterr().err
