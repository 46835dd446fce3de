"""Any sound file judged as it is: level, balance, tempo, key, chords, repetition; and against a plan, if it has one.

Nothing here knows which model made a file, so that one measure holds for all of them. Samples are float32 arrays (2, N)
at 44.1 kHz.
"""

import functools
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridgen import formats, manifest
from hybridgen.audio import Audio
from hybridgen.metrics import harmony, measurements, mix, repetition, rhythm, structure, transcription
from hybridgen.metrics.measurements import TrackMeasurements
from hybridgen.metrics.mix import OCTAVES, Mix
from hybridgen.metrics.spectral import SAMPLE_RATE
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.workers import run_tasks

ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aif", ".aiff")
MIN_SECONDS = 4.0  # of a sound that a tempo and a key can be heard in
BEATS_A_BAR = 4  # of a file without a plan: what a bar is taken to be
HEARD = ("bass", "lead", "drums")  # roles whose notes are listened for in the mix


@dataclass(frozen=True)
class AgainstPlan:
    """How a sound keeps its plan."""

    measurements: TrackMeasurements
    returning: float  # of the plan: share of returning bars that are played as before
    notes: dict[str, float]  # role -> share of its notes that are heard in the mix


@dataclass(frozen=True)
class Judgement:
    """What is measured of one file."""

    file: str
    seconds: float
    mix: Mix
    tempo: float  # beats a minute as one taps them; 0 where nothing has an onset
    key: str
    chords: tuple[str, ...]  # heard, every two beats, each change once
    repetition: float  # see `structure.repetition`
    plan: AgainstPlan | None


def find(places: Sequence[Path]) -> dict[Path, list[Path]]:
    """The sound files of each folder, by name, in order; a file stands for itself.

    Raises FileNotFoundError, or ValueError for a folder without any.
    """
    found = {}
    for place in places:
        if place.is_dir():
            files = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
            if not files:
                raise ValueError(f"{place}: holds no sound file ({' '.join(ENDINGS)})")
        else:
            if not place.exists():
                raise FileNotFoundError(2, "No such file or directory", str(place))
            files = [place]
        found[place] = files
    return found


def plan_of(path: Path, plans: Path | None) -> Plan | None:
    """The plan of a sound file: of its name in the folder `plans`, in any format that is read, or of its own manifest.

    None where there is none. ValueError for a file that cannot be read.
    """
    if plans is not None:
        for ending in formats.READS:
            if (beside := plans / f"{path.stem}{ending}").is_file():
                return formats.read(beside)[0]
    return manifest.read(path).plan if manifest.carries(path) else None


def judge(path: Path, plans: Path | None = None) -> Judgement:
    """Everything that is measured of a sound file.

    Raises ValueError for what is no sound, is shorter than four seconds, or has a plan that cannot be read.
    """
    plan, sound = plan_of(path, plans), Audio.load(path, SAMPLE_RATE)
    if sound.seconds < MIN_SECONDS:
        raise ValueError(f"{path}: {sound.seconds:.2f} s is shorter than the {MIN_SECONDS:g} s that are needed")
    beats = rhythm.beats(sound.samples)
    if plan is not None:
        plan = plan.on(TimeBase())
    return Judgement(
        file=str(path),
        seconds=sound.seconds,
        mix=mix.measure(sound.samples),
        tempo=rhythm.beat_rate(beats),
        key=harmony.key(sound.samples)[0],
        chords=_chords(sound.samples, beats),
        repetition=structure.repetition(sound.samples, _bar_starts(plan, beats)),
        plan=None if plan is None else against(sound.samples, plan),
    )


def judge_all(files: Sequence[Path], plans: Path | None, workers: int) -> Iterator[Judgement | ValueError]:
    """`judge` of each file, in order, by some processes of one thread each; what is wrong with a file in its place."""
    measurements.compile_estimators()
    yield from run_tasks(functools.partial(_judgement_or_error, plans=plans), files, workers)


def _judgement_or_error(path: Path, plans: Path | None) -> Judgement | ValueError:
    try:
        return judge(path, plans)
    except ValueError as error:
        return error


def _bar_starts(plan: Plan | None, beats: np.ndarray) -> np.ndarray:
    """Where bars begin, in seconds: of the plan, or else every four beats that are heard."""
    if plan is not None and plan.n_bars:
        return plan.bar_starts()[: int((plan.bar_starts() <= plan.length).sum())] / SAMPLE_RATE
    return beats[::BEATS_A_BAR]


def _chords(samples: np.ndarray, beats: np.ndarray) -> tuple[str, ...]:
    spans = np.array(list(itertools.pairwise(beats[::2]))).reshape(-1, 2)
    heard = harmony.chords(samples, spans) if len(spans) else ()
    return tuple(chord for chord, _ in itertools.groupby(heard))


def against(samples: np.ndarray, plan: Plan) -> AgainstPlan | None:
    """How samples (2, N) keep a plan that counts time at 44.1 kHz; None for one without key, meter or two beats."""
    if plan.key is None or plan.meter is None or plan.tempo_map is None or len(plan.beat_starts()) < 2:
        return None
    onsets = transcription.listen(samples)
    tempo = float(plan.tempo_map.bpm_at(np.zeros(1))[0])
    return AgainstPlan(
        measurements=measurements.measure(samples, plan, tempo, plan.key),
        returning=repetition.returning(plan),
        notes={
            role: transcription.agreement(onsets, plan, (role,)).recall for role in HEARD if any(plan.part(role).bars)
        },
    )


# ---- tables


Figure = Callable[[Judgement], float]
FIGURES: dict[str, tuple[str, Figure]] = {  # heading -> how it is written, what it is
    "seconds": ("7.1f", lambda one: one.seconds),
    "LUFS": ("6.1f", lambda one: one.mix.lufs),
    "range": ("5.1f", lambda one: one.mix.loudness_range),
    "crest": ("5.1f", lambda one: one.mix.crest_db),
    "peak": ("5.1f", lambda one: one.mix.peak_dbtp),
    "octave": ("6.0f", lambda one: one.mix.loudest_octave),
    "99% Hz": ("6.0f", lambda one: one.mix.bandwidth),
    "width": ("5.2f", lambda one: one.mix.width),
    "mono": ("5.1f", lambda one: -one.mix.mono_loss_db),
    "attack": ("6.1f", lambda one: one.mix.attack_ms),
    "hits/s": ("6.1f", lambda one: one.mix.onsets),
    "start": ("6.1f", lambda one: one.mix.start_db),
    "end": ("6.1f", lambda one: one.mix.end_db),
    "tempo": ("6.1f", lambda one: one.tempo),
    "repeats": ("7.2f", lambda one: one.repetition),
    "beats": ("5.2f", lambda one: _planned(one, lambda plan: plan.measurements.beat_f_measure)),
    "chords": ("6.2f", lambda one: _planned(one, lambda plan: plan.measurements.chord_majmin)),
    "bass": ("5.2f", lambda one: _planned(one, lambda plan: plan.notes.get("bass", math.nan))),
    "lead": ("5.2f", lambda one: _planned(one, lambda plan: plan.notes.get("lead", math.nan))),
    "returns": ("7.2f", lambda one: _planned(one, lambda plan: plan.returning)),
}
LEGEND = """\
range: loudness range, LU; crest, peak (dBTP), mono (what the sum of the channels loses), start (first millisecond over
the first 200) and end (last 20 ms over the whole): dB; octave: Hz of the loudest; 99% Hz: under which 99 % of the
energy lies; attack: ms; hits/s: sharp onsets; repeats: of bars, 0-1. Against a plan: beats (F-measure), chords (time
with the right triad), bass and lead (share of their notes heard), returns (bars of the plan that return the same)."""


def _planned(one: Judgement, figure: Callable[[AgainstPlan], float]) -> float:
    return math.nan if one.plan is None else figure(one.plan)


def table(judged: Mapping[Path, Sequence[Judgement]]) -> str:
    """A row for each file, and for each folder its medians and quartiles, the levels of octaves under all."""
    all_of_them = [one for many in judged.values() for one in many]
    shown = {name: each for name, each in FIGURES.items() if any(not math.isnan(each[1](one)) for one in all_of_them)}
    width = max(
        len(name)
        for name in [*(_short(one.file) for one in all_of_them), *(_short(str(place)) for place in judged), "file"]
    )
    lines = [
        " ".join([f"{'file':<{width}}", *(f"{name:>{_width(name, form)}}" for name, (form, _) in shown.items()), "key"])
    ]
    for place, many in judged.items():
        for one in many:
            cells = [_cell(name, form, figure(one)) for name, (form, figure) in shown.items()]
            lines.append(" ".join([f"{_short(one.file):<{width}}", *cells, f"{one.key:<3}{_key_mark(one)}"]).rstrip())
        if len(many) > 1:
            lines.append("")
            for share, label in ((50, "median"), (25, "quartile"), (75, "quartile")):
                cells = [
                    _cell(name, form, _percentile([figure(one) for one in many], share))
                    for name, (form, figure) in shown.items()
                ]
                lines.append(
                    " ".join([f"{label if share != 50 else _short(str(place)):<{width}}", *cells, label]).rstrip()
                )
            lines.append("")
    return "\n".join([*lines, *_octave_lines(judged, width), "", LEGEND])


def _octave_lines(judged: Mapping[Path, Sequence[Judgement]], width: int) -> list[str]:
    heading = " ".join([f"{'level by octave, dB':<{width}}", *(f"{octave:>6.0f}" for octave in OCTAVES)])
    rows = [
        " ".join([f"{_short(str(place)):<{width}}", *(f"{level:>6.1f}" for level in octave_medians(many))])
        for place, many in judged.items()
    ]
    return ["", heading, *rows]


def octave_medians(many: Sequence[Judgement]) -> list[float]:
    """The median level of each octave over files, in dB."""
    return [_percentile(list(levels), 50) for levels in zip(*(one.mix.octaves_db for one in many), strict=True)]


def to_json(judged: Mapping[Path, Sequence[Judgement]]) -> str:
    """All figures of all files, null for what could not be measured, infinite levels as null too."""
    return json.dumps({str(place): [_plain(asdict(one)) for one in many] for place, many in judged.items()}, indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percentile(values: Sequence[float], share: float) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.percentile(known, share, method="nearest")) if known else math.nan


def _key_mark(one: Judgement) -> str:
    """Whether the key is the plan's: its own beside it where not."""
    if one.plan is None or one.plan.measurements.key_rank == 1:
        return ""
    return f" (plan: {one.plan.measurements.key_target})"


def _cell(name: str, form: str, value: float) -> str:
    width = _width(name, form)
    return f"{'-':>{width}}" if math.isnan(value) else f"{value:{form}}".rjust(width)


def _width(name: str, form: str) -> int:
    return max(len(name), int(form.split(".")[0]))


def _short(file: str, length: int = 40) -> str:
    name = Path(file).name
    return name if len(name) <= length else f"…{name[1 - length :]}"
