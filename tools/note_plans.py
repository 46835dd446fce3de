"""How well a planner knows the composer's notes, and what it writes itself: python tools/note_plans.py --model FOLDER

Held-out composed songs, which no training has seen: the nats of their notes, over all sub-tokens and among those that
the grammar allows; and for the same prompts and scores the notes of the composer beside those of the planner.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from hybridgen import grammar, note_grammar
from hybridgen.data.captions import captions
from hybridgen.data.composer import compose
from hybridgen.evaluation.prompts import SEED
from hybridgen.metrics.repetition import returning
from hybridgen.note_grammar import COPY, MOVED, State
from hybridgen.pipeline import Pipeline
from hybridgen.plan.harmony import NO_CHORD, chord_pitches, scale_pitches
from hybridgen.plan.notes import UNPITCHED, Part
from hybridgen.plan.parts import ROLES
from hybridgen.plan.plan import Plan
from hybridgen.planner import pad_scores, pad_steps

SECONDS = (60.0, 60.0)


def main() -> None:
    """Reads the command line, listens to the model, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder (default: the shipped preset)")
    parser.add_argument("--n", type=int, default=40, help="songs of a minute (default %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipe = Pipeline.from_pretrained(args.model)
    if not pipe.config.planner.notes:
        raise SystemExit(f"{args.model}: this planner writes no notes")
    songs = [compose(SEED, index, SECONDS) for index in range(args.n)]
    plans = [replace(song.plan, prompt=captions(song)[0], seed=song.index) for song in songs]
    print_nats([nats(pipe, plan) for plan in tqdm(plans, unit="song")])
    written = [pipe.write_notes(unknown(plan)) for plan in tqdm(plans, unit="song")]
    print(f"{'':<28}{'composer':>10}{'planner':>10}")
    ours, theirs = ([statistics(plan) for plan in group] for group in (written, plans))
    for name in ours[0]:
        means = [np.nanmean([one[name] for one in group]) for group in (theirs, ours)]
        print(f"{name:<28}{means[0]:>10.3f}{means[1]:>10.3f}")


def unknown(plan: Plan) -> Plan:
    """The plan without its notes."""
    return plan.with_parts(Part(role, (None,) * plan.n_bars) for role, _ in plan.instruments)


# ---- how surprising the composer's notes are


def nats(pipe: Pipeline, plan: Plan) -> dict[str, float]:
    """Sums over a plan: nats of sub-tokens without and with the grammar's mask, how many there are, and of copies."""
    steps = note_grammar.steps(plan)
    prompt = pipe.encode_prompt(plan.prompt)
    with torch.inference_mode():
        batch = pad_steps([(steps, plan.bar_controls())])
        instruments = torch.from_numpy(plan.instrument_ids())[None]
        scores = pad_scores([grammar.tokens(plan)])
        _, _, logits = pipe.planner(prompt.text, prompt.mask, *scores, instruments=instruments, steps=batch)
    is_said = steps.tokens >= 0
    tokens, kinds = steps.tokens[is_said], np.broadcast_to(steps.kinds[:, None], is_said.shape)[is_said]
    allowed = torch.from_numpy(masks(plan, tokens))
    masked = logits.masked_fill(~allowed, -torch.inf)
    at = torch.from_numpy(tokens)[:, None]
    free, held = (-one.log_softmax(-1).gather(1, at)[:, 0].double().numpy() for one in (logits, masked))
    is_copy = np.isin(tokens, [*COPY, *MOVED])
    return {
        "unmasked": float(free.sum()),
        "masked": float(held.sum()),
        "bars": float(held[kinds == 0].sum()),
        "onsets": float(held[kinds > 0].sum()),
        "sub-tokens": float(len(tokens)),
        "bar steps": float((steps.kinds == 0).sum()),
        "onset steps": float((steps.kinds > 0).sum()),
        "seconds": plan.seconds,
        "copies": float(is_copy.sum()),
        "copies found": float((masked.argmax(-1).numpy() == tokens)[is_copy].sum()),
    }


def masks(plan: Plan, tokens: np.ndarray) -> np.ndarray:
    """(n, V) bool: what might have come in the place of each sub-token, were it to be written."""
    state = State(unknown(plan), np.ones((plan.n_bars, len(ROLES)), dtype=bool), is_reading=True)
    allowed = np.zeros((len(tokens), note_grammar.VOCAB_SIZE), dtype=bool)
    for row, token in zip(allowed, tokens.tolist(), strict=True):
        row[:] = state.allowed()
        state.push(token)
    return allowed


def print_nats(songs: Sequence[dict[str, float]]) -> None:
    """The means over all songs."""
    total = {name: sum(song[name] for song in songs) for name in songs[0]}
    print(f"nats of a sub-token         {total['masked'] / total['sub-tokens']:10.3f}")
    print(f"  without the grammar       {total['unmasked'] / total['sub-tokens']:10.3f}")
    print(f"nats of a bar's step        {total['bars'] / total['bar steps']:10.3f}")
    print(f"nats of an onset's step     {total['onsets'] / total['onset steps']:10.3f}")
    print(f"nats a second of music      {total['masked'] / total['seconds']:10.3f}")
    print(f"copies, source found        {total['copies found'] / total['copies']:10.3f}")


# ---- what plans are like


def statistics(plan: Plan) -> dict[str, float]:
    """What there is to count in a plan's notes."""
    steps = note_grammar.steps(plan)
    n_onsets = sum(len({note.tick for note in bar or ()}) for part in plan.notes for bar in part.bars)
    decisions = steps.tokens[steps.kinds == 0]
    decisions = decisions[(decisions >= 0) & (decisions < note_grammar.SHIFT.start)]
    in_chord, in_key = harmony(plan)
    return {
        "notes a second": sum(len(bar or ()) for part in plan.notes for bar in part.bars) / plan.seconds,
        "onsets a second": n_onsets / plan.seconds,
        "steps a second": len(steps.kinds) / plan.seconds,
        "bars empty": float((decisions == note_grammar.EMPTY).mean()),
        "bars copied": float((decisions >= COPY.start).mean()),
        "bars moved with the chord": float(np.isin(decisions, MOVED).mean()),
        "bars that return": returning(plan),
        "notes in the chord": in_chord,
        "notes in the key": in_key,
    }


def harmony(plan: Plan) -> tuple[float, float]:
    """The shares of pitched notes in the chord and in the key in which they begin."""
    in_chord, in_key = list[bool](), list[bool]()
    scale = None if plan.key is None else scale_pitches(plan.key)
    for part in plan.notes:
        for bar, notes in zip(plan.bars, () if part.role in UNPITCHED else part.bars, strict=False):
            for note in notes or ():
                if bar.chords:
                    chord = bar.chords[note.tick * len(bar.chords) // plan.bar_ticks]
                    if chord != NO_CHORD:
                        in_chord.append(note.pitch % 12 in chord_pitches(chord))
                if scale is not None:
                    in_key.append(note.pitch % 12 in scale)
    return tuple(float(np.mean(found)) if found else float("nan") for found in (in_chord, in_key))


if __name__ == "__main__":
    main()
