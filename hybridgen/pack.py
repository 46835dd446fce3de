"""A track as a pack to take along: a folder, or a ZIP of it, that a DAW, a sampler or an editor of notes opens.

    Warm-Lo-Fi-Hip-Hop_84bpm_Am_16bar/
        Warm-Lo-Fi-Hip-Hop_84bpm_Am_16bar.wav    the mix: root, loop, tempo, markers, and its manifest
        stems/01_drums.wav ...                   what adds up to it, where stems are given
        click.wav                                a click on every beat
        session.dawproject                       stems, or the mix, on tracks with tempo and markers
        plan.json plan.mid leadsheet.musicxml chords.txt labels.txt

All positions are samples at one rate: those of the plan at that rate, each rounded once from where it exactly is.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hybridgen import files, formats, manifest, outputs
from hybridgen.audio import WAV_BITS, Audio
from hybridgen.formats import chapters, click, dawproject, riff
from hybridgen.formats.labels import to_labels
from hybridgen.manifest import Manifest
from hybridgen.plan.notes import UNPITCHED
from hybridgen.plan.plan import Plan
from hybridgen.plan.score import Score

RATES = (44_100, 48_000)  # Hz
MAX_WORDS, MAX_TITLE = 5, 40  # words and characters of a title
TOLERANCE = 0.2  # seconds that a lossy file may add or lose
CLICK, SESSION, STEMS = "click.wav", "session.dawproject", "stems"
SCORES = {"plan.json": ".json", "plan.mid": ".mid", "leadsheet.musicxml": ".musicxml", "chords.txt": ".txt"}
LABELS = "labels.txt"
_STEM = re.compile(r"\d\d_[\w-]+\.wav")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,30}")


def title(plan: Score) -> str:
    """The first words of the prompt, up to a comma or full stop, as they are written; "Track" without any."""
    words = re.split(r"[,;:!?\n]|\.(?=\s|$)", plan.prompt.strip())[0].split()[:MAX_WORDS]
    text = " ".join("".join(letter for letter in word if letter.isprintable()) for word in words)
    return text[:MAX_TITLE].strip() or "Track"


def name(plan: Score) -> str:
    """What a pack and its mix are called, in letters, digits and "-_" alone: Title_84bpm_Am_16bar.

    The tempo is a range (84-104bpm) where it moves; an unknown key is left out. ValueError for a plan without bars.
    """
    if plan.tempo_map is None:
        raise ValueError(f"pack: the plan has {plan.n_bars} bars and so no tempo and no positions to take along")
    plain = unicodedata.normalize("NFKD", title(plan)).encode("ascii", "ignore").decode()
    words = [word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", plain)]
    bpm = [mark.bpm for mark in plan.tempo] or plan.tempo_map.bpm.tolist()
    tempi = sorted({round(min(bpm)), round(max(bpm))})
    parts = ["-".join(words) or "Track", f"{'-'.join(map(str, tempi))}bpm"]
    if plan.key is not None:
        parts.append(plan.key.replace(" major", "").replace(" minor", "m").replace("F#", "Gb"))
    return "_".join([*parts, f"{plan.n_bars}bar"])


def check(
    out: Path,
    plan: Score,
    *,
    bits: str = "24",
    sample_rate: int | None = None,
    inputs: tuple[Path, ...] = (),
    overwrite: bool = False,
) -> None:
    """ValueError, in one line, where `write` must not or cannot write; an existing pack is replaced with overwrite."""
    _check_encoding(bits, sample_rate)
    if not out.is_dir():
        name(plan)  # which says what is no plan for a pack
        outputs.check([(out, "other")], inputs, overwrite=True)
        if out.exists() and not overwrite:
            raise ValueError(f"output {str(out)!r} exists: replacing it takes overwrite")
        return
    outputs.check_folder(out / name(plan), lambda path: _is_of_pack(path, plan), inputs, overwrite)


def _is_of_pack(path: Path, plan: Score) -> bool:
    """Whether a path inside the folder of a pack is one that packs have."""
    own = {*SCORES, LABELS, CLICK, SESSION, STEMS, f"{name(plan)}.wav"}
    return path.as_posix() in own or (path.parent.as_posix() == STEMS and bool(_STEM.fullmatch(path.name)))


def _check_encoding(bits: str, sample_rate: int | None) -> None:
    if bits not in WAV_BITS:
        raise ValueError(f"bits {bits!r} is none of {', '.join(WAV_BITS)}")
    if sample_rate is not None and sample_rate not in RATES:
        raise ValueError(f"rate {sample_rate} is none of {', '.join(map(str, RATES))}")


def write(
    out: Path,
    mix: Audio,
    record: Manifest,
    stems: Mapping[str, Audio],
    *,
    bits: str = "24",
    sample_rate: int | None = None,
) -> Path:
    """Writes a track as a pack: `out` is a .zip, or a folder, made where there is none, into which the pack's goes.

    mix: the samples of the track that `record` describes. stems: role -> sound of the same length and rate, in the
    order of their files; may be empty. bits: of WAV_BITS. sample_rate: of RATES, in Hz; None keeps the track's.
    Returns where the pack is. It appears whole or not at all, in place of one that was there: see `check`. The same
    track gives the same bytes. ValueError, naming the field and its value, for what cannot be; OSError from the disk.
    """
    _check_encoding(bits, sample_rate)
    rate = sample_rate or record.plan.time_base.sample_rate
    plan = record.plan.on(replace(record.plan.time_base, sample_rate=rate))
    top = name(plan)
    if abs(mix.seconds - plan.seconds) > TOLERANCE:
        raise ValueError(f"mix: {mix.seconds:.3f} s of sound, but its plan has {plan.seconds:.3f} s")
    for role, stem in stems.items():
        if not _ROLE.fullmatch(role):
            raise ValueError(f"stems: role {role[:60]!r} is no name in small letters")
        if (stem.sample_rate, stem.samples.shape) != (mix.sample_rate, mix.samples.shape):
            raise ValueError(
                f"stems: {role} has {stem.samples.shape[1]} samples at {stem.sample_rate} Hz, the mix "
                f"{mix.samples.shape[1]} at {mix.sample_rate} Hz"
            )
    if out.suffix.lower() == ".zip" and not out.is_dir():
        with files.working_folder(out) as folder, files.atomic_write(out) as file:
            _fill(folder, plan, mix, record, stems, bits)
            members = sorted(path for path in folder.rglob("*") if path.is_file())
            files.write_zip(file, {f"{top}/{path.relative_to(folder).as_posix()}": path for path in members})
        return out
    with files.made_folder(out), files.folder_write(out / top) as folder:
        _fill(folder, plan, mix, record, stems, bits)
    return out / top


def write_chapters(out: Path, kind: str, sound: Path, plan: Plan) -> int:
    """Writes the sound of a track as one of `formats.CHAPTERED`, its sections as chapters; returns how many.

    sound: a file of the samples that `plan` describes. ValueError where FFmpeg is missing.
    """
    rate = chapters.OPUS_RATE if kind == ".opus" else plan.time_base.sample_rate
    plan = plan.on(replace(plan.time_base, sample_rate=rate))
    chapters.write(out, kind, Audio.load(sound, rate).samples, plan, title(plan))
    return len(plan.sections)


def _fill(folder: Path, plan: Plan, mix: Audio, record: Manifest, stems: Mapping[str, Audio], bits: str) -> None:
    """All files of a pack, in an empty folder."""
    said = title(plan)
    whole, tracks = folder / f"{name(plan)}.wav", {}
    _write_sound(whole, mix, plan, riff.describe(plan, said), bits)
    manifest.embed(whole, record)
    if stems:
        (folder / STEMS).mkdir()
    for number, (role, stem) in enumerate(stems.items(), start=1):
        tracks[role] = folder / STEMS / f"{number:02d}_{role}.wav"
        chunks = riff.describe(plan, f"{said}: {role}", is_pitched=role not in UNPITCHED, with_markers=False)
        try:
            _write_sound(tracks[role], stem, plan, chunks, bits)
        except ValueError as error:
            raise ValueError(f"stems: {role}: {error}") from None
    clicks = Audio(click.to_click(plan), plan.time_base.sample_rate)
    chunks = riff.describe(plan, f"{said}: click", is_pitched=False, with_markers=False)
    info = {key: text for key, text in chunks.info.items() if key != "ICMT"}  # nobody generated it
    _write_sound(folder / CLICK, clicks, plan, replace(chunks, info=info), bits)
    dawproject.write(folder / SESSION, plan, said, tracks or {"Mix": whole})
    for path, kind in SCORES.items():
        (folder / path).write_bytes(formats.dump(plan, kind))
    (folder / LABELS).write_text(to_labels(plan), encoding="utf-8")


def _write_sound(path: Path, sound: Audio, plan: Plan, chunks: riff.Chunks, bits: str) -> None:
    """One wav file, exactly as long as the plan and at its rate."""
    sound = sound.resample(plan.time_base.sample_rate)
    missing = plan.length - sound.samples.shape[1]
    if missing == 1:  # a length is rounded once for the plan and once for the sound: no zero in a loop
        sound = replace(sound, samples=np.pad(sound.samples, ((0, 0), (0, 1)), mode="edge"))
    elif missing:  # lossy formats add or lose some
        kept = sound.samples[:, : plan.length]
        sound = replace(sound, samples=np.pad(kept, ((0, 0), (0, plan.length - kept.shape[1]))))
    sound.write(path, ".wav", bits=bits)
    riff.append(path, chunks)
