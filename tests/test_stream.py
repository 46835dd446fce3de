"""Endless music: what is steered, when it is heard, and that the record repeats it."""

import io
import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import manifest
from hybridgen.cli import main
from hybridgen.cli.stream import _piped, steering
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.render import stream as module
from hybridgen.render.stream import OVERLAP, WINDOW, Stream

VERSE = Section("verse", (Bar("Am"), Bar("F"), Bar("C"), Bar("G")), 4, ("drums", "bass", "lead"))
PLAN = Plan(
    (VERSE, replace(VERSE, label="chorus", energy=6), replace(VERSE, label="outro")),
    (Tempo(1, 150.0),),
    "4/4",
    "A minor",
    {"drums": 0, "bass": 33, "lead": 80},
    prompt="a test",
    seed=3,
)


def blocks(stream: Stream, n: int) -> list[np.ndarray]:
    return [next(stream) for _ in range(n)]


def closed(stream: Stream) -> list[np.ndarray]:
    stream.close()
    return list(stream)


def test_what_is_given_is_the_track_and_its_record_repeats_it(note_pipe: Pipeline):
    live, given, heard = note_pipe.stream(PLAN), [], []
    for step in (
        {"mute": ("drums",)},
        {"tempo": 100, "energy": 7},
        {"chords": ["Dm", "A"], "mute": ()},
        {"prompt": "b"},
    ):
        given += blocks(live, 20)
        bar = live.steer(**step)
        heard.append(live.plan.bar_starts()[bar - 1] - sum(block.shape[1] for block in given))
    given += blocks(live, 20) + closed(live)
    track, samples = live.track(), np.concatenate(given, axis=1)
    assert np.array_equal(samples, track.samples) and not samples[:, -1].any()
    again = note_pipe.replay(track.manifest)
    assert np.array_equal(again.samples, samples) and np.array_equal(again.latents, track.latents)
    assert again.manifest == track.manifest and len(track.manifest.operations) == 5
    bars = np.diff(track.plan.bar_starts()).max()
    assert min(heard) > 0 and max(heard) < 2 * bars


def test_steering_holds_from_its_bar_on_in_bars_that_are_not_written_yet_too(note_pipe: Pipeline):
    live = note_pipe.stream(PLAN)
    blocks(live, 10)
    bar = live.steer(chords=["Dm", "A"], mute=("lead",), energy=1)
    blocks(live, 40)
    after, before = live.plan.bars[bar - 1 :], live.plan.bars[: bar - 1]
    assert [one.chords for one in after[:6]] == [("Dm",), ("A",)] * 3
    assert [one.chords for one in before] == [one.chords for one in PLAN.bars[: bar - 1]]
    labels = [section.label for section in live.plan.sections]
    assert "outro" not in labels and live.plan.n_bars > PLAN.n_bars  # the form goes on
    lead = live.plan.part("lead").bars
    assert any(lead[: bar - 1]) and not any(lead[bar - 1 :])
    assert {section.energy for section in live.plan.sections[-2:]} == {1}


def test_a_tempo_is_as_it_was_steered_and_no_bar_that_was_played_moves(note_pipe: Pipeline):
    with pytest.warns(UserWarning, match="in steps, not gradually: 150 BPM from bar 1 on, 233.3 BPM from bar 7 on"):
        live = note_pipe.stream(replace(PLAN, tempo=(Tempo(1, 150, ramp=True), Tempo(7, 233.3), Tempo(12, 90))))
    asked = {}
    for bpm in (123.4, 77.7, 201.9):
        blocks(live, 20)
        before = live.plan.bar_starts()
        bar = live.steer(tempo=bpm)
        assert np.array_equal(live.plan.bar_starts()[:bar], before[:bar])
        asked[bar] = Tempo(bar, bpm)
    blocks(live, 20)
    closed(live)
    recorded = live.track().manifest.operations
    assert [mark for mark in recorded[-1].plan.tempo if mark.bar in asked] == list(asked.values())
    for old, new in itertools.pairwise(recorded):
        kept = np.searchsorted(new.plan.bar_starts(), new.fresh[0][0]) + 1
        assert np.array_equal(new.plan.bar_starts()[:kept], old.plan.bar_starts()[:kept])


def test_steered_again_before_the_first_is_heard_both_hold(note_pipe: Pipeline):
    for n_blocks in range(8, 18, 2):
        live = note_pipe.stream(PLAN)
        given = blocks(live, n_blocks)
        live.steer(tempo=100)
        given += blocks(live, 5)
        live.steer(energy=7)
        given += blocks(live, 20) + closed(live)
        track = live.track()
        assert np.array_equal(note_pipe.replay(track.manifest).samples, np.concatenate(given, axis=1))
    with pytest.raises(ValueError, match="the stream is closed"):
        live.steer(energy=1)


def test_a_prompt_that_says_who_plays_is_heard_and_the_bars_before_stay_as_they_were(note_pipe: Pipeline):
    live = note_pipe.stream(PLAN)
    blocks(live, 10)
    bar = live.steer(prompt="solo piano")
    assert live.plan.prompt == "solo piano" and live.plan.sections[0].roles == VERSE.roles
    at = 0
    for section in live.plan.sections:
        at += len(section.bars)
        assert at < bar or section.roles == ("keys",)


def test_what_is_long_past_is_forgotten_and_the_music_goes_on(note_pipe: Pipeline, monkeypatch):
    whole = note_pipe.stream(PLAN)
    expected = np.concatenate(blocks(whole, 150), axis=1)
    monkeypatch.setattr(module, "LONGEST", 30.0)
    monkeypatch.setattr(module, "KEPT", 9.0)
    live = note_pipe.stream(PLAN)
    given = np.concatenate(blocks(live, 150), axis=1)
    assert live.plan.seconds < 40 and len(live._latents) < 900 and live._raw.shape[1] < 200_000
    assert np.isfinite(given).all() and np.array_equal(given[:, : 12 * 44_100], expected[:, : 12 * 44_100])
    bar = live.steer(energy=0)
    assert bar > live.plan.n_bars - 16  # counted from the beginning
    track = live.track()
    assert 12 < track.plan.seconds < 24 and live.seconds == pytest.approx(150 * 8192 / 44_100)
    assert np.array_equal(note_pipe.replay(track.manifest).samples, track.samples)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"tempo": 1000}, "tempo 1000"),
        ({"energy": 9}, "energy 9"),
        ({"mute": ("tuba",)}, "tuba"),
        ({"chords": ["H"]}, "'H'"),
        ({"prompt": "x" * 100_000}, "prompt"),
    ],
)
def test_steering_that_is_not_possible_changes_nothing(note_pipe: Pipeline, asked: dict, words: str):
    live = note_pipe.stream(PLAN)
    blocks(live, 2)
    before = live.plan
    with pytest.raises(ValueError, match=words):
        live.steer(**asked)
    assert live.plan == before


def test_what_of_a_prompt_is_left_out_is_said(note_pipe: Pipeline):
    live = note_pipe.stream(PLAN)
    with pytest.warns(UserWarning, match="tempo in the prompt is not changed"):
        live.steer(prompt="solo piano at 90 BPM")


@pytest.mark.parametrize("seconds", [0.1, 3.7, 8.00001, 11.3])
def test_it_ends_at_the_sample_that_is_asked_for_and_its_record_repeats_it(note_pipe: Pipeline, seconds: float):
    live, given = note_pipe.stream(PLAN), []
    live.end(seconds)
    for number, block in enumerate(live):
        given.append(block)
        if number == 20:
            live.steer(energy=7, tempo=100)
    samples, track = np.concatenate(given, axis=1), live.track()
    assert samples.shape[1] == round(44_100 * seconds) == track.plan.length and not samples[:, -1].any()
    assert len(track.manifest.operations) == (2 if seconds > 8 else 1)
    assert np.array_equal(track.samples, samples)
    assert np.array_equal(note_pipe.replay(track.manifest).samples, samples)
    with pytest.raises(ValueError, match="is rendered to"):
        live.end(seconds + 1)


def test_it_ends_exactly_too_where_what_is_past_is_forgotten(note_pipe: Pipeline, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 12.0)
    monkeypatch.setattr(module, "KEPT", 5.0)
    live = note_pipe.stream(PLAN)
    given = blocks(live, 40)
    with pytest.raises(ValueError, match=r"seconds 2: the stream is rendered to .* s already"):
        live.end(2)
    live.end(25.5)
    given += list(live)
    assert sum(block.shape[1] for block in given) == round(25.5 * 44_100) and live.seconds == 25.5
    assert live._past > 0


@pytest.mark.parametrize(("name", "value"), [("seconds", 2.0), ("ending", "fade 2")])
def test_what_is_endless_has_neither_length_nor_ending(note_pipe: Pipeline, name: str, value: object, capsys):
    with pytest.raises(ValueError, match=f"{name} .*2.*: a stream goes on"):
        note_pipe.stream("house", **{name: value})
    with pytest.raises(SystemExit) as stopped:
        main(["stream", "house", f"--{name}", str(value), "-o", "-"])
    assert stopped.value.code == 2 and f"--{name}" in capsys.readouterr().err


def test_what_cannot_be_streamed_is_refused(pipe: Pipeline, note_pipe: Pipeline):
    with pytest.raises(ValueError, match="does not write and play notes"):
        pipe.stream(PLAN)
    with pytest.raises(ValueError, match="a stream needs bars at a tempo"):
        note_pipe.stream(Plan(n_samples=44_100))
    with pytest.raises(ValueError, match="nothing of the stream"):
        note_pipe.stream(PLAN).track()


def test_windows_reach_into_what_is_rendered():
    assert 0 < WINDOW - OVERLAP <= 16  # what is steered is heard soon


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tempo 96.5", {"tempo": 96.5}),
        ("energy 6", {"energy": 6}),
        ("chords Am F,G", {"chords": ["Am", "F,G"]}),
        ("mute drums bass", {"mute": ["drums", "bass"]}),
        ("mute", {"mute": []}),
        ("prompt solo piano", {"prompt": "solo piano"}),
    ],
)
def test_a_typed_line_says_what_is_steered(line: str, expected: dict):
    name, _, rest = line.partition(" ")
    assert steering(name, rest) == expected


@pytest.mark.parametrize("line", ["tempo fast", "energy 6.5", "louder", "chords", "prompt"])
def test_a_typed_line_that_says_nothing_is_refused(line: str):
    name, _, rest = line.partition(" ")
    with pytest.raises(ValueError, match=name):
        steering(name, rest)


def test_a_piped_wav_file_has_a_header_and_its_samples():
    file = io.BytesIO()
    write = _piped(file, 44_100, is_raw=False)
    write(np.array([[0.5, -1.0], [0.0, 1.0]], dtype=np.float32))
    head, data = file.getvalue()[:44], file.getvalue()[44:]
    assert (
        head[:4] == b"RIFF"
        and head[8:16] == b"WAVEfmt "
        and struct.unpack("<HHIIHH", head[20:36])
        == (
            *(1, 2, 44_100),
            *(176_400, 4, 16),
        )
    )
    assert np.frombuffer(data, "<i2").tolist() == [16384, 0, -32767, 32767]


def test_the_command_writes_and_records(note_pipe: Pipeline, tmp_path, monkeypatch, capsys):
    model = note_pipe.save_pretrained(tmp_path / "model", half=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("energy 7\nnonsense\n"))
    out, record = tmp_path / "out.wav", tmp_path / "rec.flac"
    asked = ["stream", "a test in 4/4, 150 BPM", "--seed", "3", "--for", "4", "--model", str(model)]
    assert main([*asked, "-o", str(out), "--record", str(record)]) == 0
    shown = capsys.readouterr()
    assert "from bar 1: energy 7" in shown.err and "'nonsense'" in shown.err and not shown.out
    written, recorded = (soundfile.read(path, dtype="int32")[0] for path in (out, record))
    assert np.array_equal(written, recorded) and len(written) == 4 * 44_100
    assert len(manifest.read(record).operations) in (1, 2)
    for rest, words in (
        (["-o", "x.flac"], "not .wav"),
        (["-o", "x.wav"], "--for SECONDS"),
        (["-o", str(out), "--raw", "--for", "1"], "--raw"),
        (["-o", "-", "--for", "-1"], "--for -1"),
    ):
        assert main(["stream", "a test", *rest, "--model", str(model)]) == 2
        assert words in capsys.readouterr().err


def test_noise_of_frames_before_the_first_goes_on(note_pipe: Pipeline):
    from hybridgen import flow

    both = flow.noise(7, -100, 100, 4)
    assert torch.equal(both[100:], flow.noise(7, 0, 100, 4)) and torch.equal(both[:64], flow.noise(7, -100, -36, 4))
    assert abs(float(both[:100].std()) - 1) < 0.1
