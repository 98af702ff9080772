// The kinds of puzzles: how the cells of each are called, drawn, typed, read and written. A cell is
// a number: a colour 0..9, a digit 1..9 with 0 for empty, or the place of a sign in "# SGo".

const MAZE_SIGNS = [..."# SGo"];

// `names` and `signs` are by value: words for people, and what stands in a cell. Values below
// `chosen` can be drawn, `first` is chosen at first and `blank` stands where nothing was drawn; of
// those in `once` a grid has one cell. `keys` are by value too. `side` is that of all grids of a
// kind with grids of one size, `box` that of boxes between thick lines. Of a kind that is
// checked answers are judged by its rules, and it has one grid and no demonstrations. `describe`
// says in words what is in a grid; without it cells are counted by name.
export const ARC = Object.freeze({
  name: "arc",
  title: "ARC",
  heading: "Test",
  cell: "colour",
  names: [
    "black",
    "blue",
    "red",
    "green",
    "yellow",
    "grey",
    "magenta",
    "orange",
    "light blue",
    "maroon",
  ],
  signs: [],
  chosen: 10,
  first: 1,
  blank: 0,
  once: [],
  keys: "0123456789",
  keysText: "0 to 9 paint",
  side: null,
  box: 0,
  isChecked: false,
  forms: {
    grid: "is not a grid; give a list of rows",
    row: "is not a row; give a list of colours 0..9",
    cell: "is not a colour; give a whole number 0..9",
  },
  rowsOf: (value) => value,
  valueOf: digitOf,
  write: writeNumbers,
  begin: () => numbers(3, 0),
});

export const SUDOKU = Object.freeze({
  name: "sudoku",
  title: "Sudoku",
  heading: "Sudoku",
  cell: "digit",
  names: ["empty", ..."123456789"],
  signs: ["", ..."123456789"],
  chosen: 10,
  first: 1,
  blank: 0,
  once: [],
  keys: "0123456789",
  keysText: "1 to 9 write a digit",
  side: 9,
  box: 3,
  describe: (grid) => `${grid.flat().filter((cell) => cell > 0).length} cells filled`,
  isChecked: true,
  forms: {
    grid: "is not a Sudoku; give a text of 81 characters, or 9 rows",
    row: "is not a row; give 9 digits",
    cell: "is not a digit 1..9; an empty cell is 0 or .",
  },
  rowsOf: (value) =>
    typeof value === "string"
      ? (value.replace(/\s/g, "").match(/.{1,9}/gu) ?? []).map((row) => [...row])
      : signRows(value),
  valueOf: (sign) =>
    digitOf(
      typeof sign === "string" && /^[\d.]$/.test(sign) ? Number(sign.replace(".", "0")) : sign,
    ),
  write: writeNumbers,
  begin: () => numbers(9, 0),
});

export const MAZE = Object.freeze({
  name: "maze",
  title: "mazes",
  heading: "Maze",
  cell: "sign",
  names: ["wall", "free", "start", "goal", "path"],
  signs: ["", "", "S", "G", "•"],
  chosen: 4,
  first: 0,
  blank: 1,
  once: [2, 3],
  keys: "#.sg",
  keysText: "# sets a wall, . a free cell, S the start and G the goal",
  side: null,
  box: 0,
  isChecked: true,
  forms: {
    grid: "is not a maze; give a list of rows of text",
    row: "is not a row; give a text of the signs # S G and spaces",
    cell: "is none of the signs # S G; a free cell is a space",
  },
  rowsOf: (value) =>
    signRows(typeof value === "string" ? value.replace(/\r?\n$/, "").split(/\r?\n/) : value),
  valueOf: (sign) => (MAZE_SIGNS.includes(sign) ? MAZE_SIGNS.indexOf(sign) : null),
  write: (grid) => grid.map((row) => row.map((cell) => MAZE_SIGNS[cell] ?? "?").join("")),
  begin: () => {
    const grid = numbers(9, 1);
    grid[0][0] = 2;
    grid[8][8] = 3;
    return grid;
  },
});

export const KINDS = Object.freeze({ arc: ARC, sudoku: SUDOKU, maze: MAZE });
const CHECKED = [SUDOKU, MAZE];
// Of a text, what may be wrong in a puzzle that is still known for one.
const MOSTLY = 0.8;

// The kind of a task document: of a draft `KINDS[draft.kind]` is.
export function kindOfDocument(document) {
  return CHECKED.find(({ name }) => document[name] !== undefined) ?? ARC;
}

// The kind of a text that is a puzzle as it is, not JSON; null for any other text.
export function kindOfText(text) {
  const digits = text.replace(/\s/g, "");
  if (digits.length > 60 && digits.length < 100 && shareOf(digits, /[\d.]/g) > MOSTLY)
    return SUDOKU;
  const isMarked = text.includes("#") || (text.includes("S") && text.includes("G"));
  return isMarked && shareOf(text, /[# SGo\r\n]/g) > MOSTLY ? MAZE : null;
}

function shareOf(text, sign) {
  return (text.match(sign) ?? []).length / text.length;
}

// How the grids that belong to a test input are drawn: what it does not give was added.
export function lookOf({ kind, test }, index = 0) {
  return { kind: KINDS[kind], givens: test[index].input };
}

// The checkpoints for a draft's kind; an older service serves ARC alone, and does not say so.
export function ofKind(checkpoints, draft) {
  return checkpoints.filter(({ kind = ARC.name }) => kind === draft.kind);
}

export const ARC_LOOK = Object.freeze({ kind: ARC, givens: null });

export function isAdded({ kind, givens }, grid, row, column) {
  if (!kind.isChecked || givens === null) return false;
  return givens[row]?.[column] !== grid[row][column];
}

function numbers(side, value) {
  return Array.from({ length: side }, () => new Array(side).fill(value));
}

function digitOf(value) {
  return Number.isInteger(value) && value >= 0 && value <= 9 ? value : null;
}

// What is wrong in a draft is a negative cell, and becomes null.
function writeNumbers(grid) {
  return grid.map((row) => row.map((cell) => (cell < 0 ? null : cell)));
}

function signRows(value) {
  if (!Array.isArray(value)) return value;
  return value.map((row) => (typeof row === "string" ? [...row] : row));
}
