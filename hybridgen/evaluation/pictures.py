"""Pictures of an evaluation: the ladder of distances, and generated tracks beside the composer's songs."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hybridgen import plot
from hybridgen.files import atomic_write
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.plan import Plan
from hybridgen.plan.serial import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_COLORS = 48  # of a picture, which keeps it small


def draw_ladder(steps: dict[str, dict[str, float]], floor: dict[str, float], path: Path) -> None:
    """Bars of the kernel distances with their intervals, a rung each; the line is the floor's 95 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.subplots()
    distances = np.array([step["kernel_distance"] for step in steps.values()])
    low, high = np.array([[step["kernel_low"], step["kernel_high"]] for step in steps.values()]).T
    errors = np.maximum(np.stack([distances - low, high - distances]), 0.0)
    axes.barh(list(steps), distances, xerr=errors, color="#3b4cc0", ecolor=plot.INK, height=0.6)
    axes.axvline(floor["kernel_high"], color=plot.GRID, linewidth=1.0)
    axes.invert_yaxis()
    axes.set_xlabel("kernel distance x 1000 to other songs; the line: 95 % of songs among themselves", fontsize=8)
    axes.tick_params(labelsize=8)
    save_small(figure, path)


def draw_pair(generated: tuple[np.ndarray, Plan], real: tuple[np.ndarray, Plan], path: Path) -> None:
    """Two sounds (2, N) beside each other with their plans: sections, roles, spectrogram."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 4.6), layout="constrained")
    grid = figure.subplots(3, 2, sharex="col", height_ratios=(0.4, 1.0, 3.0))
    for column, name, (samples, plan) in zip(grid.T, ("generated", "real"), (generated, real), strict=True):
        plot.draw_sections(column[0], plan)
        plot.draw_roles(column[1], plan)
        plot.draw_spectrogram(column[2], samples, plan)
        column[2].set_xlim(0.0, samples.shape[-1] / SAMPLE_RATE)
        column[0].set_title(f"{name}: {summary(plan)}", loc="left", fontsize=9, color=plot.INK)
    save_small(figure, path)


def save_small(figure: "Figure", path: Path) -> None:
    """Writes a figure as a PNG of few colors, atomically."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, dpi=80, format="png")
    picture = Image.open(drawn).convert("RGB").quantize(N_COLORS)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="png", optimize=True)
