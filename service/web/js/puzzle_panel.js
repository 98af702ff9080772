// The puzzle as it is drawn: its demonstrations, its test inputs, and what is wrong where.

import { announce } from "./announce.js";
import { button, byId, h, replace, setStyle } from "./dom.js";
import { sizeText } from "./grids.js";
import { KINDS, lookOf } from "./kinds.js";
import { largestSide, tile } from "./pictures.js";
import { allFaults, gridsOf, placeOf, placeText, pointerOf } from "./task.js";
import { count } from "./words.js";

const SHOWN_FAULTS = 8;
const SMALL_SIDE = 6; // up to this two pairs fit one line of a phone
const WHAT = { train: "Demonstration", test: "Test" };

export class PuzzlePanel {
  #store;
  #editor;
  #reason = null;

  constructor(store, editor) {
    this.#store = store;
    this.#editor = editor;
    byId("name").addEventListener("change", ({ target }) =>
      store.rename(target.value.trim() || "puzzle"),
    );
    byId("undo").addEventListener("click", () => store.undo());
    byId("redo").addEventListener("click", () => store.redo());
    byId("add-train").addEventListener("click", () => this.#add("train"));
    byId("add-test").addEventListener("click", () => this.#add("test"));
    store.addEventListener("change", () => this.#show());
    this.#show();
  }

  // Looks for faults before the puzzle is sent; returns whether there are none. What the service
  // found last time is its own to find again: another checkpoint may see it otherwise.
  check() {
    const own = this.#store.faults.filter(({ isOfService }) => !isOfService);
    const faults = allFaults(this.#store.draft, own);
    if (faults.length !== this.#store.faults.length) this.#store.setFaults(faults);
    return faults.length === 0;
  }

  // What the service finds wrong, in the one box of faults: `reason` is its heading, if it has one.
  setServiceFaults(faults, reason, remedies) {
    this.#reason = { reason, remedies };
    this.#store.setFaults(faults.map((fault) => ({ ...fault, isOfService: true })));
  }

  // Leads the focus to what is wrong.
  focusFaults() {
    byId("faults").focus();
  }

  // Opens a grid where a fault is.
  openAt(pointer) {
    const place = placeOf(pointer);
    if (place?.member === undefined) {
      const isName = place === null && pointer === "/name";
      const part = this.#kind.isChecked ? "test-title" : "demonstrations";
      byId(isName ? "name" : part).focus();
      return;
    }
    const at = place.row === undefined ? undefined : [place.row, place.column ?? 0];
    // A user who came from the list goes back to it, as long as something is left to fix.
    this.#open(place, { at, back: '#faults:not([hidden]) [data-focus="fault-0"]' });
  }

  get #kind() {
    return KINDS[this.#store.draft.kind];
  }

  #show() {
    const { isChecked, heading } = this.#kind;
    byId("puzzle").classList.toggle("is-checked", isChecked);
    byId("train-part").hidden = isChecked;
    byId("add-test").hidden = isChecked;
    byId("test-title").textContent = heading;
    const { draft, canUndo, canRedo } = this.#store;
    if (document.activeElement !== byId("name")) byId("name").value = draft.name;
    byId("undo").disabled = !canUndo;
    byId("redo").disabled = !canRedo;
    const side = largestSide(gridsOf(draft).map(({ grid }) => grid));
    setStyle(byId("puzzle"), { "--side": side, "--pair": widestPair(draft) });
    for (const part of ["train", "test"]) {
      byId(`${part}-pairs`).classList.toggle("is-small", side <= SMALL_SIDE);
      replace(
        byId(`${part}-pairs`),
        draft[part].map((_, index) => this.#pair(part, index)),
      );
      byId(`add-${part}`).disabled = !this.#store.canAdd(part);
    }
    this.#showFaults();
  }

  #pair(part, index) {
    const name = `${WHAT[part]} ${index + 1}`;
    const { output } = this.#store.draft[part][index];
    const remove = this.#store.canRemove(part)
      ? button("×", () => this.#remove(part, index), {
          class: "quiet remove",
          "aria-label": `Remove ${name.toLowerCase()}`,
          title: `Remove ${name.toLowerCase()}`,
          "data-focus": `remove-${part}-${index}`,
        })
      : null;
    const { isChecked } = this.#kind;
    const add = isChecked
      ? null
      : button("Add expected output", () => this.#addOutput(index), {
          class: "quiet add-output",
          "data-focus": `${part}-${index}-output`,
          "aria-label": `Add expected output to ${name.toLowerCase()}`,
        });
    const answer = output === null ? add : this.#figure(part, index, "output");
    return h(
      "li.pair",
      {},
      isChecked ? null : h("div.pair-head", {}, h("span.pair-name", {}, name), remove),
      h(
        "div.flow",
        {},
        this.#figure(part, index, "input"),
        answer && h("span.arrow", { "aria-hidden": "true" }, "→"),
        answer,
      ),
    );
  }

  // Of a kind that is checked an answer is no more than looked at.
  #canEdit(member) {
    return !this.#kind.isChecked || member === "input";
  }

  #look(member) {
    const isAnswer = this.#kind.isChecked && member === "output";
    return isAnswer ? lookOf(this.#store.draft) : { kind: this.#kind, givens: null };
  }

  #figure(part, index, member) {
    const place = { part, index, member };
    const grid = this.#store.grid(place);
    const pointer = pointerOf(this.#store.draft, place);
    const isWrong = this.#store.faults.some(
      (fault) => fault.pointer === pointer || fault.pointer?.startsWith(`${pointer}/`),
    );
    const label = placeText(pointer);
    const name = isWrong ? `${label}, with faults` : label;
    const word = part === "test" && member === "output" ? "expected" : member;
    return h(
      isWrong ? "div.figure.is-wrong" : "div.figure",
      {},
      tile(grid, name, this.#canEdit(member) ? "Edit" : "Look closely", () => this.#open(place), {
        focus: `${part}-${index}-${member}`,
        look: this.#look(member),
      }),
      h(
        "div.caption",
        {},
        `${word} `,
        h("span.size", {}, sizeText(grid)),
        part === "test" && member === "output"
          ? button("remove", () => this.#removeOutput(place), {
              class: "link",
              "aria-label": `Remove ${label.toLowerCase()}`,
            })
          : null,
      ),
    );
  }

  #open(place, { at, back } = {}) {
    const { part, index, member } = place;
    const pointer = pointerOf(this.#store.draft, place);
    const own = `[data-focus="${part}-${index}-${member}"]`;
    const other = member === "output" ? { part, index, member: "input" } : null;
    this.#editor.open({
      title: placeText(pointer),
      grid: this.#store.grid(place),
      at,
      onchange: this.#canEdit(member) ? (grid) => this.#store.setGrid(place, grid) : null,
      look: this.#look(member),
      from: other === null ? null : () => this.#store.grid(other),
      fromLabel: "Copy the input",
      faults: () => this.#cellFaults(pointer),
      onclose: () =>
        ((back && document.querySelector(back)) ?? document.querySelector(own))?.focus(),
    });
  }

  #cellFaults(pointer) {
    return this.#store.faults
      .filter((fault) => fault.pointer?.startsWith(`${pointer}/`))
      .map(({ pointer: where, detail }) => {
        const { row, column } = placeOf(where);
        return { row, column: column ?? 0, detail };
      });
  }

  #addOutput(index) {
    const place = { part: "test", index, member: "output" };
    const input = this.#store.grid({ ...place, member: "input" });
    this.#store.setGrid(
      place,
      input.map((row) => row.map(() => 0)),
    );
    this.#open(place);
  }

  #removeOutput(place) {
    this.#store.setGrid(place, null);
    const next = this.#kind.isChecked ? "input" : "output";
    document.querySelector(`[data-focus="test-${place.index}-${next}"]`).focus();
  }

  #add(part) {
    this.#store.add(part);
    announce(`${WHAT[part]} ${this.#store.draft[part].length} added`);
    byId(`${part}-pairs`).lastElementChild.querySelector("button.tile").focus();
  }

  #remove(part, index) {
    this.#store.remove(part, index);
    announce(`${WHAT[part]} ${index + 1} removed; undo brings it back`);
    const left = Math.min(index, this.#store.draft[part].length - 1);
    byId(`${part}-pairs`).children[left].querySelector("button.tile").focus();
  }

  #showFaults() {
    const { faults } = this.#store;
    const box = byId("faults");
    box.hidden = faults.length === 0;
    if (box.hidden) return;
    const items = faults.slice(0, SHOWN_FAULTS).map(({ pointer, detail }, place) =>
      h(
        "li",
        {},
        button(placeText(pointer), () => this.openAt(pointer), {
          class: "link",
          "data-focus": `fault-${place}`,
        }),
        ` ${detail}`,
      ),
    );
    const rest = faults.length - items.length;
    const own =
      faults.length === 1 ? "One place is wrong" : `${count(faults.length, "place")} are wrong`;
    const isOfService = faults.every((fault) => fault.isOfService);
    const { reason, remedies } = isOfService && this.#reason ? this.#reason : {};
    replace(
      box,
      h("h3", {}, reason ?? own),
      h(reason ? "ul.is-short" : "ul", {}, items),
      rest > 0 ? h("p", {}, `and ${rest} more.`) : null,
      remedies?.length > 0 ? h("div.row", {}, remedies) : null,
    );
  }
}

// The most columns that the two grids of a pair have together, also where one is still to come.
function widestPair({ kind, train, test }) {
  const { isChecked } = KINDS[kind];
  const widths = ({ input, output }) =>
    isChecked && output === null ? input[0].length : input[0].length + (output ?? input)[0].length;
  return Math.max(...[...train, ...test].map(widths));
}
