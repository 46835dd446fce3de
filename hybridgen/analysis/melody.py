"""A hummed, sung or played tune -> a plan whose lead plays it. One voice: pYIN follows its pitch.

pYIN: Mauch & Dixon 2014, https://doi.org/10.1109/ICASSP.2014.6853678, as librosa has it. Which notes the pitch means is
a shortest path: staying on a note costs how far the voice is from it, changing costs `CHANGE`, so vibrato, glides and
single octave errors make no notes. T frames of `HOP` samples.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np

from hybridgen.audio import Audio
from hybridgen.formats.found import find_chords, find_key
from hybridgen.plan.harmony import meter_quarters
from hybridgen.plan.notes import TICKS, Note, Part
from hybridgen.plan.parts import Bar, Section, Tempo, check_meter, check_tempo
from hybridgen.plan.plan import Plan

SAMPLE_RATE, HOP, WINDOW = 22_050, 512, 2048
LOWEST, HIGHEST = 36, 96  # MIDI pitches that are followed, C2 to C7
MAX_SECONDS = 180.0
CHANGE = 3.0  # semitones x frames: less is a glide or vibrato
FAR = 1.5  # semitones beyond which it does not matter how far the voice is from a note
SHORTEST = 0.07  # seconds of a note
VIBRATO = 8  # frames, a period of 5.4 Hz: over more than 0.38 semitones of it the mean phase of a pitch turns round
GAP = 0.06  # seconds without a pitch that end a note
DIP_DB = 6.0  # by which the level falls between two notes of one pitch
QUIET_DB = 40.0  # below the loudest there is no note
GRID = 120  # ticks, a sixteenth: where notes begin and end
TEMPI = np.arange(60.0, 161.0, 1.0)  # BPM that are tried where none is given
USUAL, SPREAD = 100.0, 0.6  # BPM that is likelier than others, and octaves away from it that are not
MIN_VOICED = 0.1  # share of a recording in which a pitch is heard
MIN_CHANCE = 0.1  # that there is one, on average: 0.9 in a clean voice, 0.5 in a breathy one, 0.01 in noise


@dataclass(frozen=True)
class Sung:
    """One note as it is heard."""

    start: float  # seconds
    stop: float
    pitch: int  # MIDI
    velocity: int  # 1-127


def hear_melody(path: Path, tempo: float | None = None, meter: str = "4/4") -> tuple[Plan, tuple[str, ...]]:
    """The tune in a sound file as a plan with a lead alone, its first note on the first beat; and what was heard.

    tempo: quarter notes a minute; None: the one on which the notes lie best. ValueError, naming the file, for more than
    three minutes, and where no single voice is heard.
    """
    quarters = meter_quarters(check_meter(meter))
    recording = Audio.load(path, SAMPLE_RATE)
    if recording.seconds > MAX_SECONDS:
        raise ValueError(f"{path}: a melody of {recording.seconds:.1f} s is over the limit of {MAX_SECONDS:g} s")
    sung = find_notes(recording.samples.mean(axis=0))
    if not sung:
        raise ValueError(
            f"{path}: no single voice is heard in it; a melody is one note at a time, as hummed or whistled"
        )
    notes = [f"heard {len(sung)} notes from {path.name}"]
    if tempo is None:
        tempo = find_tempo(sung)
        notes.append(f"{tempo:g} BPM, on which they lie best (--tempo corrects it)")
    bar_ticks = round(quarters * TICKS)
    bars = quantised(sung, check_tempo(tempo), bar_ticks)
    starts = [(number * bar_ticks + note.tick, note) for number, bar in enumerate(bars) for note in bar]
    table = np.array([(start, start + note.length, note.pitch) for start, note in starts], dtype=np.int64)
    key = find_key(table)
    chords = find_chords(table, len(bars), bar_ticks, key)
    notes.append(f"{key}, found from them")
    section = Section(None, tuple(Bar(one) for one in chords), None, ("lead",))
    plan = Plan(
        (section,), (Tempo(1, float(tempo)),), meter, key, (("lead", None),), notes=(Part("lead", tuple(bars)),)
    )
    return plan, (": ".join((notes[0], ", ".join(notes[1:]))),)


def find_notes(samples: np.ndarray) -> list[Sung]:
    """The notes of one voice in samples (N,) at 22,050 Hz, in order; [] where there is hardly a pitch."""
    if len(samples) < WINDOW or not samples.any():
        return []
    low, high = (float(librosa.midi_to_hz(pitch)) for pitch in (LOWEST, HIGHEST))
    f0, is_voiced, chance = librosa.pyin(
        samples, fmin=low, fmax=high, sr=SAMPLE_RATE, frame_length=WINDOW, hop_length=HOP
    )
    level = librosa.feature.rms(y=samples, frame_length=WINDOW // 2, hop_length=HOP)[0][: len(f0)]
    level_db = 20 * np.log10(np.maximum(level, 1e-9))
    is_voiced = is_voiced & (level_db > level_db.max() - QUIET_DB)
    if is_voiced.mean() < MIN_VOICED or chance[is_voiced].mean() < MIN_CHANCE:
        return []
    pitch = np.where(is_voiced, librosa.hz_to_midi(np.where(is_voiced, f0, 440.0)), np.nan)
    pitch -= _tuning(pitch[is_voiced])
    spans = [
        part
        for start, stop in _runs(_bridged(is_voiced))
        for first, last in _steady(pitch[start:stop])
        for part in _struck(level_db, start + first, start + last)
    ]
    seconds = HOP / SAMPLE_RATE
    loudest = max((level_db[start:stop].max() for start, stop in spans), default=0.0)
    return [
        Sung(
            start * seconds,
            stop * seconds,
            int(np.rint(np.nanmedian(pitch[start:stop]))),
            int(np.clip(100 + 1.5 * (level_db[start:stop].max() - loudest), 40, 100)),
        )
        for start, stop in spans
        if (stop - start) * seconds >= SHORTEST and not np.isnan(pitch[start:stop]).all()
    ]


def _tuning(pitch: np.ndarray) -> float:
    """How many semitones (-0.5 to 0.5) a voice is above the piano's, on the whole."""
    slow = np.convolve(pitch, np.ones(VIBRATO) / VIBRATO, "valid") if len(pitch) >= VIBRATO else pitch
    return float(np.angle(np.exp(2j * np.pi * slow).mean()) / (2 * np.pi))


def _bridged(is_voiced: np.ndarray) -> np.ndarray:
    """Voiced frames (T,), gaps shorter than `GAP` closed."""
    bridged = is_voiced.copy()
    for start, stop in _runs(~is_voiced):
        if start > 0 and stop < len(bridged) and (stop - start) * HOP / SAMPLE_RATE < GAP:
            bridged[start:stop] = True
    return bridged


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, one after the last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _steady(pitch: np.ndarray) -> list[tuple[int, int]]:
    """Runs of one note in a pitch (T,), NaN where it is not known: the cheapest path through all notes."""
    states = np.arange(LOWEST, HIGHEST + 1)
    cost = np.nan_to_num(np.minimum(np.abs(pitch[:, None] - states), FAR))  # (T, notes)
    total, came = cost[0], np.zeros(cost.shape, dtype=np.int64)
    for t in range(1, len(cost)):
        best = int(total.argmin())
        change = total[best] + CHANGE
        came[t] = np.where(total <= change, np.arange(len(states)), best)
        total = np.minimum(total, change) + cost[t]
    path = [int(total.argmin())]
    for t in range(len(cost) - 1, 0, -1):
        path.append(int(came[t, path[-1]]))
    borders = np.flatnonzero(np.diff(path[::-1])) + 1
    edges = [0, *borders.tolist(), len(pitch)]
    return list(itertools.pairwise(edges))


def _struck(level_db: np.ndarray, start: int, stop: int) -> list[tuple[int, int]]:
    """A note of frames start ... stop - 1, cut where its level dips: it was struck, or sung, again."""
    cuts, floor, top = [start], level_db[start], level_db[start]
    for t in range(start + 1, stop):
        if level_db[t] > top or level_db[t] > floor + DIP_DB:
            if level_db[t] > floor + DIP_DB and floor < top - DIP_DB and (t - cuts[-1]) * HOP / SAMPLE_RATE > SHORTEST:
                cuts.append(t)
            top = floor = level_db[t]
        floor = min(floor, level_db[t])
    return list(zip(cuts, [*cuts[1:], stop], strict=True))


def find_tempo(sung: list[Sung]) -> float:
    """The tempo on whose eighths the notes begin most exactly, likelier ones first."""
    starts = np.array([note.start for note in sung]) - sung[0].start
    eighths = starts[:, None] * TEMPI / 30
    off = np.abs(eighths - np.rint(eighths)).mean(axis=0)
    return float(TEMPI[int((off + 0.05 * (np.log2(TEMPI / USUAL) / SPREAD) ** 2).argmin())])


def quantised(sung: list[Sung], tempo: float, bar_ticks: int) -> list[tuple[Note, ...]]:
    """The notes of each bar, on sixteenths; the first is at the start. Of two at one place the longer stays."""
    first, ticks = sung[0].start, tempo / 60 * TICKS
    placed: dict[int, Note] = {}
    for one in sung:
        start = GRID * round((one.start - first) * ticks / GRID)
        length = max(GRID, GRID * round((one.stop - one.start) * ticks / GRID))
        if start not in placed or placed[start].length < length:
            placed[start] = Note(start % bar_ticks, length, one.pitch, one.velocity)
    bars: list[list[Note]] = [[] for _ in range(1 + max(placed) // bar_ticks)]
    starts = sorted(placed)
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        note = placed[start]
        length = note.length if following is None else min(note.length, following - start)
        bars[start // bar_ticks].append(Note(note.tick, length, note.pitch, note.velocity))
    return [tuple(bar) for bar in bars]
