"""Is what a plan says of its sound heard? python tools/sound_kinds.py --prepared FOLDER --corpus FOLDER

By loss: windows of a prepared corpus (made with --sounds), at the first step of the solver, where what is true of a
whole track is decided. How the loss, told neither codes nor timbre, changes when the renderer is told all kinds of
sound of the song, those alone that are wanted, and that these are not wanted.

By ear: the same plans rendered free and with a kind wanted; how the figure that the kind is about differs between the
two, in how many plans it goes the right way, and how songs of the corpus of that kind differ from others.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from hybridgen import flow
from hybridgen.data import corpus
from hybridgen.pipeline import Pipeline
from hybridgen.plan.sounds import PLAIN, SOUNDS
from hybridgen.renderer import PARTS, Condition, Renderer
from hybridgen.training import dataset, objectives
from hybridgen.training.dataset import Phase, WindowBatches

WINDOW, ROWS, SEED = 128, 32, 5  # latent frames, windows a batch
PROMPTS = (
    "lo-fi hip hop, 84 BPM",
    "deep house, 122 BPM",
    "indie rock, 120 BPM",
    "solo piano ballad, 70 BPM",
    "trance, 138 BPM",
    "jazz trio, 130 BPM",
    "string quartet, 96 BPM",
    "dubstep, 140 BPM",
)
SECONDS = 12.0  # a window of the renderer
RATE = 44_100


def main() -> None:
    """Reads the command line, measures, prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--prepared", required=True, help="folder that train/prepare.py made of such a corpus")
    parser.add_argument("--corpus", required=True, help="folder of a corpus of several sounds")
    parser.add_argument("--split", default="test", choices=("train", "test"), help="of the windows (default test)")
    parser.add_argument("--batches", type=int, default=6, help=f"of {ROWS} windows (default %(default)s)")
    args = parser.parse_args()
    pipe = Pipeline.from_pretrained(args.model)
    report_losses(pipe.renderer, args.prepared, args.split, args.batches)
    report_sounds(pipe, args.corpus)


@torch.no_grad()
def report_losses(model: Renderer, prepared: str, split: str, n_batches: int) -> None:
    """Prints a row a kind: windows, and the mean and standard error of each change of the loss."""
    songs = dataset.load(prepared)[split == "test"]
    windows = WindowBatches(songs, (Phase(n_batches, (WINDOW,), WINDOW * ROWS),), SEED)
    sounds, changes = [], []
    for step in tqdm(range(1, n_batches + 1), "windows"):
        batch = windows(step)
        x_0 = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(step))
        cond = objectives.condition(batch, torch.zeros(batch.inside.shape, dtype=torch.bool))
        cond = cond.dropped(torch.tensor([[part not in ("timbre", "codes") for part in PARTS]] * ROWS))
        free = loss(model, batch, x_0, replace(cond, sound=torch.zeros_like(cond.sound)))
        wanted = cond.sound.clamp(min=0)
        told = [loss(model, batch, x_0, replace(cond, sound=sound)) for sound in (cond.sound, wanted, -wanted)]
        sounds.append(cond.sound)
        changes.append(torch.stack([one - free for one in told], 1))
    sound, change = torch.cat(sounds).numpy(), torch.cat(changes).numpy()
    print(f"{'loss, told':16}{'windows':>8}{'all kinds':>18}{'those wanted':>18}{'these not wanted':>18}")
    for i, kind in enumerate(("all", *SOUNDS)):
        rows = change if kind == "all" else change[sound[:, i - 1] == 1]
        if len(rows) > 1:
            mean, error = rows.mean(0), rows.std(0) / len(rows) ** 0.5
            print(f"{kind:16}{len(rows):8}" + "".join(f"{m:+10.4f} ±{e:.4f}" for m, e in zip(mean, error, strict=True)))


def loss(model: Renderer, batch: dataset.WindowBatch, x_0: Tensor, cond: Condition) -> Tensor:
    """(B,): the mean squared error of each window's velocity at t = 0."""
    x_t, velocity = flow.path(x_0, batch.latents, torch.zeros(len(x_0)))
    error = (model(x_t, torch.zeros(len(x_0)), cond) - velocity).square().mean(-1)
    return (error * batch.inside).sum(1) / batch.inside.sum(1)


def side(samples: np.ndarray) -> float:
    """Level of the side of samples (2, N) above that of the mid, in dB."""
    mid, other = (samples[0] + samples[1]) / 2, (samples[0] - samples[1]) / 2
    return float(10 * np.log10((np.mean(other**2) + 1e-9) / (np.mean(mid**2) + 1e-9)))


def treble(samples: np.ndarray) -> float:
    """Level of 4-12 kHz above that of 100-800 Hz, in dB."""
    power, frequency = _spectrum(samples)
    low, high = (frequency > 100) & (frequency < 800), (frequency > 4000) & (frequency < 12_000)
    return float(10 * np.log10((power[:, high].sum() + 1e-9) / (power[:, low].sum() + 1e-9)))


def crest(samples: np.ndarray) -> float:
    """Peak above RMS of the mid, in dB."""
    mid = samples.mean(0)
    return float(20 * np.log10((np.abs(mid).max() + 1e-9) / (np.sqrt(np.mean(mid**2)) + 1e-9)))


def gaps(samples: np.ndarray) -> float:
    """How far the quietest tenth of 46 ms frames is under the loudest, in dB, at most 60: less where rooms ring on."""
    power, _ = _spectrum(samples)
    level = 10 * np.log10(power.sum(1) + 1e-9)
    return float(min(np.percentile(level, 90) - np.percentile(level, 10), 60.0))


def _spectrum(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power (frames, bins) of the mid in frames of 2048, and the bins' frequencies in Hz."""
    frames = samples.mean(0)[: samples.shape[1] // 2048 * 2048].reshape(-1, 2048) * np.hanning(2048)
    return np.abs(np.fft.rfft(frames, axis=1)) ** 2, np.fft.rfftfreq(2048, 1 / RATE)


HEARD: dict[str, tuple[Callable[[np.ndarray], float], int]] = {  # kind -> its figure, and which way it goes
    "mono": (side, -1),
    "narrow": (side, -1),
    "wide": (side, 1),
    "bright": (treble, 1),
    "vinyl": (treble, -1),
    "tape": (treble, -1),
    "compressed": (crest, -1),
    "driven": (crest, -1),
    "dry": (gaps, 1),
    "reverberant": (gaps, -1),
    PLAIN: (side, -1),
}


def report_sounds(pipe: Pipeline, folder: str) -> None:
    """Prints a row a kind: the difference of its figure in renders, how many go the right way, and in the corpus."""
    plans = [pipe.plan(prompt, seed=i, seconds=SECONDS).plans[0] for i, prompt in enumerate(PROMPTS)]
    songs = [(set(record.plan.sound), soundfile.read(record.audio)[0].T) for record in corpus.read(folder)[::3]]
    print(f"\n{'heard':16}{'figure':>8}{'renders':>10}{'right way':>12}{'corpus':>10}")
    for kind, (figure, way) in tqdm(HEARD.items(), "kinds"):
        pairs = np.array(
            [
                [figure(pipe.render(replace(plan, sound=sound), seed=1).samples) for sound in ((kind,), ())]
                for plan in plans
            ]
        )
        change = pairs[:, 0] - pairs[:, 1]
        of_kind, others = ([figure(one) for kinds, one in songs if (kind in kinds) == is_so] for is_so in (True, False))
        beside = f"{np.median(of_kind) - np.median(others):+10.1f}" if of_kind and others else f"{'-':>10}"
        right = f"{(change * way > 0).sum()} of {len(change)}"
        print(f"{kind:16}{figure.__name__:>8}{change.mean():+10.1f}{right:>12}{beside}")


if __name__ == "__main__":
    main()
