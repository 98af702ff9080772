"""What requests and answers hold that is the API's own; all else is in `service.wire`.

Answers are not written by these models, which would cost more than all the rest of a request: they
describe them in the OpenAPI document, and tests hold answers to it.
"""

from service.api.schemas.health import AliveOut, ReadyOut
from service.api.schemas.received import BatchesQuery, JobsQuery, PuzzlesQuery, schemas

__all__ = ["AliveOut", "BatchesQuery", "JobsQuery", "PuzzlesQuery", "ReadyOut", "schemas"]
