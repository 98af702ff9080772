"""`hrm-arc wheelhouse`: the wheels of this project and its dependencies, to install offline."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.output import console, working
from service.wire.errors import InputError, ServiceError

# Where the packages lie, if they were not installed from a wheel.
ROOT = Path(__file__).parents[2]
# The names of the platforms before they were called by their glibc, 2.5 to 2.17.
OLD_GLIBCS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
# How much of pip's last words an error repeats.
NUM_LINES_SHOWN = 4


class WheelhouseError(ServiceError):
    """pip could not collect the wheels."""


def wheelhouse_command(
    folder: Annotated[Path, typer.Argument(help="The folder for the wheels; made if missing.")],
    source: Annotated[
        Path, typer.Option(help="The project's folder, which has its pyproject.toml.")
    ] = ROOT,
    with_torch: Annotated[
        bool,
        typer.Option(
            "--with-torch",
            help="Collect torch too: gigabytes, which Kaggle's image and most GPU images have.",
        ),
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(help="For another Python than this one, such as 3.11; needs --platform."),
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(help="For another machine, such as manylinux_2_28_x86_64; needs --python."),
    ] = None,
) -> None:
    """Collect the wheels that `pip install --no-index --find-links FOLDER hrm-arc` needs.

    They come from pip, as it is set up here: its registry, mirrors and caches.
    """
    if (python is None) != (platform is None):
        raise typer.BadParameter("--python and --platform go together: give both or none")
    dependencies = read_dependencies(source, with_torch=with_torch)
    folder.mkdir(parents=True, exist_ok=True)
    with working("building the project's wheel"):
        run_pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source.resolve()))
    if dependencies:
        with working(f"collecting {len(dependencies)} dependencies and theirs"):
            run_pip(*collecting(folder, python, platform or ()), *dependencies)
    wheels = sorted(folder.glob("*.whl"))
    size = sum(wheel.stat().st_size for wheel in wheels)
    console.print(f"{len(wheels)} wheels, {size / 2**20:.0f} MiB: {folder}", soft_wrap=True)
    console.print(
        f"Offline: pip install --no-index --find-links {folder} {project_of(source)['name']}",
        soft_wrap=True,
    )


def project_of(source: Path) -> dict[str, Any]:
    """Return the project's part of a `pyproject.toml`.

    Raises: InputError where there is none.
    """
    path = source / "pyproject.toml"
    try:
        project: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} has no project to build ({error!r}): give the repository's folder as --source"
        ) from None
    return project


def read_dependencies(source: Path, *, with_torch: bool) -> list[str]:
    """Return the requirements of a project, without torch unless it is asked for.

    Raises: InputError where it has no pyproject.toml.
    """
    requirements: list[str] = project_of(source).get("dependencies", [])
    return [one for one in requirements if with_torch or not re.match(r"torch\b(?!-)", one)]


def collecting(folder: Path, python: str | None, platforms: Sequence[str]) -> list[str]:
    """Return pip's command to collect wheels: for this machine, or for another one.

    For this one, what has no wheel is built; for another one pip can only download.
    """
    if python is None:
        return ["wheel", "--wheel-dir", str(folder), "--find-links", str(folder)]
    target = ["--only-binary", ":all:", "--python-version", python]
    tags = [tag for one in platforms for tag in with_older(one)]
    target += [part for tag in tags for part in ("--platform", tag)]
    return ["download", "--dest", str(folder), "--find-links", str(folder), *target]


def with_older(platform: str) -> list[str]:
    """Return the tag of a platform and those of older ones that it runs, which pip does not add."""
    glibc = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", platform)
    if glibc is None:
        return [platform]
    minor, machine = int(glibc[1]), glibc[2]
    tags = [f"manylinux_2_{older}_{machine}" for older in range(minor, min(OLD_GLIBCS) - 1, -1)]
    return tags + [f"{name}_{machine}" for old, name in OLD_GLIBCS.items() if old <= minor]


def run_pip(*arguments: str) -> None:
    """Run pip in a process of its own.

    Raises: WheelhouseError with its last words.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    # This interpreter's pip, with arguments as a list: no shell reads them.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise WheelhouseError(
            f"pip could not collect the wheels: {' '.join(errors[-NUM_LINES_SHOWN:])}. It needs "
            "the network, or a mirror as its index (PIP_INDEX_URL, PIP_FIND_LINKS); what is in "
            "the folder is kept, and the same command continues"
        )
