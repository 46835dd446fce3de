"""A whole comparison, from a model to the files of a report."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from hybridgen import __version__
from hybridgen.benchmark import agreement, measure, ours, report, rows
from hybridgen.benchmark.report import Report
from hybridgen.benchmark.task import make_task
from hybridgen.files import made_folder
from hybridgen.render import beside
from hybridgen.stages import check_device

PACKAGES = ("torch", "transformers", "diffusers")


@dataclass(frozen=True)
class Size:
    """How much is made, and how long two calls are timed."""

    seconds: float  # of music
    budget: float  # seconds of a contest
    with_compiled: bool  # whether peers are compiled too, which can take minutes


FULL, QUICK = Size(10.0, 6.0, True), Size(6.0, 2.0, False)


def compare(
    model: str,
    out: Path,
    size: Size = FULL,
    *,
    device: str = "cpu",
    busy: bool = False,
    accept_license: str | None = None,
) -> str:
    """Measures a model beside the peers, writes bench.json, bench.md and bench.png to `out`; returns the table.

    The files are written anew after each contest, so that a run that is stopped leaves what it has found.
    busy: the same again beside one busy core. Peers whose packages are not installed are named and left out. Raises
    ValueError for a missing model or device, and where layers that should agree do not; OSError for an `out` that
    cannot be written.
    """
    table = ""
    with made_folder(out):
        for found in _reports(model, size, check_device(device), busy, accept_license):
            table = report.write(found, out)
    return table


def _reports(model: str, size: Size, where: torch.device, busy: bool, accept_license: str | None) -> Iterator[Report]:
    """What is known after each contest."""
    pipe = ours.pipeline(model, where, accept_license)
    limits = measure.limits(where, measure.PROBES[where.type])
    task = make_task(pipe, model, size.seconds)
    agreements = agreement.check(task)
    time = partial(measure.alternate, budget=size.budget, clock=partial(measure.seconds_of, device=where))
    threads = beside.default_threads(pipe.config.renderer.dim, torch.get_num_threads())
    bench = rows.Bench(task, limits, time, (False, True) if busy else (False,), threads=threads)
    facts = {
        "seconds": size.seconds,
        "code frames": task.n_codes,
        "steps of notes": task.n_note_steps,
        "windows": len(task.windows),
        "solver steps": task.shapes.sampling.num_steps,
        "threads of a stage of ours": threads,
    }
    for found in bench.measured(rows.contests(task, size.with_compiled)):
        yield Report(model, facts, machine(where), limits, agreements, found)


def machine(device: torch.device) -> dict[str, str]:
    """What it was measured on."""
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "hybridgen": __version__,
        **versions,
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """What Linux calls the processor; elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
