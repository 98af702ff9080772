"""The errors of hrm_core."""

from pathlib import Path


class HRMCoreError(Exception):
    """The root of all errors of hrm_core."""


class ConfigError(HRMCoreError):
    """An architecture setting is missing, unknown or contradictory."""


class UnsupportedError(ConfigError):
    """The architecture is known and is not computed here."""


class CheckpointError(HRMCoreError):
    """A checkpoint folder cannot be used.

    `path` is the file or folder at fault, `problem` what is wrong, `hint` what to do about it.
    """

    def __init__(self, path: Path, problem: str, hint: str) -> None:
        super().__init__(f"{path}: {problem}. {hint}")
        self.path = path
        self.problem = problem
        self.hint = hint


class AgreementError(CheckpointError):
    """A file of reference outputs cannot be used."""


class AttentionError(HRMCoreError):
    """The requested attention backend cannot serve."""


class EngineError(HRMCoreError):
    """The engine cannot do what was asked."""


class DeviceMemoryError(EngineError):
    """The device's memory does not suffice."""


class TrainingError(HRMCoreError):
    """Training cannot start or continue."""


class RankLostError(TrainingError):
    """Another rank of a training has ended, or no longer answers."""

    code = "rank_lost"
