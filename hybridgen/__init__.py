"""hybridgen: instrumental music from a plan."""

__version__ = "0.1.0"
