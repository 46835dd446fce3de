"""What is opened must fit: sound, latents, time base and weights; each misfit is one line, never other samples."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import files, weights
from hybridgen.audio import Audio
from hybridgen.history import Change, ModelRecord
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.sampling import RenderOptions
from hybridgen.track import Track, sidecar
from tests.conftest import MICRO, SAMPLE_RATE

PLAN = Plan(
    (Section("verse", (Bar("Am"),) * 6, 4, ("drums",)),), (Tempo(1, 120.0),), instruments={"drums": 0}, prompt="a test"
)


@pytest.fixture(scope="module")
def track(pipe: Pipeline) -> Track:
    return pipe.render(PLAN, seed=5)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    sound = (np.random.default_rng(0).standard_normal((2, 6 * SAMPLE_RATE)) * 0.1).astype(np.float32)
    path = tmp_path / "mine.wav"
    soundfile.write(path, sound.T, SAMPLE_RATE, subtype="PCM_24")
    return path


@pytest.mark.parametrize(
    "time_base", [TimeBase(44_100, 1024, 8192), TimeBase(44_100, 2048, 4096), TimeBase(48_000, 1920, 7680)]
)
def test_a_plan_on_another_time_base_is_brought_to_the_tracks(pipe: Pipeline, track: Track, time_base: TimeBase):
    edited = track.plan.edit((2, 2), chords=["C"])
    here = pipe.repaint(track, edited, (2, 2), seed=1)
    away = pipe.repaint(track, edited.on(time_base), (2, 2), seed=1)
    assert away.plan.time_base == track.plan.time_base
    assert np.array_equal(away.samples, here.samples)


def test_a_track_on_another_time_base_is_refused(pipe: Pipeline, track: Track):
    other = replace(track, plan=replace(track.plan, codes=(), time_base=TimeBase(44_100, 1024, 8192)))
    with pytest.raises(ValueError, match=r"the track's time base is .*latent_hop=1024"):
        pipe.repaint(other, other.plan, (2, 2))


@pytest.mark.parametrize("stage", ["codec", "quantizer"])
def test_a_track_of_another_codec_or_quantizer_is_refused(pipe: Pipeline, track: Track, stage: str):
    first = replace(track.manifest.operations[0], model=ModelRecord("other", {f"{stage}.safetensors": "0" * 64}))
    foreign = replace(track, manifest=replace(track.manifest, operations=(first,)))
    with pytest.raises(ValueError, match=f"the {stage} of model 'other'"):
        pipe.repaint(foreign, track.plan, (1, 2))


def test_codes_of_other_codebooks_are_one_line(pipe: Pipeline, track: Track):
    plan = replace(track.plan, codes=track.plan.codes[:2])
    with pytest.raises(ValueError, match="codes: 2 rows in the new plan, 4 in the track's"):
        pipe.repaint(track, plan, (1, 2))


def test_a_sound_that_is_not_its_plans_is_refused(pipe: Pipeline, track: Track, tmp_path: Path):
    path = tmp_path / "cut.flac"
    Audio(track.samples[:, :-5000].copy(), SAMPLE_RATE).save(path, track.manifest)
    with pytest.raises(ValueError, match=f"{track.plan.length - 5000} samples, but its plan has {track.plan.length}"):
        pipe.open(path)
    Audio(track.samples, SAMPLE_RATE // 2).save(path, track.manifest)
    with pytest.raises(ValueError, match="22050 Hz, but its plan has 44100 Hz"):
        pipe.open(path)


@pytest.mark.parametrize("cut", [(slice(-3), slice(None)), (slice(None), slice(4))], ids=["frames", "channels"])
@pytest.mark.parametrize("suffix", ["flac", "ogg"])
def test_latents_of_another_shape_are_refused(pipe: Pipeline, track: Track, tmp_path: Path, suffix: str, cut: tuple):
    path = track.save(tmp_path / f"x.{suffix}")
    latents = np.ascontiguousarray(track.latents[cut])
    weights.save_latents(sidecar(path), latents, files.sha256(path), track.plan.length)
    with pytest.raises(ValueError, match="the plan and the codec need"):
        pipe.open(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
@pytest.mark.parametrize("has_latents", [True, False])
def test_a_recording_in_a_lossy_file_keeps_its_own_sound(
    pipe: Pipeline, recording: Path, tmp_path: Path, suffix: str, has_latents: bool
):
    opened = pipe.open(recording, tempo=120, downbeat=0.5)
    path = opened.save(tmp_path / f"kept.{suffix}", latents=has_latents)
    again, sound = pipe.open(path), Audio.load(path).samples
    n = min(sound.shape[1], again.plan.length)
    assert again.samples.shape == (2, opened.plan.length)
    assert np.array_equal(again.samples[:, :n], sound[:, :n])  # and not what the codec makes of it
    assert again.latents.shape == opened.latents.shape


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("downbeat", [-0.1, float("nan"), float("inf"), 6.0, 1e300])
def test_a_downbeat_outside_the_recording_is_one_line(pipe: Pipeline, recording: Path, downbeat: float):
    with pytest.raises(ValueError, match="downbeat"):
        pipe.open(recording, tempo=120, downbeat=downbeat)


@pytest.mark.filterwarnings("ignore")
def test_bars_that_fill_a_recording_exactly_are_all_there(pipe: Pipeline, recording: Path):
    assert pipe.open(recording, tempo=120, downbeat=0).plan.n_bars == 3
    assert pipe.open(recording, tempo=200, downbeat=0).plan.n_bars == 5  # of 1.2 s, which no float holds exactly


def test_an_edit_keeps_the_versions_that_the_track_was_made_with(pipe: Pipeline, track: Track):
    older = replace(track, manifest=replace(track.manifest, versions={"torch": "1.0"}))
    assert pipe.repaint(older, track.plan, (1, 1), seed=1).manifest.versions == {"torch": "1.0"}


def test_weights_that_change_on_disk_are_not_mistaken_for_the_ones_in_memory(pipe: Pipeline, tmp_path: Path):
    folder = pipe.save_pretrained(tmp_path / "model")
    first, late = Pipeline.from_pretrained(folder), Pipeline.from_pretrained(folder)
    before = dict(first.weight_hashes)
    _ = first.renderer
    torch.manual_seed(9)
    weights.save_weights(Pipeline(pipe.config).renderer, folder / "renderer.safetensors")
    assert first.weight_hashes == before
    with pytest.raises(ValueError, match="has changed since the model was opened"):
        _ = late.renderer


def test_a_pipeline_can_be_copied_with_its_weights(pipe: Pipeline, tmp_path: Path):
    folder = pipe.save_pretrained(tmp_path / "model")
    loaded = Pipeline.from_pretrained(folder).load()
    shutil.rmtree(folder)
    twin = copy.deepcopy(loaded)
    assert np.array_equal(twin.render(PLAN, seed=5).samples, loaded.render(PLAN, seed=5).samples)


def test_weights_that_are_loaded_in_inference_mode_serve_training_too(pipe: Pipeline, tmp_path: Path):
    loaded = Pipeline.from_pretrained(pipe.save_pretrained(tmp_path / "model"))
    with torch.inference_mode():
        planner = loaded.planner
    assert not any(parameter.is_inference() for parameter in planner.parameters())


@pytest.mark.parametrize("seed", [-1, 2**53, 10**400])
def test_a_seed_outside_its_range_is_refused_wherever_it_stands(track: Track, seed: int):
    first = track.manifest.operations[0]
    for make in (
        lambda: replace(track.plan, seed=seed),
        lambda: replace(first, seed=seed),
        lambda: Change(track.plan, ((0, 1),), seed, first.sampling, first.model),
        lambda: RenderOptions(seed=seed),
    ):
        with pytest.raises(ValueError, match=r"seed .* is outside 0-"):
            make()


@pytest.mark.parametrize("fresh", [((0, 10**9),), ((-1, 5),), ((5, 5),), ((9, 20), (15, 30))])
def test_a_change_of_samples_that_are_not_there_cannot_be_made(track: Track, fresh: tuple):
    first = track.manifest.operations[0]
    with pytest.raises(ValueError, match=r"fresh: samples .* do not ascend inside"):
        Change(track.plan, fresh, 1, first.sampling, first.model)


def test_what_a_render_asks_for_takes_the_place_of_the_models_default():
    options, default = RenderOptions(num_steps=7, guidance_scale=1.5), MICRO.sampling
    assert options.sampling(default) == replace(default, num_steps=7, guidance_scale=1.5)
    assert RenderOptions().sampling(default) == default


@pytest.mark.parametrize(("fields", "words"), [({"num_steps": 0}, "num_steps 0"), ({"guidance_scale": -1.0}, "-1")])
def test_render_options_outside_their_ranges_are_refused_at_once(fields: dict, words: str):
    with pytest.raises(ValueError, match=words):
        RenderOptions(**fields)
