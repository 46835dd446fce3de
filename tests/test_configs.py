"""The presets and runs that are shipped: each loads, its model is built on the meta device, and it fits its GPUs."""

import re
from pathlib import Path

import pytest
import torch

from hybridgen import config
from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.planner import Planner
from hybridgen.quantizer import Quantizer
from hybridgen.renderer import PATCH, Renderer
from hybridgen.stages import CODECS, PipelineConfig
from hybridgen.training import memory
from hybridgen.training.configs import QuantizerTrainConfig, RendererTrainConfig
from hybridgen.training.estimate import BUILDERS, Assumptions, Estimate, estimate

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "configs" / "runs"
SIZES = ("tiny", "base", "large")
CLUSTERS = sorted(path.stem for path in RUNS.glob("*-*.yaml"))
MILLIONS = {  # of parameters, least and most: planner, renderer, codec
    "tiny": ((5, 7), (9, 11), (9, 12)),
    "base": ((320, 380), (650, 750), (80, 100)),
    "large": ((950, 1250), (1900, 2100), (135, 165)),
}


def load(stage: str, cluster: str, monkeypatch: pytest.MonkeyPatch) -> Estimate:
    """The run of a stage, as the training script would read it in the root of the repository."""
    monkeypatch.chdir(ROOT)
    size, gpus = re.fullmatch(r"(\w+)-(\d+)xh100", cluster).groups()
    files = [f"configs/runs/{size}.yaml", f"configs/runs/{cluster}.yaml"]
    songs = ["prepared=prepared"] if stage == "planner" else []
    return estimate(f"configs/train/{stage}.yaml", [*files, *songs], Assumptions(gpus=int(gpus)))


@pytest.mark.parametrize("size", SIZES)
def test_presets_have_the_sizes_of_the_design(size: str):
    shapes = config.load(PipelineConfig, config.preset(f"models/{size}"))
    with torch.device("meta"):
        models = (
            Planner(shapes.planner),
            Renderer(shapes.renderer),
            SpectralCodec(shapes.codec),
            Quantizer(shapes.quantizer),
        )
    counts = [memory.sizes(model)[0] / 1e6 for model in models]
    for count, (least, most) in zip(counts, MILLIONS[size], strict=False):
        assert least < count < most
    assert counts[3] < counts[2]
    assert models[2].reach <= 8  # latent frames on each side that a decoded one depends on


@pytest.mark.parametrize("path", sorted((ROOT / "configs/models").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_model_loads_and_its_stages_fit(path: Path):
    """Edits reach as far as at most 0.4 s, windows last some 10 to 50 s, and code frames come about as often in all."""
    shapes = config.load(PipelineConfig, path)
    with torch.device("meta"):
        codec = CODECS[type(shapes.any_codec)](shapes.any_codec)
    base, frame_rate = shapes.time_base, codec.sample_rate / codec.hop_length
    assert 5 < base.sample_rate / base.code_hop < 6.5
    assert 10 < shapes.sampling.window / frame_rate < 50
    assert shapes.sampling.overlap / frame_rate > 2.5
    assert codec.reach / frame_rate < 0.4
    assert PATCH * codec.latent_dim <= shapes.renderer.dim  # a token carries the noise of its frames


@pytest.mark.parametrize("stage", ["planner", "renderer", "quantizer"])
@pytest.mark.parametrize("over", ["run.model=base-oobleck", "configs/runs/dac.yaml"])
def test_base_on_a_codec_of_others_fits_one_gpu(stage: str, over: str, monkeypatch: pytest.MonkeyPatch):
    """With windows as long in seconds as base's, and a renderer of the same size."""
    monkeypatch.chdir(ROOT)
    files = ["configs/runs/base.yaml", "configs/runs/base-1xh100.yaml"]
    songs = ["prepared=prepared"] if stage == "planner" else []
    base = estimate(f"configs/train/{stage}.yaml", [*files, *songs], Assumptions())
    parts = ["engine.micro_batches=8"] if (stage, over) == ("renderer", "configs/runs/dac.yaml") else []
    run = estimate(f"configs/train/{stage}.yaml", [*files, over, *songs, *parts], Assumptions())
    assert run.train.run.model in ("base-oobleck", "base-dac")
    assert run.configured.gpu < 0.9 * memory.GPU_BYTES["H100"]
    assert all(step.rows % run.parts == 0 for step in run.steps)
    assert run.mean(lambda step: step.seconds) == pytest.approx(base.mean(lambda step: step.seconds), rel=0.15)
    assert stage == "quantizer" or run.n_params == pytest.approx(base.n_params, rel=0.02)


def test_the_next_codec_of_tiny_fits_24_megabytes_and_its_edits_stay_local():
    shapes = config.shapes(SpectralCodecConfig, "tiny-v2", "codec")
    with torch.device("meta"):
        codec = SpectralCodec(shapes)
    assert memory.sizes(codec)[0] * 2 < 24e6
    assert codec.reach <= 8


def test_there_is_a_run_for_each_size_on_each_cluster():
    assert set(CLUSTERS) == {f"{size}-{gpus}xh100" for size in SIZES for gpus in (1, 8, 64)}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_runs_load_share_their_batches_and_need_the_memory_that_they_say(cluster: str, monkeypatch: pytest.MonkeyPatch):
    said = dict(re.findall(r"(?m)^(\w+): # (\d+) GB$", (RUNS / f"{cluster}.yaml").read_text()))
    assert set(said) == set(BUILDERS)
    for stage in BUILDERS:
        run = load(stage, cluster, monkeypatch)
        assert round(run.configured.gpu / 1e9) == int(said[stage]), (stage, run.configured)
        assert run.configured.gpu < 0.9 * memory.GPU_BYTES["H100"]
        assert all(step.rows % run.parts == 0 for step in run.steps), (stage, [step.rows for step in run.steps])
        optim = run.train.optim
        assert optim.warm_up + optim.cool_down < run.n_steps and 0 < optim.learning_rate < 1e-2
        assert (run.train.engine.deepspeed is None) == (run.assumed.gpus == 1)


def test_a_file_is_laid_over_section_by_section(tmp_path: Path):
    (tmp_path / "quantizer.yaml").write_text((ROOT / "configs/train/quantizer.yaml").read_text())
    over = tmp_path / "mine.yaml"
    over.write_text("quantizer:\n  optim: {clip: 0.5}\nplanner: {steps: 3}\n")
    schema = QuantizerTrainConfig
    plain = config.load(schema, tmp_path / "quantizer.yaml")
    laid = config.load(schema, tmp_path / "quantizer.yaml", [str(over), "run.seed=5"])
    assert laid.optim.clip == 0.5 and laid.optim.ema == plain.optim.ema
    assert laid.run.seed == 5 and laid.phases == plain.phases
    (tmp_path / "renderer.yaml").write_text((ROOT / "configs/train/renderer.yaml").read_text())
    with pytest.raises(ValueError, match=r"mine\.yaml has no section 'renderer', but \['planner', 'quantizer'\]"):
        config.load(RendererTrainConfig, tmp_path / "renderer.yaml", [str(over)])


OLD = {  # what the config.yaml of older model folders says in other words, by section
    "planner": {"hidden_dim": "ffn_dim", "depth_hidden_dim": "depth_ffn_dim"},
    "codec": {"latent_width": "latent_block_dim"},
}
GONE = {  # options that had one value in all of them
    "renderer": {"cross_every": 2},
    "codec": {"tone_range": [-41, 39], "tone_steps": 3, "tone_window": 16384},
    "sampling": {"method": "euler", "shift": 1.0, "guidance_interval": [0.0, 1.0], "guidance_parallel": 0.0},
}


def old_shapes() -> dict:
    """The tiny preset as older versions wrote it."""
    shapes = config.read(config.preset("models/tiny"))
    for section, names in OLD.items():
        for old, new in names.items():
            shapes[section][old] = shapes[section].pop(new)
    for section, options in GONE.items():
        shapes[section] |= options
    for sampler in ("score", "codes"):
        shapes["sampling"][sampler]["top_k"] = 0
    return shapes


def test_model_folders_of_older_versions_are_read():
    expected = config.load(PipelineConfig, config.preset("models/tiny"))
    assert config.build(PipelineConfig, old_shapes()) == expected


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in GONE.items() for key in keys])
def test_an_option_that_is_gone_is_refused_with_another_value(section: str, key: str):
    shapes = old_shapes()
    shapes[section][key] = "other"
    with pytest.raises(ValueError, match=f"{section}: {key} 'other' is no longer an option, it is always "):
        config.build(PipelineConfig, shapes)
