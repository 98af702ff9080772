// Cases come from the service's own code: [{dihedral, palette, grid, applied}].

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { applyVariant, invertVariant } from "./js/variants.js";

const CASES = JSON.parse(readFileSync(new URL("variant_cases.json", import.meta.url), "utf8"));

test("variants look here as they do to the service", () => {
  assert.ok(CASES.length >= 16);
  for (const { grid, applied, ...variant } of CASES)
    assert.deepEqual(applyVariant(grid, variant), applied);
});

test("a variant undone is the grid it was made of", () => {
  for (const { grid, applied, ...variant } of CASES)
    assert.deepEqual(invertVariant(applied, variant), grid);
});

test("a number that is no symmetry is refused", () => {
  assert.throws(() => applyVariant([[1]], { dihedral: 8, palette: [0, 1] }), RangeError);
});
