"""The schemas of configs/train/*.yaml, one for each stage; that of adapters is in lora.py."""

from dataclasses import dataclass

from hybridgen.config import Share, Size, Steps, Weight, Whole, Width
from hybridgen.training.augmentation import AugmentationConfig
from hybridgen.training.dataset import Phase, check_phases
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
    steps: Steps
    batch_size: Size  # crops of all ranks together
    crop: Size  # samples; a multiple of the latent hop
    augmentation: AugmentationConfig
    optim: OptimConfig
    windows: tuple[Width, ...]  # of the spectral losses, samples
    mels: tuple[Width, ...]  # bands for each window
    magnitude_weight: Weight
    texture_weight: Weight
    attack_weight: Weight
    tone_weight: Weight
    semantic_weight: Weight  # of chroma and level read from the latents; 0: no head
    kl_weight: Weight
    discriminators: DiscriminatorConfig
    adversarial_weight: Weight  # 0: no discriminators
    feature_weight: Weight
    adversarial_start: Whole  # step at which the discriminators begin to train the decoder
    adversarial_ramp: Whole  # steps to full weight
    engine: EngineConfig


@dataclass(frozen=True)
class QuantizerTrainConfig:
    """A run of train/quantizer.py; weights of losses are relative to the codebook loss."""

    run: RunConfig
    prepared: str  # folder that train/prepare.py wrote
    phases: tuple[Phase, ...]
    optim: OptimConfig
    commitment_weight: Weight
    latents_weight: Weight
    onsets_weight: Weight
    pitches_weight: Weight
    chroma_weight: Weight
    loudness_weight: Weight
    positive_weight: Weight  # of what sounds, which is rarer than what does not; the latter counts 1
    revive_every: Steps  # steps
    revive_below: Share  # share of a codebook's even use below which an entry is dead
    engine: EngineConfig

    def __post_init__(self) -> None:
        check_phases(self.phases)


@dataclass(frozen=True)
class PlannerTrainConfig:
    """A run of train/planner.py."""

    run: RunConfig
    prepared: str | None  # folder that train/prepare.py wrote, with codes; None: scores and notes only
    steps: Steps
    scores: ScoreConfig
    rendered_frames: Size  # code frames in a step on songs with codes, about: as many songs as fit
    rendered_multiple: Size  # the songs of such a step are a multiple of this, for ranks and micro-batches to share
    rendered_share: Share  # of steps on songs with codes, where there are some
    score_weight: Weight  # of the score's loss in those steps; the loss of the codes counts 1
    notes_weight: Weight  # of a note's sub-token on composed songs; a score's token counts 1
    corrupted_codes: Share  # share of codes that the next frame sees corrupted; a song has 0 to twice as many
    label_smoothing: Share  # of codes; a score's next token is too often certain
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

    def __post_init__(self) -> None:
        check_phases(self.phases)


StageConfig = CodecTrainConfig | QuantizerTrainConfig | PlannerTrainConfig | RendererTrainConfig
