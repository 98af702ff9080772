import assert from "node:assert/strict";
import { test } from "node:test";

import * as grids from "./js/grids.js";
import { MAZE, SUDOKU, isAdded, lookOf } from "./js/kinds.js";
import { UndoStack } from "./js/undo.js";

const GRID = [
  [1, 1, 0],
  [0, 1, 2],
];

test("grids are equal only in size and all cells", () => {
  assert.ok(
    grids.isEqual(GRID, [
      [1, 1, 0],
      [0, 1, 2],
    ]),
  );
  assert.ok(
    !grids.isEqual(GRID, [
      [1, 1, 0],
      [0, 1, 3],
    ]),
  );
  assert.ok(!grids.isEqual([[1, 2]], [[1], [2]]));
  assert.notEqual(grids.keyOf([[1, 2]]), grids.keyOf([[1], [2]]));
});

test("painting leaves the grid before as it was", () => {
  const painted = grids.withCells(
    GRID,
    [
      [0, 0],
      [1, 2],
    ],
    5,
  );
  assert.deepEqual(painted, [
    [5, 1, 0],
    [0, 1, 5],
  ]);
  assert.deepEqual(GRID, [
    [1, 1, 0],
    [0, 1, 2],
  ]);
});

test("a grid that grows is black where it is new, one that shrinks is cut", () => {
  assert.deepEqual(grids.resize(GRID, 3, 4), [
    [1, 1, 0, 0],
    [0, 1, 2, 0],
    [0, 0, 0, 0],
  ]);
  assert.deepEqual(grids.resize(GRID, 1, 2), [[1, 1]]);
});

test("a region is what hangs together across edges, not corners", () => {
  const places = grids.regionAround(GRID, 0, 0).map(String).sort();
  assert.deepEqual(places, ["0,0", "0,1", "1,1"]);
  assert.deepEqual(grids.regionAround(GRID, 0, 2), [[0, 2]]);
});

test("the largest region is found without running out of stack", () => {
  assert.equal(grids.regionAround(grids.makeGrid(30, 30, 4), 15, 15).length, 900);
});

test("a quick stroke leaves no cell out", () => {
  assert.deepEqual(grids.line([0, 0], [0, 3]), [
    [0, 0],
    [0, 1],
    [0, 2],
    [0, 3],
  ]);
  const slanted = grids.line([4, 1], [0, 3]);
  assert.deepEqual(slanted[0], [4, 1]);
  assert.deepEqual(slanted.at(-1), [0, 3]);
  slanted.slice(1).forEach(([r, c], i) => {
    assert.ok(Math.abs(r - slanted[i][0]) <= 1 && Math.abs(c - slanted[i][1]) <= 1);
  });
  assert.deepEqual(grids.line([2, 2], [2, 2])[0], [2, 2]);
});

test("a rectangle goes from any corner to any other", () => {
  assert.equal(grids.rectangle([2, 3], [1, 1]).length, 6);
});

test("differences are reported where sizes agree, and not at all where they do not", () => {
  assert.deepEqual(
    grids.differences(GRID, [
      [1, 0, 0],
      [0, 1, 2],
    ]),
    [[0, 1]],
  );
  assert.deepEqual(grids.differences(GRID, GRID), []);
  assert.equal(grids.differences(GRID, [[1]]), null);
});

test("a grid is described by its size and its colours, the most frequent first", () => {
  assert.equal(grids.describeGrid(GRID), "2 rows, 3 columns: 3 blue, 2 black, 1 red");
  assert.equal(grids.describeGrid([[grids.WRONG]]), "1 row, 1 column: 1 wrong");
});

test("a Sudoku and a maze are described by their own words", () => {
  assert.equal(grids.describeGrid([[0, 1, 0]], SUDOKU), "1 row, 3 columns: 1 cells filled");
  assert.equal(
    grids.describeGrid([[0, 0, 1, 4, 3]], MAZE),
    "1 row, 5 columns: 2 wall, 1 free, 1 goal, 1 path",
  );
});

test("a maze has one start: set elsewhere, it leaves a free cell", () => {
  const maze = [[2, 1, 3]];
  assert.deepEqual(grids.withCells(maze, [[0, 1]], 2, MAZE), [[1, 2, 3]]);
  assert.deepEqual(grids.withCells(maze, grids.rectangle([0, 0], [0, 2]), 2, MAZE), [[1, 1, 2]]);
  assert.deepEqual(grids.resize(maze, 2, 3, MAZE), [
    [2, 1, 3],
    [1, 1, 1],
  ]);
});

test("what an answer adds is known from the givens", () => {
  const look = lookOf({ kind: "sudoku", test: [{ input: [[5, 0]] }] });
  assert.deepEqual(
    [0, 1].map((column) => isAdded(look, [[5, 3]], 0, column)),
    [false, true],
  );
  assert.ok(!isAdded({ ...look, givens: null }, [[5, 3]], 0, 1));
});

test("a grid's text is JSON that gives the grid again", () => {
  assert.deepEqual(JSON.parse(grids.rowsAsText(GRID)), GRID);
  assert.deepEqual(JSON.parse(grids.rowsAsText([[2, 1, 0, 3]], MAZE)), ["S #G"]);
});

test("steps are taken back and done again until something else is done", () => {
  const steps = new UndoStack("a");
  assert.ok(!steps.canUndo && !steps.undo());
  steps.push("b");
  steps.push("b");
  steps.push("c");
  assert.ok(steps.undo());
  assert.equal(steps.value, "b");
  assert.ok(steps.redo());
  assert.equal(steps.value, "c");
  steps.undo();
  steps.push("d");
  assert.ok(!steps.canRedo);
  steps.undo();
  steps.undo();
  assert.equal(steps.value, "a");
});
