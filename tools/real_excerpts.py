"""Cuts excerpts from free game soundtracks, to measure codecs on: python tools/real_excerpts.py --out real-excerpts

Debian's packages are downloaded by apt-get, unpacked in a temporary folder and thrown away; 12 s from the middle of
some files stay, and LICENSES.txt. They are copyleft: for measuring only. Nothing is trained on them, git ignores them.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridgen.audio import Audio

SAMPLE_RATE = 44_100
SECONDS = 12
N_FILES = 4  # of a package, evenly from the list of its names
ENDINGS = (".ogg", ".opus", ".mp3", ".flac")


@dataclass(frozen=True)
class Package:
    """A Debian package of music."""

    name: str
    license: str
    about: str


PACKAGES = (
    Package("hyperrogue-music", "GPL-2+", "acoustic and electronic"),
    Package("warzone2100-music", "GPL-2+", "electronic, industrial"),
    Package("wesnoth-1.16-music", "GPL-2", "orchestral, mostly of sample libraries"),
)


def main() -> None:
    """Reads the command line, downloads, cuts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the excerpts")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        try:
            with tempfile.TemporaryDirectory() as folder:
                unpack(package.name, Path(folder))
                cut(package.name, Path(folder), out)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"real_excerpts: {package.name}: {error}", file=sys.stderr)
            sys.exit(2)
    lines = ["For measuring only: nothing is trained on these excerpts of Debian packages."]
    lines += [f"{one.name}: {one.license}; {one.about}; the authors are in its copyright file" for one in PACKAGES]
    (out / "LICENSES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{out}: {len(list(out.glob('*.flac')))} excerpts of {SECONDS} s")


def unpack(package: str, folder: Path) -> None:
    """Downloads a package and unpacks it into a folder; the archive goes."""
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    archive.unlink()


def cut(package: str, folder: Path, out: Path) -> None:
    """Writes the middles of some of a package's sounds that are long enough as FLAC."""
    sounds = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS and path.stat().st_size > 300_000)
    for i in np.linspace(0, len(sounds) - 1, N_FILES).round().astype(int):
        sound = Audio.load(sounds[i]).fitted()[0].resample(SAMPLE_RATE)
        start = max(0, sound.samples.shape[1] // 2 - SECONDS * SAMPLE_RATE // 2)
        piece = sound.samples[:, start : start + SECONDS * SAMPLE_RATE]
        Audio(np.ascontiguousarray(np.clip(piece, -1, 1)), SAMPLE_RATE).save(out / f"{package}_{sounds[i].stem}.flac")


if __name__ == "__main__":
    main()
