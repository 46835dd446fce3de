"""The borders of sections moved, set and taken away, and a plan as it is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase

BAR = (Note(0, 240, 45, 80),)


@pytest.fixture
def plan() -> Plan:
    """Two bars of a calm verse, three of a loud chorus, and a bass whose notes are known in all of them."""
    verse = Section("verse", tuple(Bar((name,)) for name in ("Am", "F")), 2, ("bass",))
    chorus = Section("chorus", tuple(Bar((name,)) for name in ("C", "G", "E")), 6, ("bass", "drums"))
    bars = [replace(note, tick=60 * i) for i, note in enumerate(BAR * 5)]
    part = Part("bass", tuple((note,) for note in bars))
    instruments = (("bass", 33), ("drums", 0))
    one = Plan(sections=(verse, chorus), tempo=(Tempo(1, 120),), instruments=instruments, notes=(part,))
    return replace(one, codes=tuple((7,) * one.n_code_frames for _ in range(4)))


def shape(plan: Plan) -> list[tuple[str | None, int]]:
    return [(section.label, len(section.bars)) for section in plan.sections]


@pytest.mark.parametrize(
    ("to", "sizes", "new"), [(2, (1, 4), [2]), (4, (3, 2), [3]), (5, (4, 1), [3, 4]), (3, (2, 3), [])]
)
def test_a_border_moves_no_bar_and_what_changes_hands_is_written_anew(
    plan: Plan, to: int, sizes: tuple, new: list[int]
):
    moved = plan.move_border(3, to)
    assert shape(moved) == [("verse", sizes[0]), ("chorus", sizes[1])]
    assert [bar.chords for bar in moved.bars] == [bar.chords for bar in plan.bars]
    assert (moved.bar_starts() == plan.bar_starts()).all() and moved.length == plan.length
    bars = moved.part("bass").bars
    assert [number for number, bar in enumerate(bars, start=1) if bar is None] == new
    unset = np.array(moved.codes)[0] < 0
    assert unset.any() == bool(new) and not unset.all()


@pytest.mark.parametrize(("bar", "to"), [(3, 1), (3, 6), (1, 1), (2, 3), (4, 5)])
def test_no_border_is_moved_over_another_and_none_where_there_is_none(plan: Plan, bar: int, to: int):
    with pytest.raises(ValueError, match=r"both sections keep a bar|begins no section|nothing is before"):
        plan.move_border(bar, to)


def test_a_section_is_divided_and_joined_again(plan: Plan):
    divided = plan.split(4)
    assert shape(divided) == [("verse", 2), ("chorus", 1), ("chorus", 2)]
    assert divided.notes == plan.notes and divided.codes == plan.codes
    assert divided.merge(4) == plan
    one = plan.merge(3)
    assert shape(one) == [("verse", 5)] and one.sections[0].energy == 2
    assert [bar is None for bar in one.part("bass").bars] == [False, False, True, True, True]
    for bar in (1, 3, 6, 0):
        with pytest.raises(ValueError, match=f"bar {bar} begins a section already, or is outside"):
            plan.split(bar)
    with pytest.raises(ValueError, match="nothing is before"):
        plan.merge(1)


def test_sections_are_put_in_order_by_their_numbers_too(plan: Plan):
    assert plan.arrange([2, 1, 2]) == plan.arrange("chorus verse chorus")
    for order in ([], [0], [3], [1] * 3000):
        with pytest.raises(ValueError, match="arrange"):
            plan.arrange(order)
    with pytest.raises(TypeError):
        plan.arrange([1.5])  # type: ignore[list-item]


def test_what_is_drawn_is_where_it_sounds(plan: Plan):
    seen = plan.view()
    rate = TimeBase().sample_rate
    assert np.allclose(np.array(seen["bars"]) * rate, plan.bar_starts(), atol=1) and seen["seconds"] == 10
    assert np.allclose(np.array(seen["beats"]) * rate, plan.beat_starts(), atol=1)
    assert [(one["first"], one["last"], one["label"]) for one in seen["sections"]] == [
        (1, 2, "verse"),
        (3, 5, "chorus"),
    ]
    drums, bass = seen["parts"]
    assert bass["known"] == [True] * 5 and drums["known"] == [False] * 5 and drums["notes"] == []
    spans, notes = plan.note_samples("bass")
    for (start, stop, pitch, velocity, bar, tick, length), span, note in zip(bass["notes"], spans, notes, strict=True):
        assert np.allclose([start * rate, stop * rate], span, atol=1)
        assert (pitch, velocity, tick, length) == (note.pitch, note.velocity, note.tick, note.length)
        assert plan.part("bass").bars[bar - 1] == (note,)
    assert Plan(n_samples=44_100).view()["bars"] == [0.0]
