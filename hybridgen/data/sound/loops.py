"""The inner loops of engines and effects, compiled by numba: what cannot be said in whole arrays because each sample
depends on the one before.

Each has one signature, so all is compiled where this file is first imported (a quarter of a minute) and read from
numba's cache later: import it before starting processes, which must not write that cache at the same time.

Shapes: n samples, V voices; sound is (2, n) float32. A control curve holds a value for every `CONTROL` samples,
n // CONTROL + 2 in all, linear in between.
"""

import math

import numpy as np
from numba import njit

CONTROL = 32  # samples between two values of a control curve
# Added to what filters are given, two samples up and two down, 500 dB under full scale: numbers that die away below
# what a float can hold make a processor a hundred times slower
ALIVE = 1e-25


@njit(
    "void(float32[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float32[:, ::1])",
    cache=True,
)
def unison(table, steps, phases, left, right, bend, out):
    """Adds V readings of a single cycle (a power of two of samples) to `out` (2, n).

    steps: cycles a sample; phases: cycles, where each begins; left, right: gains; bend (n,): factor on all steps.
    """
    size = len(table)
    mask = size - 1
    for v in range(len(steps)):
        phase, step, to_left, to_right = phases[v] * size, steps[v] * size, left[v], right[v]
        for i in range(out.shape[1]):
            at = int(phase)
            a, b = table[at & mask], table[(at + 1) & mask]
            value = a + (b - a) * (phase - at)
            out[0, i] += to_left * value
            out[1, i] += to_right * value
            phase += step * bend[i]
            if phase >= size:
                phase -= size


@njit("void(float64, float64, float64[::1], float64, float64[::1], float64[::1])", cache=True)
def operators(step, ratio, index, feedback, bend, out):
    """A sine whose phase another sine moves, into `out` (n,): phase modulation.

    step: cycles a sample; ratio: the modulator's frequency over the carrier's; index (n,): radians; feedback: radians
    of the modulator onto itself.
    """
    carrier, modulator, last = 0.0, 0.0, 0.0
    turn = 2 * math.pi
    for i in range(len(out)):
        last = 0.5 * (last + math.sin(turn * modulator + feedback * last))
        out[i] = math.sin(turn * carrier + index[i] * last)
        carrier += step * bend[i]
        modulator += step * ratio * bend[i]
        carrier -= math.floor(carrier)
        modulator -= math.floor(modulator)


@njit("void(float32[:, ::1], float64[::1], float64, float64, float64, float64)", cache=True)
def swept_filter(sound, cutoff, damping, low, band, high):
    """A state variable filter over `sound` (2, n), in place, whose cutoff moves (V. Zavalishin, The Art of VA Filter
    Design, section 4).

    cutoff: control curve of tan(pi f / rate); damping: 2 is dull, 0.1 rings; low, band, high: gains of its outputs.
    """
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    for block in range((sound.shape[1] + CONTROL - 1) // CONTROL):
        g, rise = cutoff[block], (cutoff[block + 1] - cutoff[block]) / CONTROL
        for i in range(block * CONTROL, min((block + 1) * CONTROL, sound.shape[1])):
            scale = 1 / (1 + g * (g + damping))
            alive = ALIVE if i & 2 else -ALIVE
            h = (sound[0, i] + alive - (g + damping) * one - two) * scale
            k = (sound[1, i] + alive - (g + damping) * three - four) * scale
            b, d = g * h + one, g * k + three
            one, three = g * h + b, g * k + d
            e, f = g * b + two, g * d + four
            two, four = g * b + e, g * d + f
            sound[0, i] = low * e + band * b + high * h
            sound[1, i] = low * f + band * d + high * k
            g += rise


@njit("void(float32[:, ::1], float64[::1], float64[::1])", cache=True)
def two_sections(sound, first, second):
    """Two second-order sections (6,), one after the other, over `sound` (2, n), in place, with their memory in double
    precision; both and both sides at once, because each waits for its own last sample and not for the others'."""
    b0, b1, b2, a1, a2 = first[0], first[1], first[2], first[4], first[5]
    d0, d1, d2, c1, c2 = second[0], second[1], second[2], second[4], second[5]
    m, n, o, p, q, r, s, t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(sound.shape[1]):
        alive = ALIVE if i & 2 else -ALIVE
        x, z = sound[0, i] + alive, sound[1, i] + alive
        y, w = b0 * x + m, b0 * z + o
        m, o = b1 * x - a1 * y + n, b1 * z - a1 * w + p
        n, p = b2 * x - a2 * y, b2 * z - a2 * w
        u, v = d0 * y + q, d0 * w + s
        q, s = d1 * y - c1 * u + r, d1 * w - c1 * v + t
        r, t = d2 * y - c2 * u, d2 * w - c2 * v
        sound[0, i], sound[1, i] = u, v


@njit("void(float64[::1], float64, float64, float64, float64[::1])", cache=True)
def string(excitation, period, gain, dullness, out):
    """A plucked string into `out` (n,): what `excitation` puts in goes round a delay and loses its highs each time.

    period: samples of one round, over 6; gain: of one round, under 1; dullness: 0-0.5, how much each round smooths.
    """
    delay = period - 1.0  # the smoothing takes one sample
    whole = int(delay - 1.0)
    d = delay - whole  # 1-2, between the middle two of four samples: Lagrange's interpolation
    c0 = -(d - 1) * (d - 2) * (d - 3) / 6
    c1 = d * (d - 2) * (d - 3) / 2
    c2 = -d * (d - 1) * (d - 3) / 2
    c3 = d * (d - 1) * (d - 2) / 6
    size = 1
    while size < whole + 8:
        size *= 2
    mask = size - 1
    line = np.zeros(size)
    before, before2 = 0.0, 0.0
    for i in range(len(out)):
        at = i - whole
        value = (
            c0 * line[at & mask] + c1 * line[(at - 1) & mask] + c2 * line[(at - 2) & mask] + c3 * line[(at - 3) & mask]
        )
        smooth = (1 - 2 * dullness) * before + dullness * (value + before2)
        before2, before = before, value
        fed = gain * smooth
        if i < len(excitation):
            fed += excitation[i]
        line[i & mask] = fed
        out[i] = fed


@njit("void(float32[:, ::1], float64, float64)", cache=True)
def saturate(sound, drive, bias):
    """A soft limit of y = drive x + bias, 1.5 (y - y^3 / 3) up to 1, over `sound` (2, n), in place; averaged over each
    step from sample to sample, so that it aliases little (J. Parker et al., Reducing the Aliasing of Nonlinear
    Waveshaping, DAFx 2016). bias: under 1."""
    rest = bias - bias**3 / 3
    for c in range(sound.shape[0]):
        last = bias
        last_area = bias * bias * (0.5 - bias * bias / 12)
        for i in range(sound.shape[1]):
            x = drive * sound[c, i] + bias
            size = abs(x)
            area = x * x * (0.5 - x * x / 12) if size <= 1 else 5 / 12 + (size - 1) * 2 / 3
            step = x - last
            if abs(step) > 1e-5:
                value = (area - last_area) / step
            else:
                middle = min(max(0.5 * (x + last), -1.0), 1.0)
                value = middle - middle**3 / 3
            sound[c, i] = 1.5 * (value - rest)
            last, last_area = x, area


@njit("void(float32[:, ::1], float32[::1], float32[:, ::1])", cache=True)
def between(padded, weights, out):
    """Into `out` (2, n): the sums of `padded` (2, n + 2 K - 1), weighed by `weights` (K,) to the left and the right."""
    taps, n = len(weights), out.shape[1]
    for c in range(2):
        for start in range(0, n, 2048):  # a piece that stays in the cache
            total = out[c, start : min(start + 2048, n)]
            total[:] = 0.0
            for k in range(taps):
                weight = weights[k]
                left = padded[c, start + taps - 1 - k : start + taps - 1 - k + len(total)]
                right = padded[c, start + taps + k : start + taps + k + len(total)]
                for i in range(len(total)):
                    total[i] += weight * (left[i] + right[i])


@njit("void(float64[::1], float64, float64, float64, float64, float64[::1])", cache=True)
def squeeze(level, threshold, slope, attack, release, out):
    """Gain of a compressor in dB into `out`, a value for each level in dB.

    slope: 1 - 1 / ratio; attack, release: the share of the way that it goes in one step.
    """
    gain = 0.0
    for i in range(len(level)):
        wanted = -slope * max(0.0, level[i] - threshold)
        gain += (attack if wanted < gain else release) * (wanted - gain)
        out[i] = gain


@njit("void(float32[::1], float64[::1], float32[::1])", cache=True)
def delayed(sound, delay, out):
    """Adds `sound` (n,), delayed by a control curve in samples (at least 2), to `out`; cubic between the samples."""
    n = len(sound)
    for block in range((n + CONTROL - 1) // CONTROL):
        d, rise = delay[block], (delay[block + 1] - delay[block]) / CONTROL
        for i in range(block * CONTROL, min((block + 1) * CONTROL, n)):
            place = i - d
            at = math.floor(place)
            t = place - at
            if at >= 1 and at + 2 < n:
                p, q, r, s = sound[at - 1], sound[at], sound[at + 1], sound[at + 2]
                out[i] += q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))
            d += rise


@njit("void(float32[:, ::1], float64, float32[:, ::1], float32[:, ::1])", cache=True, fastmath={"reassoc", "contract"})
def convolved_at(sound, rate, kernel, out):
    """Reads `sound` (2, n) into `out` (2, m) at every `rate` samples through `kernel` (phases + 1, taps), whose rows
    are the weights between two samples, from one to the next."""
    phases, taps = kernel.shape[0] - 1, kernel.shape[1]
    n = sound.shape[1]
    for i in range(out.shape[1]):
        place = i * rate
        at = int(place)
        phase = (place - at) * phases
        row = int(phase)
        t = np.float32(phase - row)
        first = at - taps // 2 + 1
        low, high = max(0, -first), min(taps, n - first)
        here, there = kernel[row, low:high], kernel[row + 1, low:high]
        left, right = sound[0, first + low : first + high], sound[1, first + low : first + high]
        a, b = np.float32(0.0), np.float32(0.0)
        for k in range(len(here)):
            weight = here[k] + t * (there[k] - here[k])
            a += weight * left[k]
            b += weight * right[k]
        out[0, i], out[1, i] = a, b
