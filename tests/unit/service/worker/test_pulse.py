"""When an engine counts as stalled."""

import pytest

from service.worker.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(clock)


def test_no_step_for_a_minute_is_a_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.work()
    clock.now = 60.0
    assert not pulse.is_stalled
    clock.now = 61.0
    assert pulse.is_stalled
    assert pulse.stalled_s == 1.0


def test_a_step_ends_the_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.work()
    clock.now = 100.0
    pulse.step(100.0)
    assert not pulse.is_stalled


def test_slow_steps_are_allowed_ten_times_their_median(pulse: Pulse, clock: Clock) -> None:
    for step_s in (20.0, 20.0, 500.0):
        pulse.step(step_s)
    clock.now = 200.0
    assert not pulse.is_stalled
    clock.now = 201.0
    assert pulse.is_stalled


def test_resting_and_loading_are_no_stall(pulse: Pulse, clock: Clock) -> None:
    pulse.work()
    pulse.rest()
    clock.now = 1000.0
    assert not pulse.is_stalled


def test_new_work_does_not_put_a_stall_off(pulse: Pulse, clock: Clock) -> None:
    pulse.work()
    clock.now = 50.0
    pulse.work()
    clock.now = 61.0
    assert pulse.is_stalled
