"""SIGHUP: a request to reload, or the end of the terminal that a program was started in."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def on_hangup(reload: Callable[[], None], stop: Callable[[], None]) -> Any:
    """Handle SIGHUP by `reload`, or by `stop` once the terminal is closed; return the old handler.

    A program that was started by nohup goes on without its terminal. The signal is unblocked.
    """
    before = signal.getsignal(signal.SIGHUP)
    ends_with_terminal = before is not signal.SIG_IGN and has_terminal()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if ends_with_terminal and not has_terminal():
            stop()
        else:
            reload()

    signal.signal(signal.SIGHUP, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return before


@contextmanager
def hangup_blocked() -> Iterator[None]:
    """Block SIGHUP in programs started meanwhile, which it would end until they handle it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal, and that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
