"""Weights for a codec of larger shapes from a trained one: python tools/grow_codec.py FOLDER MODEL OUT

FOLDER holds codec.safetensors and config.yaml; MODEL is a preset or a YAML file of shapes, whose codec may have more
layers in the decoder, a wider expansion there, a longer kernel, a shorter hop of the decoder, short windows and gains.
What is new begins at nothing, so OUT/codec.safetensors computes what FOLDER's did: exactly so with the same hop, and
as nearly as frames can be repeated with a shorter one. It is for `run.start` of train/codec.py.
"""

import math
import sys
from pathlib import Path

import torch
from torch import nn

from hybridgen import config
from hybridgen.codecs.own import Block, SpectralCodec, SpectralCodecConfig
from hybridgen.weights import load_weights, save_weights


def main(folder: str, model: str, out: str) -> None:
    """Reads, grows, writes."""
    old = SpectralCodec(config.shapes(SpectralCodecConfig, f"{folder}/config.yaml", "codec"))
    load_weights(old, f"{folder}/codec.safetensors")
    torch.manual_seed(0)
    new = grown(old, config.shapes(SpectralCodecConfig, model, "codec"))
    Path(out).mkdir(parents=True, exist_ok=True)
    save_weights(new, f"{out}/codec.safetensors", half=False)
    print(f"{out}/codec.safetensors: {sum(p.numel() for p in new.parameters()) / 1e6:.2f} M parameters")


@torch.no_grad()
def grown(old: SpectralCodec, shapes: SpectralCodecConfig) -> SpectralCodec:
    """A codec of other shapes that computes what `old` does; ValueError where they are not larger in known ways."""
    new = SpectralCodec(shapes)
    repeats = old.config.synthesis_hop // shapes.synthesis_hop
    grow_blocks(old.encoder.frames, new.encoder.frames, 1)
    grow_blocks(old.decoder.frames, new.decoder.frames, repeats)
    for part in (new.decoder.unfold.weight, new.decoder.unfold.bias):
        source = old.decoder.unfold.weight if part.dim() == 2 else old.decoder.unfold.bias
        pieces = source.unflatten(0, (old.config.decoder_ratio, -1)).repeat_interleave(repeats, 0)
        part.copy_(pieces.flatten(0, 1))
    grown_names = ("encoder.frames.", "decoder.frames.", "decoder.unfold.")
    values, found = old.state_dict(), new.state_dict()
    for name, value in values.items():
        if not name.startswith(grown_names):
            if name not in found or found[name].shape != value.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, which these shapes cannot take over")
            found[name].copy_(value)
    for band, (start, stop) in zip(new.decoder.bands, shapes.bands, strict=True):
        band.bias[: 2 * (stop - start)] -= 0.5 * math.log(repeats)  # frames that overlap more are each weaker
    return new


def grow_blocks(old: nn.Sequential, new: nn.Sequential, repeats: int) -> None:
    """Takes over blocks: neighbors of a frame are now `repeats` frames away; blocks beyond the old change nothing."""
    for i, block in enumerate(new):
        assert isinstance(block, Block)
        if i < len(old):
            grow_block(old[i], block, repeats)
        else:
            for value in block.down.parameters():
                value.zero_()


def grow_block(old: nn.Module, new: Block, repeats: int) -> None:
    """Takes over a block: taps are spread, and what is new in the expansion adds nothing at first."""
    assert isinstance(old, Block)
    new.taps.zero_()
    center, reach = len(new.taps) // 2, len(old.taps) // 2
    if center < reach * repeats:
        raise ValueError(f"kernel {len(new.taps)} is too short for {len(old.taps)} taps that are {repeats} apart")
    new.taps[center - reach * repeats : center + reach * repeats + 1 : repeats] = old.taps
    n = len(old.up.bias)
    new.up.weight[:n], new.up.bias[:n] = old.up.weight, old.up.bias
    new.down.weight.zero_()
    new.down.weight[:, :n] = old.down.weight
    for mine, theirs in ((new.down.bias, old.down.bias), (new.scale, old.scale)):
        mine.copy_(theirs)
    new.norm.load_state_dict(old.norm.state_dict())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
