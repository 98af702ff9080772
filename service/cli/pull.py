"""`hrm-arc pull`: fetches a published checkpoint folder from the Hugging Face hub."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hrm_core.checkpoint.finding import FORMS, choose_weights
from hrm_core.checkpoint.presets import find_published
from hrm_core.model.unsupported import find_by_repository
from service.cli.output import console, warn
from service.cli.presets import choose_preset
from service.wire.errors import HubError

# A revision is a branch, a tag, a commit or a reference such as refs/pr/1, so it may hold slashes.
_ADDRESS = re.compile(
    r"hf:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Beside weights and all_config.yaml, only data are fetched: never code, and never a pickle that the
# loader would not open (`*_all_preds.*` are the training run's predictions).
_CONFIG = "all_config.yaml"
_DATA = (".json", ".json.gz")
_STAGING = ".pull-"


def pull_command(
    source: Annotated[str, typer.Argument(help="hf:ORG/REPO or hf:ORG/REPO@REVISION.")],
    out: Annotated[Path, typer.Option(help="The folder to put the checkpoint into.")],
    path: Annotated[
        str | None, typer.Option(help="The checkpoint's folder inside the repository.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="The weights file, where the repository has several.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings to write, where the repository has none (hrm-arc presets)."),
    ] = None,
) -> None:
    """Fetch a published checkpoint from the Hugging Face hub into a folder."""
    pulled = pull(source, out, path, weights, preset)
    console.print(
        f"{out}: {len(pulled.files)} files of {pulled.repo} at commit {pulled.commit[:12]}; "
        f"`hrm-arc inspect {out}` shows what they hold",
        markup=False,
        soft_wrap=True,
    )
    if preset is None and _CONFIG in pulled.files:
        return
    chosen = preset or find_published(pulled.repo, pulled.weights)
    if chosen is None:
        warn(
            f"The repository has no {_CONFIG}: `hrm-arc presets {out}` lists the presets that fit "
            "its weights"
        )
    else:
        choose_preset(out, chosen)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository on the hub and, optionally, one of its revisions."""

    repo: str
    revision: str | None

    @classmethod
    def parse(cls, source: str) -> "HubAddress":
        """Parse an address such as `hf:ORG/REPO` or `hf:ORG/REPO@REV`.

        Raises: HubError for any other form.
        """
        match = _ADDRESS.fullmatch(source)
        if match is None:
            raise HubError(
                f"{source!r} is not the address of a checkpoint; write hf:ORG/REPO or "
                "hf:ORG/REPO@REV, where REV is a branch, a tag or a commit"
            )
        return cls(match["repo"], match["revision"])

    def __str__(self) -> str:
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class PulledCheckpoint:
    """A checkpoint folder that was fetched.

    `commit` is the full commit of the revision, so that the same bytes can be fetched again.
    `weights` is the weights file among the files.
    """

    repo: str
    commit: str
    files: tuple[str, ...]
    weights: str


def pull(
    source: str,
    folder: Path,
    path: str | None = None,
    weights: str | None = None,
    preset: str | None = None,
) -> PulledCheckpoint:
    """Fetch the checkpoint at `source`, or in its subfolder `path`, into the new folder `folder`.

    Fetched are the weights (those that would be opened in a folder of all files, or the file
    `weights`), `all_config.yaml` and lists in JSON, into the folder itself. Files are
    downloaded into a hidden folder inside it and moved once all are complete, so an interrupted
    download leaves no partial checkpoint, and the next attempt continues it. The library's
    environment variables apply (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, proxies, ...).

    Raises: HubError for a problem with the address, the repository, the revision, the subfolder,
    the network or the target folder.
    """
    address = HubAddress.parse(source)
    subfolder = _checked_subfolder(path)
    _refuse_occupied(folder)
    if preset is None and (unsupported := find_by_repository(address.repo)):
        raise HubError(f"{address.repo} is of {unsupported.what}. It is not run here")
    hub = _import_hub()
    with _explained(address):
        info = hub.HfApi().model_info(address.repo, revision=address.revision)
        commit: str = info.sha
        listing = [sibling.rfilename for sibling in info.siblings or []]
    if unsafe := next((name for name in listing if not _is_plain(name)), None):
        raise HubError(f"{address} lists a file {unsafe!r}: nothing is fetched from such a listing")
    if not _COMMIT.fullmatch(commit or ""):
        raise HubError(f"{address}: the endpoint names no commit; is HF_ENDPOINT a model hub?")
    chosen = _choose_weights(address, listing, subfolder, weights)
    names = _wanted(listing, subfolder, chosen)
    # Named after the commit, so that a resumed download never mixes two revisions; inside the
    # folder, which may be a separate volume, since files cannot be renamed across volumes.
    staging = folder / f"{_STAGING}{commit[:12]}"
    with _explained(address):
        for name in names:
            hub.hf_hub_download(
                address.repo, f"{subfolder}{name}", revision=commit, local_dir=staging
            )
        for name in names:
            (staging / subfolder / name).replace(folder / name)
        for leftover in folder.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover)
    return PulledCheckpoint(address.repo, commit, names, chosen)


def _refuse_occupied(folder: Path) -> None:
    """Refuse a target that contains anything but an interrupted download."""
    if not folder.exists():
        return
    if not folder.is_dir() or any(not it.name.startswith(_STAGING) for it in folder.iterdir()):
        raise HubError(f"{folder} exists and is not an empty folder; give another folder")


def _is_plain(name: str) -> bool:
    """Return whether a listed path is printable and stays in its folder on every system."""
    return name.isprintable() and "\\" not in name and ".." not in name.split("/")


def _checked_subfolder(path: str | None) -> str:
    """Return the subfolder as a prefix of the hub's file names: empty, or ending with a slash."""
    parts = [part for part in (path or "").split("/") if part not in ("", ".")]
    if any(part == ".." or "\\" in part for part in parts):
        raise HubError(f"{path!r} is not a subfolder of a repository; write it like arc_v1_public")
    return "".join(f"{part}/" for part in parts)


def _wanted(listing: Sequence[str], subfolder: str, weights: str) -> tuple[str, ...]:
    """Return the names to fetch from one subfolder of a repository's listing, sorted."""
    beside = {name for name in _here(listing, subfolder) if name.endswith(_DATA)}
    config = {_CONFIG} & set(_here(listing, subfolder))
    return tuple(sorted({weights} | config | beside))


def _here(listing: Sequence[str], subfolder: str) -> list[str]:
    """Return the names of the files in one subfolder of a repository's listing."""
    within = (name.removeprefix(subfolder) for name in listing if name.startswith(subfolder))
    return [name for name in within if "/" not in name]


def _choose_weights(
    address: HubAddress, listing: Sequence[str], subfolder: str, wanted: str | None
) -> str:
    """Return the weights file to fetch from one subfolder of a repository's listing.

    Raises: HubError where there is none, or several between which the user must choose.
    """
    where = f"{address}, subfolder {subfolder.rstrip('/')}," if subfolder else f"{address}"
    here = _here(listing, subfolder)
    if wanted is not None:
        if wanted not in here:
            raise HubError(f"{where} holds no {wanted!r}; it holds {', '.join(here) or 'nothing'}")
        return wanted
    found = choose_weights(here)
    if not found:
        raise HubError(f"{where} holds no weights; {_hint(listing, subfolder)}")
    if len(found) > 1:
        raise HubError(
            f"{where} holds several weights files; choose one with --weights: {', '.join(found)}"
        )
    return found[0]


def _hint(listing: Sequence[str], subfolder: str) -> str:
    """Say in which other folders of the repository there are weights."""
    parents = sorted({name.rpartition("/")[0] for name in listing})
    found = [one for one in parents if choose_weights(_here(listing, f"{one}/" if one else ""))]
    if not found:
        return f"a published checkpoint has a file {FORMS}, so this is another kind of repository"
    elsewhere = [f"--path {parent}" if parent else "no --path" for parent in found]
    return f"the weights are elsewhere in the repository: try {' or '.join(elsewhere[:8])}"


def _import_hub() -> Any:
    """Import the optional library behind the extra `hub`."""
    try:
        import huggingface_hub  # here: an optional extra, and slow to import
    except ImportError as error:
        raise HubError(
            "fetching from the Hugging Face hub needs the library huggingface_hub: "
            "pip install 'hrm-arc[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def _explained(address: HubAddress) -> Iterator[None]:
    """Turn an error of the library into a HubError that says what to do."""
    from huggingface_hub import errors  # here, like the library itself

    # HTTPError is the root of the HTTP library's errors, whichever library that is; all others are
    # OSErrors or EntryNotFoundErrors.
    try:
        yield
    except (errors.HTTPError, errors.EntryNotFoundError, OSError) as error:
        raise HubError(_sentence(error, address)) from error


def _sentence(error: BaseException, address: HubAddress) -> str:
    """Say what went wrong and what to do."""
    from huggingface_hub import errors

    match error:
        case errors.LocalEntryNotFoundError(__cause__=BaseException() as cause):
            return _sentence(cause, address)  # "and not in the cache either": the cause says more
        case errors.GatedRepoError():
            return (
                f"{address} is open only to those who accept its terms; accept them on its page, "
                "then log in with `hf auth login` or set HF_TOKEN"
            )
        case errors.RepositoryNotFoundError():
            return (
                f"the hub has no model repository {address.repo}, or it is private; check the "
                "spelling, and for a private one log in with `hf auth login` or set HF_TOKEN"
            )
        case errors.RevisionNotFoundError():
            return (
                f"{address.repo} has no revision {address.revision}; name one of its branches, "
                "tags or commits, or leave it out for the newest"
            )
        case errors.OfflineModeIsEnabled():
            return (
                f"{address} cannot be fetched offline; unset HF_HUB_OFFLINE, or fetch it elsewhere "
                "and copy the folder"
            )
        case errors.HfHubHTTPError():
            status = error.response.status_code
            hint = "try again later" if status >= 429 else "check HF_ENDPOINT and HF_TOKEN"
            return f"the hub answered {status} for {address}; {hint}"
        case errors.FileMetadataError():
            return (
                f"the server that answered for {address} is not a hub; check HF_ENDPOINT and proxy "
                "settings"
            )
        case errors.HTTPError() | errors.EntryNotFoundError() | ConnectionError() | TimeoutError():
            return (
                f"no connection to the hub while fetching {address}; check the network, proxy "
                "settings and HF_ENDPOINT, then run the same command again: it continues where it "
                "stopped"
            )
        case OSError(strerror=reason):
            return (
                f"{address} could not be written: {reason or 'the file system refused'}; check the "
                "target folder's permissions and free space"
            )
    return f"{address} could not be fetched ({type(error).__name__})"
