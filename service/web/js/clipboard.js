// Copying, also where the browser's own way is closed: on plain addresses without TLS.

import { announce, alarm } from "./announce.js";

export async function copyText(text, what) {
  try {
    if (navigator.clipboard !== undefined) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    announce(`${what} copied`);
    return true;
  } catch {
    alarm(`${what} could not be copied: the browser does not allow it`);
    return false;
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  const focused = document.activeElement;
  (focused?.closest("dialog") ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!isCopied) throw new Error("not allowed");
}

// A button that says for a moment that it has done it.
export function copyButton(button, text, what) {
  button.addEventListener("click", async () => {
    if (!(await copyText(text(), what))) return;
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = label;
    }, 1200);
  });
  return button;
}
