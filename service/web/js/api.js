// The service's addresses, as calls. Addresses are relative: the page may live behind a prefix.

import { EventDecoder } from "./sse.js";

const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

export const isFinal = (state) => FINAL.has(state);

// The service says no: `code` for programs, `message` for people, `errors` with pointers.
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? document.title ?? `The service answered with status ${status}.`);
    this.code = document.code ?? "unknown";
    this.status = status;
    this.errors = document.errors ?? [];
    this.document = document;
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The service cannot be reached. It may be restarting: try again in a moment.");
    this.code = "unreachable";
  }
}

export class API {
  #keys;

  // `keys` gives the key to send, and asks for another when one is refused.
  constructor(keys) {
    this.#keys = keys;
  }

  checkpoints() {
    return this.#json("v1/checkpoints");
  }

  // A page of a checkpoint's puzzles; `next` of the page before leads on.
  puzzles(name, next = null) {
    return this.#json(
      next?.slice(1) ?? `v1/checkpoints/${encodeURIComponent(name)}/puzzles?limit=1000`,
    );
  }

  puzzle(name, hash) {
    return this.#json(`v1/checkpoints/${encodeURIComponent(name)}/puzzles/${hash}`);
  }

  jobs(next = null, limit = 20) {
    return this.#json(next?.slice(1) ?? `v1/jobs?limit=${limit}`);
  }

  job(id) {
    return this.#json(`v1/jobs/${id}`);
  }

  task(id) {
    return this.#json(`v1/jobs/${id}/task`);
  }

  cancel(id) {
    return this.#json(`v1/jobs/${id}`, { method: "DELETE" });
  }

  // The idempotency key makes one job of one press of the button, however often the network fails.
  submit(document, idempotencyKey) {
    return this.#post("v1/jobs", document, idempotencyKey);
  }

  batches(next = null) {
    return this.#json(next?.slice(1) ?? "v1/batches?limit=20");
  }

  batch(id) {
    return this.#json(`v1/batches/${id}`);
  }

  cancelBatch(id) {
    return this.#json(`v1/batches/${id}`, { method: "DELETE" });
  }

  submitBatch(document, idempotencyKey) {
    return this.#post("v1/batches", document, idempotencyKey);
  }

  async submission(id) {
    return (await this.#fetch(`v1/batches/${id}/submission.json`, {})).blob();
  }

  adapted() {
    return this.#json("v1/adapted");
  }

  async removeAdapted(id) {
    await this.#fetch(`v1/adapted/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  // Whether jobs will be worked on: {isReachable, isReady, workers}. Needs no key, so it asks for none.
  async ready(signal) {
    let response;
    try {
      response = await fetch("health/ready", { signal, cache: "no-store" });
    } catch {
      return { isReachable: false, isReady: false, workers: 0 };
    }
    if (!response.ok) return { isReachable: true, isReady: false, workers: 0 };
    const { workers } = await response.json();
    return { isReachable: true, isReady: true, workers };
  }

  // Calls `notify(kind, data)` for every event of a job until it ends; connects again when cut off.
  async follow(id, notify, signal) {
    let last = "";
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      try {
        const headers = last === "" ? {} : { "Last-Event-ID": last };
        const response = await this.#fetch(`v1/jobs/${id}/events`, { headers, signal });
        if (response.status === 204) return;
        const decoder = new EventDecoder();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          for (const event of decoder.push(value)) {
            const data = JSON.parse(event.data);
            last = event.id;
            pauseMs = FIRST_PAUSE_MS;
            notify(event.event, data);
            if (event.event !== "progress" && isFinal(data.state)) return;
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && error.status < 500) throw error;
        notify("offline", null);
      }
      await pause(pauseMs, signal);
      if (signal.aborted) return;
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  #post(path, document, idempotencyKey) {
    return this.#json(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey },
      body: JSON.stringify(document),
    });
  }

  async #json(path, options = {}) {
    return (await this.#fetch(path, options)).json();
  }

  async #fetch(path, options) {
    for (;;) {
      const key = this.#keys.current;
      const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
      let response;
      try {
        response = await fetch(path, { ...options, headers, cache: "no-store" });
      } catch (error) {
        if (options.signal?.aborted) throw error;
        throw new Unreachable();
      }
      if (response.ok) return response;
      const problem = new Problem(await problemDocument(response), response.status);
      if (response.status !== 401) throw problem;
      const reason = key ? "API key not recognised." : "This service needs an API key.";
      // Somebody may have typed a key while this was under way.
      if (this.#keys.current === key && !(await this.#keys.ask(reason))) throw problem;
    }
  }
}

async function problemDocument(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, milliseconds);
    signal.addEventListener("abort", over);
  });
}
