"""Fuzzing by the OpenAPI document: no fault, and every answer is as documented."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from conftest import Served, Worker, serving
from prometheus_client.parser import text_string_to_metric_families

# Left out: `positive_data_acceptance`, since a schema cannot say that rows are equally long, that a
# name is printable or that the puzzle is known.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
)


def fuzz(served: Served, folder: Path, max_examples: int) -> tuple[int, str]:
    """Run the fuzzer; give its exit code and what it said."""
    # It does not know that an address of events may never end.
    finished = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{served.url}/openapi.json", "--phases", "coverage,fuzzing"),
            *("--exclude-path", "/v1/jobs/{job_id}/events"),
            *("--exclude-path", "/v1/batches/{batch_id}/events"),
            *("--checks", ",".join(CHECKS), "--max-examples", str(max_examples)),
            *("--generation-deterministic", "--no-color"),
            *("--request-timeout", "30", "--max-failures", "5"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def count_statuses(served: Served) -> dict[int, int]:
    """Count the answers that the API has given, by status."""
    counts: dict[int, int] = {}
    for family in text_string_to_metric_families(httpx.get(f"{served.url}/metrics").text):
        for sample in family.samples:
            if sample.name == "hrm_arc_http_requests_total":
                status = int(sample.labels["status"])
                counts[status] = counts.get(status, 0) + int(sample.value)
    return counts


@pytest.mark.parametrize(
    ("max_examples", "num_cases"),
    [(25, 300), pytest.param(300, 2_000, marks=pytest.mark.full)],
)
def test_every_answer_is_as_documented(
    valkey_url: str, worker: Worker, tmp_path: Path, max_examples: int, num_cases: int
) -> None:
    log = tmp_path / "api.log"
    with (
        serving(valkey_url, log, HRM_ARC_DEFAULT_WAIT_S="1", HRM_ARC_LOG_FORMAT="json") as served,
        worker.at_work(),
    ):
        code, said = fuzz(served, tmp_path, max_examples)
        counts = count_statuses(served)
    assert code == 0, said
    assert sum(counts.values()) >= num_cases
    assert not [status for status in counts if status >= 500], counts
    assert {200, 202, 404, 405, 422} <= set(counts)
    faults = [
        line
        for line in log.read_text(encoding="utf-8").splitlines()
        if json.loads(line)["level"] == "error"
    ]
    assert faults == []
