"""The dashboard and the alerts as tests read them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "deploy" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
GROUPING = re.compile(r"\b(?:by|without) \(([^)]*)\)")
# Labels of the scrape, not of the process.
ADDED = {"instance", "job"}
PANELS = tuple(panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def alerts() -> list[dict[str, Any]]:
    """Return the rules."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> dict[str, str]:
    """Return every expression of the alerts and the dashboard by the name of its place."""
    found = {rule["alert"]: rule["expr"] for rule in alerts()}
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m")
            found[f"panel {panel['id']} {panel['title']} {target['refId']}"] = expression
    return found
