"""Weights files, and the table of puzzle rows in them; mapped, without running code."""

import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.layout import Layout, unify, unsupported_weights
from hrm_core.checkpoint.writer import TABLE_KEY
from hrm_core.errors import CheckpointError
from hrm_core.model.unsupported import find_by_class

_MAX_PICKLE_BYTES = 1 << 26


class RowTable:
    """A table of `num_rows` puzzle rows (the blank row 0 included) of width `ndim`.

    Its tensor is mapped from a file of gigabytes, of which single rows are read.
    """

    def __init__(self, table: Tensor) -> None:
        self.num_rows, self.ndim = table.shape
        self._table = table

    def gather(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Read some rows.

        Shapes: rows [V]; result float32 [V, ndim].
        """
        index = torch.from_numpy(np.array(rows, dtype=np.int64))
        gathered: npt.NDArray[np.float32] = self._table[index].float().numpy()
        return gathered


def read_weights(path: Path) -> tuple[Layout, RowTable]:
    """Map a weights file: the trunk by name, without prefixes, and the table of rows.

    Raises: CheckpointError when the file is damaged or contains anything but tensors.
    """
    is_safetensors = path.suffix == ".safetensors"
    layout = unify(path, _load_safetensors(path) if is_safetensors else _load_torch(path))
    table = layout.tensors.get(TABLE_KEY, torch.zeros(0, 0))
    if table.ndim != 2:
        raise CheckpointError(
            path,
            f"{TABLE_KEY} is {tuple(table.shape)}, expected rows",
            "Is this an HRM or TRM checkpoint?",
        )
    trunk = {name: one for name, one in layout.tensors.items() if name != TABLE_KEY}
    return replace(layout, tensors=trunk), RowTable(table)


def _load_torch(path: Path) -> object:
    copy_again = "Download or copy it again."
    try:
        loaded: object = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        unsupported = next(filter(None, map(find_by_class, _class_paths(path))), None)
        if unsupported is not None:
            raise unsupported_weights(path, unsupported) from error
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
    return loaded


def _class_paths(path: Path) -> Iterator[str]:
    """Return what looks like `arch.name` in a torch file, without running its code."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(one for one in archive.namelist() if one.endswith("data.pkl"))
            with archive.open(name) as file:
                pickled = file.read(_MAX_PICKLE_BYTES)
            for _, value, _ in pickletools.genops(pickled):
                if isinstance(value, str) and "@" in value:
                    yield value
    except (zipfile.BadZipFile, StopIteration, ValueError, OSError):
        return


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            path, f"damaged or cut short ({error})", "Download or copy it again."
        ) from error
