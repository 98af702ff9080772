// A walk through the variants of a test input: what each looked like, what it answered, and what
// that says once the variant is undone.

import { h, replace, setStyle } from "./dom.js";
import { differences, sizeText } from "./grids.js";
import { help } from "./help.js";
import { lookOf } from "./kinds.js";
import { largestSide, tile } from "./pictures.js";
import { SegmentPlayer } from "./segment_player.js";
import { SIDES, legendOf, segmentTable, stripOf } from "./variant_charts.js";
import { applyVariant, describeColours, describeTurn, movedColours } from "./variants.js";
import { sideOf } from "./votes.js";
import { capital, count } from "./words.js";

export class VariantWalk {
  #input;
  #all;
  #index;
  #editor;
  #look;
  #shown = [];
  #place = 0;
  #slider;
  #strip = h("div.strip");
  #stage = h("div.walk-stage");
  #filter;
  #player = null;

  constructor({ variants, attempts, variants_used: used }, index, task, editor) {
    this.#input = task.test[index].input;
    this.#look = lookOf(task, index);
    this.#index = index;
    this.#editor = editor;
    this.#all = variants.map((trace) => ({ ...trace, side: sideOf(trace, attempts) }));
    this.#slider = h("input", {
      type: "range",
      min: 1,
      step: 1,
      value: 1,
      "aria-label": `Variant of test ${index + 1}`,
      oninput: () => this.#go(Number(this.#slider.value) - 1),
    });
    this.#filter = this.#makeFilter();
    const rest =
      used > variants.length
        ? `, the first ${variants.length} of ${used.toLocaleString("en")}`
        : "";
    this.element = h(
      "details.walk",
      { open: true },
      h("summary", {}, `Variants (${variants.length}${rest})`),
      h("div.walk-tools", {}, help("variant"), this.#filter, legendOf(this.#all)),
      h("div.walk-line", {}, this.#strip, this.#slider),
      this.#stage,
      segmentTable(this.#all),
    );
    this.#choose();
  }

  #makeFilter() {
    const sides = [...new Set(this.#all.map(({ side }) => side))];
    const options = [
      ["all", "all"],
      ["against", "not for attempt 1"],
      ...sides.map((side) => [String(side), SIDES[side][1]]),
    ];
    return h(
      "label",
      {},
      "Show ",
      h(
        "select",
        { onchange: () => this.#choose() },
        options.map(([value, words]) => h("option", { value }, words)),
      ),
    );
  }

  #choose() {
    const { value } = this.#filter.querySelector("select");
    this.#shown = this.#all.filter(({ side }) =>
      value === "all" ? true : value === "against" ? side !== 0 : String(side) === value,
    );
    this.#slider.max = Math.max(1, this.#shown.length);
    this.#slider.disabled = this.#shown.length === 0;
    const most = Math.max(1, ...this.#all.map(({ segments }) => segments));
    const onpick = (place) => {
      this.#go(place);
      this.#slider.focus();
    };
    this.#strip.replaceChildren(stripOf(this.#shown, most, onpick));
    this.#go(0);
  }

  #go(place) {
    if (this.#shown.length === 0) {
      replace(this.#stage, h("p.note", {}, "There is none of this kind."));
      return;
    }
    this.#place = Math.max(0, Math.min(place, this.#shown.length - 1));
    const trace = this.#shown[this.#place];
    this.#slider.value = this.#place + 1;
    this.#slider.setAttribute(
      "aria-valuetext",
      `${this.#place + 1} of ${this.#shown.length}: ${SIDES[trace.side][1]}`,
    );
    this.#strip.querySelector(".strip-cursor")?.setAttribute("x", this.#place);
    this.#showTrace(trace);
  }

  #showTrace(trace) {
    this.#player?.stop();
    const input = applyVariant(this.#input, trace);
    const steps = trace.predictions ?? [trace.output];
    const known = steps.filter((grid) => grid !== null);
    const all = [input, ...known, ...known.map((grid) => applyVariant(grid, trace))];
    setStyle(this.#stage, { "--side": largestSide(all) });
    const grids = h("div.flow.walk-grids");
    const show = (at) => replace(grids, this.#grids(input, trace, steps, at));
    this.#player = steps.length > 1 ? new SegmentPlayer(steps.length, show) : null;
    if (this.#player === null) show(0);
    const number = this.#shown.length;
    const step = (by) => () => this.#go((this.#place + by + number) % number);
    replace(
      this.#stage,
      h(
        "div.walk-head",
        {},
        h(
          "button.quiet",
          {
            type: "button",
            onclick: step(-1),
            "aria-label": "Previous variant",
            "data-focus": "before",
          },
          "‹",
        ),
        h("span.walk-number", {}, `${this.#place + 1} of ${this.#shown.length}`),
        h(
          "button.quiet",
          { type: "button", onclick: step(1), "aria-label": "Next variant", "data-focus": "next" },
          "›",
        ),
        h(`span.key.key-${SIDES[trace.side][0]}`, {}, SIDES[trace.side][1]),
        h(
          "span.note",
          {},
          [trace.checkpoint, `q ${trace.q_halt.toFixed(2)}`, count(trace.segments, "segment")].join(
            " · ",
          ),
        ),
        help("q"),
      ),
      h("p.walk-variant", {}, capital(describeTurn(trace)), "; ", swatches(trace, this.#look.kind)),
      grids,
      this.#player?.element,
    );
  }

  // The input of the variant, what it answered after a segment, and that turned back, with the
  // cells marked that the segment has changed.
  #grids(input, trace, steps, at) {
    const grid = steps[at];
    const before = at > 0 ? steps[at - 1] : null;
    const marks = grid && before ? (differences(grid, before) ?? []) : [];
    const look = { ...this.#look, givens: input };
    const shown = [this.#figure(input, "Transformed input", look), arrow()];
    if (grid === null) {
      const text = at === steps.length - 1 ? "It gave no valid grid." : "No valid grid yet.";
      return [...shown, h("p.note", {}, text)];
    }
    return [
      ...shown,
      this.#figure(applyVariant(grid, trace), "Its output", look),
      arrow(),
      this.#figure(grid, "Turned back", this.#look, marks),
    ];
  }

  #figure(grid, name, look, marks = []) {
    const title = `Test ${this.#index + 1}, variant ${this.#place + 1}: ${name.toLowerCase()}`;
    return h(
      "figure.figure",
      {},
      tile(grid, title, "Look closely", () => this.#editor.open({ title, grid, look }), {
        focus: name,
        marks,
        look,
      }),
      h("figcaption.caption", {}, name, " ", h("span.size", {}, sizeText(grid))),
    );
  }
}

function arrow() {
  return h("span.arrow", { "aria-hidden": "true" }, "→");
}

// The colours that changed places, as pairs to be seen; in words for those who listen.
function swatches(trace, kind) {
  const moved = movedColours(trace);
  if (moved.length === 0) return describeColours(trace, kind);
  const swatch = (value) => kind.signs[value] ?? h("span.dot", { "data-colour": value });
  const pairs = moved.map(([old, changed]) =>
    h(
      "span.swap",
      { title: `${kind.names[old]} becomes ${kind.names[changed]}` },
      swatch(old),
      "→",
      swatch(changed),
    ),
  );
  return h(
    "span",
    {},
    h("span.visually-hidden", {}, describeColours(trace, kind)),
    h("span.swaps", { "aria-hidden": "true" }, pairs),
  );
}
