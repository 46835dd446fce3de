"""The prompt: its text states for planner and renderer (`encoder`), and what its words fix (`controls`)."""

from hybridgen.text.controls import find_controls, understand

__all__ = ["find_controls", "understand"]
