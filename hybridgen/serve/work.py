"""What a worker does: one job after the other, with the pipeline that it was started with.

A job is JSON: its kind, its checked request, and a folder in which its sources are and its results are written. What
goes back is progress, then what was made, or why it could not be.
"""

import contextlib
import re
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridgen import formats, shortage
from hybridgen.progress import Cancelled
from hybridgen.serve import kinds
from hybridgen.serve.nursery import Channel
from hybridgen.serve.refusals import Refused

if TYPE_CHECKING:
    import numpy as np

    from hybridgen.pipeline import Pipeline
    from hybridgen.plan.plan import Plan
    from hybridgen.track import Track

LIVE = "live"  # what can be heard of a track under way, as .mp3 and as .wav
LIVE_LEVEL = 0.4  # 192 kbit/s, as libsndfile counts it
REPORTED = 0.1  # seconds between two reports of progress within a stage


@dataclass
class Task:
    """One job as a worker has it."""

    pipe: "Pipeline"
    channel: Channel
    id: str
    kind: str
    folder: Path
    request: dict[str, Any]
    max_seconds: float  # of music
    heard: float = 0.0
    _said: tuple[str, float] = ("", 0.0)  # stage and time of the last report
    fields: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields = kinds.read(self.kind, self.request)

    def progress(self, stage: str, done: int, total: int) -> bool:
        """Reports what is done; False where the job is to stop. Gone where nobody listens any more."""
        while (message := self.channel.receive(0)) is not None:
            if message.get("stop") == self.id:
                return False
        now = time.monotonic()
        if stage != self._said[0] or done == total or now - self._said[1] > REPORTED:
            self._said = (stage, now)
            self.channel.send({"stage": stage, "done": done, "total": total, "heard": self.heard})
        return True

    def take(self, *names: str) -> dict[str, Any]:
        """Those of the fields, as far as they are given, as keyword arguments."""
        return {name: self.fields[name] for name in names if name in self.fields}

    def path(self, name: str) -> Path:
        """The file that is meant by a field of `kinds.SOURCES`."""
        return self.folder / self.fields[name]

    @property
    def rendering(self) -> dict[str, Any]:
        """The arguments of `RenderOptions`."""
        return self.take("seed", "num_steps", "guidance_scale") | {"progress": self.progress}


@dataclass(frozen=True)
class Made:
    """What a job has made: facts as JSON values, its files, and which of them is the track."""

    facts: dict[str, Any]
    files: list[str]
    source: str | None = None


def warm(pipe: "Pipeline") -> None:
    """Makes and writes a second of music, so that what is imported and built on the way is there already."""
    warnings.simplefilter("ignore", UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        pipe.generate("warm pads", seconds=1, seed=0, num_steps=1).save(Path(folder) / "warm.flac")


def serve(pipe: "Pipeline", channel: Channel) -> None:
    """Does jobs until the channel closes, which raises Gone. An error that is not foreseen ends the worker."""
    while True:
        message = channel.receive()
        if "kind" not in message:
            continue  # it is told to stop what it has done already
        folder = Path(message["folder"])
        try:
            made = perform(Task(pipe, channel, folder=folder, **_without(message, "folder")))
        except Cancelled:
            channel.send({"stopped": True})
        except (ValueError, TypeError, OSError) as error:
            channel.send({"problem": without_paths(" ".join(str(error).split()), folder)})
        except (MemoryError, RuntimeError) as error:
            if (wanted := shortage.wanted(error)) is None:
                raise
            channel.send({"problem": f"there is not enough memory for it: {wanted}; serve with a smaller --memory"})
        else:
            channel.send({"facts": made.facts, "files": made.files, "source": made.source})


def perform(task: Task) -> Made:
    """Does one job, and writes what it makes into its folder. What the pipeline warns of are notes of the result."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        made = DOERS[task.kind](task)
    said = [str(one.message) for one in warned if one.category is UserWarning] + made.facts.get("notes", [])
    made.facts["notes"] = list(dict.fromkeys(without_paths(note, task.folder) for note in said))
    return made


def without_paths(text: str, folder: Path) -> str:
    """A message without where things are on this machine, and without our names of files that came from elsewhere."""
    return re.sub(r"from-(track|reference|melody)\.\w+", r"the \1", text.replace(f"{folder}/", ""))


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


# ---- plans


def _plans(task: Task) -> Made:
    given = kinds.controls(task.fields, "request")
    result = task.pipe.plan(
        task.fields["prompt"],
        task.fields["n"],
        seed=task.fields["seed"],
        melody=_melody(task),
        progress=task.progress,
        **given,
    )
    return _written_plans(task, list(result))


def _arrange(task: Task) -> Made:
    return _written_plans(task, [task.fields["plan"].arrange(task.fields["order"], task.fields["variation"])])


def _notes(task: Task) -> Made:
    """A plan with the notes that it lacks; of another seed, where one is given."""
    plan = replace(task.fields["plan"], **task.take("seed"))
    return _written_plans(task, [task.pipe.write_notes(plan, progress=task.progress)])


def _written_plans(task: Task, plans: "list[Plan]") -> Made:
    names = ["plan.json"] if len(plans) == 1 else [f"plan-{i}.json" for i in range(1, len(plans) + 1)]
    for name, plan in zip(names, plans, strict=True):
        (task.folder / name).write_text(plan.to_json(), encoding="utf-8")
    return Made({"seed": plans[0].seed, "plans": [plan_facts(plan) for plan in plans]}, names)


def plan_facts(plan: "Plan") -> dict[str, Any]:
    """What a plan says in a line, as JSON values."""
    tempo = plan.tempo[0].bpm if plan.tempo else None
    length = {"seconds": round(plan.seconds, 3), "bars": plan.n_bars}
    return {"seed": plan.seed, **length, "tempo": tempo, "key": plan.key, "meter": plan.meter}


def _melody(task: Task) -> "Plan | None":
    """The melody of a request: the lead of a score, or a tune that is heard."""
    if "melody" not in task.fields:
        return None
    path = task.path("melody")
    if path.suffix == ".json":
        return formats.read(path)[0]
    tempo = task.fields.get("tempo")
    return task.pipe.hear_melody(path, None if isinstance(tempo, tuple) else tempo, task.fields.get("meter", "4/4"))


# ---- tracks


def _track(task: Task) -> Made:
    if "prompt" in task.fields:
        given = kinds.controls(task.fields, "request")
        seed = task.fields.get("plan_seed", task.fields["seed"])
        melody = _melody(task)
        plan = task.pipe.plan(task.fields["prompt"], seed=seed, melody=melody, progress=task.progress, **given)[0]
    else:
        plan = task.fields["plan"]
    _check_length(task, plan.seconds)
    chosen = task.rendering
    if "render_seed" in task.fields:
        chosen["seed"] = task.fields["render_seed"]
    with _listened(task) if task.fields["live"] else contextlib.nullcontext() as play:
        track = task.pipe.render(plan, play=play, **chosen)
    parts = _written_stems(task, track) if task.fields["stems"] else []
    return _written(task, track, parts)


@contextlib.contextmanager
def _listened(task: Task) -> "Iterator[Callable[[np.ndarray], None]]":
    """What blocks (2, n) are given to, so that they are heard from files that grow: mp3, and wav of any length."""
    import soundfile

    rate = task.pipe.time_base.sample_rate
    constant = {"bitrate_mode": "CONSTANT", "compression_level": LIVE_LEVEL}  # so that players know how far they are
    coded = soundfile.SoundFile(task.folder / f"{LIVE}.mp3", "w", rate, 2, "MPEG_LAYER_III", format="MP3", **constant)
    with coded as mp3, (task.folder / f"{LIVE}.wav").open("wb") as wav:
        wav.write(_endless_header(rate))

        def play(block: "np.ndarray") -> None:
            mp3.write(block.T)
            wav.write((block.T.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
            wav.flush()
            task.heard += block.shape[1] / rate

        yield play


def _endless_header(rate: int) -> bytes:
    """The head of a wav file of 16-bit stereo that is longer than anybody can say."""
    most = 0xFFFFFFFF
    form = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", most, b"WAVE", b"fmt ", 16, 1, 2, rate, 4 * rate, 4, 16)
    return form + struct.pack("<4sI", b"data", most)


def _check_length(task: Task, seconds: float) -> None:
    if seconds > task.max_seconds:
        raise Refused(f"the track of {seconds:g} s is over the limit of {task.max_seconds:g} s here")


def _written(task: Task, track: "Track", others: list[str]) -> Made:
    from hybridgen import files

    _check_length(task, track.plan.seconds)  # of a loop or an extension it was not known before
    task.progress("writing", 0, 1)
    name = f"track.{task.fields['format']}"
    with files.Outputs() as together:
        track.write(together, task.folder / name)
        together.add(task.folder / "plan.json").write_text(track.plan.to_json(), encoding="utf-8")
    made_with = getattr(track.manifest.operations[-1], "seed", track.render_seed)
    facts = {**plan_facts(track.plan), "seed": track.seed, "render_seed": made_with, "notes": list(track.notes)}
    return Made(facts, [name, "plan.json", *others], name)


def _opened(task: Task) -> "Track":
    """The track that is changed; what is said of a recording is said to those alone."""
    return task.pipe.open(task.path("track"), progress=task.progress, **task.take("tempo", "downbeat", "meter"))


def _repaint(task: Task) -> Made:
    """Bars or seconds made anew; without any the ending alone, or the whole track where something else changes."""
    from hybridgen.render.repaint import edited

    fields, changes = task.fields, kinds.controls(task.fields, "edit")
    is_part = any(name in fields for name in ("bars", "seconds", "plan")) or changes.keys() == {"ending"}
    if not is_part:
        return _rendered_anew(task, changes)
    changes.pop("tempo", None)  # of a recording
    track = _opened(task)
    plan, notes = edited(track.plan, fields.get("bars"), fields.get("seconds"), changes)
    chosen = {"seconds": fields.get("seconds"), "strength": fields["strength"], **task.rendering}
    new = task.pipe.repaint(track, fields.get("plan", plan), fields.get("bars"), **chosen)
    return _written(task, new.with_notes(notes), [])


def _rendered_anew(task: Task, changes: dict[str, Any]) -> Made:
    from hybridgen import manifest
    from hybridgen.history import Render
    from hybridgen.render.repaint import edited
    from hybridgen.render.style import restyled

    record = manifest.read(task.path("track"))
    first = record.operations[0]
    if not isinstance(first, Render):
        raise Refused("bars: are missing; of a recording single bars are made new, such as [9, 12]")
    if not changes:
        raise Refused("bars: are missing, and nothing is to change in the whole track (such as tempo 96)")
    plan, notes = edited(record.plan, None, None, changes)
    if plan.seconds > task.max_seconds:
        raise Refused(f"tempo: {plan.seconds:g} s are over the limit of {task.max_seconds:g} here")
    track = task.pipe.render(plan, **{"seed": first.seed} | task.rendering)
    return _written(task, restyled(task.pipe, track, record.styles).with_notes(notes), [])


def _extend(task: Task) -> Made:
    chosen, track = task.take("bars", "seconds", "where"), _opened(task)
    _check_length(task, track.plan.seconds + chosen.get("seconds", 0.0))
    return _written(task, task.pipe.extend(track, **chosen, **task.rendering), [])


def _loop(task: Task) -> Made:
    if "prompt" not in task.fields:
        return _written(task, task.pipe.loop(_opened(task), task.fields["bars"], **task.rendering), [])
    from hybridgen.render.loop import asked

    given = asked(task.fields["prompt"], task.fields["bars"])
    plan = task.pipe.plan(task.fields["prompt"], seed=task.fields["seed"], progress=task.progress, **given)[0]
    _check_length(task, plan.seconds)
    return _written(task, task.pipe.render(plan, **task.rendering), [])


def _vary(task: Task) -> Made:
    return _written(task, task.pipe.vary(_opened(task), task.fields["amount"], **task.rendering), [])


def _cover(task: Task) -> Made:
    chosen = task.take("prompt", "depth", "strength", "tempo", "downbeat", "meter")
    return _written(task, task.pipe.cover(task.path("track"), **chosen, **task.rendering), [])


def _layer(task: Task) -> Made:
    chosen = task.take("role", "instrument", "notes", "tempo", "downbeat", "meter")
    result = task.pipe.layer(task.path("track"), **chosen, **task.rendering)
    result.alone.write(task.folder / "part.wav", ".wav", bits="32f")
    return _written(task, result.track, ["part.wav"])


def _style(task: Task) -> Made:
    return _written(task, task.pipe.style(_opened(task), task.path("reference"), task.fields["strength"]), [])


# ---- what is taken along


def _stems(task: Task) -> Made:
    track = _opened(task)
    return Made({"seed": track.seed, "render_seed": track.render_seed}, _written_stems(task, track))


def _written_stems(task: Task, track: "Track") -> list[str]:
    names = []
    for number, (role, sound) in enumerate(task.pipe.stems(track, task.progress).items(), start=1):
        names.append(f"{number:02d}_{role}.wav")
        sound.write(task.folder / names[-1], ".wav", bits="32f")
    return names


def _export(task: Task) -> Made:
    from hybridgen import manifest, pack
    from hybridgen.audio import Audio

    path, kind = task.path("track"), task.fields["format"]
    record = manifest.read(path)
    plan, notes = record.plan, manifest.verify(path)
    target = task.folder / f"{pack.name(plan)}.{kind}"
    if kind == "zip":
        stems = {}
        if task.fields["stems"] and record.is_recording:
            notes.append("it began as a recording, so the pack has no stems")
        elif task.fields["stems"]:
            stems = task.pipe.stems(_opened(task), task.progress)
        pack.write(target, Audio.load(path), record, stems, **task.take("bits", "sample_rate"))
    elif f".{kind}" in formats.CHAPTERED:
        pack.write_chapters(target, target.suffix, path, plan)
    else:
        target.write_bytes(_score(plan, kind, task.fields.get("labels")))
    return Made({"seed": plan.seed, "notes": notes}, [target.name])


def _score(plan: "Plan", kind: str, labels: str | None) -> bytes:
    from hybridgen.formats.labels import to_labels

    return to_labels(plan, labels).encode() if labels else formats.dump(plan, f".{kind}")


DOERS: dict[str, Callable[[Task], Made]] = {
    "plans": _plans,
    "arrange": _arrange,
    "notes": _notes,
    "track": _track,
    "repaint": _repaint,
    "extend": _extend,
    "loop": _loop,
    "vary": _vary,
    "cover": _cover,
    "layer": _layer,
    "style": _style,
    "stems": _stems,
    "export": _export,
}
