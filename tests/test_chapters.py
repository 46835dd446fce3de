"""Facts about chapters: FFmpeg reads the sections back, to the millisecond, and the sound is as long as it was."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybridgen import tags
from hybridgen.audio import Audio
from hybridgen.formats import CHAPTERED, chapters
from hybridgen.formats.labels import spans
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.test_plan import random_plan

PLAN = Plan((Section("verse", (Bar("Am"),)), Section(None, (Bar("F"),))), (Tempo(1, 130.0),), "4/4")


def at_rate(plan: Plan, kind: str) -> Plan:
    return plan.on(replace(plan.time_base, sample_rate=48_000 if kind == ".opus" else 44_100))


def tone(plan: Plan) -> np.ndarray:
    seconds = np.arange(plan.length) / plan.time_base.sample_rate
    return np.tile(0.3 * np.sin(2 * np.pi * 440 * seconds), (2, 1)).astype(np.float32)


@pytest.mark.parametrize("kind", CHAPTERED)
def test_chapters_are_the_sections(kind: str, tmp_path: Path):
    av = pytest.importorskip("av")
    rng = random.Random(2)
    plans = [plan for plan in (random_plan(rng) for _ in range(40)) if plan.seconds < 20 and spans(plan, "sections")]
    for plan in [PLAN, *plans[:4]]:
        plan = at_rate(plan, kind)
        path = tmp_path / f"x{kind}"
        chapters.write(path, kind, tone(plan), plan, "Ünï")
        with av.open(str(path)) as file:
            found = [(float(one["start"] * one["time_base"]), one["metadata"]["title"]) for one in file.chapters()]
            title = {**file.metadata, **file.streams[0].metadata}["title"]
        wanted = [(start / plan.time_base.sample_rate, name or "?") for start, _, name in spans(plan, "sections")]
        wanted[0] = (0.0, wanted[0][1])
        assert [name for _, name in found] == [name for _, name in wanted] and title == "Ünï"
        assert np.abs([a[0] - b[0] for a, b in zip(found, wanted, strict=True)]).max() < 0.0011
        assert abs(Audio.load(path).seconds - plan.seconds) < 0.1
        assert tags.is_marked(path)


@pytest.mark.parametrize("kind", CHAPTERED)
def test_the_same_sound_gives_the_same_bytes(kind: str, tmp_path: Path):
    pytest.importorskip("av")
    plan = at_rate(PLAN, kind)
    for name in ("a", "b"):
        chapters.write(tmp_path / name, kind, tone(plan), plan, "x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"format '.mp4' is none of .m4a .opus"):
        chapters.write(tmp_path / "x", ".mp4", tone(PLAN), PLAN, "x")
    with pytest.raises(ValueError, match="sample_rate 44100 is not the 48000"):
        chapters.write(tmp_path / "x", ".opus", tone(PLAN), PLAN, "x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'hybridgen\[ffmpeg\]'"):
        chapters.write(tmp_path / "x", ".m4a", tone(PLAN), PLAN, "x")
