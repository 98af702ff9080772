// Looks now and then whether jobs would be worked on, and says so at the top of the page.

import { announce } from "./announce.js";
import { byId } from "./dom.js";
import { count } from "./words.js";

const LOOK_EVERY_MS = 15_000;
const WHILE_AWAY_MS = 2_000;

export class ServiceStatus {
  #api;
  #back;
  #word = null;

  // `back` is called when a service that was away can be used again.
  constructor(api, back) {
    this.#api = api;
    this.#back = back;
  }

  async look() {
    const seen = await this.#api.ready();
    const word = seen.isReady ? "ready" : seen.isReachable ? "starting …" : "cannot be reached";
    if (word !== this.#word) {
      const wasKnown = this.#word !== null;
      this.#word = word;
      byId("status").dataset.state = word;
      byId("status").className = seen.isReady ? "status is-ready" : "status is-away";
      byId("status-text").textContent = seen.isReady
        ? `ready, ${count(seen.workers, "worker")}`
        : word;
      if (wasKnown) announce(`The service: ${word}`);
      if (wasKnown && seen.isReady) this.#back();
    }
    setTimeout(() => this.look(), seen.isReady ? LOOK_EVERY_MS : WHILE_AWAY_MS);
  }
}
