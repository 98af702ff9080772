import assert from "node:assert/strict";
import { test } from "node:test";

import { jsonFault } from "./js/json_place.js";

const GOOD =
  '{"train": [{"input": [[0, 1], [2, -3.5e2]], "n": null}], "t": [], "e": {}, "s": "a\\"b\\u00e4"}';

test("the first wrong character is found", () => {
  const found = (text) => {
    const { line, column, found: character } = jsonFault(text);
    return [line, column, character];
  };
  assert.deepEqual(found("[1,,2]"), [1, 4, ","]);
  assert.deepEqual(found('{"a":\n  [1 2]}'), [2, 6, "2"]);
  assert.deepEqual(found("[1, 2"), [1, 6, ""]);
  assert.deepEqual(found("[1, 2]]"), [1, 7, "]"]);
  assert.deepEqual(found('{"a": 1,}'), [1, 9, "}"]);
  assert.deepEqual(found("{a: 1}"), [1, 2, "a"]);
  assert.deepEqual(found("[01]"), [1, 3, "1"]);
  assert.deepEqual(found("[1,]"), [1, 4, "]"]);
  assert.deepEqual(found('["a\nb"]'), [1, 2, '"']);
});

test("every cut of a good text is found to end too early, or where it is cut", () => {
  for (let at = 1; at < GOOD.length; at++) {
    const cut = GOOD.slice(0, at);
    assert.throws(() => JSON.parse(cut));
    assert.ok(jsonFault(cut).line === 1 && jsonFault(cut).column <= at + 1);
  }
  assert.equal(jsonFault(GOOD).found, "");
});
