"""Weights files, and the table of puzzle rows in them; mapped, without running code."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.writer import TABLE_KEY
from hrm_core.errors import CheckpointError

_PREFIX = re.compile(r"^(_orig_mod\.)?(model\.)?(inner\.)?")
_STEP_NAME = re.compile(r"step_(\d+)")


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
    is_safetensors = path.suffix == ".safetensors"
    loaded = _load_safetensors(path) if is_safetensors else _load_torch(path)
    tensors = {_PREFIX.sub("", name): tensor.detach() for name, tensor in loaded.items()}
    if len(tensors) != len(loaded):
        raise CheckpointError(path, "two tensors of one name", "Keep one set of weights in it.")
    table = tensors.pop(TABLE_KEY, torch.zeros(0, 0))
    if table.ndim != 2:
        raise CheckpointError(
            path,
            f"{TABLE_KEY} is {tuple(table.shape)}, expected rows",
            "Is this an HRM or TRM checkpoint?",
        )
    return tensors, RowTable(table)


def _load_torch(path: Path) -> dict[str, Tensor]:
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


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            path, f"damaged or cut short ({error})", "Download or copy it again."
        ) from error
