"""What may be written where: checked before the work, so that nothing is lost after it.

An output is never an input or another output. One that exists is replaced when hybridgen made it (a track, a plan,
latents or a picture, which the same command makes again), and otherwise only when that is asked for.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

PICTURE_ENDINGS = (".png", ".svg", ".pdf")
MARK = "hybridgen"  # the software that a picture of ours names


def check(outputs: Sequence[Path], inputs: Sequence[Path] = (), overwrite: bool = False) -> None:
    """ValueError, in one line, for the first output that must not or cannot be written.

    overwrite: replace files that hybridgen did not make; read-only files are never replaced.
    """
    for i, output in enumerate(outputs):
        _check_name(output)
        for other in outputs[:i]:
            if _same(output, other):
                raise ValueError(f"output {str(output)!r} is also the output {str(other)!r}: give another name")
        for other in inputs:
            if _same(output, other):
                raise ValueError(f"output {str(output)!r} is the input {str(other)!r}: give another name")
        if output.exists():
            _check_existing(output, overwrite)


def check_folder(
    output: Path, is_part: Callable[[Path], bool], inputs: Sequence[Path] = (), overwrite: bool = False
) -> None:
    """The same of a folder that takes the place of one that exists, which then is lost with all that is in it.

    That takes `overwrite`, and nothing may be in it but what `is_part` knows, by its path from there.
    """
    _check_name(output)
    for other in inputs:
        if Path(os.path.realpath(output)) in Path(os.path.realpath(other)).parents:
            raise ValueError(f"output {str(output)!r} holds the input {str(other)!r}: give another name")
    if not output.exists():
        return
    if not output.is_dir():
        raise ValueError(f"output {str(output)!r} is no folder")
    strange = sorted(path for path in output.rglob("*") if not is_part(path.relative_to(output)))
    if strange:
        raise ValueError(
            f"output {str(output)!r} holds {strange[0].name!r}, which is not of a pack: move it away first"
        )
    if not overwrite:
        raise ValueError(f"output {str(output)!r} exists: replacing it takes overwrite")


def is_ours(path: Path) -> bool:
    """Whether hybridgen made a file: a track, a plan, latents or a picture."""
    if path.suffix.lower() == ".json":
        return b'"hybridgen_plan"' in _head(path)
    if path.suffix.lower() == ".safetensors":
        return _holds_latents(path)
    if path.suffix.lower() in PICTURE_ENDINGS:
        return MARK.encode() in path.read_bytes()
    from hybridgen import manifest

    return manifest.carries(path)


def _check_name(output: Path) -> None:
    try:
        size = len(str(output.name).encode())
    except UnicodeEncodeError:
        raise ValueError(f"output {str(output)!r}: the name is not valid Unicode") from None
    folder = Path(os.path.realpath(output)).parent
    if "\0" in str(output) or not folder.is_dir():
        raise ValueError(f"output {str(output)!r}: the folder {str(folder)!r} does not exist")
    longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    if size > longest:
        raise ValueError(f"output {str(output)!r}: the name has {size} bytes, its folder allows {longest}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"output {str(output)!r}: the folder {str(folder)!r} cannot be written to")


def _check_existing(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise ValueError(f"output {str(output)!r} is a folder")
    if not output.is_file():
        raise ValueError(f"output {str(output)!r} is no regular file")
    if not output.stat().st_mode & 0o222 or not os.access(output, os.W_OK):
        raise ValueError(f"output {str(output)!r} is read-only")
    if not overwrite and not is_ours(output):
        raise ValueError(f"output {str(output)!r} exists and was not made by hybridgen: replacing it takes overwrite")


def _same(one: Path, other: Path) -> bool:
    """Whether two names are one file, by links too, or would be."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _head(path: Path, size: int = 1 << 14) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _holds_latents(path: Path) -> bool:
    head = _head(path)
    try:
        header = json.loads(head[8 : 8 + int.from_bytes(head[:8], "little")])
        return "audio_sha256" in header["__metadata__"]
    except (ValueError, KeyError, TypeError):
        return False
