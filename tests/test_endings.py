"""How tracks begin and end: from silence, and to silence as the plan says, to the exact sample."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hybridgen import audio, manifest
from hybridgen.history import Change
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import Bar, Ending, Section, Tempo, parse_ending
from hybridgen.plan.plan import Plan
from hybridgen.render import edges, mixdown
from hybridgen.sampling import RenderOptions
from hybridgen.text.controls import find_controls
from hybridgen.track import Track
from tests.conftest import LATENT_HOP, SAMPLE_RATE

BEAT = 22_050  # samples, at 120 BPM
BAR = 4 * BEAT


def plan_of(ending: Ending | str | None = None, n_bars: int = 8, label: str = "outro", **fields) -> Plan:
    sections = (Section(label, (Bar("Am"),) * n_bars, 4, ("drums", "bass")),)
    end = None if ending is None else parse_ending(ending)
    return Plan(sections, (Tempo(1, 120.0),), instruments={"drums": 0, "bass": 33}, ending=end, prompt="x", **fields)


def gain(plan: Plan) -> np.ndarray:
    return edges.gain(plan, 0, plan.length)


@pytest.fixture(scope="module")
def track(pipe: Pipeline) -> Track:
    return pipe.render(plan_of(n_bars=6), seed=5)


# ---- the plan


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("ring-out", Ending("ring-out")),
        ("Ring out", Ending("ring-out")),
        ("ring_out", Ending("ring-out")),
        (" cut ", Ending("cut")),
        ("fade", Ending("fade")),
        ("fade 4", Ending("fade", 4)),
        ("fade 12 bars", Ending("fade", 12)),
        ("fade: 1 bar", Ending("fade", 1)),
    ],
)
def test_an_ending_is_read_as_text_and_written_as_it_is_read(text: str, ending: Ending):
    assert parse_ending(text) == ending == parse_ending(str(ending)) == parse_ending(ending)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fad 4", "'fad' is none of ring-out, cut, fade"),
        ("", "'' is none of"),
        ("fade four", "'fade-four' is none of"),
        ("fade 0", "over 0 bars is outside 1-4095"),
        ("fade 9999", "over 9999 bars is outside"),
        ("cut 2", "'cut' has no bars, but bars 2"),
        (4, "'4' is none of"),
        ("a\nb", "is none of"),
    ],
)
def test_what_is_no_ending_is_one_line(text: str, words: str):
    with pytest.raises(ValueError, match=words) as error:
        Controls(ending=text)
    assert "\n" not in str(error.value)


def test_a_plan_keeps_its_ending_in_json_and_shows_it():
    plan = plan_of("fade 4")
    assert '"ending": "fade 4"' in plan.to_json() and Plan.from_json(plan.to_json()) == plan
    assert "ending: fade 4" in plan.text()
    older = plan_of()
    assert "ending" not in older.to_json() and "ending" not in older.text()
    assert Plan.from_json(older.to_json()).ending is None
    with pytest.raises(ValueError, match="a fade over 9 bars, but the plan has 8"):
        plan_of("fade 9")
    with pytest.raises(ValueError, match="plan: ending: expected str"):
        Plan.from_json(plan.to_json().replace('"fade 4"', "4"))


def test_an_edit_of_the_ending_touches_no_codes():
    plan = plan_of(codes=((3,) * plan_of().n_code_frames,))
    assert plan.edit(ending="cut") == replace(plan, ending=Ending("cut"))
    changed = plan.edit((2, 2), ending="cut", energy=1)
    assert changed.ending == Ending("cut") and min(changed.codes[0]) == -1


# ---- the gain


def test_a_track_opens_within_milliseconds_and_the_first_beat_keeps_its_level():
    opening = gain(plan_of())
    assert opening[0] == 0 and (np.diff(opening[:221]) > 0).all() and (opening[220:-SAMPLE_RATE] == 1).all()


def test_a_cut_is_at_the_last_bar_line():
    whole = gain(plan_of("cut", n_samples=8 * BAR + 30_000))
    assert (whole[8 * BAR - 1 :] == 0).all() and (whole[300 : 8 * BAR - 441] == 1).all()
    assert (np.diff(whole[8 * BAR - 441 : 8 * BAR]) < 0).all()
    assert gain(plan_of("cut"))[-500] == 1 and gain(plan_of("cut"))[-1] == 0


def test_a_fade_begins_with_its_first_bar_and_lasts_to_the_end():
    whole = gain(plan_of("fade 3", n_samples=8 * BAR + 30_000))
    assert (whole[300 : 5 * BAR] == 1).all() and (np.diff(whole[5 * BAR :]) < 0).all() and whole[-1] == 0
    middle = whole[5 * BAR + (3 * BAR + 30_000) // 2]
    assert 20 * np.log10(middle) == pytest.approx(-12, abs=0.1)
    assert edges.closing(plan_of("fade"))[0] == 6 * BAR  # a quarter
    assert edges.closing(plan_of("fade", n_bars=100))[0] == 92 * BAR


def test_a_ring_out_takes_what_is_left_after_the_last_bar_or_a_second():
    assert edges.closing(plan_of("ring-out", n_samples=8 * BAR + 60_000)) == (8 * BAR, 8 * BAR + 60_000)
    assert edges.closing(plan_of("ring-out"))[0] == 8 * BAR - SAMPLE_RATE
    fast = replace(plan_of("ring-out"), tempo=(Tempo(1, 240.0),))
    assert edges.closing(fast)[0] == fast.bar_starts()[-2] + BEAT // 2  # after the first beat of the last bar
    inside = plan_of("ring-out", n_samples=8 * BAR - 80_000)  # cut short in its last bar
    assert edges.closing(inside) == (8 * BAR - 80_000 - SAMPLE_RATE, 8 * BAR - 80_000)


@pytest.mark.parametrize("ending", ["ring-out", "cut", "fade", "fade 3"])
@pytest.mark.parametrize("n_samples", [1, 2, 300, 5_000, 8 * BAR, 8 * BAR + 1, 8 * BAR + 200_000])
def test_every_gain_ends_in_silence_and_is_the_same_in_blocks(ending: str, n_samples: int):
    plan = plan_of(ending, n_samples=n_samples)
    whole = gain(plan)
    assert whole[0] == whole[-1] == 0 and whole.min() >= 0 and whole.max() <= 1 and whole.dtype == np.float32
    cuts = [*range(0, plan.length, 7_919), plan.length]
    blocks = [edges.gain(plan, start, stop) for start, stop in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(blocks), whole)


def test_music_without_bars_has_an_ending_too():
    for ending in ("ring-out", "cut", "fade"):
        plan = Plan(n_samples=100_000, ending=Ending(ending))
        assert gain(plan)[-1] == 0 and gain(plan)[50_000] > 0


def test_the_form_chooses_an_ending_where_nothing_is_said():
    assert edges.with_ending(plan_of()).ending == Ending("ring-out")
    assert edges.with_ending(plan_of(label="verse")).ending == Ending("cut")
    assert edges.with_ending(plan_of(label="verse", n_samples=8 * BAR + 9_000)).ending == Ending("ring-out")
    assert edges.with_ending(plan_of("fade 2")).ending == Ending("fade", 2)


# ---- the track


@pytest.mark.parametrize("ending", [None, "ring-out", "cut", "fade 2"])
def test_a_track_begins_and_ends_in_silence_at_its_exact_length(pipe: Pipeline, ending: str | None):
    track = pipe.generate("x", seconds=4.3, tempo=240, meter="4/4", ending=ending, seed=2)
    assert track.samples.shape == (2, round(4.3 * SAMPLE_RATE))
    assert not track.samples[:, 0].any() and not track.samples[:, -1].any()
    assert np.abs(track.samples[:, 300:2000]).max() > 0.01
    assert track.plan.ending == (Ending("ring-out") if ending is None else parse_ending(ending))
    assert track.manifest.plan.ending == track.plan.ending
    decoded = edges.shaped(track.plan, 0, pipe.decode(track.latents, track.plan.length))
    audio.master(decoded, track.manifest.gain_db)
    assert np.array_equal(track.samples, audio.to_24_bits(decoded))


def test_a_stream_ends_as_the_track_does(pipe: Pipeline):
    plan = plan_of("cut", n_bars=4, n_samples=5 * BAR)
    streamed = np.concatenate(list(pipe.render_blocks(plan, seed=5)), axis=1)
    assert streamed.shape == (2, 5 * BAR)
    assert not streamed[:, 4 * BAR - 1 :].any() and not streamed[:, 0].any() and streamed[:, 4 * BAR - 500].any()


def test_a_track_older_than_endings_replays_as_it_was(pipe: Pipeline):
    old = mixdown.render(pipe, plan_of(n_bars=4), RenderOptions(seed=5))  # as `render` was: no ending is chosen
    assert "ending" not in old.manifest.to_json()
    decoded = pipe.decode(old.latents, old.plan.length)
    audio.master(decoded, old.manifest.gain_db)
    again = pipe.replay(manifest.Manifest.from_json(old.manifest.to_json()))
    assert np.array_equal(again.samples, audio.to_24_bits(decoded)) and decoded[:, 0].any()
    edited = pipe.repaint(old, old.plan.edit((1, 1), energy=1), (1, 1))
    assert edited.plan.ending is None and edited.samples[:, 0].any()


def test_an_edit_of_other_bars_leaves_the_end_and_the_start(pipe: Pipeline, track: Track):
    new = pipe.repaint(track, track.plan.edit((3, 3), chords=["C"]), (3, 3), seed=1)
    start, stop = track.plan.frames_of(track.plan.span((3, 3)), LATENT_HOP)
    reach = pipe.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    low, high = start * LATENT_HOP - reach, stop * LATENT_HOP + reach
    assert np.array_equal(new.samples[:, :low], track.samples[:, :low])
    assert np.array_equal(new.samples[:, high:], track.samples[:, high:])
    planned_before = replace(track.plan.edit((3, 3), chords=["C"]), ending=None)  # a plan that leaves the ending open
    assert np.array_equal(pipe.repaint(track, planned_before, (3, 3), seed=1).samples, new.samples)


def test_another_ending_changes_the_end_alone_and_replays(pipe: Pipeline, track: Track):
    cut = pipe.repaint(track, track.plan.edit(ending="fade 2"), None)
    assert np.array_equal(cut.latents, track.latents) and cut.plan.ending == Ending("fade", 2)
    begin = edges.closing(cut.plan)[0] - audio.LIMITER_REACH
    assert np.array_equal(cut.samples[:, :begin], track.samples[:, :begin])
    whole = edges.shaped(cut.plan, 0, pipe.decode(track.latents, track.plan.length))
    audio.master(whole, track.manifest.gain_db)
    assert np.array_equal(cut.samples, audio.to_24_bits(whole))
    both = pipe.repaint(cut, cut.plan.edit((2, 2), ending="cut", chords=["F"]), (2, 2), seed=3)
    record = manifest.Manifest.from_json(both.manifest.to_json())
    assert [one.fresh for one in record.operations[1:] if isinstance(one, Change)] == [
        (),
        (record.plan.span((2, 2)),),
    ]
    assert np.array_equal(pipe.replay(record).samples, both.samples)
    with pytest.raises(ValueError, match="nothing but the ending"):
        pipe.repaint(track, track.plan.edit((2, 2), chords=["C"]), None)


def test_a_lossy_file_is_opened_with_its_ending(pipe: Pipeline, track: Track, tmp_path: Path):
    cut = pipe.repaint(track, track.plan.edit(ending="cut"), None)
    opened = pipe.open(cut.save(tmp_path / "cut.ogg"))
    assert np.array_equal(opened.samples, cut.samples)


def test_a_recording_is_faded_in_its_own_sound(pipe: Pipeline, tmp_path: Path):
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 4 * BAR)).astype(np.float32)
    soundfile.write(tmp_path / "mine.wav", sound.T, SAMPLE_RATE, subtype="FLOAT")
    with pytest.warns(UserWarning, match="encoded"):
        opened = pipe.open(tmp_path / "mine.wav", tempo=120, downbeat=0)
    faded = pipe.repaint(opened, opened.plan.edit(ending="fade 2"), None)
    assert np.array_equal(faded.samples[:, : 2 * BAR], sound[:, : 2 * BAR])  # the start too is the recording's
    assert np.array_equal(faded.samples, sound * np.where(np.arange(4 * BAR) < 300, 1, gain(faded.plan)))
    with pytest.raises(ValueError, match=r"ending cut: the track has a sound of its own, with ending fade 2"):
        pipe.repaint(faded, faded.plan.edit(ending="cut"), None)


def test_a_loop_of_another_length_than_was_asked_is_said(pipe: Pipeline):
    with pytest.warns(UserWarning, match=r"seconds 5: a loop is as long as its bars, here 4 s; ask for bars"):
        assert pipe.plan("house, 120 bpm in 4/4", seconds=5, ending="loop", seed=1)[0].seconds == 4.0
    for given in ({"bars": 2}, {}, {"seconds": 4.0}):
        made = pipe.plan("house, 120 bpm in 4/4", ending="loop", seed=1, **given)
        assert not any("loop" in note for note in made.notes)


def test_a_fade_over_more_bars_than_there_are_is_said(pipe: Pipeline):
    with pytest.warns(UserWarning, match="a fade over 40 bars is longer than the 3 bars: all of them fade"):
        plan = pipe.plan("x", bars=3, ending="fade 40", seed=1)[0]
    assert plan.ending == Ending("fade", 3)


# ---- words

WORDS = {
    "house that fades out": "fade",
    "techno, fade out over 4 bars": "fade 4",
    "8-bar fade-out, ambient": "fade 8",
    "16 bars, fades out over the last two bars": "fade 2",
    "fade to silence over the last eight bars": "fade 8",
    "it fades away slowly": "fade",
    "jazz, long fade-out at the end": "fade",
    "ends with a fade": "fade",
    "synthwave, ends abruptly": "cut",
    "rock with a cold ending": "cut",
    "a march that stops suddenly": "cut",
    "ends cold": "cut",
    "hard cut at the end": "cut",
    "the last chord rings out": "ring-out",
    "let the last note ring": "ring-out",
    "piano, ends on a sustained chord": "ring-out",
    "without fade-out, ends abruptly": "cut",
    "ends abruptly, fades out": "cut",
    "no fade out": None,
    "strings fade in": None,
    "the drums fade out at bar 9": None,
    "sudden stop in bar 5": None,
    "crossfades": None,
    "cut time march": None,
    "a song that never ends": None,
    "sustained strings, ringing bells": None,
}


@pytest.mark.parametrize(("prompt", "ending"), WORDS.items())
def test_words_choose_the_ending(prompt: str, ending: str | None):
    found = find_controls(prompt)[0].ending
    assert (None if found is None else str(found)) == ending


def test_the_bars_of_a_fade_are_not_the_length():
    controls, notes = find_controls("techno, 16 bars, fade out over 4 bars")
    assert (controls.bars, controls.ending, notes) == (16, Ending("fade", 4), [])
    assert "the first is taken" in find_controls("ends abruptly, fades out")[1][0]
    assert "left free" in find_controls("fade out over 0 bars")[1][0]
