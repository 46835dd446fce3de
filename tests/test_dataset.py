"""What a training step sees: aligned windows with exact controls, a function of seed and step and nothing else."""

import hashlib
import itertools
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridgen.data.prepared_dataset import Notes, PreparedDataset
from hybridgen.data.shards import CorruptShardError
from hybridgen.data.song import Note
from hybridgen.plan.notes import Note as PlanNote
from hybridgen.plan.notes import Part
from hybridgen.plan.parts import ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.training import dataset
from hybridgen.training.dataset import NoteBatches, Permutation, Phase, WindowBatches
from tests.conftest import LATENT_HOP, SAMPLE_RATE

PHASES = (Phase(3, (16,), 128), Phase(100, (16, 32, 64), 256))  # 8 rows; then 16, 8 or 4


def make_plan(n_bars: int) -> Plan:
    section = Section("verse", (Bar(("Am",)), Bar(("F",))) * (n_bars // 2), energy=3, roles=("drums", "bass"))
    return Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("drums", 0), ("bass", 33)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_prepared) -> Path:
    """Seven tracks of 2 to 14 bars (88 to 604 frames) in three shards; the last is held out."""
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, [make_plan(2 * i + 2) for i in range(7)], held_out=(6,))
    return folder


@pytest.fixture(scope="module")
def songs(folder: Path) -> PreparedDataset:
    return dataset.load(folder)[0]


def digest(made: object) -> str:
    """SHA-256 of the tensors of batches, nested in any way."""
    if isinstance(made, torch.Tensor):
        return hashlib.sha256(repr((made.dtype, made.shape)).encode() + made.numpy().tobytes()).hexdigest()
    parts = made if isinstance(made, (list, tuple)) else vars(made).values()
    return hashlib.sha256("".join(digest(part) for part in parts).encode()).hexdigest()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000])
def test_a_permutation_is_a_bijection_and_another_for_each_key(n: int):
    for key in ((), (0, 1), (1, 0)):
        assert sorted(map(Permutation(n, *key), range(n))) == list(range(n))
    if n > 60:
        orders = [list(map(Permutation(n, seed, epoch), range(n))) for seed in range(3) for epoch in range(3)]
        assert len({tuple(order) for order in orders}) == 9
        for order in orders:  # neighbors do not stay neighbors, and the places are not correlated
            assert sum(abs(a - b) == 1 for a, b in itertools.pairwise(order)) < 0.15 * n
            assert abs(np.corrcoef(order, range(n))[0, 1]) < 4 / n**0.5


def test_a_permutation_knows_its_range():
    with pytest.raises(ValueError, match="permutation of 0"):
        Permutation(0)
    with pytest.raises(ValueError, match="index 5 is outside a permutation of 5"):
        Permutation(5)(5)


def test_going_on_at_sample_a_thousand_million_costs_nothing(songs: PreparedDataset, count_calls):
    order = Permutation(10**12, 0, 0)
    assert len({order(10**9 + i) for i in range(1000)}) == 1000
    batches = WindowBatches(songs, (Phase(1, (16,), 160),), 0)  # 10 rows a step
    assert len(batches.rows(10**8)[1]) == 10
    assert count_calls(lambda: batches.rows(10**8)) < 2 * count_calls(lambda: batches.rows(10))


def test_each_window_comes_once_in_an_epoch(songs: PreparedDataset):
    n_windows = (songs.n_frames // 16).tolist()
    batches = WindowBatches(songs, (Phase(1, (16,), 16),), 0)  # one row a step
    epochs = [[batches.rows(1 + epoch * sum(n_windows) + i)[1][0] for i in range(sum(n_windows))] for epoch in (0, 1)]
    for rows in epochs:
        assert np.bincount([row.song for row in rows]).tolist() == n_windows
        assert len({row.seed for row in rows}) == len(rows)
    assert [row.song for row in epochs[0]] != [row.song for row in epochs[1]]
    longest = [row.start for rows in epochs for row in rows if row.song == 5]
    assert min(longest) == 0 and max(longest) == songs.n_frames[5] - 16
    assert all(row.start % 4 == 0 and row.reference % 4 == 0 for rows in epochs for row in rows)


def test_windows_of_several_lengths_fill_the_same_budget_and_come_alike_often(songs: PreparedDataset):
    batches = WindowBatches(songs, PHASES, 7)
    assert [len(batches.rows(step)[1]) for step in (1, 2, 3)] == [8, 8, 8]
    windows = [batches.rows(step)[0] for step in range(4, 34)]
    assert all(sorted(windows[i : i + 3]) == [16, 32, 64] for i in range(0, 30, 3))
    assert len({tuple(windows[i : i + 3]) for i in range(0, 30, 3)}) > 1
    for step in range(4, 8):
        window, rows = batches.rows(step)
        assert window * len(rows) == 256
        assert all(row.start + window <= songs.n_frames[row.song] for row in rows)


def test_a_length_that_is_listed_twice_comes_twice_with_other_windows(songs: PreparedDataset):
    batches = WindowBatches(songs, (Phase(1, (16, 16), 64),), 0)
    one, other = (batches.rows(step)[1] for step in (1, 2))
    assert not {row.seed for row in one} & {row.seed for row in other}


def test_corrupt_tracks_are_replaced_alike_by_any_number_of_ranks(folder: Path):
    def broken() -> PreparedDataset:
        songs = PreparedDataset(folder, "train", max_corrupt=0.5)
        read = PreparedDataset.__getitem__

        class Broken(PreparedDataset):
            def __getitem__(self, i: int):
                if i >= 4:  # the two longest, which come most often
                    raise CorruptShardError(f"track {i}")
                return read(self, i)

        songs.__class__ = Broken
        return songs

    whole = WindowBatches(broken(), PHASES, 3)(2)
    parts = [WindowBatches(broken(), PHASES, 3, rank, 2)(2) for rank in range(2)]
    assert torch.equal(torch.cat([part.latents for part in parts]), whole.latents)
    assert not torch.equal(whole.latents, WindowBatches(PreparedDataset(folder, "train"), PHASES, 3)(2).latents)


def test_a_batch_is_a_function_of_seed_and_step(songs: PreparedDataset, folder: Path):
    one, again = WindowBatches(songs, PHASES, 3)(5), WindowBatches(PreparedDataset(folder, "train"), PHASES, 3)(5)
    assert digest(one) == digest(again)
    assert len({digest(WindowBatches(songs, PHASES, seed)(step)) for seed, step in ((3, 5), (3, 6), (4, 5))}) == 3


@pytest.mark.parametrize("make", [WindowBatches, NoteBatches])
@pytest.mark.parametrize("step", [2, 4, 5, 6])
def test_ranks_together_see_what_one_sees_in_the_same_order(songs: PreparedDataset, make: type, step: int):
    def columns(batch: object) -> list[torch.Tensor]:
        if make is WindowBatches:
            text = torch.nn.functional.pad(batch.text, (0, 0, 0, 5 - batch.text.shape[1]))
            return [batch.latents, batch.reference, text, batch.codes, batch.features, batch.inside, batch.seeds]
        return [batch[0], *vars(batch[1]).values()]

    whole = columns(make(songs, PHASES, 3)(step))
    for n in (2, 4):
        parts = zip(*(columns(make(songs, PHASES, 3, rank, n)(step)) for rank in range(n)), strict=True)
        assert all(torch.equal(torch.cat(part), column) for part, column in zip(parts, whole, strict=True))


def test_workers_change_nothing(songs: PreparedDataset):
    batch_fns = [WindowBatches(songs, PHASES, 3, rank, 2) for rank in (0, 1)]  # as two micro-batches
    torch.manual_seed(0)
    expected = [digest(batches) for batches in dataset.stream(batch_fns, range(2, 9), 0)]
    state = torch.get_rng_state()
    for workers in (1, 2, 4):
        with closing(dataset.stream(batch_fns, range(2, 9), workers)) as batches:
            assert [digest(made) for made in batches] == expected, workers
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_wrong_in_a_worker_is_reported_in_one_line(folder: Path):
    broken = PreparedDataset(folder, "train")
    broken.folder = folder / "elsewhere"
    batch_fns = [WindowBatches(broken, PHASES, 3)]
    with (
        closing(dataset.stream(batch_fns, range(1, 3), 1)) as batches,
        pytest.raises(ValueError, match=r"^prepared \S+: 1 of 6 tracks corrupt [^\n]*$"),
    ):
        next(batches)


def test_windows_hold_the_controls_codes_and_latents_of_the_same_frames(songs: PreparedDataset):
    batches = WindowBatches(songs, (Phase(1, (32,), 256),), 1)
    batch = batches(1)
    for i, row in enumerate(batches.rows(1)[1]):
        track, plan = songs[row.song], songs.labels(row.song).plan
        assert np.array_equal(batch.latents[i], track.latents[row.start : row.start + 32])
        assert np.array_equal(batch.reference[i], track.latents[row.reference : row.reference + 32])
        controls = plan.frame_controls(LATENT_HOP, row.start, row.start + 32)
        np.testing.assert_allclose(batch.features[i], controls, atol=1e-3)
        assert np.array_equal(batch.codes[i], track.codes[:, row.start // 4 : row.start // 4 + 8])
        assert batch.inside[i].sum() == min(plan.n_frames - row.start, 32)
        assert batch.instruments[i].tolist() == plan.instrument_ids().tolist()
        n_tokens = int(batch.text_mask[i].sum())
        assert np.array_equal(batch.text[i, :n_tokens], track.texts[int(2 * row.caption)])
        assert not batch.text[i, n_tokens:].any()
    assert len(set(batch.text_mask.sum(1).tolist())) == 2  # both captions are used


def test_note_targets_fall_on_the_frames_of_its_notes():
    frame = 8192 / SAMPLE_RATE
    notes = [
        Note("bass", 33, start=2.5 * frame, duration=2 * frame, velocity=90),
        Note("drums", 36, start=0.0, duration=0.1, velocity=90),
        Note("lead", 72, start=9.5 * frame, duration=9.0, velocity=90),
        Note("lead", 60, start=11 * frame, duration=1.0, velocity=90),  # after the end
    ]
    target = dataset.note_targets(Notes.of(notes), np.zeros(10, dtype=np.float16), TimeBase())
    bass, drums, lead = (ROLES.index(role) for role in ("bass", "drums", "lead"))
    assert target.onsets[0].nonzero().tolist() == [[0, drums], [2, bass], [9, lead]]
    assert target.pitches[0, :, bass].nonzero().tolist() == [[2, 9], [3, 9], [4, 9]]
    assert target.chroma[0].nonzero().tolist() == [[2, 9], [3, 9], [4, 9], [9, 0]]  # drums have no pitch
    silence = dataset.note_targets(Notes.of([]), np.zeros(10, dtype=np.float16), TimeBase())
    assert not silence.onsets.any() and not silence.pitches.any()


def test_the_quantizer_sees_the_notes_of_its_windows(songs: PreparedDataset):
    batches = NoteBatches(songs, (Phase(1, (32,), 512),), 0)
    latents, target = batches(1)
    _, rows = batches.rows(1)
    assert latents.shape == (16, 32, 8) and target.onsets.shape == (16, 8, len(ROLES))
    for i, row in enumerate(rows):  # the one note of each track begins at 0.5 s, in code frame 2
        assert target.onsets[i, :, ROLES.index("bass")].nonzero().flatten().tolist() == [
            frame - row.start // 4 for frame in (2,) if 0 <= frame - row.start // 4 < 8
        ]
    assert any(row.start <= 8 for row in rows)


def test_what_a_caller_can_get_wrong_is_named(songs: PreparedDataset, tmp_path: Path, write_prepared):
    with pytest.raises(ValueError, match="window of 10 frames is not a multiple of 4"):
        WindowBatches(songs, (Phase(1, (10,), 100),), 0)
    with pytest.raises(ValueError, match="window of 64 frames is outside 1-32"):
        Phase(1, (64,), 32)
    with pytest.raises(ValueError, match="window of 1024 frames is longer than each of the 6 tracks"):
        WindowBatches(songs, (Phase(1, (1024,), 1024),), 0)
    with pytest.raises(ValueError, match="batch of 8 rows cannot be shared evenly: rank 0 of 3"):
        WindowBatches(songs, PHASES, 0, 0, 3)
    write_prepared(tmp_path / "a", [make_plan(2)], has_codes=False)
    with pytest.raises(ValueError, match="has no codes of one quantizer"):
        WindowBatches(PreparedDataset(tmp_path / "a", "train"), PHASES, 0)
    with pytest.raises(ValueError, match="1 tracks to train on and 0 held out: too few"):
        dataset.load(tmp_path / "a")


def test_notes_of_a_window_are_those_of_its_frames_and_of_a_subset_no_codes_are_told(tmp_path: Path, write_prepared):
    section = Section("verse", (Bar(("Am",)),) * 4, roles=("bass", "lead"))
    bars = tuple((PlanNote(240 * i, 480, 33 + i), PlanNote(960, 100, 50)) for i in range(3))
    played = (Part("bass", (*bars, None)),)
    plan = Plan((section,), (Tempo(1, 120.0),), instruments=(("bass", 33), ("lead", 80)), notes=played)
    write_prepared(tmp_path, [plan, plan, make_plan(8), plan], held_out=(3,), heard={1: ("bass",)})
    songs = PreparedDataset(tmp_path, "train", subsets=True)
    batches, seen = WindowBatches(songs, (Phase(20, (16,), 64),), 0), set()
    for step in range(1, 21):
        batch, (_, rows) = batches(step), batches.rows(step)
        for i, row in enumerate(rows):
            spans = songs[row.song].notes.rolls(row.start, row.start + 16)
            n = len(spans.entries)
            assert torch.equal(batch.notes[i, :n], torch.from_numpy(spans.entries)) and not batch.strengths[i, n:].any()
            assert torch.equal(batch.strengths[i, :n], torch.from_numpy(spans.strengths))
            assert (batch.notes[i].diff(dim=0)[:, 0] >= 0).all(), "in order of frames, padding last"
            assert torch.equal(batch.notes_known[i], torch.from_numpy(spans.known))
            assert bool(batch.heard[i].all()) == (row.song != 1) == bool((batch.codes[i] >= 0).all())
            assert bool((batch.codes[i] < 0).all()) == (row.song == 1)
            seen.add((row.song, n > 0))
    assert {(0, True), (1, True), (2, False)} <= seen
