"""The options of a solve: declared once, checked strictly, and agreed with what they stand for."""

import ast
import inspect
from pathlib import Path
from typing import Any, get_args

import pytest

import hrm_core
import voting
from service.cli.evaluate import evaluate_command
from service.cli.solve import solve_command
from service.cli.submit import submit_command
from service.client import AsyncClient, Client
from service.wire import options as wire
from service.wire.errors import InputError
from service.wire.options import SolveOptions

ROOT = Path(__file__).parents[4]
PRODUCT = ("service", "hrm_core", "augment", "voting")
# What an answer was made with is part of the answer, under the names of the options.
ANSWERS = {"Answer", "MemberAnswer"}
# So many names of options in one class are no coincidence: a puzzle has a name, a recipe a seed.
MAX_SHARED_NAMES = 2


def fields_of(node: ast.ClassDef) -> set[str]:
    """Return the names that a class declares: fields, and parameters of its constructor."""
    names: set[str] = set()
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            names.add(part.target.id)
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            names |= {argument.arg for argument in (*part.args.args, *part.args.kwonlyargs)}
    return names


def holders(names: set[str]) -> dict[str, set[str]]:
    """Return the classes of the product that declare more than a few of these names."""
    found = {}
    for path in sorted(path for room in PRODUCT for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name not in ANSWERS:
                shared = fields_of(node) & names
                if len(shared) > MAX_SHARED_NAMES:
                    found[f"{path.relative_to(ROOT)}:{node.name}"] = shared
    return found


def test_options_are_declared_in_one_class() -> None:
    names = set(SolveOptions.model_fields)
    aliases = {f"num_{name}" for name in names} | {f"{name}_s" for name in names}
    assert list(holders(names | aliases)) == ["service/wire/options.py:SolveOptions"]


@pytest.mark.parametrize("command", [solve_command, submit_command, evaluate_command])
def test_the_command_line_has_the_defaults_and_bounds_of_the_options(command: Any) -> None:
    fields = SolveOptions.model_fields | {"halt": SolveOptions.model_fields["halting"]}
    schema = SolveOptions.model_json_schema()["properties"]
    num_checked = 0
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in fields or name in ("checkpoint", "adapt"):  # left to what answers
            continue
        assert parameter.default == fields[name].default, name
        (typer_option,) = parameter.annotation.__metadata__
        kinds = schema.get(name, {}).get("anyOf", [schema.get(name, {})])
        assert typer_option.min == kinds[0].get("minimum"), name
        assert typer_option.max == kinds[0].get("maximum"), name
        num_checked += 1
    assert num_checked >= 3


def test_the_clients_take_every_option_by_name() -> None:
    for client in (Client, AsyncClient):
        for method in (client.solve, client.submit, client.submit_batch):
            *_, last = inspect.signature(method).parameters.values()
            assert last.kind is inspect.Parameter.VAR_KEYWORD


def test_words_are_those_of_the_engine_and_the_vote() -> None:
    assert get_args(wire.Halting) == tuple(rule.value for rule in hrm_core.Halting)
    assert get_args(wire.Ranking) == tuple(rule.value for rule in voting.Ranking)
    assert {name.upper() for name in wire.PRIORITIES} == set(hrm_core.Priority.__members__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("variants", 0),
        ("variants", 10_001),
        ("variants", "3"),
        ("attempts", 0),
        ("attempts", None),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", True),
        ("max_segments", 0),
        ("halting", "never"),
        ("stop_early", 1),
        ("adapt_s", float("nan")),
        ("ensemble", "demo"),
        ("ensemble", [1]),
        ("ensemble", ["x"] * 8),
        ("sede", 1),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^option {name}"):
        SolveOptions.read({name: value})


def test_only_what_was_given_is_sent() -> None:
    asked = SolveOptions.read({"seed": 0, "ensemble": ["a", "b"]})
    assert asked.given == {"seed": 0, "ensemble": ["a", "b"]}
    assert asked.with_changes(variants=3).given == {**asked.given, "variants": 3}
    with pytest.raises(InputError, match="option variants"):
        asked.with_changes(variants=0)


def test_options_come_back_from_their_document() -> None:
    options = SolveOptions(checkpoint="demo", ensemble=("a",), adapt="auto", adapt_s=2)
    assert SolveOptions.read(options.model_dump_json().encode()) == options
