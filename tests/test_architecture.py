"""The shelves: a file imports only from shelves below its own; and what no file of the package may contain."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# hybridgen.X (a file or a package) -> its shelf; a package may import within itself
SHELVES = {
    "ops": 1,
    "flow": 1,
    "decoding": 1,
    "config": 1,
    "plan": 1,
    "files": 1,
    "spectra": 1,
    "workers": 1,
    "manifest": 2,
    "audio": 3,
    "weights": 2,
    "plot": 2,
    "layers": 3,
    "adapters": 3,
    "grammar": 3,
    "track": 4,
    "text": 4,
    "planner": 4,
    "renderer": 4,
    "codec": 4,
    "quantizer": 4,
    "metrics": 5,
    "rendering": 5,
    "request": 5,
    "analysis": 6,
    "data": 7,
    "pipeline": 7,
    "training": 8,
    "evaluation": 9,
    "cli": 10,
    "__main__": 11,
}
LIBRARY = sorted((ROOT / "hybridgen").rglob("*.py"))
SCRIPTS = sorted(path for folder in ("train", "tools", "demos") for path in (ROOT / folder).glob("*.py"))
ENVIRONMENT = ROOT / "hybridgen/training/distributed.py"  # the one file that may ask for variables: launchers set them
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"yaml.SafeLoader", "_Loader"}  # the second is a SafeLoader that refuses anchors and repeated keys
FORBIDDEN_MODULES = {"pickle", "joblib", "dill", "marshal", "shelve"}


def part_of(path: Path) -> str:
    """The name after `hybridgen.` under which a library file is shelved."""
    return path.relative_to(ROOT / "hybridgen").with_suffix("").parts[0]


def imported_parts(path: Path) -> set[str]:
    """The X of every `hybridgen.X` that a file imports at run time, inside functions too."""
    parts: set[str] = set()
    for node in _runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            parts |= {name.name.split(".")[1] for name in node.names if name.name.startswith("hybridgen.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "hybridgen":
                parts |= {name.name for name in node.names if name.name != "__version__"}
            elif (node.module or "").startswith("hybridgen."):
                parts.add(node.module.split(".")[1])
    return parts


def _runtime_nodes(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def test_every_file_has_a_shelf():
    names = {part_of(path) for path in LIBRARY} - {"__init__"}
    assert names == set(SHELVES)


@pytest.mark.parametrize("path", [p for p in LIBRARY if part_of(p) != "__init__"], ids=str)
def test_imports_point_downward(path: Path):
    own = part_of(path)
    for name in imported_parts(path) - {own}:
        assert SHELVES[name] < SHELVES[own], f"{own} (shelf {SHELVES[own]}) imports {name} (shelf {SHELVES[name]})"


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
            assert path == ENVIRONMENT or ast.unparse(node) != "os.environ", f"{path}:{node.lineno}"
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
