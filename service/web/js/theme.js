// Light, dark, or as the system has it.

import { byId } from "./dom.js";

const KEY = "hrm-arc.theme";

export function startTheme() {
  const choice = byId("theme");
  choice.value = document.documentElement.dataset.theme ?? "auto";
  choice.addEventListener("change", () => {
    const { value } = choice;
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
    try {
      // Plain text, not JSON: the script that runs before all others reads it.
      if (value === "auto") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, value);
    } catch {
      // Not kept, then.
    }
  });
}
