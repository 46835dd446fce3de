"""Chord charts as people type them.

    key: A minor
    tempo: 96
    [Verse]
    |: Am7 | Dm7 G7 | Cmaj7 |1. % :|2. E7 ||

`%` and `-` stand for the bar before, `/` for one more beat of a chord, `?` for a bar that nobody knows, `x3` behind a
repeat for how often it is played. A repeat without a beginning goes back to the end of the one before it, or to the
heading of its section. A line without bar lines has a chord a bar; one that begins with `#` is a comment.
"""

import re
from dataclasses import dataclass, field

from hybridgen.formats.sheet import (
    MAX_REPEATS,
    NO_LABEL,
    Measure,
    Remarks,
    bar_ticks,
    check_has_bars,
    first_tempo,
    passes_named,
    plan_of,
)
from hybridgen.formats.symbols import UNKNOWN, read_symbol
from hybridgen.plan.harmony import parse_key
from hybridgen.plan.parts import MAX_BARS, check_meter, check_tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import Score

MAX_CHARACTERS = 1_000_000
BARS_A_LINE = 4
_AGAIN = ("%", "-", "–", "𝄎")
_HEADER = re.compile(r"(key|tempo|bpm|meter|time)\s*[:=]\s*(.+)", re.IGNORECASE)
_HEADING = re.compile(r"\[([^\[\]|]{1,60})\]\s*")
_COLON_HEADING = re.compile(r"([^|:\[\]]{1,60}):")
_TOKEN = re.compile(
    r"(?P<line>:\|:|::|:\|+\]?|\|+:|\|+\]?)(?:(?P<endings>\d(?:[,-]\d)*)\.?(?![\dx×]))?"
    r"|\(?(?:[x×](?P<times>\d{1,3})|(?P<before>\d{1,3})[x×])\)?(?=[\s|]|$)|(?P<word>[^\s|]+)"
)


@dataclass
class _Chart:
    """What has been read of a chart."""

    ticks: int
    remarks: Remarks
    measures: list[Measure] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # of the bar that is open
    heading: str | None = None  # for the next bar
    begins: bool = False  # a repeat, with the next bar
    endings: tuple[int, ...] = ()
    is_open: bool = False  # whether a repeat has begun that has not ended
    start: int = 0  # index of the bar to which a repeat without a beginning goes back

    def close(self, place: str) -> None:
        """The open bar ends; one without a word is none."""
        if not self.words:
            return
        if len(self.measures) >= MAX_BARS:
            raise ValueError(f"{place}: more than {MAX_BARS} bars")
        measure = Measure(place, self.ticks, is_hidden=True, heading=self.heading, begins=self.begins)
        measure.endings = self.endings
        measure.chords = self._chords(place)
        if self.begins or self.heading is not None:
            self.start = self.start if self.is_open else len(self.measures)
        self.is_open = self.is_open or self.begins
        self.measures.append(measure)
        self.words, self.heading, self.begins = [], None, False

    def _chords(self, place: str) -> list[tuple[int, str | None]]:
        if len(self.words) == 1 and self.words[0] in _AGAIN:
            if not self.measures:
                raise ValueError(f"{place}: {self.words[0]} repeats a bar, but there is none before it")
            return list(self.measures[-1].chords)
        if self.words == [UNKNOWN]:
            return [(0, None)]
        chords: list[str] = []
        for word in self.words:
            if word in (*_AGAIN, "/"):
                chords.append(self._before(chords, place))
            else:
                chords.append(self._read(word, place))
        if "/" not in self.words and len(chords) <= 2:
            return [(i * self.ticks // 2, chord) for i, chord in enumerate(chords)]
        kept = [chords[0]] if chords[0] == chords[len(chords) // 2] else [chords[0], chords[len(chords) // 2]]
        changes = [chord for chord, before in zip(chords[1:], chords, strict=False) if chord != before]
        if changes != kept[1:]:
            self.remarks.add(f"{place}: of its chords the first and the one at half are kept")
        return [(i * self.ticks // 2, chord) for i, chord in enumerate(kept)]

    def _before(self, chords: list[str], place: str) -> str:
        """The chord that goes on."""
        known = chords or [chord for _, chord in (self.measures[-1].chords if self.measures else ()) if chord]
        if not known:
            raise ValueError(f"{place}: no chord comes before it")
        return known[-1]

    def _read(self, word: str, place: str) -> str:
        try:
            chord, lost = read_symbol(word)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if lost:
            self.remarks.add(lost)
        return chord


def from_chart(text: str, tempo: float = 120.0, meter: str = "4/4") -> tuple[Plan, tuple[str, ...]]:
    """(the plan, what could not be carried) of a chord chart.

    tempo: quarter notes a minute, and meter: where the chart names none. ValueError, naming the line and the bar, for
    what cannot be read.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"chart: {len(text)} characters are over the limit of {MAX_CHARACTERS}")
    lines = [(f"chart: line {number}", line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(place, line) for place, line in lines if line and not line.startswith("#")]
    key = None
    while lines and (match := _HEADER.fullmatch(lines[0][1])):
        place, _ = lines.pop(0)
        name, value = match[1].lower(), match[2].strip()
        try:
            if name == "key":
                key = parse_key(value)
            elif name in ("tempo", "bpm"):
                tempo = _tempo(value)
            else:
                meter = check_meter(value)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    chart = _Chart(bar_ticks(check_meter(meter)), Remarks())
    for place, line in lines:
        _read_line(chart, line, place)
    if chart.heading is not None:
        chart.remarks.add(f"section {chart.heading[:40]!r} has no bars")
    try:
        plan = plan_of(chart.measures, chart.remarks, meter=meter, tempo=check_tempo(tempo), key=key)
    except ValueError as error:
        raise ValueError(f"chart: {str(error).removeprefix('chart: ')}") from None
    return plan, chart.remarks.lines()


def _tempo(text: str) -> float:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?)\s*(?:bpm)?", text, re.IGNORECASE)
    if match is None:
        raise ValueError(f"tempo {text[:40]!r} is no number of beats a minute")
    return check_tempo(float(match[1]))


def _read_line(chart: _Chart, line: str, place: str) -> None:
    if match := _COLON_HEADING.fullmatch(line):
        _head(chart, match[1].strip())
        return
    if match := _HEADING.match(line):
        _head(chart, match[1].strip())
        line = line[match.end() :]
    if "|" not in line and len(line.split()) > 1:
        chart.remarks.add(f"{place}: no bar lines, a chord a bar")
        line = " | ".join(line.split())
    first = len(chart.measures)
    for token in _TOKEN.finditer(line):
        bar = f"{place}, bar {len(chart.measures) - first + 1}"
        if token["word"]:
            chart.words.append(token["word"])
        elif token["line"]:
            chart.close(bar)
            _bar_line(chart, token["line"], token["endings"], bar)
        else:
            _times(chart, int(token["times"] or token["before"]), bar)
    chart.close(f"{place}, bar {len(chart.measures) - first + 1}")


def _head(chart: _Chart, heading: str) -> None:
    chart.heading, chart.endings = heading, ()


def _bar_line(chart: _Chart, line: str, endings: str | None, place: str) -> None:
    if line.startswith(":"):
        if not chart.measures or chart.begins:
            raise ValueError(f"{place}: a repeat ends, but there is no bar in it")
        chart.measures[-1].passes = 2
        if not chart.measures[-1].endings or 1 in chart.measures[-1].endings:
            chart.measures[chart.start].begins = True
        chart.is_open, chart.start = False, len(chart.measures)
    if line != "|":
        chart.endings = ()
    if endings:
        chart.endings = passes_named(endings, place)
    chart.begins = chart.begins or (line.endswith(":") and line != ":")


def _times(chart: _Chart, times: int, place: str) -> None:
    if chart.words or not chart.measures or chart.measures[-1].passes == 1:
        raise ValueError(f"{place}: x{times} stands behind no end of a repeat :|")
    if not 2 <= times <= MAX_REPEATS:
        raise ValueError(f"{place}: x{times} is outside x2 to x{MAX_REPEATS}")
    chart.measures[-1].passes = times


def to_chart(plan: Score) -> str:
    """The plan as a chord chart: key, first tempo, meter, sections and chords; ValueError for a plan without bars."""
    check_has_bars(plan, "chart")
    lines = [f"key: {plan.key}"] if plan.key else []
    lines += [f"tempo: {first_tempo(plan):g}", f"meter: {plan.meter}"]
    for section in plan.sections:
        lines += ["", f"[{section.label or NO_LABEL}]"]
        chords = [" ".join(bar.chords or (UNKNOWN,)) for bar in section.bars]
        for i in range(0, len(chords), BARS_A_LINE):
            lines.append(f"| {' | '.join(chords[i : i + BARS_A_LINE])} |")
    return "\n".join(lines) + "\n"
