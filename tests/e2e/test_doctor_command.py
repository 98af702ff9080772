"""`hrm-arc doctor` and `--version`: what a bug report needs, without secrets."""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bench.stack import HOST, free_port
from service.runtime.settings import PREFIX


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path) -> None:
    """Point the settings to what the tests own."""
    settings = {"STATE_FOLDER": tmp_path, "CHECKPOINTS": tiny_folder, "PORT": free_port()}
    for name, value in settings.items():
        monkeypatch.setenv(f"{PREFIX}{name}", str(value))


def test_the_version_is_printed(hrm_arc: Any) -> None:
    assert hrm_arc("--version").out == f"hrm-arc {version('hrm-arc')}\n"


def test_the_whole_installation_is_described(
    hrm_arc: Any,
    monkeypatch: pytest.MonkeyPatch,
    valkey_url: str,
    tmp_path: Path,
    tiny_folder: Path,
) -> None:
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", valkey_url)

    done = hrm_arc("doctor", "--json")
    found = json.loads(done.out)

    assert done.code == 0
    assert found["installation"]["hrm-arc"] == version("hrm-arc")
    assert sys.executable in found["installation"]["Python"]
    assert {"CPU", "torch", "CPU instructions", "GPU"} <= set(found["hardware"])
    assert "sdpa" in found["hardware"]["attention backends"]
    assert found["libraries"]["numpy"] == version("numpy")
    assert found["state folder"]["path"] == str(tmp_path)
    assert found["state folder"]["free GB"] == pytest.approx(
        shutil.disk_usage(tmp_path).free / 1e9, abs=20
    )
    assert found["queue"]["server"].startswith("valkey 9.")
    assert list(found["ports"].values()) == ["free"]
    assert "hrm, arc, " in found["checkpoints"][str(tiny_folder)]


def test_no_secret_is_shown(hrm_arc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}API_KEYS", "someone:hidden-1")
    monkeypatch.setenv(f"{PREFIX}API_KEY", "hidden-2")
    # Nothing listens on port 1, so the answer names the address.
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", f"redis://me:hidden-3@{HOST}:1/0?password=hidden-4")

    for arguments in (["doctor"], ["doctor", "--json"]):
        shown = hrm_arc(*arguments).out
        assert "hidden" not in shown
        assert f"{PREFIX}API_KEYS" in shown
    queue = json.loads(shown)["queue"]
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", f"redis://me@{HOST}:1/0")
    monkeypatch.setenv(f"{PREFIX}REDIS_PASSWORD", "hidden-5")
    assert "hidden" not in hrm_arc("doctor").out
    assert queue["url"] == f"redis://me:***@{HOST}:1/0"
    assert "Redis cannot be used now" in queue["server"]


def test_what_is_wrong_is_said_in_its_place(
    hrm_arc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "all_config.yaml").write_text("{}", encoding="utf-8")
    monkeypatch.setenv(f"{PREFIX}CHECKPOINTS", str(tmp_path))

    broken = json.loads(hrm_arc("doctor", "--json").out)["checkpoints"]
    monkeypatch.setenv(f"{PREFIX}CHEKPOINTS", "misspelt-secret")
    misspelt = json.loads(hrm_arc("doctor", "--json").out)

    assert broken[str(tmp_path / "broken")].startswith("cannot be used: ")
    assert f"{PREFIX}CHEKPOINTS is not a setting" in misspelt["settings"]["not usable"]
    assert misspelt["settings"][f"{PREFIX}CHEKPOINTS"] == "***"
    assert misspelt["state folder"]["path"] == str(tmp_path)


def test_without_a_service_the_embedded_queue_is_named(hrm_arc: Any) -> None:
    found = json.loads(hrm_arc("doctor", "--json").out)

    assert found["queue"] == {"server": "embedded, does not run now"}
