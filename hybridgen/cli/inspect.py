"""inspect, replay, verify, encode, decode, info: what files and models hold."""

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hybridgen import __version__
from hybridgen.cli import options
from hybridgen.cli.options import Commands

if TYPE_CHECKING:
    from hybridgen.history import Change
    from hybridgen.manifest import Manifest
    from hybridgen.plan.plan import Plan
    from hybridgen.sampling import SamplingConfig


def add_commands(commands: Commands) -> None:
    """inspect, replay, verify, encode, decode and info."""
    inspect = options.command(commands, "inspect", run_inspect, "what made a file: its manifest and its plan")
    inspect.add_argument("file", type=Path, metavar="FILE", help="a track, or a plan.json")
    inspect.add_argument("--json", action="store_true", help="the manifest, or the plan, as JSON")

    replay = options.command(commands, "replay", run_replay, "make a file again from its manifest alone")
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument(
        "--adapter",
        action="append",
        default=[],
        dest="adapter_folders",
        metavar="FOLDER",
        help="folder of an adapter used for the file, if it has moved; repeatable",
    )
    options.add_model(replay)
    options.add_out(replay, "again.flac")

    verify = options.command(commands, "verify", run_verify, "whether a file is what was written (exit code 1 if not)")
    verify.add_argument("file", type=Path, metavar="FILE")

    encode = options.command(commands, "encode", run_encode, "a recording to latents")
    encode.add_argument("file", type=Path, metavar="FILE")
    options.add_out(encode, "latents.safetensors", "where the latents go")
    options.add_model(encode, makes_music=False)

    decode = options.command(commands, "decode", run_decode, "latents to audio")
    decode.add_argument("file", type=Path, metavar="latents.safetensors")
    options.add_out(decode, "out.wav")
    options.add_model(decode, makes_music=False)

    info = options.command(commands, "info", run_info, "versions, the model, its defaults, what is fast here")
    options.add_adapters(info, "FOLDER", "also say what an adapter holds; repeatable")
    options.add_model(info)


def run_inspect(args: argparse.Namespace) -> None:
    from hybridgen import manifest, tags

    if args.file.suffix.lower() == ".json":
        plan = options.read_plan(args.file)
        print(json.dumps(plan.to_dict()) if args.json else options.printable(plan.text()))
        return
    if not manifest.carries(args.file) and tags.is_marked(args.file):
        said = f"{args.file}: {tags.MARK}; how it was made is lost, another tool has changed the file"
        print(json.dumps({"ai_generated": True}) if args.json else options.printable(said))
        return
    record = manifest.read(args.file)
    print(record.to_json() if args.json else options.printable("\n".join(_describe(args.file, record))))


def _describe(path: Path, record: "Manifest") -> Iterator[str]:
    """A manifest in lines to read."""
    from hybridgen import tags
    from hybridgen.history import Change, Import, Style

    yield f"{path}: {tags.MARK}"
    n_changes = len(record.operations) - 1
    changes = f"{n_changes} change{'' if n_changes == 1 else 's'}"
    yield f"made by {record.generator}, {changes}, gain {record.gain_db:+.2f} dB"
    for operation in record.operations:
        what = f" {_changed(operation)}" if isinstance(operation, Change) else ""
        yield f"{operation.OP}{what}, model {operation.model.name}, prompt: {operation.plan.prompt}"
        if isinstance(operation, Import):
            where = f"tempo {operation.tempo:g}, downbeat {operation.downbeat:g} s"
            yield f"  recording {operation.sha256[:12]}, {where}"
            continue
        if isinstance(operation, Style):
            gains = f"bands {min(operation.bands_db):+.1f} to {max(operation.bands_db):+.1f} dB"
            yield f"  reference {operation.sha256[:12]}, {gains}, side {operation.side_db:+.1f} dB"
            continue
        yield f"  plan seed {operation.plan.seed}, render seed {operation.seed}"
        yield f"  sampling {_compact(operation.sampling)}"
        for adapter in operation.adapters:
            hashes = ", ".join(f"{stage} {digest[:12]}" for stage, digest in adapter.sha256.items())
            yield f"  adapter {adapter.path} at strength {adapter.strength:g} ({hashes})"
    yield f"versions: {', '.join(f'{name} {version}' for name, version in record.versions.items())}"
    yield f"\n{record.plan.text()}"


def _changed(change: "Change") -> str:
    """What a change made anew."""
    rate = change.plan.time_base.sample_rate
    spans = ", ".join(_span(change.plan, span) for span in change.fresh)
    moved = change.moved * change.plan.time_base.latent_hop / rate
    return (
        f"of {spans or 'the ending'}"
        + (f", the rest {abs(moved):.2f} s {'later' if moved > 0 else 'earlier'}" if moved else "")
        + (f", strength {change.strength:g}" if change.strength < 1 else "")
    )


def _span(plan: "Plan", span: tuple[int, int]) -> str:
    """Samples start..stop-1 as bars where they are whole ones, else in seconds."""
    starts = [int(start) for start in plan.bar_starts()[:-1]]
    stops = [*starts[1:], plan.length]
    if span[0] in starts and span[1] in stops:
        return f"bars {starts.index(span[0]) + 1}-{stops.index(span[1]) + 1}"
    rate = plan.time_base.sample_rate
    return f"{max(0, span[0]) / rate:.2f}-{span[1] / rate:.2f} s"


def run_replay(args: argparse.Namespace) -> None:
    from hybridgen import manifest

    record = manifest.read(args.file)
    options.check_outputs(args, args.out, inputs=[args.file])
    args.model = args.model or _local_model(record.operations[0].model.name)
    pipe = options.load_pipeline(args).load()
    started = time.perf_counter()
    with options.progress_bars() as progress:
        track = pipe.replay(record, progress, args.adapter_folders)
    options.finish(track, args, started)


def _local_model(name: str) -> str:
    """The model that a file names, where it is shipped or a folder here; a file alone never makes us ask the Hub."""
    if name != "tiny" and not Path(name).is_dir():
        raise ValueError(f"the file was made by the model {name!r}, which is not here: name it with --model")
    return name


def run_verify(args: argparse.Namespace) -> int:
    from hybridgen import manifest

    problems = manifest.verify(args.file)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{args.file}: intact, every byte as it was written")
    return 1 if problems else 0


def run_encode(args: argparse.Namespace) -> None:
    from hybridgen import files, weights
    from hybridgen.codecs import stereo

    options.check_outputs(args, latents=args.out, inputs=[args.file])
    pipe = options.load_pipeline(args)
    with options.progress_bars() as progress:
        encoded = pipe.encode_file(args.file, progress)
    width = encoded.width if stereo.is_narrow(encoded.width) else None
    weights.save_latents(args.out, encoded.latents, files.sha256(args.file), encoded.n_samples, width)
    n_frames, dim = encoded.latents.shape
    print(f"{args.out}: {n_frames} latent frames of {dim}, {encoded.n_samples / pipe.time_base.sample_rate:.3f} s")


def run_decode(args: argparse.Namespace) -> None:
    from hybridgen import audio, weights
    from hybridgen.codecs import stereo
    from hybridgen.render import edges

    options.check_outputs(args, sound=args.out, inputs=[args.file])
    latents, n_samples = weights.load_latents(args.file)
    width = weights.load_width(args.file)
    pipe = options.load_pipeline(args)
    samples = pipe.decode(latents, n_samples)
    if width is not None and (decoded := stereo.width(samples)):  # a codec makes mono a little wide
        samples = stereo.narrowed(samples, width / decoded)
    opening = edges.opening_gain(pipe.time_base.sample_rate)[: samples.shape[1]]
    samples[:, : len(opening)] *= opening  # a codec begins in the middle of a wave
    audio.master(samples, gain_db=0.0)  # the level as it is, peaks limited
    sound = audio.Audio(samples, pipe.time_base.sample_rate)
    sound.save(args.out)
    print(f"{args.out}: {sound.seconds:.3f} s")


def run_info(args: argparse.Namespace) -> None:
    import torch

    from hybridgen import attention, ops

    python = f"Python {platform.python_version()}"
    print(f"hybridgen {__version__}, {python}, torch {torch.__version__}, {platform.machine()}")
    print(f"threads {torch.get_num_threads()}, CUDA {'available' if torch.cuda.is_available() else 'not available'}")
    print(f"fast kernels: {', '.join(ops.fast_ops()) or 'none (they need CUDA and Triton)'}")
    pipe = options.load_pipeline(args)
    shapes, dtype, found = pipe.config.renderer, pipe.renderer.out.weight.dtype, attention.installed()
    windows = attention.choose(pipe.device.type, dtype, shapes.dim // shapes.n_heads, False, False, found)
    steps = "our kernel, as CUDA graphs" if ops.are_fast_on(pipe.device) else "PyTorch (ours needs CUDA and Triton)"
    print(f"attention: of windows by {windows}, of single steps by {steps}")
    print(f"model {pipe.name} in {pipe.folder}")
    for stage in ("text", "planner", "renderer", "codec", "quantizer"):
        count = sum(parameter.numel() for parameter in getattr(pipe, stage).parameters())
        path = pipe.folder / f"{stage}.safetensors" if pipe.folder else None
        size = f"{path.stat().st_size / 1e6:.1f} MB" if path and path.exists() else "pretrained, not part of the model"
        print(f"  {stage:<10}{count / 1e6:8.2f} M parameters   {size}")
    if pipe.budget is not None:
        print(f"memory of {pipe.budget.need.choice}:")
        print(pipe.budget.need.table())
    print(f"codec license: {pipe.codec.license}")
    print(f"sampling: {_compact(pipe.config.sampling)}")
    for adapter in pipe.adapters:
        for stage, lora in adapter.loras.items():
            count = sum(parameter.numel() for parameter in lora.parameters())
            size = f"{len(lora.pairs)} layers, rank {lora.rank}"
            print(f"adapter {adapter.adapter.path}: {stage} {count / 1e6:.2f} M parameters, {size}")


def _compact(sampling: "SamplingConfig") -> str:
    from hybridgen import config

    return json.dumps(config.dump(sampling))
