"""What a training step costs: floating-point operations, memory on each GPU, and how much of its peak a run uses.

Operations. Matrix products, convolutions and attention are counted: (n, k) times (k, m) is 2·n·k·m operations. The
backward pass is one such product for each factor that needs a gradient: two for a layer inside the network, one for a
layer whose input is data. Norms, rotations, softmax, lookups and Fourier transforms are not counted, nor is anything
that is computed twice: these are the model's operations, so that waste lowers utilisation. Attention counts every pair
of slots, for the masks of the planner spare no work. Activation checkpointing runs the blocks forward again;
`Work.recomputed` says how much that is.

Memory. What a model needs by itself (`states`) follows DeepSpeed's estimators, and the average of the weights comes on
top. What a step keeps for its backward pass (`activations`) is counted tensor by tensor for fused attention and fused
norms: a device without them needs up to a third more.

Shapes: B songs, windows or crops; S text tokens, L score tokens, P code frames, T latent frames, N samples, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from torch import nn

from hybridgen import grammar
from hybridgen.codecs.own import HIGHEST_TONE, N_TONES, TONE_WINDOW, SpectralCodecConfig
from hybridgen.plan import N_FEATURES, ROLES
from hybridgen.planner import PlannerConfig
from hybridgen.quantizer import CODE_FRAMES, N_PITCHES, QuantizerConfig
from hybridgen.renderer import CROSS_EVERY, PATCH, RendererConfig
from hybridgen.training.discriminators import DiscriminatorConfig

# Dense bfloat16 operations a second, from the vendor's data sheets; random numbers at full power reach less (the best
# matrix product that we measured on an H200 was 790e12). The first name that the device's name contains counts.
PEAKS = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}

MEMORY = {"H100": 80e9, "H200": 141e9, "A100": 80e9}  # bytes of a GPU
CONTEXT = 3e9  # bytes for the driver, the libraries and the allocator's gaps: an assumption
BUCKET, LIVE = 5e8, 1e9  # DeepSpeed's defaults: values reduced at once (two buckets), values that stage 3 keeps whole


@dataclass(frozen=True)
class Product:
    """Matrix products or attention of one part of a model."""

    name: str
    flops: float  # of the forward pass
    gradients: int = 2  # factors that need one
    in_block: bool = False  # a repeated block: run forward again under activation checkpointing


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
class Work:
    """A training step: its products, and what it keeps for the backward pass if all its rows are run at once."""

    products: tuple[Product, ...]
    blocks: Kept  # of all repeated blocks
    rest: Kept
    n_blocks: int
    stream: float  # values that come into one block

    def activations(self, recompute: bool, stream_bytes: int, half_bytes: int) -> float:
        """Bytes kept for the backward pass; with `recompute` what comes into each block, and one block at a time."""
        kept = self.blocks * (1 / self.n_blocks) + Kept(self.n_blocks * self.stream) if recompute else self.blocks
        kept = kept + self.rest
        return kept.stream * stream_bytes + kept.half * half_bytes

    @property
    def forward(self) -> float:
        """Operations of the forward pass."""
        return sum(product.flops for product in self.products)

    @property
    def backward(self) -> float:
        """Operations of the backward pass, recomputation apart."""
        return sum(product.flops * product.gradients for product in self.products)

    @property
    def flops(self) -> float:
        """Operations of the step, forward and backward."""
        return self.forward + self.backward

    @property
    def recomputed(self) -> float:
        """Operations that activation checkpointing adds."""
        return sum(product.flops for product in self.products if product.in_block)


def peak_flops(device_name: str) -> float | None:
    """Dense bfloat16 operations a second of a device, as `torch.cuda.get_device_name` calls it; None: not known."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)


def utilisation(flops: float, seconds: float, device_name: str, n_devices: int = 1) -> float | None:
    """Share of the devices' peak that a step of `flops` operations in `seconds` makes; None for an unknown device."""
    peak = peak_flops(device_name)
    return None if peak is None else flops / (seconds * peak * n_devices)


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
        return parts + CONTEXT


def sizes(model: nn.Module) -> tuple[int, int]:
    """Parameters of a model, which may lie on the meta device, and those of its largest layer."""
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
    own, shared = (2 if half else 4) * n_params, n_params / n_gpus
    copies = 2 * n_params if autocast and not half else 0
    if stage is None or stage == 0:
        master = 4 * n_params if half else 0  # gradients too are fp32 then, beside those of the model's type
        buffers = BUCKET * 4 if stage == 0 and n_gpus > 1 else 0
        return Memory(own + copies, own + master, master + 8 * n_params, 4 * n_params, buffers)
    if stage < 3:
        weights, gradients = own, (own if stage == 1 else own / n_gpus) + 4 * shared
        buffers = 2 * BUCKET * (2 if half else 4) if n_gpus > 1 else 0
    else:
        weights, gradients = own / n_gpus + 4 * n_largest, 4 * shared
        buffers = min(n_params, LIVE) * (2 if half else 4) if n_gpus > 1 else 0
    weights += min(copies, 2 * LIVE) if stage == 3 else copies
    if offload:
        return Memory(weights, 0, 0, 0, buffers, host=20 * shared)
    return Memory(weights, gradients, 12 * shared, 4 * shared, buffers)


def planner(cfg: PlannerConfig, n_songs: int, n_text: int, n_tokens: int, n_frames: int = 0) -> Work:
    """A step on `n_songs` sequences of (padded) S text tokens, a start slot, L score tokens and P code frames."""
    dim, depth, levels = cfg.dim, cfg.depth_dim, cfg.n_codebooks
    slots = n_text + 1 + n_tokens + n_frames
    kv_dim = cfg.n_kv_heads * dim // cfg.n_heads
    block = 2 * dim * dim + 2 * dim * kv_dim + 3 * dim * cfg.ffn_dim  # weights: wq and wo, wkv, SwiGLU
    products = [
        Product("text", matrix(n_songs * n_text, cfg.text_dim * dim), gradients=1),
        Product("blocks", matrix(n_songs * slots, cfg.n_layers * block), in_block=True),
        Product("attention", cfg.n_layers * attention(n_songs, slots, slots, dim), in_block=True),
        Product("score head", matrix(n_songs * n_tokens, dim * grammar.VOCAB_SIZE)),
    ]
    if n_frames:
        head = dim * depth + 3 * depth * cfg.depth_ffn_dim + depth * cfg.codebook_size  # weights that a code meets
        products += [
            Product("controls", matrix(n_songs * n_frames, (N_FEATURES + len(ROLES)) * dim), gradients=1),
            Product("depth head", matrix(n_songs * n_frames * levels, head)),
        ]
    rows, codes = n_songs * slots, n_songs * n_frames * levels
    kept = Kept(2 * rows * dim, rows * (6 * dim + 3 * kv_dim + 4 * cfg.ffn_dim) + n_songs * slots**2)  # and the mask
    inside = Kept(rows * dim, n_songs * (n_text * cfg.text_dim + n_tokens * dim))
    said = Kept(n_songs * n_tokens * grammar.VOCAB_SIZE + codes * (3 * depth + cfg.codebook_size))
    return Work(
        products=tuple(products),
        blocks=kept * cfg.n_layers,
        rest=inside + said + Kept(half=codes * (2 * depth + 4 * cfg.depth_ffn_dim)),
        n_blocks=cfg.n_layers,
        stream=rows * dim,
    )


def renderer(cfg: RendererConfig, n_windows: int, n_text: int, n_frames: int) -> Work:
    """A step on `n_windows` windows of T latent frames, each told S text tokens."""
    dim, n_tokens, n_keys = cfg.dim, n_frames // PATCH, 1 + n_text
    rows, n_cross = n_windows * n_tokens, ceil(cfg.n_layers / CROSS_EVERY)
    inputs = PATCH * (2 * cfg.latent_dim + 1) + PATCH * N_FEATURES + len(ROLES)  # what is known of a token
    block = 4 * dim * dim + 3 * dim * cfg.ffn_dim  # weights: wq, wkv and wo, SwiGLU
    cross = matrix(rows, 2 * dim * dim) + matrix(n_windows * n_keys, 2 * dim * dim)  # wq and wo, wkv
    kept = Kept(4 * rows * dim, rows * (11 * dim + 4 * cfg.ffn_dim))
    kept_cross = Kept(rows * dim, 4 * rows * dim + 4 * n_windows * n_keys * dim)
    return Work(
        products=(
            Product("embedding", matrix(rows, inputs * dim), gradients=1),
            Product("text", matrix(n_windows * n_text, cfg.text_dim * dim), gradients=1),
            Product("time and timbre", matrix(n_windows, (dim + 2 * cfg.latent_dim) * dim), gradients=1),
            Product("modulation", matrix(n_windows, 8 * dim * dim)),
            Product("blocks", matrix(rows, cfg.n_layers * block), in_block=True),
            Product("attention", cfg.n_layers * attention(n_windows, n_tokens, n_tokens, dim), in_block=True),
            Product("cross", n_cross * (cross + attention(n_windows, n_tokens, n_keys, dim)), in_block=True),
            Product("out", matrix(rows, dim * PATCH * cfg.latent_dim)),
        ),
        blocks=kept * cfg.n_layers + kept_cross * n_cross,
        rest=Kept(2 * rows * dim, rows * (inputs + dim) + n_windows * (n_text * cfg.text_dim + 8 * dim)),
        n_blocks=cfg.n_layers,
        stream=rows * dim,
    )


def quantizer(cfg: QuantizerConfig, n_windows: int, n_frames: int) -> Work:
    """A step on `n_windows` windows of T latent frames."""
    dim, rows, latents = cfg.dim, n_windows * ceil(n_frames / CODE_FRAMES), CODE_FRAMES * cfg.latent_dim
    n_played = len(ROLES) * (1 + N_PITCHES) + N_PITCHES + 1
    return Work(
        products=(
            Product("latents in", matrix(rows, latents * dim), gradients=1),
            Product("mixers", matrix(rows, 3 * 4 * dim * dim)),  # each a convolution of three taps and a matrix
            Product("codebooks", matrix(rows, 2 * cfg.n_codebooks * dim * cfg.code_dim)),
            Product("nearest", matrix(rows, cfg.n_codebooks * cfg.code_dim * cfg.codebook_size), gradients=0),
            Product("latents and heads", matrix(rows, dim * (latents + n_played))),
        ),
        blocks=Kept(2 * rows * dim, 3 * rows * dim) * 3,
        rest=Kept(rows * (2 * dim + latents + 3 * n_played), rows * (latents + 2 * cfg.n_codebooks * cfg.code_dim)),
        n_blocks=3,
        stream=rows * dim,
    )


def codec(
    cfg: SpectralCodecConfig,
    n_crops: int,
    n_samples: int,
    windows: tuple[int, ...],
    mels: tuple[int, ...],
    frozen: bool = False,
    judges: DiscriminatorConfig | None = None,
) -> Work:
    """A step on `n_crops` crops of N samples: the codec, its spectral losses, and the game against its judges if any.

    `windows` and `mels` are those of `SpectralLoss`; `frozen`: the encoder does not learn.
    """
    reach = cfg.latent_layers + ceil((cfg.decoder_layers + cfg.n_fft // (2 * cfg.frame_hop)) / cfg.ratio)
    heard = ceil(n_samples / cfg.hop_length)
    encoded, decoded = n_crops * heard, n_crops * (heard + 2 * reach)  # latent frames
    top = 440 * 2 ** (HIGHEST_TONE / 12) * TONE_WINDOW / cfg.sample_rate
    measure = matrix(2 * encoded, (int(top) + 4) * N_TONES)  # tones of mid and side
    frames = [2 * ((n_samples - window) // (window // 2) + 1) for window in windows]  # of both sides of a crop
    shapes = list(zip(frames, windows, mels, strict=True))
    spectral = sum(matrix(n_crops * n, (window // 2 + 1) * n_mels) for n, window, n_mels in shapes)
    compared = 12 * n_samples * len(windows) + 18 * sum(n * n_mels for n, _, n_mels in shapes)  # spectra; nine steps
    learns = 0 if frozen else 1  # a product of the encoder has so many gradients for each factor that could have one
    products = [
        Product("tones heard", measure, gradients=0),
        *encoder(cfg, encoded, learns),
        *decoder(cfg, decoded, learns),
        Product("tones sounded", matrix(2 * decoded * cfg.ratio, 4 * N_TONES * cfg.frame_hop), gradients=1),
        Product("losses", measure + spectral, gradients=1),
        Product("losses' targets", measure + spectral, gradients=0),
    ]
    judged = judged_kept(judges, n_crops, n_samples) if judges else Kept()
    sides = (decoded, cfg.decoder_layers), (0 if frozen else encoded, cfg.encoder_layers)
    return Work(
        products=(*products, *(game(judges, n_crops, n_samples) if judges else ())),
        blocks=sum((convnext_kept(cfg, n_latents, n_layers) for n_latents, n_layers in sides), Kept()),
        rest=signals_kept(cfg, encoded, decoded, n_crops * compared, learns) + judged,
        n_blocks=sum(n_layers + cfg.latent_layers for n_latents, n_layers in sides if n_latents),
        stream=decoded * cfg.ratio * cfg.frame_dim,
    )


def encoder(cfg: SpectralCodecConfig, n_latents: int, learns: int) -> list[Product]:
    """The codec's encoder on so many latent frames."""
    bands = zip(cfg.bands, cfg.band_dims, strict=True)
    heard = sum((2 * (b - a) + 4 * max(min(b, cfg.phase_bins) - a, 0)) * dim for (a, b), dim in bands)
    fold = (cfg.ratio * cfg.frame_dim + cfg.tone_dim + 2 * cfg.latent_dim) * cfg.latent_block_dim  # and the head
    inner = matrix(n_latents * cfg.ratio, sum(cfg.band_dims) * cfg.frame_dim) + matrix(n_latents, fold)
    tones = 2 * N_TONES * (cfg.tone_dim + cfg.latent_dim)
    outer = matrix(n_latents * cfg.ratio, heard) + matrix(n_latents, tones)
    blocks = convnext(cfg, n_latents, cfg.encoder_layers)
    return [
        Product("encoder in", outer, gradients=learns),
        Product("encoder", inner, gradients=2 * learns),
        Product("encoder blocks", blocks, gradients=2 * learns, in_block=True),
    ]


def decoder(cfg: SpectralCodecConfig, n_latents: int, learns: int) -> list[Product]:
    """The codec's decoder on so many latent frames."""
    width, values = cfg.latent_block_dim, sum(cfg.band_dims) + cfg.tone_dim
    bands = sum(6 * (b - a) * dim for (a, b), dim in zip(cfg.bands, cfg.band_dims, strict=True))
    frame = cfg.frame_dim * values + bands + 6 * cfg.tone_dim * N_TONES
    inner = matrix(n_latents * cfg.ratio, frame) + matrix(n_latents, width * cfg.ratio * cfg.frame_dim)
    return [
        Product("decoder in", matrix(n_latents, cfg.latent_dim * (width + 2 * N_TONES)), gradients=1 + learns),
        Product("decoder", inner),
        Product("decoder blocks", convnext(cfg, n_latents, cfg.decoder_layers), in_block=True),
    ]


def convnext(cfg: SpectralCodecConfig, n_latents: int, n_layers: int) -> float:
    """Forward operations of the ConvNeXt blocks of one side, at both of its rates."""
    frames = matrix(n_latents * cfg.ratio, n_layers * 2 * cfg.expansion * cfg.frame_dim**2)
    return frames + matrix(n_latents, cfg.latent_layers * 2 * cfg.expansion * cfg.latent_block_dim**2)


def convnext_kept(cfg: SpectralCodecConfig, n_latents: int, n_layers: int) -> Kept:
    """What the blocks of one side keep."""
    frames = Kept(4 * cfg.frame_dim, (2 + 2 * cfg.expansion) * cfg.frame_dim) * (n_latents * cfg.ratio * n_layers)
    latents = Kept(4 * cfg.latent_block_dim, (2 + 2 * cfg.expansion) * cfg.latent_block_dim)
    return frames + latents * (n_latents * cfg.latent_layers)


def signals_kept(cfg: SpectralCodecConfig, encoded: int, decoded: int, compared: int, learns: int) -> Kept:
    """What the codec's ends and its losses keep: spectra, what the spectral losses compare, what its encoder hears."""
    made = 14 * decoded * cfg.ratio * (cfg.n_bins + N_TONES)
    heard = compared + 4 * encoded * TONE_WINDOW  # of the spectral losses, of the tones'
    inputs = 2 * cfg.n_bins + 4 * min(cfg.n_bins, cfg.phase_bins)
    ends = decoded * cfg.ratio * (cfg.frame_dim + 2 * sum(cfg.band_dims))
    return Kept(made + heard, ends + learns * encoded * cfg.ratio * (inputs + 2 * sum(cfg.band_dims)))


def judged_kept(cfg: DiscriminatorConfig, n_crops: int, n_samples: int) -> Kept:
    """What judges keep while they learn from a real and a decoded sound: spectra, each layer before and after its bend.

    They are done before the codec hears them: then it is one sound, and less.
    """
    spectra = sum(((n_samples - w) // (w // 4) + 1) * (w // 2 + 1) for w in cfg.windows)
    layers = sum(2.0 * places * outputs for _, _, outputs, _, places in judge_layers(cfg, n_crops, n_samples))
    return Kept(4 * n_crops * spectra, layers) * 2


def game(cfg: DiscriminatorConfig, n_crops: int, n_samples: int) -> list[Product]:
    """Judges hear real and decoded sound and learn; then the codec learns what they say of the decoded."""
    first, rest = 0.0, 0.0
    for i, inputs, outputs, kernel, places in judge_layers(cfg, n_crops, n_samples):
        layer = matrix(places, kernel * inputs * outputs)
        first, rest = (first + layer, rest) if i == 0 else (first, rest + layer)
    return [
        Product("judges in", 2 * first, gradients=1),
        Product("judges", 2 * rest),
        Product("judged", first + rest, gradients=1),
    ]


def judge_layers(cfg: DiscriminatorConfig, n_crops: int, n_samples: int) -> Iterator[tuple[int, int, int, int, int]]:
    """For each convolution of each judge its number, channels in and out, taps, and places where it is applied."""
    for window in cfg.windows:
        n_spectra, n_bins = (n_samples - window) // (window // 4) + 1, window // 2 + 1
        for i, (inputs, outputs) in enumerate(zip((4, *cfg.channels), cfg.channels, strict=False)):
            width, stride = (8, 4) if i == 0 else (5, 2)
            n_bins = (n_bins + 4 - width) // stride + 1
            yield i, inputs, outputs, 3 * width, n_crops * n_spectra * n_bins
        yield len(cfg.channels), cfg.channels[-1], 1, 9, n_crops * n_spectra * n_bins


def matrix(rows: int, n_weights: int) -> float:
    """Operations of `rows` vectors each multiplied with matrices of so many weights in all."""
    return 2.0 * rows * n_weights


def attention(n_rows: int, n_queries: int, n_keys: int, dim: int) -> float:
    """Operations of one layer of attention of width `dim` (over all heads): scores, and the mean of the values."""
    return 4.0 * n_rows * n_queries * n_keys * dim
