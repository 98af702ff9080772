"""Our count and ranking against the reference's, on its own ballots."""

from typing import Any

import numpy as np
import pytest

from augment import Dialect, Grid
from voting import count_ballots, rank


def test_golden_pipeline_votes_rank_as_the_reference_ranks_them(
    golden_pipeline: dict[str, Any],
) -> None:
    assert golden_pipeline["votes"]
    for case in golden_pipeline["votes"]:
        ballots = case["ballots"]
        tokens = np.array([ballot["tokens"] for ballot in ballots], dtype=np.int32)
        logits = np.array([ballot["q_halt_logit"] for ballot in ballots])
        names = [Dialect.TRM.parse(ballot["name"]) for ballot in ballots]
        # The reference counts an output without a grid as a vote for an empty one; ours abstains.
        expected = [index for index in case["ranking"] if np.size(index["grid"])]
        num_empty = sum(index["count"] for index in case["ranking"]) - sum(
            index["count"] for index in expected
        )

        tally = count_ballots(tokens, logits, [variant for _, variant in names])
        candidates = rank(tally)

        assert {puzzle for puzzle, _ in names} == {case["task"]}
        assert [it.grid for it in candidates] == [Grid.from_rows(it["grid"]) for it in expected]
        assert [it.count for it in candidates] == [it["count"] for it in expected]
        assert [it.mean_q_halt for it in candidates] == pytest.approx(
            [it["mean_q_halt"] for it in expected], abs=1e-6
        )
        assert tally.abstained == num_empty
