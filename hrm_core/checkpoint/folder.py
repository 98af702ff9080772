"""Checkpoint folders in the published layout: opened strictly, without running code."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.finding import find_weights
from hrm_core.checkpoint.names import read_names
from hrm_core.checkpoint.presets import missing_config
from hrm_core.checkpoint.validation import check_values, fit_config, read_config
from hrm_core.checkpoint.weights import RowTable, read_weights
from hrm_core.device.device import lacks_half_precision
from hrm_core.errors import CheckpointError
from hrm_core.model.attention import Attend
from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import use_onednn, widen_products
from hrm_core.model.network import Network, build_network

_NUM_HASHED_ROWS = 256


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint folder; its table of rows stays on disk.

    `names` is the list row -> variant name of `identifiers.json`, or None where the folder has
    none. `sha256` identifies trunk, configuration and names, and the table by shape and samples.
    `trunk` maps parameter names, without prefix, to tensors that are read when touched. `notes` are
    sentences on what was assumed, chosen or merged.
    """

    folder: Path
    weights_path: Path
    config: ModelConfig
    trunk: Mapping[str, Tensor]
    rows: RowTable
    names: tuple[str, ...] | None
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def num_parameters(self) -> int:
        """Number of learned parameters, without the table and the initial states."""
        learned = (name for name in self.trunk if name not in ("H_init", "L_init"))
        return sum(self.trunk[name].numel() for name in learned)

    def load_network(
        self,
        attend: Attend,
        device: torch.device,
        dtype: torch.dtype,
        *,
        is_wide: bool | None = None,
        is_onednn: bool = False,
    ) -> Network:
        """Load the trunk onto a device, cast once to the computation's dtype.

        `is_wide` and `is_onednn` as in `Arithmetic`; `is_wide` None: where the device lacks
        products in half precision.
        """
        network = build_network(self.config, attend, dtype, meta=True)
        trunk = {name: tensor.to(device, dtype) for name, tensor in self.trunk.items()}
        network.load_state_dict(trunk, strict=True, assign=True)
        if is_wide is None:
            is_wide = dtype != torch.float32 and lacks_half_precision(device)
        if is_wide:
            widen_products(network)
        # Rotary tables were computed on the CPU and stay float32.
        network = network.to(device).eval().requires_grad_(False)
        if is_onednn:
            use_onednn(network, packs=True)
        return network


def open_checkpoint(folder: Path, canvas: int | None = None) -> Checkpoint:
    """Open a folder: weights, `all_config.yaml`, and where present `dataset.json` and names.

    `canvas` is the side of the canvas, for a folder that does not contain it.

    Raises: CheckpointError with the file at fault and a hint.
    """
    if not folder.is_dir():
        raise CheckpointError(
            folder,
            "no such folder",
            "Give the path of a checkpoint folder: the repository of hrm-arc has some in its "
            "folder checkpoints, and `hrm-arc pull` fetches published ones.",
        )
    weights_path = find_weights(folder)
    layout, rows = read_weights(weights_path)
    document = read_config(folder)
    if document is None:
        raise missing_config(folder, weights_path, layout, rows, canvas)
    fitted = fit_config(folder, weights_path, document, layout, rows, canvas)
    config, tensors = fitted.config, fitted.layout.tensors
    check_values(weights_path, tensors)
    names = read_names(folder, config)
    sha256 = _identify(config, tensors, rows, names)
    return Checkpoint(folder, weights_path, config, tensors, rows, names, sha256, fitted.notes)


def _identify(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    rows: RowTable,
    names: tuple[str, ...] | None,
) -> str:
    # Later settings count only where they are set, so that older checkpoints keep their hash.
    described = repr(config)
    for unset in (", crop=False", ", halt_max_steps_eval=None"):
        described = described.replace(unset, "")
    digest = hashlib.sha256(described.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content: npt.NDArray[np.uint8] = tensor.view(torch.uint8).numpy()
        digest.update(content.data)
    digest.update(f"table {rows.num_rows} x {rows.ndim}".encode())
    if rows.num_rows:
        stride = math.ceil(rows.num_rows / _NUM_HASHED_ROWS)
        digest.update(rows.gather(range(0, rows.num_rows, stride)).tobytes())
    digest.update("\n".join(names or ()).encode())
    return digest.hexdigest()
