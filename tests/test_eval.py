"""The evaluation composes its own songs, resumes where it stopped, and says which checks pass."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")

from hybridgen import cli, evaluation
from hybridgen.data import synth
from hybridgen.data.composer import GENRES, compose
from hybridgen.data.composer.genres import style_named
from hybridgen.evaluation import notes, pictures, prompts, report, results, run, summary, tasks
from hybridgen.evaluation.checks import checks
from hybridgen.evaluation.prompts import EvalPrompt, EvalSize
from hybridgen.evaluation.results import TaskResult
from hybridgen.evaluation.tasks import EvalContext, EvalTask
from hybridgen.metrics import harmony, profiles, rhythm, scores
from hybridgen.metrics.clicks import measure_clicks
from hybridgen.metrics.embedding import FIT
from hybridgen.metrics.measurements import TrackMeasurements
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from tests.conftest import SAMPLE_RATE
from tools import estimators

CAPTION = "A calm 8-bit tune in C major at 120 BPM"
SECONDS = 8
SONG = compose(prompts.SEED, 0, (SECONDS, SECONDS)).plan
SMALL = EvalSize(((8, 3), (20, 1)), n_references=4, n_pictures=1, speed_seconds=2.0, speed_runs=1)


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


def prompt(seed: int = 0, seconds: int = 8, genre: str = "8-bit") -> EvalPrompt:
    bars = tuple(Bar((name,)) for name in ("C", "F", "G", "C"))
    plan = Plan((Section("verse", bars, 3, ("keys",)),), (Tempo(1, 120.0),), key="C major", instruments=(("keys", 0),))
    return EvalPrompt(CAPTION, 120.0, "C major", genre, seconds, seed, plan, Path("song.flac"))


# ---- prompts


def test_songs_are_as_long_as_their_prompts_which_state_tempo_key_and_genre(tmp_path):
    found = prompts.select(30, 12, tmp_path, part=0)
    assert len(found) == len({q.genre for q in found}) == 12
    for q in found:
        assert 29.5 <= q.plan.seconds <= 30.0 and 60 <= q.plan.tempo[0].bpm <= 180
        assert q.plan.tempo == (Tempo(1, q.tempo),) and q.plan.key == q.key
        assert any(name.lower() in q.text.lower() for name in style_named(q.genre).words), q.text
        assert q.plan == compose(prompts.SEED, q.seed, (30, 30)).plan
        assert q.audio == tmp_path / "30" / "songs" / f"{q.seed:06d}.flac"
    assert not {q.seed for q in found} & {q.seed for q in prompts.select(30, 12, tmp_path, part=1)}


def test_a_song_that_changes_its_tempo_is_not_selected(tmp_path):
    index = prompts.select(30, 1, tmp_path, part=0)[0].seed
    song = compose(prompts.SEED, index, (30, 30))
    assert prompts.make_prompt(song, 30, tmp_path) is not None
    assert prompts.make_prompt(song, 31, tmp_path) is None  # too short
    slower = replace(song.plan, tempo=(*song.plan.tempo, Tempo(2, song.plan.tempo[0].bpm - 1)))
    assert prompts.make_prompt(replace(song, plan=slower), 30, tmp_path) is None


def test_every_track_is_compared_with_another_prompts_plan(tmp_path):
    selected = [prompt(seed=7, seconds=20), *(prompt(seed) for seed in range(3))]
    planned = tasks.plan_tasks(selected, [prompt(9)], SMALL, tmp_path)
    tracks = [task for task in planned if task.kind == "track" and task.other is not None]
    assert sorted(task.other.seed for task in tracks) == sorted(task.prompt.seed for task in tracks) == [0, 1, 2]
    assert all(task.other.seed != task.prompt.seed for task in tracks)
    assert [task.picture for task in tracks] == [tmp_path / "1.png", None, None]
    assert planned[0].prompt.seconds == 20 and planned[0].other is None and planned[-1].kind == "reference"
    assert len({task.name for task in planned}) == len(planned)


def test_quick_is_minutes():
    music = sum(seconds * count for seconds, count in prompts.QUICK.prompts)
    ladder = 30 * 20  # seconds of music of which roles are rendered alone, 9 renders and 17 times listened to in all
    songs = music + 30 * prompts.QUICK.n_references
    assert prompts.QUICK.prompts[0] == (30, 20)
    assert 0.4 * music + 0.75 * ladder + 0.06 * songs < 2 * 8 * 60  # CPU seconds a second of music, on two cores


# ---- tasks


@pytest.fixture
def context(pipe: Pipeline, tmp_path, monkeypatch) -> EvalContext:
    monkeypatch.setattr(tasks, "load_pipeline", lambda context: pipe)
    monkeypatch.setattr(tasks, "load_song", lambda prompt: play(prompt.plan))
    (tmp_path / "results").mkdir()
    return EvalContext(Path("model"), "cpu", None, tmp_path / "results")


def test_songs_and_tracks_are_measured_alike(context):
    planned = [
        EvalTask("song", prompt(1), prompt(2)),
        EvalTask("track", prompt(1), prompt(2)),
        EvalTask("reference", prompt(3)),
    ]
    found = {}
    for task in planned:
        tasks.run_task(context, task)
        found[task.kind] = results.load(context.path(task), task.kind, task.prompt).values
    real, generated = found["song"]["measurements"]["real"], found["track"]["measurements"]["generated"]
    assert real["key_rank"] == 1 and real["chord_majmin"] == 1.0 and real["beat_f_measure"] > 0.9
    assert scores.tempo_correct(real["tempo_detected"], 120.0)
    assert real.keys() == generated.keys() == set(TrackMeasurements.__dataclass_fields__)
    embeddings = {**found["song"]["embeddings"], **found["track"]["embeddings"]}
    assert embeddings.keys() == set(summary.RUNGS) - {"without codes"}  # this renderer takes no notes
    assert {len(row) for row in embeddings.values()} == {len(found["reference"]["embedding"])}
    assert embeddings["real"] == found["reference"]["embedding"]  # the same song
    assert embeddings["generated"] != embeddings["shuffled"] != embeddings["none"]
    song, track = found["song"], found["track"]
    assert song["chroma"].keys() == song["log_mel_db"].keys() == {"codec", "oracle"}
    assert "notes" not in {*song, *track}
    assert (song["repetition"], track["repetition"]) == ({"real": None}, {"generated": None})  # no notes are known


def test_of_a_model_with_notes_each_role_is_listened_to(note_pipe: Pipeline, context, monkeypatch):
    monkeypatch.setattr(tasks, "load_pipeline", lambda context: note_pipe)
    monkeypatch.setattr(notes, "played", lambda prompt: {"bass": play(prompt.plan)})
    one = replace(prompt(1), plan=SONG)
    song = tasks.measure_song(context, EvalTask("song", one, prompt(2)))
    track = tasks.measure_track(context, EvalTask("track", one, prompt(2)))
    roles = {part.role for part in SONG.notes}
    assert {row: set(heard) for row, heard in song["notes"]["mix"].items()} == dict.fromkeys(
        ("real", "codec", "oracle", "without codes"), roles
    )
    alone = song["notes"]["alone"]
    assert alone.keys() == {"real", "codec", "oracle"} and alone["real"].keys() == alone["codec"].keys() == {"bass"}
    assert alone["oracle"].keys() == roles & set(notes.ALONE)
    assert song["notes"]["contour"].keys() == {"oracle"}  # of the lead, which was not played
    assert track["notes"]["mix"].keys() == track["notes"]["alone"].keys() == {"generated"}
    planned = {part.role for part in Plan.from_dict(track["plan"]).notes if any(part.bars)}
    assert track["notes"]["mix"]["generated"].keys() == planned


def test_a_whole_plan_sounds_as_it_is_rendered(pipe: Pipeline):
    track = pipe.render(prompt().plan, seed=1)
    again = notes.sound(pipe, track.plan, 1, track.manifest.gain_db)
    np.testing.assert_allclose(again, track.samples, atol=1e-4)


def test_without_codes_the_codes_make_no_difference(pipe: Pipeline):
    plan = pipe.render(prompt().plan, seed=1).plan
    bare = notes.without_codes(pipe, plan)
    other = replace(plan, codes=tuple(row[::-1] for row in plan.codes))
    assert {code for row in bare.codes for code in row} == {-1} and notes.without_codes(pipe, other) == bare
    assert np.shape(bare.codes) == np.shape(plan.codes)
    assert not np.allclose(notes.sound(pipe, bare, 1), notes.sound(pipe, plan, 1), atol=1e-2)


def test_roles_are_rendered_alone_with_the_gain_that_is_given(note_pipe: Pipeline):
    plan = replace(SONG.on(note_pipe.time_base), prompt=CAPTION)
    loud, soft = (notes.rendered(note_pipe, plan, 1, gain_db) for gain_db in (-34.0, -40.0))  # not limited
    assert loud.keys() == {part.role for part in SONG.notes} & set(notes.ALONE) and len(loud) > 2
    assert all(sound.shape == (2, SONG.length) for sound in loud.values())
    for role, sound in loud.items():
        np.testing.assert_allclose(sound, soft[role] * 10 ** (6 / 20), atol=1e-4)
        assert not any(np.allclose(sound, loud[other], atol=1e-4) for other in loud if other != role)
    with_codes = replace(plan, codes=((1,) * plan.n_code_frames,) * note_pipe.config.quantizer.n_codebooks)
    again = notes.rendered(note_pipe, with_codes, 1, -34.0)  # codes say what the mix is
    assert all(np.array_equal(again[role], sound) for role, sound in loud.items())


def test_roles_of_a_song_are_played_alone_and_softer_than_together():
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    if not any(soundfont.path.is_file() for soundfont in synth.SOUNDFONTS):
        pytest.skip("no soundfont is installed")
    alone = notes.played(replace(prompt(0, SECONDS), plan=SONG))
    together, _ = synth.mix(synth.Synth().play(compose(prompts.SEED, 0, (SECONDS, SECONDS))))
    assert alone.keys() == {role for role, _ in SONG.instruments} & set(notes.ALONE)
    for sound in alone.values():
        assert sound.shape == together.samples.shape and sound.any()
        assert np.square(sound).mean() < np.square(together.samples).mean()


def test_a_run_goes_on_where_it_stopped(context, tmp_path):
    task = EvalTask("reference", prompt(3))
    tasks.run_task(context, task)
    assert tasks.is_done(task, context) and not tasks.is_done(EvalTask("reference", prompt(4)), context)
    assert not tasks.is_done(replace(task, picture=tmp_path / "1.png"), context)
    context.path(task).write_text("kept")
    tasks.run_all([task], context, workers=1)
    assert context.path(task).read_text() == "kept"


def test_results_of_other_weights_or_sampling_lie_elsewhere(pipe: Pipeline):
    here = tasks.signature(pipe, None)
    assert here == tasks.signature(pipe, None) != tasks.signature(pipe, Path("clap"))
    other = pipe.with_sampling(replace(pipe.config.sampling, num_steps=3))
    assert here != tasks.signature(other, None)


def test_without_conditioning_nothing_of_the_plan_is_rendered(pipe: Pipeline):
    blind = pipe.with_sampling(tasks.unconditional(replace(pipe.config.sampling, guides_played=True)))
    one = prompt().plan
    bars = tuple(Bar((name,)) for name in ("Dm", "Dm", "Bb", "A"))
    other = replace(one, sections=(Section("chorus", bars, 6, ("bass",)),), key="D minor", instruments=(("bass", 33),))
    first, second = (blind.render(plan, seed=1).samples for plan in (one, other))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(pipe.render(one, seed=1).samples, pipe.render(other, seed=1).samples)


def test_a_click_is_found_at_its_border_only():
    rng = np.random.default_rng(0)
    borders = np.arange(1, 8) * 4096
    samples = np.cumsum(rng.standard_normal((2, 40_000)), axis=1) * 0.01
    clean = measure_clicks(samples, borders)
    assert 0.8 < clean.local < 1.2 and 0.8 < clean.rms < 1.2 and 0.6 < clean.peak < 1.4
    samples += (np.arange(40_000)[:, None] >= borders).sum(axis=1)  # a step at every border
    found, beside = measure_clicks(samples, borders), measure_clicks(samples, borders + 2048)
    assert min(found.local, found.rms, found.peak) > 5.0 and max(beside.local, beside.rms) < 1.2
    assert np.isnan(measure_clicks(samples, np.array([], dtype=int)).rms)
    assert np.isnan(measure_clicks(np.zeros((2, 40_000)), borders).local)


# ---- the report


def measured(good: bool, genre: str) -> dict:
    return dict(
        tempo_target=120.0,
        tempo_detected=120.5 if good else 60.0,
        beat_ms=5.0 if good else None,
        beat_f_measure=0.9,
        drift_percent=0.1,
        key_target="C major",
        key_detected="C major",
        key_rank=1 if good else 3,
        chord_majmin=0.9 if good else 0.3,
        structure_auc=None,
        genre_target=genre,
        genre_detected=genre if good else "metal",
        roles_target=["bass", "drums"],
        roles_detected=["bass", "drums"] if good else ["keys"],
        lufs=-14.0,
        above_12k_db=-25.0 if good else -28.0,
        stereo_width=0.2,
    )


def mix_of(width: float, attack_ms: float | None = 10.0) -> dict:
    """The figures of `mix.Mix`, as JSON holds them."""
    figures = {name: 1.0 for name in summary.MIX} | {"width": width, "attack_ms": attack_ms}
    return {**figures, "octaves_db": [-6.0] * 9 + [None]}


def all_results(good: bool) -> list[TaskResult]:
    """Results of 12 prompts and 24 references in which each rung is a step further from the reference, but those of
    the same codec, which are as far as each other."""
    rng = np.random.default_rng(0)
    found = [
        TaskResult("reference", prompt(100 + i), {"embedding": rng.standard_normal(FIT.stop).tolist()})
        for i in range(24)
    ]
    far = {row: step for step, row in enumerate(summary.RUNGS)} | dict.fromkeys(summary.SAME_CODEC, 1 if good else 4)
    away = {row: far[row] + rng.standard_normal((12, FIT.stop)) for row in summary.RUNGS}
    borders = {name: {"local": 1.0, "rms": 1.0, "peak": 1.0} for name in ("block", "frame", "window")}
    distortions = {"log_mel_db": 4.0, "stft_convergence": 0.5, "stft_log_magnitude": 0.3}
    for i, genre in zip(range(12), itertools.cycle(GENRES[:4])):
        q = prompt(i, genre=genre)
        songs = {row: away[row][i].tolist() for row in ("real", "codec", "oracle", "without codes", "noise")}
        tracks = {row: away[row][i].tolist() for row in ("generated", "shuffled", "none")}
        facts = {
            "measurements": {row: measured(row == "real", genre) for row in ("real", "codec")},
            "embeddings": songs,
            "mix": {"real": mix_of(0.1 + 0.01 * i), "codec": mix_of(0.1)},
        }
        facts |= {
            "distortions": {"codec": distortions, "μ": distortions},
            "clicks": {"real": borders, "codec": borders},
            "chroma": {"codec": 0.95, "oracle": 0.9 if good else 0.7, "without codes": 0.8},
            "log_mel_db": {"codec": 3.6, "oracle": 3.1 if good else 3.5, "without codes": 3.2},
            "repetition": {"real": None if i else 0.6},
            "notes": {
                "alone": {
                    "real": {"bass": 0.95, "lead": 0.85},
                    "codec": {"bass": 0.9, "lead": 0.8},
                    "oracle": {"bass": 0.88, "lead": 0.79 if good else 0.6},
                },
                "mix": {"real": {"bass": 0.7, "lead": None}},
                "contour": {"real": 0.9, "oracle": 0.85},
            },
        }
        found.append(TaskResult("song", q, facts))
        facts = {"plan": {}, "measurements": {"generated": measured(good, genre)}, "embeddings": tracks}
        facts["mix"] = {"generated": mix_of(0.15 if good else 0.3, attack_ms=None)}
        heard = {"repetition": {"generated": 0.5 if good else 0.4}, "notes": {"mix": {"generated": {"bass": 0.6}}}}
        found.append(TaskResult("track", q, {**facts, "clicks": {"generated": borders}, **heard}))
    return found


@pytest.fixture(scope="module")
def summarized() -> dict:
    return summary.summarize(all_results(good=True))


def whole(summarized: dict) -> dict:
    speed = {"track_seconds": 120.0, "seconds": 12.0, "times_real_time": 10.0, "threads": 2, "runs": 1}
    speed["planning_seconds"] = 3.0
    facts = {"model": "a", "weights": {"codec.safetensors": "0f"}, "weights_mb": 39.0, "versions": {"torch": "2"}}
    size = {"prompts": [[8, 12]], "n_references": 24, "n_pictures": 1}
    return {**facts, "size": size, "songs_seed": 1, **summarized, "speed": speed}


def test_the_ladder_is_climbed_in_order(summarized):
    steps = [summarized["ladder"][row] for row in summary.RUNGS]
    distances = [step["kernel_distance"] for step in steps]
    assert summarized["ladder_ordered"]
    apart = [step["kernel_distance"] for row, step in summarized["ladder"].items() if row not in summary.SAME_CODEC]
    assert apart == sorted(apart)
    assert all(step["kernel_low"] <= step["kernel_distance"] <= step["kernel_high"] for step in steps)
    assert all((step["n"], step["d"]) == (12, 24 // summary.SONGS_PER_COMPONENT) for step in steps)
    assert abs(distances[0]) < summarized["ladder_floor"]["kernel_high"] < distances[-1]
    kernel = {row: summarized["ladder"][row]["kernel_distance"] for row in summary.RUNGS}
    nearer = kernel["generated"] - kernel["codec"] < kernel["shuffled"] - kernel["generated"]
    assert summarized["generated_nearer_to_codec_than_shuffled"] == nearer


def test_rungs_of_the_same_codec_come_in_any_order_and_others_do_not():
    steps = dict(zip(summary.RUNGS, range(len(summary.RUNGS)), strict=True))
    assert summary.is_ordered(steps) and summary.is_ordered(steps | {"codec": 4, "generated": 1})
    for row, value in {"real": 1.5, "generated": 5.5, "shuffled": 2.5, "none": 8, "noise": 0}.items():
        assert not summary.is_ordered(steps | {row: value}), row
    assert summary.is_ordered({row: step for row, step in steps.items() if row != "without codes"})


def test_every_figure_stands_beside_its_floor(summarized):
    tempo = summarized["control"]["tempo_acc1"]
    assert tempo["value"] == tempo["floor"] == 1.0 and tempo["codec"] == 0.0 and tempo["n"] == 12
    assert tempo["by_length"]["8"]["value"] == 1.0 and tempo["by_genre"][GENRES[0]]["n"] == 3
    assert summarized["control"]["genre"]["chance"] == 0.0 and summarized["control"]["roles"]["chance"] == 1.0
    assert set(summarized["control"]) == set(summary.CONTROL)
    assert summarized["codec"]["codec"]["above_12k_db"] == -3.0 == -summarized["codec"]["codec"]["above_12k_off_db"]
    assert summarized["clap"] is None


def test_good_figures_pass_and_unmeasured_ones_do_not(summarized):
    good = {check.name: check.passed for check in checks(whole(summarized))}
    assert [name for name, fine in good.items() if not fine and "nearer" not in name] == ["structure_auc"]  # is NaN
    bad = {check.name: check.passed for check in checks(whole(summary.summarize(all_results(good=False))))}
    for name in ("tempo_acc1", "key_rank1", "chord_majmin", "genre", "roles"):
        assert good[next(n for n in good if n.startswith(name))] and not bad[next(n for n in bad if n.startswith(name))]
    assert not bad["beat_ms"] and bad["weights, MB"]
    of_notes = ("lead alone, 0.9 of the codec's", "lead alone, 0.9 of the floor", "repetition, 0.8 of the composer's")
    for name in ("true plans, chroma", "true plans, log-mel dB", *of_notes):
        assert good[name] and not bad[name], name
    for name in ("bass alone, 0.9 of the codec's", "bass alone, 0.9 of the floor"):
        assert good[name] and bad[name], name
    assert good["true plans as near as the codec"]
    steps = summarized["ladder"]
    far = steps | {"oracle": steps["oracle"] | {"kernel_distance": steps["codec"]["kernel_high"] + 1}}
    assert not {c.name: c.passed for c in checks(whole(summarized | {"ladder": far}))}[
        "true plans as near as the codec"
    ]


def test_notes_are_means_of_what_is_known(summarized):
    found = summarized["notes"]
    assert found["alone"]["lead"] == pytest.approx({"real": 0.85, "codec": 0.8, "oracle": 0.79})
    assert found["mix"]["bass"] == pytest.approx({"real": 0.7, "generated": 0.6})
    assert np.isnan(found["mix"]["lead"]["real"])
    assert found["whole"]["repetition"] == pytest.approx({"real": 0.6, "generated": 0.5})
    assert found["whole"]["contour"] == pytest.approx({"real": 0.9, "oracle": 0.85})


def test_a_model_without_notes_is_judged_without_them(summarized):
    without = summarized | {"notes": {"alone": {}, "mix": {}, "whole": {"chroma": {"oracle": 0.9}}}}
    names = [check.name for check in checks(whole(without))]
    assert "true plans, chroma" in names and not any("alone" in name or "repetition" in name for name in names)
    page = report.page(whole(without) | {"checks": []}, Path("report"))
    assert "chroma" in page and report.WITHOUT_NOTES in page


def test_notes_of_a_plan_that_has_none_do_not_pass(summarized):
    rows = {"alone": {"bass": {"codec": 0.9}}, "mix": {}, "whole": {"chroma": {}, "repetition": {"real": 0.6}}}
    failed = {check.name for check in checks(whole(summarized | {"notes": rows})) if not check.passed}
    assert {"bass alone, 0.9 of the codec's", "true plans, chroma", "repetition, 0.8 of the composer's"} <= failed


def test_the_mix_of_tracks_lies_inside_that_of_songs_or_not(summarized):
    width = summarized["mix"]["width"]
    assert width["real"] == pytest.approx({"low": 0.1275, "median": 0.155, "high": 0.1825})
    assert width["generated"]["median"] == 0.15 and "generated" not in summarized["mix"]["attack_ms"]
    assert "octave of 8000 Hz, dB" in summarized["mix"] and "octave of 16000 Hz, dB" not in summarized["mix"]
    for good, inside in ((True, "yes"), (False, "**no**")):
        rows = report.mix_table(whole(summary.summarize(all_results(good))))
        row = next(row for row in rows if row.startswith("| stereo width"))
        assert row.endswith(f"| {inside} |") and "0.155 (0.128 to 0.182)" in row


def test_the_report_is_json_and_a_page(summarized, tmp_path):
    text = report.write(whole(summarized), tmp_path)
    facts = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert facts["checks"] and facts["control"]["structure_auc"]["value"] is None
    assert {"ladder", "control", "codec", "clicks", "speed", "tracks", "weights", "versions"} <= set(facts)
    page = (tmp_path / "report.md").read_text()
    assert "| tempo_acc1, 0.95 of the floor | 1 | >= 0.95 | yes |" in page and "ladder.png" in page
    assert text in page or all(line in page for line in text.splitlines())
    assert (tmp_path / "ladder.png").stat().st_size < 150_000


def test_two_sounds_make_one_small_picture(tmp_path):
    plan = prompt().plan
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 30 * SAMPLE_RATE)).astype(np.float32)
    pictures.draw_pair((noise, replace(plan, n_samples=noise.shape[1])), (play(plan), plan), tmp_path / "1.png")
    assert 5_000 < (tmp_path / "1.png").stat().st_size <= 150_000


# ---- the command


@pytest.mark.parametrize("wrong", ["model", "out", "synth", "librosa"])
def test_bad_input_is_one_line(wrong: str, pipe: Pipeline, tmp_path, monkeypatch, capsys):
    def missing() -> None:
        raise ValueError("no General MIDI soundfont is installed: apt-get install fluid-soundfont-gm")

    monkeypatch.setattr("hybridgen.evaluation.run.Synth", missing)
    if wrong == "librosa":
        monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
    model, out = tmp_path / "model", tmp_path / "report"
    if wrong != "model":
        pipe.save_pretrained(model)
    if wrong == "out":
        out.write_text("a file")
    assert cli.main(["evaluate", str(model), "--out", str(out), "--quick"]) == 2
    printed = capsys.readouterr().err
    words = {"model": str(model), "out": str(out), "synth": "apt-get", "librosa": "pip install 'hybridgen[eval]'"}
    assert printed.startswith("hybridgen: ") and printed.count("\n") == 1 and words[wrong] in printed


def test_a_whole_evaluation_writes_a_report(pipe: Pipeline, tmp_path):
    model = pipe.save_pretrained(tmp_path / "model")
    size = EvalSize(((8, 2), (12, 1)), n_references=8, n_pictures=1, speed_seconds=2.0, speed_runs=1)
    tables = run.evaluate(model, tmp_path / "report", size, workers=1)
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert facts["control"]["tempo_acc1"]["n"] == 2 and len(facts["tracks"]) == 3
    assert facts["checks"][-1]["name"] == "weights, MB" and "| weights, MB |" in tables
    assert (tmp_path / "report" / "1.png").exists() and (tmp_path / "report" / "1.flac").exists()
    assert len(list((tmp_path / "report" / "results").rglob("*.json"))) == 2 * 3 + 8


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
    shipped = profiles.load()
    profiles.save(shipped, tmp_path / "profiles.json")
    assert (tmp_path / "profiles.json").read_text() == profiles.PATH.read_text()
    features = rhythm.pulse_features(
        np.random.default_rng(0).random((4, 900)), np.random.default_rng(1).random((1, 225))
    )
    assert features.shape == (len(rhythm.PULSES), len(shipped.pulse))
