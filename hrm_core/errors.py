"""Errors of the network room.

::

    HRMCoreError
    ├── ConfigError            an architecture setting is missing, unknown or contradictory
    ├── CheckpointError        a checkpoint folder cannot be used as it is
    ├── AgreementError         a file of reference outputs cannot be compared with
    ├── AttentionError         an attention backend was asked for that cannot serve
    ├── EngineError            the engine was asked for something it cannot do
    │   └── DeviceMemoryError  the device's memory does not hold the asked-for number of slots
    └── TrainingError          training cannot start or go on
"""

from pathlib import Path


class HRMCoreError(Exception):
    """Root of everything this room raises on purpose."""


class ConfigError(HRMCoreError):
    """An architecture setting is missing, unknown or contradictory."""


class CheckpointError(HRMCoreError):
    """A checkpoint folder cannot be used as it is.

    `path` is the file or folder at fault, `problem` what is wrong, `mend` what to do about it.
    """

    def __init__(self, path: Path, problem: str, mend: str) -> None:
        super().__init__(f"{path}: {problem}. {mend}")
        self.path = path
        self.problem = problem
        self.mend = mend


class AgreementError(HRMCoreError):
    """A file of reference outputs cannot be compared with.

    `path` is the file, `problem` what is wrong, `mend` what to do about it.
    """

    def __init__(self, path: Path, problem: str, mend: str) -> None:
        super().__init__(f"{path}: {problem}. {mend}")
        self.path = path
        self.problem = problem
        self.mend = mend


class AttentionError(HRMCoreError):
    """An attention backend was asked for that cannot serve."""


class EngineError(HRMCoreError):
    """The engine was asked for something it cannot do."""


class DeviceMemoryError(EngineError):
    """The device's memory does not hold the asked-for number of slots."""


class TrainingError(HRMCoreError):
    """Training cannot start or go on."""
