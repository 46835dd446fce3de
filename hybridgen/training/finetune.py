"""A folder of songs -> an adapter: what `hybridgen finetune` does.

Each song is a sound file, and beside it, if there is one, NAME.txt with a caption. Key, tempo and meter are read from
the caption; beats, and a key that it does not say, are heard where librosa is installed. All else stays unknown.
"""

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hybridgen import audio, config, weights
from hybridgen.audio import Audio
from hybridgen.data import preparing
from hybridgen.data.prepared import Labels
from hybridgen.data.preparing import Recipe, Source
from hybridgen.files import atomic_write
from hybridgen.plan import (
    LATENT_HOP,
    MAX_SECONDS,
    METER_BEATS,
    SAMPLE_RATE,
    Bar,
    Controls,
    Plan,
    Section,
    meter_quarters,
)
from hybridgen.text import find_controls
from hybridgen.training import lora
from hybridgen.training.lora import WORK, LoraTrainConfig, Trained

ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aiff")
METER = "4/4"  # of beats that are heard, where the caption says no other


@dataclass(frozen=True)
class Heard:
    """What is heard in a song that its caption does not say."""

    beats: np.ndarray  # (n,) seconds, the first of a bar first; empty where there is no even beat
    key: str | None


Listen = Callable[[np.ndarray, Controls], Heard]  # samples (2, N), what the caption says


def main(folder: Path, out: Path, train: LoraTrainConfig) -> dict[str, Trained] | None:
    """Trains an adapter on the songs in a folder; None if a signal came first: the same call then goes on.

    ValueError, naming the file, for a song that cannot be read, is silent, too short or too long.
    """
    model = weights.resolve(train.run.model)
    check_out(out)
    window = train.renderer.window if train.renderer is not None else 4
    sources = collect(find_songs(folder), out / WORK / "songs", window * LATENT_HOP / SAMPLE_RATE)
    prepared = out / WORK / "prepared"
    preparing.write(sources, prepared, Recipe(model / "config.yaml", model, 1))
    preparing.write_codes(prepared, model / "config.yaml", model / "quantizer.safetensors")
    if train.planner is not None:  # what these songs' scores could teach is that labels are unknown
        train = replace(train, planner=replace(train.planner, score_weight=0.0))
    return lora.train_adapters(replace(train, prepared=str(prepared), run=replace(train.run, out=str(out))))


def settings(model: str | None, device: str, threads: int, only: str | None, steps: int | None) -> LoraTrainConfig:
    """The config of configs/train/lora.yaml for this model; `only` one stage, `steps` of each stage if given."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps {steps} must be at least 1")
    train = config.load(LoraTrainConfig, config.preset("train/lora"))
    planner, renderer = train.planner, train.renderer
    if steps is not None:
        planner, renderer = planner and replace(planner, steps=steps), renderer and replace(renderer, steps=steps)
    return replace(
        train,
        run=replace(train.run, model=model or "tiny"),
        planner=planner if only in (None, "planner") else None,
        renderer=renderer if only in (None, "renderer") else None,
        engine=replace(train.engine, device=device, threads=threads),
    )


def check_out(out: Path) -> None:
    """ValueError for a folder that holds something else than an adapter."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / WORK).is_dir()):
        raise ValueError(f"output {str(out)!r} is there already and is no adapter in the making: choose another name")


def find_songs(folder: Path) -> list[Path]:
    """Sound files of a folder in order of name; ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    songs = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not songs:
        raise ValueError(f"{folder} holds no sound files ({' '.join(ENDINGS)})")
    return songs


def collect(songs: Sequence[Path], work: Path, min_seconds: float) -> list[Source]:
    """Each song mastered as the model knows music, and labelled; what is in `work` from an earlier call stays."""
    work.mkdir(parents=True, exist_ok=True)
    listen = listener()
    return [prepare(path, work, min_seconds, listen) for path in tqdm(songs, "songs", leave=False, disable=None)]


def listener() -> Listen:
    """What hears beats and keys; where librosa is missing they stay unknown, and that is said."""
    try:
        import hybridgen.metrics.rhythm  # noqa: F401
    except ImportError:
        warnings.warn("beats and keys of the songs stay unknown: pip install hybridgen[eval]", stacklevel=2)
        return lambda samples, said: Heard(np.zeros(0), None)
    return hear


def prepare(path: Path, work: Path, min_seconds: float, listen: Listen) -> Source:
    """The song as FLAC and labels in `work`, made unless they are there for this very file and caption."""
    caption = read_caption(path)
    digest = hashlib.sha256(path.read_bytes() + b"\0" + caption.encode()).hexdigest()
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', path.stem)[:40].strip('-') or 'song'}-{digest[:12]}"
    sound, labels = work / f"{name}.flac", work / f"{name}.json"
    if not (sound.exists() and labels.exists()):
        song = load(path, min_seconds)
        plan = plan_of(song.samples, caption, listen)
        song.save(sound)
        with atomic_write(labels) as temporary:
            temporary.write_bytes(Labels(name, "train", plan, (caption,) if caption else ()).to_json())
    return Source(Labels.from_json(labels.read_bytes()), sound, None)


def read_caption(path: Path) -> str:
    """What NAME.txt beside a song says, one line; "" where there is none."""
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        return " ".join(beside.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError:
        raise ValueError(f"{beside}: is no UTF-8 text") from None


def load(path: Path, min_seconds: float) -> Audio:
    """A song at 44,100 Hz and -14 LUFS; ValueError for one that is silent, too short or too long."""
    song = Audio.load(path).resample(SAMPLE_RATE)
    if not min_seconds <= song.seconds <= MAX_SECONDS:
        raise ValueError(f"{path}: {song.seconds:.1f} s is outside {min_seconds:.1f}-{MAX_SECONDS:g} s")
    loudness = song.loudness()
    if not np.isfinite(loudness):
        raise ValueError(f"{path}: is silent")
    return song.master(audio.mastering_gain(loudness))


def plan_of(samples: np.ndarray, caption: str, listen: Listen) -> Plan:
    """What is known of a song (2, N): its length, maybe key and beats; bars in the caption's meter, else in `METER`."""
    said, _ = find_controls(caption)
    heard = listen(samples, said)
    meter = said.meter or METER
    per_bar = len(METER_BEATS[meter])
    n_bars = max(0, len(heard.beats) - 1) // per_bar
    key = said.key or heard.key
    if not n_bars:
        return Plan(meter=said.meter, key=key, n_samples=samples.shape[1])
    beats = tuple(heard.beats[: n_bars * per_bar + 1].round(6).tolist())
    return Plan((Section(None, (Bar(),) * n_bars),), meter=meter, key=key, beats=beats, n_samples=samples.shape[1])


def hear(samples: np.ndarray, said: Controls) -> Heard:
    """Beats at the tempo that is said, or else at one that is heard, from a bar's first on; and the key if not said."""
    from hybridgen.metrics import harmony

    key = said.key or harmony.key(samples)[0]
    meter = said.meter or METER
    edges = np.diff((*METER_BEATS[meter], meter_quarters(meter)))
    if not np.allclose(edges, edges[0]):  # 2 + 2 + 3: no beat tracker finds these
        return Heard(np.zeros(0), key)
    return Heard(from_bar_line(find_beats(samples, said.tempo, meter), samples, len(edges)), key)


def find_beats(samples: np.ndarray, tempo: float | None, meter: str) -> np.ndarray:
    """Times of beats (n,) in seconds; around a tempo in quarter notes where one is given."""
    import librosa

    from hybridgen.metrics import rhythm

    if tempo is None:
        return rhythm.beats(samples)
    strength = rhythm.onset_strength(samples).sum(axis=0)
    if not strength.any():
        return np.zeros(0)
    bpm = rhythm.pulse(tempo, meter)
    track = partial(librosa.beat.beat_track, sr=SAMPLE_RATE, hop_length=rhythm.HOP, trim=False, units="time")
    return track(onset_envelope=strength, bpm=bpm)[1]


def from_bar_line(beats: np.ndarray, samples: np.ndarray, per_bar: int) -> np.ndarray:
    """The beats without those before the first bar line: harmony changes most on the first beats of bars."""
    from hybridgen.metrics import rhythm, spectral

    if len(beats) <= per_bar:
        return np.zeros(0)
    changes = rhythm.novelty(spectral.semitones(samples))[0]
    at = np.clip(np.rint(beats * spectral.SEMITONE_RATE).astype(int), 1, len(changes) - 2)
    change = np.maximum.reduce([changes[at - 1], changes[at], changes[at + 1]])
    first = max(range(per_bar), key=lambda phase: change[phase::per_bar].mean())
    return beats[first:]
