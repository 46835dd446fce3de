"""How good codecs are, in figures, beside Opus: python tools/codec_figures.py tiny --corpus corpus --real real-excerpts

Each codec is a model folder or a shipped name; or the folder of a training run and the shapes that it has,
runs/codec@tiny-v2; or a codec of others, as transformers or diffusers saves it, and its shapes, dac_44khz@base-dac. It
copies the middles of held-out corpus songs, the same in mono, synthetic sounds without any room, and real excerpts
(`make real-excerpts`). Figures are means over sounds, "copy / original" where a sound has one by itself. Speed: seconds
of sound decoded in a second of one thread.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from hybridgen import config, weights
from hybridgen.audio import Audio
from hybridgen.codecs import checkpoint, stereo
from hybridgen.codecs.contract import BlockCodec, check_license
from hybridgen.codecs.dac import DacConfig
from hybridgen.codecs.oobleck import OobleckConfig
from hybridgen.codecs.own import SpectralCodecConfig
from hybridgen.data import corpus
from hybridgen.metrics import fidelity
from hybridgen.metrics.fidelity import Fidelity
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.stages import CODECS

OPUS_KILOBITS = (16, 32, 64)
SPEED_SECONDS, SPEED_RUNS = 30, 3  # of sound decoded to measure the speed; the fastest run counts
NOTES, NOTE_SECONDS = (45, 57, 64, 69, 52, 76, 61, 72), 0.5  # of the sounds without a room, by MIDI number

SECTIONS = {"codec": SpectralCodecConfig, "dac": DacConfig, "oobleck": OobleckConfig}  # of a YAML file
Copy = Callable[[np.ndarray], np.ndarray]  # samples (2, N) at 44.1 kHz -> the same, coded and decoded


def main(argv: list[str] | None = None) -> None:
    """Reads the command line, copies, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codecs", nargs="+", metavar="FOLDER[@MODEL]", help="see above")
    parser.add_argument("--corpus", type=Path, help="folder written by hybridgen.data.corpus")
    parser.add_argument("--real", type=Path, help="folder of excerpts: make real-excerpts")
    parser.add_argument("--songs", type=int, default=8, help="held-out songs, and real excerpts, at most (default 8)")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each, from its middle (default 12)")
    parser.add_argument("--without-opus", action="store_true", help="measure the codecs alone")
    parser.add_argument("--accept-license", metavar="ID", help="use a codec whose license forbids some uses")
    parser.add_argument("--out", type=Path, help="JSON file of the figures of each sound")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        codecs = {name: load(name, args.accept_license) for name in args.codecs}
        sounds = test_sounds(args.corpus, args.real, args.songs, args.seconds)
    except (ValueError, OSError) as error:
        print(f"codec_figures: {error}", file=sys.stderr)
        sys.exit(2)
    copies = {name: copier(codec) for name, codec in codecs.items()}
    if not args.without_opus:
        copies |= opus_copies()
    found: dict[str, dict[str, list[Fidelity]]] = {name: {} for name in copies}
    for kind, parts in sounds.items():
        print(f"\n{kind}: {len(parts)} sounds")
        print(HEADER)
        for name, copy in copies.items():
            found[name][kind] = [
                fidelity.measure(copy(sound), sound) for sound in tqdm(parts, name, leave=False, disable=None)
            ]
            print(row(name, found[name][kind]), flush=True)
    print()
    for name, codec in codecs.items():
        print(f"{name}: decodes {speed(codec):.0f} times faster than real time, {megabytes(codec):.1f} MB in float16")
    if args.out:
        facts = {name: {k: [asdict(one) for one in v] for k, v in kinds.items()} for name, kinds in found.items()}
        args.out.write_text(json.dumps(facts))


def load(name: str, accept_license: str | None) -> BlockCodec:
    """The codec of a model folder, of a shipped model, or of a run or a checkpoint of others and its shapes."""
    folder, _, model = name.partition("@")
    path = Path(folder)
    if model:
        sections = config.read(config.model_file(model))
    else:
        path = weights.resolve(folder)
        sections = config.read(path / "config.yaml")
    section = next((known for known in SECTIONS if sections.get(known)), None)
    if section is None:
        raise ValueError(f"{name}: none of the sections {', '.join(SECTIONS)}, but {sorted(sections)}")
    shapes: Any = config.build(SECTIONS[section], sections[section], section)
    check_license(shapes.license, accept_license)
    if model and checkpoint.is_checkpoint(path):
        return checkpoint.load(path, shapes).requires_grad_(False)
    codec = CODECS[type(shapes)](shapes).eval().requires_grad_(False)
    weights.load_weights(codec, path / "codec.safetensors")
    return codec


def copier(codec: BlockCodec) -> Copy:
    """What a codec makes of samples at 44.1 kHz, as the pipeline does it: a narrow sound is as narrow again."""

    def copy(samples: np.ndarray) -> np.ndarray:
        sound = Audio(samples, SAMPLE_RATE).resample(codec.sample_rate)
        latents = codec.encode(torch.from_numpy(sound.samples.copy())[None])[0]
        decoded = torch.cat([block for _, block in codec.decode_blocks(latents)], 1).numpy()
        width = stereo.width(samples)
        if stereo.is_narrow(width):
            decoded = stereo.narrowed(decoded, width / max(stereo.width(decoded), 1e-9))
        decoded = np.ascontiguousarray(decoded[:, : sound.samples.shape[1]])
        return fitted(Audio(decoded, codec.sample_rate).resample(SAMPLE_RATE).samples, samples.shape[1])

    return copy


def opus_copies() -> dict[str, Copy]:
    """Opus at some rates; none where its tools are not installed, which is said."""
    if not (shutil.which("opusenc") and shutil.which("opusdec")):
        print(
            "codec_figures: without Opus, whose tools are not installed (apt-get install opus-tools)", file=sys.stderr
        )
        return {}
    return {f"Opus {kilobits} kb/s": opus(kilobits) for kilobits in OPUS_KILOBITS}


def opus(kilobits: int) -> Copy:
    """What Opus makes of samples at a bit rate."""

    def copy(samples: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            wav, coded, decoded = (f"{folder}/{name}" for name in ("in.wav", "coded.opus", "out.wav"))
            soundfile.write(wav, samples.T, SAMPLE_RATE, "FLOAT")
            run = ["opusenc", "--quiet", "--bitrate", str(kilobits), wav, coded]
            subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
            run = ["opusdec", "--quiet", "--float", "--rate", str(SAMPLE_RATE), coded, decoded]
            subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
            found = soundfile.read(decoded, dtype="float32", always_2d=True)[0].T
        return fitted(np.ascontiguousarray(np.broadcast_to(found, (2, found.shape[1]))), samples.shape[1])

    return copy


def fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """Samples (2, length): cut, or with silence at the end."""
    return np.pad(samples[:, :length], ((0, 0), (0, max(0, length - samples.shape[1]))))


def test_sounds(songs: Path | None, real: Path | None, n: int, seconds: float) -> dict[str, list[np.ndarray]]:
    """Samples (2, N) by kind; ValueError where a folder holds none."""
    sounds: dict[str, list[np.ndarray]] = {}
    if songs is not None:
        paths = [record.audio for record in corpus.read(songs) if record.split == "test"][:n]
        if not paths:
            raise ValueError(f"corpus {songs} has no held-out songs")
        sounds["corpus"] = [middle(path, seconds) for path in paths]
        sounds["corpus, mono"] = [np.repeat(sound.mean(0, keepdims=True), 2, 0) for sound in sounds["corpus"]]
    sounds["dry"] = [dry_notes(spread) for spread in (0.0, 0.8)]
    if real is not None:
        paths = sorted(real.glob("*.flac"))
        if not paths:
            raise ValueError(f"real {real} holds no FLAC files: make real-excerpts")
        sounds["real"] = [middle(path, seconds) for path in paths[:: max(1, len(paths) // n)][:n]]
    return sounds


def middle(path: Path, seconds: float) -> np.ndarray:
    """Samples (2, N) of the middle of a file."""
    samples = Audio.load(path, SAMPLE_RATE).samples
    start = max(0, samples.shape[1] // 2 - round(seconds * SAMPLE_RATE / 2))
    return np.ascontiguousarray(samples[:, start : start + round(seconds * SAMPLE_RATE)])


def dry_notes(spread: float) -> np.ndarray:
    """Samples (2, N): plucked notes, each after a short burst of noise, without a room.

    spread: how far they are panned, from 0, which is exactly mono, to 1.
    """
    rng, n = np.random.default_rng(0), round(NOTE_SECONDS * SAMPLE_RATE)
    time_axis = np.arange(n) / SAMPLE_RATE
    pieces = []
    for i, pitch in enumerate(NOTES):
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        partials = range(1, min(16, int(16_000 / hertz)))
        tone = sum(np.sin(2 * np.pi * hertz * k * time_axis) * np.exp(-(3 + k) * time_axis) / k for k in partials)
        sound = 0.15 * tone + 0.15 * rng.standard_normal(n) * np.exp(-200 * time_axis)
        sound *= np.minimum(1, (n - np.arange(n)) / 500)  # no click where it ends
        place = math.pi / 4 * (1 + spread * (-1) ** i)
        pieces.append(np.stack([np.cos(place) * sound, np.sin(place) * sound]))
    return np.concatenate(pieces, axis=1).astype(np.float32)


HEADER = (
    f"{'':<24}{'log-mel':>8}{'chroma':>8}{'texture':>8}{'attack ms':>14}{'pre-echo dB':>16}{'crest dB':>14}"
    f"{'contrast dB':>14}{'> 8 kHz':>9}{'width':>14}{'l-r dB':>8}{'SNR':>7}"
)


def row(name: str, found: list[Fidelity]) -> str:
    """A line of the table: means over sounds that have the figure."""

    def both(part: str, digits: int) -> str:
        pair = [mean([getattr(getattr(one, side), part) for one in found]) for side in ("copy", "original")]
        return " / ".join(f"{value:.{digits}f}" for value in pair)

    def one(part: str) -> float:
        return mean([getattr(figures, part) for figures in found])

    return (
        f"{name[-23:]:<24}{one('log_mel_db'):>8.2f}{one('chroma'):>8.3f}{one('texture'):>8.3f}"
        f"{both('attack_ms', 1):>14}{both('pre_echo_db', 1):>16}{both('crest_db', 1):>14}{both('contrast_db', 1):>14}"
        f"{one('over_8_khz_db'):>9.1f}{both('width', 2):>14}{one('left_right_db'):>8.1f}{one('snr_db'):>7.1f}"
    )


def mean(values: list[float]) -> float:
    """The mean of what is a number; NaN where nothing is."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


@torch.no_grad()
def speed(codec: BlockCodec) -> float:
    """Seconds of sound that a second decodes, in one thread's time of the CPU."""
    n_frames = math.ceil(SPEED_SECONDS * codec.sample_rate / codec.hop_length)
    latents, best = torch.randn(n_frames, codec.latent_dim, generator=torch.Generator().manual_seed(0)), math.inf
    for _ in range(SPEED_RUNS):
        begin = time.process_time()
        for _ in codec.decode_blocks(latents):
            pass
        best = min(best, time.process_time() - begin)
    return SPEED_SECONDS / best


def megabytes(codec: BlockCodec) -> float:
    """The size of the weights in half precision."""
    return sum(value.numel() for value in codec.state_dict().values()) * 2 / 1e6


if __name__ == "__main__":
    main()
