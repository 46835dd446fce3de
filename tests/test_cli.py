"""The command line: every command runs; a mistake is one clear line, exit code 2, and nothing is left behind."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import manifest
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline


@pytest.fixture(scope="module")
def model(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pipe.save_pretrained(tmp_path_factory.mktemp("model")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code


def test_from_prompt_to_edit_to_replay(model: str, here: Path, capsys: pytest.CaptureFixture):
    made = run(
        *("generate", "jazz, 120 BPM in C minor, 8 bars", "--seed", "3", "--model", model, "-o", "t.flac"),
        *("--plan-out", "plan.json", "--plot", "t.png"),
    )
    assert made == 0
    assert "0:16.000" in capsys.readouterr().out
    assert json.loads(Path("plan.json").read_text())["key"] == "C minor"
    assert soundfile.info("t.flac").frames == 16 * 44_100
    assert Path("t.flac.latents.safetensors").exists()
    assert Path("t.png").stat().st_size > 10_000
    assert run("repaint", "t.flac", "--bars", "3-4", "--chords", "Am F,G", "--model", model, "-o", "new.flac") == 0
    assert run("replay", "new.flac", "--model", model, "-o", "again.flac") == 0
    assert Path("again.flac").read_bytes() == Path("new.flac").read_bytes()
    assert run("inspect", "new.flac") == 0
    assert "| Am      | F G     |" in capsys.readouterr().out
    assert run("verify", "new.flac") == 0
    data = bytearray(Path("new.flac").read_bytes())
    data[-1000] ^= 4
    Path("new.flac").write_bytes(data)
    assert run("verify", "new.flac") == 1


def test_threads_are_those_that_are_asked_and_recorded(model: str, here: Path, capsys: pytest.CaptureFixture):
    before = torch.get_num_threads()
    try:
        for threads in ("2", "1"):
            made = ("generate", "jazz, 240 BPM, 2 bars", "--seed", "3", "--model", model, "--threads", threads)
            assert run(*made, "-o", f"{threads}.flac") == 0 and torch.get_num_threads() == int(threads)
            assert manifest.read(f"{threads}.flac").versions["threads"] == threads
        capsys.readouterr()
        assert run(*made[:-1], "0", "-o", "t.flac") == 2
        assert capsys.readouterr().err.strip().endswith("--threads 0 is outside 1-512")
    finally:
        torch.set_num_threads(before)


def test_a_track_gets_another_tempo_or_another_ending_as_a_whole(model: str, here: Path, capsys: pytest.CaptureFixture):
    made = ("generate", "jazz, 240 BPM, 4/4, 6 bars, ends abruptly", "--seed", "3", "--model", model, "-o", "t.flac")
    assert run(*made) == 0
    assert run("repaint", "t.flac", "--bars", "2-3", "--tempo", "120", "--model", model, "-o", "new.flac") == 2
    said = capsys.readouterr().err
    command = said.split("hybridgen repaint ", 1)[1].split()
    assert command == ["t.flac", "--tempo", "120", "-o", "new.flac"] and len(said.splitlines()) == 1
    assert run("repaint", *command, "--model", model) == 0
    assert soundfile.info("new.flac").frames == 2 * soundfile.info("t.flac").frames == 12 * 44_100
    old, new = (manifest.read(path) for path in ("t.flac", "new.flac"))
    assert [bar.chords for bar in new.plan.bars] == [bar.chords for bar in old.plan.bars]
    assert str(new.plan.ending) == "cut" and new.operations[0].seed == old.operations[0].seed
    assert run("repaint", "t.flac", "--ending", "fade 2", "--model", model, "-o", "faded.flac") == 0
    before, after = (soundfile.read(path, dtype="int32")[0] for path in ("t.flac", "faded.flac"))
    assert np.array_equal(after[: 3 * 44_100], before[: 3 * 44_100]) and not np.array_equal(after, before)
    assert run("inspect", "faded.flac") == 0
    assert "change of the ending" in capsys.readouterr().out
    assert run("replay", "faded.flac", "--model", model, "-o", "again.flac") == 0
    assert Path("again.flac").read_bytes() == Path("faded.flac").read_bytes()
    for rest, words in (
        ((), "--bars is missing"),
        (("--plan", "p.json"), "hybridgen render p.json"),
        (("--ending", "sudden"), "ending 'sudden' is none of ring-out, cut, fade"),
    ):
        assert run("repaint", "t.flac", *rest, "--model", model, "-o", "new.flac") == 2
        assert words in capsys.readouterr().err


def test_plans_to_read_and_render(model: str, here: Path, capsys: pytest.CaptureFixture):
    assert run("plan", "a waltz", "--bars", "4", "-n", "2", "--seed", "1", "--model", model, "-o", "plan.json") == 0
    assert sorted(p.name for p in here.iterdir()) == ["plan-1.json", "plan-2.json"]
    assert run("inspect", "plan-1.json") == 0
    assert "3/4" in capsys.readouterr().out
    assert run("inspect", "plan-1.json", "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("plan-1.json").read_text())
    for name in ("plan.abc", "plan.mid"):  # as `export` writes it
        assert run("plan", "plan-1.json", "-o", name) == run("export", "plan-1.json", "-o", f"same-{name}") == 0
        assert Path(name).read_bytes() == Path(f"same-{name}").read_bytes()
    assert run("render", "plan-2.json", "--no-latents", "--model", model, "-o", "t.ogg") == 0
    assert not Path("t.ogg.latents.safetensors").exists()


HELPED = (
    "generate",
    "plan",
    "repaint",
    "extend",
    "loop",
    "vary",
    "cover",
    "layer",
    "style",
    "stems",
    "stream",
    "export",
    "judge",
)


@pytest.mark.parametrize("command", [*HELPED, "compare", "inspect", "finetune", "evaluate"])
def test_help_is_printed(command: str, capsys: pytest.CaptureFixture):
    assert run(command, "--help") == 0
    assert f"usage: hybridgen {command}" in capsys.readouterr().out


def test_encode_and_decode_keep_the_length(model: str, here: Path):
    soundfile.write("a.wav", np.random.default_rng(0).standard_normal((50_001, 2)) * 0.1, 44_100)
    assert run("encode", "a.wav", "-o", "l.safetensors", "--model", model) == 0
    assert run("decode", "l.safetensors", "-o", "b.wav", "--model", model) == 0
    assert soundfile.info("b.wav").frames == 50_001
    assert not soundfile.read("b.wav")[0][0].any()  # it opens from silence


def test_prompt_file_default_name_and_info(model: str, here: Path, capsys: pytest.CaptureFixture):
    Path("p.txt").write_text("Slow Ambient, D minor\n")
    assert run("generate", "--prompt-file", "p.txt", "--seconds", "1", "--seed", "5", "--model", model) == 0
    assert Path("slow-ambient-d-minor-5.flac").exists()
    assert run("info", "--model", model) == 0
    said = capsys.readouterr().out
    assert "renderer" in said and "attention: of windows by PyTorch (the others need CUDA)" in said


def test_what_the_prompt_asks_and_nobody_can_do_is_said(model: str, here: Path, capsys: pytest.CaptureFixture):
    assert run("generate", "a song with vocals, 11/8", "--seconds", "1", "--model", model, "-o", "t.wav") == 0
    notes = capsys.readouterr().err
    assert "11/8" in notes
    assert "instrumental" in notes


def test_a_range_of_tempi_and_what_was_read_are_said(model: str, here: Path, capsys: pytest.CaptureFixture):
    plan = ("plan", "C# minor, ritardando", "--bars", "8", "--tempo", "96-100", "--seed", "1", "-o", "plan.json")
    assert run(*plan, "--model", model) == 0
    marks = json.loads(Path("plan.json").read_text())["tempo"]
    assert 96 <= marks[0]["bpm"] <= 100 and [mark["bar"] for mark in marks] == [1, 5, 8]
    assert marks[2]["bpm"] == round(0.7 * marks[0]["bpm"], 1)
    assert "from your words: to 70% of the tempo by the last bar, C# minor\n" in capsys.readouterr().out
    assert run(*plan[:1], "120 bpm, C# minor, 8 bars", "--tempo", "90", *plan[-2:], "--model", model) == 0
    assert capsys.readouterr().out.startswith("from your words: C# minor, 8 bars\n")
    assert run("understand", "slow, the tempo is not 120, glorp") == 0
    said = "".join(capsys.readouterr())
    assert "50-92 BPM" in said and "'the tempo is not 120' is left free" in said and "not understood: glorp" in said
    assert run("understand", "--json", "from 80 to 140 BPM, Cmaj7#11 - F - G") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["controls"]["tempo"] == 80 and "Cmaj7 is taken" in found["notes"][0]


GENERATE = ("generate", "x", "-o", "t.wav")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*GENERATE, "--key", "H minor"), "H minor"),
        ((*GENERATE, "--tempo", "0"), "tempo 0"),
        ((*GENERATE, "--tempo", "fast"), "fast"),
        ((*GENERATE, "--seconds", "1e9"), "1e+09"),
        ((*GENERATE, "--bars", "4", "--seconds", "3"), "bars 4 and seconds 3"),
        ((*GENERATE, "--steps", "0"), "steps 0"),
        ((*GENERATE, "--seed", "-3"), "seed -3"),
        (("generate", "", "-o", "t.wav"), "prompt is empty"),
        (("generate", "-o", "t.wav"), "prompt"),
        (("generate", "x", "-o", "t.aiff"), ".aiff"),
        (("generate", "x", "-o", "nowhere/t.wav"), "nowhere"),
        (("generate", "x", "-o", "t.wav", "--plan-out", "nowhere/p.json"), "nowhere"),
        (("generate", "--prompt-file", "big.txt", "-o", "t.wav"), "1048576"),
        (("generate", "--prompt-file", "none.txt", "-o", "t.wav"), "none.txt"),
        (("generate", "--prompt-file", "bytes.bin", "-o", "t.wav"), "UTF-8"),
        (("render", "bad.json", "-o", "t.wav"), "bar 2"),
        (("render", "text.txt", "-o", "t.wav"), "no chord symbol"),
        (("render", "none.json", "-o", "t.wav"), "none.json"),
        (("plan", "none.mid", "-o", "p.json"), "none.mid: No such file"),
        (("generate", "None.json", "-o", "t.wav"), "None.json: No such file"),
        (("generate", "bad.json", "-o", "t.wav"), "prompt 'bad.json' is a file: hybridgen render takes plans"),
        (("cover", "sound.wav", "text.txt", "-o", "t.wav"), "prompt 'text.txt' is a file"),
        (("loop", "none.abc", "-o", "t.wav"), "none.abc: No such file"),
        (("plan", "x", "-o", "p.flac"), "output 'p.flac': a plan cannot be written as '.flac', only as .json .mid"),
        (("inspect", "text.txt"), "no hybridgen manifest"),
        (("replay", "text.txt", "-o", "t.wav"), "no hybridgen manifest"),
        (("repaint", "text.txt", "--bars", "1-2", "-o", "t.wav"), "text.txt"),
        (("repaint", "sound.wav", "--bars", "1-2", "-o", "t.wav"), "tempo and downbeat"),
        (("repaint", "sound.wav", "--tempo", "120", "-o", "t.wav"), "--bars is missing; of a recording"),
        (("repaint", "sound.wav", "--bars", "last", "-o", "t.wav"), "'last'"),
        (("encode", "text.txt", "-o", "l.safetensors"), "text.txt"),
        (("decode", "cut.safetensors", "-o", "t.wav"), "cut.safetensors"),
        (("decode", "text.txt", "-o", "t.wav"), "text.txt"),
        (("generate", "x", "--model", "no/such/folder", "-o", "t.wav"), "no/such/folder"),
        (("compose", "x"), "compose"),
        ((), "COMMAND"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], words: str, model: str, pipe: Pipeline, here: Path, capfd: pytest.CaptureFixture
):
    Path("text.txt").write_text("hello, this is neither audio nor a plan\n" * 50)
    Path("big.txt").write_text("x" * (1 << 20))
    Path("bytes.bin").write_bytes(b"\xff\xfe\xfa")
    Path("bad.json").write_text('{"hybridgen_plan": 1, "tempo": 90, "sections": [{"chords": ["Am", "Zm"]}]}')
    Path("cut.safetensors").write_bytes((Path(model) / "codec.safetensors").read_bytes()[:-100])
    soundfile.write("sound.wav", np.zeros((44_100, 2)), 44_100)
    before = sorted(here.iterdir())
    takes_model = arguments[:1] and arguments[0] not in ("inspect", "compose") and "--model" not in arguments
    capfd.readouterr()
    assert run(*arguments, *(("--model", model) if takes_model else ())) == 2
    error = capfd.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_full_disk_is_one_line_and_leaves_nothing(ending: str, model: str, here: Path, capfd: pytest.CaptureFixture):
    """A limit on the size of files stands in for the disk: the system refuses the write in the same way."""
    capfd.readouterr()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
    try:
        assert run("generate", "x", "--seconds", "20", "--seed", "1", "--model", model, "-o", f"t{ending}") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert len(capfd.readouterr().err.strip().splitlines()) == 1
    assert list(here.iterdir()) == []


def test_a_place_where_the_latents_cannot_go_is_said_before_the_render(
    model: str, here: Path, capfd: pytest.CaptureFixture
):
    Path("t.wav.latents.safetensors").mkdir()
    capfd.readouterr()
    assert run("generate", "x", "--seconds", "1", "--model", model, "-o", "t.wav") == 2
    assert "is a folder" in capfd.readouterr().err
    assert [path.name for path in here.iterdir()] == ["t.wav.latents.safetensors"]


def test_replay_never_asks_the_hub_on_a_files_word(
    pipe: Pipeline, here: Path, capfd: pytest.CaptureFixture, monkeypatch
):
    track = pipe.generate("techno", seconds=1, seed=1)
    first = track.manifest.operations[0]
    named = replace(first, model=replace(first.model, name="evil/model"))
    replace(track, manifest=replace(track.manifest, operations=(named,))).save("t.wav")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the Hub was asked"))
    assert run("replay", "t.wav", "-o", "again.wav") == 2
    assert "made by the model 'evil/model', which is not here: name it with --model" in capfd.readouterr().err
