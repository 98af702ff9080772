"""Training arrays of puzzles with rules; their symmetries are drawn as they are trained."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from augment import Kind, RuleExample
from hrm_core import TrainingArrays
from service.wire.errors import DatasetError


def build_rule_arrays(examples: Sequence[RuleExample], kind: Kind, canvas: int) -> TrainingArrays:
    """Encode puzzles and answers; all share row 0, and each is a group of its own.

    Raises: DatasetError for a puzzle without an answer; CanvasError.
    """
    inputs, labels = _encode(examples, kind, canvas, np.random.default_rng(0), is_drawn=False)
    starts = np.arange(len(examples) + 1, dtype=np.int64)
    return TrainingArrays(
        canvas=canvas,
        inputs=inputs,
        labels=labels,
        room=np.zeros((len(examples), 2), dtype=np.uint8),
        rows=np.zeros(len(examples), dtype=np.int64),
        variant_starts=starts,
        group_starts=starts,
        redraw=_Redraw(examples, kind, canvas),
    )


class _Redraw:
    """Draws a symmetry of each example, as `ExampleStream` takes it."""

    def __init__(self, examples: Sequence[RuleExample], kind: Kind, canvas: int) -> None:
        self._examples, self._kind, self._canvas = examples, kind, canvas

    def __call__(
        self, indices: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return the tokens of a new symmetry of each example.

        Shapes: indices int64 [N]; inputs, labels uint8 [N, S].
        """
        chosen = [self._examples[index] for index in indices]
        return _encode(chosen, self._kind, self._canvas, rng, is_drawn=True)


def _encode(
    examples: Sequence[RuleExample],
    kind: Kind,
    canvas: int,
    rng: np.random.Generator,
    *,
    is_drawn: bool,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    if kind.rules is None:
        raise DatasetError(f"{kind.title} puzzles are trained by their demonstrations")
    variants = kind.rules.sample(len(examples), rng)
    inputs = np.empty((len(examples), canvas * canvas), dtype=np.uint8)
    labels = np.empty_like(inputs)
    for index, (example, variant) in enumerate(zip(examples, variants, strict=True)):
        if example.answer is None:
            raise DatasetError(f"puzzle {index + 1} has no answer to learn from")
        used = [variant if is_drawn else kind.rules.identity]
        inputs[index] = kind.encode(example.puzzle, used, canvas)[0]
        labels[index] = kind.encode(example.answer, used, canvas)[0]
    return inputs, labels
