"""Whole files: there or not there, read with a limit, and hashed."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from hybridgen import files


def test_a_file_is_replaced_whole_and_a_failure_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "new")]


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no folder"), files.atomic_write(tmp_path / "none" / "a.txt"):
        pytest.fail("the block ran")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_has_the_mode_that_the_umask_allows_whatever_its_writer_makes(tmp_path: Path):
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        with files.atomic_write(path) as temporary:
            temporary.unlink()
            temporary.touch(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_json_comes_back_and_what_is_none_or_too_long_is_refused(tmp_path: Path):
    path = tmp_path / "a.json"
    files.write_json(path, {"name": "Ünï", "n": [1, 2.5, None]})
    assert files.read_json(path) == {"name": "Ünï", "n": [1, 2.5, None]}
    with pytest.raises(ValueError, match="bytes is over the limit of 10"):
        files.read_json(path, 10)
    for text, reason in (("[1]", "holds list"), ("{", "is not JSON"), ("[" * 100_000, "is not JSON")):
        path.write_text(text)
        with pytest.raises(ValueError, match=reason):
            files.read_json(path)


def test_a_folder_is_replaced_whole_and_a_failure_leaves_what_was_there(tmp_path: Path):
    path, others = tmp_path / "pack", files.are_open()  # of tests that kill a run in the middle
    for text, names in (("old", "ab"), ("new", "bc")):
        with files.folder_write(path) as folder:
            for name in names:
                (folder / name).write_text(text)
            assert files.are_open()
    assert {one.name: one.read_text() for one in path.iterdir()} == {"b": "new", "c": "new"}
    with pytest.raises(OSError, match="full") as raised, files.folder_write(path) as folder:
        (folder / "d").write_text("half")
        raise OSError(28, "full", str(folder / "d"))
    assert raised.value.filename == str(path) and files.are_open() == others
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["b", "c", "pack"]
    with pytest.raises(FileNotFoundError, match="no folder"), files.folder_write(tmp_path / "none" / "pack"):
        pytest.fail("the block ran")


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "pack"
    path.mkdir()
    (path / "a").write_text("old")
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if target == path and self.suffix == ".tmp":
            raise OSError(5, "broken", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="broken"), files.folder_write(path) as folder:
        (folder / "a").write_text("new")
    assert [(one.name, one.read_text()) for one in tmp_path.rglob("*") if one.is_file()] == [("a", "old")]


def test_folders_that_killed_runs_have_left_are_removed(tmp_path: Path):
    left = tmp_path / ".hybridgen-0123abcd.tmp"
    left.mkdir()
    (left / "x").write_text("half")
    os.utime(left, (0, 0))
    (tmp_path / ".hybridgen-0123abcd.old").mkdir()  # a person's own, on its way back
    os.utime(tmp_path / ".hybridgen-0123abcd.old", (0, 0))
    with files.atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert sorted(one.name for one in tmp_path.iterdir()) == [".hybridgen-0123abcd.old", "a.txt"]


def test_the_hash_is_sha_256(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"music")
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"music").hexdigest()
