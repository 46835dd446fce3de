"""A prepared folder: whole or not there, the same bytes however it was written, and what is unknown stays unknown."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from hybridgen import config
from hybridgen.data import prepare, shards
from hybridgen.data.corpus import SongRecord
from hybridgen.data.prepare import LabeledAudio, PrepareConfig
from hybridgen.data.prepared_dataset import DATASET_INDEX, Labels, PreparedDataset, codes_path, latents_path
from hybridgen.data.shards import Shard
from hybridgen.pipeline import Pipeline
from hybridgen.plan.features import N_FEATURES, PLAN_VERSION
from hybridgen.plan.notes import Note, Part
from hybridgen.plan.parts import ROLES, Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.plan.time_base import TimeBase
from hybridgen.weights import save_weights
from tests.conftest import SAMPLE_RATE

HOURS = 4.5 / 3600  # two tracks to a shard


@pytest.fixture(scope="module")
def settings(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> PrepareConfig:
    folder = tmp_path_factory.mktemp("models")
    save_weights(pipe.codec, folder / "codec.safetensors")
    save_weights(pipe.quantizer, folder / "quantizer.safetensors")
    (folder / "model.yaml").write_text(yaml.safe_dump(config.dump(pipe.config)))
    return PrepareConfig(folder / "model.yaml", folder, 1)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[LabeledAudio]:
    """Four tracks of a bar with everything known, and one of a lab's own of which only the length is."""
    folder = tmp_path_factory.mktemp("music")
    section = Section("verse", (Bar(("Am",)),), energy=3, roles=("bass",))
    known = Plan((section,), (Tempo(1, 120.0),), key="A minor", instruments=(("bass", 33),))
    unknown = Plan((), (), None, None, (), n_samples=70_000)
    labels = [Labels(f"{i:06d}", "train", known, ("a calm song", "a"), "rock", ("calm",)) for i in range(4)]
    labels.append(Labels("my-own_track", "test", unknown))
    made, rng = [], np.random.default_rng(0)
    for one in labels:
        audio = folder / f"{one.name}.flac"
        soundfile.write(audio, 0.1 * rng.standard_normal((one.plan.length, 2)), SAMPLE_RATE)
        audio.with_suffix(".json").write_text(json.dumps({"notes": [["bass", 33, 0.1 + 1e-9, 0.2, 90]]}))
        made.append(LabeledAudio(one, audio, audio.with_suffix(".json") if one.plan is known else None))
    return made


@pytest.fixture(scope="module")
def folder(settings: PrepareConfig, tracks: list[LabeledAudio], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "p"
    prepare.write_latents(tracks, folder, settings, HOURS)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_tracks_come_back_with_what_is_known_of_them(folder: Path, tracks: list[LabeledAudio], pipe: Pipeline):
    train, test = PreparedDataset(folder, "train"), PreparedDataset(folder, "test")
    assert (len(train), len(test)) == (4, 1) and train.index["quantizer"] is None
    assert [train.labels(i) for i in range(4)] == [track.labels for track in tracks[:4]]
    assert test.labels(0) == tracks[4].labels and test.notes(0) is None
    notes = train.notes(2)
    assert (notes.starts.item(), notes.durations.item(), notes.pitches.item()) == (0.1 + 1e-9, 0.2, 33)
    track, samples = train[2], soundfile.read(tracks[2].audio, dtype="float32")[0].T
    latents = pipe.codec.encode(torch.from_numpy(samples.copy())[None])[0]
    assert train.n_frames[2] == len(track.latents) == 44 and len(latents) == 44
    np.testing.assert_allclose(track.latents, latents.detach().numpy(), atol=0.05, rtol=0.01)  # weights are halves
    assert len(track.texts) == 1 and track.texts[0].shape[0] > 2 and track.texts[0].any()
    [nothing] = test[0].texts
    assert nothing.shape == (0, 384) and test[0].codes is None


def test_a_song_of_the_corpus_is_a_mix_and_its_subsets(settings: PrepareConfig, tmp_path: Path):
    drums = Part("drums", ((Note(0, 120, 36),),))
    bass = Part("bass", ((Note(240, 480, 33, 100), Note(960, 480, 40)),))
    section = Section("verse", (Bar(("Am",)),), energy=3, roles=("drums", "bass"))
    plan = Plan((section,), (Tempo(1, 120.0),), instruments=(("drums", 0), ("bass", 33)), notes=(drums, bass))
    (tmp_path / "songs").mkdir()
    audio = tmp_path / "songs" / "000000.flac"
    record = SongRecord(0, audio, plan, "rock", (), ("a song",), "train", (("bass",),))
    for path in (audio, record.audio_of(("bass",))):
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((plan.length, 2)), SAMPLE_RATE)
    audio.with_suffix(".json").write_text(json.dumps({"notes": [["bass", 33, 0.25, 0.5, 90]]}))
    held_out = LabeledAudio(Labels("other", "test", replace(plan, notes=())), audio, None)
    prepare.write_latents([*prepare.from_corpus(record), held_out], tmp_path / "p", settings)

    mixes, all_tracks = (PreparedDataset(tmp_path / "p", "train", subsets=subsets) for subsets in (False, True))
    assert [all_tracks[i].name for i in range(len(all_tracks))] == ["000000", "000000-bass"]
    assert len(mixes) == 1 and mixes.labels(0).heard is None and all_tracks.labels(1).heard == ("bass",)
    assert mixes.notes(0) is not None and all_tracks.notes(1) is None
    for i, heard in enumerate([[True] * 9, [role == "bass" for role in ROLES]]):
        track = all_tracks[i]
        assert track.heard.tolist() == heard
        expected = plan.note_spans(plan.time_base.latent_hop, len(track.latents))
        for name, value in vars(expected).items():
            assert np.array_equal(getattr(track.notes, name), value), name
    assert len(expected.frames) == 3 and not expected.known[:, ROLES.index("keys")].any()
    unknown = PreparedDataset(tmp_path / "p", "test")[0]
    assert not unknown.notes.known.any() and len(unknown.notes.frames) == 0 and unknown.heard.all()


def test_a_stopped_run_goes_on_and_makes_the_same_bytes(folder: Path, settings, tracks, tmp_path, monkeypatch):
    encode, encoded = prepare.encode_track, []

    def stopped(track: LabeledAudio, *rest: object) -> dict[str, bytes]:
        if len(encoded) == 3:  # in the middle of the second shard
            raise KeyboardInterrupt
        encoded.append(track.labels.name)
        return encode(track, *rest)

    out = tmp_path / "p"
    monkeypatch.setattr(prepare, "encode_track", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare.write_latents(tracks, out, settings, HOURS)
    with pytest.raises(ValueError, match="has not finished it"):
        PreparedDataset(out, "train")
    (out / ".0123.tmp").write_bytes(b"half a shard of a killed run")
    monkeypatch.setattr(
        prepare, "encode_track", lambda track, *rest: (encoded.append(track.labels.name), encode(track, *rest))[1]
    )
    prepare.write_latents(tracks, out, settings, HOURS)
    assert encoded == [track.labels.name for track in (*tracks[:3], *tracks[2:])]
    assert contents(out) == contents(folder)
    prepare.write_latents(tracks, out, settings, HOURS)
    assert len(encoded) == 6  # everything was there


def test_workers_make_the_same_bytes(folder: Path, settings: PrepareConfig, tracks: list[LabeledAudio], tmp_path: Path):
    prepare.write_latents(tracks, tmp_path / "p", settings, HOURS, workers=2)
    assert contents(tmp_path / "p") == contents(folder)


def test_codes_come_beside_and_a_new_quantizer_writes_only_those(settings, tracks, pipe, tmp_path):
    out, weights = tmp_path / "p", tmp_path / "quantizer.safetensors"
    save_weights(pipe.quantizer, weights)
    prepare.write_latents(tracks, out, settings, HOURS)
    before = contents(out)
    prepare.write_codes(out, settings.model, weights)
    songs = PreparedDataset(out, "train")
    expected = pipe.quantizer.encode(torch.tensor(songs[1].latents)[None].float())[0]
    assert songs[1].codes.dtype == np.int16 and (songs[1].codes == expected.numpy()).mean() > 0.95  # weights are halves
    with_codes = contents(out)
    assert all(with_codes[name] == data for name, data in before.items() if name != DATASET_INDEX)
    prepare.write_latents(tracks, out, settings, HOURS)
    assert contents(out) == with_codes  # latents that stay keep their codes

    save_weights(pipe.quantizer, weights, half=False)
    prepare.write_codes(out, settings.model, weights)
    assert PreparedDataset(out, "train").index["quantizer"] != songs.index["quantizer"]
    assert all(contents(out)[name] == data for name, data in before.items() if name != DATASET_INDEX)

    prepare.write_latents(tracks[:4], out, replace(settings, captions=2), HOURS)
    assert PreparedDataset(out, "train").index["quantizer"] is None and len(PreparedDataset(out, "train")[0].texts) == 2


def test_corrupt_tracks_are_skipped_and_named_until_they_are_too_many(folder: Path, tmp_path: Path, capsys):
    for name, data in contents(folder).items():
        (tmp_path / name).write_bytes(data)
    songs = PreparedDataset(tmp_path, "train", max_corrupt=0.3)
    flip(latents_path(tmp_path, 0), 600)
    assert songs.read_or_skip(0, songs.__getitem__) is None and songs.read_or_skip(0, songs.__getitem__) is None
    assert songs.read_or_skip(1, songs.__getitem__).name == "000001"
    assert songs.read_or_skip(0, songs.labels) == songs.labels(0)
    assert list(songs.corrupt) == [0] and capsys.readouterr().err.count("skipping corrupt track 000000") == 1
    latents_path(tmp_path, 1).write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 4 tracks corrupt \(000000, 000002\), max_corrupt allows 1.2"):
        songs.read_or_skip(2, songs.__getitem__)
    flip(tmp_path / DATASET_INDEX, 200)
    with pytest.raises(ValueError, match="catalogue: not the bytes that were written"):
        PreparedDataset(tmp_path, "train")


def test_a_shard_of_another_run_is_distinguished_from_the_right_one(folder: Path, write_prepared, tmp_path: Path):
    section = Section("verse", (Bar(("Am",)),))
    plans = [Plan((section,), (Tempo(1, 120.0),))] * 2
    for name in ("a", "b"):
        write_prepared(tmp_path / name, plans, shapes=(4, 2, 8, 8 if name == "a" else 4))
    for path in (latents_path, codes_path):
        songs = PreparedDataset(tmp_path / "a", "train")
        there, other = path(tmp_path / "a", 0), path(tmp_path / "b", 0)
        kept = {file: file.read_bytes() for file in (there, there.with_suffix(".index"))}
        other.rename(there)
        other.with_suffix(".index").rename(there.with_suffix(".index"))
        with pytest.raises(shards.CorruptShardError, match="written after the dataset index"):
            songs[0]
        for file, data in kept.items():
            file.write_bytes(data)
    assert PreparedDataset(tmp_path / "a", "train")[0].name == "000000"


def rewrite_metadata(folder: Path, **changes: object) -> None:
    """Gives the first shard and the dataset index other metadata, as another version would; None takes a key out."""

    def changed(old: dict) -> dict:
        return {key: value for key, value in (old | changes).items() if changes.get(key, 0) is not None}

    path = latents_path(folder, 0).with_suffix(".index")
    head, rest = shards.read_checksummed(path)[1].split(b"\n", 1)
    head = json.dumps({"facts": changed(json.loads(head)["facts"])}).encode()
    shards.write_checksummed(path, head + b"\n" + rest)
    path = folder / DATASET_INDEX
    index = changed(json.loads(shards.read_checksummed(path)[1]))
    index["shards"][0]["latents"] = Shard(latents_path(folder, 0)).digest
    shards.write_checksummed(path, json.dumps(index).encode())


def test_other_roles_or_features_are_refused_and_old_folders_still_read(settings, tracks, tmp_path: Path):
    prepare.write_latents(tracks[:2], tmp_path, settings, HOURS)
    rewrite_metadata(tmp_path, plan_version="0123456789ab")
    with pytest.raises(ValueError, match=rf"catalogue: plan_version 0123456789ab is not {PLAN_VERSION}, the one known"):
        PreparedDataset(tmp_path, "train")
    rewrite_metadata(tmp_path, plan_version=None, features=N_FEATURES + 1)
    with pytest.raises(ValueError, match=f"features {N_FEATURES + 1} is not {N_FEATURES}, the one known"):
        PreparedDataset(tmp_path, "train")
    rewrite_metadata(tmp_path, features=N_FEATURES)  # as before there were versions
    assert PreparedDataset(tmp_path, "train")[0].name == "000000"
    before = contents(tmp_path)
    prepare.write_latents(tracks[:2], tmp_path, settings, HOURS)
    assert all(contents(tmp_path)[name] == data for name, data in before.items() if name != DATASET_INDEX)
    rewrite_metadata(tmp_path, plan_version="0123456789ab")
    prepare.write_latents(tracks[:2], tmp_path, settings, HOURS)  # writes the shard again
    assert PreparedDataset(tmp_path, "train").index["plan_version"] == PLAN_VERSION


def test_what_cannot_be_prepared_is_named(settings: PrepareConfig, tracks: list[LabeledAudio], tmp_path: Path):
    with pytest.raises(ValueError, match="no tracks to prepare"):
        prepare.write_latents([], tmp_path, settings)
    with pytest.raises(ValueError, match="2 tracks have the name 000001"):
        prepare.write_latents([tracks[1], tracks[0], tracks[1]], tmp_path, settings)
    with pytest.raises(ValueError, match="split 'valid' is not one of"):
        replace(tracks[0].labels, split="valid")
    longer = replace(tracks[0], labels=replace(tracks[0].labels, plan=tracks[4].labels.plan))
    with pytest.raises(ValueError, match=r"000000.flac: \(88200, 2\) at 44100 Hz does not fit its plan: \(70000, 2\)"):
        prepare.write_latents([longer], tmp_path, settings)
    assert not list(tmp_path.glob("*.index"))


def test_shards_hold_as_many_hours_as_they_may(tracks: list[LabeledAudio]):
    chunks = prepare.split_hours(tracks, HOURS)
    assert [[track.labels.name for track in chunk] for chunk in chunks] == [
        ["000000", "000001"],
        ["000002", "000003"],
        ["my-own_track"],
    ]
    assert [len(chunk) for chunk in prepare.split_hours(tracks, 1e-9)] == [1] * 5  # never an empty one


def test_loudness_of_a_full_scale_square_is_20_db_over_its_zero():
    samples = np.sign(np.sin(np.arange(20_000)))[None].repeat(2, axis=0).astype(np.float32)
    level = prepare.loudness(samples, TimeBase())
    assert level.shape == (3,) and level[0] == pytest.approx(2.0, abs=1e-3)
    assert prepare.loudness(np.zeros((2, 10), dtype=np.float32), TimeBase()).tolist() == pytest.approx([-4.0])
