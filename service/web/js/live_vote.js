// A vote that goes on: the first candidates, their shares, and how many have answered.

import { h } from "./dom.js";
import { lookOf } from "./kinds.js";
import { largestSide, tile } from "./pictures.js";
import { count, percent } from "./words.js";

export function liveVote(test, index, task, editor) {
  const { votes, abstained, candidates } = test;
  const title = task.test.length === 1 ? "Votes so far" : `Test ${index + 1}: votes so far`;
  const left = abstained === 0 ? "" : `, ${abstained} gave no valid grid`;
  return h(
    "section.test",
    { "aria-label": title },
    h("h3", {}, title, h("span.note", {}, `${count(votes, "vote")}${left}`)),
    candidates.length === 0
      ? h("p.note", {}, "Nothing yet.")
      : h(
          "ol.candidates.live",
          { style: scaleOf(candidates) },
          candidates.map((candidate, place) =>
            candidateItem(candidate, place, { index, editor, look: lookOf(task, index) }),
          ),
        ),
  );
}

// Candidates are drawn to one scale, whatever the size of the attempts.
export function scaleOf(candidates) {
  return { "--side": largestSide(candidates.map(({ grid }) => grid)) };
}

// A candidate with its bar; `isRight` is null where nobody knows.
export function candidateItem(
  { grid, count: votes, share, mean_q_halt: q, by_checkpoint: parts },
  place,
  { index, editor, look, isRight = null },
) {
  const label = `Candidate ${place + 1}`;
  const title = `Test ${index + 1}: ${label.toLowerCase()}`;
  const onclick = () => editor.open({ title, grid, look });
  const details = [count(votes, "vote")];
  if (q !== undefined) details.push(`q ${q.toFixed(2)}`);
  if (parts)
    details.push(
      Object.entries(parts)
        .map(([name, number]) => `${name} ${number}`)
        .join(", "),
    );
  return h(
    "li.candidate",
    {},
    tile(grid, label, "Look closely", onclick, {
      focus: `candidate-${index}-${place}`,
      classes: ".small",
      look,
    }),
    h(
      "div.candidate-text",
      {},
      h(
        "div.candidate-line",
        {},
        h("strong", {}, percent(share)),
        isRight === null ? null : verdict(isRight),
        h("span.note", {}, details.join(" · ")),
      ),
      h("div.bar", { "aria-hidden": "true" }, h("div.bar-fill", { style: { "--share": share } })),
    ),
  );
}

// Right or wrong: a word and a sign, not a colour alone.
export function verdict(isRight) {
  return h(
    isRight ? "span.verdict.is-right" : "span.verdict.is-wrong",
    {},
    isRight ? "✓ right" : "✗ wrong",
  );
}
