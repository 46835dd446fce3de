"""Plan: a whole track before it sounds. Controls: the part of a plan that a request fixes.

All positions are counted in samples at 44,100 Hz; the sample index is the master, latent frames are 2,048 samples,
code frames 8,192.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hybridgen.plan import editing, features, serial, tempo_map
from hybridgen.plan.harmony import METER_BEATS, meter_quarters, parse_key
from hybridgen.plan.parts import (
    CODE_HOP,
    LATENT_HOP,
    MAX_BARS,
    MAX_SECONDS,
    MIN_SECONDS,
    SAMPLE_RATE,
    Bar,
    Section,
    Tempo,
    check_bars,
    check_meter,
    check_prompt,
    check_tempo,
    order_instruments,
    parse_bar,
)


@dataclass(frozen=True)
class Plan:
    """A whole track before it sounds: score (what is played when) and codes (how the rest goes).

    tempo: marks, the first at bar 1; () where it is unknown: then `beats` holds the seconds of every beat of the bars
    and of the one after them (played music), or there are no bars at all and `n_samples` says how long the track is.
    n_samples: exact length; None = exactly the bars. It may reach past the last bar (ring-out) or cut into it.
    codes: (Q, P) integers, -1 where unset; () = none set.
    Raises ValueError, naming the field and the bar, for anything that is no plan.
    """

    sections: tuple[Section, ...] = ()
    tempo: tuple[Tempo, ...] = ()
    meter: str | None = "4/4"
    key: str | None = None
    instruments: tuple[tuple[str, int | None], ...] = ()
    n_samples: int | None = None
    beats: tuple[float, ...] = ()
    codes: tuple[tuple[int, ...], ...] = ()
    prompt: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "sections", tuple(self.sections))
        set_field(self, "tempo", tuple(self.tempo))
        set_field(self, "instruments", order_instruments(self.instruments))
        if self.key is not None:
            set_field(self, "key", parse_key(self.key))
        if self.meter is not None:
            check_meter(self.meter)
        check_prompt(self.prompt)
        self._check_grid()
        self._check_roles()
        self._check_length()
        if any(len(row) != self.n_code_frames for row in self.codes):
            raise ValueError(f"codes have {len(self.codes[0])} frames, the plan's length needs {self.n_code_frames}")

    def _check_grid(self) -> None:
        if self.n_bars > MAX_BARS:
            raise ValueError(f"bars {self.n_bars} are more than {MAX_BARS}")
        if self.n_bars == 0:
            if self.tempo or self.beats:
                raise ValueError("sections are empty, but a tempo or beats are given")
            return
        if self.meter is None:
            raise ValueError(f"meter is unknown, but {self.n_bars} bars are given")
        if bool(self.tempo) == bool(self.beats):
            raise ValueError(f"{self.n_bars} bars need either tempo marks or beat times, and not both")
        self._check_beats() if self.beats else self._check_marks()

    def _check_marks(self) -> None:
        bars = [mark.bar for mark in self.tempo]
        if bars[0] != 1 or bars != sorted(set(bars)) or bars[-1] > self.n_bars:
            raise ValueError(
                f"tempo marks at bars {bars}: the first must be 1, then ascending to at most {self.n_bars}"
            )

    def _check_beats(self) -> None:
        need = self.n_bars * len(METER_BEATS[self.meter]) + 1
        if len(self.beats) != need:
            raise ValueError(f"beats: {len(self.beats)} times, but {self.n_bars} bars of {self.meter} need {need}")
        times = np.array(self.beats)
        if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) < 0.01).any():
            raise ValueError("beats: times must be finite, not negative, and ascend by at least 0.01 s")

    def _check_roles(self) -> None:
        known = {role for role, _ in self.instruments}
        for section in self.sections:
            for role in section.roles or ():
                if role not in known:
                    raise ValueError(f"section {section.label!r} plays {role!r}, which has no entry in instruments")

    def _check_length(self) -> None:
        if self.n_samples is None and self.n_bars == 0:
            raise ValueError("samples: a plan without bars must say its length")
        if not 1 <= self.length <= MAX_SECONDS * SAMPLE_RATE:
            seconds = self.length / SAMPLE_RATE
            raise ValueError(f"length {seconds:.1f} s is outside 1 sample to {MAX_SECONDS:g} s")

    @cached_property
    def bars(self) -> tuple[Bar, ...]:
        """All bars, in order."""
        return tuple(bar for section in self.sections for bar in section.bars)

    @property
    def n_bars(self) -> int:
        """Bars in all sections together."""
        return sum(len(section.bars) for section in self.sections)

    @cached_property
    def time(self) -> tempo_map.TempoMap | None:
        """Quarter notes <-> seconds; None for a plan without bars."""
        if self.n_bars == 0:
            return None
        bar_length = meter_quarters(self.meter)
        if self.tempo:
            starts = [(mark.bar - 1) * bar_length for mark in self.tempo]
            return tempo_map.from_marks(starts, [m.bpm for m in self.tempo], [m.ramp for m in self.tempo])
        return tempo_map.from_beats(self._beat_quarters(with_end=True), np.array(self.beats))

    def _beat_quarters(self, with_end: bool = False) -> np.ndarray:
        starts = np.arange(self.n_bars)[:, None] * meter_quarters(self.meter) + np.array(METER_BEATS[self.meter])
        return np.append(starts, self.n_bars * meter_quarters(self.meter)) if with_end else starts.reshape(-1)

    def bar_starts(self) -> np.ndarray:
        """(n_bars + 1,) sample at which each bar starts, and the one after the last bar's end."""
        if self.time is None:
            return np.zeros(1, dtype=np.int64)
        return self._samples(np.arange(self.n_bars + 1) * meter_quarters(self.meter))

    def beat_starts(self) -> np.ndarray:
        """Sample at which each beat of each bar starts (dotted quarters in compound meters, 2+2+3 in 7/8)."""
        return np.zeros(0, dtype=np.int64) if self.time is None else self._samples(self._beat_quarters())

    def _samples(self, quarters: np.ndarray) -> np.ndarray:
        return np.rint(self.time.seconds_at(quarters) * SAMPLE_RATE).astype(np.int64)

    @cached_property
    def length(self) -> int:
        """Exact length of the track in samples."""
        return int(self.bar_starts()[-1]) if self.n_samples is None else self.n_samples

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.length / SAMPLE_RATE

    @property
    def n_frames(self) -> int:
        """Latent frames that cover the track."""
        return -(-self.length // LATENT_HOP)

    @property
    def n_code_frames(self) -> int:
        """Code frames that cover the track."""
        return -(-self.length // CODE_HOP)

    def frame_range(self, bars: tuple[int, int], hop: int = LATENT_HOP) -> tuple[int, int]:
        """First and one-past-last frame of `hop` samples that bars first..last (from 1, both included) reach into."""
        first, last = check_bars(bars, self.n_bars)
        starts = np.minimum(self.bar_starts(), self.length)
        stop = self.length if last == self.n_bars else int(starts[last])
        return int(starts[first - 1]) // hop, -(-stop // hop)

    def frame_controls(self, hop: int = LATENT_HOP, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(stop - start, N_FEATURES) float32: what the score says about frames of `hop` samples (features.LAYOUT)."""
        return features.frame_controls(self, hop, start, stop)

    def instrument_ids(self) -> np.ndarray:
        """(9,) int64, one per role: program 0-127, 128 unknown program, 129 the role does not occur."""
        return features.instrument_ids(self.instruments)

    def to_json(self) -> str:
        """The plan as JSON that a person can read and edit; `from_json` is its inverse."""
        return serial.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan written in `text`; ValueError naming the field, and the bar, of what is wrong."""
        return cls.from_dict(serial.parse_json(text))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; `from_dict` is its inverse."""
        return serial.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan in plain JSON values; ValueError naming the field, and the bar, of what is wrong."""
        return cls(**serial.fields(data))

    def text(self) -> str:
        """The plan as a page to read: a line of facts, then the sections with their chords bar by bar."""
        return serial.page(self)

    def edit(
        self,
        bars: tuple[int, int] | None = None,
        *,
        tempo: float | None = None,
        key: str | None = None,
        chords: Sequence[str | Sequence[str]] | None = None,
        label: str | None = None,
        energy: int | None = None,
        roles: Sequence[str] | None = None,
        instruments: Mapping[str, int | None] | None = None,
        prompt: str | None = None,
    ) -> "Plan":
        """The plan with these fields changed in bars first..last (from 1, both included), or in all bars.

        tempo sets the tempo of the bars; key transposes their chords, and is the plan's key when all bars are meant;
        chords, one entry a bar (two chords: "F,G" or a pair), repeat over the bars; label, energy and roles split
        sections where they must; instruments change or add programs; prompt re-words the whole plan. The codes of the
        bars touched are unset (all codes after a change of tempo or prompt), to be written again.
        Raises ValueError naming the field, like the plan itself.
        """
        change = editing.Change(tempo, key, chords, label, energy, roles, instruments, prompt)
        return editing.edit(self, bars, change)


@dataclass(frozen=True)
class Controls:
    """What a request fixes; None = free. Chords are cycled over the bars; `bars` and `seconds` exclude each other.

    tempo: 30.0-300.0 quarter notes a minute; key: one of `KEYS`; meter: one of `METERS`; bars: 1-4095;
    seconds: 0.1-600. Raises ValueError naming the field and both values.
    """

    tempo: float | None = None
    key: str | None = None
    meter: str | None = None
    bars: int | None = None
    seconds: float | None = None
    sections: tuple[Section, ...] | None = None
    chords: tuple[tuple[str, ...], ...] | None = None
    instruments: tuple[tuple[str, int | None], ...] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if self.tempo is not None:
            set_field(self, "tempo", check_tempo(self.tempo))
        if self.key is not None:
            set_field(self, "key", parse_key(self.key))
        if self.meter is not None:
            check_meter(self.meter)
        if self.sections is not None:
            set_field(self, "sections", tuple(self.sections))
        if self.chords is not None:
            set_field(self, "chords", tuple(parse_bar(bar) for bar in self.chords))
        if self.instruments is not None:
            set_field(self, "instruments", order_instruments(self.instruments))
        self._check_length()

    def _check_length(self) -> None:
        if self.bars is not None and self.seconds is not None:
            raise ValueError(f"bars {self.bars} and seconds {self.seconds:g} are both given, choose one")
        if self.bars is not None and not 1 <= self.bars <= MAX_BARS:
            raise ValueError(f"bars {self.bars} are outside 1-{MAX_BARS}")
        if self.seconds is not None and not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds {self.seconds:g} are outside {MIN_SECONDS:g}-{MAX_SECONDS:g}")
        n_bars = sum(len(section.bars) for section in self.sections or ())
        if self.sections is not None and self.bars is not None and n_bars != self.bars:
            raise ValueError(f"sections hold {n_bars} bars, but bars {self.bars} are asked for")
