"""What is detected in a recording becomes a plan, and what is not stays unknown."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen.analysis.detection import NOTHING_DETECTED, Detected, detect, plan_recording
from hybridgen.data import recordings, song_folder
from hybridgen.plan.controls import Controls
from hybridgen.text.controls import find_controls
from tests.conftest import SAMPLE_RATE


@pytest.mark.parametrize(
    ("caption", "beats", "expected"),
    [
        ("", np.arange(0.25, 7.9, 0.5), (3, "4/4", "A minor")),  # 16 beats: three whole bars
        ("a waltz", np.arange(0.25, 7.9, 0.5), (5, "3/4", "A minor")),
        ("in C major", np.zeros(0), (0, None, "C major")),
    ],
)
def test_bars_are_made_of_the_beats_that_are_detected(caption: str, beats: np.ndarray, expected: tuple):
    samples, known = np.zeros((2, 8 * SAMPLE_RATE), np.float32), find_controls(caption)[0]
    plan = plan_recording(samples, known, lambda samples, known: Detected(beats, "A minor"))
    assert (plan.n_bars, plan.meter, plan.key) == expected
    assert plan.length == 8 * SAMPLE_RATE
    assert all(section.label is section.energy is section.roles is None for section in plan.sections)
    if plan.n_bars:
        assert plan.bar_starts()[0] == round(0.25 * SAMPLE_RATE)
        assert plan.tempo_map.bpm_at(np.array([1.0]))[0] == pytest.approx(120)


def test_beats_and_key_are_detected_in_a_click_track():
    pytest.importorskip("librosa")
    bar, seconds = 2.0, 12.0  # 4/4 at 120 BPM; the chord changes with the bar, half a second in
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    chords = np.array([[220.0, 261.6, 329.6], [174.6, 220.0, 261.6], [164.8, 207.7, 246.9]])
    pitch = chords[(np.floor((t - 0.5) / bar) % 3).astype(int)]
    since = (t - 0.0) % 0.5
    samples = (np.sin(2 * np.pi * pitch * t[:, None]).sum(axis=1) * (0.2 + np.exp(-20 * since)) * 0.1).astype(
        np.float32
    )
    found = detect(np.stack([samples, samples]), Controls(tempo=120.0))
    assert np.abs(np.diff(found.beats) - 0.5).max() < 0.05
    assert abs((found.beats[0] - 0.5 + 1.0) % 2.0 - 1.0) < 0.1  # a bar line, at 0.5 s or two seconds on
    assert found.key in ("A minor", "C major", "F major")
    assert len(detect(np.stack([samples, samples]), Controls(meter="7/8")).beats) == 0


# ---- recordings in a folder


def test_a_recording_is_mastered_once_for_its_file_and_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "can_detect", lambda: False)
    tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    soundfile.write(tmp_path / "My song.wav", np.stack([tone, tone], axis=1), SAMPLE_RATE)
    (tmp_path / "My song.txt").write_text("\ufeffa calm waltz\nin D minor, 90 BPM, tape hiss", encoding="utf-8")
    work = tmp_path / "work"
    with pytest.warns(UserWarning, match="beats and keys of the songs stay unknown"):
        [song] = recordings.master_recordings(song_folder.read(tmp_path, work).songs, work, 1.0)
    assert song.labels.captions == ("a calm waltz in D minor, 90 BPM, tape hiss",)
    assert song.labels.plan.sound == ("tape",)
    assert (song.labels.plan.key, song.labels.plan.meter, song.labels.plan.n_bars) == ("D minor", "3/4", 0)
    assert soundfile.info(song.audio).frames == song.labels.plan.length == 2 * SAMPLE_RATE
    before = song.audio.stat().st_mtime_ns
    with pytest.warns(UserWarning):
        assert recordings.master_recordings(song_folder.read(tmp_path, work).songs, work, 1.0) == [song]
    assert song.audio.stat().st_mtime_ns == before
    (tmp_path / "My song.txt").unlink()
    with pytest.warns(UserWarning):
        assert recordings.master_recordings(song_folder.read(tmp_path, work).songs, work, 1.0) != [song]


def test_a_song_that_cannot_be_used_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "find_detector", lambda: lambda samples, known: NOTHING_DETECTED)
    tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    for name, sound in (("a", tone), ("b", tone[:4000]), ("c", 0 * tone), ("e", tone[::-1].copy())):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([sound, sound], axis=1), SAMPLE_RATE)
    (tmp_path / "d.mp3").write_bytes(b"\0" * 5000)
    (tmp_path / "f").mkdir()
    shutil.copy(tmp_path / "a.wav", tmp_path / "f" / "a.wav")
    with pytest.warns(UserWarning) as caught:
        songs = recordings.master_recordings(song_folder.read(tmp_path).songs, tmp_path / "work", 1.0)
    assert [song.labels.name[:1] for song in songs] == ["a", "e"]
    said = [str(one.message).replace(str(tmp_path), "") for one in caught]
    for words in ("/b.wav: 0.1 s is outside", "/c.wav: is silent", "/d.mp3: not audio", "/f/a.wav is the same as"):
        assert sum(f"left out: {words}" in one for one in said) == 1, (words, said)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="none of the 1 songs can be used"):
        recordings.master_recordings([song_folder.SongFile(tmp_path / "d.mp3", "", "")], tmp_path / "work", 1.0)
