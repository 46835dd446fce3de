"""Fits what the estimators know of music: python tools/estimators.py CORPUS

From a corpus' training songs, by maximum likelihood: three linear models of tempo, chords and key, which go to
hybridgen/metrics/profiles.json, two of genre and roles, which go to probe.safetensors beside it, and a small network
that hears notes, transcription.safetensors. Then the estimators are measured on the test songs. n cases, c candidates
in each, d features.
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from hybridgen.audio import Audio
from hybridgen.data import corpus
from hybridgen.data.corpus import SongRecord
from hybridgen.metrics import harmony, measurements, probe, profiles, rhythm, spectral, transcription
from hybridgen.metrics.measurements import TrackMeasurements
from hybridgen.metrics.probe import Probe
from hybridgen.metrics.profiles import Profiles
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.pipeline import Pipeline
from hybridgen.plan.harmony import KEYS
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.parts import ROLES
from hybridgen.weights import save_weights
from hybridgen.workers import run_tasks

PENALTY = 1e-3  # on the squares of the weights
EXCERPTS = ((0.0, 1.0), (0.0, 0.6), (0.2, 0.8))  # of a song, so that its key is not only looked for at its ends
N_METRONOMES = 40
PROFILE_SONGS, PROBE_SONGS = 400, 1400  # training songs to fit on at most
PROBE_PENALTY = 0.01
CODED_EVERY = 4  # of as many training songs the probe learns one through the codec too: it will judge what a codec made
NOTE_SONGS = 60  # training songs, each with its subsets of roles
NOTE_FRAMES = 688  # of an excerpt, 16 s
NOTE_CROP, NOTE_BATCH = 128, 8  # frames of a training row, 3 s; rows of a step
NOTE_STEPS, NOTE_RATE, NOTE_CLIP = 1600, 4e-3, 5.0
WORKERS = 2  # processes, one thread each


def main() -> None:
    """Reads the command line, fits, writes, measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder written by hybridgen.data.corpus")
    parser.add_argument("--only", choices=("profiles", "probe", "notes"), help="fit one of the three")
    songs = f"to fit on (default {PROFILE_SONGS}, for the probe {PROBE_SONGS}, for notes {NOTE_SONGS})"
    parser.add_argument("--songs", type=int, help=songs)
    parser.add_argument("--tests", type=int, default=40, help="test songs to measure on (default %(default)s)")
    parser.add_argument("--model", help="whose codec the songs of probe and notes pass (default: the shipped preset)")
    parser.add_argument("--out", type=Path, default=profiles.PATH.parent, help="folder (default: the package's)")
    args = parser.parse_args()
    records = corpus.read(args.corpus)
    train, test = ([record for record in records if record.split == split] for split in ("train", "test"))
    if args.only in (None, "notes"):
        fit_transcriber(
            train[: args.songs or NOTE_SONGS], test[: args.tests], args.model, args.out / transcription.PATH.name
        )
    if args.only in (None, "probe"):
        fit_probe(train[: args.songs or PROBE_SONGS], test[: args.tests], args.model, args.out / probe.PATH.name)
    if args.only in (None, "profiles"):
        fit_profiles(train, test, args.songs or PROFILE_SONGS, args.tests, args.out / profiles.PATH.name)


# ---- genre and roles


def fit_probe(train: list[SongRecord], test: list[SongRecord], model: str | None, path: Path) -> None:
    """Fits the probe on songs as they are and after a model's codec, writes it, and prints what it gets right."""
    through_codec = functools.partial(coded_features, model)
    found, songs = all_features(train, song_features, "features"), train[::CODED_EVERY]
    found = np.concatenate([found, all_features(songs, through_codec, "features through the codec")])
    songs = train + songs
    genres = tuple(sorted({song.genre for song in songs}))
    of_genre = np.array([[song.genre == genre for genre in genres] for song in songs])
    of_roles = np.array([[role in probe.planned_roles(song.plan) for role in ROLES] for song in songs])
    origin = (
        f"{len(train)} training songs of hybridgen.data.corpus, and every {CODED_EVERY}th of them through a codec too"
    )
    no_weights = np.zeros((found.shape[1] + 1, 0))
    blank = Probe(genres, origin, found.mean(axis=0), np.maximum(found.std(axis=0), 1e-6), no_weights, no_weights)
    x = blank.standardize(found)
    fitted = dataclasses.replace(
        blank,
        genre_weights=fit_linear(x, of_genre, F.cross_entropy),
        role_weights=fit_linear(x, of_roles, sum_of_binary_entropies),
    )
    fitted.save(path)
    print(f"{path}: {origin}")
    for name, features in (("test songs", song_features), ("through codec", through_codec)):
        print_probe(name, fitted, test, all_features(test, features, name))


def all_features(records: list[SongRecord], features: Callable[[SongRecord], np.ndarray], name: str) -> np.ndarray:
    """(n, f): the features of songs, one by one, under a progress bar of this name."""
    return np.stack(list(tqdm(run_tasks(features, records, WORKERS), name, total=len(records), unit="song")))


def song_features(record: SongRecord) -> np.ndarray:
    """(f,): the features of a song's middle."""
    return probe.features(middle(record))


def coded_features(model: str | None, record: SongRecord) -> np.ndarray:
    """(f,): the features of a song's middle after the codec of a model."""
    samples, codec = middle(record), load(model)
    return probe.features(codec.decode(codec.encode(Audio(samples, SAMPLE_RATE)), samples.shape[1]))


def middle(record: SongRecord) -> np.ndarray:
    """Samples (2, n) of the part of a song that the probe analyzes."""
    return np.ascontiguousarray(probe.middle(Audio.load(record.audio).samples))


@functools.cache
def load(model: str | None) -> Pipeline:
    """This process's pipeline."""
    return Pipeline.from_pretrained(model)


def fit_linear(x: np.ndarray, right: np.ndarray, loss: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
    """Weights (d, c) of a linear model of features (n, d), the last of them 1, for labels (n, c)."""
    features, labels = torch.from_numpy(x).float(), torch.from_numpy(right).float()
    return minimize(
        torch.zeros(x.shape[1], right.shape[1]),
        lambda weights: loss(features @ weights, labels) + PROBE_PENALTY * weights[:-1].square().sum(),
    )


def sum_of_binary_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of independent labels, summed over them."""
    return F.binary_cross_entropy_with_logits(logits, labels) * labels.shape[1]


def print_probe(name: str, fitted: Probe, songs: list[SongRecord], found: np.ndarray) -> None:
    """The shares of genres and of roles that are detected rightly, and of each role."""
    target = [probe.planned_roles(song.plan) for song in songs]
    detected = [fitted.roles(row) for row in found]
    genre = np.mean([fitted.genre(row) == song.genre for row, song in zip(found, songs, strict=True)])
    roles = np.mean([probe.roles_agreement(*pair) for pair in zip(detected, target, strict=True)])
    print(f"{name:<16}genre {genre:.3f}   roles {roles:.3f} of {len(songs)} songs")
    each = {
        role: np.mean([(role in a) == (role in b) for a, b in zip(detected, target, strict=True)]) for role in ROLES
    }
    print(f"{'':<16}" + "  ".join(f"{role} {share:.2f}" for role, share in each.items()))


# ---- notes


def fit_transcriber(train: list[SongRecord], test: list[SongRecord], model: str | None, path: Path) -> None:
    """Fits the transcriber on songs and on some of their roles, two in three after a model's codec; writes it, and
    prints how what it hears agrees with the plans."""
    torch.manual_seed(0)
    examples = []
    for i, record in enumerate(tqdm(train, "excerpts", unit="song")):
        files = [(record.audio, None), *((record.audio_of(roles), roles) for roles in record.subsets)]
        for j, (audio, roles) in enumerate(files):
            examples.append(note_example(record, audio, roles, model, is_coded=(i + j) % 3 > 0))
    network = transcription.Transcriber()
    optimizer = torch.optim.AdamW(network.parameters(), NOTE_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, NOTE_RATE, total_steps=NOTE_STEPS)
    for _ in tqdm(range(NOTE_STEPS), "notes", unit="step"):
        rows = [note_crop(examples[i]) for i in torch.randint(len(examples), (NOTE_BATCH,)).tolist()]
        stacked, bands, pitched, drums = (torch.stack(column) for column in zip(*rows, strict=True))
        logits = network(stacked.float(), bands.float())
        loss = sum(note_loss(*pair) for pair in zip(logits, (pitched, drums), strict=True))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), NOTE_CLIP)
        optimizer.step()
        schedule.step()
    save_weights(network, path)
    if path == transcription.PATH:
        transcription.load.cache_clear()
        print_notes(test, model)


def note_crop(example: Sequence[Tensor]) -> list[Tensor]:
    """Some seconds from anywhere in an example."""
    first = int(torch.randint(NOTE_FRAMES - NOTE_CROP + 1, ()))
    return [part[..., first : first + NOTE_CROP] for part in example]


def note_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of onsets (B, rows, F), -1 where nothing is said, per note that begins."""
    known = target >= 0
    loss = F.binary_cross_entropy_with_logits(logits, target.clamp(min=0), weight=known.float(), reduction="sum")
    return loss / (target > 0).sum().clamp(min=1)


def note_example(
    record: SongRecord, audio: Path, roles: Sequence[str] | None, model: str | None, is_coded: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and targets of the middle seconds of a file that holds these roles (None = all) of a song."""
    length = NOTE_FRAMES * transcription.HOP
    samples = Audio.load(audio).samples
    first = max(0, (samples.shape[1] - length) // 2)
    excerpt = samples[:, first : first + length - 1]
    samples = np.pad(excerpt, ((0, 0), (0, length - 1 - excerpt.shape[1])))
    if is_coded:
        codec = load(model)
        samples = codec.decode(codec.encode(Audio(samples, SAMPLE_RATE)), samples.shape[1])
    targets = torch.zeros(transcription.N_PITCHES + transcription.N_KINDS, NOTE_FRAMES)
    for note in record.song().notes:
        frame = round((note.start * SAMPLE_RATE - first) / transcription.HOP)
        is_drum = note.role in UNPITCHED
        row = (
            transcription.N_PITCHES + transcription.drum_kind(note.pitch)
            if is_drum
            else note.pitch - transcription.LOWEST
        )
        is_known = is_drum or transcription.LOWEST <= note.pitch <= transcription.HIGHEST
        if (roles is None or note.role in roles) and 0 <= frame < NOTE_FRAMES and is_known:
            around = targets[row, max(frame - 1, 0) : frame + 2]
            around[around == 0] = -1  # beside an onset nothing is said
            targets[row, frame] = 1
    parts = transcription.features(samples)
    pitched, drums = targets[: transcription.N_PITCHES], targets[transcription.N_PITCHES :]
    return parts[0].half(), parts[1].half(), pitched, drums


def print_notes(test: list[SongRecord], model: str | None) -> None:
    """How notes agree with the plan in files of one role and in mixes, real and after the codec."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in tqdm(test, "notes of test songs", unit="song"):
        everyone = tuple(role for role, _ in record.plan.instruments)
        for roles in (everyone, *(one for one in record.subsets if len(one) == 1)):
            samples = Audio.load(record.audio if roles == everyone else record.audio_of(roles)).samples
            coded = load(model).decode(load(model).encode(Audio(samples, SAMPLE_RATE)), samples.shape[1])
            for kind, sound in (("real", samples), ("codec", coded)):
                name = "mix" if roles == everyone else roles[0]
                score = transcription.agreement(transcription.listen(sound), record.plan, roles)
                found.setdefault((name, kind), []).append(score.f_measure)
    for (name, kind), values in sorted(found.items()):
        print(f"{name:<12}{kind:<8}{np.nanmean(values):.3f}  n {len(values)}")


# ---- tempo, chords and key


def fit_profiles(train: list[SongRecord], test: list[SongRecord], songs: int, tests: int, path: Path) -> None:
    """Fits the profiles on songs of one tempo and key, writes them, and prints what all estimators find."""
    train, test = (
        [r for r in part if len(r.plan.tempo) == 1 and r.plan.key and r.plan.meter] for part in (train, test)
    )
    pulses, chords, keys = collect_cases(train[:songs])
    pulse = fit(*pulses)
    chord, chord_minor_bias = unfold(fit(*chords))
    key, key_minor_bias = unfold(fit(*keys))
    origin = f"{len(train[:songs])} training songs of a corpus by hybridgen.data.corpus, and {N_METRONOMES} metronomes"
    profiles.save(Profiles(pulse, chord, chord_minor_bias, key, key_minor_bias, origin), path)
    if path == profiles.PATH:
        profiles.load.cache_clear()
        floors = [measure_song(record) for record in tqdm(test[:tests], "measure", unit="song")]
        print("\n".join(f"{name:<22}{value:8.3f}" for name, value in measurements.summarize_tracks(floors).items()))


def collect_cases(records: list[SongRecord]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """(features (n, c, d), right (n, c)) for pulses, chords and keys."""
    pulses, chords, keys = [metronome(bpm) for bpm in np.linspace(60.0, 180.0, N_METRONOMES)], [], []
    for record in tqdm(records, "cases", unit="song"):
        samples = Audio.load(record.audio).samples
        target = rhythm.pulse(record.plan.tempo[0].bpm, record.plan.meter)
        spectrum = spectral.semitones(samples)
        pulses.append(pulse_case(rhythm.onset_strength(samples), spectrum, target))
        spans = [(start, stop, harmony.majmin(name)) for start, stop, name in harmony.chord_spans(record.plan)]
        features = harmony.chord_features(harmony.notes(spectrum, np.array([span[:2] for span in spans])))
        chords += [
            (fold(row), np.array(harmony.MAJMIN) == name)
            for row, (_, _, name) in zip(features, spans, strict=True)
            if name is not None
        ]
        keys += key_cases(harmony.slices(spectrum), record.plan.key)
    return tuple(tuple(np.stack(part) for part in zip(*cases, strict=True)) for cases in (pulses, chords, keys))


def pulse_case(bands: np.ndarray, spectrum: np.ndarray, target: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of every pulse, from onsets and semitones, and which of them are within 2 % of the target."""
    features = rhythm.pulse_features(bands, rhythm.novelty(spectrum))
    return features.astype(np.float32), np.abs(rhythm.PULSES / target - 1.0) < 0.02


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

    def loss(weights: Tensor) -> Tensor:
        logits = torch.log_softmax(x @ weights, dim=1)
        return -logits.masked_fill(is_wrong, -1e9).logsumexp(dim=1).mean() + PENALTY * weights.square().sum()

    return minimize(torch.zeros(x.shape[-1]), loss)


def minimize(start: Tensor, loss: Callable[[Tensor], Tensor]) -> np.ndarray:
    """The weights, from `start` on, at which a loss is least."""
    weights = start.requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach().double().numpy()


def measure_song(record: SongRecord) -> TrackMeasurements:
    """What the estimators find in a song of the corpus."""
    plan = record.plan
    return measurements.measure(Audio.load(record.audio).samples, plan, plan.tempo[0].bpm, plan.key)


if __name__ == "__main__":
    main()
