"""Trains the codec on a folder of music: python train/codec.py configs/train/codec.yaml data=... run.out=...

Stage one trains everything with spectral losses. Stage two (`freeze_encoder`, `run.start`) keeps the encoder, so that
planner and renderer can already be trained on its latents, and refines the decoder against discriminators. The same
command resumes a stopped run; the weights of the best validation are `run.out`/codec.safetensors, with the mean and
deviation of the latents once the run is finished. Many GPUs: docs/training.md.
"""

import math
import random
import statistics
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from hybridgen import config, spectra
from hybridgen.codecs.own import TONES_PER_SEMITONE, SpectralCodec, SpectralCodecConfig
from hybridgen.data import corpus
from hybridgen.training import augmentation, dataset, flops, losses, objectives
from hybridgen.training.configs import CodecTrainConfig
from hybridgen.training.discriminators import Discriminators
from hybridgen.training.engine import Engine
from hybridgen.training.log import Log, spectrograms
from hybridgen.training.losses import SpectralLoss
from hybridgen.training.objectives import SemanticHead
from hybridgen.training.run import Run, new_model, run_script
from hybridgen.weights import load_weights, save_weights

SHOWN = 2  # held-out files that validation logs as sound


@dataclass(frozen=True)
class CropBatch:
    """Crops, and the noise of their posterior draws."""

    samples: Tensor  # (B, 2, N)
    noise: Tensor  # (B, T, C) standard normal


def is_held_out(path: Path) -> bool:
    """Whether a file is for validation only: of the corpus's held-out songs, or one in twenty of other names.

    A file of some of a song's roles, as 000019-drums-bass, goes where its song goes.
    """
    song = path.stem.split("-")[0]
    number = int(song) if song.isdecimal() else zlib.crc32(path.stem.encode())
    return corpus.split(number) == "test"


def music_files(folder: str) -> tuple[list[Path], list[Path]]:
    """Files to train on and held-out files."""
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in (".flac", ".wav"))
    train, held_out = [p for p in files if not is_held_out(p)], [p for p in files if is_held_out(p)]
    if not train or not held_out:
        raise ValueError(
            f"data {folder} has {len(train)} files to train on and {len(held_out)} held out: too few, for about one "
            "song in twenty is held out"
        )
    return train, held_out


def read(path: Path, n_samples: int, sample_rate: int, place: Callable[[int], int]) -> np.ndarray:
    """Samples (2, n) of a file from place(how many positions there are) on, fewer than n_samples where it is shorter.

    Mono goes to both channels. ValueError for another sample rate.
    """
    with soundfile.SoundFile(path) as file:
        if file.samplerate != sample_rate:
            raise ValueError(f"{path}: {file.samplerate} Hz, but the codec is trained at {sample_rate} Hz: resample it")
        file.seek(place(max(file.frames - n_samples, 0) + 1))
        samples = file.read(n_samples, dtype="float32", always_2d=True)
    return np.repeat(samples, 2, 1).T if samples.shape[1] == 1 else samples[:, :2].T


@dataclass(frozen=True)
class Crops:
    """Random crops, augmented at random: each a function of (seed, step, row)."""

    files: list[Path]
    train: CodecTrainConfig
    sample_rate: int
    shape: tuple[int, int]  # of the latents of a crop (T, C)
    rank: int
    world_size: int

    def __call__(self, step: int) -> CropBatch:
        """This rank's rows of the batch of a step, counted from 1."""
        rows = dataset.rank_rows(self.train.batch_size, self.rank, self.world_size)
        samples, noise = zip(
            *(self._row(random.Random(f"{self.train.run.seed} {step} {row}")) for row in rows), strict=True
        )
        return CropBatch(torch.from_numpy(np.stack(samples)), torch.stack(noise))

    def _row(self, rng: random.Random) -> tuple[np.ndarray, Tensor]:
        settings, length = self.train.augmentation, self.train.crop
        speed = augmentation.speed(settings, rng)
        samples = read(rng.choice(self.files), math.ceil(length * speed), self.sample_rate, rng.randrange)
        samples = np.pad(samples, ((0, 0), (0, math.ceil(length * speed) - samples.shape[1])))
        samples = augmentation.augmented(augmentation.played(samples, speed, length), settings, rng)
        return np.ascontiguousarray(samples), torch.randn(
            self.shape, generator=torch.Generator().manual_seed(rng.getrandbits(62))
        )


def spectral(parts: dict[str, Tensor], train: CodecTrainConfig) -> Tensor:
    """The weighted sum of the spectral losses."""
    weights = {
        "mel": 1.0,
        "magnitude": train.magnitude_weight,
        "texture": train.texture_weight,
        "attacks": train.attack_weight,
        "tones": train.tone_weight,
    }
    return sum(weight * parts[name] for name, weight in weights.items())


def ramp(step: int, train: CodecTrainConfig) -> float:
    """Factor, 0 to 1, of the adversarial losses at a step."""
    return min(max((step - train.adversarial_start) / train.adversarial_ramp, 0.0), 1.0)


def validate(files: list[Path], train: CodecTrainConfig, log: Log, step: int, codec: SpectralCodec) -> dict[str, float]:
    """Distances on the middle 6 s of held-out files (at most 24), decoded from the posterior's mean.

    `valid/loss` is the sum of spectral losses that training minimizes. The first files are logged as sounds and
    pictures, beside the originals.
    """
    device, results = codec.latent_mean.device, []
    spectral_loss = SpectralLoss(codec.sample_rate, train.windows, train.mels)
    for i, path in enumerate(files[:24]):
        samples = read(path, 6 * codec.sample_rate, codec.sample_rate, lambda positions: positions // 2)
        target = torch.from_numpy(samples.copy())[None].to(device)
        output = codec.decode(codec.encode(target))[..., : target.shape[-1]].float()
        power, target_power = (objectives.tone_power(codec, sound) for sound in (output, target))
        parts = objectives.sound_losses(codec, spectral_loss, output, target)
        results.append(
            {
                "valid/loss": spectral(parts, train).item(),
                "valid/texture": parts["texture"].item(),
                "valid/attacks": parts["attacks"].item(),
                "valid/mel_db": spectra.log_mel_distance(output, target, codec.sample_rate).item(),
                "valid/stft": spectra.stft_distance(output, target).total.item(),
                "valid/chroma": spectra.chroma_correlation(power[0], target_power[0], TONES_PER_SEMITONE).item(),
            }
        )
        if i < SHOWN:
            sounds = {"original": samples, "decoded": output[0].cpu().numpy()}
            for name, sound in sounds.items():
                log.audio(step, f"{path.stem}_{name}", sound, codec.sample_rate)
            log.picture(step, path.stem, spectrograms(sounds, codec.sample_rate))
    return {name: statistics.fmean(result[name] for result in results) for name in results[0]}


@torch.no_grad()
def measure_latents(codec: SpectralCodec, files: list[Path], train: CodecTrainConfig) -> None:
    """Sets the codec's mean and deviation of each channel from up to 200 crops of the corpus."""
    codec.latent_mean.zero_()
    codec.latent_std.fill_(1)
    rng = random.Random(train.run.seed)
    chosen = rng.sample(files, min(len(files), 200))
    parts = (
        torch.from_numpy(read(path, 8 * codec.sample_rate, codec.sample_rate, rng.randrange).copy()) for path in chosen
    )
    device = codec.latent_mean.device
    latents = torch.cat([codec.encode(part[None].to(device))[0] for part in tqdm(parts, "latents")])
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_std.copy_(latents.std(0).clamp(min=1e-3))


def amounts(shapes: SpectralCodecConfig, train: CodecTrainConfig) -> dict[str, float]:
    """Work of a step."""
    discriminators = train.discriminators if train.adversarial_weight > 0 else None
    crop = flops.codec(shapes, train.crop, train.windows, train.mels, train.freeze_encoder, discriminators)
    return {
        "crops": train.batch_size,
        "audio_hours": train.batch_size * train.crop / shapes.sample_rate / 3600,
        "flops": crop.total * train.batch_size,
    }


def judged(judge: Engine, value: Tensor) -> Any:
    """What another engine's model makes of the codec's output or latents; it does not learn from it."""
    judge.model.requires_grad_(False)
    with judge.autocast():
        found = judge.model(value)
    judge.model.requires_grad_(True)
    return found


def adversarial_losses(discriminators: Engine, output: Tensor, real_features: list[Tensor]) -> dict[str, Tensor]:
    """What the discriminators' scores and features of the output cost the codec."""
    scores, features = judged(discriminators, output)
    return {"adversarial": losses.generator_loss(scores), "features": losses.feature_loss(real_features, features)}


def main(path: str, *overrides: str) -> None:
    """Trains to the last step, or until a signal."""
    train = config.load(CodecTrainConfig, path, overrides)
    shapes = config.shapes(SpectralCodecConfig, train.run.model, "codec")
    codec = new_model(SpectralCodec, shapes, train)
    codec.encoder.requires_grad_(not train.freeze_encoder)
    engines = {"codec": (engine := Engine(codec, train.optim, train.engine))}
    is_adversarial = train.adversarial_weight > 0
    if is_adversarial:  # the codec's gradient passes through them, which takes whole weights
        engines["discriminators"] = discriminators = Engine(
            Discriminators(train.discriminators), train.optim, train.engine, max_stage=2
        )
    is_semantic = train.semantic_weight > 0 and not train.freeze_encoder
    if is_semantic:
        engines["head"] = head = Engine(SemanticHead(shapes.latent_dim), train.optim, train.engine, max_stage=2)
    files, held_out = music_files(train.data)
    shape = (-(-train.crop // shapes.hop_length), shapes.latent_dim)
    batch_fns = [Crops(files, train, shapes.sample_rate, shape, *place) for place in engine.micro_ranks()]
    spectral_loss = SpectralLoss(shapes.sample_rate, train.windows, train.mels)
    n_parts = engine.world_size * train.engine.micro_batches  # of the global batch, all of one size

    with Run("codec", train, train.steps, shapes, __file__, engines) as run:
        for step, batches in run.steps(batch_fns):
            rate, shares = train.optim.rate(step, train.steps), {}
            for batch in batches:
                samples = batch.samples.to(engine.device)
                output, mean, logvar = engine(samples, batch.noise.to(engine.device))
                output = output[..., : samples.shape[-1]].float()
                parts = objectives.codec_losses(codec, spectral_loss, output, samples, (mean, logvar))
                loss = spectral(parts, train) + train.kl_weight * parts["kl"]
                if is_semantic:
                    latents, wanted = codec.normalize(mean), objectives.semantics(codec, samples)
                    head.backward(losses.semantic_loss(head(latents.detach()).float(), wanted) / n_parts)
                    parts["semantic"] = losses.semantic_loss(judged(head, latents).float(), wanted)
                    loss = loss + train.semantic_weight * parts["semantic"]
                if is_adversarial:
                    (real, real_features), (fake, _) = discriminators(samples), discriminators(output.detach())
                    parts["discriminators"] = losses.discriminator_loss(real, fake)
                    discriminators.backward(parts["discriminators"] / n_parts)
                if is_adversarial and step > train.adversarial_start:
                    parts |= adversarial_losses(discriminators, output, real_features)
                    added = train.adversarial_weight * parts["adversarial"] + train.feature_weight * parts["features"]
                    loss = loss + ramp(step, train) * added
                engine.backward(loss / n_parts)
                for name, part in (parts | {"loss": loss}).items():
                    shares[name] = shares.get(name, 0.0) + part.detach() / n_parts
            accept = run.accept_step(step, shares["loss"])
            values = {"norm": engine.step(rate, accept), "rate": rate}  # clip, then step
            for name in list(engines)[1:]:
                values[f"{name}_norm"] = engines[name].step(rate, accept)

            run.log_step(step, shares, values, amounts(shapes, train))
            if run.should_validate(step):
                run.validate(step, partial(validate, held_out, train, run.log, step))

    if run.is_finished and not train.freeze_encoder:
        with engine.averaged() as model:
            if model is not None:
                load_weights(model, run.weights)
                measure_latents(model, files, train)
                save_weights(model, run.weights)


if __name__ == "__main__":
    run_script(main, __doc__)
