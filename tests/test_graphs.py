"""What a GPU replays: checked here without one, by what a recorded step may not do and by what a recording must do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from hybridgen import graphs, ops
from hybridgen.plan.features import N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import Planner
from hybridgen.planning.codes import Frames
from hybridgen.planning.session import DecoderSession, Layers
from hybridgen.sampling import SamplingParams
from tests.conftest import MICRO

N_FRAMES = 6


class Graph:
    """As `torch.cuda.CUDAGraph`: what was recorded, run again on the same tensors, by the CPU."""

    recording: Callable[[], None]

    def replay(self) -> None:
        self.recording()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's graphs and streams played by the CPU: a call in a graph's context is the recording."""

    @contextmanager
    def nothing(*_: object) -> Iterator[None]:
        yield

    class Stream:
        def wait_stream(self, other: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", nothing)
    monkeypatch.setattr(torch.cuda, "stream", nothing)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)


def recorded(function: Callable[..., Tensor]) -> graphs.Captured:
    """A graph of the function whose replay writes into the recorded output, as a GPU's would."""
    made = graphs.Captured(function)
    record = made._record

    def record_and_replay(given: tuple[Tensor, ...]) -> None:
        record(given)
        assert made.graph is not None and made.output is not None
        made.graph.recording = lambda: made.output.copy_(function(*made.inputs))  # type: ignore[union-attr]

    made._record = record_and_replay  # type: ignore[method-assign]
    return made


def frames_of(planner: Planner, device: str = "cpu", padded: bool = True) -> Frames:
    """A batch of two tracks whose scores are written and whose codes are not, with guidance."""
    torch.manual_seed(0)
    config = planner.config
    with torch.device(device), torch.inference_mode():
        text, text_mask = torch.randn(4, 3, config.text_dim), torch.ones(4, 3, dtype=torch.bool)
        if padded and device == "cpu":
            text_mask[2:] = False
        score, bars_left = torch.ones(4, 5, dtype=torch.int64), torch.zeros(4, 5, 2, dtype=torch.int64)
        features = torch.rand(2, N_FRAMES, N_FEATURES)
        instruments = torch.zeros(2, len(ROLES), dtype=torch.int64)
        codes = torch.full((2, config.n_codebooks, N_FRAMES), -1)
        session = DecoderSession(planner, text, text_mask, score, bars_left, room=N_FRAMES)
        controls = planner.embed_controls(features, instruments)
    return Frames(planner, session, controls, codes, score, SamplingParams(0.9, 0.95, 1.5))


def noise_of(frame: int, frames: Frames) -> Tensor:
    config = frames.planner.config
    return torch.rand(2, config.n_codebooks, config.codebook_size, generator=torch.Generator().manual_seed(frame))


@torch.inference_mode()
def test_a_recorded_step_writes_what_a_plain_one_does(recorder: None):
    torch.manual_seed(1)
    planner = Planner(MICRO.planner)
    plain, graphed = frames_of(planner), frames_of(planner)
    for frames, step in ((plain, plain.step), (graphed, recorded(graphed.step))):
        for frame in range(N_FRAMES):
            frames.write(frame, noise_of(frame, frames), step)
    assert (plain.codes >= 0).all() and torch.equal(plain.codes, graphed.codes)
    assert torch.equal(plain.session.caches[0].keys, graphed.session.caches[0].keys)


@torch.inference_mode()
def test_a_step_reads_nothing_back(monkeypatch: pytest.MonkeyPatch):
    """On "meta" tensors have shapes and no values: whatever would make a GPU wait for Python raises."""
    monkeypatch.setattr(ops, "decode_attention", lambda q, *_: torch.empty_like(q))  # its twin reads `last` on the GPU
    with torch.device("meta"):
        planner = Planner(MICRO.planner)
    monkeypatch.setattr(DecoderSession, "_settle", unpadded)
    frames = frames_of(planner, "meta")
    frame, noise = torch.ones(1, dtype=torch.int64, device="meta"), noise_of(1, frames).to("meta")
    assert frames.step(frame, noise).shape == (2, planner.config.n_codebooks)


def unpadded(session: DecoderSession) -> None:
    session.layers = Layers(session.planner, session.caches, visible=None)


def test_a_graph_takes_the_inputs_of_each_call_and_refuses_other_shapes(recorder: None):
    double = recorded(lambda x: 2 * x)
    assert [double(torch.tensor([n])).item() for n in (1.0, 5.0, 3.0)] == [2, 10, 6]
    with pytest.raises(ValueError, match=r"graph of \(1,\) cannot take \(2,\)"):
        double(torch.ones(2))


def test_on_a_cpu_a_function_is_itself():
    assert graphs.captured(abs, torch.device("cpu")) is abs
