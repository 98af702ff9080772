// The checkpoints that were adapted to a puzzle for this caller, which can be deleted.

import { announce } from "./announce.js";
import { button, byId, h, replace } from "./dom.js";
import { messageOf } from "./messages.js";
import { dateTime, percent, timeAgo } from "./words.js";

const AGAIN_AFTER_MS = 4000;

export class AdaptedPanel {
  #api;
  #knowledge;
  #timer = 0;
  #asked = null; // the id of the one that is about to be deleted

  constructor(api, knowledge) {
    this.#api = api;
    this.#knowledge = knowledge;
  }

  // What has just been made is listed as unfinished for a moment: that is looked at again.
  async refresh(numLooks = 3) {
    clearTimeout(this.#timer);
    try {
      const { adapted } = await this.#api.adapted();
      this.#knowledge.setAdapted(adapted);
      this.#notify("");
    } catch (error) {
      this.#notify(messageOf(error));
    }
    this.#show();
    if (numLooks > 0 && this.#knowledge.adapted.some(({ complete }) => !complete))
      this.#timer = setTimeout(() => this.refresh(numLooks - 1), AGAIN_AFTER_MS);
  }

  #show() {
    const { adapted } = this.#knowledge;
    byId("adapted").hidden = adapted.length === 0;
    replace(
      byId("adapted-list"),
      adapted.map((one) => this.#item(one)),
    );
  }

  #item(one) {
    const { id, puzzle, base, held_out_share: share, bytes, complete, made_at: made } = one;
    const parts = [`from ${base}`, `${(bytes / 1e6).toFixed(1)} MB`];
    if (share !== null && share !== undefined) parts.push(`${percent(share)} right on held-out`);
    if (!complete) parts.push("unfinished, its job goes on from here");
    const isAsked = this.#asked === id;
    return h(
      "li.job.adapted",
      {},
      h(
        "div.job-line",
        {},
        h("span.job-name", {}, puzzle),
        h("time", { datetime: made, title: dateTime(made) }, timeAgo(made)),
        h("span.note", {}, parts.join(" · ")),
      ),
      button(isAsked ? "Really delete" : "Delete", () => this.#press(one), {
        class: isAsked ? "danger" : "quiet",
        "aria-label": `${isAsked ? "Really delete" : "Delete"} the checkpoint adapted to ${puzzle}`,
        "data-focus": `delete-${id}`,
        // Not where the list is only drawn again.
        onblur: isAsked ? ({ target }) => target.isConnected && this.#ask(null) : null,
      }),
    );
  }

  // The first press asks, the second deletes; going elsewhere takes the question back.
  #press({ id, puzzle }) {
    if (this.#asked === id) this.#remove(id, puzzle);
    else {
      this.#ask(id);
      announce("Press again to delete");
    }
  }

  #ask(id) {
    if (this.#asked === id) return;
    this.#asked = id;
    this.#show();
  }

  async #remove(id, puzzle) {
    this.#asked = null;
    try {
      await this.#api.removeAdapted(id);
      announce(`The checkpoint adapted to ${puzzle} is deleted`);
    } catch (error) {
      this.#notify(messageOf(error));
    }
    await this.refresh();
    const next = byId("adapted-list").querySelector("button") ?? byId("jobs-refresh");
    next.focus();
  }

  #notify(text) {
    byId("adapted-note").textContent = text;
  }
}
