"""What a job asks for, read from its record."""

from dataclasses import dataclass

from augment import Task, parse_json, parse_task
from service.jobs import Job
from service.wire.errors import InputError
from service.wire.options import SolveOptions
from service.wire.task import DEFAULT_NAME


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """An owner's task, and how to solve it."""

    owner: str
    task: Task
    options: SolveOptions


def read_request(job: Job) -> SolveRequest:
    """Check a job's task and options again: the version that queued it may be another one.

    Raises: InputError, AugmentError.
    """
    document = parse_json(job.task, "the task")
    if not isinstance(document, dict):
        raise InputError("the task is not a JSON object")
    # Jobs were written with their options among the members of the task once.
    options = SolveOptions.read(document.pop("options", None) or job.options)
    return SolveRequest(job.owner, parse_task(document, DEFAULT_NAME), options)
