// How the puzzle is to be solved: the form as the options of a job, kept for the next time.

import { byId, h, replace } from "./dom.js";
import { keep, recall } from "./keep.js";
import { count } from "./words.js";

const NUMBERS = [
  "variants",
  "attempts",
  "max_segments",
  "seed",
  "adapt_s",
  "adapt_variants",
  "deadline_s",
];
const CHOICES = ["halting", "ranking", "adapt", "priority"];
const FLAGS = ["whole_vote", "trace"];
const ADAPTING = ["adapt_s", "adapt_variants"];

export class OptionsForm {
  #form = byId("options");
  #checkpoints = [];

  constructor() {
    const kept = recall("options", {});
    for (const name of [...NUMBERS, ...CHOICES]) {
      if (typeof kept[name] === "string") this.#form.elements[name].value = kept[name];
    }
    for (const name of FLAGS) {
      if (typeof kept[name] === "boolean") this.#form.elements[name].checked = kept[name];
    }
    this.#form.addEventListener("input", () => this.#changed());
    byId("options-reset").addEventListener("click", () => {
      this.#form.reset();
      this.#changed();
    });
    this.#changed();
  }

  // Whether all fields hold what they may; else the browser says so at the field.
  get isValid() {
    if (this.#form.checkValidity()) return true;
    byId("more-options").open = true;
    this.#form.reportValidity();
    return false;
  }

  // The options that are not left to the service.
  get options() {
    const { elements } = this.#form;
    const options = {};
    if (elements.checkpoint.value !== "") options.checkpoint = elements.checkpoint.value;
    const beside = [...this.#form.querySelectorAll('input[name="ensemble"]:checked')]
      .map(({ value }) => value)
      .filter((name) => name !== (elements.checkpoint.value || this.#defaultName));
    if (beside.length > 0) options.ensemble = beside;
    const isAdapting = elements.adapt.value !== "never";
    for (const name of NUMBERS) {
      const { value } = elements[name];
      if (value !== "" && (isAdapting || !ADAPTING.includes(name))) options[name] = Number(value);
    }
    for (const name of CHOICES) options[name] = elements[name].value;
    options.stop_early = !elements.whole_vote.checked;
    options.trace = elements.trace.checked;
    return options;
  }

  set(name, value) {
    this.#form.elements[name].value = value;
    this.#changed();
  }

  // Leads to the field of an option that the service pointed to.
  focus(pointer) {
    const name = pointer.split("/")[2];
    const field = this.#form.elements[name === "stop_early" ? "whole_vote" : name];
    const element = field instanceof RadioNodeList ? field[0] : field;
    if (!element) return;
    if (byId("more-options").contains(element)) byId("more-options").open = true;
    element.focus();
  }

  setCheckpoints(checkpoints) {
    this.#checkpoints = checkpoints;
    const choice = this.#form.elements.checkpoint;
    const before = choice.value || (recall("options", {}).checkpoint ?? "");
    const options = checkpoints.map(({ name, finding, canvas, puzzles }) =>
      h(
        "option",
        { value: name, selected: name === before },
        `${name}: ${count(puzzles, "puzzle")}, up to ${canvas} × ${canvas}` +
          (finding === "aligned" ? "" : `, ${finding}`),
      ),
    );
    const standard = this.#defaultName;
    const first = h(
      "option",
      { value: "" },
      standard === null ? "none is served now" : `${standard} (default)`,
    );
    choice.replaceChildren(first, ...options);
    if (![...choice.options].some(({ selected }) => selected)) choice.value = "";
    this.#showEnsemble();
  }

  get #defaultName() {
    return this.#checkpoints.find((checkpoint) => checkpoint.default)?.name ?? null;
  }

  #showEnsemble() {
    const main = this.#form.elements.checkpoint.value || this.#defaultName;
    const chosen = new Set(
      [...this.#form.querySelectorAll('input[name="ensemble"]:checked')].map(({ value }) => value),
    );
    const others = this.#checkpoints.filter(({ name }) => name !== main);
    byId("ensemble").hidden = others.length === 0;
    replace(
      byId("ensemble-list"),
      others.map(({ name }) =>
        h(
          "label.check",
          {},
          h("input", {
            type: "checkbox",
            name: "ensemble",
            value: name,
            checked: chosen.has(name),
            "data-focus": `beside-${name}`,
          }),
          ` ${name}`,
        ),
      ),
    );
  }

  #changed() {
    const { elements } = this.#form;
    byId("adapt-budget").hidden = elements.adapt.value === "never";
    this.#showEnsemble();
    const values = [...NUMBERS, ...CHOICES].map((name) => [name, elements[name].value]);
    const flags = FLAGS.map((name) => [name, elements[name].checked]);
    const checkpoint =
      this.#checkpoints.length > 0 ? elements.checkpoint.value : recall("options", {}).checkpoint;
    keep("options", Object.fromEntries([...values, ...flags, ["checkpoint", checkpoint ?? ""]]));
    this.#summarise();
  }

  // What is not as usual is shown beside the closed options.
  #summarise() {
    const { elements } = this.#form;
    const told = [];
    if (elements.variants.value !== "")
      told.push(count(Number(elements.variants.value), "variant"));
    if (elements.whole_vote.checked) told.push("whole vote");
    if (elements.halting.value !== "act") told.push("fixed halting");
    if (elements.adapt.value !== "never") told.push(`adapt: ${elements.adapt.value}`);
    if (elements.priority.value !== "interactive") told.push("batch");
    if (elements.seed.value !== "") told.push(`seed ${elements.seed.value}`);
    byId("options-summary").textContent = told.join(" · ");
  }
}
