"""Weights files, and the table of puzzle rows in them; mapped, without running code."""

import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.writer import TABLE_KEY
from hrm_core.errors import CheckpointError

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


_PREFIX = re.compile(r"^(_orig_mod\.)?(model\.)?(inner\.)?")
_STEP_NAME = re.compile(r"step_(\d+)")


def find_weights(folder: Path) -> Path:
    """Find the weights file: `checkpoint`, the only `*.safetensors`, or the highest `step_N`.

    Raises: CheckpointError when there is none, or more than one.
    """
    if (folder / "checkpoint").is_file():
        return folder / "checkpoint"
    safetensors = sorted(folder.glob("*.safetensors"))
    if len(safetensors) > 1:
        listed = ", ".join(path.name for path in safetensors)
        raise CheckpointError(folder, f"several weights files: {listed}", "Keep one of them.")
    if safetensors:
        return safetensors[0]
    steps = {
        int(match[1]): path
        for path in folder.iterdir()
        if (match := _STEP_NAME.fullmatch(path.name)) and path.is_file()
    }
    if not steps:
        raise CheckpointError(
            folder,
            "no weights: neither `checkpoint`, nor *.safetensors, nor step_N",
            "Put the published weights file there.",
        )
    return steps[max(steps)]


def read_weights(path: Path) -> tuple[dict[str, Tensor], RowTable]:
    """Map a weights file: the trunk by name, without prefixes, and the table of rows.

    Raises: CheckpointError when the file is damaged or contains anything but tensors.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    tensors = _strip_prefixes(_load_torch(path), path)
    table = tensors.pop(TABLE_KEY, torch.zeros(0, 0))
    if table.ndim != 2:
        raise _no_table(path, tuple(table.shape))
    return tensors, TensorRows(table)


def _load_torch(path: Path) -> dict[str, Any]:
    copy_again = "Download or copy it again."
    try:
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            path,
            "it contains something other than tensors (pickled code is never run)",
            "Export the bare weights with torch.save(model.state_dict()), or as safetensors.",
        ) from error
    except Exception as error:  # torch's reader raises many kinds for a damaged file
        if "mmap can only be used" in str(error):
            raise CheckpointError(
                path,
                "saved in torch's old format, or cut short, so that it cannot be mapped",
                copy_again + " If it is old, save it again with a present torch.",
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(path, f"damaged or cut short ({reason})", copy_again) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise CheckpointError(
            path, "not a plain mapping of names to tensors", "Export only model.state_dict()."
        )
    return loaded


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], RowTable]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            table_name = next((n for n in names if _PREFIX.sub("", n) == TABLE_KEY), None)
            tensors = {name: file.get_tensor(name) for name in names if name != table_name}
            shape = file.get_slice(table_name).get_shape() if table_name else [0, 0]
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            path, f"damaged or cut short ({error})", "Download or copy it again."
        ) from error
    if len(shape) != 2:
        raise _no_table(path, tuple(shape))
    rows = SafetensorsRows(path, table_name) if table_name else TensorRows(torch.zeros(0, 0))
    return _strip_prefixes(tensors, path), rows


def _no_table(path: Path, shape: tuple[int, ...]) -> CheckpointError:
    return CheckpointError(
        path, f"{TABLE_KEY} is {shape}, expected rows", "Is this an HRM or TRM checkpoint?"
    )


def _strip_prefixes(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    stripped = {_PREFIX.sub("", name): tensor.detach() for name, tensor in tensors.items()}
    if len(stripped) != len(tensors):
        raise CheckpointError(path, "two tensors of one name", "Keep one set of weights in it.")
    return stripped
