// Sends the puzzle, or many; what the service says no to is shown where it is, with ways on.

import { alarm, announce } from "./announce.js";
import { Problem } from "./api.js";
import { button, byId, h, replace } from "./dom.js";
import { canAdapt, usualAdaptS } from "./forecast.js";
import { sizeOf, sizeText } from "./grids.js";
import { ofKind } from "./kinds.js";
import { messageOf } from "./messages.js";
import { gridsOf, placeOf, taskDocument } from "./task.js";
import { about, count } from "./words.js";

export class Submitter {
  #api;
  #store;
  #puzzle;
  #form;
  #knowledge;
  #forecast;
  #sent;

  // `forecast` says what becomes of a draft; `sent` gets a job that was queued and its draft.
  constructor({ api, store, puzzle, form, knowledge, forecast, sent }) {
    this.#api = api;
    this.#store = store;
    this.#puzzle = puzzle;
    this.#form = form;
    this.#knowledge = knowledge;
    this.#forecast = forecast;
    this.#sent = sent;
  }

  // Sends the puzzle that is drawn. `once` are options of this job alone, which the form keeps out.
  async solve(once = {}) {
    this.clear();
    if (!this.#puzzle.check()) {
      this.#puzzle.focusFaults();
      alarm("The puzzle is wrong in places: fix them first");
      return;
    }
    if (!this.#form.isValid) return;
    const pressed = byId("solve");
    if (pressed.getAttribute("aria-disabled") === "true") return;
    pressed.setAttribute("aria-disabled", "true");
    const { draft } = this.#store;
    const options = { ...this.#learned(), ...this.#form.options, ...once };
    try {
      const job = await this.#api.submit({ ...taskDocument(draft), options }, idempotencyKey());
      announce(`${job.name} is queued`);
      this.#sent(job, draft);
    } catch (error) {
      this.#refuse(error);
    } finally {
      pressed.removeAttribute("aria-disabled");
    }
  }

  // Names the checkpoint that has learned the puzzle, where the default one has not.
  #learned() {
    const { kind, checkpoint } = this.#forecast(this.#store.draft);
    return kind === "known" && !checkpoint.default ? { checkpoint: checkpoint.name } : {};
  }

  // Sends many puzzles as one batch; gives why it was refused, or null.
  async solveAll(tasks, name) {
    const { trace, priority, ...options } = this.#form.options;
    const challenges = Object.fromEntries(
      tasks.map(({ draft }) => [draft.name, taskDocument(draft)]),
    );
    try {
      await this.#api.submitBatch({ challenges, options, name }, idempotencyKey());
      announce(`${count(tasks.length, "puzzle")} are queued as a batch`);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  clear() {
    this.#show([]);
  }

  // At grids, at options, else beside the button.
  #refuse(error) {
    const errors = error instanceof Problem ? error.errors : [];
    const atGrids = errors.filter(({ pointer }) => placeOf(pointer) !== null);
    if (atGrids.length > 0) {
      if (error.code === "canvas_exceeded") this.#showTooLarge(atGrids);
      else this.#puzzle.setServiceFaults(atGrids);
      this.#puzzle.focusFaults();
      alarm(byId("faults").querySelector("h3").textContent);
      return;
    }
    const message = messageOf(error);
    alarm(message);
    this.#show([h("p", {}, message), h("div.row", {}, this.#waysOn(error))]);
    const option = errors.find(
      ({ pointer }) => pointer?.startsWith("/options/") && error.code === "invalid_request",
    );
    if (option !== undefined) this.#form.focus(option.pointer);
  }

  // With the checkpoints that the puzzle fits, where it was too large for the one that was asked.
  #showTooLarge(faults) {
    const { draft } = this.#store;
    const checkpoints = ofKind(this.#knowledge.checkpoints, draft);
    const grids = gridsOf(draft);
    const side = Math.max(...grids.flatMap(({ grid }) => sizeOf(grid)));
    const fitting = checkpoints.filter(({ canvas }) => canvas >= side);
    const most = Math.max(...checkpoints.map(({ canvas }) => canvas));
    const limit =
      fitting.length > 0
        ? " for this checkpoint"
        : `: at most ${most} × ${most} cells can be answered`;
    this.#puzzle.setServiceFaults(
      faults.map(({ pointer }) => ({
        pointer,
        detail: sizeText(grids.find((one) => one.pointer === pointer).grid),
      })),
      `${count(faults.length, "grid")} too large${limit}`,
      fitting.map(({ name }) =>
        button(`Solve with ${name}`, () => this.#again({ checkpoint: name })),
      ),
    );
  }

  #waysOn(error) {
    if (error.code !== "unknown_puzzle") return [];
    const others = (error.document.known_to ?? []).map((name) =>
      button(`Solve with ${name}`, () => this.#again({ checkpoint: name })),
    );
    const { checkpoints } = this.#knowledge;
    if (!canAdapt(checkpoints)) return others;
    const time = usualAdaptS(checkpoints);
    return [
      ...others,
      button("Adapt, then solve", () => this.#again({ adapt: "auto" })),
      h("span.note", {}, time === null ? "takes minutes" : `takes up to ${about(time)}`),
    ];
  }

  #again(once) {
    byId("solve").focus();
    this.solve(once);
  }

  #show(children) {
    replace(byId("solve-problem"), children);
    byId("solve-problem").hidden = children.length === 0;
  }
}

function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
