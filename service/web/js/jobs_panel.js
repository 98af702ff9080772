// The jobs of this caller, newest first.

import { isFinal } from "./api.js";
import { button, byId, h, replace } from "./dom.js";
import { STATE_WORDS } from "./job_words.js";
import { dateTime, percent, timeAgo } from "./words.js";

const AGAIN_AFTER_MS = 5000;
const MINUTE_MS = 60_000;

export class JobsPanel {
  #api;
  #jobs = [];
  #next = null;
  #numPages = 1;
  #current = null;
  #timer = 0;
  #isAsking = false;
  #isWanted = false;
  #cancel;

  // `cancel` cancels a job by its id.
  constructor(api, cancel) {
    this.#api = api;
    this.#cancel = cancel;
    byId("jobs-more").addEventListener("click", () => {
      this.#numPages += 1;
      this.refresh();
    });
    setInterval(() => this.#show(), MINUTE_MS); // how long ago they were asked for
    byId("jobs-refresh").addEventListener("click", () => this.refresh());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.refresh();
    });
  }

  setCurrent(id) {
    if (id === this.#current) return;
    this.#current = id;
    this.#show();
  }

  // Asks for as many pages as are shown.
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
    const jobs = [];
    let next = null;
    try {
      for (let place = 0; place < this.#numPages; place++) {
        const page = await this.#api.jobs(next);
        jobs.push(...page.jobs);
        next = page.next;
        if (next === null) break;
      }
      this.#jobs = jobs;
      this.#next = next;
      this.#notify("");
    } catch (error) {
      this.#notify(error.message);
    }
    this.#show();
  }

  #askAgain() {
    clearTimeout(this.#timer);
    const isActive = this.#jobs.some(({ state }) => !isFinal(state));
    if (isActive && !document.hidden)
      this.#timer = setTimeout(() => this.refresh(), AGAIN_AFTER_MS);
  }

  #show() {
    byId("jobs-more").hidden = this.#next === null;
    byId("jobs-none").hidden = this.#jobs.length > 0;
    replace(
      byId("jobs-list"),
      this.#jobs.map((job) => this.#item(job)),
    );
  }

  #item(job) {
    const { id, name, state, created_at: created, progress } = job;
    const isRunning = state === "running" && progress?.asked > 0;
    const word = isRunning ? percent(progress.outcomes / progress.asked) : STATE_WORDS[state];
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
          "data-focus": id,
        },
        h("span.job-name", {}, name),
        h(`span.state.is-${state}`, {}, word),
        h(
          "time",
          { datetime: created, title: dateTime(created) },
          timeAgo(created),
        ),
      ),
      cancel,
    );
  }

  #notify(text) {
    byId("jobs-note").textContent = text;
  }
}
