"""Models of a few thousand random parameters, in the shapes that the stages agree on."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen.codec import CodecConfig
from hybridgen.data import preparing, shards
from hybridgen.data.prepared import Labels, Notes, codes_path, latents_path
from hybridgen.data.song import Note
from hybridgen.decoding import SamplingParams
from hybridgen.pipeline import Pipeline, PipelineConfig, SamplingConfig
from hybridgen.plan import Plan
from hybridgen.planner import PlannerConfig
from hybridgen.quantizer import QuantizerConfig
from hybridgen.renderer import RendererConfig
from hybridgen.text import TextConfig

# Each process of pytest-xdist compiles librosa's loops for itself: two that write one cache at once can break it
NUMBA_CACHE = tempfile.TemporaryDirectory(prefix="hybridgen-numba-")
os.environ["NUMBA_CACHE_DIR"] = NUMBA_CACHE.name

MICRO = PipelineConfig(
    text=TextConfig(),
    planner=PlannerConfig(
        dim=32,
        n_layers=2,
        n_heads=2,
        n_kv_heads=1,
        hidden_dim=48,
        depth_dim=16,
        depth_hidden_dim=24,
        text_dim=384,
        n_codebooks=4,
        codebook_size=16,
    ),
    quantizer=QuantizerConfig(latent_dim=8, n_codebooks=4, codebook_size=16, code_dim=4, dim=16),
    renderer=RendererConfig(
        latent_dim=8,
        text_dim=384,
        n_codebooks=4,
        codebook_size=16,
        dim=32,
        n_layers=2,
        n_heads=2,
        ffn_dim=48,
        cross_every=2,
    ),
    codec=CodecConfig(
        sample_rate=44_100,
        hop_length=2048,
        latent_dim=8,
        n_fft=2048,
        frame_hop=1024,
        phase_bins=64,
        band_stops=(128, 1025),
        band_dims=(16, 8),
        frame_dim=16,
        latent_width=16,
        encoder_layers=1,
        decoder_layers=2,
        latent_layers=1,
        expansion=2,
        tone_range=(-12, 12),
        tone_steps=1,
        tone_window=8192,
        tone_dim=8,
    ),
    sampling=SamplingConfig(
        num_steps=2,
        method="euler",
        shift=1.0,
        guidance_scale=2.0,
        guidance_interval=(0.0, 1.0),
        guidance_parallel=1.0,
        window=64,
        overlap=16,
        score=SamplingParams(),
        codes=SamplingParams(),
    ),
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def pipe() -> Pipeline:
    """A pipeline with random weights everywhere, the layers that start at zero included."""
    torch.manual_seed(0)
    pipeline = Pipeline(MICRO)
    for stage in (pipeline.planner, pipeline.renderer, pipeline.codec, pipeline.quantizer):
        for parameter in stage.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    return pipeline


@pytest.fixture(scope="session")
def count_calls() -> Callable[[Callable[[], object]], int]:
    """How many functions, Python's own included, are called by a function: work, on any machine alike."""
    return _count_calls


def _count_calls(work: Callable[[], object]) -> int:
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="session")
def write_prepared() -> Callable[..., None]:
    """Writes a prepared folder of random latents and codes: see `random_prepared`."""
    return random_prepared


def random_prepared(
    folder: Path,
    plans: Sequence[Plan],
    held_out: Sequence[int] = (),
    has_codes: bool = True,
    shapes: tuple[int, int, int, int] = (8, 4, 16, 384),  # latent_dim, n_codebooks, codebook_size, text_dim
    per_shard: int = 3,
) -> None:
    """Tracks 000000, 000001, ... of these plans, each with a note in its first second and two captions."""
    dim, n_codebooks, codebook_size, text_dim = shapes
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    split = ["test" if i in held_out else "train" for i in range(len(plans))]
    tracks = [Labels(f"{i:06d}", split[i], plan, ("a", "b"), "rock", ("calm",)) for i, plan in enumerate(plans)]
    numbers = range(0, len(tracks), per_shard)
    for number, first in enumerate(numbers):
        chunk = tracks[first : first + per_shard]
        samples, codes = [], []
        for labels in chunk:
            n = labels.plan.n_code_frames
            texts = [rng.standard_normal((length, text_dim)) for length in (3, 5)]
            notes = Notes.of([Note("bass", 33, 0.5, 0.25, 90)])
            latents = rng.standard_normal((4 * n, dim))
            samples.append((labels.name, preparing.parts(labels, latents, np.zeros(n), texts, notes)))
            codes.append((labels.name, preparing.codes_part(rng.integers(codebook_size, size=(n_codebooks, n)))))
        shards.write(latents_path(folder, number), samples, preparing.latents_facts(chunk, "c0dec", 2))
        if has_codes:
            digest = shards.Shard(latents_path(folder, number)).digest
            shards.write(codes_path(folder, number), codes, preparing.codes_facts("9ua", digest))
    preparing.write_catalogue(folder, len(numbers))
