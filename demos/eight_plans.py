"""Eight plans, one chosen, four bars rewritten: python demos/eight_plans.py

Plans are cheap, so look at several before one is rendered; then change four bars and keep every other sample.
"""

from hybridgen import Pipeline, Plan


def harmonic_variety(plan: Plan) -> int:
    """How many different chords a plan uses: one way to choose; reading `plan.text()` is another."""
    return len({chord for bar in plan.bars for chord in bar.chords or ()})


def main() -> None:
    """Write first.flac and second.flac, which differ in bars 5-8 alone."""
    pipe = Pipeline.from_pretrained()
    plans = pipe.plan("deep house with rhodes and warm pads, 122 BPM in F minor, 16 bars", n=8, seed=1)
    best = max(plans, key=harmonic_variety)
    print(best.text())
    first = pipe.render(best)
    first.save("first.flac")
    second = pipe.repaint(first, first.plan.edit((5, 8), chords=["Fm", "Db", "Ab", "Eb"]), bars=(5, 8))
    second.save("second.flac")


if __name__ == "__main__":
    main()
