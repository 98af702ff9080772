"""The values that documents hold."""

from typing import Literal

State = Literal["queued", "running", "adapting", "succeeded", "failed", "cancelled"]
