"""How time is counted: samples, and frames of a whole number of samples."""

from dataclasses import dataclass

MIN_RATE, MAX_RATE = 8_000, 192_000


@dataclass(frozen=True)
class TimeBase:
    """Sample rate of a codec, and the samples in a latent frame (codec) and in a code frame (quantizer).

    The defaults are those of the shipped models. ValueError for a rate outside 8,000-192,000 Hz, or hops that are not
    positive or do not divide.
    """

    sample_rate: int = 44_100  # Hz
    latent_hop: int = 2048  # samples in a latent frame
    code_hop: int = 8192  # samples in a code frame, a multiple of latent_hop

    def __post_init__(self) -> None:
        if not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise ValueError(f"sample_rate {self.sample_rate} is outside {MIN_RATE}-{MAX_RATE} Hz")
        if self.latent_hop < 1 or self.code_hop < 1 or self.code_hop % self.latent_hop:
            raise ValueError(f"code_hop {self.code_hop} is not a multiple of latent_hop {self.latent_hop}")

    @property
    def frames_per_code(self) -> int:
        """Latent frames in a code frame."""
        return self.code_hop // self.latent_hop

    def n_frames(self, n_samples: int) -> int:
        """Latent frames that cover `n_samples`."""
        return -(-n_samples // self.latent_hop)

    def n_code_frames(self, n_samples: int) -> int:
        """Code frames that cover `n_samples`."""
        return -(-n_samples // self.code_hop)
