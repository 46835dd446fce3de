"""What one request may ask for, and all of them together; checked before anything is allocated for it."""

from dataclasses import dataclass

from hybridgen.plan.parts import MAX_SECONDS, MIN_SECONDS
from hybridgen.sampling import MAX_STEPS

MAX_BODY = 4 << 20  # bytes of a JSON body: a plan of ten minutes with codes and notes takes a tenth of it
MAX_QUEUE, MAX_WORKERS = 10_000, 64


@dataclass(frozen=True)
class Limits:
    """Limits of a server. Those of a request begin where the library's own are, and can be lowered."""

    queue: int = 32  # jobs that wait
    seconds: float = MAX_SECONDS  # of music
    steps: int = MAX_STEPS  # solver steps a window
    job_seconds: float = 900.0  # that one job may take
    upload_mb: float = 128.0  # megabytes of one upload: ten minutes of CD
    disk_gb: float = 8.0  # gigabytes of results and uploads: the oldest give way
    kept: int = 1000  # results and uploads, of all owners

    def __post_init__(self) -> None:
        for name, low, high in (
            ("queue", 1, MAX_QUEUE),
            ("seconds", MIN_SECONDS, MAX_SECONDS),
            ("steps", 1, MAX_STEPS),
            ("job_seconds", 0.1, 86_400),
            ("upload_mb", 0.001, 4096),
            ("disk_gb", 0.001, 65_536),
            ("kept", 1, 100_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:  # also refuses NaN
                raise ValueError(f"limit {name} {value:g} is outside {low:g}-{high:g}")

    @property
    def upload_bytes(self) -> int:
        """Bytes of one upload."""
        return int(self.upload_mb * 1e6)

    @property
    def disk_bytes(self) -> int:
        """Bytes of all results and uploads."""
        return int(self.disk_gb * 1e9)
