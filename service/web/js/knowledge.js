// What the service knows: its checkpoints, the puzzles that each has learned, and those that a copy
// was adapted to for this caller.

// Fires "change" whenever more is known.
export class Knowledge extends EventTarget {
  #api;
  #hashes = new Map(); // by the checkpoint’s sha256
  #asked = new Map();

  constructor(api) {
    super();
    this.#api = api;
    this.checkpoints = [];
    this.adapted = [];
    this.isAsked = false;
    this.isComplete = false; // whether the puzzles of all checkpoints are there
  }

  // Asks for the checkpoints, and in the background for their puzzles.
  async refresh() {
    const { checkpoints } = await this.#api.checkpoints();
    this.checkpoints = checkpoints;
    this.isAsked = true;
    this.#changed();
    this.#askAll();
  }

  setAdapted(adapted) {
    this.adapted = adapted;
    this.#changed();
  }

  // Whether a checkpoint has learned the demonstrations with this hash; null while not known.
  knows(checkpoint, hash) {
    return this.#hashes.get(checkpoint.sha256)?.has(hash) ?? null;
  }

  // The puzzles that a checkpoint has learned.
  puzzlesOf({ name, sha256 }) {
    if (!this.#asked.has(sha256)) {
      const asking = this.#ask(name, sha256);
      this.#asked.set(sha256, asking);
      asking.catch(() => this.#asked.delete(sha256));
    }
    return this.#asked.get(sha256);
  }

  async #askAll() {
    const all = await Promise.allSettled(this.checkpoints.map((one) => this.puzzlesOf(one)));
    this.isComplete = all.every(({ status }) => status === "fulfilled");
    this.#changed();
  }

  async #ask(name, sha256) {
    const puzzles = [];
    let next = null;
    do {
      const page = await this.#api.puzzles(name, next);
      puzzles.push(...page.puzzles);
      next = page.next;
    } while (next !== null);
    this.#hashes.set(sha256, new Set(puzzles.map((puzzle) => puzzle.demonstrations_sha256)));
    return puzzles;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
