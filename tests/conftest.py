"""Models of a few thousand random parameters, in the shapes that the stages agree on."""

import importlib.util
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hybridgen.codecs.own import SpectralCodecConfig
from hybridgen.data import prepare, shards
from hybridgen.data.prepared_dataset import Labels, Notes, codes_path, latents_path
from hybridgen.data.song import Note
from hybridgen.data.sound import sources
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.planner import PlannerConfig
from hybridgen.quantizer import QuantizerConfig
from hybridgen.renderer import RendererConfig
from hybridgen.sampling import SamplingConfig, SamplingParams
from hybridgen.stages import PipelineConfig
from hybridgen.text.encoder import TextConfig

if TYPE_CHECKING:
    from hybridgen.serve.jobs import Jobs

ROOT = Path(__file__).parents[1]
PACKS = ROOT / ".setup/sounds"
SAMPLE_RATE, LATENT_HOP, CODE_HOP = astuple(TimeBase())

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
        ffn_dim=48,
        depth_dim=16,
        depth_ffn_dim=24,
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
    ),
    codec=SpectralCodecConfig(
        sample_rate=44_100,
        hop_length=2048,
        latent_dim=8,
        n_fft=2048,
        frame_hop=1024,
        phase_bins=64,
        band_stops=(128, 1025),
        band_dims=(16, 8),
        frame_dim=16,
        latent_block_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        latent_layers=1,
        expansion=2,
        tone_dim=8,
    ),
    sampling=SamplingConfig(
        num_steps=2,
        guidance_scale=2.0,
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
def script() -> Callable[[str], ModuleType]:
    """Loads a file of train/ or tools/ as a module: script("tools/bench.py")."""
    return load_script


def load_script(path: str) -> ModuleType:
    """The module in a file of the repository that is not part of the package."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pipe() -> Pipeline:
    """A pipeline with random weights everywhere, the layers that start at zero included."""
    return random_pipeline(MICRO)


@pytest.fixture(scope="session")
def note_pipe() -> Pipeline:
    """The same, of a planner that writes notes and a renderer that hears them."""
    planner, renderer = (replace(shapes, notes=True) for shapes in (MICRO.planner, MICRO.renderer))
    return random_pipeline(replace(MICRO, planner=planner, renderer=renderer))


@pytest.fixture(scope="session")
def note_model(note_pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `note_pipe`'s model."""
    return note_pipe.save_pretrained(tmp_path_factory.mktemp("note-model"), half=False)


@pytest.fixture(scope="session")
def jobs(note_model: Path) -> "Iterator[Jobs]":
    """A queue for three jobs over two workers."""
    from hybridgen.serve.jobs import Jobs
    from hybridgen.serve.limits import Limits
    from hybridgen.serve.nursery import Model

    with Jobs(Model(str(note_model)), workers=2, limits=Limits(queue=3)) as queue:
        yield queue


@pytest.fixture(scope="session")
def server(jobs: "Jobs") -> Iterator[str]:
    """The address of a server over `jobs`."""
    import uvicorn

    from hybridgen.serve.app import create_app
    from hybridgen.serve.owners import LOCAL_NAMES

    app = create_app(jobs, names=LOCAL_NAMES)
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


def random_pipeline(shapes: PipelineConfig) -> Pipeline:
    """A pipeline of these shapes with random weights."""
    torch.manual_seed(0)
    pipeline = Pipeline(shapes)
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
    heard: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
) -> None:
    """Tracks 000000, 000001, ... of these plans, each with a note in its first second and two captions.

    heard: of some tracks the roles that they hold, instead of all.
    """
    dim, n_codebooks, codebook_size, text_dim = shapes
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    split = ["test" if i in held_out else "train" for i in range(len(plans))]
    tracks = [
        Labels(f"{i:06d}", split[i], plan, ("a", "b"), "rock", ("calm",), heard.get(i)) for i, plan in enumerate(plans)
    ]
    numbers = range(0, len(tracks), per_shard)
    for number, first in enumerate(numbers):
        chunk = tracks[first : first + per_shard]
        samples, codes = [], []
        for labels in chunk:
            n = labels.plan.n_code_frames
            texts = [rng.standard_normal((length, text_dim)) for length in (3, 5)]
            notes = Notes.of([Note("bass", 33, 0.5, 0.25, 90)])
            latents = rng.standard_normal((4 * n, dim))
            samples.append((labels.name, prepare.track_parts(labels, latents, np.zeros(n), texts, notes)))
            codes.append((labels.name, prepare.codes_part(rng.integers(codebook_size, size=(n_codebooks, n)))))
        shards.write(latents_path(folder, number), samples, prepare.latents_metadata(chunk, "c0dec", 2))
        if has_codes:
            digest = shards.Shard(latents_path(folder, number)).digest
            shards.write(codes_path(folder, number), codes, prepare.codes_metadata("9ua", digest))
    prepare.write_dataset_index(folder, len(numbers))


def pytest_report_header() -> str:
    """Names the sounds that are not on this machine: their engines are tested on recordings that the tests make up."""
    missing = [source.name for source in sources.SOURCES if source.missing(PACKS)]
    return f"sounds that are not here: {', '.join(missing) or 'none'}"
