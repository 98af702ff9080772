// Steps that can be taken back and done again. Values are never changed in place.

const MOST = 200;

export class UndoStack {
  #before = [];
  #after = [];

  constructor(value) {
    this.value = value;
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  get canRedo() {
    return this.#after.length > 0;
  }

  push(value) {
    if (value === this.value) return;
    this.#before.push(this.value);
    if (this.#before.length > MOST) this.#before.shift();
    this.#after = [];
    this.value = value;
  }

  undo() {
    if (!this.canUndo) return false;
    this.#after.push(this.value);
    this.value = this.#before.pop();
    return true;
  }

  redo() {
    if (!this.canRedo) return false;
    this.#before.push(this.value);
    this.value = this.#after.pop();
    return true;
  }
}
