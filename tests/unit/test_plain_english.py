"""A short list of words stays out of docstrings, comments, messages and documents."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "hrm_core", "augment", "voting", "bench")
WORDS = re.compile(
    r"\b(tells?|telling|told|mend(?:s|ed|ing)?|anew|whose|whoever|lone|wary)\b", re.IGNORECASE
)
_SCRIPT_PROSE = re.compile(r"(?<!:)//.*|\"[^\"]*\"|`[^`]*`")
SOURCES = tuple(
    sorted(
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".lua", ".js", ".html")
    )
)
DOCUMENTS = tuple(
    sorted(
        path
        for pattern in ("*.md", "docs/**/*.md", "deploy/*.md", "examples/*", "checkpoints/*/*.md")
        for path in ROOT.glob(pattern)
        if path.suffix in (".md", ".py", ".sh")
    )
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Return what people read in a file, with its line numbers."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        for number, line in enumerate(text.splitlines(), start=1):
            yield number, " ".join(_SCRIPT_PROSE.findall(line))
        return
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def faults(path: Path) -> list[str]:
    """Return what is wrong with a file's words."""
    found = [
        f"{name_of(path)}:{line}: {match[0]}"
        for line, text in prose(path)
        for match in WORDS.finditer(text)
    ]
    if path.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if docstring.partition("\n")[0].rstrip().endswith("?"):
            found.append(f"{name_of(path)}:1: the module's docstring is a question")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_code_is_in_plain_english(package: str) -> None:
    mine = [path for path in SOURCES if path.is_relative_to(ROOT / package)]
    assert [fault for path in mine for fault in faults(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_documents_are_in_plain_english(document: Path) -> None:
    assert faults(document) == []
