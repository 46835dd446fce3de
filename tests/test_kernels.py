"""The Triton twins equal the definitions in ops.py, forward and backward: kernels/check.py's cases, all of them right.

Without a GPU they run in Triton's interpreter, which must be switched on before Triton is imported: hence a process of
its own, once for all tests.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from hybridgen import ops

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
ROOT = Path(__file__).parent.parent
FILES = sorted(path.stem for path in (ROOT / "kernels/hybridgen_kernels").glob("[!_]*.py"))
OPS = sorted({*FILES, "norm_rotate_write"})  # of norm_rotate.py too
DTYPES = ("float32", "bfloat16", "float16")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script of kernels/ with these arguments."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "kernels" / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def errors() -> dict[tuple[str, str], list[float]]:
    """Errors over the tolerance by op and dtype."""
    done, found = run("check.py"), defaultdict(list)
    for line in done.stdout.splitlines():
        op, dtype, error = line.split()[:3]
        found[op, dtype].append(float(error))
    assert found and "Traceback" not in done.stderr, done.stderr
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_a_twin_equals_its_definition(errors: dict[tuple[str, str], list[float]], op: str, dtype: str):
    assert len(errors[op, dtype]) >= 6
    assert max(errors[op, dtype]) <= 1


def test_every_op_that_is_fast_has_a_definition_and_cases():
    import hybridgen_kernels

    assert set(hybridgen_kernels.__all__) == set(OPS)
    assert all(callable(getattr(ops, name)) for name in OPS)


@pytest.mark.timeout(600)
def test_a_kernel_compiles_for_a_gpu_that_is_not_there():
    done = run("check.py", "--compile", "90", "decode_attention")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[2] for line in lines} == {"split_kernel", "join_kernel"}
    assert max(int(line[3]) for line in lines) <= 64 * 1024  # what a program may share on any GPU since 2018


def test_an_op_that_is_not_there_is_one_line():
    done = run("check.py", "no_such_op")
    assert done.returncode == 2 and "no_such_op is none of ada_norm, choose" in done.stderr.splitlines()[-1]


@pytest.mark.timeout(600)
def test_the_benchmark_runs_on_a_cpu_and_says_what_it_did_not_measure(tmp_path: Path):
    done = run("bench.py", "--device", "cpu", "--json", str(tmp_path / "bench.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench.json").read_text())
    measured = {row["what"].split(" forward")[0] for row in written["rows"] if row["microseconds"] > 0}
    assert measured >= set(OPS) and {"planner, a frame, 1 row", "planner, a frame, 2 rows"} <= measured
    assert written["wrong"] == [] and "await" in done.stdout
    assert all(row["variant"].startswith("definition") and row["peak_mb"] is None for row in written["rows"])
