"""hybridgen: instrumental music from a plan.

from hybridgen import Pipeline
pipe = Pipeline.from_pretrained()
pipe.generate("warm lo-fi hip hop, 84 BPM in A minor", seconds=60, seed=7).save("track.wav")
"""

import os
from typing import TYPE_CHECKING

# Threads that wait for one another sleep instead of spinning: on idle cores as fast, beside a busy one twice as fast.
# OpenMP reads it when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = [
    "Adapter",
    "Audio",
    "Bar",
    "Cancelled",
    "Ending",
    "Pipeline",
    "Plan",
    "Section",
    "Tempo",
    "Track",
    "__version__",
]

if TYPE_CHECKING:
    from hybridgen.adapters import Adapter
    from hybridgen.audio import Audio
    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.parts import Bar, Ending, Section, Tempo
    from hybridgen.plan.plan import Plan
    from hybridgen.progress import Cancelled
    from hybridgen.track import Track

_HOMES = {
    "Adapter": "adapters",
    "Audio": "audio",
    "Bar": "plan.parts",
    "Cancelled": "progress",
    "Ending": "plan.parts",
    "Pipeline": "pipeline",
    "Plan": "plan.plan",
    "Section": "plan.parts",
    "Tempo": "plan.parts",
    "Track": "track",
}


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def __getattr__(name: str) -> object:
    """The names above, imported when first used, so that `hybridgen --help` needs no torch (PEP 562)."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'hybridgen' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hybridgen.{_HOMES[name]}"), name)
