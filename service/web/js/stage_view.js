// What is shown while there is no answer and no vote yet: the puzzle's test inputs with their open
// outputs and, while a checkpoint is adapted, the steps of that with how well it goes.

import { h, replace, setStyle } from "./dom.js";
import { sizeText } from "./grids.js";
import { withHelp } from "./help.js";
import { stepOf } from "./job_words.js";
import { lookOf } from "./kinds.js";
import { largestSide, picture } from "./pictures.js";
import { count, percent, seconds } from "./words.js";

const STEPS = [
  ["Learn this puzzle", "row", "Only what is particular to this puzzle is trained, its rows."],
  [
    "Train the whole network",
    "adapt",
    "All of a copy of the network is trained, on the demonstrations.",
  ],
  ["Finish", "held_out", "With ever smaller changes, also on what was held out so far."],
];

export class StageView {
  #task = null;
  #inputs = h("div.attempts");
  #steps = STEPS.map(([name, term, text]) =>
    h("li", {}, withHelp(name, term), h("p.note", {}, text)),
  );
  #facts = h("dl.numbers");
  #values = new Map();
  #adapting;

  constructor(place) {
    this.#adapting = h(
      "div.adapting",
      {},
      h("ol.steps", { "aria-label": "Steps of adapting" }, this.#steps),
      this.#facts,
      h(
        "p.note",
        {},
        "Then its variants vote, which takes seconds. You may leave: the job goes on.",
      ),
    );
    for (const [name, term] of [
      ["Right on what it learns from", "variant"],
      ["Right on what was held out", "held_out"],
      ["Loss", "loss"],
      ["Trained for", "adapt"],
    ]) {
      const value = h("dd", {}, "–");
      this.#values.set(name, value);
      this.#facts.append(h("div", {}, h("dt", {}, withHelp(name, term)), value));
    }
    place.append(this.#inputs, this.#adapting);
    this.element = place;
  }

  // Elements are kept and only filled again, so that an open explanation stays open.
  show(task, job) {
    if (task !== this.#task) this.#showInputs(task);
    const adaptation = job.state === "adapting" ? job.progress?.adaptation : null;
    this.#adapting.hidden = !adaptation;
    if (adaptation) this.#showAdaptation(adaptation);
  }

  #showInputs(task) {
    this.#task = task;
    const { test } = task;
    setStyle(this.#inputs, { "--side": largestSide(test.map(({ input }) => input)) });
    replace(
      this.#inputs,
      test.flatMap(({ input }, index) => [
        figure(test.length === 1 ? "Input" : `Test ${index + 1}`, input, lookOf(task, index)),
        h(
          "div.staged",
          { "aria-hidden": "true" },
          h("strong", {}, "Answer"),
          h("div.open-answer", {}, "?"),
        ),
      ]),
    );
  }

  #showAdaptation(adaptation) {
    const at = stepOf(adaptation) ?? -1;
    this.#steps.forEach((step, index) => {
      step.className = index < at ? "is-done" : index === at ? "is-now" : "";
      if (index === at) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    const { steps, seconds: taken, loss, right_share: right, held_out_share: held } = adaptation;
    const share = (value) => (value === null || value === undefined ? "–" : percent(value));
    this.#set("Right on what it learns from", share(right));
    this.#set("Right on what was held out", share(held));
    this.#set("Loss", loss === null || loss === undefined ? "–" : loss.toPrecision(3));
    this.#set("Trained for", `${count(steps, "step")}, ${seconds(taken)}`);
  }

  #set(name, text) {
    this.#values.get(name).textContent = text;
  }
}

function figure(name, grid, look) {
  const caption = sizeText(grid);
  return h(
    "figure.staged",
    {},
    h("figcaption", {}, h("strong", {}, name)),
    picture(grid, { label: `${name}, ${caption}`, look }),
    h("span.caption", {}, caption),
  );
}
