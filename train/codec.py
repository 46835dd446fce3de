"""Trains the codec on a folder of music: python train/codec.py configs/train/codec.yaml data=... out=...

Stage one trains everything with spectral losses. Stage two (`freeze_encoder`, `start`) keeps the encoder, so that
planner and renderer can be trained on its latents meanwhile, and polishes the decoder against discriminators.
A stopped run (SIGTERM) continues with the same command; a finished one writes `codec.safetensors` into `out`.
"""

import random
import sys
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from hybridgen import config
from hybridgen.codec import Codec, CodecConfig, mid_side
from hybridgen.data import corpus
from hybridgen.training import checkpoints, losses
from hybridgen.training.checkpoints import Checkpoint
from hybridgen.training.discriminators import DiscriminatorConfig, Discriminators
from hybridgen.training.ema import EMA
from hybridgen.training.log import Log
from hybridgen.weights import load_weights, save_weights


@dataclass(frozen=True)
class TrainConfig:
    """One run; weights of losses are relative to the log-mel distance."""

    model: str  # preset or YAML file whose `codec` section has the shapes
    data: str  # folder of FLAC or WAV files at the codec's rate
    out: str  # folder of the run
    start: str | None  # weights to begin with
    freeze_encoder: bool
    device: str
    threads: int  # CPU threads
    bfloat16: bool  # matrix products in bfloat16 where the hardware has it
    seed: int
    steps: int
    batch_size: int
    crop: int  # samples; a multiple of the latent hop
    max_gain: float  # dB: each crop is made quieter by 0 to this much
    learning_rate: float
    warm_up: int  # steps
    final_rate: float  # fraction of learning_rate that a cosine reaches at the end
    clip: float  # largest norm of the gradient
    ema: float
    windows: tuple[int, ...]  # of the spectral losses, samples
    mels: tuple[int, ...]  # bands for each window
    magnitude_weight: float
    tone_weight: float
    kl_weight: float
    discriminators: DiscriminatorConfig
    adversarial_weight: float  # 0: no discriminators
    feature_weight: float
    adversarial_start: int  # step at which the decoder begins to listen to them
    adversarial_ramp: int  # steps to full weight
    log_every: int  # steps
    valid_every: int
    save_every: int


def is_held_out(path: Path) -> bool:
    """Whether a file is for validation only: the songs that the corpus holds out, or one other name in twenty."""
    number = int(path.stem) if path.stem.isdecimal() else zlib.crc32(path.stem.encode())
    return corpus.split(number) == "test"


def music_files(folder: str) -> tuple[list[Path], list[Path]]:
    """Files to train on and held-out files."""
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in (".flac", ".wav"))
    train, held_out = [p for p in files if not is_held_out(p)], [p for p in files if is_held_out(p)]
    if not train or not held_out:
        raise ValueError(f"data {folder} has {len(train)} files to train on and {len(held_out)} held out: too few")
    return train, held_out


def read_crop(path: Path, n_samples: int, rng: random.Random) -> np.ndarray:
    """Samples (2, n_samples) from a random place, silence after the end of a short file."""
    with soundfile.SoundFile(path) as file:
        file.seek(rng.randrange(max(file.frames - n_samples, 0) + 1))
        samples = file.read(n_samples, dtype="float32", always_2d=True, fill_value=0.0)
    return np.repeat(samples, 2, 1).T if samples.shape[1] == 1 else samples[:, :2].T


def crops(files: list[Path], train: TrainConfig, rng: random.Random) -> Tensor:
    """A batch (B, 2, N) of random crops, quieter and with sides swapped at random."""
    batch = []
    for path in rng.choices(files, k=train.batch_size):
        samples = read_crop(path, train.crop, rng) * 10 ** (-rng.uniform(0, train.max_gain) / 20)
        batch.append(samples[::-1] if rng.random() < 0.5 else samples)
    return torch.from_numpy(np.stack(batch))


def reconstruct(codec: Codec, samples: Tensor, train: TrainConfig, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Samples decoded from a draw of the posterior, and its divergence from the prior."""
    with torch.set_grad_enabled(not train.freeze_encoder):
        mean, logvar = codec.posterior(samples)
        draw = torch.randn(mean.shape, generator=noise).to(mean.device)
        latents = codec.normalise(mean + draw * (0.5 * logvar).exp())
    return codec.decode(latents), losses.kl_divergence(mean, logvar)


def spectral(parts: dict[str, Tensor], train: TrainConfig) -> Tensor:
    """The weighted sum of the spectral losses."""
    weights = {"mel": 1.0, "magnitude": train.magnitude_weight, "tones": train.tone_weight}
    return sum(weight * parts[name] for name, weight in weights.items())


def tones(codec: Codec, samples: Tensor) -> Tensor:
    """Power (B, 2, T, J) of the tones in the mid and side of samples (B, 2, N)."""
    return codec.tones.power(F.pad(mid_side(samples), (codec.tones.pad, codec.tones.pad)))


def ramp(step: int, train: TrainConfig) -> float:
    """How much the decoder listens to the discriminators at a step, 0 to 1."""
    return min(max((step - train.adversarial_start) / train.adversarial_ramp, 0.0), 1.0)


def schedule(step: int, train: TrainConfig) -> float:
    """Fraction of the learning rate at a step: linear warm-up, then a cosine down to `final_rate`."""
    progress = min(step / train.steps, 1.0)
    cosine = train.final_rate + (1 - train.final_rate) * 0.5 * (1 + np.cos(np.pi * progress))
    return min(step / max(train.warm_up, 1), 1.0) * float(cosine)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def validate(codec: Codec, files: list[Path], train: TrainConfig) -> dict[str, float]:
    """Distances on the middle 6 s of held-out files (at most 24), decoded from the posterior's mean."""
    results = []
    for path in files[:24]:
        with soundfile.SoundFile(path) as file:
            file.seek(max(file.frames // 2 - 3 * codec.sample_rate, 0))
            samples = file.read(6 * codec.sample_rate, dtype="float32", always_2d=True).T
        target = torch.from_numpy(samples.copy())[None].to(train.device)
        output = codec.decode(codec.encode(target))[..., : target.shape[-1]]
        mel = losses.log_mel_distance(output, target, codec.sample_rate)
        played, wanted = (tones(codec, sound)[0] for sound in (output, target))
        chroma = losses.chroma_correlation(played, wanted, codec.config.tone_steps)
        results.append((mel.item(), losses.stft_distance(output, target).item(), chroma.item()))
    return dict(zip(("valid/mel_db", "valid/stft", "valid/chroma"), np.mean(results, 0).tolist(), strict=True))


@torch.no_grad()
def measure_latents(codec: Codec, files: list[Path], train: TrainConfig) -> None:
    """Sets the codec's mean and deviation of each channel from up to 200 crops of the corpus."""
    codec.latent_mean.zero_()
    codec.latent_std.fill_(1)
    rng = random.Random(train.seed)
    chosen = rng.sample(files, min(len(files), 200))
    parts = (torch.from_numpy(read_crop(path, 8 * codec.sample_rate, rng).copy()) for path in chosen)
    latents = torch.cat([codec.encode(part[None].to(train.device))[0] for part in tqdm(parts, "latents")])
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_std.copy_(latents.std(0).clamp(min=1e-3))


class Run:
    """What changes while training: the codec, its average, the discriminators, and the moments of both sides."""

    def __init__(self, codec: Codec, train: TrainConfig):
        self.codec, self.ema = codec, EMA(codec, train.ema)
        self.judges = Discriminators(train.discriminators).to(train.device)
        self.optimizer = adam([weight for weight in codec.parameters() if weight.requires_grad], train)
        self.judge_optimizer = adam(list(self.judges.parameters()), train)

    def save(self, out: Path, step: int) -> None:
        """Writes a checkpoint into the run's folder."""
        tensors = {
            "codec": self.codec.state_dict(),
            "ema": self.ema.weights,
            "judges": self.judges.state_dict(),
            "optimizer": checkpoints.optimizer_tensors(self.optimizer),
            "judge_optimizer": checkpoints.optimizer_tensors(self.judge_optimizer),
        }
        checkpoints.save(out, Checkpoint(step, tensors, {"ema_updates": self.ema.n_updates}))

    def resume(self, out: Path) -> int:
        """Puts the newest checkpoint of the run back, if there is one; the step that it was made at, or 0."""
        place = checkpoints.latest(out)
        if place is None:
            return 0
        checkpoint = checkpoints.load(place)
        self.codec.load_state_dict(checkpoint.tensors["codec"])
        self.ema.load(checkpoint.tensors["ema"], checkpoint.state["ema_updates"])
        self.judges.load_state_dict(checkpoint.tensors["judges"])
        checkpoints.restore_optimizer(self.optimizer, checkpoint.tensors["optimizer"])
        checkpoints.restore_optimizer(self.judge_optimizer, checkpoint.tensors["judge_optimizer"])
        return checkpoint.step


def adam(weights: list[nn.Parameter], train: TrainConfig) -> torch.optim.AdamW:
    """The optimizer of codec and discriminators."""
    return torch.optim.AdamW(weights, lr=train.learning_rate, betas=(0.8, 0.99), weight_decay=1e-3)


def build(train: TrainConfig) -> Codec:
    """The codec to train, with the weights to begin with."""
    model = Path(train.model) if train.model.endswith(".yaml") else config.preset(f"models/{train.model}")
    codec = Codec(config.build(CodecConfig, config.read(model)["codec"])).to(train.device)
    if train.start:
        load_weights(codec, train.start)
    codec.encoder.requires_grad_(not train.freeze_encoder)
    return codec


def main(path: str, *overrides: str) -> None:
    """Trains until `steps` or a signal."""
    train = config.load(TrainConfig, path, overrides)
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)
    run, out = Run(build(train), train), Path(train.out)
    codec, judges, ema = run.codec, run.judges, run.ema
    spectral_loss = losses.SpectralLoss(codec.sample_rate, train.windows, train.mels)
    first = run.resume(out)
    files, held_out = music_files(train.data)
    adversarial = train.adversarial_weight > 0
    half = partial(torch.autocast, torch.device(train.device).type, torch.bfloat16, enabled=train.bfloat16)

    with Log(out) as log, checkpoints.stop_on_signal() as stop:
        bar = tqdm(range(first + 1, train.steps + 1), "codec", initial=first, total=train.steps, mininterval=5)
        for step in bar:
            rng, noise = checkpoints.generators(train.seed, step)
            set_rate(run.optimizer, train.learning_rate * schedule(step, train))
            set_rate(run.judge_optimizer, train.learning_rate * schedule(step, train))
            samples = crops(files, train, rng).to(train.device)
            with half():
                output, kl = reconstruct(codec, samples, train, noise)
            parts = spectral_loss(output, samples) | {"kl": kl}
            parts["tones"] = losses.tone_loss(tones(codec, output), tones(codec, samples))
            loss = spectral(parts, train) + train.kl_weight * kl

            if adversarial:
                with half():
                    (real, wanted), (fake, _) = judges(samples), judges(output.detach())
                    parts["judges"] = losses.discriminator_loss(real, fake)
                parts["judges"].backward()
                nn.utils.clip_grad_norm_(judges.parameters(), train.clip)
                run.judge_optimizer.step()
                run.judge_optimizer.zero_grad()
            if adversarial and step > train.adversarial_start:
                judges.requires_grad_(False)
                with half():
                    scores, features = judges(output)
                judges.requires_grad_(True)
                parts["adversarial"] = losses.generator_loss(scores)
                parts["features"] = losses.feature_loss(wanted, features)
                game = train.adversarial_weight * parts["adversarial"] + train.feature_weight * parts["features"]
                loss = loss + ramp(step, train) * game

            loss.backward()
            norm = nn.utils.clip_grad_norm_(codec.parameters(), train.clip)
            run.optimizer.step()
            run.optimizer.zero_grad()
            ema.update(codec)

            if step % train.log_every == 0:
                bar.set_postfix(mel=parts["mel"].item(), refresh=False)
                log.write(step, {"loss": loss.item(), "norm": norm.item()} | {k: v.item() for k, v in parts.items()})
            if step % train.valid_every == 0 or step == train.steps:
                with ema.applied(codec):
                    log.write(step, validate(codec, held_out, train))
            if step % train.save_every == 0 or step == train.steps or stop.asked:
                run.save(out, step)
            if stop.asked:
                return

    with ema.applied(codec):
        if not train.freeze_encoder:
            measure_latents(codec, files, train)
        save_weights(codec, out / "codec.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
