"""The options of the commands that have puzzles voted on, here or by a service."""

from typing import Annotated, Literal

import typer

MaxSegmentsOption = Annotated[
    int | None,
    typer.Option("--max-segments", min=1, help="Default: the checkpoint's halt_max_steps."),
]
RankingOption = Annotated[
    Literal["count", "q_weighted"],
    typer.Option("--ranking", help="count: votes, then mean q. q_weighted: the sum of q."),
]
StopEarlyOption = Annotated[
    bool,
    typer.Option("--stop-early/--whole-vote", help="Stop once the attempts can no longer change."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Draws the variants when fewer than all vote.")
]
URLOption = Annotated[
    str | None, typer.Option("--url", help="Have a service solve, such as http://HOST:8400.")
]
APIKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        help="For --url. Others on this machine may see it here: better in HRM_ARC_API_KEY.",
    ),
]
