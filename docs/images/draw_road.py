"""Draws road.svg, the road of one posted puzzle: python docs/images/draw_road.py."""

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

TARGET = Path(__file__).with_name("road.svg")
BOX_WIDTH, BOX_HEIGHT, COLUMN, LANE, LEFT, TOP = 196, 70, 216, 112, 20, 34
LANES = (
    ("API process", "#e8f0fb"),
    ("Redis or Valkey", "#fdeeea"),
    ("worker process", "#eaf6ec"),
    ("device", "#f4ecfa"),
)


@dataclass(frozen=True)
class Step:
    """A box: what happens, in which file, in which column and lane."""

    title: str
    file: str
    column: int
    lane: int

    @property
    def x(self) -> int:
        """The left side."""
        return LEFT + self.column * COLUMN

    @property
    def y(self) -> int:
        """The upper side."""
        return TOP + self.lane * LANE

    @property
    def middle(self) -> tuple[int, int]:
        """The centre."""
        return self.x + BOX_WIDTH // 2, self.y + BOX_HEIGHT // 2


STEPS = (
    Step("Read the body", "service/api/routes/solve.py", 0, 0),
    Step("Check the task", "service/api/bodies.py", 1, 0),
    Step("Admit: is it known?", "service/api/admission.py", 2, 0),
    Step("Queue the job", "service/jobs/store.py", 2, 1),
    Step("Claim the job", "service/jobs/claims.py", 0, 2),
    Step("Enter the job table", "service/worker/job_table.py", 1, 2),
    Step("Find the rows", "service/solving/enrolment.py", 2, 2),
    Step("Encode the variants", "augment/codec.py", 3, 2),
    Step("Run the segments", "hrm_core/engine/engine.py", 3, 3),
    Step("Decode, invert, vote", "service/solving/members.py", 4, 2),
    Step("Write the result", "service/worker/delivery.py", 4, 1),
    Step("Return the answer", "service/api/routes/solve.py", 4, 0),
)


def path_between(start: Step, end: Step) -> str:
    """Return the path of an arrow from a box to the next one."""
    (x0, y0), (x1, y1) = start.middle, end.middle
    half_width, half_height = BOX_WIDTH // 2, BOX_HEIGHT // 2
    if start.lane == end.lane:
        return f"M{x0 + half_width} {y0}H{x1 - half_width - 2}"
    if start.column == end.column:
        down = 1 if y1 > y0 else -1
        return f"M{x0} {y0 + down * half_height}V{y1 - down * (half_height + 2)}"
    if end.lane > start.lane:  # sideways first, then down
        side = 1 if x1 > x0 else -1
        return f"M{x0 + side * half_width} {y0}H{x1}V{y1 - half_height - 2}"
    return f"M{x0 + half_width} {y0}H{x1}V{y1 + half_height + 2}"


def draw() -> str:
    """Return the picture as SVG."""
    width, height = LEFT * 2 + 5 * COLUMN - 20, TOP + len(LANES) * LANE - 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>The road of one posted puzzle</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for lane, (name, colour) in enumerate(LANES):
        y = TOP + lane * LANE - 24
        parts.append(
            f'<rect x="6" y="{y}" width="{width - 12}" height="{LANE - 10}" rx="6" '
            f'fill="{colour}"/><text x="14" y="{y + 16}" fill="#555">{name}</text>'
        )
    for start, end in pairwise(STEPS):
        parts.append(
            f'<path d="{path_between(start, end)}" fill="none" stroke="#444" '
            'stroke-width="1.5" marker-end="url(#tip)"/>'
        )
    for number, step in enumerate(STEPS, start=1):
        parts.append(
            f'<rect x="{step.x}" y="{step.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" '
            f'fill="#fff" stroke="#888"/><text x="{step.x + 10}" y="{step.y + 28}" fill="#111" '
            f'font-weight="600">{number} {escape(step.title)}</text><text x="{step.x + 10}" '
            f'y="{step.y + 50}" fill="#444" font-family="monospace" font-size="10.5">'
            f"{escape(step.file)}</text>"
        )
    return "\n".join((*parts, "</svg>")) + "\n"


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
