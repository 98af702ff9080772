"""Training data: token arrays and row ids, without puzzles or files."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hrm_core.errors import TrainingError
from hrm_core.model.config import ModelConfig

Redraw: TypeAlias = Callable[
    [npt.NDArray[np.int64], np.random.Generator],
    tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
]
"""Draws a symmetry of each of some examples: int64 [N] to inputs and labels uint8 [N, S]."""


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """Examples of every variant of every puzzle of one size, placed at the top-left corner.

    `canvas` is the side of the whole canvas, or of a crop of it.

    A group is a puzzle with its variants; variant v holds the examples
    `variant_starts[v]:variant_starts[v + 1]`, group g the variants
    `group_starts[g]:group_starts[g + 1]`. With `redraw` each example is trained in a symmetry drawn
    for it, in place of an offset.

    Shapes: inputs, labels uint8 [E, S] tokens; room uint8 [E, 2], how far an example can move down
    and right; rows int64 [V], each variant's row in the table; variant_starts int64 [V + 1];
    group_starts int64 [G + 1].
    """

    canvas: int
    inputs: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    room: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    variant_starts: npt.NDArray[np.int64]
    group_starts: npt.NDArray[np.int64]
    redraw: Redraw | None = None

    def __post_init__(self) -> None:
        num_examples = len(self.inputs)
        consistent = (
            self.inputs.shape == self.labels.shape == (num_examples, self.canvas**2)
            and self.room.shape == (num_examples, 2)
            and self.variant_starts.shape == (len(self.rows) + 1,)
            and _are_starts(self.variant_starts, num_examples)
            and _are_starts(self.group_starts, len(self.rows))
        )
        if not consistent or num_examples == 0:
            raise TrainingError("the training arrays are empty or do not belong together")


def check_arrays(arrays: Sequence[TrainingArrays], config: ModelConfig) -> None:
    """Check that the arrays of each size match a model.

    Raises: TrainingError.
    """
    sides = [part.canvas for part in arrays]
    of_crop = sides and max(sides) <= config.canvas and len(set(sides)) == len(sides)
    if not (of_crop if config.crop else sides == [config.canvas]):
        listed = ", ".join(map(str, sides))
        kind = "with crop" if config.crop else "without crop"
        raise TrainingError(f"arrays of canvas {listed}, model of {config.canvas} {kind}")
    for part in arrays:
        if part.rows.min() < 0 or part.rows.max() >= config.num_rows:
            row = part.rows.min() if part.rows.min() < 0 else part.rows.max()
            raise TrainingError(f"row {row} is outside a table of {config.num_rows}")
        if max(part.inputs.max(), part.labels.max()) >= config.vocab_size:
            raise TrainingError(f"tokens outside a vocabulary of {config.vocab_size}")


def digest_arrays(
    arrays: Sequence[TrainingArrays], left_out: Sequence[npt.NDArray[np.bool_]]
) -> str:
    """Return the sha256 (hex) of the arrays of each size, and of what is left out of them."""
    digest = hashlib.sha256()
    for part, marked in zip(arrays, left_out, strict=True):
        digest.update(str(part.canvas).encode())
        for name in ("inputs", "labels", "room", "rows", "variant_starts", "group_starts"):
            array = np.ascontiguousarray(getattr(part, name))
            digest.update(f"{name} {array.shape}".encode())
            digest.update(array.data)
        if marked.any():
            digest.update(b"left out" + np.packbits(marked).tobytes())
    return digest.hexdigest()


class ExampleStream:
    """An endless shuffled stream of examples.

    Each round visits every puzzle once, in random order, with all examples of one random variant.
    Input and label move together by a random offset; one example of each visit stays at the corner,
    as in inference.

    Source: arXiv 2506.21734, Methods (puzzles, not examples, are drawn evenly).
    """

    def __init__(
        self,
        arrays: TrainingArrays,
        seed: int,
        translate: bool = True,
        left_out: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Prepare the stream; `left_out` [E] marks examples to skip while `leaves_out` is set.

        Raises: TrainingError when that leaves a variant without examples.
        """
        self.arrays = arrays
        self.translate = translate
        self.left_out = np.zeros(len(arrays.inputs), bool) if left_out is None else left_out
        self.leaves_out = True
        if (np.logical_and.reduceat(self.left_out, arrays.variant_starts[:-1])).any():
            raise TrainingError("every example of a variant is left out: none remains to train on")
        self.num_rounds = 0
        self._round_sizes = (_round_size(arrays), _round_size(arrays, ~self.left_out))
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._groups: list[int] = []
        self._waiting: list[tuple[int, int, int, int]] = []  # example, row, down, right

    @property
    def round_size(self) -> float:
        """The number of examples of a round, on average over the variants."""
        return self._round_sizes[self.leaves_out]

    def take(
        self, num: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Draw the next examples.

        Shapes: inputs, labels uint8 [num, S]; rows int64 [num].
        """
        while len(self._waiting) < num:
            self._visit_next_group()
        taken, self._waiting = self._waiting[:num], self._waiting[num:]
        plan = np.array(taken, dtype=np.int64).reshape(num, 4)
        examples, rows, down, right = plan.T
        if self.arrays.redraw is not None:
            return (*self.arrays.redraw(examples, self._rng), rows)
        canvas = self.arrays.canvas
        return (
            shift(self.arrays.inputs[examples], canvas, down, right),
            shift(self.arrays.labels[examples], canvas, down, right),
            rows,
        )

    def state(self) -> dict[str, object]:
        """Return everything needed to continue from here."""
        return {
            "rng": self._rng.bit_generator.state,
            "groups": list(self._groups),
            "waiting": list(self._waiting),
            "num_rounds": self.num_rounds,
            "leaves_out": self.leaves_out,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Continue from what `state` returned."""
        self._rng.bit_generator.state = state["rng"]  # type: ignore[assignment]
        self._groups = list(state["groups"])  # type: ignore[call-overload]
        self._waiting = [tuple(entry) for entry in state["waiting"]]  # type: ignore[attr-defined]
        self.num_rounds = int(state["num_rounds"])  # type: ignore[call-overload]
        self.leaves_out = bool(state.get("leaves_out", True))

    def _visit_next_group(self) -> None:
        arrays, rng = self.arrays, self._rng
        if not self._groups:
            self._groups = rng.permutation(len(arrays.group_starts) - 1).tolist()
            self.num_rounds += 1
        group = self._groups.pop()
        variant = int(rng.integers(arrays.group_starts[group], arrays.group_starts[group + 1]))
        start, stop = arrays.variant_starts[variant : variant + 2]
        examples = np.arange(start, stop)
        if self.leaves_out:
            examples = examples[~self.left_out[start:stop]]
        examples = rng.permutation(examples)
        offsets = rng.integers(0, arrays.room[examples].astype(np.int64) + 1)
        if self.translate:
            offsets[rng.integers(len(examples))] = 0
        else:
            offsets[:] = 0
        row = int(arrays.rows[variant])
        self._waiting.extend(
            (int(example), row, int(down), int(right))
            for example, (down, right) in zip(examples, offsets, strict=True)
        )


def _round_size(arrays: TrainingArrays, kept: npt.NDArray[np.bool_] | None = None) -> float:
    counted = np.ones(len(arrays.inputs), bool) if kept is None else kept
    of_variants = np.add.reduceat(counted, arrays.variant_starts[:-1], dtype=np.int64)
    of_groups = np.add.reduceat(of_variants, arrays.group_starts[:-1])
    return float((of_groups / np.diff(arrays.group_starts)).sum())


def _are_starts(starts: npt.NDArray[np.int64], num: int) -> bool:
    """Return whether the boundaries divide `num` items into runs, none of them empty."""
    return (
        len(starts) > 1
        and starts[0] == 0
        and starts[-1] == num
        and bool((np.diff(starts) > 0).all())
    )


def shift(
    tokens: npt.NDArray[np.uint8],
    canvas: int,
    down: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
) -> npt.NDArray[np.uint8]:
    """Move each canvas's content; what crosses the edge is lost, and PAD fills the rest.

    Exact as long as a grid stays on the canvas: only its EOS can cross the edge.

    Shapes: tokens uint8 [N, S]; down, right int [N]; result uint8 [N, S].
    """
    steps = np.arange(canvas)
    source_rows = steps[None, :] - down[:, None]
    source_cols = steps[None, :] - right[:, None]
    moved = tokens.reshape(-1, canvas, canvas)[
        np.arange(len(tokens))[:, None, None],
        source_rows.clip(0)[:, :, None],
        source_cols.clip(0)[:, None, :],
    ]
    moved[(source_rows < 0)[:, :, None] | (source_cols < 0)[:, None, :]] = 0
    shifted: npt.NDArray[np.uint8] = moved.reshape(len(tokens), canvas * canvas)
    return shifted
