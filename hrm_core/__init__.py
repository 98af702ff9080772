"""The network room: checkpoints, the two networks, the engine, training."""

from hrm_core.agreement import Agreement, compare_segments
from hrm_core.attention.choice import BACKEND_NAMES
from hrm_core.checkpoint import Checkpoint, open_checkpoint
from hrm_core.config import ARC_CANVAS, ARC_VOCAB_SIZE, ModelConfig, parse_arch
from hrm_core.crop_engine import CropEngine
from hrm_core.device import can_compile, keep_compiled, pick_device
from hrm_core.engine import Engine, EngineConfig
from hrm_core.errors import (
    AgreementError,
    AttentionError,
    CheckpointError,
    ConfigError,
    DeviceMemoryError,
    EngineError,
    HRMCoreError,
    TrainingError,
)
from hrm_core.halting import Halting, HaltReason
from hrm_core.memory import release_memory, used_memory
from hrm_core.samples import Outcome, Sample
from hrm_core.scheduler import Priority
from hrm_core.synthetic import synthetic_checkpoint
from hrm_core.training import (
    Adaptation,
    AdaptProgress,
    AdaptTurn,
    Phase,
    Pretraining,
    TrainingArrays,
    TrainProgress,
    TrainSettings,
    start_from,
)
from hrm_core.writer import write_checkpoint

__all__ = [
    "ARC_CANVAS",
    "ARC_VOCAB_SIZE",
    "BACKEND_NAMES",
    "AdaptProgress",
    "AdaptTurn",
    "Adaptation",
    "Agreement",
    "AgreementError",
    "AttentionError",
    "Checkpoint",
    "CheckpointError",
    "ConfigError",
    "CropEngine",
    "DeviceMemoryError",
    "Engine",
    "EngineConfig",
    "EngineError",
    "HRMCoreError",
    "HaltReason",
    "Halting",
    "ModelConfig",
    "Outcome",
    "Phase",
    "Pretraining",
    "Priority",
    "Sample",
    "TrainProgress",
    "TrainSettings",
    "TrainingArrays",
    "TrainingError",
    "can_compile",
    "compare_segments",
    "keep_compiled",
    "open_checkpoint",
    "parse_arch",
    "pick_device",
    "release_memory",
    "start_from",
    "synthetic_checkpoint",
    "used_memory",
    "write_checkpoint",
]
