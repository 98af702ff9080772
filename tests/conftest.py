"""What tests of several rooms share: where the golden data lies, and an option to swap it."""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "data" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run compare with another pipeline file of the reference."""
    parser.addoption(
        "--golden-pipeline",
        metavar="FILE",
        type=Path,
        default=GOLDEN / "pipeline.json",
        help="pipeline JSON to compare with, in the format of tests/data/golden/pipeline.json",
    )


@pytest.fixture(scope="session")
def golden_pipeline(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Return what the reference's data pipeline made of some grids."""
    path: Path = pytestconfig.getoption("--golden-pipeline")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Return the folder of golden data."""
    return GOLDEN
