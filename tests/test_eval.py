"""The evaluation asks for songs that it composes itself, goes on where it stopped, and says what passes."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen.data.composer import GENRES, compose
from hybridgen.data.composer.genres import style_named
from hybridgen.metrics import harmony, hearing, profiles, rhythm
from hybridgen.metrics.embedding import FIT
from hybridgen.pipeline import Pipeline
from hybridgen.plan import SAMPLE_RATE, Bar, Plan, Section, Tempo
from train import estimators, figures, report
from train import eval as evaluation
from train.eval import Item, Job, Question, Size

CAPTION = "A calm 8-bit tune in C major at 120 BPM"
SMALL = Size(((8, 3), (20, 1)), references=4, pictures=1, speed_seconds=2.0, speed_runs=1)


def play(plan: Plan) -> np.ndarray:
    """Sines of the plan's chords, struck on every beat."""
    samples = np.zeros(plan.length)
    for start, stop, name in harmony.chord_spans(plan):
        t = np.arange(round(stop * SAMPLE_RATE) - round(start * SAMPLE_RATE)) / SAMPLE_RATE
        pitches = harmony.chord_pitches(name)
        struck = np.exp(-4 * (t % 0.5))
        tones = [np.sin(2 * np.pi * 440 * 2 ** ((p - 9) / 12) * t) for p in (*pitches, pitches[0] - 24)]
        samples[round(start * SAMPLE_RATE) :][: len(t)] = 0.1 * struck * sum(tones)
    return np.tile(samples.astype(np.float32), (2, 1))


def question(seed: int = 0, seconds: int = 8, genre: str = "8-bit") -> Question:
    bars = tuple(Bar((name,)) for name in ("C", "F", "G", "C"))
    plan = Plan((Section("verse", bars, 3, ("keys",)),), (Tempo(1, 120.0),), key="C major", instruments=(("keys", 0),))
    return Question(CAPTION, 120.0, "C major", genre, seconds, seed, plan, Path("song.flac"))


# ---- what is asked


def test_songs_are_as_long_as_asked_and_their_prompts_say_tempo_key_and_genre(tmp_path):
    found = evaluation.choose(30, 12, tmp_path, part=0)
    assert len(found) == len({q.genre for q in found}) == 12
    for q in found:
        assert 29.5 <= q.plan.seconds <= 30.0 and 60 <= q.plan.tempo[0].bpm <= 180
        assert q.plan.tempo == (Tempo(1, q.tempo),) and q.plan.key == q.key
        assert any(name.lower() in q.prompt.lower() for name in style_named(q.genre).words), q.prompt
        assert q.plan == compose(evaluation.SEED, q.seed, (30, 30)).plan
        assert q.audio == tmp_path / "30" / "songs" / f"{q.seed:06d}.flac"
    assert not {q.seed for q in found} & {q.seed for q in evaluation.choose(30, 12, tmp_path, part=1)}


def test_a_song_that_changes_its_tempo_is_not_asked_for(tmp_path):
    index = evaluation.choose(30, 1, tmp_path, part=0)[0].seed
    song = compose(evaluation.SEED, index, (30, 30))
    assert evaluation.ask(song, 30, tmp_path) is not None
    assert evaluation.ask(song, 31, tmp_path) is None  # too short
    slower = replace(song.plan, tempo=(*song.plan.tempo, Tempo(2, song.plan.tempo[0].bpm - 1)))
    assert evaluation.ask(replace(song, plan=slower), 30, tmp_path) is None


def test_every_track_is_held_against_another_questions_plan(tmp_path):
    questions = [question(seed=7, seconds=20), *(question(seed) for seed in range(3))]
    items = evaluation.plan_work(questions, [question(9)], SMALL, tmp_path)
    tracks = [item for item in items if item.kind == "model" and item.other is not None]
    assert sorted(item.other.seed for item in tracks) == sorted(item.question.seed for item in tracks) == [0, 1, 2]
    assert all(item.other.seed != item.question.seed for item in tracks)
    assert [item.picture for item in tracks] == [tmp_path / "1.png", None, None]
    assert items[0].question.seconds == 20 and items[0].other is None and items[-1].kind == "reference"
    assert len({item.name for item in items}) == len(items)


def test_quick_is_minutes():
    music = sum(seconds * count for seconds, count in evaluation.QUICK.prompts)
    songs = music + 30 * evaluation.QUICK.references
    assert 0.4 * music + 0.06 * songs < 2 * 8 * 60  # CPU seconds a second of music, on two cores


# ---- the items


@pytest.fixture
def job(pipe: Pipeline, tmp_path, monkeypatch) -> Job:
    monkeypatch.setattr(evaluation, "load", lambda model, device: pipe)
    monkeypatch.setattr(evaluation, "play", lambda question: play(question.plan))
    (tmp_path / "items").mkdir()
    return Job(Path("model"), "cpu", None, tmp_path / "items")


def test_items_hear_songs_and_tracks_alike(job):
    items = [
        Item("song", question(1), question(2)),
        Item("model", question(1), question(2)),
        Item("reference", question(3)),
    ]
    found = {}
    for item in items:
        evaluation.work(job, item)
        found[item.kind] = json.loads((job.items / f"{item.name}.json").read_text())
    real, generated = found["song"]["hearings"]["real"], found["model"]["hearings"]["generated"]
    assert real["key_rank"] == 1 and real["chord_agreement"] == 1.0 and rhythm.tempo_correct(real["tempo_found"], 120.0)
    assert real.keys() == generated.keys() == set(hearing.Hearing.__dataclass_fields__)
    seen = {**found["song"]["seen"], **found["model"]["seen"]}
    assert seen.keys() == set(figures.RUNGS)
    assert {len(row) for row in seen.values()} == {len(found["reference"]["seen"])}
    assert seen["real"] == found["reference"]["seen"]  # the same song
    assert seen["generated"] != seen["shuffled"] != seen["none"]


def test_a_run_goes_on_where_it_stopped(job, tmp_path):
    item = Item("reference", question(3))
    evaluation.work(job, item)
    assert evaluation.is_done(item, job) and not evaluation.is_done(Item("reference", question(4)), job)
    assert not evaluation.is_done(replace(item, picture=tmp_path / "1.png"), job)
    path = job.items / f"{item.name}.json"
    path.write_text("kept")
    evaluation.run([item], job)
    assert path.read_text() == "kept"


def test_items_of_other_weights_or_sampling_lie_elsewhere(pipe: Pipeline):
    here = evaluation.signature(pipe, None)
    assert here == evaluation.signature(pipe, None) != evaluation.signature(pipe, Path("clap"))
    other = pipe.with_sampling(replace(pipe.config.sampling, num_steps=3))
    assert here != evaluation.signature(other, None)


def test_untold_is_untold_at_all_times(pipe: Pipeline):
    guided = replace(pipe.config.sampling, guidance_scale=3.0, guidance_interval=(0.2, 0.8))
    untold = evaluation.untold_sampling(guided)
    assert untold.guidance_scale == 0.0 and untold.guidance_interval == (0.0, 1.0)
    assert untold.num_steps == guided.num_steps


def test_a_click_is_found_at_its_border_only():
    rng = np.random.default_rng(0)
    borders = np.arange(1, 8) * 4096
    samples = np.cumsum(rng.standard_normal((2, 40_000)), axis=1) * 0.01
    clean = hearing.clicks(samples, borders)
    assert 0.8 < clean.local < 1.2 and 0.8 < clean.rms < 1.2 and 0.6 < clean.peak < 1.4
    samples += (np.arange(40_000)[:, None] >= borders).sum(axis=1)  # a step at every border
    found, beside = hearing.clicks(samples, borders), hearing.clicks(samples, borders + 2048)
    assert min(found.local, found.rms, found.peak) > 5.0 and max(beside.local, beside.rms) < 1.2
    assert np.isnan(hearing.clicks(samples, np.array([], dtype=int)).rms)
    assert np.isnan(hearing.clicks(np.zeros((2, 40_000)), borders).local)


# ---- the report


def heard(good: bool, genre: str) -> dict:
    return dict(
        tempo_asked=120.0,
        tempo_found=120.5 if good else 60.0,
        beat_ms=5.0 if good else None,
        beat_hits=1.0,
        drift_percent=0.1,
        key_asked="C major",
        key_found="C major",
        key_rank=1 if good else 3,
        chord_agreement=0.9 if good else 0.3,
        structure_auc=None,
        genre_asked=genre,
        genre_found=genre if good else "metal",
        roles_asked=["bass", "drums"],
        roles_found=["bass", "drums"] if good else ["keys"],
        lufs=-14.0,
        above_12k_db=-25.0 if good else -28.0,
        stereo_width=0.2,
    )


def found_items(good: bool) -> list[tuple[str, Question, dict]]:
    """Items of 12 questions and 24 references in which each rung lies a step further from the reference."""
    rng = np.random.default_rng(0)
    found = [("reference", question(100 + i), {"seen": rng.standard_normal(FIT.stop).tolist()}) for i in range(24)]
    away = {row: 0.5 * step + rng.standard_normal((12, FIT.stop)) for step, row in enumerate(figures.RUNGS)}
    borders = {name: {"local": 1.0, "rms": 1.0, "peak": 1.0} for name in ("block", "frame", "window")}
    likeness = {"log_mel_db": 4.0, "stft_convergence": 0.5, "stft_log_magnitude": 0.3}
    for i, genre in zip(range(12), itertools.cycle(GENRES[:4])):
        q = question(i, genre=genre)
        songs = {row: away[row][i].tolist() for row in ("real", "codec", "oracle", "noise")}
        tracks = {row: away[row][i].tolist() for row in ("generated", "shuffled", "none")}
        facts = {"hearings": {row: heard(row == "real", genre) for row in ("real", "codec")}, "seen": songs}
        facts |= {"likeness": {"codec": likeness, "μ": likeness}, "clicks": {"real": borders, "codec": borders}}
        found.append(("song", q, facts))
        facts = {"plan": {}, "hearings": {"generated": heard(good, genre)}, "seen": tracks}
        found.append(("model", q, {**facts, "clicks": {"generated": borders}}))
    return found


@pytest.fixture(scope="module")
def assembled() -> dict:
    return figures.assemble(found_items(good=True))


def whole(assembled: dict) -> dict:
    speed = {"track_seconds": 120.0, "seconds": 12.0, "times_real_time": 10.0, "threads": 2, "runs": 1}
    facts = {"model": "a", "weights": {"codec.safetensors": "0f"}, "weights_mb": 39.0, "versions": {"torch": "2"}}
    size = {"prompts": [[8, 12]], "references": 24, "pictures": 1}
    return {**facts, "size": size, "songs_seed": 1, **assembled, "speed": speed}


def test_the_ladder_is_climbed_in_order(assembled):
    steps = [assembled["ladder"][row] for row in figures.RUNGS]
    distances = [step["kernel_distance"] for step in steps]
    assert distances == sorted(distances) and assembled["ladder_ordered"]
    assert all(step["kernel_low"] <= step["kernel_distance"] <= step["kernel_high"] for step in steps)
    assert all((step["n"], step["d"]) == (12, 24 // figures.SONGS_EACH) for step in steps)
    assert abs(distances[0]) < assembled["ladder_floor"]["kernel_high"] < distances[-1]
    kernel = {row: assembled["ladder"][row]["kernel_distance"] for row in figures.RUNGS}
    nearer = kernel["generated"] - kernel["codec"] < kernel["shuffled"] - kernel["generated"]
    assert assembled["generated_nearer_to_codec_than_shuffled"] == nearer


def test_every_figure_stands_beside_its_floor(assembled):
    tempo = assembled["control"]["tempo_acc1"]
    assert tempo["value"] == tempo["floor"] == 1.0 and tempo["codec"] == 0.0 and tempo["n"] == 12
    assert tempo["by_length"]["8"]["value"] == 1.0 and tempo["by_genre"][GENRES[0]]["n"] == 3
    assert assembled["control"]["genre"]["chance"] == 0.0 and assembled["control"]["roles"]["chance"] == 1.0
    assert set(assembled["control"]) == set(figures.CONTROL)
    assert assembled["codec"]["codec"]["above_12k_db"] == -3.0 == -assembled["codec"]["codec"]["above_12k_off_db"]
    assert assembled["prompt_agreement"] is None


def test_what_is_good_passes_and_what_is_not_measured_does_not(assembled):
    good = {row["name"]: row["holds"] for row in figures.checks(whole(assembled))}
    assert [name for name, fine in good.items() if not fine and "nearer" not in name] == ["structure_auc"]  # is NaN
    bad = {row["name"]: row["holds"] for row in figures.checks(whole(figures.assemble(found_items(good=False))))}
    for name in ("tempo_acc1", "key_rank1", "chord_majmin", "genre", "roles"):
        assert good[next(n for n in good if n.startswith(name))] and not bad[next(n for n in bad if n.startswith(name))]
    assert not bad["beat_ms"] and bad["weights, MB"]


def test_the_report_is_json_and_a_page(assembled, tmp_path):
    text = report.write(whole(assembled), tmp_path)
    facts = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert facts["checks"] and facts["control"]["structure_auc"]["value"] is None
    assert {"ladder", "control", "codec", "clicks", "speed", "tracks", "weights", "versions"} <= set(facts)
    page = (tmp_path / "report.md").read_text()
    assert "| tempo_acc1, 0.95 of the floor | 1 | >= 0.95 | yes |" in page and "ladder.png" in page
    assert text in page or all(line in page for line in text.splitlines())
    assert (tmp_path / "ladder.png").stat().st_size < 150_000


def test_two_sounds_make_one_small_picture(tmp_path):
    plan = question().plan
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 30 * SAMPLE_RATE)).astype(np.float32)
    report.draw_pair((noise, replace(plan, n_samples=noise.shape[1])), (play(plan), plan), tmp_path / "1.png")
    assert 5_000 < (tmp_path / "1.png").stat().st_size <= 150_000


# ---- the command


@pytest.mark.parametrize("wrong", ["model", "out", "synth"])
def test_bad_input_is_one_line(wrong: str, tmp_path, monkeypatch, capsys):
    def missing() -> None:
        raise ValueError("no General MIDI soundfont is installed: apt-get install fluid-soundfont-gm")

    monkeypatch.setattr(evaluation, "Synth", missing)
    model, out = tmp_path / "model", tmp_path / "report"
    if wrong != "model":
        model.mkdir()
    if wrong == "out":
        out.write_text("a file")
    with pytest.raises(SystemExit) as stopped:
        evaluation.main([str(model), "--out", str(out), "--quick"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith("eval: ") and said.count("\n") == 1
    assert {"model": str(model), "out": str(out), "synth": "apt-get"}[wrong] in said


# ---- the estimators' own fit


def test_a_fit_finds_the_candidate_that_is_always_right():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 10, 3)).astype(np.float32)
    best = (features @ np.array([1.0, -2.0, 0.5])).argmax(axis=1)
    weights = estimators.fit(features, best[:, None] == np.arange(10))
    assert ((features @ weights).argmax(axis=1) == best).mean() > 0.95


def test_fitted_weights_are_used_as_they_were_fitted():
    rng = np.random.default_rng(0)
    chromas, weights = rng.random((4, 12)), rng.standard_normal(2 * 4 * 12 + 1)
    profile, minor_bias = estimators.unfold(weights)
    np.testing.assert_allclose(
        harmony.match(chromas[None], profile, minor_bias)[0], estimators.fold(chromas) @ weights, rtol=1e-5
    )


def test_profiles_survive_saving_and_fit_their_features(tmp_path):
    shipped = profiles.profiles()
    profiles.save(shipped, tmp_path / "profiles.json")
    assert (tmp_path / "profiles.json").read_text() == profiles.PATH.read_text()
    features = rhythm.pulse_features(
        np.random.default_rng(0).random((4, 900)), np.random.default_rng(1).random((1, 225))
    )
    assert features.shape == (len(rhythm.PULSES), len(shipped.pulse))
