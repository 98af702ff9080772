"""The table of puzzle rows: on disk, gathered by row, gigabytes never read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RowIds = Sequence[int] | npt.NDArray[np.int64]


class RowTable(Protocol):
    """What the service needs of a table.

    Shapes: the table is [num_rows, ndim].
    """

    @property
    def num_rows(self) -> int:
        """Rows, the blank row 0 counted."""

    @property
    def ndim(self) -> int:
        """Width of a row."""

    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows.

        Shapes: rows [V]; result float32 [V, ndim].
        """


class TensorRows:
    """A table as a tensor, which may itself be mapped from a file."""

    def __init__(self, table: Tensor) -> None:
        self._table = table

    @property
    def num_rows(self) -> int:
        """Rows, the blank row 0 counted."""
        return int(self._table.shape[0])

    @property
    def ndim(self) -> int:
        """Width of a row."""
        return int(self._table.shape[1])

    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows.

        Shapes: rows [V]; result float32 [V, ndim].
        """
        index = torch.from_numpy(np.array(rows, dtype=np.int64))
        gathered: npt.NDArray[np.float32] = self._table[index].float().numpy()
        return gathered


class SafetensorsRows:
    """A table inside a safetensors file, read row by row."""

    def __init__(self, path: Path, name: str) -> None:
        from safetensors import safe_open

        # Kept open: the handle maps the file, it does not read it.
        file: Any = safe_open(path, framework="pt")
        self._slice = file.get_slice(name)
        self._num_rows, self._ndim = self._slice.get_shape()

    @property
    def num_rows(self) -> int:
        """Rows, the blank row 0 counted."""
        return int(self._num_rows)

    @property
    def ndim(self) -> int:
        """Width of a row."""
        return int(self._ndim)

    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows.

        Shapes: rows [V]; result float32 [V, ndim].
        """
        gathered = np.empty((len(rows), self.ndim), dtype=np.float32)
        for place, row in enumerate(rows):
            gathered[place] = self._slice[int(row) : int(row) + 1].float().numpy()[0]
        return gathered
