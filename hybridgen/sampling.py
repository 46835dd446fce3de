"""How a track is sampled: the defaults that live with the weights, and what a caller may choose in their place."""

import secrets
from dataclasses import dataclass, fields, replace
from typing import ClassVar, TypedDict

from hybridgen.config import Width
from hybridgen.plan.parts import MAX_SEED, check_seed, number, show, whole
from hybridgen.plan.sounds import parse_sound
from hybridgen.progress import Progress

MAX_STEPS = 1000
MAX_GUIDANCE = 100.0
MAX_PLANS = 64  # written together
LIMITS = {"seed": (0, MAX_SEED), "num_steps": (1, MAX_STEPS), "guidance_scale": (0, MAX_GUIDANCE)}  # both included


@dataclass(frozen=True)
class SamplingParams:
    """How choices are drawn from logits."""

    temperature: float = 1.0  # 0 takes the likeliest
    top_p: float = 1.0  # only among the likeliest that hold this share of the probability, 0 < top_p <= 1
    guidance_scale: float = 1.0  # 1 = no guidance

    RETIRED: ClassVar = {"top_k": 0}  # see `config.build`

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature {self.temperature} is below 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p {self.top_p} is not above 0 and at most 1")
        if not self.guidance_scale >= 0:
            raise ValueError(f"guidance_scale {self.guidance_scale} is below 0 (1 = none)")


@dataclass(frozen=True)
class SamplingConfig:
    """Defaults of planner and renderer, part of a model's config.yaml; every caller reads them from there."""

    num_steps: int  # solver steps a window, 1-1000
    guidance_scale: float  # 0-100; 1 = none, any other costs twice
    window: Width  # latent frames rendered at once
    overlap: Width  # clean latent frames that a window sees of the one before
    score: SamplingParams
    codes: SamplingParams
    notes: SamplingParams = SamplingParams(temperature=0.6, top_p=0.9)  # older files do not say it
    edit_guidance: float = 0.0  # 0-100, away from the notes that an edit replaces; older files do not say it
    sound_guidance: float = 0.0  # 0-100, towards the kinds of sound that are wanted; older files do not say it
    default_sound: tuple[str, ...] = ()  # kinds of sound that a plan is played with which says nothing of its own
    noise_scale: float = 1.0  # 0-1, of the noise that sound is made from: less variety, nearer to the plan
    guides_played: bool = False  # guidance only towards codes and notes, after the first step; older files: all, always

    # keys of older files, and the only value that they may have (see `config.build`)
    RETIRED: ClassVar = {"method": "euler", "shift": 1.0, "guidance_interval": [0.0, 1.0], "guidance_parallel": 0.0}

    def __post_init__(self) -> None:
        _check_ranges(self.num_steps, self.guidance_scale)
        for name in ("edit_guidance", "sound_guidance"):
            if not 0 <= (value := getattr(self, name)) <= MAX_GUIDANCE:
                raise ValueError(f"{name} {value:g} is outside 0-{MAX_GUIDANCE:g}")
        object.__setattr__(self, "default_sound", parse_sound(self.default_sound, "default_sound"))
        if not 0 <= self.noise_scale <= 1:
            raise ValueError(f"noise_scale {self.noise_scale:g} is outside 0-1")
        if not 0 < self.overlap < self.window:
            raise ValueError(f"overlap {self.overlap} is not between 0 and window {self.window}")


@dataclass(frozen=True)
class RenderOptions:
    """What a caller may choose for one render; None takes the model's default, or the plan's seed."""

    seed: int | None = None  # of the noise, 0 to 2**53 - 1
    num_steps: int | None = None
    guidance_scale: float | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        for name, canonical in (("seed", check_seed), ("num_steps", _whole_steps), ("guidance_scale", _guidance)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, canonical(value))
        _check_ranges(self.num_steps, self.guidance_scale)

    @classmethod
    def of(cls, args: "RenderArgs") -> "RenderOptions":
        """The keyword arguments of a render; TypeError for one that it does not have."""
        for name in args.keys() - {field.name for field in fields(cls)}:
            known = ", ".join(field.name for field in fields(cls))
            raise TypeError(f"{name!r} is an unexpected keyword argument; known are {known}")
        return cls(**args)

    def sampling(self, default: SamplingConfig) -> SamplingConfig:
        """`default` with what is chosen here in its place."""
        return replace(
            default,
            num_steps=default.num_steps if self.num_steps is None else self.num_steps,
            guidance_scale=default.guidance_scale if self.guidance_scale is None else self.guidance_scale,
        )


class RenderArgs(TypedDict, total=False):
    """The fields of `RenderOptions` as keyword arguments."""

    seed: int | None
    num_steps: int | None
    guidance_scale: float | None
    progress: Progress | None


def _whole_steps(num_steps: int) -> int:
    return whole(num_steps, "num_steps")


def _guidance(guidance_scale: float) -> float:
    return number(guidance_scale, "guidance_scale")


def random_seed() -> int:
    """An unpredictable seed."""
    return secrets.randbelow(2**32)


def _check_ranges(num_steps: int | None, guidance_scale: float | None) -> None:
    for name, value in (("num_steps", num_steps), ("guidance_scale", guidance_scale)):
        low, high = LIMITS[name]
        if value is not None and not low <= value <= high:  # also refuses NaN
            raise ValueError(f"{name} {show(value)} is outside {low:g}-{high:g}")
