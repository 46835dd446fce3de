"""What a server keeps: uploads and jobs, how a job stands, and both read back from a library."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hybridgen.progress import Cancelled
from hybridgen.serve import work
from hybridgen.serve.kinds import CHANGES, KINDS, SOUNDS
from hybridgen.serve.nursery import Worker
from hybridgen.serve.owners import NOBODY
from hybridgen.serve.store import Kept

LOST_WORKER = "the worker process that did it has ended and is started again; try again"
NO_WORKER = "no worker process can be started; the server's log says why"
FINAL = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Event:
    """How a job stands."""

    state: str = "queued"  # queued, running, done, failed, cancelled
    ahead: int = 0  # jobs before it in the queue
    stage: str = ""  # of the work: "planning", "notes", "rendering", "decoding", ...
    done: int = 0  # of the stage
    total: int = 0
    seconds_left: float | None = None  # of the stages that have begun; None while nothing is known
    heard: float = 0.0  # seconds of a live track that can be heard already

    @property
    def is_final(self) -> bool:
        """Whether no other event will come."""
        return self.state in FINAL

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


DONE = Event("done")


class Failed(Exception):
    """A job could not be done; the message says why, in one line. is_ours: it may be done when it is tried again."""

    def __init__(self, message: str, is_ours: bool) -> None:
        super().__init__(message)
        self.is_ours = is_ours


@dataclass(eq=False)
class Upload(Kept):
    """A file that somebody has sent, read and written anew: `source` is what may be opened."""

    facts: dict[str, Any] = field(default_factory=dict)
    source: Path = Path()

    @property
    def is_track(self) -> bool:
        """Whether it holds sound."""
        return self.source.suffix in SOUNDS

    def record(self) -> dict[str, Any]:
        """What is kept of it beside its files."""
        return {**super().record(), "facts": self.facts, "source": self.source.name}


@dataclass(eq=False)
class Job(Kept):
    """One job; `Jobs` alone changes it."""

    kind: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    event: Event = Event()
    facts: dict[str, Any] = field(default_factory=dict)  # of the result, as JSON values; "seed" among them
    problem: str | None = None  # why it failed
    source: Path | None = None  # the track that it made, which others may change
    of: str | None = None  # the id of the track that it is made of
    is_cancelled: bool = False
    worker: Worker | None = None  # that does it
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def live(self, kind: str) -> Path:
        """The sound of a live track, as far as it is rendered, as "mp3" or "wav"."""
        return self.folder / f"{work.LIVE}.{kind}"

    @property
    def is_track(self) -> bool:
        """Whether it has made, or makes, a track."""
        return self.kind == "track" or self.kind in CHANGES

    def record(self) -> dict[str, Any]:
        """What is kept of it beside its files."""
        source = None if self.source is None else self.source.name
        facts = {"kind": self.kind, "request": self.request, "facts": self.facts, "source": source, "of": self.of}
        return {**super().record(), **facts}


@dataclass(frozen=True)
class Result:
    """What a job has made."""

    facts: Mapping[str, Any]
    files: Mapping[str, Path]


def outcome(job: Job) -> Result:
    """What a job that has ended has made; Failed or Cancelled where it has made nothing."""
    if job.event.state == "failed":
        raise Failed(str(job.problem), job.problem in (NO_WORKER, LOST_WORKER))
    if job.event.state == "cancelled":
        raise Cancelled(f"job {job.id} was cancelled")
    return Result(job.facts, job.files)


def found(name: str, folder: Path) -> Kept | None:
    """A track whose record is lost: what made it is in the file. It belongs to whoever sits at this machine."""
    files = {one.name: one for one in folder.glob("*.*") if one.stem in ("track", "plan")}
    source = next((one for one in files.values() if one.suffix in SOUNDS), None)
    if source is None:
        return None
    size = sum(one.stat().st_size for one in files.values())
    return Job(name, NOBODY, folder, files, size, source.stat().st_mtime, kind="track", event=DONE, source=source)


def restored(name: str, folder: Path, record: Any) -> Kept | None:
    """A result or an upload of an earlier run, as far as its files are there; None for what is none."""
    try:
        for name_of_kind in ("mp3", "wav"):
            (folder / f"{work.LIVE}.{name_of_kind}").unlink(missing_ok=True)
        files = {one: folder / one for one in record["files"] if Path(one).name == one and (folder / one).is_file()}
        source = None if record["source"] is None else folder / Path(record["source"]).name
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        state = {"made": float(record["made"]), "starred": record["starred"] is True, "removed": record["removed"]}
        kept = {"files": files, "n_bytes": size, "facts": dict(record["facts"]), **state}
        if "kind" not in record:
            return Upload(name, record["owner"], folder, source=source or Path(), **kept)
        if record["kind"] not in KINDS:
            return None
        kept |= {"request": dict(record["request"]), "of": record["of"], "event": DONE, "source": source}
        return Job(name, record["owner"], folder, kind=record["kind"], **kept)
    except (KeyError, TypeError, ValueError, OSError):
        return None
