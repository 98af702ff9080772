"""`adaptation.json`: the record of how an adapted checkpoint was made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment import write_atomically
from service.runtime.key_ring import LOCAL_OWNER
from service.wire.answer import AdaptationSummary
from service.wire.errors import AdaptationError

ADAPTATION_NAME = "adaptation.json"


@dataclass(frozen=True, slots=True)
class AdaptationRecord:
    """The record of an adaptation.

    `owner` is the caller of the job that made it, `local` where the file names none. `base` is None
    for one that began with random weights. `demonstrations` are the puzzles' hashes by name.
    `held_out_share` is the last one checked, None where nothing was held out; `held_out_note`
    describes what was.

    Units: seconds of training and of the budget; a budget is None where it had no such limit.
    """

    owner: str
    base: str | None
    base_sha256: str | None
    demonstrations: dict[str, str]
    num_variants: int
    num_steps: int
    seconds: float
    budget_seconds: float | None
    budget_steps: int | None
    held_out_share: float | None
    held_out_note: str
    stopped_early: bool
    is_complete: bool

    def covers(self, seconds: float | None, steps: int | None) -> bool:
        """Return whether a budget would bring no more training than there was."""
        if self.stopped_early:
            return True
        return all(
            past is None or (new is not None and new <= past)
            for new, past in ((seconds, self.budget_seconds), (steps, self.budget_steps))
        )

    def summary(self, *, is_reused: bool) -> AdaptationSummary:
        """Return the summary that an answer contains."""
        return AdaptationSummary(
            base=self.base or "random weights",
            base_sha256=self.base_sha256 or "",
            steps=self.num_steps,
            seconds=self.seconds,
            variants=self.num_variants,
            puzzles=len(self.demonstrations),
            held_out_share=self.held_out_share,
            held_out_note=self.held_out_note,
            stopped_early=self.stopped_early,
            reused=is_reused,
        )


def read_adaptation(folder: Path) -> AdaptationRecord | None:
    """Read a checkpoint folder's `adaptation.json`, or None where it has none.

    Raises: AdaptationError when the file is damaged.
    """
    path = folder / ADAPTATION_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return AdaptationRecord(
            owner=str(document.get("owner", LOCAL_OWNER)),
            base=document["base"],
            base_sha256=document["base_sha256"],
            demonstrations={str(k): str(v) for k, v in document["puzzles"].items()},
            num_variants=int(document["variants"]),
            num_steps=int(document["steps"]),
            seconds=float(document["seconds"]),
            budget_seconds=document["budget"]["seconds"],
            budget_steps=document["budget"]["steps"],
            held_out_share=document["held_out_share"],
            held_out_note=str(document["held_out_note"]),
            stopped_early=bool(document["stopped_early"]),
            is_complete=bool(document["complete"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AdaptationError(
            f"{path} is damaged ({error}): delete the folder and adapt again"
        ) from error


def write_adaptation(folder: Path, document: dict[str, Any]) -> None:
    """Write a folder's `adaptation.json` in one move; make the folder where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ADAPTATION_NAME, [json.dumps(document)])
