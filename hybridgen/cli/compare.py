"""compare: what differs between two tracks, or two plans."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hybridgen.cli import options
from hybridgen.cli.options import Commands

if TYPE_CHECKING:
    from hybridgen.manifest import Manifest


def add_commands(commands: Commands) -> None:
    """compare."""
    what = "what differs between two tracks or two plans: facts, sections, chords and notes bar by bar, and the sound"
    compare = options.command(commands, "compare", run_compare, what)
    for name in ("first", "second"):
        which = f"the {name}: a track that hybridgen made, or a plan in any format that is read"
        compare.add_argument(name, type=Path, metavar=f"{name}.flac", help=which)
    drawn = "draw both plans and sounds, the bars that differ marked; .png .svg .pdf"
    compare.add_argument("-o", "--out", dest="plot", type=Path, metavar="picture.png", help=drawn)
    options.add_overwrite(compare)
    compare.epilog = "Bars are compared by their number. What differs is no error: the exit code is 0."


def run_compare(args: argparse.Namespace) -> None:
    from hybridgen import manifest
    from hybridgen.audio import Audio
    from hybridgen.comparison import sound_differences
    from hybridgen.plan.differences import changed, differences

    paths = (args.first, args.second)
    options.check_outputs(args, inputs=paths)
    plans = (options.plan_in(args.first), options.plan_in(args.second))
    found, made, sounds = differences(*plans), tuple[str, ...](), None
    heard, heard_bars = tuple[str, ...](), tuple[int, ...]()
    if all(path.suffix.lower() in options.AUDIO_ENDINGS for path in paths):
        made = changed(_made(manifest.read(args.first)), _made(manifest.read(args.second)))
        first, second = (
            Audio.load(path, plan.time_base.sample_rate).samples for path, plan in zip(paths, plans, strict=True)
        )
        sounds = (first, second)
        heard, heard_bars = sound_differences(plans, sounds)
    kinds = {
        "facts": (*found.facts, *made),
        "sections": found.sections,
        "chords": found.chords,
        "notes": found.notes,
        "sound": heard,
    }
    said = [line for kind, lines in kinds.items() if lines for line in (f"{kind}:", *(f"  {each}" for each in lines))]
    print(options.printable("\n".join([f"{args.first} -> {args.second}", *(said or ["nothing differs"])])))
    if args.plot is not None:
        from hybridgen import plot
        from hybridgen.files import atomic_write

        figure = plot.draw_pair(plans, sounds, (args.first.name, args.second.name), (found.bars, heard_bars))
        with atomic_write(args.plot) as file:
            plot.write(figure, file, args.plot.suffix)


def _made(record: "Manifest") -> dict[str, str]:
    """How a track was made beside its plan, by name, in words."""
    from hybridgen import config
    from hybridgen.history import Import, Render, Style

    first, last = record.operations[0], [one for one in record.operations if not isinstance(one, Style)][-1]
    facts = {
        "made by": record.generator,
        "model": last.model.name,
        **{f"weights {name}": digest[:12] for name, digest in last.model.weights.items()},
        "render seed": str(first.seed) if isinstance(first, Render) else "a recording",
        "edits": str(len(record.operations) - 1),
        "gain": f"{record.gain_db:+.2f} dB",
        **{f"style {one.sha256[:12]}": f"strength {one.strength:g}" for one in record.styles},
    }
    if isinstance(last, Import):
        return facts
    sampling = {f"sampling {name}": json.dumps(value) for name, value in config.dump(last.sampling).items()}
    adapters = {f"adapter {one.path}": f"strength {one.strength:g}" for one in last.adapters}
    return facts | sampling | adapters
