"""Music that goes on until it is told to stop, and can be steered: bars are written and rendered as they are due.

The form goes on (`plan.extending`) a few bars ahead of the renderer, whose windows are small, so that what is steered
is heard soon: it changes the bars from the next one on of which nothing is rendered yet. What was played is a track
like any other: its manifest holds a `Render`, and a `Change` for each time that it was steered, and so repeats it.

Shapes: N samples; n of them. T latent frames, C latent channels.
"""

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hybridgen import audio
from hybridgen.history import Change, Operation, Render
from hybridgen.loudness import LoudnessMeter
from hybridgen.plan import extending
from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import MAX_SECONDS, MAX_SEED, Ending, Tempo, order_roles
from hybridgen.plan.plan import Plan
from hybridgen.planning.notes import write_notes
from hybridgen.render import change, mixdown
from hybridgen.render.windows import WindowRenderer
from hybridgen.request import reworded
from hybridgen.sampling import RenderOptions
from hybridgen.stages import PromptStates, Stages
from hybridgen.track import Track

WINDOW, OVERLAP = 80, 64  # latent frames: each window renders 16 new ones, 0.74 s
FIRST_BARS = 16  # of the form that a prompt begins with, unless it says how many
AHEAD = 8  # bars of the score that are there beyond those rendered
CONTEXT = 16  # bars that the planner sees before those whose notes it writes
TOGETHER = 2  # bars whose notes are written at once, at least
PIECE = 8192  # samples in a block
LONGEST = MAX_SECONDS - 200.0  # seconds of music that are remembered
APPENDED = 16  # bars of a section that are put to the score at once, at most
KEPT = 45.0  # seconds of it that stay when the rest is forgotten


@dataclass(frozen=True)
class Steering:
    """What holds beside the form of the plan, from bar `since` on."""

    energy: int | None = None
    chords: tuple[tuple[str, ...] | None, ...] | None = None
    prompt: str | None = None
    mute: tuple[str, ...] = ()
    since: int = 1


@dataclass
class _Segment:
    """What is rendered with one plan, but for the bars that are appended to it."""

    plan: Plan
    prompt: PromptStates
    steering: Steering
    first: int = 0  # the latent frame from which on it is heard
    window: int = 0  # that with which its next window begins
    timbre: Tensor | None = None


class Stream:
    """An endless track: an iterator over blocks (2, n) float32 at the sample rate of the codec.

    They are mastered at the gain of the first window. `steer` may be called from another thread. About six minutes are
    remembered, of which `track` makes a track; then only what is needed to go on is, so that memory stays flat.
    `notes` say what of the plan is not played as it is.
    """

    def __init__(self, stages: Stages, plan: Plan, options: RenderOptions):
        """plan: the beginning, a score whose notes may be unknown.

        ValueError for a plan without bars or with beats as played, and for a model that writes or plays no notes.
        """
        change.check_no_ranges(stages, "a stream plays as it is rendered")
        if not (stages.config.planner.notes and stages.config.renderer.notes):
            raise ValueError(f"model {stages.name!r} does not write and play notes, which a stream needs")
        if plan.n_bars == 0 or plan.beats:
            raise ValueError("plan: a stream needs bars at a tempo, not beats as played")
        self.stages, self._lock = stages, threading.Lock()
        plan = plan.on(stages.time_base)
        self._seed, sampling = mixdown.choose(stages, plan, options)
        self._sampling = replace(sampling, window=WINDOW, overlap=OVERLAP)
        self._form = list(extending.split(plan.sections, extending.insertion(plan))[0])  # as it is without steering
        n_bars = sum(len(section.bars) for section in self._form)
        has_ramps = any(mark.ramp for mark in plan.tempo)
        # where a ramp is steered in its middle no mark could say its tempo, and bars that were played would move
        steady = replace(plan, tempo=tuple(Tempo(mark.bar, mark.bpm) for mark in plan.tempo))
        plan = replace(extending.cut(steady, (1, n_bars)), ending=Ending("open"))
        marks = ", ".join(f"{mark.bpm:g} BPM from bar {mark.bar} on" for mark in plan.tempo)
        self.notes = (f"a stream changes its tempo in steps, not gradually: {marks}",) if has_ramps else ()
        self._forgotten, self._past = 0, 0  # bars, and samples
        self._now = _Segment(plan, stages.encode_prompt(plan.prompt), Steering())
        self._next: _Segment | None = None
        self._operations: list[Operation] = []
        self._latents = mixdown.new_latents(stages, plan)[:0]
        self._known = np.zeros(0, dtype=bool)
        self._ready = self._decoded = self._origin = 0  # frames rendered, frames decoded; number of the first
        self._raw, self._at = np.zeros((2, 0), np.float32), 0  # decoded samples, and which the first of them is
        self._given = 0  # samples
        self._end: int | None = None  # the sample at which it stops, where that is known
        self._gain_db: float | None = None
        self._remembered: Track | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        with self._lock:
            margin = audio.LIMITER_REACH
            while not self._is_closed and self._at + self._raw.shape[1] < self._given + PIECE + margin:
                self._render()
                if self._has_ended():
                    self._close()
                else:
                    self._decode(self._settled() - self.stages.codec.reach)
            stop = min(self._given + PIECE, self._at + self._raw.shape[1])
            if stop == self._given:
                raise StopIteration
            block = self._mastered(self._given, stop)
            self._given = stop
            self._forget()
            return block

    @property
    def plan(self) -> Plan:
        """The plan that is being played, with the bars that are to come as far as they are written."""
        return (self._next or self._now).plan

    @property
    def seconds(self) -> float:
        """Seconds of music that were given."""
        return (self._past + self._given) / self.plan.time_base.sample_rate

    def steer(
        self,
        *,
        prompt: str | None = None,
        tempo: float | None = None,
        energy: int | None = None,
        chords: Sequence[str | Sequence[str] | None] | None = None,
        mute: Sequence[str] | None = None,
    ) -> int:
        """Changes what is played from the next bar on of which nothing is rendered; returns its number, from 1.

        prompt: other words; who plays is as they say. tempo in BPM, in steps of 0.1; energy 0-7; chords, an entry a
        bar, repeated; mute: all roles that are silent from there on, () for none. What is None stays. Nothing of it
        happens on ValueError. A warning says what of the prompt is left out.
        """
        asked = Controls.of("edit", {"prompt": prompt, "tempo": tempo, "energy": energy, "chords": chords})
        muted = None if mute is None else order_roles(mute, "mute")
        if isinstance(asked.tempo, tuple):
            raise ValueError(f"tempo {asked.tempo} is a range; steering needs one tempo")
        with self._lock:
            if self._is_closed:
                raise ValueError("the stream is closed: nothing more of it is rendered")
            segment = self._next or self._now
            bar, before = self._next_bar(segment), segment.steering
            steering = Steering(
                before.energy if asked.energy is None else asked.energy,
                asked.chords or before.chords,
                asked.prompt or before.prompt,
                before.mute if muted is None else muted,
                before.since if asked.chords is None else bar,
            )
            plan = self._steered(segment, bar, steering, asked.tempo)
            for note in () if asked.prompt is None else reworded(plan, (bar, plan.n_bars), asked.prompt)[1]:
                warnings.warn(note, stacklevel=2)
            first, base = self._frame(plan, bar), plan.time_base
            start = max(0, first - OVERLAP) // base.frames_per_code * base.frames_per_code
            self._next = _Segment(plan, self.stages.encode_prompt(plan.prompt), steering, first, start)
            if not self._ready:
                self._now, self._next = self._next, None
            return bar + self._forgotten

    def end(self, seconds: float) -> None:
        """Lets the music close by itself, as `close` does, exactly `seconds` after its beginning.

        ValueError where that is not a time to come: windows are rendered some seconds ahead.
        """
        with self._lock:
            plan = self._now.plan
            base, end = plan.time_base, round(seconds * plan.time_base.sample_rate) - self._past
            rendered = max(1, self._ready * base.latent_hop - plan.pre_roll)
            if self._is_closed or end < rendered:
                is_there = (self._past + rendered) / base.sample_rate
                raise ValueError(f"seconds {seconds:g}: the stream is rendered to {is_there:.3f} s already")
            self._end = end

    def close(self) -> None:
        """No more is rendered: what is gives the last blocks, and fades out so fast that it does not click."""
        with self._lock:
            if not self._is_closed:
                while not self._ready:
                    self._render()
                self._close()

    def track(self) -> Track:
        """What was rendered so far, or as much of it as was remembered, as a track whose manifest repeats it."""
        with self._lock:
            return self._remembered or self._track()

    # ---- the score

    def _next_bar(self, segment: _Segment) -> int:
        """The first bar of which no frame is rendered."""
        bar = 1
        while self._frame(self._longer(segment, bar), bar) < self._settled():
            bar += 1
        return bar

    def _frame(self, plan: Plan, bar: int) -> int:
        """The first latent frame of a bar."""
        return (int(plan.bar_starts()[bar - 1]) + plan.pre_roll) // plan.time_base.latent_hop

    def _longer(self, segment: _Segment, n_bars: int) -> Plan:
        """The plan of a segment with as many sections of the form as it takes to have so many bars."""
        plan = segment.plan
        while plan.n_bars < n_bars:
            first = plan.n_bars + 1
            while sum(len(section.bars) for section in self._form) < first:
                self._form.append(extending.following(self._form))
            new = extending.split(extending.split(self._form, plan.n_bars)[1], APPENDED)[0]
            parts = tuple(
                replace(part, bars=(*part.bars, *(None,) * sum(len(s.bars) for s in new))) for part in plan.notes
            )
            plan = replace(plan, sections=(*plan.sections, *new), notes=())
            plan = self._with_steering(replace(plan, notes=parts), first, segment.steering)
        return plan

    def _steered(self, segment: _Segment, bar: int, steering: Steering, tempo: float | None) -> Plan:
        """The plan of a segment with the form anew from a bar on, under some steering."""
        plan = self._longer(segment, bar + AHEAD)
        before = extending.split(plan.sections, bar - 1)[0]
        after = extending.split(extending.split(self._form, plan.n_bars)[0], bar - 1)[1]
        notes = tuple(part.with_bars(bar, (None,) * (plan.n_bars - bar + 1)) for part in plan.notes)
        marks = plan.tempo
        if tempo is not None:
            marks = (*(mark for mark in marks if mark.bar < bar), Tempo(bar, tempo))
        plan = replace(plan, sections=(*before, *after), tempo=marks, notes=())
        return self._with_steering(replace(plan, notes=notes), bar, steering)

    def _with_steering(self, plan: Plan, first: int, steering: Steering) -> Plan:
        """The plan with what was steered in its bars from `first` on."""
        bars = (first, plan.n_bars)
        if steering.prompt is not None:
            plan, _ = reworded(plan, bars, steering.prompt)
        if steering.mute:
            before, after = extending.split(plan.sections, first - 1)
            quiet = (replace(one, roles=tuple(r for r in one.roles or () if r not in steering.mute)) for one in after)
            plan = replace(plan, sections=(*before, *quiet))
        if steering.energy is not None:
            plan = plan.edit(bars, energy=steering.energy)
        if steering.chords is not None:
            turn = (first - steering.since) % len(steering.chords)
            plan = plan.edit(bars, chords=(*steering.chords[turn:], *steering.chords[:turn]))
        return plan

    def _with_notes(self, segment: _Segment, last: int) -> Plan:
        """The plan of a segment with all notes of its bars up to `last` known."""
        plan, playing = segment.plan, {role for role, _ in segment.plan.instruments}
        unknown = [any(plan.part(role).bars[i] is None for role in playing) for i in range(last)]
        if not any(unknown):
            return plan
        first = unknown.index(True) + 1
        last = min(plan.n_bars, max(last, first + TOGETHER - 1))
        begin = max(1, first - CONTEXT)
        seen = replace(
            extending.cut(plan, (begin, min(plan.n_bars, last + AHEAD))), seed=(plan.seed + first) % MAX_SEED
        )
        write = np.zeros(seen.n_bars, dtype=bool)
        write[first - begin : last - begin + 1] = True
        seen = write_notes(self.stages, seen, segment.prompt, write)
        parts = []
        for role in playing:
            bars = seen.part(role).bars[first - begin : last - begin + 1]
            parts.append(plan.part(role).with_bars(first, [() if bar is None else bar for bar in bars]))
        return plan.with_parts(parts)

    # ---- the sound

    def _close(self) -> None:
        self._is_closed, self._next = True, None
        self._now.plan = self._until(self._ready)
        self._decode(self._ready)

    def _has_ended(self) -> bool:
        """Whether all is rendered up to the end that is set."""
        last = self._last_frame()
        return last is not None and self._settled() >= last

    def _last_frame(self) -> int | None:
        """Latent frames up to the end that is set."""
        plan = self._now.plan
        return None if self._end is None else plan.time_base.n_frames(plan.pre_roll + self._end)

    def _settled(self) -> int:
        """Latent frames that are rendered for good: those after where a segment waits to begin are not."""
        return self._ready if self._next is None else min(self._ready, self._next.first)

    def _render(self) -> None:
        """Renders a window, after the bars that it reaches into are written."""
        if self._next is not None and self._ready >= self._next.first:
            self._switch(self._next)
        segment, base = self._now, self._now.plan.time_base
        start, stop = segment.window, segment.window + WINDOW
        end = stop * base.latent_hop - segment.plan.pre_roll
        while int(segment.plan.bar_starts()[-1]) < end:
            segment.plan = self._longer(segment, segment.plan.n_bars + 1)
        last = int(np.searchsorted(segment.plan.bar_starts(), end))
        segment.plan = self._longer(segment, last + AHEAD)
        segment.plan = plan = self._with_notes(segment, last)
        if (last_frame := self._last_frame()) is not None and stop >= last_frame:
            stop, plan = last_frame, self._until(last_frame)
        grown = max(0, stop - len(self._known))
        self._latents = torch.cat([self._latents, self._latents.new_zeros(grown, self._latents.shape[1])])
        self._known = np.concatenate([self._known, np.zeros(grown, dtype=bool)])
        windows = WindowRenderer(
            self.stages.renderer, plan, segment.prompt, self._seed, self._sampling, origin=self._origin
        )
        if segment.timbre is None:
            segment.timbre = windows.timbre(self._latents, self._known)
        windows.fill_window(self._latents, self._known, (start, stop), segment.timbre)
        if segment.timbre is None:
            segment.timbre = windows.timbre(self._latents, self._known)
        segment.window, self._ready = start + WINDOW - OVERLAP, stop

    def _switch(self, segment: _Segment) -> None:
        """From now on all is rendered with the plan of another segment; what is past its beginning is given up."""
        if self._remembered is None:
            self._operations.append(self._operation())
        self._now, self._next = segment, None
        self._ready = segment.first
        self._known[segment.first :] = False

    def _decode(self, stop: int) -> None:
        """Decodes frames up to `stop`."""
        plan, hop = self._now.plan, self._now.plan.time_base.latent_hop
        low, high = (min(max(0, frame * hop - plan.pre_roll), plan.length) for frame in (self._decoded, stop))
        if low < high:
            fresh = mixdown.decoded(self.stages, plan, self._latents[: self._ready], (low, high), self._origin)
            self._raw, self._decoded = np.concatenate([self._raw, fresh], axis=1), stop

    def _mastered(self, start: int, stop: int) -> np.ndarray:
        """Samples start..stop-1 at the gain of the first window; those that are not needed any more are dropped."""
        rate, margin = self.plan.time_base.sample_rate, audio.LIMITER_REACH
        if self._gain_db is None:
            meter = LoudnessMeter(rate)
            meter.feed(self._raw)
            self._gain_db = audio.mastering_gain(meter.lufs())
        low = max(0, start - margin)
        piece = self._raw[:, low - self._at : stop + margin - self._at].copy()
        audio.master(piece, self._gain_db)
        dropped = max(0, stop - margin - self._at)
        self._raw, self._at = self._raw[:, dropped:], self._at + dropped
        return audio.to_24_bits(piece[:, start - low : stop - low])

    # ---- the record

    def _until(self, n_frames: int) -> Plan:
        """The plan of so many frames, or up to the end that is set; in bars that are not written nothing is played."""
        plan = self._now.plan
        n_samples = n_frames * plan.time_base.latent_hop - plan.pre_roll
        n_samples = n_samples if self._end is None else min(n_samples, self._end)
        parts = [replace(part, bars=tuple(() if bar is None else bar for bar in part.bars)) for part in plan.notes]
        return replace(plan.with_parts(parts), n_samples=n_samples)

    def _operation(self) -> Operation:
        """What rendered the present segment."""
        plan, model, adapters = self._until(self._ready), self.stages.model_record, self.stages.adapter_records
        if not self._operations:
            return Render(plan, self._seed, self._sampling, model, adapters)
        first = self._now.first * plan.time_base.latent_hop - plan.pre_roll
        bar = int(plan.bar_starts()[plan.bar_starts() >= first][0])
        return Change(plan, ((bar, plan.length),), self._seed, self._sampling, model, adapters)

    def _track(self) -> Track:
        if not self._ready:
            raise ValueError("nothing of the stream is rendered yet")
        if self._gain_db is None:
            raise ValueError("nothing of the stream was given yet")
        operation = self._operation()
        plan, latents = operation.plan, self._latents[: self._ready]
        samples = mixdown.decoded(self.stages, plan, latents, (0, plan.length), self._origin)
        record = mixdown.describe((*self._operations, operation), self._gain_db)
        return Track(mixdown.master(samples, plan, self._gain_db), plan, latents.cpu().numpy(), record)

    def _forget(self) -> None:
        """Drops what is long past, once in some minutes."""
        plan, rate = self._now.plan, self._now.plan.time_base.sample_rate
        if int(plan.bar_starts()[-1]) < LONGEST * rate or self._next is not None or self._is_closed:
            return
        starts = plan.bar_starts()
        bar = int(np.searchsorted(starts, self._given - KEPT * rate))  # bars before it go
        if not bar:
            return
        self._remembered = self._remembered or self._track()
        begin = int(starts[bar]) + plan.pre_roll
        pre_roll, hop = begin % plan.time_base.code_hop, plan.time_base.latent_hop
        frames, samples = (begin - pre_roll) // hop, int(starts[bar])
        self._now.plan = replace(extending.cut(plan, (bar + 1, plan.n_bars)), ending=plan.ending, pre_roll=pre_roll)
        self._now.first, self._now.window = max(0, self._now.first - frames), self._now.window - frames
        self._latents, self._known = self._latents[frames:].clone(), self._known[frames:].copy()
        self._ready, self._decoded, self._origin = self._ready - frames, self._decoded - frames, self._origin + frames
        self._given, self._at, self._past = self._given - samples, self._at - samples, self._past + samples
        self._end = None if self._end is None else self._end - samples
        self._form = list(extending.split(self._form, bar)[1])
        self._forgotten += bar
        steering = self._now.steering
        self._now.steering = replace(steering, since=steering.since - bar)
