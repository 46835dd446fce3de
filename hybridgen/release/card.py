"""The parts that the cards of models and adapters share: a sample to hear, tables, how to use it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from hybridgen.hub import CARD_FILE, HASHES_FILE
from hybridgen.track import Track

SAMPLE_FILE = "sample.mp3"
SAMPLE_PROMPT = "warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor"
SAMPLE_SECONDS = 10.0
PIPELINE_TAG = "text-to-audio"  # the Hub's name for the task
TAGS = ("music", "music-generation", "instrumental", "text-to-music", "flow-matching", "hybridgen")
LICENSE_NAMES = "as the Hub spells it, such as apache-2.0, cc-by-4.0 or other"
MARKED = (
    "It makes no vocals, and nothing that should pass for a recording of people: every file that hybridgen writes says "
    "that it is AI-generated, and carries prompt, plan, seeds and the hashes of the weights (`hybridgen inspect FILE`)."
)


def check_license(license: str) -> str:
    """The license, where it is a word that may stand in a card; ValueError for anything else."""
    if not license or len(license) > 60 or not all(c.isascii() and (c.isalnum() or c in "-.") for c in license):
        raise ValueError(f"license {license[:60]!r} should be one word {LICENSE_NAMES}")
    return license.lower()


def write(data: ModelCardData, sections: Iterable[Sequence[str]], folder: Path) -> None:
    """Writes README.md: the metadata, then the lines of each section."""
    body = "\n\n".join("\n".join(lines) for lines in sections if lines)
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")
    card.save(folder / CARD_FILE)


def sample_lines(track: Track, repo: str) -> list[str]:
    """The sample to be heard on the card, and what it was made from."""
    return [
        f'<audio controls src="https://huggingface.co/{repo}/resolve/main/{SAMPLE_FILE}"></audio>',
        "",
        f"`{SAMPLE_FILE}`: “{inline(track.plan.prompt)}”, {track.plan.seconds:g} s, seed {track.seed}, as it came.",
    ]


def checked_lines() -> list[str]:
    """What the hashes are good for."""
    return [
        "## Whole or not at all",
        "",
        f"`{HASHES_FILE}` holds the SHA-256 of every file here; `from_pretrained` checks them each time it opens the "
        "folder. No file here is code, and none is a pickle.",
    ]


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(inline(value) for value in row) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|", *lines]


def inline(value: object) -> str:
    """A value in a line of Markdown: three digits of a number, a dash for none, no mark-up of a stranger's text."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.3g}"
    if value is None:
        return "–"
    text = " ".join(str(value).split())[:400]
    return "".join(f"\\{c}" if c in "|<[`*_" else c for c in text if c.isprintable())
