"""The state folder, and the checkpoints of the repository from within it and from elsewhere."""

import sys
from pathlib import Path

import pytest

from service.runtime import folders
from service.runtime.settings import Settings
from service.wire.errors import InputError, SettingsError

ROOT = Path(__file__).parents[4]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_the_state_folder_is_that_of_the_system_or_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HRM_ARC_STATE_FOLDER", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.current_state_folder() == tmp_path / ".local" / "state" / "hrm-arc"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert folders.current_state_folder() == tmp_path / "state" / "hrm-arc"
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "other"))
    assert folders.current_state_folder() == tmp_path / "other"


def test_the_current_folder_s_checkpoints_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("arc1", "another", "b"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / folders.CHECKPOINT_MARK).touch()
    (tmp_path / "checkpoints" / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    found = [folder.name for folder in folders.shipped_folders()]
    assert found == ["arc1", "another", "b"]
    assert folders.shipped_folders("b")[0] == Path("checkpoints/b")


def test_elsewhere_those_of_the_source_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders.shipped_folders()[0] == ROOT / "checkpoints" / "arc1"
    names = [folder.name for folder in Settings.load().checkpoint_folders()]
    assert "arc1" in names


def test_without_the_source_the_error_says_how_to_name_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "__file__", str(tmp_path / "site-packages" / "service" / "x.py"))
    with pytest.raises(InputError, match=r"no checkpoint in checkpoints, .*--checkpoint FOLDER"):
        folders.shipped_folders()
    with pytest.raises(SettingsError, match=r"no folder checkpoints\..*--checkpoints"):
        Settings.load().checkpoint_folders()


@pytest.mark.parametrize(
    ("configured", "served", "expected"),
    [
        ("b", ("a", "b", "arc1"), "b"),
        ("elsewhere", ("a", "arc1"), "elsewhere"),
        (None, ("a", "arc1"), "arc1"),
        (None, ("b", "a"), "b"),
        (None, (), None),
    ],
)
def test_the_default_is_the_configured_checkpoint_else_the_shipped_one_else_the_first(
    configured: str | None, served: tuple[str, ...], expected: str | None
) -> None:
    assert folders.default_checkpoint(configured, served) == expected
    assert folders.default_checkpoint(configured, dict.fromkeys(served)) == expected
