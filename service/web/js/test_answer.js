// What the vote on one test input says: attempts, candidates, agreement, and single variants.

import { agreementView } from "./agreement_view.js";
import { h } from "./dom.js";
import { help, withHelp } from "./help.js";
import { differences, isEqual, sizeText } from "./grids.js";
import { lookOf } from "./kinds.js";
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
        h("h3", {}, title, h("span.note", {}, this.#votesText()), this.#rulesVerdict()),
        help("vote"),
      ),
      this.#attempts(),
      test.attempts.length === 0 ? null : agreementView(test, this.#look.kind),
      this.#candidates(),
      this.#variants(),
    );
  }

  get #look() {
    return lookOf(this.#task, this.#index);
  }

  #rulesVerdict() {
    const { verified = null } = this.#test;
    if (verified === null) return null;
    return verified
      ? h("span.verdict.is-right", {}, "✓ Verified by the rules")
      : h("span.verdict.is-wrong", {}, "✗ Not verified: no answer obeys the rules");
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
    const { attempts, candidates, expected, verified = null, confidence = [] } = this.#test;
    const figures = [this.#figure(this.#task.test[this.#index].input, "Input", null)];
    // What the rules judge need not be as expected: a maze may have several shortest paths.
    const compared = verified === null ? (expected ?? null) : null;
    attempts.forEach((grid, place) => {
      const { share } = candidates[place];
      const votes = `${percent(share)} of the votes`;
      // A share of votes is no confidence: only a measured one is called so.
      const known = confidence?.[place];
      const captions = known === undefined ? [votes] : [`${percent(known)} confidence`, votes];
      figures.push(this.#figure(grid, `Attempt ${place + 1}`, captions, compared));
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
    const look = this.#look;
    const marks = expected === null ? [] : (differences(grid, expected) ?? []);
    const isRight = expected === null ? null : isEqual(grid, expected);
    const faults = () =>
      marks.map(([row, column]) => ({ row, column, detail: "is not as expected" }));
    return h(
      "figure.attempt",
      {},
      h("figcaption", {}, h("strong", {}, name), isRight === null ? null : verdict(isRight)),
      tile(grid, title, "Look closely", () => this.#editor.open({ title, grid, faults, look }), {
        marks,
        look,
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
        look: this.#look,
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
    return new VariantWalk(this.#test, this.#index, this.#task, this.#editor).element;
  }
}

function differenceText(grid, expected, marks) {
  if (marks.length > 0) {
    const verb = marks.length === 1 ? "differs" : "differ";
    return `${marks.length} of ${count(grid.flat().length, "cell")} ${verb}`;
  }
  return `${sizeText(grid)}, but ${sizeText(expected)} is expected`;
}
