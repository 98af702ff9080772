"""Comparison of the network with outputs that the reference implementation computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.device.arithmetic import Arithmetic, choose_arithmetic
from hrm_core.device.measured import MeasuredChoices
from hrm_core.errors import AgreementError
from hrm_core.model.attention_choice import choose
from hrm_core.model.config import ModelConfig
from hrm_core.model.network import Network

Arrays = Mapping[str, npt.NDArray[Any]]

# An equivalent attention moves float32 logits by 3e-5.
MAX_ERROR = 2e-3
# Where the stored top two logits differ by less, rounding may decide between them.
CLEAR_MARGIN = 1e-2
# Half precision is compared with float32: its error may be so many times the reference's, which is
# one bit of precision. Rounding was observed to make it 1.15 times.
MAX_RMS_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """The distance between a network's segments and the stored ones.

    `max_logit_error`, `max_q_error` and the argmax counts compare with the stored outputs.
    `rms_error` and `rms_allowed` are those of the worst segment against the stored float32 outputs.
    Only they decide in half precision; in float32 they are None. `disagreements` describes each
    distance that is too large.
    """

    dtype: str
    num_segments: int
    num_samples: int
    max_logit_error: float
    max_q_error: float
    num_argmax_compared: int
    num_argmax_differing: int
    rms_error: float | None
    rms_allowed: float | None
    disagreements: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether no distance is too large."""
        return not self.disagreements


@dataclass(frozen=True, slots=True)
class _SegmentDistance:
    logit_error: float
    q_error: float
    num_compared: int
    num_differing: int
    rms_error: float | None
    rms_allowed: float | None


def compare_segments(
    checkpoint: Checkpoint,
    npz_path: Path,
    device: torch.device,
    attention: str = "auto",
    arithmetic: Arithmetic | None = None,
) -> Agreement:
    """Compute each stored segment from its own stored carry, and compare the outputs.

    `arithmetic` is in the checkpoint's own precision; None: as an engine would choose it.

    Segments are not chained: a recurrent network amplifies rounding, so whole runs of two correct
    implementations diverge.

    Raises: AgreementError for a file that is missing, damaged, or of another model.
    """
    config = checkpoint.config
    arrays = _read_arrays(npz_path)
    _check_arrays(npz_path, arrays, config)
    num_segments, num_samples = arrays["q_halt_logits"].shape
    measured = MeasuredChoices(None)
    arithmetic = arithmetic or choose_arithmetic(None, config, device, measured)
    shape = (num_samples, config.num_positions, config.num_heads, config.head_dim)
    attend = choose(attention, shape, device, arithmetic.attention_dtype, measured=measured).attend
    network = arithmetic.load(checkpoint, attend, device)
    rows = torch.zeros(num_samples, 0)
    if config.puzzle_emb_ndim:
        rows = torch.from_numpy(checkpoint.rows.gather(arrays["puzzle_identifiers"]))
    rows = rows.to(device)
    distances = [_measure(network, arrays, segment, rows) for segment in range(num_segments)]
    worst = max(distances, key=lambda distance: distance.rms_error or 0.0)
    return Agreement(
        dtype=config.forward_dtype,
        num_segments=num_segments,
        num_samples=num_samples,
        max_logit_error=max(distance.logit_error for distance in distances),
        max_q_error=max(distance.q_error for distance in distances),
        num_argmax_compared=sum(distance.num_compared for distance in distances),
        num_argmax_differing=sum(distance.num_differing for distance in distances),
        rms_error=worst.rms_error,
        rms_allowed=worst.rms_allowed,
        disagreements=tuple(
            f"segment {segment}: {sentence}"
            for segment, distance in enumerate(distances)
            for sentence in _judge(distance)
        ),
    )


def _measure(
    network: Network, arrays: Arrays, segment: int, rows: torch.Tensor
) -> _SegmentDistance:
    device = rows.device
    with torch.inference_mode():
        tokens = torch.from_numpy(arrays["inputs"].astype(np.int32)).to(device)
        z_H, z_L = (
            torch.from_numpy(arrays[name][segment]).to(device, network.dtype)
            for name in ("z_H_before", "z_L_before")
        )
        z_H, z_L = network.segment(z_H, z_L, network.embed(tokens, rows))
        logits = network.read_logits(z_H).float().cpu().numpy()
        q_halt, q_continue = (q.cpu().numpy() for q in network.read_q(z_H))
    stored = arrays["logits"][segment]
    second, first = np.moveaxis(np.sort(stored, axis=-1)[..., -2:], -1, 0)
    is_clear = first - second > CLEAR_MARGIN
    is_differing = is_clear & (logits.argmax(-1) != stored.argmax(-1))
    rms_error = rms_allowed = None
    if network.dtype != torch.float32:
        exact = arrays["logits_float32"][segment]
        rms_error, rms_allowed = _rms(logits - exact), MAX_RMS_RATIO * _rms(stored - exact)
    return _SegmentDistance(
        logit_error=_largest(logits - stored),
        q_error=max(
            _largest(q_halt - arrays["q_halt_logits"][segment]),
            _largest(q_continue - arrays["q_continue_logits"][segment]),
        ),
        num_compared=int(is_clear.sum()),
        num_differing=int(is_differing.sum()),
        rms_error=rms_error,
        rms_allowed=rms_allowed,
    )


def _judge(distance: _SegmentDistance) -> list[str]:
    """Describe each distance that is too large; NaN counts as too large."""
    if distance.rms_error is not None and distance.rms_allowed is not None:
        if distance.rms_error <= distance.rms_allowed:
            return []
        return [
            f"logits are {distance.rms_error:.2e} (root mean square) away from float32, "
            f"allowed {distance.rms_allowed:.2e}"
        ]
    sentences = [
        f"{what} differ by up to {error:.2e}, allowed {MAX_ERROR:.0e}"
        for what, error in (("logits", distance.logit_error), ("q logits", distance.q_error))
        if not error <= MAX_ERROR
    ]
    if distance.num_differing:
        sentences.append(
            f"{distance.num_differing} of {distance.num_compared} cells predict another token"
        )
    return sentences


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    hint = "Give a segments.npz as the reference implementation wrote it."
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise AgreementError(path, "a single array, not an .npz of named arrays", hint)
        with archive:
            return {name: archive[name] for name in archive.files}
    except AgreementError:
        raise
    except FileNotFoundError:
        raise AgreementError(path, "no such file", hint) from None
    except Exception as error:  # numpy's readers raise many kinds for a damaged file
        raise AgreementError(path, f"damaged, or not an .npz ({error})", hint) from error


def _check_arrays(path: Path, arrays: Arrays, config: ModelConfig) -> None:
    hint = "Give the file that was computed from this checkpoint."
    required = ["inputs", "puzzle_identifiers", "z_H_before", "z_L_before", "logits"]
    required += ["q_halt_logits", "q_continue_logits"]
    if config.forward_dtype != "float32":
        required.append("logits_float32")  # what half precision is compared with
    missing = [name for name in required if name not in arrays]
    if missing:
        note = f" (needed for {config.forward_dtype})" if missing == ["logits_float32"] else ""
        raise AgreementError(path, f"lacks {', '.join(missing)}{note}", hint)
    for name in required:
        kinds = "iu" if name in ("inputs", "puzzle_identifiers") else "f"
        if arrays[name].dtype.kind not in kinds:
            raise AgreementError(path, f"{name} holds {arrays[name].dtype}", hint)
    num_segments, num_samples = (*arrays["q_halt_logits"].shape, 0, 0)[:2]
    if not num_segments or not num_samples:
        raise AgreementError(path, "no segments [T, N] in q_halt_logits", hint)
    of_states = (num_segments, num_samples, config.num_positions, config.hidden_size)
    of_logits = (num_segments, num_samples, config.seq_len, config.vocab_size)
    expected: dict[str, tuple[int, ...]] = {
        "inputs": (num_samples, config.seq_len),
        "puzzle_identifiers": (num_samples,),
        "z_H_before": of_states,
        "z_L_before": of_states,
        "logits": of_logits,
        "logits_float32": of_logits,
        "q_halt_logits": (num_segments, num_samples),
        "q_continue_logits": (num_segments, num_samples),
    }
    for name in required:
        if arrays[name].shape != expected[name]:
            raise AgreementError(
                path, f"{name} is {arrays[name].shape}, the model expects {expected[name]}", hint
            )
    for name, limit in (("inputs", config.vocab_size), ("puzzle_identifiers", config.num_rows)):
        values = arrays[name]
        if limit and (values.min() < 0 or values.max() >= limit):
            raise AgreementError(path, f"{name} goes outside 0..{limit - 1}", hint)


def _largest(difference: npt.NDArray[Any]) -> float:
    return float(np.abs(difference).max())


def _rms(difference: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.square(difference, dtype=np.float64).mean()))
