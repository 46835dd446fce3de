"""The notes of a MIDI file, from the messages that begin and end them."""

from collections import Counter, defaultdict

from mido import Message

from hybridgen.formats.midi_events import Event, Sequence, text_of
from hybridgen.formats.voices import DRUM_CHANNEL, Sounding, Voice, notes_of
from hybridgen.plan.notes import UNPITCHED

PEDAL, PEDAL_DOWN = 64, 64  # controller, and the least value that is down


class Listener:
    """Hears all messages in order. A note lasts until its end, that of the pedal, or the next of its pitch."""

    def __init__(self) -> None:
        self._voices: dict[tuple[int, int, int | None], Voice] = {}  # by track, channel and program
        self._names: dict[int, str] = {}
        self._programs: dict[tuple[int, int], int] = {}  # by track and channel
        self._channel_programs: dict[int, int] = {}
        # by channel, then track and pitch: who plays it since when, how loud
        self._sounding: dict[int, dict[tuple[int, int], tuple[Voice, int, int]]] = defaultdict(dict)
        self._held: dict[int, set[tuple[int, int]]] = defaultdict(set)  # those that only the pedal holds
        self._pedals: set[int] = set()  # channels
        self._counts: Counter[str] = Counter()

    def voices(self, sequence: Sequence) -> list[Voice]:
        """Who plays what, in the order in which they begin; tracks that bear the name of a role even without notes."""
        self._names = _track_names(sequence)
        for event in sequence.events:
            if isinstance(event.message, Message):
                self._hear(event, event.message)
        end = max(sequence.stops, default=0)
        for channel, sounding in self._sounding.items():
            self._counts["endless"] += len(sounding)
            self._stop_all(channel, end)
        playing = {track for track, _, _ in self._voices}
        chosen = {track: (channel, program) for (track, channel), program in self._programs.items()}
        for track, name in self._names.items():
            usual = DRUM_CHANNEL if name.lower() in UNPITCHED else 0
            voice = Voice(track, name, *chosen.get(track, (usual, None)))
            if track not in playing and voice.named_role:
                self._voices[track, voice.channel, voice.program] = voice
        return list(self._voices.values())

    def remarks(self) -> list[str]:
        """What people should know of it."""
        texts = {"held": "held by the sustain pedal", "endless": "without an end last until that of the file"}
        return [f"{notes_of(self._counts[what])} {text}" for what, text in texts.items() if self._counts[what]]

    def _hear(self, event: Event, message: Message) -> None:
        channel = message.channel
        if message.type == "program_change":
            self._programs[event.track, channel] = self._channel_programs[channel] = message.program
        elif message.type == "control_change":
            self._control(channel, message.control, message.value, event.tick)
        elif message.type == "note_on" and message.velocity:
            self._stop(channel, (event.track, message.note), event.tick)
            start = (self._voice(event.track, channel), event.tick, message.velocity)
            self._sounding[channel][event.track, message.note] = start
        elif (event.track, message.note) in self._sounding[channel]:
            if channel in self._pedals:
                self._held[channel].add((event.track, message.note))
            else:
                self._stop(channel, (event.track, message.note), event.tick)

    def _voice(self, track: int, channel: int) -> Voice:
        """Who plays now: with the track's own program, or the one that another track chose for its channel.

        Not so for tracks called drums or percussion, which share a channel and nothing else.
        """
        name = self._names.get(track, "")
        chosen = None if name.lower() in UNPITCHED else self._channel_programs.get(channel)
        program = self._programs.get((track, channel), chosen)
        return self._voices.setdefault((track, channel, program), Voice(track, name, channel, program))

    def _control(self, channel: int, control: int, value: int, tick: int) -> None:
        if control != PEDAL:
            self._stop_all(channel, tick)
        elif value >= PEDAL_DOWN:
            self._pedals.add(channel)
        else:
            self._pedals.discard(channel)
            for key in sorted(self._held[channel]):
                self._stop(channel, key, tick)

    def _stop(self, channel: int, key: tuple[int, int], tick: int) -> None:
        if key in self._sounding[channel]:
            voice, start, velocity = self._sounding[channel].pop(key)
            voice.notes.append(Sounding(start, tick, key[1], velocity))
            self._counts["held"] += key in self._held[channel]
            self._held[channel].discard(key)

    def _stop_all(self, channel: int, tick: int) -> None:
        for key in list(self._sounding[channel]):
            self._stop(channel, key, tick)


def _track_names(sequence: Sequence) -> dict[int, str]:
    """The first name of each track that plays on one channel only; others name all that they hold."""
    names: dict[int, str] = {}
    channels: dict[int, set[int]] = defaultdict(set)
    for event in sequence.events:
        if isinstance(event.message, Message):
            channels[event.track].add(event.message.channel)
        elif event.message.type == "track_name":
            names.setdefault(event.track, text_of(event.message).strip())
    return {track: name for track, name in names.items() if len(channels[track]) <= 1}
