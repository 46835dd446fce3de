"""Prompt -> plan -> latents -> audio: the machine, running.

    pipe = Pipeline.from_pretrained()
    track = pipe.generate("warm lo-fi hip hop, 84 BPM in A minor", seconds=60, seed=7)
    track.save("track.wav")

Shapes: N samples, T latent frames of 2,048 samples, C latent channels, Q codebooks, P code frames of 8,192 samples,
S text tokens, E text width. Everything here is a batch of one; the models take batches.
"""

import copy
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
import yaml
from torch import Tensor

from hybridgen import __version__, adapters, audio, config, files, grammar, manifest, weights
from hybridgen.adapters import Adapter, Loaded
from hybridgen.audio import Audio
from hybridgen.codec import Codec, CodecConfig
from hybridgen.plan import CODE_HOP, LATENT_HOP, SAMPLE_RATE, Controls, Plan, check_bars, check_prompt
from hybridgen.plan.editing import check_same_time, keep_codes
from hybridgen.planner import Planner, PlannerConfig
from hybridgen.quantizer import Quantizer, QuantizerConfig
from hybridgen.renderer import Renderer, RendererConfig
from hybridgen.rendering import Progress, Rendering, SamplingConfig
from hybridgen.request import Asked, check_seed, plan_of_recording, random_seed, resolve_controls
from hybridgen.text import TextConfig, TextEncoder
from hybridgen.track import LOSSLESS, Track, sidecar

DECODE_BLOCK = 128  # latent frames decoded at once, at fixed positions
FADE = 2048  # samples from a recording's own sound to new bars
STAGES = ("codec", "quantizer", "planner", "renderer")


@dataclass(frozen=True)
class PipelineConfig:
    """One field per stage: the sections of a model's config.yaml."""

    text: TextConfig
    planner: PlannerConfig
    quantizer: QuantizerConfig
    renderer: RendererConfig
    codec: CodecConfig
    sampling: SamplingConfig

    def __post_init__(self) -> None:
        shared = (
            ("renderer.latent_dim", self.renderer.latent_dim, "codec.latent_dim", self.codec.latent_dim),
            ("quantizer.latent_dim", self.quantizer.latent_dim, "codec.latent_dim", self.codec.latent_dim),
            ("renderer.text_dim", self.renderer.text_dim, "text.dim", self.text.dim),
            ("planner.text_dim", self.planner.text_dim, "text.dim", self.text.dim),
            ("planner.n_codebooks", self.planner.n_codebooks, "quantizer.n_codebooks", self.quantizer.n_codebooks),
            ("renderer.n_codebooks", self.renderer.n_codebooks, "quantizer.n_codebooks", self.quantizer.n_codebooks),
            ("planner.codebook_size", self.planner.codebook_size, "quantizer", self.quantizer.codebook_size),
            ("renderer.codebook_size", self.renderer.codebook_size, "quantizer", self.quantizer.codebook_size),
            ("codec.sample_rate", self.codec.sample_rate, "the plan's", SAMPLE_RATE),
            ("codec.hop_length", self.codec.hop_length, "the plan's", LATENT_HOP),
        )
        for name, value, other_name, other in shared:
            if value != other:
                raise ValueError(f"{name} {value} != {other_name} {other}")


class Pipeline:
    """Text encoder, planner, renderer, codec and quantizer, and the order in which they work."""

    def __init__(self, cfg: PipelineConfig, name: str = "custom", device: str | torch.device = "cpu"):
        """Random weights in the shapes of `cfg`; `from_pretrained` is the way to trained ones."""
        self.config, self.name, self.device = cfg, name, torch.device(device)
        self.text = TextEncoder(cfg.text).to(self.device)
        self.planner = Planner(cfg.planner).eval().to(self.device)
        self.quantizer = Quantizer(cfg.quantizer).eval().to(self.device)
        self.renderer = Renderer(cfg.renderer).eval().to(self.device)
        self.codec = Codec(cfg.codec).eval().to(self.device)
        self.weight_hashes: dict[str, str] = {}
        self.adapters: tuple[Loaded, ...] = ()
        self._bare = {stage: getattr(self, stage) for stage in adapters.STAGES}  # without any adapter

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, device: str | torch.device = "cpu", revision: str | None = None
    ) -> "Pipeline":
        """The shipped preset (no name, or "tiny"), a model folder, or a Hub id "owner/name".

        Raises ValueError, in one line, for a folder or file that is no whole model.
        """
        folder = weights.resolve(name, revision)
        pipe = cls(config.load(PipelineConfig, folder / "config.yaml"), str(name or "tiny"), device)
        for stage in STAGES:
            path = folder / f"{stage}.safetensors"
            weights.load_weights(getattr(pipe, stage), path)
            pipe.weight_hashes[path.name] = files.sha256(path)
        return pipe

    def save_pretrained(self, folder: str | Path, half: bool = True) -> Path:
        """Write config.yaml and one safetensors file per stage, in half precision unless told otherwise.

        Adapters are no part of a model: ValueError where there are any.
        """
        if self.adapters:
            raise ValueError(f"adapters {[str(one.asked) for one in self.adapters]} are no part of a model to be saved")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with files.atomic_write(folder / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(config.dump(self.config), sort_keys=False))
        for stage in STAGES:
            weights.save_weights(getattr(self, stage), folder / f"{stage}.safetensors", half)
        return folder

    def push_to_hub(self, repo_id: str, private: bool = True) -> str:
        """Send the model to the Hugging Face Hub as `owner/name`; returns its URL."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            return weights.push(self.save_pretrained(folder), repo_id, private)

    def with_sampling(self, sampling: SamplingConfig) -> "Pipeline":
        """This pipeline, the same weights in memory, with other sampling defaults."""
        other = copy.copy(self)
        other.config = replace(self.config, sampling=sampling)
        return other

    def with_adapters(self, asked: Iterable[Adapter]) -> "Pipeline":
        """This pipeline, the same weights in memory, with these adapters in place of any that it has.

        `self` is untouched, so that requests with different adapters may run at the same time. An adapter for some bars
        changes how these sound and how the planner writes their codes, but not the score; all other bars stay, bit for
        bit, what they are without it. ValueError for a folder that holds no adapter, or one of another model.
        """
        return self._adapted([adapters.load(one, self.device) for one in asked])

    # ---- planning

    def plan(
        self,
        prompt: str,
        n: int = 1,
        *,
        seed: int | None = None,
        progress: Progress | None = None,
        **asked: Unpack[Asked],
    ) -> list[Plan]:
        """`n` scores for one prompt, with seeds seed, seed + 1, ...; their codes are written when they are rendered.

        asked: seconds, bars, tempo, key, meter, sections, chords, instruments, as `Asked` says. What is given is kept
        exactly, and beats what the prompt says in words (a warning says so); the rest the planner chooses. 30 seconds
        unless a length is given. Raises ValueError, naming the field and both values, for what cannot be done.
        """
        if not check_prompt(prompt).strip():
            raise ValueError("prompt is empty: say in words what the music should be")
        if not 1 <= n <= 64:
            raise ValueError(f"n {n} is outside 1-64")
        controls = resolve_controls(prompt, Controls(**asked))
        seeds = [check_seed(random_seed() if seed is None else seed) + i for i in range(n)]
        text, text_mask = self._encode_text([prompt])
        rows = self.planner.write_score(
            text.expand(n, -1, -1), text_mask.expand(n, -1), [controls] * n, seeds, self.config.sampling.score, progress
        )
        n_samples = None if controls.seconds is None else round(controls.seconds * SAMPLE_RATE)
        return [
            grammar.parse(tokens, prompt=prompt, seed=s, n_samples=n_samples)
            for tokens, s in zip(rows, seeds, strict=True)
        ]

    def write_codes(self, plan: Plan, progress: Progress | None = None) -> Plan:
        """The plan with every unset code written, the others as they are; itself where none is unset."""
        n_books = self.config.quantizer.n_codebooks
        codes = plan.codes or ((-1,) * plan.n_code_frames,) * n_books
        if len(codes) != n_books or max(map(max, codes)) >= self.config.quantizer.codebook_size:
            size = f"{n_books} codebooks of {self.config.quantizer.codebook_size}"
            raise ValueError(f"codes: {len(codes)} rows with values up to {max(map(max, codes))}, the model has {size}")
        if min(map(min, codes)) >= 0:
            return plan
        text, text_mask = self._encode_text([plan.prompt])
        written = self.planner.write_codes(
            text,
            text_mask,
            [grammar.tokens(plan)],
            torch.from_numpy(plan.frame_controls(CODE_HOP))[None].to(self.device),
            torch.from_numpy(plan.instrument_ids())[None].to(self.device),
            torch.tensor(codes, device=self.device)[None],
            [plan.seed],
            self.config.sampling.codes,
            progress,
        )
        return replace(plan, codes=tuple(map(tuple, written[0].tolist())))

    # ---- rendering

    def generate(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        plan_seed: int | None = None,
        render_seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        progress: Progress | None = None,
        **asked: Unpack[Asked],
    ) -> Track:
        """A track from a prompt: `plan`, then `render`. `seed` sets both seeds; a random one is taken and recorded.

        asked: seconds, bars, tempo, key, meter, sections, chords, instruments, as `Asked` says.
        """
        seed = random_seed() if seed is None else seed
        plan = self.plan(prompt, 1, seed=seed if plan_seed is None else plan_seed, progress=progress, **asked)[0]
        return self.render(
            plan,
            seed=seed if render_seed is None else render_seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            progress=progress,
            kind="generate",
        )

    def render(
        self,
        plan: Plan,
        *,
        seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        progress: Progress | None = None,
        kind: str = "render",
    ) -> Track:
        """The track of a plan, mastered to -14 LUFS; codes that the plan leaves unset are written first.

        seed: of the noise, the plan's own unless given; num_steps, guidance_scale: the model's defaults unless given.
        Bars that have adapters of their own are then rendered anew with them, as an edit of the track without.
        """
        seed = check_seed(plan.seed if seed is None else seed)
        sampling = self._sampling(num_steps, guidance_scale)
        ranges = adapters.group_by_bars(self.adapters)
        everywhere = ranges.pop(None, [])
        for bars in ranges:
            check_bars(bars, plan.n_bars)
        track = self._render(plan, seed, sampling, progress, kind)
        for bars, own in ranges.items():
            pipe = self._adapted([*everywhere, *(one.everywhere() for one in own)])
            composes = any("planner" in one.loras for one in own)
            new_plan = plan if composes else track.plan
            track = pipe.with_sampling(sampling).rerender(track, new_plan, bars, seed=seed, progress=progress)
        return replace(track, manifest=replace(track.manifest, kind=kind))

    def _render(self, plan: Plan, seed: int, sampling: SamplingConfig, progress: Progress | None, kind: str) -> Track:
        plan = self.write_codes(plan, progress)
        latents = np.zeros((plan.n_frames, self.config.codec.latent_dim), dtype=np.float32)
        samples = np.zeros((2, plan.length), dtype=np.float32)
        meter = audio.LoudnessMeter(SAMPLE_RATE)
        for first, block in self._blocks(plan, seed, sampling, latents, progress):
            meter.feed(block)
            samples[:, first : first + block.shape[1]] = block
        gain_db = audio.mastering_gain(meter.lufs())
        audio.master(samples, gain_db)
        return Track(samples, plan, latents, self._manifest(kind, plan, seed, sampling, gain_db))

    def stream(
        self,
        plan: Plan,
        *,
        seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[np.ndarray]:
        """Blocks (2, n) float32 of the same track, the first as soon as its window is rendered.

        Before mastering they are the samples of `render`, bit for bit; the gain is that of the first window.
        ValueError for adapters of some bars, which are rendered after all others.
        """
        self._check_no_ranges("a stream plays as it is rendered")
        seed = check_seed(plan.seed if seed is None else seed)
        sampling = self._sampling(num_steps, guidance_scale)
        plan = self.write_codes(plan, progress)
        latents = np.zeros((plan.n_frames, self.config.codec.latent_dim), dtype=np.float32)
        blocks = (block for _, block in self._blocks(plan, seed, sampling, latents, progress))
        n_first = max(1, (min(sampling.window, plan.n_frames) - self.codec.context) // DECODE_BLOCK)
        first = list(itertools.islice(blocks, n_first))
        meter = audio.LoudnessMeter(SAMPLE_RATE)
        for block in first:
            meter.feed(block)
        yield from audio.mastered(itertools.chain(first, blocks), audio.mastering_gain(meter.lufs()))

    def rerender(
        self,
        track: Track,
        plan: Plan,
        bars: tuple[int, int],
        *,
        seed: int | None = None,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        progress: Progress | None = None,
    ) -> Track:
        """The track with bars first..last (from 1, both included) rendered anew as `plan` has them.

        Every latent outside the bars, and every sample outside them and the reach of decoder and limiter, stays bit
        for bit. The gain stays that of the track. Raises ValueError when the new plan moves anything outside the bars,
        and for adapters of some bars: those that this pipeline has everywhere are what the new bars are made with.
        """
        self._check_no_ranges(f"the edit is of bars {bars[0]}-{bars[1]}")
        seed = check_seed(track.render_seed if seed is None else seed)
        sampling = self._sampling(num_steps, guidance_scale)
        check_same_time(track.plan, plan, bars)
        plan = self.write_codes(keep_codes(track.plan, plan, bars), progress)
        start, stop = plan.frame_range(bars)
        latents = track.latents.copy()
        known = np.ones(plan.n_frames, dtype=bool)
        known[start:stop] = False
        reach = (max(0, start - sampling.overlap) // 4 * 4, min(plan.n_frames, stop + sampling.overlap))
        for _ in self._rendering(plan, seed, sampling).fill(latents, known, reach, progress):
            pass
        samples = self._splice(track, plan.length, latents, (start, stop))
        edit = {
            "plan": plan.to_dict(),
            "bars": list(bars),
            "render_seed": seed,
            "sampling": config.dump(sampling),
            "adapters": [one.record() for one in self.adapters],
        }
        record = replace(track.manifest, kind="edit", edits=[*track.manifest.edits, edit])
        return Track(samples, plan, latents, record)

    def replay(
        self, record: manifest.Manifest, progress: Progress | None = None, adapter_folders: Sequence[str | Path] = ()
    ) -> Track:
        """The track that a manifest describes, made again; a warning names versions that differ from the recorded ones.

        adapter_folders: where its adapters lie, if no longer where they lay. Raises ValueError when the weights
        or the adapters are not those that made it, or when it began as somebody's recording.
        """
        self._check_replayable(record)
        plan = Plan.from_dict(record.plan)
        pipe = self._as_recorded(record.sampling, record.adapters, adapter_folders)
        track = pipe.render(plan, seed=record.render_seed, progress=progress)
        for edit in record.edits:
            pipe = self._as_recorded(edit["sampling"], edit.get("adapters", []), adapter_folders)
            new_plan = Plan.from_dict(edit["plan"])
            track = pipe.rerender(track, new_plan, tuple(edit["bars"]), seed=edit["render_seed"], progress=progress)
        return replace(track, manifest=replace(track.manifest, kind=record.kind))

    # ---- files and recordings

    def open(
        self,
        path: str | Path,
        *,
        tempo: float | None = None,
        downbeat: float | None = None,
        meter: str | None = None,
        progress: Progress | None = None,
    ) -> Track:
        """The track in a file, ready for `rerender`.

        A file of ours brings its plan in its manifest, and its latents from the file beside it; without that one it is
        replayed. A recording from elsewhere is encoded (a warning says so), and needs `tempo` (BPM) and `downbeat`
        (seconds at which bar 1 begins) for its bars, in 4/4 unless `meter` is given. Raises ValueError for what is no
        audio, or a recording without tempo and downbeat.
        """
        path = Path(path)
        if manifest.carries(path):
            if tempo is not None or downbeat is not None or meter is not None:
                raise ValueError(f"{path}: tempo, downbeat and meter are for recordings, this track's plan has its own")
            return self._open_own(path, progress)
        return self._open_recording(path, tempo, downbeat, meter)

    def _open_own(self, path: Path, progress: Progress | None) -> Track:
        record = manifest.read(path)
        for problem in manifest.verify(path):
            warnings.warn(f"{path}: {problem}", stacklevel=4)
        beside = sidecar(path)
        if not beside.exists():
            track = self.replay(record, progress)
        else:
            latents = weights.load_latents(beside, files.sha256(path))[0]
            plan = Plan.from_dict(record.edits[-1]["plan"] if record.edits else record.plan)
            samples = self.decode(latents, plan.length)
            audio.master(samples, record.gain_db)
            track = Track(samples, plan, latents, record)
        if path.suffix.lower() in LOSSLESS:
            track = replace(track, samples=Audio.load(path).samples)
        return track

    def _open_recording(self, path: Path, tempo: float | None, downbeat: float | None, meter: str | None) -> Track:
        recording = Audio.load(path).resample(SAMPLE_RATE)
        if tempo is None or downbeat is None:
            raise ValueError(
                f"{path}: carries no hybridgen manifest, so tempo and downbeat must say where its bars are"
            )
        warnings.warn(
            f"{path}: is not a track of ours: encoded, so new bars meet the recording's own sound", stacklevel=4
        )
        plan = plan_of_recording(recording.samples.shape[1], tempo, downbeat, meter or "4/4")
        gain_db = -audio.mastering_gain(recording.loudness())
        latents = self.encode(Audio(recording.samples * np.float32(10 ** (-gain_db / 20)), SAMPLE_RATE))
        record = self._manifest("edit", plan, 0, self.config.sampling, gain_db)
        origin = {"recording": files.sha256(path), "tempo": tempo, "downbeat": downbeat}
        return Track(recording.samples, plan, latents, replace(record, edits=[origin], adapters=[]))

    def encode(self, recording: Audio) -> np.ndarray:
        """Latents (T, C) float32 of a recording; another rate is resampled to 44,100 Hz."""
        samples = torch.from_numpy(recording.resample(SAMPLE_RATE).samples)[None].to(self.device)
        return self.codec.encode(samples)[0].cpu().numpy()

    def decode(self, latents: np.ndarray, n_samples: int | None = None) -> np.ndarray:
        """Samples (2, N) float32 of latents (T, C), not mastered; N = T * 2,048 unless `n_samples` cuts it."""
        frames = torch.from_numpy(latents).to(self.device)
        samples = np.zeros((2, len(latents) * LATENT_HOP), dtype=np.float32)
        for first, block in self.codec.decode_blocks(frames):
            samples[:, first : first + block.shape[1]] = block.cpu().numpy()
        return samples[:, :n_samples]

    # ---- inside

    def _blocks(
        self, plan: Plan, seed: int, sampling: SamplingConfig, latents: np.ndarray, progress: Progress | None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(first sample, samples (2, n)) of a whole render in order, decoded as soon as their latents are there."""
        known = np.zeros(plan.n_frames, dtype=bool)
        done = 0
        for ready in self._rendering(plan, seed, sampling).fill(latents, known, (0, plan.n_frames), progress):
            stop = ready
            if ready < plan.n_frames:
                stop = max(done, ready - self.codec.context) // DECODE_BLOCK * DECODE_BLOCK
            frames = torch.from_numpy(latents[:ready]).to(self.device)
            for first, block in self.codec.decode_blocks(frames, done, stop, DECODE_BLOCK):
                yield first, block[:, : plan.length - first].cpu().numpy()
                if progress is not None:
                    progress("decoding", min(first // LATENT_HOP + DECODE_BLOCK, plan.n_frames), plan.n_frames)
            done = stop

    def _rendering(self, plan: Plan, seed: int, sampling: SamplingConfig) -> Rendering:
        text, text_mask = self._encode_text([plan.prompt])
        return Rendering(self.renderer, plan, text, text_mask, seed, sampling)

    def _splice(self, track: Track, length: int, latents: np.ndarray, frames: tuple[int, int]) -> np.ndarray:
        """The track's samples with those that frames start..stop reach decoded and mastered anew, at the same gain."""
        reach, margin = self.codec.context * LATENT_HOP, audio.LIMITER_REACH
        low = max(0, frames[0] * LATENT_HOP - reach - margin)  # first and last sample that may change
        high = min(length, frames[1] * LATENT_HOP + reach + margin)
        first, last = max(0, low - margin) // LATENT_HOP, -(-min(length, high + margin) // LATENT_HOP)
        blocks = self.codec.decode_blocks(torch.from_numpy(latents).to(self.device), first, last, DECODE_BLOCK)
        fresh = np.concatenate([block.cpu().numpy() for _, block in blocks], axis=1)[:, : length - first * LATENT_HOP]
        audio.master(fresh, track.manifest.gain_db)
        fresh = fresh[:, low - first * LATENT_HOP : high - first * LATENT_HOP]
        samples = track.samples.copy()
        if is_recording(track.manifest):  # its own sound is not what the codec makes of it: fade from one to the other
            fade = np.minimum(np.minimum(np.arange(high - low), np.arange(high - low)[::-1]) / FADE, 1).astype(
                np.float32
            )
            fresh = samples[:, low:high] + fade * (fresh - samples[:, low:high])
        samples[:, low:high] = fresh
        return samples

    @torch.inference_mode()
    def _encode_text(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        return self.text.encode(prompts)

    def _adapted(self, loaded: Sequence[Loaded]) -> "Pipeline":
        """`with_adapters` of adapters in memory; those of strength 0 are left out."""
        for one in loaded:
            adapters.check_base(one, self.name, self.weight_hashes)
        other = copy.copy(self)
        other.adapters = tuple(one for one in loaded if one.asked.strength != 0)
        everywhere = adapters.group_by_bars(other.adapters).get(None, [])
        for stage, model in self._bare.items():
            loras = [(one.loras[stage], one.asked.strength) for one in everywhere if stage in one.loras]
            setattr(other, stage, adapters.adapt(model, loras))
        return other

    def _as_recorded(
        self, sampling: dict[str, Any], records: list[dict[str, Any]], folders: Sequence[str | Path]
    ) -> "Pipeline":
        """This pipeline as a manifest says that one was: its sampling, and its adapters from any of `folders`."""
        made_with = [config.build(adapters.Record, record, "adapters") for record in records]
        pipe = self._adapted([adapters.find(one, folders, self.device) for one in made_with])
        return pipe.with_sampling(config.build(SamplingConfig, sampling))

    def _check_no_ranges(self, reason: str) -> None:
        for one in self.adapters:
            if one.asked.bars is not None:
                raise ValueError(
                    f"adapter {one.asked}: {reason}, an adapter with bars of its own is for a whole render"
                )

    def _sampling(self, num_steps: int | None, guidance_scale: float | None) -> SamplingConfig:
        given = {"num_steps": num_steps, "guidance_scale": guidance_scale}
        return replace(self.config.sampling, **{name: value for name, value in given.items() if value is not None})

    def _manifest(
        self, kind: str, plan: Plan, seed: int, sampling: SamplingConfig, gain_db: float
    ) -> manifest.Manifest:
        return manifest.Manifest(
            generator=f"hybridgen {__version__}",
            kind=kind,
            prompt=plan.prompt,
            plan=plan.to_dict(),
            plan_seed=plan.seed,
            render_seed=seed,
            sampling=config.dump(sampling),
            gain_db=gain_db,
            model=self.name,
            weights=self.weight_hashes,
            versions=manifest.versions(torch.get_num_threads()),
            adapters=[one.record() for one in self.adapters if one.asked.bars is None],
        )

    def _check_replayable(self, record: manifest.Manifest) -> None:
        if is_recording(record):
            raise ValueError("the file began as somebody's recording, which its manifest does not hold: no replay")
        if record.weights != self.weight_hashes:
            raise ValueError(f"the file was made by model {record.model!r} with other weights than {self.name!r} holds")
        here = manifest.versions(torch.get_num_threads())
        changed = [f"{k} {v} (here {here.get(k)})" for k, v in record.versions.items() if here.get(k) != v]
        if changed:
            warnings.warn(f"made with {', '.join(changed)}: samples may differ in the last bits", stacklevel=3)


def is_recording(record: manifest.Manifest) -> bool:
    """Whether a track began as somebody's recording and not as a plan."""
    return bool(record.edits) and "recording" in record.edits[0]
