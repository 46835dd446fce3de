"""Jobs: a bounded queue over worker processes. REST routes and other programs in the same process use it alike.

    with Jobs(Model("tiny"), workers=2, limits=Limits()) as jobs:        # or start() and close()
        job = jobs.submit("track", {"prompt": "deep house", "seconds": 30}, owner="anna")
        for event in jobs.events(job):                  # in a coroutine: async for event in jobs.watch(job)
            print(event.state, event.stage, event.done, event.total, event.seconds_left, event.ahead)
        jobs.cancel(job)                                # from any thread; it ends within a solver step
        result = jobs.result(job)                       # waits; Failed or Cancelled where there is none
        result.facts["seed"], result.files["track.flac"]

A script that does so does it under `if __name__ == "__main__":`, since a new process imports it again.

`submit` checks everything that can be known before the work: `Refused` (a ValueError, with `field` and `suggestion`)
for a request that cannot be done, `Unknown` for a track that is not the owner's, `Full` (with `retry_after` seconds)
where no more may wait. Kinds and their fields are `kinds.KINDS`; a request always has a seed, given or drawn.

Events are the newest state, not a record: whoever listens slowly skips some and never the last. States are queued,
running, done, failed, cancelled. A worker that dies is started again, and its job has failed with a line that says so.
`find` gives a job to its owner alone. What is done is kept until `Limits.kept` others are, at most; in a library
tracks stay until somebody removes them (library.py says what there is in it). A track under way with
`live: true` is in `job.live("wav")`, a growing file of sound that begins to be heard as soon as its first window is
rendered; `event.heard` says how many seconds of it are there.
"""

import asyncio
import atexit
import collections
import contextlib
import math
import os
import shutil
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from hybridgen import formats
from hybridgen.serve import items, reading, requests, work
from hybridgen.serve.items import LOST_WORKER, NO_WORKER, Event, Job, Result, Upload, outcome
from hybridgen.serve.kinds import SOURCES
from hybridgen.serve.limits import MAX_WORKERS, Limits
from hybridgen.serve.nursery import Gone, Model, Nursery, Work, Worker
from hybridgen.serve.refusals import Refused
from hybridgen.serve.store import Kept, Store, Unknown, discard

GRACE = 10.0  # seconds in which a worker must have stopped when it is told to
MAX_READERS = 4  # uploads that are read at once
REMEMBERED = 50  # jobs whose time tells how long the queue will take
FROM = "from-"  # how the files that a job is given begin
T = TypeVar("T", bound=Kept)


class Full(Exception):
    """No more jobs may wait; `retry_after` is when one may, in seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"queue: {waiting} jobs wait, and no more may; try again in {retry_after} s")
        self.retry_after = retry_after


class Jobs:
    """The queue and its workers; with `library`, a folder, what was made is there again when it starts again."""

    def __init__(
        self,
        model: Model | None = None,
        workers: int = 1,
        limits: Limits | None = None,
        library: Path | None = None,
    ) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers {workers} is outside 1-{MAX_WORKERS}")
        self.model, self.limits, self.n_workers = model or Model(), limits or Limits(), workers
        self.store = Store(self.limits.disk_bytes, self.limits.kept, library)
        self.ended: collections.Counter[tuple[str, str]] = collections.Counter()  # (kind, state) -> jobs
        self.spent: dict[str, float] = collections.defaultdict(float)  # kind -> seconds of work
        self.refused, self.restarts, self.running, self._places = 0, 0, 0, 0
        self._took: collections.deque[float] = collections.deque(maxlen=REMEMBERED)
        self._readers = threading.BoundedSemaphore(MAX_READERS)
        self._nursery = Nursery(self.model, Work(work.warm, work.serve, reading.read), workers)
        self._waiting: collections.deque[Job] = collections.deque()
        self._changed = threading.Condition()  # of the queue and of every job
        self.is_open = False
        self._threads: list[threading.Thread] = []

    # ---- the contract

    def start(self) -> Self:
        """Loads the model and starts the workers; ValueError or OSError where it is no model."""
        self._nursery.start()
        self._restore()
        self.is_open = True
        atexit.register(self.close)  # before multiprocessing waits for its processes
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.n_workers)]
        for thread in self._threads:
            thread.start()
        return self

    def _restore(self) -> None:
        """What earlier runs have left in the library; folders of jobs that had not ended go."""
        kept = list[Kept]()
        for name, folder, record in self.store.records():
            if (item := items.restored(name, folder, record) or items.found(name, folder)) is not None:
                kept.append(item)
            else:
                discard(folder)
        for item in sorted(kept, key=lambda one: one.made):
            self.store.add(item)

    def close(self) -> None:
        """Cancels what is under way, ends all processes, removes all files but those of a library."""
        atexit.unregister(self.close)
        with self._changed:
            self.is_open = False
            waiting = tuple(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for job in waiting:
            self._end(job, "cancelled")
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._nursery.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def n_waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Full where no more jobs may wait."""
        if not self.is_open or len(self._waiting) + self._places >= self.limits.queue:
            self.refused += 1
            raise Full(len(self._waiting), self._retry_after())

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue is kept in the block, in which a request is checked; Full where there is none."""
        with self._changed:
            self.check_room()
            self._places += 1
        try:
            yield
        finally:
            with self._changed:
                self._places -= 1

    def submit(self, kind: str, request: Mapping[str, Any], owner: str) -> Job:
        """A new job in the queue. Refused, Unknown or Full, and then nothing is left of it."""
        with self.place():
            return self.enqueue(kind, request, owner)

    def enqueue(self, kind: str, request: Mapping[str, Any], owner: str) -> Job:
        """`submit` for who has a `place`."""
        if self.store.is_full:
            raise Refused("library: there is no room left; remove some tracks, or allow more with --max-disk")
        checked = requests.check(kind, request, self.limits)
        sources = {name: self._source(name, checked[name], owner) for name in SOURCES if name in checked}
        name, folder = self.store.place()
        job = Job(name, owner, folder, kind=kind, request=checked, of=checked.get("track"))
        try:
            for name, source in sources.items():
                job.request[name] = _linked(source, folder, name)
        except FileNotFoundError:  # it has been removed since it was found
            discard(folder)
            raise Unknown(f"{name}: {checked[name]} is not here any more") from None
        with self._changed:
            self.store.add(job)
            job.event = Event(ahead=len(self._waiting))
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def upload(self, name: str, file: IO[bytes], owner: str) -> Upload:
        """A track, a recording or a score that somebody sends, read by a process with limits; it can be a source.

        Of `name` only the ending counts, and for scores alone. Refused where it cannot be read, Full where too many
        are read at the moment.
        """
        if not self._readers.acquire(blocking=False):
            raise Full(MAX_READERS, 2)
        key, folder = self.store.place()
        try:
            sent = folder / f"sent{_ending(name)}"
            with sent.open("wb") as copy:
                while data := file.read(1 << 20):
                    if copy.tell() + len(data) > self.limits.upload_bytes:
                        raise Refused(f"file: over the limit of {self.limits.upload_mb:g} MB", "file")
                    copy.write(data)
            facts, files, source = self._read(sent)
            sent.unlink()
            named = {"name": "".join(letter for letter in Path(name[-80:]).name if letter.isprintable())}
            kept = {one: folder / one for one in files}
            upload = Upload(key, owner, folder, kept, facts={**facts, **named}, source=folder / source)
        except (Refused, OSError):
            discard(folder)
            raise
        finally:
            self._readers.release()
        self.store.add(upload)
        self.store.settle(upload)
        return upload

    def find(self, name: str, owner: str) -> Job:
        """The owner's job of this id; Unknown for any other."""
        return self.store.find(name, owner, Job)

    def events(self, job: Job) -> Iterator[Event]:
        """What becomes of a job, from how it stands to its end."""
        changed = threading.Event()
        with _listening(job, changed.set):
            last = None
            while last is None or not last.is_final:
                changed.clear()
                if job.event != last:
                    last = job.event
                    yield last
                else:
                    changed.wait()

    async def watch(self, job: Job) -> AsyncIterator[Event]:
        """`events` for a coroutine: no thread waits for it."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def listener() -> None:
            loop.call_soon_threadsafe(changed.set)

        with _listening(job, listener):
            last = None
            while last is None or not last.is_final:
                changed.clear()
                if job.event != last:
                    last = job.event
                    yield last
                else:
                    await changed.wait()

    def cancel(self, job: Job) -> None:
        """Ends a job that has not ended: at once where it waits, within a solver step where it runs."""
        with self._changed:
            job.is_cancelled = True
            if has_waited := job in self._waiting:
                self._waiting.remove(job)
                self._say_places()
            worker = job.worker
        if has_waited:
            self._end(job, "cancelled")
        elif worker is not None:
            with contextlib.suppress(Gone):
                worker.send({"stop": job.id})

    def remove(self, item: Kept) -> None:
        """Removes a result or an upload and its files; a job that has not ended is cancelled first."""
        if isinstance(item, Job) and not item.event.is_final:
            self.cancel(item)
        else:
            self.store.remove(item)

    def mark(self, item: Kept, starred: bool | None = None, removed: bool | None = None) -> None:
        """Stars what is kept, or puts it into the bin, which is emptied after `store.BIN_SECONDS`, and takes it out."""
        if isinstance(item, Job) and removed and not item.event.is_final:
            self.cancel(item)
        item.starred = item.starred if starred is None else starred
        if removed is not None:
            item.removed = time.time() if removed else None
        self.store.save(item)

    def result(self, job: Job, timeout: float | None = None) -> Result:
        """What a job has made, once it has; Failed, Cancelled, or TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: job.event.is_final, timeout):
                raise TimeoutError(f"job {job.id} is not done after {timeout:g} s")
        return outcome(job)

    # ---- uploads

    def _read(self, sent: Path) -> tuple[dict[str, Any], list[str], str]:
        """What a reader makes of a file: facts, files, and which of them may be opened."""
        try:
            reader = self._nursery.hatch("read")
            reader.send({"path": str(sent), "max_seconds": self.limits.seconds})
            answer = reader.receive(reading.SECONDS)
            if answer is None:
                reader.kill()
            reader.close()
        except Gone:
            answer = {"problem": "file: the process that read it has ended, so it is not what it says it is"}
        if answer is None:
            answer = {"problem": f"file: it takes more than {reading.SECONDS:g} s to read"}
        if "problem" in answer:
            raise Refused(answer["problem"], "file")
        return answer["facts"], answer["files"], answer["source"]

    # ---- the queue

    def _source(self, field: str, name: str, owner: str) -> Path:
        """The file that an upload, or a job that is done, gives to another job."""
        item = self.store.find(name, owner, Kept)
        if isinstance(item, Job) and item.event.state != "done":
            raise Refused(f"{field}: job {name} is {item.event.state}, not done", field)
        source = item.source if isinstance(item, Job | Upload) else None
        if source is None or source.suffix not in SOURCES[field]:
            raise Refused(f"{field}: {name} holds none of {' '.join(SOURCES[field])}", field)
        return source

    def _retry_after(self) -> int:
        """Seconds in which one job of the queue should have begun."""
        usual = statistics.fmean(self._took) if self._took else 5.0
        return max(1, min(600, math.ceil(usual / self.n_workers)))

    def _say_places(self) -> None:
        for place, job in enumerate(self._waiting):
            self._say(job, replace(job.event, ahead=place))

    def _say(self, job: Job, event: Event) -> None:
        job.event = event
        for listener in tuple(job.listeners):
            with contextlib.suppress(RuntimeError):  # of a loop that has ended
                listener()
        self._changed.notify_all()

    def _end(self, job: Job, state: str, problem: str | None = None) -> None:
        """Nothing of a job is left but its result, and why it has none.

        Its files are in order before it is said that it has ended, and meanwhile nobody waits for the queue's lock.
        """
        try:
            self._tidy(job, state)
        except OSError as error:  # a full disk, say, on which its record cannot be written
            state, problem = "failed", f"its result cannot be kept: {error.strerror}"
            self._tidy(job, state)
        with self._changed:
            job.problem, job.worker = problem, None
            self.ended[job.kind, state] += 1
            self._say(job, replace(job.event, state=state, ahead=0, seconds_left=None))

    def _tidy(self, job: Job, state: str) -> None:
        if state == "done":
            for path in job.folder.glob(f"{FROM}*"):
                path.unlink()
        else:
            discard(job.folder)
        self.store.settle(job)

    # ---- one worker's thread

    def _work(self) -> None:
        """Gives one job after the other to a worker of its own, which is replaced when it has ended."""
        worker = self._hatched()
        while (job := self._next()) is not None:
            began = time.monotonic()
            if worker is None or not worker.is_there():
                worker = self._hatched()
            state, problem = ("failed", NO_WORKER) if worker is None else self._run(job, worker)
            took = time.monotonic() - began
            with self._changed:
                self.running -= 1
                self._took.append(took)
                self.spent[job.kind] += took
            self._end(job, state, problem)
            if worker is not None and not worker.is_open:
                self.restarts += 1
                worker = self._hatched()
        if worker is not None:
            worker.close()

    def _next(self) -> Job | None:
        """The next job, which is now running; None where the queue has closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self.is_open)
            if not self.is_open:
                return None
            job = self._waiting.popleft()
            self.running += 1
            self._say(job, Event("running"))
            self._say_places()
            return job

    def _hatched(self) -> Worker | None:
        try:
            return self._nursery.hatch()
        except (Gone, ValueError):
            return None

    def _run(self, job: Job, worker: Worker) -> tuple[str, str | None]:
        """The state in which a job has ended, and why it failed; the worker is closed where it is of no more use."""
        try:
            with self._changed:
                job.worker = worker
            task = {"id": job.id, "kind": job.kind, "request": job.request, "folder": str(job.folder)}
            worker.send({**task, "max_seconds": self.limits.seconds})
            return self._follow(job, worker)
        except Gone:
            worker.close()
            if job.is_cancelled:
                return "cancelled", None
            return "failed", LOST_WORKER

    def _follow(self, job: Job, worker: Worker) -> tuple[str, str | None]:
        """What becomes of a job that a worker has begun. Gone where the worker ends."""
        limit, must_end, clock = time.monotonic() + self.limits.job_seconds, math.inf, _Clock()
        while (now := time.monotonic()) <= must_end:
            if must_end == math.inf and (now > limit or job.is_cancelled or not self.is_open):
                must_end = now + GRACE
                worker.send({"stop": job.id})
            message = worker.receive(0.5)
            if message is None:
                continue
            if "stage" in message:
                left = clock.left(**message)
                with self._changed:
                    self._say(job, Event("running", seconds_left=left, **message))
            elif "problem" in message:
                return "failed", message["problem"]
            elif job.is_cancelled or "stopped" in message:
                break
            else:
                job.facts = message["facts"]
                job.files = {name: job.folder / name for name in message["files"]}
                job.source = job.folder / message["source"] if message["source"] else None
                return "done", None
        else:
            worker.kill()
        if job.is_cancelled or not self.is_open:
            return "cancelled", None
        return "failed", f"it took more than the {self.limits.job_seconds:g} s that a job may take here"


class _Clock:
    """How long the stages of a job that have begun will still take: some are done by turns."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._stages: dict[str, tuple[float, int, int]] = {}  # seconds so far, done, total

    def left(self, stage: str, done: int, total: int, heard: float) -> float | None:
        """Seconds, after this report; None while nothing is known."""
        now = time.monotonic()
        spent = self._stages[stage][0] if stage in self._stages else 0.0
        self._stages[stage], self._last = (spent + now - self._last, done, total), now
        rates = [spent / done * (total - done) for spent, done, total in self._stages.values() if done]
        return sum(rates) if rates else None


@contextlib.contextmanager
def _listening(job: Job, listener: Callable[[], None]) -> Iterator[None]:
    job.listeners.append(listener)
    try:
        yield
    finally:
        job.listeners.remove(listener)


def _ending(name: str) -> str:
    """The ending of a file's name, as far as it is one of those that are read."""
    ending = Path(name[-20:]).suffix.lower()
    return ending if ending in (*SOURCES["track"], *formats.READS) else ""


def _linked(source: Path, folder: Path, field: str) -> str:
    """The name in `folder` under which a file is there too, with its latents, whatever becomes of the other.

    FileNotFoundError where it has just been removed.
    """
    stem = f"{FROM}{field}"
    for path in source.parent.glob(f"{source.name}*"):
        target = folder / f"{stem}{path.name.removeprefix(source.stem)}"
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
    name = f"{stem}{source.suffix}"
    if not (folder / name).exists():
        raise FileNotFoundError(source)
    return name
