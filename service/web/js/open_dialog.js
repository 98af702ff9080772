// The dialog that opens a puzzle: pasted, from a file, of the examples, or of a checkpoint.

import { announce } from "./announce.js";
import { button, byId, h, replace } from "./dom.js";
import { takeDrops } from "./drops.js";
import { readExamples } from "./examples.js";
import { largestSide, picture } from "./pictures.js";
import { TaskError, readTask, readTasks } from "./task.js";
import { count } from "./words.js";

const MAX_FILE_BYTES = 64 * 1024 * 1024;
const SHOWN = 200;

export class OpenDialog {
  #dialog = byId("open-dialog");
  #api;
  #load;
  #checkpoints = [];
  #known = new Map();
  #many = [];

  // `load` takes a task that was chosen: {draft, faults}.
  constructor(api, load) {
    this.#api = api;
    this.#load = load;
    byId("open").addEventListener("click", () => this.open());
    byId("open-close").addEventListener("click", () => this.#dialog.close());
    byId("paste-load").addEventListener("click", () => this.#readPasted());
    byId("file").addEventListener("change", ({ target }) => this.#readFiles(target));
    byId("known-of").addEventListener("change", () => this.#listKnown());
    byId("known-filter").addEventListener("input", () => this.#showKnown());
    byId("many-filter").addEventListener("input", () => this.#showMany());
    this.#listExamples();
    takeDrops({ file: (file) => this.#readFile(file), text: (text) => this.take(text) });
  }

  open() {
    this.#complain("");
    this.#many = [];
    byId("many").hidden = true;
    this.#dialog.showModal();
    byId("paste").focus();
    this.#listKnown();
  }

  // Which checkpoints there are is known when the service has been asked.
  setCheckpoints(checkpoints) {
    this.#checkpoints = checkpoints.filter(({ puzzles }) => puzzles > 0);
    const choice = byId("known-of");
    const before = choice.value;
    const options = this.#checkpoints.map(({ name, puzzles }) =>
      h(
        "option",
        { value: name, selected: name === before },
        `${name} (${count(puzzles, "puzzle")})`,
      ),
    );
    choice.replaceChildren(...options);
    byId("known").hidden = this.#checkpoints.length === 0;
  }

  // Takes a text wherever it came from: one task is loaded, of many one is chosen here.
  take(text, name) {
    let tasks;
    try {
      tasks = readTasks(text, name);
    } catch (error) {
      if (!(error instanceof TaskError)) throw error;
      if (!this.#dialog.open) this.open();
      byId("paste").value = text.length <= 200_000 ? text : "";
      this.#complain(error.message);
      return;
    }
    if (tasks.length === 1) {
      this.#choose(tasks[0]);
      return;
    }
    if (!this.#dialog.open) this.open();
    this.#many = tasks;
    byId("many").hidden = false;
    byId("many-filter").value = "";
    this.#showMany();
    byId("many-filter").focus();
  }

  #choose(task) {
    if (this.#dialog.open) this.#dialog.close();
    byId("paste").value = "";
    this.#load(task);
  }

  #readPasted() {
    const text = byId("paste").value;
    if (text.trim() === "") {
      this.#complain("There is nothing to read yet: paste a task's JSON.");
      byId("paste").focus();
      return;
    }
    this.#complain("");
    this.take(text);
  }

  async #readFiles(input) {
    const [file] = input.files;
    if (file !== undefined) await this.#readFile(file);
    input.value = "";
  }

  async #readFile(file) {
    if (file.size > MAX_FILE_BYTES) {
      if (!this.#dialog.open) this.open();
      this.#complain(`${file.name} is larger than 64 MB: no task file is.`);
      return;
    }
    this.take(await file.text(), file.name.replace(/\.json$/i, "") || "puzzle");
  }

  #complain(text) {
    byId("paste-error").textContent = text;
    byId("paste").setAttribute("aria-invalid", String(text !== ""));
  }

  async #listExamples() {
    const examples = await readExamples();
    const items = examples.map(({ title, task }) => {
      const read = readTask(task);
      const [{ input, output }] = read.draft.train;
      return h(
        "li",
        { style: { "--side": largestSide([input, output]) } },
        h(
          "button.example",
          { type: "button", onclick: () => this.#choose(read) },
          h("span.example-grids", {}, picture(input), picture(output)),
          h("span.example-name", {}, read.draft.name),
          h("span.example-title", {}, title),
        ),
      );
    });
    byId("examples").replaceChildren(...items);
  }

  async #listKnown() {
    const name = byId("known-of").value;
    if (name === "") return;
    if (!this.#known.has(name)) {
      this.#noteKnown("Asking for its puzzles …");
      try {
        this.#known.set(name, await this.#allKnown(name));
      } catch (error) {
        this.#noteKnown(error.message);
        return;
      }
    }
    this.#showKnown();
  }

  async #allKnown(name) {
    const puzzles = [];
    let next = null;
    do {
      const page = await this.#api.puzzles(name, next);
      puzzles.push(...page.puzzles);
      next = page.next;
    } while (next !== null);
    return puzzles;
  }

  #showKnown() {
    const wanted = byId("known-filter").value.trim().toLowerCase();
    const all = this.#known.get(byId("known-of").value) ?? [];
    const found = all.filter(({ name }) => name.toLowerCase().includes(wanted));
    const items = found.slice(0, SHOWN).map((puzzle) =>
      h(
        "li",
        {},
        button(puzzle.name, () => this.#fetchKnown(puzzle), {
          class: "name",
          title: count(puzzle.variants, "variant"),
        }),
      ),
    );
    byId("known-list").replaceChildren(...items);
    const more =
      found.length > SHOWN ? `The first ${SHOWN} of ${found.length.toLocaleString("en")}.` : "";
    this.#noteKnown(found.length === 0 ? "None has this in its name." : more);
  }

  async #fetchKnown(puzzle) {
    const checkpoint = byId("known-of").value;
    this.#noteKnown(`Asking for ${puzzle.name} …`);
    try {
      const { task } = await this.#api.puzzle(checkpoint, puzzle.demonstrations_sha256);
      if (task === null) {
        this.#noteKnown(
          `The grids of ${puzzle.name} are not at hand, it is no public puzzle: open its file.`,
        );
        return;
      }
      this.#choose(readTask(task, puzzle.name));
    } catch (error) {
      this.#noteKnown(error.message);
    }
  }

  #noteKnown(text) {
    byId("known-note").textContent = text;
  }

  #showMany() {
    const wanted = byId("many-filter").value.trim().toLowerCase();
    const found = this.#many.filter(({ draft }) => draft.name.toLowerCase().includes(wanted));
    const items = found.slice(0, SHOWN).map((task) =>
      h(
        "li",
        {},
        button(task.draft.name, () => this.#choose(task), { class: "name" }),
      ),
    );
    replace(byId("many-list"), items);
    byId("many-note").textContent =
      found.length > SHOWN
        ? `The first ${SHOWN} of ${found.length.toLocaleString("en")}.`
        : count(found.length, "puzzle");
    announce(count(found.length, "puzzle"));
  }
}
