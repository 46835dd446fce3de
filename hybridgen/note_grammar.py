"""The notes of a plan <-> steps of sub-tokens, and which sub-token may follow.

One generator, `State._bars`, is the grammar, as in `grammar`: it yields which sub-tokens may come next and is sent the
one that came. What a plan knows leaves one choice at a time; where notes are to be written, any choice among the
allowed ones ends in valid notes that the instruments have. V is the vocabulary.

    notes  = (bar onset*)*                 bars in order; no bar step where nobody plays
    bar    = decision*                     one for each role that plays, in the order of ROLES
    decision = EMPTY | NEW | UNKNOWN | COPY SHIFT
    onset  = POSITION note+ (MORE | LAST)  for each NEW role in turn, until LAST
    note   = [LONG] [LENGTH] [VELOCITY] PITCH     in rising pitch; length and velocity hold until another is said

A step is a bar or an onset: what a planner writes with one pass of its layers. COPY names one of `SOURCES` earlier bars
of the role, as it is or moved with the root of the chord; of several that are alike it names a section's, then the
nearest; `State.likeness` says what sources have in common with the bar. SHIFT makes it louder or softer. Positions and
lengths are in steps of `GRID` ticks, and notes beside the grid are read at the nearest step.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from hybridgen.plan import ranges
from hybridgen.plan.harmony import METERS, NO_CHORD, meter_quarters, split_chord
from hybridgen.plan.notes import GRID, MAX_VELOCITY, TICKS, UNPITCHED, VELOCITY_STEP, Note, NoteBar, Part
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan

STEPS = TICKS // GRID  # of the grid in a quarter note
N_POSITIONS = round(max(meter_quarters(meter) for meter in METERS) * STEPS)
BACK = 16  # bars: a copy may be of any of the last so many
SECTIONS = 3  # or of the same place in one of the last sections of the same label
SOURCES = BACK + SECTIONS
# what a source can have in common with the bar: its chords, its place in the section, counted from either end, what
# the role plays in the bar before it, and the share of the roles decided before this one that play the same
N_LIKENESS = 5
N_LENGTHS, N_LONG = 192, 15  # steps of the grid; a LONG adds N_LENGTHS to a length, once to N_LONG times
MAX_STEPS = N_LENGTHS * (1 + N_LONG)  # of a length; longer notes are cut
MAX_SHIFT = 6  # steps of velocity, either way
FULL = 8  # notes of an onset; more at the same position follow in onsets of their own
MAX_ONSETS = 48  # that are written for a role in a bar; those that are known may be more
N_KINDS = 1 + len(ROLES)  # of a step: 0 a bar, 1 + role an onset
N_PLACES = 2 * len(ROLES) + 2 * (FULL + 1)  # of a sub-token in its step, see `State.place`


def _blocks(*sizes: int) -> list[range]:
    ends = np.cumsum(sizes).tolist()
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


EMPTY, NEW, UNKNOWN, MORE, LAST = range(5)
_, COPY, MOVED, SHIFT, POSITION, LONG, LENGTH, VELOCITY, PITCH = _blocks(
    5, SOURCES, SOURCES, 2 * MAX_SHIFT + 1, N_POSITIONS, N_LONG, N_LENGTHS, MAX_VELOCITY, 128
)
VOCAB_SIZE = PITCH.stop
Choice = Generator[np.ndarray, int, None]
_TICK, _PITCH, _LENGTH, _VELOCITY = range(4)  # columns of the notes of a bar: (n, 4), steps of the grid


def playing(plan: Plan) -> np.ndarray:
    """(B, 9) bool: which roles play in each bar; all that the plan has where it does not say."""
    plays = np.zeros((plan.n_bars, len(ROLES)), dtype=bool)
    everyone = [role for role, _ in plan.instruments]
    first = 0
    for section in plan.sections:
        for role in everyone if section.roles is None else section.roles:
            plays[first : first + len(section.bars), ROLES.index(role)] = True
        first += len(section.bars)
    return plays


def _roots(plan: Plan) -> list[int]:
    """The pitch class of each bar's first chord, -1 where there is none or nobody knows."""
    first = [bar.chords[0] if bar.chords else NO_CHORD for bar in plan.bars]
    return [-1 if chord == NO_CHORD else split_chord(chord)[0] for chord in first]


def _sources(plan: Plan) -> np.ndarray:
    """(B, SOURCES): the bar that each source of a copy is, -1 where there is none."""
    bars = np.arange(plan.n_bars)
    sources = np.full((plan.n_bars, SOURCES), -1)
    sources[:, :BACK] = np.maximum(bars[:, None] - np.arange(1, BACK + 1), -1)
    earlier: dict[str, list[range]] = {}
    first = 0
    for section in plan.sections:
        own = range(first, first + len(section.bars))
        if section.label is not None:
            alike = earlier.setdefault(section.label, [])
            for i, other in enumerate(alike[: -SECTIONS - 1 : -1]):
                n = min(len(own), len(other))
                sources[own.start : own.start + n, BACK + i] = np.arange(other.start, other.start + n)
            alike.append(own)
        first = own.stop
    return sources


def _likeness(plan: Plan, sources: np.ndarray) -> np.ndarray:
    """(B, SOURCES, 3) float32: what of `N_LIKENESS` is there before any note is."""
    chords: dict[tuple[str, ...], int] = {}
    of_bar = [-1 if bar.chords is None else chords.setdefault(bar.chords, len(chords)) for bar in plan.bars]
    lengths = [len(section.bars) for section in plan.sections]
    begins = [i for n in lengths for i in range(n)]
    ends = [n - i for n in lengths for i in range(n)]
    traits = np.array([of_bar, begins, ends], dtype=np.int64).T.reshape(-1, 1, 3)
    is_alike = (traits[sources, 0] == traits) & (traits >= 0) & (sources >= 0)[..., None]
    return is_alike.astype(np.float32)


class State:
    """The state of the notes of a plan: which sub-token may come next, and of which step.

    kind: of the step: 0 for a bar, 1 + role for an onset. bar: which bar, from 0. place: of the sub-token in its step:
    2 x role for a decision and one more for its SHIFT, 18 + 2 x notes of the onset so far and one more once the next
    one's length or velocity is there. step: number of the step, from 0. plays (B, 9): which roles play.
    """

    def __init__(self, plan: Plan, write: np.ndarray | None = None, is_reading: bool = False):
        """write (B, 9) bool: where unknown notes are written; elsewhere they stay unknown. None: nowhere.

        is_reading: what is written may be anything that `steps` can give, beyond what the instruments have, and over
        other chords the same notes as before.
        """
        self.plays, self.is_reading = playing(plan), is_reading
        self.write = np.zeros_like(self.plays) if write is None else write
        self.is_done, self.kind, self.bar, self.place, self.step = False, 0, 0, 0, -1
        self._n_positions = plan.bar_ticks // GRID if plan.n_bars else 0
        self._roots, self._sources = _roots(plan), _sources(plan)
        self._pitches = np.ones((len(ROLES), 128), bool) if is_reading else ranges.of_plan(plan.instruments)
        self._found = [[_read(bar, self._n_positions) for bar in plan.part(role).bars] for role in ROLES]
        self._alike, self._shapes = _likeness(plan, self._sources), np.full((len(ROLES), 1 + plan.n_bars), -1)
        self._numbers: dict[bytes, int] = {}  # of shapes: notes that are alike in time and above their chord's root
        self._steps = self._bars()
        self._advance(None)

    def allowed(self) -> np.ndarray:
        """(V,) bool, the sub-tokens that may come next; none at the end. Read it, do not write it."""
        return self._allowed

    def likeness(self) -> np.ndarray | None:
        """(SOURCES, N_LIKENESS) float32, 0-1: what each source has in common with the bar, where the next sub-token
        is a decision; None elsewhere."""
        if self.kind != 0 or self.place % 2 or self.is_done:
            return None
        sources, role, bar = self._sources[self.bar], self.place // 2, self.bar
        shapes = self._shapes[:, 1:]
        before = (self._shapes[role, sources] == self._shapes[role, bar]) & (self._shapes[role, bar] >= 0)
        others = np.flatnonzero(self.plays[bar, :role])
        same = (shapes[others][:, sources] == shapes[others, bar][:, None]) & (shapes[others, bar] >= 0)[:, None]
        shares = same.sum(axis=0) / max(len(others), 1)
        noted = np.stack([before, shares], axis=1) * (sources >= 0)[:, None]
        return np.concatenate((self._alike[bar], noted), axis=1, dtype=np.float32)

    def push(self, token: int) -> None:
        """Take the next sub-token; ValueError if it may not come here."""
        if not (0 <= token < VOCAB_SIZE and self._allowed[token]):
            raise ValueError(f"note token {token} is not among the {int(self._allowed.sum())} allowed here")
        self._advance(token)

    def _advance(self, token: int | None) -> None:
        try:
            self._allowed = next(self._steps) if token is None else self._steps.send(token)
        except StopIteration:
            self.is_done, self._allowed = True, np.zeros(VOCAB_SIZE, dtype=bool)

    def notes(self, role: int, bar: int) -> NoteBar:
        """What a role plays in a bar (both from 0): as it is known, or was written."""
        found = self._found[role][bar]
        if found is None:
            return None
        return tuple(
            Note(GRID * tick, GRID * length, pitch, velocity) for tick, pitch, length, velocity in found.tolist()
        )

    def _bars(self) -> Choice:
        for bar, plays in enumerate(self.plays):
            roles = np.flatnonzero(plays).tolist()
            new: list[int] = []
            if roles:
                self._begin(0, bar)
            for role in roles:
                yield from self._decision(role, bar, new)
                if role not in new:
                    self._shapes[role, 1 + bar] = self._shape(role, bar)
            for role in new:
                yield from self._onsets(role, bar)
                self._shapes[role, 1 + bar] = self._shape(role, bar)

    def _shape(self, role: int, bar: int) -> int:
        """A number of its own for all that sounds alike, -1 where nobody knows."""
        notes = self._found[role][bar]
        if notes is None:
            return -1
        shape = notes[:, :_VELOCITY].copy()
        if len(notes) and ROLES[role] not in UNPITCHED:
            lowest = int(shape[0, _PITCH])
            shape[:, _PITCH] += (lowest - max(self._roots[bar], 0)) % 12 - lowest
        return self._numbers.setdefault(shape.tobytes(), len(self._numbers))

    def _begin(self, kind: int, bar: int) -> None:
        self.kind, self.bar, self.step = kind, bar, self.step + 1

    # ---- a bar of a role

    def _decision(self, role: int, bar: int, new: list[int]) -> Choice:
        known, is_free = self._found[role][bar], False
        if known is not None:
            token, shift = self._describe(role, bar, known)
            mask = _mask(token)
        elif self.write[bar, role]:
            mask, is_free, shift = self._free_decision(role, bar), True, 0
        else:
            mask, shift = _mask(UNKNOWN), 0
        self.place = 2 * role
        token = yield mask
        if token == NEW:
            new.append(role)
        if token == EMPTY:
            self._found[role][bar] = np.zeros((0, 4), dtype=np.int64)
        if token not in COPY and token not in MOVED:
            return
        copied = self._copied(role, bar, token)
        assert copied is not None
        lowest, highest = -MAX_SHIFT, MAX_SHIFT
        if is_free:
            lowest = max(lowest, -((int(copied[:, _VELOCITY].min()) - 1) // VELOCITY_STEP))
            highest = min(highest, (MAX_VELOCITY - int(copied[:, _VELOCITY].max())) // VELOCITY_STEP)
        else:
            lowest = highest = shift
        self.place = 2 * role + 1
        chosen = (yield _mask(SHIFT[lowest + MAX_SHIFT : highest + MAX_SHIFT + 1])) - SHIFT.start - MAX_SHIFT
        copied[:, _VELOCITY] += VELOCITY_STEP * chosen
        self._found[role][bar] = copied

    def _describe(self, role: int, bar: int, known: np.ndarray) -> tuple[int, int]:
        """The decision that says what is known, and by how much louder than in the source it is.

        A copy of a section before a copy of the last bars: it is the same for every role and bar that returns.
        """
        if not len(known):
            return EMPTY, 0
        for block in (COPY, MOVED):
            for token in (*block[BACK:], *block[:BACK]):
                copied = self._copied(role, bar, token)
                if copied is None or len(copied) != len(known) or (copied[:, :_VELOCITY] != known[:, :_VELOCITY]).any():
                    continue
                shift, rest = divmod(known[:, _VELOCITY] - copied[:, _VELOCITY], VELOCITY_STEP)
                if not rest.any() and (shift == shift[0]).all() and abs(int(shift[0])) <= MAX_SHIFT:
                    return token, int(shift[0])
        return NEW, 0

    def _free_decision(self, role: int, bar: int) -> np.ndarray:
        mask = _mask(EMPTY, NEW, UNKNOWN) if self.is_reading else _mask(EMPTY, NEW)
        for block in (COPY, MOVED):
            for token in block:
                copied = self._copied(role, bar, token)
                mask[token] = copied is not None and self._pitches[role][copied[:, _PITCH]].all()
        if not self.is_reading and ROLES[role] not in UNPITCHED:
            mask[COPY.start : COPY.stop] &= [self._has_root(bar, source) for source in self._sources[bar].tolist()]
        return mask

    def _has_root(self, bar: int, source: int) -> bool:
        """Whether a bar's chord has the root of another's, as far as is known: then the same notes fit."""
        return source < 0 or self._roots[source] in (-1, self._roots[bar]) or self._roots[bar] < 0

    def _copied(self, role: int, bar: int, token: int) -> np.ndarray | None:
        """A copy of the notes that COPY or MOVED is of; None where there are none, or nothing to move with."""
        is_moved = token in MOVED
        source = int(self._sources[bar, token - (MOVED if is_moved else COPY).start])
        notes = self._found[role][source] if source >= 0 else None
        if notes is None or not len(notes):
            return None
        notes = notes.copy()
        if is_moved:
            root, other = self._roots[bar], self._roots[source]
            if ROLES[role] in UNPITCHED or root < 0 or other < 0 or root == other:
                return None
            notes[:, _PITCH] += (root - other + 5) % 12 - 5
            if notes[:, _PITCH].min() < 0 or notes[:, _PITCH].max() > 127:
                return None
        return notes

    # ---- onsets

    def _onsets(self, role: int, bar: int) -> Choice:
        known = self._found[role][bar]
        yield from self._free_onsets(role, bar) if known is None else self._known_onsets(role, bar, known)

    def _known_onsets(self, role: int, bar: int, known: np.ndarray) -> Choice:
        length = velocity = 0
        onsets = [part[i : i + FULL] for part in _by_position(known) for i in range(0, len(part), FULL)]
        for number, onset in enumerate(onsets, start=1):
            self._begin(1 + role, bar)
            yield self._at(0, _mask(POSITION[int(onset[0, _TICK])]))
            for n, (_, pitch, own_length, own_velocity) in enumerate(onset.tolist()):
                said = _said(own_length, own_velocity, length, velocity)
                for i, token in enumerate([*said, PITCH[pitch]]):
                    yield self._at(n, _mask(token), i > 0)
                length, velocity = own_length, own_velocity
            yield self._at(len(onset), _mask(MORE if number < len(onsets) else LAST))

    def _free_onsets(self, role: int, bar: int) -> Choice:
        most = FULL if self.is_reading else ranges.POLYPHONY[ROLES[role]]
        notes: list[tuple[int, int, int, int]] = []
        n_onsets, n, lowest, position, length, velocity = 0, 0, 0, -1, 0, 0
        token = MORE
        while token != LAST:
            self._begin(1 + role, bar)
            is_full = self.is_reading and n == FULL and lowest < 128  # then more notes may begin with the last ones
            first = position if is_full else position + 1
            last, position = position, (yield self._at(0, _mask(POSITION[first : self._n_positions]))) - POSITION.start
            n_onsets, n, lowest = n_onsets + 1, 0, lowest if position == last else 0
            while True:
                pitches = self._pitches[role].copy()
                pitches[:lowest] = False
                mask = _note_mask(pitches & (n < most), length, velocity)
                mask[LAST] = n > 0
                mask[MORE] = n > 0 and self._may_go_on(n_onsets, position, n == FULL and lowest < 128)
                token = yield self._at(n, mask)
                if token in (MORE, LAST):
                    break
                n_long = 0
                if token in LONG:
                    n_long = 1 + token - LONG.start
                    token = yield self._at(n, _mask(LENGTH), True)
                if token in LENGTH:
                    length = n_long * N_LENGTHS + 1 + token - LENGTH.start
                    token = yield self._at(n, _after_length(pitches, velocity), True)
                if token in VELOCITY:
                    velocity = 1 + token - VELOCITY.start
                    token = yield self._at(n, _pitch_mask(pitches), True)
                pitch = token - PITCH.start
                notes.append((position, pitch, length, velocity))
                lowest, n = pitch + 1, n + 1
        self._found[role][bar] = np.array(notes, dtype=np.int64).reshape(-1, 4)

    def _may_go_on(self, n_onsets: int, position: int, is_full: bool) -> bool:
        if self.is_reading:
            return position + 1 < self._n_positions or is_full
        return n_onsets < MAX_ONSETS and position + 1 < self._n_positions

    def _at(self, n: int, mask: np.ndarray, has_more: bool = False) -> np.ndarray:
        """The mask; on the way `place` is set for an onset of n notes so far."""
        self.place = 2 * len(ROLES) + 2 * n + has_more
        return mask


def _by_position(notes: np.ndarray) -> list[np.ndarray]:
    return np.split(notes, np.flatnonzero(np.diff(notes[:, _TICK])) + 1)


def _mask(*allowed: range | int) -> np.ndarray:
    mask = np.zeros(VOCAB_SIZE, dtype=bool)
    for part in allowed:
        if isinstance(part, int):
            mask[part] = True
        else:
            mask[part.start : part.stop] = True
    return mask


def _pitch_mask(pitches: np.ndarray) -> np.ndarray:
    mask = _mask()
    mask[PITCH.start : PITCH.stop] = pitches
    return mask


def _note_mask(pitches: np.ndarray, length: int, velocity: int) -> np.ndarray:
    """What a note may begin with: another length or velocity than those that hold (0: none does yet), or its pitch."""
    if not pitches.any():
        return _mask()
    if not length:
        return _mask(LONG, LENGTH)
    mask = _after_length(pitches, velocity)
    mask[LONG.start : LENGTH.stop] = True
    if length <= N_LENGTHS:
        mask[LENGTH[length - 1]] = False
    return mask


def _after_length(pitches: np.ndarray, velocity: int) -> np.ndarray:
    """Another velocity, or where one holds the pitch."""
    mask = _pitch_mask(pitches & (velocity > 0))
    mask[VELOCITY.start : VELOCITY.stop] = True
    if velocity:
        mask[VELOCITY[velocity - 1]] = False
    return mask


def _said(length: int, velocity: int, old_length: int, old_velocity: int) -> list[int]:
    """The sub-tokens of a note's length and velocity, where they are not those that hold."""
    said: list[int] = []
    if length != old_length:
        n_long, rest = divmod(length - 1, N_LENGTHS)
        said += [LONG[n_long - 1]] * bool(n_long) + [LENGTH[rest]]
    return said + [VELOCITY[velocity - 1]] * (velocity != old_velocity)


def _read(bar: NoteBar, n_positions: int) -> np.ndarray | None:
    """The notes of a bar, (n, 4) on the grid, in order of position and pitch, each pair once: the loudest."""
    if bar is None:
        return None
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for note in bar:
        place = (min(round(note.tick / GRID), n_positions - 1), note.pitch)
        length = min(max(round(note.length / GRID), 1), MAX_STEPS)
        found[place] = max(found.get(place, (0, 0)), (note.velocity, length))
    rows = [(*place, length, velocity) for place, (velocity, length) in sorted(found.items())]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class NoteSteps:
    """The known notes of a plan as n steps of at most W sub-tokens."""

    tokens: np.ndarray  # (n, W) int64, -1 after the end of a step
    places: np.ndarray  # (n, W) int64
    kinds: np.ndarray  # (n,) int64
    bars: np.ndarray  # (n,) int64, from 0
    likeness: np.ndarray  # (decisions, SOURCES, N_LIKENESS) float32 of each decision, see `State.likeness`


def steps(plan: Plan) -> NoteSteps:
    """The notes of a plan, those that are known and where they are not; `from_steps` is the inverse."""
    state = State(plan)
    rows: list[list[tuple[int, int]]] = []
    heads: list[tuple[int, int]] = []
    likeness: list[np.ndarray] = []
    while not state.is_done:
        if state.step == len(rows):
            rows.append([])
            heads.append((state.kind, state.bar))
        if (alike := state.likeness()) is not None:
            likeness.append(alike)
        token = int(state.allowed().argmax())
        rows[-1].append((token, state.place))
        state.push(token)
    width = max(map(len, rows), default=1)
    table = np.full((len(rows), width, 2), -1, dtype=np.int64)
    for row, pairs in zip(table, rows, strict=True):
        row[: len(pairs)] = pairs
    kinds, bars = np.array(heads, dtype=np.int64).reshape(-1, 2).T
    likenesses = np.array(likeness, dtype=np.float32).reshape(-1, SOURCES, N_LIKENESS)
    return NoteSteps(table[..., 0], np.maximum(table[..., 1], 0), kinds, bars, likenesses)


def from_steps(plan: Plan, tokens: Sequence[int]) -> Plan:
    """The plan with the notes that are sub-tokens in a row instead of its own; ValueError where they are none."""
    blank = plan.with_parts(Part(part.role, (None,) * plan.n_bars) for part in plan.notes)
    state = State(blank, np.ones((plan.n_bars, len(ROLES)), dtype=bool), is_reading=True)
    for token in tokens:
        state.push(token)
    if not state.is_done:
        raise ValueError(f"notes of {len(tokens)} sub-tokens end too early")
    return written(blank, state)


def written(plan: Plan, state: State) -> Plan:
    """The plan with the notes that a state that is done has written; who does not play in such a bar has none."""
    parts = []
    for i, (role, _) in [(ROLES.index(one[0]), one) for one in plan.instruments]:
        bars = list(plan.part(role).bars)
        for bar in np.flatnonzero(state.write[:, i]).tolist():
            if bars[bar] is None:
                bars[bar] = state.notes(i, bar) if state.plays[bar, i] else ()
        parts.append(Part(role, tuple(bars)))
    return plan.with_parts(parts)
