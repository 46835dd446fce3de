"""Files that strangers send, read in a process of its own with limits on memory, time and what it writes.

What comes out is written anew: plain samples in a wav file, with the manifest where the file is a track of ours, or a
plan as JSON. Nothing else ever opens what was sent.
"""

import contextlib
from pathlib import Path

import numpy as np
import soundfile

from hybridgen import audio, formats, manifest
from hybridgen.audio import Audio
from hybridgen.manifest import Manifest
from hybridgen.serve.nursery import Channel
from hybridgen.serve.work import Made, plan_facts, without_paths

SECONDS = 60.0  # of the clock in which a file must have been read
MEMORY = 1 << 30  # bytes more than the process begins with
WRITTEN = 1 << 30  # bytes of one file


def limit(seconds: float = SECONDS) -> None:
    """Limits this process for the rest of its life, as far as the system can."""
    import resource  # which Windows has not

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    for what, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY),
        (resource.RLIMIT_CPU, int(seconds)),
        (resource.RLIMIT_FSIZE, WRITTEN),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower limit holds already
            resource.setrlimit(what, (most, most))


def read(channel: Channel) -> None:
    """Reads one file, as a message says which, and answers what is in it or why it cannot be read."""
    message = channel.receive()
    limit()
    path = Path(message["path"])
    try:
        made = _score(path) if path.suffix in formats.READS else _sound(path, message["max_seconds"])
        channel.send({"facts": made.facts, "files": made.files, "source": made.source})
    except (ValueError, OSError) as error:
        said = without_paths(" ".join(str(error).split()), path.parent)
        channel.send({"problem": f"file: {said.removeprefix(f'{path.name}: ')}"})
    except MemoryError:
        channel.send({"problem": "file: takes too much memory to read"})


def _score(path: Path) -> Made:
    plan, notes = formats.read(path)
    (path.parent / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    return Made({"what": "score", **plan_facts(plan), "notes": list(notes)}, ["plan.json"], "plan.json")


def _sound(path: Path, max_seconds: float) -> Made:
    if not manifest.carries(path):
        sound = _decoded(path, max_seconds)
        with soundfile.SoundFile(path.with_name("sound.wav"), "w", sound.sample_rate, 2, "FLOAT", format="WAV") as file:
            file.write(sound.samples.T)
        facts = {"what": "recording", "seconds": round(sound.seconds, 3), "sample_rate": sound.sample_rate}
        return Made({**facts, "notes": list(sound.notes)}, ["sound.wav"], "sound.wav")
    record, problems = manifest.read(path), manifest.verify(path)
    name = _own_sound(path, record, max_seconds)
    (path.parent / "plan.json").write_text(record.plan.to_json(), encoding="utf-8")
    notes = [without_paths(problem, path.parent) for problem in problems]
    facts = {"what": "track", **plan_facts(record.plan), "prompt": record.plan.prompt, "notes": notes}
    return Made(facts, ["plan.json", name], name)


def _own_sound(path: Path, record: Manifest, max_seconds: float) -> str:
    """The name of a track of ours written anew, lossless unless its sound is lossy and can be made again."""
    sound, length = _decoded(path, max_seconds), record.plan.length
    is_lossy = soundfile.info(str(path)).format not in ("WAV", "FLAC")
    if is_lossy and record.has_own_sound:
        samples = sound.samples[:, :length]
        sound = Audio(np.pad(samples, ((0, 0), (0, length - samples.shape[1]))), sound.sample_rate)
    name = "track.ogg" if is_lossy and not record.has_own_sound else "track.wav"
    sound.save(path.with_name(name), record)
    return name


def _decoded(path: Path, max_seconds: float) -> Audio:
    blocks, count = list[np.ndarray](), 0
    with audio.stream(path) as source:
        for block in source.blocks:
            blocks.append(block)
            count += block.shape[1]
            if count > max_seconds * source.sample_rate + 1:
                raise ValueError(f"longer than the limit of {max_seconds:g} s")
        if not count:
            raise ValueError("holds no samples")
        notes = tuple(without_paths(note, path.parent) for note in source.notes)
        return Audio(np.concatenate(blocks, axis=1), source.sample_rate, notes)
