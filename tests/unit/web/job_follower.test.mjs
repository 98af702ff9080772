import assert from "node:assert/strict";
import { test } from "node:test";

import { API } from "./js/api.js";
import { JobFollower } from "./js/job_follower.js";
import { event, json, keys, served, stream } from "./serving.mjs";

const TASK = { name: "x", train: [], test: [] };
const job = (state, more = {}) => ({ id: "j1", state, progress: null, result: null, ...more });

// What a follower showed while it acted, each view in a few words.
function watched(follower) {
  const views = [];
  follower.addEventListener("change", () => {
    const { job: seen, task, isOffline, problem } = follower.view;
    const words = [seen?.state ?? "-", task ? "task" : "-", seen?.progress?.outcomes ?? "-"];
    views.push([...words, ...(isOffline ? ["offline"] : []), problem?.code ?? ""].join(" ").trim());
  });
  return views;
}

test("a job in the middle is picked up, followed, and shown with its answer", async () => {
  const follower = new JobFollower(new API(keys()));
  const views = watched(follower);
  const seen = await served(
    [
      // Which of the two comes first is not said.
      (response) => byAddress(response, "running"),
      (response) => byAddress(response, "running"),
      stream(
        event("1-0", "state", { state: "running", attempts: 1 }) +
          event("2-0", "progress", { outcomes: 7 }) +
          event("3-0", "state", { state: "succeeded", attempts: 1 }),
      ),
      json(job("succeeded", { result: { tests: [] } })),
    ],
    () => follower.open("j1"),
  );
  assert.deepEqual(seen.map(({ url }) => url).sort(), [
    "/under/v1/jobs/j1",
    "/under/v1/jobs/j1",
    "/under/v1/jobs/j1/events",
    "/under/v1/jobs/j1/task",
  ]);
  assert.deepEqual(views, [
    "- - -",
    "running task -",
    "running task -",
    "running task 7",
    "succeeded task -",
  ]);
  assert.deepEqual(follower.view.job.result, { tests: [] });
});

test("an answer that comes with the last event is not asked for", async () => {
  const follower = new JobFollower(new API(keys()));
  const ended = job("succeeded", { result: { tests: [] } });
  const seen = await served(
    [stream(event("1-0", "state", { state: "running" }) + event("2-0", "succeeded", ended))],
    () => follower.open("j1", { job: job("queued"), task: TASK }),
  );
  assert.deepEqual(
    seen.map(({ url }) => url),
    ["/under/v1/jobs/j1/events"],
  );
  assert.deepEqual(follower.view.job, ended);
});

test("progress of an adaptation says that the job is adapting, and votes that it runs", async () => {
  const follower = new JobFollower(new API(keys()));
  const states = [];
  follower.addEventListener("change", () => states.push(follower.view.job.state));
  await served(
    [
      stream(
        event("1-0", "state", { state: "running" }) +
          event("2-0", "progress", { adaptation: { phase: "rows" } }) +
          event("3-0", "progress", { outcomes: 1 }) +
          event("4-0", "state", job("succeeded", { result: {} })),
      ),
    ],
    () => follower.open("j1", { job: job("queued"), task: TASK }),
  );
  assert.deepEqual(states, ["queued", "queued", "running", "adapting", "running", "succeeded"]);
});

test("a job that has ended is not followed", async () => {
  const follower = new JobFollower(new API(keys()));
  const seen = await served(
    [(response) => byAddress(response, "failed"), (response) => byAddress(response, "failed")],
    () => follower.open("j1"),
  );
  assert.equal(seen.length, 2);
  assert.equal(follower.view.job.state, "failed");
});

test("a task that is at hand is not asked for", async () => {
  const follower = new JobFollower(new API(keys()));
  const seen = await served(
    [stream(event("1-0", "state", { state: "cancelled" })), json(job("cancelled"))],
    () => follower.open("j1", { job: job("queued"), task: TASK }),
  );
  assert.deepEqual(
    seen.map(({ url }) => url),
    ["/under/v1/jobs/j1/events", "/under/v1/jobs/j1"],
  );
  assert.equal(follower.view.job.state, "cancelled");
});

test("a job that is not there is reported as the problem it is", async () => {
  const follower = new JobFollower(new API(keys()));
  const gone = json({ code: "job_not_found", detail: "gone" }, 404);
  await served([gone, gone], () => follower.open("j1"));
  assert.equal(follower.view.problem.code, "job_not_found");
});

test("a cancelled job goes on being followed to its end", async () => {
  const follower = new JobFollower(new API(keys()));
  const seen = await served(
    [
      stream(event("1-0", "state", { state: "running" })),
      json(job("running", { cancel_requested: true })),
      stream(event("2-0", "state", { state: "cancelled" })),
      json(job("cancelled", { cancel_requested: true })),
    ],
    async () => {
      const followed = follower.open("j1", { job: job("queued"), task: TASK });
      await new Promise((resolve) => setTimeout(resolve, 150));
      await follower.cancel();
      assert.equal(follower.view.job.cancel_requested, true);
      await followed;
    },
  );
  assert.equal(seen[1].method, "DELETE");
  assert.equal(follower.view.job.state, "cancelled");
});

test("nothing more is shown of a job that was left", async () => {
  const follower = new JobFollower(new API(keys()));
  await served([(response) => response.writeHead(200).flushHeaders()], async () => {
    const followed = follower.open("j1", { job: job("queued"), task: TASK });
    await new Promise((resolve) => setTimeout(resolve, 100));
    follower.close();
    await followed;
  });
  assert.equal(follower.view, null);
});

function byAddress(response, state) {
  const isTask = response.req.url.endsWith("/task");
  json(isTask ? TASK : job(state))(response);
}
