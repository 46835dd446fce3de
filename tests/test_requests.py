"""Requests: the controls of Python and the command line, others' names for them, and what is said to a bad one."""

import inspect
import json
import math
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridgen.cli import build_parser, options
from hybridgen.cli.options import AUDIO_ENDINGS
from hybridgen.pipeline import Pipeline
from hybridgen.plan import controls
from hybridgen.plan.controls import ControlArgs, Controls, EditArgs
from hybridgen.plan.parts import MAX_PROMPT
from hybridgen.sampling import LIMITS, RenderArgs, RenderOptions
from hybridgen.serve.aliases import ALIASES, INSTRUMENTAL
from hybridgen.serve.kinds import CHANGES, KINDS, RENDERED, SOUNDS, ranges, read
from hybridgen.serve.limits import Limits
from hybridgen.serve.refusals import Refused
from hybridgen.serve.requests import check

ANY = Limits()
PLAN = {
    "hybridgen_plan": 1,
    "meter": "4/4",
    "tempo": 120,
    "sections": [{"label": "verse", "energy": 4, "roles": ["bass"], "chords": ["Am", "F"]}],
    "instruments": {"bass": 33},
}
CLI = {"num_steps": "steps", "guidance_scale": "guidance", "seed": "render_seed", "sample_rate": "rate"}
COMMANDS: dict[str, tuple[Any, list[str]]] = {  # kind -> what does it in Python, and on the command line
    "plans": (Pipeline.plan, ["plan", "prompt", "-o", "x.json"]),
    "track": (Pipeline.generate, ["generate", "prompt"]),
    "repaint": (Pipeline.repaint, ["repaint", "x.flac", "-o", "y.flac"]),
    "extend": (Pipeline.extend, ["extend", "x.flac", "-o", "y.flac"]),
    "loop": (Pipeline.loop, ["loop", "x.flac", "-o", "y.flac"]),
    "vary": (Pipeline.vary, ["vary", "x.flac", "-o", "y.flac"]),
    "cover": (Pipeline.cover, ["cover", "x.flac", "prompt", "-o", "y.flac"]),
    "layer": (Pipeline.layer, ["layer", "x.flac", "--role", "lead", "-o", "y.flac"]),
    "style": (Pipeline.style, ["style", "x.wav", "y.wav", "-o", "z.wav"]),
}


def refused(kind: str, limits: Limits = ANY, **fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        check(kind, fields, limits)
    assert "\n" not in str(caught.value)
    return caught.value


# ---- one list of controls


@pytest.mark.parametrize(("place", "args", "kind"), [("request", ControlArgs, "track"), ("edit", EditArgs, "repaint")])
def test_every_control_has_the_same_name_in_python_on_the_command_line_and_in_rest(place: str, args: type, kind: str):
    names = controls.options(place).keys()
    assert names == get_type_hints(args).keys()
    assert names <= KINDS[kind].model_fields.keys()
    command, shown = COMMANDS[kind][1], vars(build_parser().parse_args(COMMANDS[kind][1]))
    for name, option in options.written_controls(place).items():
        assert name in shown and shown[name] is None, command
        assert option.repeats in (None, name) or option.repeats in ALIASES[name]


def test_every_range_is_the_one_that_is_checked():
    for place in ("request", "edit"):
        for name, option in controls.options(place).items():
            if option.limits is None:
                continue
            for end, outside in zip(option.limits, (-1, 1), strict=True):
                assert getattr(Controls(**{name: end}), name) == end
                with pytest.raises(ValueError, match=name):
                    Controls(**{name: end + outside})
    for name, (low, high) in LIMITS.items():
        assert {getattr(RenderOptions(**{name: end}), name) for end in (low, high)} == {low, high}
        for outside in (low - 1, high + 1):
            with pytest.raises(ValueError, match=f"{name} .* outside"):
                RenderOptions(**{name: outside})


@pytest.mark.parametrize("kind", KINDS)
def test_every_range_in_rest_is_that_of_python(kind: str):
    found = ranges(kind)
    for name in KINDS[kind].model_fields:
        place = "edit" if kind == "repaint" else "request"
        option = controls.options(place).get(name)
        limits = LIMITS.get(name, option.limits if option is not None and kind in ("plans", "track") else None)
        if limits is not None:
            assert (found[name].low, found[name].high) == limits, (kind, name)


def test_every_word_that_is_offered_is_taken():
    for place in ("request", "edit"):
        for name, option in controls.options(place).items():
            for word in option.choices:
                several = name in ("form", "roles", "clear", "sound")
                assert getattr(Controls(**{name: [word] if several else word}), name) is not None


@pytest.mark.parametrize("kind", COMMANDS)
def test_every_default_is_the_same_in_python_on_the_command_line_and_in_rest(kind: str):
    method, command = COMMANDS[kind]
    signature, shown = inspect.signature(method).parameters, vars(build_parser().parse_args(command))
    hints = get_type_hints(RenderArgs).keys() | get_type_hints(ControlArgs).keys() | get_type_hints(EditArgs).keys()
    for name, one in KINDS[kind].model_fields.items():
        if one.is_required() or name in ("track", "prompt", "plan", "format", "live"):
            continue
        in_python = signature[name].default if name in signature else None
        assert name in signature or name in hints or name in ("downbeat", "meter"), (kind, name)
        assert one.default == in_python, (kind, name)
        typed = shown.get(CLI.get(name, name), shown.get(name))
        if name in shown or CLI.get(name) in shown:
            assert (int(typed) if (kind, name) == ("loop", "bars") else typed) == one.default, (kind, name)


@pytest.mark.parametrize("kind", CHANGES)
def test_rest_takes_every_argument_of_a_change(kind: str):
    names = inspect.signature(COMMANDS[kind][0]).parameters.keys() - {"self", "options", "source", "track", "plan"}
    assert names <= KINDS[kind].model_fields.keys()
    if kind in RENDERED:
        assert get_type_hints(RenderArgs).keys() - {"progress"} <= KINDS[kind].model_fields.keys()


def test_the_formats_are_those_of_the_command_line():
    assert set(SOUNDS) == set(AUDIO_ENDINGS)


# ---- what goes through


def test_a_request_comes_back_with_a_seed_and_is_read_as_arguments_of_the_pipeline():
    asked = {"prompt": "waltz", "bars": 8, "meter": "3/4", "cues": [{"bar": 5, "enter": ["bass"]}], "form": ["verse"]}
    checked = check("track", asked, ANY)
    assert json.loads(json.dumps(checked)) == checked
    assert 0 <= checked["seed"] < 2**32 and checked["seed"] != check("track", asked, ANY)["seed"]
    fields = read("track", checked)
    assert Controls.of("request", {name: fields[name] for name in ("bars", "meter", "cues", "form")}).cues[0].bar == 5
    sections = [{"label": "verse", "chords": ["Am", None]}]
    assert (
        read("track", check("track", {"prompt": "x", "sections": sections}, ANY))["sections"][0].bars[1].chords is None
    )
    assert check("vary", {"track": "id"}, ANY).keys() == {"track", "amount", "format"}  # its seed is the track's


@pytest.mark.parametrize(("name", "other"), [(name, other) for name in ALIASES for other in ALIASES[name]])
def test_other_names_mean_the_same(name: str, other: str):
    values = {"prompt": "jazz", "seconds": 9, "tempo": 99, "key": "A minor", "meter": "3/4", "seed": 5, "num_steps": 3}
    values |= {
        "guidance_scale": 2.0,
        "format": "mp3",
        "instruments": {"bass": 33},
        "track": "id",
        "sample_rate": 48_000,
    }
    kind = {"track": "vary", "sample_rate": "export"}.get(name, "track")
    base = {"track": "id"} if kind == "export" else {} if kind == "vary" or name == "prompt" else {"prompt": "jazz"}
    seed = {} if kind != "track" or name == "seed" else {"seed": 1}
    assert check(kind, {**base, **seed, other: values[name]}, ANY) == check(
        kind, {**base, **seed, name: values[name]}, ANY
    )
    error = refused(kind, **{**base, name: values[name], other: values[name]})
    assert "both given" in str(error)


def test_milliseconds_and_meters_of_others_are_read():
    assert check("track", {"prompt": "x", "music_length_ms": 12_500}, ANY)["seconds"] == 12.5
    assert check("track", {"prompt": "x", "time_signature": "6"}, ANY)["meter"] == "6/8"
    assert check("track", {"prompt": "x", "meter": 4}, ANY)["meter"] == "4/4"
    assert "instrument" in check("layer", {"track": "x", "role": "lead", "instrument": "violin"}, ANY)  # its own field


def test_nobody_sings():
    for name in INSTRUMENTAL:
        assert name not in check("track", {"prompt": "x", name: True}, ANY)
        error = refused("track", prompt="x", **{name: False})
        assert "no voice" in str(error) and error.field == name and error.suggestion == {name: True}


# ---- what does not

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("track", {"prompt": "x", "tempo": 900}, "tempo 900 is outside 30-300 BPM"),
    ("track", {"prompt": "x", "tempo": "fast"}, "tempo 'fast'"),
    ("track", {"prompt": "x", "seconds": 0}, "seconds 0 are outside 0.1-600"),
    ("track", {"prompt": "x", "bars": 4, "seconds": 9}, "bars 4 and seconds 9 are both given"),
    ("track", {"prompt": "x", "tempoo": 90}, "tempoo is no field of track"),
    ("track", {"prompt": "x", "form": ["intro", "vers"]}, "form: 'vers' is none of"),
    ("track", {"prompt": "x", "dynamics": "crescendoo"}, "dynamics 'crescendoo' is none of"),
    ("track", {"prompt": "x", "num_steps": 5000, "guidance_scale": -1}, "num_steps 5000 is outside 1-1000"),
    ("track", {"prompt": "x", "seed": -1}, "seed -1 is outside"),
    ("track", {"prompt": "x", "roles": ["drums", "drums"]}, "roles: 'drums' is named 2 times"),
    ("track", {"prompt": "x", "format": "aiff"}, "format 'aiff'"),
    ("track", {"prompt": "x", "plan": PLAN}, "prompt and plan are both given"),
    ("track", {"plan": PLAN, "tempo": 90}, "tempo is for a prompt"),
    ("plans", {"prompt": "x", "n": 65}, "n 65 is outside 1-64"),
    ("plans", {"prompt": "x", "bars": True}, "bars 'True': true should be a number"),
    ("plans", {"prompt": "x", "cues": [{"seconds": False}]}, "false should be a number"),
    ("plans", {"prompt": "x", "tempo_changes": [{"bar": True, "bpm": 90, "ramp": True}]}, "true should be a number"),
    ("plans", {"prompt": "x", "sections": [{"chords": ["C"], "energy": True}]}, "true should be a number"),
    ("repaint", {"track": "id", "bars": [True, 2]}, "true should be a number"),
    ("repaint", {"track": "id", "bars": [1, 2], "strength": 0}, "strength 0 is not above 0"),
    ("repaint", {"track": "id", "bars": [1, 2], "energy": 9}, "energy 9 is outside 0-7"),
    ("extend", {"track": "id", "bars": 0}, "bars 0 are outside 1-4095"),
    ("extend", {"track": "id", "bars": 4, "where": "middle"}, "where 'middle'"),
    ("vary", {"track": "id", "amount": 1.5}, "amount 1.5 is outside 0-1"),
    ("layer", {"track": "id", "role": "drumz"}, "role 'drumz'"),
    ("loop", {"prompt": "techno", "bars": [9, 12]}, "bars [9, 12] are bars of a track"),
    ("export", {"track": "id", "format": "mid", "labels": "bars"}, "labels are written as txt"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), BAD, ids=[message for _, _, message in BAD])
def test_a_refusal_is_one_line_and_what_it_suggests_is_accepted(kind: str, fields: dict[str, Any], message: str):
    error = refused(kind, **fields)
    assert message in str(error)
    assert error.field in fields and error.suggestion
    mended = {**fields, **error.suggestion}
    assert check(kind, {name: value for name, value in mended.items() if value is not None}, ANY)


def test_a_suggestion_is_as_near_as_it_can_be():
    assert refused("track", prompt="x", tempo=900).suggestion == {"tempo": 300}
    assert refused("track", prompt="x", tempoo=90).suggestion == {"tempoo": None, "tempo": 90}
    assert refused("track", prompt="x", form=["intro", "vers"]).suggestion == {"form": ["intro", "verse"]}
    assert refused("layer", track="id", role="drumz").suggestion == {"role": "drums"}
    assert refused("plans", prompt="x", n=99, seconds=700).suggestion == {"n": 64, "seconds": 600}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("track", {}, "prompt and plan are missing"),
        ("track", {"prompt": " "}, "prompt is empty"),
        ("track", {"prompt": "x" * (MAX_PROMPT + 1)}, f"prompt of {MAX_PROMPT + 1} characters is over the limit"),
        ("track", {"prompt": "\ud800"}, "surrogates not allowed"),
        ("track", {"plan": {}}, "plan: hybridgen_plan is null"),
        ("track", {"plan": {**PLAN, "tempo": math.inf}}, "tempo"),
        ("vary", {}, "track is missing"),
        ("arrange", {"plan": [None], "order": "A"}, "plan"),
        ("hum", {}, "kind 'hum' is none of"),
        ("arrange", {"plan": PLAN, "order": "A Z"}, "Z"),
    ],
)
def test_what_cannot_be_mended_is_said_all_the_same(kind: str, fields: dict[str, Any], message: str):
    error = refused(kind, **fields)
    assert message in str(error) and error.suggestion is None


def test_a_server_may_allow_less_than_the_library():
    few = Limits(seconds=60, steps=8)
    assert check("track", {"prompt": "x", "seconds": 60, "num_steps": 8}, few)
    assert refused("track", few, prompt="x", seconds=61).suggestion == {"seconds": 60}
    assert refused("track", few, prompt="techno, ten minutes long").suggestion == {"seconds": 60}  # words count too
    assert refused("track", few, prompt="x", num_steps=9).suggestion == {"num_steps": 8}
    assert "over the limit of 3 s" in str(refused("track", Limits(seconds=3), plan=PLAN))
    short = Limits(seconds=4)  # less than the length of a prompt that asks for none
    assert check("track", {"prompt": "x"}, short)["seconds"] == check("plans", {"prompt": "x"}, short)["seconds"] == 4
    assert "seconds" not in check("track", {"prompt": "x, 1 bar, 4/4, 120 BPM"}, short)
    assert "seconds" not in check("track", {"prompt": "x"}, few)
    assert "over the limit of 6 s" in str(refused("arrange", Limits(seconds=6), plan=PLAN, order="A A"))
    with pytest.raises(ValueError, match="limit steps 1001 is outside 1-1000"):
        Limits(steps=1001)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_any_json_is_a_request_or_refused_in_one_line(data: st.DataObject, kind: str):
    names = st.sampled_from([*KINDS[kind].model_fields, "bpm", "music_length_ms", "instrumental", "no"])
    fields = data.draw(st.dictionaries(names, JSON, max_size=5))
    good = data.draw(st.sets(st.sampled_from(["track", "prompt", "plan", "order", "role"])))
    base = {"track": "id", "prompt": "x", "plan": PLAN, "order": "A A", "role": "lead"}
    try:
        json.dumps(check(kind, {**{name: base[name] for name in good}, **fields}, ANY), allow_nan=False)
    except Refused as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        json.dumps(error.suggestion, allow_nan=False)
