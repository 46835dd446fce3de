"""The planner's training makes steps on a CPU, on scores and on rendered songs, and goes on where it stopped."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from hybridgen.data.composer import compose
from hybridgen.training import dataset
from hybridgen.training.dataset import Prepared

ROOT = Path(__file__).parents[1]
MODEL = """
text: {dim: 384}
planner: {dim: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1, hidden_dim: 24, depth_dim: 8, depth_hidden_dim: 8,
          text_dim: 384, n_codebooks: 2, codebook_size: 16}
"""


@pytest.fixture
def folder(tmp_path):
    """A corpus of songs 18 and 19 (held out) without sound, prepared with random codes."""
    (tmp_path / "model.yaml").write_text(MODEL)
    (tmp_path / "songs").mkdir()
    for index in (18, 19):
        plan = compose(0, index, (5, 8)).plan
        facts = {"index": index, "seed": 0, "genre": "rock", "mood": [], "captions": ["a"], "channels": [], "notes": []}
        facts |= {"plan": json.loads(plan.to_json())}
        (tmp_path / "songs" / f"{index:06d}.json").write_text(json.dumps(facts))
        n_frames = plan.n_code_frames
        codes = torch.randint(16, (2, n_frames)).to(torch.int16)
        latents, text = torch.zeros(4 * n_frames, 2).half(), torch.zeros(3, 384).half()
        prepared = Prepared(latents, torch.zeros(n_frames).half(), (text,), codes, "c0dec", "9ua")
        dataset.save_prepared(dataset.prepared_path(tmp_path, index), prepared)
    return tmp_path


def test_steps_on_scores_then_on_codes(folder):
    spec = importlib.util.spec_from_file_location("train_planner", ROOT / "train" / "planner.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    run = [str(ROOT / "configs/train/planner.yaml"), f"model={folder}/model.yaml", f"out={folder}/run", "log_every=1"]
    run += ["scores.batch_size=4", "scores.seconds=[5, 8]", "rendered_share=1.0"]
    script.main(*run, "steps=2")
    script.main(*run, "steps=3", f"corpus={folder}", f"prepared={folder}")

    log = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "score" in entry] == [1, 2, 3]
    assert ["codes" in entry for entry in log if "score" in entry] == [False, False, True]
    assert "valid/score" in log[-1] and "valid/codes" in log[-1]
    assert (folder / "run/planner.safetensors").exists()
    with pytest.raises(ValueError, match="prepared None go together"):
        script.main(*run, f"corpus={folder}")
