"""What the documents say of the code holds: links, files, addresses, options, codes, settings."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.api import create_app
from service.api.problems import CODES
from service.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("checkpoints/*/README.md")),
    ROOT / "deploy" / "README.md",
)
README_LINES, ROAD_STEPS = 150, 12
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)|(?:src)=\"([^\"]+)()\"")
_FILE = re.compile(r"`((?:service|hrm_core|augment|voting|bench|tests|docs|examples)/[\w./-]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors_in(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text_of(document))
    }


def first_cells(document: str) -> str:
    """Return the first two cells of every table row of a document, which hold names."""
    rows = [line.split("|")[1:3] for line in text_of(DOCS / document).splitlines() if "|" in line]
    return "\n".join(" ".join(row) for row in rows)


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return create_app(Settings(redis_url="redis://127.0.0.1:1/0")).openapi()


@pytest.fixture(scope="module")
def road() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_road", DOCS / "images" / "draw_road.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for path, anchor, image, _ in _LINK.findall(text_of(document)):
        target = (document.parent / (path or image)) if path or image else document
        assert target.exists(), f"{path or image} does not exist"
        if anchor:
            assert anchor.removeprefix("#") in anchors_in(target), f"{path}{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = set(_FILE.findall(text_of(document)))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_readme_is_an_overview() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= README_LINES


def test_the_road_s_picture_is_that_of_its_script_and_its_table(road: ModuleType) -> None:
    assert text_of(DOCS / "images" / "road.svg") == road.draw()
    rows = re.findall(r"^\| \d+ \|.*`([\w/.]+)` \|$", text_of(DOCS / "how-it-works.md"), re.M)
    assert rows == [step.file for step in road.STEPS]
    assert len(rows) <= ROAD_STEPS


def test_every_address_and_only_such_is_in_the_table(openapi: dict[str, Any]) -> None:
    named = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", text_of(DOCS / "api.md"), re.M))
    served = {
        f"{method.upper()} {path}" for path, item in openapi["paths"].items() for method in item
    }
    assert named == served


def test_every_option_is_in_the_table(openapi: dict[str, Any]) -> None:
    def resolve(schema: dict[str, Any]) -> dict[str, Any]:
        name = schema["$ref"].rpartition("/")[2]
        found: dict[str, Any] = openapi["components"]["schemas"][name]
        return found

    body = openapi["paths"]["/v1/solve"]["post"]["requestBody"]["content"]["application/json"]
    options = resolve(resolve(body["schema"]["anyOf"][0])["properties"]["options"])["properties"]
    cells = first_cells("api.md")
    assert [name for name in options if f"`{name}`" not in cells] == []


def test_every_problem_s_code_is_in_the_table() -> None:
    cells = first_cells("api.md")
    assert [code for code in CODES if f"`{code}`" not in cells] == []


def test_every_setting_is_in_the_table() -> None:
    named = set(re.findall(r"`HRM_ARC_([A-Z_]+)`", first_cells("operate.md")))
    assert named == {name.upper() for name in Settings.model_fields}
