// What votes say: how far they agree in each cell, and what single variants voted for.

import { isEqual, keyOf } from "./grids.js";

// Of all ballots that name a grid, the share that has this grid's colour in each cell. A grid of
// another size agrees nowhere. `entries` are {grid, count}.
export function agreement(grid, entries) {
  const total = entries.reduce((sum, { count }) => sum + count, 0);
  const shares = grid.map((row) => row.map(() => 0));
  if (total === 0) return shares;
  for (const { grid: other, count } of entries) {
    if (other.length !== grid.length || other[0].length !== grid[0].length) continue;
    grid.forEach((row, r) =>
      row.forEach((cell, c) => {
        if (other[r][c] === cell) shares[r][c] += count / total;
      }),
    );
  }
  // Shares of ballots are added up from fractions: a whole must come out as a whole.
  return shares.map((row) => row.map((share) => Math.min(1, Math.round(share * 1e9) / 1e9)));
}

// The ballots behind a vote: of single variants where all were traced, else of candidates.
export function ballots(test) {
  const traced = test.variants ?? [];
  if (traced.length > 0 && traced.length === test.variants_used) {
    const entries = new Map();
    for (const { output } of traced) {
      if (output === null) continue;
      const key = keyOf(output);
      const entry = entries.get(key) ?? { grid: output, count: 0 };
      entry.count += 1;
      entries.set(key, entry);
    }
    return [...entries.values()];
  }
  return test.candidates.map(({ grid, count }) => ({ grid, count }));
}

// The least share of a map, where it is, and the mean.
export function weakest(shares) {
  let lowest = { share: Infinity, row: 0, column: 0 };
  let sum = 0;
  let count = 0;
  shares.forEach((cells, row) =>
    cells.forEach((share, column) => {
      sum += share;
      count += 1;
      if (share < lowest.share) lowest = { share, row, column };
    }),
  );
  return { ...lowest, mean: sum / count };
}

// What a variant voted for: 0 and 1 are the first two attempts, then "other", and "none" if it
// abstained.
export function sideOf(trace, attempts) {
  if (trace.output === null) return "none";
  const place = attempts.findIndex((grid) => isEqual(grid, trace.output));
  return place === 0 || place === 1 ? place : "other";
}

// How many variants took how many segments, as [segments, count], with none left out in between.
export function segmentCounts(traces) {
  const counts = new Map();
  for (const { segments } of traces) counts.set(segments, (counts.get(segments) ?? 0) + 1);
  const most = Math.max(0, ...counts.keys());
  return Array.from({ length: most }, (_, i) => [i + 1, counts.get(i + 1) ?? 0]);
}
