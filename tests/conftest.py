"""Models of a few thousand random parameters, in the shapes that the stages agree on."""

import os
import tempfile
from collections.abc import Iterator

import pytest
import torch

from hybridgen.codec import CodecConfig
from hybridgen.decoding import SamplingParams
from hybridgen.pipeline import Pipeline, PipelineConfig, SamplingConfig
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
        sway=0.0,
        guidance_scale=2.0,
        guidance_interval=(0.0, 1.0),
        guidance_parallel=1.0,
        guidance_limit=None,
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
