// Variants: ten colours exchanged, then the grid turned or mirrored; numbered as the service does. Of
// a Sudoku digits are exchanged, and its rows and columns are moved before it is turned.

import { ARC } from "./kinds.js";

const INVERSES = [0, 3, 2, 1, 4, 5, 6, 7];
const TURNS = [
  "as it is",
  "turned 90° left",
  "turned 180°",
  "turned 90° right",
  "mirrored left to right",
  "mirrored top to bottom",
  "mirrored along the main diagonal",
  "mirrored along the other diagonal",
];

const transpose = (grid) => grid[0].map((_, c) => grid.map((row) => row[c]));
const flipRows = (grid) => grid.slice().reverse();
const flipColumns = (grid) => grid.map((row) => row.slice().reverse());

export function applyDihedral(grid, dihedral) {
  switch (dihedral) {
    case 0:
      return grid.map((row) => row.slice());
    case 1:
      return flipRows(transpose(grid));
    case 2:
      return flipRows(flipColumns(grid));
    case 3:
      return flipColumns(transpose(grid));
    case 4:
      return flipColumns(grid);
    case 5:
      return flipRows(grid);
    case 6:
      return transpose(grid);
    case 7:
      return flipRows(flipColumns(transpose(grid)));
    default:
      throw new RangeError(`dihedral ${dihedral} is not one of 0..7`);
  }
}

export function recolour(grid, palette) {
  return grid.map((row) => row.map((cell) => palette[cell]));
}

export function applyVariant(grid, { dihedral, palette, rows, columns }) {
  const moved = rows === undefined ? grid : rows.map((r) => columns.map((c) => grid[r][c]));
  return applyDihedral(recolour(moved, palette), dihedral);
}

export function invertVariant(grid, { dihedral, palette }) {
  const inverse = [];
  palette.forEach((changed, old) => {
    inverse[changed] = old;
  });
  return recolour(applyDihedral(grid, INVERSES[dihedral]), inverse);
}

export function describeTurn({ dihedral, rows, columns }) {
  const isMoved = [rows, columns].some((lines) => lines?.some((line, place) => line !== place));
  return isMoved ? `rows and columns moved, ${TURNS[dihedral]}` : TURNS[dihedral];
}

// The colours that move, as [old, new].
export function movedColours({ palette }) {
  return palette.map((changed, old) => [old, changed]).filter(([old, changed]) => old !== changed);
}

export function describeColours(variant, { cell, names } = ARC) {
  const moved = movedColours(variant);
  if (moved.length === 0) return `${cell}s as they are`;
  const parts = moved.map(([old, changed]) => `${names[old]} to ${names[changed]}`);
  return `${cell}s: ${parts.join(", ")}`;
}
