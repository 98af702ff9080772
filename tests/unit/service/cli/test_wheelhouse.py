"""The wheelhouse: which wheels are collected, by pip, and what it says without a network."""

import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from service.cli.wheelhouse import (
    WheelhouseError,
    collecting,
    project_of,
    read_dependencies,
    wheelhouse_command,
)
from service.wire.errors import InputError

# A build that needs nothing but Python, so that pip builds it without a registry.
BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "madeup-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        info = "madeup-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: madeup\\nVersion: 1.0\\n")
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "madeup"
version = "1.0"
dependencies = ["needed>=1.0", "torch>=2.6", "torchless"]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the folder of a project with dependencies."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return folder


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of wheels that is all pip may use: no network."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(folder: Path, name: str) -> None:
    """Write an empty wheel."""
    info = f"{name}-1.5.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.5-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")


def test_the_project_and_its_dependencies_are_collected_without_torch(
    source: Path, mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("needed", "torchless"):
        put_wheel(mirror, name)

    wheelhouse_command(tmp_path / "wheels", source=source)

    assert sorted(path.name.split("-")[0] for path in (tmp_path / "wheels").iterdir()) == [
        "madeup",
        "needed",
        "torchless",
    ]
    said = capsys.readouterr().out
    assert "3 wheels" in said
    assert "--no-index --find-links" in said


def test_without_network_it_says_what_is_missing_and_what_to_do(
    source: Path, mirror: Path, tmp_path: Path
) -> None:
    with pytest.raises(WheelhouseError, match=r"needed>=1\.0.*It needs the network, or a mirror"):
        wheelhouse_command(tmp_path / "wheels", source=source)


def test_torch_is_collected_where_it_is_asked_for(source: Path) -> None:
    assert read_dependencies(source, with_torch=False) == ["needed>=1.0", "torchless"]
    assert read_dependencies(source, with_torch=True)[1] == "torch>=2.6"


def test_the_dependencies_of_this_project_are_read(pytestconfig: pytest.Config) -> None:
    needed = read_dependencies(pytestconfig.rootpath, with_torch=False)
    assert any(one.startswith("numpy") for one in needed)
    assert not any(one.startswith("torch") for one in needed)


def test_wheels_of_another_machine_are_downloaded(tmp_path: Path) -> None:
    command = collecting(tmp_path, "3.11", ["manylinux_2_28_x86_64", "any"])
    assert command[0] == "download"
    assert command[command.index("--python-version") + 1] == "3.11"
    tags = [tag for flag, tag in pairwise(command) if flag == "--platform"]
    assert (tags[0], tags[-1]) == ("manylinux_2_28_x86_64", "any")
    assert {"manylinux_2_27_x86_64", "manylinux_2_5_x86_64", "manylinux2014_x86_64"} <= set(tags)
    assert collecting(tmp_path, None, ())[0] == "wheel"


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the repository's folder as --source"):
        project_of(tmp_path)
