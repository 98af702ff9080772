import assert from "node:assert/strict";
import { test } from "node:test";

import { WRONG } from "./js/grids.js";
import { KINDS, kindOfText } from "./js/kinds.js";
import * as tasks from "./js/task.js";

const TASK = {
  train: [
    {
      input: [
        [1, 2],
        [3, 4],
      ],
      output: [
        [4, 3],
        [2, 1],
      ],
    },
  ],
  test: [{ input: [[5, 6]] }, { input: [[7]], output: [[8]] }],
};

function read(changed) {
  const document = structuredClone(TASK);
  changed(document);
  return tasks.readTask(document);
}

test("a task becomes a draft, and the draft the same task", () => {
  const { draft, faults } = tasks.readTask(TASK, "mine");
  assert.deepEqual(faults, []);
  assert.equal(draft.name, "mine");
  assert.equal(draft.test[0].output, null);
  assert.deepEqual(tasks.taskDocument(draft), { name: "mine", ...TASK });
});

test("a draft's text gives the draft again, a row a line", () => {
  const { draft } = tasks.readTask(TASK);
  const text = tasks.taskText(draft);
  assert.deepEqual(JSON.parse(text), tasks.taskDocument(draft));
  assert.match(text, /\[1,2\]/);
});

test("a wrong cell is pointed to, and shown as wrong", () => {
  for (const value of [10, -1, 1.5, "3", null, [1], true]) {
    const { draft, faults } = read((document) => {
      document.train[0].input[1][0] = value;
    });
    assert.deepEqual(
      faults.map(({ pointer }) => pointer),
      ["/train/0/input/1/0"],
    );
    assert.match(faults[0].detail, /is not a colour; give a whole number 0\.\.9/);
    assert.deepEqual(draft.train[0].input, [
      [1, 2],
      [WRONG, 4],
    ]);
  }
});

test("a short row is pointed to where it ends", () => {
  const { draft, faults } = read((document) => {
    document.test[0].input = [[1], [1, 2, 3]];
  });
  assert.deepEqual(
    faults.map(({ pointer }) => pointer),
    ["/test/0/input/0/1"],
  );
  assert.deepEqual(draft.test[0].input, [
    [1, WRONG, WRONG],
    [1, 2, 3],
  ]);
});

test("what is no grid at all is still something to draw on", () => {
  for (const value of ["x", [], [[]], 3, { a: 1 }]) {
    const { draft, faults } = read((document) => {
      document.train[0].output = value;
    });
    assert.deepEqual(faults, [
      { pointer: "/train/0/output", detail: "is not a grid; give a list of rows" },
    ]);
    assert.deepEqual(draft.train[0].output, [[WRONG]]);
  }
});

test("grids and lists that are too long are cut, and that is said", () => {
  const rows = Array.from({ length: 31 }, () => new Array(32).fill(1));
  const { draft, faults } = read((document) => {
    document.test[0].input = rows;
    document.train = Array.from({ length: 11 }, () => document.train[0]);
  });
  assert.deepEqual(
    faults.map(({ pointer }) => pointer),
    ["/train", "/test/0/input", "/test/0/input"],
  );
  assert.equal(draft.train.length, 10);
  assert.equal(draft.test[0].input.length, 30);
  assert.equal(draft.test[0].input[0].length, 30);
});

test("a demonstration without an output is at fault, a test input without one is not", () => {
  const { faults } = read((document) => {
    delete document.train[0].output;
    document.test[1].output = null;
  });
  assert.deepEqual(faults, [{ pointer: "/train/0/output", detail: "is missing; add it" }]);
});

test("one text may hold one task or many by id", () => {
  assert.equal(tasks.readTasks(JSON.stringify(TASK)).length, 1);
  const many = tasks.readTasks(JSON.stringify({ a: TASK, b: TASK, note: "x" }));
  assert.deepEqual(
    many.map(({ draft }) => draft.name),
    ["a", "b"],
  );
});

const SUDOKU = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
const WAY = ["S #  ", "#   #", "# # G"];

test("a Sudoku is read in each of its forms, and written in one", () => {
  const rows = SUDOKU.match(/.{9}/g);
  const lists = rows.map((row) => [...row].map((sign) => Number(sign.replace(".", "0"))));
  for (const form of [SUDOKU, rows, lists, rows.join("\n"), SUDOKU.replaceAll(".", "0")]) {
    const { draft, faults } = tasks.readTask({ sudoku: form }, "mine");
    assert.deepEqual(faults, []);
    assert.equal(draft.kind, "sudoku");
    assert.deepEqual(draft.train, []);
    assert.deepEqual(tasks.taskDocument(draft), { name: "mine", sudoku: lists });
  }
});

test("a maze and its answer are read and written as rows", () => {
  const answer = ["So#  ", "#ooo#", "# #oG"];
  for (const form of [WAY, WAY.join("\n"), `${WAY.join("\r\n")}\r\n`]) {
    const { draft, faults } = tasks.readTask({ maze: form, answer }, "way");
    assert.deepEqual(faults, []);
    assert.deepEqual(tasks.taskDocument(draft), { name: "way", maze: WAY, answer });
  }
});

test("what is wrong in a Sudoku or a maze is pointed to, kept, and named in words", () => {
  const cases = [
    [{ sudoku: SUDOKU.replace("7", "x") }, "/sudoku/0/4", "Sudoku, row 1, column 5"],
    [{ sudoku: SUDOKU.slice(0, 80) }, "/sudoku/8/8", "Sudoku, row 9, column 9"],
    [{ sudoku: SUDOKU.slice(0, 72) }, "/sudoku", "Sudoku"],
    [{ sudoku: [[0, 10]] }, "/sudoku", "Sudoku"],
    [{ sudoku: null }, "/sudoku", "Sudoku"],
    [{ maze: ["S #", "#?G"] }, "/maze/1/1", "Maze, row 2, column 2"],
    [{ maze: ["SoG"] }, "/maze/0/1", "Maze, row 1, column 2"],
    [{ maze: ["S ", "  G"] }, "/maze/0/2", "Maze, row 1, column 3"],
    [{ maze: WAY, answer: [] }, "/answer", "Answer"],
  ];
  for (const [document, pointer, words] of cases) {
    const { draft, faults } = tasks.readTask(document);
    assert.equal(faults[0].pointer, pointer);
    assert.equal(tasks.placeText(pointer), words);
    if (document.answer) continue;
    const again = tasks.readTask(tasks.taskDocument(draft));
    assert.ok(again.faults.length > 0);
    assert.deepEqual(again.draft.test, draft.test);
    const place = { part: "test", index: 0, member: "input" };
    const fixed = tasks.emptyDraft("x", KINDS[draft.kind]);
    assert.deepEqual(tasks.faultsAfterEdit(faults, fixed, place), []);
  }
});

test("a Sudoku or a maze may be a text as it is, and one of many", () => {
  const kinds = (text) => tasks.readTasks(text).map(({ draft }) => draft.kind);
  assert.deepEqual(kinds(SUDOKU), ["sudoku"]);
  assert.deepEqual(kinds(SUDOKU.replaceAll(".", "0").replace(/.{9}/g, "$&\n")), ["sudoku"]);
  assert.deepEqual(kinds(WAY.join("\n")), ["maze"]);
  assert.deepEqual(kinds(JSON.stringify({ a: { sudoku: SUDOKU }, b: { maze: WAY }, c: TASK })), [
    "sudoku",
    "maze",
    "arc",
  ]);
  for (const text of ["So", "# A heading", "Some words of Great length", "1234", "", " "])
    assert.equal(kindOfText(text), null, text);
});

test("an empty Sudoku and an empty maze have no faults", () => {
  for (const kind of [KINDS.sudoku, KINDS.maze]) {
    const draft = tasks.emptyDraft("x", kind);
    assert.deepEqual(tasks.readTask(tasks.taskDocument(draft)), { draft, faults: [] });
    assert.deepEqual(tasks.allFaults(draft, []), []);
  }
});

test("text that is no task is refused with the place where it goes wrong", () => {
  const said = (text) => {
    try {
      tasks.readTasks(text);
    } catch (error) {
      assert.ok(error instanceof tasks.TaskError);
      return error.message;
    }
    throw new Error(`${text} was taken`);
  };
  assert.match(said('{"train":\n [1,,2]}'), /line 2, column 5/);
  assert.match(said(""), /not JSON/);
  assert.match(said("[1]"), /no task/);
  assert.match(said("{}"), /no task/);
});

test("a pointer is reported in words", () => {
  assert.equal(tasks.placeText("/train/0/input/3/2"), "Demonstration 1, input, row 4, column 3");
  assert.equal(tasks.placeText("/test/1/output"), "Test 2, output");
  assert.equal(tasks.placeText("/options/seed"), "Option seed");
  assert.equal(tasks.placeText(""), "The task");
  assert.equal(tasks.placeText(undefined), "The task");
});

test("painting a wrong cell mends its fault, and no other", () => {
  const { draft, faults } = read((document) => {
    document.train[0].input = [["x", "y"]];
    document.test[0].input[0][0] = 11;
  });
  assert.equal(faults.length, 3);
  draft.train[0].input = [[3, WRONG]];
  const left = tasks.faultsAfterEdit(faults, draft, { part: "train", index: 0, member: "input" });
  assert.deepEqual(
    left.map(({ pointer }) => pointer),
    ["/train/0/input/0/1", "/test/0/input/0/0"],
  );
});

test("a fault of a whole grid is gone once the grid was changed", () => {
  const { draft } = tasks.readTask(TASK);
  const faults = [
    { pointer: "/train/0/input", detail: "does not fit" },
    { pointer: "/name", detail: "x" },
  ];
  const left = tasks.faultsAfterEdit(faults, draft, { part: "train", index: 0, member: "input" });
  assert.deepEqual(left, [faults[1]]);
});

test("faults behind a pair that was removed move up with their pairs", () => {
  const at = (...pointers) => pointers.map((pointer) => ({ pointer, detail: "x" }));
  const faults = at(
    "/train",
    "/train/0/input",
    "/train/1/input/0/0",
    "/train/2/output/4",
    "/test/2/input",
  );
  const left = tasks.faultsAfterRemoval(faults, "train", 1);
  assert.deepEqual(left, at("/train/0/input", "/train/1/output/4", "/test/2/input"));
});

test("cells that were never painted are found before a task is sent", () => {
  const { draft } = tasks.readTask(TASK);
  draft.test[1].output = [
    [0, WRONG],
    [WRONG, WRONG],
  ];
  assert.deepEqual(
    tasks.allFaults(draft, []).map(({ pointer }) => pointer),
    ["/test/1/output/0/1", "/test/1/output/1/0"],
  );
});
