// What the vote on one test input says: attempts, candidates, agreement, and single variants.

import { agreementView } from "./agreement_view.js";
import { h } from "./dom.js";
import { help, withHelp } from "./help.js";
import { differences, isEqual, sizeText } from "./grids.js";
import { candidateItem, scaleOf, verdict } from "./live_vote.js";
import { tile } from "./pictures.js";
import { TERMS } from "./terms.js";
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
      h(
        "div.with-help",
        {},
        h("h3", {}, title, h("span.note", {}, this.#votesText())),
        help("vote"),
      ),
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
    if (abstained > 0) parts.push(`${abstained} gave no valid grid`);
    if (isEarly) parts.push(`settled after ${used} of ${count(asked, "variant")}`);
    return parts.join(" · ");
  }

  #attempts() {
    const { attempts, candidates, expected, confidence = [] } = this.#test;
    const figures = [this.#figure(this.#input, "Input", null)];
    attempts.forEach((grid, place) => {
      const { share } = candidates[place];
      const votes = `${percent(share)} of the votes`;
      // A share of votes is no confidence: only a measured one is called so.
      const known = confidence?.[place];
      const captions = known === undefined ? [votes] : [`${percent(known)} confidence`, votes];
      figures.push(this.#figure(grid, `Attempt ${place + 1}`, captions, expected ?? null));
    });
    if (attempts.length === 0) {
      figures.push(h("p.note", {}, "No attempt: none of the variants answered with a grid."));
    }
    if (expected) figures.push(this.#figure(expected, "Expected", null));
    return h(
      "div",
      {},
      h("div.attempts", {}, figures),
      confidence?.length > 0 ? h("p.note.term-line", {}, TERMS.confidence[1]) : null,
    );
  }

  #figure(grid, name, captions, expected = null) {
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
      (captions ?? [sizeText(grid)]).map((caption) => h("span.caption", {}, caption)),
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
      h("p.note", {}, "Grids by their votes. ", withHelp("q", "q"), ` decides between equals.`),
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
