// The puzzle that is drawn: one draft with its faults, with undo, kept over reloads.

import { makeGrid } from "./grids.js";
import { keep, recall } from "./keep.js";
import { KINDS } from "./kinds.js";
import {
  MAX_PAIRS,
  emptyDraft,
  faultsAfterEdit,
  faultsAfterRemoval,
  readTask,
  taskDocument,
} from "./task.js";
import { UndoStack } from "./undo.js";

const KEEP_AFTER_MS = 300;

// Fires "change" after each change.
export class DraftStore extends EventTarget {
  #steps;
  #timer = 0;

  constructor() {
    super();
    const kept = recall("draft");
    this.isFresh = kept === null;
    this.isEdited = kept !== null; // whether something would be lost that was drawn here
    this.#steps = new UndoStack(
      kept === null ? { draft: emptyDraft(), faults: [] } : readTask(kept),
    );
  }

  get draft() {
    return this.#steps.value.draft;
  }

  get faults() {
    return this.#steps.value.faults;
  }

  get canUndo() {
    return this.#steps.canUndo;
  }

  get canRedo() {
    return this.#steps.canRedo;
  }

  // The puzzle that a page begins with: there is nothing before it to go back to.
  begin({ draft, faults }) {
    this.#steps = new UndoStack({ draft, faults });
    this.#changed();
  }

  load({ draft, faults }) {
    this.isEdited = false;
    this.#steps.push({ draft, faults });
    this.#changed();
  }

  rename(name) {
    this.#set(
      { ...this.draft, name },
      this.faults.filter(({ pointer }) => pointer !== "/name"),
    );
  }

  grid({ part, index, member }) {
    return this.draft[part][index][member];
  }

  setGrid(place, grid) {
    const { part, index, member } = place;
    if (grid === this.grid(place)) return;
    const pairs = this.draft[part].map((pair, i) =>
      i === index ? { ...pair, [member]: grid } : pair,
    );
    const draft = { ...this.draft, [part]: pairs };
    this.#set(draft, faultsAfterEdit(this.faults, draft, place));
  }

  canAdd(part) {
    return !KINDS[this.draft.kind].isChecked && this.draft[part].length < MAX_PAIRS;
  }

  canRemove(part) {
    return this.draft[part].length > 1;
  }

  // A new pair is as large as the one before.
  add(part) {
    const last = this.draft[part].at(-1);
    const blank = (grid) => makeGrid(grid.length, grid[0].length);
    const output = part === "train" ? blank(last.output) : null;
    const pairs = [...this.draft[part], { input: blank(last.input), output }];
    this.#set(
      { ...this.draft, [part]: pairs },
      this.faults.filter(({ pointer }) => pointer !== `/${part}`),
    );
  }

  remove(part, index) {
    const pairs = this.draft[part].filter((_, i) => i !== index);
    this.#set({ ...this.draft, [part]: pairs }, faultsAfterRemoval(this.faults, part, index));
  }

  // What the service found wrong takes the place of what was known.
  setFaults(faults) {
    this.#steps.push({ draft: this.draft, faults });
    this.#changed();
  }

  undo() {
    this.isEdited = true;
    if (this.#steps.undo()) this.#changed();
  }

  redo() {
    this.isEdited = true;
    if (this.#steps.redo()) this.#changed();
  }

  #set(draft, faults) {
    this.isEdited = true;
    this.#steps.push({ draft, faults });
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), KEEP_AFTER_MS);
    this.dispatchEvent(new Event("change"));
  }

  save() {
    keep("draft", taskDocument(this.draft));
  }
}
