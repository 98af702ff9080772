"""Training: token arrays in, a checkpoint folder out."""

from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.pretrain import Pretraining, TrainProgress, TrainSettings
from hrm_core.training.snapshot import remove_snapshot

__all__ = [
    "ExampleStream",
    "Pretraining",
    "TrainProgress",
    "TrainSettings",
    "TrainingArrays",
    "remove_snapshot",
]
