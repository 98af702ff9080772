"""The container files: valid, and in step with the commands and settings there are."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.cli.main import COMMANDS, load_command
from service.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
IMAGES = ("hrm-arc:cpu", "hrm-arc:cuda")


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def parts(compose: Any) -> dict[str, Any]:
    """Return the services that run our image."""
    return {
        name: service for name, service in compose["services"].items() if service["image"] in IMAGES
    }


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Return a service's variables as compose would set them, required ones as `given`."""

    def value_of(match: re.Match[str]) -> str:
        return match["default"] or "given"

    pattern = re.compile(r"\$\{\w+(?::-(?P<default>[^}]*)|:\?[^}]*)\}")
    return {name: pattern.sub(value_of, text) for name, text in service["environment"].items()}


def test_the_compose_file_follows_the_specification(compose: Any) -> None:
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


def test_the_image_runs_a_command_of_ours() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    (name,) = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.M)[0])

    assert name in COMMANDS
    assert re.findall(r'^ENTRYPOINT \["(.*)"\]$', text, re.M) == ["hrm-arc"]


def test_every_variable_is_a_setting_of_a_use(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in parts.values():
        with monkeypatch.context() as patch:
            for name, value in environment_of(service).items():
                patch.setenv(name, value)
            settings = Settings.load()
        settings.queue_url  # noqa: B018 - it raises where there is none
        assert "given" in (settings.redis_url or "")
        if service["command"] == ["api"]:
            settings.check_exposure()
        stop_s = float(service["stop_grace_period"].removesuffix("s"))
        assert stop_s > settings.grace_s + 10


def test_the_images_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"(HRM_ARC_\w+)=(\S+)", text))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    settings = Settings.load()

    assert settings.checkpoints == (Path("/checkpoints"),)
    assert settings.state_folder == Path("/state")


def test_the_cuda_image_takes_flash_attention_as_a_wheel_and_compiles_none_unless_asked() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.M))
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)$", text, re.M))

    assert arguments["FLASH_ATTENTION_2"] == "no"
    assert stages["flash-${FLASH_ATTENTION_2}"] == "flash"
    assert {"flash-yes", "flash-no"} <= set(stages.values())
    (extra,) = project["optional-dependencies"]["flash"]
    assert extra.startswith(arguments["FLASH_PACKAGES"].replace("==", ">="))


def test_both_profiles_have_all_parts(compose: Any) -> None:
    for profile, workers in (("cpu", {"worker-cpu"}), ("gpu", {"worker"})):
        chosen = {
            name for name, service in compose["services"].items() if profile in service["profiles"]
        }
        assert chosen == {"api", "valkey", "prometheus"} | workers


def test_prometheus_finds_every_worker_at_the_port_it_is_told(
    compose: Any, parts: dict[str, Any]
) -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
    (found,) = [
        entry for job in scraped["scrape_configs"] for entry in job.get("dns_sd_configs", ())
    ]

    workers = [name for name, service in parts.items() if service["command"] == ["worker"]]
    assert sorted(found["names"]) == sorted(workers)
    for name in workers:
        assert parts[name]["environment"]["HRM_ARC_WORKER_METRICS_PORT"] == str(found["port"])
        assert f":{found['port']}/metrics" in parts[name]["healthcheck"]["test"][-1]


def test_nothing_has_more_rights_or_longer_paths_to_the_outside_than_it_needs(
    compose: Any,
) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        for port in service.get("ports", ()):
            assert "127.0.0.1" in port, name
    for name in ("valkey", "worker", "worker-cpu"):
        assert compose["services"][name]["networks"] == ["inside"]
        assert "ports" not in compose["services"][name]
    assert compose["networks"]["inside"]["internal"] is True


def test_passwords_have_no_defaults() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")

    for name in ("VALKEY_PASSWORD", "API_KEYS"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses), name
