"""An adapter for the Hub: its two halves, what they were trained on, a card, hashes."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from hybridgen import adapters, files, hub
from hybridgen.hub import HubId, Sent
from hybridgen.release import card
from hybridgen.stages import Stages
from hybridgen.track import Track

HALVES = {"planner": "how it composes", "renderer": "how it sounds"}


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter that hybridgen made."""
    return (files.expand_user(folder) / adapters.FACTS_FILE).is_file()


def push(stages: Stages, sample: Callable[[], Track], repo: str, license: str, private: bool) -> Sent:
    """Sends the one adapter that `stages` have to the Hub; arguments as for a model.

    ValueError for a folder that PEFT alone wrote, which does not say which model it is for, and for what the Hub
    refuses.
    """
    hub.check_repo(repo)
    license = card.check_license(license)
    (one,) = stages.adapters
    if not is_adapter(one.adapter.path):
        raise ValueError(f"adapter {str(one.adapter.path)!r} has no {adapters.FACTS_FILE}, which says what it is for")
    with tempfile.TemporaryDirectory() as staging:
        write(stages, sample, Path(staging), repo, license)
        return hub.send(Path(staging), repo, private=private)


def write(stages: Stages, sample: Callable[[], Track], target: Path, repo: str, license: str) -> None:
    """Fills `target` with what the Hub gets of the one adapter that `stages` have."""
    (one,) = stages.adapters
    folder = files.expand_user(one.adapter.path)
    names = [adapters.FACTS_FILE]
    names += [f"{stage}/{name}" for stage in one.loras for name in (adapters.CONFIG_FILE, adapters.WEIGHTS_FILE)]
    for name in names:
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, target / name)
    track = sample()
    track.save(target / card.SAMPLE_FILE, latents=False)
    hub.write_hashes(target)
    base = HubId.parse(stages.name)
    data = ModelCardData(
        license=license,
        library_name="hybridgen",
        pipeline_tag=card.PIPELINE_TAG,
        tags=[*card.TAGS, "lora", "peft"],
        base_model=base.repo if base else None,
        base_model_relation="adapter" if base else None,
    )
    facts = files.read_json(folder / adapters.FACTS_FILE)
    sections = (
        _head(stages, repo),
        card.sample_lines(track, repo),
        _use(stages, repo),
        _halves(stages, facts),
        ["## Remember", "", card.MARKED],
        card.checked_lines(),
    )
    card.write(data, sections, target)


def _head(stages: Stages, repo: str) -> list[str]:
    return [
        f"# {repo.split('/')[1]}",
        "",
        f"A style for hybridgen's model `{stages.name}`: a small file that changes what it composes or how it sounds "
        "and leaves the model as it is. At strength 0 it is the model without it, bit for bit.",
    ]


def _use(stages: Stages, repo: str) -> list[str]:
    model = "" if stages.name == "tiny" else f" --model {stages.name}"
    name = "" if stages.name == "tiny" else f'"{stages.name}"'
    return [
        "## Use it",
        "",
        "```",
        f'hybridgen generate "night drive through rain"{model} --adapter {repo}:0.8 -o night.flac',
        "```",
        "",
        "```python",
        "from hybridgen import Adapter, Pipeline",
        "",
        f'pipe = Pipeline.from_pretrained({name}).with_adapters([Adapter("{repo}", 0.8)])',
        "```",
    ]


def _halves(stages: Stages, facts: dict[str, Any]) -> list[str]:
    """The halves that it has, and the weights that each belongs to."""
    (one,), training = stages.adapters, facts.get("training")
    rows = []
    for stage, lora in one.loras.items():
        own = training.get(stage) if isinstance(training, dict) else None
        own = own if isinstance(own, dict) else {}
        count = sum(parameter.numel() for parameter in lora.parameters()) / 1e6
        rows.append((HALVES[stage], stage, f"{count:.2f} M, rank {lora.rank}", own.get("songs"), one.base[stage][:12]))
    return [
        "## What it is",
        "",
        *card.table(("", "stage", "parameters", "songs", "for weights with SHA-256"), rows),
        "",
        "Made with `hybridgen finetune`; by its maker's word the songs are his own, or may be used in this way.",
    ]
