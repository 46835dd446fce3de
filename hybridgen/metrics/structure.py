"""Form, from the samples: whether sections of one label sound alike and those of different labels do not, and whether
bars come back at all.

Samples are float arrays (N,) or (2, N) at 44.1 kHz, the plan's first sample first. n bars, K sections, F frames.
"""

import itertools

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import mannwhitneyu

from hybridgen.metrics.spectral import (
    LOWEST_SEMITONE,
    MEL_HOP,
    N_SEMITONES,
    SAMPLE_RATE,
    SEMITONE_RATE,
    decibels,
    mel,
    mono,
    semitones,
)
from hybridgen.plan.plan import Plan

BANDS = 32
HARMONY_WEIGHT = 4.0  # of the chords against the timbre; chosen on 24 songs of the composer
APART = 4  # bars between two of which the later may be called a repetition


def label_auc(samples: np.ndarray, plan: Plan) -> float:
    """The share of cases in which two bars of one label sound more alike than two of different labels (area under the
    ROC curve; 0.5 is chance, 1 is perfect). NaN where no label comes back, or there is one label only.

    Only bars of different sections are compared, and a bar sounds as its whole section does: neighbors sound alike in
    music without any form too. Neighboring sections of one label count as one; sections without a label are left out.
    """
    labels, sections = _sections(plan, np.shape(samples)[-1])
    first, second = np.triu_indices(len(labels), 1)
    known = np.array([label is not None for label in labels], dtype=bool)
    kept = (sections[first] != sections[second]) & known[first] & known[second]
    first, second = first[kept], second[kept]
    same = np.array([labels[i] == labels[j] for i, j in zip(first, second, strict=True)], dtype=bool)
    if same.all() or not same.any():
        return float("nan")
    apart = _distances(samples, plan, sections)[sections[first], sections[second]]
    return float(mannwhitneyu(apart[~same], apart[same]).statistic / (same.sum() * (~same).sum()))


def repetition(samples: np.ndarray, starts: np.ndarray) -> float:
    """How much of a sound comes back: 0 as in noise, 1 where each bar was heard before or will be, at least four away.

    starts (n + 1,): where the bars begin, in seconds. The mean over bars of the likeness (cosine of timbre and harmony)
    to the likest bar that is far enough away; NaN with fewer than eight bars.
    """
    if len(starts) <= 2 * APART:
        return float("nan")
    rows = np.concatenate([_timbre(samples, starts), np.sqrt(HARMONY_WEIGHT) * _chroma(samples, starts)], axis=1)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    number = np.arange(len(rows))
    far = np.abs(number[:, None] - number) >= APART
    return float(np.where(far, rows @ rows.T, -1.0).max(axis=1).mean())


def _sections(plan: Plan, n_samples: int) -> tuple[list[str | None], np.ndarray]:
    """Labels (n) of the bars that begin inside plan and sound, and the number (n,) of each bar's section."""
    n_bars = int((plan.bar_starts()[:-1] < min(plan.length, n_samples)).sum())
    labels = [section.label for section in plan.sections for _ in section.bars][:n_bars]
    begins = [i > 0 and labels[i] != labels[i - 1] for i in range(n_bars)]
    return labels, np.cumsum(begins, dtype=int)


def _distances(samples: np.ndarray, plan: Plan, sections: np.ndarray) -> np.ndarray:
    """(K, K): of the sections' average timbre, and of their harmony bar by bar as far as the shorter one goes."""
    edges = np.minimum(plan.bar_starts()[: len(sections) + 1], np.shape(samples)[-1]) / SAMPLE_RATE
    timbre, chroma = _timbre(samples, edges), _chroma(samples, edges)
    parts = [sections == k for k in range(sections[-1] + 1)]
    distances = squareform(pdist(np.stack([timbre[part].mean(axis=0) for part in parts]), "sqeuclidean"))
    for i, j in zip(*np.triu_indices(len(parts), 1), strict=True):
        a, b = chroma[parts[i]], chroma[parts[j]]
        length = min(len(a), len(b))
        distances[i, j] += HARMONY_WEIGHT * ((a[:length] - b[:length]) ** 2).sum(axis=1).mean()
    return np.triu(distances, 1) + np.triu(distances, 1).T


def _timbre(samples: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, 32): log-mel bands of each bar, each band standardized over the bars; rows have length 1 on average."""
    bands = mel(mono(samples))
    level = decibels(bands, bands.max()).reshape(BANDS, -1, bands.shape[1]).mean(axis=1)
    rows = _bar_means(level, edges * SAMPLE_RATE / MEL_HOP)
    return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9) / np.sqrt(BANDS)


def _chroma(samples: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, 12): the share of each pitch in each bar against the whole; rows have length 1 on average."""
    spectrum = semitones(samples)
    pitches = (LOWEST_SEMITONE + np.arange(N_SEMITONES)) % 12
    compressed = np.log1p(1000.0 * spectrum / max(spectrum.max(), 1e-9))
    rows = _bar_means((pitches == np.arange(12)[:, None]) @ compressed, edges * SEMITONE_RATE)
    rows = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-9)
    rows = rows - rows.mean(axis=0)
    return rows / max(float(np.sqrt((rows**2).sum(axis=1).mean())), 1e-9)


def _bar_means(curves: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, K): means of curves (K, F) between n + 1 edges in frames."""
    last = curves.shape[1] - 1
    first = np.minimum(np.rint(edges).astype(int), last)
    return np.stack([curves[:, a : max(b, a + 1)].mean(axis=1) for a, b in itertools.pairwise(first)])
