"""Doors: files of scores into plans, and plans into such files. What could not be carried is said.

json is our own, mid and midi Standard MIDI Files, abc ABC 2.1, musicxml, xml and mxl lead sheets in MusicXML, txt chord
charts as people type them; jams, which is only written, annotations in JAMS. Only written, too, is what goes with the
sound of a plan: RIFF chunks, click tracks, DAWprojects, chapters.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridgen.plan.plan import Plan

READS = (".json", ".mid", ".midi", ".abc", ".musicxml", ".xml", ".mxl", ".txt")
WRITES = (".json", ".mid", ".midi", ".abc", ".musicxml", ".txt", ".jams")
CHAPTERED = (".m4a", ".opus")  # sound with the sections of its plan as chapters
MAX_BYTES = 64 << 20  # a plan of ten minutes with codes and notes takes less


def read(path: str | Path) -> tuple["Plan", tuple[str, ...]]:
    """The plan in a file, and notes on what it could not carry; the ending of its name says which format it is.

    Raises ValueError, naming the file and the place, for what cannot be read, and FileNotFoundError.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    size, kind = path.stat().st_size, path.suffix.lower()
    if kind not in READS:
        raise ValueError(f"{path}: ends in {path.suffix!r}, none of {' '.join(READS)}")
    if size > MAX_BYTES:
        raise ValueError(f"{path}: {size} bytes is over the limit of {MAX_BYTES}")
    try:
        return _parse(path.read_bytes(), kind)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text, so not a plan") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(data: bytes, kind: str) -> tuple["Plan", tuple[str, ...]]:
    if kind in (".mid", ".midi"):
        from hybridgen.formats.midi import from_midi  # each format is imported when it is needed

        return from_midi(data)
    if kind in (".musicxml", ".xml", ".mxl"):
        from hybridgen.formats.musicxml.read import from_musicxml

        return from_musicxml(data)
    text = data.decode("utf-8-sig")
    if kind == ".abc":
        from hybridgen.formats.abc.read import from_abc

        return from_abc(text)
    if kind == ".txt":
        from hybridgen.formats.chart import from_chart

        return from_chart(text)
    from hybridgen.plan.plan import Plan

    return Plan.from_json(text), ()


def check_written(kind: str) -> None:
    """ValueError for an ending that is none of `WRITES`."""
    if kind not in WRITES:
        raise ValueError(f"a plan cannot be written as {kind!r}, only as {' '.join(WRITES)}")


def dump(plan: "Plan", kind: str) -> bytes:
    """A plan as the bytes of a file with this ending; ValueError for an ending that is none of `WRITES`."""
    check_written(kind)
    if kind in (".mid", ".midi"):
        from hybridgen.formats.midi import to_midi

        return to_midi(plan)
    if kind == ".musicxml":
        from hybridgen.formats.musicxml.write import to_musicxml

        return to_musicxml(plan)
    if kind == ".abc":
        from hybridgen.formats.abc.write import to_abc

        return to_abc(plan).encode()
    if kind == ".txt":
        from hybridgen.formats.chart import to_chart

        return to_chart(plan).encode()
    if kind == ".jams":
        from hybridgen.formats.jams import to_jams

        return to_jams(plan).encode()
    return plan.to_json().encode()
