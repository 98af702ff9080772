"""Reports of measurements: tables on the screen, records as JSON and Markdown, plots, hardware.

Libraries that draw are imported where they are used, since hosts for tuning may lack them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrm_core.device.hardware import Fact

if TYPE_CHECKING:
    from rich.console import Console

Cell = Fact
# The cells by column; the names of columns contain the units.
Row = Mapping[str, Cell]
# The label of a line, its points, and further arguments of matplotlib.
Line = tuple[str, Sequence[tuple[float, float]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of measurements."""

    title: str
    rows: Sequence[Row] = ()
    notes: tuple[str, ...] = ()


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the columns of all rows, in the order in which they are first named."""
    return list(dict.fromkeys(name for row in rows for name in row))


def print_section(console: "Console", section: Section) -> None:
    """Print a section."""
    from rich.table import Table

    if section.rows:
        table = Table(title=section.title, title_justify="left")
        columns = columns_of(section.rows)
        for column in columns:
            table.add_column(column, justify="right", overflow="fold")
        for row in section.rows:
            table.add_row(*(show_cell(row.get(column)) for column in columns))
        console.print(table)
    else:
        console.print(section.title, style="italic")
    for note in section.notes:
        console.print(note, markup=False)


def verdict(is_met: bool) -> str:
    """Return whether an aim is met, in words."""
    return "met" if is_met else "NOT MET"


def write_record(path: Path, hardware: Mapping[str, Cell], sections: Sequence[Section]) -> None:
    """Write `path`.json with every digit, and `path`.md for reading."""
    document = {
        "hardware": dict(hardware),
        "sections": [
            {
                "title": section.title,
                "rows": [
                    {name: row.get(name) for name in columns_of(section.rows)}
                    for row in section.rows
                ],
                "notes": list(section.notes),
            }
            for section in sections
        ],
    }
    lines = [f"# {path.name}", "", describe(hardware)]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.rows:
            lines += [markdown_table(section.rows), ""]
        lines += [f"{note}  " for note in section.notes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.json").write_text(json.dumps(document, indent=1) + "\n")
    path.with_name(f"{path.name}.md").write_text("\n".join(lines).rstrip() + "\n")


def markdown_table(rows: Sequence[Row]) -> str:
    """Return a table, right-aligned, a line for each row."""
    columns = columns_of(rows)
    cells = [columns, *([show_cell(row.get(name)) for name in columns] for row in rows)]
    lines = ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in cells]
    lines.insert(1, "|" + "--:|" * len(columns))
    return "\n".join(lines)


def show_cell(cell: Cell) -> str:
    """Return a cell as text, numbers with four digits."""
    if cell is None:
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def draw_lines(path: Path, across: str, panels: Mapping[str, Sequence[Line]]) -> None:
    """Draw panels of lines side by side, as a PNG; each panel by the label of its vertical axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 + 2 * len(panels), 4.2), layout="constrained")
    for axes, (up, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for label, points, style in lines:
            axes.plot(*zip(*points, strict=True), label=label, **style)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def describe(hardware: Mapping[str, Cell]) -> str:
    """Return the hardware in one line."""
    return "; ".join(f"{key}: {show_cell(value)}" for key, value in hardware.items())
