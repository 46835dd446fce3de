"""Do words for a treatment reach the sound? python tools/treatment_words.py --corpus FOLDER --prepared FOLDER

A song of the corpus (made with --sounds) is prepared, and captioned three times: by its genre alone, with a phrase for
something that is true of its sound ("dusty"), and with one for something that is not. For each kind of sound: how much
the renderer's loss, told neither codes nor timbre, and the planner's nats a code grow when the phrase is left out, and
when it is wrong. Both are paired, song by song; a treatment that is heard has positive figures. Writes nothing.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import flow, grammar
from hybridgen.data import corpus
from hybridgen.data.composer.genres import style_named
from hybridgen.data.corpus import SongRecord
from hybridgen.data.prepared_dataset import PreparedDataset, PreparedTrack
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import ROLES
from hybridgen.plan.sounds import SOUND_WORDS
from hybridgen.renderer import Condition, Renderer
from hybridgen.training import objectives, planner_data
from hybridgen.training.dataset import pad_texts
from hybridgen.training.planner_data import PlannerBatch

WINDOW = 256  # latent frames of the middle of a song
TIMES = (0.1, 0.35, 0.6, 0.85)


def main() -> None:
    """Reads the command line, measures, prints a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--corpus", required=True, help="folder of a corpus of several sounds")
    parser.add_argument("--prepared", required=True, help="the same songs, prepared by train/prepare.py")
    args = parser.parse_args()
    pipe = Pipeline.from_pretrained(args.model)
    records = {f"{record.index:06d}": record for record in corpus.read(args.corpus) if record.sound}
    found = defaultdict[str, list[tuple[float, ...]]](list)
    for split in ("train", "test"):
        songs = PreparedDataset(args.prepared, split)
        for i in tqdm(range(len(songs)), split, unit="song"):
            if songs[i].name in records and len(songs[i].latents) >= WINDOW:
                for kind, growth in measure(pipe, records[songs[i].name], songs[i]).items():
                    found[kind].append(growth)
    report(found)


def measure(pipe: Pipeline, record: SongRecord, track: PreparedTrack) -> dict[str, tuple[float, ...]]:
    """For each kind of the song's sound: renderer's loss and planner's nats, left out and wrong, less those of true."""
    rng = random.Random(record.index)
    genre, others = style_named(record.genre).words[0], sorted(SOUND_WORDS.keys() - set(record.sound))
    prompts = [genre]
    for kind in record.sound:
        for name in (kind, rng.choice(others)):
            prompts.append(f"{genre}, {rng.choice([phrase for group in SOUND_WORDS[name] for phrase in group])}")
    texts = planner_data.encode(pipe.text, prompts)
    figures = [renderer_losses(pipe.renderer, track, texts), planner_nats(pipe, record, track, texts)]
    return {
        kind: tuple(one[other] - one[2 * i + 1] for one in figures for other in (0, 2 * i + 2))
        for i, kind in enumerate(record.sound)
    }


@torch.no_grad()
def renderer_losses(model: Renderer, track: PreparedTrack, texts: Sequence[np.ndarray]) -> np.ndarray:
    """The mean squared error of the velocity, of each of n texts (n,), under the same noise."""
    ratio, n = model.config.frames_per_code, len(texts)
    start = (len(track.latents) - WINDOW) // 2 // ratio * ratio
    roll = track.notes.rolls(start, start + WINDOW)
    text, text_mask = pad_texts(list(texts))
    shared = {
        "codes": np.full((model.config.n_codebooks, WINDOW // ratio), -1),
        "features": track.controls[start : start + WINDOW].astype(np.float32),
        "instruments": track.instruments.astype(np.int64),
        "context": track.latents[start : start + WINDOW].astype(np.float32),
        "known": np.zeros(WINDOW, dtype=bool),
        "timbre": np.zeros(2 * model.config.latent_dim, dtype=np.float32),
        "notes": roll.entries,
        "strengths": roll.strengths,
        "notes_known": roll.known.copy(),
        "heard": np.ones(len(ROLES), dtype=bool),
    }
    rows = {name: torch.from_numpy(value).expand(n, *value.shape) for name, value in shared.items()}
    cond, losses = Condition(text=text, text_mask=text_mask, **rows), torch.zeros(n)
    rng, latents = torch.Generator().manual_seed(0), cond.context[:1]
    for t in torch.tensor(TIMES)[:, None]:
        x_t, velocity = flow.path(torch.randn(latents.shape, generator=rng), latents, t)
        losses += (model(x_t.expand(n, -1, -1), t.expand(n), cond) - velocity).square().mean((1, 2))
    return (losses / len(TIMES)).numpy()


@torch.no_grad()
def planner_nats(pipe: Pipeline, record: SongRecord, track: PreparedTrack, texts: Sequence[np.ndarray]) -> np.ndarray:
    """Nats a code of the whole song, of each of n texts (n,)."""
    assert track.codes is not None, track.name
    codes = torch.from_numpy(np.array(track.codes)).long()[None]
    tokens, bars_left = planner_data.pad_scores([grammar.tokens(record.plan)])
    features = torch.from_numpy(np.array(track.controls[:: pipe.renderer.config.frames_per_code])).float()[None]
    instruments = torch.from_numpy(np.array(track.instruments)).long()[None]
    batches = (PlannerBatch(*pad_texts([text]), tokens, bars_left, codes, features, instruments) for text in texts)
    return np.array([objectives.planner_losses(pipe.planner, batch, 0.0)["codes"].item() for batch in batches])


def report(found: dict[str, list[tuple[float, ...]]]) -> None:
    """Prints a row a kind: songs, and the mean and standard error of each growth."""
    print(f"{'':14}{'songs':>6}{'loss, left out':>20}{'loss, wrong':>20}{'nats, left out':>20}{'nats, wrong':>20}")
    everything = [row for rows in found.values() for row in rows]
    for kind, values in ((kind, np.array(rows)) for kind, rows in (*sorted(found.items()), ("all", everything))):
        mean, error = values.mean(0), values.std(0) / len(values) ** 0.5
        print(f"{kind:14}{len(values):6}" + "".join(f"{m:+12.4f} ±{e:.4f}" for m, e in zip(mean, error, strict=True)))


if __name__ == "__main__":
    main()
