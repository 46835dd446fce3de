"""Files -> tracks that can be edited: our own, recordings from elsewhere, and a manifest replayed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hybridgen import audio, files, manifest, weights
from hybridgen.audio import Audio
from hybridgen.codecs import stereo
from hybridgen.history import Change, Import, Render, Style
from hybridgen.manifest import Manifest
from hybridgen.plan.harmony import METER_BEATS, meter_quarters
from hybridgen.plan.parts import MAX_SECONDS, MIN_SECONDS, Bar, Section, check_meter, check_tempo, instance
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.progress import Progress, report
from hybridgen.render import change, equalizer, layer, mixdown, style
from hybridgen.sampling import RenderOptions
from hybridgen.stages import Stages
from hybridgen.track import LOSSLESS, Track, find_latents, sidecar


def open_track(stages: Stages, path: Path, progress: Progress | None = None) -> Track:
    """The track in a file made by hybridgen: its plan from the manifest, its latents from the file beside it.

    Without that one they are made again: a recording is encoded, anything else replayed.
    """
    record = manifest.read(path)
    notes, plan = tuple(manifest.verify(path)), record.plan
    change.check_time_base(stages, plan)
    lossless = path.suffix.lower() in LOSSLESS
    own = _own_sound(path, plan, lossless) if lossless or record.has_own_sound else None
    beside, unused = find_latents(path)
    notes = (*notes, *unused)
    if beside is not None:
        latents = _own_latents(stages, beside, plan)
        change.check_stages(stages, record, "codec", "its latents cannot be decoded here")
    elif own is not None and record.is_recording:
        before = equalizer.undone(own, record.styles)
        latents = mixdown.encode(stages, _scaled(Audio(before, plan.time_base.sample_rate), -record.gain_db))
        notes = (
            *notes,
            f"{path}: its latents are not beside it ({sidecar(path).name}), so they were encoded from its sound",
        )
    else:
        track = replay(stages, record, progress)
        return replace(track, samples=track.samples if own is None else own, notes=(*notes, *track.notes))
    if own is None:
        frames = torch.from_numpy(latents).to(stages.device)
        own = mixdown.decoded(stages, plan, frames, (0, plan.length), record.origin)
        own = mixdown.master(equalizer.toned(own, record.styles, plan.is_loop), plan, record.gain_db)
    if record.is_recording and not record.operations[0].plan.codes:  # older: its codes were the planner's invention
        plan = replace(plan, codes=mixdown.codes(stages, latents))
    return Track(own, plan, latents, record, notes)


def _own_sound(path: Path, plan: Plan, lossless: bool) -> np.ndarray:
    """Samples (2, N) of a file, as many as its plan says; a lossy format may add some or lose some at its end.

    ValueError for another rate, or in a lossless format another length.
    """
    sound = Audio.load(path)
    found, length = sound.samples.shape[1], plan.length
    if sound.sample_rate != plan.time_base.sample_rate:
        raise ValueError(f"{path}: {sound.sample_rate} Hz, but its plan has {plan.time_base.sample_rate} Hz")
    if lossless and found != length:
        raise ValueError(f"{path}: {found} samples, but its plan has {length}")
    return np.pad(sound.samples[:, :length], ((0, 0), (0, max(0, length - found))))


def _own_latents(stages: Stages, path: Path, plan: Plan) -> np.ndarray:
    """Latents (T, C) of a file; ValueError when they are not of this plan and codec."""
    latents, expected = weights.load_latents(path)[0], (plan.n_frames, stages.config.any_codec.latent_dim)
    if latents.shape != expected:
        raise ValueError(f"{path}: latents {latents.shape}, the plan and the codec need {expected}")
    return latents


def load_recording(stages: Stages, path: Path) -> Audio:
    """A recording at the stages' rate; ValueError for no audio, no samples, or more than a plan can hold."""
    recording = Audio.load(path, stages.time_base.sample_rate)
    if not MIN_SECONDS <= recording.seconds <= MAX_SECONDS:
        raise ValueError(
            f"{path}: {recording.seconds:.2f} s is outside the {MIN_SECONDS:g}-{MAX_SECONDS:g} s of a track"
        )
    return recording


def open_recording(
    stages: Stages, path: Path, recording: Audio, tempo: float, downbeat: float, meter: str | None
) -> Track:
    """An imported recording at the stages' rate, with the bars that tempo, downbeat (seconds) and meter give it.

    Its codes are the quantizer's, of its own latents. Samples over full scale are turned down, as a note says.
    """
    meter = "4/4" if meter is None else meter
    plan = steady_plan(recording.samples.shape[1], tempo, downbeat, meter, stages.time_base)
    recording, scale_db = recording.fitted()
    gain_db = -audio.mastering_gain(recording.loudness())
    latents = mixdown.encode(stages, _scaled(recording, -gain_db))
    plan = replace(plan, codes=mixdown.codes(stages, latents))
    operation = Import(plan, files.sha256(path), tempo, downbeat, stages.model_record, scale_db)
    notes = [
        *recording.notes,
        f"{path}: was not made by hybridgen: encoded, so new bars meet the recording's own sound",
    ]
    if scale_db:
        notes.append(f"{path}: is over full scale, so all of it is turned down by {-scale_db:.2f} dB")
    return Track(recording.samples, plan, latents, mixdown.describe((operation,), gain_db), tuple(notes))


def steady_plan(n_samples: int, tempo: float, downbeat: float, meter: str, time_base: TimeBase) -> Plan:
    """A plan with the bars of a recording that holds `tempo` from `downbeat` (seconds) on, all else unknown.

    ValueError when tempo or meter are not supported, or the recording does not contain one whole bar.
    """
    check_tempo(tempo)
    check_meter(meter)
    bar_seconds, seconds = meter_quarters(meter) * 60 / tempo, n_samples / time_base.sample_rate
    if not 0 <= downbeat < seconds:  # also refuses NaN
        raise ValueError(f"downbeat {downbeat:g} s is outside the {seconds:.2f} s of the recording")
    n_bars = int((seconds - downbeat + 0.5 / time_base.sample_rate) / bar_seconds)
    if n_bars < 1:
        raise ValueError(f"downbeat {downbeat:g} s leaves no whole bar in {seconds:.2f} s")
    offsets = np.array(METER_BEATS[meter]) * 60 / tempo
    times = downbeat + (np.arange(n_bars)[:, None] * bar_seconds + offsets).reshape(-1)
    beats = (*times.round(6).tolist(), round(downbeat + n_bars * bar_seconds, 6))
    sections = (Section(None, (Bar(),) * n_bars),)
    return Plan(sections=sections, meter=meter, beats=beats, n_samples=n_samples, time_base=time_base)


def replay(
    stages: Stages, record: Manifest, progress: Progress | None = None, adapter_folders: Sequence[str | Path] = ()
) -> Track:
    """The track that a manifest describes, made again, operation by operation.

    adapter_folders: folders to search for adapters that have moved. Raises ValueError when the weights
    or the adapters are not those that made it, or when it began as an imported recording.
    """
    first, *changes = record.operations
    if not isinstance(first, Render):
        raise ValueError("the file began as an imported recording, which its manifest does not hold: no replay")
    for operation in record.operations:
        if operation.model.weights != stages.weight_hashes:
            name = operation.model.name
            raise ValueError(f"the file was made by model {name!r} with other weights than {stages.name!r} holds")
    as_then = stages.as_recorded(first, adapter_folders)
    options = RenderOptions(seed=first.seed, progress=progress)
    track = mixdown.render(as_then, first.plan, options, gain_db=record.gain_db)
    for one in changes:
        if isinstance(one, Style):
            track = style.styled(stages, track, one)
            continue
        assert isinstance(one, Change)  # as `history.check` has it
        as_then = stages.as_recorded(one, adapter_folders)
        options = RenderOptions(seed=one.seed, progress=progress)
        if one.heard:
            track = layer.added(as_then, track, one, options).track
        else:
            track = change.replayed(as_then, track, one, options)
    return replace(track, notes=(*_version_notes(record), *track.notes))


def _version_notes(record: Manifest) -> tuple[str, ...]:
    here = manifest.versions(torch.get_num_threads())
    then = record.versions.items()
    changed = [f"{name} {version} (here {here.get(name)})" for name, version in then if here.get(name) != version]
    return (f"made with {', '.join(changed)}: samples may differ in the last bits",) if changed else ()


def check_latents(stages: Stages, latents: np.ndarray) -> None:
    """TypeError for latents that are no array, ValueError for those that are not float32 (T, C) of this codec."""
    instance(latents, np.ndarray, "latents", " (T, C)")
    width = stages.codec.latent_dim
    if latents.ndim != 2 or latents.shape[1] != width or latents.dtype != np.float32 or not len(latents):
        raise ValueError(f"latents {latents.dtype} {latents.shape} should be float32 (T, {width}) with T > 0")


@dataclass(frozen=True, eq=False)
class Encoded:
    """A sound file as latents."""

    latents: np.ndarray  # (T, C) float32
    n_samples: int  # at the codec's rate
    width: float  # level of side over that of mid
    notes: tuple[str, ...]  # what was odd about the file


@torch.no_grad()
def encode_file(stages: Stages, path: str | Path, progress: Progress | None = None) -> Encoded:
    """A sound file of up to an hour encoded as it is read, in memory that hardly grows with its length.

    Raises what `Audio.load` raises.
    """
    rate, meter = stages.codec.sample_rate, stereo.WidthMeter()
    with audio.stream(path, rate) as source:
        expected = round((source.n_promised or 0) * rate / source.file_rate)

        def blocks() -> Iterator[torch.Tensor]:
            for block in source.blocks:
                meter.feed(block)
                report(progress, "encoding", min(meter.n_samples, expected), expected)
                yield torch.from_numpy(block)[None].to(stages.device)

        latents = [part[0].cpu() for part in stages.codec.encode_blocks(blocks())]
    if not meter.n_samples:
        raise ValueError(f"{path}: holds no samples")
    return Encoded(torch.cat(latents).numpy(), meter.n_samples, meter.width(), tuple(source.notes))


def decode(stages: Stages, latents: np.ndarray, n_samples: int | None = None) -> np.ndarray:
    """Samples (2, N) float32 of latents (T, C), not mastered; N = T * hop_length unless `n_samples` cuts it.

    ValueError for `n_samples` that would need more or fewer latents.
    """
    hop = stages.codec.hop_length
    if n_samples is not None and not (len(latents) - 1) * hop < n_samples <= len(latents) * hop:
        raise ValueError(f"n_samples {n_samples} do not fit {len(latents)} latent frames of {hop} samples")
    frames = torch.from_numpy(latents).to(stages.device)
    samples = np.zeros((2, len(latents) * stages.codec.hop_length), dtype=np.float32)
    for first, block in stages.codec.decode_blocks(frames):
        samples[:, first : first + block.shape[1]] = block.cpu().numpy()
    return samples[:, :n_samples]


def _scaled(recording: Audio, gain_db: float) -> Audio:
    return replace(recording, samples=recording.samples * np.float32(10 ** (gain_db / 20)))
