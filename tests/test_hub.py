"""The Hub, as its own client sees it: what is sent, fetched, pinned and checked; one clear line for what goes wrong."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard

from hybridgen import hub as our_hub
from hybridgen import manifest, weights
from hybridgen.adapters import Adapter
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.release import card, model
from tests import hub_server
from tests.hub_server import READER, WRITER, Hub

ROOT = Path(__file__).parents[1]
NOBODY = "http://127.0.0.1:1"
STAGE_FILES = ["codec.safetensors", "planner.safetensors", "quantizer.safetensors", "renderer.safetensors"]


@pytest.fixture(autouse=True)
def _short_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "SAMPLE_SECONDS", 1.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub to which the client of this process talks, with a token that may write and an empty cache."""
    with hub_server.running() as hub:
        point_at(hub.url, monkeypatch, tmp_path / "cache")
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield hub


def point_at(url: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    constants = huggingface_hub.constants
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    values = {"ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": str(cache)}
    for name, value in {**values, "HF_HUB_DISABLE_XET": True}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between two tries
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


def fails(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The line that a command ends with; it exits with 2 and leaves nothing else on stderr."""
    assert main(list(arguments)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hybridgen: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(scope="module")
def sent(note_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the Hub gets of `note_model`."""
    folder, pipe = tmp_path_factory.mktemp("sent"), Pipeline.from_pretrained(note_model)
    model.write(pipe, lambda: pipe.generate("jazz", seconds=1, seed=0), folder, "me/mine", "apache-2.0", ())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def published(sent: dict[str, bytes], server: Hub) -> Hub:
    """The Hub with me/mine on it, for everyone."""
    server.repositories["model", "me/mine"] = hub_server.Repository("model", private=False)
    server.repositories["model", "me/mine"].commit(sent)
    return server


# ---- there and back


def test_a_model_comes_back_as_it_went(note_model: Path, server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["push", str(note_model), "me/mine", "--license", "apache-2.0"]) == 0
    said = capsys.readouterr().out.strip()
    commit = next(reversed(server.repositories["model", "me/mine"].commits))
    assert said == f"{server.url}/me/mine: me/mine@{commit}"
    assert server.repositories["model", "me/mine"].private
    sent = server.files("me/mine")
    expected = [".gitattributes", "README.md", "config.yaml", "hashes.json", "sample.mp3"]
    assert sorted(sent) == sorted(expected + STAGE_FILES)
    assert all(sent[name] == (note_model / name).read_bytes() for name in STAGE_FILES)

    fetched = Pipeline.from_pretrained("me/mine")
    assert fetched.name == f"me/mine@{commit}"
    local = Pipeline.from_pretrained(note_model)
    assert fetched.weight_hashes == local.weight_hashes and fetched.config == local.config
    one, other = (pipe.generate("jazz, 120 BPM", seconds=2, seed=3) for pipe in (fetched, local))
    assert np.array_equal(one.samples, other.samples)
    assert one.manifest.operations[0].model.name == f"me/mine@{commit}"
    (tmp_path / "sample.mp3").write_bytes(sent["sample.mp3"])
    assert manifest.verify(tmp_path / "sample.mp3") == []
    assert not {name for name in server.downloads() if name.endswith((".mp3", ".md"))}


def test_another_process_fetches_and_then_needs_no_network(published: Hub, tmp_path: Path):
    """As a person has it: the command, HF_ENDPOINT, and a server that is there, then is not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": published.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}

    def generate(name: str) -> bytes:
        made = ("generate", "jazz, 120 BPM", "--seconds", "2", "--seed", "3", "--model", "me/mine", "-o", name)
        command = (sys.executable, "-m", "hybridgen", *made)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return (tmp_path / name).read_bytes()

    first = generate("one.wav")
    assert "/cdn/renderer.safetensors" in published.downloads()
    environment["HF_ENDPOINT"] = NOBODY
    assert generate("two.wav") == first


def test_a_commit_stays_what_it_is(pipe: Pipeline, published: Hub):
    repository = published.repositories["model", "me/mine"]
    old = repository.tags["v1"] = repository.resolve("main")
    new = pipe.push_to_hub("me/mine", "apache-2.0")
    pinned = Pipeline.from_pretrained("me/mine", revision=old)
    tagged = Pipeline.from_pretrained("me/mine@v1")
    latest = Pipeline.from_pretrained("me/mine")
    assert pinned.name == tagged.name == f"me/mine@{old}" and latest.name == str(new.id) == f"me/mine@{new.id.revision}"
    assert pinned.weight_hashes == tagged.weight_hashes != latest.weight_hashes
    published.requests.clear()
    assert Pipeline.from_pretrained(f"me/mine@{old}").name == f"me/mine@{old}"
    assert published.requests == []  # a commit that is here is not asked for
    with pytest.raises(ValueError, match="revision 'v2' is given beside that of model 'me/mine@v1': give one of them"):
        Pipeline.from_pretrained("me/mine@v1", revision="v2")


def test_an_adapter_goes_and_comes_back_with_its_model(
    note_model: Path, server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture, write_adapter: Callable
):
    folder = write_adapter(note_model, tmp_path / "my-style")
    base = Pipeline.from_pretrained(note_model)
    assert main(["push", str(folder), "me/my-style", "--license", "cc-by-4.0", "--model", str(note_model)]) == 0
    commit = server.repositories["model", "me/my-style"].resolve("main")
    one = base.with_adapters([Adapter(folder, 0.8)]).generate("jazz", seconds=2, seed=3)
    other = base.with_adapters([Adapter.parse("me/my-style:0.8")]).generate("jazz", seconds=2, seed=3)
    assert np.array_equal(one.samples, other.samples)
    (record,) = other.manifest.operations[0].adapters
    assert (record.path, record.strength) == (f"me/my-style@{commit}", 0.8)
    other.save(tmp_path / "track.flac")
    track = str(tmp_path / "track.flac")
    again = ("replay", track, "--model", str(note_model), "-o", str(tmp_path / "again.flac"))
    server.requests.clear()
    assert "may be one of the Hub: name it with --adapter" in fails(capsys, *again)
    assert server.requests == []  # a file's word alone asks nobody
    assert main([*again, "--adapter", "me/my-style"]) == 0
    assert (tmp_path / "again.flac").read_bytes() == (tmp_path / "track.flac").read_bytes()
    page = ModelCard(server.files("me/my-style")["README.md"].decode())
    assert page.data.license == "cc-by-4.0" and {"lora", "peft", "music"} <= set(page.data.tags)
    assert "--adapter me/my-style:0.8" in page.text and base.weight_hashes["renderer.safetensors"][:12] in page.text


@pytest.fixture
def write_adapter() -> Callable[[Path, Path], Path]:
    """Writes an adapter of random weights for a model."""
    import torch

    from hybridgen import adapters

    def write(own: Path, folder: Path) -> Path:
        pipe = Pipeline.from_pretrained(own)
        rng = torch.Generator().manual_seed(0)
        lora = adapters.create(pipe.renderer, ("wq", "wkv"), 2, 4.0, rng)
        for pair in lora.pairs.values():
            torch.nn.init.normal_(pair.lora_B.weight, std=0.1, generator=rng)
        base = {"renderer": pipe.weight_hashes["renderer.safetensors"]}
        training = {"renderer": {"songs": 9, "steps": 3, "loss": [0.5, 0.4]}}
        return adapters.save(folder, {"renderer": lora}, base, "mine", training)

    return write


# ---- the card


def test_the_card_says_what_a_stranger_asks(note_pipe: Pipeline, server: Hub, tmp_path: Path):
    folder = note_pipe.save_pretrained(tmp_path / "model")
    notices = {"musescore": {"licence": "MIT", "notice": "Copyright 2011 S. Christian Collins <script>|"}}
    (folder / "training.json").write_text(json.dumps({"corpus": {"seed": 7, "notices": notices}, "stages": {}}))
    (folder / "report").mkdir()
    check = {"name": "tempo_acc1, 0.95 of the floor", "value": 0.975, "relation": ">=", "bound": 0.9, "passed": True}
    unmeasured = {**check, "name": "drift_percent", "value": None, "bound": None, "passed": False}
    (folder / "report" / "report.json").write_text(json.dumps({"checks": [check, unmeasured]}))
    (folder / "report" / "report.md").write_text("# Evaluation")
    Pipeline.from_pretrained(folder).push_to_hub("me/mine", "Apache-2.0", datasets=["me/songs"], private=False)
    assert not server.repositories["model", "me/mine"].private
    sent = server.files("me/mine")
    assert {"report/report.json", "report/report.md", "training.json"} <= sent.keys()
    page = ModelCard(sent["README.md"].decode())
    data = page.data
    assert (data.license, data.pipeline_tag, data.library_name) == ("apache-2.0", "text-to-audio", "hybridgen")
    assert data.datasets == ["me/songs"] and {"music", "instrumental"} <= set(data.tags)
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == (check["name"], 0.975)
    assert "| tempo\\_acc1, 0.95 of the floor | 0.975 | >= 0.9 | yes |" in page.text
    assert "| drift\\_percent | – | >= – | **no** |" in page.text and "1 of 2 bounds are kept" in page.text
    assert "| musescore | MIT | Copyright 2011 S. Christian Collins \\<script>\\| |" in page.text
    assert (
        "--model me/mine" in page.text and 'src="https://huggingface.co/me/mine/resolve/main/sample.mp3"' in page.text
    )
    assert re.search(r"\| planner \| 0\.\d M \|", page.text)
    Pipeline.from_pretrained("me/mine")
    assert "/plain/training.json" in server.downloads() and "/plain/report/report.json" not in server.downloads()


def test_weights_of_a_codec_under_another_license_keep_it(pipe: Pipeline, server: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model, "FREE_LICENSES", ())
    own = pipe.config.any_codec.license.lower()
    with pytest.raises(ValueError, match=f"license 'mit' != '{own}', that of the codec's weights, which"):
        pipe.push_to_hub("me/mine", "mit")
    with pytest.raises(ValueError, match="license 'all mine' should be one word as the Hub spells it"):
        pipe.push_to_hub("me/mine", "all mine")
    assert server.requests == []


# ---- what goes wrong, in one line each


def fetch() -> str:
    """The one line that fetching me/mine ends with."""
    with pytest.raises(ValueError, match="'me/mine'") as error:
        Pipeline.from_pretrained("me/mine")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_that_is_not_the_one_that_was_sent(published: Hub, tmp_path: Path):
    files = published.files("me/mine")
    good = files["planner.safetensors"]
    files["planner.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    assert "model 'me/mine': planner.safetensors has SHA-256 " in (line := fetch())
    assert "..., but its hashes.json says " in line
    files["planner.safetensors"] = good
    for path in (tmp_path / "cache").rglob("planner.safetensors"):
        assert str(path.resolve()) in line
        path.resolve().unlink()
    for path in (tmp_path / "cache").rglob("trees/*"):  # the client remembers what the tree said
        path.unlink()
    huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE.clear()
    Pipeline.from_pretrained("me/mine")
    for path in (tmp_path / "cache").rglob("config.yaml"):  # a byte of the copy here
        path.resolve().write_bytes(path.read_bytes() + b" ")
    assert "model 'me/mine': config.yaml has SHA-256 " in fetch()


def test_a_file_that_is_missing(published: Hub):
    del published.files("me/mine")["codec.safetensors"]
    assert fetch() == "model 'me/mine' lacks codec.safetensors, which its hashes.json lists"


@pytest.mark.parametrize(
    ("hashes", "line"),
    [
        (b"no", "is not JSON"),
        (b'{"format": 2}', "format '2' is not 1, the one known here"),
        (b'{"format": 1, "files": {}}', "files should hold 1 to 64 names"),
        (b'{"format": 1, "files": {"../x": "0"}}', "'../x' is no name of a file in the folder"),
        (b'{"format": 1, "files": {"config.yaml": "0"}}', "config.yaml: '0' is no SHA-256"),
    ],
)
def test_hashes_that_are_none(published: Hub, hashes: bytes, line: str, monkeypatch: pytest.MonkeyPatch):
    published.files("me/mine")["hashes.json"] = hashes
    with pytest.raises(ValueError, match=r"hashes\.json: ") as error:
        Pipeline.from_pretrained("me/mine")
    assert line in str(error.value)


def test_a_repository_that_is_no_model_is_not_fetched(published: Hub):
    published.repositories["model", "me/mine"].commits[published.repositories["model", "me/mine"].resolve("main")] = {
        "model.safetensors": bytes(1 << 20)
    }
    assert fetch().endswith("the Hub's has no hashes.json, so it is none that `hybridgen push` sent")
    assert published.downloads() == []


def test_a_download_that_breaks_off_goes_on(published: Hub):
    published.cuts["renderer.safetensors"] = 2
    Pipeline.from_pretrained("me/mine").load()
    assert published.downloads().count("/cdn/renderer.safetensors") == 3  # each from where the one before stopped


def test_a_download_that_keeps_breaking_off(published: Hub, tmp_path: Path, capfd: pytest.CaptureFixture):
    published.cuts["renderer.safetensors"] = 10**6
    line = fetch()
    assert "the connection to the Hub broke off, the same command fetches the files that are missing" in line
    published.cuts.clear()
    published.requests.clear()
    Pipeline.from_pretrained("me/mine")
    assert published.downloads() == ["/cdn/renderer.safetensors"]


def test_what_was_fetched_in_part_is_not_used_without_a_network(
    published: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    published.cuts["renderer.safetensors"] = 10**6
    fetch()
    point_at(NOBODY, monkeypatch, tmp_path / "cache")
    assert "model 'me/mine', which is no folder here: " in (line := fetch())
    assert "the connection to the Hub broke off" in line or "cannot be reached" in line


def test_a_repository_that_does_not_exist_or_is_not_to_be_seen(published: Hub, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        ValueError, match=r"^model 'me/no', which is no folder here: the Hub has none of this name \(404\)"
    ):
        Pipeline.from_pretrained("me/no")
    published.repositories["model", "me/mine"].private = True
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere")
    assert fetch().endswith("the Hub has none of this name (401), or it is private: hf auth login")
    monkeypatch.setenv("HF_TOKEN", READER)
    Pipeline.from_pretrained("me/mine")


def test_a_revision_that_does_not_exist(published: Hub):
    with pytest.raises(
        ValueError, match=r"^model 'me/mine@v9', which is no folder here: the Hub has no such revision$"
    ):
        Pipeline.from_pretrained("me/mine", revision="v9")


@pytest.mark.parametrize(("token", "line"), [(READER, "your token may not write there (403)"), ("", "(401)")])
def test_no_permission_to_write(
    note_model: Path, server: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, token: str, line: str
):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere")
    said = fails(capsys, "push", str(note_model), "me/mine", "--license", "apache-2.0")
    assert said.startswith("hybridgen: model 'me/mine': ") and line in said
    assert said.endswith("log in with a token that may: hf auth login")
    assert server.repositories == {}


def test_a_push_without_a_network(note_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    point_at(NOBODY, monkeypatch, tmp_path / "cache")
    said = fails(capsys, "push", str(note_model), "me/mine", "--license", "apache-2.0")
    assert "model 'me/mine': the connection to the Hub broke off, no file has changed there: " in said


def test_a_folder_that_is_no_model(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "songs").mkdir()
    said = fails(capsys, "push", str(tmp_path / "songs"), "me/mine", "--license", "apache-2.0")
    assert said == f"hybridgen: model '{tmp_path / 'songs'}' has no config.yaml"
    assert fails(capsys, "push", "tiny", "mine", "--license", "x") == (
        "hybridgen: repository 'mine' should read owner/name"
    )
    assert server.requests == []


# ---- a Space


def write_space(folder: Path) -> Path:
    folder.mkdir()
    (folder / "README.md").write_text("---\ntitle: hybridgen\nsdk: gradio\napp_file: app.py\n---\n\n# hybridgen\n")
    (folder / "app.py").write_text("print('hello')\n")
    (folder / "requirements.txt").write_text("hybridgen[demo]\n")
    (folder / "secrets.txt").write_text("mine\n")
    return folder


def test_a_space_is_its_three_files(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = write_space(tmp_path / "demos")
    assert main(["push-space", "me/page", "--files", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"{server.url}/spaces/me/page: me/page@")
    sent = server.files("me/page", "space")
    assert sorted(sent) == [".gitattributes", "README.md", "app.py", "requirements.txt"]
    assert sent["app.py"] == (folder / "app.py").read_bytes()
    (folder / "README.md").write_text("---\nsdk: docker\n---\n")
    said = fails(capsys, "push-space", "me/page", "--files", str(folder))
    assert said.endswith("README.md: its header says sdk 'docker', not 'gradio'")
    (folder / "app.py").unlink()
    said = fails(capsys, "push-space", "me/page", "--files", str(folder))
    assert said == f"hybridgen: {folder}: has no app.py; a Space is app.py, requirements.txt, README.md"


def test_ids_are_read_whole():
    parse = our_hub.HubId.parse
    assert parse("me/mine") == our_hub.HubId("me/mine") and str(parse("me/mine@v1.0")) == "me/mine@v1.0"
    assert parse("me/mine@refs/pr/1").revision == "refs/pr/1"
    for text in (
        "mine",
        "me/mine@",
        "/me/mine",
        "me/mine/x",
        "../x",
        "me/..",
        "me/mine@..",
        "me/mine@a/../b",
        "me/mine@-x",
    ):
        assert parse(text) is None, text


def test_a_model_in_a_folder_asks_nobody(note_model: Path, server: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(note_model.parent)
    assert weights.locate(f"../{note_model.parent.name}/{note_model.name}").folder.samefile(note_model)
    assert server.requests == []
