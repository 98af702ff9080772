// Beside the button, and where the answer will be: what becomes of the puzzle once it is sent.

import { byId, replace } from "./dom.js";
import { forecastOf, forecastText, markOf } from "./forecast.js";

const STARTING = "The service is starting: its models are being loaded and tested.";

export class ForecastLine {
  #store;
  #knowledge;
  #form;

  constructor(store, knowledge, form) {
    this.#store = store;
    this.#knowledge = knowledge;
    this.#form = form;
    for (const source of [store, knowledge, form])
      source.addEventListener("change", () => this.#show());
    this.#show();
  }

  of(draft) {
    return forecastOf(draft, this.#knowledge, this.#form.choice);
  }

  #show() {
    const forecast = this.of(this.#store.draft);
    const isStarting = this.#knowledge.isAsked && this.#knowledge.checkpoints.length === 0;
    const text = isStarting ? STARTING : forecastText(forecast, this.#form.choice.adapt);
    replace(byId("forecast"), markOf({ ...forecast, adaptS: null }), " ", text);
    byId("answer-forecast").textContent =
      text === "" ? "Press Solve, and the answer arrives here." : text;
  }
}
