"""Every package that is installed may be used by anyone for anything; the few with conditions are listed."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|CNRI|Unlicense|Zlib|Public Domain|"
    r"Historical Permission|0BSD|CC0|BSL|Matplotlib|NCSA|Blue Oak)",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL|CC-BY-(SA|NC)|proprietary", re.IGNORECASE)
CONDITIONS = {  # package -> why it may stay
    "certifi": "MPL-2.0, of its list of certificates; unchanged here",
    "hypothesis": "MPL-2.0, for tests alone",
    "pathspec": "MPL-2.0, for linting alone",
    "soxr": "LGPL-2.1, a library of its own that anyone may replace",
    "tqdm": "MPL-2.0 and MIT; unchanged here",
}
BUNDLES = {"av": "its wheels hold FFmpeg with GPL codecs"}  # an extra, never installed for a user who does not ask


def licence_of(package: importlib.metadata.Distribution) -> str:
    facts = package.metadata
    lines = [facts.get("License-Expression") or "", (facts.get("License") or "").split("\n")[0]]
    return " ".join([*lines, *(one for one in facts.get_all("Classifier") or [] if one.startswith("License"))])


def test_no_installed_package_has_a_licence_with_conditions_that_is_not_listed():
    found = {
        one.metadata["Name"].lower().replace("_", "-"): licence_of(one) for one in importlib.metadata.distributions()
    }
    with_conditions = {name for name, licence in found.items() if COPYLEFT.search(licence)}
    assert with_conditions <= CONDITIONS.keys(), {name: found[name] for name in with_conditions - CONDITIONS.keys()}
    unknown = {name: licence for name, licence in found.items() if name not in with_conditions}
    unknown = {name: licence for name, licence in unknown.items() if not PERMISSIVE.search(licence)}
    assert not unknown


def test_what_bundles_more_than_its_licence_says_is_an_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = (ROOT / "requirements/core.txt").read_text()
    for name in BUNDLES:
        assert not any(re.match(rf"{name}\b", one) for one in project["dependencies"])
        assert any(re.match(rf"{name}\b", one) for extra in project["optional-dependencies"].values() for one in extra)
        assert not re.search(rf"(?m)^{name}==", core)


def test_every_pinned_package_has_hashes():
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        for entry in re.sub(r" *\\\n\s*", " ", path.read_text()).splitlines():
            assert entry.startswith("#") or re.fullmatch(r"[\w.-]+==\S+( --hash=sha256:[0-9a-f]{64})+ *", entry), entry
