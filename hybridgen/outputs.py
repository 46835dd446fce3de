"""What may be written where: checked before the work, so that nothing is lost after it.

An output is never an input or another output. One that exists is replaced when hybridgen made it and makes the same
kind of file again (a track, a plan, latents or a picture), and otherwise only when that is asked for.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from hybridgen import formats

Kind = Literal["track", "plan", "latents", "picture", "other"]  # a plan as JSON; "other" carries no mark of ours
PICTURE_ENDINGS = (".png", ".svg", ".pdf")
MARK = "hybridgen"  # the software that a picture of ours names
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_SOFTWARE = b"\0\0\0\x12tEXtSoftware\0%b" % MARK.encode()  # the whole of a chunk, its length first
_SVG_CREATOR = re.compile(rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>%b</dc:title>" % MARK.encode())


def check(outputs: Sequence[tuple[Path, Kind]], inputs: Sequence[Path] = (), overwrite: bool = False) -> None:
    """ValueError, in one line, for the first output that must not or cannot be written.

    overwrite: replace files too that hybridgen did not make, or of another kind; read-only files are never replaced.
    """
    for i, (output, kind) in enumerate(outputs):
        _check_name(output)
        for other, _ in outputs[:i]:
            if _same(output, other):
                raise ValueError(f"output {str(output)!r} is also the output {str(other)!r}: give another name")
        for other in inputs:
            if _same(output, other):
                raise ValueError(f"output {str(output)!r} is the input {str(other)!r}: give another name")
        if output.exists():
            _check_existing(output, kind, overwrite)


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


def is_ours(path: Path, kind: Kind) -> bool:
    """Whether a file is of this kind and hybridgen made it."""
    return kind in _MADE and _MADE[kind](path)


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


def _check_existing(output: Path, kind: Kind, overwrite: bool) -> None:
    if output.is_dir():
        raise ValueError(f"output {str(output)!r} is a folder")
    if not output.is_file():
        raise ValueError(f"output {str(output)!r} is no regular file")
    if not output.stat().st_mode & 0o222 or not os.access(output, os.W_OK):
        raise ValueError(f"output {str(output)!r} is read-only")
    if overwrite or is_ours(output, kind):
        return
    found = next((name for name, is_made in _MADE.items() if is_made(output)), None)
    if found is None:
        raise ValueError(f"output {str(output)!r} exists and was not made by hybridgen: replacing it takes overwrite")
    new = "a file of another kind" if kind == "other" else f"a file of the kind {kind!r}"
    raise ValueError(f"output {str(output)!r} is of the kind {found!r}: replacing it by {new} takes overwrite")


def _same(one: Path, other: Path) -> bool:
    """Whether two names are one file, by links too, or would be."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _head(path: Path, size: int = 1 << 14) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _is_track(path: Path) -> bool:
    from hybridgen import manifest

    return manifest.carries(path)


def _is_plan(path: Path) -> bool:
    if path.stat().st_size > formats.MAX_BYTES or not _head(path).lstrip().startswith(b"{"):
        return False
    try:
        return "hybridgen_plan" in json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False


def _is_picture(path: Path) -> bool:
    """Whether the metadata of a picture, PNG, SVG or PDF, name us as the software that made it."""
    data = path.read_bytes() if path.suffix.lower() == ".pdf" else _head(path)
    if data.startswith(b"%PDF"):  # its last trailer says which object tells of the whole
        about = [found[1] for found in re.finditer(rb"/Info (\d+) 0 R", data)][-1:]
        return any(re.search(rb"\s%b 0 obj\s*<<[^>]*/Creator \(%b\)" % (one, MARK.encode()), data) for one in about)
    if data.startswith(_PNG_START):
        return _PNG_SOFTWARE in data.split(b"IDAT", 1)[0]
    return _SVG_CREATOR.search(data) is not None


def _holds_latents(path: Path) -> bool:
    head = _head(path)
    try:
        header = json.loads(head[8 : 8 + int.from_bytes(head[:8], "little")])
        return "audio_sha256" in header["__metadata__"]
    except (ValueError, KeyError, TypeError):
        return False


_MADE: dict[Kind, Callable[[Path], bool]] = {
    "track": _is_track,
    "plan": _is_plan,
    "latents": _holds_latents,
    "picture": _is_picture,
}
