"""Settings: from variables and options, with mistakes named."""

import os
from pathlib import Path

import pytest
import redis

from service.runtime.settings import Settings
from service.wire.errors import SettingsError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HRM_ARC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder_of(tmp_path: Path) -> Path:
    for name in ("b", "a", "no-checkpoint"):
        (tmp_path / "many" / name).mkdir(parents=True)
    for place in ("many/a", "many/b", "other/a"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "all_config.yaml").write_text("arch: {}")
    return tmp_path


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRM_ARC_PORT", "9000")
    monkeypatch.setenv("HRM_ARC_CHECKPOINTS", f"one{os.pathsep}two")
    monkeypatch.setenv("HRM_ARC_STRICT_DURABILITY", "false")

    settings = Settings.load()

    assert settings.port == 9000
    assert settings.checkpoints == (Path("one"), Path("two"))
    assert settings.strict_durability is False


def test_an_option_goes_before_its_variable_and_none_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HRM_ARC_PORT", "9000")
    monkeypatch.setenv("HRM_ARC_HOST", "::1")

    settings = Settings.load(port=9001, host=None)

    assert (settings.port, settings.host) == (9001, "::1")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRM_ARC_REDIS_URL", "")

    assert Settings.load().redis_url is None


def test_an_unknown_variable_is_refused_with_what_may_have_been_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HRM_ARC_APIKEYS", "s3cret")

    with pytest.raises(
        SettingsError, match=r"HRM_ARC_APIKEYS is not .* mean HRM_ARC_API_KEYS\?"
    ) as error:
        Settings.load()
    assert "s3cret" not in str(error.value)


def test_a_variable_that_resembles_no_setting_is_refused_with_a_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HRM_ARC_FOO", "1")

    with pytest.raises(SettingsError, match=r"HRM_ARC_FOO is not .*HRM_ARC_PORT") as error:
        Settings.load()
    assert "Did you mean" not in str(error.value)


def test_the_clients_own_variable_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRM_ARC_API_KEY", "key")

    assert not Settings.load().key_ring.keys


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "eighty"),
        ("CHECKPOINTS", os.pathsep),
        ("MAX_QUEUE_SHARE", "1.5"),
        ("REDIS_URL", "http://:s3cret@host"),
        ("API_KEYS", ","),
        ("API_KEYS", " "),
        ("API_KEYS", "s3cret,me:"),
        ("ALLOWED_HOSTS", "one,"),
        ("ALLOWED_HOSTS", "http://one"),
        ("ALLOWED_HOSTS", "cafe:8400"),
        ("LOG_LEVEL", "loud"),
        ("PRECISION", "float8"),
        ("SLOTS", "0"),
        ("ADAPT_MAX_S", "-1"),
        ("ADAPT_MAX_S", "inf"),
        ("ADAPT_DEFAULT_S", "0"),
        ("ADAPT_MAX_VARIANTS", "0"),
        ("ADAPT_CACHE_BYTES", "-1"),
        ("ADAPT_SNAPSHOT_S", "0"),
        ("ADAPT_DEVICES", "0"),
        ("ADAPT_DEVICES", "some"),
    ],
)
def test_a_value_of_no_use_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HRM_ARC_{name}", value)

    with pytest.raises(SettingsError, match=f"HRM_ARC_{name} is not valid: .") as error:
        Settings.load()
    assert "s3cret" not in str(error.value)


def test_secrets_are_not_shown() -> None:
    settings = Settings.load(api_keys="me:s3cret", redis_url="redis://:s3cret@host")

    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)


def test_another_process_loads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(
        api_keys="me:s3cret",
        allowed_hosts="api,arc.example,2001:db8::1",
        checkpoints=(Path("one"), Path("two")),
        compile=False,
        grace_s=1.5,
        precision="float32",
    )

    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings.load() == settings


@pytest.mark.parametrize(
    ("host", "given", "is_refused"),
    [
        ("127.0.0.1", {}, False),
        ("::1", {}, False),
        ("localhost", {}, False),
        ("0.0.0.0", {}, True),
        ("192.0.2.1", {}, True),
        ("example.org", {}, True),
        ("0.0.0.0", {"api_keys": ""}, True),
        ("0.0.0.0", {"api_keys": "me:key"}, False),
        ("0.0.0.0", {"allow_anonymous": True}, False),
    ],
)
def test_strangers_are_not_served_by_oversight(
    host: str, given: dict[str, object], is_refused: bool
) -> None:
    settings = Settings.load(host=host, **given)

    if is_refused:
        with pytest.raises(SettingsError, match="HRM_ARC_API_KEYS"):
            settings.check_exposure()
    else:
        settings.check_exposure()


def test_checkpoint_folders_and_folders_of_such_are_found(folder_of: Path) -> None:
    one, many = folder_of / "other" / "a", folder_of / "many"

    assert Settings.load(checkpoints=(one,)).checkpoint_folders() == (one,)
    assert Settings.load(checkpoints=(many,)).checkpoint_folders() == (many / "a", many / "b")
    # The same folder twice is one.
    assert Settings.load(checkpoints=(many / "b", many)).checkpoint_folders() == (
        many / "b",
        many / "a",
    )


def test_two_checkpoints_of_one_name_are_refused(folder_of: Path) -> None:
    settings = Settings.load(checkpoints=(folder_of / "many", folder_of / "other"))

    with pytest.raises(SettingsError, match="same name"):
        settings.checkpoint_folders()


def test_a_folder_without_checkpoints_is_refused(folder_of: Path) -> None:
    for entry, said in (("many/no-checkpoint", "contains none"), ("nowhere", "there is no folder")):
        settings = Settings.load(checkpoints=(folder_of / entry,))
        with pytest.raises(SettingsError, match=said):
            settings.checkpoint_folders()


def test_parts_that_need_redis_say_so() -> None:
    with pytest.raises(SettingsError, match="HRM_ARC_REDIS_URL is not set"):
        _ = Settings.load().queue_url


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of secrets, which holds two and what is none of ours."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "hrm_arc_api_keys").write_text("me:k3y\n")
    (folder / "hrm_arc_redis_password").write_text("p@ss/word\n")
    (folder / "kubernetes.io").mkdir()
    monkeypatch.setenv("HRM_ARC_SECRETS_FOLDER", str(folder))
    monkeypatch.setenv("HRM_ARC_REDIS_URL", "redis://queue:6379/0")
    return folder


def test_a_secret_may_be_a_file(secrets: Path) -> None:
    settings = Settings.load()

    assert settings.key_ring.owner_of("k3y") == "me"
    assert settings.queue_url == "redis://:p%40ss%2Fword@queue:6379/0"
    assert "p@ss" not in repr(settings)


def test_a_variable_goes_before_its_file(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRM_ARC_API_KEYS", "you:k3y")

    assert Settings.load().key_ring.owner_of("k3y") == "you"


def test_other_processes_load_the_same_from_files(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load()
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings.load() == settings


@pytest.mark.parametrize(
    ("url", "complete"),
    [
        ("rediss://worker@queue:6380/1", "rediss://worker:p%40ss%2Fword@queue:6380/1"),
        ("redis://[::1]:6379/0", "redis://:p%40ss%2Fword@[::1]:6379/0"),
        ("unix:///run/valkey.sock", "unix://:p%40ss%2Fword@/run/valkey.sock"),
    ],
)
def test_a_password_joins_any_address(url: str, complete: str) -> None:
    settings = Settings(redis_url=url, redis_password="p@ss/word")

    assert settings.queue_url == complete
    assert redis.ConnectionPool.from_url(complete).connection_kwargs["password"] == "p@ss/word"


def test_a_misspelt_file_of_the_secrets_is_refused(secrets: Path) -> None:
    (secrets / "hrm_arc_api_key_").write_text("me:k3y")

    with pytest.raises(SettingsError, match=r"HRM_ARC_API_KEY_ is not .* mean HRM_ARC_API_KEYS\?"):
        Settings.load()


def test_a_missing_folder_of_secrets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRM_ARC_SECRETS_FOLDER", "/nowhere")

    with pytest.raises(SettingsError, match="HRM_ARC_SECRETS_FOLDER: there is no folder /nowhere"):
        Settings.load()


def test_a_secret_that_cannot_be_read_is_named(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)

    with pytest.raises(SettingsError, match=r"cannot be read .*Permission denied: '.*hrm_arc_"):
        Settings.load()


@pytest.mark.parametrize(
    ("url", "reason"),
    [("redis://:other@queue:6379/0", "keep one of the two"), ("", "needs HRM_ARC_REDIS_URL")],
)
def test_a_password_without_use_is_refused(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("HRM_ARC_REDIS_URL", url)

    with pytest.raises(SettingsError, match=reason) as error:
        Settings.load()
    assert "p@ss" not in str(error.value)
