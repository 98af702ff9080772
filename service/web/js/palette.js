// The ten colours to choose from: a group of radio buttons.

import { byId, h } from "./dom.js";
import { COLOUR_NAMES } from "./grids.js";

const FIRST = 1;

export class Palette {
  constructor(place) {
    this.colour = FIRST;
    place.append(...COLOUR_NAMES.map((name, colour) => this.#swatch(name, colour)));
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
      checked: colour === FIRST,
      onchange: () => this.choose(colour),
    });
    return h(
      "label.swatch",
      { title: `${name} (${colour})` },
      radio,
      h("span.swatch-colour", { "data-colour": colour, "aria-hidden": "true" }, String(colour)),
      h("span.visually-hidden", {}, name),
    );
  }
}
