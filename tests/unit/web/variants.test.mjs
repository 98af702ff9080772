// Cases come from the service's own code: [{dihedral, palette, grid, applied}].

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { SUDOKU } from "./js/kinds.js";
import { applyVariant, describeColours, describeTurn, invertVariant } from "./js/variants.js";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const CASES = read("variant_cases.json");
const SUDOKU_CASES = read("sudoku_cases.json");

test("variants look here as they do to the service", () => {
  assert.ok(CASES.length >= 16);
  for (const { grid, applied, ...variant } of CASES)
    assert.deepEqual(applyVariant(grid, variant), applied);
});

test("a variant undone is the grid it was made of", () => {
  for (const { grid, applied, ...variant } of CASES)
    assert.deepEqual(invertVariant(applied, variant), grid);
});

test("variants of a Sudoku look here as they do to the service", () => {
  assert.ok(SUDOKU_CASES.some(({ dihedral }) => dihedral === 6));
  for (const { grid, applied, ...variant } of SUDOKU_CASES)
    assert.deepEqual(applyVariant(grid, variant), applied);
  assert.equal(
    describeTurn({ dihedral: 6, rows: [1, 0], columns: [0, 1] }),
    "rows and columns moved, mirrored along the main diagonal",
  );
  assert.equal(describeTurn({ dihedral: 0, rows: [0, 1], columns: [0, 1] }), "as it is");
  assert.equal(describeColours({ palette: [0, 2, 1] }, SUDOKU), "digits: 1 to 2, 2 to 1");
});

test("a number that is no symmetry is refused", () => {
  assert.throws(() => applyVariant([[1]], { dihedral: 8, palette: [0, 1] }), RangeError);
});
