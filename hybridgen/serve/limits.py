"""What one request may ask for, and all of them together; checked before anything is allocated for it."""

from dataclasses import dataclass

from hybridgen.plan.parts import MAX_SECONDS, MIN_SECONDS
from hybridgen.sampling import MAX_STEPS

MAX_BODY = 4 << 20  # bytes of a JSON body: a plan of ten minutes with codes and notes takes a tenth of it
MAX_QUEUE, MAX_WORKERS = 10_000, 64


@dataclass(frozen=True)
class Limits:
    """Limits of a server. Those of a request begin where the library's own are, and can be lowered."""

    seconds: float = MAX_SECONDS  # of music
    steps: int = MAX_STEPS  # solver steps a window
    queue: int = 32  # jobs that wait
    upload_bytes: int = 128 << 20  # ten minutes of CD
    job_seconds: float = 900.0  # that one job may take
    kept_bytes: int = 8 << 30  # results and uploads on disk: the oldest give way
    kept: int = 1000  # results and uploads, of all owners

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seconds", MIN_SECONDS, MAX_SECONDS),
            ("steps", 1, MAX_STEPS),
            ("queue", 1, MAX_QUEUE),
            ("upload_bytes", 1, 1 << 32),
            ("job_seconds", 0.1, 86_400),
            ("kept_bytes", 1 << 20, 1 << 44),
            ("kept", 1, 100_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # also refuses NaN
                raise ValueError(f"limit of {name.replace('_', ' ')} {value:g} is outside {low:g}-{high:g}")
