"""Choices made by measuring this machine, kept in a file for later starts."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from hrm_core.device.device import name_processor
from hrm_core.device.threads import use_threads
from hrm_core.files import write_text

FILE_NAME = "choices.json"
# What distinguishes processors in Linux's /proc/cpuinfo, on x86-64 and on ARM.
_IDENTITY = ("cpu family", "model", "stepping", "flags", "CPU implementer", "CPU part", "Features")


class MeasuredChoices:
    """The names of the fastest candidates, by what was measured.

    `folder` None keeps nothing. A file that cannot be read or written only costs a measurement.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder and folder / FILE_NAME

    def choose(self, what: str, names: Collection[str], measure: Callable[[], str]) -> str:
        """Return the kept choice if it is one of `names`, else measure and keep it.

        `what` describes the choice and all that it depends on except the processor, which is added.
        """
        if self._path is None:
            with one_thread():
                return measure()
        key = f"{what}; {describe_processor()}"
        kept = self._read().get(key)
        if kept in names:
            return str(kept)
        with one_thread():
            chosen = measure()
        self._write(self._read() | {key: chosen})
        return chosen

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_bytes()) if self._path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, choices: dict[str, object]) -> None:
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(choices, indent=1, sort_keys=True)
            write_text(self._path, text, is_shared=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, so that its own clock excludes the time of other processes."""
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


def describe_processor() -> str:
    """Describe the processor, the instruction sets in use and torch."""
    return ", ".join(
        (
            f"{name_processor()} {_digest_processor()}",
            torch.backends.cpu.get_cpu_capability(),
            f"oneDNN up to {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all')}",
            f"torch {torch.__version__}",
        )
    )


def _digest_processor() -> str:
    """Return a digest of the processor's model and features; its name does not identify it."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        first = ""
    facts = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    return hashlib.sha256(repr([facts.get(name) for name in _IDENTITY]).encode()).hexdigest()[:8]
