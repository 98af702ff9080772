import assert from "node:assert/strict";
import { test } from "node:test";

import { API } from "./js/api.js";
import { BatchBook } from "./js/batch_book.js";
import { countsText } from "./js/batch_item.js";
import { json, keys, served } from "./serving.mjs";

const JOBS = [
  { id: "a", priority: "interactive" },
  { id: "b", priority: "batch" },
  { id: "c", priority: "batch" },
];
const DETAIL = {
  id: "B",
  puzzles: [
    { puzzle: "x", job: "b" },
    { puzzle: "y", job: null },
  ],
};

test("the jobs of a batch are left out, and which they are is asked for once", async () => {
  const book = new BatchBook(new API(keys()));
  const seen = await served([json({ batches: [{ id: "B" }] }), json(DETAIL)], async () => {
    await book.refresh();
    for (let time = 0; time < 2; time++) {
      const left = await book.without(JOBS);
      assert.deepEqual(
        left.map(({ id }) => id),
        ["a", "c"],
      );
    }
  });
  assert.deepEqual(
    seen.map(({ url }) => url),
    ["/under/v1/batches?limit=20", "/under/v1/batches/B"],
  );
});

test("a batch that is open is looked at again with the list", async () => {
  const book = new BatchBook(new API(keys()));
  book.setOpen("B", true);
  await served([json({ batches: [{ id: "B" }] }), json(DETAIL)], () => book.refresh());
  assert.deepEqual(book.detailOf("B"), DETAIL);
});

test("a batch is reported by its counts", () => {
  const counts = { total: 9, succeeded: 4, failed: 1, refused: 2, adapting: 1, cancelled: 0 };
  assert.equal(countsText(counts), "4 of 9 answered, 1 adapting, 1 failed, 2 refused");
});
