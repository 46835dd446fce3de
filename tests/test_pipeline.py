"""What holds by construction, with random weights: exact length, exact edits, exact replay, streams, manifests."""

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hybridgen import audio, files, flow, grammar, manifest
from hybridgen.analysis import detection
from hybridgen.audio import Audio
from hybridgen.codecs.contract import DECODE_BLOCK
from hybridgen.history import Change, ModelRecord
from hybridgen.pipeline import Pipeline
from hybridgen.plan.controls import ControlArgs, Controls, EditArgs, options
from hybridgen.plan.editing import with_codes_in_common
from hybridgen.plan.harmony import METERS, meter_quarters
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.progress import Cancelled
from hybridgen.render import edges, mixdown
from hybridgen.render.change import Remake, make
from hybridgen.request import resolve_controls
from hybridgen.sampling import RenderArgs, RenderOptions
from hybridgen.text.controls import understand
from hybridgen.track import LOSSLESS, Track, sidecar
from tests.conftest import LATENT_HOP, SAMPLE_RATE


def plan_of(n_bars: int = 12, bpm: float = 120.0, **fields) -> Plan:
    sections = (Section("verse", (Bar("Am"), Bar("F")) * (n_bars // 2), 4, ("drums", "bass")),)
    return Plan(sections, (Tempo(1, bpm),), "4/4", "A minor", {"drums": 0, "bass": 33}, prompt="a test", **fields)


@pytest.fixture(scope="module")
def track(pipe: Pipeline) -> Track:
    return pipe.render(plan_of(), seed=5)


def decoded(pipe: Pipeline, track: Track) -> np.ndarray:
    """The samples of a track (2, N) before mastering."""
    return edges.shaped(track.plan, 0, pipe.decode(track.latents, track.plan.length))


def random_score(controls: Controls, rng: random.Random) -> list[int]:
    """What a planner with random logits writes."""
    state, tokens = grammar.State(controls), []
    while not state.is_done:
        tokens.append(rng.choice(np.flatnonzero(state.allowed()).tolist()))
        state.push(tokens[-1])
    return tokens


def test_a_thousand_random_requests_have_their_exact_length():
    rng = random.Random(0)
    for _ in range(1000):
        meter = rng.choice([None, *METERS])
        tempo = rng.choice([None, rng.randint(300, 3000) / 10])
        if rng.random() < 0.5:
            seconds = rng.choice([rng.uniform(0.1, 20), rng.uniform(0.1, 600)])
            n_samples, controls = round(seconds * SAMPLE_RATE), Controls(tempo=tempo, meter=meter, seconds=seconds)
        else:
            n_samples, controls = None, Controls(tempo=tempo, meter=meter, bars=rng.randint(1, 40))
        plan = grammar.parse(random_score(controls, rng), n_samples=n_samples)
        if n_samples is not None:
            assert plan.length == n_samples
        else:
            assert plan.n_bars == controls.bars
            assert plan.length == plan.bar_starts()[-1]
        if tempo is not None:
            exact = plan.n_bars * meter_quarters(plan.meter) * 60 / tempo * SAMPLE_RATE
            assert abs(plan.bar_starts()[-1] - exact) <= 0.5
        assert plan.n_frames == -(-plan.length // LATENT_HOP)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.23457, 3.0, 7.77])
def test_seconds_are_samples(pipe: Pipeline, seconds: float):
    track = pipe.generate("anything", seconds=seconds, seed=3)
    assert track.samples.shape == (2, round(seconds * SAMPLE_RATE))
    assert track.samples.dtype == np.float32
    assert np.isfinite(track.samples).all()
    assert track.audio.true_peak() <= -1.0
    assert np.abs(track.samples[0] - track.samples[1]).max() > 0
    assert track.latents.shape == (track.plan.n_frames, 8)


def test_bars_are_samples_through_a_ramp(pipe: Pipeline):
    plan = replace(plan_of(4), tempo=(Tempo(1, 100, True), Tempo(4, 240.0)))
    track = pipe.render(plan)
    assert track.samples.shape == (2, plan.bar_starts()[-1])


def test_what_is_fixed_stays_fixed(pipe: Pipeline):
    track = pipe.plan("x", tempo=84, key="A minor", meter="7/8", bars=6, chords=["Am", "F,G"], seed=1)[0]
    assert (track.tempo, track.key, track.meter, track.n_bars) == ((Tempo(1, 84),), "A minor", "7/8", 6)
    assert [bar.chords for bar in track.bars] == [("Am",), ("F", "G")] * 3
    worded = pipe.plan("jazz in F# minor at 93 bpm, 6/8, 5 bars", seed=1)[0]
    assert (worded.key, worded.tempo[0].bpm, worded.meter, worded.n_bars) == ("F# minor", 93, "6/8", 5)


@pytest.mark.parametrize("name", ["tempo_changes", "cues", "form", "sections", "chords", "roles", "without", "sound"])
def test_an_empty_list_is_a_plan_or_one_line(pipe: Pipeline, name: str):
    try:
        plan = pipe.plan("x", bars=4, seed=1, **{name: []})[0]
    except ValueError as error:
        assert name in str(error) and "\n" not in str(error)
    else:
        assert plan.n_bars == 4


def test_an_argument_beats_the_words_and_says_so():
    controls, notes = resolve_controls(understand("a waltz at 93 bpm, 8 bars"), Controls(tempo=120.0, seconds=10.0))
    assert (controls.tempo, controls.meter, controls.seconds, controls.bars) == (120.0, "3/4", 10.0, None)
    assert sorted(note.split()[0] for note in notes) == ["bars", "tempo"]
    assert resolve_controls(understand("a song"), Controls())[0].seconds == 30.0


def test_same_plan_seed_other_render_seed(pipe: Pipeline):
    first = pipe.generate("x", seconds=2, plan_seed=4, render_seed=1)
    second = pipe.generate("x", seconds=2, plan_seed=4, render_seed=2)
    assert first.plan == second.plan
    assert not np.array_equal(first.latents, second.latents)
    assert np.array_equal(pipe.generate("x", seconds=2, plan_seed=4, render_seed=1).samples, first.samples)
    third = pipe.generate("x", seconds=2, plan_seed=5, render_seed=1)
    assert third.plan != first.plan


def test_less_noise_is_less_variety(pipe: Pipeline):
    plan = pipe.plan("x", seconds=4, seed=4)[0]

    def variety(noise_scale: float) -> float:
        """How far two seeds are apart."""
        scaled = pipe.with_sampling(replace(pipe.config.sampling, noise_scale=noise_scale))
        one, other = (scaled.render(plan, seed=seed).latents for seed in (1, 2))
        return float(np.abs(one - other).mean())

    assert variety(0.0) == 0 < variety(0.5) < variety(1.0)


def test_several_plans_are_the_plans_alone(pipe: Pipeline):
    plans = pipe.plan("x", n=3, bars=4, seed=10)
    assert [plan.seed for plan in plans] == [10, 11, 12]
    assert pipe.plan("x", bars=4, seed=12)[0] == plans[2]


def test_streamed_equals_offline_before_mastering(pipe: Pipeline, track: Track):
    latents, prompt = mixdown.new_latents(pipe, track.plan), pipe.encode_prompt(track.plan.prompt)
    blocks = list(mixdown.decoded_blocks(pipe, track.plan, prompt, 5, pipe.config.sampling, latents))
    assert len(blocks) > 2
    assert np.array_equal(latents.numpy(), track.latents)
    assert [first for first, _ in blocks] == np.cumsum([0, *(b.shape[1] for _, b in blocks[:-1])]).tolist()
    streamed = np.concatenate([block for _, block in blocks], axis=1)
    assert np.array_equal(streamed, decoded(pipe, track))


@pytest.mark.parametrize(("window", "n_blocks"), [(64, 1), (320, 2)])
def test_a_stream_is_mastered_at_the_gain_of_its_first_window(pipe: Pipeline, window: int, n_blocks: int):
    """In whole blocks of the decoder, of which there is always one."""
    pipe = pipe.with_sampling(replace(pipe.config.sampling, window=window))
    track = pipe.render(plan_of(), seed=5)
    sound = decoded(pipe, track)
    first = sound[:, : n_blocks * DECODE_BLOCK * LATENT_HOP]
    gain_db = audio.mastering_gain(Audio(first, SAMPLE_RATE).loudness())
    assert gain_db != track.manifest.gain_db
    streamed = np.concatenate(list(pipe.render_blocks(track.plan, seed=5)), axis=1)
    mastered = np.concatenate(list(audio.mastered([sound], gain_db)), axis=1)
    assert np.array_equal(streamed, audio.to_24_bits(mastered))
    assert Audio(streamed, SAMPLE_RATE).true_peak() <= -1.0


def test_what_is_played_while_it_is_rendered_is_the_stream_and_the_track_is_as_ever(pipe: Pipeline):
    plan, heard = pipe.plan("ambient", seconds=8, seed=2)[0], list[np.ndarray]()
    track = pipe.render(plan, seed=5, play=heard.append)
    assert np.array_equal(np.concatenate(heard, axis=1), np.concatenate(list(pipe.render_blocks(plan, seed=5)), axis=1))
    again = pipe.render(plan, seed=5)
    assert np.array_equal(track.samples, again.samples) and track.manifest == again.manifest


def test_rerendered_bars_leave_everything_else_bit_identical(pipe: Pipeline, track: Track):
    plan = track.plan.edit((5, 6), chords=["Dm", "G"], energy=7)
    new = pipe.repaint(track, plan, (5, 6), seed=99)
    start, stop = plan.frames_of(plan.span((5, 6)), LATENT_HOP)
    outside = np.ones(plan.n_frames, dtype=bool)
    outside[start:stop] = False
    assert np.array_equal(new.latents[outside], track.latents[outside])
    assert (new.latents[~outside] != track.latents[~outside]).all(axis=1).all()
    reach = pipe.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    low, high = start * LATENT_HOP - reach, stop * LATENT_HOP + reach
    assert np.array_equal(new.samples[:, :low], track.samples[:, :low])
    assert np.array_equal(new.samples[:, high:], track.samples[:, high:])
    whole = decoded(pipe, new)
    audio.master(whole, track.manifest.gain_db)
    assert np.array_equal(new.samples, audio.to_24_bits(whole))
    assert new.manifest.gain_db == track.manifest.gain_db


@contextmanager
def conditions_seen(pipe: Pipeline) -> Iterator[list[tuple]]:
    """The arguments (x_t, t, condition) of the first step of every window, their conditional row alone."""
    calls = []

    def record(_, inputs: tuple) -> None:
        x_t, t, cond = inputs
        if t[0] == 0:
            calls.append((x_t[0], t[0], type(cond)(**{name: value[0] for name, value in vars(cond).items()})))

    hook = pipe.renderer.register_forward_pre_hook(record)
    try:
        yield calls
    finally:
        hook.remove()


def test_every_window_is_given_what_the_plan_says_there_and_how_the_one_before_ends(pipe: Pipeline):
    with conditions_seen(pipe) as calls:
        track = pipe.render(plan_of(4), seed=5)
    size, overlap = pipe.config.sampling.window, pipe.config.sampling.overlap
    latents = torch.from_numpy(track.latents)
    starts = range(0, track.plan.n_frames - overlap, size - overlap)
    assert len(calls) == len(starts) == 4
    timbre = torch.zeros(1, 16)
    for start, (x_0, _, cond) in zip(starts, calls, strict=True):
        n = len(x_0)
        assert torch.equal(x_0, flow.noise(5, start, start + n, 8))
        assert torch.equal(cond.codes, torch.tensor(track.plan.codes)[:, start // 4 : (start + n) // 4])
        assert np.array_equal(cond.features, track.plan.frame_controls(LATENT_HOP, start, start + n))
        known = overlap if start else 0
        assert cond.known.tolist() == [True] * known + [False] * (n - known)
        assert torch.equal(cond.context[:known], latents[start : start + known])
        assert torch.equal(cond.timbre[None], timbre)
        timbre = pipe.renderer.timbre(latents[None, :size])  # all windows sound like the first


def test_an_edit_hears_what_is_on_both_sides_of_it(pipe: Pipeline, track: Track):
    with conditions_seen(pipe) as calls:
        new = pipe.repaint(track, track.plan.edit((5, 5), chords=["C"]), (5, 5), seed=1)
    start, stop = track.plan.frames_of(track.plan.span((5, 5)), LATENT_HOP)
    x_0, _, cond = calls[0]
    first = (start - pipe.config.sampling.overlap) // 4 * 4
    frames = np.arange(first, first + len(x_0))
    outside = (frames < start) | (frames >= stop)
    assert outside[0] and outside[-1] and np.array_equal(cond.known, outside)
    assert np.array_equal(cond.context[outside], track.latents[frames[outside]])
    assert torch.equal(cond.timbre[None], pipe.renderer.timbre(torch.from_numpy(track.latents)[None, :64]))
    assert not np.array_equal(new.latents[start:stop], track.latents[start:stop])


def edit_guided(pipe: Pipeline, scale: float) -> Pipeline:
    """The pipeline with one step and no other guidance: a render is its noise and one velocity."""
    sampling = replace(pipe.config.sampling, num_steps=1, guidance_scale=1.0, edit_guidance=scale)
    return pipe.with_sampling(sampling)


def played(*pitches: int, bars: Sequence[int] = range(1, 13)) -> Plan:
    """A plan whose bass plays these notes in the named bars, and something unknown in the others; its codes are set."""
    bar = tuple(Note(480 * i, 480, pitch) for i, pitch in enumerate(pitches))
    part = Part("bass", tuple(bar if number in bars else None for number in range(1, 13)))
    plan = plan_of()
    return replace(plan, codes=((0,) * plan.n_code_frames,) * 4).with_parts([part])


def first_frames(pipe: Pipeline, plan: Plan, bar: int) -> slice:
    """The frames of a bar that lie in the first window of its edit."""
    start, stop = plan.frames_of(plan.span((bar, bar)), LATENT_HOP)
    sampling = pipe.config.sampling
    return slice(start, min(stop, (start - sampling.overlap) // 4 * 4 + sampling.window))


def with_bass(plan: Plan, pitch: int) -> Plan:
    """The plan with another bass in bar 5."""
    return plan.with_parts([plan.part("bass").with_bars(5, [(Note(0, 480, pitch),)])])


def test_an_edit_changes_of_the_sound_what_the_plan_changes(note_pipe: Pipeline):
    plain = edit_guided(note_pipe, 0.0)
    track = plain.render(played(45), seed=5)
    track = plain.repaint(track, bars=(1, 12), strength=0.5)  # a sound that is not what one step makes of the noise
    old, new, frames = track.plan, with_bass(track.plan, 48), first_frames(plain, track.plan, 5)
    before, after = (plain.repaint(track, plan, (5, 5), seed=track.render_seed).latents[frames] for plan in (old, new))
    assert np.abs(after - before).max() > 1e-3
    found = plain.repaint(track, new, (5, 5)).latents[frames]
    np.testing.assert_allclose(found, track.latents[frames] + after - before, atol=1e-4)


def test_an_edit_is_pushed_away_from_how_it_was(note_pipe: Pipeline):
    plain, guided = (edit_guided(note_pipe, scale) for scale in (0.0, 3.0))
    track = plain.render(played(45), seed=5)
    old, new, frames = track.plan, with_bass(track.plan, 48), first_frames(plain, track.plan, 5)
    before, after = (plain.repaint(track, plan, (5, 5), seed=5).latents[frames] for plan in (old, new))
    pushed = after + 3 * (after - before)  # one step from t = 0: where a velocity leads is the latents themselves
    pushed *= np.linalg.norm(after, axis=-1, keepdims=True) / np.linalg.norm(pushed, axis=-1, keepdims=True)
    found = guided.repaint(track, new, (5, 5)).latents[frames]
    np.testing.assert_allclose(found, track.latents[frames] + pushed - before, atol=1e-4)


def test_nothing_is_pushed_away_from_notes_that_were_never_known(note_pipe: Pipeline):
    plain, guided = (edit_guided(note_pipe, scale) for scale in (0.0, 3.0))
    track = plain.render(played(45), seed=5)
    unknown = track.plan.with_parts([track.plan.part("bass").with_bars(5, [None])])
    track = replace(track, plan=unknown)
    expected, found = (one.repaint(track, with_bass(unknown, 45), (5, 5)) for one in (plain, guided))
    assert not np.array_equal(expected.latents, track.latents)
    assert np.array_equal(found.latents, expected.latents)


def test_an_edit_compares_codes_where_the_new_plan_has_them_too():
    old, new = plan_of(), plan_of()
    n = old.n_code_frames
    old, new = replace(old, codes=((1,) * n,) * 4), replace(new, codes=((2,) * 3 + (-1,) * (n - 3),) * 4)
    assert with_codes_in_common(old, new) == replace(old, codes=((1,) * 3 + (-1,) * (n - 3),) * 4)
    assert with_codes_in_common(old, replace(new, codes=())).codes == ()


def test_bars_are_made_anew_where_the_plan_says_nothing_new_or_a_seed_is_given(note_pipe: Pipeline):
    old, new = played(45), played(48)
    track = note_pipe.render(old, seed=5)
    kept = [note_pipe.repaint(track, plan, (5, 5), **options) for plan, options in ((new, {}), (new, {"seed": 5}))]
    kept.append(note_pipe.repaint(track, bars=(5, 5)))
    changes = [one.manifest.operations[-1] for one in kept]
    assert [change.keeps for change in changes if isinstance(change, Change)] == [True, False, False]


def test_an_edit_that_moves_beats_inside_its_bars_makes_them_anew(note_pipe: Pipeline):
    track = note_pipe.render(played(45), seed=5)
    moved = replace(played(45), tempo=(Tempo(1, 120), Tempo(5, 90), Tempo(6, 180), Tempo(7, 120)))
    assert moved.bar_starts()[6] == track.plan.bar_starts()[6]
    change = note_pipe.repaint(track, moved, (5, 6)).manifest.operations[-1]
    assert isinstance(change, Change) and not change.keeps
    with pytest.raises(ValueError, match="keeps: the plan has other bars"):
        make(note_pipe, track, Remake(moved, (moved.span((5, 6)),), keeps=True), RenderOptions())


def test_an_edit_away_from_its_old_notes_replays(note_pipe: Pipeline, tmp_path: Path):
    guided = edit_guided(note_pipe, 1.0)
    track = guided.repaint(guided.render(played(45), seed=5), played(48), (5, 6))
    path = track.save(tmp_path / "edit.flac")
    again = note_pipe.replay(manifest.read(path)).save(tmp_path / "again.flac")
    assert files.sha256(again) == files.sha256(path)


@pytest.mark.parametrize("bars", [(1, 2), (11, 12), (1, 12)])
def test_the_first_and_the_last_bars_can_be_rerendered(pipe: Pipeline, track: Track, bars: tuple[int, int]):
    new = pipe.repaint(track, track.plan.edit(bars, chords=["C"]), bars, seed=1)
    assert new.samples.shape == track.samples.shape
    assert not np.array_equal(new.latents, track.latents)


def test_an_edit_whose_plan_counts_time_otherwise_is_the_same_edit(pipe: Pipeline, track: Track):
    plan = track.plan.edit((5, 6), chords=["Dm", "G"])
    new = pipe.repaint(track, plan.on(TimeBase(48_000, 1920, 7680)), (5, 6), seed=99)
    assert new.plan.time_base == track.plan.time_base
    assert np.array_equal(new.samples, pipe.repaint(track, plan, (5, 6), seed=99).samples)


def test_a_track_that_counts_time_otherwise_is_refused(pipe: Pipeline, track: Track):
    foreign = replace(track, plan=track.plan.on(TimeBase(48_000, 1920, 7680)))
    with pytest.raises(ValueError, match=r"44100.*48000|48000.*44100") as error:
        pipe.repaint(foreign, foreign.plan, (5, 6))
    assert "\n" not in str(error.value)


def test_an_edit_that_moves_other_bars_is_refused(pipe: Pipeline, track: Track):
    with pytest.raises(ValueError, match="render it as a new track"):
        pipe.repaint(track, track.plan.edit((5, 6), tempo=60), (5, 6))
    with pytest.raises(ValueError, match="bars 5-13"):
        pipe.repaint(track, track.plan, (5, 13))


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_manifest_and_replay_in_every_format(pipe: Pipeline, track: Track, ending: str, tmp_path: Path):
    path = track.save(tmp_path / f"a{ending}")
    record = manifest.read(path)
    assert replace(record, sha256=track.manifest.sha256) == track.manifest
    assert manifest.verify(path) == []
    again = pipe.replay(record).save(tmp_path / f"b{ending}")
    assert files.sha256(again) == files.sha256(path)
    data = bytearray(path.read_bytes())
    data[random.Random(0).randrange(len(data) // 2, len(data))] ^= 1
    path.write_bytes(data)
    assert manifest.verify(path)


def test_replay_of_an_edit_is_the_edit(pipe: Pipeline, track: Track, tmp_path: Path):
    once = pipe.repaint(track, track.plan.edit((3, 4), chords=["C"]), (3, 4), seed=8)
    twice = pipe.repaint(once, once.plan.edit((8, 9), energy=1), (8, 9), seed=9)
    path = twice.save(tmp_path / "edit.flac")
    again = pipe.replay(manifest.read(path)).save(tmp_path / "again.flac")
    assert files.sha256(again) == files.sha256(path)


@pytest.mark.parametrize("has_latents", [True, False])
def test_editing_a_lossless_file_leaves_its_other_samples_untouched(
    pipe: Pipeline, track: Track, has_latents: bool, tmp_path: Path
):
    path = track.save(tmp_path / "old.flac", latents=has_latents)
    assert sidecar(path).exists() == has_latents
    opened = pipe.open(path)
    assert np.array_equal(opened.latents, track.latents)
    new = pipe.repaint(opened, opened.plan.edit((5, 6), chords=["C"]), (5, 6), seed=2).save(tmp_path / "new.flac")
    old_samples, new_samples = (soundfile.read(p, dtype="int32", always_2d=True)[0] for p in (path, new))
    start, stop = track.plan.frames_of(track.plan.span((5, 6)), LATENT_HOP)
    reach = pipe.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    assert np.array_equal(new_samples[: start * LATENT_HOP - reach], old_samples[: start * LATENT_HOP - reach])
    assert np.array_equal(new_samples[stop * LATENT_HOP + reach :], old_samples[stop * LATENT_HOP + reach :])
    assert not np.array_equal(new_samples, old_samples)


def test_latents_of_another_file_are_not_used_and_the_older_name_is_read(pipe: Pipeline, track: Track, tmp_path: Path):
    path = track.save(tmp_path / "one.flac")
    other = pipe.render(track.plan, seed=77).save(tmp_path / "two.flac")
    sidecar(path).replace(tmp_path / "one.latents.safetensors")
    assert np.array_equal(pipe.open(path).latents, track.latents)
    sidecar(other).replace(sidecar(path))
    assert np.array_equal(pipe.open(path).latents, track.latents)
    (tmp_path / "one.latents.safetensors").unlink()
    with pytest.warns(UserWarning, match="written for another file"):
        assert np.array_equal(pipe.open(path).latents, track.latents)


def test_a_recording_is_encoded_says_so_and_keeps_its_other_bars(
    pipe: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal((2, 8 * SAMPLE_RATE)) * 0.1).astype(np.float32)
    path = tmp_path / "mine.wav"
    soundfile.write(path, sound.T, SAMPLE_RATE, subtype="FLOAT")
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="tempo and downbeat must say"):
        patch.setattr(detection, "can_detect", lambda: False)
        pipe.open(path)
    with pytest.warns(UserWarning, match="encoded"):
        opened = pipe.open(path, tempo=120, downbeat=0.5)
    assert opened.plan.bar_starts()[:2].tolist() == [22_050, 22_050 + 88_200]
    new = pipe.repaint(opened, opened.plan.edit((2, 2), chords=["Am"]), (2, 2), seed=1)
    assert np.array_equal(new.samples[:, :88_000], sound[:, :88_000])
    with pytest.raises(ValueError, match="recording"):
        pipe.replay(new.manifest)


@pytest.mark.parametrize("has_latents", [True, False])
@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_recording_that_is_saved_unedited_opens_again(pipe: Pipeline, ending: str, has_latents: bool, tmp_path: Path):
    noise = np.random.default_rng(0).standard_normal((2, 10 * SAMPLE_RATE + 8)) * 0.1
    sound = np.lib.stride_tricks.sliding_window_view(noise, 9, axis=1).mean(2).astype(np.float32)  # low, as music is
    soundfile.write(tmp_path / "mine.wav", sound.T, SAMPLE_RATE, subtype="PCM_24")
    with pytest.warns(UserWarning, match="encoded"):
        opened = pipe.open(tmp_path / "mine.wav", tempo=120, downbeat=0.5)
    path = opened.save(tmp_path / f"kept{ending}", latents=has_latents)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = pipe.open(path)
    assert any("encoded" in str(one.message) for one in caught) != has_latents
    assert again.plan == opened.plan == manifest.read(path).plan
    assert again.samples.shape == sound.shape
    assert np.corrcoef(again.samples.ravel(), sound.ravel())[0, 1] > 0.95  # the file's sound, not the codec's
    if ending in LOSSLESS:
        assert np.array_equal(again.samples, opened.samples)
        assert np.abs(again.latents - opened.latents).max() < 1e-3
    new = pipe.repaint(again, again.plan.edit((3, 3), chords=["Am"]), (3, 3), seed=1)
    start, stop = again.plan.frames_of(again.plan.span((3, 3)), LATENT_HOP)
    reach = pipe.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    low, high = start * LATENT_HOP - reach, stop * LATENT_HOP + reach
    assert 0 < low < high < sound.shape[1]
    assert np.array_equal(new.samples[:, :low], again.samples[:, :low])
    assert np.array_equal(new.samples[:, high:], again.samples[:, high:])
    assert not np.array_equal(new.samples, again.samples)


def test_a_track_of_another_codec_is_refused(pipe: Pipeline, track: Track):
    other = replace(track.manifest.operations[0], model=ModelRecord("other", {"codec.safetensors": "0" * 64}))
    foreign = replace(track, manifest=replace(track.manifest, operations=(other,)))
    with pytest.raises(ValueError, match="codec of model 'other'"):
        pipe.repaint(foreign, track.plan, (1, 2))


def test_bars_of_a_recording_are_the_whole_ones_inside_it(pipe: Pipeline, tmp_path: Path):
    path = tmp_path / "mine.wav"
    soundfile.write(path, np.full((5 * SAMPLE_RATE, 2), 0.01), SAMPLE_RATE, subtype="FLOAT")
    with pytest.warns(UserWarning, match="encoded"):
        plan = pipe.open(path, tempo=120, downbeat=1.6, meter="7/8").plan  # 3.4 s are left, a bar takes 1.75 s
    assert plan.bar_starts().tolist() == [70_560, 147_735]
    assert plan.beat_starts().tolist() == [70_560, 92_610, 114_660]
    assert plan.length == 5 * SAMPLE_RATE


def test_replay_with_other_weights_is_refused(pipe: Pipeline, track: Track):
    with pytest.raises(ValueError, match="other weights"):
        other = replace(track.manifest.operations[0], model=ModelRecord("other", {"codec.safetensors": "0" * 64}))
        pipe.replay(replace(track.manifest, operations=(other,)))


def test_saved_loaded_and_generated_again_bit_for_bit(pipe: Pipeline, tmp_path: Path):
    first = Pipeline.from_pretrained(pipe.save_pretrained(tmp_path / "model"))
    second = Pipeline.from_pretrained(first.save_pretrained(tmp_path / "copy"))
    assert first.config == pipe.config
    assert first.weight_hashes == second.weight_hashes
    a, b = (p.generate("x", seconds=1, seed=1).samples for p in (first, second))
    assert np.array_equal(a, b)


def test_stages_that_do_not_fit_are_named(pipe: Pipeline):
    with pytest.raises(ValueError, match=r"renderer\.latent_dim 4 != codec\.latent_dim 8"):
        replace(pipe.config, renderer=replace(pipe.config.renderer, latent_dim=4))


def test_progress_counts_every_stage_to_its_end(pipe: Pipeline):
    seen: dict[str, list[tuple[int, int]]] = {}
    pipe.generate("x", seconds=4, seed=1, progress=lambda stage, done, n: seen.setdefault(stage, []).append((done, n)))
    assert {"planning", "composing", "rendering", "decoding"} <= set(seen)
    for stage in ("composing", "rendering", "decoding"):
        assert seen[stage][-1][0] == seen[stage][-1][1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "x" * (1 << 20)}, "prompt of 1048576 characters"),
        ({"seconds": 1e9}, "seconds 1e.09"),
        ({"seconds": 3, "bars": 2}, "bars 2 and seconds 3"),
        ({"tempo": 0}, "tempo 0"),
        ({"key": "H minor"}, "H minor"),
        ({"meter": "11/8"}, "11/8"),
        ({"seed": -1}, "seed -1"),
        ({"num_steps": 0}, "num_steps 0"),
        ({"guidance_scale": float("nan")}, "guidance_scale nan"),
        ({"chords": ["Am", "X"]}, "X"),
        ({"instruments": {"voice": 3}}, "voice"),
    ],
)
def test_bad_requests_are_one_line(pipe: Pipeline, arguments: dict, words: str):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=words) as error:
        warnings.simplefilter("ignore")
        pipe.generate(**({"prompt": "x"} | arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_steps": 1001}, "num_steps 1001 is outside 1-1000"),
        ({"guidance_scale": -1.0}, "guidance_scale -1 is outside 0-100"),
        ({"edit_guidance": -1.0}, "edit_guidance -1 is outside 0-100"),
        ({"noise_scale": 1.5}, "noise_scale 1.5 is outside 0-1"),
        ({"sound_guidance": 101.0}, "sound_guidance 101 is outside 0-100"),
        ({"overlap": 64}, "overlap 64 is not between 0 and window 64"),
    ],
)
def test_bad_sampling_is_one_line(pipe: Pipeline, fields: dict, words: str):
    with pytest.raises(ValueError, match=words) as error:
        replace(pipe.config.sampling, **fields)
    assert "\n" not in str(error.value)


def test_a_misspelt_argument_is_no_wish(pipe: Pipeline):
    with pytest.raises(TypeError, match="tempoo"):
        pipe.generate("x", tempoo=90)
    with pytest.raises(TypeError, match="'n'"):
        pipe.generate("x", n=2)


def test_every_door_takes_the_same_controls():
    assert list(ControlArgs.__annotations__) == list(options("request"))
    assert set(EditArgs.__annotations__) == set(options("edit"))
    assert set(RenderArgs.__annotations__) == set(RenderOptions.__dataclass_fields__)
    assert set(Controls.__dataclass_fields__) == set(options("request")) | set(options("edit"))
    with pytest.raises(TypeError, match="energy"):
        Controls.of("request", {"energy": 3})


def test_without_guidance_each_step_costs_one_evaluation_and_replays(pipe: Pipeline):
    rows = []
    hook = pipe.renderer.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    track = pipe.render(plan_of(2), seed=5, num_steps=3, guidance_scale=1)
    assert rows == [1] * len(rows)
    rows.clear()
    pipe.render(plan_of(2), seed=5, num_steps=3)
    assert rows == [2] * len(rows)
    hook.remove()
    record = manifest.Manifest.from_json(track.manifest.to_json())
    assert np.array_equal(pipe.replay(record).samples, track.samples)


def test_progress_that_says_false_stops_the_work(pipe: Pipeline):
    for stage in ("planning", "composing", "rendering", "decoding"):
        calls = []

        def stop(at: str, done: int, total: int, stage: str = stage, calls: list = calls) -> bool:
            calls.append(at)
            return at != stage

        with pytest.raises(Cancelled, match=stage):
            pipe.generate("x", seconds=2, seed=1, progress=stop)
        assert calls.count(stage) == 1


def test_each_stage_is_loaded_when_it_is_first_asked_for(pipe: Pipeline, tmp_path: Path):
    loaded = Pipeline.from_pretrained(pipe.save_pretrained(tmp_path / "model"))
    loaded.encode(Audio(np.zeros((2, 4096), np.float32), SAMPLE_RATE))
    assert {stage for stage, _ in loaded._loaded} == {"codec"}
    loaded.plan("x", bars=1)
    assert {stage for stage, _ in loaded._loaded} == {"codec", "text", "planner"}


def test_notes_are_values_and_warnings_at_the_door(pipe: Pipeline):
    with pytest.warns(UserWarning, match="gives way") as caught:
        result = pipe.plan("a song at 90 bpm", tempo=100, bars=2, seed=1)
    assert [str(one.message) for one in caught] == list(result.notes)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="gives way") as caught:
        track = pipe.generate("a song at 90 bpm", tempo=100, bars=2, seed=1)
    assert track.notes == result.notes and len(caught) == 1


def test_a_prompt_that_is_cut_is_said_wherever_it_is_read(pipe: Pipeline):
    plan = replace(plan_of(2), prompt="drum " * 300)
    for work in (pipe.write_codes, pipe.render, lambda plan: list(pipe.render_blocks(plan))):
        with pytest.warns(UserWarning, match="302 tokens is cut to its first 128") as caught:
            work(plan)
        assert len(caught) == 1


def test_importing_the_package_touches_nothing():
    import subprocess
    import sys

    code = "import hybridgen, sys; assert 'torch' not in sys.modules; hybridgen.Plan; hybridgen.Pipeline"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b""
