"""The votes of several members: limits in common, and an order that outcomes are counted in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce

from hrm_core import Outcome
from service.solving.answer import MAX_PREDICTION_BYTES, MAX_TRACED
from service.solving.members import Member, MemberVote
from service.wire.errors import InputError
from service.wire.options import SolveOptions
from voting import Tally

# An outcome that is not counted yet, and the index of its member.
_Arrived = tuple[int, Outcome]
# The ballots of each member, by its index.
_Ballots = dict[int, Tally]
_Settles = Callable[[Tally], bool]


def draw_votes(
    members: Sequence[Member], options: SolveOptions, num_inputs: int
) -> Iterator[MemberVote]:
    """Draw each member's variants; the limits of traces are over all members.

    Raises: InputError for no member, or two of one name.
    """
    if not members:
        raise InputError("no checkpoint votes: name at least one")
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two checkpoints named {name!r} cannot vote together: name each once, "
                "or rename one of the folders"
            )
    num_traced = MAX_TRACED if options.trace else 0
    prediction_bytes = MAX_PREDICTION_BYTES // len(members)
    for member in members:
        drawn = member.draw(options.variants, options.seed)
        vote = MemberVote(drawn, num_inputs, num_traced, prediction_bytes)
        num_traced = max(0, num_traced - vote.num_variants)
        yield vote


def count_all(votes: Sequence[MemberVote], test_index: int) -> bool:
    """Count all outcomes of a test input that have arrived; return whether there were any."""
    held = [(index, vote.held(test_index)) for index, vote in enumerate(votes)]
    arrived = [(index, outcomes[key]) for index, outcomes in held for key in sorted(outcomes)]
    return _count(votes, test_index, arrived, lambda tally: False)


def count_in_order(
    votes: Sequence[MemberVote], entered: Iterable[int], test_index: int, settles: _Settles
) -> bool:
    """Count outcomes up to the first one that is missing; return whether there were any.

    Members that have entered take turns, an outcome each. Counting ends with the outcome that
    completes the votes of a member, which may then ask for others, and with the first after which
    the votes counted here settle the test input.
    """
    outstanding = {
        index: num for index in entered if (num := votes[index].num_outstanding(test_index))
    }
    following = {index: votes[index].tally(test_index).num_ballots for index in outstanding}
    arrived: list[_Arrived] = []
    while outstanding and all(outstanding.values()):
        index = min(following, key=lambda index: (following[index], index))
        outcome = votes[index].held(test_index).get(following[index])
        if outcome is None:
            break
        arrived.append((index, outcome))
        following[index] += 1
        outstanding[index] -= 1
    return _count(votes, test_index, arrived, settles)


def _count(
    votes: Sequence[MemberVote],
    test_index: int,
    arrived: Sequence[_Arrived],
    settles: _Settles,
) -> bool:
    if not arrived:
        return False

    def with_more(ballots: _Ballots, more: Sequence[_Arrived]) -> _Ballots:
        added = {
            index: votes[index].ballots(outcomes) for index, outcomes in _by_member(more).items()
        }
        merged = {index: ballots[index].merge(added[index]) for index in ballots.keys() & added}
        return ballots | added | merged

    def is_enough(ballots: _Ballots) -> bool:
        return settles(reduce(Tally.merge, ballots.values()))

    num, ballots = len(arrived), with_more({}, arrived)
    if is_enough(ballots):
        # The fewest that do; once settled, a vote stays so with every further ballot.
        num_too_few, too_few = 0, _Ballots()
        while num - num_too_few > 1:
            middle = (num_too_few + num) // 2
            tried = with_more(too_few, arrived[num_too_few:middle])
            if is_enough(tried):
                num, ballots = middle, tried
            else:
                num_too_few, too_few = middle, tried
    for index, outcomes in _by_member(arrived[:num]).items():
        votes[index].count(test_index, outcomes, ballots[index])
    return True


def _by_member(arrived: Iterable[_Arrived]) -> dict[int, list[Outcome]]:
    by_member: dict[int, list[Outcome]] = {}
    for index, outcome in arrived:
        by_member.setdefault(index, []).append(outcome)
    return by_member
