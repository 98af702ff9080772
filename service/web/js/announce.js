// What screen readers announce beside what is seen.

import { h } from "./dom.js";

// A dialog that is open shuts out all that is beside it, what it says included: each has regions of
// its own, which must be there before something is put into them.
const regions = new Map(
  [document.body, ...document.querySelectorAll("dialog")].map((place) => {
    const polite = h("div.visually-hidden", { role: "status" });
    const assertive = h("div.visually-hidden", { role: "alert" });
    place.append(polite, assertive);
    return [place, { polite, assertive }];
  }),
);

// Politely; the same words twice are two messages.
export function announce(text) {
  put("polite", text);
}

// At once: something went wrong.
export function alarm(text) {
  put("assertive", text);
}

function put(manner, text) {
  const place = document.querySelector("dialog[open]") ?? document.body;
  const region = regions.get(place)[manner];
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
