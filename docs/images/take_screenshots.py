"""Takes terminal.svg and page.png: python docs/images/take_screenshots.py [URL of a service].

Without a URL only the terminal's picture is made. The page needs Chromium.
"""

import io
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent
TASK = FOLDER.parents[1] / "examples" / "6150a2bd.json"
COMMAND = "hrm-arc solve examples/6150a2bd.json"
WIDTH = 84


def take_terminal() -> None:
    """Run the command on a terminal of its own and draw what it prints."""
    outer, inner = pty.openpty()
    # The error stream holds the progress bar, which disappears when the work is done.
    process = subprocess.Popen(
        COMMAND.split(),
        cwd=TASK.parents[1],
        env=os.environ | {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"},
        stdout=inner,
        stderr=subprocess.DEVNULL,
    )
    os.close(inner)
    printed = b""
    while True:
        try:
            chunk = os.read(outer, 65_536)
        except OSError:  # Linux reports the end of a terminal so
            break
        if not chunk:
            break
        printed += chunk
    os.close(outer)
    if process.wait() != 0:
        sys.exit(f"{COMMAND} failed")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ {COMMAND}"))
    console.print(Text.from_ansi(printed.decode().replace("\r\n", "\n").rstrip()))
    # A fixed id, so that a second run gives the same file.
    console.save_svg(str(FOLDER / "terminal.svg"), title="hrm-arc", unique_id="terminal")


def take_page(url: str) -> None:
    """Solve the task on the page and take a picture of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 790})
        page.goto(url)
        page.locator("#status.is-ready").wait_for()
        page.locator("#open").click()
        page.get_by_label("Task JSON").fill(TASK.read_text(encoding="utf-8"))
        page.locator("#paste-load").click()
        page.get_by_role("button", name="Solve", exact=True).click()
        page.locator("#answer-state", has_text="done").wait_for()
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=str(FOLDER / "page.png"))
        browser.close()


if __name__ == "__main__":
    take_terminal()
    if len(sys.argv) > 1:
        take_page(sys.argv[1])
