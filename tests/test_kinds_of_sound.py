"""How it is to sound: kinds in a plan and in a prompt; what is said reaches the render, what is not does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
from hybridgen.plan.sounds import (
    CONTRARY,
    SOUND_WORDS,
    SOUNDS,
    labelled,
    merged,
    parse_sound,
    sound_values,
    with_default,
)
from hybridgen.request import reworded
from hybridgen.text.controls import understand
from tests.conftest import MICRO, random_pipeline


def test_kinds_are_written_in_one_order_by_any_of_their_words():
    assert parse_sound(["Dusty", "no  wide", "without tape wobble", "vinyl"]) == ("vinyl", "not tape", "not wide")
    for kind, phrases in SOUND_WORDS.items():
        assert all(parse_sound([f"no {phrase}"]) == (f"not {kind}",) for group in phrases for phrase in group)
    assert parse_sound(parse_sound(SOUNDS[:1])) == SOUNDS[:1] and parse_sound(()) == ()


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (["vinly"], "sound 'vinly' is none of vinyl, tape"),
        (["wide", "mono"], "sound: 'mono' and 'wide' exclude each other"),
        (["dry", "reverberant"], "sound: 'dry' and 'reverberant' exclude each other"),
        (["vinyl", "no dusty"], "sound: 'vinyl' is both wanted and not wanted"),
    ],
)
def test_what_is_no_sound_is_one_line(sound: list[str], words: str):
    for make in (lambda: Plan(n_samples=1000, sound=tuple(sound)), lambda: parse_sound(sound)):
        with pytest.raises(ValueError, match=words) as error:
            make()
        assert "\n" not in str(error.value)
    with pytest.raises(TypeError, match="should be a list"):
        parse_sound("vinyl")
    with pytest.raises(TypeError, match="should be the name"):
        parse_sound([4])  # type: ignore[list-item]


def test_values_are_signs_and_a_labelled_track_knows_all_of_them():
    assert sound_values(("mono", "not vinyl")).tolist() == [
        {"vinyl": -1.0, "mono": 1.0}.get(kind, 0.0) for kind in SOUNDS
    ]
    known = labelled(("tape", "supersaw"))
    assert parse_sound(known) == known and (sound_values(known) > 0).sum() == 2 and (sound_values(known) != 0).all()
    for kinds in CONTRARY:
        assert set(kinds) <= set(SOUNDS)


def test_what_is_said_later_replaces_what_it_excludes():
    assert merged(("vinyl", "wide"), ("mono",)) == ("vinyl", "mono")
    assert merged(("vinyl", "wide"), ("not vinyl",)) == ("not vinyl", "wide")
    assert merged(("not wide",), ("mono",)) == ("mono",)  # that it is not wide is said by mono
    assert merged(("dry",), ("not reverberant",)) == ("dry", "not reverberant")


def test_a_default_holds_where_no_kind_is_wanted():
    usual = ("general midi",)
    assert with_default((), usual) == usual and with_default((), ()) == ()
    assert with_default(("not reverberant",), usual) == ("not reverberant", "general midi")
    assert with_default(("not general midi",), usual) == ("not general midi",)
    assert with_default(("vinyl", "not wide"), usual) == ("vinyl", "not wide")


@pytest.mark.parametrize(
    ("prompt", "sound"),
    [
        ("dusty vinyl lo-fi hip hop, 84 BPM", ("vinyl",)),
        ("lofi beat, tape hiss, dusty", ("vinyl", "tape")),
        ("wide trance with supersaws, no reverb, pumping", ("pumping", "wide", "not reverberant", "supersaw")),
        ("bone-dry funk with live drums", ("dry", "live drums")),
        ("dub with tape echo and lots of reverb", ("reverberant", "echoing")),
        ("crisp, no delay, reverb or chorus", ("not reverberant", "not echoing", "bright")),
        ("heavily distorted metal", ("driven",)),
        ("distorted guitar rock in mono", ("mono",)),  # the guitar is distorted, not the rock
        ("mono synth lead", None),
        ("a dusty road in the west", None),
        ("wide open spaces", None),
        ("a narrow escape", None),
        ("echoes of the past", None),
        ("in the hall of the mountain king", None),
        ("F minor, FM synthesis", ("fm",)),
        ("Fm, Bbm, FM radio", None),
        ("chiptune with pulse waves", ("chip",)),
        ("General MIDI", ("general midi",)),
        ("no vinyl", ("not vinyl",)),
        ("slow piano in C minor", None),
    ],
)  # fmt: skip
def test_words_for_a_sound_are_read(prompt: str, sound: tuple[str, ...] | None):
    assert understand(prompt).controls.sound == sound


def test_of_two_kinds_that_exclude_each_other_the_first_is_taken_and_the_other_said():
    found = understand("dry but cavernous house")
    assert found.controls.sound == ("dry",)
    assert found.notes == ("sound cavernous contradicts dry: the first is taken",)


def test_what_is_refused_is_not_told_to_the_planner():
    assert "vinyl" not in understand("lo-fi beat, no vinyl").text
    assert "vinyl" in understand("lo-fi beat, vinyl").text


@pytest.fixture(scope="module")
def sound_pipe() -> Pipeline:
    """A pipeline with random weights whose renderer knows kinds of sound."""
    planner, renderer = replace(MICRO.planner, notes=True), replace(MICRO.renderer, notes=True, sound=True)
    return random_pipeline(replace(MICRO, planner=planner, renderer=renderer))


@pytest.fixture(scope="module")
def plan(sound_pipe: Pipeline) -> Plan:
    return sound_pipe.plan("dusty house, no reverb", seed=1, bars=2, tempo=120).plans[0]


def test_a_plan_says_its_sound_and_words_give_way_to_the_argument(sound_pipe: Pipeline, plan: Plan):
    assert plan.sound == ("vinyl", "not reverberant")
    assert Plan.from_json(plan.to_json()) == plan and '"sound": ["vinyl", "not reverberant"]' in plan.to_json()
    assert "sound: vinyl, not reverberant" in plan.text()
    made = sound_pipe.plan("dusty house", seed=1, bars=2, sound=["mono"])
    assert made.plans[0].sound == ("mono",) and any("sound in the prompt" in note for note in made.notes)
    assert sound_pipe.plan("dusty house", seed=1, bars=2, sound=[]).plans[0].sound == ()


def test_an_edit_of_the_sound_leaves_all_else(plan: Plan):
    coded = replace(plan, codes=((1,) * plan.n_code_frames,))
    assert coded.edit(sound=["wide"]) == replace(coded, sound=("wide",))
    assert coded.edit((1, 1), sound=[]) == replace(coded, sound=())


def test_other_words_for_the_whole_plan_change_its_sound_and_for_some_bars_they_do_not(plan: Plan):
    new, notes = reworded(plan, None, "house, wide, no vinyl")
    assert new.sound == ("not vinyl", "wide", "not reverberant") and not notes
    same, notes = reworded(plan, (1, 1), "wide")
    assert same.sound == plan.sound and notes == ("sound in the prompt is not changed by an edit's words",)


def test_the_sound_is_heard_and_a_free_one_is_what_it_was(sound_pipe: Pipeline, plan: Plan):
    free = replace(plan, sound=())
    tracks = [sound_pipe.render(replace(plan, sound=sound), seed=2).samples for sound in ((), ("mono",), ("not mono",))]
    assert np.array_equal(tracks[0], sound_pipe.render(free, seed=2).samples)
    assert not np.array_equal(tracks[0], tracks[1]) and not np.array_equal(tracks[0], tracks[2])


def test_guidance_pushes_the_first_step_alone_and_only_where_something_is_said(sound_pipe: Pipeline, plan: Plan):
    def render(sound: tuple[str, ...], scale: float, num_steps: int) -> np.ndarray:
        sampling = replace(sound_pipe.config.sampling, sound_guidance=scale, num_steps=num_steps)
        return sound_pipe.with_sampling(sampling).render(replace(plan, sound=sound), seed=2).latents

    assert np.array_equal(render((), 3.0, 2), render((), 0.0, 2))
    assert not np.array_equal(render(("wide",), 3.0, 2), render(("wide",), 0.0, 2))
    free, told, pushed = render((), 0.0, 1), render(("wide",), 0.0, 1), render(("wide",), 3.0, 1)
    assert ((pushed - told) * (told - free)).sum() > 0  # further the same way


def test_mono_is_mono_to_the_bit_and_so_are_its_stems_and_its_replay(sound_pipe: Pipeline, plan: Plan, tmp_path: Path):
    track = sound_pipe.render(replace(plan, sound=("mono",)), seed=2)
    assert np.array_equal(track.samples[0], track.samples[1]) and track.samples.any()
    for stem in sound_pipe.stems(track).values():
        assert np.array_equal(stem.samples[0], stem.samples[1])
    path = tmp_path / "track.wav"
    track.save(path)
    assert np.array_equal(sound_pipe.open(path).samples, track.samples)


def test_a_track_has_one_sound_and_another_is_for_all_of_its_bars(sound_pipe: Pipeline, plan: Plan):
    track = sound_pipe.render(replace(plan, sound=()), seed=2)
    with pytest.raises(ValueError, match="sound vinyl: the track's is free, and it is that of all bars"):
        sound_pipe.repaint(track, track.plan.edit(sound=["vinyl"]), bars=(1, 1))
    new = sound_pipe.repaint(track, track.plan.edit(sound=["mono"]), bars=(1, 2))
    assert new.plan.sound == ("mono",) and np.array_equal(new.samples[0], new.samples[1])


def test_a_model_that_knows_no_kinds_of_sound_says_so_and_mono_is_mono_all_the_same(note_pipe: Pipeline, plan: Plan):
    said = "the plan's sound is kept in it, but this model knows no kinds of sound"
    assert said in note_pipe.render(replace(plan, sound=("wide",)), seed=2).notes
    mono = note_pipe.render(replace(plan, sound=("mono",)), seed=2)
    assert said not in mono.notes and np.array_equal(mono.samples[0], mono.samples[1])


def test_the_usual_sound_is_what_is_played_where_nothing_is_said_and_is_not_guided(sound_pipe: Pipeline, plan: Plan):
    def latents(sound: tuple[str, ...], **sampling: object) -> np.ndarray:
        pipe = sound_pipe.with_sampling(replace(sound_pipe.config.sampling, sound_guidance=3.0, **sampling))
        return pipe.render(replace(plan, sound=sound), seed=2).latents

    usual = latents((), default_sound=("mono",))
    assert np.array_equal(usual, latents(("mono",), default_sound=("mono",)))
    assert not np.array_equal(usual, latents(())) and not np.array_equal(usual, latents(("mono",)))
    assert np.array_equal(latents(("wide",), default_sound=("mono",)), latents(("wide",)))


def test_a_default_that_is_no_sound_is_one_line(sound_pipe: Pipeline):
    with pytest.raises(ValueError, match="default_sound 'loud' is none of"):
        replace(sound_pipe.config.sampling, default_sound=("loud",))
