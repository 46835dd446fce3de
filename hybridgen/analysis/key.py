"""The key of a recording, from its samples (N,) or (2, N) at 44.1 kHz."""

import numpy as np

from hybridgen.metrics import harmony


def detect_key(samples: np.ndarray) -> str:
    """The likeliest of the 24 keys, as a plan names it: "A minor"."""
    return harmony.key(samples)[0]
