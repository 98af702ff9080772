"""Reports of measurements: tables on the screen, records as JSON and Markdown, the hardware."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hrm_core.device.device import lacks_half_precision, name_processor

if TYPE_CHECKING:  # the tuning prints without it, on hosts that lack it
    from rich.console import Console

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Section:
    """One table of measurements; the names of columns contain the units."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()


def print_section(console: "Console", section: Section) -> None:
    """Print a section."""
    from rich.table import Table

    if section.rows:
        table = Table(title=section.title, title_justify="left")
        for column in section.columns:
            table.add_column(column, justify="right", overflow="fold")
        for row in section.rows:
            table.add_row(*map(show_cell, row))
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
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "hardware": dict(hardware),
        "sections": [
            {
                "title": section.title,
                "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
                "notes": list(section.notes),
            }
            for section in sections
        ],
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(document, indent=1) + "\n")
    path.with_name(f"{path.name}.md").write_text(_markdown(path.name, hardware, sections))


def _markdown(name: str, hardware: Mapping[str, Cell], sections: Sequence[Section]) -> str:
    lines = [
        f"# {name}",
        "",
        "; ".join(f"{key}: {show_cell(value)}" for key, value in hardware.items()),
    ]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.rows:
            lines += [markdown_table(section.columns, section.rows), ""]
        lines += [f"{note}  " for note in section.notes]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table, right-aligned, a line for each row."""
    lines = [_markdown_row(columns), "|" + "--:|" * len(columns)]
    return "\n".join([*lines, *(_markdown_row([show_cell(cell) for cell in row]) for row in rows)])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show_cell(cell: Cell) -> str:
    """Return a cell as text, numbers with four digits."""
    if cell is None:
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def describe_hardware() -> dict[str, Cell]:
    """Return processor, memory, GPU, torch and the load of the machine."""
    facts: dict[str, Cell] = {
        "CPU": name_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16 instructions": "no" if lacks_half_precision(torch.device("cpu")) else "yes",
        "memory GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "Python": platform.python_version(),
        "load of the last minute": round(os.getloadavg()[0], 1),
    }
    if torch.cuda.is_available():
        facts["CUDA"] = torch.version.cuda
    return facts
