"""The planner's training makes steps on a CPU, on scores and on rendered songs, and resumes where it stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import safetensors.torch

from hybridgen.data.composer import compose

ROOT = Path(__file__).parents[1]
MODEL = """
text: {dim: 384}
planner: {dim: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, hidden_dim: 24, depth_dim: 8, depth_ffn_dim: 8,
          text_dim: 384, n_codebooks: 4, codebook_size: 16}
"""
OVERRIDES = ("run.log_every=1", "run.workers=0", "scores.batch_size=4", "scores.seconds=[5, 8]", "scores.long_share=0")


@pytest.fixture
def folder(tmp_path: Path, write_prepared: Callable[..., None]) -> Path:
    """Two songs without sound, the second held out, prepared with random codes."""
    (tmp_path / "model.yaml").write_text(MODEL)
    write_prepared(tmp_path / "prepared", [compose(0, index, (5, 8)).plan for index in (18, 19)], held_out=(1,))
    return tmp_path


def entries(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_steps_on_scores_then_on_codes(folder: Path, script: Callable[[str], ModuleType]):
    out, train = folder / "run", script("train/planner.py").main
    run = [str(ROOT / "configs/train/planner.yaml"), f"run.model={folder}/model.yaml", f"run.out={out}", *OVERRIDES]
    train(*run, "steps=2")
    train(*run, "steps=3", f"prepared={folder}/prepared", "rendered_share=1.0")

    losses = [entry for entry in entries(out) if "loss" in entry]
    assert [entry["step"] for entry in losses] == [1, 2, 3]
    assert ["codes" in entry for entry in losses] == [False, False, True]
    assert all(entry["tokens_per_s"] > 0 and entry["norm"] > 0 for entry in losses)
    assert "valid/score" in entries(out)[-1] and "valid/codes" in entries(out)[-1]
    assert (out / "planner.safetensors").exists() and "bars" in (out / "shown/plan_00000003.txt").read_text()


def test_steps_on_notes_then_on_codes_from_weights_without_notes(folder: Path, script: Callable[[str], ModuleType]):
    train = script("train/planner.py").main
    run = [str(ROOT / "configs/train/planner.yaml"), f"run.model={folder}/model.yaml", *OVERRIDES]
    train(*run, f"run.out={folder}/old", "steps=1")
    (folder / "model.yaml").write_text(MODEL.replace("{dim: 16,", "{notes: true, dim: 16,"))
    run += [f"run.out={folder}/new", f"run.start={folder}/old/planner.safetensors", f"prepared={folder}/prepared"]
    train(*run, "steps=2", "rendered_share=0.5")
    losses = [entry for entry in entries(folder / "new") if "loss" in entry]
    assert [("notes" in entry, "codes" in entry) for entry in losses] == [(True, False), (True, True)]
    [found] = [entry for entry in entries(folder / "new") if "valid/loss" in entry]
    assert found["valid/notes"] > 0 and 0 <= found["valid/copies"] <= 1 and found["valid/codes"] > 0


def test_the_exported_weights_are_those_of_the_best_validation(folder: Path, script: Callable[[str], ModuleType]):
    out, train = folder / "run", script("train/planner.py").main
    run = [str(ROOT / "configs/train/planner.yaml"), f"run.model={folder}/model.yaml", f"run.out={out}", *OVERRIDES]
    run += ["run.valid_every=1", "optim.warm_up=1", "optim.cool_down=1", "optim.ema=0"]
    train(*run, "steps=2")
    good = safetensors.torch.load_file(out / "planner.safetensors")
    train(*run, "steps=4", "optim.learning_rate=1.0")  # from here on it only gets worse
    figures = [entry["valid/loss"] for entry in entries(out) if "valid/loss" in entry]
    assert min(figures[2:]) > min(figures[:2])
    kept = safetensors.torch.load_file(out / "planner.safetensors")
    assert all(kept[name].equal(value) for name, value in good.items())
