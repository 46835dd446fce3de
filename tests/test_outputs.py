"""What exists is never lost: outputs appear together or not at all, and replace only what hybridgen made."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen import files, interrupts, manifest, outputs, plot, weights
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.track import Track, find_latents, sidecar
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def tracks(pipe: Pipeline) -> tuple[Track, Track]:
    one, two = (pipe.generate("techno, 130 bpm", seconds=0.5, seed=seed) for seed in (1, 2))
    return one, two


@pytest.fixture(scope="module")
def model(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pipe.save_pretrained(tmp_path_factory.mktemp("model")))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- together or not at all


def wrapped(owner: object, name: str, attempt: Callable[[str], None]) -> Callable:
    original = getattr(owner, name)

    def call(*args, **options):
        writes = name != "open" or any(letter in str(args[1:2]) for letter in "w+")
        if writes:
            attempt(name)
        return original(*args, **options)

    return call


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, KeyboardInterrupt], ids=str)
@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_whatever_operation_fails_the_old_track_or_the_new_one_is_there_whole(
    ending: str, error: int | type[BaseException], tracks: tuple[Track, Track], tmp_path: Path
):
    path, n_points = tmp_path / f"x{ending}", 0
    operations = [(Path, name) for name in ("touch", "replace", "unlink", "chmod", "write_bytes", "open")]
    operations += [(os, "fsync"), (os, "link"), (soundfile.SoundFile, "write")]
    for point in range(1, 100):
        tracks[0].save(path)
        old, passed = contents(tmp_path), []

        def attempt(name: str, point: int = point, passed: list = passed) -> None:
            passed.append(name)
            if len(passed) == point:
                raise OSError(error, os.strerror(error)) if isinstance(error, int) else error

        with pytest.MonkeyPatch.context() as patch:
            for owner, name in operations:
                patch.setattr(owner, name, wrapped(owner, name, attempt))
            with contextlib.suppress(OSError, KeyboardInterrupt):
                tracks[1].save(path)
        if len(passed) < point:
            break
        n_points += 1
        left = {name: data for name, data in contents(tmp_path).items() if not name.endswith(".tmp")}
        made = manifest.read(path).operations
        assert left == old or (left.keys() == old.keys() and made == tracks[1].manifest.operations)
        assert not manifest.verify(path) and find_latents(path)[0] == sidecar(path)
        rubbish = [name for name in contents(tmp_path) if name.endswith(".tmp")]
        assert not rubbish or "unlink" in passed[point - 1 :]
        for name in rubbish:
            (tmp_path / name).unlink()
    assert n_points >= 20


def test_outputs_are_taken_back_when_the_next_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "c":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    (tmp_path / "b").write_text("old b")
    with pytest.raises(OSError) as caught, files.Outputs() as together:
        for name in "abc":
            together.add(tmp_path / name).write_text(f"new {name}")
    assert contents(tmp_path) == {"b": b"old b"} and caught.value.filename == str(tmp_path / "c")


def test_an_error_names_the_output_and_not_the_temporary_file(tmp_path: Path):
    with pytest.raises(OSError) as caught, files.Outputs() as together:
        temporary = together.add(tmp_path / "a.txt")
        together.add(tmp_path / "b.txt")
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_the_mode_and_a_link_stay(tmp_path: Path):
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o600)
    link.symlink_to(path)
    with files.atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_killed_run_has_left_goes_and_nothing_else(tmp_path: Path):
    ours, fresh, foreign = (
        tmp_path / name for name in (".hybridgen-0123abcd.tmp", ".hybridgen-99999999.tmp", ".x.tmp")
    )
    for path in (ours, fresh, foreign):
        path.touch()
    for path in (ours, foreign):
        os.utime(path, (0, time.time() - 2 * files.STALE_SECONDS))
    files.write_json(tmp_path / "a.json", {})
    assert sorted(os.listdir(tmp_path)) == sorted([fresh.name, foreign.name, "a.json"])


# ---- signals


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_while_files_are_written_leaves_the_old_ones(number: int, tmp_path: Path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(interrupts.Stopped) as stopped, interrupts.handled(unwinds=False), files.Outputs() as together:
        together.add(tmp_path / "a").write_text("new")
        signal.raise_signal(number)
    assert stopped.value.exit_code == 128 + number and contents(tmp_path) == {"a": b"old"}


def test_a_signal_while_files_are_moved_waits_for_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(interrupts.Stopped), interrupts.handled(unwinds=True), files.Outputs() as together:
        for name in "ab":
            together.add(tmp_path / name).write_text("new")
    assert contents(tmp_path) == {"a": b"new", "b": b"new"}


STARTED = "from hybridgen.__main__ import main; print('started', flush=True); main()"


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.3)])
def test_a_signal_during_the_start_is_one_line(number: int, delay: float, tmp_path: Path):
    command = [sys.executable, "-c", STARTED, "generate", "techno", "-o", str(tmp_path / "t.wav")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    time.sleep(delay)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number and error == f"{interrupts.MESSAGE}\n"
    assert not list(tmp_path.iterdir())


# ---- what may be written


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", np.zeros((44_100, 2)), 44_100)
    Path("p.json").write_text('{"hybridgen_plan": 1, "samples": 44100, "sections": []}')
    Path("notes.json").write_text('{"mine": 1}')
    os.link("song.wav", "hard.wav")
    os.symlink("song.wav", "soft.wav")
    os.mkfifo("pipe.wav")
    return tmp_path


GENERATE = ("generate", "x", "--seconds", "1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "song.wav", "-o", "song.wav"), "is the input"),
        (("encode", "song.wav", "-o", "hard.wav"), "is the input"),
        (("encode", "song.wav", "-o", "./soft.wav", "--overwrite"), "is the input"),
        (("render", "p.json", "-o", "a.wav", "--plot", "p.json"), "ends in '.json'"),
        (("layer", "song.wav", "--role", "lead", "-o", "c.wav", "--alone", "c.wav"), "is also the output"),
        ((*GENERATE, "-o", "c.wav", "--plan-out", "c.wav"), "a plan cannot be written as '.wav', only as .json"),
        (("plan", "x", "-o", "c.xyz"), "a plan cannot be written as '.xyz', only as .json"),
        ((*GENERATE, "-o", "c.wav", "--plot", "c.xyz"), "ends in '.xyz'"),
        ((*GENERATE, "-o", "song.wav"), "was not made by hybridgen"),
        ((*GENERATE, "-o", "c.wav", "--plan-out", "notes.json"), "was not made by hybridgen"),
        (
            ("repaint", "song.wav", "--bars", "1", "--tempo", "90", "--downbeat", "0", "-o", "song.wav"),
            "is the input",
        ),
        (("loop", "song.wav", "-o", "hard.wav"), "is the input"),
        ((*GENERATE, "-o", "pipe.wav", "--overwrite"), "no regular file"),
        ((*GENERATE, "-o", "a" * 240 + ".wav"), "bytes, its folder allows 255"),
        ((*GENERATE, "-o", "\udcff.wav"), "not valid Unicode"),
        (("plan", "x", "-o", "none/p.json"), "does not exist"),
    ],
)
def test_an_output_is_checked_before_any_work(
    arguments: tuple[str, ...], words: str, here: Path, capfd: pytest.CaptureFixture
):
    before = {path.name: path.stat().st_mtime_ns for path in here.iterdir()}
    assert main([*arguments, "--model", "a model that is never opened"]) == 2
    error = capfd.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in here.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "x", "--tempo", "20"), "tempo 20"),
        (("plan", "x", "--bars", "4", "--seconds", "9"), "bars 4 and seconds 9"),
        (("generate", "x", "--steps", "100000000000"), "num_steps 100000000000"),
        (("generate", "x", "--seed", "-1"), "seed -1"),
        (("repaint", "song.wav", "--bars", "1", "--energy", "9"), "energy 9"),
    ],
)
def test_a_bad_value_is_refused_before_a_model_is_opened(
    arguments: tuple[str, ...], words: str, here: Path, capfd: pytest.CaptureFixture
):
    assert main([*arguments, "-o", "new.wav", "--model", "a model that is never opened"]) == 2
    assert words in capfd.readouterr().err


def test_what_is_ours_is_replaced_and_what_is_not_only_when_asked(tracks: tuple[Track, Track], here: Path):
    for ending in (".wav", ".flac", ".ogg", ".mp3"):
        path = tracks[0].save(here / f"t{ending}")
        tracks[1].save(path)
        assert outputs.is_ours(path, "track") and outputs.is_ours(sidecar(path), "latents")
    (here / "plan.json").write_text(tracks[0].plan.to_json())
    assert outputs.is_ours(here / "plan.json", "plan") and not outputs.is_ours(here / "notes.json", "plan")
    for ending in outputs.PICTURE_ENDINGS:
        plot.plot(tracks[0].samples, tracks[0].plan, here / f"t{ending}")
        assert outputs.is_ours(here / f"t{ending}", "picture")
    with pytest.raises(ValueError, match="was not made by hybridgen"):
        tracks[0].save(here / "song.wav")
    tracks[0].save(here / "song.wav", overwrite=True)
    assert manifest.carries(here / "song.wav")
    (here / "t.wav").chmod(0o444)
    with pytest.raises(ValueError, match="read-only"):
        tracks[0].save(here / "t.wav", overwrite=True)
    (here / "other.wav.latents.safetensors").write_bytes(b"precious")
    with pytest.raises(ValueError, match="was not made by hybridgen"):
        tracks[0].save(here / "other.wav")
    assert not (here / "other.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "song.wav", "-o", "t.flac"), "'t.flac' is of the kind 'track': replacing it by"),
        (("encode", "song.wav", "-o", "plan.json"), "'plan.json' is of the kind 'plan': replacing it by"),
        (("decode", "t.flac.latents.safetensors", "-o", "t.flac"), "'t.flac' is of the kind 'track'"),
        (("export", "t.flac", "-o", "song.wav.mid"), "'song.wav.mid' is of the kind 'plan'"),
        (("judge", "song.wav", "--json", "plan.json"), "'plan.json' is of the kind 'plan'"),
        ((*GENERATE, "-o", "c.wav", "--plot", "drawn.svg"), "was not made by hybridgen"),
        ((*GENERATE, "-o", "c.wav", "--plot", "drawn.png"), "was not made by hybridgen"),
        ((*GENERATE, "-o", "c.wav", "--plot", "drawn.pdf"), "was not made by hybridgen"),
        ((*GENERATE, "-o", "c.wav", "--plan-out", "said.json"), "was not made by hybridgen"),
    ],
)
def test_a_file_of_another_kind_and_one_that_only_speaks_of_us_stay(
    arguments: tuple[str, ...], words: str, tracks: tuple[Track, Track], here: Path, capfd: pytest.CaptureFixture
):
    tracks[0].save(here / "t.flac")
    for name in ("plan.json", "song.wav.mid"):
        (here / name).write_text(tracks[0].plan.to_json())
    for ending in outputs.PICTURE_ENDINGS:
        (here / f"drawn{ending}").write_text("<svg><text>hybridgen (hybridgen) beside my modular</text></svg>")
    (here / "said.json").write_text('["hybridgen_plan"]')
    before = {path.name: path.stat().st_mtime_ns for path in here.iterdir()}
    assert main([*arguments]) == 2
    error = capfd.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in here.iterdir()} == before


def test_two_tracks_of_one_stem_have_their_own_latents(tracks: tuple[Track, Track], pipe: Pipeline, tmp_path: Path):
    paths = [track.save(tmp_path / f"b{ending}") for track, ending in zip(tracks, (".wav", ".flac"), strict=True)]
    for path, track in zip(paths, tracks, strict=True):
        assert np.array_equal(weights.load_latents(sidecar(path))[0], track.latents)
        assert np.array_equal(pipe.open(path).latents, track.latents)


def test_the_default_name_avoids_what_is_not_ours(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("techno-5.flac").write_text("precious")
    for _ in range(2):  # the second time it is a track of ours
        assert main(["generate", "techno", "--seconds", "1", "--seed", "5", "--model", model]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.flac")) == ["techno-5-2.flac", "techno-5.flac"]
    assert Path("techno-5.flac").read_text() == "precious"
