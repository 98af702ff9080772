// How the puzzle is to be solved: the form as the options of a job, kept for the next time.

import { byId, h, replace } from "./dom.js";
import { canAdapt, usualAdaptS } from "./forecast.js";
import { keep, recall } from "./keep.js";
import { KINDS } from "./kinds.js";
import { about, count } from "./words.js";

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
const KEPT = "solve-options";

// Fires "change" when other options are chosen, by hand or from what the browser kept.
export class OptionsForm extends EventTarget {
  #form = byId("options");
  #checkpoints = [];

  constructor() {
    super();
    const kept = recall(KEPT, {});
    for (const name of [...NUMBERS, ...CHOICES]) {
      if (typeof kept[name] === "string" && kept[name] !== "")
        this.#form.elements[name].value = kept[name];
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
    const isAdapting = canAdapt(this.#checkpoints) && elements.adapt.value !== "never";
    for (const name of NUMBERS) {
      const { value } = elements[name];
      if (value !== "" && (isAdapting || !ADAPTING.includes(name))) options[name] = Number(value);
    }
    for (const name of CHOICES) options[name] = elements[name].value;
    if (!isAdapting) options.adapt = "never";
    options.stop_early = !elements.whole_vote.checked;
    options.trace = elements.trace.checked;
    return options;
  }

  // What decides whether a puzzle is adapted to.
  get choice() {
    const { elements } = this.#form;
    const number = ({ value }) => (value === "" ? null : Number(value));
    return {
      checkpoint: elements.checkpoint.value,
      adapt: elements.adapt.value,
      adaptS: number(elements.adapt_s),
      adaptVariants: number(elements.adapt_variants),
    };
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
    const before = choice.value || (recall(KEPT, {}).checkpoint ?? "");
    const options = checkpoints.map(({ name, kind = "arc", finding, canvas, puzzles }) => {
      const { isChecked, title } = KINDS[kind];
      const of = isChecked ? title : count(puzzles, "puzzle");
      const found = finding === "aligned" || isChecked ? "" : `, ${finding}`;
      const text = `${name}: ${of}, up to ${canvas} × ${canvas}${found}`;
      return h("option", { value: name, selected: name === before }, text);
    });
    const first = h(
      "option",
      { value: "" },
      checkpoints.length === 0 ? "none is served now" : "chosen for the puzzle",
    );
    choice.replaceChildren(first, ...options);
    if (![...choice.options].some(({ selected }) => selected)) choice.value = "";
    this.#showAdapting();
    this.#showEnsemble();
    this.dispatchEvent(new Event("change"));
  }

  // How long adapting takes, or that this service does not do it.
  #showAdapting() {
    const isAble = canAdapt(this.#checkpoints);
    const time = usualAdaptS(this.#checkpoints);
    byId("adapt-none").hidden = isAble;
    for (const radio of this.#form.elements.adapt) radio.disabled = !isAble;
    byId("adapt-note").textContent =
      time === null
        ? "new puzzles are learned first, which takes minutes"
        : `new puzzles are learned first, which takes up to ${about(time)}`;
    byId("adapt-budget").hidden = !isAble || this.#form.elements.adapt.value === "never";
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
    this.#showAdapting();
    this.#showEnsemble();
    const values = [...NUMBERS, ...CHOICES].map((name) => [name, elements[name].value]);
    const flags = FLAGS.map((name) => [name, elements[name].checked]);
    const checkpoint =
      this.#checkpoints.length > 0 ? elements.checkpoint.value : recall(KEPT, {}).checkpoint;
    keep(KEPT, Object.fromEntries([...values, ...flags, ["checkpoint", checkpoint ?? ""]]));
    this.#summarise();
    this.dispatchEvent(new Event("change"));
  }

  // What is not as usual is shown beside the closed options.
  #summarise() {
    const { elements } = this.#form;
    const parts = [];
    if (elements.checkpoint.value !== "") parts.push(elements.checkpoint.value);
    if (elements.variants.value !== "")
      parts.push(count(Number(elements.variants.value), "variant"));
    if (elements.whole_vote.checked) parts.push("whole vote");
    if (elements.halting.value !== "act") parts.push("fixed halting");
    if (elements.adapt.value === "never") parts.push("no adapting");
    if (elements.adapt.value === "always") parts.push("adapt always");
    if (elements.priority.value !== "interactive") parts.push("batch");
    if (elements.seed.value !== "") parts.push(`seed ${elements.seed.value}`);
    byId("options-summary").textContent = parts.join(" · ");
  }
}
