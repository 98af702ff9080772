"""The networks: checkpoints, the engine and training."""

from hrm_core.checkpoint.agreement import Agreement, compare_segments
from hrm_core.checkpoint.folder import Checkpoint, open_checkpoint
from hrm_core.checkpoint.writer import write_checkpoint
from hrm_core.device.device import can_compile, keep_compiled, pick_device
from hrm_core.engine.crop_engine import CropEngine
from hrm_core.engine.engine import Engine, EngineConfig
from hrm_core.engine.memory import release_memory, used_memory
from hrm_core.engine.samples import Halting, HaltReason, Outcome, Sample
from hrm_core.engine.scheduler import Priority
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
from hrm_core.model.attention.choice import BACKEND_NAMES
from hrm_core.model.config import ARC_CANVAS, ARC_VOCAB_SIZE, CLASS_PATHS, ModelConfig, parse_arch
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

__all__ = [
    "ARC_CANVAS",
    "ARC_VOCAB_SIZE",
    "BACKEND_NAMES",
    "CLASS_PATHS",
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
    "used_memory",
    "write_checkpoint",
]
