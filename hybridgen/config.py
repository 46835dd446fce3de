"""YAML -> frozen dataclasses, with dotted overrides and presets.

The dataclass is the schema: an unknown key, a missing key, a wrong type or a number out of its range is one
`ValueError` line that names it.
Files are data and nothing else: safe YAML, no anchors, no repeated keys, at most 128 kB and 32 levels.
"""

import dataclasses
import math
import types
import typing
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
MAX_BYTES = 1 << 17
MAX_DEPTH = 32
MAX_INT = 2**53  # of whole numbers without a range of their own; exact in JSON wherever it is read
MAX_VALUES = 10_000  # in a list
_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")  # beside the file in a wheel, one up in a checkout


class Range(NamedTuple):
    """Of a number in a file, both ends included: `steps: Annotated[int, Range(1, 1000)]`."""

    low: float
    high: float


# What a stranger's file can ask for at most: more than any model that we know of has.
Count = Annotated[int, Range(1, 512)]  # layers, heads, codebooks, processes, threads
Bands = Annotated[int, Range(0, 512)]  # of a filter bank that may be absent
Workers = Annotated[int, Range(0, 64)]  # processes beside this one
Width = Annotated[int, Range(1, 1 << 16)]  # channels, entries of a codebook, frames or samples of a window
Steps = Annotated[int, Range(1, 10**9)]
Whole = Annotated[int, Range(0, 10**9)]  # steps that may be none
Size = Annotated[int, Range(1, 10**8)]  # rows, frames or samples of a batch
Share = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0, 10**6)]


def load(cls: type[T], path: str | Path, overrides: Iterable[str] = ()) -> T:
    """The dataclass `cls` read from a YAML file, after overrides, one after the other.

    An override is `"planner.dim=512"` (values are YAML), or another YAML file: what its section of the first file's
    name says (`renderer` for renderer.yaml) is laid over the first file.
    """
    try:
        mapping = read(path)
        for override in overrides:
            if override.endswith(".yaml") and "=" not in override:
                _lay_over(mapping, _section(override, Path(path).stem))
            else:
                _override(mapping, override)
        return build(cls, mapping)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, unchecked against any dataclass; ValueError for anything that is not plain data."""
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes is over the limit of {MAX_BYTES}")
    mapping = _parse(path.read_text(encoding="utf-8"))
    if not isinstance(mapping, dict):
        raise ValueError(f"expected a mapping, got {_short(mapping)}")
    return mapping


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """The dataclass `cls` from a plain mapping, nested sections included; `where` prefixes the errors."""
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{where or cls.__name__}: expected a mapping, got {_short(mapping)}")
    mapping = _updated(cls, mapping, where)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if unknown := [key for key in mapping if key not in fields]:
        names = [str(key)[:60] for key in unknown[:5]]
        raise ValueError(f"{where or cls.__name__}: unknown {names}; known {list(fields)}")
    if missing := [name for name, field in fields.items() if name not in mapping and _required(field)]:
        raise ValueError(f"{where or cls.__name__}: missing {missing}")
    hints = typing.get_type_hints(cls, include_extras=True)
    dot = f"{where}." if where else ""
    return cls(**{key: cast(hints[key], value, dot + key) for key, value in mapping.items()})


def cast(kind: Any, value: Any, where: str) -> Any:
    """`value` as the field type says: int, float, bool, str, dataclass, tuple, dict, Literal, or None where allowed.

    YAML 1.1 reads `3e-4` as a string; a float field turns it into the number. A number has the `Range` of its type.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        number = cast(args[0], value, where)
        if not args[1].low <= number <= args[1].high:
            raise ValueError(f"{where}: {_short(value)} is outside {args[1].low:,} to {args[1].high:,}")
        return number
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else build(kind, value, where)
    if origin in (types.UnionType, typing.Union) and type(None) in args and len(args) == 2:
        return None if value is None else cast(next(arg for arg in args if arg is not type(None)), value, where)
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) <= MAX_VALUES:
        return _cast_tuple(args, value, where)
    if origin is dict and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: cast(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is typing.Literal and isinstance(value, str) and value in args:
        return value
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return _cast_float(value, where)
    if kind in (int, str, bool) and type(value) is kind and (kind is not int or abs(value) <= MAX_INT):
        return value
    raise ValueError(f"{where}: expected {_name(kind)}, got {_short(value)}")


def dump(config: Any) -> dict[str, Any]:
    """A config dataclass as plain mappings, lists and scalars: `build(type(config), dump(config)) == config`."""
    return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config) if field.init}


def plain(value: Any) -> Any:
    """A value as plain mappings, lists and scalars."""
    if dataclasses.is_dataclass(value):
        return dump(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def preset(name: str) -> Path:
    """The file of a shipped preset: `preset("models/tiny")` is `configs/models/tiny.yaml`."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])
    known = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    if name not in known:
        raise ValueError(f"preset {name!r} unknown; known {sorted(known)}")
    return known[name]


def shapes(cls: type[T], model: str | Path, section: str) -> T:
    """The shapes of one stage of a model: `section` of a YAML file, or of the preset `models/MODEL`."""
    path = model_file(model)
    return build(cls, _section(path, section), f"{path}: {section}")


def model_file(model: str | Path) -> Path:
    """A YAML file of shapes: `model` itself, or that of the preset `models/MODEL`."""
    return Path(model) if str(model).endswith(".yaml") else preset(f"models/{model}")


def _section(path: str | Path, name: str) -> dict[str, Any]:
    sections = read(path)
    if not isinstance(sections.get(name), dict):
        raise ValueError(f"{path} has no section {name!r}, but {sorted(sections)}")
    return sections[name]


def _lay_over(mapping: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Merges `other` into `mapping`: mappings recursively, anything else replaced."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(mapping.get(key), dict):
            _lay_over(mapping[key], value)
        else:
            mapping[key] = value


def _updated(cls: type, mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The mapping of an older file in today's keys.

    `cls.RENAMED` maps old names to new ones; `cls.RETIRED` maps keys that are no options any more to the only value
    that they may have.
    """
    renamed, retired = getattr(cls, "RENAMED", {}), getattr(cls, "RETIRED", {})
    for key in retired.keys() & mapping.keys():
        if plain(mapping[key]) != retired[key]:
            raise ValueError(
                f"{where or cls.__name__}: {key} {_short(mapping[key])} is no longer an option, it is always "
                f"{_short(retired[key])}"
            )
    for old in renamed.keys() & mapping.keys():
        if renamed[old] in mapping:
            raise ValueError(f"{where or cls.__name__}: {old} is the older name of {renamed[old]}: give one of them")
    return {renamed.get(key, key): value for key, value in mapping.items() if key not in retired}


def _override(mapping: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    *sections, key = dotted.strip().split(".")
    if not equals or not all((*sections, key)):
        raise ValueError(f"override {override!r} should read section.field=value")
    for section in sections:
        if not isinstance(mapping.get(section), dict):
            mapping[section] = {}
        mapping = mapping[section]
    mapping[key] = _parse(text)


def _parse(text: str) -> Any:
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ValueError(f"line {_line(event)}: anchors and aliases are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(f"line {_line(event)}: nested deeper than {MAX_DEPTH}")
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a repeated key is an error (PyYAML lets the last one win)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        counts = Counter(key.value for key, _ in node.value if isinstance(key.value, str))
        if repeated := sorted(key for key, count in counts.items() if count > 1):
            raise ValueError(f"line {node.start_mark.line + 1}: repeated {repeated}")
        return super().construct_mapping(node, deep)


def _cast_tuple(args: tuple[Any, ...], values: list | tuple, where: str) -> tuple:
    if args[-1] is Ellipsis:
        args = (args[0],) * len(values)
    if len(args) != len(values):
        raise ValueError(f"{where}: expected {len(args)} values, got {len(values)}")
    return tuple(cast(kind, value, f"{where}[{i}]") for i, (kind, value) in enumerate(zip(args, values, strict=True)))


def _cast_float(value: float | str, where: str) -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: expected float, got {_short(value)}")
    return number


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
