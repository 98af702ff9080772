// One job that is looked at: asked for, followed while it goes on, cancelled.

import { Problem, isFinal } from "./api.js";

const AGAIN_AFTER_MS = 4000;

// Fires "change" with what there is to show: {job, task, isOffline, problem}.
export class JobFollower extends EventTarget {
  #api;
  #abort = null;

  constructor(api) {
    super();
    this.#api = api;
    this.id = null;
    this.view = null;
  }

  // Opens a job, picking it up wherever it is. A task that is at hand need not be asked for.
  async open(id, { job = null, task = null } = {}) {
    this.close();
    this.id = id;
    const abort = new AbortController();
    this.#abort = abort;
    this.#show({ job, task, isOffline: false, problem: null });
    try {
      if (job === null || task === null) {
        [job, task] = await Promise.all([job ?? this.#api.job(id), task ?? this.#api.task(id)]);
      }
      if (abort.signal.aborted) return;
      this.#show({ job, task });
      if (isFinal(job.state)) return;
      await this.#api.follow(id, (kind, data) => this.#hear(kind, data), abort.signal);
      if (!abort.signal.aborted) await this.#finish(id, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#show({ problem: error });
      if (!(error instanceof Problem)) await this.#tryAgain(id, abort.signal);
    }
  }

  close() {
    this.#abort?.abort();
    this.#abort = null;
    this.id = null;
    this.view = null;
  }

  async cancel() {
    const { id } = this;
    const job = await this.#api.cancel(id);
    if (this.id === id) this.#show({ job: { ...this.view.job, ...job } });
  }

  #hear(kind, data) {
    if (kind === "offline") {
      this.#show({ isOffline: true });
      return;
    }
    const changed =
      kind === "progress" ? { progress: data } : { state: data.state, attempts: data.attempts };
    // The end is shown when its answer is there.
    if (kind === "state" && isFinal(data.state)) return;
    this.#show({ job: { ...this.view.job, ...changed }, isOffline: false });
  }

  async #finish(id, signal) {
    const job = await this.#api.job(id);
    if (!signal.aborted) this.#show({ job, isOffline: false });
  }

  async #tryAgain(id, signal) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    if (!signal.aborted) await this.open(id);
  }

  #show(changed) {
    this.view = { ...this.view, ...changed };
    this.dispatchEvent(new Event("change"));
  }
}
