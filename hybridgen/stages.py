"""What is loaded: the configuration of a model and its stages, each from its file when it is first used."""

import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import torch
import yaml
from torch import Tensor, nn

from hybridgen import adapters, config, files, memory, packed, weights
from hybridgen.adapters import Adapter, LoadedAdapter
from hybridgen.codecs.contract import BlockCodec, Codec, check_license
from hybridgen.codecs.dac import DacCodec, DacConfig
from hybridgen.codecs.oobleck import OobleckCodec, OobleckConfig
from hybridgen.codecs.own import SpectralCodec, SpectralCodecConfig
from hybridgen.history import AdapterRecord, Change, ModelRecord, Render
from hybridgen.memory import Budget, Choice, Need, Stage
from hybridgen.memory import parse as parse_memory
from hybridgen.plan.features import PLAN_VERSION
from hybridgen.plan.time_base import TimeBase
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.quantizer import Quantizer, QuantizerConfig
from hybridgen.renderer import Renderer, RendererConfig
from hybridgen.sampling import SamplingConfig
from hybridgen.text.encoder import TextConfig, TextEncoder, find_folder

STAGES = ("codec", "quantizer", "planner", "renderer")  # those that have a file in a model folder
PACKED = ("planner", "renderer")  # those whose matrices may be held in fewer bits
CODECS: dict[type, Callable[[Any], BlockCodec]] = {
    SpectralCodecConfig: SpectralCodec,
    DacConfig: DacCodec,
    OobleckConfig: OobleckCodec,
}
FIRST_PLAN_VERSION = "5a649af51de4"  # of models whose config.yaml does not say it
T = TypeVar("T", bound=nn.Module)


@dataclass(frozen=True)
class PipelineConfig:
    """One field per stage: the sections of a model's config.yaml. One of `codec`, `dac`, `oobleck` is given."""

    text: TextConfig
    planner: PlannerConfig
    quantizer: QuantizerConfig
    renderer: RendererConfig
    sampling: SamplingConfig
    codec: SpectralCodecConfig | None = None
    dac: DacConfig | None = None
    oobleck: OobleckConfig | None = None
    plan_version: str = FIRST_PLAN_VERSION  # of the roles, labels, meters, chords and features that the weights know

    def __post_init__(self) -> None:
        if self.plan_version != PLAN_VERSION:
            raise ValueError(
                f"plan_version {self.plan_version[:60]} != {PLAN_VERSION}: the weights know other roles, labels, "
                "meters, chords or features than this version of hybridgen"
            )
        codecs = {"codec": self.codec, "dac": self.dac, "oobleck": self.oobleck}
        given = [name for name, part in codecs.items() if part is not None]
        if len(given) != 1:
            raise ValueError(f"one of the sections {', '.join(codecs)} should be given, found {given}")
        latent_dim, frames = self.any_codec.latent_dim, self.quantizer.frames_per_code
        shared = (
            ("renderer.latent_dim", self.renderer.latent_dim, f"{given[0]}.latent_dim", latent_dim),
            ("quantizer.latent_dim", self.quantizer.latent_dim, f"{given[0]}.latent_dim", latent_dim),
            ("renderer.text_dim", self.renderer.text_dim, "text.dim", self.text.dim),
            ("planner.text_dim", self.planner.text_dim, "text.dim", self.text.dim),
            ("planner.n_codebooks", self.planner.n_codebooks, "quantizer.n_codebooks", self.quantizer.n_codebooks),
            ("renderer.n_codebooks", self.renderer.n_codebooks, "quantizer.n_codebooks", self.quantizer.n_codebooks),
            ("planner.codebook_size", self.planner.codebook_size, "quantizer", self.quantizer.codebook_size),
            ("renderer.codebook_size", self.renderer.codebook_size, "quantizer", self.quantizer.codebook_size),
            ("renderer.frames_per_code", self.renderer.frames_per_code, "quantizer.frames_per_code", frames),
        )
        for name, value, other_name, other in shared:
            if value != other:
                raise ValueError(f"{name} {value} != {other_name} {other}")
        for name in ("window", "overlap"):
            if getattr(self.sampling, name) % frames:
                raise ValueError(f"sampling.{name} {getattr(self.sampling, name)} is not a multiple of {frames}")
        TimeBase(self.any_codec.sample_rate)  # raises for a rate outside its limits

    @property
    def any_codec(self) -> SpectralCodecConfig | DacConfig | OobleckConfig:
        """The section of the codec, whichever it is."""
        return cast(Any, self.codec or self.dac or self.oobleck)

    @property
    def time_base(self) -> TimeBase:
        """How these stages count time."""
        codec = self.any_codec
        return TimeBase(codec.sample_rate, codec.hop_length, codec.hop_length * self.quantizer.frames_per_code)


def check_device(device: str | torch.device) -> torch.device:
    """The device of this name; ValueError where there is none, as for "cuda" without CUDA."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device {str(device)[:60]!r} is none that torch knows; use 'cpu' or 'cuda'") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} was requested, but torch finds no CUDA device here; use cpu")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {str(device)!r} was requested, but torch finds {torch.cuda.device_count()} of them here"
        )
    return found


def time_base_of(model: str | Path) -> TimeBase:
    """How the stages of a YAML file of shapes, or of a preset, count time."""
    return config.load(PipelineConfig, config.model_file(model)).time_base


def make_codec(shapes: PipelineConfig, accept_license: str | None = None) -> BlockCodec:
    """The codec of a configuration, with random weights; ValueError for a license that must be accepted by name."""
    section = shapes.any_codec
    check_license(section.license, accept_license)
    return CODECS[type(section)](section)


@dataclass(frozen=True)
class PromptStates:
    """What the text encoder makes of a prompt."""

    text: Tensor  # (1, S, E) hidden states
    mask: Tensor  # (1, S) bool
    notes: tuple[str, ...]  # what of the prompt it did not read


class Stages:
    """Text encoder, planner, quantizer, renderer and codec of one model on one device, loaded when first used.

    Copies made by `with_sampling` and `with_adapters` share the weights in memory.
    """

    _lock: ClassVar = threading.RLock()  # of the loading, for all models

    def __init__(
        self,
        config: PipelineConfig,
        name: str = "custom",
        device: str | torch.device = "cpu",
        folder: Path | None = None,
        accept_license: str | None = None,
    ):
        """Weights from the files in `folder`, or random ones; `from_pretrained` is the way to trained ones."""
        check_license(config.any_codec.license, accept_license)
        device = check_device(device)
        self.accept_license = accept_license
        self.config, self.name, self.device, self.folder = config, name, device, folder
        self.adapters: tuple[LoadedAdapter, ...] = ()
        self.budget: Budget | None = None  # of memory, see `within`
        self.weight_hashes: dict[str, str] = {}  # file name -> SHA-256 of every stage's file; empty for random weights
        if folder is not None:
            names = [f"{stage}.safetensors" for stage in STAGES]
            self.weight_hashes = {name: files.sha256(folder / name) for name in names}
        self._loaded: dict[tuple[str, str], nn.Module] = {}  # without any adapter, by how held; one for all copies
        self._adapted: dict[str, nn.Module] = {}

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path | None = None,
        device: str | torch.device = "cpu",
        revision: str | None = None,
        accept_license: str | None = None,
        memory: str | float | None = None,
    ) -> Self:
        """The shipped preset (no name, or "tiny"), a model folder, or a Hub id "owner/name".

        revision: branch, tag or commit of a Hub id, also written "owner/name@revision"; `name` of the result says which
        commit it is. What was fetched once needs no network; every file is checked against the hashes that were sent
        with it. accept_license: the license of the codec's weights, where it forbids some uses and you agree to it.
        memory: bytes, or a size such as "4GB", that are to be enough on the device; `budget` says what is done for it.
        Weights are read when they are needed. Raises ValueError, in one line, for a folder that is no whole model, for
        what the Hub does not give, for a device that is not here, and for a budget that no choice fits.
        """
        check_device(device)
        limit = None if memory is None else parse_memory(memory)
        located = weights.locate(name, revision)
        for stage in STAGES:
            weights.check_header(located.folder / f"{stage}.safetensors")
        loaded = config.load(PipelineConfig, located.folder / "config.yaml")
        made = cls(loaded, located.name, device, located.folder, accept_license)
        return made if limit is None else made.within(limit)

    # ---- the stages

    @property
    def text(self) -> TextEncoder:
        """Prompt -> hidden states; frozen, and not part of a model's files."""
        return self._load("text", lambda: TextEncoder(self.config.text))

    @property
    def planner(self) -> Planner:
        """Hidden states -> plan; with the adapters of all bars."""
        return self._adapt("planner", self._load("planner", lambda: Planner(self.config.planner)))

    @property
    def quantizer(self) -> Quantizer:
        """Latents <-> codes."""
        return self._load("quantizer", lambda: Quantizer(self.config.quantizer))

    @property
    def renderer(self) -> Renderer:
        """Plan -> latents; with the adapters of all bars."""
        return self._adapt("renderer", self._load("renderer", lambda: Renderer(self.config.renderer)))

    @property
    def codec(self) -> Codec:
        """Latents <-> samples."""
        return self._load("codec", lambda: make_codec(self.config, self.accept_license))

    def load(self) -> Self:
        """Loads every stage that is not there yet, so that what follows is not slowed down by it.

        Nothing where they are loaded in turn.
        """
        for stage in () if self.choice.in_turn else ("text", *STAGES):
            getattr(self, stage)
        return self

    def _load(self, stage: str, make: Callable[[], T]) -> T:
        held = self.choice.weights if stage in PACKED else "float32"
        with self._lock, torch.inference_mode(False):  # whoever asks first, the weights serve all
            if (stage, held) not in self._loaded:
                self._make_room(stage)
                path = None if stage == "text" or self.folder is None else self.folder / f"{stage}.safetensors"
                module = make() if path is None else self._read(stage, path, held, make)
                self._loaded[stage, held] = module.eval().to(self.device)
            return cast(T, self._loaded[stage, held])

    def _make_room(self, stage: str) -> None:
        """Gives back what a budget has no room for: the same stage held another way, and what is not its turn."""
        for key in list(self._loaded) if self.budget is not None else ():
            works_together = any({stage, key[0]} <= set(group) for group in memory.GROUPS)
            if key[0] == stage or (self.choice.in_turn and not works_together):
                del self._loaded[key]

    def _read(self, stage: str, path: Path, held: str, make: Callable[[], T]) -> T:
        """A module with the weights of a file; ValueError where that has changed since its hash was taken."""
        kinds = {kind for name, (kind, shape) in weights.check_header(path).items() if memory.is_packed(name, shape)}
        dtype = memory.packed_type(held, kinds)
        with torch.device("cpu" if dtype is None else "meta"):  # nothing is taken for what would be held in float32
            module = weights.make_within(make, path)
        if dtype is not None:
            packed.pack(cast(nn.Module, module.blocks), dtype)
            empty = {name: torch.empty(one.shape, dtype=one.dtype) for name, one in module.state_dict().items()}
            module.load_state_dict(empty, assign=True)
        weights.load_weights(module, path)
        if files.sha256(path) != self.weight_hashes[path.name]:
            raise ValueError(f"{path}: has changed since the model was opened")
        return module

    def _plain(self, stage: str) -> nn.Module:
        """The module of a stage without any adapter."""
        return cast(nn.Module, getattr(self.adapted(()), stage))

    def _adapt(self, stage: str, module: T) -> T:
        everywhere, _ = adapters.group_by_bars(self.adapters)
        loras = [(one.loras[stage], one.adapter.strength) for one in everywhere if stage in one.loras]
        if not loras:
            return module
        if self.choice.in_turn:  # what is kept here would keep the weights
            return cast(T, adapters.adapt(module, loras))
        if stage not in self._adapted:
            self._adapted[stage] = adapters.adapt(module, loras)
        return cast(T, self._adapted[stage])

    # ---- memory

    @property
    def choice(self) -> Choice:
        """How the weights are held."""
        return Choice() if self.budget is None else self.budget.need.choice

    def within(self, limit: float, int8: bool | None = None) -> Self:
        """These stages in at most `limit` bytes of the device, see `memory`; int8: hold matrices so, or do not.

        ValueError where that is not possible.
        """
        other = copy.copy(self)
        other.budget, other._adapted = memory.choose(limit, self.need, int8), {}
        return other

    def need(self, choice: Choice) -> Need:
        """What these stages take; ValueError for random weights, which are there already."""
        if self.folder is None:
            raise ValueError("memory: a model that lies in no folder cannot be loaded another way")
        shapes, device = self.config, self.device.type
        found = {stage: weights.check_header(self.folder / f"{stage}.safetensors") for stage in STAGES}
        text = weights.check_header(find_folder(shapes.text) / "model.safetensors")
        works = {
            "text": 0,
            "planner": memory.planner_work(shapes.planner, shapes.text.max_tokens),
            "renderer": memory.renderer_work(shapes.renderer, shapes.sampling.window),
            "codec": memory.codec_work(shapes.any_codec),
            "quantizer": 0,
        }
        stages = []
        for name, work in works.items():
            held = choice.weights if name in PACKED else "float32"
            stages.append(Stage(name, held, memory.weight_bytes(text if name == "text" else found[name], held), work))
        is_host = device == "cpu"
        base = memory.HOST_BYTES if is_host else memory.CUDA_BYTES
        sound = memory.SOUNDS * 2 * 4 * shapes.any_codec.sample_rate if is_host else 0
        return Need(choice, tuple(stages), base, sound)

    def check_seconds(self, seconds: float) -> None:
        """ValueError for a track that is too long for the memory that there is."""
        if self.budget is not None:
            self.budget.check(seconds)

    # ---- facts

    @property
    def time_base(self) -> TimeBase:
        """How these stages count time."""
        return self.config.time_base

    @property
    def model_record(self) -> ModelRecord:
        """This model, as a manifest names it."""
        return ModelRecord(self.name, self.weight_hashes, self.choice.weights == "int8")

    @property
    def adapter_records(self) -> tuple[AdapterRecord, ...]:
        """The adapters of all bars, as a manifest names them."""
        return tuple(one.record() for one in self.adapters if one.adapter.bars is None)

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> PromptStates:
        """The hidden states of a prompt, and what of it is too long to be read."""
        note = self.text.cut_note(prompt)
        return PromptStates(*self.text.encode([prompt]), () if note is None else (note,))

    # ---- copies

    def with_sampling(self, sampling: SamplingConfig) -> Self:
        """These stages, the same weights in memory, with other sampling defaults."""
        other = copy.copy(self)
        other.config = replace(self.config, sampling=sampling)
        return other

    def with_adapters(self, adapters_: Iterable[Adapter]) -> Self:
        """These stages, the same weights in memory, with these adapters in place of any that they have.

        `self` is untouched, so that requests with different adapters may run at the same time. An adapter for some bars
        changes how these sound and how the planner writes their codes, but not the score; all other bars stay, bit for
        bit, what they are without it. An adapter is a folder or a Hub id. ValueError for what holds no adapter, or one
        of another model.
        """
        return self.adapted([adapters.load(one, self.device, self._plain, fetches=True) for one in adapters_])

    def adapted(self, loaded: Sequence[LoadedAdapter]) -> Self:
        """`with_adapters` of adapters in memory; those of strength 0 are left out."""
        for one in loaded:
            adapters.check_base(one, self.name, self.weight_hashes)
        other = copy.copy(self)
        other.adapters = tuple(one for one in loaded if one.adapter.strength != 0)
        adapters.group_by_bars(other.adapters)  # says which overlap
        other._adapted = {}
        return other

    def as_recorded(self, operation: Render | Change, folders: Sequence[str | Path]) -> Self:
        """These stages as they were for an operation: sampling, weights in 8 bits or not, adapters from any of
        `folders`. ValueError where there is not enough memory for that."""
        held = self._with_int8(operation.model.int8)
        found = [adapters.find(one, folders, self.device, held._plain) for one in operation.adapters]
        return held.adapted(found).with_sampling(operation.sampling)

    def _with_int8(self, int8: bool) -> Self:
        if int8 == self.model_record.int8:
            return self
        return self.within(inf if self.budget is None else self.budget.limit, int8)

    # ---- files

    def save_pretrained(self, folder: str | Path, half: bool = True) -> Path:
        """Write config.yaml and one safetensors file per stage, in half precision by default.

        Adapters are not part of a model: ValueError where there are any.
        """
        if self.adapters:
            raise ValueError(f"adapters {[str(one.adapter) for one in self.adapters]} cannot be saved with a model")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_config(folder)
        for stage in STAGES:
            weights.save_weights(getattr(self, stage), folder / f"{stage}.safetensors", half)
        return folder

    def save_config(self, folder: Path) -> None:
        """Write config.yaml, shapes and sampling defaults, into a folder that is there."""
        with files.atomic_write(folder / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(_without_none(config.dump(self.config)), sort_keys=False))


def _without_none(sections: dict[str, Any]) -> dict[str, Any]:
    return {name: section for name, section in sections.items() if section is not None}
