"""A style: the spectrum and the width of a reference, on a track, a loop, a recording, and on what is changed later."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import history
from hybridgen.audio import LIMITER_REACH, Audio
from hybridgen.cli import main
from hybridgen.history import N_BANDS, Style
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.render import equalizer, mixdown
from hybridgen.render.equalizer import BANDS, TAPS, levels, toned
from hybridgen.track import Track

RATE = 44_100
VERSE = Section("verse", (Bar("Am"), Bar("F"), Bar("C"), Bar("G")), 4, ("drums", "bass"))
PLAN = Plan((VERSE, VERSE), (Tempo(1, 150.0),), "4/4", "A minor", {"drums": 0, "bass": 33}, prompt="a test", seed=3)


@pytest.fixture(scope="module")
def track(note_pipe: Pipeline) -> Track:
    return note_pipe.render(PLAN)


@pytest.fixture(scope="module")
def reference(track: Track) -> Audio:
    """The track, darker and narrower."""
    return Audio(toned(track.samples, [operation(np.linspace(9, -9, N_BANDS), -4.0)]) / 4, RATE)


@pytest.fixture(scope="module")
def styled(note_pipe: Pipeline, track: Track, reference: Audio) -> Track:
    return note_pipe.style(track, reference)


def operation(bands_db: np.ndarray, side_db: float = 0.0) -> Style:
    return Style(PLAN, "0" * 64, 1.0, tuple(bands_db.tolist()), side_db, history.ModelRecord("none", {}))


def apart(track: Track, reference: Audio) -> tuple[float, float]:
    """Decibels between the bands of a track and of the reference, in the mean, and between their widths."""
    (bands, width), (wanted, wanted_width) = levels(track.samples, RATE), levels(reference.samples, RATE)
    return float(np.abs(bands - wanted).mean()), abs(width - wanted_width)


def test_the_filter_has_the_gains_asked_and_no_sound_before_it():
    asked = np.where(np.arange(N_BANDS) < 13, -6.0, 6.0)
    impulse = np.zeros((2, 2 * TAPS), dtype=np.float32)
    impulse[:, 1000] = 1.0
    heard = toned(impulse, [operation(asked)])
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(heard[0], 1 << 16)))
    found = np.interp(BANDS, np.fft.rfftfreq(1 << 16, 1 / RATE), spectrum)
    inner = (np.abs(np.arange(N_BANDS) - 12.5) > 1) & (BANDS > 50)
    assert np.abs(found - asked)[inner].max() < 0.5
    assert np.abs(heard[:, :1000]).max() < 1e-6 < np.abs(heard[:, 1000]).min()


def test_the_side_gets_its_gain_and_mono_stays_mono():
    samples = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)
    _, before = levels(samples, RATE)
    _, after = levels(toned(samples, [operation(np.zeros(N_BANDS), -6.0)]), RATE)
    assert after - before == pytest.approx(-6.0, abs=0.05)
    one = toned(np.stack([samples[0]] * 2), [operation(np.full(N_BANDS, 3.0), 12.0)])
    assert np.abs(one[0] - one[1]).max() < 1e-6


def test_a_loop_goes_round_in_the_filter():
    samples = np.random.default_rng(0).standard_normal((2, 3 * TAPS)).astype(np.float32)
    one = operation(np.linspace(-9, 9, N_BANDS))
    turned = toned(np.roll(samples, 5000, axis=1), [one], is_loop=True)
    np.testing.assert_allclose(np.roll(toned(samples, [one], is_loop=True), 5000, axis=1), turned, atol=1e-5)


def test_what_is_undone_is_as_it_was():
    samples = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) * 0.1
    styles = [operation(np.linspace(-9, 9, N_BANDS), 3.0), operation(np.linspace(2, -2, N_BANDS))]
    again = equalizer.undone(toned(samples, styles), styles)
    assert np.abs(again - samples).max() < 2e-3


def test_a_track_gets_spectrum_and_width_of_a_reference_and_stays_as_loud(
    track: Track, styled: Track, reference: Audio
):
    (bands, width), (new_bands, new_width) = apart(track, reference), apart(styled, reference)
    assert new_bands < bands / 3 and new_width < width / 3 and width > 2
    assert styled.audio.loudness() == pytest.approx(track.audio.loudness(), abs=0.5)
    assert styled.audio.true_peak() <= -0.99 and styled.samples.shape == track.samples.shape
    assert np.array_equal(styled.latents, track.latents) and styled.plan == track.plan


def test_half_the_strength_is_half_the_way(note_pipe: Pipeline, track: Track, styled: Track, reference: Audio):
    half = note_pipe.style(track, reference, 0.5)
    one, all_of_it = (np.array(each.manifest.styles[0].bands_db) for each in (half, styled))
    assert np.ptp(one) == pytest.approx(np.ptp(all_of_it) / 2, abs=0.1)
    assert apart(styled, reference)[0] < apart(half, reference)[0] < apart(track, reference)[0]


def test_it_is_replayed_and_opened_as_it_was(note_pipe: Pipeline, styled: Track, tmp_path: Path):
    assert np.array_equal(note_pipe.replay(styled.manifest).samples, styled.samples)
    path = styled.save(tmp_path / "styled.mp3")
    opened = note_pipe.open(path)
    assert np.array_equal(opened.samples, styled.samples) and opened.manifest.styles == styled.manifest.styles


def test_two_styles_are_one_filter_however_the_track_comes_back(note_pipe: Pipeline, styled: Track, tmp_path: Path):
    twice = note_pipe.style(styled, Audio(styled.samples[::-1] * 0.5, RATE), 0.5)
    assert len(twice.manifest.styles) == 2
    assert np.array_equal(note_pipe.replay(twice.manifest).samples, twice.samples)
    assert np.array_equal(note_pipe.open(twice.save(tmp_path / "twice.mp3")).samples, twice.samples)


def test_a_loop_of_a_styled_track_goes_round_in_its_filter_too(note_pipe: Pipeline, styled: Track, tmp_path: Path):
    loop = note_pipe.loop(styled, (1, 4))
    opened = note_pipe.open(loop.save(tmp_path / "loop.mp3"))
    assert np.abs(opened.samples - loop.samples)[:, :TAPS].max() < 1e-4
    assert np.abs(opened.samples - loop.samples).max() < 1e-4


def test_what_is_made_anew_later_has_it_too_and_the_rest_stays(note_pipe: Pipeline, styled: Track):
    new = note_pipe.repaint(styled, bars=(3, 4), seed=99)
    whole = mixdown.decoded(note_pipe, new.plan, torch.from_numpy(new.latents.copy()), (0, new.plan.length))
    expected = mixdown.master(toned(whole, styled.manifest.styles), new.plan, new.manifest.gain_db)
    start, stop = new.plan.span((3, 4))
    assert np.abs(new.samples - expected)[:, start:stop].max() < 1e-4
    reach = note_pipe.codec.reach * note_pipe.codec.hop_length + LIMITER_REACH + note_pipe.codec.hop_length
    assert np.array_equal(new.samples[:, : start - reach], styled.samples[:, : start - reach])
    after = stop + reach + TAPS
    assert np.array_equal(new.samples[:, after:], styled.samples[:, after:]) and after < new.plan.length
    assert np.array_equal(note_pipe.replay(new.manifest).samples, new.samples)


def test_a_track_that_is_rendered_anew_keeps_its_styles(
    note_pipe: Pipeline, styled: Track, tmp_path: Path, monkeypatch
):
    path = styled.save(tmp_path / "styled.flac")
    monkeypatch.setattr("hybridgen.cli.options.load_pipeline", lambda _: note_pipe)
    assert main(["repaint", str(path), "--tempo", "140", "-o", str(tmp_path / "slower.flac")]) == 0
    new = note_pipe.open(tmp_path / "slower.flac")
    (old,), (style,) = styled.manifest.styles, new.manifest.styles
    assert (style.bands_db, style.side_db) == (old.bands_db, old.side_db) and new.plan.tempo[0].bpm == 140
    assert np.array_equal(note_pipe.replay(new.manifest).samples, new.samples)


def test_stems_of_a_styled_track_add_up_to_it(note_pipe: Pipeline, styled: Track):
    total = sum(part.samples for part in note_pipe.stems(styled).values())
    assert np.abs(total - styled.samples).max() < 1e-5


def test_a_recording_is_styled_in_its_own_sound(note_pipe: Pipeline, track: Track, reference: Audio, tmp_path: Path):
    soundfile.write(tmp_path / "song.wav", track.samples.T, RATE)
    with pytest.warns(UserWarning, match="encoded"):
        song = note_pipe.open(tmp_path / "song.wav", tempo=120, downbeat=0.0)
    new = note_pipe.style(song, reference)
    assert apart(new, reference)[0] < apart(song, reference)[0] / 2
    path = new.save(tmp_path / "new.wav", latents=False)
    with pytest.warns(UserWarning, match="latents"):
        again = note_pipe.open(path)
    difference = np.abs(again.latents - song.latents).mean() / np.abs(song.latents).mean()
    assert difference < np.abs(note_pipe.encode(new.audio) - song.latents).mean() / np.abs(song.latents).mean() / 2


@pytest.mark.parametrize(
    ("samples", "strength", "message"),
    [
        (np.zeros((2, RATE), np.float32), 1.0, "reference of 1.00 s, silent"),
        (np.ones((2, 100), np.float32), 1.0, "reference of 0.00 s"),
        (np.ones((2, RATE), np.float32), 0.0, "strength 0 is not above 0"),
        (np.ones((2, RATE), np.float32), 1.5, "strength 1.5 is not above 0"),
    ],
)
def test_what_cannot_be_done_is_said(note_pipe, track, samples, strength, message):
    with pytest.raises(ValueError, match=message):
        note_pipe.style(track, Audio(samples, RATE), strength)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands_db": [0.0]}, "1 bands are not 27"),
        ({"bands_db": [1e9] * N_BANDS}, "is more than 60"),
        ({"side_db": float("nan")}, "side_db"),
        ({"strength": 2.0}, "strength 2"),
    ],
)
def test_a_manifest_is_checked(change: dict, message: str):
    values = history.dump(operation(np.zeros(N_BANDS)))
    assert history.build(values, "here") == operation(np.zeros(N_BANDS))
    with pytest.raises(ValueError, match=message):
        history.build({**values, **change}, "here")


def test_a_style_cannot_be_the_first_operation():
    with pytest.raises(ValueError, match="the first operation is a style"):
        history.check([operation(np.zeros(N_BANDS))])


def test_the_command_writes_a_track_and_says_what_it_did(note_model: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Pipeline.from_pretrained(note_model).render(PLAN).save("track.wav")
    soundfile.write("clip.wav", np.random.default_rng(2).standard_normal((RATE, 2)) * 0.1, RATE)
    model = ("--model", str(note_model))
    assert main(["style", "track.wav", "clip.wav", "--strength", "0.5", "-o", "new.wav", *model]) == 0
    assert main(["inspect", "new.wav"]) == 0
    assert "style, model" in capsys.readouterr().out
    before = Path("new.wav").read_bytes()
    assert main(["style", "track.wav", "gone.wav", "-o", "new.wav", *model]) == 2
    assert main(["style", "track.wav", "clip.wav", "--strength", "3", "-o", "new.wav", *model]) == 2
    assert "strength 3" in capsys.readouterr().err and Path("new.wav").read_bytes() == before
