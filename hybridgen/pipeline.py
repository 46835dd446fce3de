"""Prompt -> plan -> latents -> audio: the public API.

    pipe = Pipeline.from_pretrained()
    track = pipe.generate("warm lo-fi hip hop, 84 BPM in A minor", seconds=60, seed=7)
    track.save("track.wav")

What a request asks for and does not get is a note of the result, and a `UserWarning` here and nowhere below.

Shapes: N samples, T latent frames, C latent channels.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import numpy as np

from hybridgen import files, manifest
from hybridgen.adapters import Adapter
from hybridgen.analysis.detection import can_detect, find_bars, hear_harmony
from hybridgen.audio import Audio
from hybridgen.hub import Sent
from hybridgen.manifest import Manifest
from hybridgen.plan.controls import ControlArgs, Controls
from hybridgen.plan.parts import instance, whole
from hybridgen.plan.plan import Plan
from hybridgen.planning.codes import write_codes
from hybridgen.planning.notes import write_notes
from hybridgen.planning.plans import PlanResult, check_request, write_plans, write_scores
from hybridgen.progress import Progress
from hybridgen.render import change, cover, extend, layer, loop, mixdown, opening, repaint, stems, style, vary
from hybridgen.render.layer import Layered
from hybridgen.render.opening import Encoded
from hybridgen.render.repaint import Bars, Seconds
from hybridgen.render.stream import FIRST_BARS, Stream
from hybridgen.sampling import RenderArgs, RenderOptions, random_seed
from hybridgen.stages import Stages
from hybridgen.text.controls import Understanding, understand
from hybridgen.track import Track

R = TypeVar("R", PlanResult, Track, Stream)


class Pipeline(Stages):
    """The stages of a model, and what one does with them."""

    def plan(
        self,
        prompt: str,
        n: int = 1,
        *,
        seed: int | None = None,
        melody: Plan | None = None,
        progress: Progress | None = None,
        **controls: Unpack[ControlArgs],
    ) -> PlanResult:
        """`n` plans for one prompt, with seeds seed, seed + 1, ...: scores, with notes where the model writes them.

        controls: seconds, bars, tempo, key, meter, sections, chords, instruments, as `ControlArgs` says. What is given
        is kept exactly, and beats what the prompt says in words (a note says so); the rest the planner chooses. 30
        seconds unless a length is given. melody: a plan whose lead is played from bar 1 on (`hear_melody` makes one of
        a hummed tune, `formats.read` of a MIDI file); its tempo, meter, key, chords and length hold where nothing else
        is asked. Raises ValueError, naming the field and both values, for what cannot be done.
        """
        given = Controls.of("request", controls)
        seeds = check_request(prompt, n, random_seed() if seed is None else seed, given, melody)
        states = self.encode_prompt(prompt)
        return _warned(write_plans(self, prompt, states, given, seeds, progress, melody))

    @staticmethod
    def hear_melody(path: str | Path, tempo: float | None = None, meter: str = "4/4") -> Plan:
        """The tune that is hummed, sung or whistled in a sound file, as a plan with a lead alone; a note says what.

        tempo: quarter notes a minute to which it is quantised; None: the one on which it lies best. Needs librosa.
        Raises ValueError for more than three minutes, and where no single voice is heard.
        """
        return _heard(Path(path), tempo, meter)

    @staticmethod
    def understand(prompt: str) -> Understanding:
        """What the words of a prompt fix, as `plan` and `generate` read them; no model is needed for it."""
        return understand(prompt)

    def with_adapters(self, adapters_: Iterable[Adapter]) -> Self:
        """As `Stages.with_adapters`, with a warning for an adapter that does not say which model it was trained on."""
        other = super().with_adapters(adapters_)
        for one in other.adapters:
            if not one.loras.keys() <= one.base.keys():
                _warn([f"adapter {str(one.adapter.path)!r} does not say which model it was trained on"])
        return other

    def write_codes(self, plan: Plan, progress: Progress | None = None) -> Plan:
        """The plan with every unset code written, the others as they are; itself where none is unset."""
        plan = _plan(plan).on(self.time_base)
        states = self.encode_prompt(plan.prompt)
        _warn(states.notes)
        return write_codes(self, plan, states, progress)

    def write_notes(self, plan: Plan, bars: tuple[int, int] | None = None, progress: Progress | None = None) -> Plan:
        """The plan with all unknown notes of bars first..last (from 1; None: all) written; itself where there are none.

        A model whose planner writes no notes returns the plan as it is.
        """
        plan = _plan(plan).on(self.time_base)
        inside = None if bars is None else change.bars_in(plan, [plan.span(bars)])
        states = self.encode_prompt(plan.prompt)
        _warn(states.notes)
        return write_notes(self, plan, states, inside, progress)

    def generate(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        plan_seed: int | None = None,
        render_seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        melody: Plan | None = None,
        stems: bool = False,
        progress: Progress | None = None,
        **controls: Unpack[ControlArgs],
    ) -> Track:
        """A track from a prompt: `plan`, then `render`. `seed` sets both seeds; a random one is taken and recorded.

        controls, melody: as in `plan`; num_steps, guidance_scale, progress: as in `RenderOptions`. stems: whether
        `Track.stems` holds what each role plays, as `stems` does.
        """
        seed = random_seed() if seed is None else seed
        options = RenderOptions(seed if render_seed is None else render_seed, num_steps, guidance_scale, progress)
        given = Controls.of("request", controls)
        seeds = check_request(prompt, 1, seed if plan_seed is None else plan_seed, given, melody)
        states = self.encode_prompt(prompt)
        planned = write_plans(self, prompt, states, given, seeds, progress, melody)
        track = change.render(self, planned.plans[0], options, states)
        if stems:
            track = replace(track, stems=self.stems(track, progress))
        return _warned(track.with_notes(planned.notes))

    def render(
        self, plan: Plan, *, play: Callable[[np.ndarray], None] | None = None, **options: Unpack[RenderArgs]
    ) -> Track:
        """The track of a plan, mastered to -14 LUFS; codes that the plan leaves unset are written first.

        options: seed (of the noise, the plan's own unless given), num_steps, guidance_scale, progress, as
        `RenderOptions` says. Bars that have adapters of their own are then re-rendered with them. play: is given the
        blocks of `render_blocks` while they are rendered, where no bars have adapters of their own.
        """
        return _warned(change.render(self, _plan(plan), RenderOptions.of(options), play=play))

    def render_blocks(self, plan: Plan, **options: Unpack[RenderArgs]) -> Iterator[np.ndarray]:
        """Blocks (2, n) float32 of the track that `render` makes, the first as soon as its window is rendered.

        Before mastering they are the samples of `render`, bit for bit; the gain is that of the first window.
        ValueError for adapters of some bars, which are rendered after all others.
        """
        change.check_no_ranges(self, "a stream plays as it is rendered")
        chosen, states = RenderOptions.of(options), self.encode_prompt(_plan(plan).prompt)
        _warn(states.notes)
        return mixdown.stream(self, plan, chosen, states)

    def stream(
        self,
        source: str | Plan,
        *,
        seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        **controls: Unpack[ControlArgs],
    ) -> Stream:
        """Endless music from a prompt, or from a plan on: an iterator over blocks (2, n) float32 that can be steered.

            for block in (live := pipe.stream("deep house, 122 BPM")):
                play(block)
                live.steer(energy=7, mute=("drums",))  # from the next bar on that is not rendered yet

        seed, controls: as in `plan`; of a plan its own seed is the default. `Stream.close` ends it, `Stream.track`
        makes a track of it. ValueError for a model that writes or plays no notes, for adapters of some bars, and for
        `seconds` and `ending`, which what is endless has not.
        """
        options = RenderOptions(seed, num_steps, guidance_scale)
        if self.choice.in_turn:
            raise ValueError(f"{self.budget}: a stream needs all of them at once, so more memory")
        if isinstance(source, Plan):
            if controls:
                raise ValueError(f"{', '.join(controls)} given: a plan is streamed as it is, edit it before")
            return _warned(Stream(self, source, options))
        given = Controls.of("request", controls)
        for name in ("seconds", "ending"):
            if (value := getattr(given, name)) is not None:
                raise ValueError(f"{name} {value}: a stream goes on until it is closed")
        given = given if given.fixes_length else replace(given, bars=FIRST_BARS)
        chosen = random_seed() if seed is None else seed
        seeds = check_request(source, 1, chosen, given)
        written = write_scores(self, source, self.encode_prompt(source), given, seeds)
        _warn(written.notes)
        return _warned(Stream(self, written.plans[0], replace(options, seed=chosen)))

    def repaint(
        self,
        track: Track,
        plan: Plan | None = None,
        bars: Bars | None = None,
        *,
        seconds: Seconds | None = None,
        prompt: str | None = None,
        strength: float = 1.0,
        **options: Unpack[RenderArgs],
    ) -> Track:
        """The track with some bars, or seconds, as `plan` (by default its own) has them.

        Of their sound that changes which the plan or the prompt changes, and the rest stays. Where they say nothing
        new, or a seed is given, or beats move, all of it is made anew from noise.

        bars: (first, last) from 1, both included, or several such ranges; seconds: (start, stop), or several; without
        either the plan's ending alone is made anew. prompt: other words for them; who plays is as they say. strength:
        above 0 to 1, how far the new begins from what was there: 0.3 is a shade of the change.

        Every latent outside them, and every sample outside them and the reach of decoder and limiter, stays bit for
        bit; so does the end, unless the plan has another ending. The gain stays that of the track; so does the seed,
        unless another is given or the plan says nothing new. Raises ValueError when the new plan moves anything outside
        them, and for adapters of some bars: those that this pipeline has everywhere are what the new bars are made
        with.
        """
        instance(track, Track, "track")
        spans = repaint.spans_of(track.plan, bars, seconds)
        if prompt is not None and not spans:
            raise ValueError("prompt: bars or seconds must say where it is to hold")
        wanted, notes = None if plan is None else _plan(plan), tuple[str, ...]()
        if prompt is not None:
            wanted, notes = repaint.in_other_words(wanted or track.plan, spans, prompt)
        new = repaint.repaint(self, track, wanted, spans, RenderOptions.of(options), strength)
        return _warned(new.with_notes(notes))

    def extend(
        self,
        track: Track,
        bars: int | None = None,
        *,
        seconds: float | None = None,
        where: str = "end",
        **options: Unpack[RenderArgs],
    ) -> Track:
        """The track with `bars` more, or as many as fit `seconds` best; tempo, key and gain stay.

        where: "end", where the form goes on before an outro, which moves later and is made anew; or "start", where an
        introduction leads into the first bar, and all that was there stays bit for bit. Raises ValueError for a track
        without bars, for less than one bar, and for more than ten minutes in all.
        """
        instance(track, Track, "track")
        return _warned(extend.extend(self, track, bars, seconds, where, RenderOptions.of(options)))

    def loop(self, source: Track | str, bars: int | tuple[int, int] = 8, **options: Unpack[RenderArgs]) -> Track:
        """A loop: its last bar leads back into its first, without a seam; its length is exactly its bars.

        source: a track, of which bars (first, last), or so many from a section of most energy, go round; or a prompt.
        Raises ValueError for bars that the track lacks, and for a recording.
        """
        if isinstance(source, Track):
            return _warned(loop.loop(self, source, bars, RenderOptions.of(options)))
        return self.generate(source, **loop.asked(source, bars), **options)

    def vary(self, track: Track, amount: float = 0.3, **options: Unpack[RenderArgs]) -> Track:
        """Another version of a track on the same score: `amount` of its notes and of its sound are new.

        amount: 0, the track itself, to 1, another render with other notes. Raises ValueError outside.
        """
        return _warned(vary.vary(self, instance(track, Track, "track"), amount, RenderOptions.of(options)))

    def cover(
        self,
        source: Track | str | Path,
        prompt: str,
        depth: str = "plan",
        *,
        strength: float | None = None,
        tempo: float | None = None,
        downbeat: float | None = None,
        meter: str | None = None,
        **options: Unpack[RenderArgs],
    ) -> Track:
        """A track or a recording played under another prompt, which says who plays; bars, tempo, key and chords stay.

        depth: how much else is kept: "plan" nothing; "codes" what its sound says where notes are unknown; "latents"
        the sound too, from which the new one begins `strength` (above 0 to 1, 0.6 unless given) of the way to noise.
        tempo, downbeat, meter: of a recording, as in `open`; its key and its chords are heard where librosa is
        installed, and a note says so. Raises ValueError for another depth, and for what cannot be opened.
        """
        track = self._opened(source, tempo, downbeat, meter, options.get("progress"))
        return _warned(cover.cover(self, track, prompt, depth, strength, RenderOptions.of(options)))

    def layer(
        self,
        source: Track | str | Path,
        role: str,
        instrument: int | str | None = None,
        notes: Any = None,
        *,
        tempo: float | None = None,
        downbeat: float | None = None,
        meter: str | None = None,
        **options: Unpack[RenderArgs],
    ) -> Layered:
        """One more role for a track or a recording: `alone`, and as a `track` in which it is added to what was there.

        instrument: a General MIDI program or a name, by default the most usual of the role. notes: what it plays, as in
        `Plan.edit`; None: the planner writes it to the chords, which are heard in a recording where librosa is
        installed. tempo, downbeat, meter: of a recording, as in `open`. Raises ValueError for a role that plays
        already, and for a model that knows no notes.
        """
        track = self._opened(source, tempo, downbeat, meter, options.get("progress"))
        result = layer.layer(self, track, role, instrument, notes, RenderOptions.of(options))
        _warned(result.track)
        return result

    def _opened(
        self,
        source: Track | str | Path,
        tempo: float | None,
        downbeat: float | None,
        meter: str | None,
        progress: Progress | None,
    ) -> Track:
        """The track, or the one in a file, with key and chords of a recording heard where they are unknown."""
        if isinstance(source, Track):
            _check_of_recording("", tempo=tempo, downbeat=downbeat, meter=meter)
            return source
        track = self.open(source, tempo=tempo, downbeat=downbeat, meter=meter, progress=progress)
        if not track.manifest.is_recording or track.plan.key is not None or not can_detect():
            return track
        plan, notes = hear_harmony(track.plan, track.audio)
        _warn([f"{source}: {note}" for note in notes])
        return replace(track, plan=plan)

    def style(self, track: Track, reference: Audio | str | Path, strength: float = 1.0) -> Track:
        """The track with the spectrum and the stereo width of a reference, as loud as before.

        reference: a sound, or a file; strength: above 0 to 1, how much of the way. What is played stays, and so do the
        latents: each third of an octave and the side get a gain, at most 12 dB and as far as 12 dB up or 40 down. What
        is made anew of the track later gets the same. Raises ValueError for a reference that is silent or too short.
        """
        instance(track, Track, "track")
        if isinstance(reference, Audio):
            clip, digest = reference, hashlib.sha256(np.ascontiguousarray(reference.samples).tobytes()).hexdigest()
        else:
            clip, digest = opening.load_recording(self, Path(reference)), files.sha256(Path(reference))
        return _warned(style.style(self, track, clip, digest, strength))

    def stems(self, track: Track, progress: Progress | None = None) -> dict[str, Audio]:
        """What each role plays of a track, by role; they add up to its samples to float rounding.

        Raises ValueError for a recording, and for a track of another model.
        """
        return stems.stems(self, instance(track, Track, "track"), progress)

    def replay(
        self, record: Manifest, progress: Progress | None = None, adapter_folders: Sequence[str | Path] = ()
    ) -> Track:
        """The track that a manifest describes, made again; a note names versions that differ from the recorded ones.

        adapter_folders: folders to search for adapters that have moved. Raises ValueError when the weights
        or the adapters are not those that made it, or when it began as an imported recording.
        """
        return _warned(opening.replay(self, record, progress, adapter_folders))

    def open(
        self,
        path: str | Path,
        *,
        tempo: float | None = None,
        downbeat: float | None = None,
        meter: str | None = None,
        progress: Progress | None = None,
    ) -> Track:
        """The track in a file, ready for `repaint` and all other changes.

        A file made by hybridgen has its plan in its manifest and its latents in the file beside it; without those it is
        replayed. A recording from elsewhere is encoded (a note says so); its bars follow from `tempo` (BPM) and
        `downbeat` (seconds at which bar 1 begins), in 4/4 unless `meter` is given. What of these is not given is heard
        where librosa is installed, and a note says what, and how sure it is. Raises ValueError for what is not audio,
        is longer than ten minutes, or has no steady beat that could be heard.
        """
        path = Path(path)
        if not manifest.carries(path):
            recording = opening.load_recording(self, path)
            bars = find_bars(path, recording, tempo, downbeat, meter)
            track = opening.open_recording(self, path, recording, bars.tempo, bars.downbeat, meter)
            return _warned(track.with_notes(bars.notes))
        _check_of_recording(f"{path}: ", tempo=tempo, downbeat=downbeat, meter=meter)
        return _warned(opening.open_track(self, path, progress))

    def encode(self, recording: Audio) -> np.ndarray:
        """Latents (T, C) float32 of a recording; another rate is resampled to the codec's."""
        instance(recording, Audio, "recording", ": Audio.load(path), or Audio(samples, sample_rate)")
        return mixdown.encode(self, recording)

    def encode_file(self, path: str | Path, progress: Progress | None = None) -> Encoded:
        """A sound file of up to an hour, encoded as it is read: memory hardly grows with its length.

        Raises ValueError for what is not audio, or is longer.
        """
        encoded = opening.encode_file(self, path, progress)
        _warn(encoded.notes)
        return encoded

    def decode(self, latents: np.ndarray, n_samples: int | None = None) -> np.ndarray:
        """Samples (2, N) float32 of latents (T, C), not mastered; N = T * hop_length unless `n_samples` cuts it.

        Exactly what the codec gives: its first sample may lie in the middle of a wave, see `render.edges`.
        """
        opening.check_latents(self, latents)
        return opening.decode(self, latents, None if n_samples is None else whole(n_samples, "n_samples"))

    def push_to_hub(
        self,
        repo_id: str,
        license: str,
        *,
        private: bool = True,
        datasets: Sequence[str] = (),
        prompt: str | None = None,
    ) -> Sent:
        """Sends the model to the Hugging Face Hub as "owner/name" in one commit: weights, config, card, hashes, sample.

        The card says what the folder's training.json and report/report.json say. license: of the weights, as the Hub
        spells it ("apache-2.0"). datasets: Hub ids of what they were trained on. prompt: of the sample, ten seconds.
        Raises ValueError, in one line, where there are adapters, and for whatever the Hub refuses.
        """
        from hybridgen.release import model  # with the Hub's client, which takes a fifth of a second

        if self.adapters:
            raise ValueError(f"adapters {[str(one.adapter) for one in self.adapters]} are not part of a model")
        return model.push(self, lambda: self._sample(prompt), repo_id, license, private, datasets)

    def push_adapter_to_hub(
        self, folder: str | Path, repo_id: str, license: str, *, private: bool = True, prompt: str | None = None
    ) -> Sent:
        """Sends the adapter in a folder, made for this model, as `push_to_hub` does; its sample is made with it."""
        from hybridgen.release import adapter

        own = self.with_adapters([Adapter(folder)])
        return adapter.push(own, lambda: own._sample(prompt), repo_id, license, private)

    def _sample(self, prompt: str | None) -> Track:
        from hybridgen.release import card

        return self.generate(prompt or card.SAMPLE_PROMPT, seconds=card.SAMPLE_SECONDS, seed=0)


def _heard(path: Path, tempo: float | None, meter: str) -> Plan:
    path.stat()  # that there is no such file is said before anything else
    if not can_detect():
        raise ValueError(f"{path}: to hear a melody librosa is needed: pip install 'hybridgen[eval]'")
    from hybridgen.analysis.melody import hear_melody  # librosa is optional

    plan, notes = hear_melody(path, tempo, meter)
    _warn(notes)
    return plan


def _check_of_recording(where: str, **given: float | str | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{where}{name} {value} is given, which is for recordings: this track's plan has its own")


def _plan(plan: Plan) -> Plan:
    return instance(plan, Plan, "plan", ": Plan.from_json(text) reads one, Pipeline.plan(prompt) writes one")


def _warned(result: R) -> R:
    """A result, its notes said as warnings to the caller of the pipeline."""
    _warn(result.notes, stacklevel=4)
    return result


def _warn(notes: Iterable[str], stacklevel: int = 3) -> None:
    for note in notes:
        warnings.warn(note, stacklevel=stacklevel)
