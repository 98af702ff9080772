// The dialog that opens a puzzle: pasted, from a file, of the examples, or of a checkpoint.

import { announce } from "./announce.js";
import { button, byId, h, replace } from "./dom.js";
import { takeDrops } from "./drops.js";
import { readExamples } from "./examples.js";
import { MARKS, markOf } from "./forecast.js";
import { KINDS, lookOf } from "./kinds.js";
import { largestSide, picture } from "./pictures.js";
import { TaskError, emptyDraft, readTask, readTasks } from "./task.js";
import { capital, count, timeOfDay } from "./words.js";

const MAX_FILE_BYTES = 64 * 1024 * 1024;
const SHOWN = 200;

export class OpenDialog {
  #dialog = byId("open-dialog");
  #api;
  #knowledge;
  #forecast;
  #load;
  #solveAll;
  #examples = [];
  #known = [];
  #many = [];
  #manyName = "";

  // `forecast` says what becomes of a draft; `load` takes a task that was chosen: {draft, faults};
  // `solveAll` takes many, and a name for them.
  constructor(api, knowledge, { forecast, load, solveAll }) {
    this.#api = api;
    this.#knowledge = knowledge;
    this.#forecast = forecast;
    this.#load = load;
    this.#solveAll = solveAll;
    byId("open").addEventListener("click", () => this.open());
    byId("open-close").addEventListener("click", () => this.#dialog.close());
    byId("paste-load").addEventListener("click", () => this.#readPasted());
    byId("file").addEventListener("change", ({ target }) => this.#readFiles(target));
    byId("known-of").addEventListener("change", () => this.#listKnown());
    byId("known-filter").addEventListener("input", () => this.#showKnown());
    byId("many-filter").addEventListener("input", () => this.#showMany());
    byId("many-solve").addEventListener("click", () => this.#sendMany());
    byId("marks").append(
      ...Object.entries(MARKS).map(([kind, [, meaning]]) =>
        h("li", {}, markOf({ kind, adaptS: null }), ` ${meaning}`),
      ),
    );
    byId("empty").append(...Object.values(KINDS).map((kind) => this.#emptyButton(kind)));
    this.#readExamples();
    knowledge.addEventListener("change", () => {
      this.#listCheckpoints();
      if (this.#dialog.open) this.#showMarks();
    });
    takeDrops({ file: (file) => this.#readFile(file), text: (text) => this.take(text) });
  }

  #emptyButton(kind) {
    const choose = () =>
      this.#choose({ draft: emptyDraft(`drawn ${timeOfDay()}`, kind), faults: [] });
    return button(capital(kind.title), choose, { class: "quiet" });
  }

  open() {
    this.#complain("");
    this.#many = [];
    byId("many").hidden = true;
    this.#dialog.showModal();
    byId("open-title").focus();
    this.#showMarks();
    this.#listKnown();
  }

  get #checkpoints() {
    return this.#knowledge.checkpoints.filter(({ puzzles }) => puzzles > 0);
  }

  #listCheckpoints() {
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
    byId("known").hidden = options.length === 0;
  }

  // Takes a text wherever it came from: one task is loaded, of many one is chosen here.
  take(text, name = `pasted ${timeOfDay()}`) {
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
    this.#manyName = name;
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
      this.#complain("There is nothing to load yet: paste a task’s JSON, a Sudoku or a maze.");
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
    this.take(await file.text(), file.name.replace(/\.(json|txt)$/i, "") || undefined);
  }

  #complain(text) {
    byId("paste-error").textContent = text;
    byId("paste").setAttribute("aria-invalid", String(text !== ""));
  }

  async #readExamples() {
    const examples = await readExamples();
    this.#examples = examples.map(({ title, task }) => ({ title, task: readTask(task) }));
    this.#showMarks();
  }

  // The public puzzles, those that are answered soonest first.
  #showMarks() {
    const marked = this.#examples.map((example) => ({
      ...example,
      forecast: this.#forecast(example.task.draft),
    }));
    const kinds = Object.keys(MARKS);
    const place = ({ forecast: { kind } }) => kinds.indexOf(kind);
    marked.sort((one, other) => place(one) - place(other));
    replace(
      byId("examples"),
      marked.map((example) => this.#exampleItem(example)),
    );
    const shown = new Set(marked.map(({ forecast }) => forecast.kind));
    [...byId("marks").children].forEach((item, index) => {
      item.hidden = !shown.has(kinds[index]);
    });
  }

  #exampleItem({ title, task, forecast }) {
    const look = lookOf(task.draft);
    const { input, output } = task.draft.train[0] ?? task.draft.test[0];
    const grids = [input, output].filter((grid) => grid !== null);
    return h(
      "li",
      { style: { "--side": largestSide(grids) } },
      h(
        "button.example",
        {
          type: "button",
          onclick: () => this.#choose(task),
          "data-focus": `example-${task.draft.name}`,
        },
        h(
          "span.example-grids",
          {},
          grids.map((grid) => picture(grid, { look })),
        ),
        h("span.example-name", {}, task.draft.name),
        h("span.example-title", {}, title),
        markOf(forecast),
      ),
    );
  }

  async #listKnown() {
    const checkpoint = this.#checkpoints.find(({ name }) => name === byId("known-of").value);
    if (checkpoint === undefined) return;
    this.#noteKnown("Asking for its puzzles …");
    try {
      this.#known = await this.#knowledge.puzzlesOf(checkpoint);
    } catch (error) {
      this.#noteKnown(error.message);
      return;
    }
    this.#showKnown();
  }

  #showKnown() {
    const wanted = byId("known-filter").value.trim().toLowerCase();
    const found = this.#known.filter(({ name }) => name.toLowerCase().includes(wanted));
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
          `${puzzle.name} is not a public puzzle, so its grids are not here: open its file.`,
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
    const items = found
      .slice(0, SHOWN)
      .map((task) =>
        h(
          "li",
          {},
          h(
            "button.name",
            { type: "button", onclick: () => this.#choose(task) },
            task.draft.name,
            " ",
            markOf(this.#forecast(task.draft)),
          ),
        ),
      );
    replace(byId("many-list"), items);
    byId("many-solve").textContent = `Solve all ${this.#many.length} as a batch`;
    byId("many-note").textContent =
      found.length > SHOWN
        ? `The first ${SHOWN} of ${found.length.toLocaleString("en")}.`
        : count(found.length, "puzzle");
    announce(count(found.length, "puzzle"));
  }

  async #sendMany() {
    const error = await this.#solveAll(this.#many, this.#manyName);
    if (error === null) this.#dialog.close();
    else this.#complain(error);
  }
}
