"""Songs of a folder -> mastered audio with labels, ready to be prepared for training.

Key, tempo and meter are read from a song's caption; beats, and a key that it does not name, are detected where librosa
is installed. All else stays unknown.
"""

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hybridgen import audio
from hybridgen.analysis.detection import NOTHING_DETECTED, Detector, can_detect, detect, plan_recording
from hybridgen.audio import Audio
from hybridgen.data.prepare import LabeledAudio
from hybridgen.data.prepared_dataset import Labels
from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.song_folder import SongFile
from hybridgen.files import atomic_write
from hybridgen.plan.parts import MAX_SECONDS
from hybridgen.text.controls import find_controls


def master_recordings(songs: Sequence[SongFile], work: Path, min_seconds: float) -> list[LabeledAudio]:
    """Masters and labels each song in the folder `work`; what an earlier call made there is kept.

    A song that cannot be read, is silent, too short, too long or there twice is left out, with a warning that names it;
    ValueError where none is left.
    """
    work.mkdir(parents=True, exist_ok=True)
    detector, made = find_detector(), dict[str, LabeledAudio]()
    for song in tqdm(songs, "songs", leave=False, disable=None):
        try:
            recording = master_recording(song, work, min_seconds, detector)
        except (ValueError, OSError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        if recording.labels.name in made:
            warnings.warn(f"left out: {song.path} is the same as another song", stacklevel=2)
        made[recording.labels.name] = recording
    if not made:
        raise ValueError(f"none of the {len(songs)} songs can be used")
    return list(made.values())


def find_detector() -> Detector:
    """The detector of beats and keys, or one that detects nothing, with a warning, where librosa is not installed."""
    if can_detect():
        return detect
    warnings.warn("beats and keys of the songs stay unknown: pip install hybridgen[eval]", stacklevel=2)
    return lambda samples, known: NOTHING_DETECTED


def master_recording(song: SongFile, work: Path, min_seconds: float, detector: Detector) -> LabeledAudio:
    """One song as FLAC and labels in `work`, made unless they are there for this very file and caption.

    ValueError, naming the file, for one that cannot be read, is silent, too short or too long.
    """
    with song.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    content.update(b"\0" + song.caption.encode())
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', song.path.stem)[:40].strip('-') or 'song'}-{content.hexdigest()[:12]}"
    sound, labels = work / f"{name}.flac", work / f"{name}.json"
    if not (sound.exists() and labels.exists()):
        mastered = load_mastered(song.path, min_seconds)
        said, _ = find_controls(song.caption)
        plan = replace(plan_recording(mastered.samples, said, detector), sound=said.sound or ())
        mastered.save(sound)
        with atomic_write(labels) as temporary:
            captions = (song.caption,) if song.caption else ()
            temporary.write_bytes(Labels(name, "train", plan, captions).to_json())
    return LabeledAudio(Labels.from_json(labels.read_bytes()), sound, None)


def load_mastered(path: Path, min_seconds: float) -> Audio:
    """A recording at 44,100 Hz and -14 LUFS; ValueError for one that is silent, too short or too long."""
    recording = Audio.load(path, SAMPLE_RATE)
    for note in recording.notes:
        warnings.warn(note, stacklevel=2)
    if not min_seconds <= recording.seconds <= MAX_SECONDS:
        raise ValueError(f"{path}: {recording.seconds:.1f} s is outside {min_seconds:.1f}-{MAX_SECONDS:g} s")
    loudness = recording.loudness()
    if not np.isfinite(loudness):
        raise ValueError(f"{path}: is silent")
    return recording.master(audio.mastering_gain(loudness))
