"""A folder of recordings -> mastered audio with labels, ready to be prepared for training.

Each recording is a sound file, and beside it, if there is one, NAME.txt with a caption. Key, tempo and meter are read
from the caption; beats, and a key that it does not name, are detected where librosa is installed. All else stays
unknown.
"""

import hashlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hybridgen import audio
from hybridgen.analysis.detection import NOTHING_DETECTED, Detector, can_detect, detect, plan_recording
from hybridgen.audio import Audio
from hybridgen.data.prepare import LabeledAudio
from hybridgen.data.prepared_dataset import Labels
from hybridgen.data.song import SAMPLE_RATE
from hybridgen.files import atomic_write
from hybridgen.plan.parts import MAX_SECONDS
from hybridgen.text.controls import find_controls

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aiff")


def find_recordings(folder: Path) -> list[Path]:
    """The sound files of a folder, sorted by name; ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ValueError(f"{folder} contains no sound files ({' '.join(SUFFIXES)})")
    return paths


def master_recordings(paths: Sequence[Path], work: Path, min_seconds: float) -> list[LabeledAudio]:
    """Masters and labels each recording in the folder `work`; what an earlier call made there is kept.

    Raises ValueError, naming the file, for a recording that cannot be read, is silent, too short or too long.
    """
    work.mkdir(parents=True, exist_ok=True)
    detector = find_detector()
    bar = tqdm(paths, "songs", leave=False, disable=None)
    return [master_recording(path, work, min_seconds, detector) for path in bar]


def find_detector() -> Detector:
    """The detector of beats and keys, or one that detects nothing, with a warning, where librosa is not installed."""
    if can_detect():
        return detect
    warnings.warn("beats and keys of the songs stay unknown: pip install hybridgen[eval]", stacklevel=2)
    return lambda samples, known: NOTHING_DETECTED


def master_recording(path: Path, work: Path, min_seconds: float, detector: Detector) -> LabeledAudio:
    """One recording as FLAC and labels in `work`, made unless they are there for this very file and caption."""
    caption = read_caption(path)
    digest = hashlib.sha256(path.read_bytes() + b"\0" + caption.encode()).hexdigest()
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', path.stem)[:40].strip('-') or 'song'}-{digest[:12]}"
    sound, labels = work / f"{name}.flac", work / f"{name}.json"
    if not (sound.exists() and labels.exists()):
        mastered = load_mastered(path, min_seconds)
        plan = plan_recording(mastered.samples, find_controls(caption)[0], detector)
        mastered.save(sound)
        with atomic_write(labels) as temporary:
            temporary.write_bytes(Labels(name, "train", plan, (caption,) if caption else ()).to_json())
    return LabeledAudio(Labels.from_json(labels.read_bytes()), sound, None)


def read_caption(path: Path) -> str:
    """The text of NAME.txt beside a recording, on one line; "" where there is none."""
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        return " ".join(beside.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError:
        raise ValueError(f"{beside}: not UTF-8 text") from None


def load_mastered(path: Path, min_seconds: float) -> Audio:
    """A recording at 44,100 Hz and -14 LUFS; ValueError for one that is silent, too short or too long."""
    recording = Audio.load(path).resample(SAMPLE_RATE)
    if not min_seconds <= recording.seconds <= MAX_SECONDS:
        raise ValueError(f"{path}: {recording.seconds:.1f} s is outside {min_seconds:.1f}-{MAX_SECONDS:g} s")
    loudness = recording.loudness()
    if not np.isfinite(loudness):
        raise ValueError(f"{path}: is silent")
    return recording.master(audio.mastering_gain(loudness))
