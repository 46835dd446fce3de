"""The prompt: its text states for planner and renderer, and the explicit controls found in its words."""

from hybridgen.text.encoder import TextConfig, TextEncoder
from hybridgen.text.words import find_controls

__all__ = ["TextConfig", "TextEncoder", "find_controls"]
