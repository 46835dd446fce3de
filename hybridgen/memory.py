"""A budget for memory: what a model takes is known from its shapes and its files' headers, before anything is loaded.

From best to smallest, the first that fits is taken. The first three make the same sound, bit for bit:

    float32          every weight in 32 bits, everything stays loaded
    as stored        the matrices of planner and renderer as their files have them (16 bits), see `packed`
    ... in turn      the planner gives its memory back before the renderer is loaded, and the other way round
    int8             these matrices in 8 bits: the only choice that changes the music, so a track's manifest says it
    ... in turn

The budget is that of the process on a CPU, and of the device elsewhere. It is to be enough for tracks of four minutes;
where nothing is small enough for that, for half a minute. A track that is too long for it is refused before it is made.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import inf, prod

import torch

from hybridgen.codecs.contract import DECODE_BLOCK
from hybridgen.codecs.convolutional import decoder_reach
from hybridgen.codecs.dac import DacConfig
from hybridgen.codecs.oobleck import OobleckConfig
from hybridgen.codecs.own import SpectralCodecConfig, reaches
from hybridgen.packed import BLOCK
from hybridgen.plan.parts import MAX_SECONDS
from hybridgen.planner import PlannerConfig
from hybridgen.renderer import PATCH, RendererConfig

LENGTHS = (240.0, 30.0)  # seconds of a track that is to fit, or else of one
HOST_BYTES = 320e6  # measured: Python, torch and everything else that is imported
CUDA_BYTES = 600e6  # an assumption: the context of a GPU and the gaps of its allocator
KEPT = 0.4  # measured: share of what is given back that the allocator of a CPU keeps
SOUNDS = 3  # copies of a track's samples that are there at once: before an edit, after it, and what is decoded for it
SPECTRAL_COPIES, CONVOLUTION_COPIES = 45, 8  # measured: float32 of a block's samples, or of its widest feature map
SCORE_RATE, STEP_RATE = 1.2, 6.0  # slots a second that a planner fills: tokens of the score; steps of notes, or frames
GROUPS = (("text", "planner"), ("renderer", "codec", "quantizer"))  # what works at the same time
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
STORED = {"F16": torch.float16, "BF16": torch.bfloat16}  # types of 16 bits in a file; others are held in float32
_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Choice:
    """How weights are held, and whether all stages at once."""

    weights: str = "float32"  # of the matrices of planner and renderer: "float32", "stored" as in their files, "int8"
    in_turn: bool = False  # whether the stages of one of the `GROUPS` leave before those of the other come

    def __str__(self) -> str:
        held = {"float32": "all weights in float32", "stored": "weights as stored, the same sound"}
        text = held.get(self.weights, "weights of planner and renderer in int8, which changes the music slightly")
        return f"{text}; {'planner and renderer loaded in turn' if self.in_turn else 'everything stays loaded'}"


CHOICES = (Choice(), Choice("stored"), Choice("stored", True), Choice("int8"), Choice("int8", True))


@dataclass(frozen=True)
class Stage:
    """What one stage takes, in bytes."""

    name: str
    held: str  # the type of its matrices
    weights: int
    work: int  # while it works


@dataclass(frozen=True)
class Need:
    """What a model takes under a choice, in bytes."""

    choice: Choice
    stages: tuple[Stage, ...]
    base: float  # before anything is loaded
    sound: float  # a second of music

    def total(self, seconds: float = LENGTHS[0]) -> float:
        """At most, while a track of this length is made."""
        parts = [[stage for stage in self.stages if stage.name in group] for group in GROUPS]
        held = [sum(one.weights for one in part) for part in parts]
        work = [sum(one.work for one in part) for part in parts]
        most, kept = sum(held) + max(work), 0.0
        if self.choice.in_turn:
            most, kept = max(map(sum, zip(held, work, strict=True))), KEPT * min(held)
        return self.base + self.sound * seconds + most + kept

    def table(self) -> str:
        """A line for each stage, and one for all."""
        lines = [f"  {'stage':<10}{'matrices':<10}{'weights':>10}{'work':>10}"]
        lines += [f"  {s.name:<10}{s.held:<10}{size(s.weights):>10}{size(s.work):>10}" for s in self.stages]
        rest = f"{size(self.base)} for the program, {size(60 * self.sound)} for a minute of sound"
        return "\n".join(
            [*lines, f"  in all {size(self.total())} for {LENGTHS[0] / 60:g} minutes of music, with {rest}"]
        )


@dataclass(frozen=True)
class Budget:
    """What may be taken, and the need that was chosen for it."""

    limit: float  # bytes
    need: Need

    @property
    def seconds(self) -> float:
        """Of the longest track that can be made."""
        spare = self.limit - self.need.total(0)
        return spare / self.need.sound if self.need.sound else inf

    def __str__(self) -> str:
        length = f"; tracks of up to {self.seconds:.0f} s" if self.seconds < MAX_SECONDS else ""
        return f"memory {size(self.limit)}: {self.need.choice}{length}"

    def check(self, seconds: float) -> None:
        """ValueError for a track that is too long to be made in it."""
        if seconds > self.seconds:
            needed = size(self.need.total(seconds))
            raise ValueError(
                f"memory {size(self.limit)} is too little for {seconds:.0f} s of music: that needs {needed}"
            )


Header = Mapping[str, tuple[str, tuple[int, ...]]]  # type and shape of each tensor in a file


def parse(memory: str | float) -> float:
    """Bytes of "4GB", "900 MB" or "1.5GiB", or of a number; ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMG]?I?B)\s*", str(memory), re.IGNORECASE)
    found = memory if isinstance(memory, int | float) else match and float(match[1]) * UNITS[match[2].upper()]
    if isinstance(memory, bool) or not found or not 0 < found < float("inf"):
        raise ValueError(f"memory {str(memory)[:60]!r} should be a size such as 4GB or 900MB")
    return float(found)


def size(n_bytes: float) -> str:
    """A size to read: "1.2 GB", "340 MB"."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of planner or renderer is a matrix of its blocks: these are held as `Choice.weights` says."""
    return name.startswith("blocks.") and name.endswith(".weight") and len(shape) == 2


def packed_type(held: str, kinds: Collection[str]) -> torch.dtype | None:
    """The type in which matrices of these types in a file are held; None where that is float32."""
    if held == "int8":
        return torch.int8
    return STORED.get("".join(kinds)) if held == "stored" else None  # no type has the name of two


def weight_bytes(header: Header, held: str = "float32") -> int:
    """What the tensors of a file take in memory; held: how the matrices of its blocks are."""
    dtype = packed_type(held, {kind for name, (kind, shape) in header.items() if is_packed(name, shape)})
    total = 0
    for name, (_, shape) in header.items():
        packs = dtype if is_packed(name, shape) else None
        total += prod(shape) * (packs or torch.float32).itemsize
        total += _FLOAT * shape[0] if packs == torch.int8 else 0  # a scale for each output
    return total


def planner_work(config: PlannerConfig, n_text: int, seconds: float = LENGTHS[0]) -> int:
    """The caches of a planner, two rows for guidance, and what it computes while it reads the score of a track."""
    prefix = n_text + 1 + round(SCORE_RATE * seconds)
    slots, needed = prefix + 512, prefix + round(STEP_RATE * seconds)
    while slots < needed:
        slots *= 2  # as a `KVCache` does
    caches = 2 * config.n_layers * slots * config.n_kv_heads * (config.dim // config.n_heads)
    return _FLOAT * (2 * caches + 2 * prefix * (6 * config.dim + 3 * config.ffn_dim) + BLOCK)


def renderer_work(config: RendererConfig, window: int) -> int:
    """What a renderer computes for a window of latent frames, two rows for guidance."""
    rows = 2 * window // PATCH
    return _FLOAT * (rows * (8 * config.dim + 3 * config.ffn_dim) + BLOCK)


def codec_work(config: SpectralCodecConfig | DacConfig | OobleckConfig) -> int:
    """What a codec takes to decode a block."""
    if isinstance(config, SpectralCodecConfig):
        return _FLOAT * SPECTRAL_COPIES * 2 * (DECODE_BLOCK + 2 * reaches(config)[0]) * config.hop_length
    samples = (DECODE_BLOCK + 2 * decoder_reach(config.downsampling_ratios[::-1])) * config.hop_length
    if isinstance(config, DacConfig):  # which decodes the sides one beside the other
        return _FLOAT * CONVOLUTION_COPIES * 2 * samples * (config.decoder_dim >> len(config.downsampling_ratios))
    return _FLOAT * CONVOLUTION_COPIES * samples * config.decoder_channels


def choose(limit: float, need: Callable[[Choice], Need], int8: bool | None = None) -> Budget:
    """The first of `CHOICES` that fits; int8: only among those that hold matrices so, or do not.

    ValueError, with both figures, where none fits.
    """
    needs = [need(choice) for choice in CHOICES if int8 in (None, choice.weights == "int8")]
    for seconds in LENGTHS:
        for one in needs:
            if one.total(seconds) <= limit:
                return Budget(limit, one)
    least = size(min(one.total(LENGTHS[-1]) for one in needs))
    raise ValueError(f"memory {size(limit)} is too little: the smallest way to hold this model needs {least}")
