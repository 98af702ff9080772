"""The OpenAPI document: complete, and its examples are what it says they are."""

import re
from typing import Any

import jsonschema
import pytest

from service.api import create_app
from service.api.problems import CODES
from service.runtime.settings import Settings

METHODS = {"get", "post", "put", "patch", "delete"}


def document_of(**settings: Any) -> dict[str, Any]:
    return create_app(Settings(redis_url="redis://127.0.0.1:1/0", **settings)).openapi()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def validate(value: object, schema: dict[str, Any], document: dict[str, Any]) -> None:
    root = schema | {"components": document["components"]}
    jsonschema.Draft202012Validator(root).validate(value)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    found = operations(document)
    assert {(path, method) for path, method, _ in found} == {
        ("/v1/solve", "post"),
        ("/v1/jobs", "post"),
        ("/v1/jobs", "get"),
        ("/v1/jobs/{job_id}", "get"),
        ("/v1/jobs/{job_id}", "delete"),
        ("/v1/jobs/{job_id}/events", "get"),
        ("/v1/jobs/{job_id}/task", "get"),
        ("/v1/batches", "get"),
        ("/v1/batches", "post"),
        ("/v1/batches/{batch_id}", "get"),
        ("/v1/batches/{batch_id}", "delete"),
        ("/v1/batches/{batch_id}/events", "get"),
        ("/v1/batches/{batch_id}/submission.json", "get"),
        ("/v1/checkpoints", "get"),
        ("/v1/checkpoints/reload", "post"),
        ("/v1/checkpoints/{name}", "get"),
        ("/v1/checkpoints/{name}/puzzles", "get"),
        ("/v1/checkpoints/{name}/puzzles/{demonstrations_sha256}", "get"),
        ("/v1/adapted", "get"),
        ("/v1/adapted/{adapted_id}", "get"),
        ("/v1/adapted/{adapted_id}", "delete"),
        ("/health/live", "get"),
        ("/health/ready", "get"),
        ("/metrics", "get"),
    }
    tags = {tag["name"] for tag in document["tags"]}
    for _, _, operation in found:
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags
    assert len({operation["operationId"] for _, _, operation in found}) == len(found)


def test_every_answer_names_its_problems(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], path
            if int(status) < 400:
                continue
            schema = answer["content"]["application/problem+json"]["schema"]
            codes = schema["properties"]["code"]["enum"]
            assert {CODES[code][0] for code in codes} == {int(status)}
        assert "HTTPValidationError" not in str(operation)


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    num_examples = 0
    for _, _, operation in operations(document):
        parts = [*operation["responses"].values(), operation.get("requestBody", {})]
        for content in [c for part in parts for c in part.get("content", {}).values()]:
            for example in content.get("examples", {}).values():
                validate(example["value"], content["schema"], document)
                num_examples += 1
    assert num_examples > 30


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for name in re.findall(r"#/components/schemas/([A-Za-z_-]+)", str(document)):
        assert name in document["components"]["schemas"]


def test_keys_are_asked_for_only_where_there_are_some(document: dict[str, Any]) -> None:
    assert "security" not in str(document)
    assert all("421" in operation["responses"] for _, _, operation in operations(document))
    with_keys = document_of(api_keys="anna:secret-key")
    assert set(with_keys["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, _, operation in operations(with_keys):
        assert ("security" in operation) == path.startswith("/v1/")
        assert ("401" in operation["responses"]) == path.startswith("/v1/")
        assert "421" not in operation["responses"]
    assert "secret-key" not in str(with_keys)
