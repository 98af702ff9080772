"""Training: token arrays in, a checkpoint folder out."""

from hrm_core.training.adapt import (
    Adaptation,
    AdaptProgress,
    AdaptTurn,
    Phase,
    mean_row,
    start_from,
)
from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.pretrain import Pretraining, Start
from hrm_core.training.settings import TrainProgress, TrainSettings
from hrm_core.training.snapshot import remove_snapshot

__all__ = [
    "AdaptProgress",
    "AdaptTurn",
    "Adaptation",
    "ExampleStream",
    "Phase",
    "Pretraining",
    "Start",
    "TrainProgress",
    "TrainSettings",
    "TrainingArrays",
    "mean_row",
    "remove_snapshot",
    "start_from",
]
