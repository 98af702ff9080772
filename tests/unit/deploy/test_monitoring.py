"""The dashboard and the alerts: valid for Prometheus, tried in made-up outages, and documented."""

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from monitoring_files import (
    ADDED,
    ALERTS,
    DASHBOARD,
    GROUPING,
    PANELS,
    ROOT,
    alerts,
    expressions,
)

OUTAGES = Path(__file__).with_name("alerts.test.yaml")
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("needs promtool, for instance of Debian's package prometheus")
    return path


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_understands_every_expression(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"number_{number}", "expr": expression}
        for number, expression in enumerate(expressions().values())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))

    check(promtool, "check", "rules", ALERTS)
    check(promtool, "check", "rules", path)


def test_prometheus_understands_its_configuration(promtool: str, tmp_path: Path) -> None:
    text = ALERTS.with_name("prometheus.yml").read_text(encoding="utf-8")
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace("/etc/prometheus/", f"{ALERTS.parent}/"))

    check(promtool, "check", "config", path)


def test_each_alert_fires_in_a_made_up_outage_and_clears(promtool: str) -> None:
    cases = [
        case
        for test in yaml.safe_load(OUTAGES.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    for name in [rule["alert"] for rule in alerts()]:
        fires = {"exp_alerts" in case for case in cases if case["alertname"] == name}
        assert fires == {True, False}, name

    check(promtool, "test", "rules", OUTAGES)


def test_each_alert_has_a_paragraph_in_the_document() -> None:
    for rule in alerts():
        runbook = rule["annotations"]["runbook"]
        assert runbook == f"docs/operate.md#{rule['alert'].lower()}"
        assert f"\n### {rule['alert']}\n" in OPERATE
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


def test_each_panel_is_explained_in_the_document() -> None:
    section = OPERATE.partition("## The dashboard")[2].partition("\n## ")[0]

    for panel in PANELS:
        assert panel["title"] in section
        assert panel["description"]


def test_panels_do_not_overlap() -> None:
    def cells(panel: dict[str, dict[str, int]]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(x < 24 for panel in DASHBOARD["panels"] for x, _ in cells(panel))


def test_every_panel_asks_the_data_source_that_is_chosen() -> None:
    (chosen,) = DASHBOARD["templating"]["list"]
    sources = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}

    assert chosen["type"] == "datasource"
    assert sources == {f"${{{chosen['name']}}}"}
    assert not re.findall(r"\$\{(?!datasource)", str(DASHBOARD))


def test_every_label_of_a_legend_is_left_by_its_expression() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            kept = {name for text in GROUPING.findall(target["expr"]) for name in text.split(", ")}
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert labels <= (kept or ADDED), panel["title"]
