"""The plan as labels of Audacity: a line for each section, bar or chord, to lay under the sound."""

import numpy as np

from hybridgen.formats.symbols import UNKNOWN
from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.score import Score

KINDS = ("sections", "bars", "chords")


def to_labels(plan: Score, kind: str = "sections") -> str:
    """Lines of start, end (seconds, of the nearest sample) and name, with tabs between, inside the track.

    kind: "sections" (names are labels), "bars" (numbers from 1) or "chords" (one or two a bar, half a bar each); what
    is unknown is "?". ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"labels: {kind[:60]!r} is none of {', '.join(KINDS)}")
    rate = plan.time_base.sample_rate
    return "".join(
        f"{start / rate:.6f}\t{stop / rate:.6f}\t{UNKNOWN if name is None else name}\n"
        for start, stop, name in spans(plan, kind)
    )


def spans(plan: Score, kind: str) -> list[tuple[int, int, str | None]]:
    """(first sample, one past the last, name or None where unknown) of all of a kind, inside the track."""
    if plan.tempo_map is None or plan.meter is None:
        return []
    found = {"sections": _sections, "bars": _bars, "chords": _chords}[kind](plan)
    quarters = np.array([span[:2] for span in found]) * meter_quarters(plan.meter)
    seconds = plan.tempo_map.seconds_at(quarters)
    samples = np.minimum(np.rint(seconds * plan.time_base.sample_rate).astype(np.int64), plan.length).tolist()
    return [(start, stop, name) for (start, stop), (_, _, name) in zip(samples, found, strict=True) if stop > start]


Span = tuple[float, float, str | None]  # first and last position in bars from the start, and a name


def _sections(plan: Score) -> list[Span]:
    ends = np.cumsum([len(section.bars) for section in plan.sections]).tolist()
    return [(end - len(section.bars), end, section.label) for section, end in zip(plan.sections, ends, strict=True)]


def _bars(plan: Score) -> list[Span]:
    return [(number, number + 1, str(number + 1)) for number in range(plan.n_bars)]


def _chords(plan: Score) -> list[Span]:
    bars: list[tuple[str | None, ...]] = [bar.chords or (None,) for bar in plan.bars]
    return [
        (number + i / len(chords), number + (i + 1) / len(chords), chord)
        for number, chords in enumerate(bars)
        for i, chord in enumerate(chords)
    ]
