"""Averages a model before and after a training: python train/average.py --before OLD --after NEW --out FILE

What is trained on new music forgets some of the old; the mean of both weights keeps most of either, at no cost when it
is used (https://arxiv.org/abs/2109.01903). Layers that the training has added are taken as they are.
"""

import argparse
import sys
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from hybridgen.files import atomic_write


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; ValueError for one that is no safetensors."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path}: {error}") from error


def average(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of what a training changed: 0 is before, 1 after, in the dtypes of the latter.

    ValueError for a tensor that is gone or has another shape.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share:g} is not within 0-1")
    for name, tensor in before.items():
        if name not in after:
            raise ValueError(f"{name} is in the weights before and not in those after")
        if tensor.shape != after[name].shape:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)} before, {tuple(after[name].shape)} after")
    return {
        name: torch.lerp(before[name].float(), new.float(), share).to(new.dtype) if name in before else new
        for name, new in after.items()
    }


def main(args: argparse.Namespace) -> None:
    """Load, average, save."""
    averaged = average(load(args.before), load(args.after), args.share)
    with atomic_write(args.out) as temporary:
        temporary.write_bytes(save(averaged))
    print(f"{args.out}: {sum(tensor.numel() for tensor in averaged.values()) / 1e6:.1f} M numbers")


def parser() -> argparse.ArgumentParser:
    """What can be args."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--before", type=Path, required=True, help="weights that a training started from")
    parser.add_argument("--after", type=Path, required=True, help="those that it made")
    parser.add_argument("--share", type=float, default=0.5, help="of the change that is kept (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the file of the averaged weights")
    return parser


if __name__ == "__main__":
    try:
        main(parser().parse_args())
    except (ValueError, OSError) as error:
        print(f"train/average.py: {error}", file=sys.stderr)
        sys.exit(2)
