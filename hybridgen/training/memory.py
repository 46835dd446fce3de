"""What a training step needs of a GPU's memory.

What a model needs by itself (`states`) follows DeepSpeed's estimators, plus the average of the weights. What a step
keeps for its backward pass (`Activations`) is counted tensor by tensor for fused attention and fused norms: a device
without them needs up to a third more.

Shapes: B songs, windows or crops; S text tokens, L score tokens, P code frames, T latent frames, D width.
"""

from dataclasses import dataclass
from math import ceil

from torch import nn

from hybridgen import grammar, note_grammar
from hybridgen.codecs.own import GAIN_HOP, GAIN_WINDOW, N_TONES, TONE_WINDOW, SpectralCodecConfig, reaches
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES
from hybridgen.plan.parts import ROLES
from hybridgen.planner import PlannerConfig
from hybridgen.quantizer import N_PITCHES, QuantizerConfig
from hybridgen.renderer import CROSS_EVERY, PATCH, RendererConfig
from hybridgen.training.discriminators import DiscriminatorConfig
from hybridgen.training.flops import SUBTOKENS
from hybridgen.training.losses import ATTACK_BANDS, ATTACK_WINDOW

GPU_BYTES = {"H100": 80e9, "H200": 141e9, "A100": 80e9}  # bytes of a GPU
DRIVER_BYTES = 3e9  # bytes for the driver, the libraries and the allocator's gaps: an assumption
BUCKET_VALUES = 5e8  # DeepSpeed's default: values that are reduced at once, of which there are two buckets
LIVE_VALUES = 1e9  # DeepSpeed's default: values that stage 3 keeps whole


@dataclass(frozen=True)
class Kept:
    """Values that wait for the backward pass, by what autocast makes of them; without it all have the model's type."""

    stream: float = 0.0  # fp32 under autocast: the residual stream, norms, spectra and losses
    half: float = 0.0  # bfloat16 under autocast: what goes into and comes out of products

    def __add__(self, other: "Kept") -> "Kept":
        return Kept(self.stream + other.stream, self.half + other.half)

    def __mul__(self, n: float) -> "Kept":
        return Kept(n * self.stream, n * self.half)


@dataclass(frozen=True)
class Activations:
    """What a training step keeps for its backward pass if all its rows are run at once."""

    blocks: Kept  # of all repeated blocks
    rest: Kept
    n_blocks: int
    stream: float  # values that enter one block

    def size(self, recompute: bool, stream_bytes: int, half_bytes: int) -> float:
        """Bytes; with `recompute` what enters each block, and one block at a time."""
        kept = self.blocks * (1 / self.n_blocks) + Kept(self.n_blocks * self.stream) if recompute else self.blocks
        kept = kept + self.rest
        return kept.stream * stream_bytes + kept.half * half_bytes


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, and on its host for each GPU."""

    weights: float
    gradients: float
    optimizer: float  # fp32 weights where the model's are others, and Adam's moments
    average: float
    buffers: float  # what DeepSpeed gathers and reduces at once, at most
    host: float = 0.0
    activations: float = 0.0

    @property
    def gpu(self) -> float:
        """All that is on a GPU, the driver's own included."""
        parts = self.weights + self.gradients + self.optimizer + self.average + self.buffers + self.activations
        return parts + DRIVER_BYTES


def sizes(model: nn.Module) -> tuple[int, int]:
    """Parameters of a model, which may be on the meta device, and those of its largest layer."""
    layers = (sum(weight.numel() for weight in layer.parameters(recurse=False)) for layer in model.modules())
    return sum(weight.numel() for weight in model.parameters()), max(layers)


def states(
    n_params: int,
    n_largest: int,
    n_gpus: int,
    stage: int | None,
    half: bool,
    offload: bool = False,
    autocast: bool = False,
) -> Memory:
    """What a model of `n_params` needs by ZeRO stage; None: plain PyTorch.

    n_largest: parameters of the largest layer, whole at a time in stage 3. half: the model's weights are bfloat16
    (DeepSpeed's `bf16`), else fp32. offload: optimizer states live on the host. autocast: products are made with
    bfloat16 copies of fp32 weights.
    """
    own, shared = (2.0 if half else 4.0) * n_params, n_params / n_gpus
    copies = 2 * n_params if autocast and not half else 0
    if stage is None or stage == 0:
        master = 4 * n_params if half else 0  # gradients too are fp32 then, beside those of the model's type
        buffers = BUCKET_VALUES * 4 if stage == 0 and n_gpus > 1 else 0
        return Memory(own + copies, own + master, master + 8 * n_params, 4 * n_params, buffers)
    if stage < 3:
        weights, gradients = own, (own if stage == 1 else own / n_gpus) + 4 * shared
        buffers = 2 * BUCKET_VALUES * (2 if half else 4) if n_gpus > 1 else 0
    else:
        weights, gradients = own / n_gpus + 4 * n_largest, 4 * shared
        buffers = min(n_params, LIVE_VALUES) * (2 if half else 4) if n_gpus > 1 else 0
    weights += min(copies, 2 * LIVE_VALUES) if stage == 3 else copies
    if offload:
        return Memory(weights, 0, 0, 0, buffers, host=20 * shared)
    return Memory(weights, gradients, 12 * shared, 4 * shared, buffers)


def planner(
    config: PlannerConfig, n_songs: int, n_text: int, n_tokens: int, n_frames: int, n_steps: int = 0
) -> Activations:
    """A step on `n_songs` sequences of (padded) S text tokens, a start slot, L score tokens, P code frames and
    `n_steps` steps of notes, each of `flops.SUBTOKENS` sub-tokens.
    """
    dim, depth = config.dim, config.depth_dim
    slots = n_text + 1 + n_tokens + n_frames + n_steps
    kv_dim = config.n_kv_heads * dim // config.n_heads
    rows, codes = n_songs * slots, n_songs * n_frames * config.n_codebooks
    written = n_songs * n_steps * SUBTOKENS
    kept = Kept(2 * rows * dim, rows * (6 * dim + 3 * kv_dim + 4 * config.ffn_dim) + n_songs * slots**2)  # and the mask
    inputs = Kept(
        rows * dim + written * dim, n_songs * (n_text * config.text_dim + n_tokens * dim + n_steps * N_BAR_FEATURES)
    )
    logits = Kept(n_songs * n_tokens * grammar.VOCAB_SIZE + codes * (3 * depth + config.codebook_size))
    note_logits = Kept(written * (5 * depth + note_grammar.VOCAB_SIZE))
    head = Kept(half=(codes + written) * (2 * depth + 4 * config.depth_ffn_dim))
    return Activations(
        blocks=kept * config.n_layers,
        rest=inputs + logits + note_logits + head,
        n_blocks=config.n_layers,
        stream=rows * dim,
    )


def renderer(config: RendererConfig, n_windows: int, n_text: int, n_frames: int) -> Activations:
    """A step on `n_windows` windows of T latent frames, each with S text tokens."""
    dim, n_tokens, n_keys = config.dim, n_frames // PATCH, 1 + n_text
    rows, n_cross = n_windows * n_tokens, ceil(config.n_layers / CROSS_EVERY)
    inputs = PATCH * (2 * config.latent_dim + 1) + PATCH * N_FEATURES + len(ROLES)  # what is known of a token
    kept = Kept(4 * rows * dim, rows * (11 * dim + 4 * config.ffn_dim))
    kept_cross = Kept(rows * dim, 4 * rows * dim + 4 * n_windows * n_keys * dim)
    return Activations(
        blocks=kept * config.n_layers + kept_cross * n_cross,
        rest=Kept(2 * rows * dim, rows * (inputs + dim) + n_windows * (n_text * config.text_dim + 8 * dim)),
        n_blocks=config.n_layers,
        stream=rows * dim,
    )


def quantizer(config: QuantizerConfig, n_windows: int, n_frames: int) -> Activations:
    """A step on `n_windows` windows of T latent frames."""
    dim, ratio = config.dim, config.frames_per_code
    rows, latents = n_windows * ceil(n_frames / ratio), ratio * config.latent_dim
    n_targets = len(ROLES) * (1 + N_PITCHES) + N_PITCHES + 1
    return Activations(
        blocks=Kept(2 * rows * dim, 3 * rows * dim) * 3,
        rest=Kept(
            rows * (2 * dim + latents + 3 * n_targets), rows * (latents + 2 * config.n_codebooks * config.code_dim)
        ),
        n_blocks=3,
        stream=rows * dim,
    )


def codec(
    config: SpectralCodecConfig,
    n_crops: int,
    n_samples: int,
    windows: tuple[int, ...],
    mels: tuple[int, ...],
    freeze_encoder: bool = False,
    discriminators: DiscriminatorConfig | None = None,
) -> Activations:
    """A step on `n_crops` crops of N samples: the codec, its spectral losses, and its discriminators if any.

    `windows` and `mels` are those of `SpectralLoss`.
    """
    n_latents = ceil(n_samples / config.hop_length)
    encoded, decoded = n_crops * n_latents, n_crops * (n_latents + 2 * reaches(config)[0])  # latent frames
    frames = [4 * ((n_samples - window) // (window // 2) + 1) for window in windows]  # of the four views of a crop
    bands = sum(n * n_mels for n, n_mels in zip(frames, mels, strict=True))
    compared = 24 * n_samples * len(windows) + 18 * bands  # spectra; mel levels and their nine steps
    pieces = 4 * (n_samples // ATTACK_WINDOW)  # of the four views
    compared += pieces * (4 * ATTACK_WINDOW + 8 * ATTACK_BANDS) if windows else 0
    sides = (decoded, config.decoder_layers), (0 if freeze_encoder else encoded, config.encoder_layers)
    signals = signals_kept(config, encoded, decoded, n_crops * compared, freeze_encoder)
    return Activations(
        blocks=decoder_kept(config, decoded) + (Kept() if freeze_encoder else encoder_kept(config, encoded)),
        rest=signals + (discriminators_kept(discriminators, n_crops, n_samples) if discriminators else Kept()),
        n_blocks=sum(n_layers + config.latent_layers for n, n_layers in sides if n),
        stream=decoded * config.decoder_ratio * config.frame_dim,
    )


def encoder_kept(config: SpectralCodecConfig, n_latents: int) -> Kept:
    """What the encoder's blocks keep."""
    frames = block_kept(config.frame_dim, config.expansion) * (n_latents * config.ratio * config.encoder_layers)
    return frames + block_kept(config.latent_block_dim, config.expansion) * (n_latents * config.latent_layers)


def decoder_kept(config: SpectralCodecConfig, n_latents: int) -> Kept:
    """What the decoder's blocks keep."""
    n_frames, expansion = n_latents * config.decoder_ratio, config.decoder_expansion or config.expansion
    frames = block_kept(config.frame_dim, expansion) * (n_frames * config.decoder_layers)
    return frames + block_kept(config.latent_block_dim, config.expansion) * (n_latents * config.latent_layers)


def block_kept(dim: int, expansion: int) -> Kept:
    """What a ConvNeXt block keeps of a frame."""
    return Kept(4 * dim, (2 + 2 * expansion) * dim)


def signals_kept(config: SpectralCodecConfig, encoded: int, decoded: int, compared: int, freeze_encoder: bool) -> Kept:
    """What the codec's ends and its losses keep: spectra, what the losses compare, and the encoder's inputs."""
    outputs = 14 * decoded * config.decoder_ratio * (config.n_bins + N_TONES)
    if config.decoder_hop:  # phases are turned
        outputs += 4 * decoded * config.decoder_ratio * config.n_bins
    if config.gain_bands:  # spectra of short windows, and their gains
        outputs += 2 * decoded * config.hop_length // GAIN_HOP * (8 * GAIN_WINDOW // 2 + 3 * config.gain_bands)
    targets = compared + 4 * encoded * TONE_WINDOW  # of the spectral losses, of the tones'
    ends = decoded * config.decoder_ratio * (config.frame_dim + 2 * sum(config.band_dims))
    inputs = 2 * config.n_bins + 4 * min(config.n_bins, config.phase_bins) + 2 * sum(config.band_dims)
    return Kept(outputs + targets, ends + (0 if freeze_encoder else encoded * config.ratio * inputs))


def discriminators_kept(config: DiscriminatorConfig, n_crops: int, n_samples: int) -> Kept:
    """What discriminators keep while they learn from a real and a decoded sound: spectra, and each layer twice.

    That is over before the codec learns from them: then it is one sound, and less.
    """
    spectra, layers = 0, 0
    for window in config.windows:
        n_frames, n_bins = (n_samples - window) // (window // 2) + 1, window // 2 + 1
        spectra += n_frames * n_bins
        for i, channels in enumerate(config.channels):
            n_bins = (n_bins - 4) // 4 + 1 if i == 0 else (n_bins - 1) // 2 + 1
            layers += n_frames * n_bins * channels
        layers += n_frames * n_bins  # the scores
    return Kept(4 * n_crops * spectra, 2 * n_crops * layers) * 2
