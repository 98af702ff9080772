"""A process with one engine, for a pooled engine: `engine_process FILE_DESCRIPTOR`.

The descriptor is the connection to the process with the pooled engine.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from hrm_core import Checkpoint, Engine, EngineError, HRMCoreError, open_checkpoint
from service.solving.engine_messages import Batch, Drop, Failed, Opening, Ready, Start, Stepped
from service.solving.engines import options_of
from service.wire.errors import ServiceError

JOB = "pool"


def main(arguments: Sequence[str]) -> int:
    """Run the engine until the connection closes, and return the exit code."""
    parent = Connection(int(arguments[0]))
    try:
        run(parent)
    except (HRMCoreError, ServiceError, RuntimeError, OSError) as error:  # CUDA's are RuntimeErrors
        first_line, *_ = str(error).splitlines() or [type(error).__name__]
        with suppress(OSError):
            parent.send(Failed(first_line))
        return 1
    except EOFError:
        return 0
    return 0


def run(parent: Connection) -> None:
    """Make the engine and step it while it has samples.

    Raises: EOFError once the parent has ended; whatever the engine cannot do.
    """
    opening: Opening = parent.recv()
    checkpoint = _open(opening)
    start: Start = parent.recv()
    said: list[str] = []
    engine = opening.make_engine(
        checkpoint, start.options, say=said.append, arithmetic=start.arithmetic
    )
    parent.send(_ready(engine, said))
    # Read at all times: a parent that waits to send could not receive.
    inbox: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_read, args=(parent, inbox), daemon=True).start()
    slots_by_size = engine.slots_by_size
    while True:
        while engine.is_idle or not inbox.empty():
            _obey(engine, inbox.get())
        outcomes = engine.step()
        if outcomes or engine.slots_by_size != slots_by_size:
            slots_by_size = engine.slots_by_size
            parent.send(Stepped(tuple(outcomes), engine.num_slots, slots_by_size))


def _open(opening: Opening) -> Checkpoint:
    checkpoint = open_checkpoint(opening.folder, opening.canvas)
    if checkpoint.sha256 != opening.sha256:
        raise EngineError(f"{opening.folder} has changed since it was opened: repeat the command")
    # A list of names may take a hundred megabytes; the parent has it.
    return replace(checkpoint, names=None)


def _ready(engine: Engine, said: Sequence[str]) -> Ready:
    return Ready(
        config=engine.config,
        options=options_of(engine),
        arithmetic=engine.arithmetic,
        attention=engine.attention.name,
        num_threads=engine.num_threads,
        num_slots=engine.num_slots,
        slots_by_size=engine.slots_by_size,
        said=tuple(said),
    )


def _obey(engine: Engine, message: Batch | Drop) -> None:
    if isinstance(message, Drop):
        engine.cancel(JOB, message.sample_ids.__contains__)
        return
    rule = message.rule
    engine.add(message.samples, job=JOB, halting=rule.halting, max_segments=rule.max_segments)


def _read(parent: Connection, inbox: "SimpleQueue[Any]") -> None:
    try:
        while True:
            inbox.put(parent.recv())
    except (EOFError, OSError):
        os._exit(0)  # at once, also in the middle of a step: nobody waits for its outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
