"""The page with Sudokus and mazes, against a service that finds its answers by search."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_support import Visit, axe_source, browser, serious_violations, service_alone, visit
from playwright.sync_api import expect
from rule_checkpoints import write_rule_checkpoint

from augment import MAZE, SUDOKU, Grid, find_solutions, parse_task
from augment.sudoku import SudokuVariant
from bench.stack import Service

pytestmark = pytest.mark.full

WORKER = (sys.executable, str(Path(__file__).with_name("rule_worker.py")))
EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
GIVENS = parse_task({"sudoku": EASY}, "easy").puzzle.test[0]
(SOLUTION,) = find_solutions(GIVENS) or ()
WAY = ["S #  ", "#   #", "# # G"]
SIZES = {"phone": (390, 844), "desk": (1440, 900)}


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Return a browser."""
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def service(started: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a checkpoint for Sudoku and one for mazes."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_rule_checkpoint(folder / "digits", SUDOKU, 9)
    write_rule_checkpoint(folder / "ways", MAZE, 13)
    logs = tmp_path_factory.mktemp("service")
    with service_alone(logs, folder, worker=WORKER) as running:
        yield running


@pytest.fixture
def visited(started: Any, service: Service) -> Iterator[Visit]:
    """Return the page, open; what the service refuses is the only thing that it may complain of."""
    with visit(started, service.url) as opened:
        opened.open()
        yield opened
        assert [text for text in opened.complaints if "Failed to load resource" not in text] == []


def board(visited: Visit) -> list[list[int]]:
    """Read the open board, cell by cell."""
    rows: list[list[int]] = visited.page.locator("#board tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => Number(cell.dataset.colour)))"
    )
    return rows


def looked_at(visited: Visit, tile: Any) -> list[list[int]]:
    """Read a grid off the page."""
    tile.click()
    rows = board(visited)
    visited.page.keyboard.press("Escape")
    return rows


def cell(visited: Visit, row: int, column: int) -> Any:
    return visited.page.locator(f"#board tr:nth-child({row}) td:nth-child({column})")


def signs(visited: Visit) -> str:
    """Read what stands in the cells of the open board."""
    return "".join(
        visited.page.locator("#board td").evaluate_all("c => c.map(x => x.dataset.sign)")
    )


def test_a_sudoku_is_pasted_as_text_and_its_answer_verified(visited: Visit) -> None:
    page = visited.page
    visited.paste(EASY)
    expect(page.locator("#test-title")).to_have_text("Sudoku")
    assert page.locator("#train-part").is_hidden()
    assert page.locator("#add-test").is_hidden()
    expect(page.locator("#forecast")).to_contain_text("digits answers Sudoku")
    visited.choose("whole_vote", "on")
    visited.solve()
    visited.wait_for_state("done")
    expect(page.locator(".test h3 .verdict")).to_have_text("✓ Verified by the rules")
    page.locator(".attempt .tile").nth(1).click()
    assert board(visited) == SOLUTION.to_rows()
    assert page.locator("#board td.is-added").count() == EASY.count(".")
    expect(cell(visited, 1, 1)).to_have_attribute("aria-label", "5")
    assert cell(visited, 1, 1).get_attribute("aria-description") is None
    assert cell(visited, 1, 3).get_attribute("aria-description") == "not given"
    assert page.locator("#editor .edits:visible").count() == 0
    page.keyboard.press("Escape")

    slider = page.locator(".walk-line").get_by_role("slider")
    slider.press("ArrowRight")
    job = page.request.get(f"{visited.url}/v1/jobs/{page.url.partition('#job=')[2]}").json()
    trace = job["result"]["tests"][0]["variants"][1]
    variant = SudokuVariant(
        tuple(trace["palette"]),
        tuple(trace["rows"]),
        tuple(trace["columns"]),
        trace["dihedral"] == 6,
    )
    expect(page.locator(".walk-variant")).to_contain_text(re.compile("Rows and columns moved.*→"))
    tiles = page.locator(".walk-grids .tile")
    wanted = [variant.apply(grid.cells).tolist() for grid in (GIVENS, SOLUTION)]
    assert [looked_at(visited, tile) for tile in tiles.all()] == [*wanted, SOLUTION.to_rows()]
    page.get_by_role("button", name="Previous segment").click()
    expect(page.locator(".walk-grids")).to_contain_text("No valid grid yet.")


def test_givens_are_edited_by_keys_and_faults_lead_to_their_cells(visited: Visit) -> None:
    page = visited.page
    visited.paste({"sudoku": EASY, "name": "typed"})
    page.locator('[data-focus="test-0-input"]').click()
    expect(cell(visited, 1, 1)).to_be_focused()
    page.keyboard.press("Delete")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("9")
    page.keyboard.press("Escape")
    page.locator('[data-focus="test-0-input"]').click()
    assert signs(visited) == (". 3..7....69.195" + EASY[15:]).replace(" ", "").replace(".", "")
    page.keyboard.press("Escape")

    # The 9 stands in row 2 already: the service says so, and the second one is where it leads.
    visited.solve()
    fault = page.locator("#faults").get_by_role("button", name="Sudoku, row 2, column 5")
    expect(page.locator("#faults")).to_contain_text("9 is given twice in row 2")
    fault.click()
    expect(cell(visited, 2, 5)).to_be_focused()
    assert cell(visited, 2, 5).get_attribute("aria-invalid") == "true"
    cell(visited, 2, 2).click()
    page.keyboard.press("7")
    page.keyboard.press("Escape")
    assert page.locator("#faults").is_hidden()
    visited.solve()
    visited.wait_for_state("done")
    expect(page.locator(".test h3 .verdict")).to_have_text("✓ Verified by the rules")

    visited.paste(EASY[:-1] + "x")
    page.locator("#faults").get_by_role("button", name="Sudoku, row 9, column 9").click()
    expect(page.locator("#editor-fault")).to_contain_text('"x" is not a digit 1..9')
    page.keyboard.press("9")
    page.keyboard.press("Escape")
    assert page.locator("#faults").is_hidden()


def test_a_maze_is_drawn_solved_and_opened_again(visited: Visit) -> None:
    page = visited.page
    visited.paste("\n".join(WAY))
    expect(page.locator("#test-title")).to_have_text("Maze")
    page.locator('[data-focus="test-0-input"]').click()
    expect(page.locator("#palette .swatch")).to_have_count(4)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("#")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(".")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("s")  # there is one start: the other cell becomes free
    assert [row[:3] for row in board(visited)] == [[1, 2, 1], [0, 1, 1], [0, 1, 0]]
    page.keyboard.press("Escape")
    page.get_by_label("Name", exact=True).fill("drawn maze")
    visited.solve()
    visited.wait_for_state("done")
    expect(page.locator(".test h3 .verdict")).to_have_text("✓ Verified by the rules")
    assert page.locator("#answer-other").is_hidden()
    answer = Grid.from_rows(looked_at(visited, page.locator(".attempt .tile").nth(1)))
    document = {"maze": [" S   ", "#   #", "# # G"]}
    assert MAZE.rules is not None
    assert MAZE.rules.solves(parse_task(document, "maze").puzzle.test[0], answer)

    page.goto("about:blank")
    visited.open()
    page.get_by_role("button", name="New", exact=True).click()
    page.locator("#jobs-list").get_by_text("drawn maze", exact=True).click()
    expect(page.locator(".test h3 .verdict")).to_have_text("✓ Verified by the rules")
    expect(page.locator("#test-title")).to_have_text("Maze")
    page.locator('[data-focus="test-0-input"]').click()
    page.get_by_role("button", name="Clear", exact=True).click()
    page.keyboard.press("Escape")
    visited.solve()
    expect(page.locator("#faults")).to_contain_text("0 cells are the start S")
    page.locator("#faults").get_by_role("button", name="Maze", exact=True).click()
    expect(page.locator("#board")).to_be_visible()


def test_the_offered_sudoku_and_maze_are_solved(visited: Visit) -> None:
    page = visited.page
    expect(page.locator("#forecast")).to_contain_text("No checkpoint for ARC is served here.")
    for name, title in (("sudoku", "Sudoku"), ("maze", "Maze")):
        page.locator("#open").click()
        example = page.locator(f'[data-focus="example-{name}"]')
        expect(example.locator(".mark-word")).to_have_text("answered")
        example.click()
        expect(page.locator("#test-title")).to_have_text(title)
        visited.solve()
        page.locator("#answer-name", has_text=name).wait_for()
        visited.wait_for_state("done")
        expect(page.locator(".test h3 .verdict")).to_have_text("✓ Verified by the rules")
    page.locator("#open").click()
    page.get_by_role("button", name="Mazes", exact=True).click()
    expect(page.locator("#test-title")).to_have_text("Maze")


def test_an_answer_that_breaks_the_rules_says_so(visited: Visit) -> None:
    page = visited.page
    visited.paste(EASY)
    visited.solve()
    visited.wait_for_state("done")

    def spoil(route: Any) -> None:
        job = route.fetch().json()
        job["result"]["tests"][0] |= {"verified": False}
        route.fulfill(json=job)

    page.route(f"**/v1/jobs/{page.url.partition('#job=')[2]}", spoil)
    page.reload()
    verdict = page.locator(".test h3 .verdict")
    expect(verdict).to_have_text("✗ Not verified: no answer obeys the rules")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_view_is_accessible_and_fits(
    started: Any, service: Service, tmp_path_factory: Any, tmp_path: Path, size: str, theme: Any
) -> None:
    axe = axe_source(tmp_path_factory.mktemp("axe"))
    width, height = SIZES[size]
    window: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    found: list[str] = []
    with visit(started, service.url, **window) as opened:
        page = opened.page

        def look(view: str) -> None:
            page.screenshot(path=tmp_path / f"{size}-{theme}-{view}.png", full_page=True)
            found.extend(f"{view}: {fault}" for fault in serious_violations(opened, axe))
            if opened.width_overflow() > 0:
                found.append(f"{view}: {opened.width_overflow()} px too wide")

        opened.open()
        page.locator("#open").click()
        look("open")
        page.get_by_role("button", name="Close", exact=True).click()
        for name, puzzle in (("sudoku", {"sudoku": EASY}), ("maze", {"maze": WAY})):
            opened.paste(puzzle | {"name": name})
            opened.solve()
            page.locator("#answer-name", has_text=name).wait_for()
            opened.wait_for_state("done")
            look(name)
            page.locator('[data-focus="test-0-input"]').click()
            look(f"{name}-editor")
            page.keyboard.press("Escape")
        assert opened.complaints == []
    assert found == []
