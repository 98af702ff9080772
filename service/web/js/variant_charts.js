// Charts of what variants did: for whom they voted, and how many segments they took.

import { h, svg } from "./dom.js";
import { TERMS } from "./terms.js";
import { segmentCounts } from "./votes.js";

// What a variant voted for, by `sideOf`: the word for its colour, and words for people.
export const SIDES = {
  0: ["first", "voted for attempt 1"],
  1: ["second", "voted for attempt 2"],
  other: ["other", "voted for another answer"],
  none: ["none", "gave no valid grid"],
};
const STRIP_HEIGHT = 40;

// A bar for each variant, as high as it took segments: a picture of the vote to click into.
// `onpick` gets the place that was clicked.
export function stripOf(traces, most, onpick) {
  const number = traces.length;
  const bars = traces.map(({ side, segments }, place) => {
    const height = (segments / most) * STRIP_HEIGHT;
    return svg("rect", {
      class: `bar-${SIDES[side][0]}`,
      x: place,
      y: STRIP_HEIGHT - height,
      width: number > 120 ? 1 : 0.82,
      height,
    });
  });
  const chart = svg(
    "svg",
    {
      viewBox: `0 0 ${Math.max(1, number)} ${STRIP_HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      focusable: "false",
    },
    ...bars,
    svg("rect", { class: "strip-cursor", y: 0, width: 1, height: STRIP_HEIGHT }),
  );
  chart.addEventListener("pointerdown", (event) => {
    const box = chart.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * number);
    event.preventDefault();
    onpick(Math.max(0, Math.min(number - 1, place)));
  });
  return chart;
}

export function legendOf(traces) {
  const numbers = new Map();
  for (const { side } of traces) numbers.set(side, (numbers.get(side) ?? 0) + 1);
  const items = [0, 1, "other", "none"]
    .filter((side) => numbers.has(side))
    .map((side) =>
      h(
        "li",
        {},
        h(`span.key.key-${SIDES[side][0]}`, {}, `${numbers.get(side)} ${SIDES[side][1]}`),
      ),
    );
  return h("ul.legend", { "aria-label": "What the variants voted for" }, items);
}

// How many variants took how many segments: a table that looks like a chart.
export function segmentTable(traces) {
  const counts = segmentCounts(traces);
  const most = Math.max(...counts.map(([, number]) => number));
  const rows = counts.map(([taken, number]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, String(taken)),
      h(
        "td.bar-cell",
        {},
        h(
          "div.bar",
          { "aria-hidden": "true" },
          h("div.bar-fill", { style: { "--share": number / most } }),
        ),
      ),
      h("td", {}, String(number)),
    ),
  );
  return h(
    "details.segments",
    {},
    h("summary", {}, "Segments per variant"),
    h("p.note", {}, TERMS.segment[1]),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Segments"),
          h("td"),
          h("th", { scope: "col" }, "Variants"),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}
