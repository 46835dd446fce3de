"""A model folder is data: whole, strict, half precision on disk, and never more than it should be."""

import json
import os

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hybridgen import files, weights


class Toy(nn.Module):
    """Two layers, a tied weight and a counter."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 3)
        self.tied = nn.Linear(width, 3, bias=False)
        self.tied.weight = self.inner.weight
        self.register_buffer("steps", torch.tensor([100_003]))
        self.register_buffer("scale", torch.full((2,), 0.5, dtype=torch.float64))


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_come_back_in_half_precision_and_counters_untouched(tmp_path):
    saved, loaded = Toy(), Toy()
    weights.save_weights(saved, tmp_path / "toy.safetensors")
    weights.load_weights(loaded, tmp_path / "toy.safetensors")
    on_disk = load_file(tmp_path / "toy.safetensors")
    assert on_disk["inner.weight"].dtype == torch.float16 and on_disk["steps"].dtype == torch.int64
    assert torch.equal(loaded.inner.weight, saved.inner.weight.half().float()) and loaded.steps.item() == 100_003
    assert loaded.inner.weight.dtype == torch.float32 and loaded.tied.weight is loaded.inner.weight
    assert [p.name for p in tmp_path.iterdir()] == ["toy.safetensors"]


def test_full_precision_is_exact_and_the_bytes_are_reproducible(tmp_path):
    toy, loaded = Toy(), Toy()
    for name in ("a", "b"):
        weights.save_weights(toy, tmp_path / name, half=False)
    weights.load_weights(loaded, tmp_path / "a")
    assert torch.equal(loaded.inner.weight, toy.inner.weight)
    assert files.sha256(tmp_path / "a") == files.sha256(tmp_path / "b")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_value_beyond_half_precision_is_refused(tmp_path):
    toy = Toy()
    toy.inner.bias.data[0] = 1e5
    with pytest.raises(ValueError, match=r"inner.bias: values up to 1e\+05 do not fit torch.float16"):
        weights.save_weights(toy, tmp_path / "toy.safetensors")
    assert not list(tmp_path.iterdir())


def test_other_shapes_names_and_kinds_are_named(tmp_path):
    path = tmp_path / "toy.safetensors"
    weights.save_weights(Toy(5), path)
    toy = Toy()
    before = toy.inner.bias.clone()
    with pytest.raises(ValueError, match="weight has shape") as error:
        weights.load_weights(toy, path)
    assert "(3, 5), the model's (3, 4)" in one_line(error) and str(path) in one_line(error)
    assert torch.equal(toy.inner.bias, before)
    save_file({"inner.weight": torch.zeros(3, 4), "extra": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"missing \['inner.bias', .*unexpected \['extra'\]"):
        weights.load_weights(toy, path)
    save_file({**{k: v.clone() for k, v in toy.state_dict().items()}, "extra": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"missing \[\]; unexpected \['extra'\]"):
        weights.load_weights(toy, path)
    save_file({**{k: v.clone() for k, v in toy.state_dict().items()}, "steps": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"steps holds F32, the model's torch\.int64"):
        weights.load_weights(toy, path)


def test_a_file_is_as_long_as_its_header_says(tmp_path):
    path = tmp_path / "toy.safetensors"
    weights.save_weights(Toy(), path)
    whole = path.read_bytes()
    weights.check_header(path)  # reads no tensor, and still sees what is cut or added
    for content in (whole[:-1], whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{len(content)} bytes, but its header promises {len(whole)}"):
            weights.check_header(path)


def test_a_corrupt_file_is_one_line(tmp_path):
    path = tmp_path / "toy.safetensors"
    weights.save_weights(Toy(), path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    overlap = json.loads(whole[8 : 8 + length])
    overlap["inner.bias"]["data_offsets"] = overlap["inner.weight"]["data_offsets"]
    header = json.dumps(overlap).encode()
    corrupt = (
        b"",
        whole[:5],
        whole[:40],
        whole[:-1],
        whole + b"\0",
        (1 << 40).to_bytes(8, "little") + whole[8:],
        whole[:8] + b"[" * length + whole[8 + length :],
        len(header).to_bytes(8, "little") + header + whole[8 + length :],
        b"PK\x03\x04" + whole[4:],
    )
    for content in corrupt:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"toy\.safetensors") as error:
            weights.load_weights(Toy(), path)
        one_line(error)


def test_a_model_is_a_folder_with_a_config(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"mine' has no config\.yaml"):
        weights.resolve(tmp_path / "mine")
    (tmp_path / "mine" / "config.yaml").write_text("{}")
    assert weights.resolve(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert weights.resolve("mine").samefile(tmp_path / "mine")
    with pytest.raises(ValueError, match="revision 'v1' needs a Hub id, got model 'mine'"):
        weights.locate("mine", revision="v1")


@pytest.mark.parametrize("name", ["none", "/no/such/folder", "../up", "https://x.y/z", "a/b/c", "a/..", "", "x\ny"])
def test_anything_else_is_refused_without_network(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("network"))
    with pytest.raises(ValueError, match="model '") as error:
        weights.resolve(name)
    one_line(error)


def test_latents_belong_to_one_audio_file(tmp_path):
    path = tmp_path / "track.latents.safetensors"
    latents = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    weights.save_latents(path, latents, "a" * 64, 5000)
    loaded, n_samples = weights.load_latents(path)
    assert np.array_equal(loaded, latents)
    assert n_samples == 5000
    assert weights.audio_of_latents(path) == "a" * 64
    bad = [np.zeros((5, 3), np.int32), np.zeros((5, 3), np.float16), np.zeros((0, 3), np.float32), latents[0]]
    for array in bad:
        safetensors.numpy.save_file({"latents": array}, tmp_path / "bad", {"n_samples": "5000"})
        with pytest.raises(ValueError, match=r"latents of [IF]\d\d .* should be F32"):
            weights.load_latents(tmp_path / "bad")
    safetensors.torch.save_file({"latents": torch.zeros(5, 3, dtype=torch.bfloat16)}, tmp_path / "bad")
    with pytest.raises(ValueError, match="latents of BF16"):
        weights.load_latents(tmp_path / "bad")
    for count in ("", "-1", "1.5", "\u0663", "9" * 13):
        safetensors.numpy.save_file({"latents": latents}, tmp_path / "bad", {"n_samples": count})
        with pytest.raises(ValueError, match="is not a sample count"):
            weights.load_latents(tmp_path / "bad")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a file"):
        weights.load_latents(tmp_path / "pipe")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="promises"):
        weights.load_latents(path)
    with pytest.raises(ValueError, match="should be finite"):
        weights.save_latents(path, latents * np.nan, "a" * 64, 5000)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    layer = nn.Linear(3, 2)
    state = {name: tensor.detach().clone() for name, tensor in layer.state_dict().items()}
    state["weight"][1, 2] = value
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="weight holds values that are not finite"):
        weights.load_weights(layer, tmp_path / "w.safetensors")
