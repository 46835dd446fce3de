"""A folder of songs -> an adapter: what `hybridgen finetune` does.

The songs are read, mastered and labeled by `hybridgen.data.recordings`.
"""

from dataclasses import replace
from pathlib import Path

from hybridgen import adapters, config, weights
from hybridgen.data import prepare, recordings
from hybridgen.data.prepare import PrepareConfig
from hybridgen.plan import LATENT_HOP, SAMPLE_RATE
from hybridgen.training import lora
from hybridgen.training.lora import WORK, TrainConfig, Trained


def main(folder: Path, out: Path, train: TrainConfig) -> dict[str, Trained] | None:
    """Trains an adapter on the songs in a folder; None if a signal came first: the same call then goes on.

    ValueError, naming the file, for a song that cannot be read, is silent, too short or too long.
    """
    model = weights.resolve(train.model)
    check_out(out)
    window = train.renderer.window if train.renderer is not None else 4
    paths = recordings.find_recordings(folder)
    tracks = recordings.master_recordings(paths, out / WORK / "songs", window * LATENT_HOP / SAMPLE_RATE)
    prepared = out / WORK / "prepared"
    prepare.write_latents(tracks, prepared, PrepareConfig(model / "config.yaml", model, 1))
    prepare.write_codes(prepared, model / "config.yaml", model / "quantizer.safetensors")
    if train.planner is not None:  # what these songs' scores could teach is that labels are unknown
        train = replace(train, planner=replace(train.planner, score_weight=0.0))
    return lora.main(replace(train, prepared=str(prepared), out=str(out)))


def settings(model: str | None, device: str, threads: int, only: str | None, steps: int | None) -> TrainConfig:
    """The config of configs/train/lora.yaml for this model; `only` one stage, `steps` of each stage if given."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps {steps} must be at least 1")
    train = config.load(TrainConfig, config.preset("train/lora"))
    train = replace(train, model=model or "tiny", engine=replace(train.engine, device=device, threads=threads))
    chosen = {}
    for stage in adapters.STAGES:
        own = getattr(train, stage) if only in (None, stage) else None
        chosen[stage] = own if own is None or steps is None else replace(own, steps=steps)
    return replace(train, **chosen)


def check_out(out: Path) -> None:
    """ValueError for a folder that holds something else than an adapter."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / WORK).is_dir()):
        raise ValueError(f"output {str(out)!r} is there already and is no adapter in the making: choose another name")
