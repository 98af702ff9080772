"""Solving with a checkpoint by the whole vote, and plots of what came of it."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes

from augment import Task
from hrm_core import Checkpoint
from service.runtime.devices import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Evaluation, evaluate
from service.wire.options import SolveOptions

Say = Callable[[str], None]


def evaluate_whole(
    checkpoint: Checkpoint,
    tasks: Sequence[Task],
    device: str = "auto",
    say: Say = lambda line: None,
) -> Evaluation:
    """Solve tasks that a checkpoint knows, counting every variant.

    Raises: EngineError for what the device cannot do.
    """
    engine = make_engine(checkpoint, EngineOptions(device=device), say=say)
    return evaluate(engine, RowIndex(checkpoint), tasks, SolveOptions(stop_early=False))


def label_axes(axes: Axes, across: str, up: str) -> None:
    """Name the axes of a plot of shares, add a grid and a legend."""
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
