"""The page's files, read once: it is made of them as they are, no step builds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

INDEX: Final = "index.html"
_FOLDER: Final = Path(__file__).parents[1] / "web"
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, and the tag that changes with its content."""

    content: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """All files of the page, by path."""

    assets: Mapping[str, Asset]

    @classmethod
    def read(cls, folder: Path = _FOLDER) -> Self:
        """Read the files of kinds that a page is made of; others are left alone."""
        paths = sorted(path for path in folder.rglob("*") if path.suffix in _MEDIA_TYPES)
        return cls(
            MappingProxyType({path.relative_to(folder).as_posix(): _asset(path) for path in paths})
        )


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _MEDIA_TYPES[path.suffix], f'"{sha256(content).hexdigest()[:32]}"')
