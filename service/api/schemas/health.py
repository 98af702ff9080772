"""What the probes of health answer."""

from typing import Literal

from pydantic import BaseModel


class AliveOut(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class ReadyOut(BaseModel):
    """Jobs sent now will be worked on."""

    status: Literal["ready"]
    workers: int
    checkpoints: list[str]
