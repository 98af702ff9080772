"""The names of a checkpoint's rows: `identifiers.json`, or the lists of several passes.

TRM's builder numbers the rows of a further data set from `--puzzle-identifiers-start` on, and gives
every row before it the blank name. The lists of one table lie side by side, as identifiers.json,
identifiers_2.json and so on.
"""

import re
from pathlib import Path

from hrm_core.errors import CheckpointError
from hrm_core.files import read_json
from hrm_core.model.config import ModelConfig

BLANK_NAME = "<blank>"
# identifiers.json, identifiers_2.json, identifiers_3.json.gz
_LIST_NAME = re.compile(r"(identifiers(?:[._-]\d+)?\.json)(?:\.gz)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = "A checkpoint needs the list that it was trained with: copy that one."


def read_names(folder: Path, config: ModelConfig) -> tuple[str, ...] | None:
    """Read the list row -> variant name, or None where the folder has none.

    Raises: CheckpointError for a damaged list, or lists that contradict each other or the table.
    """
    if not config.puzzle_emb_ndim:  # without rows, names mean nothing
        return None
    # Sorted, so that a list goes before its compressed form.
    found = ((_LIST_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    paths: dict[str, Path] = {}
    for match, path in found:
        if match is not None:
            paths.setdefault(match[1], path)
    lists = {path: _read_list(path) for path in paths.values()}
    if not lists:
        return None
    names = _merge(lists)
    if len(names) != config.num_rows:
        path, *others = paths.values()
        raise CheckpointError(
            folder if others else path,
            f"{len(names)} names, but the table has {config.num_rows} rows",
            _HINT
            if not others
            else f"Copy the lists of all passes: there are {', '.join(map(str, paths))}.",
        )
    return tuple(names)


def _read_list(path: Path) -> list[str]:
    names = read_json(path, _HINT)
    if not isinstance(names, list) or not _are_names(names):
        raise CheckpointError(path, "not a JSON list of names", _HINT)
    return names


def _merge(lists: dict[Path, list[str]]) -> list[str]:
    """Return the names of all lists; a row that one leaves blank takes the name in another.

    Raises: CheckpointError for a row with two names.
    """
    (first_path, merged), *others = lists.items()
    for path, names in others:
        for row, (known, name) in enumerate(zip(merged, names, strict=False)):
            if name != known and BLANK_NAME not in (name, known):
                raise CheckpointError(
                    path,
                    f"row {row} is {name!r}, but {known!r} in {first_path.name} or another list",
                    "Keep the lists of this table's passes only.",
                )
        longer, shorter = (merged, names) if len(merged) > len(names) else (names, merged)
        pairs = zip(longer, shorter, strict=False)
        merged = [b if a == BLANK_NAME else a for a, b in pairs] + longer[len(shorter) :]
    return merged


def _are_names(names: list[object]) -> bool:
    """Return whether all are strings that can be encoded: JSON can hold half a surrogate pair.

    Joined for speed: there are a million names.
    """
    try:
        joined = "".join(names)  # type: ignore[arg-type]
    except TypeError:
        return False
    return joined.isascii() or not any(_SURROGATE.search(str(name)) for name in names)
