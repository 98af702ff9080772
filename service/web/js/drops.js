// Files and texts may be dropped anywhere, and pasted wherever nothing is being written.

import { kindOfText } from "./kinds.js";

// `file` and `text` take what comes.
export function takeDrops({ file, text }) {
  let depth = 0;
  const mark = (value) => {
    depth = Math.max(0, value);
    document.body.classList.toggle("is-drop-target", depth > 0);
  };
  addEventListener("dragenter", (event) => {
    if (isElsewhere()) return;
    event.preventDefault();
    mark(depth + 1);
  });
  addEventListener("dragleave", () => mark(depth - 1));
  addEventListener("dragover", (event) => {
    if (!isElsewhere()) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    mark(0);
    if (isElsewhere()) return;
    event.preventDefault();
    const [dropped] = event.dataTransfer.files;
    if (dropped === undefined) text(event.dataTransfer.getData("text/plain"));
    else file(dropped);
  });
  addEventListener("paste", (event) => {
    if (isElsewhere() || event.target.closest?.("input, textarea, select")) return;
    const pasted = event.clipboardData.getData("text/plain");
    if (!pasted.trim().startsWith("{") && kindOfText(pasted) === null) return;
    event.preventDefault();
    text(pasted);
  });
}

// A dialog for something else is open.
function isElsewhere() {
  return document.querySelector("dialog[open]:not(#open-dialog)") !== null;
}
