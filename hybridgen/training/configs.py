"""The schemas of configs/train/*.yaml, one for each stage; that of adapters is in lora.py."""

from dataclasses import dataclass

from hybridgen.training.dataset import Phase
from hybridgen.training.discriminators import DiscriminatorConfig
from hybridgen.training.engine import EngineConfig, OptimConfig
from hybridgen.training.objectives import ConditioningDropout
from hybridgen.training.planner_data import ScoreConfig
from hybridgen.training.run import RunConfig


@dataclass(frozen=True)
class CodecTrainConfig:
    """A run of train/codec.py; weights of losses are relative to the log-mel distance."""

    run: RunConfig
    data: str  # folder of FLAC or WAV files at the codec's rate
    freeze_encoder: bool
    steps: int
    batch_size: int  # crops of all ranks together
    crop: int  # samples; a multiple of the latent hop
    max_gain: float  # dB: each crop is made quieter by 0 to this much
    optim: OptimConfig
    windows: tuple[int, ...]  # of the spectral losses, samples
    mels: tuple[int, ...]  # bands for each window
    magnitude_weight: float
    texture_weight: float
    tone_weight: float
    kl_weight: float
    discriminators: DiscriminatorConfig
    adversarial_weight: float  # 0: no discriminators
    feature_weight: float
    adversarial_start: int  # step at which the discriminators begin to train the decoder
    adversarial_ramp: int  # steps to full weight
    engine: EngineConfig


@dataclass(frozen=True)
class QuantizerTrainConfig:
    """A run of train/quantizer.py; weights of losses are relative to the codebook loss."""

    run: RunConfig
    prepared: str  # folder that train/prepare.py wrote
    phases: tuple[Phase, ...]
    optim: OptimConfig
    commitment_weight: float
    latents_weight: float
    onsets_weight: float
    pitches_weight: float
    chroma_weight: float
    loudness_weight: float
    positive_weight: float  # of what sounds, which is rarer than what does not; the latter counts 1
    revive_every: int  # steps
    revive_below: float  # share of a codebook's even use below which an entry is dead
    engine: EngineConfig


@dataclass(frozen=True)
class PlannerTrainConfig:
    """A run of train/planner.py."""

    run: RunConfig
    prepared: str | None  # folder that train/prepare.py wrote, with codes; None: scores only
    steps: int
    scores: ScoreConfig
    rendered_frames: int  # code frames in a step on songs with codes, about: as many songs as fit
    rendered_multiple: int  # the songs of such a step are a multiple of this, for ranks and micro-batches to share
    rendered_share: float  # of steps on songs with codes, where there are some
    score_weight: float  # of the score's loss in those steps; the loss of the codes counts 1
    corrupted_codes: float  # share of codes that the next frame sees corrupted; a song has 0 to twice as many
    label_smoothing: float  # of codes; a score's next token is too often certain
    optim: OptimConfig
    engine: EngineConfig


@dataclass(frozen=True)
class RendererTrainConfig:
    """A run of train/renderer.py."""

    run: RunConfig
    prepared: str  # folder that train/prepare.py wrote, with codes
    codec: str | None  # weights of the codec that encoded the songs: validation then logs sound
    phases: tuple[Phase, ...]
    optim: OptimConfig
    dropout: ConditioningDropout
    engine: EngineConfig


StageConfig = CodecTrainConfig | QuantizerTrainConfig | PlannerTrainConfig | RendererTrainConfig
