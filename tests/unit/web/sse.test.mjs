import assert from "node:assert/strict";
import { test } from "node:test";

import { API, Problem, Unreachable, isFinal } from "./js/api.js";
import { EventDecoder } from "./js/sse.js";
import { event, json, keys, served, stream } from "./serving.mjs";

const STREAM =
  ": hello\n\n" +
  'id: 1-0\nevent: state\ndata: {"state":"running"}\n\n' +
  "id: 2-0\r\nevent: progress\r\ndata: {\r\ndata: }\r\n\r\n" +
  "id: 3-0\nevent: none\n\n";

test("events are read the same in whatever pieces they come", () => {
  const whole = new EventDecoder().push(STREAM);
  assert.deepEqual(whole, [
    { id: "1-0", event: "state", data: '{"state":"running"}' },
    { id: "2-0", event: "progress", data: "{\n}" },
  ]);
  for (let size = 1; size < 9; size++) {
    const decoder = new EventDecoder();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size)
      found.push(...decoder.push(STREAM.slice(at, at + size)));
    assert.deepEqual(found, whole, `in pieces of ${size}`);
  }
});

test("an event that is cut off is not told", () => {
  assert.deepEqual(new EventDecoder().push("event: state\ndata: {}\n"), []);
});

test("a job is followed over a cut connection, from the last event that came", async () => {
  const heard = [];
  const seen = await served(
    [
      stream(
        event("1-0", "state", { state: "running" }) + event("2-0", "progress", { outcomes: 1 }),
      ),
      stream(event("3-0", "state", { state: "succeeded" })),
    ],
    async () => {
      const api = new API(keys("secret"));
      await api.follow(
        "j1",
        (kind, data) => heard.push([kind, data]),
        new AbortController().signal,
      );
    },
  );
  assert.deepEqual(heard, [
    ["state", { state: "running" }],
    ["progress", { outcomes: 1 }],
    ["state", { state: "succeeded" }],
  ]);
  assert.deepEqual(
    seen.map(({ url }) => url),
    ["/under/v1/jobs/j1/events", "/under/v1/jobs/j1/events"],
  );
  assert.equal(seen[0].headers["last-event-id"], undefined);
  assert.equal(seen[1].headers["last-event-id"], "2-0");
  assert.equal(seen[1].headers.authorization, "Bearer secret");
});

test("a job that has ended and been heard of is not asked for again", async () => {
  const seen = await served([(response) => response.writeHead(204).end()], async () => {
    await new API(keys()).follow(
      "j1",
      () => assert.fail("nothing was told"),
      new AbortController().signal,
    );
  });
  assert.equal(seen.length, 1);
});

test("a problem carries its code and its places", async () => {
  const document = {
    code: "invalid_request",
    detail: "no",
    errors: [{ pointer: "/train/0", detail: "x" }],
  };
  await served([json(document, 422, "application/problem+json")], async () => {
    await assert.rejects(new API(keys()).submit({}, "key"), (error) => {
      assert.ok(error instanceof Problem);
      assert.deepEqual([error.code, error.status, error.message], ["invalid_request", 422, "no"]);
      assert.deepEqual(error.errors, document.errors);
      return true;
    });
  });
});

test("a key is asked for once it is needed, and sent from then on", async () => {
  const asked = [];
  const ring = {
    current: "",
    ask: async (reason) => {
      asked.push(reason);
      ring.current = "right";
      return true;
    },
  };
  const seen = await served(
    [json({ code: "unauthorized", detail: "send a key" }, 401), json({ jobs: [], next: null })],
    async () => assert.deepEqual(await new API(ring).jobs(), { jobs: [], next: null }),
  );
  assert.deepEqual(asked, ["This service needs an API key."]);
  assert.deepEqual(
    seen.map(({ headers }) => headers.authorization),
    [undefined, "Bearer right"],
  );
});

test("who gives no key is reported that one is needed", async () => {
  await served([json({ code: "unauthorized", detail: "send a key" }, 401)], async () => {
    await assert.rejects(new API(keys()).jobs(), { code: "unauthorized" });
  });
});

test("a service that is away is reported apart from one that says no", async () => {
  await served([(response) => response.destroy()], async () => {
    await assert.rejects(new API(keys()).jobs(), Unreachable);
  });
});

test("a job is sent as JSON under its idempotency key", async () => {
  const seen = await served([json({ id: "j1" }, 202)], async () => {
    await new API(keys()).submit({ name: "ä" }, "once");
  });
  assert.equal(seen[0].method, "POST");
  assert.equal(seen[0].headers["idempotency-key"], "once");
  assert.deepEqual(JSON.parse(seen[0].body), { name: "ä" });
});

test("states that nothing follows are final", () => {
  assert.deepEqual(
    ["queued", "running", "adapting", "succeeded", "failed", "cancelled"].map(isFinal),
    [false, false, false, true, true, true],
  );
});
