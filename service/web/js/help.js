// A question mark beside a word that not everybody knows: pressed, it explains the word.

import { announce } from "./announce.js";
import { h, setStyle } from "./dom.js";
import { TERMS } from "./terms.js";

const MARGIN_PX = 8;
let number = 0;

// The button with its explanation, which closes by Escape or a press anywhere else.
export function help(term) {
  const [word, text] = TERMS[term];
  const id = `help-${(number += 1)}`;
  const box = h("span.help-text", { id, popover: "auto" }, text);
  const button = h(
    "button.help",
    { type: "button", popovertarget: id, "aria-label": `What is meant by “${word}”?`, title: word },
    "?",
  );
  box.addEventListener("toggle", ({ newState }) => {
    if (newState !== "open") return;
    place(box, button);
    announce(text);
  });
  return h("span.help-place", {}, button, box);
}

// A word with its explanation.
export function withHelp(text, term) {
  return h("span.term", {}, text, " ", help(term));
}

// Puts explanations at the words of the page as it was sent.
export function explainAll() {
  for (const element of document.querySelectorAll("[data-term]"))
    element.replaceChildren(help(element.dataset.term));
}

// Beneath the button, or above where there is no room; within the window.
function place(box, button) {
  const at = button.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const left = Math.max(MARGIN_PX, Math.min(at.left, innerWidth - width - MARGIN_PX));
  const below = at.bottom + MARGIN_PX / 2;
  const isRoom = below + height + MARGIN_PX <= innerHeight;
  const top = isRoom ? below : Math.max(MARGIN_PX, at.top - height - MARGIN_PX / 2);
  setStyle(box, { "--x": `${left}px`, "--y": `${top}px` });
}

// A page that is scrolled leaves an explanation behind.
addEventListener("scroll", () => document.querySelector(".help-text:popover-open")?.hidePopover(), {
  passive: true,
  capture: true,
});
