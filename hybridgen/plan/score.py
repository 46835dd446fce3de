"""Score: the fields of a plan, their checks, and where everything is in time.

All positions are counted in samples of the plan's time base; the sample index is the master.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from hybridgen.plan.harmony import METER_BEATS, meter_quarters, parse_key
from hybridgen.plan.notes import TICKS, Note, NoteBar, Part, Swing, parse_swing, pitch_name, swung
from hybridgen.plan.parts import (
    MAX_BARS,
    MAX_SECONDS,
    ROLES,
    Bar,
    Ending,
    Section,
    Tempo,
    check_bars,
    check_meter,
    check_prompt,
    check_seed,
    order_instruments,
    parse_ending,
    show,
    whole,
)
from hybridgen.plan.sounds import parse_sound
from hybridgen.plan.tempo_map import TempoMap, from_beats, from_marks
from hybridgen.plan.time_base import TimeBase

TIME_BASE = TimeBase()
MAX_BEAT = 1e6  # seconds


@dataclass(frozen=True)
class Score:
    """A whole track before it sounds: score (what is played when) and codes (how the rest goes).

    tempo: marks, the first at bar 1; () where it is unknown: then `beats` holds the seconds of every beat of the bars
    and of the one after them (played music), or there are no bars at all and `n_samples` says how long the track is.
    n_samples: exact length; None = exactly the bars. It may reach past the last bar (ring-out) or cut into it.
    codes: (Q, P) integers, -1 where unset; () = none set. A code frame is `time_base.code_hop` samples.
    notes: what each role plays in each bar, as far as it is known; roles of which nothing is known are left out.
    sound: kinds of sound that are wanted, and that are not ("not vinyl"), as `sounds` has them; () = nothing is said.
    swing: how late every second eighth or sixteenth is; None = unknown, and notes sound where they are written.
    ending: how the track ends; None = not chosen yet, which a render does. Tracks older than endings keep None. A loop
    is whole bars, and is made with a pre-roll of its last bar.
    pre_roll: samples before the first one that frames of latents and of codes cover too; those of a track that was
    extended at its start, or cut out of another, lie where they lay before.
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
    time_base: TimeBase = TIME_BASE
    ending: Ending | None = None
    notes: tuple[Part, ...] = ()
    swing: Swing | None = None
    pre_roll: int = 0
    sound: tuple[str, ...] = ()

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
        set_field(self, "seed", check_seed(self.seed))
        set_field(self, "sound", parse_sound(self.sound))
        self._check_grid()
        self._check_roles()
        self._check_length()
        self._check_ending()
        self._check_pre_roll()
        self._check_notes()
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
        if self.beats:
            self._check_beats()
        else:
            self._check_marks()

    def _check_marks(self) -> None:
        bars = [mark.bar for mark in self.tempo]
        if bars[0] != 1 or bars != sorted(set(bars)) or bars[-1] > self.n_bars:
            raise ValueError(
                f"tempo marks at bars {bars}: the first must be 1, then ascending to at most {self.n_bars}"
            )

    def _check_beats(self) -> None:
        need = len(self._beat_quarters(with_end=True))
        if len(self.beats) != need:
            raise ValueError(f"beats: {len(self.beats)} times, but {self.n_bars} bars of {self.meter} need {need}")
        inside = all(0 <= time < MAX_BEAT for time in self.beats)  # also refuses NaN
        if not inside or (np.diff(np.array(self.beats)) < 0.01).any():
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
        if not 1 <= self.length <= MAX_SECONDS * self.time_base.sample_rate:
            seconds = show(self.length / self.time_base.sample_rate if abs(self.length) < 1e15 else self.length)
            raise ValueError(f"length {seconds} s is outside 1 sample to {MAX_SECONDS:g} s")

    def _check_ending(self) -> None:
        if self.ending is None:
            return
        object.__setattr__(self, "ending", parse_ending(self.ending))
        if self.ending.bars is not None and self.ending.bars > self.n_bars:
            raise ValueError(f"ending: a fade over {self.ending.bars} bars, but the plan has {self.n_bars}")
        first, last = (int(start) for start in self.bar_starts()[[0, -1]])
        if self.is_loop and (self.n_bars == 0 or (first, last) != (0, self.length)):
            bars = f"{self.n_bars} bars from sample {first} to {last}"
            raise ValueError(f"ending: a loop is whole bars, but the plan has {bars} and a length of {self.length}")

    def _check_pre_roll(self) -> None:
        object.__setattr__(self, "pre_roll", whole(self.pre_roll, "pre_roll"))
        longest = self.length + self.time_base.code_hop if self.is_loop else MAX_SECONDS * self.time_base.sample_rate
        if not 0 <= self.pre_roll <= longest:
            raise ValueError(f"pre_roll {show(self.pre_roll)} is outside 0 to {longest:g} samples")
        if self.is_loop and self.pre_roll < (needed := self.length - int(self.bar_starts()[-2])):
            hop = self.time_base.code_hop
            object.__setattr__(self, "pre_roll", self.pre_roll + -(-(needed - self.pre_roll) // hop) * hop)

    def _check_notes(self) -> None:
        known = [part for part in self.notes if not part.is_unknown]
        object.__setattr__(self, "notes", tuple(sorted(known, key=lambda part: ROLES.index(part.role))))
        if self.swing is not None:
            object.__setattr__(self, "swing", parse_swing(self.swing))
        roles, instruments = [part.role for part in self.notes], dict(self.instruments)
        playing = [section.roles for section in self.sections for _ in section.bars]
        for part in self.notes:
            if roles.count(part.role) > 1 or part.role not in instruments:
                what = "has two parts" if roles.count(part.role) > 1 else "has no entry in instruments"
                raise ValueError(f"notes: {part.role} {what}")
            if len(part.bars) != self.n_bars:
                raise ValueError(f"notes: {part.role} has {len(part.bars)} bars, the plan {self.n_bars}")
            for number, (bar, who) in enumerate(zip(part.bars, playing, strict=True), start=1):
                self._check_bar(part.role, number, bar, who)

    def _check_bar(self, role: str, number: int, bar: NoteBar, who: tuple[str, ...] | None) -> None:
        if bar and who is not None and role not in who:
            raise ValueError(f"notes: {role} has notes in bar {number}, but does not play there")
        if bar and bar[-1].tick >= self.bar_ticks:
            raise ValueError(
                f"notes: {role}, bar {number}: {pitch_name(bar[-1].pitch, role)} begins at tick {bar[-1].tick}, a bar "
                f"of {self.meter} has {self.bar_ticks}"
            )

    @property
    def bar_ticks(self) -> int:
        """Ticks in a bar; for a plan with bars."""
        return round(self._bar_quarters * TICKS)

    def part(self, role: str) -> Part:
        """What a role plays, a bar each; all unknown where nothing is known."""
        return next((part for part in self.notes if part.role == role), Part(role, (None,) * self.n_bars))

    def with_parts(self, parts: Iterable[Part]) -> Self:
        """The score with these parts in place of those of the same roles."""
        new = {part.role: part for part in self.notes} | {part.role: part for part in parts}
        return replace(self, notes=tuple(new.values()))

    def note_samples(self, role: str) -> tuple[np.ndarray, list[Note]]:
        """(n, 2): sample at which each known note of a role begins and ends, in order, as it sounds; and the notes.

        Swing is in it. A note ends where its pitch begins anew, and with the track.
        """
        placed = [
            (number * self.bar_ticks + note.tick, note)
            for number, bar in enumerate(self.part(role).bars)
            for note in bar or ()
        ]
        placed.sort(key=lambda one: (one[0], one[1].pitch))
        notes = [note for _, note in placed]
        if not placed or self.tempo_map is None:
            return np.zeros((0, 2), dtype=np.int64), notes
        starts = np.array([tick for tick, _ in placed])
        stops = starts + np.array([note.length for note in notes])
        following: dict[int, int] = {}
        for i in range(len(placed) - 1, -1, -1):
            pitch = notes[i].pitch
            stops[i] = min(stops[i], following.get(pitch, stops[i]))
            following[pitch] = int(starts[i])
        quarters = np.stack([starts, stops], 1) / TICKS
        samples = self._samples(self.tempo_map, swung(quarters, self.swing, self._bar_quarters))
        return np.clip(samples, 0, self.length), notes

    @cached_property
    def bars(self) -> tuple[Bar, ...]:
        """All bars, in order."""
        return tuple(bar for section in self.sections for bar in section.bars)

    @property
    def n_bars(self) -> int:
        """Bars in all sections together."""
        return sum(len(section.bars) for section in self.sections)

    @cached_property
    def tempo_map(self) -> TempoMap | None:
        """Quarter notes <-> seconds; None for a plan without bars."""
        if self.n_bars == 0:
            return None
        bar_length = self._bar_quarters
        if self.tempo:
            starts = [(mark.bar - 1) * bar_length for mark in self.tempo]
            return from_marks(starts, [m.bpm for m in self.tempo], [m.ramp for m in self.tempo])
        return from_beats(self._beat_quarters(with_end=True), np.array(self.beats))

    @property
    def _bar_quarters(self) -> float:
        """Quarter notes in a bar; for a plan with bars."""
        assert self.meter is not None
        return meter_quarters(self.meter)

    def _beat_quarters(self, with_end: bool = False) -> np.ndarray:
        assert self.meter is not None
        starts = np.arange(self.n_bars)[:, None] * self._bar_quarters + np.array(METER_BEATS[self.meter])
        return np.append(starts, self.n_bars * self._bar_quarters) if with_end else starts.reshape(-1)

    def bar_starts(self) -> np.ndarray:
        """(n_bars + 1,) sample at which each bar starts, and the one after the last bar's end."""
        if self.tempo_map is None:
            return np.zeros(1, dtype=np.int64)
        return self._samples(self.tempo_map, np.arange(self.n_bars + 1) * self._bar_quarters)

    def beat_starts(self) -> np.ndarray:
        """Sample at which each beat of each bar starts (dotted quarters in compound meters, 2+2+3 in 7/8)."""
        if self.tempo_map is None:
            return np.zeros(0, dtype=np.int64)
        return self._samples(self.tempo_map, self._beat_quarters())

    def _samples(self, time: TempoMap, quarters: np.ndarray) -> np.ndarray:
        return np.rint(time.seconds_at(quarters) * self.time_base.sample_rate).astype(np.int64)

    @cached_property
    def length(self) -> int:
        """Exact length of the track in samples."""
        return int(self.bar_starts()[-1]) if self.n_samples is None else self.n_samples

    @property
    def is_loop(self) -> bool:
        """Whether the last bar leads back into the first."""
        return self.ending is not None and self.ending.kind == "loop"

    @property
    def is_open(self) -> bool:
        """Whether nothing in the music is an end, as in a loop or in what goes on."""
        return self.ending is not None and self.ending.kind in ("loop", "open")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.length / self.time_base.sample_rate

    @property
    def n_frames(self) -> int:
        """Latent frames that cover the pre-roll and the track."""
        return self.time_base.n_frames(self.pre_roll + self.length)

    @property
    def n_code_frames(self) -> int:
        """Code frames that cover the pre-roll and the track."""
        return self.time_base.n_code_frames(self.pre_roll + self.length)

    def frame_starts(self, hop: int, start: int, stop: int) -> np.ndarray:
        """(stop - start,) int64: first sample of frames start..stop-1 of `hop` samples; those of a loop go round."""
        starts = np.arange(start, stop) * hop - self.pre_roll
        return starts % self.length if self.is_loop else starts

    def span(self, bars: tuple[int, int]) -> tuple[int, int]:
        """First and one-past-last sample of bars first..last (from 1, both included), and what follows the last bar."""
        first, last = check_bars(bars, self.n_bars)
        starts = np.minimum(self.bar_starts(), self.length)
        return int(starts[first - 1]), self.length if last == self.n_bars else int(starts[last])

    def frames_of(self, span: tuple[int, int], hop: int) -> tuple[int, int]:
        """First and one-past-last frame of `hop` samples that samples start..stop-1 reach into."""
        return (span[0] + self.pre_roll) // hop, -(-(span[1] + self.pre_roll) // hop)

    def on(self, time_base: TimeBase) -> Self:
        """The same score in another time base, to the nearest sample, and without its codes where frames differ."""
        if time_base == self.time_base:
            return self
        old, new = self.time_base.sample_rate, time_base.sample_rate
        n_samples = None if self.n_samples is None else max(1, round(self.n_samples * new / old))
        same_frames = old == new and self.time_base.code_hop == time_base.code_hop
        codes, pre_roll = (self.codes, self.pre_roll) if same_frames else ((), 0)
        return replace(self, n_samples=n_samples, codes=codes, pre_roll=pre_roll, time_base=time_base)
