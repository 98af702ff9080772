import assert from "node:assert/strict";
import { test } from "node:test";

import { attemptsText, progressOf, timesOf, titleOf, verdictOf } from "./js/job_words.js";
import { describeColours, describeTurn } from "./js/variants.js";
import * as votes from "./js/votes.js";
import { about, left, percent, seconds, timeAgo } from "./js/words.js";

const A = [
  [1, 2],
  [3, 4],
];
const B = [
  [1, 2],
  [3, 5],
];

test("agreement is the share of all votes with that colour in that cell", () => {
  const shares = votes.agreement(A, [
    { grid: A, count: 6 },
    { grid: B, count: 3 },
    { grid: [[1]], count: 1 },
  ]);
  assert.deepEqual(shares, [
    [0.9, 0.9],
    [0.9, 0.6],
  ]);
  assert.deepEqual(votes.weakest(shares), {
    share: 0.6,
    row: 1,
    column: 1,
    mean: (0.9 * 3 + 0.6) / 4,
  });
});

test("votes that all agree agree wholly, however many candidates they come from", () => {
  const entries = Array.from({ length: 7 }, () => ({ grid: A, count: 3 }));
  assert.deepEqual(votes.agreement(A, entries), [
    [1, 1],
    [1, 1],
  ]);
  assert.deepEqual(votes.agreement(A, []), [
    [0, 0],
    [0, 0],
  ]);
});

test("single variants tell the votes where all were kept, else the candidates do", () => {
  const candidates = [{ grid: A, count: 2, share: 1 }];
  const variants = [{ output: A }, { output: A }, { output: B }, { output: null }];
  assert.deepEqual(votes.ballots({ candidates, variants, variants_used: 4 }), [
    { grid: A, count: 2 },
    { grid: B, count: 1 },
  ]);
  assert.deepEqual(votes.ballots({ candidates, variants, variants_used: 5 }), [
    { grid: A, count: 2 },
  ]);
  assert.deepEqual(votes.ballots({ candidates, variants_used: 2 }), [{ grid: A, count: 2 }]);
});

test("a variant is for one of two attempts, for another grid, or for none", () => {
  const attempts = [A, B, [[9]]];
  const side = (output) => votes.sideOf({ output }, attempts);
  assert.deepEqual([A, B, [[9]], [[0]], null].map(side), [0, 1, "other", "other", "none"]);
});

test("segments are counted without gaps", () => {
  const traces = [1, 4, 4, 2].map((segments) => ({ segments }));
  assert.deepEqual(votes.segmentCounts(traces), [
    [1, 1],
    [2, 1],
    [3, 0],
    [4, 2],
  ]);
  assert.deepEqual(votes.segmentCounts([]), []);
});

test("a variant is reported in words", () => {
  const palette = [0, 2, 1, 3, 4, 5, 6, 7, 8, 9];
  assert.equal(describeColours({ palette }), "colours: blue to red, red to blue");
  assert.equal(describeTurn({ dihedral: 3 }), "turned 90° right");
});

test("how far a job is", () => {
  const running = { outcomes: 30, asked: 120, decided: 1, test_inputs: 2, tests: [] };
  assert.deepEqual(progressOf({ state: "running", progress: running }), {
    share: 0.25,
    text: "30 of 120 variants have answered, 1 of 2 test inputs settled",
  });
  assert.equal(progressOf({ state: "queued", progress: null }).share, null);
  const adaptation = {
    checkpoint: "base",
    phase: "all",
    used_share: 0.5,
    steps: 1200,
    seconds: 61,
    loss: null,
    held_out_share: 0.25,
  };
  const { share, text } = progressOf({ state: "adapting", progress: { ...running, adaptation } });
  assert.equal(share, 0.5);
  assert.equal(text, "Adapting base, step 2 of 3");
  assert.equal(
    progressOf({
      state: "adapting",
      progress: { ...running, adaptation: { ...adaptation, phase: "waiting" } },
    }).text,
    "Adapting base: waiting for its turn",
  );
  assert.equal(progressOf({ state: "running", progress: null }).text, "Starting …");
});

test("what is left of an adaptation is reported by the service, or by the time it may take", () => {
  const measured = { used_share: 0.5, expected_s: 90, remaining_s: 30 };
  assert.deepEqual(timesOf(measured, { adapt_s: 60 }), { all: 90, left: 30 });
  assert.deepEqual(timesOf({ used_share: 0.25 }, { adapt_s: 60 }), { all: 60, left: 45 });
  assert.deepEqual(timesOf({ used_share: 0.25 }, {}), { all: null, left: null });
});

test("a tab tells how its job stands", () => {
  const progress = { outcomes: 30, asked: 120, decided: 0, test_inputs: 1, tests: [] };
  assert.equal(titleOf({ state: "running", name: "x", progress }), "25% x");
  assert.equal(titleOf({ state: "succeeded", name: "x", progress }), "done x");
  assert.equal(titleOf({ state: "queued", name: "x", progress: null }), "queued x");
});

test("attempts are copied as a submission holds them", () => {
  const text = attemptsText({ tests: [{ attempts: [A, B] }, { attempts: [] }] });
  assert.deepEqual(JSON.parse(text), [{ attempt_1: A, attempt_2: B }, {}]);
});

test("what was right is reported only where something was expected", () => {
  assert.equal(verdictOf([{}, {}]), "2 test inputs answered.");
  assert.equal(verdictOf([{ right: true }, { right: false }, {}]), "1 of 2 right.");
});

test("no share but the whole is 100%, none but nothing 0%", () => {
  assert.deepEqual([0, 0.001, 0.004, 0.5, 0.999, 1].map(percent), [
    "0%",
    "< 1%",
    "< 1%",
    "50%",
    "> 99%",
    "100%",
  ]);
});

test("times are reported shortly", () => {
  assert.deepEqual([0.0002, 0.04, 2.34, 75].map(seconds), [
    "< 1 ms",
    "40 ms",
    "2.3 s",
    "1 min 15 s",
  ]);
  assert.deepEqual(
    [3.2, 31, 75, 130].map((value) => about(value)),
    ["about 4 s", "about 35 s", "about 75 s", "about 2 minutes"],
  );
  assert.equal(about(130, "s"), "about 2 min");
  assert.deepEqual([0.2, 9.1, 61, 200].map(left), [
    "almost done",
    "10 s left",
    "65 s left",
    "about 3 min left",
  ]);
  const now = Date.parse("2026-11-22T10:00:00Z");
  assert.equal(timeAgo("2026-11-22T09:58:30Z", now), "1 min ago");
  assert.equal(timeAgo("2026-11-22T10:00:05Z", now), "just now");
});
