"""A picture of a track: its plan (sections, chords, roles, notes, bars), drawn over the mel spectrogram of its sound.

Needs matplotlib, which is imported when a picture is drawn. M mel bands, F frames.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hybridgen import spectra
from hybridgen.files import atomic_write
from hybridgen.outputs import MARK, PICTURE_ENDINGS
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.parts import MAX_ENERGY, ROLES
from hybridgen.plan.plan import Plan
from hybridgen.plan.serial import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOW, HOP, N_BANDS = 4096, 1024, 128
BLOCK = 256  # frames whose spectra are in memory at once
MAX_COLUMNS = 4096  # of the picture of a spectrogram, about a pixel each in the widest
FLOOR_DB = spectra.FLOOR_DB
MIN_LOUDEST = 0.01  # of the loudest band: silence stays dark
INCHES_PER_SECOND, MIN_INCHES, MAX_INCHES = 0.35, 8.0, 40.0
INCHES_PER_CHORD = 0.3  # a chord's name is left out where it would run into the next
HIT_SECONDS = 0.04  # of a drum
MIN_SEMITONES = 12.0  # of a lane of notes
SPECTROGRAM_INCHES, EMPTY_INCHES = 4.0, 0.4  # of a row; the second of a plan without bars
PAIR_SCALE = 0.65  # of the tall rows where two plans and sounds are drawn
MARK_HEIGHT = 0.025  # of a spectrogram
MARK_KEYS = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}  # what each format calls the software
INK, GRID, MARK_COLOR = "#1c1c28", "#9a9aa8", "#0fb5ae"


def plot(samples: np.ndarray, plan: Plan, path: str | Path) -> None:
    """Draws samples (2, N) and their plan to a picture file, .png, .svg or .pdf by its name; needs matplotlib."""
    with atomic_write(path) as file:
        write(draw(samples, plan), file, Path(path).suffix)


def write(figure: "Figure", file: Path, suffix: str) -> None:
    """Writes a figure in the format that `suffix` names, .png, .svg or .pdf, to a file of any name."""
    if suffix.lower() not in PICTURE_ENDINGS:
        raise ValueError(f"picture format {suffix!r} is none of {' '.join(PICTURE_ENDINGS)}")
    software = {MARK_KEYS[suffix.lower()]: MARK}
    figure.savefig(file, dpi=110, format=suffix[1:].lower(), metadata=software)


def draw(samples: np.ndarray, plan: Plan) -> "Figure":
    """The picture of samples (2, N) and their plan, as a figure that no window shows; needs matplotlib."""
    seconds = samples.shape[-1] / plan.time_base.sample_rate
    heights = [*plan_heights(plan), SPECTROGRAM_INCHES]
    figure, axes = _rows(heights, seconds)
    draw_plan(axes, plan, shortest=INCHES_PER_CHORD * seconds / figure.get_figwidth())
    draw_spectrogram(axes[-1], samples, plan)
    axes[0].set_title(title(plan), loc="left", fontsize=9, color=INK)
    return figure


def draw_pair(
    plans: tuple[Plan, Plan],
    sounds: tuple[np.ndarray, np.ndarray] | None,
    names: tuple[str, str],
    bars: tuple[Sequence[int], Sequence[int]],
) -> "Figure":
    """Two plans above one another, and below them the spectrograms of their sounds (2, N), where there are any.

    names: what each is called; bars: numbers, from 1, of those that are marked in both plans, and in both sounds.
    """
    seconds = max(plan.seconds for plan in plans)
    heights = [plan_heights(plan, PAIR_SCALE) or [EMPTY_INCHES] for plan in plans]
    below = [PAIR_SCALE * SPECTROGRAM_INCHES] * len(sounds or ())
    figure, rows = _rows([*heights[0], *heights[1], *below], seconds)
    first, n_plans = len(heights[0]), len(heights[0]) + len(heights[1])
    for plan, name, own in zip(plans, names, (rows[:first], rows[first:n_plans]), strict=True):
        draw_plan(own, plan, shortest=INCHES_PER_CHORD * seconds / figure.get_figwidth())
        own[0].set_title(f"{name}    {title(plan)}", loc="left", fontsize=9, color=INK)
        for row in own[1:]:
            mark_bars(row, plan, bars[0], 0.18)
    for plan, name, sound, row in zip(plans, names, sounds or (), rows[n_plans:], strict=False):
        draw_spectrogram(row, sound, plan)
        row.set_ylabel(f"{name}, Hz", fontsize=8)
        for edge in ((0.0, MARK_HEIGHT), (1 - MARK_HEIGHT, 1.0)):
            mark_bars(row, plan, bars[1], 1.0, edge)
    for row in rows[:-1]:
        row.set_xlabel("")
    rows[-1].set_xlabel("seconds", fontsize=8)
    rows[-1].tick_params(axis="x", length=2, labelsize=7, labelbottom=True)
    return figure


def _rows(heights: Sequence[float], seconds: float) -> tuple["Figure", list["Axes"]]:
    """A figure with rows of these heights in inches, one above the other, over the same seconds."""
    from matplotlib.figure import Figure

    width = float(np.clip(INCHES_PER_SECOND * seconds, MIN_INCHES, MAX_INCHES))
    figure = Figure(figsize=(width, 1.5 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    axes[-1].set_xlim(0.0, seconds)
    return figure, list(axes)


def plan_heights(plan: Plan, scale: float = 1.0) -> list[float]:
    """Inches of the rows that `draw_plan` fills: sections, chords, roles, these scaled; [] for a plan without bars."""
    return [0.6, 0.4, scale * (4.0 if plan.notes else 1.8)] if plan.n_bars else []


def draw_plan(axes: Sequence["Axes"], plan: Plan, shortest: float) -> None:
    """Sections, chords (see `draw_chords`) and roles in the first three rows; nothing for a plan without bars."""
    if plan.n_bars:
        draw_sections(axes[0], plan)
        draw_chords(axes[1], plan, shortest)
        draw_roles(axes[2], plan)


def mark_bars(
    axes: "Axes", plan: Plan, bars: Sequence[int], alpha: float, between: tuple[float, float] = (0.0, 1.0)
) -> None:
    """Colors these bars of the plan, as far as it has them, `between` two heights of the row, 0 its lower edge."""
    starts = plan.bar_starts() / plan.time_base.sample_rate
    for bar in bars:
        if bar <= plan.n_bars:
            span = (starts[bar - 1], starts[bar], *between)
            axes.axvspan(*span, facecolor=MARK_COLOR, alpha=alpha, linewidth=0)


def title(plan: Plan) -> str:
    """One line: the prompt, then the plan's facts."""
    return (f"“{plan.prompt}”    " if plan.prompt else "") + summary(plan)


def section_spans(plan: Plan) -> np.ndarray:
    """(sections, 2): seconds at which each section starts and ends."""
    bounds = np.cumsum([0, *(len(section.bars) for section in plan.sections)])
    seconds = plan.bar_starts()[bounds] / plan.time_base.sample_rate
    return np.stack([seconds[:-1], seconds[1:]], axis=1)


def draw_sections(axes: "Axes", plan: Plan) -> None:
    """Blocks with the section's label; the darker, the more energy."""
    for section, (start, stop) in zip(plan.sections, section_spans(plan), strict=True):
        energy = 0.5 if section.energy is None else section.energy / MAX_ENERGY
        axes.axvspan(start, stop, facecolor="#3b4cc0", alpha=0.15 + 0.6 * energy, edgecolor="white")
        label = section.label or "?"
        level = "" if section.energy is None else f" {section.energy}"
        axes.text((start + stop) / 2, 0.5, label + level, ha="center", va="center", fontsize=8, color=INK, clip_on=True)
    strip(axes, "section, energy")


def draw_chords(axes: "Axes", plan: Plan, shortest: float) -> None:
    """The name of every chord where it enters, unless the last name is less than `shortest` seconds before."""
    starts = plan.bar_starts() / plan.time_base.sample_rate
    last, free = None, 0.0
    for bar, start, stop in zip(plan.bars, starts, starts[1:], strict=False):
        for i, chord in enumerate(bar.chords or ("?",)):
            at = start + i * (stop - start) / len(bar.chords or "?")
            if chord != last and at >= free:
                axes.text(at, 0.5, f" {chord}", ha="left", va="center", fontsize=7, color=INK, clip_on=True)
                free = at + shortest
            last = chord
    axes.vlines(starts, 0.0, 1.0, color=GRID, linewidth=0.5)
    strip(axes, "chords")


def draw_roles(axes: "Axes", plan: Plan) -> None:
    """A lane for each role of the plan, filled where it plays, with its notes where they are known; pale where not."""
    roles = [role for role in ROLES if role in dict(plan.instruments)]
    for section, (start, stop) in zip(plan.sections, section_spans(plan), strict=True):
        for lane, role in enumerate(roles):
            if section.roles is None or role in section.roles:
                alpha = 0.2 if section.roles is None or not plan.part(role).is_unknown else 0.8
                axes.broken_barh([(start, stop - start)], (lane + 0.15, 0.7), facecolor=color(role), alpha=alpha)
    for lane, role in enumerate(roles):
        draw_notes(axes, plan, role, (lane + 0.8, lane + 0.2))
    axes.set_ylim(max(len(roles), 1), 0)
    axes.set_yticks(np.arange(len(roles)) + 0.5, roles, fontsize=7)
    axes.tick_params(length=0, labelbottom=False)


def draw_notes(axes: "Axes", plan: Plan, role: str, span: tuple[float, float]) -> None:
    """The known notes of a role, its lowest and highest at the ends of `span`; of drums where they begin."""
    samples, notes = plan.note_samples(role)
    if not notes:
        return
    seconds = samples / plan.time_base.sample_rate
    ends = np.minimum(seconds[:, 1], seconds[:, 0] + HIT_SECONDS) if role in UNPITCHED else seconds[:, 1]
    pitches = np.array([note.pitch for note in notes], dtype=float)
    extent = max(float(np.ptp(pitches)), MIN_SEMITONES)
    place = 0.5 + (pitches - (pitches.max() + pitches.min()) / 2) / extent
    axes.hlines(span[0] + place * (span[1] - span[0]), seconds[:, 0], ends, color=color(role), linewidth=1.6)


def color(role: str) -> str:
    """The color of a role, the same in every picture."""
    return f"C{ROLES.index(role)}"


def draw_spectrogram(axes: "Axes", samples: np.ndarray, plan: Plan) -> None:
    """The mel spectrogram with the bar lines over it, numbered from 1."""
    rate = plan.time_base.sample_rate
    step = -(-(1 + samples.shape[-1] // HOP) // MAX_COLUMNS)
    borders, decibels = mel_spectrogram(samples, rate, step)
    edges = np.array([-0.5, step * decibels.shape[1] - 0.5]) * HOP / rate
    axes.imshow(
        decibels,
        extent=(*edges, 0, len(borders) - 1),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=FLOOR_DB,
        vmax=0.0,
    )
    shown = np.array([100, 200, 400, 800, 1600, 3200, 6400, 12_800])
    axes.set_yticks(np.interp(shown, borders, np.arange(len(borders))), [f"{f:,}" for f in shown], fontsize=7)
    axes.set_ylabel("Hz", fontsize=8)
    axes.set_xlabel("seconds; bars above", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    bars = plan.bar_starts() / plan.time_base.sample_rate if plan.n_bars else np.zeros(0)
    axes.vlines(bars, 0, len(borders) - 1, color="white", linewidth=0.4, alpha=0.6)
    step = max(1, len(bars) // 40)
    for number, start in enumerate(bars[:-1:step]):
        axes.text(start, len(borders), f"{1 + number * step}", fontsize=6, color=GRID, ha="center", va="bottom")


def strip(axes: "Axes", name: str) -> None:
    """A row without scales."""
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.5], [name], fontsize=7)
    axes.tick_params(length=0, labelbottom=False)


def mel_spectrogram(samples: np.ndarray, sample_rate: int, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(borders of the bands (M + 1,) in Hz, dB below the loudest (M, F)) of samples (2, N), every step · HOP samples.

    Each is the mean of `step` frames in a row. Of the spectra that they are made of `BLOCK` are in memory at once.
    """
    bands = _mel_bands(samples, sample_rate)
    loudest = bands.max().clamp(min=MIN_LOUDEST)
    edges = spectra.mel_edges(sample_rate, N_BANDS)
    decibels = spectra.decibels(bands / loudest, torch.ones(()))
    thinned = torch.stack([frames.mean(0) for frames in decibels.split(step)]) if step > 1 else decibels
    return ((edges[1:] + edges[:-1]) / 2).numpy(), thinned.T.numpy()


def _mel_bands(samples: np.ndarray, sample_rate: int) -> torch.Tensor:
    """Magnitudes (F, M) of frames centered on every `HOP` samples of samples (2, N), silence around them."""
    n_frames, length = 1 + samples.shape[-1] // HOP, samples.shape[-1]
    bands = torch.empty(n_frames, N_BANDS)
    for first in range(0, n_frames, BLOCK):
        last = min(first + BLOCK, n_frames)
        start, stop = first * HOP - WINDOW // 2, (last - 1) * HOP + WINDOW // 2
        sound = np.array(samples[:, max(start, 0) : stop], dtype=np.float32)  # a copy: a track's are read-only
        mono = torch.nn.functional.pad(torch.from_numpy(sound).mean(0), (max(-start, 0), max(stop - length, 0)))
        bands[first:last] = spectra.mel_magnitude(mono, sample_rate, WINDOW, HOP, N_BANDS)
    return bands
