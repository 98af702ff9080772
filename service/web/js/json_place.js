// Where a text stops being JSON. Browsers say that in ways of their own, or not at all.

// A sign, or a text, number or word.
const TEXT = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/.source;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.source;
const TOKEN = new RegExp(`[ \\t\\n\\r]*(?:([{}[\\],:])|(${TEXT}|${NUMBER}|true|false|null))`, "y");
const SPACE = /[ \t\n\r]*/y;

// The first place that cannot be JSON: {line, column, found}, `found` empty where the text ends.
export function jsonFault(text) {
  const at = faultAt(text);
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: before.at(-1).length + 1, found: text.slice(at, at + 1) };
}

function faultAt(text) {
  const open = [];
  let wanted = "value";
  TOKEN.lastIndex = 0;
  for (;;) {
    SPACE.lastIndex = TOKEN.lastIndex;
    SPACE.exec(text);
    const at = SPACE.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) return at;
    const [, sign, plain] = match;
    const kind = sign ?? (plain.startsWith('"') ? "text" : "plain");
    wanted = following(wanted, kind, open);
    if (wanted === null) return at;
  }
}

// What may come after a token, null where the token may not be there.
function following(wanted, kind, open) {
  const isValue = wanted === "value" || wanted === "value or ]";
  if (isValue && (kind === "{" || kind === "[")) {
    open.push(kind);
    return kind === "{" ? "key or }" : "value or ]";
  }
  if (isValue && (kind === "text" || kind === "plain")) return "more";
  if (wanted.startsWith("key") && kind === "text") return ":";
  if (wanted === ":" && kind === ":") return "value";
  if (wanted === "more" && kind === "," && open.length > 0)
    return open.at(-1) === "{" ? "key" : "value";
  const isEnd = wanted === "more" || wanted.includes(" or ");
  if (isEnd && kind === { "{": "}", "[": "]" }[open.at(-1)]) {
    open.pop();
    return "more";
  }
  return null;
}
