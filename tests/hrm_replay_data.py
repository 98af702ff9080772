"""The small data set that HRM's own builder named for `tests/data/golden/replay-hrm`."""

import json
from pathlib import Path
from typing import Any

# With one colour besides black there are nine variants, so that the builder gives up.
SYMMETRIC = {
    "train": [{"input": [[1]], "output": [[0]]}, {"input": [[0]], "output": [[1]]}],
    "test": [{"input": [[1, 1], [1, 1]], "output": [[1]]}],
}
FOLDERS = {"training": "training", "evaluation": "evaluation"}


def write_small_data(data: Path, trm_golden: Path) -> None:
    """Write folders of TRM's small data set, each with a symmetric task besides."""
    for folder, subset in FOLDERS.items():
        (data / folder).mkdir(parents=True)
        tasks: dict[str, Any] = json.loads(
            (trm_golden / f"arc_{subset}_challenges.json").read_text(encoding="utf-8")
        )
        solutions = json.loads(
            (trm_golden / f"arc_{subset}_solutions.json").read_text(encoding="utf-8")
        )
        for name, task in tasks.items():
            for pair, output in zip(task["test"], solutions[name], strict=True):
                pair["output"] = output
        # A name that is not the file's: the listing goes by the file's.
        tasks["m_point"] = SYMMETRIC | {"name": f"point {folder}"}
        for name, task in tasks.items():
            (data / folder / f"{name}.json").write_text(json.dumps(task), encoding="utf-8")
