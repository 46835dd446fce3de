"""A folder of songs as people have them: which files are songs, what their captions are, what is passed over and why.

Captions are read from NAME.caption.txt, NAME.txt, and from `metadata.csv`, `metadata.jsonl` (as an audiofolder of
Hugging Face has them) or `captions.json` in the folder of the song or one above it; the first that is there counts.
Lyrics are no captions.
"""

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridgen.plan.parts import MAX_PROMPT
from hybridgen.text.controls import understand
from hybridgen.text.vocabulary import unread_note

# of what soundfile and FFmpeg read
SUFFIXES = frozenset(
    [
        *(".wav", ".wave", ".w64", ".rf64", ".bwf", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".flac", ".mp3"),
        *(".ogg", ".oga", ".opus", ".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".aac", ".ac3", ".eac3", ".wma", ".asf"),
        *(".wv", ".ape", ".tta", ".mka", ".mkv", ".webm"),
    ]
)
CAPTION_FILES = ("metadata.csv", "metadata.jsonl", "captions.json")
NAME_FIELDS = ("file_name", "filename", "file", "path", "audio", "name")
CAPTION_FIELDS = ("text", "caption", "prompt", "description")
LEAVINGS = ("thumbs.db", "desktop.ini", "__macosx", "icon\r")  # of operating systems; so are names with a dot in front
MAX_CAPTIONS = 16_000_000  # bytes of a file with captions
SHOWN = 12  # rows of each part of the table
LYRICS = re.compile(
    r"^\s*(\[\s*(verse|chorus|pre-?chorus|bridge|hook|refrain|intro|outro|inst|instrumental|solo|break|drop|end|start)\b"
    r"[^\]\n]*\]|\[\d+:\d\d([.:]\d+)?\])",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class SongFile:
    """A sound file, its caption on one line ("" for none) and where that was found."""

    path: Path
    caption: str
    source: str


@dataclass(frozen=True)
class SongFolder:
    """What is in a folder; `passed_over` pairs paths with reasons."""

    folder: Path
    songs: tuple[SongFile, ...]
    passed_over: tuple[tuple[Path, str], ...]
    n_leavings: int  # files that an operating system left there

    def table(self) -> str:
        """The songs with what their captions fix, and what was passed over and why, for people."""
        n_captions = sum(bool(song.caption) for song in self.songs)
        lines = [f"{self.folder}: {_count(len(self.songs), 'song')}, {n_captions} with a caption"]
        lines += _shortened([line for song in self.songs for line in self._song_lines(song)])
        why = Counter(reason for _, reason in self.passed_over)
        lines += [f"passed over: {_count(len(self.passed_over), 'file')}"] if why else []
        by_reason = [[path for path, reason in self.passed_over if reason == one] for one in why]
        lines += [f"  {reason}: {self._names(paths)}" for reason, paths in zip(why, by_reason, strict=True)]
        lines += [f"  left there by an operating system: {self.n_leavings}"] if self.n_leavings else []
        return "\n".join(lines)

    def _song_lines(self, song: SongFile) -> Iterator[str]:
        name = song.path.relative_to(self.folder)
        if not song.caption:
            yield f"  {name}: no caption"
            return
        understood = understand(song.caption)
        unread = unread_note(understood.unread)
        yield f"  {name}: {understood.summary() or 'nothing is fixed'} (from {song.source})"
        yield from (f"    note: {note}" for note in (*understood.notes, *([unread] if unread else ())))

    def _names(self, paths: list[Path]) -> str:
        names = [str(path.relative_to(self.folder)) for path in paths[:SHOWN]]
        return ", ".join([*names, *(["..."] if len(paths) > SHOWN else [])])


def read(folder: Path, leave_out: Path | None = None) -> SongFolder:
    """The songs in a folder and its subfolders, in order of their names; ValueError where there are none.

    leave_out: a folder in it that holds what we make of the songs.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    files, n_leavings = _files(folder, leave_out)
    sounds = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not sounds:
        raise ValueError(f"{folder} contains no sound files (wav, flac, mp3, ogg, m4a and whatever FFmpeg reads)")
    texts = {path: path for path in files if path not in set(sounds)}
    passed_over: dict[Path, str] = {}
    used: set[Path] = set()
    listed: dict[Path, tuple[str, Path]] = {}
    for path in texts:
        if path.name.lower() in CAPTION_FILES:
            try:
                listed |= {sound: (caption, path) for sound, caption in _listed(path) if sound not in listed}
            except ValueError as error:
                passed_over[path] = f"no captions ({error})"
            used.add(path)
    by_name = {str(path).lower(): path for path in texts}
    songs = []
    for sound in sounds:
        caption, source = "", ""
        for ending in (".caption.txt", ".caption", ".txt"):
            beside = by_name.get(str(sound.with_suffix(ending)).lower()) or by_name.get(f"{sound}{ending}".lower())
            if beside is None or caption:
                continue
            try:
                caption, source = _caption(_decoded(beside)), beside.name
                used.add(beside)
            except ValueError as error:
                passed_over[beside] = str(error)
        if not caption and sound in listed:
            caption, source = listed[sound][0], listed[sound][1].name
        songs.append(SongFile(sound, caption, source))
    for path in texts:
        if path not in used and path not in passed_over:
            passed_over[path] = _why(path)
    return SongFolder(folder, tuple(songs), tuple(sorted(passed_over.items())), n_leavings)


def _files(folder: Path, leave_out: Path | None) -> tuple[list[Path], int]:
    """The files of a folder and its subfolders, in order; and how many of an operating system are not among them."""
    found, n_leavings = [], 0
    left_out = None if leave_out is None else leave_out.resolve()
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not _is_leaving(name) and (Path(at) / name).resolve() != left_out
        )
        n_leavings += sum(_is_leaving(name) for name in names)
        found += [path for name in sorted(names) if not _is_leaving(name) and (path := Path(at) / name).is_file()]
    return found, n_leavings


def _is_leaving(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEAVINGS


def _why(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".mid", ".midi", ".kar"):
        return "notes without sound"
    if ".lyrics" in path.name.lower() or suffix == ".lrc":
        return "lyrics"
    if suffix == ".txt":
        return "a text beside no sound file"
    return "no sound files"


# ---- captions


def _caption(text: str) -> str:
    """A text as a caption on one line; ValueError for what is none."""
    if LYRICS.search(text):
        raise ValueError("lyrics, no caption")
    line = " ".join(text.split())
    if len(line) > MAX_PROMPT:
        raise ValueError(f"over {MAX_PROMPT} characters, no caption")
    return line


def _decoded(path: Path) -> str:
    """A text file in UTF-8, UTF-16 or Latin-1, with or without a byte order mark; ValueError for none of these."""
    with path.open("rb") as file:
        data = file.read(MAX_CAPTIONS + 1)
    if len(data) > MAX_CAPTIONS:
        raise ValueError(f"over {MAX_CAPTIONS} bytes, no captions")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data[:200]:
        encodings = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1f]", text):
            return text
    raise ValueError("no text")


def _listed(path: Path) -> Iterator[tuple[Path, str]]:
    """(sound file, caption) pairs of a metadata.csv, metadata.jsonl or captions.json; ValueError for a broken one."""
    text = _decoded(path)
    try:
        rows = _rows(path, text)
    except (json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise ValueError(str(error).split("\n")[0]) from None
    for row in rows:
        name, caption = (_first(row, fields) for fields in (NAME_FIELDS, CAPTION_FIELDS))
        if name and caption and "\0" not in name and not LYRICS.search(caption):
            yield path.parent / name.replace("\\", "/"), _caption(caption)


def _rows(path: Path, text: str) -> list[dict[str, Any]]:
    if path.suffix.lower() == ".csv":
        return [dict(row) for row in csv.DictReader(io.StringIO(text))]
    if path.suffix.lower() == ".jsonl":
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        loaded = json.loads(text)
        pairs = loaded.items() if isinstance(loaded, dict) else ()
        found = (
            loaded
            if isinstance(loaded, list)
            else [
                {"file_name": name, **(value if isinstance(value, dict) else {"text": value})} for name, value in pairs
            ]
        )
    return [row for row in found if isinstance(row, dict)]


def _first(row: dict[str, Any], fields: tuple[str, ...]) -> str:
    return next((row[name].strip() for name in fields if isinstance(row.get(name), str) and row[name].strip()), "")


# ---- words


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= 4 * SHOWN else [*lines[: 4 * SHOWN], f"  ... and {len(lines) - 4 * SHOWN} lines more"]
