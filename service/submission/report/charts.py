"""The two plots of the report, as SVG."""

import io
from collections.abc import Sequence
from typing import Any

from service.submission.report.measures import CurvePoint, FirstAttempts

_SIZE = (5.2, 3.4)  # inches
_FIRST, _TWO, _GREY = "#B45309", "#0B63A5", "#777777"


def curve_chart(points: Sequence[CurvePoint]) -> bytes:
    """Draw the share of test inputs solved by the number of votes."""
    figure, axes = _axes("votes on each test input", "test inputs solved")
    numbers = [point.num_ballots for point in points]
    twos, firsts = [p.two_share for p in points], [p.first_share for p in points]
    # They differ in markers and line styles as well as in colour.
    axes.plot(numbers, twos, "o-", color=_TWO, label="in two attempts")
    axes.plot(numbers, firsts, "s--", color=_FIRST, label="in the first attempt")
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return _svg(figure)


def calibration_chart(first_attempts: FirstAttempts) -> bytes:
    """Draw how often first attempts are right by their confidence or share of the votes."""
    bins = first_attempts.bins
    figure, axes = _axes(f"{first_attempts.measure} of the first attempt", "first attempts right")
    axes.plot([0, 1], [0, 1], ":", color=_GREY, label="perfect calibration")
    axes.bar(
        [(one.low + one.high) / 2 for one in bins],
        [one.right_share for one in bins],
        width=[0.9 * (one.high - one.low) for one in bins],
        color=_TWO,
        alpha=0.25,
    )
    axes.plot(
        [one.mean_probability for one in bins],
        [one.right_share for one in bins],
        "o",
        color=_TWO,
        label="test inputs (their number beside)",
    )
    for one in bins:
        axes.annotate(
            str(one.num_samples),
            (one.mean_probability, one.right_share),
            xytext=(5, -9 if one.right_share > 0.5 else 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlim(0, 1.05)
    figure.legend(frameon=False, loc="outside upper left", fontsize=8)
    return _svg(figure)


def _axes(across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # here: it takes half a second to import
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Any) -> bytes:
    file = io.BytesIO()
    # Without the date, so that equal numbers give equal pictures.
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
