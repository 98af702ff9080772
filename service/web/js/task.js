// Tasks as they are pasted, drawn and sent. A draft may be wrong in places, so that what is wrong
// can be shown where it is: {name, kind, train: [{input, output}], test: [{input, output | null}]},
// with grids that may hold WRONG cells, and faults beside it: {pointer, detail}, as the service words
// them.
// A Sudoku or a maze is the input of its only test, with its answer as the output.

import { MAX_SIDE, WRONG, makeGrid } from "./grids.js";
import { jsonFault } from "./json_place.js";
import { ARC, KINDS, kindOfDocument, kindOfText } from "./kinds.js";
import { count } from "./words.js";

export const MAX_PAIRS = 10;
export const MAX_NAME = 200;
const GRIDS = ["input", "output"];
// Members of a document that are a grid.
const WHOLE = { sudoku: "Sudoku", maze: "Maze", answer: "Answer" };

export class TaskError extends Error {}

export function emptyDraft(name = "puzzle", kind = ARC) {
  const pair = () => ({ input: kind.begin(), output: kind.begin() });
  return {
    name,
    kind: kind.name,
    train: kind.isChecked ? [] : [pair(), pair()],
    test: [{ input: kind.begin(), output: null }],
  };
}

// Reads a text as one or many tasks: [{draft, faults}]. A file of many is {id: task}; a Sudoku or a
// maze may be there as it is.
export function readTasks(text, name = "puzzle") {
  const kind = kindOfText(text);
  if (kind !== null) return [readTask({ [kind.name]: text }, name)];
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new TaskError(`This is not JSON: ${jsonReason(text)}.`);
  }
  if (!isObject(document)) {
    throw new TaskError('This is JSON, but no task: a task is {"train": […], "test": […]}.');
  }
  if (isTask(document) || "test" in document) return [readTask(document, name)];
  const entries = Object.entries(document).filter(([, task]) => isObject(task) && isTask(task));
  if (entries.length === 0) {
    throw new TaskError("There is no task in this: a task has the members train and test.");
  }
  return entries.map(([id, task]) => readTask(task, id));
}

// Reads a document as a draft, as much of it as can be shown, with all that is wrong in it.
export function readTask(document, name = "puzzle") {
  const faults = [];
  const kind = kindOfDocument(document);
  const draft = { name: readName(document, name, faults), kind: kind.name, train: [], test: [] };
  if (kind.isChecked) {
    const [input, output = null] = [document[kind.name], document.answer];
    draft.test.push({
      input: readGrid(input, `/${kind.name}`, faults, kind),
      output: output === null ? null : readGrid(output, "/answer", faults, kind, true),
    });
    return { draft, faults };
  }
  for (const part of ["train", "test"]) {
    const list = document[part];
    const what = part === "train" ? "demonstrations" : "test inputs";
    if (!Array.isArray(list) || list.length < 1 || list.length > MAX_PAIRS) {
      const found = Array.isArray(list) ? `${list.length} ${what}` : "is not a list";
      faults.push({ pointer: `/${part}`, detail: `${found}; a task has 1..${MAX_PAIRS} ${what}` });
    }
    const entries = Array.isArray(list) ? list.slice(0, MAX_PAIRS) : [];
    entries.forEach((entry, index) => {
      draft[part].push(readPair(entry, part, `/${part}/${index}`, faults));
    });
  }
  if (draft.train.length === 0) draft.train.push({ input: makeGrid(3, 3), output: makeGrid(3, 3) });
  if (draft.test.length === 0) draft.test.push({ input: makeGrid(3, 3), output: null });
  return { draft, faults };
}

function readName(document, name, faults) {
  const given = document.name ?? document.id ?? name;
  if (typeof given === "string" && given.length >= 1 && given.length <= MAX_NAME) return given;
  faults.push({ pointer: "/name", detail: `is no name; give 1..${MAX_NAME} characters` });
  return "puzzle";
}

function readPair(entry, part, pointer, faults) {
  const pair = {};
  for (const member of GRIDS) {
    const place = `${pointer}/${member}`;
    const rows = isObject(entry) ? entry[member] : undefined;
    if (rows === undefined || (rows === null && member === "output" && part === "test")) {
      const isNeeded = part === "train" || member === "input";
      if (isNeeded) faults.push({ pointer: place, detail: "is missing; add it" });
      pair[member] = isNeeded ? makeGrid(1, 1, WRONG) : null;
    } else {
      pair[member] = readGrid(rows, place, faults);
    }
  }
  return pair;
}

// Reads what a document has for a grid; what is no cell of its kind, and what short rows lack,
// becomes a wrong cell.
export function readGrid(value, pointer, faults, kind = ARC, isAnswer = false) {
  const rows = kind.rowsOf(value);
  if (
    !Array.isArray(rows) ||
    rows.length === 0 ||
    !rows.some((row) => Array.isArray(row) && row.length)
  ) {
    faults.push({ pointer, detail: kind.forms.grid });
    return makeGrid(kind.side ?? 1, kind.side ?? 1, WRONG);
  }
  const most = kind.side ?? MAX_SIDE;
  const bounds = kind.side === null ? `a grid has 1..${most}` : `it has ${most}`;
  if (rows.length > most || rows.length < (kind.side ?? 1))
    faults.push({ pointer, detail: `${count(rows.length, "row")}; ${bounds}` });
  const kept = rows.slice(0, most);
  const widest = Math.max(...kept.map((row) => (Array.isArray(row) ? row.length : 0)));
  if (widest > most) faults.push({ pointer, detail: `${widest} columns; ${bounds}` });
  const width = kind.side ?? Math.min(MAX_SIDE, widest);
  return Array.from({ length: kind.side ?? kept.length }, (_, r) => {
    if (r >= kept.length) return new Array(width).fill(WRONG);
    const [row, place] = [kept[r], `${pointer}/${r}`];
    if (!Array.isArray(row)) {
      faults.push({ pointer: place, detail: kind.forms.row });
      return new Array(width).fill(WRONG);
    }
    if (row.length < width) {
      const detail = `is missing: this row has ${row.length} of ${width} columns`;
      faults.push({ pointer: `${place}/${row.length}`, detail });
    }
    return Array.from({ length: width }, (_, c) => {
      if (c >= row.length) return WRONG;
      const cell = kind.valueOf(row[c]);
      if (cell !== null && (isAnswer || cell < kind.chosen)) return cell;
      faults.push({ pointer: `${place}/${c}`, detail: `${shown(row[c])} ${kind.forms.cell}` });
      return WRONG;
    });
  });
}

// A draft as a task document; wrong cells become what the service points out again.
export function taskDocument(draft) {
  const kind = KINDS[draft.kind];
  const rows = kind.write;
  if (kind.isChecked) {
    const [{ input, output }] = draft.test;
    const answer = output === null ? {} : { answer: rows(output) };
    return { name: draft.name, [kind.name]: rows(input), ...answer };
  }
  return {
    name: draft.name,
    train: draft.train.map(({ input, output }) => ({ input: rows(input), output: rows(output) })),
    test: draft.test.map(({ input, output }) =>
      output === null ? { input: rows(input) } : { input: rows(input), output: rows(output) },
    ),
  };
}

// A task as JSON that people can read: a row of a grid on one line.
export function taskText(draft) {
  const text = JSON.stringify(taskDocument(draft), null, 1);
  return text.replace(
    /\[\s+((?:\d|null)(?:,\s+(?:\d|null))*)\s+\]/g,
    (_, row) => `[${row.replace(/\s+/g, "")}]`,
  );
}

// The pointer to a grid of a draft.
export function pointerOf({ kind }, { part, index, member }) {
  if (KINDS[kind].isChecked) return member === "input" ? `/${kind}` : "/answer";
  return `/${part}/${index}/${member}`;
}

// A pointer's parts where it leads to a grid or into one: {part, index, member, row?, column?}.
export function placeOf(pointer) {
  const match = /^\/(train|test)\/(\d+)(?:\/(input|output))?(?:\/(\d+))?(?:\/(\d+))?$/.exec(
    (pointer ?? "")
      .replace(/^\/(sudoku|maze)(?=\/|$)/, "/test/0/input")
      .replace(/^\/answer(?=\/|$)/, "/test/0/output"),
  );
  if (match === null) return null;
  const [, part, index, member, row, column] = match;
  const number = (text) => (text === undefined ? undefined : Number(text));
  return { part, index: Number(index), member, row: number(row), column: number(column) };
}

// A pointer in words: "Demonstration 1, input, row 3, column 2".
export function placeText(pointer) {
  const place = placeOf(pointer);
  if (place === null) return wordsOf(pointer ?? "");
  const whole = WHOLE[pointer.split("/")[1]];
  const parts = [
    whole ?? `${place.part === "train" ? "Demonstration" : "Test"} ${place.index + 1}`,
  ];
  if (whole === undefined && place.member !== undefined) parts.push(place.member);
  if (place.row !== undefined) parts.push(`row ${place.row + 1}`);
  if (place.column !== undefined) parts.push(`column ${place.column + 1}`);
  return parts.join(", ");
}

function wordsOf(pointer) {
  if (pointer === "") return "The task";
  const known = { "/train": "Demonstrations", "/test": "Test inputs", "/name": "Name" };
  if (pointer in known) return known[pointer];
  if (pointer.startsWith("/options/")) return `Option ${pointer.split("/")[2]}`;
  return pointer;
}

// The faults that are left once a grid was edited: of that grid, those at cells still wrong.
export function faultsAfterEdit(faults, draft, { part, index, member }) {
  const grid = draft[part][index][member];
  return faults.filter(({ pointer }) => {
    const place = placeOf(pointer);
    if (place === null || place.part !== part || place.index !== index) return true;
    if (place.member !== undefined && place.member !== member) return true;
    return place.column !== undefined && grid?.[place.row]?.[place.column] === WRONG;
  });
}

// The faults that are left once a pair was taken away: those behind it have moved up.
export function faultsAfterRemoval(faults, part, index) {
  return faults.flatMap((fault) => {
    const place = placeOf(fault.pointer);
    if (fault.pointer === `/${part}`) return [];
    if (place === null || place.part !== part || place.index < index) return [fault];
    if (place.index === index) return [];
    const [, , , ...rest] = fault.pointer.split("/");
    return [{ ...fault, pointer: ["", part, place.index - 1, ...rest].join("/") }];
  });
}

// All faults of a draft: those known, and cells that were never given a colour.
export function allFaults(draft, faults) {
  const found = [...faults];
  const known = new Set(faults.map(({ pointer }) => pointer));
  const { cell } = KINDS[draft.kind];
  for (const { pointer, grid } of gridsOf(draft)) {
    if ([...known].some((other) => other === pointer || other.startsWith(`${pointer}/`))) continue;
    grid.forEach((row, r) => {
      const c = row.indexOf(WRONG);
      if (c >= 0)
        found.push({ pointer: `${pointer}/${r}/${c}`, detail: `has no ${cell} yet; give it one` });
    });
  }
  return found;
}

// Whether two drafts are the same puzzle, whatever the names and what is expected.
export function isSamePuzzle(draft, task) {
  const grids = ({ kind, train, test }) =>
    JSON.stringify([
      kind,
      train.map(({ input, output }) => [input, output]),
      test.map(({ input }) => input),
    ]);
  return grids(draft) === grids(task);
}

// Every grid of a draft with its pointer.
export function gridsOf(draft) {
  return ["train", "test"].flatMap((part) =>
    draft[part].flatMap((pair, index) =>
      GRIDS.filter((member) => pair[member] !== null).map((member) => ({
        pointer: pointerOf(draft, { part, index, member }),
        grid: pair[member],
      })),
    ),
  );
}

function isTask(document) {
  return "train" in document || kindOfDocument(document) !== ARC;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value) {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 24 ? text : `${text.slice(0, 22)}…`;
}

function jsonReason(text) {
  if (text.trim() === "") return "it is empty";
  const { line, column, found } = jsonFault(text);
  const what = found === "" ? "it ends too early" : `${JSON.stringify(found)} is not expected`;
  return `${what} in line ${line}, column ${column}`;
}
