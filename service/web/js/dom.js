// Elements out of plain calls; text only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

// h("button.primary", {type: "button", onclick}, "Solve"): attributes, and `on…` listeners.
export function h(selector, attributes = {}, ...children) {
  const [name, ...classes] = selector.split(".");
  const element = document.createElement(name);
  if (classes.length > 0) element.classList.add(...classes);
  return fill(element, attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") setStyle(element, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// Custom properties, as {"--cols": 3}: the page's policy allows no style attributes.
export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
}

export function byId(id) {
  return document.getElementById(id);
}

// Replaces what is inside, and keeps the focus where it was if the same place is there again.
export function replace(element, ...children) {
  const focused = element.contains(document.activeElement)
    ? document.activeElement.dataset.focus
    : undefined;
  element.replaceChildren(...children.flat().filter(Boolean));
  if (focused !== undefined)
    element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}
