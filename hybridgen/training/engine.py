"""One engine under every training loop: plain PyTorch in one process, or DeepSpeed in any number of them.

A loss is given in shares: what `backward` gets adds up, over all micro-batches of all ranks, to the loss. So the number
of ranks and micro-batches changes rounding and nothing else, as long as a mean divides by the weight of the global
batch (`Engine.all_reduce`), never by that of its own rows.

Weights, their average and Adam's moments leave and enter the engine whole, in fp32 and by name (`tensors`, `load`),
whatever the ZeRO stage and the number of ranks. A run may change both at any checkpoint.
"""

import copy
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hybridgen.config import Count, Share, Steps, Weight, Whole
from hybridgen.training import distributed
from hybridgen.training.backends import DeepSpeedBackend, PlainBackend, read_settings
from hybridgen.training.ema import MOMENTS, AveragingAdamW

Tensors = dict[str, dict[str, Tensor]]  # part -> name -> tensor


@dataclass(frozen=True)
class EngineConfig:
    """How a model is trained, whatever it is; nothing here changes what is learned, except for rounding."""

    device: str  # "cpu" or "cuda"
    threads: Count  # CPU threads of a process
    bfloat16: bool  # matrix products in bfloat16: faster where the hardware supports it, 12 times slower elsewhere
    micro_batches: Steps  # parts of its rows that a rank runs one after the other, to save memory
    recompute: bool  # activation checkpointing: blocks run forward again in the backward pass, to save memory
    deepspeed: str | None  # JSON file, see configs/deepspeed; None: plain PyTorch, one process

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is neither cpu nor cuda")
        if self.micro_batches < 1:
            raise ValueError(f"micro_batches {self.micro_batches} must be at least 1")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with a rate that rises, stays, and falls at the end, so that a run can be extended at any time."""

    learning_rate: Share
    warm_up: Whole  # steps from zero to the full rate
    cool_down: Whole  # last steps, from the full rate to zero
    weight_decay: Weight  # of matrices; vectors have none
    clip: Weight  # largest norm of the gradient
    ema: Share  # decay per step of the averaged weights
    betas: tuple[float, float] = (0.9, 0.95)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 1) of `steps`."""
        rise = min(1.0, step / max(self.warm_up, 1))
        fall = min(1.0, (steps + 1 - step) / max(self.cool_down, 1))
        return self.learning_rate * min(rise, fall)


class Engine:
    """A model in training: `engine(...)` runs it, `backward` and `step` train it."""

    def __init__(
        self,
        model: nn.Module,
        optim: OptimConfig,
        config: EngineConfig,
        *,
        layers: Iterable[nn.Module] = (),
        max_stage: int = 3,
    ):
        """The model is moved to the engine's device; it must have the same weights on every rank.

        layers: what `recompute` runs forward again. max_stage: a higher ZeRO stage of the file is lowered to this.
        """
        here = distributed.rank_info()
        self.config, self.rank, self.world_size = config, here.rank, here.world_size
        self.device = here.device(config.device)
        if config.deepspeed is None and self.world_size > 1:
            raise ValueError(f"engine.deepspeed null is for one process, but there are {self.world_size}")
        self._whole = copy.deepcopy(model) if self.rank == 0 else None  # for the averaged weights
        frozen = (item for item in model.named_parameters() if self.rank == 0 and not item[1].requires_grad)
        self._frozen = {name: weight.detach().cpu().clone() for name, weight in frozen}  # bf16 rounds the ones in use
        for layer in layers if config.recompute else ():
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        self.model = model.to(self.device)
        self.optimizer = AveragingAdamW(param_groups(model, optim.weight_decay), optim.betas, optim.ema)
        self._shares: list[Tensor] = []
        if config.deepspeed is None:
            self._backend: PlainBackend | DeepSpeedBackend = PlainBackend(self.model, self.optimizer, optim.clip)
        else:
            settings = read_settings(config.deepspeed, config.micro_batches, optim.clip, max_stage)
            if settings.get("bf16", {}).get("enabled") and any(x.is_floating_point() for x in model.buffers()):
                raise ValueError(f"engine.deepspeed {config.deepspeed}: bf16 would round this model's buffers")
            self._backend = DeepSpeedBackend(self.model, self.optimizer, optim.clip, settings, self.device)
        self.optimizer.prepare(self._backend.flat_weights())
        self._backend.link()

    # ---- training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward pass, in bfloat16 where the config says so."""
        with self.autocast():
            return self._backend.forward(*args, **kwargs)

    def autocast(self) -> AbstractContextManager:
        """A context with matrix products in bfloat16 where the config says so."""
        enabled = self.config.bfloat16 or self._backend.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def backward(self, share: Tensor) -> None:
        """Adds the gradient of a share () of the loss; called `micro_batches` times between two steps."""
        self._shares.append(share.detach())
        self._backend.backward(share, last=len(self._shares) == self.config.micro_batches)

    def step(self, rate: float, apply: bool = True) -> float:
        """Clips the gradient and updates weights and average with a learning rate; the norm before clipping.

        The gradient is discarded where its norm is not finite, or with `apply` False, which must be so on every rank.
        """
        assert len(self._shares) == self.config.micro_batches, f"{len(self._shares)} backward passes before a step"
        self._shares.clear()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.n_updates += 1
        self.optimizer.hold = not apply
        norm = self._backend.step()
        if not apply or not math.isfinite(norm):
            self.optimizer.n_updates -= 1
        return norm

    # ---- between the ranks

    def all_reduce(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, on every rank."""
        total = value.detach().to(self.device, copy=True)
        if self.world_size > 1:
            dist.all_reduce(total)
        return total

    def any_rank(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank."""
        return bool(self.all_reduce(torch.tensor(float(flag)))) if self.world_size > 1 else flag

    def all_gather(self, rows: Tensor) -> Tensor:
        """The rows (B, ...) of all ranks, concatenated; every rank must have the same number."""
        if self.world_size == 1:
            return rows.detach()
        parts = [torch.empty_like(rows) for _ in range(self.world_size)]
        dist.all_gather(parts, rows.detach().contiguous())
        return torch.cat(parts)

    def broadcast(self, value: Tensor) -> Tensor:
        """The tensor of rank 0 on every rank; the others pass one of the same shape and dtype."""
        value = value.detach().to(self.device, copy=True).contiguous()
        if self.world_size > 1:
            dist.broadcast(value, 0)
        return value

    def broadcast_object(self, value: Any) -> Any:
        """The object of rank 0 on every rank: anything that JSON can hold."""
        if self.world_size == 1:
            return value
        encoded = torch.tensor(list(json.dumps(value).encode()) if self.rank == 0 else [], dtype=torch.uint8)
        n_bytes = int(self.broadcast(torch.tensor(len(encoded))))
        encoded = self.broadcast(encoded if self.rank == 0 else torch.empty(n_bytes, dtype=torch.uint8))
        return json.loads(bytes(encoded.tolist()))

    def micro_ranks(self) -> list[tuple[int, int]]:
        """(index, count) for each micro-batch of this rank: which of how many equal parts of the global batch it is."""
        n = self.config.micro_batches
        return [(self.rank * n + i, self.world_size * n) for i in range(n)]

    # ---- whole weights

    def tensors(self) -> Tensors:
        """Weights, their average and moments on the CPU of rank 0, in fp32, by name; empty on the others. Collective.

        "model" and "ema" include buffers and frozen weights, so that each is a complete state dict.
        """
        parts: Tensors = {part: {} for part in ("model", *MOMENTS)}

        def put(part: str, name: str, value: Tensor) -> None:
            if self.rank == 0:
                parts[part][name] = value.detach().to("cpu", copy=True)

        for name, weight in self._trainable():
            for part in parts:
                put(part, name, self._backend.read(weight, None if part == "model" else part))
        for name, value in (*self._frozen.items(), *self._buffers()):
            put("model", name, value)
            put("ema", name, value)
        return parts

    def state(self) -> dict[str, Any]:
        """What `load` needs besides the tensors, for JSON."""
        return {"n_updates": self.optimizer.n_updates}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Restores what `tensors` and `state` returned, bit for bit, under any number of ranks and stage. Collective.

        Only rank 0 needs the tensors. ValueError for names or shapes that are not the model's.
        """
        if self.rank == 0:
            self._check(tensors)

        def shared(part: str, name: str, like: Tensor, shape: torch.Size) -> Tensor:
            return self.broadcast(tensors[part][name].to(like.dtype) if self.rank == 0 else like.new_empty(shape))

        single = torch.empty((), dtype=torch.float32)
        for name, weight in self.model.named_parameters():
            self._backend.write(weight, shared("model", name, single, self._backend.shape(weight)), None)
        for name in self._frozen:
            self._frozen[name] = tensors["model"][name].to("cpu", copy=True)
        for name, weight in self._trainable():
            for moment in MOMENTS:
                self._backend.write(weight, shared(moment, name, single, self._backend.shape(weight)), moment)
        for name, buffer in self._buffers():
            buffer.copy_(shared("model", name, buffer, buffer.shape))
        self.optimizer.count(state["n_updates"])

    @contextmanager
    def averaged(self) -> Iterator[nn.Module | None]:
        """The averaged weights in a plain model on the device of rank 0; None on the others. Collective.

        In fp32 and evaluation mode, whatever the precision of the training.
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
        """Yields the model with its whole weights, and keeps the changes that the block makes, the same on every rank.

        ValueError for a DeepSpeed file with bf16: there the model's weights are roundings of the master weights.
        """
        if self._backend.bfloat16:
            raise ValueError(f"engine.deepspeed {self.config.deepspeed}: bf16 rounds the weights that are rewritten")
        weights = list(self.model.parameters())
        with torch.no_grad(), self._backend.whole(weights):
            yield self.model
            after = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, value in zip(weights, after, strict=True):
                self._backend.write(weight, value, None)

    def _average(self) -> dict[str, Tensor]:
        average = {}
        for name, weight in self._trainable():
            value = self._backend.read(weight, "ema")
            if self.rank == 0:
                average[name] = value.to("cpu", copy=True)
        return average | self._frozen | dict(self._buffers())

    def _trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad)

    def _buffers(self) -> Iterator[tuple[str, Tensor]]:
        names = {name for name, _ in self.model.named_parameters()}
        return ((name, value) for name, value in self.model.state_dict().items() if name not in names)

    def _check(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        shapes = {name: self._backend.shape(weight) for name, weight in self.model.named_parameters()}
        learned = {name: shapes[name] for name, _ in self._trainable()}
        shapes |= {name: buffer.shape for name, buffer in self._buffers()}
        wanted = {"model": shapes, "ema": learned, "exp_avg": learned, "exp_avg_sq": learned}
        for part, names in wanted.items():
            found = tensors.get(part, {})
            for name, shape in names.items():
                if name not in found or found[name].shape != shape:
                    has = tuple(found[name].shape) if name in found else "nothing"
                    raise ValueError(f"checkpoint: {part} {name} is {has}, the model's has shape {tuple(shape)}")
            if unknown := sorted(found.keys() - shapes.keys()):
                raise ValueError(f"checkpoint: {part} has {unknown[:5]}, which the model does not have")


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable weights as parameter groups: matrices with weight decay, vectors without."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    matrices, vectors = ([w for w in weights if (w.dim() >= 2) is wanted] for wanted in (True, False))
    both = ({"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0})
    return [group for group in both if group["params"]]
