"""Extend, loop, vary, stems and repaint of several ranges: what is kept stays bit for bit, and bad input says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import audio, files, flow, manifest
from hybridgen.history import Change, check_strength
from hybridgen.pipeline import Pipeline
from hybridgen.plan import extending
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.render import edges, stems
from hybridgen.renderer import Condition
from hybridgen.track import Track
from tests.conftest import LATENT_HOP, SAMPLE_RATE

INSTRUMENTS = {"drums": 0, "bass": 33, "lead": 80}
FORM = (
    Section("intro", (Bar("Am"),), 2, ("bass",)),
    Section("verse", (Bar("F"), Bar("C")), 4, ("drums", "bass")),
    Section("chorus", (Bar("G"), Bar("Am")), 6, ("drums", "bass", "lead")),
    Section("outro", (Bar("Am"),), 2, ("bass",)),
)
N_BARS = 6


def plan_of(tempo: tuple[Tempo, ...] = (Tempo(1, 240),), meter: str = "4/4", **fields) -> Plan:
    return Plan(FORM, tempo, meter, "A minor", INSTRUMENTS, prompt="a test", **fields)


def played_beats(first: float = 0.0) -> tuple[float, ...]:
    """Four uneven beats a bar, as someone played them."""
    gaps = np.random.default_rng(0).uniform(0.22, 0.28, 4 * N_BARS)
    return tuple(np.concatenate([[first], first + np.cumsum(gaps)]).round(6).tolist())


PLANS = {
    "steady": plan_of(),
    "ramp into the outro": plan_of((Tempo(1, 200, True), Tempo(6, 300))),
    "ramp through the verse": plan_of((Tempo(1, 200), Tempo(2, 200, True), Tempo(4, 300))),
    "a tempo for the chorus": plan_of((Tempo(1, 200), Tempo(4, 300))),
    "7/8 and a tail": plan_of(meter="7/8", n_samples=6 * 38_588 + 20_000),
    "played": plan_of((), beats=played_beats()),
    "played after an upbeat": plan_of((), beats=played_beats(0.2)),
    "loop": plan_of(ending="loop"),
    "loop in 7/8": plan_of(meter="7/8", ending="loop"),
    "fade": plan_of(ending="fade 2"),
}


@pytest.fixture(scope="module", params=PLANS)
def track(request: pytest.FixtureRequest, note_pipe: Pipeline) -> Track:
    return note_pipe.render(PLANS[request.param], seed=5)


@pytest.fixture(scope="module")
def steady(note_pipe: Pipeline) -> Track:
    return note_pipe.render(PLANS["steady"], seed=5)


def last_change(track: Track) -> Change:
    last = track.manifest.operations[-1]
    assert isinstance(last, Change)
    return last


def later(old: Track, new: Track) -> int:
    """Samples by which what is kept lies later."""
    return last_change(new).moved * LATENT_HOP + old.plan.pre_roll - new.plan.pre_roll


def check_kept(pipe: Pipeline, old: Track, new: Track) -> None:
    """All latents out of the spans, and all samples out of their reach, are those of before."""
    plan, change, apart = new.plan, last_change(new), later(old, new)
    assert new.samples.shape == (2, plan.length) and new.latents.shape[0] == plan.n_frames
    reach = pipe.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    frames, samples = np.arange(plan.n_frames) - change.moved, np.arange(plan.length) - apart
    frames = (frames >= 0) & (frames < old.plan.n_frames)
    samples = (samples >= 0) & (samples < old.plan.length)
    for span in change.fresh:
        first, last = plan.frames_of(span, LATENT_HOP)
        frames[first:last] = False
        samples[max(0, first * LATENT_HOP - plan.pre_roll - reach) : last * LATENT_HOP - plan.pre_roll + reach] = False
    if plan.is_loop:
        samples[: audio.LIMITER_REACH] = samples[-edges.SEAM - audio.LIMITER_REACH :] = False
    if (old.plan.ending, old.plan.length + apart) != (plan.ending, plan.length):
        begin = min(edges.closing(old.plan)[0] + apart, edges.closing(plan)[0])
        samples[max(0, begin - audio.LIMITER_REACH) :] = False
    assert np.array_equal(new.latents[frames], old.latents[np.flatnonzero(frames) - change.moved])
    assert np.array_equal(new.samples[:, samples], old.samples[:, np.flatnonzero(samples) - apart])


def check_replay(pipe: Pipeline, track: Track) -> None:
    """What a manifest says, read from its text, makes the same track."""
    again = pipe.replay(manifest.Manifest.from_json(track.manifest.to_json()))
    assert np.array_equal(again.samples, track.samples) and np.array_equal(again.latents, track.latents)
    assert again.manifest.to_json() == track.manifest.to_json()


def test_more_bars_at_the_end(note_pipe: Pipeline, track: Track):
    new = note_pipe.extend(track, 3)
    check_kept(note_pipe, track, new)
    old_starts, starts, at = track.plan.bar_starts(), new.plan.bar_starts(), 5
    assert [section.label for section in new.plan.sections] == ["intro", "verse", "chorus", "verse", "chorus", "outro"]
    assert np.array_equal(starts[: at + 1], old_starts[: at + 1])
    assert abs((starts[-1] - starts[-2]) - (old_starts[-1] - old_starts[-2])) <= 1
    assert abs((new.plan.length - starts[-1]) - (track.plan.length - old_starts[-1])) <= 1
    assert (new.plan.ending, new.plan.key, new.manifest.gain_db) == (
        track.plan.ending,
        track.plan.key,
        track.manifest.gain_db,
    )


def test_bars_stay_where_they_are_where_a_ramp_is_cut_through(note_pipe: Pipeline):
    outro = replace(FORM[-1], bars=FORM[-1].bars * 2)
    for tempo in ((Tempo(1, 200, True), Tempo(7, 270.1)), (Tempo(1, 31.3, True), Tempo(7, 33)), (Tempo(1, 240, True),)):
        plan = replace(plan_of(), sections=(*FORM[:-1], outro), tempo=tempo)
        starts, new = plan.bar_starts(), extending.extended(plan, 4)
        assert bool(new.beats) == (len(tempo) > 1)  # a mark is a tenth of a BPM
        assert np.abs(new.bar_starts()[:6] - starts[:6]).max() <= 1
        assert np.abs(np.diff(new.bar_starts()[9:]) - np.diff(starts[5:])).max() <= 1
        assert new.bar_starts()[6] - new.bar_starts()[5] == pytest.approx(starts[5] - starts[4], abs=1)
    track = note_pipe.render(replace(plan, tempo=(Tempo(1, 200, True), Tempo(7, 270.1))), seed=5)
    longer = note_pipe.extend(track, 2)
    check_kept(note_pipe, track, longer)
    check_replay(note_pipe, longer)


def test_an_introduction_keeps_all_that_was_there(note_pipe: Pipeline, track: Track):
    new = note_pipe.extend(track, 2, where="start")
    check_kept(note_pipe, track, new)
    assert new.plan.n_bars == N_BARS + 2
    moved = new.plan.bar_starts()[2:] - track.plan.bar_starts()
    assert np.abs(moved - later(track, new)).max() <= 1  # every bar is where its sound is
    lengths = np.diff(new.plan.bar_starts())
    assert np.abs(lengths[:2] / lengths[2] - 1).max() <= 0.05  # at the first tempo; the first bar may be a ramp already


def test_both_ends_again_and_again_and_a_replay(note_pipe: Pipeline, track: Track):
    for where, bars in (("start", 1), ("end", 1), ("start", 2)):
        new = note_pipe.extend(track, bars, where=where)
        check_kept(note_pipe, track, new)
        track = new
    assert track.plan.n_bars == N_BARS + 4
    check_replay(note_pipe, track)


@pytest.mark.parametrize("bars", [(3, 5), 2])
def test_a_loop_of_bars_has_their_length_and_goes_round(note_pipe: Pipeline, track: Track, bars: int | tuple[int, int]):
    new = note_pipe.loop(track, bars)
    check_kept(note_pipe, track, new)
    first, last = (4, 5) if bars == 2 else bars  # the section of most energy
    starts = track.plan.bar_starts()[first - 1 : last + 1]
    assert new.plan.is_loop and new.samples.shape[1] == new.plan.bar_starts()[-1]
    assert np.abs(new.plan.bar_starts() - (starts - starts[0])).max() <= 1
    assert abs(later(track, new) + starts[0]) == 0
    assert last_change(new).fresh == ((-new.plan.pre_roll, new.plan.beat_starts()[1]),)  # the last bar leads into it
    assert new.plan.pre_roll >= np.diff(starts)[-1]


def test_seconds_are_the_bars_next_to_them(note_pipe: Pipeline, steady: Track):
    bar = 4 * 60 / 240
    for seconds, bars in ((0.1, 1), (2.3 * bar, 2), (3.6 * bar, 4)):
        assert note_pipe.extend(steady, seconds=seconds).plan.n_bars == N_BARS + bars


def test_a_loop_of_a_prompt_has_its_bars(note_pipe: Pipeline):
    new = note_pipe.loop("a test at 240 BPM in 4/4", 3, seed=1)
    assert new.plan.n_bars == 3 and new.samples.shape[1] == 3 * SAMPLE_RATE
    assert np.array_equal(note_pipe.replay(new.manifest).samples, new.samples)


@pytest.mark.parametrize("amount", [0.3, 1])
def test_a_variation_has_the_score_and_other_sound(note_pipe: Pipeline, steady: Track, amount: float):
    track, new = steady, note_pipe.vary(steady, amount)
    check_kept(note_pipe, track, new)
    check_replay(note_pipe, new)
    assert replace(new.plan, notes=(), codes=(), seed=0) == replace(track.plan, notes=(), codes=(), seed=0)
    assert (new.latents != track.latents).any(axis=1).all()
    assert not np.array_equal(note_pipe.vary(new, amount).latents, new.latents)
    assert not np.array_equal(note_pipe.vary(steady, amount).latents, new.latents)  # asked again, it is another


def test_bars_made_anew_are_never_those_that_were_there(note_pipe: Pipeline, steady: Track):
    once = note_pipe.repaint(steady, bars=(1, 1), seed=steady.render_seed + 2)
    again = note_pipe.repaint(once, bars=(1, 1))
    assert not np.array_equal(note_pipe.repaint(again, bars=(1, 1)).latents, again.latents)
    assert not np.array_equal(again.latents, once.latents)


def test_a_history_that_no_file_could_hold_is_refused_before_the_render(note_pipe: Pipeline, steady, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_BYTES", len(steady.manifest.to_json()) + 100)
    with pytest.raises(ValueError, match=r"history of 1 operations and another one take .* bytes, over the"):
        note_pipe.vary(steady)


def test_a_history_is_counted_as_it_is_written(note_pipe: Pipeline, steady, monkeypatch, tmp_path):
    written = len(note_pipe.vary(steady, seed=3).manifest.to_json())
    monkeypatch.setattr(manifest, "MAX_BYTES", written - 1)
    with pytest.raises(ValueError, match=f"another one take {written} bytes, over the {written - 1}"):
        note_pipe.vary(steady, seed=3)
    monkeypatch.setattr(manifest, "MAX_BYTES", written)  # the last that fits is made, saved and read
    note_pipe.vary(steady, seed=3).save(tmp_path / "x.flac")
    assert len(manifest.read(tmp_path / "x.flac").operations) == 2 and not manifest.verify(tmp_path / "x.flac")


def test_a_whole_strength_is_written_as_any_other():
    assert repr(check_strength(1)) == "1.0"  # or a manifest that was read has other bytes than the one written


def test_a_variation_of_nothing_is_the_track(note_pipe: Pipeline, steady: Track):
    assert note_pipe.vary(steady, 0) is steady


def test_the_less_varied_is_the_nearer(note_pipe: Pipeline, steady: Track):
    apart = [np.abs(note_pipe.vary(steady, a, seed=3).latents - steady.latents).mean() for a in (0.05, 0.3, 1)]
    assert apart == sorted(apart) and apart[0] < 0.3 * apart[2]


def test_stems_add_up(note_pipe: Pipeline, track: Track):
    parts = note_pipe.stems(track)
    assert list(parts) == list(INSTRUMENTS)
    first, second, _ = (part.samples for part in parts.values())
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.99
    assert np.abs(sum(part.samples for part in parts.values()) - track.samples).max() < 1e-5


def test_a_share_is_what_resembles_its_guide():
    """Two chords of sines and a noise, whose guides have other phases: each share is its own sound, not the others."""
    rng, seconds = np.random.default_rng(0), np.arange(SAMPLE_RATE) / SAMPLE_RATE

    def sounds() -> list[np.ndarray]:
        chords = [sum(np.sin(2 * np.pi * (seconds * f + rng.random())) for f in c) for c in ((220, 330), (262, 392))]
        return [np.tile(one, (2, 1)).astype(np.float32) for one in (*chords, 0.02 * rng.standard_normal(SAMPLE_RATE))]

    true = sounds()
    parts = stems.shares(np.sum(true, axis=0), sounds())
    assert np.abs(np.sum(parts, axis=0) - np.sum(true, axis=0)).max() < 1e-4
    for part, own in zip(parts[:2], true, strict=False):
        assert np.square(part - own).mean() < 1e-2 * np.square(own).mean()


def test_roles_alone_are_guided_towards_what_they_play_and_not_in_the_first_step(note_pipe: Pipeline, steady: Track):
    def calls(**sampling: bool) -> list[Condition]:
        pipe, seen = note_pipe.with_sampling(replace(note_pipe.config.sampling, **sampling)), []
        with pipe.renderer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2])):
            pipe.stems(steady)
        return seen[:2]

    first, second = calls(guides_played=True)
    assert len(first.features) == 1 and len(second.features) == 2
    assert not second.notes_known[1].any() and not (second.codes[1] >= 0).any()
    assert second.notes_known[0].any() and torch.equal(*second.features) and torch.equal(*second.text_mask)
    first, second = calls(guides_played=False)
    assert len(first.features) == len(second.features) == 2 and not first.features[1].any()


def test_a_prompt_gives_stems_where_they_are_asked_for(note_pipe: Pipeline):
    track = note_pipe.generate("a test", bars=2, tempo=240, roles=("drums", "bass"), seed=1, stems=True)
    assert track.stems is not None and set(track.stems) == {"drums", "bass"}
    assert np.abs(sum(part.samples for part in track.stems.values()) - track.samples).max() < 1e-5
    assert note_pipe.generate("a test", bars=2, tempo=240, seed=1).stems is None


def test_what_a_shade_finds_known_is_what_it_meets(note_pipe: Pipeline, steady: Track):
    """A frame that an earlier window made is no longer what was there before."""
    small = note_pipe.with_sampling(replace(note_pipe.config.sampling, window=32, overlap=16))
    seen = []
    renderer = small.renderer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    try:
        new = small.vary(steady, 0.3, num_steps=1, guidance_scale=1)
    finally:
        renderer.remove()
    x, _, cond = seen[1]  # the second window, at its first step: on the path to what is known
    first = last_change(new).seed
    noise = flow.noise(first, 16, 48, x.shape[2])
    known = cond.known[0]
    assert known.any() and torch.allclose(x[0][known], (0.3 * noise + 0.7 * cond.context[0])[known], atol=1e-5)


def test_a_track_that_stops_inside_its_last_bar_goes_on_without_a_gap(note_pipe: Pipeline):
    old = note_pipe.render(plan_of(n_samples=round(5.4 * SAMPLE_RATE)), seed=5)
    for new in (note_pipe.extend(old, 1), note_pipe.loop(old, (4, 6))):
        check_kept(note_pipe, old, new)
        assert new.latents.any(axis=1).all()


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda pipe, track: pipe.repaint(track, track.plan.edit(ending="loop"), (1, 2)), "made by loop"),
        (lambda pipe, track: pipe.repaint(track, prompt="louder"), "bars or seconds must say where"),
        (lambda pipe, track: pipe.repaint(track), "nothing is to change"),
        (lambda pipe, track: pipe.repaint(track, seconds=(0, 1e-9)), "shorter than a sample"),
        (lambda pipe, track: pipe.repaint(track, seconds=(10**400, 10**401)), "are not inside the track"),
        (lambda pipe, track: pipe.extend(track, 10**9), "bars 1000000000 is outside 1-"),
    ],
)
def test_what_changes_nothing_or_cannot_be_is_said(note_pipe: Pipeline, steady: Track, work: Callable, words: str):
    with pytest.raises(ValueError, match=words):
        work(note_pipe, steady)


def test_a_loop_begins_with_its_first_bar():
    with pytest.raises(ValueError, match="a loop is whole bars, but the plan has 6 bars from sample 8820"):
        replace(PLANS["played after an upbeat"], ending="loop")


def test_several_ranges_are_made_anew_and_nothing_else(note_pipe: Pipeline, track: Track):
    new = note_pipe.repaint(track, bars=[(1, 1), (4, 4), (6, 6)])
    check_kept(note_pipe, track, new)
    assert last_change(new).fresh == tuple(track.plan.span((bar, bar)) for bar in (1, 4, 6))
    shade = note_pipe.repaint(track, seconds=[(0.5, 1.0), (3.0, 3.25)], strength=0.4)
    check_kept(note_pipe, track, shade)
    assert last_change(shade).fresh == ((22_050, 44_100), (132_300, 143_325))


def test_changes_upon_changes_replay_from_a_file(note_pipe: Pipeline, steady: Track, tmp_path: Path):
    new = note_pipe.extend(steady, 2, where="start")
    new = note_pipe.repaint(new, bars=[(2, 2), (5, 6)], prompt="louder")
    new = note_pipe.vary(note_pipe.loop(new, (3, 6)), 0.5)
    path = new.save(tmp_path / "new.flac")
    again = note_pipe.replay(manifest.read(path)).save(tmp_path / "again.flac")
    assert files.sha256(again) == files.sha256(path)


def test_a_recording_goes_on_at_both_ends(note_pipe: Pipeline, tmp_path: Path):
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 5 * SAMPLE_RATE)).astype(np.float32)
    soundfile.write(tmp_path / "mine.wav", sound.T, SAMPLE_RATE, subtype="FLOAT")
    with pytest.warns(UserWarning, match="encoded"):
        opened = note_pipe.open(tmp_path / "mine.wav", tempo=150, downbeat=0.2)
    longer = note_pipe.extend(opened, 2, where="start")
    moved = longer.plan.bar_starts()[2:] - opened.plan.bar_starts()
    assert np.abs(moved - later(opened, longer)).max() <= 1
    room = SAMPLE_RATE
    assert np.array_equal(longer.samples[:, moved[0] + room :], opened.samples[:, room:])
    after = note_pipe.extend(opened, 2)
    kept = last_change(after).fresh[0][0] - room
    assert np.array_equal(after.samples[:, :kept], opened.samples[:, :kept])
    with pytest.raises(ValueError, match="no loop can be made"):
        note_pipe.loop(opened, 2)
    with pytest.raises(ValueError, match="nobody knows who plays"):
        note_pipe.stems(opened)


BAD: dict[str, tuple[Callable[[Pipeline, Track], object], str]] = {
    "bars 0": (lambda pipe, track: pipe.extend(track, 0), "bars 0 is outside 1-4089"),
    "both": (lambda pipe, track: pipe.extend(track, 1, seconds=2.0), "give one of the two"),
    "neither": (lambda pipe, track: pipe.extend(track), "give one of the two"),
    "where": (lambda pipe, track: pipe.extend(track, 1, where="middle"), "where 'middle' is neither"),
    "seconds": (lambda pipe, track: pipe.extend(track, seconds=-1), "seconds -1 is not a length"),
    "nan": (lambda pipe, track: pipe.extend(track, seconds=float("nan")), "seconds nan.* is not a length"),
    "too long": (lambda pipe, track: pipe.extend(track, 4000), "outside 1 sample to 600 s"),
    "too long at the start": (lambda pipe, track: pipe.extend(track, 4000, where="start"), "outside 1 sample to 600 s"),
    "too many bars": (lambda pipe, track: pipe.extend(track, 5000), "a plan has 4095 at most"),
    "loop 0": (lambda pipe, track: pipe.loop(track, 0), "bars 0 is outside 1-6"),
    "loop 7": (lambda pipe, track: pipe.loop(track, 7), "bars 7 is outside 1-6"),
    "loop backwards": (lambda pipe, track: pipe.loop(track, (4, 2)), "bars 4-2 are not inside"),
    "loop of no bars": (lambda pipe, track: pipe.loop("a test", 0), "bars 0"),
    "amount": (lambda pipe, track: pipe.vary(track, 1.5), "amount 1.5 is outside 0-1"),
    "amount nan": (lambda pipe, track: pipe.vary(track, float("nan")), "amount nan is outside 0-1"),
    "bar 7": (lambda pipe, track: pipe.repaint(track, bars=[(1, 2), (7, 7)]), "bars 7-7 are not inside"),
    "second 99": (lambda pipe, track: pipe.repaint(track, seconds=(1, 99)), "seconds 1-99 are not inside"),
    "strength 0": (lambda pipe, track: pipe.repaint(track, bars=(1, 1), strength=0), "strength 0 is not above 0"),
    "strength 2": (lambda pipe, track: pipe.repaint(track, bars=(1, 1), strength=2), "strength 2 is not above 0"),
    "nothing": (lambda pipe, track: pipe.repaint(track, track.plan.edit((1, 1), energy=7)), "none are named"),
    "seed": (lambda pipe, track: pipe.vary(track, 0.3, seed=-1), "seed -1 is outside"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(note_pipe: Pipeline, steady: Track, case: str):
    work, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        work(note_pipe, steady)
    assert "\n" not in str(error.value)


def test_a_plan_without_bars_neither_goes_on_nor_round(note_pipe: Pipeline):
    track = note_pipe.render(Plan(n_samples=30_000))
    for work in (lambda: note_pipe.extend(track, 1), lambda: note_pipe.loop(track, 1)):
        with pytest.raises(ValueError, match="bars: the plan has none"):
            work()
    with pytest.raises(ValueError, match="instruments: the plan does not say who plays"):
        note_pipe.stems(track)


def test_a_part_of_a_ramp_keeps_its_beats():
    plan = PLANS["ramp into the outro"]
    for first in range(1, N_BARS + 1):
        for last in range(first, N_BARS + 1):
            starts = plan.bar_starts()[first - 1 : last + 1]
            assert np.abs(extending.cut(plan, (first, last)).bar_starts() - (starts - starts[0])).max() <= 1
    assert extending.cut(plan, (1, 6)).tempo == plan.tempo
