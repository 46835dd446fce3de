"""Adapters change what they say and nothing else: strength 0, sums, bars, other requests, other programs' files."""

import copy
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import peft
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridgen import adapters, audio, manifest
from hybridgen.adapters import Adapter, LoRA
from hybridgen.cli import main
from hybridgen.pipeline import Pipeline
from hybridgen.plan.parts import Bar, Section, Tempo
from hybridgen.plan.plan import Plan
from hybridgen.planner import Planner
from hybridgen.track import Track
from tests.conftest import CODE_HOP, LATENT_HOP

TARGETS = ("wq", "wkv", "wo", "w_in", "w_out")
HEADS = tuple(f"heads.{level}" for level in range(4))  # of the planner: random weights before them decide little
PLAN = Plan(
    (Section("verse", (Bar("Am"), Bar("F")) * 4, 4, ("drums", "bass")),),
    (Tempo(1, 120.0),),
    key="A minor",
    instruments={"drums": 0, "bass": 33},
    prompt="a test",
)


def trained(model: nn.Module, seed: int, rank: int = 3) -> LoRA:
    """A LoRA as if it had learned: nothing in it is zero."""
    rng = torch.Generator().manual_seed(seed)
    targets = (*TARGETS, *HEADS) if isinstance(model, Planner) else TARGETS
    lora = adapters.create(model, targets, rank, alpha=2.0 * rank, rng=rng)
    for pair in lora.pairs.values():
        nn.init.normal_(pair.lora_B.weight, std=0.2, generator=rng)
    return lora.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def model(pipe: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipe.save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def saved(model: Path) -> Pipeline:
    """The pipeline of the folder: one whose weights have hashes."""
    return Pipeline.from_pretrained(model)


@pytest.fixture(scope="module")
def folders(saved: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of both stages, of the planner alone, of the renderer alone."""
    place = tmp_path_factory.mktemp("adapters")
    base = {stage: saved.weight_hashes[f"{stage}.safetensors"] for stage in adapters.STAGES}
    stages = {"both": adapters.STAGES, "composes": ("planner",), "sounds": ("renderer",)}
    for seed, (name, chosen) in enumerate(stages.items()):
        loras = {stage: trained(getattr(saved, stage), seed) for stage in chosen}
        adapters.save(place / name, loras, base, "micro", {})
    return {name: place / name for name in stages}


@pytest.fixture(scope="module")
def plain(saved: Pipeline) -> Track:
    return saved.render(PLAN, seed=5)


# ---- the arithmetic


def layer_with(strengths: list[float]) -> tuple[nn.Linear, nn.Module, list[LoRA], torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5))
    loras = [trained_layer(seed) for seed in range(len(strengths))]
    adapted = adapters.adapt(model, list(zip(loras, strengths, strict=True)))
    return model[0], adapted, loras, torch.randn(4, 6)


def trained_layer(seed: int) -> LoRA:
    torch.manual_seed(seed)
    lora = LoRA({"0": (6, 5)}, rank=2, alpha=3.0)
    return lora.requires_grad_(False)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 4), min_size=1, max_size=3))
def test_an_adapted_layer_is_the_layer_with_the_products_added_to_its_weight(strengths: list[float]):
    layer, adapted, loras, x = layer_with(strengths)
    weight = layer.weight.detach().clone()
    for lora, strength in zip(loras, strengths, strict=True):
        pair = lora.pairs["0"]
        weight += strength * 3.0 / 2 * pair.lora_B.weight @ pair.lora_A.weight
    torch.testing.assert_close(adapted(x), nn.functional.linear(x, weight, layer.bias), rtol=1e-5, atol=1e-5)
    reverse = adapters.adapt(nn.Sequential(layer), list(zip(loras, strengths, strict=True))[::-1])
    torch.testing.assert_close(adapted(x), reverse(x), rtol=1e-6, atol=1e-6)


def test_a_new_adapter_changes_nothing_and_strength_0_is_the_model_itself(pipe: Pipeline):
    fresh = adapters.create(pipe.renderer, TARGETS, 4, 4.0, torch.Generator().manual_seed(0))
    assert all(not pair.lora_B.weight.any() for pair in fresh.pairs.values())
    assert all(pair.lora_A.weight.any() for pair in fresh.pairs.values())
    assert adapters.adapt(pipe.renderer, [(trained(pipe.renderer, 0), 0.0)]) is pipe.renderer


def test_an_adapted_model_shares_every_weight_and_leaves_the_model_as_it_was(pipe: Pipeline):
    before = dict(pipe.planner.named_modules())
    adapted = adapters.adapt(pipe.planner, [(trained(pipe.planner, 0), 0.5)])
    assert dict(pipe.planner.named_modules()) == before
    own = {id(parameter) for parameter in pipe.planner.parameters()}
    others = [name for name, parameter in adapted.named_parameters() if id(parameter) not in own]
    assert own <= {id(parameter) for parameter in adapted.parameters()}
    assert others and all(".pairs." in name for name in others)


def test_a_lora_of_other_layers_or_widths_is_refused(pipe: Pipeline):
    with pytest.raises(ValueError, match="'none' is not a linear layer"):
        adapters.adapt(pipe.planner, [(LoRA({"none": (4, 4)}, 2, 2.0), 1.0)])
    with pytest.raises(ValueError, match=r"widths \(4, 4\), the model's \(32, 32\)"):
        adapters.adapt(pipe.planner, [(LoRA({"blocks.0.attention.wq": (4, 4)}, 2, 2.0), 1.0)])
    with pytest.raises(ValueError, match="no linear layer is named 'w_inn'"):
        adapters.create(pipe.planner, ["w_inn"], 2, 2.0, torch.Generator())


# ---- the files


@pytest.mark.parametrize("stage", adapters.STAGES)
def test_peft_loads_the_file_onto_the_same_module(stage: str, saved: Pipeline, folders: dict[str, Path]):
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(getattr(saved, stage)), str(folders["both"] / stage))
    ours = saved.with_adapters([Adapter(folders["both"])])
    for name in adapters.load(Adapter(folders["both"])).loras[stage].pairs:
        wide = theirs.get_base_model().get_submodule(name)
        own = getattr(ours, stage).get_submodule(name)
        x = torch.randn(3, own.base.in_features)
        torch.testing.assert_close(wide(x), own(x), rtol=1e-5, atol=1e-5)
    assert not any("lora" in key for key in getattr(saved, stage).state_dict())


def test_a_file_that_peft_wrote_loads(pipe: Pipeline, tmp_path: Path):
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["wq", "w_out"], init_lora_weights=False)
    theirs = peft.get_peft_model(copy.deepcopy(pipe.planner), config)
    theirs.save_pretrained(str(tmp_path))
    ours = adapters.adapt(pipe.planner, [(adapters.load_lora(tmp_path), 1.0)])
    for name in ("blocks.1.attention.wq", "depth_head.ffn.w_out"):
        x = torch.randn(3, ours.get_submodule(name).base.in_features)
        torch.testing.assert_close(theirs.get_base_model().get_submodule(name)(x), ours.get_submodule(name)(x))


FRESH = """
import sys, numpy
from hybridgen.adapters import Adapter
from hybridgen.pipeline import Pipeline
from hybridgen.plan.plan import Plan
pipe = Pipeline.from_pretrained(sys.argv[1]).with_adapters([Adapter(sys.argv[2], 0.7)])
numpy.save(sys.argv[4], pipe.render(Plan.from_json(open(sys.argv[3]).read()), seed=5).latents)
"""


def test_saved_and_reloaded_in_a_fresh_process_it_is_the_same(
    model: Path, saved: Pipeline, folders: dict[str, Path], tmp_path: Path
):
    track = saved.with_adapters([Adapter(folders["both"], 0.7)]).render(PLAN, seed=5)
    (tmp_path / "plan.json").write_text(PLAN.to_json())
    places = [str(model), str(folders["both"]), str(tmp_path / "plan.json"), str(tmp_path / "latents.npy")]
    subprocess.run([sys.executable, "-c", FRESH, *places], check=True)
    assert np.abs(np.load(tmp_path / "latents.npy") - track.latents).max() < 1e-5


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("use_dora", True),
            ("bias", "all"),
            ("peft_type", "LOHA"),
            ("rank_pattern", {"wq": 9}),
            ("use_qalora", True),
        ),
        *(("arrow_config", {"top_k": 3}), ("layer_replication", [[0, 4]]), ("anything_new", 1)),
    ],
)
def test_what_is_not_done_here_is_refused(key: str, value: object, folders: dict[str, Path], tmp_path: Path):
    folder = copied(folders["composes"] / "planner", tmp_path / "planner")
    settings_file = folder / adapters.CONFIG_FILE
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=f"{key} .* is not known here"):
        adapters.load_lora(folder)


def test_a_corrupt_or_foreign_folder_is_one_line(folders: dict[str, Path], tmp_path: Path):
    with pytest.raises(ValueError, match="is not a folder; make one with: hybridgen finetune"):
        adapters.load(Adapter(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"contains neither adapter\.json nor adapter_config\.json"):
        adapters.load(Adapter(tmp_path))
    folder = copied(folders["sounds"], tmp_path / "corrupt")
    weights = folder / "renderer" / adapters.WEIGHTS_FILE
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match=r"its SHA-256 is .*, adapter\.json says") as error:
        adapters.load(Adapter(folder))
    assert "\n" not in str(error.value)
    weights.unlink()
    with pytest.raises(ValueError, match=r"lacks renderer/adapter_model\.safetensors"):
        adapters.load(Adapter(folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("lora_alpha", value) for value in (float("nan"), float("inf"), 10**400, -1, 0, 1e7, "8", None, True)),
        *(("r", value) for value in (0, -1, 10**400, 2.0, None, True, 5000)),
        ("use_rslora", 1),
    ],
)
def test_numbers_out_of_range_are_named(key: str, value: object, folders: dict[str, Path], tmp_path: Path):
    folder = copied(folders["composes"] / "planner", tmp_path / "planner")
    settings_file = folder / adapters.CONFIG_FILE
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=f"{key} .* should be"):
        adapters.load_lora(folder)


@pytest.mark.parametrize("name", ["__class__", "keys", "a/b", "", "x" * 300])
def test_names_of_no_layer_are_refused(name: str, folders: dict[str, Path], tmp_path: Path, pipe: Pipeline):
    folder = copied(folders["composes"] / "planner", tmp_path / "planner")
    tensors = safetensors.torch.load_file(folder / adapters.WEIGHTS_FILE)
    pair = {part: next(t for key, t in tensors.items() if f".lora_{part}." in key) for part in "AB"}
    named = {f"base_model.model.{name}.lora_{part}.weight": tensor for part, tensor in pair.items()}
    safetensors.torch.save_file(named, folder / adapters.WEIGHTS_FILE)
    with pytest.raises(ValueError, match=r"not part of a LoRA|not a pair|not a linear layer"):
        adapters.adapt(pipe.planner, [(adapters.load_lora(folder), 1.0)])


@pytest.mark.parametrize("stage", adapters.STAGES)
@pytest.mark.parametrize("is_root", [False, True])
def test_a_folder_that_peft_wrote_is_an_adapter(saved: Pipeline, stage: str, is_root: bool, tmp_path: Path):
    layers = {"planner": ["wq", "depth_head.ffn.w_out"], "renderer": ["cross.wq", "w_out"]}[stage]
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=layers, init_lora_weights=False, use_rslora=is_root)
    theirs = peft.get_peft_model(copy.deepcopy(getattr(saved, stage)), config)
    theirs.save_pretrained(str(tmp_path))
    with pytest.warns(UserWarning, match="does not say which model it was trained on"):
        ours = saved.with_adapters([Adapter(tmp_path)])
    [loaded] = ours.adapters
    assert list(loaded.loras) == [stage]
    for name in loaded.loras[stage].pairs:
        own = getattr(ours, stage).get_submodule(name)
        x = torch.randn(3, own.base.in_features)
        torch.testing.assert_close(theirs.get_base_model().get_submodule(name)(x), own(x))
    track = ours.render(PLAN, seed=5)
    assert np.array_equal(saved.replay(track.manifest).samples, track.samples)


def test_where_both_stages_have_the_layers_the_name_of_the_folder_says_which(saved: Pipeline, tmp_path: Path):
    config = peft.LoraConfig(r=2, target_modules=["ffn.w_out"])
    peft.get_peft_model(copy.deepcopy(saved.renderer), config).save_pretrained(str(tmp_path / "style"))
    with pytest.raises(ValueError, match="are in planner and in renderer; put it into a folder of that name"):
        saved.with_adapters([Adapter(tmp_path / "style")])
    (tmp_path / "style").rename(tmp_path / "renderer")
    with pytest.warns(UserWarning, match="does not say"):
        [loaded] = saved.with_adapters([Adapter(tmp_path)]).adapters
    assert list(loaded.loras) == ["renderer"]


def test_a_folder_that_peft_wrote_for_another_model_is_refused(saved: Pipeline, tmp_path: Path):
    other = torch.nn.Sequential(torch.nn.Linear(4, 4))
    peft.get_peft_model(other, peft.LoraConfig(r=2, target_modules=["0"])).save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match=r"its layers \(0 ...\) are not those of the model's planner or renderer"):
        saved.with_adapters([Adapter(tmp_path)])


def test_facts_that_do_not_say_which_weights_a_stage_was_trained_on_are_refused(
    folders: dict[str, Path], tmp_path: Path
):
    folder = copied(folders["composes"], tmp_path / "style")
    facts = json.loads((folder / adapters.FACTS_FILE).read_text())
    (folder / adapters.FACTS_FILE).write_text(json.dumps(facts | {"base": {"renderer": "0" * 64}}))
    with pytest.raises(ValueError, match="base does not say which planner it was trained on"):
        adapters.load(Adapter(folder))


def test_half_a_pair_or_no_number_is_refused(folders: dict[str, Path], tmp_path: Path):
    folder = copied(folders["composes"] / "planner", tmp_path / "planner")
    path = folder / adapters.WEIGHTS_FILE
    tensors = safetensors.torch.load_file(path)
    name = "base_model.model.blocks.0.attention.wq.lora_B.weight"
    safetensors.torch.save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(ValueError, match=r"blocks\.0\.attention\.wq is not a pair of rank 3"):
        adapters.load_lora(folder)
    safetensors.torch.save_file(tensors | {name: tensors[name] * float("nan")}, path)
    with pytest.raises(ValueError, match="not finite"):
        adapters.load_lora(folder)
    safetensors.torch.save_file(tensors | {"odd": torch.ones(1)}, path)
    with pytest.raises(ValueError, match="holds 'odd'"):
        adapters.load_lora(folder)


def test_an_adapter_of_other_weights_is_refused(folders: dict[str, Path], saved: Pipeline, pipe: Pipeline):
    other = Pipeline(saved.config, "another")
    other.weight_hashes = saved.weight_hashes | {"planner.safetensors": "0" * 64}
    with pytest.raises(ValueError, match=r"trained on a planner with SHA-256 .*'another' is 000000000000") as error:
        other.with_adapters([Adapter(folders["both"])])
    assert "\n" not in str(error.value)
    assert other.with_adapters([Adapter(folders["sounds"])]).adapters  # its renderer is the right one
    with pytest.raises(ValueError, match="cannot be saved with a model"):
        saved.with_adapters([Adapter(folders["both"])]).save_pretrained("anywhere")


# ---- the request


paths = st.text(st.characters(exclude_characters="\x00\n\r", codec="ascii"), min_size=1).filter(lambda t: ":" not in t)


@settings(max_examples=50, deadline=None)
@given(paths, st.floats(0, 4), st.none() | st.tuples(st.integers(1, 99), st.integers(0, 99)))
def test_an_adapter_in_words_reads_back(path: str, strength: float, bars: tuple[int, int] | None):
    adapter = Adapter(path, float(f"{strength:g}"), bars and (bars[0], bars[0] + bars[1]))
    assert Adapter.parse(str(adapter)) == adapter


def test_words_may_leave_out_what_they_like():
    assert Adapter.parse("my-style") == Adapter("my-style", 1.0, None)
    assert Adapter.parse("a/b:9-16") == Adapter("a/b", 1.0, (9, 16))
    assert Adapter.parse("C:\\styles\\mine:0.5:1-2") == Adapter("C:\\styles\\mine", 0.5, (1, 2))
    for text, words in [
        ("x:loud", "should read"),
        ("x:9", "strength 9"),
        ("x:nan", "strength nan"),
        ("x:1:4-2", "4-2"),
    ]:
        with pytest.raises(ValueError, match=words):
            Adapter.parse(text)


# ---- in a pipeline


def test_strength_0_is_the_base_bit_for_bit(saved: Pipeline, folders: dict[str, Path], plain: Track):
    chosen = [Adapter(folders["both"], 0.0), Adapter(folders["sounds"], 0.0, (3, 4))]
    track = saved.with_adapters(chosen).render(PLAN, seed=5)
    assert np.array_equal(track.samples, plain.samples)
    assert np.array_equal(track.latents, plain.latents)
    assert track.plan == plain.plan
    assert track.manifest == plain.manifest


def test_each_stage_changes_its_own(saved: Pipeline, folders: dict[str, Path], plain: Track):
    composed = saved.with_adapters([Adapter(folders["composes"])]).render(PLAN, seed=5)
    assert composed.plan.codes != plain.plan.codes
    sounded = saved.with_adapters([Adapter(folders["sounds"])]).render(PLAN, seed=5)
    assert sounded.plan == plain.plan
    assert not np.array_equal(sounded.latents, plain.latents)


def test_two_adapters_commute_within_rounding(saved: Pipeline, folders: dict[str, Path], plain: Track):
    both = [Adapter(folders["both"], 0.6), Adapter(folders["sounds"], 0.3)]
    one = saved.with_adapters(both).render(plain.plan, seed=5)
    other = saved.with_adapters(both[::-1]).render(plain.plan, seed=5)
    assert np.abs(one.latents - other.latents).max() < 1e-4
    alone = saved.with_adapters(both[:1]).render(plain.plan, seed=5)
    assert np.abs(one.latents - alone.latents).max() > 1e-2


@pytest.mark.parametrize("name", ["both", "composes", "sounds"])
def test_an_adapter_with_bars_changes_only_these_bars(
    name: str, saved: Pipeline, folders: dict[str, Path], plain: Track
):
    track = saved.with_adapters([Adapter(folders[name], 0.8, (3, 4))]).render(PLAN, seed=5)
    start, stop = PLAN.frames_of(PLAN.span((3, 4)), LATENT_HOP)
    outside = np.ones(PLAN.n_frames, dtype=bool)
    outside[start:stop] = False
    assert np.array_equal(track.latents[outside], plain.latents[outside])
    assert (track.latents[~outside] != plain.latents[~outside]).any(axis=1).all()
    reach = saved.codec.reach * LATENT_HOP + audio.LIMITER_REACH
    assert np.array_equal(
        track.samples[:, : start * LATENT_HOP - reach], plain.samples[:, : start * LATENT_HOP - reach]
    )
    assert np.array_equal(track.samples[:, stop * LATENT_HOP + reach :], plain.samples[:, stop * LATENT_HOP + reach :])
    first, last = PLAN.frames_of(PLAN.span((3, 4)), CODE_HOP)
    codes, before = np.array(track.plan.codes), np.array(plain.plan.codes)
    assert np.array_equal(np.delete(codes, np.s_[first:last], 1), np.delete(before, np.s_[first:last], 1))
    assert np.array_equal(codes, before) is (name == "sounds")
    assert [operation.OP for operation in track.manifest.operations] == ["render", "change"]


def test_bars_stack_on_what_holds_everywhere_and_replay(
    saved: Pipeline, folders: dict[str, Path], tmp_path: Path, plain: Track
):
    whole, part = Adapter(folders["both"], 0.5), Adapter(folders["sounds"], 1.0, (5, 6))
    track = saved.with_adapters([whole, part]).render(PLAN, seed=5)
    alone = saved.with_adapters([whole]).render(PLAN, seed=5)
    start, stop = PLAN.frames_of(PLAN.span((5, 6)), LATENT_HOP)
    assert np.array_equal(track.latents[:start], alone.latents[:start])
    assert np.array_equal(track.latents[stop:], alone.latents[stop:])
    assert not np.array_equal(alone.latents, plain.latents)
    record = manifest.Manifest.from_json(track.manifest.to_json())
    paths = [[one.path for one in operation.adapters] for operation in record.operations]
    assert paths == [[str(folders["both"])], [str(folders["both"]), str(folders["sounds"])]]
    again = saved.replay(record)
    assert np.array_equal(again.samples, track.samples)
    assert again.manifest == track.manifest
    moved = copied(folders["both"], tmp_path / "moved")
    record = manifest.Manifest.from_json(record.to_json().replace(str(folders["both"]), "gone"))
    with pytest.raises(ValueError, match=r"another one was found in .*composes; adapter 'gone' is not a folder"):
        saved.replay(record, adapter_folders=[folders["composes"]])
    for named in ([moved, folders["sounds"]], [folders["composes"], moved], [tmp_path / "none", moved]):
        again = saved.replay(record, adapter_folders=named)  # the other lies where it was
        assert np.array_equal(again.samples, track.samples)


def test_ranges_that_cannot_be_are_refused(saved: Pipeline, folders: dict[str, Path], plain: Track):
    part = Adapter(folders["sounds"], 1.0, (5, 6))
    with pytest.raises(ValueError, match="bars 5-6 and 6-7 overlap"):
        saved.with_adapters([part, replace(part, bars=(6, 7))])
    with pytest.raises(ValueError, match="bars 7-9 are not inside"):
        saved.with_adapters([replace(part, bars=(7, 9))]).render(PLAN)
    with pytest.raises(ValueError, match="a stream plays as it is rendered"):
        next(saved.with_adapters([part]).render_blocks(PLAN))
    with pytest.raises(ValueError, match="a change makes some of a track anew"):
        saved.with_adapters([part]).repaint(plain, PLAN, (1, 2))


def test_requests_with_different_adapters_run_at_the_same_time(saved: Pipeline, folders: dict[str, Path]):
    requests = [[], [Adapter(folders["both"])], [Adapter(folders["sounds"], 0.5)], [Adapter(folders["composes"])]]
    alone = [saved.with_adapters(chosen).generate("x", seconds=2, seed=1).latents for chosen in requests]
    together: dict[int, np.ndarray] = {}

    def serve(i: int) -> None:
        for _ in range(3):
            together[i] = saved.with_adapters(requests[i]).generate("x", seconds=2, seed=1).latents

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(together[i], alone[i]) for i in range(len(requests)))
    assert len({latents.tobytes() for latents in alone}) == len(requests)


def test_the_command_line_plays_edits_and_replays_with_adapters(
    model: Path,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    monkeypatch.chdir(tmp_path)
    own = ("--model", str(model))
    adapter_options = ("--adapter", f"{folders['both']}:0.8", "--adapter", f"{folders['sounds']}:0.5:3-4")
    made = main(["generate", "jazz", "--bars", "6", "--seed", "3", *adapter_options, *own, "-o", "t.flac"])
    assert made == 0
    assert main(["repaint", "t.flac", "--bars", "5-5", "--energy", "7", *own, "-o", "new.flac"]) == 0
    assert "without --adapter its new bars are not" in capsys.readouterr().err
    for others in (["loop", "t.flac", "--bars", "1-2"], ["cover", "t.flac", "solo piano"]):
        assert main([*others, *own, "-o", "other.flac"]) == 0
        assert capsys.readouterr().err.count("without --adapter its new bars are not") == 1
    assert main(["replay", "new.flac", *own, "-o", "again.flac"]) == 0
    assert Path("again.flac").read_bytes() == Path("new.flac").read_bytes()
    assert main(["inspect", "new.flac"]) == 0
    shown = capsys.readouterr().out
    assert "change of bars 3-4" in shown and f"adapter {folders['sounds']} at strength 0.5" in shown
    assert main(["info", *own, "--adapter", str(folders["both"])]) == 0
    assert "layers, rank 3" in capsys.readouterr().out
    assert main(["plan", "x", *own, *adapter_options, "-o", "plan.json"]) == 2
    assert "a score is written as a whole" in capsys.readouterr().err
    assert main(["generate", "x", *own, "--adapter", "nothing:0.8", "-o", "u.flac"]) == 2
    error = capsys.readouterr().err.strip()
    assert error == "hybridgen: adapter 'nothing' is not a folder; make one with: hybridgen finetune SONGS -o my-style"
