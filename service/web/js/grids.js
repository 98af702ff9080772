// Grids as lists of rows of numbers, and what can be done with them; nothing is changed in place. A
// cell that is none of the numbers of its kind (yet) is WRONG; only drafts hold such cells.

import { ARC } from "./kinds.js";
import { count } from "./words.js";

export const WRONG = -1;
export const MAX_SIDE = 30;

export function makeGrid(height, width, colour = 0) {
  return Array.from({ length: height }, () => new Array(width).fill(colour));
}

export function sizeOf(grid) {
  return [grid.length, grid[0].length];
}

export function sizeText(grid) {
  const [height, width] = sizeOf(grid);
  return `${height} × ${width}`;
}

export function isEqual(one, other) {
  return (
    one.length === other.length &&
    one[0].length === other[0].length &&
    one.every((row, r) => row.every((cell, c) => cell === other[r][c]))
  );
}

// A grid as a string that equal grids have in common.
export function keyOf(grid) {
  return grid.map((row) => row.join("")).join("/");
}

// A value that a grid has once moves to the last of the places.
export function withCells(grid, places, value, { once, blank } = ARC) {
  const isOnce = once.includes(value);
  const copy = grid.map((row) => row.map((cell) => (isOnce && cell === value ? blank : cell)));
  for (const [r, c] of isOnce ? places.slice(-1) : places) copy[r][c] = value;
  return copy;
}

// What fits stays where it is, what is new is blank.
export function resize(grid, height, width, { blank } = ARC) {
  return makeGrid(height, width).map((row, r) => row.map((_, c) => grid[r]?.[c] ?? blank));
}

// The places of one colour around a place, across edges.
export function regionAround(grid, row, column) {
  const [height, width] = sizeOf(grid);
  const colour = grid[row][column];
  const seen = new Set([row * width + column]);
  const queue = [[row, column]];
  for (const [r, c] of queue) {
    for (const [y, x] of [
      [r - 1, c],
      [r + 1, c],
      [r, c - 1],
      [r, c + 1],
    ]) {
      const isInside = y >= 0 && y < height && x >= 0 && x < width;
      if (isInside && grid[y][x] === colour && !seen.has(y * width + x)) {
        seen.add(y * width + x);
        queue.push([y, x]);
      }
    }
  }
  return queue;
}

// The places of the rectangle between two corners.
export function rectangle([r0, c0], [r1, c1]) {
  const places = [];
  for (let r = Math.min(r0, r1); r <= Math.max(r0, r1); r++) {
    for (let c = Math.min(c0, c1); c <= Math.max(c0, c1); c++) places.push([r, c]);
  }
  return places;
}

// The places on a line between two: a quick stroke of the pointer leaves cells out.
export function line([r0, c0], [r1, c1]) {
  const steps = Math.max(Math.abs(r1 - r0), Math.abs(c1 - c0), 1);
  return Array.from({ length: steps + 1 }, (_, i) => [
    Math.round(r0 + ((r1 - r0) * i) / steps),
    Math.round(c0 + ((c1 - c0) * i) / steps),
  ]);
}

// The places in which two grids differ; null where their sizes do.
export function differences(one, other) {
  if (one.length !== other.length || one[0].length !== other[0].length) return null;
  return rectangle([0, 0], [one.length - 1, one[0].length - 1]).filter(
    ([r, c]) => one[r][c] !== other[r][c],
  );
}

// A grid in words, for those who cannot see it: its size and how much there is of each value.
export function describeGrid(grid, { names, describe } = ARC) {
  const counts = new Map();
  for (const cell of grid.flat()) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  const parts = [...counts]
    .sort(([a, n], [b, m]) => m - n || a - b)
    .map(([cell, number]) => `${number} ${cell === WRONG ? "wrong" : names[cell]}`);
  const [height, width] = sizeOf(grid);
  const said = describe?.(grid) ?? parts.join(", ");
  return `${count(height, "row")}, ${count(width, "column")}: ${said}`;
}

// A grid as JSON, a row a line.
export function rowsAsText(grid, { write } = ARC) {
  return `[${write(grid)
    .map((row) => JSON.stringify(row))
    .join(",\n ")}]`;
}
