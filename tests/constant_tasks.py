"""Four tasks that a model of a few thousand weights learns, and the checkpoints that have."""

import shutil
from pathlib import Path

from augment import Task, parse_task

INPUTS = (
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    [[0, 1, 1], [2, 0, 3], [4, 4, 0]],
    [[5, 0, 6], [0, 7, 0], [8, 0, 9]],
)
OUTPUTS = {
    "square": [[1, 1], [1, 1]],
    "bar": [[3, 3, 3]],
    "steps": [[5, 0], [6, 5]],
    "column": [[2], [7], [2]],
}


def make_constant_tasks() -> tuple[Task, ...]:
    """Return four tasks over the same inputs, each with one output whatever the input.

    So only the puzzle row determines the answer. "square" has two test inputs, which are equal.
    """
    return tuple(
        parse_task(
            {
                "train": [{"input": rows, "output": output} for rows in INPUTS],
                "test": [{"input": INPUTS[0], "output": output}] * (2 if name == "square" else 1),
            },
            name,
        )
        for name, output in OUTPUTS.items()
    )


def train_on_constant_tasks(folder: Path) -> tuple[Path, Path]:
    """Train a tiny model on the four tasks, 6 variants each: as it was early on, and at the end."""
    import torch  # here, so that tests of the rooms without torch start without it
    from hidden_orders import TINY_ARCH

    from hrm_core import ARC_VOCAB_SIZE, Pretraining, TrainSettings, parse_arch
    from service.adaptation.dataset import build_dataset
    from service.solving.records import PUZZLES_NAME, index_document

    puzzles = [task.puzzle for task in make_constant_tasks()]
    dataset = build_dataset(puzzles, 3, 6, seed=0)
    config = parse_arch({"arch": TINY_ARCH}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=9, num_rows=len(dataset.identifiers)
    )
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = Pretraining(
        folder / "end",
        config,
        dataset.arrays,
        TrainSettings(num_steps=300, batch_size=48, lr=2e-3, warmup_steps=10),
        {
            "identifiers.json": list(dataset.identifiers),
            PUZZLES_NAME: index_document(dataset.puzzles),
        },
        device=torch.device("cpu"),
        compile_step=False,
    )
    run.train(lambda progress: None, lambda: run.step >= 100)
    shutil.copytree(folder / "end", folder / "early")
    run.train(lambda progress: None)
    torch.set_num_threads(num_threads)
    return folder / "early", folder / "end"
