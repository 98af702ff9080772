// The batches of this caller, with the puzzles of those that are opened, and which jobs are theirs.

import { isBatchFinal } from "./batch_item.js";

export class BatchBook {
  #api;
  #members = new Map(); // by batch, the ids of its jobs
  #details = new Map();
  #open = new Set();

  constructor(api) {
    this.#api = api;
    this.batches = [];
  }

  get isActive() {
    return this.batches.some((batch) => !isBatchFinal(batch));
  }

  isOpen(id) {
    return this.#open.has(id);
  }

  setOpen(id, isOpen) {
    if (isOpen) this.#open.add(id);
    else this.#open.delete(id);
  }

  detailOf(id) {
    return this.#details.get(id) ?? null;
  }

  async refresh() {
    ({ batches: this.batches } = await this.#api.batches());
    for (const id of this.#open) {
      if (this.batches.some((batch) => batch.id === id)) await this.look(id);
    }
  }

  // Asks for the puzzles of a batch; which jobs they have never changes.
  async look(id) {
    const detail = await this.#api.batch(id);
    this.#details.set(id, detail);
    this.#members.set(id, new Set(detail.puzzles.map(({ job }) => job)));
  }

  // Keeps the jobs that belong to no batch.
  async without(jobs) {
    const isOfBatch = ({ id }) => [...this.#members.values()].some((ids) => ids.has(id));
    const left = jobs.filter((job) => !isOfBatch(job));
    for (const { id } of this.batches) {
      if (!left.some((job) => job.priority === "batch" && !isOfBatch(job))) break;
      if (!this.#members.has(id)) await this.look(id);
    }
    return left.filter((job) => !isOfBatch(job));
  }
}
