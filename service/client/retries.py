"""Sending again: what is worth it, when, and how often."""

import random
from dataclasses import dataclass

from service.client.errors import ServiceProblem, ServiceUnreachable
from service.client.exchange import Pause, Reply, Request, Send, Steps
from service.client.replies import UNEXPLAINED, problem_of
from service.runtime.timing import backoff_s

# Too many requests or jobs, and a service that is about to be back.
PASSING_STATUSES = frozenset({429, 503})
# A proxy's words for the same. The service itself says 504 of a job that ended.
PASSING_STATUSES_OF_PROXIES = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent again, and how long is waited before.

    The pause doubles from `first_pause_s`; a service's Retry-After goes before it. A service that
    names a time longer than `longest_pause_s` is not waited for.

    Units: seconds.
    """

    most: int = 6
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0

    def pause_s(self, num_failures: int, retry_after_s: float | None = None) -> float | None:
        """Give the pause after so many failures in a row; None: give up.

        A random part keeps many clients from coming back at the same moment.

        Units: seconds.
        """
        if num_failures > self.most:
            return None
        if retry_after_s is not None:
            if retry_after_s > self.longest_pause_s:
                return None
            return retry_after_s + random.uniform(0, self.first_pause_s)
        return backoff_s(num_failures, self.first_pause_s, self.longest_pause_s)


def send(request: Request, retries: Retries) -> Steps[Reply]:
    """Send a request until it is answered, or there is no more use in it.

    Raises: ServiceProblem, ServiceUnreachable.
    """
    num_failures = 0
    while True:
        error: ServiceProblem | ServiceUnreachable
        retry_after_s = None
        try:
            reply: Reply = yield Send(request)
        except ServiceUnreachable as unreachable:
            error = unreachable
        else:
            if 200 <= reply.status < 300:
                return reply
            error = problem_of(reply)
            if not _is_passing(error):
                raise error
            retry_after_s = error.retry_after_s
        num_failures += 1
        pause_s = retries.pause_s(num_failures, retry_after_s)
        if pause_s is None:
            raise error
        yield Pause(pause_s)


def _is_passing(problem: ServiceProblem) -> bool:
    return problem.status in PASSING_STATUSES or (
        problem.code == UNEXPLAINED and problem.status in PASSING_STATUSES_OF_PROXIES
    )
