"""Form: how many bars, which sections, and how much happens in each."""

import random
from dataclasses import dataclass

LETTERS = {
    "i": "intro",
    "v": "verse",
    "c": "chorus",
    "b": "bridge",
    "k": "break",
    "u": "build",
    "d": "drop",
    "s": "solo",
    "n": "interlude",
}
# sections before the outro, from short forms to long; a longer track repeats the second half of the longest
SONG = ("c", "vc", "ivc", "vcvc", "ivcbc", "ivcvc", "ivcvcbc", "ivcnvcsc", "ivcvcbcnc")
DANCE = ("d", "ud", "iud", "idkd", "iudkd", "iudkud", "ivudkud", "ivudkudnud", "ivudkvudbkud")
JAZZ = ("v", "vs", "vsv", "ivsv", "ivssv", "ivsbsv", "ivbvsnv", "ivbvssbv", "ivbvssnsbv")
DRIFT = ("v", "vc", "ivc", "ivnc", "ivcbv", "ivcnbc", "ivncbvc", "ivncbkvc", "ivncbkvcnb")
ARC = ("c", "vc", "iuc", "vkuc", "ivuck", "ivuckc", "ivuckuc", "ivcbkuc", "ivcbkuckuc")

ENERGY = {
    "intro": 1,
    "verse": 3,
    "chorus": 5,
    "bridge": 3,
    "break": 1,
    "build": 4,
    "drop": 6,
    "solo": 4,
    "interlude": 2,
    "outro": 2,
}


@dataclass(frozen=True)
class Shape:
    """A section before it has music: label, length and energy 0-7."""

    label: str
    n_bars: int
    energy: int


def shape_track(rng: random.Random, n_bars: int, forms: tuple[str, ...], drive: int) -> tuple[Shape, ...]:
    """Sections that fill exactly `n_bars` >= 2, the last an outro; `drive` (-2 to 2) is added to the energy of all."""
    unit = 4 if n_bars >= 13 or (n_bars >= 8 and rng.random() < 0.6) else 2 if n_bars >= 5 else n_bars - 1
    outro = n_bars % unit or unit
    if outro == n_bars or unit == n_bars - 1:
        outro, unit = 1, n_bars - 1
    units = (n_bars - outro) // unit
    sizes = _split(rng, units, max(len(form) for form in forms))
    letters = _choose(rng, forms, len(sizes))
    labels = [LETTERS[letter] for letter in letters]
    energies = _energies(rng, labels, drive)
    body = [Shape(label, size * unit, energy) for label, size, energy in zip(labels, sizes, energies, strict=True)]
    last = max(0, min(energies[-1], ENERGY["outro"] + drive + rng.choice((0, 0, 1, 2))))
    return (*body, Shape("outro", outro, last))


def _split(rng: random.Random, units: int, longest: int) -> list[int]:
    """Sizes of sections in units: 1, 2 or 4, more and longer sections as there is more room."""
    typical = 1 if units <= 4 else 2 if units <= 2 * longest else 4
    sizes: list[int] = []
    while (left := units - sum(sizes)) > 0:
        size = rng.choice((typical, typical, max(1, typical // 2)))
        sizes.append(min(left, size if sizes else max(1, typical // 2)))
    return sizes


def _choose(rng: random.Random, forms: tuple[str, ...], count: int) -> str:
    fitting = [form for form in forms if len(form) == count]
    if fitting:
        return rng.choice(fitting)
    longest = max(forms, key=len)
    if count < len(longest):
        return longest[:count]
    middle = longest[len(longest) // 2 :]
    return (longest + middle * count)[: count - 1] + longest[-1]


def _energies(rng: random.Random, labels: list[str], drive: int) -> list[int]:
    """One energy for each section; a label that comes back is often one level stronger."""
    out: list[int] = []
    seen: dict[str, int] = {}
    for label in labels:
        seen[label] = seen.get(label, -1) + 1
        lift = min(seen[label], 1) if rng.random() < 0.6 else 0
        out.append(max(0, min(7, ENERGY[label] + drive + lift + rng.choice((-1, 0, 0, 1)))))
    return out
