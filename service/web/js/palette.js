// The colours or signs to choose from: a group of radio buttons.

import { byId, h } from "./dom.js";

export class Palette {
  #place;
  #kind = null;

  constructor(place) {
    this.#place = place;
  }

  show(kind) {
    if (kind === this.#kind) return;
    this.#kind = kind;
    const names = kind.names.slice(0, kind.chosen);
    this.#place.replaceChildren(...names.map((name, colour) => this.#swatch(name, colour)));
    this.choose(kind.first);
  }

  choose(colour) {
    this.colour = colour;
    byId(`colour-${colour}`).checked = true;
  }

  #swatch(name, colour) {
    const radio = h("input", {
      type: "radio",
      name: "colour",
      id: `colour-${colour}`,
      value: colour,
      onchange: () => this.choose(colour),
    });
    return h(
      "label.swatch",
      { title: `${name} (${this.#kind.keys[colour]})` },
      radio,
      h(
        "span.swatch-colour",
        { "data-colour": colour, "aria-hidden": "true" },
        this.#kind.signs[colour] ?? String(colour),
      ),
      h("span.visually-hidden", {}, name),
    );
  }
}
