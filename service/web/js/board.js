// A grid as a table of cells that keys, pointer and finger work on. One cell is in the tab order,
// the arrows move from there; shift with arrows selects a rectangle.

import { WRONG, rectangle, sizeOf } from "./grids.js";
import { h, setStyle } from "./dom.js";
import { ARC_LOOK, isAdded } from "./kinds.js";

// How far a page key moves.
const PAGE = 5;

// Fires "press", "drag" and "release" with a place for the pointer, "act" for Enter and Space, and
// "colour" with the value of a key that was typed. What they do is the owner's affair.
export class Board extends EventTarget {
  #table;
  #cells = [];
  #grid = [[0]];
  #look = ARC_LOOK;
  #at = [0, 0];
  #anchor = null;
  #pressed = null;

  constructor(table) {
    super();
    this.#table = table;
    table.addEventListener("keydown", (event) => this.#onKey(event));
    table.addEventListener("focusin", (event) => this.#onFocus(event));
    table.addEventListener("pointerdown", (event) => this.#onDown(event));
    table.addEventListener("pointermove", (event) => this.#onMove(event));
    table.addEventListener("pointerup", (event) => this.#onUp(event));
    table.addEventListener("pointercancel", (event) => this.#onUp(event));
  }

  get at() {
    return this.#at;
  }

  get hasSelection() {
    return this.#anchor !== null;
  }

  // The places that a colour is given to: the selection, or the cell with the focus.
  get places() {
    return this.#anchor === null ? [this.#at] : rectangle(this.#anchor, this.#at);
  }

  show(grid, { isReadOnly = false, look = this.#look } = {}) {
    const [height, width] = sizeOf(grid);
    const isNewKind = look.kind !== this.#look.kind;
    const isNewSize =
      isNewKind || this.#cells.length !== height || this.#cells[0]?.length !== width;
    const hadFocus = this.#table.contains(document.activeElement);
    this.#grid = grid;
    this.#look = look;
    if (isNewSize) this.#build(height, width);
    this.#table.setAttribute("aria-readonly", String(isReadOnly));
    grid.forEach((row, r) => row.forEach((cell, c) => this.#paint(this.#cells[r][c], cell)));
    this.#markAdded();
    this.#at = [Math.min(this.#at[0], height - 1), Math.min(this.#at[1], width - 1)];
    if (isNewSize) this.clearSelection();
    this.#refresh();
    if (isNewSize && hadFocus) this.#cell().focus();
  }

  // Shows what would become of places, until the next `show`.
  preview(places, colour) {
    this.show(this.#grid);
    for (const [r, c] of places) this.#paint(this.#cells[r][c], colour);
  }

  // Marks cells, each with a sentence that says what is wrong there.
  describe(faults) {
    for (const cell of this.#cells.flat()) {
      cell.removeAttribute("aria-invalid");
      cell.removeAttribute("title");
    }
    for (const { row, column, detail } of faults) {
      const cell = this.#cells[row]?.[column];
      cell?.setAttribute("aria-invalid", "true");
      cell?.setAttribute("title", detail);
    }
  }

  focus([row, column] = this.#at) {
    this.#at = [row, column];
    this.#refresh();
    this.#cell().focus();
  }

  selectTo(place) {
    this.#anchor = this.#at;
    this.focus(place);
  }

  clearSelection() {
    this.#anchor = null;
    this.#refresh();
  }

  #build(height, width) {
    this.#cells = Array.from({ length: height }, () =>
      Array.from({ length: width }, () => h("td", { role: "gridcell", tabindex: -1 })),
    );
    const rows = this.#cells.map((cells) => h("tr", { role: "row" }, cells));
    this.#table.replaceChildren(h("tbody", { role: "rowgroup" }, rows));
    setStyle(this.#table, { "--rows": height, "--cols": width });
    this.#at = [0, 0];
  }

  #paint(element, colour) {
    const value = colour === WRONG ? "wrong" : String(colour);
    if (element.dataset.colour === value) return;
    const { cell, names, signs, isChecked } = this.#look.kind;
    element.dataset.colour = value;
    element.dataset.sign = signs[colour] ?? value;
    const name = isChecked ? names[colour] : `${names[colour]}, ${colour}`;
    element.setAttribute("aria-label", colour === WRONG ? `no ${cell}` : name);
  }

  // What a puzzle does not give is an answer's own.
  #markAdded() {
    this.#cells.forEach((row, r) =>
      row.forEach((cell, c) => {
        const isOwn = isAdded(this.#look, this.#grid, r, c);
        cell.classList.toggle("is-added", isOwn);
        if (isOwn) cell.setAttribute("aria-description", "not given");
        else cell.removeAttribute("aria-description");
      }),
    );
  }

  #refresh() {
    const chosen = new Set(this.hasSelection ? this.places.map(String) : []);
    this.#cells.forEach((row, r) =>
      row.forEach((cell, c) => {
        const tabIndex = r === this.#at[0] && c === this.#at[1] ? 0 : -1;
        if (cell.tabIndex !== tabIndex) cell.tabIndex = tabIndex;
        const isChosen = chosen.has(`${r},${c}`);
        if (isChosen) cell.setAttribute("aria-selected", "true");
        else cell.removeAttribute("aria-selected");
      }),
    );
  }

  #cell() {
    return this.#cells[this.#at[0]][this.#at[1]];
  }

  #onFocus(event) {
    const place = this.#placeOf(event.target);
    if (place === null || this.#pressed !== null) return;
    this.#at = place;
    this.#refresh();
  }

  #onKey(event) {
    if (event.altKey) return;
    const colour = [...this.#look.kind.keys].indexOf(event.key.toLowerCase());
    if (colour >= 0 && !event.ctrlKey && !event.metaKey) {
      this.#notify("colour", { colour });
    } else if (event.key === "Enter" || event.key === " ") {
      this.#notify("act", { place: this.#at });
    } else if (event.key === "Escape" && this.hasSelection) {
      this.clearSelection();
    } else {
      const target = this.#target(event);
      if (target === null) return;
      if (event.shiftKey) this.#anchor ??= this.#at;
      else this.#anchor = null;
      this.focus(target);
    }
    event.preventDefault();
  }

  #target({ key, ctrlKey, metaKey }) {
    const [row, column] = this.#at;
    const [bottom, right] = [this.#cells.length - 1, this.#cells[0].length - 1];
    const isFar = ctrlKey || metaKey;
    switch (key) {
      case "ArrowUp":
        return [isFar ? 0 : Math.max(0, row - 1), column];
      case "ArrowDown":
        return [isFar ? bottom : Math.min(bottom, row + 1), column];
      case "ArrowLeft":
        return [row, isFar ? 0 : Math.max(0, column - 1)];
      case "ArrowRight":
        return [row, isFar ? right : Math.min(right, column + 1)];
      case "Home":
        return [isFar ? 0 : row, 0];
      case "End":
        return [isFar ? bottom : row, right];
      case "PageUp":
        return [Math.max(0, row - PAGE), column];
      case "PageDown":
        return [Math.min(bottom, row + PAGE), column];
      default:
        return null;
    }
  }

  #onDown(event) {
    const place = this.#placeUnder(event);
    if (place === null || event.button > 0) return;
    event.preventDefault();
    this.#table.setPointerCapture(event.pointerId);
    this.#pressed = place;
    this.#anchor = null;
    this.focus(place);
    this.#notify("press", { place, isPick: event.altKey });
  }

  #onMove(event) {
    if (this.#pressed === null) return;
    const place = this.#placeUnder(event);
    if (place === null || String(place) === String(this.#pressed)) return;
    this.#notify("drag", { place, from: this.#pressed });
    this.#pressed = place;
  }

  #onUp(event) {
    if (this.#pressed === null) return;
    const place = this.#pressed;
    this.#pressed = null;
    this.#at = place;
    this.#refresh();
    this.#cell().focus();
    this.#notify("release", { place, isCancelled: event.type === "pointercancel" });
  }

  // The cells are equally large: where a point lies needs no look at each.
  #placeUnder({ clientX, clientY }) {
    const box = this.#table.getBoundingClientRect();
    const [height, width] = [this.#cells.length, this.#cells[0].length];
    const row = Math.floor(((clientY - box.top) / box.height) * height);
    const column = Math.floor(((clientX - box.left) / box.width) * width);
    const isInside = row >= 0 && row < height && column >= 0 && column < width;
    return isInside ? [row, column] : null;
  }

  #placeOf(element) {
    const row = element.parentElement?.rowIndex;
    return element.tagName === "TD" && row >= 0 ? [row, element.cellIndex] : null;
  }

  #notify(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
