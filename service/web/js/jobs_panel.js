// The jobs of this caller, newest first; those of a batch are one entry.

import { announce } from "./announce.js";
import { isFinal } from "./api.js";
import { BatchBook } from "./batch_book.js";
import { batchItem } from "./batch_item.js";
import { button, byId, h, replace } from "./dom.js";
import { STATE_WORDS } from "./job_words.js";
import { dateTime, percent, timeAgo } from "./words.js";

const AGAIN_AFTER_MS = 5000;
const MINUTE_MS = 60_000;
const PAGE = 20;
const LARGE_PAGE = 100; // where jobs of batches are left out
const MAX_PAGES = 10;

export class JobsPanel {
  #api;
  #book;
  #jobs = [];
  #isMore = false;
  #numShown = PAGE;
  #current = null;
  #timer = 0;
  #isAsking = false;
  #isWanted = false;
  #cancel;

  // `cancel` cancels a job by its id, `open` brings one into view that may be shown already.
  constructor(api, { cancel, open }) {
    this.#api = api;
    this.#book = new BatchBook(api);
    this.#cancel = cancel;
    byId("jobs-more").addEventListener("click", () => {
      this.#numShown += PAGE;
      this.refresh();
    });
    setInterval(() => this.#show(), MINUTE_MS); // how long ago they were asked for
    byId("jobs-refresh").addEventListener("click", () => this.refresh());
    byId("jobs-list").addEventListener("click", (event) => {
      const link = event.target.closest("a[data-job]");
      if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(link.dataset.job);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.refresh();
    });
  }

  setCurrent(id) {
    if (id === this.#current) return;
    this.#current = id;
    this.#show();
  }

  // Shows a job as it is shown elsewhere on the page, which hears of it sooner.
  mirror(job) {
    const place = this.#jobs.findIndex(({ id }) => id === job.id);
    if (place < 0) return;
    const before = wordOf(this.#jobs[place]);
    this.#jobs[place] = { ...this.#jobs[place], state: job.state, progress: job.progress };
    if (wordOf(this.#jobs[place]) !== before) this.#show();
  }

  // Asks for as many jobs as are shown.
  async refresh() {
    this.#isWanted = true;
    if (this.#isAsking) return; // the running request asks once more
    this.#isAsking = true;
    clearTimeout(this.#timer);
    while (this.#isWanted) {
      this.#isWanted = false;
      await this.#ask();
    }
    this.#isAsking = false;
    this.#askAgain();
  }

  async #ask() {
    try {
      await this.#book.refresh();
      const limit = this.#book.batches.length > 0 ? LARGE_PAGE : PAGE;
      let jobs = [];
      let next = null;
      for (let number = 0; number < MAX_PAGES; number++) {
        const page = await this.#api.jobs(next, limit);
        jobs = await this.#book.without([...jobs, ...page.jobs]);
        next = page.next;
        if (next === null || jobs.length >= this.#numShown) break;
      }
      this.#isMore = next !== null || jobs.length > this.#numShown;
      this.#jobs = jobs.slice(0, this.#numShown);
      this.#notify("");
    } catch (error) {
      this.#notify(error.message);
    }
    this.#show();
  }

  #askAgain() {
    clearTimeout(this.#timer);
    const isActive = this.#book.isActive || this.#jobs.some(({ state }) => !isFinal(state));
    if (isActive && !document.hidden)
      this.#timer = setTimeout(() => this.refresh(), AGAIN_AFTER_MS);
  }

  #show() {
    const entries = [
      ...this.#jobs.map((job) => [job.created_at, () => this.#item(job)]),
      ...this.#book.batches.map((batch) => [batch.created_at, () => this.#batchItem(batch)]),
    ];
    entries.sort(([one], [other]) => Date.parse(other) - Date.parse(one));
    byId("jobs-more").hidden = !this.#isMore;
    byId("jobs-none").hidden = entries.length > 0;
    replace(
      byId("jobs-list"),
      entries.map(([, item]) => item()),
    );
  }

  #item(job) {
    const { id, name, state, created_at: created } = job;
    const cancel = isFinal(state)
      ? null
      : button("×", () => this.#cancel(id), {
          class: "quiet remove",
          "aria-label": `Cancel ${name}`,
          title: "Cancel",
          "data-focus": `cancel-${id}`,
        });
    return h(
      "li.job",
      {},
      h(
        "a",
        {
          href: `#job=${id}`,
          "aria-current": id === this.#current ? "true" : null,
          "data-job": id,
          "data-focus": id,
        },
        h("span.job-name", {}, name),
        h(`span.state.is-${state}`, {}, wordOf(job)),
        h("time", { datetime: created, title: dateTime(created) }, timeAgo(created)),
      ),
      cancel,
    );
  }

  #batchItem(batch) {
    return batchItem(batch, {
      detail: this.#book.detailOf(batch.id),
      isOpen: this.#book.isOpen(batch.id),
      current: this.#current,
      ontoggle: (id, isOpen) => this.#toggle(id, isOpen),
      oncancel: (id) => this.#act(() => this.#api.cancelBatch(id), "Asked to cancel the batch"),
      onsave: (one) => this.#act(() => this.#save(one), "Submission saved"),
    });
  }

  async #toggle(id, isOpen) {
    if (isOpen === this.#book.isOpen(id)) return; // it was only drawn again
    this.#book.setOpen(id, isOpen);
    if (isOpen) await this.#act(() => this.#book.look(id), "");
    this.#show();
  }

  async #act(act, done) {
    try {
      await act();
      announce(done);
      this.#notify("");
    } catch (error) {
      this.#notify(error.message);
    }
    this.refresh();
  }

  // The address needs the key, which a plain link would not send.
  async #save({ id, name }) {
    const address = URL.createObjectURL(await this.#api.submission(id));
    h("a", { href: address, download: `${name}.submission.json` }).click();
    URL.revokeObjectURL(address);
  }

  #notify(text) {
    byId("jobs-note").textContent = text;
  }
}

function wordOf({ state, progress }) {
  const isRunning = state === "running" && progress?.asked > 0;
  if (isRunning) return percent(progress.outcomes / progress.asked);
  const used = state === "adapting" ? progress?.adaptation?.used_share : undefined;
  return used === undefined ? STATE_WORDS[state] : `adapting ${percent(Math.min(1, used))}`;
}
