"""The compose file: valid, and in step with the commands, settings and files there are."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.cli.main import load_command
from service.runtime.settings import Settings
from service.worker.metrics import READY_PATH

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
IMAGES = ("hrm-arc:cpu", "hrm-arc:cuda")
BESIDE = {"api", "valkey", "prometheus", "grafana"}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(TEXT)


@pytest.fixture(scope="module")
def parts(compose: Any) -> dict[str, Any]:
    """Return the services that run our image."""
    return {
        name: service for name, service in compose["services"].items() if service["image"] in IMAGES
    }


@pytest.fixture
def settings_of(
    compose: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[dict[str, Any]], Settings]:
    """Return what loads the settings that a service has in its container."""

    def load(service: dict[str, Any]) -> Settings:
        for secret in service["secrets"]:
            assert secret["source"] in compose["secrets"]
            (tmp_path / secret["target"]).write_text("me:given\n", encoding="utf-8")
        with monkeypatch.context() as patch:
            for name, value in service["environment"].items():
                patch.setenv(name, filled(value))
            assert service["environment"]["HRM_ARC_SECRETS_FOLDER"] == "/run/secrets"
            patch.setenv("HRM_ARC_SECRETS_FOLDER", str(tmp_path))
            return Settings.load()

    return load


def filled(text: str) -> str:
    """Return a text with its variables as compose fills them by default."""
    return _VARIABLE.sub(lambda found: found["default"] or "", text)


def test_the_file_follows_the_specification(compose: Any) -> None:
    schema = json.loads(
        (ROOT / "tests" / "data" / "compose-spec" / "compose-spec.json").read_text("utf-8")
    )
    # Without its $schema, since the specification writes the address of draft 7 with https.
    schema.pop("$schema")

    jsonschema.Draft7Validator(schema).validate(compose)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({"services": {"api": {"comand": "api"}}})


def test_every_command_is_one_of_ours_with_options_it_has(parts: dict[str, Any]) -> None:
    assert set(parts) == {"api", "worker", "worker-cpu"}
    for service in parts.values():
        name, *arguments = service["command"]
        load_command(name).make_context(name, arguments)


def test_every_variable_is_a_setting_of_a_use(
    parts: dict[str, Any], settings_of: Callable[[dict[str, Any]], Settings]
) -> None:
    for service in parts.values():
        settings = settings_of(service)
        assert settings.queue_url == "redis://:me%3Agiven@valkey:6379/0"
        if service["command"] == ["api"]:
            settings.check_exposure()
        stop_s = float(service["stop_grace_period"].removesuffix("s"))
        assert stop_s > settings.grace_s + 10


def test_the_example_has_every_variable_with_its_default() -> None:
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")

    used = {(found["name"], found["default"]) for found in _VARIABLE.finditer(TEXT)}

    assert used == set(re.findall(r"^(\w+)=(.*)$", example, re.M))
    assert all(f"`{name}`" in readme for name, _ in used)


def test_both_profiles_have_all_parts(compose: Any) -> None:
    for profile, workers in (("cpu", {"worker-cpu"}), ("gpu", {"worker"})):
        chosen = {
            name for name, service in compose["services"].items() if profile in service["profiles"]
        }
        assert chosen == BESIDE | workers


def test_images_of_others_have_a_version(compose: Any) -> None:
    others = [service["image"] for service in compose["services"].values()]
    for image in set(others) - set(IMAGES):
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-alpine)?(@sha256:[0-9a-f]{64})?", image)


def test_prometheus_finds_every_worker_at_the_port_of_its_setting(parts: dict[str, Any]) -> None:
    scraped = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text("utf-8"))
    (found,) = [
        entry for job in scraped["scrape_configs"] for entry in job.get("dns_sd_configs", ())
    ]

    workers = [name for name, service in parts.items() if service["command"] == ["worker"]]
    assert sorted(found["names"]) == sorted(workers)
    for name in workers:
        assert parts[name]["environment"]["HRM_ARC_WORKER_METRICS_PORT"] == str(found["port"])
        assert f":{found['port']}{READY_PATH}'" in parts[name]["healthcheck"]["test"][-1]


def test_what_is_mounted_is_there_and_where_it_is_looked_for(compose: Any) -> None:
    mounts = {
        target: (DEPLOY / source)
        for service in compose["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
        for source, target, _ in [volume.split(":")]
    }
    prometheus, grafana = (compose["services"][name] for name in ("prometheus", "grafana"))
    provider = yaml.safe_load((DEPLOY / "monitoring/grafana/provider.yaml").read_text("utf-8"))

    assert all(path.is_file() for path in mounts.values())
    assert f"--config.file={next(iter(mounts))}" in prometheus["command"]
    rules = yaml.safe_load(mounts["/etc/prometheus/prometheus.yml"].read_text("utf-8"))
    assert set(rules["rule_files"]) <= set(mounts)
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(Path(home).parent) == provider["providers"][0]["options"]["path"]
    assert home in mounts


def test_a_secret_is_a_file_of_those_who_need_it(compose: Any) -> None:
    readers: dict[str, set[str]] = {}
    for name, service in compose["services"].items():
        for secret in service.get("secrets", ()):
            source = secret if isinstance(secret, str) else secret["source"]
            readers.setdefault(source, set()).add(name)

    assert readers == {
        "api_keys": {"api"},
        "grafana_password": {"grafana"},
        "valkey_password": {"api", "worker", "worker-cpu", "valkey"},
    }
    assert set(compose["secrets"]) == set(readers)
    assert re.findall(r"PASSWORD__FILE: (\S+)", TEXT) == ["/run/secrets/grafana_password"]


def test_nothing_has_more_rights_or_longer_paths_to_the_outside_than_it_needs(
    compose: Any,
) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert {"memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        for port in service.get("ports", ()):
            assert "127.0.0.1" in port, name
    for name in ("valkey", "worker", "worker-cpu"):
        assert compose["services"][name]["networks"] == ["inside"]
        assert "ports" not in compose["services"][name]
    assert compose["networks"]["inside"]["internal"] is True
