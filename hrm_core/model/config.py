"""Model configuration, read from `all_config.yaml` and the tensors, never the environment."""

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from hrm_core.errors import ConfigError, UnsupportedError
from hrm_core.model.unsupported import find_by_class

Architecture = Literal["hrm", "trm"]
PosEncodings = Literal["rope", "learned", "none"]
ForwardDtype = Literal["bfloat16", "float16", "float32"]

ARC_VOCAB_SIZE = 12
ARC_CANVAS = 30
CANVAS_BY_VOCAB_SIZE: Mapping[int, int] = {ARC_VOCAB_SIZE: ARC_CANVAS, 11: 9, 6: 30}
"""Sides of the canvases of ARC, Sudoku and mazes; published files do not contain them."""

CLASS_PATHS: Mapping[str, str] = {
    "hrm": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "trm": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
}
"""`arch.name` as in published configuration files."""
_CLASS_NAMES: Mapping[str, Architecture] = {
    **{CLASS_PATHS[name].rpartition("@")[2]: name for name in get_args(Architecture)},
    "TRM": "trm",  # as the repository of URM calls it
}
_MAX_INTEGER = 1 << 16  # larger ones are mistakes, and would take all memory or time
# TRM's repository carries a copy of HRM that also knows `mlp_t` and `pos_encodings: none`.
_EXTENDED_HRM = "recursive_reasoning."
_EXTENDED_HRM_PATHS = (_EXTENDED_HRM, "architectures.")
DEFAULT_PUZZLE_EMB_LEN = 16
# Settings of training, of the reference's wrappers, and of networks that are refused anyway.
_WITHOUT_EFFECT = re.compile(
    r"loss|H_layers|mlp_t|no_ACT_continue|puzzle_emb_len|batch_size|seq_len|vocab_size|causal"
    r"|num_puzzle_identifiers|(puzzle_emb|grid_token)_dropout|grid_noise_(prob|fraction)"
    r"|lora_\w+|act_enabled|halt_max_steps_eval"
)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that determines the network's computation.

    `seq_len` is S, the number of canvas cells; `puzzle_emb_len` is P, the number of positions
    before the canvas that carry the puzzle row; `hidden_size` is D. With `crop`, an extension by
    this project, a puzzle's sequence is the top-left square of the canvas that its grids need, and
    a cell keeps its position on the whole canvas.

    Source: arXiv 2506.21734 section 2 (HRM), arXiv 2510.04871 section 4 (TRM).
    """

    architecture: Architecture
    vocab_size: int
    seq_len: int
    num_rows: int
    puzzle_emb_ndim: int
    puzzle_emb_len: int
    hidden_size: int
    num_heads: int
    expansion: float
    H_cycles: int
    L_cycles: int
    H_layers: int
    L_layers: int
    halt_max_steps: int
    halt_exploration_prob: float
    pos_encodings: PosEncodings
    forward_dtype: ForwardDtype
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    mlp_t: bool = False
    no_ACT_continue: bool = False
    crop: bool = False
    halt_max_steps_eval: int | None = None

    def __post_init__(self) -> None:
        if self.crop and self.mlp_t:
            raise ConfigError(
                "arch.crop: a network with mlp_t mixes all positions of one fixed canvas, so it "
                "cannot work on a part of it: use attention, or the whole canvas"
            )

    @property
    def num_positions(self) -> int:
        """P + S, the length of the network's state."""
        return self.puzzle_emb_len + self.seq_len

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def max_segments(self) -> int:
        """The most segments of a sample that is answered; training ends at `halt_max_steps`."""
        return self.halt_max_steps_eval or self.halt_max_steps

    @property
    def canvas(self) -> int:
        """Side of the square canvas.

        Raises: ConfigError when the S positions are not a square.
        """
        side = math.isqrt(self.seq_len)
        if side * side != self.seq_len:
            raise ConfigError(f"a canvas of {self.seq_len} cells is not a square")
        return side

    @property
    def class_path(self) -> str:
        """`arch.name` as in published configuration files."""
        if self.architecture == "hrm" and (self.mlp_t or self.pos_encodings == "none"):
            return f"{_EXTENDED_HRM}hrm@HierarchicalReasoningModel_ACTV1"
        return CLASS_PATHS[self.architecture]

    def arch_document(self) -> dict[str, Any]:
        """Return the `arch` part of an `all_config.yaml` for this configuration."""
        derived = {"architecture", "vocab_size", "seq_len", "num_rows", "puzzle_emb_len"}
        if self.architecture == "hrm":
            derived |= {"no_ACT_continue"}
        if not self.crop:
            derived |= {"crop"}  # published files have no such key
        if self.halt_max_steps_eval is None:
            derived |= {"halt_max_steps_eval"}
        document = {key: value for key, value in asdict(self).items() if key not in derived}
        document["name"] = self.class_path
        document["loss"] = {
            "name": "losses@ACTLossHead",
            "loss_type": "stablemax_cross_entropy",
        }
        if self.architecture == "trm":
            document["puzzle_emb_len"] = self.puzzle_emb_len
        return document


@dataclass(frozen=True, slots=True)
class ArchSettings:
    """The checked `arch` part of an `all_config.yaml`, as fields of a `ModelConfig`.

    `arch` is that part itself. `assumed` are settings that it lacks and that may leave no trace in
    the weights. `unknown` are those that neither architecture has.
    """

    values: Mapping[str, Any]
    arch: Mapping[str, Any]
    assumed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def configure(self, *, vocab_size: int, seq_len: int, num_rows: int) -> ModelConfig:
        """Complete the settings with the shapes that only the tensors determine."""
        return ModelConfig(vocab_size=vocab_size, seq_len=seq_len, num_rows=num_rows, **self.values)


def parse_arch(document: object) -> ArchSettings:
    """Read the `arch` mapping of an `all_config.yaml`.

    Settings that the named architecture does not use are ignored, as the reference does.

    Raises: ConfigError with the setting that is missing, unknown or of the wrong type.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("arch"), Mapping):
        raise ConfigError("it has no mapping `arch` with the model's settings")
    arch: Mapping[str, Any] = document["arch"]
    class_path = _get(arch, "name")
    if not isinstance(class_path, str):
        raise ConfigError(f"arch.name: {brief(class_path)} is not a class path")
    if unsupported := find_by_class(class_path):
        raise UnsupportedError(
            f"arch.name: {brief(class_path)} is {unsupported.what}. It is not run here"
        )
    architecture = _CLASS_NAMES.get(re.split(r"[.@]", class_path)[-1])
    if architecture is None:
        known = ", ".join(sorted(_CLASS_NAMES))
        raise ConfigError(f"arch.name: unknown architecture {brief(class_path)} (known: {known})")
    is_trm = architecture == "trm"
    is_extended = is_trm or any(path in class_path for path in _EXTENDED_HRM_PATHS)

    counts = ("hidden_size", "num_heads", "H_cycles", "L_cycles", "L_layers", "halt_max_steps")
    values: dict[str, Any] = {key: _integer(arch, key, 1) for key in counts}
    values["H_layers"] = 0 if is_trm else _integer(arch, "H_layers", 1)
    values["puzzle_emb_ndim"] = _integer(arch, "puzzle_emb_ndim", 0, default=0)
    values["expansion"] = _number(arch, "expansion", minimum=1e-3)
    values["halt_exploration_prob"] = _number(arch, "halt_exploration_prob", default=0.0)
    values["rms_norm_eps"] = _number(arch, "rms_norm_eps", default=1e-5)
    values["rope_theta"] = _number(arch, "rope_theta", default=10000.0, minimum=1e-3)
    values["forward_dtype"] = _choice(
        arch, "forward_dtype", ("bfloat16", "float16", "float32"), default="bfloat16"
    )
    encodings = ("rope", "learned", "none") if is_extended else ("rope", "learned")
    values["pos_encodings"] = _choice(arch, "pos_encodings", encodings)
    values["mlp_t"] = is_extended and _boolean(arch, "mlp_t", default=False)
    values["crop"] = _boolean(arch, "crop", default=False)
    values["no_ACT_continue"] = is_trm and _boolean(arch, "no_ACT_continue", default=True)
    values["architecture"] = architecture
    # The reference reads a setting of the evaluation beside `arch`, unless `arch` has it.
    if (evaluation := {**document, **arch}).get("halt_max_steps_eval") is not None:
        values["halt_max_steps_eval"] = _integer(evaluation, "halt_max_steps_eval", 1)
    explicit_len = (
        _integer(arch, "puzzle_emb_len", 0, default=DEFAULT_PUZZLE_EMB_LEN) if is_trm else 0
    )

    hidden_size, num_heads = values["hidden_size"], values["num_heads"]
    is_odd = hidden_size // num_heads % 2 and values["pos_encodings"] == "rope"
    if hidden_size % num_heads or is_odd:
        raise ConfigError(
            f"arch.hidden_size {hidden_size} does not divide into {num_heads} heads"
            + (" of even width" if is_odd else "")
        )
    ndim = values["puzzle_emb_ndim"]
    # As many positions as the row fills. Without a table there are none; the reference adds none
    # either, but would still remove P positions.
    num_filled = -(-ndim // hidden_size)
    values["puzzle_emb_len"] = (explicit_len or num_filled) if ndim else 0
    if num_filled > values["puzzle_emb_len"]:
        raise ConfigError(
            f"arch.puzzle_emb_ndim {ndim} does not fit into "
            f"{explicit_len} positions of {hidden_size}"
        )
    is_assumed = is_trm and ndim and "puzzle_emb_len" not in arch
    unknown = (
        key
        for key in map(str, arch)
        if key not in values and key != "name" and not _WITHOUT_EFFECT.fullmatch(key)
    )
    return ArchSettings(values, arch, ("puzzle_emb_len",) if is_assumed else (), tuple(unknown))


def brief(value: object) -> str:
    """Describe a refused value briefly, however deep, long or large it is."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    if isinstance(value, str | int | float | None):
        text = repr(value)
        return text if len(text) < 100 else text[:90] + "…"
    return f"a {type(value).__name__}"


def _get(arch: Mapping[str, Any], key: str, default: object = None) -> Any:
    if default is None and key not in arch:
        raise ConfigError(f"arch.{key} is missing")
    return arch.get(key, default)


def _refused(key: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"arch.{key}: {brief(value)} is {expected}")


def _integer(arch: Mapping[str, Any], key: str, minimum: int, default: int | None = None) -> int:
    value = _get(arch, key, default)
    if type(value) is not int or not minimum <= value <= _MAX_INTEGER:
        raise _refused(key, value, f"not a whole number in {minimum}..{_MAX_INTEGER}")
    return value


def _number(
    arch: Mapping[str, Any], key: str, default: float | None = None, minimum: float = 0.0
) -> float:
    value = _get(arch, key, default)
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        # YAML 1.1 reads 1e-5 as a string.
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number) or number < minimum:
        raise _refused(key, value, f"not a number of at least {minimum:g}")
    return number


def _boolean(arch: Mapping[str, Any], key: str, default: bool) -> bool:
    value = _get(arch, key, default)
    if not isinstance(value, bool):
        raise _refused(key, value, "neither true nor false")
    return value


def _choice(
    arch: Mapping[str, Any], key: str, choices: tuple[str, ...], default: str | None = None
) -> str:
    value = _get(arch, key, default)
    if value not in choices:
        raise _refused(key, value, f"none of {', '.join(choices)}")
    return str(value)
