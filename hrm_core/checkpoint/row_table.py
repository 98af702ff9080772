"""The table of puzzle rows: gigabytes on disk, of which single rows are read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RowIds = Sequence[int] | npt.NDArray[np.int64]


class RowTable(ABC):
    """A table of `num_rows` rows (the blank row 0 included) of width `ndim`."""

    def __init__(self, num_rows: int, ndim: int) -> None:
        self.num_rows, self.ndim = int(num_rows), int(ndim)

    @abstractmethod
    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows.

        Shapes: rows [V]; result float32 [V, ndim].
        """


class TensorRows(RowTable):
    """A table in a tensor, which may itself be mapped from a file."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(*table.shape)
        self._table = table

    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows, as `RowTable.gather`."""
        index = torch.from_numpy(np.array(rows, dtype=np.int64))
        gathered: npt.NDArray[np.float32] = self._table[index].float().numpy()
        return gathered


class SafetensorsRows(RowTable):
    """A table in a safetensors file, read row by row."""

    def __init__(self, path: Path, name: str) -> None:
        from safetensors import safe_open

        # Kept open: the handle maps the file and does not read it.
        file: Any = safe_open(path, framework="pt")
        self._slice = file.get_slice(name)
        super().__init__(*self._slice.get_shape())

    def gather(self, rows: RowIds) -> npt.NDArray[np.float32]:
        """Read some rows, as `RowTable.gather`."""
        gathered = np.empty((len(rows), self.ndim), dtype=np.float32)
        for index, row in enumerate(rows):
            gathered[index] = self._slice[int(row) : int(row) + 1].float().numpy()[0]
        return gathered
