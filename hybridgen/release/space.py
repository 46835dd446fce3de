"""The page as a Space of the Hub: three files that are run there."""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import RepoCard

from hybridgen import hub
from hybridgen.hub import Sent

FILES = ("app.py", "requirements.txt", "README.md")
HEADER = {"sdk": "gradio", "app_file": "app.py"}  # what README.md has to say to the Hub, above its words


def push(folder: Path, repo: str, private: bool = True) -> Sent:
    """Sends the Space's files of a folder to the Hub, and nothing else that lies there.

    Raises ValueError, in one line, for one that is missing, for a README.md without the header that the Hub reads, and
    for what the Hub refuses.
    """
    hub.check_repo(repo)
    for name in FILES:
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: has no {name}; a Space is {', '.join(FILES)}")
    header = RepoCard.load(folder / "README.md").data.to_dict()
    for key, value in HEADER.items():
        if header.get(key) != value:
            raise ValueError(f"{folder / 'README.md'}: its header says {key} {header.get(key)!r}, not {value!r}")
    with tempfile.TemporaryDirectory() as staging:
        for name in FILES:
            shutil.copyfile(folder / name, Path(staging) / name)
        return hub.send(Path(staging), repo, "space", private)
