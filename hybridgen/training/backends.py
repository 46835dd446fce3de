"""What runs and steps a model below the engine: plain PyTorch, or DeepSpeed.

DeepSpeed's private attributes are used here and nowhere else; the version is pinned for that reason.
"""

import json
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hybridgen.training import distributed
from hybridgen.training.ema import AveragingAdamW


class PlainBackend:
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
        """Clips; weights that had no part in the loss get a gradient of zero, as under ZeRO."""
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        norm = nn.utils.clip_grad_norm_(weights, self.clip)
        self.optimizer.hold |= not norm.isfinite()
        return norm.item()

    def flat_weights(self) -> list[Tensor]:
        """The tensors that the optimizer updates."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def link(self) -> None:
        """Connects weights and moments; called once the moments exist."""

    def shape(self, weight: nn.Parameter) -> torch.Size:
        """The shape of the whole weight."""
        return weight.shape

    def read(self, weight: nn.Parameter, moment: str | None) -> Tensor:
        """The whole fp32 weight, or one of its moments. Collective."""
        return weight.detach() if moment is None else self.optimizer.state[weight][moment]

    def write(self, weight: nn.Parameter, value: Tensor, moment: str | None) -> None:
        """Restores what `read` returned; every rank passes the value."""
        self.read(weight, moment).copy_(value)

    def whole(self, weights: list[nn.Parameter]) -> AbstractContextManager:
        """A context in which the weights are whole on every rank."""
        return nullcontext()


class DeepSpeedBackend(PlainBackend):
    """Any number of processes, any ZeRO stage; in stage 0 everything is whole, and clipped as in plain PyTorch.

    DeepSpeed adds attributes to parameters, which are therefore typed Any here.
    """

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
        model.register_forward_hook(lambda _module, _args, output: _as_dicts(output))
        self.gathered = deepspeed.zero.GatheredParameters
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings)
        self.zero = self.engine.optimizer  # DeepSpeed's wrapper around ours
        self.stage: int = settings["zero_optimization"]["stage"]
        self.bfloat16: bool = settings.get("bf16", {}).get("enabled", False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _from_dicts(self.engine(*args, **kwargs))

    def backward(self, share: Tensor, last: bool) -> None:
        # DeepSpeed averages over ranks, but shares are summed
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

    def shape(self, weight: Any) -> torch.Size:
        return weight.ds_shape if self.stage == 3 else weight.shape

    def read(self, weight: nn.Parameter, moment: str | None) -> Tensor:
        if self.stage == 0:
            return super().read(weight, moment)
        if self.stage == 3:
            return self.zero.get_full_hp_param(weight, moment)
        return self._read_parts(weight, moment)

    def _read_parts(self, weight: Any, moment: str | None) -> Tensor:
        """As DeepSpeed's own `safe_get_full_*`, but summed as integers: a sum of floats turns -0 into 0."""
        bits = torch.zeros(weight.numel(), dtype=torch.int32, device=weight.device)
        if (part := weight._hp_mapping) is not None:
            address = part.lp_fragment_address
            own = part.get_hp_fragment(moment).detach().float()
            bits[address.start : address.start + address.numel] = own.view(torch.int32).to(bits.device)
        dist.all_reduce(bits)
        return bits.view(torch.float32).view(weight.shape)

    def write(self, weight: Any, value: Tensor, moment: str | None) -> None:
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


def read_settings(file: str, micro_batches: int, clip: float, max_stage: int) -> dict[str, Any]:
    """DeepSpeed's settings: the file, completed by the engine; ValueError for combinations that cannot work."""
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"engine.deepspeed {path}: no such file")
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
        "train_micro_batch_size_per_gpu": 1,  # the scripts split batches themselves
        "gradient_accumulation_steps": micro_batches,
        "gradient_clipping": clip if stage else 0.0,  # in stage 0 the engine clips
        "zero_allow_untested_optimizer": True,  # AdamW with an average is AdamW
        "zero_force_ds_cpu_optimizer": False,  # PyTorch's fused AdamW needs no compiler on the CPU
        "steps_per_print": None,
    }


def _as_dicts(output: Any) -> Any:
    """Dataclasses as dictionaries: DeepSpeed hooks on to tensors in those, in tuples and in lists."""
    if not is_dataclass(output):
        return output
    return {"": type(output)} | {field.name: _as_dicts(getattr(output, field.name)) for field in fields(output)}


def _from_dicts(output: Any) -> Any:
    """The inverse of `_as_dicts`."""
    if not isinstance(output, dict) or "" not in output:
        return output
    return output[""](**{name: _from_dicts(value) for name, value in output.items() if name})


def _is_relevant(record: logging.LogRecord) -> bool:
    return "untested optimizer" not in record.getMessage()  # it is AdamW


def _import_deepspeed(device: torch.device) -> ModuleType:
    """DeepSpeed, with fewer messages and nothing to compile for a CPU; ValueError where it is not installed."""
    try:
        import deepspeed
    except ImportError:
        raise ValueError("engine.deepspeed needs DeepSpeed: pip install hybridgen[train]") from None
    log = logging.getLogger("DeepSpeed")
    log.setLevel(logging.WARNING)
    log.addFilter(_is_relevant)
    if device.type == "cpu":
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
