"""A folder of songs -> an adapter: what `hybridgen finetune` does.

The songs are found by `hybridgen.data.song_folder`, mastered and labeled by `hybridgen.data.recordings`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hybridgen import config, stages, weights
from hybridgen.data import prepare, recordings
from hybridgen.data.prepare import PrepareConfig
from hybridgen.data.song_folder import SongFile
from hybridgen.training import lora
from hybridgen.training.lora import WORK, LoraTrainConfig, Trained
from hybridgen.training.run import only_one


def main(
    songs: Sequence[SongFile], out: Path, train: LoraTrainConfig, accept_license: str | None = None
) -> dict[str, Trained] | None:
    """Trains an adapter on songs; None if a signal came first: the same call then resumes.

    accept_license: as `Stages.from_pretrained` takes it.
    A song that cannot be used is left out, with a warning; ValueError where none is left.
    """
    model = weights.resolve(train.run.model)
    check_out(out)
    base = stages.time_base_of(model / "config.yaml")
    window = train.renderer.window if train.renderer is not None else base.frames_per_code
    with only_one(out / WORK):
        tracks = recordings.master_recordings(songs, out / WORK / "songs", window * base.latent_hop / base.sample_rate)
        prepared = out / WORK / "prepared"
        settings = PrepareConfig(model / "config.yaml", model, 1, accept_license=accept_license)
        prepare.write_latents(tracks, prepared, settings)
        prepare.write_codes(prepared, model / "config.yaml", model / "quantizer.safetensors")
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
    """ValueError for a folder that holds something other than an adapter."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / WORK).is_dir()):
        raise ValueError(f"output {str(out)!r} already exists and is not an unfinished adapter: choose another name")
