"""What MkDocs is told beyond mkdocs.yml: pages of the root, and tables that the reader of prompts writes itself.

In a page `<!-- understood ... -->` holds a prompt a line, and becomes a table of what is read in each;
`<!-- words NAME -->` becomes one of the lists in `WORDS`.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from hybridgen.data.composer import genres
from hybridgen.plan.harmony import METERS, MODES
from hybridgen.plan.instruments import KIT_WORDS, PERCUSSION_WORDS, PROGRAM_WORDS
from hybridgen.plan.parts import LABELS, ROLES
from hybridgen.plan.sounds import SOUNDS
from hybridgen.text.controls import understand
from hybridgen.text.names import ENSEMBLES, NEAREST, SYNONYMS

ROOT = Path(__file__).parents[1]
PAGES = ("MODEL_CARD.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")  # of the root, shown beside those of docs/
UNDERSTOOD, WORD_LIST = re.compile(r"<!-- understood\n(.*?)-->", re.DOTALL), re.compile(r"<!-- words (\w+) -->")
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]\n]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")

NAMES = (*PROGRAM_WORDS.values(), *KIT_WORDS.values(), PERCUSSION_WORDS.values())


def _flat(groups: Iterable[Iterable[str]]) -> list[str]:
    return sorted({name for group in groups for name in group}, key=str.lower)


WORDS: dict[str, Callable[[], list[str]]] = {
    "meters": lambda: list(METERS),
    "sounds": lambda: list(SOUNDS),
    "modes": lambda: list(MODES),
    "sections": lambda: list(LABELS),
    "roles": lambda: list(ROLES),
    "instruments": lambda: [name for name in _flat(NAMES) if understand(f"{name} plays").controls.instruments],
    "synonyms": lambda: [f"{said} ({name})" for said, name in sorted(SYNONYMS.items()) if said.isascii()],
    "nearest": lambda: [f"{said} → {name}" for said, name in sorted(NEAREST.items())],
    "ensembles": lambda: list(ENSEMBLES),
    "genres": lambda: sorted(style.name for style in genres.STYLES),
}


def understood(prompts: str) -> str:
    """A table of prompts, a line each, and what is read in them."""
    rows = []
    for prompt in prompts.strip().splitlines():
        found = understand(prompt)
        said = [found.summary(), *found.notes, *(f"not understood: {word}" for word in found.unread)]
        rows.append(f"| {prompt} | {'; '.join(filter(None, said))} |")
    return "\n".join(["| you write | what is read |", "|---|---|", *rows])


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages of the root."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Writes the tables and lists, and points links at what is part of the documentation.

    A link to any other file of the repository becomes its name; one to no file at all stays, and fails the build.
    """
    markdown = UNDERSTOOD.sub(lambda match: understood(match[1]), markdown)
    markdown = WORD_LIST.sub(lambda match: ", ".join(WORDS[match[1]]()), markdown)
    here = ROOT if page.file.src_uri in PAGES else ROOT / "docs"

    def pointed(match: re.Match[str]) -> str:
        target = (here / match["path"]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return match[0]
        inside = target.relative_to(ROOT).as_posix()
        if inside in PAGES or inside.startswith("docs/"):
            return f"{match['image']}[{match['text']}]({inside.removeprefix('docs/')}{match['anchor'] or ''})"
        return match["text"]

    return LINK.sub(pointed, markdown)
