// What the browser keeps for the page: as JSON, under names of our own; without storage, nothing.

const PREFIX = "hrm-arc.";

export function recall(name, otherwise = null, storage = "localStorage") {
  try {
    const text = globalThis[storage].getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function keep(name, value, storage = "localStorage") {
  try {
    if (value === null) globalThis[storage].removeItem(PREFIX + name);
    else globalThis[storage].setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden: the page works without.
  }
}
