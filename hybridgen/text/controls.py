"""The explicit controls in the words of a prompt: "84 BPM in A minor, 7/8, 16 bars, rhodes, no drums".

One finder after another reads the prompt. What a finder has understood is blanked out, so nothing is read twice. A
request that is not honored becomes a note of one line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybridgen.plan.controls import Controls
from hybridgen.text.endings import find_ending
from hybridgen.text.form import find_course, find_cues
from hybridgen.text.harmony import find_blues, find_chords, find_key, spell_chords
from hybridgen.text.impossible import find_impossible
from hybridgen.text.length import find_length, fit_bars
from hybridgen.text.meter import find_meter
from hybridgen.text.players import find_players
from hybridgen.text.reader import PromptScanner
from hybridgen.text.rewrite import is_foreign
from hybridgen.text.sound import find_sound
from hybridgen.text.swing import find_swing
from hybridgen.text.tempo import find_bare_tempo, find_tempo
from hybridgen.text.vocabulary import find_unread

MAX_CHARACTERS = 20_000  # of a prompt; the rest is not read, with a note


@dataclass(frozen=True)
class Understanding:
    """What is read in a prompt.

    controls: what its words fix. notes: requests that are not honored, a line each. unread: words that nothing here
    understands and that no caption of the training data holds. text: what the planner is told, the prompt without the
    words that would mislead it. spelling: how the prompt writes a key or chord, by its canonical name.
    """

    controls: Controls
    notes: tuple[str, ...]
    unread: tuple[str, ...]
    text: str
    spelling: Mapping[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """What was taken from the words, in one line; "" for nothing."""
        return self.controls.text(self.spelling)


def understand(prompt: str) -> Understanding:
    """What the prompt fixes, and what is to be said of it. Never raises: any string is valid."""
    scanner = PromptScanner(prompt, MAX_CHARACTERS)
    controls = read_controls(scanner)
    find_impossible(scanner)
    if is_foreign(prompt[:MAX_CHARACTERS]):
        what = "numbers, keys, meters and common instruments are read, the rest is told to a text encoder of English"
        scanner.note(0, f"the prompt is not in English: {what}")
    notes = tuple(scanner.sorted_notes())
    unread = find_unread(scanner.words, notes)
    return Understanding(controls, notes, unread, scanner.told(prompt), scanner.spelling)


def find_controls(prompt: str) -> tuple[Controls, list[str]]:
    """What the prompt fixes explicitly, and a note for everything requested that is not understood or not possible.

    A second value that contradicts the first is ignored, with a note. Never raises: any string is valid.
    """
    understood = understand(prompt)
    return understood.controls, list(understood.notes)


def read_controls(scanner: PromptScanner) -> Controls:
    """What is fixed by the words of a prompt."""
    ending = find_ending(scanner)
    cues, dynamics = find_cues(scanner)
    chords, numerals = find_chords(scanner)
    pace = find_tempo(scanner)
    meter = find_meter(scanner)
    swing = find_swing(scanner, meter)
    blues = find_blues(scanner)
    bars, seconds, sections = find_length(scanner)
    key, mode = find_key(scanner)
    if numerals is not None:
        chords = spell_chords(scanner, numerals, key)
    if blues and chords is None:
        chords = blues(key)
    tempo = pace.tempo if pace.in_numbers else find_bare_tempo(scanner) or pace.tempo
    bars = fit_bars(scanner, bars, tempo if isinstance(tempo, float) else None, meter)
    form, lengths = find_course(scanner, bars) if sections is None else (None, None)
    players = find_players(scanner)
    sound = find_sound(scanner)
    return Controls(
        tempo=tempo,
        tempo_changes=pace.changes,
        key=key,
        mode=mode if chords is None else None,
        meter=meter,
        bars=None if lengths else bars,
        seconds=seconds,
        sections=sections or lengths,
        chords=chords,
        form=None if lengths else form,
        cues=tuple(cues) or None,
        dynamics=dynamics,
        ending=ending,
        swing=swing,
        sound=sound,
        instruments=tuple(players.instruments.items()) or None,
        without=tuple(players.without) or None,
        roles=players.roles,
    )
