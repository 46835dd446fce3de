"""Score <-> tokens, and which token may follow.

One generator, `State._score`, is the grammar: it yields which tokens may come next and is sent the one that came. The
same lines read a score back, count the bars that are left and hold a writer to what a request fixes, so any choice
among the allowed tokens ends in a valid plan. V is the vocabulary.

    score   = meter tempo key bars instruments sections END
    tempo   = STEP | RAMP, whole BPM, tenth of a BPM; or NO_TEMPO
    bars    = two digits to the base 64
    instruments = (role program)* STOP
    section = label length energy (role* STOP | NO_ROLES) bar*
    length  = LONG* (1 ... 64): every LONG is 64 bars more
    bar     = [tempo] (chord | SPLIT chord chord)

A chord is a degree: its root counts from the tonic of the key, or from C where the key is unknown. So a progression is
the same tokens in all keys, and what is learned of it in one holds in all.
"""

import functools
import itertools
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from hybridgen import constraints
from hybridgen.plan.controls import Controls
from hybridgen.plan.harmony import (
    KEYS,
    METERS,
    MODES,
    NO_CHORD,
    PITCHES,
    QUALITIES,
    chord_pitches,
    meter_quarters,
    split_key,
    transpose_chord,
)
from hybridgen.plan.parts import (
    LABELS,
    MAX_BARS,
    MAX_ENERGY,
    MAX_SECONDS,
    MAX_TEMPO,
    MIN_TEMPO,
    ROLES,
    Bar,
    Cue,
    Section,
    Tempo,
)
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import TIME_BASE
from hybridgen.plan.time_base import TimeBase

ENERGIES = tuple(range(MAX_ENERGY + 1))
PROGRAMS = tuple(range(128))
CHORDS = (NO_CHORD, *(pitch + quality for pitch in PITCHES for quality in QUALITIES))
BASE = 64  # bars in a digit, and in the longest length token


def _blocks(*sizes: int) -> list[range]:
    ends = list(itertools.accumulate(sizes))
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


# single tokens, then blocks; a block with one token more than values ends with "unknown"
END, STOP, SPLIT, STEP, RAMP, NO_TEMPO, NO_ROLES, LONG, UNKNOWN_CHORD = range(9)
_, METER, WHOLE, TENTH, KEY, DIGIT, ROLE, PROGRAM, LABEL, LENGTH, ENERGY, CHORD = _blocks(
    9,
    len(METERS) + 1,
    round(MAX_TEMPO - MIN_TEMPO) + 1,
    10,
    len(KEYS) + 1,
    BASE,
    len(ROLES),
    len(PROGRAMS) + 1,
    len(LABELS) + 1,
    BASE,
    len(ENERGIES) + 1,
    len(CHORDS),
)
VOCAB_SIZE = CHORD.stop
CHORD_INDEX = {chord: i for i, chord in enumerate(CHORDS)}
Choice = Generator[np.ndarray, int, Any]  # yields what may come, is sent what came, returns what it means


def _mask(*allowed: range | int) -> np.ndarray:
    mask = np.zeros(VOCAB_SIZE, dtype=bool)
    for part in allowed:
        if isinstance(part, int):
            mask[part] = True
        else:
            mask[part.start : part.stop] = True
    return mask


class State:
    """The state of a score: which tokens may come next, how many bars are left.

    Without controls it takes every sequence that `tokens` can give. With controls (empty ones too) it takes scores
    to be played: nothing unknown, at most 600 s, everything that the controls fix as they fix it; what a fixed
    section leaves None is free. A fixed tempo or length in seconds excludes tempo changes.
    """

    def __init__(self, controls: Controls | None = None):
        """ValueError where the controls contradict each other."""
        self.controls = controls
        self.is_done = False
        self.bars_left: int | None = None  # bars not yet written; None before their number is
        self.section_bars_left: int | None = None  # the same of the section that is being written
        self.meter: str | None = None
        self.key: str | None = None
        self.n_bars = 0
        self.tempo: list[Tempo] = []
        self.instruments: list[tuple[str, int | None]] = []
        self.sections: list[Section] = []
        self._marks: dict[int, Tempo] = {}  # changes of tempo that are fixed, by their bar
        self._elapsed = 0.0  # seconds before the last tempo mark, or a little more
        if controls is not None:
            constraints.check(controls)
        self._steps = self._score()
        self._allowed = next(self._steps)

    def allowed(self) -> np.ndarray:
        """(V,) bool, the tokens that may come next; none after END. Read it, do not write it."""
        return self._allowed

    def push(self, token: int) -> None:
        """Take the next token; ValueError if it may not come here."""
        if not (0 <= token < VOCAB_SIZE and self._allowed[token]):
            allowed = np.flatnonzero(self._allowed)
            raise ValueError(f"score token {token} is not among the {len(allowed)} allowed here: {allowed[:8]}...")
        try:
            self._allowed = self._steps.send(token)
        except StopIteration:
            self.is_done, self._allowed = True, np.zeros(VOCAB_SIZE, dtype=bool)

    @property
    def _meter(self) -> str:
        """The meter, where a request has one: its scores hold nothing unknown."""
        assert self.meter is not None
        return self.meter

    @property
    def _bars_left(self) -> int:
        """Bars left, once the header has said how many there are."""
        assert self.bars_left is not None
        return self.bars_left

    def _score(self) -> Choice:
        fixed = self.controls or Controls()
        yield from self._header(fixed)
        sections = fixed.sections or (None,) * MAX_BARS
        while self.bars_left:
            yield from self._section(sections[len(self.sections)])
        yield _mask(END)

    def _header(self, fixed: Controls) -> Choice:
        meters = METERS
        if self.controls is not None:
            meters = tuple(meter for meter in METERS if constraints.tempos_allowed(fixed, meter).any())
        self.meter = yield from self._pick(METER, METERS, fixed.meter, among=meters)
        yield from self._first_tempo(fixed)
        self.key = yield from self._pick(KEY, KEYS, fixed.key, among=constraints.keys_allowed(fixed))
        yield from self._bars(fixed)
        yield from self._instruments(fixed)

    def _pick(self, block: range, values: Sequence, fixed: object, among: Sequence = ()) -> Choice:
        """One of `values`, or None where the last token of the block says unknown and may."""
        if fixed is not None:
            token = yield _mask(block.start + values.index(fixed))
        elif self.controls is not None:
            token = yield _mask(*(block.start + values.index(value) for value in among or values))
        else:
            token = yield _mask(block)
        return values[token - block.start] if token - block.start < len(values) else None

    def _first_tempo(self, fixed: Controls) -> Choice:
        if self.controls is not None:
            tempos = constraints.tempos_allowed(fixed, self._meter)
            is_ramp = constraints.begins_with_ramp(fixed)
            token = yield _mask(STEP, RAMP) if self._may_change_tempo else _mask(RAMP if is_ramp else STEP)
        else:
            tempos = np.ones(len(constraints.TENTHS), dtype=bool)
            token = yield _mask(NO_TEMPO) if self.meter is None else _mask(STEP, RAMP, NO_TEMPO)
        if token != NO_TEMPO:
            bpm = yield from self._bpm(tempos)
            self.tempo.append(Tempo(1, bpm, token == RAMP))

    @property
    def _may_change_tempo(self) -> bool:
        return self.controls is None or constraints.may_change_tempo(self.controls)

    def _bpm(self, tempos: np.ndarray) -> Choice:
        """A tempo among those of `TENTHS` where `tempos` (2701,) is True: first the whole number."""
        by_whole = np.append(tempos, np.zeros(9, dtype=bool)).reshape(-1, 10)
        mask = _mask()
        mask[WHOLE.start : WHOLE.stop] = by_whole.any(axis=1)
        whole = (yield mask) - WHOLE.start
        mask = _mask()
        mask[TENTH.start : TENTH.stop] = by_whole[whole]
        tenth = (yield mask) - TENTH.start
        return constraints.TENTHS[10 * whole + tenth] / 10

    def _bars(self, fixed: Controls) -> Choice:
        low, high = self._bar_range(fixed)
        first = (yield _mask(DIGIT[low // BASE : high // BASE + 1])) - DIGIT.start
        low, high = max(low - first * BASE, 0), min(high - first * BASE, BASE - 1)
        second = (yield _mask(DIGIT[low : high + 1])) - DIGIT.start
        self.n_bars = self.bars_left = first * BASE + second
        self.section_bars_left = 0
        if self.controls is not None and self.tempo:
            self._marks = {mark.bar: mark for mark in constraints.tempo_marks(fixed, self.tempo[0].bpm, self.n_bars)}

    def _bar_range(self, fixed: Controls) -> tuple[int, int]:
        if self.controls is None:
            return (1 if self.tempo else 0), (0 if self.meter is None else MAX_BARS)
        n_bars = constraints.fixed_bars(fixed)
        if n_bars is not None:
            return n_bars, n_bars
        at_least = min(len(fixed.form or ()), MAX_BARS) or 1
        seconds = MAX_SECONDS if fixed.seconds is None else fixed.seconds
        n_bars = constraints.most_bars(fixed, seconds, self._meter, self.tempo[0].bpm)
        return (min(at_least, n_bars) if fixed.seconds is None else n_bars), n_bars

    def _instruments(self, fixed: Controls) -> Choice:
        must, may = constraints.required_roles(fixed), constraints.possible_roles(fixed)
        at_least = 0 if self.controls is None or not may else 1
        while True:
            token = yield _role_mask([role for role, _ in self.instruments], may, must, at_least)
            if token == STOP:
                return
            role = ROLES[token - ROLE.start]
            program = yield from self._pick(PROGRAM, PROGRAMS, None, among=constraints.programs(fixed, role))
            self.instruments.append((role, program))

    def _section(self, fixed: Section | None) -> Choice:
        fixed_bars = fixed.bars if fixed else ()
        cues = self._cues_here()
        label = yield from self._pick(LABEL, LABELS, self._fixed_label(fixed, cues))
        length = yield from self._length(*((len(fixed_bars),) * 2 if fixed_bars else self._length_range()))
        energy = yield from self._pick(ENERGY, ENERGIES, fixed.energy if fixed else None, among=self._energies(length))
        roles = yield from self._roles(fixed.roles if fixed else None, cues, is_last=length == self._bars_left)
        self.section_bars_left = length
        bars: list[Bar] = []
        while self.section_bars_left:
            bars.append((yield from self._bar(fixed_bars[len(bars)] if fixed_bars else None)))
            self.bars_left = self._bars_left - 1
            self.section_bars_left -= 1
        self.sections.append(Section(label, tuple(bars), energy, roles))

    def _cues(self) -> list[tuple[int, Cue]]:
        """The bar of each cue, and the cue; those in seconds are at the nearest bar line."""
        cues = (self.controls or Controls()).cues or ()
        return [(self._bar_at(cue.seconds) if cue.seconds is not None else cue.bar, cue) for cue in cues]

    def _bar_at(self, seconds: float) -> int:
        """The bar (from 1) whose start is nearest; tempo changes are not counted."""
        return 1 + round(seconds * self.tempo[0].bpm / (60 * meter_quarters(self._meter)))

    def _cues_here(self) -> list[Cue]:
        number = self.n_bars - self._bars_left + 1
        return [cue for bar, cue in self._cues() if bar <= number <= (cue.last or bar)]

    def _fixed_label(self, fixed: Section | None, cues: Sequence[Cue]) -> str | None:
        if fixed is not None:
            return fixed.label
        form = (self.controls or Controls()).form
        at_cue = [cue.label for cue in cues if cue.label is not None]
        return at_cue[0] if at_cue else form[min(len(self.sections), len(form) - 1)] if form else None

    def _length_range(self) -> tuple[int, int]:
        """The shortest and the longest section that may begin here: it ends where a cue wants a section to begin."""
        low, high = 1, self._bars_left
        controls = self.controls or Controls()
        if controls.form:
            after = len(controls.form) - 1 - len(self.sections)  # sections that are still to come
            fair = max(1, self.n_bars // (2 * len(controls.form)))  # no section is shorter than half its share
            low, high = (fair, max(fair, high - fair * after)) if after > 0 else (high, high)
            high = min(high, max(1, self._bars_left - max(after, 0)))
        if controls.dynamics is not None and self.n_bars > 1 and not self.sections:
            high = min(high, self.n_bars // 2)
        ends = [end for bar, cue in self._cues() for end in (bar, cue.last + 1 if cue.last else bar)]
        number = self.n_bars - self._bars_left + 1
        high = min([high, *(end - number for end in ends if end > number)])
        return min(low, high), high

    def _length(self, low: int, high: int) -> Choice:
        length = 0
        while True:
            may_be_long = (LONG,) if high - length > BASE else ()
            first = max(low - length, 1)
            token = yield _mask(LENGTH[first - 1 : min(high - length, BASE)], *may_be_long)
            if token != LONG:
                return length + 1 + token - LENGTH.start
            length += BASE

    def _energies(self, length: int) -> Sequence[int]:
        """Rising or falling where the dynamics are fixed, from one end of the scale to the other."""
        if self.controls is None:
            return ()
        written = [section.energy for section in self.sections if section.energy is not None]
        return constraints.energies(self.controls.dynamics, written, is_last=length == self._bars_left)

    def _roles(self, fixed: tuple[str, ...] | None, cues: Sequence[Cue], is_last: bool) -> Choice:
        may, must = [role for role, _ in self.instruments], set(fixed or ())
        if fixed is not None:
            may = list(fixed)
        elif self.controls is not None:
            silent = {role for cue in cues for role in cue.silent}
            may = [role for role in may if role not in silent] or may  # somebody plays
            must = {role for cue in cues for role in cue.enter if role in may}
            played = {role for section in self.sections for role in section.roles or ()}
            if is_last:  # whoever is asked for plays somewhere
                must |= (set(constraints.required_roles(self.controls)) & set(may)) - played
        at_least = 0 if self.controls is None or not may else 1
        chosen: list[str] = []
        while True:
            mask = _role_mask(chosen, may, [role for role in ROLES if role in must], at_least)
            token = yield mask | _mask(NO_ROLES) if self.controls is None and not chosen else mask
            if token in (STOP, NO_ROLES):
                return tuple(chosen) if token == STOP else None
            chosen.append(ROLES[token - ROLE.start])

    def _bar(self, fixed: Bar | None) -> Choice:
        chords = self._fixed_chords(fixed)
        mask = self._chord_mask(chords)
        number = self.n_bars - self._bars_left + 1
        token = yield self._mark_mask(number, mask)
        if token in (STEP, RAMP):
            yield from self._tempo_mark(number, token == RAMP)
            token = yield mask
        if token == UNKNOWN_CHORD:
            return Bar(None)
        if token != SPLIT:
            return Bar((_chord(token, self.key),))
        names = []
        for half in range(2):
            token = yield _mask(_chord_token(chords[half], self.key)) if chords else self._free_chords()
            names.append(_chord(token, self.key))
        return Bar(tuple(names))

    def _mark_mask(self, number: int, chords: np.ndarray) -> np.ndarray:
        """A bar begins with its chords, or with a change of tempo where there must or may be one."""
        if number == 1 or not self.tempo:
            return chords
        if number in self._marks:
            return _mask(RAMP if self._marks[number].ramp else STEP)
        return chords | _mask(STEP, RAMP) if self._may_change_tempo else chords

    def _fixed_chords(self, bar: Bar | None) -> tuple[str, ...] | None:
        if bar is not None and bar.chords:
            return bar.chords
        cycle = self.controls and self.controls.chords
        return cycle[(self.n_bars - self._bars_left) % len(cycle)] if cycle else None

    def _chord_mask(self, fixed: tuple[str, ...] | None) -> np.ndarray:
        if fixed:
            return _mask(SPLIT if len(fixed) == 2 else _chord_token(fixed[0], self.key))
        return self._free_chords() | (_mask(SPLIT) if self.controls is not None else _mask(SPLIT, UNKNOWN_CHORD))

    def _free_chords(self) -> np.ndarray:
        return _mask(CHORD) if self.controls is None or self.controls.mode is None else _mode_mask(self.controls.mode)

    def _tempo_mark(self, bar: int, ramp: bool) -> Choice:
        last = self.tempo[-1]
        quarters = meter_quarters(self._meter)
        passed, left = (bar - last.bar) * quarters, self._bars_left * quarters
        tempos = np.ones(len(constraints.TENTHS), dtype=bool)
        if bar in self._marks:
            tempos = np.equal(constraints.TENTHS, round(self._marks[bar].bpm * 10))
        elif self.controls is not None:
            tempos = constraints.tempos_in_time(last, passed, left, self._elapsed)
        bpm = yield from self._bpm(tempos)
        self._elapsed += 60 * passed / (min(last.bpm, bpm) if last.ramp else last.bpm)
        self.tempo.append(Tempo(bar, bpm, ramp))


@functools.cache
def _mode_mask(mode: str) -> np.ndarray:
    """The chords whose notes are all of the mode; their tokens count from the tonic."""
    scale, _ = MODES[mode]
    inside = [set(chord_pitches(chord)) <= set(scale) for chord in CHORDS]
    mask = _mask()
    mask[CHORD.start : CHORD.stop] = inside
    mask[CHORD.start] = False  # no chord at all is no mode
    return mask


def _role_mask(chosen: Sequence[str], may: Sequence[str], must: Sequence[str], at_least: int) -> np.ndarray:
    """Roles of `may` that come after those chosen, none past one of `must`; STOP once enough are there."""
    missing = [role for role in must if role not in chosen]
    start = ROLES.index(chosen[-1]) + 1 if chosen else 0
    stop = ROLES.index(missing[0]) + 1 if missing else len(ROLES)
    follow = [ROLE.start + ROLES.index(role) for role in may if start <= ROLES.index(role) < stop]
    can_stop = not missing and len(chosen) >= at_least
    return _mask(*follow, STOP) if can_stop else _mask(*follow)


def tokens(plan: Plan) -> list[int]:
    """The score of a plan as tokens, END last; prompt, seed, length, beat times and codes are not part of it."""
    marks = {mark.bar: mark for mark in plan.tempo}
    first, second = divmod(plan.n_bars, BASE)
    out = [_value(METER, METERS, plan.meter), *(_tempo_tokens(marks.pop(1)) if marks else [NO_TEMPO])]
    out += [_value(KEY, KEYS, plan.key), DIGIT[first], DIGIT[second]]
    for role, program in plan.instruments:
        out += [_value(ROLE, ROLES, role), _value(PROGRAM, PROGRAMS, program)]
    out.append(STOP)
    bar_number = 1
    for section in plan.sections:
        out += _section_tokens(section)
        for bar in section.bars:
            out += _tempo_tokens(marks[bar_number]) if bar_number in marks else []
            out += _bar_tokens(bar.chords, plan.key)
            bar_number += 1
    return [*out, END]


def _value(block: range, values: Sequence, value: object) -> int:
    return block[-1] if value is None else block.start + values.index(value)


def _tempo_tokens(mark: Tempo) -> list[int]:
    whole, tenth = divmod(round(mark.bpm * 10), 10)
    return [RAMP if mark.ramp else STEP, WHOLE[whole - round(MIN_TEMPO)], TENTH[tenth]]


def _section_tokens(section: Section) -> list[int]:
    n_long, rest = divmod(len(section.bars) - 1, BASE)
    roles = [NO_ROLES] if section.roles is None else [*(_value(ROLE, ROLES, role) for role in section.roles), STOP]
    label, energy = _value(LABEL, LABELS, section.label), _value(ENERGY, ENERGIES, section.energy)
    return [label, *[LONG] * n_long, LENGTH[rest], energy, *roles]


def _bar_tokens(chords: tuple[str, ...] | None, key: str | None) -> list[int]:
    if chords is None:
        return [UNKNOWN_CHORD]
    degrees = [_chord_token(chord, key) for chord in chords]
    return degrees if len(degrees) == 1 else [SPLIT, *degrees]


def _chord_token(chord: str, key: str | None) -> int:
    return CHORD[CHORD_INDEX[transpose_chord(chord, -_tonic(key))]]


def _chord(token: int, key: str | None) -> str:
    return transpose_chord(CHORDS[token - CHORD.start], _tonic(key))


def _tonic(key: str | None) -> int:
    return 0 if key is None else split_key(key)[0]


def parse(
    tokens: Sequence[int],
    prompt: str = "",
    seed: int = 0,
    n_samples: int | None = None,
    beats: tuple[float, ...] = (),
    codes: tuple[tuple[int, ...], ...] = (),
    time_base: TimeBase = TIME_BASE,
) -> Plan:
    """The plan whose score is `tokens`, given what travels outside the score; ValueError if they are not a score."""
    state = State()
    for token in tokens:
        state.push(token)
    if not state.is_done:
        raise ValueError(f"score of {len(tokens)} tokens ends too early")
    return Plan(
        sections=tuple(state.sections),
        tempo=tuple(state.tempo),
        meter=state.meter,
        key=state.key,
        instruments=tuple(state.instruments),
        n_samples=n_samples,
        beats=beats,
        codes=codes,
        prompt=prompt,
        seed=seed,
        time_base=time_base,
    )


def bars_left(state: State) -> tuple[int, int]:
    """Bars left in the track and in its section; -1 where not yet known."""
    track, section = state.bars_left, state.section_bars_left
    return -1 if track is None else track, -1 if section is None else section


def bars_left_after(tokens: Sequence[int]) -> np.ndarray:
    """(len(tokens), 2) int64: `bars_left` once each token is there."""
    state = State()
    rows = []
    for token in tokens:
        state.push(token)
        rows.append(bars_left(state))
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
