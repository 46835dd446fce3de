"""What the studio is made of: compression, chorus, rooms, echoes, pumping, tape, records, width.

Sound is (2, n) float32 at 44.1 kHz. Only `compressed` bends a wave by its own level; all that is shared by roles is
linear, so that what is done to a sum is the sum of what is done to its parts.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import fft

from hybridgen.data.song import SAMPLE_RATE
from hybridgen.data.sound import loops
from hybridgen.data.sound.envelopes import control_times
from hybridgen.data.sound.loops import CONTROL
from hybridgen.data.sound.shaping import butter, filtered, peak, shelf

BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)  # Hz, where the octaves of a room's noise meet
BASS_MONO = 110.0  # Hz, under which the sides carry nothing
WOW, FLUTTER = (0.55, 0.0009), (6.3, 0.00006)  # Hz and seconds of a tape's wandering
TURN = 1.8  # seconds of one turn of a record
RELEASE = 0.12  # seconds of a compressor


def compressed(sound: np.ndarray, depth_db: float, attack: float) -> np.ndarray:
    """The sound with its peaks about `depth_db` lower than they were against the rest, three to one."""
    gain = compression(sound, depth_db, attack)
    return sound * held(gain, sound.shape[1])


def compression(sound: np.ndarray, depth_db: float, attack: float) -> np.ndarray:
    """Control curve of a compressor's gain; its threshold is where the loudest hundredth is brought down as asked."""
    n_blocks = sound.shape[1] // CONTROL
    peaks = np.abs(sound[:, : n_blocks * CONTROL]).max(axis=0).reshape(n_blocks, CONTROL).max(axis=1)
    blocks = peaks.astype(np.float64)
    level = 20 * np.log10(np.pad(blocks, (0, control_times(sound.shape[1]).size - n_blocks), "edge") + 1e-6)
    threshold = float(np.percentile(level[level > -90], 99)) - 1.5 * depth_db if (level > -90).any() else 0.0
    gain = np.empty(len(level))
    step = CONTROL / SAMPLE_RATE
    loops.squeeze(level, threshold, 2 / 3, 1 - math.exp(-step / attack), 1 - math.exp(-step / RELEASE), gain)
    return np.asarray(10 ** (gain / 20))


def held(curve: np.ndarray, n: int) -> np.ndarray:
    """A control curve at every one of n samples, float32."""
    here, there = curve[:-1, None], curve[1:, None]
    between = np.arange(CONTROL) / CONTROL
    return (here + (there - here) * between).ravel()[:n].astype(np.float32)


def chorused(sound: np.ndarray, amount: float, rate: float = 0.6) -> np.ndarray:
    """The sound with a wandering copy a few milliseconds late, differently on each side."""
    t = control_times(sound.shape[1])
    out = sound.copy()
    for c, phase in enumerate((0.0, 0.5)):
        late = np.zeros_like(sound[c])
        delay = (0.008 + 0.003 * np.sin(2 * math.pi * (rate * t + phase))) * SAMPLE_RATE
        loops.delayed(sound[c], delay, late)
        out[c] += np.float32(0.7 * amount) * late
    return out * np.float32(1 / math.sqrt(1 + 0.5 * amount**2))


def room_response(seconds: float, damping: float, pre_delay: float, rng: np.random.Generator) -> np.ndarray:
    """Impulse response (2, n) of a room with an energy of 1: some reflections, then noise whose highs fall faster."""
    n = round((seconds * 1.1 + 0.05) * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    noise = rng.standard_normal((2, n)).astype(np.float32)
    tail, rest = np.zeros((2, n)), noise
    for i, frequency in enumerate(BANDS):
        split = butter(2, frequency)
        low = filtered(rest, split)
        tail += low * np.exp(-6.9 * t / (seconds * _decay(i, damping)))
        rest = rest - low
    tail += rest * np.exp(-6.9 * t / (seconds * _decay(len(BANDS), damping)))
    tail *= np.minimum(t / 0.02, 1)
    reach = min(0.08, 0.03 + 0.02 * seconds)
    for c in range(2):
        for at in rng.uniform(0.004, reach, 10):
            tail[c, round(at * SAMPLE_RATE)] += rng.choice((-1, 1)) * 6 * math.exp(-at / 0.03)
    tail = np.pad(tail, ((0, 0), (round(pre_delay * SAMPLE_RATE), 0)))
    tail[:, -200:] *= np.linspace(1, 0, 200)
    return (tail / math.sqrt(float(np.square(tail).sum()) / 2)).astype(np.float32)


def _decay(band: int, damping: float) -> float:
    """Share of the room's seconds that a band takes: lows a little longer, highs shorter the softer the walls."""
    return float((1.1, 1.05, 1.0, 1.0, 0.9, 0.75, 0.6, 0.45)[band] ** (0.4 + 1.6 * damping))


def echo_response(seconds: float, feedback: float) -> np.ndarray:
    """Impulse response (2, n) of an echo from side to side, each time duller."""
    n_times = max(1, math.ceil(math.log(0.03) / math.log(feedback)))
    out = np.zeros((2, round(seconds * SAMPLE_RATE) * n_times + 2048), np.float32)
    click = np.zeros((1, 2048), np.float32)
    click[0, 8] = 1.0
    for i in range(n_times):
        click = filtered(click, butter(1, 3800), _ECHO_LOW_CUT)
        start = round(seconds * SAMPLE_RATE) * (i + 1)
        n = min(2048, out.shape[1] - start)
        out[i % 2, start : start + n] += feedback**i * click[0, :n]
    return out


_ECHO_LOW_CUT = butter(1, 180, "highpass")


def convolved(sends: Sequence[tuple[np.ndarray, np.ndarray]], n: int) -> np.ndarray:
    """The first n samples (2, n) of the sum of sends (2, n) through their impulse responses (2, m)."""
    size = fft.next_fast_len(n + max(response.shape[1] for _, response in sends), real=True)
    total = sum(fft.rfft(sound, size) * fft.rfft(response, size) for sound, response in sends)
    return np.asarray(fft.irfft(total, size)[:, :n], dtype=np.float32)


def ducking(kicks: Sequence[float], depth: float, seconds: float, n: int) -> np.ndarray:
    """Control curve that falls by `depth` (0-1) at each kick (seconds, in order) and comes back within `seconds`."""
    t = control_times(n)
    if not kicks:
        return np.ones(len(t))
    starts = np.asarray(kicks) - 0.002
    last = np.searchsorted(starts, t, "right") - 1
    since = np.where(last >= 0, t - starts[np.maximum(last, 0)], np.inf)
    back = np.clip(since / seconds, 0, 1)
    curve = 1 - depth * (1 - back * back * (3 - 2 * back))
    smooth = max(1, round(0.004 * SAMPLE_RATE / CONTROL))
    return np.convolve(np.pad(curve, smooth, "edge"), np.ones(smooth) / smooth, "same")[smooth:-smooth]


def panned(sound: np.ndarray, pan: float, width: float) -> np.ndarray:
    """The sound at a place from -1 left to 1 right, as wide as it was times `width`, as loud."""
    sound = widened(sound, width) if width != 1 else sound
    angle = (1 + pan) * math.pi / 4
    return sound * np.array([[math.cos(angle)], [math.sin(angle)]], np.float32) * np.float32(math.sqrt(2))


def widened(sound: np.ndarray, width: float) -> np.ndarray:
    """The sound with its sides times `width`."""
    mid, side = 0.5 * (sound[0] + sound[1]), np.float32(0.5 * width) * (sound[0] - sound[1])
    return np.stack([mid + side, mid - side])


def bus(sound: np.ndarray, width: float, tilt: float, tape: float) -> np.ndarray:
    """What the whole goes through, all of it linear: tape that wanders and loses its highs, tone, width."""
    sections = [shelf(4500, tilt, high=True), shelf(140, -0.35 * tilt, high=False), butter(2, 20, "highpass")]
    if tape:
        sound = _wandering(sound, tape)
        sections += [butter(2, 16_000 - 7000 * tape), peak(70, 2 * tape, 0.8)]
    sound = filtered(sound, *sections)
    mid, side = 0.5 * (sound[0] + sound[1]), np.float32(0.5 * width) * (sound[0] - sound[1])
    side = filtered(side[None], _BASS_MONO)[0]
    return np.stack([mid + side, mid - side])


_BASS_MONO = butter(2, BASS_MONO, "highpass")


def _wandering(sound: np.ndarray, amount: float) -> np.ndarray:
    t = control_times(sound.shape[1])
    sway = sum(depth * (1 - np.cos(2 * math.pi * rate * t)) for rate, depth in (WOW, FLUTTER))
    out = np.zeros_like(sound)
    for c in range(2):
        loops.delayed(sound[c], 2.0 + amount * SAMPLE_RATE * sway, out[c])
    return out


def record_noise(n: int, amount: float, rng: np.random.Generator) -> np.ndarray:
    """The crackle, hiss and rumble of a record (2, n), with an rms of 1 in all."""
    hiss = filtered(rng.standard_normal((2, n)).astype(np.float32), butter(1, 5000))
    clicks = np.zeros((2, n), np.float32)
    n_clicks = rng.poisson(n / SAMPLE_RATE * (4 + 14 * amount))
    at = rng.integers(0, n, n_clicks)
    clicks[:, at] = rng.standard_normal((2, n_clicks)) * 0.3 + rng.exponential(1.0, n_clicks) * rng.choice(
        (-1, 1), n_clicks
    )
    scratch = rng.integers(0, round(TURN * SAMPLE_RATE), 3)[:, None] + np.arange(
        n // round(TURN * SAMPLE_RATE) + 1
    ) * round(TURN * SAMPLE_RATE)
    clicks[:, scratch[scratch < n]] += 1.5
    clicks = filtered(clicks, butter(1, (600, 7000), "bandpass"))
    rumble = filtered(
        rng.standard_normal((1, n)).astype(np.float32),
        butter(2, (25, 70), "bandpass"),
    )
    parts = zip((0.35, 1.0, 0.35), (hiss, clicks, np.repeat(rumble, 2, axis=0)), strict=True)
    noise = sum(level * part / max(float(np.sqrt(np.mean(part**2))), 1e-9) for level, part in parts)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), dtype=np.float32)
