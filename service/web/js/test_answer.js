// What the vote on one test input says: attempts, candidates, agreement, and single variants.

import { agreementView } from "./agreement_view.js";
import { h } from "./dom.js";
import { differences, isEqual, sizeText } from "./grids.js";
import { candidateItem, scaleOf, verdict } from "./live_vote.js";
import { tile } from "./pictures.js";
import { VariantWalk } from "./variant_walk.js";
import { count, percent } from "./words.js";

export class TestAnswer {
  #test;
  #index;
  #task;
  #editor;

  constructor(test, index, task, editor) {
    this.#test = test;
    this.#index = index;
    this.#task = task;
    this.#editor = editor;
    const title = task.test.length === 1 ? "Test input" : `Test ${index + 1}`;
    this.element = h(
      "section.test",
      { "aria-label": `${title}: answer` },
      h("h3", {}, title, h("span.note", {}, this.#votesText())),
      this.#attempts(),
      test.attempts.length === 0 ? null : agreementView(test),
      this.#candidates(),
      this.#variants(),
    );
  }

  get #input() {
    return this.#task.test[this.#index].input;
  }

  #votesText() {
    const {
      votes,
      abstained,
      variants_asked: asked,
      variants_used: used,
      decided_early: isEarly,
    } = this.#test;
    const parts = [`${count(votes, "vote")}`];
    if (abstained > 0) parts.push(`${abstained} without a grid`);
    if (isEarly) parts.push(`settled after ${used} of ${count(asked, "variant")}`);
    return parts.join(" · ");
  }

  #attempts() {
    const { attempts, candidates, expected } = this.#test;
    const figures = [this.#figure(this.#input, "Input", null)];
    attempts.forEach((grid, place) => {
      const { share, mean_q_halt: q } = candidates[place];
      const caption = [`${percent(share)} of the votes · q ${q.toFixed(2)}`];
      figures.push(this.#figure(grid, `Attempt ${place + 1}`, caption, expected ?? null));
    });
    if (attempts.length === 0) {
      figures.push(h("p.note", {}, "No attempt: none of the variants answered with a grid."));
    }
    if (expected) figures.push(this.#figure(expected, "Expected", null));
    return h("div.attempts", {}, figures);
  }

  #figure(grid, name, caption, expected = null) {
    const title = `Test ${this.#index + 1}: ${name.toLowerCase()}`;
    const marks = expected === null ? [] : (differences(grid, expected) ?? []);
    const isRight = expected === null ? null : isEqual(grid, expected);
    const faults = () =>
      marks.map(([row, column]) => ({ row, column, detail: "is not as expected" }));
    return h(
      "figure.attempt",
      {},
      h("figcaption", {}, h("strong", {}, name), isRight === null ? null : verdict(isRight)),
      tile(grid, title, "Look closely", () => this.#editor.open({ title, grid, faults }), {
        marks,
      }),
      h("span.caption", {}, caption ?? sizeText(grid)),
      isRight === false ? h("span.caption", {}, differenceText(grid, expected, marks)) : null,
    );
  }

  #candidates() {
    const { candidates, distinct_candidates: distinct, expected } = this.#test;
    if (candidates.length < 2) return null;
    const items = candidates.map((candidate, place) =>
      candidateItem(candidate, place, {
        index: this.#index,
        editor: this.#editor,
        isRight: expected ? isEqual(candidate.grid, expected) || null : null,
      }),
    );
    const more = distinct > candidates.length ? `, the first ${candidates.length} shown` : "";
    return h(
      "details.all-candidates",
      { open: true },
      h("summary", {}, `Candidates (${distinct}${more})`),
      h("ol.candidates", { style: scaleOf(candidates) }, items),
    );
  }

  #variants() {
    const { variants } = this.#test;
    if (!variants) {
      return h(
        "p.note",
        {},
        "What single variants answered was not kept: the option “Keep every variant’s answer” keeps it.",
      );
    }
    if (variants.length === 0) return null;
    return new VariantWalk(this.#input, this.#test, this.#index, this.#editor).element;
  }
}

function differenceText(grid, expected, marks) {
  if (marks.length > 0) {
    const verb = marks.length === 1 ? "differs" : "differ";
    return `${marks.length} of ${count(grid.flat().length, "cell")} ${verb}`;
  }
  return `${sizeText(grid)}, but ${sizeText(expected)} is expected`;
}
