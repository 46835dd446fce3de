"""Linear layers whose weights take half or a quarter of the memory: in 16 bits, as a file has them, or in 8.

A block of rows at a time is widened to float32 and multiplied. So 16 bits give, bit for bit, what a float32 layer with
the same values gives; 8 bits are rounded once, when they are read, and what a row of the input gives depends on no
other row, as it would where activations were rounded together. No kernel is needed: a step of the planner is limited by
the reading of its weights, which are fewer bytes, and a window of the renderer by the product.

Shapes: I inputs, O outputs.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 1 << 19  # numbers widened at once on a CPU: 2 MB, which stay in its cache
ALIGNED = 64  # rows: in blocks of so many, the products of BLAS have the bits that they have at once
LEVELS = 127  # either way, of 8 bits


class PackedLinear(nn.Linear):
    """A linear layer with weights (O, I) of 16 bits, or of 8 with a scale (O,) for each output; not for training."""

    scale: Tensor | None

    def __init__(self, layer: nn.Linear, dtype: torch.dtype):
        """Room for the weights of `layer` in float16, bfloat16 or int8; `fill` reads them."""
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, layer.bias
        weight = torch.empty(self.out_features, self.in_features, dtype=dtype, device=layer.weight.device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        scale = torch.ones(self.out_features) if dtype == torch.int8 else None
        self.register_buffer("scale", scale, persistent=False)

    @torch.no_grad()
    def fill(self, weight: Tensor) -> None:
        """Takes these weights (O, I): exactly where they have this type; in 8 bits as multiples of each row's scale."""
        if self.scale is None:
            self.weight.copy_(weight)
            return
        self.scale = (weight.abs().amax(dim=1).float() / LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
        scales = self.scale.split([len(rows) for rows in self._blocks(weight)])
        for own, rows, scale in zip(self._blocks(self.weight), self._blocks(weight), scales, strict=True):
            own.copy_((rows.float() / scale[:, None]).round_())

    def widened(self) -> Iterator[tuple[int, Tensor]]:
        """(first row, rows (n, I) in float32, before their scale), block by block; each is valid until the next."""
        first, room = 0, None
        for rows in self._blocks(self.weight):
            room = torch.empty(rows.shape, device=rows.device) if room is None else room[: len(rows)]
            yield first, room.copy_(rows)
            first += len(rows)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., I) -> (..., O)."""
        y = x.new_empty(*x.shape[:-1], self.out_features)
        for first, rows in self.widened():
            y[..., first : first + len(rows)] = F.linear(x, rows)
        if self.scale is not None:
            y *= self.scale
        return y if self.bias is None else y + self.bias

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(len(rows) if rows.is_cuda else max(ALIGNED, BLOCK // self.in_features // ALIGNED * ALIGNED))


def pack(module: nn.Module, dtype: torch.dtype) -> None:
    """Makes room for the weights of all linear layers inside `module` in another type; they are still to be filled."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, PackedLinear(layer, dtype))


def packed_layers(module: nn.Module) -> dict[str, PackedLinear]:
    """The layers inside a module by the names of their weights in its state."""
    found = module.named_modules()
    return {f"{name}.weight": layer for name, layer in found if isinstance(layer, PackedLinear)}
