// Before anything is drawn, or a dark page would flash up light. A plain script, for that reason.
"use strict";
try {
  const kept = localStorage.getItem("hrm-arc.theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // Without storage the system's choice holds.
}
