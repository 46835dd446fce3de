"""Low-rank adapters (LoRA, https://arxiv.org/abs/2106.09685): small files that change how a model composes or sounds.

    my-style/
        adapter.json    what it was trained on: SHA-256 of each model's weights
        planner/        how it composes  } each may be missing; each is a folder in PEFT's format: adapter_config.json
        renderer/       how it sounds    } and adapter_model.safetensors, which `peft` loads onto the same module

An adapted model is a new module that shares every weight with the one it was made from, which stays as it is: any
number of requests may run with different adapters on one model at the same time.

Shapes: I and O width in and out of a linear layer, r rank.
"""

import copy
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hybridgen import hub
from hybridgen.files import atomic_write, expand_user, read_json, sha256, write_json
from hybridgen.history import AdapterRecord
from hybridgen.hub import HubId
from hybridgen.weights import check_header

STAGES = ("planner", "renderer")
FORMAT = 1
MAX_STRENGTH = 4.0
CONFIG_FILE, WEIGHTS_FILE, FACTS_FILE = "adapter_config.json", "adapter_model.safetensors", "adapter.json"
_PREFIX = "base_model.model."  # of PEFT's names
_SPEC = re.compile(r"(?P<path>.+?)(?::(?!\d+-\d+$)(?P<strength>[-+.\w]+))?(?::(?P<first>\d+)-(?P<last>\d+))?")
MAX_ALPHA, MAX_RANK = 1e6, 4096
_READ = frozenset({"peft_type", "r", "lora_alpha", "use_rslora", "bias"})  # keys of PEFT's config that are read
_SPENT = frozenset(  # those that said how the adapter was trained, and which layers it has: its weights show that
    [
        *("base_model_name_or_path", "auto_mapping", "task_type", "inference_mode", "revision", "peft_version"),
        *("lora_dropout", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
        *("init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "megatron_config"),
        *("megatron_core", "qalora_group_size", "ensure_weight_tying", "fan_in_fan_out"),
    ]
)  # fan_in_fan_out: of layers that are not linear, which are refused


# ---- which adapter


@dataclass(frozen=True)
class Adapter:
    """The adapter in a folder, or of a Hub id, at a strength (0 none, 1 as trained), in all bars or in some."""

    path: str | Path
    strength: float = 1.0
    bars: tuple[int, int] | None = None  # first and last, from 1, both included

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= MAX_STRENGTH:  # also refuses NaN
            raise ValueError(f"adapter {self.path}: strength {self.strength:g} is outside 0-{MAX_STRENGTH:g}")
        if self.bars is not None and not 1 <= self.bars[0] <= self.bars[1]:
            raise ValueError(f"adapter {self.path}: bars {self.bars[0]}-{self.bars[1]} do not ascend from 1")

    @classmethod
    def parse(cls, text: str) -> "Adapter":
        """The adapter in words: "my-style", "my-style:0.8", "my-style:0.8:9-16" or "my-style:9-16"."""
        match = _SPEC.fullmatch(text)
        strength = match and match["strength"]
        try:
            number = 1.0 if strength is None else float(strength)
        except ValueError:
            match = None
        if match is None:
            raise ValueError(f"adapter {text!r} should read FOLDER, FOLDER:STRENGTH or FOLDER:STRENGTH:FIRST-LAST")
        bars = None if match["first"] is None else (int(match["first"]), int(match["last"]))
        return cls(match["path"], number, bars)

    def __str__(self) -> str:
        return f"{self.path}:{self.strength:g}" + (f":{self.bars[0]}-{self.bars[1]}" if self.bars else "")


# ---- what an adapter is


class Pair(nn.Module):
    """The low-rank difference of one linear layer, with PEFT's names."""

    def __init__(self, n_in: int, n_out: int, rank: int):
        super().__init__()
        self.lora_A = nn.Linear(n_in, rank, bias=False)
        self.lora_B = nn.Linear(rank, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., I) -> (..., O)."""
        return self.lora_B(self.lora_A(x))


class LoRA(nn.Module):
    """All pairs of one model; its parameters are what an adapter trains. Each pair adds alpha / rank of its output."""

    def __init__(self, shapes: Mapping[str, tuple[int, int]], rank: int, alpha: float):
        """shapes: (I, O) of each layer by its name in the model."""
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank {rank} must be at least 1")
        self.rank, self.alpha = rank, alpha
        self.layers = nn.ModuleDict({_key(name): Pair(*shape, rank) for name, shape in shapes.items()})

    @property
    def pairs(self) -> dict[str, Pair]:
        """Name of a layer in the model -> its pair."""
        return {name[1:].replace("/", "."): cast(Pair, pair) for name, pair in self.layers.items()}


def _key(name: str) -> str:
    return "/" + name.replace(".", "/")  # a module's name may hold no dot, nor be that of one of its attributes


def create(model: nn.Module, targets: Sequence[str], rank: int, alpha: float, rng: torch.Generator) -> LoRA:
    """A LoRA that changes nothing yet, for the linear layers whose names end in one of `targets`.

    ValueError for a target that no linear layer has.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: module for name, module in layers.items() if any(_ends_in(name, target) for target in targets)}
    for target in targets:
        if not any(_ends_in(name, target) for name in layers):
            raise ValueError(f"targets: no linear layer is named {target!r}, layers are {_kinds(layers)}")
    lora = LoRA({name: (layer.in_features, layer.out_features) for name, layer in chosen.items()}, rank, alpha)
    for pair in lora.pairs.values():
        nn.init.kaiming_uniform_(pair.lora_A.weight, a=math.sqrt(5), generator=rng)
        nn.init.zeros_(pair.lora_B.weight)
    return lora


def _ends_in(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _kinds(names: Iterable[str]) -> list[str]:
    return sorted({name.rsplit(".", 1)[-1] for name in names})


# ---- using it


class Adapted(nn.Module):
    """A linear layer and what adapters add to it."""

    def __init__(self, base: nn.Linear, added: Sequence[tuple[Pair, float]]):
        super().__init__()
        self.base = base
        self.pairs = nn.ModuleList(pair for pair, _ in added)
        self.scales = tuple(scale for _, scale in added)

    @property
    def weight(self) -> Tensor:
        """The layer's own (O, I): for those who ask for its device or shape."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (..., I) -> (..., O)."""
        y = self.base(x)
        for pair, scale in zip(self.pairs, self.scales, strict=True):
            y = y + scale * pair(x)
        return y


def adapt(model: nn.Module, loras: Sequence[tuple[LoRA, float]]) -> nn.Module:
    """A model with every LoRA at its strength; `model` itself is untouched and shares its weights with it.

    Strength 0 leaves a layer out: without any other, `model` itself is what comes back. ValueError for a LoRA whose
    layers are not those of the model.
    """
    loras = [(lora, strength) for lora, strength in loras if strength != 0]
    if not loras:
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    adapted = copy.deepcopy(model, shared)  # the memo holds every weight: only the modules around them are new
    added: dict[str, list[tuple[Pair, float]]] = {}
    for lora, strength in loras:
        for name, pair in lora.pairs.items():
            added.setdefault(name, []).append((pair, strength * lora.alpha / lora.rank))
    modules = dict(adapted.named_modules())
    for name, pairs in added.items():
        layer = _check_layer(name, modules.get(name), [pair for pair, _ in pairs])
        parent, _, own = name.rpartition(".")
        setattr(modules[parent], own, Adapted(layer, pairs))
    return adapted


def _check_layer(name: str, layer: nn.Module | None, pairs: Sequence[Pair]) -> nn.Linear:
    """The linear layer; ValueError where it is not one or has other widths than the pairs."""
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"adapter layer {name!r} is not a linear layer of the model")
    for pair in pairs:
        own, shape = (pair.lora_A.in_features, pair.lora_B.out_features), (layer.in_features, layer.out_features)
        if own != shape:
            raise ValueError(f"adapter layer {name!r} has widths {own}, the model's {shape}")
    return layer


# ---- on disk


def save_lora(lora: LoRA, folder: Path, base: str) -> None:
    """Writes a LoRA as PEFT does; base: the model that it was trained on, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{_PREFIX}{name}.{part}.weight": getattr(pair, part).weight.detach().cpu().contiguous()
        for name, pair in lora.pairs.items()
        for part in ("lora_A", "lora_B")
    }
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "task_type": None,
        "inference_mode": True,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(lora.pairs),
    }
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, {"format": "pt"}))
    write_json(folder / CONFIG_FILE, settings)


def load_lora(folder: Path) -> LoRA:
    """A LoRA in PEFT's format; ValueError for what is none, or does what is not done here (DoRA, biases and so on)."""
    path, settings = folder / CONFIG_FILE, read_json(folder / CONFIG_FILE)
    if settings.get("peft_type", "LORA") != "LORA" or settings.get("bias", "none") != "none":
        kind, bias = (str(settings.get(key))[:60] for key in ("peft_type", "bias"))
        raise ValueError(f"{path}: peft_type {kind} with bias {bias} is not known here, only LORA with none")
    for key in settings.keys() - _READ - _SPENT:
        if settings[key] not in (None, False, [], {}):
            raise ValueError(f"{path}: {key[:60]} {str(settings[key])[:60]!r} is not known here, only an empty one")
    rank, alpha, is_root = settings.get("r"), settings.get("lora_alpha"), settings.get("use_rslora") or False
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise ValueError(f"{path}: r {str(rank)[:60]} should be a whole number from 1 to {MAX_RANK}")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha <= MAX_ALPHA:
        raise ValueError(f"{path}: lora_alpha {str(alpha)[:60]} should be a number over 0, to {MAX_ALPHA:g}")
    if not isinstance(is_root, bool):
        raise ValueError(f"{path}: use_rslora {str(is_root)[:60]!r} should be true or false")
    alpha *= rank**0.5 if is_root else 1  # https://arxiv.org/abs/2312.03732: scaled by alpha / sqrt(rank)
    tensors = _read_tensors(folder / WEIGHTS_FILE)
    shapes = _shapes(folder / WEIGHTS_FILE, tensors, rank)
    lora = LoRA(shapes, rank, alpha)
    with torch.no_grad():
        for name, pair in lora.pairs.items():
            pair.lora_A.weight.copy_(tensors[f"{_PREFIX}{name}.lora_A.weight"])
            pair.lora_B.weight.copy_(tensors[f"{_PREFIX}{name}.lora_B.weight"])
    return lora.requires_grad_(False).eval()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    check_header(path)
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file: {error}") from None


def _shapes(path: Path, tensors: Mapping[str, Tensor], rank: int) -> dict[str, tuple[int, int]]:
    """(I, O) of each layer; ValueError unless the file holds whole pairs of this rank and nothing else."""
    pattern = re.compile(re.escape(_PREFIX) + r"([\w.]{1,200})\.lora_[AB]\.weight")
    names = set()
    for key in tensors or ("nothing",):
        match = pattern.fullmatch(key)
        if match is None:
            raise ValueError(f"{path}: holds {key[:200]!r}, which is not part of a LoRA")
        names.add(match[1])
    shapes = {}
    for name in sorted(names):
        a, b = (tensors.get(f"{_PREFIX}{name}.lora_{part}.weight") for part in "AB")
        if a is None or b is None or a.dim() != 2 or b.dim() != 2 or len(a) != rank or b.shape[1] != rank:
            raise ValueError(f"{path}: {name} is not a pair of rank {rank}")
        if not (a.isfinite().all() and b.isfinite().all()):
            raise ValueError(f"{path}: {name} holds values that are not finite")
        shapes[name] = (a.shape[1], len(b))
    return shapes


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in memory, with a LoRA for each stage that it changes."""

    adapter: Adapter  # which, how strong, and where
    loras: dict[str, LoRA]  # stage -> LoRA
    base: dict[str, str]  # stage -> SHA-256 of the weights that it was trained on
    sha256: dict[str, str]  # stage -> SHA-256 of its own weights

    def record(self) -> AdapterRecord:
        """What a manifest says of it."""
        return AdapterRecord(str(self.adapter.path), self.adapter.strength, self.sha256)

    def everywhere(self) -> "LoadedAdapter":
        """The same adapter in all bars."""
        return replace(self, adapter=replace(self.adapter, bars=None))


def save(folder: str | Path, loras: Mapping[str, LoRA], base: Mapping[str, str], model: str, training: Any) -> Path:
    """Writes an adapter's folder: base holds the SHA-256 of the weights of each stage, `training` any plain facts."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stage, lora in loras.items():
        save_lora(lora, folder / stage, f"{model} {stage}")
    facts = {
        "format": FORMAT,
        "model": model,
        "base": {stage: base[stage] for stage in loras},
        "sha256": {stage: sha256(folder / stage / WEIGHTS_FILE) for stage in loras},
        "training": training,
    }
    write_json(folder / FACTS_FILE, facts)
    return folder


def load(
    adapter: Adapter,
    device: str | torch.device = "cpu",
    model: Callable[[str], nn.Module] | None = None,
    fetches: bool = False,
) -> LoadedAdapter:
    """The adapter in a folder; ValueError, in one line, for a folder without a complete one.

    model: the module of a stage, asked for where PEFT alone wrote the folder: it does not say which model it is for.
    fetches: whether a path that is no folder may be a Hub id, whose commit is then part of the adapter's path.
    """
    folder = expand_user(adapter.path)
    if not folder.is_dir() and (wanted := HubId.parse(str(adapter.path))) is not None:
        if not fetches:
            raise ValueError(f"adapter {str(adapter.path)!r} may be one of the Hub: name it with --adapter")
        fetched = hub.fetch(wanted, "adapter")
        folder, adapter = fetched.folder, replace(adapter, path=str(fetched.id))
    if model is not None and not (folder / FACTS_FILE).is_file() and (found := _load_peft(folder, model)):
        own = {stage: sha256(place / WEIGHTS_FILE) for stage, (place, _) in found.items()}
        return LoadedAdapter(adapter, {stage: lora.to(device) for stage, (_, lora) in found.items()}, {}, own)
    if not (folder / FACTS_FILE).is_file():
        what = f"contains neither {FACTS_FILE} nor {CONFIG_FILE}" if folder.is_dir() else "is not a folder"
        raise ValueError(f"adapter {str(adapter.path)!r} {what}; make one with: hybridgen finetune SONGS -o my-style")
    facts = read_json(folder / FACTS_FILE)
    if facts.get("format") != FORMAT:
        raise ValueError(f"{folder / FACTS_FILE}: format {facts.get('format')!r} is not {FORMAT}, the one known here")
    base, own = (_hashes(folder / FACTS_FILE, facts, part) for part in ("base", "sha256"))
    if missing := own.keys() - base.keys():
        raise ValueError(
            f"{folder / FACTS_FILE}: base does not say which {', '.join(sorted(missing))} it was trained on"
        )
    for stage, digest in own.items():
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / stage / name).is_file():
                raise ValueError(f"adapter {str(adapter.path)!r} lacks {stage}/{name}")
        actual = sha256(folder / stage / WEIGHTS_FILE)
        if actual != digest:
            raise ValueError(f"{folder / stage / WEIGHTS_FILE}: its SHA-256 is {actual}, {FACTS_FILE} says {digest}")
    loras = {stage: load_lora(folder / stage).to(device) for stage in own}
    return LoadedAdapter(adapter, loras, base, own)


def _load_peft(folder: Path, model: Callable[[str], nn.Module]) -> dict[str, tuple[Path, LoRA]]:
    """Stage -> place and LoRA of what PEFT wrote into a folder, or into one for each stage; none where it did not."""
    places = {stage: folder / stage for stage in STAGES if (folder / stage / CONFIG_FILE).is_file()}
    if places:
        return {stage: (place, load_lora(place)) for stage, place in places.items()}
    if not (folder / CONFIG_FILE).is_file():
        return {}
    lora = load_lora(folder)
    return {_stage_of(lora, folder, model): (folder, lora)}


def _stage_of(lora: LoRA, folder: Path, model: Callable[[str], nn.Module]) -> str:
    """The stage whose linear layers have the names and widths of the pairs; ValueError where none has, or both have."""
    found = [stage for stage in STAGES if _fits(lora, model(stage))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(list(lora.pairs)[:3])
    if not found:
        raise ValueError(f"{folder}: its layers ({names} ...) are not those of the model's {' or '.join(STAGES)}")
    both = " and in ".join(found)
    raise ValueError(f"{folder}: its layers ({names} ...) are in {both}; put it into a folder of that name")


def _fits(lora: LoRA, module: nn.Module) -> bool:
    layers = {name: one for name, one in module.named_modules() if isinstance(one, nn.Linear)}
    widths = {name: (layer.in_features, layer.out_features) for name, layer in layers.items()}
    pairs = lora.pairs.items()
    return all(widths.get(name) == (pair.lora_A.in_features, pair.lora_B.out_features) for name, pair in pairs)


def find(
    record: AdapterRecord,
    folders: Sequence[str | Path] = (),
    device: str | torch.device = "cpu",
    model: Callable[[str], nn.Module] | None = None,
) -> LoadedAdapter:
    """The adapter of a record in one of `folders` or at its recorded path; ValueError if it is in none of them.

    Only what the user names, `folders`, may be fetched from the Hub. model: as in `load`.
    """
    places, others = [*folders, *(() if record.path in map(str, folders) else (record.path,))], []
    for place in places:
        try:
            loaded = load(Adapter(place, record.strength), device, model, fetches=place in folders)
        except (OSError, ValueError) as error:
            others.append(str(error))
            continue
        if loaded.sha256 == record.sha256:
            return replace(loaded, adapter=replace(loaded.adapter, path=record.path))
        others.append(f"another one was found in {place}")
    raise ValueError(f"the file was made with adapter {record.path!r}, but {'; '.join(others)}")


def _hashes(path: Path, facts: Mapping[str, Any], part: str) -> dict[str, str]:
    hashes = facts.get(part)
    if not isinstance(hashes, dict) or not hashes or not set(hashes) <= set(STAGES):
        raise ValueError(f"{path}: {part} {hashes!r} should hold a SHA-256 for some of {', '.join(STAGES)}")
    return {stage: str(digest) for stage, digest in hashes.items()}


def check_base(loaded: LoadedAdapter, model: str, weights: Mapping[str, str]) -> None:
    """ValueError if the adapter was trained on others than these weights (file name -> SHA-256)."""
    for stage in loaded.loras:
        if stage not in loaded.base:
            continue  # it does not say
        here, there = weights.get(f"{stage}.safetensors", "none"), loaded.base[stage]
        if here != there:
            raise ValueError(
                f"adapter {str(loaded.adapter.path)!r} was trained on a {stage} with SHA-256 {there[:12]}..., "
                f"but that of model {model!r} is {here[:12]}..."
            )


def group_by_bars(
    adapters: Iterable[LoadedAdapter],
) -> tuple[list[LoadedAdapter], dict[tuple[int, int], list[LoadedAdapter]]]:
    """The adapters of all bars, and those of some by their bars, in the order in which these were first named.

    ValueError where two ranges overlap and are not the same.
    """
    everywhere: list[LoadedAdapter] = []
    ranges: dict[tuple[int, int], list[LoadedAdapter]] = {}
    for one in adapters:
        bars = one.adapter.bars
        (everywhere if bars is None else ranges.setdefault(bars, [])).append(one)
    for (first, last), (other, end) in itertools.pairwise(sorted(ranges)):
        if other <= last:
            raise ValueError(
                f"adapters: bars {first}-{last} and {other}-{end} overlap; give both the same bars, or bars apart"
            )
    return everywhere, ranges
