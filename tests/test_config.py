"""A config is a frozen dataclass that a YAML file fills, strictly."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml

from hybridgen import config


@dataclasses.dataclass(frozen=True)
class Optim:
    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int | None = None


@dataclasses.dataclass(frozen=True)
class Train:
    optim: Optim
    steps: Annotated[int, config.Range(1, 100)]
    model: str = "base"
    seed: int = 0
    amp: bool = False
    strides: tuple[Annotated[int, config.Range(1, 100)], ...] = ()
    schedule: Literal["cosine", "constant"] = "cosine"
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    last: Optim | None = None


def write(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text)
    return path


def test_every_field_kind_is_read(tmp_path):
    path = write(
        tmp_path,
        "optim: {lr: 3e-4, betas: [0.8, 1]}\nsteps: 10\namp: true\nstrides: [2, 4]\n"
        "schedule: constant\nweights: {mel: 15}\nlast: {lr: 1}\n",
    )
    loaded = config.load(Train, path)
    assert loaded.optim == Optim(lr=3e-4, betas=(0.8, 1.0)) and isinstance(loaded.optim.betas[1], float)
    assert loaded.strides == (2, 4) and loaded.amp is True and loaded.last == Optim(lr=1.0)
    assert loaded.weights == {"mel": 15.0} and loaded.schedule == "constant"


def test_overrides_beat_the_file(tmp_path):
    path = write(tmp_path, "optim: {lr: 1.0e-3}\nsteps: 10\n")
    loaded = config.load(Train, path, ("optim.lr=3e-4", "steps=3", "last.lr=2", "strides=[1]", "model=tiny"))
    assert loaded == Train(optim=Optim(3e-4), steps=3, model="tiny", strides=(1,), last=Optim(2.0))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lrr=3", r"optim: unknown ['lrr']; known ['lr', 'betas', 'warmup']"),
        ("steps=2.5", "steps: expected int, got 2.5"),
        ("steps=0", "steps: 0 is outside 1 to 100"),
        ("strides=[2, 101]", "strides[1]: 101 is outside 1 to 100"),
        ("seed=9007199254740993", "seed: expected int, got 9007199254740993"),
        ("steps=true", "steps: expected int, got True"),
        ("amp=1", "amp: expected bool, got 1"),
        ("model=3", "model: expected str, got 3"),
        ("optim.lr=fast", "optim.lr: expected float, got 'fast'"),
        ("optim.lr=.nan", "optim.lr: expected float, got nan"),
        ("optim.betas=[1]", "optim.betas: expected 2 values, got 1"),
        ("strides=[1, x]", "strides[1]: expected int, got 'x'"),
        ("optim=3", "optim: expected a mapping, got 3"),
        ("schedule=warm", "schedule: expected typing.Literal['cosine', 'constant'], got 'warm'"),
        ("optim.warmup=x", "optim.warmup: expected int, got 'x'"),
        ("last={}", "last: missing ['lr']"),
        ("steps", "override 'steps' should read section.field=value"),
        (".steps=1", "override '.steps=1' should read section.field=value"),
        ("steps=[", "not YAML"),
    ],
)
def test_a_mistake_is_one_line_naming_field_and_value(tmp_path, override, message):
    path = write(tmp_path, "optim: {lr: 1}\nsteps: 10\n")
    with pytest.raises(ValueError) as error:
        config.load(Train, path, (override,))
    assert message in str(error.value) and "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: [*x, *x]\n", "anchors"),
        ("steps: 1\nsteps: 2\n", "repeated ['steps']"),
        ("a: " + "[" * 40 + "]" * 40, "deeper"),
        ("x: " + "y" * (1 << 20), "over the limit"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("- 1", "expected a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"train\.yaml: ") as error:
        config.load(Train, write(tmp_path, text))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_dump_and_build_are_inverse():
    original = Train(optim=Optim(1e-5, warmup=3), steps=3, strides=(1, 2), weights={"mel": 1e-7}, last=Optim(0.1))
    assert config.build(Train, yaml.safe_load(yaml.safe_dump(config.dump(original)))) == original


def test_an_unknown_preset_lists_the_known_ones():
    for name in ("models/none", "../pyproject", "/etc/passwd"):
        with pytest.raises(ValueError, match="unknown; known"):
            config.preset(name)
