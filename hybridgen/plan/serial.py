"""Plan <-> JSON, and the plan as a page of text.

In JSON a constant tempo is a number, marks are a list; a section lists one string of chords a bar ("Am", "F G", or
null where unknown); an ending is "ring-out", "cut", "fade 4", "loop" or "open"; notes are written as `notes` says.
Errors name the field and the bar, for people who edit the file by hand.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from hybridgen.plan.notes import NoteBar, Part, bar_text, parse_swing
from hybridgen.plan.notes import parse_bar as parse_notes
from hybridgen.plan.parts import MAX_SECONDS, Bar, Section, Tempo, parse_bar
from hybridgen.plan.score import Score
from hybridgen.plan.time_base import TimeBase

FORMAT = 1
FIELDS = (
    "hybridgen_plan",
    "prompt",
    "seed",
    "meter",
    "key",
    "tempo",
    "samples",
    "instruments",
    "sections",
    "beats",
    "ending",
    "swing",
    "sound",
    "notes",
    "codes",
    "pre_roll",
    "time_base",
)
BARS_A_LINE = 8


def to_dict(plan: Score) -> dict[str, Any]:
    """Plain JSON values; codes, beats, an ending and a time base are left out where they are unset or the usual one."""
    data: dict[str, Any] = {
        "hybridgen_plan": FORMAT,
        "prompt": plan.prompt,
        "seed": plan.seed,
        "meter": plan.meter,
        "key": plan.key,
        "tempo": _tempo_value(plan.tempo),
        "samples": plan.n_samples,
        "instruments": dict(plan.instruments),
        "sections": [_section_value(section) for section in plan.sections],
    }
    if plan.time_base != TimeBase():
        data["time_base"] = asdict(plan.time_base)
    if plan.ending is not None:
        data["ending"] = str(plan.ending)
    if plan.swing is not None:
        data["swing"] = str(plan.swing)
    if plan.sound:
        data["sound"] = list(plan.sound)
    if plan.beats:
        data["beats"] = list(plan.beats)
    if plan.notes:
        data["notes"] = {part.role: _part_value(part) for part in plan.notes}
    if plan.codes:
        data["codes"] = [list(row) for row in plan.codes]
    if plan.pre_roll:
        data["pre_roll"] = plan.pre_roll
    return data


def to_json(plan: Score) -> str:
    """One readable JSON document of `to_dict`."""
    data = to_dict(plan)
    lines = [f"  {json.dumps(name)}: {_value_text(name, value)}" for name, value in data.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value_text(name: str, value: Any) -> str:
    if name == "notes":
        parts = [f"    {json.dumps(role)}: {_part_text(bars)}" for role, bars in value.items()]
        return "{\n" + ",\n".join(parts) + "\n  }"
    if name not in ("sections", "codes"):
        return json.dumps(value, ensure_ascii=False)
    rows = ",\n".join("    " + json.dumps(row) for row in value)
    return f"[\n{rows}\n  ]" if rows else "[]"


def _tempo_value(marks: tuple[Tempo, ...]) -> float | list[dict] | None:
    if not marks:
        return None
    if len(marks) == 1 and not marks[0].ramp:
        return marks[0].bpm
    return [{"bar": mark.bar, "bpm": mark.bpm, **({"ramp": True} if mark.ramp else {})} for mark in marks]


def _part_value(part: Part) -> dict[str, str]:
    """Number -> notes of each known bar; one that repeats an earlier bar says so."""
    first: dict[NoteBar, int] = {}
    values = {}
    for number, bar in enumerate(part.bars, start=1):
        if bar is None:
            continue
        values[str(number)] = f"as {first[bar]}" if bar and bar in first else bar_text(bar, part.role)
        first.setdefault(bar, number)
    return values


def _part_text(bars: dict[str, str]) -> str:
    lines = [f"      {json.dumps(number)}: {json.dumps(text, ensure_ascii=False)}" for number, text in bars.items()]
    return "{\n" + ",\n".join(lines) + "\n    }" if lines else "{}"


def _section_value(section: Section) -> dict:
    roles = None if section.roles is None else list(section.roles)
    chords = [None if bar.chords is None else " ".join(bar.chords) for bar in section.bars]
    return {"label": section.label, "energy": section.energy, "roles": roles, "chords": chords}


def parse_json(text: str) -> Any:
    """The value that `text` holds; ValueError where it is not JSON."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"plan: not JSON: {error}") from None


def fields(data: Any) -> dict[str, Any]:
    """The arguments of `Plan` in plain JSON values; ValueError naming the field, and the bar, of what is wrong."""
    _expect(data, dict, "plan")
    unknown = sorted(set(data) - set(FIELDS))
    if unknown or data.get("hybridgen_plan") != FORMAT:
        what = (
            f"unknown {unknown}"
            if unknown
            else f"hybridgen_plan is {_short(data.get('hybridgen_plan'))}, expected {FORMAT}"
        )
        raise ValueError(f"plan: {what}")
    return {
        "prompt": _expect(data.get("prompt", ""), str, "prompt"),
        "seed": _expect(data.get("seed", 0), int, "seed"),
        "meter": _expect(data.get("meter"), str | None, "meter"),
        "key": _expect(data.get("key"), str | None, "key"),
        "tempo": _read_tempo(data.get("tempo")),
        "n_samples": _expect(data.get("samples"), int | None, "samples"),
        "instruments": _read_instruments(data.get("instruments", {})),
        "sections": read_sections(_expect(data.get("sections", []), list, "sections")),
        "beats": tuple(_expect(t, int | float, "beats") for t in _expect(data.get("beats", []), list, "beats")),
        "ending": _expect(data.get("ending"), str | None, "ending"),
        "swing": _read_swing(data.get("swing")),
        "sound": tuple(_expect(kind, str, "sound") for kind in _expect(data.get("sound", []), list, "sound")),
        "notes": _read_notes(_expect(data.get("notes", {}), dict, "notes"), data.get("sections", [])),
        "codes": _read_codes(_expect(data.get("codes", []), list, "codes")),
        "pre_roll": _expect(data.get("pre_roll", 0), int, "pre_roll"),
        "time_base": _read_time_base(_expect(data.get("time_base", {}), dict, "time_base")),
    }


def _expect(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = getattr(kind, "__name__", str(kind))
        raise ValueError(f"plan: {where}: expected {wanted}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    """A value in a message; a list or an object by its kind alone, for it may be large or deep."""
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else json.dumps(value)[:60]


def _read_tempo(value: Any) -> tuple[Tempo, ...]:
    if value is None:
        return ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (Tempo(1, value),)
    marks = []
    for mark in _expect(value, list, "tempo (a number, or a list of marks)"):
        _expect(mark, dict, 'tempo mark (such as {"bar": 1, "bpm": 96})')
        if not {"bar", "bpm"} <= set(mark) <= {"bar", "bpm", "ramp"} or not isinstance(mark.get("ramp", False), bool):
            raise ValueError(f"plan: tempo: a mark has bar, bpm and perhaps ramp, got {_short(mark)}")
        bar, bpm = _expect(mark["bar"], int, "tempo bar"), _expect(mark["bpm"], int | float, "tempo bpm")
        marks.append(Tempo(bar, bpm, mark.get("ramp", False)))
    return tuple(marks)


def _read_time_base(values: dict) -> TimeBase:
    known = asdict(TimeBase())
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"plan: time_base: unknown {unknown}")
    return TimeBase(**{name: _expect(value, int, f"time_base {name}") for name, value in values.items()})


def _read_swing(value: Any) -> Any:
    return None if value is None else parse_swing(_expect(value, str | int | float, "swing"))


def _read_notes(values: dict, sections: list) -> tuple[Part, ...]:
    """Parts from role -> bar number -> text, bars in any order; "as n" means a bar that is written before it."""
    n_bars = sum(len(section.get("chords", [])) for section in sections)
    return tuple(_read_part(role, _expect(bars, dict, f"notes: {role}"), n_bars) for role, bars in values.items())


def _read_part(role: str, values: dict, n_bars: int) -> Part:
    part = Part(role, (None,) * n_bars)
    found: dict[int, NoteBar] = {}
    for number, text in values.items():
        where = f"plan: notes: {role}, bar {number[:20]}"
        if not re.fullmatch(r"[0-9]{1,4}", number) or not 1 <= int(number) <= n_bars:
            raise ValueError(f"{where}: is outside 1-{n_bars}")
        found[int(number)] = parse_notes(_expect(text, str, where.removeprefix("plan: ")), role, found.get, where)
    return replace(part, bars=tuple(found.get(number) for number in range(1, n_bars + 1)))


def _read_instruments(value: Any) -> tuple[tuple[str, int | None], ...]:
    return tuple(
        (r, _expect(p, int | None, f"instruments {r}")) for r, p in _expect(value, dict, "instruments").items()
    )


def read_sections(values: list) -> tuple[Section, ...]:
    """Sections as a plan's JSON has them; ValueError naming the section, and the bar, of what is wrong."""
    sections, first = [], 1
    for i, value in enumerate(values, start=1):
        where = f"section {i} (from bar {first})"
        _expect(value, dict, where)
        if unknown := sorted(set(value) - {"label", "energy", "roles", "chords"}):
            raise ValueError(f"plan: {where}: unknown {unknown}")
        chords = _expect(value.get("chords", []), list, f"{where}: chords")
        if len(chords) > MAX_SECONDS * 10:
            raise ValueError(f"plan: {where}: {len(chords)} bars are more than any track holds")
        bars = tuple(_read_bar(chord, f"bar {first + j}") for j, chord in enumerate(chords))
        sections.append(_read_section(value, bars, where))
        first += len(bars)
    return tuple(sections)


def _read_bar(chords: Any, where: str) -> Bar:
    return Bar(parse_bar(_expect(chords, str | None, where), f"plan: {where}"))


def _read_section(value: dict, bars: tuple[Bar, ...], where: str) -> Section:
    roles = _expect(value.get("roles"), list | None, f"{where}: roles")
    label, energy = value.get("label"), value.get("energy")
    try:
        return Section(_expect(label, str | None, "label"), bars, _expect(energy, int | None, "energy"), roles)
    except ValueError as error:
        raise ValueError(f"plan: {where}: {str(error).removeprefix('plan: ')}") from None


def _read_codes(rows: list) -> tuple[tuple[int, ...], ...]:
    for row in rows:
        _expect(row, list, "codes")
        if any(type(code) is not int or not -1 <= code < 2**15 for code in row):
            raise ValueError("plan: codes: every code is a whole number from -1 (unset) up")
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"plan: codes: rows of {sorted({len(row) for row in rows})} frames, expected one length")
    return tuple(tuple(row) for row in rows)


def page(plan: Score, notes: bool = False) -> str:
    """A line of facts, the instruments, then each section with its chords, `BARS_A_LINE` bars a line; and its notes."""
    lines = [_facts(plan), "  ".join(f"{role}:{'?' if p is None else p}" for role, p in plan.instruments)]
    first = 1
    for section in plan.sections:
        energy = "?" if section.energy is None else section.energy
        roles = "roles unknown" if section.roles is None else " ".join(section.roles) or "silence"
        last = first + len(section.bars) - 1
        lines.append(f"\n{section.label or '?'}  bars {first}-{last}  energy {energy}  {roles}")
        chords = ["?" if bar.chords is None else " ".join(bar.chords) for bar in section.bars]
        for i in range(0, len(chords), BARS_A_LINE):
            lines.append(f"{first + i:5d} | " + " | ".join(f"{c:<7}" for c in chords[i : i + BARS_A_LINE]) + " |")
        lines += _note_lines(plan, first, last) if notes else []
        first = last + 1
    return "\n".join(lines) + "\n"


def _note_lines(plan: Score, first: int, last: int) -> Iterator[str]:
    """A line for each role and bar whose notes are known."""
    for part in plan.notes:
        for number in range(first, last + 1):
            bar = part.bars[number - 1]
            if bar is not None:
                yield f"      {part.role} {number}: {bar_text(bar, part.role) or 'silence'}"


def summary(plan: Score) -> str:
    """Tempo, meter, bars, length and key in a few words, as far as they are known."""
    parts = [f"{plan.seconds:.1f} s"]
    if plan.n_bars:
        tempo = f"{plan.tempo[0].bpm:g} BPM" if plan.tempo else "free tempo"
        parts = [tempo, *([plan.meter] if plan.meter else []), f"{plan.n_bars} bars", *parts]
    return " · ".join([*parts, *([plan.key] if plan.key else [])])


def tempo_text(plan: Score) -> str:
    """The tempo marks in words: "84→ 104 (bar 5) BPM"; or that it is as played, or unknown."""
    marks = [f"{m.bpm:g}" + ("→" if m.ramp else "") + (f" (bar {m.bar})" if m.bar > 1 else "") for m in plan.tempo]
    return " ".join(marks) + " BPM" if marks else "tempo as played" if plan.beats else "tempo unknown"


def clock(seconds: float) -> str:
    """Seconds as people read them: "1:04.250"."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:06.3f}"


def n_written(plan: Score) -> int:
    """Code frames that are written."""
    return sum(code >= 0 for code in plan.codes[0]) if plan.codes else 0


def _facts(plan: Score) -> str:
    facts = (
        *([] if plan.swing is None else [f"swing {plan.swing}"]),
        *([f"sound: {', '.join(plan.sound)}"] if plan.sound else []),
        plan.key or "key unknown",
        plan.meter or "meter unknown",
        tempo_text(plan),
        f"{plan.n_bars} bars",
        clock(plan.seconds),
        *([] if plan.ending is None else [f"ending: {plan.ending}"]),
        *([f"{n_written(plan)} of {plan.n_code_frames} code frames written"] if plan.codes else []),
    )
    return "  ·  ".join(facts)
