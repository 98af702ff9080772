import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { demonstrationsHash, sha256 } from "./js/demonstrations_hash.js";
import { canAdapt, forecastOf, forecastText, usualAdaptS } from "./js/forecast.js";
import { WRONG } from "./js/grids.js";
import { KINDS } from "./js/kinds.js";
import { emptyDraft } from "./js/task.js";

const DRAFT = {
  name: "x",
  kind: "arc",
  train: [{ input: [[1, 2, 3]], output: [[1]] }],
  test: [{ input: [[1], [2], [3], [4]], output: null }],
};
const HASH = demonstrationsHash(DRAFT);
const AUTO = { checkpoint: "", adapt: "auto", adaptS: null, adaptVariants: null };
const SMALL = { name: "small", sha256: "s", canvas: 6, default: true };
const LARGE = { name: "large", sha256: "l", canvas: 12 };

function knowledge(checkpoints, known = {}, adapted = []) {
  const knows = ({ name }, hash) => known[name] === hash;
  return { checkpoints, adapted, knows, isComplete: true };
}

test("bytes are hashed as others hash them", () => {
  for (let length = 0; length < 200; length++) {
    const bytes = Array.from({ length }, (_, index) => (index * 37 + length) % 256);
    const wanted = createHash("sha256").update(Uint8Array.from(bytes)).digest("hex");
    assert.equal(sha256(bytes), wanted);
  }
});

test("demonstrations have the hash that the service knows them by", () => {
  const cases = JSON.parse(readFileSync("hash_cases.json", "utf8"));
  assert.ok(cases.length > 10);
  for (const [task, hash] of cases) {
    assert.equal(demonstrationsHash(task), hash);
    assert.equal(demonstrationsHash({ train: task.train.toReversed() }), hash);
  }
});

test("a puzzle that some checkpoint has learned is known", () => {
  const { kind, checkpoint } = forecastOf(DRAFT, knowledge([SMALL, LARGE], { large: HASH }), AUTO);
  assert.deepEqual([kind, checkpoint.name], ["known", "large"]);
  const only = forecastOf(DRAFT, knowledge([SMALL, LARGE], { large: HASH }), {
    ...AUTO,
    checkpoint: "small",
  });
  assert.deepEqual([only.kind, only.checkpoint.name], ["adapts", "small"]);
});

test("a new puzzle is adapted to by a base that it fits, for as long as that takes", () => {
  const served = [
    { ...SMALL, base: false, adapt_s: null },
    { ...LARGE, base: true, adapt_s: 130 },
  ];
  const forecast = forecastOf(DRAFT, knowledge(served), AUTO);
  assert.deepEqual([forecast.kind, forecast.checkpoint.name], ["adapts", "large"]);
  assert.equal(
    forecastText(forecast, "auto"),
    "A new puzzle: large is adapted to it first, up to about 2 minutes.",
  );
  assert.equal(forecastOf(DRAFT, knowledge(served), { ...AUTO, adaptS: 20 }).adaptS, 20);
  assert.equal(usualAdaptS(served), 130);
});

test("what was adapted to before is answered at once", () => {
  const kept = { demonstrations_sha256: HASH, base_sha256: "s", complete: true, variants: 64 };
  kept.seconds = 19.5;
  const kind = (choice) =>
    forecastOf(DRAFT, knowledge([SMALL], {}, [kept]), { ...AUTO, ...choice }).kind;
  assert.equal(kind({}), "adapted");
  assert.equal(kind({ adaptS: 20, adaptVariants: 64 }), "adapted");
  assert.equal(kind({ adaptS: 40 }), "adapts");
  assert.equal(kind({ adaptVariants: 8 }), "adapts");
  const unfinished = { ...kept, complete: false };
  assert.equal(forecastOf(DRAFT, knowledge([SMALL], {}, [unfinished]), AUTO).kind, "adapts");
});

test("a puzzle that is too large for each base is said to be", () => {
  const bases = [
    { ...SMALL, canvas: 3, base: true, adapt_s: 60 },
    { ...LARGE, base: false, adapt_s: null },
  ];
  const forecast = forecastOf(DRAFT, knowledge(bases), AUTO);
  assert.deepEqual([forecast.kind, forecast.side, forecast.canvas], ["large", 4, 3]);
});

test("without adapting a new puzzle is not learned", () => {
  const off = forecastOf(DRAFT, knowledge([SMALL]), { ...AUTO, adapt: "never" });
  assert.equal(off.kind, "off");
  const served = [{ ...SMALL, base: false, adapt_s: null }];
  assert.ok(!canAdapt(served));
  const forecast = forecastOf(DRAFT, knowledge(served), AUTO);
  assert.equal(forecast.kind, "off");
  assert.match(forecastText(forecast, "auto"), /this service does not adapt/);
});

test("a Sudoku is answered by a checkpoint for Sudoku, and by no other", () => {
  const sudoku = { name: "digits", sha256: "d", canvas: 9, kind: "sudoku" };
  const draft = emptyDraft("x", KINDS.sudoku);
  const forecast = forecastOf(draft, knowledge([SMALL, sudoku]), AUTO);
  assert.deepEqual([forecast.kind, forecast.checkpoint.name], ["answers", "digits"]);
  assert.match(forecastText(forecast, "auto"), /^digits answers Sudoku/);
  const none = forecastOf(draft, knowledge([SMALL]), AUTO);
  assert.equal(forecastText(none, "auto"), "No checkpoint for Sudoku is served here.");
  const other = forecastOf(draft, knowledge([SMALL, sudoku]), { ...AUTO, checkpoint: "small" });
  assert.match(forecastText(other, "auto"), /^small does not answer Sudoku/);
  assert.equal(forecastOf(DRAFT, knowledge([sudoku]), AUTO).kind, "unserved");
  const maze = { ...sudoku, name: "ways", canvas: 5, kind: "maze" };
  const large = forecastOf(emptyDraft("x", KINDS.maze), knowledge([sudoku, maze]), AUTO);
  assert.deepEqual([large.kind, large.side, large.canvas], ["large", 9, 5]);
});

test("nothing is said of what is not known yet", () => {
  assert.equal(forecastOf(DRAFT, knowledge([]), AUTO).kind, "pending");
  const asking = { ...knowledge([SMALL]), isComplete: false };
  assert.equal(forecastOf(DRAFT, asking, AUTO).kind, "pending");
  const wrong = { ...DRAFT, test: [{ input: [[WRONG]], output: null }] };
  assert.equal(forecastOf(wrong, knowledge([SMALL]), AUTO).kind, "pending");
});
