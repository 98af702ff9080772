// What will become of a puzzle, before it is sent: a checkpoint has learned it, one will be adapted
// to it, or it is too large. The service decides; this only says what to expect.

import { demonstrationsHash } from "./demonstrations_hash.js";
import { h } from "./dom.js";
import { WRONG, sizeOf } from "./grids.js";
import { KINDS, ofKind } from "./kinds.js";
import { gridsOf } from "./task.js";
import { about } from "./words.js";

// The marks of puzzles, by kind of forecast: a word beside a puzzle, and what it means.
export const MARKS = {
  known: ["known", "answered in seconds"],
  answers: ["answered", "a model for its kind answers it, and the rules check that"],
  adapted: ["adapted", "learned for you earlier, which is used again"],
  adapts: ["adapts", "learned first, then answered"],
  off: ["not learned", "no model has learned it, and adapting is off"],
  large: ["too large", "no model here reads grids of this size"],
  unserved: ["no checkpoint", "no model here is for its kind"],
};

// Training ends with the step that the time runs out in: a kept one has a little less than asked.
const ENOUGH = 0.9;

// Gives {kind, of, checkpoint, adaptS, side, canvas}; kind "pending" while the service is not known.
// `of` is the kind of the puzzle, where the text names it.
// `choice` is what the options say: {checkpoint, adapt, adaptS, adaptVariants}.
export function forecastOf(draft, knowledge, choice) {
  const { checkpoint: name, adapt, adaptS, adaptVariants } = choice;
  const of = KINDS[draft.kind];
  const checkpoints = ofKind(knowledge.checkpoints, draft);
  const grids = gridsOf(draft).map(({ grid }) => grid);
  if (knowledge.checkpoints.length === 0 || grids.some((grid) => grid.flat().includes(WRONG)))
    return { kind: "pending" };
  const side = Math.max(...grids.flatMap(sizeOf));
  const asked = name === "" ? inOrder(checkpoints) : checkpoints.filter((c) => c.name === name);
  if (asked.length === 0) return { kind: "unserved", of, checkpoint: name };
  if (of.isChecked) {
    const fitting = asked.find(({ canvas }) => side <= canvas);
    if (fitting !== undefined) return { kind: "answers", of, checkpoint: fitting };
    return { kind: "large", side, canvas: largestCanvas([], asked) };
  }
  const hash = demonstrationsHash(draft);
  const learned = asked.find((one) => side <= one.canvas && knowledge.knows(one, hash));
  if (learned !== undefined && adapt !== "always") return { kind: "known", checkpoint: learned };
  if (!knowledge.isComplete) return { kind: "pending" };
  const able = name === "" && canAdapt(checkpoints) ? basesOf(asked) : asked;
  const base = able.find(({ canvas }) => side <= canvas);
  if (base === undefined) return { kind: "large", side, canvas: largestCanvas(able, asked) };
  if (adapt === "never" || !canAdapt(checkpoints)) return { kind: "off", checkpoint: base };
  const kept = knowledge.adapted.some(
    (one) =>
      one.complete &&
      one.demonstrations_sha256 === hash &&
      one.base_sha256 === base.sha256 &&
      (adaptS === null || one.seconds >= ENOUGH * adaptS) &&
      (adaptVariants === null || one.variants === adaptVariants),
  );
  return {
    kind: kept ? "adapted" : "adapts",
    checkpoint: base,
    adaptS: adaptS ?? base.adapt_s ?? null,
  };
}

// Whether the service adapts at all. One that does not say so is taken to.
export function canAdapt(checkpoints) {
  const stating = checkpoints.filter(({ adapt_s: value }) => value !== undefined);
  return stating.length === 0 || stating.some(({ adapt_s: value }) => value !== null);
}

// How long an adaptation takes at the most where nothing else is asked for, null if nobody knows.
export function usualAdaptS(checkpoints) {
  return basesOf(inOrder(checkpoints))[0]?.adapt_s ?? null;
}

export function forecastText(forecast, adapt) {
  const { kind, of, checkpoint, adaptS, side, canvas } = forecast;
  switch (kind) {
    case "known":
      return `${checkpoint.name} has learned this puzzle: answered in seconds.`;
    case "answers":
      return `${checkpoint.name} answers ${of.title}, and each answer is checked by the rules.`;
    case "unserved":
      return checkpoint === ""
        ? `No checkpoint for ${of.title} is served here.`
        : `${checkpoint} does not answer ${of.title}: choose another checkpoint.`;
    case "adapted":
      return `${checkpoint.name} was adapted to this puzzle earlier, which is used again.`;
    case "adapts": {
      const time = adaptS === null ? "which takes minutes" : `up to ${about(adaptS)}`;
      return adapt === "always"
        ? `${checkpoint.name} is adapted to this puzzle first: ${time}.`
        : `A new puzzle: ${checkpoint.name} is adapted to it first, ${time}.`;
    }
    case "off":
      return adapt === "never"
        ? "Not learned by a model, and the options say not to adapt."
        : "No model here has learned this puzzle, and this service does not adapt.";
    case "large":
      return `It has a side of ${side} cells; ${canvas} is the most that can be answered here.`;
    default:
      return "";
  }
}

// The mark of a puzzle in a list; nothing while nobody knows.
export function markOf({ kind, adaptS }) {
  if (!(kind in MARKS)) return null;
  const [word] = MARKS[kind];
  const time = kind === "adapts" && adaptS !== null ? `, up to ${about(adaptS, "s")}` : "";
  return h(`span.mark-word.is-${kind}`, {}, `${word}${time}`);
}

// The default first: it is taken where several would do.
function inOrder(checkpoints) {
  return [...checkpoints].sort((one, other) => Boolean(other.default) - Boolean(one.default));
}

// The checkpoints that are adapted where none is named. An older service says nothing of bases: it
// adapts its default.
function basesOf(ordered) {
  const isSaid = ordered.some(({ base }) => base !== undefined);
  return isSaid ? ordered.filter(({ base }) => base) : ordered.slice(0, 1);
}

function largestCanvas(able, asked) {
  return Math.max(...(able.length > 0 ? able : asked).map(({ canvas }) => canvas));
}
