"""hybridgen: instrumental music from a plan.

from hybridgen import Pipeline
pipe = Pipeline.from_pretrained()
pipe.generate("warm lo-fi hip hop, 84 BPM in A minor", seconds=60, seed=7).save("track.wav")
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Adapter", "Audio", "Pipeline", "Plan", "__version__"]

if TYPE_CHECKING:
    from hybridgen.adapters import Adapter
    from hybridgen.audio import Audio
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan import Plan


def __getattr__(name: str) -> object:
    """The names above, imported when first asked for, so that `hybridgen --help` needs no torch (PEP 562)."""
    import importlib

    homes = {"Adapter": "adapters", "Audio": "audio", "Pipeline": "pipeline", "Plan": "plan"}
    if name not in homes:
        raise AttributeError(f"module 'hybridgen' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hybridgen.{homes[name]}"), name)
