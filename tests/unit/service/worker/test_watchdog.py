"""The watchdog: when an engine counts as stalled."""

import pytest

from service.worker.heartbeat import Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchdog(clock: Clock) -> Watchdog:
    return Watchdog(clock)


def test_no_step_for_a_minute_is_a_stall(watchdog: Watchdog, clock: Clock) -> None:
    watchdog.expect_step()
    clock.now = 60.0
    assert not watchdog.is_stalled
    clock.now = 61.0
    assert watchdog.is_stalled
    assert watchdog.stalled_s == 1.0


def test_a_step_ends_the_stall(watchdog: Watchdog, clock: Clock) -> None:
    watchdog.expect_step()
    clock.now = 100.0
    watchdog.note_step(100.0)
    assert not watchdog.is_stalled


def test_slow_steps_are_allowed_ten_times_their_median(watchdog: Watchdog, clock: Clock) -> None:
    for step_s in (20.0, 20.0, 500.0):
        watchdog.note_step(step_s)
    clock.now = 200.0
    assert not watchdog.is_stalled
    clock.now = 201.0
    assert watchdog.is_stalled


def test_a_pause_is_not_a_stall(watchdog: Watchdog, clock: Clock) -> None:
    watchdog.expect_step()
    watchdog.pause()
    clock.now = 1000.0
    assert not watchdog.is_stalled


def test_new_work_does_not_postpone_a_stall(watchdog: Watchdog, clock: Clock) -> None:
    watchdog.expect_step()
    clock.now = 50.0
    watchdog.expect_step()
    clock.now = 61.0
    assert watchdog.is_stalled


def test_training_counts_as_work(watchdog: Watchdog, clock: Clock) -> None:
    watchdog.expect_step()
    clock.now = 50.0
    watchdog.note_training()
    clock.now = 100.0
    assert not watchdog.is_stalled
    clock.now = 111.0
    assert watchdog.is_stalled


def test_training_with_other_workers_may_take_as_long_as_an_exchange_more(
    watchdog: Watchdog, clock: Clock
) -> None:
    watchdog.note_training(120.0)
    clock.now = 180.0
    assert not watchdog.is_stalled
    clock.now = 181.0
    assert watchdog.is_stalled
    watchdog.note_training()
    clock.now = 242.0
    assert watchdog.is_stalled
