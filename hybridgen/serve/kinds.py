"""The kinds of jobs and their fields.

What a person can fix is taken from `plan.controls` and `sampling`, from which the command line and the keyword
arguments of `Pipeline` are made too; the rest are the arguments of its methods, by the same names.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StrictInt, create_model

from hybridgen.formats import CHAPTERED, WRITES
from hybridgen.plan import serial
from hybridgen.plan.controls import ControlArgs, EditArgs, options
from hybridgen.plan.parts import MAX_BARS, MAX_PROMPT, MAX_SECONDS, MAX_TEMPO, MIN_TEMPO, ROLES
from hybridgen.plan.plan import Plan
from hybridgen.sampling import LIMITS, MAX_PLANS, RenderArgs
from hybridgen.serve.refusals import Range

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
# fields that are ids, and the files that are meant by them
SOURCES = {"track": SOUNDS, "reference": SOUNDS, "melody": (*SOUNDS, ".json")}
EXPORTS = ("zip", *(ending[1:] for ending in (*WRITES, *CHAPTERED)))


class Body(BaseModel):
    """The fields of a request."""

    model_config = ConfigDict(extra="forbid")


def misread(given: Any, read: Any) -> Iterator[bool]:
    """The truths in what is given that pydantic has read as the numbers 1 and 0."""
    if isinstance(given, bool):
        yield from () if isinstance(read, bool) else (given,)
    elif isinstance(given, Mapping):
        values = read if isinstance(read, Mapping) else vars(read)
        for name in given.keys() & values.keys():
            yield from misread(given[name], values[name])
    elif isinstance(given, list | tuple):
        for one, other in zip(given, read, strict=True):
            yield from misread(one, other)


class SectionArgs(Body):
    """A section as a plan's JSON has it, its chords an entry a bar."""

    label: str | None = None
    energy: int | None = None
    roles: list[str] | None = None
    chords: list[str | None]


# where Python takes an object of ours, JSON takes what a plan's JSON has
JSON_TYPES: dict[str, Any] = {
    "sections": list[SectionArgs] | None,
    "chords": list[str | list[str] | None] | None,
    "ending": str | None,
    "swing": str | float | None,
    "without": list[str | StrictInt] | None,
    "notes": dict[str, str | list[str]] | None,
}


def _field(
    kind: Any,
    help: str,
    default: Any = None,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    **schema: Any,
) -> tuple[Any, Any]:
    """A field; `limits` are both included, and `schema` is what else its JSON schema says of its values."""
    extra: dict[str, Any] = schema if limits is None else {"minimum": limits[0], "maximum": limits[1], **schema}
    extra |= {"examples": list(choices[:3])} if choices else {}
    return kind, Field(default, description=help, json_schema_extra=extra)


def _controls(place: str, args: type) -> dict[str, Any]:
    """The fields of `Controls` that belong to a "request" or an "edit"."""
    hints = get_type_hints(args) | JSON_TYPES
    return {
        name: _field(hints[name], option.help, None, option.limits, option.choices)
        for name, option in options(place).items()
    }


def _rendering() -> dict[str, Any]:
    """The fields of `RenderOptions`."""
    help = {
        "seed": "the same seed gives the same track; always answered. Of a repaint: makes all of the bars anew",
        "num_steps": "solver steps a window (default: the model's)",
        "guidance_scale": "how hard to follow prompt and plan (default: the model's)",
    }
    hints = get_type_hints(RenderArgs)
    return {name: _field(hints[name], help[name], None, LIMITS[name]) for name in help}


ID = "the id of a job that made one, or of an upload"
WORDS: dict[str, Any] = {"minLength": 1, "maxLength": MAX_PROMPT, "pattern": r"\S"}
PLAN_FIELDS: dict[str, Any] = {  # whether their values are a plan, no schema says
    "required": ["hybridgen_plan"],
    "properties": {"hybridgen_plan": {"const": serial.FORMAT}, **{name: {} for name in serial.FIELDS[1:]}},
    "additionalProperties": False,
}
PROMPT = _field(str, "what the music should be, in words", ..., **WORDS)
TRACK = _field(str, f"the track: {ID}", ...)
MELODY = _field(str | None, f"what the lead plays: a tune or a score, {ID}")
PLAN = _field(dict[str, Any] | None, "a plan as docs/plan.md says, instead of a prompt", **PLAN_FIELDS)
SEED = _field(int | None, "of the plan alone", None, LIMITS["seed"])
FORMAT = _field(Literal["flac", "wav", "ogg", "mp3"], "of the file", "flac")
STRENGTH = _field(float, "how far from what is there: 0.3 a shade of the change", 1.0, (0, 1), exclusiveMinimum=0)
RECORDING = {
    "tempo": _field(float | None, "of a recording; heard where it is not given", None, (MIN_TEMPO, MAX_TEMPO)),
    "downbeat": _field(float | None, "of a recording: seconds at which its bar 1 begins", None, (0, MAX_SECONDS)),
    "meter": _field(str | None, "of a recording (default 4/4)"),
}
ROLE = Literal["drums", "percussion", "bass", "keys", "guitar", "strings", "winds", "lead", "pad"]
RANGES_OF_BARS = list[tuple[int, int]] | tuple[int, int] | None
RANGES_OF_SECONDS = list[tuple[float, float]] | tuple[float, float] | None
assert get_args(ROLE) == ROLES

_request, _edit = _controls("request", ControlArgs), _controls("edit", EditArgs)
_render, _recording = _rendering(), RECORDING
_FIELDS: dict[str, dict[str, Any]] = {
    "plans": {
        "prompt": PROMPT,
        "n": _field(int, "how many, of the seeds seed, seed + 1, ...", 1, (1, MAX_PLANS)),
        "seed": _render["seed"],
        "melody": MELODY,
        **_request,
    },
    "arrange": {
        "plan": _field(dict[str, Any], "a plan as docs/plan.md says", ..., **PLAN_FIELDS),
        "order": _field(str | list[int], "its sections in another order: intro A A B A outro, or [1, 2, 2]", ...),
        "variation": _field(float, "share of the notes of bars that return which is written anew", 0.0, (0, 1)),
    },
    "notes": {
        "plan": _field(
            dict[str, Any],
            "a plan as docs/plan.md says: what its roles play where it is unknown is written",
            ...,
            **PLAN_FIELDS,
        ),
        "seed": SEED,
    },
    "track": {
        "prompt": _field(str | None, "what the music should be, in words", **WORDS),
        "plan": PLAN,
        **_render,
        "plan_seed": SEED,
        "render_seed": _field(int | None, "of the sound alone", None, LIMITS["seed"]),
        "melody": MELODY,
        "stems": _field(bool, "also what each role plays, a file each", False),
        "live": _field(bool, "its sound can be heard while it is rendered", False),
        "format": FORMAT,
        **_request,
    },
    "repaint": {
        "track": TRACK,
        "bars": _field(RANGES_OF_BARS, "bars from 1, both included: [9, 12], or several such pairs"),
        "seconds": _field(RANGES_OF_SECONDS, "seconds instead of bars: [12, 15.5], or several such pairs"),
        "plan": _field(dict[str, Any] | None, "take the bars from this plan instead", **PLAN_FIELDS),
        "strength": STRENGTH,
        **_edit,
        "downbeat": RECORDING["downbeat"],
        "meter": RECORDING["meter"],
    },
    "extend": {
        "track": TRACK,
        "bars": _field(int | None, "so many bars more", None, (1, MAX_BARS)),
        "seconds": _field(
            float | None, "as many whole bars as come next to it, instead", None, (0, MAX_SECONDS), exclusiveMinimum=0
        ),
        "where": _field(Literal["end", "start"], "its form goes on, or it gets an introduction", "end"),
        **_recording,
    },
    "loop": {
        "track": (str | None, Field(None, description=f"the track: {ID}")),
        "prompt": _field(str | None, "what the loop should be, in words, instead of a track", **WORDS),
        "bars": _field(int | tuple[int, int], "how many, or which bars of the track: [9, 12]", 8, (1, MAX_BARS)),
    },
    "vary": {
        "track": TRACK,
        "amount": _field(float, "0, the same, to 1, other notes and sound", 0.3, (0, 1)),
        **_recording,
    },
    "cover": {
        "track": TRACK,
        "prompt": PROMPT,
        "depth": _field(Literal["plan", "codes", "latents"], "what else is kept of it", "plan"),
        "strength": _field(
            float | None, "with latents: 1 anew, 0.3 a shade (default 0.6)", None, (0, 1), exclusiveMinimum=0
        ),
        **_recording,
    },
    "layer": {
        "track": TRACK,
        "role": _field(ROLE, "what it does", ...),
        "instrument": _field(int | str | None, "a General MIDI name or program (default: a usual one)"),
        "notes": _field(str | list[str] | None, "what it plays, a bar or a list of bars (default: written)"),
        **_recording,
    },
    "style": {
        "track": TRACK,
        "reference": _field(str, f"whose spectrum and stereo width it gets: {ID}", ...),
        "strength": _field(float, "how much of the way", 1.0, (0, 1), exclusiveMinimum=0),
        "format": FORMAT,
        **_recording,
    },
    "stems": {"track": TRACK},
    "export": {
        "track": TRACK,
        "format": _field(Literal[EXPORTS], "a pack for a DAW, its plan as notes, or its sound with chapters", "zip"),
        "bits": _field(Literal["16", "24", "32f"], "of a sample, in a pack", "24"),
        "sample_rate": _field(Literal[44_100, 48_000] | None, "in Hz, of a pack (default: the track's)"),
        "stems": _field(bool, "whether a pack holds what each role plays", True),
        "labels": _field(Literal["sections", "bars", "chords"] | None, "positions for Audacity, in place of the plan"),
    },
}
ONE_OF = {"track": ("prompt", "plan"), "extend": ("bars", "seconds"), "loop": ("track", "prompt")}  # either of the two
RENDERED = ("repaint", "extend", "loop", "vary", "cover", "layer")
for _name in RENDERED:
    _FIELDS[_name] |= {**_render, "format": FORMAT}
CHANGES = (*RENDERED, "style")  # they make a track of a track

EDIT_FIELDS = _edit  # of a plan, in some bars
KINDS: dict[str, type[Body]] = {
    kind: create_model(f"{kind.title()}Request", __base__=Body, **fields) for kind, fields in _FIELDS.items()
}


def ranges(kind: str) -> dict[str, Range]:
    """What is known of the values of each field of a kind."""
    known = {**options("request"), **options("edit")}
    found = {}
    for name, one in KINDS[kind].model_fields.items():
        extra: dict[str, Any] = one.json_schema_extra if isinstance(one.json_schema_extra, dict) else {}
        words = known[name].choices if name in known else ()
        literal = tuple(word for word in get_args(one.annotation) if isinstance(word, str))
        found[name] = Range(extra.get("minimum"), extra.get("maximum"), words or literal)
    return found


def read(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """A checked request as the keyword arguments of `Pipeline`'s methods; what is not given is left out."""
    model = KINDS[kind].model_validate(request)
    fields = {name: value for name, value in model if value is not None}
    if "sections" in fields:
        fields["sections"] = serial.read_sections([one.model_dump(exclude_none=True) for one in fields["sections"]])
    if "plan" in fields:
        fields["plan"] = Plan.from_dict(fields["plan"])
    return fields


def controls(fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Those of the fields that are controls of a "request" or an "edit"."""
    return {name: fields[name] for name in options(place) if name in fields}
