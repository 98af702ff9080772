// Grids as pictures: one shape a colour, so that a page full of grids stays light.

import { WRONG, describeGrid, rectangle, sizeOf } from "./grids.js";
import { h, setStyle, svg } from "./dom.js";
import { ARC_LOOK, isAdded } from "./kinds.js";
import { percent } from "./words.js";

// Up to this many a side the cells of a map are large enough for a number.
const NUMBERED = 10;

// `marks`: places with a frame around them; `look` says how cells are drawn. A picture with a label
// is an image of its own, one without belongs to something that has a name already.
export function picture(grid, { label = null, marks = [], look = ARC_LOOK } = {}) {
  const [height, width] = sizeOf(grid);
  const drawn = frame(height, width, label, [
    ...colourShapes(grid),
    lines(height, width),
    ...signsOf(grid, look),
    ...(marks.length === 0 ? [] : [outlines(marks, "mark-under"), outlines(marks, "mark")]),
  ]);
  drawn.dataset.kind = look.kind.name;
  return drawn;
}

// How far votes agree in each cell: the paler, the more they do.
export function heatPicture(shares, label) {
  const [height, width] = sizeOf(shares);
  const cells = rectangle([0, 0], [height - 1, width - 1]);
  const shapes = cells.map(([r, c]) =>
    svg("rect", {
      class: "heat",
      x: c,
      y: r,
      width: 1,
      height: 1,
      "fill-opacity": heatOpacity(shares[r][c]),
    }),
  );
  const numbers = cells.map(([r, c]) =>
    svg(
      "text",
      { class: "heat-number", x: c + 0.5, y: r + 0.5 },
      String(Math.round(shares[r][c] * 100)),
    ),
  );
  const ground = svg("rect", { class: "heat-ground", width, height });
  const named = Math.max(width, height) <= NUMBERED ? numbers : [];
  const map = frame(height, width, label, [ground, ...shapes, lines(height, width), ...named]);
  setStyle(map, { "--side": Math.max(width, height) });
  return map;
}

export function heatOpacity(share) {
  return Number((1 - share).toFixed(3));
}

// A grid that opens when pressed, to be edited or looked at cell by cell.
export function tile(
  grid,
  label,
  action,
  onclick,
  { marks = [], look = ARC_LOOK, focus, classes = "" } = {},
) {
  const name = `${label}. ${describeGrid(grid, look.kind)}. ${action}`;
  return h(
    `button.tile${classes}`,
    {
      type: "button",
      "aria-label": name,
      title: `${label}: ${action.toLowerCase()}`,
      onclick,
      "data-focus": focus,
    },
    picture(grid, { marks, look }),
  );
}

// The largest side of some grids: what their pictures' cells are sized by, so that they compare.
export function largestSide(grids) {
  return Math.max(1, ...grids.flatMap((grid) => sizeOf(grid)));
}

export function heatLabel(shares, { share, row, column, mean }) {
  const where = `least in row ${row + 1}, column ${column + 1}: ${percent(share)}`;
  return `Agreement of the votes in each cell, ${percent(mean)} on average, ${where}`;
}

function frame(height, width, label, children) {
  const named = label === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": label };
  const attributes = {
    class: "grid",
    viewBox: `0 0 ${width} ${height}`,
    focusable: "false",
    ...named,
  };
  return svg("svg", { ...attributes, style: { "--rows": height, "--cols": width } }, ...children);
}

function* colourShapes(grid) {
  const runs = new Map();
  grid.forEach((row, r) => {
    for (let c = 0; c < row.length;) {
      let end = c + 1;
      while (end < row.length && row[end] === row[c]) end += 1;
      const run = `M${c} ${r}h${end - c}v1h${c - end}z`;
      runs.set(row[c], (runs.get(row[c]) ?? "") + run);
      c = end;
    }
  });
  for (const [colour, shape] of [...runs].sort(([a], [b]) => a - b)) {
    yield svg("path", { class: colour === WRONG ? "wrong" : `c${colour}`, d: shape });
  }
  const wrong = rectangle([0, 0], [grid.length - 1, grid[0].length - 1]).filter(
    ([r, c]) => grid[r][c] === WRONG,
  );
  if (wrong.length > 0) {
    const crosses = wrong.map(([r, c]) => `M${c + 0.2} ${r + 0.2}l.6 .6m0 -.6l-.6 .6`).join("");
    yield svg("path", { class: "cross", d: crosses });
  }
}

function lines(height, width, step = 1, kind = "lines") {
  let shape = "";
  for (let r = 0; r <= height; r += step) shape += `M0 ${r}h${width}`;
  for (let c = 0; c <= width; c += step) shape += `M${c} 0v${height}`;
  return svg("path", { class: kind, d: shape });
}

function* signsOf(grid, look) {
  const { box, signs } = look.kind;
  if (box > 0) yield lines(...sizeOf(grid), box, "box-lines");
  for (const [r, row] of grid.entries()) {
    for (const [c, cell] of row.entries()) {
      if (!signs[cell]) continue;
      const kind = isAdded(look, grid, r, c) ? "sign is-added" : "sign";
      yield svg("text", { class: kind, x: c + 0.5, y: r + 0.5 }, signs[cell]);
    }
  }
}

function outlines(places, kind) {
  const shape = places.map(([r, c]) => `M${c + 0.12} ${r + 0.12}h.76v.76h-.76z`).join("");
  return svg("path", { class: kind, d: shape });
}
