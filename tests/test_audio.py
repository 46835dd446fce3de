"""Sound on disk and at the right level: exact lengths, BS.1770 meters, a limiter that is tight and local."""

import math

import av
import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from hybridgen import audio as audio_module
from hybridgen import manifest
from hybridgen.audio import CEILING_DBTP, LIMITER_REACH, TARGET_LUFS, Audio, master, mastered
from hybridgen.history import ModelRecord, Render
from hybridgen.plan.plan import Plan
from hybridgen.sampling import SamplingConfig, SamplingParams

RATE = 44_100
# BS.1770-4, annex 2: the interpolator of the standard's own meter, the first two of four phases.
ITU_PHASES = np.fromstring(
    """
    0.0017089843750 0.0109863281250 -0.0196533203125 0.0332031250000 -0.0594482421875 0.1373291015625
    0.9721679687500 -0.1022949218750 0.0476074218750 -0.0266113281250 0.0148925781250 -0.0083007812500
    -0.0291748046875 0.0292968750000 -0.0517578125000 0.0891113281250 -0.1665039062500 0.4650878906250
    0.7797851562500 -0.2003173828125 0.1015625000000 -0.0582275390625 0.0330810546875 -0.0189208984375
    """,
    sep=" ",
).reshape(2, 12)


def sine(frequency: float, seconds: float = 2.0, level: float = 0.5, phase: float = 0.0, rate: int = RATE) -> Audio:
    wave = level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate + phase)
    return Audio(np.stack([wave, wave]).astype(np.float32), rate)


def noise(n: int, level: float = 0.3, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal((2, n))).astype(np.float32)


def itu_true_peak(samples: np.ndarray) -> float:
    phases = [*ITU_PHASES, *ITU_PHASES[:, ::-1]]
    peak = max(np.abs(np.convolve(channel, phase)).max() for channel in samples.astype(float) for phase in phases)
    return 20 * math.log10(peak)


# Files


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("n", [1, 4097, 100_003])
def test_a_file_gives_back_every_sample(tmp_path, suffix, n):
    original = Audio(noise(n, 0.1), RATE)
    assert original.save(tmp_path / f"x.{suffix}") is None
    loaded = Audio.load(tmp_path / f"x.{suffix}")
    assert loaded.sample_rate == RATE
    if suffix in ("wav", "flac"):
        assert np.abs(loaded.samples - original.samples).max() <= 2**-23
    if suffix != "mp3":
        assert loaded.samples.shape == (2, n)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_the_same_sound_and_manifest_give_the_same_bytes(tmp_path, suffix):
    sampling = SamplingConfig(1, 1.0, 64, 16, SamplingParams(), SamplingParams())
    plan = Plan(n_samples=RATE * 500, codes=(tuple(range(2692)),) * 10, prompt="rain")
    made_by = manifest.Manifest("hybridgen 0", (Render(plan, 0, sampling, ModelRecord("tiny", {})),), 0.0, {})
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    written = [Audio(noise(RATE, 0.1), RATE).save(path, made_by) for path in paths]
    assert paths[0].read_bytes() == paths[1].read_bytes() and written[0] == written[1]
    assert manifest.read(paths[0]) == written[0] and manifest.verify(paths[0]) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_lossy_files_sound_like_the_original(tmp_path):
    tone = sine(440.0)
    for suffix in ("ogg", "mp3"):
        tone.save(tmp_path / f"x.{suffix}")
        loaded = Audio.load(tmp_path / f"x.{suffix}").samples[:, : tone.samples.shape[1]]
        assert np.abs(loaded - tone.samples[:, : loaded.shape[1]])[:, 5_000:-5_000].max() < 0.02


def test_mono_goes_to_both_sides_and_more_channels_are_folded(tmp_path):
    wave = noise(1000)
    soundfile.write(tmp_path / "mono.wav", wave[0], RATE, "FLOAT")
    assert np.array_equal(Audio.load(tmp_path / "mono.wav").samples, np.stack([wave[0], wave[0]]))
    soundfile.write(tmp_path / "three.wav", np.stack([*wave, wave[0]], 1), RATE, "FLOAT")
    folded = Audio.load(tmp_path / "three.wav").samples
    assert np.allclose(folded, wave + 0.7071 * wave[0], atol=1e-6)


def test_what_soundfile_cannot_read_goes_through_pyav(tmp_path):
    path, wave = tmp_path / "x.m4a", sine(440.0).samples
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        for start in range(0, wave.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(wave[:, start : start + 1024].copy(), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    loaded = Audio.load(path)
    assert loaded.sample_rate == RATE and 0 <= loaded.samples.shape[1] - wave.shape[1] < 4096
    assert abs(np.abs(loaded.samples).max() - 0.5) < 0.05


@pytest.mark.parametrize("name", ["x.txt", "x.wav", "x.mp3", "x.raw", "x.m3u8", "x.ffconcat"])
def test_text_and_playlists_are_no_audio(tmp_path, name):
    Audio(noise(1000, 0.1), RATE).save(tmp_path / "other.wav")
    for text in ("", "words\n" * 100, "#EXTM3U\n#EXTINF:5,\nother.wav\n", "ffconcat version 1.0\nfile other.wav\n"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="not audio that can be read") as error:
            Audio.load(tmp_path / name)
        assert "\n" not in str(error.value)


def test_hostile_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    with pytest.raises(FileNotFoundError, match="no such file"):
        Audio.load(path)
    for value in (math.nan, math.inf, 1e30):
        soundfile.write(path, np.full((100, 2), value), RATE, "FLOAT")
        with pytest.raises(ValueError, match="peak level"):
            Audio.load(path)
    soundfile.write(path, np.zeros((100, 9)), RATE)
    with pytest.raises(ValueError, match="9 channels, the limit is 8"):
        Audio.load(path)
    soundfile.write(path, np.zeros((100, 2)), 4000)
    with pytest.raises(ValueError, match=r"rate 4000 is outside 8000\.\.192000"):
        Audio.load(path)
    monkeypatch.setattr(audio_module, "MAX_SECONDS", 1)
    soundfile.write(tmp_path / "long.flac", np.zeros((RATE + 1, 2)), RATE)
    with pytest.raises(ValueError, match="longer than the limit of 1 s"):
        Audio.load(tmp_path / "long.flac")


def test_what_cannot_be_saved_is_one_line_and_leaves_nothing(tmp_path):
    tone = sine(440.0)
    with pytest.raises(ValueError, match=r"format '\.aiff' is none of"):
        tone.save(tmp_path / "x.aiff")
    with pytest.raises(ValueError, match=r"up to 2\.000 are over full scale"):
        Audio(tone.samples * 4, RATE).save(tmp_path / "x.wav")
    with pytest.raises(FileNotFoundError, match="no folder"):
        tone.save(tmp_path / "none" / "x.wav")
    with pytest.raises(OSError, match="cannot be written"):
        Audio(tone.samples, 96_000).save(tmp_path / "x.mp3")
    assert not list(tmp_path.iterdir())


def test_samples_are_checked_at_the_door():
    for samples in (
        np.zeros(5, np.float32),
        np.zeros((1, 5), np.float32),
        np.zeros((2, 5)),
        noise(5) * np.float32("nan"),
    ):
        with pytest.raises(ValueError, match=r"samples"):
            Audio(samples, RATE)
    with pytest.raises(ValueError, match="sample_rate 0"):
        Audio(noise(5), 0)


def test_resampling_keeps_pitch_and_gives_the_rounded_length():
    tone = sine(1000.0, seconds=1.234567)
    for rate in (48_000, 22_050, 16_000):
        there = tone.resample(rate)
        assert there.samples.shape == (2, round(tone.samples.shape[1] * rate / RATE)) and there.sample_rate == rate
        wanted = sine(1000.0, seconds=1.0, rate=rate).samples[:, 1000:-1000]
        assert np.abs(there.samples[:, 1000 : 1000 + wanted.shape[1]] - wanted).max() < 1e-3


# Meters


def test_true_peak_finds_what_lies_between_the_samples():
    assert Audio(np.zeros((2, 0), np.float32), RATE).true_peak() == -math.inf
    tone = sine(RATE / 4, level=0.5, phase=np.pi / 4)
    assert abs(np.abs(tone.samples).max() - 0.5 * math.sqrt(0.5)) < 1e-3
    assert abs(tone.true_peak() - 20 * math.log10(0.5)) < 0.1
    for n in (1, 65_536, 65_537, 65_600):
        samples = noise(n)
        upsampled = resample_poly(np.pad(samples.astype(float), ((0, 0), (99, 99))), 4, 1, axis=1)
        assert abs(Audio(samples, RATE).true_peak() - 20 * math.log10(np.abs(upsampled).max())) < 0.7


# Mastering


def hard_cases() -> dict[str, np.ndarray]:
    n = 2 * RATE
    t, rng = np.arange(n) / RATE, np.random.default_rng(1)
    waves = {
        "square": np.sign(np.sin(2 * np.pi * 997 * t)),
        "quarter": np.sin(np.pi / 2 * np.arange(n) + np.pi / 4),
        "near nyquist": np.cos(np.pi * 0.98 * np.arange(n)),
        "noise": rng.uniform(-1, 1, n),
        "bits": rng.choice([-1.0, 1.0], n),
        "bright": np.diff(rng.standard_normal(n + 1)),
        "clicks": rng.choice([-1.0, 1.0], n) * (rng.random(n) < 1e-3),
        "bursts": rng.standard_normal(n) * np.where(np.sin(20 * t) > 0.95, 1, 1e-3),
        "cut bass": np.sin(2 * np.pi * 50.3 * t) * (t < 1.7),
    }
    return {name: np.stack([wave, 0.7 * np.roll(wave, 5)]).astype(np.float32) for name, wave in waves.items()}


@pytest.mark.parametrize(("name", "samples"), hard_cases().items())
def test_nothing_passes_the_limiter(name, samples):
    for gain_db in (0, 30):
        out = samples.copy()
        master(out, gain_db)
        upsampled = resample_poly(np.pad(out.astype(float), ((0, 0), (99, 99))), 16, 1, axis=1)
        assert np.isfinite(out).all() and np.abs(out).max() <= 1
        assert Audio(out, RATE).true_peak() <= CEILING_DBTP
        assert itu_true_peak(out) <= CEILING_DBTP and 20 * math.log10(np.abs(upsampled).max()) <= CEILING_DBTP


def test_a_track_under_the_ceiling_only_changes_its_gain():
    samples = noise(RATE, 0.02)
    out = samples.copy()
    master(out, 6.0)
    assert np.array_equal(out, samples * np.float32(10 ** (6 / 20)))


def test_mastering_reaches_the_target():
    for level in (0.02, 0.2, 0.9):
        done = sine(440.0, seconds=3, level=level).master()
        assert abs(done.loudness() - TARGET_LUFS) < 0.1
    silence = Audio(np.zeros((2, RATE), np.float32), RATE)
    assert np.array_equal(silence.master().samples, silence.samples)
    whisper = Audio(noise(RATE, 1e-3), RATE)
    assert abs(whisper.master().loudness() - whisper.loudness() - audio_module.MAX_LIFT_DB) < 0.01


@pytest.mark.parametrize("n", [1, LIMITER_REACH, 65_536, 200_001])
def test_the_blocks_given_do_not_matter(n):
    samples = noise(n, 0.8)
    whole = samples.copy()
    master(whole, 9.0)
    for size in (1_000, 65_536, n):
        blocks = (samples[:, start : start + size] for start in range(0, n, size))
        assert np.array_equal(np.concatenate(list(mastered(blocks, 9.0)), axis=1), whole)


def test_an_edit_stays_local_bit_for_bit():
    samples = noise(300_000, 0.5)
    edited = samples.copy()
    start, stop = 120_000, 150_000
    edited[:, start:stop] = 4 * noise(stop - start, seed=1)
    before, after = samples.copy(), edited.copy()
    master(before, 6.0)
    master(after, 6.0)
    changed = np.flatnonzero((before != after).any(0))
    assert start - LIMITER_REACH <= changed[0] < start and stop < changed[-1] < stop + LIMITER_REACH


def test_a_stream_is_mastered_before_it_ends():
    given = 0

    def blocks():
        nonlocal given
        for _ in range(100):
            given += 10_000
            yield noise(10_000)

    first = next(mastered(blocks(), 0.0))
    assert given <= first.shape[1] + LIMITER_REACH + 10_000
