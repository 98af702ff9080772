// How far the votes agree in each cell of the first attempt: as a map, in words, and as a table.

import { h } from "./dom.js";
import { help } from "./help.js";
import { heatLabel, heatPicture } from "./pictures.js";
import { agreement, ballots, weakest } from "./votes.js";
import { percent } from "./words.js";

export function agreementView(test, { cell }) {
  const shares = agreement(test.attempts[0], ballots(test));
  const low = weakest(shares);
  return h(
    "div.agreement",
    {},
    h("div.with-help", {}, h("h4", {}, "Agreement in each cell"), help("agreement")),
    h(
      "div.agreement-body",
      {},
      heatPicture(shares, heatLabel(shares, low)),
      h("div", {}, h("p.note", {}, inWords(low, cell)), legend(), table(shares)),
    ),
  );
}

function inWords({ share, row, column, mean }, cell) {
  if (share === 1) return `Every vote has the first attempt’s ${cell} in every cell.`;
  return (
    `Of all votes, ${percent(mean)} on average have the first attempt’s ${cell} in a cell; ` +
    `the fewest in row ${row + 1}, column ${column + 1}: ${percent(share)}.`
  );
}

function legend() {
  const ends = ["0%", "100%"].map((text) => h("span", {}, text));
  return h("div.heat-legend", { "aria-hidden": "true" }, ends[0], h("span.heat-ramp"), ends[1]);
}

function table(shares) {
  const rows = shares.map((row) =>
    h(
      "tr",
      {},
      row.map((share) => h("td", {}, String(Math.round(share * 100)))),
    ),
  );
  return h(
    "details.cells",
    {},
    h("summary", {}, "Shares as a table"),
    h(
      "div.scroll",
      { tabindex: 0, role: "group", "aria-label": "Shares of agreement in each cell, in percent" },
      h("table", {}, h("tbody", {}, rows)),
    ),
  );
}
