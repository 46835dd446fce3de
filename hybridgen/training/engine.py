"""One engine under every training loop: plain PyTorch in one process, or DeepSpeed in as many as there are.

A loss is given in shares: what `backward` is handed, summed over all micro-batches of all ranks, is the loss. So the
number of ranks and micro-batches changes rounding and nothing else: whoever takes a mean divides by the weight of the
global batch (`Engine.all_reduce`), never by that of its own rows.

Weights, their average and Adam's moments leave and enter the engine whole, in fp32 and by name (`tensors`, `load`);
what ZeRO stage cut them into how many parts is forgotten between. A run may so change both at any checkpoint.
"""

import copy
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hybridgen.training import distributed
from hybridgen.training.ema import MOMENTS, AveragingAdamW

Tensors = dict[str, dict[str, Tensor]]  # part -> name -> tensor


@dataclass(frozen=True)
class EngineConfig:
    """How a model is trained, whatever it is; none of it changes what is learned but for rounding."""

    device: str  # "cpu" or "cuda"
    threads: int  # CPU threads of a process
    bfloat16: bool  # matrix products in bfloat16: faster where the hardware has it, 12 times slower elsewhere
    micro_batches: int  # parts of its rows that a rank runs one after the other, to need less memory
    recompute: bool  # activation checkpointing: layers run forward again in the backward pass, to need less memory
    deepspeed: str | None  # JSON file, see configs/deepspeed; None: plain PyTorch, one process

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is neither cpu nor cuda")
        if self.micro_batches < 1:
            raise ValueError(f"micro_batches {self.micro_batches} must be at least 1")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with a rate that rises, stays, and falls at the end, so that a run can be made longer at any time."""

    learning_rate: float
    warm_up: int  # steps from zero to the full rate
    cool_down: int  # last steps, from the full rate to zero
    weight_decay: float  # of matrices; vectors have none
    clip: float  # largest norm of the gradient
    ema: float  # decay of the averaged weights, a step
    betas: tuple[float, float] = (0.9, 0.95)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 1) of `steps`."""
        rise = min(1.0, step / max(self.warm_up, 1))
        fall = min(1.0, (steps + 1 - step) / max(self.cool_down, 1))
        return self.learning_rate * min(rise, fall)


class Engine:
    """A model that learns: `engine(...)` runs it, `backward` and `step` train it."""

    def __init__(
        self,
        model: nn.Module,
        optim: OptimConfig,
        config: EngineConfig,
        *,
        layers: Iterable[nn.Module] = (),
        max_stage: int = 3,
    ):
        """The model is moved to the engine's device; every rank must give it the same weights.

        layers: what is run forward again with `recompute`. max_stage: a higher ZeRO stage of the file becomes this.
        """
        here = distributed.rank_info()
        self.config, self.rank, self.world_size = config, here.rank, here.world_size
        self.device = here.device(config.device)
        if config.deepspeed is None and self.world_size > 1:
            raise ValueError(f"engine.deepspeed null is for one process, but there are {self.world_size}")
        self._whole = copy.deepcopy(model) if self.rank == 0 else None  # where whole averaged weights go
        frozen = (item for item in model.named_parameters() if self.rank == 0 and not item[1].requires_grad)
        self._frozen = {name: weight.detach().cpu().clone() for name, weight in frozen}  # bf16 rounds those in use
        for layer in layers if config.recompute else ():
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        self.model = model.to(self.device)
        self.optimizer = AveragingAdamW(groups(model, optim.weight_decay), optim.betas, optim.ema)
        self._shares: list[Tensor] = []
        if config.deepspeed is None:
            self._back: _Plain | _DeepSpeed = _Plain(self.model, self.optimizer, optim.clip)
        else:
            settings = read_settings(config, optim.clip, max_stage)
            if settings.get("bf16", {}).get("enabled") and any(x.is_floating_point() for x in model.buffers()):
                raise ValueError(f"engine.deepspeed {config.deepspeed}: bf16 would round this model's buffers; no bf16")
            self._back = _DeepSpeed(self.model, self.optimizer, optim.clip, settings, self.device)
        self.optimizer.prepare(self._back.flat_weights())
        self._back.link()

    # ---- training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward pass, in bfloat16 where the config says so."""
        with self.autocast():
            return self._back.forward(*args, **kwargs)

    def autocast(self) -> AbstractContextManager:
        """Inside, matrix products are made in bfloat16 where the config says so."""
        enabled = self.config.bfloat16 or self._back.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def backward(self, share: Tensor) -> None:
        """Adds the gradient of a share () of the loss; `micro_batches` times between two steps."""
        self._shares.append(share.detach())
        self._back.backward(share, last=len(self._shares) == self.config.micro_batches)

    def step(self, rate: float, apply: bool = True) -> float:
        """Clips the gradient, moves weights and average by a learning rate; returns the norm before clipping.

        With `apply` False, alike on every rank, or where the norm is not finite, the gradient is thrown away.
        """
        assert len(self._shares) == self.config.micro_batches, f"{len(self._shares)} backward passes before a step"
        self._shares.clear()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.n_updates += 1
        self.optimizer.hold = not apply
        norm = self._back.step()
        if not apply or not math.isfinite(norm):
            self.optimizer.n_updates -= 1
        return norm

    # ---- between the ranks

    def all_reduce(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, on each of them."""
        total = value.detach().to(self.device, copy=True)
        if self.world_size > 1:
            dist.all_reduce(total)
        return total

    def any_rank(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank."""
        return bool(self.all_reduce(torch.tensor(float(flag)))) if self.world_size > 1 else flag

    def all_gather(self, rows: Tensor) -> Tensor:
        """Rows (B, ...) of all ranks, one after the other; each rank must have as many."""
        if self.world_size == 1:
            return rows.detach()
        parts = [torch.empty_like(rows) for _ in range(self.world_size)]
        dist.all_gather(parts, rows.detach().contiguous())
        return torch.cat(parts)

    def broadcast(self, value: Tensor) -> Tensor:
        """A tensor of rank 0 on every rank; the others give one of its shape and dtype."""
        value = value.detach().to(self.device, copy=True).contiguous()
        if self.world_size > 1:
            dist.broadcast(value, 0)
        return value

    def broadcast_object(self, value: Any) -> Any:
        """What rank 0 gives, on every rank: anything that JSON can hold."""
        if self.world_size == 1:
            return value
        encoded = torch.tensor(list(json.dumps(value).encode()) if self.rank == 0 else [], dtype=torch.uint8)
        n_bytes = int(self.broadcast(torch.tensor(len(encoded))))
        encoded = self.broadcast(encoded if self.rank == 0 else torch.empty(n_bytes, dtype=torch.uint8))
        return json.loads(bytes(encoded.tolist()))

    def micro_ranks(self) -> list[tuple[int, int]]:
        """For each micro-batch of this rank, which of how many equal parts of the global batch it is."""
        n = self.config.micro_batches
        return [(self.rank * n + i, self.world_size * n) for i in range(n)]

    # ---- whole weights

    def tensors(self) -> Tensors:
        """Weights, their average and moments on the CPU of rank 0, fp32, by name; empty on the others. Collective.

        "model" and "ema" hold buffers and frozen weights too, so that each is a whole state dict.
        """
        parts: Tensors = {part: {} for part in ("model", *MOMENTS)}

        def put(part: str, name: str, value: Tensor) -> None:
            if self.rank == 0:
                parts[part][name] = value.detach().to("cpu", copy=True)

        for name, weight in self._learned():
            for part in parts:
                put(part, name, self._back.read(weight, None if part == "model" else part))
        for name, value in (*self._frozen.items(), *self._buffers()):
            put("model", name, value)
            put("ema", name, value)
        return parts

    def state(self) -> dict[str, Any]:
        """What `load` needs beside the tensors, in numbers that JSON can hold."""
        return {"n_updates": self.optimizer.n_updates}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Puts back what `tensors` and `state` gave, bit for bit, whatever the ranks and the stage then. Collective.

        Only rank 0 needs the tensors. ValueError where names or shapes are not the model's.
        """
        if self.rank == 0:
            self._check(tensors)

        def give(part: str, name: str, like: Tensor, shape: torch.Size) -> Tensor:
            return self.broadcast(tensors[part][name].to(like.dtype) if self.rank == 0 else like.new_empty(shape))

        single = torch.empty((), dtype=torch.float32)
        for name, weight in self.model.named_parameters():
            self._back.write(weight, give("model", name, single, self._back.shape(weight)), None)
        for name in self._frozen:
            self._frozen[name] = tensors["model"][name].to("cpu", copy=True)
        for name, weight in self._learned():
            for moment in MOMENTS:
                self._back.write(weight, give(moment, name, single, self._back.shape(weight)), moment)
        for name, buffer in self._buffers():
            buffer.copy_(give("model", name, buffer, buffer.shape))
        self.optimizer.count(state["n_updates"])

    @contextmanager
    def averaged(self) -> Iterator[nn.Module | None]:
        """The averaged weights in a whole, plain model on the device of rank 0; None on the others. Collective.

        In fp32 and ready to judge, whatever precision the training has.
        """
        average = self._average()
        if self._whole is None:
            yield None
            return
        self._whole.load_state_dict(average)
        self._whole.to(self.device).eval().requires_grad_(False)
        with torch.no_grad():
            yield self._whole
        self._whole.cpu()

    @contextmanager
    def rewriting(self) -> Iterator[nn.Module]:
        """Inside, the model holds its weights whole; what the block changes in them, alike on every rank, stays.

        ValueError for a DeepSpeed file with bf16: there the model's weights are roundings of the ones that count.
        """
        if self._back.bfloat16:
            raise ValueError(f"engine.deepspeed {self.config.deepspeed}: this model's weights are rewritten; no bf16")
        weights = list(self.model.parameters())
        with torch.no_grad(), self._back.whole(weights):
            yield self.model
            after = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, value in zip(weights, after, strict=True):
                self._back.write(weight, value, None)

    def _average(self) -> dict[str, Tensor]:
        average = {}
        for name, weight in self._learned():
            value = self._back.read(weight, "ema")
            if self.rank == 0:
                average[name] = value.to("cpu", copy=True)
        return average | self._frozen | dict(self._buffers())

    def _learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad)

    def _buffers(self) -> Iterator[tuple[str, Tensor]]:
        names = {name for name, _ in self.model.named_parameters()}
        return ((name, value) for name, value in self.model.state_dict().items() if name not in names)

    def _check(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        shapes = {name: self._back.shape(weight) for name, weight in self.model.named_parameters()}
        learned = {name: shapes[name] for name, _ in self._learned()}
        shapes |= {name: buffer.shape for name, buffer in self._buffers()}
        wanted = {"model": shapes, "ema": learned, "exp_avg": learned, "exp_avg_sq": learned}
        for part, names in wanted.items():
            found = tensors.get(part, {})
            for name, shape in names.items():
                if name not in found or found[name].shape != shape:
                    has = tuple(found[name].shape) if name in found else "nothing"
                    raise ValueError(f"checkpoint: {part} {name} is {has}, the model's has shape {tuple(shape)}")
            if unknown := sorted(found.keys() - shapes.keys()):
                raise ValueError(f"checkpoint: {part} has {unknown[:5]}, which the model has not")


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """What learns, as an optimizer's groups: matrices decay, vectors do not."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    matrices, vectors = ([w for w in weights if (w.dim() >= 2) is wanted] for wanted in (True, False))
    both = ({"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0})
    return [group for group in both if group["params"]]


def read_settings(config: EngineConfig, clip: float, max_stage: int) -> dict[str, Any]:
    """DeepSpeed's settings: the file, with what the engine decides filled in; ValueError for what cannot work."""
    path = Path(config.deepspeed)
    if not path.is_file():
        raise ValueError(f"engine.deepspeed {path} is no file")
    settings = json.loads(path.read_text(encoding="utf-8"))
    zero = settings.setdefault("zero_optimization", {"stage": 0})
    zero["stage"] = stage = min(zero["stage"], max_stage)
    bfloat16 = settings.get("bf16", {}).get("enabled", False)
    if bfloat16 and stage < 2:
        raise ValueError(
            f"engine.deepspeed {path}: bf16 needs stage 2 or 3, got {stage}; engine.bfloat16 goes with any"
        )
    if stage < 3:
        zero.pop("offload_param", None)
    return settings | {
        "train_micro_batch_size_per_gpu": 1,  # the scripts cut batches themselves
        "gradient_accumulation_steps": config.micro_batches,
        "gradient_clipping": clip if stage else 0.0,  # in stage 0 the engine clips
        "zero_allow_untested_optimizer": True,  # AdamW with an average is AdamW
        "zero_force_ds_cpu_optimizer": False,  # PyTorch's fused AdamW needs no compiler on the CPU
        "steps_per_print": None,
    }


class _Plain:
    """One process, no DeepSpeed."""

    bfloat16 = False

    def __init__(self, model: nn.Module, optimizer: AveragingAdamW, clip: float):
        self.model, self.optimizer, self.clip = model, optimizer, clip

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    def backward(self, share: Tensor, last: bool) -> None:
        share.backward()

    def step(self) -> float:
        norm = self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def _clip(self) -> float:
        """Clips; whoever had no part in the loss has a gradient of zero, as under ZeRO."""
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        norm = nn.utils.clip_grad_norm_(weights, self.clip)
        self.optimizer.hold |= not norm.isfinite()
        return norm.item()

    def flat_weights(self) -> list[Tensor]:
        """What the optimizer steps."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def link(self) -> None:
        """Called once the moments exist."""

    def shape(self, weight: nn.Parameter) -> torch.Size:
        """Of the whole weight."""
        return weight.shape

    def read(self, weight: nn.Parameter, moment: str | None) -> Tensor:
        """The whole fp32 weight, or one of its moments. Collective."""
        return weight.detach() if moment is None else self.optimizer.state[weight][moment]

    def write(self, weight: nn.Parameter, value: Tensor, moment: str | None) -> None:
        """Puts back what `read` gave; every rank has the value."""
        self.read(weight, moment).copy_(value)

    def whole(self, weights: list[nn.Parameter]) -> AbstractContextManager:
        """Inside, the weights are whole on every rank."""
        return nullcontext()


class _DeepSpeed(_Plain):
    """Any number of processes, any ZeRO stage; stage 0 keeps everything whole and is clipped as plain PyTorch is."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: AveragingAdamW,
        clip: float,
        settings: dict[str, Any],
        device: torch.device,
    ):
        super().__init__(model, optimizer, clip)
        distributed.init(device)
        deepspeed = _import_deepspeed(device)
        model.register_forward_hook(lambda _module, _args, output: _opened(output))
        self.gathered = deepspeed.zero.GatheredParameters
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings)
        self.zero = self.engine.optimizer  # DeepSpeed's wrapper round ours
        self.stage: int = settings["zero_optimization"]["stage"]
        self.bfloat16: bool = settings.get("bf16", {}).get("enabled", False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _closed(self.engine(*args, **kwargs))

    def backward(self, share: Tensor, last: bool) -> None:
        # DeepSpeed means over ranks; shares are to be summed
        self.engine.backward(share * self.engine.world_size, scale_wrt_gas=False)
        if not last:
            self.engine.step()  # counts the micro-batch

    def step(self) -> float:
        if self.stage == 0:
            norm = self._clip()
            self.engine.step()
            return norm
        self.engine.step()
        return float("inf") if self.zero.overflow else float(self.engine.get_global_grad_norm())

    def flat_weights(self) -> list[Tensor]:
        if self.stage == 3:
            return self.zero.fp32_partitioned_groups_flat
        return super().flat_weights()

    def link(self) -> None:
        if self.stage in (1, 2):
            self.zero._lazy_init_hp_params_optimizer_state()

    def shape(self, weight: nn.Parameter) -> torch.Size:
        return weight.ds_shape if self.stage == 3 else weight.shape

    def read(self, weight: nn.Parameter, moment: str | None) -> Tensor:
        if self.stage == 0:
            return super().read(weight, moment)
        if self.stage == 3:
            return self.zero.get_full_hp_param(weight, moment)
        return self._read_parts(weight, moment)

    def _read_parts(self, weight: nn.Parameter, moment: str | None) -> Tensor:
        """As DeepSpeed's own `safe_get_full_*`, but summed as integers: a sum of floats turns -0 into 0."""
        bits = torch.zeros(weight.numel(), dtype=torch.int32, device=weight.device)
        if (part := weight._hp_mapping) is not None:
            place = part.lp_fragment_address
            own = part.get_hp_fragment(moment).detach().float()
            bits[place.start : place.start + place.numel] = own.view(torch.int32).to(bits.device)
        dist.all_reduce(bits)
        return bits.view(torch.float32).view(weight.shape)

    def write(self, weight: nn.Parameter, value: Tensor, moment: str | None) -> None:
        if self.stage == 0:
            super().write(weight, value, moment)
            return
        if moment is None:
            with self.whole([weight], rewriting=True):
                weight.data.copy_(value)
        if not weight.requires_grad:
            return
        if self.stage == 3:  # DeepSpeed's `set_full_hp_param` fails where a weight has no equal parts
            size, rank = weight.ds_tensor.numel(), dist.get_rank()
            padded = nn.functional.pad(value.flatten(), (0, size * dist.get_world_size() - value.numel()))
            self.zero.set_local_hp_param(padded[size * rank : size * (rank + 1)], weight, moment)
        else:
            weight.set_full_hp_param(value, moment)

    def whole(self, weights: list[nn.Parameter], rewriting: bool = False) -> AbstractContextManager:
        if self.stage < 3:
            return nullcontext()
        return self.gathered(weights, modifier_rank=0 if rewriting else None)


def _opened(output: Any) -> Any:
    """Dataclasses as dictionaries: DeepSpeed finds the tensors in those, in tuples and in lists, to hook on to them."""
    if not is_dataclass(output):
        return output
    return {"": type(output)} | {field.name: _opened(getattr(output, field.name)) for field in fields(output)}


def _closed(output: Any) -> Any:
    """The inverse of `_opened`."""
    if not isinstance(output, dict) or "" not in output:
        return output
    return output[""](**{name: _closed(value) for name, value in output.items() if name})


def _is_news(record: logging.LogRecord) -> bool:
    return "untested optimizer" not in record.getMessage()  # it is AdamW


def _import_deepspeed(device: torch.device) -> ModuleType:
    """DeepSpeed, quiet, and without what it would compile for a CPU; ValueError where it is not installed."""
    try:
        import deepspeed
    except ImportError:
        raise ValueError("engine.deepspeed needs DeepSpeed: pip install hybridgen[train]") from None
    log = logging.getLogger("DeepSpeed")
    log.setLevel(logging.WARNING)
    log.addFilter(_is_news)
    if device.type == "cpu":
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
