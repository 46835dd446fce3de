"""The XML in a file, plain or compressed (.mxl): without entities, up to `MAX_BYTES` and `MAX_ELEMENTS`."""

import io
import lzma
import struct
import zipfile
import zlib
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_BYTES = 4_000_000
MAX_ELEMENTS = 100_000
MAX_DEPTH = 40
_BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, KeyError, OSError),
)


def parse_xml(data: bytes) -> Element:
    """The root element; ValueError, naming line and column, for what is no XML, has entities or is too large."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"musicxml: {len(data)} bytes are over the limit of {MAX_BYTES}")
    builder, parser = TreeBuilder(), expat.ParserCreate()
    count = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count, depth
        count, depth = count + 1, depth + 1
        if count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise ValueError(f"musicxml: more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} inside each other")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(name: str, *_: Any) -> None:
        raise ValueError(f"musicxml: entity {name[:40]!r} is declared, entities are not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = builder.data, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"musicxml: not XML: {str(error)[:100]}") from None
    return builder.close()


def unpack(data: bytes) -> bytes:
    """The score inside a compressed file; ValueError for a container that is broken, or larger than `MAX_BYTES`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as container:
            root = parse_xml(_member(container, "META-INF/container.xml"))
            entry = root.find(".//rootfile")
            if entry is None:
                raise ValueError("musicxml: the container names no score")
            return _member(container, entry.get("full-path", ""))
    except _BROKEN_ZIP as error:
        raise ValueError(f"musicxml: no readable container: {' '.join(str(error).split())[:100]}") from None


def _member(container: zipfile.ZipFile, name: str) -> bytes:
    with container.open(name) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"musicxml: {name[:60]!r} in the container is over the limit of {MAX_BYTES} bytes")
    return data
