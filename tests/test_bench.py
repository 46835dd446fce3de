"""The benchmark of training runs on a CPU too, small, and compares before it times."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F


@pytest.fixture(scope="module")
def bench(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/bench.py")


def test_every_stage_is_measured_plain_and_compiled(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "bench.json"
    bench.main(["--device", "cpu", "--models", "tiny", "--out", str(out)])
    written = json.loads(out.read_text())
    found = {(row["stage"], row["variant"]): row for row in written["rows"]}
    assert {stage for stage, _ in found} == set(bench.STAGES)
    for (_, variant), row in found.items():
        assert row["seconds"] > 0 and row["tflops"] > 0 and row["of_peak"] is None
        assert row["error"] is None if variant == "plain" else row["error"] < bench.TOLERANCE["cpu"]
    assert {variant for _, variant in found} >= {"plain", "compiled"}
    table = capsys.readouterr().out
    assert "await" in table and "matrix_tflops" in table and "installed" in table


def test_a_wrong_attention_is_not_timed(bench: ModuleType, monkeypatch: pytest.MonkeyPatch):
    device, size = torch.device("cpu"), bench.LOADS["cpu"]
    case = bench.renderer_case(bench.shapes_of("tiny", "renderer", device, size), size, device)
    for parameter in case.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        expected = case.output(case.model)
    attend = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *parts, **options: 1.1 * attend(*parts, **options))
    with pytest.raises(ValueError, match="output differs"):
        bench.measure(case, "plain", expected, device, size, "eager")


def test_rows_that_time_does_not_allow_say_so(bench: ModuleType, capsys: pytest.CaptureFixture):
    bench.main(["--device", "cpu", "--models", "tiny", "--minutes", "0"])
    assert capsys.readouterr().out.count("no time left") == 2 * len(bench.STAGES)
