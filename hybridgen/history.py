"""How a track came to be: typed operations, oldest first, as its manifest keeps them and as a replay repeats them.

The first is a `Render` of a plan or the `Import` of a recording; every other is a `Change` of what was there before (a
repaint, an extension, a loop, a variation) or a `Style`, which its sound as a whole is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from hybridgen import config
from hybridgen.plan.parts import check_bars, check_seed, number, order_roles, show, whole
from hybridgen.plan.plan import Plan
from hybridgen.sampling import SamplingConfig

MAX_OPERATIONS = 10_000
MAX_SPANS = 1000  # of a change
MAX_MOVED = 1 << 20  # latent frames
N_BANDS = 27  # thirds of an octave of a style
MAX_BAND_DB = 60.0  # either way


@dataclass(frozen=True)
class AdapterRecord:
    """An adapter that an operation was made with."""

    path: str  # its path when used
    strength: float
    sha256: dict[str, str]  # stage -> SHA-256 of its weights


@dataclass(frozen=True)
class ModelRecord:
    """The model that an operation was made with."""

    name: str  # "tiny", a folder or a Hub id
    weights: dict[str, str]  # file name -> SHA-256
    int8: bool = False  # whether it was held in 8 bits to save memory; older files do not say it


@dataclass(frozen=True)
class Render:
    """A whole plan rendered from noise."""

    OP: ClassVar = "render"
    plan: Plan
    seed: int  # of the noise
    sampling: SamplingConfig
    model: ModelRecord
    adapters: tuple[AdapterRecord, ...] = ()

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True)
class Import:
    """An imported recording, encoded; `plan` holds its bars."""

    OP: ClassVar = "import"
    plan: Plan
    sha256: str  # of the file
    tempo: float  # quarter notes a minute
    downbeat: float  # seconds at which bar 1 begins
    model: ModelRecord
    scale_db: float = 0.0  # by which its samples were scaled to fit full scale, 0 or less


@dataclass(frozen=True)
class Change:
    """Some of a track made anew as `plan` has it, all else kept; and its ending."""

    OP: ClassVar = "change"
    plan: Plan  # of the whole track afterwards
    fresh: tuple[tuple[int, int], ...]  # samples start..stop-1 that are made anew, ascending; from -plan.pre_roll on
    seed: int
    sampling: SamplingConfig
    model: ModelRecord
    adapters: tuple[AdapterRecord, ...] = ()
    moved: int = 0  # latent frames by which what is kept lies later than before
    strength: float = 1.0  # 0-1: how far from what was there the new begins; 1: from noise
    heard: tuple[str, ...] = ()  # roles that are rendered alone and added to what is there; (): all is made anew
    keeps: bool = False  # whether of the sound only what the plan changes is made anew, see `flow.edit`

    def __post_init__(self) -> None:
        check_seed(self.seed)
        object.__setattr__(self, "fresh", check_spans(self.fresh, self.plan))
        if abs(whole(self.moved, "moved")) > MAX_MOVED:
            raise ValueError(f"moved {show(self.moved)} is outside -{MAX_MOVED} to {MAX_MOVED}")
        object.__setattr__(self, "strength", check_strength(self.strength))
        object.__setattr__(self, "heard", order_roles(self.heard, "heard"))


@dataclass(frozen=True)
class Style:
    """Spectrum and width of a reference, given to a track; plan and latents stay. See `render.style`."""

    OP: ClassVar = "style"
    plan: Plan
    sha256: str  # of the reference's file
    strength: float  # above 0 to 1
    bands_db: tuple[float, ...]  # gain of each third of an octave
    side_db: float  # gain of the side beside that
    model: ModelRecord

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength))
        if len(self.bands_db) != N_BANDS:
            raise ValueError(f"bands_db: {len(self.bands_db)} bands are not {N_BANDS}")
        for gain in (*self.bands_db, self.side_db):
            if not abs(gain) <= MAX_BAND_DB:  # also refuses NaN
                raise ValueError(f"bands_db, side_db: {gain:g} dB is more than {MAX_BAND_DB:g} either way")


def check_spans(fresh: Sequence[Sequence[int]], plan: Plan) -> tuple[tuple[int, int], ...]:
    """Spans of samples as tuples; ValueError unless they ascend inside the plan and its pre-roll."""
    if len(fresh) > MAX_SPANS:
        raise ValueError(f"fresh: {len(fresh)} spans are more than {MAX_SPANS}")
    last = -plan.pre_roll
    for start, stop in fresh:
        if not last <= whole(start, "fresh") < whole(stop, "fresh") <= plan.length:
            raise ValueError(
                f"fresh: samples {show(start)}-{show(stop)} do not ascend inside {last}-{plan.length} of the plan"
            )
        last = stop
    return tuple((start, stop) for start, stop in fresh)


def check_strength(strength: float) -> float:
    """`strength` as a float; ValueError unless it is above 0 and at most 1."""
    strength = float(number(strength, "strength"))  # 1 and 1.0 are to be the same text in a manifest
    if not 0 < strength <= 1:
        raise ValueError(f"strength {strength:g} is not above 0 and at most 1")
    return strength


Operation = Render | Import | Change | Style
KINDS: dict[str, type[Operation]] = {kind.OP: kind for kind in (Render, Import, Change, Style)}


def dump(operation: Operation) -> dict[str, Any]:
    """An operation as plain JSON values, its kind under "op"."""
    values = {field.name: getattr(operation, field.name) for field in fields(operation)}
    return {"op": operation.OP, **{name: _plain(value) for name, value in values.items()}}


def build(values: Any, where: str) -> Operation:
    """The operation in plain JSON values; ValueError, prefixed by `where`, for anything else."""
    op = values.get("op") if isinstance(values, Mapping) else values
    if not isinstance(values, Mapping) or not isinstance(op, str) or op not in KINDS:
        raise ValueError(f"{where}: op {str(op)[:60]!r} is none of {', '.join(KINDS)}")
    rest = {name: value for name, value in values.items() if name != "op"}
    if "plan" in rest:
        rest["plan"] = Plan.from_dict(rest["plan"])
    return config.build(KINDS[op], rest, where)


def check(operations: Sequence[Operation]) -> None:
    """ValueError unless there is a first operation that makes a track and all others change it."""
    if not 1 <= len(operations) <= MAX_OPERATIONS:
        raise ValueError(f"operations: {len(operations)} is outside 1-{MAX_OPERATIONS}")
    if isinstance(operations[0], Change | Style):
        raise ValueError(f"operations: the first operation is a {operations[0].OP} and has nothing to change")
    for place, operation in enumerate(operations[1:], start=2):
        if not isinstance(operation, Change | Style):
            raise ValueError(f"operations: number {place} is {operation.OP!r}, only the first may be")


def from_format_2(values: Any) -> Any:
    """An operation, as plain values, that a manifest of format 2 records: what is a change now was an edit of bars."""
    if not isinstance(values, Mapping) or values.get("op") != "edit":
        return values
    plan = Plan.from_dict(values["plan"])
    bars = values["bars"]
    fresh = [] if bars is None else [plan.span(check_bars(bars, plan.n_bars))]
    rest = {name: value for name, value in values.items() if name not in ("op", "bars")}
    return {"op": Change.OP, **rest, "fresh": fresh}


def from_format_1(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The operations of format 2, as plain values, that a manifest of format 1 records in another layout.

    There an import was a dict of three keys among the edits, and model and weights were named once for all of them.
    """
    model = {"name": values["model"], "weights": values["weights"]}
    first = {"op": "render", "plan": values["plan"], "seed": values["render_seed"], "sampling": values["sampling"]}
    operations = [{**first, "model": model, "adapters": values.get("adapters", [])}]
    for edit in values["edits"]:
        if "recording" in edit:
            origin = {"sha256": edit["recording"], "tempo": edit["tempo"], "downbeat": edit["downbeat"]}
            operations = [{"op": "import", "plan": values["plan"], **origin, "model": model}]
        else:
            made = {"plan": edit["plan"], "bars": edit["bars"], "seed": edit["render_seed"]}
            settings = {"sampling": edit["sampling"], "adapters": edit.get("adapters", [])}
            operations.append({"op": "edit", **made, **settings, "model": model})
    return operations


def _plain(value: Any) -> Any:
    if isinstance(value, Plan):
        return value.to_dict()
    return config.plain(value)
