"""Preparing: labeled audio -> shards of latents, controls, text states and codes.

A shard is the unit of work: it exists complete or not at all, so a stopped run resumes where it was. The bytes are the
same for any number of processes, each of one thread, because the order of sums depends on the number of threads.

Shapes: as in `prepared_dataset`.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from hybridgen import config
from hybridgen.audio import Audio
from hybridgen.codecs import checkpoint
from hybridgen.codecs.contract import BlockCodec, check_license
from hybridgen.data import shards
from hybridgen.data.corpus import MAX_SONG_JSON, SongRecord
from hybridgen.data.prepared_dataset import (
    DATASET_INDEX,
    FORMAT,
    Labels,
    Notes,
    codes_path,
    latents_path,
    read_dataset_index,
)
from hybridgen.data.shards import CorruptShardError, Shard
from hybridgen.data.song import Note
from hybridgen.files import read_json, sha256
from hybridgen.plan.features import N_FEATURES, PLAN_VERSION
from hybridgen.plan.sounds import sound_values
from hybridgen.plan.time_base import TimeBase
from hybridgen.quantizer import Quantizer
from hybridgen.stages import PipelineConfig, make_codec
from hybridgen.text.encoder import TextEncoder
from hybridgen.weights import load_weights, save_weights
from hybridgen.workers import run_tasks

SHARD_HOURS = 1.0
MEASURED_TRACKS, MEASURED_SECONDS = 200, 8.0  # of music on which the latents of others are measured, at most
MIN_DEVIATION = 1e-3  # of a channel that never changes


@dataclass(frozen=True)
class LabeledAudio:
    """A track to be prepared: a composed song or a recording."""

    labels: Labels
    audio: Path  # stereo, of the plan's sample rate and length
    notes: Path | None  # JSON with `notes`: [[role, pitch, start, duration, velocity], ...]; None: unknown


def from_corpus(record: SongRecord) -> list[LabeledAudio]:
    """A song of the synthetic corpus, and its subsets of roles as tracks of their own."""
    name = f"{record.index:06d}"
    labels = Labels(name, record.split, record.plan, record.captions, record.genre, record.mood)
    subsets = [
        LabeledAudio(replace(labels, name="-".join((name, *roles)), heard=roles), record.audio_of(roles), None)
        for roles in record.subsets
    ]
    return [LabeledAudio(labels, record.audio, record.audio.with_suffix(".json")), *subsets]


@dataclass(frozen=True)
class PrepareConfig:
    """What determines latents and text states."""

    model: Path  # YAML with the shapes of all stages
    codec: Path  # folder of codec.safetensors
    captions: int  # texts kept of each track
    codec_sha256: str | None = None  # of its weights; `write_latents` fills it in
    accept_license: str | None = None  # the codec's, where it forbids some uses


def take_over_codec(
    folder: Path, out: Path, tracks: Sequence[LabeledAudio], model: Path, accept_license: str | None = None
) -> Path:
    """`out`, with codec.safetensors: the codec in a checkpoint of others, its latents measured on the training tracks.

    What is there already is kept, so that more tracks may come. ValueError where it is another codec, where the
    checkpoint has other shapes than the model, and for a license that must be accepted by name.
    """
    shapes, place = _shapes(model), out / "codec.safetensors"
    check_license(shapes.any_codec.license, accept_license)
    codec = checkpoint.load(folder, shapes.any_codec)
    if place.is_file():
        kept = make_codec(shapes, accept_license)
        load_weights(kept, place)
        codec.latent_mean.copy_(kept.latent_mean)
        codec.latent_std.copy_(kept.latent_std)
        if encoder_hash(kept) != encoder_hash(codec):
            raise ValueError(f"{place}: another codec than that of {folder}; prepare into a new folder")
        return out
    measure_latents(codec, [track for track in tracks if track.labels.split == "train"])
    out.mkdir(parents=True, exist_ok=True)
    save_weights(codec, place, half=False)
    return out


@torch.no_grad()
def measure_latents(codec: BlockCodec, tracks: Sequence[LabeledAudio]) -> None:
    """Sets mean and deviation of each channel of a codec that has neither, from the middles of tracks."""
    if not tracks:
        raise ValueError("no tracks to train on, so that the codec's latents cannot be measured")
    chosen = tracks[:: -(-len(tracks) // MEASURED_TRACKS)]
    parts = [
        codec.encode(torch.from_numpy(_middle(track.audio, codec.sample_rate))[None])[0].double()
        for track in tqdm(chosen, "measuring", disable=None)
    ]
    latents = torch.cat(parts)
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_std.copy_(latents.std(0).clamp(min=MIN_DEVIATION))


def _middle(path: Path, rate: int) -> np.ndarray:
    samples = Audio.load(path, rate).samples
    n = round(MEASURED_SECONDS * rate)
    start = max(0, (samples.shape[1] - n) // 2)
    return np.ascontiguousarray(samples[:, start : start + n])


def write_latents(
    tracks: Sequence[LabeledAudio], out: Path, settings: PrepareConfig, hours: float = SHARD_HOURS, workers: int = 1
) -> None:
    """Prepares tracks in shards of up to `hours` of music; shards that are up to date are kept, and so are their codes.

    Raises ValueError for no tracks, two tracks of one name, and audio that is not as long as its plan.
    """
    _check_names(out, tracks)
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(".*.tmp"):
        left.unlink()  # of a run that was killed
    settings = replace(settings, codec_sha256=sha256(settings.codec / "codec.safetensors"))
    time_base, codec_hash = _shapes(settings.model).time_base, encoder_hash(_encoders(settings)[0])
    tracks = [replace(one, labels=replace(one.labels, plan=one.labels.plan.on(time_base))) for one in tracks]
    chunks = split_hours(tracks, hours)
    tasks = [
        (i, chunk, latents_metadata([track.labels for track in chunk], codec_hash, settings.captions))
        for i, chunk in enumerate(chunks)
    ]
    todo = [task for task in tasks if not _is_up_to_date(latents_path(out, task[0]), task[2])]
    if todo:
        (out / DATASET_INDEX).unlink(missing_ok=True)  # so that no run trains on a folder that is changing
    n_left = sum(len(chunk) for _, chunk, _ in todo)
    with tqdm(total=len(tracks), initial=len(tracks) - n_left, desc="latents", mininterval=2) as bar:
        for n_tracks in run_tasks(functools.partial(_write_latents_shard, out, settings), todo, workers):
            bar.update(n_tracks)
    write_dataset_index(out, len(tasks))


def write_codes(out: Path, model: Path, weights: Path, workers: int = 1) -> None:
    """Adds the codes of a quantizer (its safetensors) to a prepared folder; codes it has made before are kept."""
    entries, quantizer = read_dataset_index(out)["shards"], sha256(weights)
    tasks = [(i, codes_metadata(quantizer, entry["latents"])) for i, entry in enumerate(entries)]
    todo = [task for task in tasks if not _is_up_to_date(codes_path(out, task[0]), task[1])]
    n_tracks, n_left = sum(len(e["names"]) for e in entries), sum(len(entries[i]["names"]) for i, _ in todo)
    with tqdm(total=n_tracks, initial=n_tracks - n_left, desc="codes", mininterval=2) as bar:
        for n_written in run_tasks(functools.partial(_write_codes_shard, out, model, weights), todo, workers):
            bar.update(n_written)
    write_dataset_index(out, len(entries))


def split_hours(tracks: Sequence[LabeledAudio], hours: float) -> list[list[LabeledAudio]]:
    """Consecutive tracks in chunks of at most `hours` of music, or of a single longer track."""
    chunks: list[list[LabeledAudio]] = []
    room = 0.0
    for track in tracks:
        if not chunks or track.labels.plan.length > room:
            chunks.append([])
            room = hours * 3600 * track.labels.plan.time_base.sample_rate
        chunks[-1].append(track)
        room -= track.labels.plan.length
    return chunks


def pad_frames(latents: Tensor, multiple: int) -> Tensor:
    """(T', C) -> (T, C) with T the next `multiple` (frames in a code frame), by repeating the last frame."""
    missing = -len(latents) % multiple
    return torch.cat([latents, latents[-1:].expand(missing, -1)])


def loudness(samples: np.ndarray, time_base: TimeBase) -> np.ndarray:
    """Level (P,) float32 of each code frame of samples (2, N): 0 at -20 dB RMS, plus 1 for every 10 dB; at least -4."""
    n_code_frames, hop = time_base.n_code_frames(samples.shape[1]), time_base.code_hop
    padded = np.pad(samples, ((0, 0), (0, n_code_frames * hop - samples.shape[1])))
    power = np.square(padded).reshape(2, n_code_frames, hop).mean(axis=(0, 2))
    return (np.log10(power + 1e-6) + 2).astype(np.float32)


def encoder_hash(codec: BlockCodec) -> str:
    """SHA-256 of the weights that a codec's latents depend on: training its decoder further does not change it."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        if not name.startswith("decoder."):
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def encode_track(track: LabeledAudio, codec: BlockCodec, text: TextEncoder, n_captions: int) -> dict[str, bytes]:
    """The parts of one track in a shard; ValueError when the audio, at the codec's rate, is not as long as the plan."""
    found, rate = soundfile.read(track.audio, dtype="float32", always_2d=True)
    base = track.labels.plan.time_base
    samples = found.T
    if rate != base.sample_rate and len(samples) == 2:
        samples = Audio(np.ascontiguousarray(samples), rate).resample(base.sample_rate).samples
    if samples.shape != (2, track.labels.plan.length):
        expected = f"({track.labels.plan.length}, 2) at {base.sample_rate} Hz"
        raise ValueError(f"{track.audio}: {found.shape} at {rate} Hz does not fit its plan: {expected}")
    encoded = codec.encode(torch.from_numpy(samples.copy())[None])[0]
    latents = pad_frames(encoded, base.frames_per_code).half().numpy()
    notes = None
    if track.notes is not None:
        notes = Notes.of(Note(*row) for row in read_json(track.notes, MAX_SONG_JSON)["notes"])
    return track_parts(
        track.labels, latents, loudness(samples, base), _text_states(track.labels, text, n_captions), notes
    )


def track_parts(
    labels: Labels, latents: np.ndarray, loudness: np.ndarray, texts: Sequence[np.ndarray], notes: Notes | None
) -> dict[str, bytes]:
    """The parts of a track in a shard of latents, from latents (T, C), loudness (P,) and texts (S, E)."""
    arrays = {
        "latents": latents.astype(np.float16),
        "loudness": loudness.astype(np.float16),
        "controls": labels.plan.frame_controls(labels.plan.time_base.latent_hop, 0, len(latents)).astype(np.float16),
        "instruments": labels.plan.instrument_ids().astype(np.int16),
    }
    if labels.plan.sound:
        arrays["sound"] = sound_values(labels.plan.sound).astype(np.int16)
    arrays |= {f"text.{i}": text.astype(np.float16) for i, text in enumerate(texts)}
    made = {"safetensors": safetensors.numpy.save(arrays), "json": labels.to_json()}
    if labels.plan.notes:
        spans = labels.plan.note_spans(labels.plan.time_base.latent_hop, len(latents))
        made["rolls.safetensors"] = safetensors.numpy.save(vars(spans))
    return made if notes is None else made | {"notes.safetensors": safetensors.numpy.save(vars(notes))}


def codes_part(codes: np.ndarray) -> dict[str, bytes]:
    """The parts of a track in a shard of codes, from codes (Q, P)."""
    return {"codes.safetensors": safetensors.numpy.save({"codes": np.ascontiguousarray(codes, dtype=np.int16)})}


def _text_states(labels: Labels, text: TextEncoder, n_captions: int) -> list[np.ndarray]:
    captions = labels.captions[:n_captions]
    if not captions:
        return [np.zeros((0, text.config.dim), dtype=np.float16)]
    states, mask = text.encode(captions)
    return [row[present].half().numpy() for row, present in zip(states, mask, strict=True)]


def _check_names(out: Path, tracks: Sequence[LabeledAudio]) -> None:
    counts = Counter(track.labels.name for track in tracks)
    if not counts:
        raise ValueError(f"prepared {out}: no tracks to prepare")
    name, n = counts.most_common(1)[0]
    if n > 1:
        raise ValueError(f"prepared {out}: {n} tracks have the name {name}")


def _write_latents_shard(
    out: Path, settings: PrepareConfig, task: tuple[int, list[LabeledAudio], dict[str, Any]]
) -> int:
    number, chunk, metadata = task
    codec, text = _encoders(settings)
    samples = ((track.labels.name, encode_track(track, codec, text, settings.captions)) for track in chunk)
    shards.write(latents_path(out, number), samples, metadata)
    return len(chunk)


def _write_codes_shard(out: Path, model: Path, weights: Path, task: tuple[int, dict[str, str]]) -> int:
    number, metadata = task
    latents, quantizer = Shard(latents_path(out, number)), _quantizer(model, weights, metadata["quantizer"])

    def code(row: int) -> dict[str, bytes]:
        part = latents.read(row, "safetensors")
        assert part is not None, f"{latents.path}: {latents.names[row]} has no latents"
        arrays = safetensors.numpy.load(bytes(part))
        return codes_part(quantizer.encode(torch.from_numpy(arrays["latents"])[None].float())[0].numpy())

    shards.write(codes_path(out, number), ((name, code(row)) for row, name in enumerate(latents.names)), metadata)
    return len(latents)


def latents_metadata(labels: Sequence[Labels], codec_hash: str, n_captions: int) -> dict[str, Any]:
    """What determines a shard of latents, except for the audio: when any of it differs, the shard is written again."""
    return {
        "codec": codec_hash,
        "captions": n_captions,
        "features": N_FEATURES,
        "plan_version": PLAN_VERSION,
        "labels": hashlib.sha256(b"".join(one.to_json() for one in labels)).hexdigest(),
        "lengths": [one.plan.length for one in labels],
        "splits": [one.split for one in labels],
        **({"heard": [one.heard and list(one.heard) for one in labels]} if any(one.heard for one in labels) else {}),
        **time_base_entry(labels[0].plan.time_base),
    }


def time_base_entry(time_base: TimeBase) -> dict[str, Any]:
    """What metadata says of a time base: nothing of the usual one, as files from before there was another."""
    return {} if time_base == TimeBase() else {"time_base": asdict(time_base)}


def codes_metadata(quantizer_hash: str, latents_digest: str) -> dict[str, str]:
    """What determines a shard of codes."""
    return {"quantizer": quantizer_hash, "of": latents_digest}


def _is_up_to_date(path: Path, metadata: dict[str, Any]) -> bool:
    try:
        found = Shard(path).metadata
    except CorruptShardError:
        return False
    if "plan_version" not in found:  # an old shard: that the number of features is the same has to do
        metadata = {name: value for name, value in metadata.items() if name != "plan_version"}
    return found == metadata


def write_dataset_index(out: Path, n_shards: int) -> None:
    """Writes the dataset index: it binds the first `n_shards` shards and the codes that belong to them."""
    entries: list[dict[str, Any]] = []
    quantizers: set[str | None] = set()
    versions: set[str | None] = set()
    for number in range(n_shards):
        latents = Shard(latents_path(out, number))
        codes = Shard(codes_path(out, number)) if codes_path(out, number).with_suffix(".index").exists() else None
        if codes is not None and codes.metadata["of"] != latents.digest:
            codes = None  # of other latents
        quantizers.add(None if codes is None else codes.metadata["quantizer"])
        versions.add(latents.metadata.get("plan_version"))
        entry: dict[str, Any] = {"latents": latents.digest, "codes": None if codes is None else codes.digest}
        entry["names"] = list(latents.names)
        entry |= {key: latents.metadata[key] for key in ("lengths", "splits", "heard") if key in latents.metadata}
        entries.append(entry)
    index = {
        "format": FORMAT,
        "codec": latents.metadata["codec"],
        "captions": latents.metadata["captions"],
        "features": latents.metadata["features"],
        "plan_version": versions.pop() if len(versions) == 1 else None,
        **({"time_base": latents.metadata["time_base"]} if "time_base" in latents.metadata else {}),
        "quantizer": quantizers.pop() if len(quantizers) == 1 else None,
        "shards": entries,
    }
    shards.write_checksummed(out / DATASET_INDEX, (json.dumps(index) + "\n").encode())


@functools.cache
def _shapes(model: Path) -> PipelineConfig:
    return config.load(PipelineConfig, model)


@functools.cache
def _encoders(settings: PrepareConfig) -> tuple[BlockCodec, TextEncoder]:
    """This process's codec and text encoder; new weights in the same file have another hash in `settings`."""
    shapes = _shapes(settings.model)
    codec = make_codec(shapes, settings.accept_license).eval()
    load_weights(codec, settings.codec / "codec.safetensors")
    return codec, TextEncoder(shapes.text)


@functools.cache
def _quantizer(model: Path, weights: Path, weights_sha256: str) -> Quantizer:
    """This process's quantizer; because of the hash, new weights in the same file are another quantizer."""
    quantizer = Quantizer(_shapes(model).quantizer).eval()
    load_weights(quantizer, weights)
    return quantizer
