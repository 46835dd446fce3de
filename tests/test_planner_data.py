"""What the planner learns from: every song once, its score whole, and nothing hidden that time depends on."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen import grammar
from hybridgen.data.composer import compose
from hybridgen.data.prepared_dataset import PreparedDataset
from hybridgen.plan.features import N_BAR_FEATURES, N_FEATURES, NO_INSTRUMENT, UNKNOWN_PROGRAM
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.text.encoder import TextConfig
from hybridgen.training import planner_data
from hybridgen.training.planner_data import (
    CodeCorruption,
    MixedBatches,
    PlannerBatch,
    ScoreBatches,
    ScoreConfig,
    SongBatches,
    hide_parts,
)
from tests.conftest import CODE_HOP

SCORES = ScoreConfig(seed=3, batch_size=8, seconds=(5, 12), long_seconds=(12, 20), long_share=0.5)
LENGTHS = (2, 2, 4, 4, 4, 6, 6, 8, 8, 8, 8, 10, 40)  # bars, two seconds each
EMPTY_TEXT = np.zeros((2, 384), dtype=np.float16)


def make_plan(n_bars: int) -> Plan:
    section = Section("verse", (Bar("Am"), Bar("F G")) * (n_bars // 2), energy=3, roles=("bass",))
    return Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("bass", 33), ("drums", 0)))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory, write_prepared) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, [make_plan(n_bars) for n_bars in LENGTHS])
    return PreparedDataset(folder, "train")


def same(one: PlannerBatch, other: PlannerBatch) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


def joined(parts: list[PlannerBatch], field: str, axis: int) -> list[list]:
    """The rows of a field of several batches, without their padding behind the end."""
    return [row.narrow(axis, 0, n).tolist() for part in parts for row, n in _rows(part, field, axis)]


def _rows(batch: PlannerBatch, field: str, axis: int):
    values = getattr(batch, field)
    filled = batch.text_mask if field == "text" else values.flatten(2).amin(2) >= 0 if values.dim() > 2 else values >= 0
    return zip(values, filled.sum(1).tolist(), strict=True)


def test_scores_are_a_function_of_the_step_and_no_song_comes_twice():
    batches = ScoreBatches(SCORES, TextConfig())
    first = [batches(step) for step in range(1, 5)]
    assert same(batches(2), first[1])
    scores = [tuple(row[row >= 0].tolist()) for batch in first for row in batch.tokens]
    assert len(set(scores)) == len(scores) and {len(batch.tokens) for batch in first} == {2, 8}
    for score in scores:
        assert grammar.parse(list(score), n_samples=44_100).n_bars >= 2
    assert not same(ScoreBatches(SCORES, TextConfig(), first=planner_data.FIRST_VALID)(1), first[0])


def test_ranks_together_compose_the_songs_of_one():
    whole = ScoreBatches(SCORES, TextConfig())
    for step in (1, 2):
        parts = [ScoreBatches(SCORES, TextConfig(), rank=rank, world_size=2)(step) for rank in range(2)]
        assert joined(parts, "tokens", 0) == joined([whole(step)], "tokens", 0)
        assert [int(n) for part in parts for n in part.text_mask.sum(1)] == whole(step).text_mask.sum(1).tolist()


def test_composed_songs_come_with_their_notes():
    with_notes = ScoreBatches(SCORES, TextConfig(), notes=True)
    batch = with_notes(4)
    assert batch.steps is not None and same(
        replace(batch, steps=None, instruments=None), ScoreBatches(SCORES, TextConfig())(4)
    )
    n_rows, n_steps, _ = batch.steps.tokens.shape
    assert batch.steps.features.shape == (n_rows, n_steps, N_BAR_FEATURES)
    said = (batch.steps.tokens >= 0).flatten().nonzero().flatten()
    assert torch.equal(batch.steps.written, said) and (batch.steps.tokens[:, 0, 0] >= 0).all()
    assert torch.equal(with_notes(4).steps.tokens, batch.steps.tokens)
    ours = [ScoreBatches(SCORES, TextConfig(), True, rank=rank, world_size=2)(4).steps for rank in range(2)]
    assert sum(len(part.written) for part in ours) == len(said)


def test_some_roles_of_some_songs_are_unknown_and_never_all():
    plan = compose(0, 70_000_000, (20, 20)).plan
    n_roles = len(plan.notes)
    hidden = [n_roles - len(hide_parts(plan, random.Random(i)).notes) for i in range(600)]
    assert n_roles > 2 and min(hidden) == 0 and max(hidden) == n_roles - 1
    assert 0.06 < np.mean(np.array(hidden) > 0) < 0.14


def test_rendered_songs_carry_codes_and_controls_of_like_length(songs: PreparedDataset):
    batches = SongBatches(songs, 200, 2, 0, EMPTY_TEXT)
    for step in range(1, 8):
        batch, chosen = batches(step), batches.rows(step)
        lengths = songs.n_frames[chosen] // 4
        assert len(chosen) % 2 == 0 and lengths.max() <= 1.3 * lengths.min()
        assert len(chosen) == 2 or len(chosen) * lengths.max() <= 200
        assert batch.features.shape == (len(chosen), lengths.max(), N_FEATURES)
        for row, (song, n_frames) in enumerate(zip(chosen, lengths.tolist(), strict=True)):
            assert np.array_equal(batch.codes[row, :, :n_frames], songs[song].codes)
            assert (batch.codes[row, :, n_frames:] == -1).all() and not batch.features[row, n_frames:].any()
            assert batch.instruments[row, 2] in (33, UNKNOWN_PROGRAM) and batch.instruments[row, 3] == NO_INSTRUMENT
    assert same(batches(3), SongBatches(songs, 200, 2, 0, EMPTY_TEXT)(3))


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_song_comes_once_in_an_epoch(songs: PreparedDataset, ranks: int):
    batches = SongBatches(songs, 200, ranks, 5, EMPTY_TEXT)
    n_steps = int(batches._stops[-1])
    epochs = [[batches.rows(1 + epoch * n_steps + i) for i in range(n_steps)] for epoch in range(2)]
    for chosen in epochs:
        counts = np.bincount([song for rows in chosen for song in rows], minlength=len(songs))
        assert counts.min() == 1 and (counts.max() == 1 or ranks == 2) and counts.sum() <= len(songs) + 2 * n_steps
    assert epochs[0] != epochs[1]


def test_a_step_at_a_thousand_million_is_found_at_once(songs: PreparedDataset):
    assert len(SongBatches(songs, 200, 2, 0, EMPTY_TEXT).rows(10**9)) >= 2


@pytest.mark.parametrize("step", [1, 2, 3])
def test_ranks_together_read_the_songs_of_one(songs: PreparedDataset, step: int):
    corruption = CodeCorruption(0.3, 256)
    whole = SongBatches(songs, 200, 4, 1, EMPTY_TEXT, corruption)(step)
    assert (whole.context_codes != whole.codes).any() and torch.equal(whole.context_codes < 0, whole.codes < 0)
    for n in (2, 4):
        parts = [SongBatches(songs, 200, 4, 1, EMPTY_TEXT, corruption, rank, n)(step) for rank in range(n)]
        for field, axis in (("tokens", 0), ("codes", 1), ("context_codes", 1)):
            assert joined(parts, field, axis) == joined([whole], field, axis)
        assert torch.equal(torch.cat([part.instruments for part in parts]), whole.instruments)


def test_as_many_codes_are_corrupted_as_configured():
    codes = np.zeros((4, 500), dtype=np.int16)
    shares = [(CodeCorruption(0.2, 64).apply(codes, seed) != 0).mean() for seed in range(200)]
    assert abs(np.mean(shares) - 0.2 * 63 / 64) < 0.02 and max(shares) < 0.45
    assert np.array_equal(CodeCorruption(0.0, 64).apply(codes, 1), codes)
    with pytest.raises(ValueError, match=r"corrupted_codes 0.6"):
        CodeCorruption(0.6, 64)


def test_a_share_of_the_steps_is_rendered_and_none_of_those_left_out(songs: PreparedDataset):
    class Named:
        def __init__(self, name: str):
            self.name = name

        def __call__(self, step: int) -> tuple[str, int]:
            return self.name, step

    mixed = MixedBatches(Named("score"), Named("song"), 0.75)
    made = [mixed(step) for step in range(1, 21)]
    assert [number for name, number in made if name == "song"] == list(range(1, 16))
    numbers = [number for name, number in made if name == "score"]
    assert len(set(numbers)) == 5
    assert [MixedBatches(Named("score"), Named("song"), share)(7) for share in (0.0, 1.0)] == [
        ("score", 7),
        ("song", 7),
    ]
    with pytest.raises(ValueError, match=r"share 1.5"):
        MixedBatches(Named("score"), Named("song"), 1.5)


def test_songs_without_codes_are_refused(tmp_path: Path, write_prepared):
    write_prepared(tmp_path, [make_plan(4)], has_codes=False)
    with pytest.raises(ValueError, match="has no codes"):
        SongBatches(PreparedDataset(tmp_path, "train"), 100, 1, 0, EMPTY_TEXT)


def test_masked_labels_leave_time_alone():
    plan = make_plan(6)
    hidden = [planner_data.mask_labels(plan, random.Random(i)) for i in range(20)]
    for one in hidden:
        assert np.array_equal(one.bar_starts(), plan.bar_starts()) and one.length == plan.length
        grid = slice(0, 9)  # inside the bars or not, beat phase, bar phase
        assert np.allclose(one.frame_controls(CODE_HOP)[:, grid], plan.frame_controls(CODE_HOP)[:, grid], atol=1e-3)
        assert grammar.parse(grammar.tokens(one), n_samples=one.n_samples, beats=one.beats) == one
        for found, true in zip(one.sections, plan.sections, strict=True):  # as it was, or unknown
            assert all(value in (None, getattr(true, name)) for name, value in vars(found).items() if name != "bars")
        assert one.key in (None, plan.key) and [role for role, _ in one.instruments] == ["drums", "bass"]
    assert any(one.key is None for one in hidden) and any(one.beats for one in hidden)
    assert any(section.roles is None for one in hidden for section in one.sections)
    assert any(bar.chords is None for one in hidden for bar in one.bars)


def test_what_is_unknown_stays_unknown_when_more_is_masked():
    beats = tuple(0.5 * i for i in range(9))
    played = Plan((Section(None, (Bar(None),) * 2, None, None),), (), "4/4", None, (), beats=beats, n_samples=200_000)
    sound = Plan((), (), None, None, (), n_samples=200_000)  # nothing but its length is known
    for i in range(10):
        assert planner_data.mask_labels(played, random.Random(i)) == played
        assert planner_data.mask_labels(sound, random.Random(i)) == sound


def test_impossible_score_configs_are_refused():
    with pytest.raises(ValueError, match="batch_size 6"):
        ScoreConfig(0, 6, (5, 6), (5, 6), 0.1)
    with pytest.raises(ValueError, match=r"long_share 1.5"):
        ScoreConfig(0, 4, (5, 6), (5, 6), 1.5)
    with pytest.raises(ValueError, match="batch of 1 rows"):
        ScoreBatches(ScoreConfig(0, 4, (5, 6), (5, 6), 0.1), TextConfig(), world_size=2)
