"""New bars in recordings that hybridgen did not make: codes, level, width, full scale, and bars that are heard."""

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import manifest
from hybridgen.analysis import detection
from hybridgen.audio import Audio
from hybridgen.cli import main
from hybridgen.cli.options import parse_bars
from hybridgen.codecs import stereo
from hybridgen.history import Change, Import
from hybridgen.pipeline import Pipeline
from hybridgen.planning import codes
from hybridgen.render import mixdown, splice
from tests.conftest import LATENT_HOP, SAMPLE_RATE

BPM, N_BARS = 120.0, 6


def sound(n_bars: int = N_BARS, level: float = 0.1, offset: float = 0.0, bar_seconds: float = 2.0) -> np.ndarray:
    """(2, N) float32: a chord a bar and a click a beat, from `offset` seconds on."""
    t = np.arange(round((n_bars * bar_seconds + offset) * SAMPLE_RATE)) / SAMPLE_RATE - offset
    chords = np.array([[220.0, 261.6, 329.6], [174.6, 220.0, 261.6], [164.8, 207.7, 246.9]])
    pitches = chords[np.floor(t / bar_seconds).astype(int) % 3]
    click = 0.2 + np.exp(-20 * (t % (bar_seconds / 4)))
    left = np.sin(2 * np.pi * pitches * t[:, None]).sum(1) * click
    right = np.sin(2 * np.pi * pitches * t[:, None] + 1).sum(1) * click
    return (level * np.stack([left, right]) * (t >= 0)).astype(np.float32)


def write(path: Path, samples: np.ndarray, subtype: str = "PCM_24") -> Path:
    soundfile.write(path, samples.T, SAMPLE_RATE, subtype=subtype)
    return path


@pytest.fixture
def quiet() -> None:
    warnings.simplefilter("ignore")


pytestmark = pytest.mark.filterwarnings("ignore:.*(encoded|full scale|heard)")


def test_the_codes_of_a_recording_are_the_quantizers_and_only_new_bars_are_planned(
    pipe: Pipeline, tmp_path, monkeypatch
):
    track = pipe.open(write(tmp_path / "a.wav", sound()), tempo=BPM, downbeat=0.0)
    expected = pipe.quantizer.encode(torch.from_numpy(track.latents.copy())[None])[0]
    assert track.plan.codes == tuple(map(tuple, expected.tolist()))
    asked = []
    decode_codes = codes.decode_codes
    monkeypatch.setattr(codes, "decode_codes", lambda *args: asked.append(args[6]) or decode_codes(*args))
    new = pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1)
    start, stop = track.plan.frames_of(track.plan.span((3, 3)), track.plan.time_base.code_hop)
    assert (asked[0][0] < 0).any(0).nonzero().flatten().tolist() == list(range(start, stop))
    for old_row, new_row in zip(track.plan.codes, new.plan.codes, strict=True):
        assert old_row[:start] == new_row[:start] and old_row[stop:] == new_row[stop:]


def test_an_older_file_of_a_recording_gets_the_quantizers_codes(pipe: Pipeline, tmp_path):
    track = pipe.open(write(tmp_path / "a.wav", sound()), tempo=BPM, downbeat=0.0)
    first = track.manifest.operations[0]
    assert isinstance(first, Import)
    old = replace(track.manifest, operations=(replace(first, plan=replace(first.plan, codes=())),))
    path = replace(track, plan=replace(track.plan, codes=()), manifest=old).save(tmp_path / "old.flac")
    assert pipe.open(path).plan.codes == track.plan.codes


@pytest.mark.parametrize("level", [0.02, 0.1])
def test_new_bars_are_as_loud_as_those_beside_them_unless_other_energy_is_asked(pipe, tmp_path, monkeypatch, level):
    track = pipe.open(write(tmp_path / "a.wav", sound(level=level)), tempo=BPM, downbeat=0.0)
    start, stop = (one * LATENT_HOP for one in track.plan.frames_of(track.plan.span((3, 3)), LATENT_HOP))

    def power(samples: np.ndarray) -> float:
        return 10 * math.log10(np.square(samples).mean(dtype=float))

    # a codec that takes 2 dB off what it decodes, and new bars that it decodes 4 dB lower still
    def decoded(stages, plan, latents, span, origin):
        samples = track.samples[:, span[0] : span[1]] * 10 ** (-(track.manifest.gain_db + 2) / 20)
        is_new = not np.array_equal(latents.numpy(), track.latents)
        samples[:, max(0, start - span[0]) : max(0, stop - span[0])] *= 10 ** (-4 / 20) if is_new else 1
        return samples.astype(np.float32)

    monkeypatch.setattr(mixdown, "decoded", decoded)
    inside, beside = slice(start, stop), np.delete(track.samples, slice(start, stop), axis=1)  # all of it is near
    alike = pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1)
    assert power(alike.samples[:, inside]) - power(beside) == pytest.approx(-splice.FREE_DB, abs=0.3)
    louder = pipe.repaint(track, track.plan.edit((3, 3), energy=7), (3, 3), seed=1)
    assert power(louder.samples[:, inside]) - power(track.samples[:, inside]) == pytest.approx(-4, abs=0.3)


def test_what_the_limiter_takes_off_new_bars_is_given_back(pipe: Pipeline, tmp_path, monkeypatch):
    track = pipe.open(write(tmp_path / "a.wav", sound(level=0.2)), tempo=BPM, downbeat=0.0)
    start, stop = (one * LATENT_HOP for one in track.plan.frames_of(track.plan.span((3, 3)), LATENT_HOP))

    def decoded(stages, plan, latents, span, origin):  # of the same power, but in high peaks
        samples = track.samples[:, span[0] : span[1]] * 10 ** (-track.manifest.gain_db / 20)
        if not np.array_equal(latents.numpy(), track.latents):
            inside = slice(max(0, start - span[0]), stop - span[0])
            at = (np.arange(*span) - 2000) % 4410 < 1000  # some time after each click
            samples[:, inside] *= np.where(at, 2.1, 0.0)[inside]
        return samples.astype(np.float32)

    monkeypatch.setattr(mixdown, "decoded", decoded)

    def gap() -> float:
        new = pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1).samples[:, start:stop]
        return splice._power_db(new) - splice._power_db(np.delete(track.samples, slice(start, stop), axis=1))

    mended = gap()
    monkeypatch.setattr(splice, "ROUNDS", 1)
    assert gap() < -1.5 and mended > gap() + 0.5


def test_new_bars_of_a_mono_recording_are_about_mono(pipe: Pipeline, tmp_path):
    samples = sound()
    samples[1] = samples[0]
    track = pipe.open(write(tmp_path / "a.wav", samples), tempo=BPM, downbeat=0.0)
    new = pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1)
    assert np.abs(new.samples[0] - new.samples[1]).max() < 1e-3


def test_a_recording_over_full_scale_is_turned_down_and_says_so(pipe: Pipeline, tmp_path):
    path = write(tmp_path / "loud.wav", sound(level=0.6), "FLOAT")
    with pytest.warns(UserWarning, match=r"over full scale, so all of it is turned down by \d"):
        track = pipe.open(path, tempo=BPM, downbeat=0.0)
    first = track.manifest.operations[0]
    assert isinstance(first, Import) and first.scale_db < 0
    assert np.abs(track.samples - sound(level=0.6) * 10 ** (first.scale_db / 20)).max() < 1e-5
    saved = pipe.repaint(track, track.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1).save(tmp_path / "new.flac")
    assert manifest.read(saved).operations[0].scale_db == first.scale_db


def test_a_recording_longer_than_a_track_can_be_is_refused(pipe: Pipeline, tmp_path):
    write(tmp_path / "long.flac", np.zeros((2, 601 * SAMPLE_RATE), np.float32))
    with pytest.raises(ValueError, match=r"601.00 s is outside the 0.1-600 s of a track"):
        pipe.open(tmp_path / "long.flac", tempo=BPM, downbeat=0.0)


# ---- what is heard


@pytest.mark.parametrize(("bar_seconds", "offset"), [(2.0, 0.0), (2.0, 0.7), (2.4, 0.3)])
def test_tempo_and_first_bar_line_are_heard_and_said(pipe: Pipeline, tmp_path, bar_seconds, offset):
    pytest.importorskip("librosa")
    path = write(tmp_path / "a.wav", sound(10, 0.1, offset, bar_seconds))
    with pytest.warns(UserWarning, match="heard .* BPM .*bar 1 at .*--tempo and --downbeat correct it"):
        track = pipe.open(path)
    first = track.manifest.operations[0]
    assert isinstance(first, Import)
    assert first.tempo == pytest.approx(240 / bar_seconds, rel=0.005)
    assert (first.downbeat - offset + 0.05) % bar_seconds < 0.1


def test_what_is_given_is_not_heard(tmp_path, monkeypatch):
    pytest.importorskip("librosa")
    path = write(tmp_path / "a.wav", sound(10))
    heard = detection.find_bars(path, Audio.load(path), tempo=BPM)
    assert heard.tempo == BPM and "BPM" not in heard.notes[0] and "bar 1 at" in heard.notes[0]
    monkeypatch.setattr(detection, "can_detect", lambda: False)
    assert detection.find_bars(path, Audio.load(path), BPM, 0.5).downbeat == 0.5
    with pytest.raises(ValueError, match=r"so downbeat must say where its bars are .*librosa"):
        detection.find_bars(path, Audio.load(path), tempo=BPM)


def test_where_no_beat_is_heard_that_is_said(tmp_path):
    pytest.importorskip("librosa")
    path = write(tmp_path / "a.wav", np.zeros((2, 5 * SAMPLE_RATE), np.float32))
    with pytest.raises(ValueError, match="no steady beat is heard in it, so tempo and downbeat must say"):
        detection.find_bars(path, Audio.load(path))


# ---- several ranges, and a whole file at once


def test_ranges_of_bars_are_read_in_order_and_apart():
    assert parse_bars("9-12, 3,5–6") == [(3, 3), (5, 6), (9, 12)]
    for text, words in (
        ("3,", "is no range"),
        ("a-b", "is no range"),
        ("3-5,5", "bar 5 is in two"),
        ("1" * 12, "no range"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_bars(text)


def test_several_ranges_are_made_new_and_what_is_between_stays(tmp_path, pipe: Pipeline):
    path, model, out = (
        write(tmp_path / "a.wav", sound()),
        pipe.save_pretrained(tmp_path / "model"),
        tmp_path / "new.flac",
    )
    where = ["--tempo", "120", "--downbeat", "0"]
    arguments = [
        "repaint",
        str(path),
        "--bars",
        "5-6,1-2",
        *where,
        "--chords",
        "Am",
        "--model",
        str(model),
        "-o",
        str(out),
    ]
    assert main(arguments) == 0
    record = manifest.read(out)
    changes = [one.fresh for one in record.operations if isinstance(one, Change)]
    assert changes == [(record.plan.span((1, 2)), record.plan.span((5, 6)))]
    assert [bar.chords for bar in record.plan.bars] == [("Am",), ("Am",), None, None, ("Am",), ("Am",)]
    new, old = Audio.load(out).samples, Audio.load(path).samples
    kept = slice(round(4.6 * SAMPLE_RATE), round(7.4 * SAMPLE_RATE))
    assert np.array_equal(new[:, kept], old[:, kept]) and not np.array_equal(new, old)
    assert main([*arguments[:3], "1-2,7", *arguments[4:]]) == 2


def test_a_file_is_encoded_as_it_is_read_with_the_latents_of_the_whole(pipe: Pipeline, tmp_path):
    samples = sound(40)
    path = write(tmp_path / "a.wav", samples, "FLOAT")
    encoded = pipe.encode_file(path)
    assert encoded.n_samples == samples.shape[1]
    assert np.array_equal(encoded.latents, pipe.encode(Audio(samples, SAMPLE_RATE)))
    assert encoded.width == pytest.approx(stereo.width(samples))
    write(path, np.zeros((2, 0), np.float32))
    with pytest.raises(ValueError, match="holds no samples"):
        pipe.encode_file(path)


def test_mono_is_mono_again_after_encode_and_decode(pipe: Pipeline, tmp_path):
    samples = sound()
    samples[1] = samples[0]
    model = str(pipe.save_pretrained(tmp_path / "model"))
    path, latents, out = write(tmp_path / "a.wav", samples), tmp_path / "a.latents", tmp_path / "b.wav"
    assert main(["encode", str(path), "--model", model, "-o", str(latents)]) == 0
    assert main(["decode", str(latents), "--model", model, "-o", str(out)]) == 0
    left, right = Audio.load(out).samples
    assert np.abs(left - right).max() < 1e-5 and left.any()
