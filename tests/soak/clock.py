"""A wall clock of Valkey alone, which can be set forward and back while it runs."""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_shift.c")


class ServerClock:
    """What shifts the clock of a server that is started while this is `preloaded`.

    `is_shiftable` is False without a C compiler, and the clock then stays as it is.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._library = folder / "clock-shift", folder / "clock_shift.so"
        self.shift_s = 0.0
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.is_shiftable = compiler is not None
        if compiler is not None:
            self._write()
            options = ("-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE), "-ldl")
            subprocess.run([compiler, *options], check=True)

    def shift(self, shift_s: float) -> None:
        """Set the clock so many seconds before or behind the machine's."""
        self.shift_s = shift_s
        self._write()

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """Let a server that is started meanwhile have this clock."""
        if not self.is_shiftable:
            yield
            return
        variables = {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT_FILE": str(self._file)}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name in variables:
                del os.environ[name]

    def _write(self) -> None:
        data = struct.pack("=q", int(self.shift_s * 1e6))
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(data)  # in place: the server has mapped it
