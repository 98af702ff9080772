"""Kaggle's surroundings of a run: where the challenges are, which run it is, and when it ends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from augment import write_atomically
from service.wire.errors import InputError

CHALLENGES_PATTERN = "*test_challenges.json"
RERUN_VARIABLE = "KAGGLE_IS_COMPETITION_RERUN"
# What a run leaves free at the end, for the last step, the report and the notebook.
MARGIN_SHARE, MAX_MARGIN_MINUTES = 0.05, 15.0


def find_challenges(root: Path, competition: str | None = None) -> Path:
    """Return the test challenges of the competition that is attached to a notebook.

    Its folder lies in `root/competitions` or in `root` itself, as Kaggle has had it.

    Raises: InputError for none, and for several where `competition` does not say which.
    """
    slug = competition or "*"
    found = sorted(
        path
        for folder in (root / "competitions", root)
        for path in folder.glob(f"{slug}/{CHALLENGES_PATTERN}")
    )
    if not found:
        raise InputError(
            f"no {slug}/{CHALLENGES_PATTERN} in {root / 'competitions'} or {root}: add the "
            "competition to the notebook's input, or give its folder's parent with --input"
        )
    if len(found) > 1:
        raise InputError(
            f"several challenges: {', '.join(map(str, found))}. Name the folder of one with "
            "--competition"
        )
    return found[0]


def is_rerun(environment: Mapping[str, str]) -> bool:
    """Return whether this is the scored run of a submitted notebook, not one that saves it."""
    return bool(environment.get(RERUN_VARIABLE))


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """The time of a notebook, in minutes; `commit` is that of a run which only saves it.

    `margin` None: a twentieth of the time, a quarter of an hour at the most.
    """

    scored: float
    commit: float
    margin: float | None = None

    def until(self, started_at: float, *, is_scored: bool) -> float:
        """Return when a run that began at a moment has to be done.

        Units: seconds since 1970.
        """
        minutes = self.scored if is_scored else min(self.scored, self.commit)
        margin = self.margin
        if margin is None:
            margin = min(MARGIN_SHARE * minutes, MAX_MARGIN_MINUTES)
        return started_at + 60 * max(0.0, minutes - margin)


def keep_start(path: Path, started_at: float, *, is_fresh: bool) -> float:
    """Return when the run began that this one continues, or keep that it begins now.

    So a run that is killed and started again ends when it would have ended.

    Units: seconds since 1970.

    Raises: InputError for a damaged file.
    """
    if path.exists() and not is_fresh:
        try:
            return float(json.loads(path.read_bytes())["started_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} does not say when the run began ({error!r}): start over with --fresh"
            ) from None
    write_atomically(path, [json.dumps({"started_at": started_at})])
    return started_at
