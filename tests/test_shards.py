"""Shards: other tools read them, the same samples make the same bytes, and no changed byte is taken for music."""

import os
import random
import signal
import tarfile
from pathlib import Path

import pytest

from hybridgen.data import shards
from hybridgen.data.shards import CorruptShardError, Shard, find_corruption

SAMPLES = [(f"{i:06d}", {"safetensors": bytes([i]) * (700 * i), "json": b'{"i": %d}\n' % i}) for i in range(4)]
SAMPLES[2][1]["notes.safetensors"] = b"notes"
METADATA = {"codec": "c0dec", "lengths": [1, 2, 3, 4]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shards.write(tmp_path / "000000.tar", SAMPLES, METADATA)
    return tmp_path / "000000.tar"


def test_every_part_comes_back(path: Path):
    shard = Shard(path)
    assert shard.names == tuple(name for name, _ in SAMPLES) and shard.metadata == METADATA
    for row, (_, parts) in enumerate(SAMPLES):
        assert {kind: bytes(shard.read(row, kind)) for kind in parts} == parts
    assert shard.read(0, "notes.safetensors") is None and shard.read(0, "wav") is None
    assert find_corruption(path) == []


def test_any_tar_reader_reads_it_as_webdataset_does(path: Path):
    with tarfile.open(path) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
        assert all(member.mtime == 0 and member.uid == 0 for member in tar)
    assert found == {f"{name}.{kind}": data for name, parts in SAMPLES for kind, data in parts.items()}
    keys = [name.partition(".")[0] for name in found]
    assert keys == sorted(keys)  # the parts of a sample are adjacent


def test_the_same_samples_make_the_same_bytes(path: Path, tmp_path: Path):
    again = tmp_path / "again.tar"
    shards.write(again, SAMPLES, METADATA)
    assert again.read_bytes() == path.read_bytes()
    assert again.with_suffix(".index").read_bytes() == path.with_suffix(".index").read_bytes()


def test_two_hundred_flipped_bytes_are_all_found(path: Path):
    rng = random.Random(0)
    for file in (path, path.with_suffix(".index")):
        whole = file.read_bytes()
        for place in rng.sample(range(len(whole)), 100):
            spoilt = bytearray(whole)
            spoilt[place] ^= 1 << rng.randrange(8)
            file.write_bytes(spoilt)
            assert find_corruption(path), f"{file.name}, byte {place}"
        file.write_bytes(whole)
    assert find_corruption(path) == []


def test_files_that_are_too_short_or_too_long_are_found(path: Path):
    for file in (path, path.with_suffix(".index")):
        whole = file.read_bytes()
        for size in (0, 1, 64, 65, 511, 512, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            assert find_corruption(path), f"{file.name} of {size} bytes"
        file.write_bytes(whole + b"\0")
        assert find_corruption(path)
        file.write_bytes(whole)


def test_a_flipped_byte_spoils_one_sample_and_no_other(path: Path):
    start = path.read_bytes().index(b'{"i": 1}')
    spoilt = bytearray(path.read_bytes())
    spoilt[start + 6] ^= 1
    path.write_bytes(spoilt)
    [line] = find_corruption(path)
    assert "000001.json" in line
    shard = Shard(path)
    assert bytes(shard.read(1, "safetensors")) == SAMPLES[1][1]["safetensors"]
    with pytest.raises(CorruptShardError, match=r"000001.json: not the bytes that were written"):
        shard.read(1, "json")


def test_the_command_line_reads_every_byte(path: Path, capsys: pytest.CaptureFixture):
    for expected in (0, 1):
        with pytest.raises(SystemExit) as left:
            shards.main([str(path.parent)])
        assert left.value.code == expected
        assert f"1 shards, {expected} corrupt parts" in capsys.readouterr().out
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("n_before", range(len(SAMPLES) + 1))
def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path: Path, n_before: int):
    """Kill -9 at every sample, writing a new shard or over an old one; then the bytes are those of one go."""
    path, whole = tmp_path / "000000.tar", tmp_path / "whole.tar"
    shards.write(whole, SAMPLES, METADATA)
    shards.write(path, SAMPLES[:1], {})

    def killed():
        yield from SAMPLES[:n_before]
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        shards.write(path, killed(), METADATA)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(CorruptShardError, match="No such file"):
        Shard(path)
    shards.write(path, SAMPLES, METADATA)
    assert path.read_bytes() == whole.read_bytes()
    assert path.with_suffix(".index").read_bytes() == whole.with_suffix(".index").read_bytes()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a.b", "", "x" * 81, "a\0b", "è"])
def test_names_that_are_not_safe_everywhere_are_refused(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=r"name .* does not match"):
        shards.write(tmp_path / "a.tar", [(name, {"json": b"{}"})], {})
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="name 'a' occurs twice"):
        shards.write(tmp_path / "a.tar", [("a", {"json": b"{}"})] * 2, {})
    with pytest.raises(ValueError, match=r"kind '\.\./json'"):
        shards.write(tmp_path / "a.tar", [("a", {"../json": b"{}"})], {})
    with pytest.raises(ValueError, match="without parts"):
        shards.write(tmp_path / "a.tar", [], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "part",
    [
        "[0, 9, 2048, 0]",  # a digest that is none
        '[0, 9999, 2048, "00"]',
        '[2048, 9, 0, "00"]',
        f'[0, {2**70}, 2048, "{"00" * 32}"]',
        f'[0, {2**62}, 2048, "{"00" * 32}"]',
        f'[0, 5, 2048, "{"00" * 32}"]',
        f'[1024, 2000, 2048, "{"00" * 32}"]',
        "7",
        "null",
    ],
)
def test_a_forged_index_is_distinguished_from_a_true_one(tmp_path: Path, part: str):
    """Its own hash is right: it was forged. No read leaves the tar, and none returns unverified bytes."""
    (tmp_path / "a.tar").write_bytes(bytes(2048))
    index = f'{{"facts": {{}}}}\n{{"name": "a", "parts": {{"json": {part}}}}}\n'
    shards.write_checksummed(tmp_path / "a.index", index.encode())
    assert find_corruption(tmp_path / "a.tar")
