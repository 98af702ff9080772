"""`hrm-arc inspect`: what is in a checkpoint folder."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from hrm_core import Checkpoint, open_checkpoint
from service.cli import engine_options as options
from service.cli.output import JSONOption, console, print_json
from service.solving.enrolment import Registrar

NAMES_SHOWN = 5


def inspect_command(
    folder: options.FolderArgument,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show a checkpoint's architecture, rows, names, puzzles and size."""
    checkpoint = open_checkpoint(folder, canvas)
    document = describe(checkpoint)
    if as_json:
        print_json(document)
        return
    table = Table(title=Text(str(folder)), show_header=False)
    for key, value in document.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        table.add_row(key, Text("none" if value is None else str(value)))
    console.print(table)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Collect what there is to say about a checkpoint, as JSON values."""
    registrar = Registrar(checkpoint)
    names = checkpoint.names
    index = registrar.index
    config = asdict(checkpoint.config)
    return {
        "sha256": checkpoint.sha256,
        "weights": checkpoint.weights_path.name,
        "weights_bytes": checkpoint.weights_path.stat().st_size,
        "weights_dtypes": sorted({str(tensor.dtype) for tensor in checkpoint.trunk.values()}),
        "architecture": config.pop("architecture"),
        "parameters": checkpoint.num_parameters,
        "rows": checkpoint.rows.num_rows,
        "row_width": checkpoint.rows.ndim,
        "names": None if names is None else len(names),
        "first_names": None if names is None else list(names[:NAMES_SHOWN]),
        "dialect": None if names is None else registrar.dialect.value,
        "puzzles_named": None if names is None else len(registrar.puzzle_names),
        "puzzles_known": None if index is None else len(index.demonstrations),
        "probes": None if index is None else len(index.probes),
        "config": config,
    }
