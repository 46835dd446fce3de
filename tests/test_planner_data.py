"""What the planner learns from: every song once, its score whole, and nothing hidden that time depends on."""

import random
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen import grammar
from hybridgen.data.corpus import SongRecord
from hybridgen.plan import CODE_HOP, N_FEATURES, NO_INSTRUMENT, UNKNOWN_PROGRAM, Bar, Plan, Section, Tempo
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.training import dataset, planner_data
from hybridgen.training.dataset import Prepared
from hybridgen.training.planner_data import POOL, Example, ScoreConfig

SCORES = ScoreConfig(seed=3, batch_size=4, seconds=(5, 12), long_seconds=(20, 30), long_share=0.5)


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder(TextConfig())


def make_track(index, n_bars, with_codes=True):
    section = Section("verse", (Bar("Am"), Bar("F G")) * (n_bars // 2), energy=3, roles=("bass",))
    plan = Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("bass", 33), ("drums", 0)))
    codes = torch.full((3, plan.n_code_frames), index, dtype=torch.int16)
    texts = (torch.full((2 + index, 5), 1.0).half(),)
    latents = torch.zeros(plan.n_code_frames * 4, 2).half()
    prepared = Prepared(latents, torch.zeros(plan.n_code_frames).half(), texts, codes if with_codes else None, "c", "q")
    return dataset.make_track(SongRecord(index, Path(), plan, "rock", (), (), "train"), prepared)


def test_a_pool_is_a_function_of_its_number_and_no_song_comes_twice(encoder):
    pools = [planner_data.compose_pool(SCORES, encoder, 10**7, number) for number in (0, 1)]
    again = planner_data.compose_pool(SCORES, encoder, 10**7, 0)
    flat = [[example for batch in pool for example in batch] for pool in (*pools, again)]
    assert [len(pool) for pool in pools] == [POOL, POOL]
    assert [example.tokens for example in flat[0]] == [example.tokens for example in flat[2]]
    assert all(np.array_equal(a.text, b.text) for a, b in zip(flat[0], flat[2], strict=True))
    scores = [tuple(example.tokens) for example in flat[0] + flat[1]]
    assert len(set(scores)) == len(scores)


def test_batches_hold_whole_scores_and_go_on_where_they_stopped(encoder):
    with closing(planner_data.scores(SCORES, TextConfig(), first_step=POOL + 2)) as batches:
        batch = next(batches)
    for row in batch.tokens:
        assert grammar.parse(row[row >= 0].tolist(), n_samples=44_100).n_bars >= 2
    expected = planner_data.collate(planner_data.compose_pool(SCORES, encoder, planner_data.FIRST_TRAIN, 1)[1])
    assert torch.equal(batch.tokens, expected.tokens) and torch.equal(batch.text_mask, expected.text_mask)


def test_collate_pads_what_is_shorter():
    short = grammar.tokens(make_track(0, 2).record.plan)
    long = grammar.tokens(make_track(0, 6).record.plan)
    batch = planner_data.collate([Example(np.ones((3, 5), np.float16), short), Example(np.ones((0, 5)), long)])
    assert batch.text_mask.tolist() == [[True] * 3, [False] * 3]
    assert batch.tokens[0].tolist() == short + [-1] * (len(long) - len(short))
    assert batch.places.shape == (2, len(long), 2) and batch.codes is None


def test_rendered_songs_carry_codes_and_controls_of_like_length():
    tracks = [make_track(index, 2 + 2 * index) for index in range(5)]
    room = 4 * (tracks[2].n_frames // 4)
    batch = planner_data.rendered(tracks, room, torch.zeros(2, 5), seed=0, step=1)
    again = planner_data.rendered(tracks, room, torch.zeros(2, 5), seed=0, step=1)
    others = [planner_data.rendered(tracks, room, torch.zeros(2, 5), seed=0, step=step) for step in range(2, 14)]
    assert torch.equal(batch.codes, again.codes)
    assert not all(torch.equal(batch.codes[:, 0, 0], other.codes[:, 0, 0]) for other in others)
    assert len({len(other.codes) for other in others}) > 1  # many short songs or few long ones
    assert all(len(other.codes) <= len(tracks) for other in others)
    assert batch.features.shape == (len(batch.codes), batch.codes.shape[2], N_FEATURES)
    for row in range(len(batch.codes)):
        index = int(batch.codes[row, 0, 0])
        n_frames = tracks[index].n_frames // 4
        assert (batch.codes[row, :, :n_frames] == index).all() and (batch.codes[row, :, n_frames:] == -1).all()
        assert batch.instruments[row, 2] in (33, UNKNOWN_PROGRAM) and batch.instruments[row, 3] == NO_INSTRUMENT


def test_songs_without_codes_are_refused():
    with pytest.raises(ValueError, match="song 1 has no codes"):
        planner_data.rendered([make_track(1, 4, with_codes=False)], 1, torch.zeros(2, 5), seed=0, step=0)


def test_hiding_labels_leaves_time_alone():
    plan = make_track(0, 6).record.plan
    hidden = [planner_data.hide(plan, random.Random(i)) for i in range(20)]
    for one in hidden:
        assert np.array_equal(one.bar_starts(), plan.bar_starts()) and one.length == plan.length
        grid = slice(0, 9)  # inside the bars or not, beat phase, bar phase
        assert np.allclose(one.frame_controls(CODE_HOP)[:, grid], plan.frame_controls(CODE_HOP)[:, grid], atol=1e-3)
        assert grammar.parse(grammar.tokens(one), n_samples=one.n_samples, beats=one.beats) == one
    assert any(one.key is None for one in hidden) and any(one.beats for one in hidden)
    assert any(bar.chords is None for one in hidden for bar in one.bars)


def test_impossible_score_configs_are_refused():
    with pytest.raises(ValueError, match="batch_size 2"):
        ScoreConfig(0, 2, (5, 6), (5, 6), 0.1)
    with pytest.raises(ValueError, match=r"long_share 1.5"):
        ScoreConfig(0, 4, (5, 6), (5, 6), 1.5)
