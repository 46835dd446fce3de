"""A model folder: `config.yaml` and one safetensors file per stage; local, shipped, or from the Hub. Never pickle."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hybridgen import hub
from hybridgen.files import atomic_write, expand_user
from hybridgen.hub import HubId
from hybridgen.packed import packed_layers

MAX_HEADER = 16 << 20  # bytes of JSON that list the tensors of a file
SPARE = 4_000_000  # numbers that a module may make beside those in its file: tables, windows
_SHIPPED = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Located:
    """Where a model is, and its name: of one from the Hub with the commit that it is."""

    folder: Path
    name: str


def locate(name: str | Path | None = None, revision: str | None = None) -> Located:
    """A model: `None` or a shipped name (`"tiny"`), an existing folder, or a Hub id `"owner/name"`.

    Only a Hub id touches the network; `revision` (branch, tag or commit, also written `"owner/name@revision"`) belongs
    to Hub ids alone. Raises ValueError, in one line, for anything else.
    """
    path, called = _SHIPPED / "tiny" if name is None else expand_user(name), str(name or "tiny")
    if isinstance(name, str) and re.fullmatch(r"\w+", name) and not path.is_dir() and (_SHIPPED / name).is_dir():
        path = _SHIPPED / name
    if not path.is_dir() and isinstance(name, str) and (wanted := HubId.parse(name)) is not None:
        if revision is not None and wanted.revision is not None:
            raise ValueError(f"revision {revision!r} is given beside that of model {name!r}: give one of them")
        fetched = hub.fetch(wanted if revision is None else HubId(wanted.repo, revision))
        path, called = fetched.folder, str(fetched.id)
    elif revision is not None:
        raise ValueError(f"revision {revision!r} needs a Hub id, got model {str(name)!r}")
    _check_link(path / "config.yaml")
    if not (path / "config.yaml").is_file():
        found = "has no config.yaml" if path.is_dir() else "is not a folder, a shipped model or a Hub id owner/name"
        raise ValueError(f"model {str(path)!r} {found}")
    return Located(path, called)


def resolve(name: str | Path | None = None) -> Path:
    """The folder of a model, as `locate` finds it."""
    return locate(name).folder


def _check_link(path: Path) -> None:
    """ValueError for a link out of a model's folder, whose target's words would be in the errors about it."""
    blobs = path.resolve().parent.name == "blobs"  # as in the cache of the Hub
    if path.is_symlink() and not blobs and not path.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError(f"{path}: is a link to a file outside of its folder")


def save_weights(module: nn.Module, path: str | Path, half: bool = True) -> None:
    """Writes a module's parameters and buffers as safetensors; `half` stores the floating ones as float16.

    Raises ValueError for a value that float16 cannot hold. The file appears whole or not at all.
    """
    tensors = {name: _stored(name, tensor, half) for name, tensor in module.state_dict().items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors))  # its own writer hides the disk's errors


def load_weights(module: nn.Module, path: str | Path, optional: tuple[str, ...] = ()) -> list[str]:
    """Fills a module from safetensors, in the module's own dtypes and on its own devices.

    Names and shapes must be exactly the module's; they are checked before any value is changed. Tensors whose names
    begin with one of `optional` may be missing from the file: they stay as they are, and their names are returned.
    Beside the module one tensor at a time is in memory.
    """
    targets, packed = module.state_dict(), packed_layers(module)
    missing: list[str] = []
    try:
        check_header(path)
        with safetensors.safe_open(path, framework="pt") as file:
            missing = [name for name in sorted(targets.keys() - set(file.keys())) if name.startswith(optional)]
            targets = {name: target for name, target in targets.items() if name not in missing}
            _check_names(path, targets, set(file.keys()))
            for name, target in targets.items():
                _check_tensor(path, name, target, file.get_slice(name), name in packed)
        for name, target in targets.items():
            # opened for each, for only when it is closed it gives back its pages
            with safetensors.safe_open(path, framework="pt") as file, torch.no_grad():
                stored = file.get_tensor(name)
                if stored.is_floating_point() and not torch.isfinite(stored.sum(dtype=torch.float64)):
                    raise ValueError(f"{path}: {name} holds values that are not finite")
                (packed[name].fill if name in packed else target.copy_)(stored)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file: {error}") from None
    return missing


class _Budget(TorchFunctionMode):
    """While it is active, tensors of at most so many numbers together can be made; then ValueError.

    They are not initialized: memory that nobody has written to is not taken from the machine.
    """

    MAKERS = frozenset({torch.empty, torch.zeros, torch.ones, torch.randn, torch.rand, torch.full, torch.arange})

    def __init__(self, limit: int, message: str):
        super().__init__()
        self.left, self.message = limit, message

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        if func in self.MAKERS:
            sizes = args[0] if args and isinstance(args[0], (tuple, list)) else args
            self.left -= math.prod(size for size in sizes if isinstance(size, int))
            if self.left < 0:
                raise ValueError(self.message)
        return func(*args, **(kwargs or {}))


M = TypeVar("M", bound=nn.Module)


def make_within(make: Callable[[], M], path: str | Path) -> M:
    """The module that `make` makes, for the weights in a file: ValueError before it takes more memory than they fill.

    The shapes in a model's config.yaml are a stranger's: nothing is allocated that the file could not hold.
    """
    size = Path(path).stat().st_size
    with _Budget(size + SPARE, f"{path}: the shapes in config.yaml ask for more than fits its {size:,} bytes"):
        return make()


def check_header(path: str | Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type ("F16") and shape of each tensor in a file, of which no more than the header is read.

    ValueError unless the file is as long as its own header says, and that header is of a sane size.
    """
    if not Path(path).is_file():  # a pipe would be waited for
        raise ValueError(f"{path}: is not a file")
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER or size < 8:
            raise ValueError(f"{path}: header of {length} bytes in a file of {size}; the limit is {MAX_HEADER}")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            expected = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
            found = {name: (str(entry["dtype"]), tuple(map(int, entry["shape"]))) for name, entry in header.items()}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise ValueError(f"{path}: its header is not that of a safetensors file") from None
    if size != expected:
        raise ValueError(f"{path}: {size} bytes, but its header promises {expected}")
    return found


def save_latents(
    path: str | Path, latents: np.ndarray, audio_sha256: str, n_samples: int, width: float | None = None
) -> None:
    """Writes latents (T, C) float32 of a track of `n_samples`, bound to the audio file with this SHA-256.

    width: level of side over mid, of a recording narrower than a codec may make it; see `load_width`.
    """
    if latents.ndim != 2 or not np.isfinite(latents).all():
        raise ValueError(f"latents of shape {latents.shape} should be finite (T, C)")
    metadata = {"audio_sha256": audio_sha256, "n_samples": str(n_samples)}
    metadata |= {} if width is None else {"width": repr(float(width))}
    with atomic_write(path) as temporary:
        arrays = {"latents": np.ascontiguousarray(latents, np.float32)}
        temporary.write_bytes(safetensors.numpy.save(arrays, metadata))


def audio_of_latents(path: str | Path) -> str:
    """The SHA-256 of the audio file that latents were written for; ValueError for a file that is not whole."""
    return _read_latents(path)[1].get("audio_sha256", "")


def load_latents(path: str | Path) -> tuple[np.ndarray, int]:
    """Latents (T, C) float32 and the samples of their track."""
    latents, metadata = _read_latents(path)
    if not np.isfinite(latents).all():
        raise ValueError(f"{path}: its latents are not all finite")
    n_samples = metadata.get("n_samples", "")
    if not re.fullmatch(r"[0-9]{1,12}", n_samples):
        raise ValueError(f"{path}: n_samples {n_samples[:40]!r} is not a sample count")
    return latents, int(n_samples)


def _read_latents(path: str | Path) -> tuple[np.ndarray, dict[str, str]]:
    check_header(path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            kept = file.get_slice("latents")
            kind, shape = kept.get_dtype(), tuple(kept.get_shape())
            if kind != "F32" or len(shape) != 2 or 0 in shape:
                raise ValueError(f"{path}: latents of {kind} {shape} should be F32 (T, C) with T > 0")
            return file.get_tensor("latents"), file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a whole latents file: {error}") from None


def load_width(path: str | Path) -> float | None:
    """The width that a file of latents names, 0 for mono; None where it names none."""
    with safetensors.safe_open(path, framework="np") as file:
        text = (file.metadata() or {}).get("width")
    try:
        width = None if text is None else float(text)
    except ValueError:
        width = math.nan
    if width is not None and not 0 <= width <= 1:
        raise ValueError(f"{path}: width {str(text)[:40]!r} is not a number from 0 to 1")
    return width


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    stored = tensor.to(torch.float16) if half and tensor.is_floating_point() else tensor
    if stored.is_floating_point() and not stored.isfinite().all():
        raise ValueError(f"{name}: values up to {tensor.abs().max():.3g} do not fit {stored.dtype}")
    return stored.clone(memory_format=torch.contiguous_format)  # tied tensors are written twice


def _check_names(path: str | Path, targets: dict[str, Tensor], names: set[str]) -> None:
    missing, unexpected = sorted(targets.keys() - names), sorted(names - targets.keys())
    if missing or unexpected:
        raise ValueError(f"{path}: missing {_list(missing)}; unexpected {_list(unexpected)}")


def _check_tensor(path: str | Path, name: str, target: Tensor, stored: Any, is_packed: bool) -> None:
    if tuple(stored.get_shape()) != tuple(target.shape):
        raise ValueError(f"{path}: {name} has shape {tuple(stored.get_shape())}, the model's {tuple(target.shape)}")
    if stored.get_dtype().startswith(("F", "BF")) != (is_packed or target.is_floating_point()):
        raise ValueError(f"{path}: {name} holds {stored.get_dtype()}, the model's {target.dtype}")


def _list(names: list[str]) -> str:
    return f"{names[:5]} and {len(names) - 5} more" if len(names) > 5 else str(names)
