"""Grids in terminals of several widths, with and without colours."""

import io

import pytest
from rich.color import Color, ColorSystem
from rich.console import Console, RenderableType

from augment import Grid, KindName, Pair, find_solutions, parse_task
from service.render import ARC_COLOURS
from service.render.looks import LOOKS
from service.render.terminal import GridsTable, grid_panel, pairs_table

ALL = Grid.from_rows([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
SMALL = Grid.from_rows([[1, 2], [3, 4]])
SUDOKU = parse_task(
    {"sudoku": "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"},
    "grid",
).puzzle.test[0]
(SOLVED,) = find_solutions(SUDOKU) or ()
WAY = parse_task({"maze": ["S #  ", "#   #", "# # G"], "answer": ["So#  ", "#ooo#", "# #oG"]}, "m")
WIDE = Grid.from_rows([[value % 10 for value in range(30)]] * 2)


def plain(renderable: RenderableType, width: int = 80, encoding: str = "utf-8") -> list[str]:
    """Render as into a pipe: no colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, record=True, width=width, color_system=None)
    console.print(renderable)
    return [line.rstrip() for line in console.export_text().splitlines()]


def coloured(renderable: RenderableType, system: str) -> Console:
    console = Console(
        file=io.StringIO(),
        record=True,
        width=80,
        force_terminal=True,
        color_system=system,
        no_color=False,
    )
    console.print(renderable)
    return console


def test_without_colours_a_panel_is_its_title_and_digits() -> None:
    assert plain(grid_panel(ALL, "input 1")) == ["input 1", "0 1 2 3 4", "5 6 7 8 9"]


def test_in_colour_each_cell_is_two_characters_on_its_colour() -> None:
    html = coloured(grid_panel(ALL, "input"), "truecolor").export_html(inline_styles=True)

    for value, colour in enumerate(ARC_COLOURS):
        assert f"background-color: {colour.lower()}" in html
        assert f'">{value} </span>' in html


@pytest.mark.parametrize("system", ["standard", "256", "truecolor"])
def test_a_digit_never_has_the_colour_of_its_ground(system: str) -> None:
    number = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT}.get(system)
    console = coloured(grid_panel(ALL, ""), system)
    lines = console.render_lines(grid_panel(ALL, ""), console.options)
    cells = [segment for line in lines for segment in line if segment.text.strip().isdigit()]

    assert len(cells) == 10
    for cell in cells:
        assert cell.style is not None
        assert cell.style.color is not None
        assert cell.style.bgcolor is not None
        colours: list[Color] = [cell.style.color, cell.style.bgcolor]
        if number is not None:
            colours = [colour.downgrade(number) for colour in colours]
        assert colours[0] != colours[1], cell.text


def test_a_grid_wider_than_half_the_terminal_takes_one_character_a_cell() -> None:
    assert plain(grid_panel(WIDE, "wide"), width=59)[1:] == ["0123456789" * 3] * 2
    assert plain(grid_panel(WIDE, "wide"), width=60)[1] == " ".join("0123456789" * 3)


def test_a_grid_wider_than_the_terminal_is_cut_with_a_mark() -> None:
    assert plain(grid_panel(WIDE, "wide"), width=8)[1:] == ["0123456~"] * 2


def test_a_pair_stands_side_by_side_with_an_arrow() -> None:
    assert (
        plain(pairs_table([Pair(SMALL, ALL)]))
        == [
            "input 1     output 1",
            "1 2      →  0 1 2 3 4",
            "3 4         5 6 7 8 9",
            "",
        ]
        or plain(pairs_table([Pair(SMALL, ALL)])) == []
    )


def test_outputs_of_several_pairs_begin_in_one_column() -> None:
    lines = plain(pairs_table([Pair(SMALL, SMALL), Pair(ALL, SMALL)]))

    begins = [line.index("output") for line in lines if "output" in line]
    assert len(begins) == 2
    assert begins[0] == begins[1]


def test_pairs_narrow_to_one_character_then_stand_below_each_other() -> None:
    pair = [Pair(WIDE, WIDE)]

    assert any(line.count("0 1 2") == 6 for line in plain(pairs_table(pair), width=125))
    assert any(line.count("0123456789") == 6 for line in plain(pairs_table(pair), width=65))
    stacked = plain(pairs_table(pair), width=64)
    assert stacked[0] == "input 1"
    assert stacked[3:5] == ["↓", "output 1"]


def test_attempts_follow_the_test_input_in_one_row() -> None:
    row = [(SMALL, "test input 1"), (ALL, "attempt 1"), (ALL, "attempt 2"), (ALL, "expected")]

    lines = plain(GridsTable([row]))

    assert [word in lines[0] for word in ("test input 1", "attempt 2", "expected")] == [True] * 3
    assert sum(line.count("→") for line in lines) == 1


@pytest.mark.parametrize("width", [65, 72, 80, 100, 120, 200])
@pytest.mark.parametrize(
    "captions",
    [("34 votes, 53%", "3 votes, 5%"), ("1000 votes, 100% of two checkpoints", ""), ("", "")],
)
def test_grids_of_a_line_begin_on_one_line_however_their_titles_wrap(
    width: int, captions: tuple[str, str]
) -> None:
    titles = [f"attempt {place}: {text}" for place, text in enumerate(captions, start=1)]
    row = [(SMALL, "test input 1"), *((SMALL, title) for title in titles), (ALL, "expected")]

    lines = plain(GridsTable([row]), width=width)

    first, second = (next(line for line in lines if digits in line) for digits in ("0 1 2", "5 6"))
    assert first.count("1 2") == 4  # of three small grids and the large one
    assert second.count("3 4") == 3
    assert lines[lines.index(first) - 1].endswith("expected")


def test_a_terminal_without_unicode_gets_an_ascii_arrow() -> None:
    text = "\n".join(plain(pairs_table([Pair(SMALL, ALL)]), encoding="ascii"))

    assert "->" in text
    assert text.isascii()


def test_a_title_is_no_markup() -> None:
    assert plain(grid_panel(SMALL, "[red]a[/red]"))[0] == "[red]a[/red]"


def test_a_sudoku_is_digits_and_dots_with_lines_between_its_boxes() -> None:
    lines = plain(GridsTable([[(SUDOKU, "input"), (SOLVED, "attempt 1")]], "sudoku", SUDOKU))

    assert lines[1] == "5 3 . │ . 7 . │ . . .      5 3 4 │ 6 7 8 │ 9 1 2"
    rule = "──────┼───────┼───────"
    assert [number for number, line in enumerate(lines) if line.count(rule) == 2] == [4, 8]
    assert plain(grid_panel(SUDOKU, "", "sudoku"), width=21)[1] == "53.│.7.│..."
    assert plain(grid_panel(SUDOKU, "", "sudoku"), width=8)[1] == "53.│.7.~"
    assert "\n".join(plain(grid_panel(SUDOKU, "", "sudoku"), encoding="ascii")).isascii()


def test_a_maze_is_walls_and_a_path() -> None:
    (maze,), (way,) = WAY.puzzle.test, WAY.expected
    assert way is not None

    shown = plain(grid_panel(way, "way", "maze", maze))
    assert shown == ["way", "S • ██", "██• • • ██", "██  ██• G"]
    assert plain(grid_panel(way, "way", "maze", maze), width=5)[1:] == ["S•█", "█•••█", "█ █•G"]
    piped = plain(grid_panel(way, "way", "maze", maze), encoding="ascii")
    assert piped[2:] == ["##o o o ##", "##  ##o G"]


@pytest.mark.parametrize(
    ("kind", "givens", "answer"),
    [("sudoku", SUDOKU, SOLVED), ("maze", WAY.puzzle.test[0], WAY.expected[0])],
)
def test_what_an_answer_adds_has_a_style_of_its_own(
    kind: KindName, givens: Grid, answer: Grid
) -> None:
    console = coloured("", "standard")
    lines = console.render_lines(grid_panel(answer, "", kind, givens), console.options)
    added = [
        segment.text.strip()
        for line in lines
        for segment in line
        if segment.style is not None and segment.style.color == Color.parse("cyan")
    ]

    signs = LOOKS[kind].signs
    assert added == [signs[value] for value in answer.cells[answer.cells != givens.cells].tolist()]
    assert added
