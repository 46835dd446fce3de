"""Folders on the Hugging Face Hub: fetched at one commit and checked against their hashes, sent as one commit.

A folder that is sent holds `hashes.json`, the SHA-256 of each of its files but the card (which people mend in the
browser). What is fetched are the files that it lists, and nothing that differs from it is used. What was fetched once
is found in the Hub's cache without a network.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybridgen import files

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

HASHES_FILE, FORMAT, CARD_FILE = "hashes.json", 1, "README.md"
FETCHED = (".yaml", ".json", ".safetensors")  # all that a model or an adapter is read from
REPORT_FOLDER = "report"  # for people to read on the Hub
MAX_FILES = 64
_WORD = r"[A-Za-z0-9][\w.-]*"
_ID = re.compile(rf"(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>{_WORD}(?:/{_WORD})*))?")
_NAME = re.compile(r"(?:[\w-]+/)?[\w-][\w.-]*")  # of a file, in the folder or one below


@dataclass(frozen=True)
class HubId:
    """A repository "owner/name", or "owner/name@revision" with a branch, a tag or a commit."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubId | None":
        """The id in words, or None for anything else."""
        match = _ID.fullmatch(text)
        return match and cls(match["repo"], match["revision"])

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


@dataclass(frozen=True)
class Fetched:
    """A folder of the Hub on this machine."""

    folder: Path
    id: HubId  # with the commit that it is


@dataclass(frozen=True)
class Sent:
    """What is on the Hub now."""

    url: str
    id: HubId  # with the commit


def fetch(wanted: HubId, kind: str = "model") -> Fetched:
    """The files of a repository that its hashes.json lists, from the Hub or from its cache here.

    A revision that is a commit and is here is not asked for. kind: what an error calls it. Raises ValueError, in one
    line, for what cannot be had, and for a file that is missing or is not the one that was sent.
    """
    import huggingface_hub  # a fifth of a second to import, and only a Hub id needs it

    what = f"{kind} {str(wanted)!r}"
    with one_line(f"{what}, which is no folder here"):
        listed = huggingface_hub.snapshot_download(wanted.repo, revision=wanted.revision, allow_patterns=HASHES_FILE)
        folder = Path(listed)
        if not (folder / HASHES_FILE).is_file():
            raise ValueError(f"{what}: the Hub's has no {HASHES_FILE}, so it is none that `hybridgen push` sent")
        found = HubId(wanted.repo, folder.name)  # the cache names its folders by their commit
        names = [name for name in read_hashes(folder) if name.endswith(FETCHED) and name.split("/")[0] != REPORT_FOLDER]
        huggingface_hub.snapshot_download(found.repo, revision=found.revision, allow_patterns=names)
    check_hashes(folder, what, names)
    return Fetched(folder, found)


def send(folder: Path, repo: str, kind: str = "model", private: bool = True) -> Sent:
    """Makes a repository hold the files of a folder, in one commit; it is made where there is none.

    kind: "model" or "space". Raises ValueError, in one line, for a name that is none and for whatever the Hub refuses.
    """
    import huggingface_hub

    check_repo(repo)
    api = huggingface_hub.HfApi()
    with one_line(f"{kind} {repo!r}", writes=True):
        sdk = "gradio" if kind == "space" else None
        url = api.create_repo(repo, repo_type=kind, space_sdk=sdk, private=private, exist_ok=True)
        sent = api.upload_folder(repo_id=repo, repo_type=kind, folder_path=folder, commit_message="hybridgen push")
    return Sent(str(url), HubId(repo, sent.oid))


def check_repo(repo: str) -> None:
    """ValueError unless a name reads owner/name."""
    if (id := HubId.parse(repo)) is None or id.revision is not None:
        raise ValueError(f"repository {repo[:80]!r} should read owner/name")


# ---- hashes


def write_hashes(folder: Path) -> None:
    """Writes hashes.json of all files in a folder and those one below, but the card."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    hashes = {name: files.sha256(folder / name) for name in names if name not in (HASHES_FILE, CARD_FILE)}
    files.write_json(folder / HASHES_FILE, {"format": FORMAT, "files": hashes})


def read_hashes(folder: Path) -> dict[str, str]:
    """File name -> SHA-256; ValueError for a hashes.json that is none."""
    path = folder / HASHES_FILE
    facts = files.read_json(path)
    if facts.get("format") != FORMAT:
        raise ValueError(f"{path}: format {str(facts.get('format'))[:60]!r} is not {FORMAT}, the one known here")
    hashes = facts.get("files")
    if not isinstance(hashes, dict) or not 1 <= len(hashes) <= MAX_FILES:
        raise ValueError(f"{path}: files should hold 1 to {MAX_FILES} names with their SHA-256")
    for name, digest in hashes.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{path}: {name[:60]!r} is no name of a file in the folder")
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError(f"{path}: {name}: {str(digest)[:70]!r} is no SHA-256")
    return hashes


def check_hashes(folder: Path, what: str, names: list[str]) -> None:
    """ValueError where one of the files is missing or has another SHA-256 than hashes.json says."""
    expected = read_hashes(folder)
    for name in names:
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{what} lacks {name}, which its {HASHES_FILE} lists")
        if (actual := files.sha256(path)) != expected[name]:
            raise ValueError(
                f"{what}: {name} has SHA-256 {actual[:12]}..., but its {HASHES_FILE} says {expected[name][:12]}...; "
                f"where the copy here is to blame, delete {path.resolve()} and fetch it again"
            )


# ---- what went wrong


@contextmanager
def one_line(what: str, writes: bool = False) -> Iterator[None]:
    """Whatever the Hub's client raises, as a ValueError of one line about `what`; errors of the disk stay.

    writes: whether something is sent.
    """
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise ValueError(f"{what}: accept its conditions on its page on the Hub, then: hf auth login") from None
    except errors.RevisionNotFoundError:
        raise ValueError(f"{what}: the Hub has no such revision") from None
    except errors.IncompleteSnapshotError:
        raise ValueError(f"{what}: not fetched whole before, and the Hub cannot be reached now") from None
    except errors.LocalEntryNotFoundError as error:
        raise ValueError(f"{what}: not fetched before, and the Hub cannot be reached now: {_reason(error)}") from None
    except errors.HfHubHTTPError as error:
        raise _refused(what, error, writes) from None
    except (httpx.HTTPError, errors.XetDownloadError, errors.OfflineModeIsEnabled) as error:
        so = "no file has changed there" if writes else "the same command fetches the files that are missing"
        raise ValueError(f"{what}: the connection to the Hub broke off, {so}: {_reason(error)}") from None
    except errors.HFValidationError as error:
        raise ValueError(f"{what}: {_reason(error)}") from None
    except RuntimeError as error:  # of an upload; its cause says why
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _refused(what, error.__cause__, writes) from None
        raise ValueError(f"{what}: {_reason(error)} {_reason(error.__cause__ or error)}") from None


def _refused(what: str, error: "HfHubHTTPError", writes: bool) -> ValueError:
    status = error.response.status_code
    if writes and status in (401, 403, 404):  # a repository that one may not see is not found
        why = "the Hub does not know who you are" if status == 401 else "your token may not write there"
        return ValueError(f"{what}: {why} ({status}); log in with a token that may: hf auth login")
    if status in (401, 403, 404):
        return ValueError(f"{what}: the Hub has none of this name ({status}), or it is private: hf auth login")
    return ValueError(f"{what}: the Hub answered {status}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
