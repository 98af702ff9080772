import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { DraftStore } from "./js/draft_store.js";
import { WRONG } from "./js/grids.js";
import { readTask } from "./js/task.js";

const PLACE = { part: "train", index: 0, member: "input" };

beforeEach(() => {
  const kept = new Map();
  globalThis.localStorage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, text) => kept.set(name, text),
    removeItem: (name) => kept.delete(name),
  };
});

function opened(document) {
  const store = new DraftStore();
  store.load(readTask(document));
  return store;
}

const TASK = {
  name: "mine",
  train: [{ input: [[1, 2]], output: [[3]] }],
  test: [{ input: [[4, 5]] }],
};

test("what was drawn is there again after a reload, faults included", () => {
  const store = opened(TASK);
  store.setGrid(PLACE, [[7, WRONG]]);
  store.save();
  const again = new DraftStore();
  assert.ok(!again.isFresh);
  assert.deepEqual(again.draft, store.draft);
  assert.deepEqual(
    again.faults.map(({ pointer }) => pointer),
    ["/train/0/input/0/1"],
  );
});

test("something else in its place does no harm", () => {
  for (const text of ["5", "[]", "{", '"x"', '{"train": 3}']) {
    localStorage.setItem("hrm-arc.draft", text);
    assert.ok(new DraftStore().draft.train.length >= 1);
  }
});

test("without storage the page begins anew each time", () => {
  delete globalThis.localStorage;
  const store = new DraftStore();
  assert.ok(store.isFresh);
  store.save();
});

test("every change is reported, and can be taken back", () => {
  const store = opened(TASK);
  let changes = 0;
  store.addEventListener("change", () => changes++);
  store.setGrid(PLACE, [[9, 9]]);
  store.rename("other");
  store.undo();
  assert.equal(changes, 3);
  assert.equal(store.draft.name, "mine");
  assert.deepEqual(store.grid(PLACE), [[9, 9]]);
  store.undo();
  assert.deepEqual(store.grid(PLACE), [[1, 2]]);
  store.redo();
  assert.deepEqual(store.grid(PLACE), [[9, 9]]);
});

test("a new pair is black, and as large as the one before", () => {
  const store = opened(TASK);
  store.add("train");
  store.add("test");
  assert.deepEqual(store.draft.train[1], { input: [[0, 0]], output: [[0]] });
  assert.deepEqual(store.draft.test[1], { input: [[0, 0]], output: null });
});

test("a puzzle keeps one pair of each kind, and takes ten", () => {
  const store = opened(TASK);
  assert.ok(!store.canRemove("train"));
  for (let number = 1; number < 10; number++) store.add("train");
  assert.ok(!store.canAdd("train"));
  store.remove("train", 0);
  assert.ok(store.canAdd("train"));
  assert.deepEqual(store.grid(PLACE), [[0, 0]]);
});

test("before the puzzle that a page begins with there is nothing to go back to", () => {
  const store = new DraftStore();
  store.begin(readTask(TASK));
  assert.ok(!store.canUndo);
  assert.ok(!store.isEdited);
});

test("what was drawn would be lost, what was only opened would not", () => {
  const store = opened(TASK);
  assert.ok(!store.isEdited);
  store.setGrid(PLACE, [[9, 9]]);
  assert.ok(store.isEdited);
  store.load(readTask(TASK));
  assert.ok(!store.isEdited);
  store.save();
  assert.ok(new DraftStore().isEdited);
});
