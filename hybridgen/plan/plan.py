"""Plan: a score with all that is done with it: frames for the models, JSON, a page to read, edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from hybridgen.plan import arranging, editing, features, html, picture, rolls, sections, serial
from hybridgen.plan import view as views
from hybridgen.plan.controls import Controls, EditArgs
from hybridgen.plan.score import Score


@dataclass(frozen=True, repr=False)
class Plan(Score):
    __doc__ = Score.__doc__

    def __repr__(self) -> str:
        return f"Plan({self.prompt[:60]!r}: {serial.summary(self)}, seed {self.seed})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return picture.svg(self) + html.table(self)

    def frame_controls(self, hop: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(stop - start, N_FEATURES) float32: what the score says about frames of `hop` samples (features.LAYOUT)."""
        return features.frame_controls(self, hop, start, stop)

    def bar_controls(self) -> np.ndarray:
        """(n_bars, N_BAR_FEATURES) float32: what the score says of each bar, half by half, and of the next."""
        return features.bar_controls(self)

    def instrument_ids(self) -> np.ndarray:
        """(9,) int64, one per role: program 0-127, 128 unknown program, 129 the role does not occur."""
        return features.instrument_ids(self.instruments)

    def to_json(self) -> str:
        """The plan as JSON that a person can read and edit; `from_json` is its inverse."""
        return serial.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan written in `text`; ValueError naming the field, and the bar, of what is wrong."""
        return cls.from_dict(serial.parse_json(text))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; `from_dict` is its inverse."""
        return serial.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan in plain JSON values; ValueError naming the field, and the bar, of what is wrong."""
        return cls(**serial.fields(data))

    def view(self) -> dict[str, Any]:
        """What there is to draw and to play of the plan, as plain JSON values, times in seconds; see `view.view`."""
        return views.view(self)

    def text(self, notes: bool = False) -> str:
        """The plan as a page to read: a line of facts, then the sections with their chords, and their notes."""
        return serial.page(self, notes)

    def edit(self, bars: tuple[int, int] | None = None, **changes: Unpack[EditArgs]) -> "Plan":
        """The plan with these fields changed in bars first..last (from 1, both included), or in all bars.

        tempo sets the tempo of the bars; key transposes their chords, and is the plan's key when all bars are meant;
        chords, one entry a bar (two chords: "F,G" or a pair), repeat over the bars; label, energy and roles split
        sections where they must; instruments change or add programs; prompt re-words the whole plan (who plays is
        changed by `request.reworded`); ending is the plan's own, whatever the bars, and alone touches no codes.
        notes writes what a role plays, an entry a bar, repeated; clear has a role's notes written anew. A change of
        chords clears the pitched roles of the bars, a change of key moves them, other energy, label or words clear
        all, unless keep_notes. swing and sound are those of the whole plan; sound touches no codes. The codes of the
        bars touched are unset (all codes after a change of tempo, instruments or prompt), to be written again.
        Raises ValueError naming the field, like the plan itself.
        """
        return editing.edit(self, bars, Controls.of("edit", changes))

    def transpose(self, bars: tuple[int, int] | None, semitones: int, roles: Sequence[str] | None = None) -> "Plan":
        """The notes of pitched roles (all, or these) higher in bars first..last, or in all; chords and key stay."""
        return editing.transpose(self, bars, semitones, roles)

    def copy(self, bars: tuple[int, int], to: int, roles: Sequence[str] | None = None) -> "Plan":
        """What is played in bars first..last played from bar `to` on too: chords and notes, or notes of these roles."""
        return editing.copy(self, bars, to, roles)

    def move_border(self, bar: int, to: int) -> "Plan":
        """The plan with the section that begins at `bar` beginning at bar `to`; what changes hands is written anew."""
        return sections.move_border(self, bar, to)

    def split(self, bar: int) -> "Plan":
        """The plan with another section from `bar` on, which plays as before."""
        return sections.split(self, bar)

    def merge(self, bar: int) -> "Plan":
        """The plan with the section that begins at `bar` a part of the one before, as which it plays."""
        return sections.merge(self, bar)

    def arrange(self, order: str | Sequence[int], variation: float = 0.0) -> "Plan":
        """The plan with its sections in another order, as often as named: "intro A A B A outro", or [1, 2, 2, 3].

        A section is named by its label (`verse` is the first verse, `verse2` the second) or by a letter: A is the first
        section that is neither intro nor outro, B the first with another label, `A2` the second verse where A is the
        first. `A*2` and `2xA` are A twice, `A[4]` its first four bars.
        What returns is what it was: chords, notes, energy, roles, tempo (or the beats as played); a ramp whose end does
        not follow is held at its first tempo. Key, meter, instruments and swing stay, and what the plan has after its
        last bar line. The ending stays where the last bar is what it was, or where it is a cut; else a render chooses.
        All codes are unset: they depend on the place.
        variation, 0-1: the share of the (role, bar) cells of bars that were played before whose notes are left to be
        written anew when the plan is rendered, chosen by the plan's seed; more of it clears more of the same ones.
        Raises ValueError, naming what it is about and both values: a name that is no section, more than 4,095 bars or
        600 seconds.
        """
        return arranging.arrange(self, order, variation)

    def note_spans(self, hop: int, n_frames: int | None = None) -> rolls.NoteSpans:
        """What begins and sounds in frames of `hop` samples, by role and pitch; see `rolls.note_spans`."""
        return rolls.note_spans(self, hop, n_frames)
