// The dialog in which a grid is drawn, or looked at cell by cell. What is drawn holds at once:
// closing keeps it, "Discard" takes back all that was done since the dialog opened.

import { alarm, announce } from "./announce.js";
import { Board } from "./board.js";
import { copyText } from "./clipboard.js";
import { byId } from "./dom.js";
import {
  MAX_SIDE,
  WRONG,
  line,
  makeGrid,
  rectangle,
  regionAround,
  resize,
  rowsAsText,
  sizeOf,
  withCells,
} from "./grids.js";
import { keep, recall } from "./keep.js";
import { ARC_LOOK } from "./kinds.js";
import { Palette } from "./palette.js";
import { readGrid } from "./task.js";
import { UndoStack } from "./undo.js";
import { applyDihedral } from "./variants.js";
import { capital, count } from "./words.js";

const CHANGES = {
  "turn-left": ["Turned left", (grid) => applyDihedral(grid, 1)],
  "turn-right": ["Turned right", (grid) => applyDihedral(grid, 3)],
  "mirror-columns": ["Mirrored left to right", (grid) => applyDihedral(grid, 4)],
  "mirror-rows": ["Mirrored top to bottom", (grid) => applyDihedral(grid, 5)],
  clear: ["Cleared", (grid, { blank }) => makeGrid(...sizeOf(grid), blank)],
};

export class Editor {
  #dialog = byId("editor");
  #board = new Board(byId("board"));
  #steps = new UndoStack(makeGrid(1, 1));
  #palette = new Palette(byId("palette"));
  #stroke = null;
  #job = null;

  constructor() {
    const on = (id, act) => byId(id).addEventListener("click", act);
    on("editor-close", () => this.#dialog.close());
    on("editor-discard", () => this.#discard());
    on("editor-undo", () => this.#undo());
    on("editor-redo", () => this.#redo());
    on("editor-copy", () => this.#copy());
    on("editor-from", () => this.#change("Taken over", this.#job.from()));
    for (const [id, [done, change]] of Object.entries(CHANGES)) {
      on(`editor-${id}`, () => this.#change(done, change(this.#steps.value, this.#kind)));
    }
    for (const id of ["editor-rows", "editor-columns"]) {
      byId(id).addEventListener("change", () => this.#resize());
    }
    this.#dialog.addEventListener("close", () => this.#leave());
    this.#dialog.addEventListener("keydown", (event) => this.#onKey(event));
    this.#dialog.addEventListener("paste", (event) => this.#onPaste(event));
    this.#startDigits();
    this.#board.addEventListener("colour", ({ detail }) => this.#onDigit(detail.colour));
    this.#board.addEventListener("act", () => this.#onAct());
    this.#board.addEventListener("press", ({ detail }) => this.#onPress(detail));
    this.#board.addEventListener("drag", ({ detail }) => this.#onDrag(detail));
    this.#board.addEventListener("release", ({ detail }) => this.#onRelease(detail));
  }

  // Opens on a grid. `onchange` gets each new grid; without it the grid is only looked at. `from`
  // gives another grid to begin with, `faults` are {row, column, detail}, `look` says how to draw it.
  open({
    title,
    grid,
    onchange = null,
    from = null,
    fromLabel = "",
    faults = () => [],
    look = ARC_LOOK,
    at,
    onclose,
  }) {
    this.#job = { onchange, from, faults, look, onclose, opener: document.activeElement };
    this.#steps = new UndoStack(grid);
    byId("editor-title").textContent = title;
    this.#dialog.dataset.kind = this.#kind.name;
    this.#palette.show(this.#kind);
    byId("palette-legend").textContent = capital(this.#kind.cell);
    byId("editor-keys-text").textContent = this.#kind.keysText;
    byId("editor-from").textContent = fromLabel;
    byId("editor-from").hidden = from === null;
    this.#dialog.classList.toggle("is-read-only", onchange === null);
    byId("editor-close").textContent = onchange === null ? "Close" : "Done";
    this.#dialog.showModal();
    this.#board.clearSelection();
    this.#show();
    this.#board.focus(at ?? [0, 0]);
  }

  // The browser gives the focus back, unless what had it was drawn again meanwhile.
  #leave() {
    const { onclose, opener } = this.#job;
    if (onclose) onclose();
    else if (!opener.isConnected && opener.dataset.focus !== undefined) {
      document.querySelector(`[data-focus="${CSS.escape(opener.dataset.focus)}"]`)?.focus();
    }
  }

  get #isReadOnly() {
    return this.#job.onchange === null;
  }

  get #kind() {
    return this.#job.look.kind;
  }

  get #tool() {
    if (this.#kind.side !== null) return "draw"; // no other is shown
    return this.#dialog.querySelector('input[name="tool"]:checked').value;
  }

  #show() {
    const grid = this.#steps.value;
    const [height, width] = sizeOf(grid);
    this.#board.show(grid, { isReadOnly: this.#isReadOnly, look: this.#job.look });
    const faults = this.#job.faults(grid);
    this.#board.describe(faults);
    byId("editor-rows").value = height;
    byId("editor-columns").value = width;
    byId("editor-undo").disabled = !this.#steps.canUndo;
    byId("editor-redo").disabled = !this.#steps.canRedo;
    byId("editor-fault").textContent = faults
      .slice(0, 3)
      .map(({ row, column, detail }) => `Row ${row + 1}, column ${column + 1}: ${detail}.`)
      .join(" ");
  }

  // Takes over a grid as one step; says so.
  #change(done, grid) {
    if (this.#isReadOnly) return;
    this.#steps.push(grid);
    this.#notifyOwner();
    announce(done);
  }

  #notifyOwner() {
    this.#job.onchange(this.#steps.value);
    this.#show();
  }

  #paint(places, colour) {
    const grid = this.#steps.value;
    const changed = places.filter(([r, c]) => grid[r][c] !== colour);
    const name = this.#kind.names[colour];
    const what = places.length === 1 ? name : `${count(places.length, "cell")} ${name}`;
    const painted = changed.length === 0 ? grid : withCells(grid, changed, colour, this.#kind);
    this.#change(capital(what), painted);
  }

  #onDigit(colour) {
    if (this.#isReadOnly) return;
    this.#palette.choose(colour);
    this.#paint(this.#board.places, colour);
  }

  #onAct() {
    if (this.#isReadOnly) return;
    const [row, column] = this.#board.at;
    if (this.#tool === "fill" && !this.#board.hasSelection) {
      this.#paint(regionAround(this.#steps.value, row, column), this.#palette.colour);
    } else if (this.#tool === "pick") this.#pick([row, column]);
    else this.#paint(this.#board.places, this.#palette.colour);
  }

  #pick([row, column]) {
    const colour = this.#steps.value[row][column];
    if (colour === WRONG || colour >= this.#kind.chosen) return;
    this.#palette.choose(colour);
    announce(`${this.#kind.names[colour]} taken`);
  }

  #onPress({ place, isPick }) {
    if (this.#isReadOnly) return;
    const tool = isPick ? "pick" : this.#tool;
    if (tool === "pick") this.#pick(place);
    else if (tool === "fill")
      this.#paint(regionAround(this.#steps.value, ...place), this.#palette.colour);
    else {
      this.#stroke = { tool, first: place, places: [place] };
      this.#board.preview(this.#stroke.places, this.#palette.colour);
    }
  }

  #onDrag({ place, from }) {
    const stroke = this.#stroke;
    if (stroke === null) return;
    stroke.places =
      stroke.tool === "rectangle"
        ? rectangle(stroke.first, place)
        : [...stroke.places, ...line(from, place)];
    this.#board.preview(stroke.places, this.#palette.colour);
  }

  #onRelease({ isCancelled }) {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (stroke === null) return;
    if (isCancelled) this.#show();
    else {
      const places = new Map(stroke.places.map((place) => [String(place), place]));
      this.#paint([...places.values()], this.#palette.colour);
    }
  }

  #onKey(event) {
    const isOnBoard = byId("board").contains(event.target);
    const key = event.key.toLowerCase();
    const isCommand = event.ctrlKey || event.metaKey;
    if (!isOnBoard && event.target.matches("input[type=number]")) return;
    if (isCommand && key === "z" && !event.shiftKey) this.#undo();
    else if (isCommand && (key === "y" || key === "z")) this.#redo();
    else if (isCommand && key === "c" && isOnBoard) this.#copy();
    else if (isCommand && key === "a" && isOnBoard) this.#selectAll();
    else if (isOnBoard && !isCommand && key === "f") this.#fillAtFocus();
    else if (isOnBoard && (key === "delete" || key === "backspace"))
      this.#onDigit(this.#kind.blank);
    else return;
    event.preventDefault();
  }

  #selectAll() {
    const [height, width] = sizeOf(this.#steps.value);
    this.#board.focus([0, 0]);
    this.#board.selectTo([height - 1, width - 1]);
    announce("All cells selected");
  }

  #fillAtFocus() {
    if (!this.#isReadOnly)
      this.#paint(regionAround(this.#steps.value, ...this.#board.at), this.#palette.colour);
  }

  #onPaste(event) {
    if (this.#isReadOnly || event.target.matches("input")) return;
    event.preventDefault();
    const faults = [];
    let grid = null;
    try {
      const text = event.clipboardData.getData("text/plain");
      const isJson = !this.#kind.isChecked || text.trim().startsWith("[");
      grid = readGrid(isJson ? JSON.parse(text) : text, "", faults, this.#kind);
    } catch {
      // Said below.
    }
    if (grid === null || faults.length > 0) {
      const said = `What was pasted ${this.#kind.forms.grid}`;
      alarm(said);
      byId("editor-fault").textContent = `${said}.`;
    } else this.#change("Grid pasted", grid);
  }

  #resize() {
    const bounded = (id) =>
      Math.min(MAX_SIDE, Math.max(1, Math.round(Number(byId(id).value)) || 1));
    const [height, width] = [bounded("editor-rows"), bounded("editor-columns")];
    this.#change(
      `${height} rows, ${width} columns`,
      resize(this.#steps.value, height, width, this.#kind),
    );
  }

  #copy() {
    copyText(rowsAsText(this.#steps.value, this.#kind), "Grid");
  }

  #undo() {
    if (!this.#isReadOnly && this.#steps.undo()) this.#announceStep("Undone");
  }

  #redo() {
    if (!this.#isReadOnly && this.#steps.redo()) this.#announceStep("Done again");
  }

  #announceStep(done) {
    this.#notifyOwner();
    announce(done);
  }

  #discard() {
    while (this.#steps.undo());
    this.#notifyOwner();
    this.#dialog.close();
    announce("Changes discarded");
  }

  #startDigits() {
    const box = byId("editor-digits");
    const show = () => this.#dialog.classList.toggle("shows-digits", box.checked);
    box.checked = recall("digits", false);
    box.addEventListener("change", () => {
      keep("digits", box.checked);
      show();
    });
    show();
  }
}
