"""What DAC and Oobleck share: strided convolutions with residual units of kernel 7, dilated by 1, 3 and 9.

The reach of a frame follows from the strides alone, so it is computed and not measured.
"""

from collections.abc import Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from hybridgen.codecs.contract import BlockCodec

DILATED = 3 * (1 + 3 + 9)  # steps on each side that the three residual units of a block look at


class ConvolutionalConfig(Protocol):
    """What the shapes of both have."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def hop_length(self) -> int: ...

    @property
    def latent_dim(self) -> int: ...

    @property
    def downsampling_ratios(self) -> tuple[int, ...]: ...

    @property
    def license(self) -> str: ...


class ConvolutionalCodec(BlockCodec):
    """A `BlockCodec` whose reach follows from the strides of its configuration."""

    def __init__(self, config: ConvolutionalConfig):
        ratios = config.downsampling_ratios
        super().__init__(
            sample_rate=config.sample_rate,
            hop_length=config.hop_length,
            latent_dim=config.latent_dim,
            reach=decoder_reach(ratios[::-1]),
            encoder_reach=encoder_reach(ratios),
            license=config.license,
        )


def pretrained(model_class: Any, folder: str | Path) -> Any:
    """The model of transformers or diffusers in a local folder of safetensors; ValueError where any of it is missing.

    The two libraries would give a weight that is missing a random value, with a warning.
    """
    from huggingface_hub.errors import StrictDataclassError  # an eighth of a second to import, and only these need it

    try:
        model, found = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise ValueError(f"{folder}: not a whole {model_class.__name__}: {' '.join(str(error).split())}") from None
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"{folder}: {len(missing)} weights are missing, among them {missing[0]}")
    return model


def check_ratios(ratios: Sequence[int]) -> None:
    """ValueError unless every stride is even: an odd one makes transposed convolutions lose a sample."""
    if not ratios or any(ratio < 2 or ratio % 2 for ratio in ratios):
        raise ValueError(f"downsampling_ratios {list(ratios)} must be even and at least 2")


def encoder_reach(ratios: Sequence[int]) -> int:
    """Latent frames on each side that a latent frame depends on; `ratios` from the samples up."""
    reach, rate = 3.0, 1  # samples; the first convolution has a kernel of 7
    for ratio in ratios:
        reach += (DILATED + 2 * ratio) * rate
        rate *= ratio
    return ceil(reach / prod(ratios)) + 1  # the last convolution has a kernel of 3


def decoder_reach(ratios: Sequence[int]) -> int:
    """Latent frames on each side that a decoded frame depends on; `ratios` from the latents down."""
    reach, rate = 3.0, 1  # latent frames; the first convolution has a kernel of 7
    for ratio in ratios:
        reach += 1 / rate + DILATED / (rate * ratio)
        rate *= ratio
    return ceil(reach + 3 / rate)
