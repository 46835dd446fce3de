"""Every package and every sound may be used by anyone for anything; the few with conditions are listed."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from hybridgen.data.sound import sources

ROOT = Path(__file__).parents[1]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND|CNRI|Unlicense|Zlib|Public Domain|"
    r"Historical Permission|0BSD|CC0|BSL|Matplotlib|NCSA|Blue Oak)",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL|CC-BY-(SA|NC)|proprietary", re.IGNORECASE)
CONDITIONS = {  # package -> why it may stay
    "axe-playwright-python": "MIT; holds axe-core, MPL-2.0, for tests alone",
    "certifi": "MPL-2.0, of its list of certificates; unchanged here",
    "hypothesis": "MPL-2.0, for tests alone",
    "orjson": "MPL-2.0 of some files; comes with Gradio, for the page as a Space alone; unchanged here",
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
    unknown = {name: licence for name, licence in found.items() if name not in CONDITIONS}
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


def test_every_sound_has_a_free_licence_and_the_notice_that_it_asks_for():
    allowed = {"MIT", "CC0-1.0", "CC-BY-3.0", "Apache-2.0"}
    for source in sources.SOURCES:
        assert source.licence in allowed, source.name
        assert len(source.notice) > 20 and "\n" not in source.notice, source.name
        if source.licence == "CC-BY-3.0":  # the author, a link to the licence, and that it was changed
            assert "Copyright" in source.notice and "creativecommons.org/licenses/by/3.0" in source.notice
            assert "resampled" in source.notice
        if source.licence == "MIT":
            assert "Copyright" in source.notice and "MIT license" in source.notice
        assert bool(source.path) == bool(source.package) and not (source.path and source.packs)
        assert all(re.fullmatch("[0-9a-f]{128}", pack.sha512) for pack in source.packs)


def test_every_sound_that_plays_is_a_source_with_a_notice():
    named = {file.stem: file.read_text() for file in (ROOT / "hybridgen/data/sound").glob("*.py")}
    played = set(re.findall(r'found\.append\(\("([\w-]+)"', named["casting"])) | set(sources.GENERAL_MIDI)
    played |= set(re.findall(r'(?m)^    "([\w-]+)": \(\w+,', named["hits"]))
    assert played == set(sources.BY_NAME) == set(sources.notices(list(sources.BY_NAME)))
    assert len(sources.BY_NAME) == len(sources.SOURCES)
    reads_files = {name for name, text in named.items() if "soundfile" in text or "Player(" in text}
    assert reads_files == {"files", "soundfonts"}  # no other way for a recording to get in


def test_the_makefile_asks_for_every_sound():
    assert re.search(r"(?m)^SOUNDS := (.*)$", (ROOT / "Makefile").read_text())[1].split() == list(sources.BY_NAME)
