"""The shelves: imports point downward and never in a circle; and what no file of the package may contain."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# hybridgen.X (a file or a package) -> its shelf; a package may import within itself
SHELVES = {
    "attention": 0,
    "config": 1,
    "constraints": 1,
    "files": 0,
    "hub": 1,
    "interrupts": 2,
    "spectra": 1,
    "workers": 1,
    "flow": 1,
    "packed": 0,
    "shortage": 0,
    "ops": 1,
    "plan": 0,
    "progress": 1,
    "sources": 1,
    "tags": 1,
    "decoding": 3,
    "grammar": 2,
    "graphs": 2,
    "note_grammar": 2,
    "layers": 2,
    "sampling": 2,
    "text": 2,
    "weights": 2,
    "codecs": 3,
    "comparison": 1,
    "formats": 3,
    "history": 3,
    "note_stage": 3,
    "planner": 4,
    "quantizer": 3,
    "renderer": 3,
    "request": 3,
    "adapters": 4,
    "manifest": 4,
    "memory": 5,
    "audio": 5,
    "loudness": 1,
    "outputs": 5,
    "stages": 6,
    "analysis": 7,
    "metrics": 6,
    "pack": 6,
    "planning": 7,
    "plot": 6,
    "track": 6,
    "benchmark": 10,
    "data": 9,
    "release": 7,
    "render": 8,
    "pipeline": 9,
    "evaluation": 10,
    "serve": 10,
    "training": 10,
    "cli": 11,
    "__main__": 12,
}
LIBRARY = sorted((ROOT / "hybridgen").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "train").glob("*.py"), *(ROOT / "demos").glob("*.py")])
ENVIRONMENT = (  # how OpenMP's threads wait; what launchers and Spaces set
    ROOT / "hybridgen/__init__.py",
    ROOT / "hybridgen/training/distributed.py",
    ROOT / "demos/app.py",
)
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"yaml.SafeLoader", "_Loader"}  # the second is a SafeLoader that refuses anchors and repeated keys
FORBIDDEN_MODULES = {"pickle", "joblib", "dill", "marshal", "shelve"}


def part_of(path: Path) -> str:
    """The name after `hybridgen.` under which a library file is shelved."""
    return path.relative_to(ROOT / "hybridgen").with_suffix("").parts[0]


def module_of(path: Path) -> str:
    """The dotted name of a library file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in LIBRARY}


def imported_modules(path: Path) -> set[str]:
    """The library modules that a file imports, inside functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= inner & MODULES.keys() or {node.module or ""} & MODULES.keys()
    return found - {"hybridgen"}


def imported_parts(path: Path) -> set[str]:
    """The X of every `hybridgen.X` that a file imports."""
    return {name.split(".")[1] for name in imported_modules(path)}


def test_every_file_has_a_shelf():
    names = {part_of(path) for path in LIBRARY} - {"__init__"}
    assert names == set(SHELVES)


@pytest.mark.parametrize("path", [p for p in LIBRARY if part_of(p) != "__init__"], ids=str)
def test_imports_point_downward(path: Path):
    own = part_of(path)
    for name in imported_parts(path) - {own}:
        assert SHELVES[name] < SHELVES[own], f"{own} (shelf {SHELVES[own]}) imports {name} (shelf {SHELVES[name]})"


def test_no_modules_import_each_other():
    graph = {name: imported_modules(path) - {name} for name, path in MODULES.items() if name != "hybridgen"}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_only_ops_imports_the_kernels():
    users = {part_of(path) for path in LIBRARY if "hybridgen_kernels" in _imported_modules(path)}
    assert users == {"ops"}


@pytest.mark.parametrize("path", [*LIBRARY, *SCRIPTS], ids=str)
def test_nothing_runs_what_it_reads(path: Path):
    assert not _imported_modules(path) & FORBIDDEN_MODULES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in ("torch.load", "torch.save"), f"{path}:{node.lineno}"
            assert path in ENVIRONMENT or ast.unparse(node) != "os.environ", f"{path}:{node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "yaml.load":
            assert ast.unparse(node.args[1]) in SAFE_LOADERS, f"{path}:{node.lineno}"
        if isinstance(node, ast.keyword):
            trusts = node.arg in ("allow_pickle", "trust_remote_code") and ast.unparse(node.value) != "False"
            assert not trusts, f"{path}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            assert not broad, f"{path}:{node.lineno}: broad except"


def _imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    return modules
