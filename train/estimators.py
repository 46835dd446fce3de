"""Fits what the estimators of tempo, chords and key know of music: python train/estimators.py CORPUS

Three linear models are fitted by maximum likelihood on a corpus' training songs and go to hybridgen/metrics/
profiles.json; then the estimators are measured on its test songs. n cases, c candidates in each, d features.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hybridgen.audio import Audio
from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import harmony, hearing, profiles, rhythm, spectral
from hybridgen.metrics.profiles import Profiles
from hybridgen.plan import KEYS, SAMPLE_RATE

PENALTY = 1e-3  # on the squares of the weights
EXCERPTS = ((0.0, 1.0), (0.0, 0.6), (0.2, 0.8))  # of a song, so that its key is not only looked for at its ends
METRONOMES = 40


def main() -> None:
    """Reads the command line, fits, writes, measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder written by hybridgen.data.corpus")
    parser.add_argument("--songs", type=int, default=400, help="training songs to fit on (default %(default)s)")
    parser.add_argument("--tests", type=int, default=40, help="test songs to measure on (default %(default)s)")
    parser.add_argument("--out", type=Path, default=profiles.PATH, help="where the numbers go (default %(default)s)")
    args = parser.parse_args()
    records = [r for r in corpus.read(args.corpus) if len(r.plan.tempo) == 1 and r.plan.key and r.plan.meter]
    train = [record for record in records if record.split == "train"][: args.songs]
    test = [record for record in records if record.split == "test"][: args.tests]

    pulses, chords, keys = measure(train)
    pulse = fit(*pulses)
    chord, chord_minor_bias = unfold(fit(*chords))
    key, key_minor_bias = unfold(fit(*keys))
    origin = f"{len(train)} training songs of a corpus by hybridgen.data.corpus, and {METRONOMES} metronomes"
    profiles.save(Profiles(pulse, chord, chord_minor_bias, key, key_minor_bias, origin), args.out)
    if args.out == profiles.PATH:
        profiles.profiles.cache_clear()
        floors = [listen(record) for record in tqdm(test, "measure", unit="song")]
        print("\n".join(f"{name:<22}{value:8.3f}" for name, value in hearing.summarise(floors).items()))


def measure(records: list[SongRecord]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """(features (n, c, d), right (n, c)) for pulses, chords and keys."""
    pulses, chords, keys = [metronome(bpm) for bpm in np.linspace(60.0, 180.0, METRONOMES)], [], []
    for record in tqdm(records, "listen", unit="song"):
        samples = Audio.load(record.audio).samples
        asked = rhythm.pulse(record.plan.tempo[0].bpm, record.plan.meter)
        spectrum = spectral.semitones(samples)
        pulses.append(pulse_case(rhythm.onset_strength(samples), spectrum, asked))
        spans = [(start, stop, harmony.majmin(name)) for start, stop, name in harmony.chord_spans(record.plan)]
        features = harmony.chord_features(harmony.notes(spectrum, np.array([span[:2] for span in spans])))
        chords += [
            (fold(row), np.array(harmony.MAJMIN) == name)
            for row, (_, _, name) in zip(features, spans, strict=True)
            if name is not None
        ]
        keys += key_cases(harmony.slices(spectrum), record.plan.key)
    return tuple(tuple(np.stack(part) for part in zip(*cases, strict=True)) for cases in (pulses, chords, keys))


def pulse_case(bands: np.ndarray, spectrum: np.ndarray, asked: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of every pulse, from onsets and semitones, and which of them are within 2 % of the asked one."""
    features = rhythm.pulse_features(bands, rhythm.novelty(spectrum))
    return features.astype(np.float32), np.abs(rhythm.PULSES / asked - 1.0) < 0.02


def metronome(bpm: float) -> tuple[np.ndarray, np.ndarray]:
    """The case of clicks alone."""
    samples = np.zeros(20 * SAMPLE_RATE)
    click = np.random.default_rng(0).standard_normal(1000) * np.exp(-np.arange(1000) / 200)
    for start in np.arange(0.0, len(samples) - 1000, 60.0 / bpm * SAMPLE_RATE).astype(int):
        samples[start : start + 1000] += click
    return pulse_case(rhythm.onset_strength(samples), spectral.semitones(samples), bpm)


def key_cases(activations: np.ndarray, key: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and the right key of excerpts, from notes (S, M) of half seconds."""
    n = len(activations)
    parts = [activations[int(start * n) : int(stop * n)] for start, stop in EXCERPTS]
    return [(fold(harmony.key_features(part)[0]), np.array(KEYS) == key) for part in parts]


def fold(chromas: np.ndarray) -> np.ndarray:
    """Features (24, 2 R 12 + 1) of chromas (R, 12) for the 24 chords or keys, as `harmony.match` weighs them."""
    turned = np.stack([np.roll(chromas, -root, axis=-1).reshape(-1) for root in range(12)])  # (12, R 12)
    none, one = np.zeros_like(turned), np.ones((12, 1))
    major, minor = np.hstack([turned, none, 0 * one]), np.hstack([none, turned, one])
    return np.vstack([major, minor]).astype(np.float32)


def unfold(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of `fold`'s features as a profile (2, R, 12) and the bias of minor."""
    return weights[:-1].reshape(2, -1, 12), float(weights[-1])


def fit(features: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Weights (d,) under which a softmax over the candidates of features (n, c, d) prefers the right (n, c) ones."""
    x, is_wrong = torch.from_numpy(features), torch.from_numpy(~right)
    weights = torch.zeros(x.shape[-1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = torch.log_softmax(x @ weights, dim=1)
        loss = -logits.masked_fill(is_wrong, -1e9).logsumexp(dim=1).mean() + PENALTY * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach().double().numpy()


def listen(record: SongRecord) -> hearing.Hearing:
    """What is heard in a song of the corpus."""
    plan = record.plan
    return hearing.hear(Audio.load(record.audio).samples, plan, plan.tempo[0].bpm, plan.key)


if __name__ == "__main__":
    main()
