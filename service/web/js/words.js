// Numbers and times in words.

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

// Never "100%" of what is not whole, nor "0%" of what is not nothing.
export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1%";
  if (share < 1 && share > 0.99) return "> 99%";
  return `${Math.round(share * 100)}%`;
}

export function seconds(value) {
  if (value < 0.001) return "< 1 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  return `${minutes} min ${Math.round(value - minutes * 60)} s`;
}

// A time nobody should take by the second: "about 2 minutes", or "about 2 min" in short.
export function about(value, form = "words") {
  const [one, many] = form === "words" ? ["minute", "minutes"] : ["min", "min"];
  if (value < 90) return `about ${roundUp(value)} s`;
  const minutes = Math.round(value / 60);
  return `about ${count(minutes, one, many)}`;
}

// What is left of a wait: to the second only at its end.
export function left(value) {
  if (value < 1) return "almost done";
  if (value < 90) return `${roundUp(value)} s left`;
  return `about ${Math.round(value / 60)} min left`;
}

function roundUp(value) {
  const step = value < 15 ? 1 : 5;
  return Math.ceil(value / step) * step;
}

export function timeOfDay(date = new Date()) {
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

export function timeAgo(text, now = Date.now()) {
  const value = Math.max(0, (now - Date.parse(text)) / 1000);
  if (value < 10) return "just now";
  if (value < 60) return `${Math.floor(value)} s ago`;
  if (value < 3600) return `${Math.floor(value / 60)} min ago`;
  if (value < 86_400) return `${Math.floor(value / 3600)} h ago`;
  return new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

export function dateTime(text) {
  return new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
