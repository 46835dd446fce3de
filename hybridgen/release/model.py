"""A model for the Hub: config, weights, what they were trained on, what was measured, a card, hashes."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from hybridgen import files, hub
from hybridgen.codecs.contract import FREE_LICENSES
from hybridgen.hub import REPORT_FOLDER, Sent
from hybridgen.release import card
from hybridgen.stages import STAGES, Stages
from hybridgen.track import Track

TRAINING_FILE = "training.json"  # what train/export.py says of the corpus and the runs
REPORT_FILE = "report.json"  # `hybridgen evaluate MODEL --out MODEL/report`
REPORT_FILES = (REPORT_FILE, "report.md", "ladder.png")
MAX_REPORT = 64 << 20  # bytes


def push(
    stages: Stages, sample: Callable[[], Track], repo: str, license: str, private: bool, datasets: Sequence[str]
) -> Sent:
    """Sends a model to the Hub.

    sample: makes the track that the card lets one hear. license: of the weights, as the Hub spells it. datasets: Hub
    ids of what they were trained on. ValueError where the codec's weights are under another license, which must be
    kept, for a report or a training.json that is none, and for what the Hub refuses.
    """
    hub.check_repo(repo)
    license, codec = card.check_license(license), stages.config.any_codec.license
    if codec not in FREE_LICENSES and license != codec.lower():
        raise ValueError(f"license {license!r} != {codec.lower()!r}, that of the codec's weights, which must be kept")
    with tempfile.TemporaryDirectory() as staging:
        write(stages, sample, Path(staging), repo, license, datasets)
        return hub.send(Path(staging), repo, private=private)


def write(
    stages: Stages, sample: Callable[[], Track], target: Path, repo: str, license: str, datasets: Sequence[str]
) -> None:
    """Fills `target` with what the Hub gets of a model; arguments as in `push`."""
    _copy_weights(stages, target)
    training, report = _copy_facts(stages.folder, target)
    track = sample()
    track.save(target / card.SAMPLE_FILE, latents=False)
    hub.write_hashes(target)
    data = ModelCardData(
        license=license,
        library_name="hybridgen",
        pipeline_tag=card.PIPELINE_TAG,
        tags=list(card.TAGS),
        datasets=list(datasets) or None,
        model_name=repo,
        eval_results=_results(report),
    )
    sections = (
        _head(stages, repo),
        card.sample_lines(track, repo),
        _use(repo),
        _stages(stages),
        _measured(report, repo),
        _learned(training, datasets),
        ["## What it is not for", "", card.MARKED],
        card.checked_lines(),
    )
    card.write(data, sections, target)


def _copy_weights(stages: Stages, target: Path) -> None:
    """Config and weights: the very bytes of the model's folder, where it has one."""
    if stages.folder is None:
        stages.save_pretrained(target)
        return
    stages.save_config(target)
    for stage in STAGES:
        name = f"{stage}.safetensors"
        shutil.copyfile(stages.folder / name, target / name)
        if files.sha256(target / name) != stages.weight_hashes[name]:
            raise ValueError(f"{stages.folder / name}: has changed since the model was opened")


def _copy_facts(folder: Path | None, target: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """training.json and the report of the model's folder, and copies of them in `target`."""
    training, report = dict[str, Any](), None
    if folder is None:
        return training, report
    if (folder / TRAINING_FILE).is_file():
        training = files.read_json(folder / TRAINING_FILE)
        shutil.copyfile(folder / TRAINING_FILE, target / TRAINING_FILE)
    if (folder / REPORT_FOLDER / REPORT_FILE).is_file():
        report = files.read_json(folder / REPORT_FOLDER / REPORT_FILE, MAX_REPORT)
        (target / REPORT_FOLDER).mkdir()
        for name in filter(lambda one: (folder / REPORT_FOLDER / one).is_file(), REPORT_FILES):
            shutil.copyfile(folder / REPORT_FOLDER / name, target / REPORT_FOLDER / name)
        if not isinstance(report.get("checks"), list) or not all(map(_is_check, report["checks"])):
            raise ValueError(
                f"{folder / REPORT_FOLDER / REPORT_FILE}: holds no checks; write it with hybridgen evaluate"
            )
    return training, report


def _is_check(row: Any) -> bool:
    return isinstance(row, dict) and {"name", "value", "relation", "bound", "passed"} <= row.keys()


# ---- the card


def _head(stages: Stages, repo: str) -> list[str]:
    rate = stages.time_base.sample_rate / 1000
    return [
        f"# {repo.split('/')[1]}",
        "",
        f"Instrumental music from a plan, {rate:g} kHz stereo, from a tenth of a second to ten minutes: you write a "
        "sentence, it writes bars, chords, sections and notes, which you see and edit, and renders them as sound that "
        "keeps tempo, key, bars and length to the sample.",
    ]


def _use(repo: str) -> list[str]:
    return [
        "## Use it",
        "",
        "```",
        f'hybridgen generate "{card.SAMPLE_PROMPT}" --seconds 60 --model {repo} -o track.flac',
        "```",
        "",
        "```python",
        "from hybridgen import Pipeline",
        "",
        f'pipe = Pipeline.from_pretrained("{repo}")  # revision="a commit" keeps you at one',
        f'pipe.generate("{card.SAMPLE_PROMPT}", seconds=60, seed=7).save("track.flac")',
        "```",
    ]


def _stages(stages: Stages) -> list[str]:
    counts = {stage: sum(p.numel() for p in getattr(stages, stage).parameters()) / 1e6 for stage in ("text", *STAGES)}
    rows = [(stage, f"{count:.1f} M") for stage, count in counts.items() if stage != "text"]
    text, sampling = stages.config.text, stages.config.sampling
    return [
        "## What it is",
        "",
        *card.table(("stage", "parameters"), rows),
        "",
        f"Text encoder: {text.hub_id}, {counts['text']:.1f} M parameters, frozen, not part of these weights. "
        f"Codec: {stages.config.any_codec.license}. Sampling: {sampling.num_steps} solver steps, guidance "
        f"{sampling.guidance_scale:g} unless you say otherwise (`config.yaml`).",
    ]


def _measured(report: Mapping[str, Any] | None, repo: str) -> list[str]:
    if report is None:
        return ["## Measured", "", f"Nothing yet: `hybridgen evaluate {repo} --out report` does it."]
    rows = [
        (row["name"], row["value"], f"{row['relation']} {card.inline(row['bound'])}", row["passed"])
        for row in report["checks"]
    ]
    kept = sum(bool(row["passed"]) for row in report["checks"])
    return [
        "## Measured",
        "",
        f"By `hybridgen evaluate`, on songs that no training has seen; {kept} of {len(rows)} bounds are kept. "
        f"`{REPORT_FOLDER}/report.md` has every figure beside its floor.",
        "",
        *card.table(("what", "value", "bound", "kept"), rows),
    ]


def _results(report: Mapping[str, Any] | None) -> list[EvalResult] | None:
    """The measured values as the Hub's own metadata has them."""
    if report is None:
        return None
    return [
        EvalResult(
            task_type=card.PIPELINE_TAG,
            dataset_type="hybridgen-composer",
            dataset_name="songs that hybridgen's composer wrote",
            metric_type=str(row["name"]),
            metric_value=row["value"],
        )
        for row in report["checks"]
        if isinstance(row["value"], int | float)
    ]


def _learned(training: Mapping[str, Any], datasets: Sequence[str]) -> list[str]:
    """What the weights were trained on, and the licence and notice of every sound in it."""
    corpus = training.get("corpus")
    lines = ["## What it learned from", ""]
    lines += [f"Data sets: {', '.join(datasets)}.", ""] if datasets else []
    if not isinstance(corpus, dict):
        return [*lines, f"`{TRAINING_FILE}` does not say." if not datasets else ""]
    facts = {name: value for name, value in corpus.items() if name not in ("notice", "notices")}
    lines += [f"A synthetic corpus: {', '.join(f'{name} {card.inline(value)}' for name, value in facts.items())}.", ""]
    if isinstance(notices := corpus.get("notices"), dict):
        rows = [(name, *(row.get(key) for key in ("licence", "notice"))) for name, row in notices.items()]
        return [*lines, *card.table(("sound", "licence", "notice"), rows)]
    return [*lines, f"Sounds: {card.inline(corpus.get('notice'))}."]
