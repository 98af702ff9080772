"""Invitations to train an adaptation together: who is taken, and who need not come."""

from pathlib import Path

import pytest

from service.adaptation.prepare import AdaptOptions
from service.solving.records import Budget
from service.worker.invitations import (
    Acceptance,
    Invitation,
    PostedInvitation,
    is_abandoned,
    standing,
)
from service.worker.training_device import AdaptationPlan

PLAN = AdaptationPlan(
    "entry", "base", "0" * 64, "anna", AdaptOptions(seconds=9.5), Budget(seconds=None, steps=3)
)
INVITATION = Invitation("here", "cpu", PLAN)


@pytest.fixture
def posted(tmp_path: Path) -> PostedInvitation:
    """Return an invitation on an empty board."""
    return PostedInvitation(tmp_path, INVITATION)


def accept(posted: PostedInvitation, *names: str) -> list[Acceptance]:
    return [Acceptance(posted.folder, INVITATION, name) for name in names]


def test_an_invitation_is_read_as_it_was_written(tmp_path: Path, posted: PostedInvitation) -> None:
    assert list(standing(tmp_path)) == [(posted.folder, INVITATION)]


@pytest.mark.parametrize("content", ["", "{}", '{"host": 3}'])
def test_what_cannot_be_read_is_no_invitation(
    tmp_path: Path, posted: PostedInvitation, content: str
) -> None:
    (posted.folder / "invitation.json").write_text(content)
    assert list(standing(tmp_path)) == []


def test_workers_are_taken_up_to_a_number_and_get_ranks(posted: PostedInvitation) -> None:
    one, two, three = accept(posted, "one", "two", "three")
    assert posted.num_accepted == 3
    taken = posted.take(2)
    assert taken == ("one", "three")
    assert one.place() is None
    store = posted.form(taken)

    places = [acceptance.place() for acceptance in (one, three)]
    assert [(place.rank, place.size, place.store) for place in places if place] == [
        (1, 3, store),
        (2, 3, store),
    ]
    assert [acceptance.is_open for acceptance in (one, two, three)] == [True, False, True]


def test_a_group_that_was_formed_invites_no_more(tmp_path: Path, posted: PostedInvitation) -> None:
    accept(posted, "one")
    posted.form(posted.take(1))
    assert list(standing(tmp_path)) == []


def test_a_worker_may_change_its_mind_until_it_is_taken(posted: PostedInvitation) -> None:
    (one, two) = accept(posted, "one", "two")
    assert one.withdraw()
    assert posted.take(2) == ("two",)
    assert not two.withdraw()
    posted.form(("two",))
    assert not two.withdraw()


def test_nobody_waits_for_an_invitation_that_was_withdrawn(
    tmp_path: Path, posted: PostedInvitation
) -> None:
    (one, two) = accept(posted, "one", "two")
    posted.take(1)
    posted.withdraw()
    assert not one.is_open
    assert one.withdraw()
    assert two.withdraw()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        accept(posted, "late")


def test_an_invitation_ends_with_the_process_that_posted_it(posted: PostedInvitation) -> None:
    (one,) = accept(posted, "one")
    assert not is_abandoned(posted.folder)
    assert one.is_open
    posted._lock.release()  # as the system does
    assert is_abandoned(posted.folder)
    assert not one.is_open
