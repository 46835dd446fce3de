"""What a training step sees: whole, aligned windows with exact controls, a function of seed and step."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen.data.corpus import SongRecord
from hybridgen.data.song import Note
from hybridgen.plan import LATENT_HOP, ROLES, SAMPLE_RATE, Bar, Plan, Section, Tempo
from hybridgen.training import dataset
from hybridgen.training.dataset import Prepared, Track

C, E, Q, K = 6, 5, 2, 16


def make_plan(n_bars: int = 8) -> Plan:
    section = Section("verse", (Bar(("Am",)), Bar(("F",))) * (n_bars // 2), energy=3, roles=("drums", "bass"))
    return Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("drums", 0), ("bass", 33)))


def make_prepared(plan: Plan, seed: int, with_codes: bool = True) -> Prepared:
    rng = torch.Generator().manual_seed(seed)
    return Prepared(
        latents=dataset.pad_frames(torch.randn(plan.n_frames, C, generator=rng)).half(),
        loudness=torch.zeros(plan.n_code_frames).half(),
        texts=tuple(torch.randn(n, E, generator=rng).half() for n in (3, 5)),
        codes=torch.randint(K, (Q, plan.n_code_frames), generator=rng).to(torch.int16) if with_codes else None,
        codec="c0dec",
        quantizer="9ua" if with_codes else None,
    )


def make_record(index: int, plan: Plan, folder: Path = Path()) -> SongRecord:
    audio = folder / "songs" / f"{index:06d}.flac"
    return SongRecord(index, audio, plan, "rock", ("calm",), ("a", "b"), "test" if index % 20 == 19 else "train")


def make_tracks(n: int = 4) -> list[Track]:
    plans = [make_plan(8 + 2 * i) for i in range(n)]
    return [dataset.make_track(make_record(i, plan), make_prepared(plan, i)) for i, plan in enumerate(plans)]


def write_song(folder: Path, index: int, plan: Plan) -> None:
    facts = {"index": index, "seed": 0, "genre": "rock", "mood": ["calm"], "captions": ["a", "b"], "channels": []}
    facts |= {"plan": json.loads(plan.to_json()), "notes": []}
    (folder / "songs").mkdir(exist_ok=True)
    (folder / "songs" / f"{index:06d}.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("with_codes", [True, False])
def test_a_prepared_track_comes_back_from_disk(tmp_path, with_codes):
    prepared = make_prepared(make_plan(), 0, with_codes)
    path = dataset.prepared_path(tmp_path, 7)
    dataset.save_prepared(path, prepared)
    back = dataset.load_prepared(path)
    assert (back.codec, back.quantizer) == (prepared.codec, prepared.quantizer)
    assert torch.equal(back.latents, prepared.latents) and torch.equal(back.loudness, prepared.loudness)
    assert all(torch.equal(one, other) for one, other in zip(back.texts, prepared.texts, strict=True))
    assert torch.equal(back.codes, prepared.codes) if with_codes else back.codes is None


def test_held_out_songs_are_kept_apart_and_unprepared_ones_left_out(tmp_path):
    plan = make_plan()
    for index in (17, 18, 19, 20):
        write_song(tmp_path, index, plan)
        if index != 17:
            dataset.save_prepared(dataset.prepared_path(tmp_path, index), make_prepared(plan, index))
    train, held_out = dataset.load(tmp_path, tmp_path)
    assert [track.record.index for track in train] == [18, 20]
    assert [track.record.index for track in held_out] == [19]


def test_a_batch_is_a_function_of_seed_and_step():
    tracks = make_tracks()
    one, again, other = (dataset.batch(tracks, 4, 64, seed=3, step=step) for step in (5, 5, 6))
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(again, name)), name
    assert not torch.equal(one.latents, other.latents)


def test_windows_hold_the_controls_codes_and_latents_of_the_same_frames():
    tracks = make_tracks(1)
    whole = tracks[0].prepared.latents.float()
    batch = dataset.batch(tracks, 8, 64, seed=0, step=0)
    for i in range(8):
        start = next(s for s in range(0, len(whole), 4) if torch.equal(whole[s : s + 64], batch.latents[i]))
        features = tracks[0].record.plan.frame_controls(LATENT_HOP, start, start + 64)
        np.testing.assert_allclose(batch.features[i], features, atol=1e-3)
        codes = tracks[0].prepared.codes[:, start // 4 : start // 4 + 16]
        assert torch.equal(batch.codes[i], codes.long())
        assert batch.inside[i].sum() == min(tracks[0].record.plan.n_frames - start, 64)
    assert batch.text_mask.sum(1).tolist() == [int(n) for n in (batch.text.abs().sum(-1) > 0).sum(1)]


def test_windows_reach_both_ends_of_a_track():
    tracks = make_tracks(1)
    rng = np.random.default_rng(0)
    starts = {start for _, start in dataset.draw(tracks, 200, 64, rng)}
    assert min(starts) == 0 and max(starts) == tracks[0].n_frames - 64 and all(start % 4 == 0 for start in starts)


def test_tracks_that_are_too_short_are_not_drawn():
    tracks = make_tracks(4)
    longest = tracks[-1].n_frames
    drawn = dataset.draw(tracks, 20, longest, np.random.default_rng(0))
    assert all(track is tracks[-1] and start == 0 for track, start in drawn)
    with pytest.raises(ValueError, match=f"window of {longest + 4} frames is longer"):
        dataset.draw(tracks, 1, longest + 4, np.random.default_rng(0))


def test_what_is_played_falls_on_the_frames_of_its_notes():
    frame = 8192 / SAMPLE_RATE
    notes = [
        Note("bass", 33, start=2.5 * frame, duration=2 * frame, velocity=90),
        Note("drums", 36, start=0.0, duration=0.1, velocity=90),
        Note("lead", 72, start=9.5 * frame, duration=9.0, velocity=90),
    ]
    target = dataset.played(notes, torch.zeros(10))
    bass, drums, lead = (ROLES.index(role) for role in ("bass", "drums", "lead"))
    assert target.onsets[0].nonzero().tolist() == [[0, drums], [2, bass], [9, lead]]
    assert target.pitches[0, :, bass].nonzero().tolist() == [[2, 9], [3, 9], [4, 9]]
    assert target.chroma[0].nonzero().tolist() == [[2, 9], [3, 9], [4, 9], [9, 0]]  # drums have no pitch


def test_loudness_of_a_full_scale_square_is_20_db_over_its_zero():
    samples = np.sign(np.sin(np.arange(20_000)))[None].repeat(2, axis=0).astype(np.float32)
    level = dataset.loudness(samples)
    assert level.shape == (3,) and level[0] == pytest.approx(2.0, abs=1e-3)
    assert dataset.loudness(np.zeros((2, 10), dtype=np.float32)).tolist() == pytest.approx([-4.0])


def test_what_a_caller_can_get_wrong_is_named(tmp_path):
    plan = make_plan()
    with pytest.raises(ValueError, match="song 3: 8 prepared frames"):
        short = replace(make_prepared(plan, 0), latents=torch.zeros(8, C).half())
        dataset.make_track(make_record(3, plan), short)
    with pytest.raises(ValueError, match="window of 10 frames"):
        dataset.draw(make_tracks(1), 1, 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="song 3 has no codes"):
        track = dataset.make_track(make_record(3, plan), make_prepared(plan, 0, with_codes=False))
        dataset.batch([track], 1, 64, 0, 0)
    write_song(tmp_path, 0, plan)
    with pytest.raises(ValueError, match="0 tracks to train on"):
        dataset.load(tmp_path, tmp_path)
