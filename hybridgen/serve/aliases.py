"""What other programs call our fields: one table for all routes and adapters."""

from collections.abc import Collection, Mapping
from typing import Any

from hybridgen.serve.refusals import Refused

ALIASES: dict[str, tuple[str, ...]] = {  # our name -> others' names
    "prompt": ("input", "caption"),
    "seconds": ("duration", "audio_duration", "audioDuration", "audio_length"),
    "tempo": ("bpm",),
    "key": ("key_scale", "keyscale", "keyScale", "scale"),
    "meter": ("time_signature", "timesignature", "timeSignature"),
    "instruments": ("instrument",),
    "seed": ("seed_value",),
    "num_steps": ("steps", "num_inference_steps", "inference_steps"),
    "guidance_scale": ("guidance", "cfg_scale"),
    "format": ("response_format", "audio_format", "output_format"),
    "track": ("source", "song_id"),
    "sample_rate": ("rate",),
}
MILLISECONDS = {"music_length_ms": "seconds"}
MOST_MILLISECONDS = 10**12  # more than any track may have
METERS = {"2": "2/4", "3": "3/4", "4": "4/4", "6": "6/8"}  # as ACE-Step has them
INSTRUMENTAL = ("instrumental", "force_instrumental", "is_instrumental")
NO_VOICE = "hybridgen has no voice and sings no lyrics: everything that it writes is instrumental"


def canonical(fields: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields by our names, of those that are `known`; the others as they are.

    Refused where one is given under two names, and for `instrumental: false`.
    """
    ours = {other: name for name, others in ALIASES.items() if name in known for other in others}
    ours |= {other: name for other, name in MILLISECONDS.items() if name in known}
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for given, value in fields.items():
        if given in INSTRUMENTAL:
            if value is False:
                raise Refused(f"{given} false: {NO_VOICE}", given, {given: True})
            continue
        name = given if given in known else ours.get(given, given)
        if name in found and value is not None and found[name] is not None:
            raise Refused(f"{said[name]} and {given} are both given and mean the same", given, {given: None})
        if given in MILLISECONDS and isinstance(value, int | float):
            value = min(value, MOST_MILLISECONDS) / 1000  # an integer of any size is no float
        if name == "meter" and str(value) in METERS:
            value = METERS[str(value)]
        if value is not None or name not in found:
            found[name], said[name] = value, given
    return found


def dropped(fields: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The fields that say something, without those that mean nothing here."""
    return {name: value for name, value in fields.items() if name not in names and value is not None}
