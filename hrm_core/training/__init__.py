"""Training: from token arrays to a checkpoint folder."""

from hrm_core.training.adapt import Adaptation, AdaptProgress, AdaptTurn, Phase
from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.pretrain import Pretraining
from hrm_core.training.progress import TrainProgress
from hrm_core.training.settings import TrainSettings
from hrm_core.training.snapshot import remove_snapshot
from hrm_core.training.start import Start, mean_row, start_from

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
