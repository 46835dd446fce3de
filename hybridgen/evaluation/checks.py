"""The bounds that a release must keep, each against its floor where it has one."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One figure beside its bound."""

    name: str
    value: float
    relation: str  # ">=" or "<="
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the value keeps the bound; a figure that could not be measured (NaN) does not."""
        return bool(self.value >= self.bound if self.relation == ">=" else self.value <= self.bound)


def checks(report: dict[str, Any]) -> list[Check]:
    """All checks of a report with the sections of `summary.summarize`, and `speed` and `weights_mb`."""
    control, codec, clicks = report["control"], report["codec"]["codec"], report["clicks"]

    def share(name: str, of_floor: float) -> Check:
        bound = of_floor * control[name]["floor"]
        return Check(f"{name}, {of_floor:g} of the floor", control[name]["value"], ">=", bound)

    def kernel(rung: str, what: str) -> float:
        return report["ladder"][rung][f"kernel_{what}"]

    return [
        share("tempo_acc1", 0.95),
        Check("beat_ms", control["beat_ms"]["value"], "<=", 25.0),
        Check("drift_percent", control["drift_percent"]["value"], "<=", 0.2),
        share("key_rank1", 0.9),
        share("chord_majmin", 0.8),
        Check("structure_auc", control["structure_auc"]["value"], ">=", 0.8),
        share("genre", 0.8),
        share("roles", 0.8),
        Check("ladder ordered", float(report["ladder_ordered"]), ">=", 1.0),
        Check("true plans as near as the codec", kernel("oracle", "distance"), "<=", kernel("codec", "high")),
        Check("generated nearer to codec", float(report["generated_nearer_to_codec_than_shuffled"]), ">=", 1.0),
        Check("codec, log-mel dB", codec["log_mel_db"], "<=", 5.5),
        Check("codec, above 12 kHz off by dB", codec["above_12k_off_db"], "<=", 6.0),
        *click_checks(clicks),
        *note_checks(report["notes"]),
        Check("times real time", report["speed"]["times_real_time"], ">=", 6.0),
        Check("weights, MB", report["weights_mb"], "<=", 64.0),
    ]


def note_checks(notes: dict[str, dict[str, dict[str, float]]]) -> list[Check]:
    """Lead and bass alone are heard nearly as in real songs and as after the codec, true plans sound as the codec's
    version of their songs, returning sections return.

    A model that knows no notes is judged by the sound of true plans alone.
    """
    whole, nan = notes["whole"], float("nan")
    found = [
        Check(f"{role} alone, 0.9 of {whose}", rows.get("oracle", nan), ">=", 0.9 * rows.get(row, nan))
        for role, rows in notes["alone"].items()
        if role in ("bass", "lead")
        for whose, row in (("the floor", "real"), ("the codec's", "codec"))
    ]
    found.append(Check("true plans, chroma", whole.get("chroma", {}).get("oracle", nan), ">=", 0.85))
    found.append(Check("true plans, log-mel dB", whole.get("log_mel_db", {}).get("oracle", nan), "<=", 3.3))
    if notes["alone"]:
        rows = whole.get("repetition", {})
        bound = 0.8 * rows.get("real", nan)
        found.append(Check("repetition, 0.8 of the composer's", rows.get("generated", nan), ">=", bound))
    return found


def click_checks(clicks: dict[str, dict[str, dict[str, float]]]) -> list[Check]:
    """Clicks of codec and model at each border may be a fifth more than in real songs there, and than 1."""
    borders = [("codec", "block"), ("codec", "frame"), *(("generated", border) for border in clicks["generated"])]
    return [
        Check(
            f"clicks, {row}, {border}",
            clicks[row][border]["local"],
            "<=",
            1.2 * max(clicks["real"][border]["local"], 1.0),
        )
        for row, border in borders
    ]
