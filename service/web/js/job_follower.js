// One job that is looked at: asked for, followed while it goes on, cancelled.

import { Problem, isFinal } from "./api.js";
import { readTask } from "./task.js";

const AGAIN_AFTER_MS = 4000;

// Fires "change" with what there is to show: {job, task, isOffline, problem}; the task is a draft.
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
        [job, task] = await Promise.all([job ?? this.#api.job(id), task ?? this.#draft(id)]);
      }
      if (abort.signal.aborted) return;
      this.#show({ job, task });
      if (isFinal(job.state)) return;
      let last = null;
      const hear = (kind, data) => {
        last = data;
        this.#hear(kind, data);
      };
      await this.#api.follow(id, hear, abort.signal);
      if (!abort.signal.aborted) await this.#finish(id, last, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#show({ problem: error });
      if (!(error instanceof Problem)) await this.#tryAgain(id, abort.signal);
    }
  }

  async #draft(id) {
    return readTask(await this.#api.task(id)).draft;
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
    // The end is shown when its answer is there.
    if (kind !== "progress" && isFinal(data.state)) return;
    const { job } = this.view;
    const changed =
      kind === "progress"
        ? { progress: data, state: stateBy(data, job.state) }
        : { state: data.state, attempts: data.attempts };
    this.#show({ job: { ...job, ...changed }, isOffline: false });
  }

  // The last event holds the whole job; that of an older service, only its state.
  async #finish(id, last, signal) {
    const job = last?.result !== undefined ? last : await this.#api.job(id);
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

// Progress says whether a job is adapting, whichever of two events comes first.
function stateBy({ adaptation }, state) {
  if (adaptation) return "adapting";
  return state === "adapting" ? "running" : state;
}
